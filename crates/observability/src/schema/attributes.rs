//! Attribute keys of spans, metrics, events and the resource, with the types of their values.

use super::Stability;

/// What an attribute's value is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueType {
    /// Text that is not known when the program is built, with examples.
    Text(&'static [&'static str]),
    /// A whole number, with examples.
    Int(&'static [i64]),
    /// A number, with examples.
    Double(&'static [f64]),
    /// Text from a closed list.
    OneOf(&'static [&'static str]),
    /// A number for each key that begins with this one, with examples of how such a key goes on.
    DoubleBy(&'static [&'static str]),
}

impl ValueType {
    /// The word of OpenTelemetry's registries; an enumeration is told by its members instead.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::OneOf(_) => "enum",
            Self::DoubleBy(_) => "template[double]",
        }
    }
}

/// One attribute key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttributeDef {
    /// The key.
    pub key: &'static str,
    /// What the value is.
    pub value: ValueType,
    /// What the value says, and what form it has.
    pub description: &'static str,
}

impl AttributeDef {
    /// How settled the key is.
    #[must_use]
    pub fn stability(&self) -> Stability {
        Stability::of(self.key)
    }

    /// The definition of a key that is in use, also of one that goes on behind a declared prefix.
    #[must_use]
    pub fn of(key: &str) -> Option<&'static Self> {
        ATTRIBUTES.iter().find(|def| match def.value {
            ValueType::DoubleBy(_) => {
                key.strip_prefix(def.key).is_some_and(|rest| rest.starts_with('.'))
            }
            _ => def.key == key,
        })
    }
}

/// How surely an attribute is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Always.
    Required,
    /// Under this condition.
    When(&'static str),
}

/// An attribute in its place: on a span, a metric or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeRef {
    /// The key, as declared in [`ATTRIBUTES`].
    pub key: &'static str,
    /// How surely it is there.
    pub level: Level,
}

/// Writes a list of [`AttributeRef`]: a key alone is required, `key = "condition"` is there when
/// the condition holds.
macro_rules! attribute_refs {
    ($($key:path $(= $condition:literal)?),* $(,)?) => {
        &[$($crate::schema::AttributeRef {
            key: $key,
            level: $crate::schema::attributes::attribute_refs!(@level $($condition)?),
        }),*]
    };
    (@level) => { $crate::schema::Level::Required };
    (@level $condition:literal) => { $crate::schema::Level::When($condition) };
}
pub(crate) use attribute_refs;

macro_rules! attributes {
    ($($name:ident = $key:literal: $value:expr, $description:literal;)+) => {
        /// The keys as constants.
        pub mod attr {
            $(#[doc = $description] pub const $name: &str = $key;)+
        }

        /// Every attribute key in use, by namespace.
        pub const ATTRIBUTES: &[AttributeDef] = {
            #[allow(clippy::enum_glob_use)]
            use ValueType::*;
            &[$(AttributeDef { key: $key, value: $value, description: $description },)+]
        };
    };
}

attributes! {
    ERROR_TYPE = "error.type": Text(&["DEADLINE_EXCEEDED", "500", "not_found", "lease_expired"]),
        "Why an operation failed: a status code or a failure kind, of low cardinality. Absent on success.";
    SERVER_ADDRESS = "server.address": Text(&["controller.vmafx.svc"]),
        "Host name or address of the server that a client calls, as configured.";
    SERVER_PORT = "server.port": Int(&[50_051]),
        "Port of the server that a client calls.";
    DB_SYSTEM_NAME = "db.system.name": OneOf(&["sqlite"]),
        "The store's product.";
    DB_OPERATION_NAME = "db.operation.name": OneOf(&["COMMIT"]),
        "What is done to the store.";
    DB_OPERATION_BATCH_SIZE = "db.operation.batch.size": Int(&[1, 36]),
        "Writes that share the commit.";
    NETWORK_PEER_ADDRESS = "network.peer.address": Text(&["10.1.2.80"]),
        "Address at the other end of the connection: of the caller, or of a proxy before it.";
    NETWORK_PEER_PORT = "network.peer.port": Int(&[65123]),
        "Port at the other end of the connection.";
    NETWORK_PROTOCOL_VERSION = "network.protocol.version": Text(&["1.1", "2"]),
        "HTTP version of the request: `1.0`, `1.1`, `2`.";

    RPC_SYSTEM_NAME = "rpc.system.name": OneOf(&["grpc"]),
        "Always `grpc`.";
    RPC_METHOD = "rpc.method": Text(&["vmafx.controller.v1.VmafxController/SubmitJob"]),
        "Full method, `package.Service/Method`; `_OTHER` for a method this server does not know.";
    RPC_METHOD_ORIGINAL = "rpc.method_original": Text(&["wrong.v1.Service/Method"]),
        "The method as it was called, where this server does not know it; cut at 256 bytes, on spans only.";
    RPC_STATUS_CODE = "rpc.status_code": Text(&["OK", "DEADLINE_EXCEEDED"]),
        "gRPC status by name: `OK`, `DEADLINE_EXCEEDED`, ...";

    HTTP_REQUEST_METHOD = "http.request.method":
        OneOf(&["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"]),
        "HTTP method; `_OTHER` for an unknown one.";
    HTTP_REQUEST_METHOD_ORIGINAL = "http.request.method_original": Text(&["SCAN"]),
        "The method as it was sent, where it is an unknown one; cut, on spans only.";
    HTTP_ROUTE = "http.route": Text(&["/v1/jobs/{id}"]),
        "Template of the matched route, never the path itself.";
    HTTP_RESPONSE_STATUS_CODE = "http.response.status_code": Int(&[200, 404]),
        "HTTP status of the response.";
    URL_FULL = "url.full": Text(&["http://127.0.0.1:8080/v1/jobs"]),
        "URL of a request made, without credentials and query, cut at 512 bytes; on spans only.";
    URL_SCHEME = "url.scheme": Text(&["http"]),
        "`http` or `https`.";
    URL_PATH = "url.path": Text(&["/v1/jobs/0192f0c1"]),
        "Path of the request, cut at 256 bytes; on spans only.";
    USER_AGENT_ORIGINAL = "user_agent.original": Text(&["curl/8.5.0"]),
        "The caller's User-Agent, cut at 256 bytes; on spans only.";

    MCP_METHOD_NAME = "mcp.method.name": Text(&["tools/call", "resources/read"]),
        "Method of the Model Context Protocol; `_OTHER` for one this server does not know.";
    MCP_PROTOCOL_VERSION = "mcp.protocol.version": Text(&["2026-07-28", "2025-11-25"]),
        "Version of the protocol that the client speaks.";
    MCP_RESOURCE_URI = "mcp.resource.uri": Text(&["vmafx://models"]),
        "The resource that is read, cut at 256 bytes; on spans only.";
    GEN_AI_TOOL_NAME = "gen_ai.tool.name": Text(&["score", "worst_frames"]),
        "Name of a tool of ours.";
    GEN_AI_PROMPT_NAME = "gen_ai.prompt.name": Text(&["diagnose_low_score"]),
        "Name of a prompt of ours.";
    GEN_AI_OPERATION_NAME = "gen_ai.operation.name": OneOf(&["execute_tool"]),
        "What an agent does: always `execute_tool`.";
    JSONRPC_REQUEST_ID = "jsonrpc.request.id": Text(&["7"]),
        "The client's number of the request, cut at 64 bytes; on spans only.";
    NETWORK_TRANSPORT = "network.transport": OneOf(&["tcp", "pipe"]),
        "`tcp` for HTTP, `pipe` for standard input and output.";

    MESSAGING_SYSTEM_NAME = "messaging.system.name": OneOf(&["vmafx"]),
        "Always `vmafx`: the queue is our own.";
    MESSAGING_OPERATION_NAME = "messaging.operation.name": OneOf(&["send", "process", "settle"]),
        "`send`, `process` or `settle`.";
    MESSAGING_OPERATION_TYPE = "messaging.operation.type": OneOf(&["send", "process", "settle"]),
        "`send`, `process` or `settle`.";
    MESSAGING_DESTINATION_NAME = "messaging.destination.name": OneOf(&["vmafx.jobs"]),
        "Always `vmafx.jobs`.";
    MESSAGING_MESSAGE_ID = "messaging.message.id": Text(&["42"]),
        "The part's id.";

    JOB_ID = "vmafx.job.id": Text(&["0192f0c1-7d6e-7c58-a1b2-3c4d5e6f7081"]),
        "The job.";
    JOB_STATE = "vmafx.job.state": OneOf(&["succeeded", "failed", "cancelled"]),
        "How the job ended.";
    JOB_PRIORITY = "vmafx.job.priority": Int(&[0]),
        "The job's priority.";
    PART_ID = "vmafx.part.id": Int(&[42]),
        "The part of the job.";
    PART_INDEX = "vmafx.part.index": Int(&[0]),
        "Place of the part within its job, from 0.";
    PART_STATE = "vmafx.part.state": OneOf(&["queued", "running"]),
        "Whether a part waits or runs; one that waits for its retry time is queued.";
    ATTEMPT_NUMBER = "vmafx.attempt.number": Int(&[1]),
        "Which try at the part this is, from 1.";
    OUTCOME = "vmafx.attempt.outcome": OneOf(&["succeeded", "failed", "lost", "released", "cancelled"]),
        "How an attempt ended: `lost` when its lease ended without a report, `released` when its node handed it back.";
    FENCE = "vmafx.lease.fence": Int(&[1]),
        "The lease's fence.";
    LEASE_CAUSE = "vmafx.lease.cause": OneOf(&["lease_expired", "node_lost"]),
        "Why a lease ended before its report: no sign of life until its end, or the node's process or stream was gone.";
    RETRY_CAUSE = "vmafx.retry.cause":
        OneOf(&["decoder_missing", "decoder_failed", "encoder_missing", "encoder_failed", "io", "disk_full", "timed_out", "node_lost", "lease_expired", "internal", "released", "by_hand",
            "not_found", "permission_denied", "source_refused", "not_a_video", "truncated", "zero_frames", "size_mismatch", "chroma_mismatch",
            "depth_mismatch", "unsupported_format", "unknown_model", "unknown_feature", "invalid_job", "cancelled"]),
        "Why a part is tried again: what ended the attempt before, `released` when its node handed it back, `by_hand` when somebody asked for it. The kinds behind `by_hand` are final, so that only a wish brings a retry after them.";
    REPORT_ANSWER = "vmafx.report.answer": OneOf(&["accepted", "duplicate", "stale", "cancelled", "unknown_session"]),
        "What the controller said to a report.";
    REPORT_WAY = "vmafx.report.way": OneOf(&["stream"]),
        "How a report came that is told as a call and was none: `stream`, as a message of the work stream.";
    NODE_ID = "vmafx.node.id": Text(&["node-7"]),
        "The node.";
    NODE_STATE = "vmafx.node.state": OneOf(&["alive", "unknown"]),
        "What is known of a node: heard of lately, or not; the latter is not dead for that.";
    QUEUE_WAIT_SECONDS = "vmafx.queue.wait_seconds": Double(&[0.004]),
        "From the moment a part could run to its lease.";
    DURATION_SECONDS = "vmafx.attempt.duration_seconds": Double(&[1.2]),
        "From the lease's arrival to the answer to its report.";
    LINK = "vmafx.link": OneOf(&["creation", "previous_attempt", "attempt", "caller", "transport"]),
        "What a link means: `creation`, `previous_attempt`, `attempt` (which has a trace of its own), `caller` (which is not recorded), `transport` (whatever carried the message).";
    SAMPLING_REASON = "vmafx.sampling.reason": OneOf(&["forced", "link", "ratio", "quiet", "failed", "slow", "asked"]),
        "Why the trace is recorded, on its first span. `failed`, `slow` and `asked`: it was rebuilt after the job's end.";
    SPAN_END = "vmafx.span.end": OneOf(&["unknown"]),
        "`unknown` where a span was rebuilt of which only the beginning is known: the process was killed before the next commit.";
    REFUSAL = "vmafx.direct.refusal": OneOf(&["queue_full", "timed_out", "left", "closing"]),
        "Why a request for direct scoring got no slot: too many waited already, its time ran out while it waited, its caller left, or the service goes down.";
    MODEL = "vmafx.model": Text(&["vmaf_v0.6.1"]),
        "Name of the VMAF model.";
    FEATURE = "vmafx.feature": Text(&["vif", "adm", "motion"]),
        "Name of a feature extractor.";
    ENCODER = "vmafx.encoder":
        OneOf(&["libx264", "libx265", "libsvtav1", "libaom-av1", "libvpx-vp9", "libvvenc"]),
        "Name of the encoder, as `ffmpeg` has it.";
    ENCODE_QUALITY = "vmafx.encode.quality": Double(&[23.5]),
        "What the encoder was asked for, by its own scale: a CRF or QP.";
    ENCODED_BYTES = "vmafx.encoded.bytes": Int(&[481_206]),
        "Bytes that the encode came to.";
    TUNE_COMMAND = "vmafx.tune.command": OneOf(&["crf", "ladder", "compare", "shots", "corpus"]),
        "What `vmafx-tune` was asked to do.";
    TUNE_PROBES = "vmafx.tune.probes.count": Int(&[3]),
        "Probes that the answer rests on, those of earlier runs included.";
    PROBE_KIND = "vmafx.probe.kind": OneOf(&["sample", "whole"]),
        "Whether a part of the reference was tried, or all that is to be encoded.";
    PROBE_OUTCOME = "vmafx.probe.outcome": OneOf(&["measured", "remembered", "failed"]),
        "Whether a probe was made, known from an earlier run, or failed.";
    FRAME_COUNT = "vmafx.frame_count": Int(&[48]),
        "Frames scored.";
    WIDTH = "vmafx.width": Int(&[1_920]),
        "Width of the pictures, in pixels.";
    HEIGHT = "vmafx.height": Int(&[1_080]),
        "Height of the pictures, in pixels.";
    SCORE_MEAN = "vmafx.score.mean": Double(&[93.7]),
        "Pooled score, arithmetic mean.";
    STAGE = "vmafx.stage": OneOf(&["start", "encode", "fetch", "decode", "score", "pool", "spool"]),
        "Stretch of an attempt: `start`, `encode`, `fetch`, `decode`, `score`, `pool`, `spool`.";
    FEATURE_SECONDS = "vmafx.feature_seconds": DoubleBy(&["vif"]),
        "CPU seconds of a feature extractor, under `vmafx.feature_seconds.<extractor>`.";
    STAGE_SECONDS = "vmafx.stage_seconds": DoubleBy(&["decode"]),
        "Seconds of a stage, under `vmafx.stage_seconds.<stage>`.";

    SIGNAL = "vmafx.telemetry.signal": OneOf(&["traces", "metrics", "logs"]),
        "`traces`, `metrics` or `logs`.";
    TRACE_EXPORT = "vmafx.trace.export": OneOf(&["exported", "rate_limited", "overflow", "expired", "refused", "repeated"]),
        "What became of a trace that was to be exported after its job's end: `overflow` when too many waited, `expired` when no collector took it for a day, `repeated` when it was recorded and sent once more because it may not have arrived.";
    DROP_REASON = "vmafx.telemetry.drop_reason": OneOf(&["queue_full", "export_failed", "rejected", "shutdown"]),
        "`queue_full`, `export_failed`, `rejected` or `shutdown`.";
    TELEMETRY_INSTRUMENT = "vmafx.telemetry.instrument": Text(&["http.server.request.duration"]),
        "Name of a metric of ours.";
    RUNTIME = "vmafx.runtime.name": Text(&["main", "telemetry"]),
        "One of the asynchronous runtimes of a process: `main`, which serves, or `telemetry`, which exports.";
    CPU_MODE = "cpu.mode": OneOf(&["user", "system"]),
        "`user` or `system`.";
    PAGING_FAULT_TYPE = "system.paging.fault.type": OneOf(&["minor", "major"]),
        "Whether a page was in memory already, or came from the disk.";
    DISK_IO_DIRECTION = "disk.io.direction": OneOf(&["read", "write"]),
        "To or from the disk.";

    SERVICE_NAME = "service.name": Text(&["vmafx-node"]),
        "Name of the binary unless configured.";
    SERVICE_VERSION = "service.version": Text(&["0.1.0"]),
        "Version of the binary.";
    SERVICE_INSTANCE_ID = "service.instance.id": Text(&["627cc493-f310-47de-96bd-71410b7dec09"]),
        "Random identity of one run of a process.";
    PROCESS_PID = "process.pid": Int(&[1]),
        "Process id.";
    TELEMETRY_SDK_NAME = "telemetry.sdk.name": OneOf(&["vmafx-observability"]),
        "Always `vmafx-observability`.";
    TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language": OneOf(&["rust"]),
        "Always `rust`.";
    TELEMETRY_SDK_VERSION = "telemetry.sdk.version": Text(&["0.1.0"]),
        "Version of this crate.";
}
