//! Spans: their names and kinds. The tree they form stands in the guide.

/// One kind of span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanDef {
    /// The name, or its pattern.
    pub name: &'static str,
    /// `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER` or `INTERNAL`.
    pub kind: &'static str,
    /// Who writes it.
    pub emitter: &'static str,
    /// What it covers.
    pub description: &'static str,
}

/// The fixed names as constants.
pub mod span_name {
    /// The command that submitted the job.
    pub const SUBMIT: &str = "vmafx submit";
    /// The whole job, from submission to its terminal state.
    pub const JOB: &str = "job";
    /// Putting the job into the store.
    pub const SEND: &str = "send vmafx.jobs";
    /// The wait of a part from the moment it could run to its lease.
    pub const QUEUE_WAIT: &str = "wait";
    /// One attempt at a part.
    pub const PROCESS: &str = "process vmafx.jobs";
    /// Sources checked, probed and opened, models loaded.
    pub const FETCH: &str = "fetch";
    /// Frames decoded and scored.
    pub const SCORE: &str = "decode+score";
    /// Temporal features, prediction, pooling.
    pub const POOL: &str = "pool";
    /// The end of an attempt, in the store.
    pub const SETTLE: &str = "settle vmafx.jobs";
}

/// Every span in use.
pub const SPANS: &[SpanDef] = &[
    SpanDef {
        name: "{rpc.method}",
        kind: "SERVER",
        emitter: "gRPC server layer",
        description: "A call as its server saw it, until the last byte of the response.",
    },
    SpanDef {
        name: "{rpc.method}",
        kind: "CLIENT",
        emitter: "gRPC client layer",
        description: "A call as its client saw it, until the last byte of the response.",
    },
    SpanDef {
        name: "{http.request.method} {http.route}",
        kind: "SERVER",
        emitter: "HTTP server layer",
        description: "An HTTP request as its server saw it, until the last byte of the response.",
    },
    SpanDef {
        name: span_name::SUBMIT,
        kind: "INTERNAL",
        emitter: "vmafx",
        description: "The command that submitted the job, until the controller answered.",
    },
    SpanDef {
        name: span_name::JOB,
        kind: "INTERNAL",
        emitter: "controller",
        description: "The whole job, from submission to its terminal state; its id is allocated at \
                      submission, the span is written once, at the terminal commit.",
    },
    SpanDef {
        name: span_name::SEND,
        kind: "PRODUCER",
        emitter: "controller",
        description: "Putting the job into the store, durably.",
    },
    SpanDef {
        name: span_name::QUEUE_WAIT,
        kind: "INTERNAL",
        emitter: "controller",
        description: "The wait of a part from the moment it could run to its lease, from stored \
                      times.",
    },
    SpanDef {
        name: span_name::PROCESS,
        kind: "CONSUMER",
        emitter: "node",
        description: "One attempt at a part; its id comes with the lease. A retry links to the \
                      attempt before.",
    },
    SpanDef {
        name: span_name::FETCH,
        kind: "INTERNAL",
        emitter: "node",
        description: "Sources checked, probed and opened, models loaded.",
    },
    SpanDef {
        name: span_name::SCORE,
        kind: "INTERNAL",
        emitter: "node",
        description: "Frames decoded and scored, with the seconds of each feature as attributes.",
    },
    SpanDef {
        name: span_name::POOL,
        kind: "INTERNAL",
        emitter: "node",
        description: "Temporal features, prediction and pooling.",
    },
    SpanDef {
        name: span_name::SETTLE,
        kind: "CLIENT",
        emitter: "controller",
        description: "The end of an attempt in the store: its report accepted, or its lease lost, \
                      with the cause.",
    },
];
