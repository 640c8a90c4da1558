//! The bounds that both ends of the wire keep.

use std::time::Duration;

/// Bytes of one gRPC message, in either direction and on both sides. A report of a two-hour film
/// with twenty columns takes 28 MB.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Bytes of one message towards direct scoring. A pair of 4K pictures in 8 bits fits into one;
/// larger pictures come in pieces.
pub const SCORING_MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Bytes of one picture of a `ScoreStream`: enough for 8K in 16 bits without subsampled chroma.
pub const STREAM_PICTURE_BYTES_MAX: u64 = 256 << 20;

/// Jobs of one `SubmitJobs` call.
pub const JOBS_PER_REQUEST_MAX: usize = 1_000;

/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Jobs on one page of a list.
pub const PAGE_SIZE_MAX: usize = 1_000;

/// Jobs on one page where nothing is said.
pub const PAGE_SIZE_DEFAULT: usize = 100;

/// Jobs that one `RetryJobs` call may name.
pub const RETRY_IDS_MAX: usize = 10_000;

/// The longest that `PollWork` waits.
pub const POLL_WAIT_MAX: Duration = Duration::from_secs(20);

/// Parts that one node status may name: running ones and spooled reports.
pub const RUNNING_PARTS_MAX: usize = 4_096;

/// Frames of one chunk of a `GetFrames` stream.
pub const FRAMES_PER_CHUNK_MAX: usize = 4_096;

/// Columns that one frame table may have.
pub const COLUMNS_MAX: usize = 1_024;

/// Frames that one frame table may have: 4.6 days at 60 frames a second.
pub const FRAMES_MAX: usize = 24_000_000;

/// How long a service hears nothing of a caller before it probes the connection.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// The same for the controller, where every node has a connection that is all but idle: each look
/// that finds a sign of life costs as much as the sign. A node that vanishes is told by its lease.
pub const KEEPALIVE_INTERVAL_CONTROLLER: Duration = Duration::from_secs(20);

/// The same for a caller of the controller: longer than an idle node goes without an answer, whose
/// connection is then never probed.
pub const KEEPALIVE_INTERVAL_CALLER: Duration = Duration::from_secs(8);

/// How long a probed connection may stay silent before it counts as dead.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
