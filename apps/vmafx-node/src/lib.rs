//! The node: pulls work from the controller, decodes, scores, reports.
//!
//! [`Node::start`] registers with the controller and runs as many attempts at once as it has
//! slots; [`NodeHandle::drain`] ends it in good order.
//!
//! Invariants: a sign of life never waits for a computation; a result is on disk before it is sent
//! and stays there until it is answered; a lost connection costs no work; a lease that may have run
//! out is not begun; everything in hand is named in every sign of life, from its lease to the
//! answer to its report.

mod attempt;
mod clock;
mod config;
mod deliver;
mod digest;
mod hands;
mod http;
mod lane;
mod meter;
mod node;
mod scratch;
mod session;
mod shared;
mod spans;
mod spool;
mod worker;

pub use config::{
    ATTEMPT_TIMEOUT_DEFAULT, Args, Config, ConfigError, DRAIN_GRACE_DEFAULT, EXIT_CODES,
    LISTEN_DEFAULT, SCRATCH_BYTES_MAX_DEFAULT, SPOOL_BYTES_MAX_DEFAULT, SpoolConfig, WAIT_MAX,
};
pub use digest::outcome_digest;
pub use node::{LAST_ANSWERS_WAIT, Node, NodeHandle, StartError};
pub use spool::SpoolError;
pub use worker::{Assignment, Done, PartProgress, Worked, Worker};
