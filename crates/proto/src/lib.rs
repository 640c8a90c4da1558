//! The wire: generated messages and services, conversions to and from [`types`], and the one
//! mapping from failures to gRPC statuses.
//!
//! What arrives is checked in the conversion: a value that exists in `types` is valid. To the
//! wire is `From`, from the wire is `TryFrom` with a [`WireError`] that names the field and turns
//! into an `INVALID_ARGUMENT` status.

mod convert;
mod error;
pub mod limits;
pub mod rpc;

pub use convert::{FrameTableBuilder, frame_chunks, report_request};
pub use error::{ApiError, DOMAIN, ErrorKind, Violation, WireError};
pub use limits::MESSAGE_BYTES_MAX;

/// The job queue's wire, as generated from `controller.proto`.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    reason = "generated; the .proto file holds the documentation"
)]
pub mod controller {
    tonic::include_proto!("vmafx.controller.v1");
}

/// The compiled descriptors of every service here, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
