//! Spans: their names, kinds and attributes. The tree they form stands in the guide.

use super::attributes::{AttributeRef, attr, attribute_refs};

/// One kind of span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanDef {
    /// What it is called in the registry: `vmafx.span.<id>`.
    pub id: &'static str,
    /// The name, or its pattern.
    pub name: &'static str,
    /// `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER` or `INTERNAL`.
    pub kind: &'static str,
    /// Who writes it.
    pub emitter: &'static str,
    /// What it covers.
    pub description: &'static str,
    /// What it says; `vmafx.sampling.reason` and `error.type` may stand on any span.
    pub attributes: &'static [AttributeRef],
}

/// Attributes that any span may have.
pub const COMMON_SPAN_ATTRIBUTES: &[AttributeRef] = attribute_refs![
    attr::ERROR_TYPE = "what it stands for failed",
    attr::SAMPLING_REASON = "the decision about the trace was made here"
];

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
    /// One encode of a range of the reference.
    pub const ENCODE: &str = "encode";
    /// One command of `vmafx-tune`, from its start to its answer.
    pub const TUNE: &str = "tune";
    /// One trial: an encode and its score.
    pub const PROBE: &str = "probe";
    /// Sources checked, probed and opened, models loaded.
    pub const FETCH: &str = "fetch";
    /// Frames decoded and scored.
    pub const SCORE: &str = "decode+score";
    /// The wait of a request for a slot to be scored in.
    pub const ADMISSION: &str = "wait for a slot";
    /// Temporal features, prediction, pooling.
    pub const POOL: &str = "pool";
    /// The end of an attempt, in the store.
    pub const SETTLE: &str = "settle vmafx.jobs";
    /// One commit of the store.
    pub const COMMIT: &str = "COMMIT";
}

/// Every span in use.
pub const SPANS: &[SpanDef] = &[
    SpanDef {
        id: "rpc.server",
        name: "{rpc.method}",
        kind: "SERVER",
        emitter: "gRPC server layer",
        description: "A call as its server saw it, until the last byte of the response.",
        attributes: attribute_refs![
            attr::RPC_SYSTEM_NAME,
            attr::RPC_METHOD,
            attr::RPC_METHOD_ORIGINAL = "the method is not known",
            attr::RPC_STATUS_CODE,
            attr::NETWORK_PEER_ADDRESS = "the transport tells it",
            attr::NETWORK_PEER_PORT = "the transport tells it",
            attr::REPORT_WAY = "a report came over the work stream"
        ],
    },
    SpanDef {
        id: "rpc.client",
        name: "{rpc.method}",
        kind: "CLIENT",
        emitter: "gRPC client layer",
        description: "A call as its client saw it, until the last byte of the response.",
        attributes: attribute_refs![
            attr::RPC_SYSTEM_NAME,
            attr::RPC_METHOD,
            attr::RPC_STATUS_CODE,
            attr::SERVER_ADDRESS = "it was not rebuilt",
            attr::SERVER_PORT = "it was not rebuilt",
            attr::REPORT_WAY = "a report came over the work stream"
        ],
    },
    SpanDef {
        id: "http.server",
        name: "{http.request.method} {http.route}",
        kind: "SERVER",
        emitter: "HTTP server layer",
        description: "An HTTP request as its server saw it, until the last byte of the response.",
        attributes: attribute_refs![
            attr::HTTP_REQUEST_METHOD,
            attr::HTTP_REQUEST_METHOD_ORIGINAL = "the method is not known",
            attr::NETWORK_PEER_ADDRESS = "the server tells it",
            attr::NETWORK_PEER_PORT = "the server tells it",
            attr::HTTP_ROUTE = "a route matched",
            attr::HTTP_RESPONSE_STATUS_CODE = "a response was begun",
            attr::URL_PATH = "it was not rebuilt",
            attr::URL_SCHEME = "it was not rebuilt",
            attr::NETWORK_PROTOCOL_VERSION = "it was not rebuilt",
            attr::USER_AGENT_ORIGINAL = "the caller sent one"
        ],
    },
    SpanDef {
        id: "http.client",
        name: "{http.request.method}",
        kind: "CLIENT",
        emitter: "HTTP client layer",
        description: "An HTTP request as its client saw it, until the last byte of the response.",
        attributes: attribute_refs![
            attr::HTTP_REQUEST_METHOD,
            attr::HTTP_REQUEST_METHOD_ORIGINAL = "the method is not known",
            attr::HTTP_RESPONSE_STATUS_CODE = "a response was begun",
            attr::SERVER_ADDRESS,
            attr::SERVER_PORT,
            attr::URL_FULL
        ],
    },
    SpanDef {
        id: "mcp.server",
        name: "{mcp.method.name} {gen_ai.tool.name}{gen_ai.prompt.name}",
        kind: "SERVER",
        emitter: "vmafx-mcp",
        description: "A request of an agent, until its answer. Continues the context in its `_meta`, \
                      else that of the HTTP request that carried it.",
        attributes: attribute_refs![
            attr::MCP_METHOD_NAME,
            attr::NETWORK_TRANSPORT,
            attr::JSONRPC_REQUEST_ID,
            attr::MCP_PROTOCOL_VERSION = "the client told it",
            attr::GEN_AI_TOOL_NAME = "a tool is called",
            attr::GEN_AI_OPERATION_NAME = "a tool is called",
            attr::GEN_AI_PROMPT_NAME = "a prompt is fetched",
            attr::MCP_RESOURCE_URI = "a resource is read",
            attr::RPC_STATUS_CODE = "it was answered with an error of the protocol"
        ],
    },
    SpanDef {
        id: "submit",
        name: span_name::SUBMIT,
        kind: "INTERNAL",
        emitter: "vmafx",
        description: "The command that submitted the job, until the controller answered.",
        attributes: &[],
    },
    SpanDef {
        id: "job",
        name: span_name::JOB,
        kind: "INTERNAL",
        emitter: "controller",
        description: "The whole job, from submission to its terminal state; its id is allocated at \
                      submission, the span is written once, at the terminal commit.",
        attributes: attribute_refs![
            attr::JOB_ID,
            attr::JOB_STATE,
            attr::JOB_PRIORITY,
            attr::MODEL,
            attr::FRAME_COUNT = "the job succeeded",
            attr::WIDTH = "the job succeeded",
            attr::HEIGHT = "the job succeeded",
            attr::SCORE_MEAN = "the job succeeded"
        ],
    },
    SpanDef {
        id: "job.send",
        name: span_name::SEND,
        kind: "PRODUCER",
        emitter: "controller",
        description: "Putting the job into the store, durably.",
        attributes: attribute_refs![
            attr::MESSAGING_SYSTEM_NAME,
            attr::MESSAGING_OPERATION_NAME,
            attr::MESSAGING_OPERATION_TYPE,
            attr::MESSAGING_DESTINATION_NAME,
            attr::JOB_PRIORITY,
            attr::JOB_ID = "the job was accepted"
        ],
    },
    SpanDef {
        id: "part.wait",
        name: span_name::QUEUE_WAIT,
        kind: "INTERNAL",
        emitter: "controller",
        description: "The wait of a part from the moment it could run to its lease, from stored \
                      times.",
        attributes: attribute_refs![
            attr::MESSAGING_MESSAGE_ID,
            attr::JOB_ID,
            attr::PART_ID,
            attr::PART_INDEX,
            attr::ATTEMPT_NUMBER,
            attr::FENCE,
            attr::NODE_ID,
            attr::QUEUE_WAIT_SECONDS,
            attr::RETRY_CAUSE = "an attempt before failed"
        ],
    },
    SpanDef {
        id: "attempt.process",
        name: span_name::PROCESS,
        kind: "CONSUMER",
        emitter: "node",
        description: "One attempt at a part; its id comes with the lease. A retry links to the \
                      attempt before.",
        attributes: attribute_refs![
            attr::MESSAGING_SYSTEM_NAME,
            attr::MESSAGING_OPERATION_NAME,
            attr::MESSAGING_OPERATION_TYPE,
            attr::MESSAGING_DESTINATION_NAME,
            attr::MESSAGING_MESSAGE_ID,
            attr::JOB_ID,
            attr::PART_ID,
            attr::PART_INDEX,
            attr::ATTEMPT_NUMBER,
            attr::FENCE,
            attr::NODE_ID,
            attr::QUEUE_WAIT_SECONDS,
            attr::OUTCOME,
            attr::REPORT_ANSWER = "its report was answered",
            attr::SAMPLING_REASON = "it has a trace of its own"
        ],
    },
    SpanDef {
        id: "tune",
        name: span_name::TUNE,
        kind: "INTERNAL",
        emitter: "vmafx-tune",
        description: "One command of vmafx-tune, from its start to its answer: every probe and, \
                      with a controller, every job of it is below.",
        attributes: attribute_refs![attr::TUNE_COMMAND, attr::TUNE_PROBES = "it succeeded"],
    },
    SpanDef {
        id: "tune.probe",
        name: span_name::PROBE,
        kind: "INTERNAL",
        emitter: "vmafx-tune",
        description: "One trial: a range of the reference encoded and scored, here or as a job. \
                      What an earlier run measured makes no span.",
        attributes: attribute_refs![
            attr::ENCODER,
            attr::ENCODE_QUALITY,
            attr::PROBE_KIND,
            attr::JOB_ID = "a node did it",
            attr::ENCODED_BYTES = "it succeeded",
            attr::SCORE_MEAN = "it succeeded"
        ],
    },
    SpanDef {
        id: "encode",
        name: span_name::ENCODE,
        kind: "INTERNAL",
        emitter: "node, vmafx-tune",
        description: "A range of the reference encoded, its decoding included. The time beside \
                      `decode+score` says what a probe costs.",
        attributes: attribute_refs![
            attr::ENCODED_BYTES = "it succeeded",
            attr::FRAME_COUNT = "it succeeded"
        ],
    },
    SpanDef {
        id: "attempt.fetch",
        name: span_name::FETCH,
        kind: "INTERNAL",
        emitter: "node, server",
        description: "Sources checked, probed and opened, models loaded.",
        attributes: attribute_refs![
            attr::WIDTH = "the sources could be opened",
            attr::HEIGHT = "the sources could be opened"
        ],
    },
    SpanDef {
        id: "attempt.score",
        name: span_name::SCORE,
        kind: "INTERNAL",
        emitter: "node, server, vmafx-tune",
        description: "Frames decoded and scored, with the seconds of each feature as attributes.",
        attributes: attribute_refs![
            attr::FRAME_COUNT = "all frames were scored",
            attr::STAGE_SECONDS,
            attr::FEATURE_SECONDS = "all frames were scored"
        ],
    },
    SpanDef {
        id: "attempt.pool",
        name: span_name::POOL,
        kind: "INTERNAL",
        emitter: "node, server",
        description: "Temporal features, prediction and pooling.",
        attributes: attribute_refs![
            attr::MODEL = "a model predicted",
            attr::SCORE_MEAN = "a model predicted"
        ],
    },
    SpanDef {
        id: "direct.admission",
        name: span_name::ADMISSION,
        kind: "INTERNAL",
        emitter: "server, node",
        description: "A request for direct scoring waits for a slot; none where one was free.",
        attributes: attribute_refs![attr::REFUSAL = "it got none"],
    },
    SpanDef {
        id: "attempt.settle",
        name: span_name::SETTLE,
        kind: "CLIENT",
        emitter: "controller",
        description: "The end of an attempt in the store: its report accepted, or its lease lost, \
                      with the cause.",
        attributes: attribute_refs![
            attr::MESSAGING_SYSTEM_NAME,
            attr::MESSAGING_OPERATION_NAME,
            attr::MESSAGING_OPERATION_TYPE,
            attr::MESSAGING_DESTINATION_NAME,
            attr::MESSAGING_MESSAGE_ID,
            attr::JOB_ID,
            attr::PART_ID,
            attr::PART_INDEX,
            attr::ATTEMPT_NUMBER,
            attr::FENCE,
            attr::NODE_ID,
            attr::OUTCOME,
            attr::LEASE_CAUSE = "the lease ended without a report"
        ],
    },
    SpanDef {
        id: "store.commit",
        name: span_name::COMMIT,
        kind: "CLIENT",
        emitter: "controller",
        description: "The commit of the store that made a submission, a lease or the end of an \
                      attempt durable, with its sync; others share it.",
        attributes: attribute_refs![
            attr::DB_SYSTEM_NAME,
            attr::DB_OPERATION_NAME,
            attr::DB_OPERATION_BATCH_SIZE = "it is known how the commit went",
            attr::SPAN_END = "it is not known"
        ],
    },
];
