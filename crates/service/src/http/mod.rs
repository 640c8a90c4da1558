//! The common part of every HTTP face.
//!
//! Every error is a problem document of RFC 9457. What is not known, be it a field, a parameter
//! or a route, is refused, never ignored.

mod body;
mod common;
mod ops;
mod problem;
mod query;
mod sampling;
pub mod shapes;

pub use body::{is_json, json, json_bytes, json_of};
pub use common::{ANSWER_WAIT_MAX, BODY_BYTES_MAX, Common};
pub use ops::{Ops, PATHS as OPS_PATHS};
pub use problem::{FieldError, Problem};
pub use query::Parameters;
