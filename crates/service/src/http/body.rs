//! JSON bodies: of the right type, of a bounded size, and understood as a whole.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use proto::{ApiError, ErrorKind};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Reads a JSON body: 413 when too large, 415 when not JSON, 400 when no JSON document, 422 when
/// one that says something else than it should.
///
/// # Errors
/// The problem to answer with.
pub fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Problem> {
    json_of(&json_bytes(headers, body)?)
}

/// Reads a JSON document from bytes that are said to hold one.
///
/// # Errors
/// The problem to answer with.
pub fn json_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("the body is not what this route takes: {error}");
        if error.is_data() {
            let code = ErrorKind::InvalidArgument.as_str();
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
        } else {
            Problem::invalid(detail)
        }
    })
}

/// A body that says it is JSON and is not too large. A page in a browser cannot send one to another
/// origin unasked.
///
/// # Errors
/// The problem to answer with.
pub fn json_bytes(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Bytes, Problem> {
    let body = body.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::new(ErrorKind::TooLarge, "the body is larger than this route takes").into()
        } else {
            Problem::invalid(format!("the body cannot be read: {}", error.body_text()))
        }
    })?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(is_json) {
        let detail = "the body must be JSON: send `content-type: application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    Ok(body)
}

/// Whether a `content-type` is JSON's, or that of a format on top of it.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence.to_ascii_lowercase().ends_with("+json"))
}
