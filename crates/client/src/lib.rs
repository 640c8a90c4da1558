//! The controller's client: every call with plain types, deadlines, and errors that say what was
//! asked, of whom, what came back and what to do.
//!
//! The connection opens with the first call and opens again after it broke. Calls that may be
//! repeated without harm are repeated a few times within their deadline; a node's own calls are
//! not, because the node has a rhythm of its own. The caller's trace context goes with every call.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::ClientError> {
//! use client::{Client, ClientConfig};
//! use proto::rpc::Submit;
//! use types::{JobSpec, MediaRef};
//!
//! let controller = Client::new(&ClientConfig::new("http://127.0.0.1:50051"))?;
//! let spec = JobSpec::pair(MediaRef::new("/clips/a.y4m"), MediaRef::new("/clips/b.mp4"));
//! let submitted = controller.submit(Submit { spec, idempotency_key: None }).await?;
//! println!("{}", controller.job(submitted.job).await?.state);
//! # Ok(())
//! # }
//! ```

mod backoff;
mod client;
mod config;
mod error;
mod stream;
mod transport;

pub use backoff::Backoff;
pub use client::Client;
pub use config::{ADDRESS_DEFAULT, ClientConfig, Token};
pub use error::ClientError;
pub use stream::{Answers, FrameChunks, Item, JobEvents, ReportRoom, Reporter, WorkStream};
