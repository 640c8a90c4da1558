//! A collector for tests: it takes OTLP over HTTP and gRPC on loopback and remembers it.
//!
//! It runs on a thread of its own, so that it works beside any runtime and in tests without one.
//! It can be told to misbehave. [`TlsFront`] puts TLS in front of it. [`check_tree`] says whether
//! spans form one whole trace, [`check_program`] whether a program keeps what the guide promises, [`Emitted`] whether all that came is declared, and
//! [`promtool_check`] what Prometheus thinks of a page.

pub use crate::export::encoded_spans;

mod conformance;
mod logs;
mod program;
mod promtool;
mod receiver;
mod spans;
mod tls;

pub use conformance::Emitted;
pub use logs::ReceivedLog;
pub use program::{End, Subject, check_program};
pub use promtool::promtool_check;
pub use receiver::{Behaviour, OtlpReceiver, ReceivedMetrics, WaitError};
pub use spans::{ReceivedEvent, ReceivedLink, ReceivedSpan, TreeError, check_tree, render_tree};
pub use tls::{Clients, TestPki, TlsFront};
