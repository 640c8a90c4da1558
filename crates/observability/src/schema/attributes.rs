//! Attribute keys of spans, metrics and the resource.

/// One attribute key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeDef {
    /// The key.
    pub key: &'static str,
    /// What the value says, and what form it has.
    pub description: &'static str,
}

macro_rules! attributes {
    ($($name:ident = $key:literal, $description:literal;)+) => {
        /// The keys as constants.
        pub mod attr {
            $(#[doc = $description] pub const $name: &str = $key;)+
        }

        /// Every attribute key in use, in alphabetical order within its namespace.
        pub const ATTRIBUTES: &[AttributeDef] =
            &[$(AttributeDef { key: $key, description: $description },)+];
    };
}

attributes! {
    ERROR_TYPE = "error.type", "Why an operation failed: a status code or a failure kind, of low cardinality. Absent on success.";
    SERVER_ADDRESS = "server.address", "Host name or address of the server that a client calls, as configured.";
    SERVER_PORT = "server.port", "Port of the server that a client calls.";
    NETWORK_PROTOCOL_VERSION = "network.protocol.version", "HTTP version of the request: `1.0`, `1.1`, `2`.";

    RPC_SYSTEM_NAME = "rpc.system.name", "Always `grpc`.";
    RPC_METHOD = "rpc.method", "Full method, `package.Service/Method`; `_OTHER` for a method this server does not know.";
    RPC_STATUS_CODE = "rpc.status_code", "gRPC status by name: `OK`, `DEADLINE_EXCEEDED`, ...";

    HTTP_REQUEST_METHOD = "http.request.method", "HTTP method; `_OTHER` for an unknown one.";
    HTTP_ROUTE = "http.route", "Template of the matched route, never the path itself.";
    HTTP_RESPONSE_STATUS_CODE = "http.response.status_code", "HTTP status of the response.";
    URL_SCHEME = "url.scheme", "`http` or `https`.";
    URL_PATH = "url.path", "Path of the request, cut at 256 bytes; on spans only.";
    USER_AGENT_ORIGINAL = "user_agent.original", "The caller's User-Agent, cut at 256 bytes; on spans only.";

    MESSAGING_SYSTEM_NAME = "messaging.system.name", "Always `vmafx`: the queue is our own.";
    MESSAGING_OPERATION_NAME = "messaging.operation.name", "`send`, `process` or `settle`.";
    MESSAGING_OPERATION_TYPE = "messaging.operation.type", "`send`, `process` or `settle`.";
    MESSAGING_DESTINATION_NAME = "messaging.destination.name", "Always `vmafx.jobs`.";
    MESSAGING_MESSAGE_ID = "messaging.message.id", "The part's id.";

    JOB_ID = "vmafx.job.id", "The job.";
    JOB_STATE = "vmafx.job.state", "How the job ended.";
    JOB_PRIORITY = "vmafx.job.priority", "The job's priority.";
    PART_ID = "vmafx.part.id", "The part of the job.";
    PART_INDEX = "vmafx.part.index", "Place of the part within its job, from 0.";
    ATTEMPT_NUMBER = "vmafx.attempt.number", "Which try at the part this is, from 1.";
    FENCE = "vmafx.lease.fence", "The lease's fence.";
    NODE_ID = "vmafx.node.id", "The node.";
    QUEUE_WAIT_SECONDS = "vmafx.queue.wait_seconds", "From the moment a part could run to its lease.";
    REPORT_ANSWER = "vmafx.report.answer", "What the controller said to a report.";
    LEASE_CAUSE = "vmafx.lease.cause", "Why a lease ended before its report.";
    RETRY_CAUSE = "vmafx.retry.cause", "Why a part is tried again.";
    LINK = "vmafx.link", "What a link means: `creation`, `previous_attempt`, `caller` (which is not recorded).";
    SAMPLING_REASON = "vmafx.sampling.reason", "Why the trace is recorded, on its first span: `forced`, `link`, `ratio`, `quiet`.";
    MODEL = "vmafx.model", "Name of the VMAF model.";
    FRAME_COUNT = "vmafx.frame_count", "Frames scored.";
    WIDTH = "vmafx.width", "Width of the pictures, in pixels.";
    HEIGHT = "vmafx.height", "Height of the pictures, in pixels.";
    BIT_DEPTH = "vmafx.bit_depth", "Bits per sample.";
    SCORE_MEAN = "vmafx.score.mean", "Pooled score, arithmetic mean.";
    STAGE = "stage", "Stretch of an attempt: `start`, `fetch`, `decode`, `score`, `pool`, `spool`.";
    FEATURE_SECONDS = "vmafx.feature_seconds", "Prefix of the per-feature times of a decode+score span: `vmafx.feature_seconds.<extractor>`.";
    STAGE_SECONDS = "vmafx.stage_seconds", "Prefix of the stage times of a span: `vmafx.stage_seconds.<stage>`.";
    STATE = "state", "State of a part or job.";
    CAUSE = "cause", "Cause, from a closed list.";
    ANSWER = "answer", "Answer to a report, from a closed list.";
    OUTCOME = "outcome", "How an attempt ended: `succeeded`, `failed`, `cancelled`, `abandoned`.";

    SIGNAL = "signal", "`traces`, `metrics` or `logs`.";
    DROP_REASON = "reason", "`queue_full`, `export_failed`, `rejected` or `shutdown`.";
    CPU_MODE = "cpu.mode", "`user` or `system`.";

    SERVICE_NAME = "service.name", "Name of the binary unless configured.";
    SERVICE_VERSION = "service.version", "Version of the binary.";
    SERVICE_INSTANCE_ID = "service.instance.id", "Random identity of one run of a process.";
    PROCESS_PID = "process.pid", "Process id.";
    TELEMETRY_SDK_NAME = "telemetry.sdk.name", "Always `vmafx-observability`.";
    TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language", "Always `rust`.";
    TELEMETRY_SDK_VERSION = "telemetry.sdk.version", "Version of this crate.";
}
