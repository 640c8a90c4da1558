//! The controller: queue, scheduler and node registry behind gRPC and HTTP.
//!
//! [`Controller::start`] opens the queue and serves both faces; [`ControllerHandle::shutdown`] ends
//! them in good order. Decisions are made in `control`, kept in `store`, moved by [`queue`]; the
//! faces only translate, and [`telemetry`](self) turns what the queue tells into spans and metrics.

mod app;
mod config;
mod controller;
mod error;
mod grpc;
mod http;
pub mod json;
pub mod queue;
mod telemetry;
mod trace_export;

pub use config::{Args, Config, ConfigError, EXIT_CODES, default_db_path};
pub use controller::{Controller, ControllerHandle};
pub use error::StartError;
pub use trace_export::{TRACES_DUE_MAX, TraceRules};
