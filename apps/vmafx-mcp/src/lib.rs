//! The platform as tools for AI agents, over the Model Context Protocol.
//!
//! [`HttpServer`] and [`StdioServer`] serve the same [`Server`]: twelve tools at most, resources,
//! prompts and completions, in both generations of the protocol (2026-07-28 and 2025-11-25).
//!
//! - With a controller configured, jobs go through its queue and outlive this process; without one
//!   the engine runs inside, behind the same handles (`jobs`).
//! - Tools that look at videos (`probe_media`, `check_pair`, `worst_frames`) decode here, under the
//!   same source rules as a node.
//! - [`Followed`] puts every request into the trace that the agent sends in `_meta`, so that a call,
//!   its job and its score are one trace.
//!
//! Invariants: a tool's failure is a result that says what to do, never an error of the protocol;
//! per-frame values are never inlined; every wait is bounded and ends when its call is cancelled; jobs,
//! decodes, sessions and the size of every answer have named bounds.

mod analysis;
mod claim;
mod clock;
mod config;
mod error;
mod follow;
pub mod http;
mod jobs;
mod platform;
mod progress;
mod server;
mod start;
mod tools;
mod tunes;

pub use config::{
    Args, Config, ConfigError, EXIT_CODES, LISTEN_DEFAULT, SLOTS_MAX, SOURCE_ROOTS_MAX,
    THREADS_MAX, TransportKind,
};
pub use error::ToolError;
pub use follow::{Followed, Transport};
pub use platform::{DECODE_TIME_MAX, DECODES_MAX, Platform, WORK_END_MAX};
pub use progress::PROGRESS_INTERVAL;
pub use server::Server;
pub use start::{HttpServer, StartError, StdioServer, platform};
