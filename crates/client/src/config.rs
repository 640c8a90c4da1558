//! Where the controller is, and how long to wait for it.

use std::time::Duration;

use observability::Telemetry;

/// The address where nothing is said.
pub const ADDRESS_DEFAULT: &str = "http://127.0.0.1:50051";

/// How a [`Client`](crate::Client) reaches its controller.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `http://host:port`, or `host:port`.
    pub address: String,
    /// Sent as `authorization: Bearer`, where the controller asks for one.
    pub token: Option<String>,
    /// Bounds one attempt at a connection.
    pub connect_timeout: Duration,
    /// Bounds one call, its retries included, unless the call says otherwise.
    pub call_timeout: Duration,
    /// Carries the caller's trace, makes the spans of calls and measures them.
    pub telemetry: Telemetry,
}

impl ClientConfig {
    /// The defaults for an address.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            token: None,
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(10),
            telemetry: Telemetry::disabled(),
        }
    }
}
