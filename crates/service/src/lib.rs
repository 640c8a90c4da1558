//! How a program of ours serves: how it starts, listens, knows its callers, tells errors, and stops.
//!
//! What every service has in common stands here once, so that an operator who knows one knows all:
//!
//! - [`settings`] reads addresses and durations as flags and variables give them;
//! - [`listen`] binds, and refuses an address beyond loopback that anybody could call;
//! - [`Tokens`] says who may call; [`ForceBudget`] what callers who are not known may force;
//! - [`http`] is the common part of every HTTP face: problem documents, parameters and bodies of
//!   which nothing is ignored, probes, metrics, sampling, one log line a request;
//! - [`grpc`] is the common part of every gRPC face: bounds, health, reflection, the [door](grpc::DoorLayer);
//! - [`Faces`] are the listeners that run, and how they end;
//! - [`program`] is what `main` does: signals, exit codes, the flush of telemetry.
//!
//! It knows no job, no queue and no score.

mod faces;
mod force;
pub mod grpc;
pub mod http;
mod listen;
pub mod program;
pub mod settings;
mod tokens;

pub use faces::Faces;
pub use force::{FORCED_BURST, FORCED_PER_MINUTE, ForceBudget};
pub use listen::{ListenError, Open, bind};
pub use tokens::{TOKEN_BYTES_MIN, TOKEN_FILE_BYTES_MAX, TokenError, Tokens};
