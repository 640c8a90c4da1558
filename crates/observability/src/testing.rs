//! A collector for tests: it takes OTLP over HTTP and gRPC on loopback and remembers it.
//!
//! It runs on a thread of its own, so that it works beside any runtime and in tests without one.
//! It can be told to misbehave. [`check_tree`] says whether spans form one whole trace.

mod receiver;
mod spans;

pub use receiver::{Behaviour, OtlpReceiver, WaitError};
pub use spans::{ReceivedLink, ReceivedSpan, TreeError, check_tree, render_tree};
