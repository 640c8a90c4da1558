//! The queue: one thread that decides and writes, and the handle through which everybody asks.
//!
//! The writer thread owns [`control::Control`] and the only write connection. It takes one command,
//! drains what else waits, lets `control` decide, commits everything in one durable transaction,
//! and only then lets answers, leases and events leave. While a commit runs the next batch gathers
//! by itself. Reads run beside it on read-only connections. A second thread, the follower, tells
//! watchers of changes and builds finished jobs' views, so that neither costs the writer time.
//!
//! It does not know gRPC, HTTP or OpenTelemetry.

mod config;
mod error;
mod event;
mod follower;
mod handle;
mod intake;
mod live;
mod release;
mod signs;
mod stats;
mod stream;
mod thread;
mod watch;

pub use config::QueueConfig;
pub use control::{Cancelled, DueTrace, Forgettable, Idempotency, Keep, RetryPolicy, Submitted};
pub use error::QueueError;
pub use event::{FinishedJob, QueueEvent, QueueObserver};
pub use handle::{Queue, RetrySelection, Submission};
pub use stats::QueueStats;
pub use stream::{REPORTS_UNANSWERED_MAX, WorkStream};
pub use thread::QueueThread;
pub use watch::{Watch, WatchEvent};
