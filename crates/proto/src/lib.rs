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
pub mod score;

pub use convert::{FrameTableBuilder, frame_chunks, report_request};
pub use error::{ApiError, DOMAIN, ErrorKind, Violation, WireError};
pub use limits::MESSAGE_BYTES_MAX;

/// What is generated, in modules named as the packages are: one package's code refers to the
/// other's so.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    reason = "generated; the .proto files hold the documentation"
)]
mod vmafx {
    pub mod controller {
        pub mod v1 {
            tonic::include_proto!("vmafx.controller.v1");
        }
    }
    pub mod v1 {
        tonic::include_proto!("vmafx.v1");
    }
}

/// The job queue's wire, as generated from `controller.proto`.
pub use vmafx::controller::v1 as controller;
/// Direct scoring's wire, as generated from `scoring.proto`.
pub use vmafx::v1 as scoring;

/// The name of the job queue's service, for health and reflection.
pub const CONTROLLER_SERVICE: &str = "vmafx.controller.v1.VmafxController";
/// The name of direct scoring's service, for health and reflection.
pub const SCORING_SERVICE: &str = "vmafx.v1.VmafxScoring";

/// The compiled descriptors of every service here, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
