//! Errors as HTTP callers see them: problem documents of RFC 9457, whatever went wrong.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proto::{ApiError, ErrorKind};
use serde::Serialize;

/// An error on its way to an HTTP caller.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// What callers branch on, in the words of the gRPC face.
    code: &'static str,
    detail: String,
    violations: Vec<Violation>,
    retry_after_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Violation {
    field: String,
    problem: String,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    violations: &'a [Violation],
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<types::TraceId>,
}

/// A field of a request that cannot be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Problem {
    /// A problem with what callers branch on and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let violations = Vec::new();
        Self { status, code, detail, violations, retry_after_seconds: None }
    }

    /// A parameter of the request that cannot be read.
    pub fn invalid(detail: impl Into<String>) -> Self {
        ApiError::new(ErrorKind::InvalidArgument, detail).into()
    }

    /// Nothing is served at the path.
    #[must_use]
    pub fn no_such_route(path: &str) -> Self {
        let path: String = path.chars().take(128).collect();
        let detail = format!("nothing is served at {path:?}; /openapi.json says what is");
        Self::new(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", detail)
    }

    /// The route has other methods.
    #[must_use]
    pub fn method_not_allowed(method: &str) -> Self {
        let method: String = method.chars().take(32).collect();
        let detail = format!("{method} is not a method of this route; the allow header names them");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let status = StatusCode::from_u16(error.kind.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let violation = |v: proto::Violation| Violation { field: v.field, problem: v.problem };
        Self {
            violations: error.violations.into_iter().map(violation).collect(),
            retry_after_seconds: error.retry_after.map(|wait| wait.as_secs_f64().ceil() as u64),
            ..Self::new(status, error.kind.as_str(), error.message)
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let detail = error.problem.clone();
        let violation = Violation { field: error.field, problem: error.problem };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let problem = Self::new(status, ErrorKind::InvalidArgument.as_str(), detail);
        Self { violations: vec![violation], ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            kind: format!("urn:vmafx:error:{}", self.code.to_ascii_lowercase().replace('_', "-")),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            violations: &self.violations,
            trace_id: observability::current_trace().map(|trace| trace.trace_id),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
