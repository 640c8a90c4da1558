//! Where the controller is, and how long to wait for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use observability::Telemetry;
use tonic::metadata::AsciiMetadataValue;

use crate::error::ClientError;

/// The address where nothing is said.
pub const ADDRESS_DEFAULT: &str = "http://127.0.0.1:50051";

/// How a [`Client`](crate::Client) reaches its controller.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `http://host:port`, or `host:port`.
    pub address: String,
    /// Sent as `authorization: Bearer`, where the controller asks for one.
    pub token: Option<Token>,
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

/// What a caller presents to a controller that asks for it. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(AsciiMetadataValue);

impl Token {
    /// The value of the `authorization` header.
    pub(crate) fn authorization(&self) -> AsciiMetadataValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl FromStr for Token {
    type Err = ClientError;

    /// Takes printable ASCII without white space.
    fn from_str(token: &str) -> Result<Self, ClientError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientError::BadToken);
        }
        let mut value: AsciiMetadataValue =
            format!("Bearer {token}").parse().map_err(|_| ClientError::BadToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed_and_one_that_would_break_the_header_is_refused() {
        let config = ClientConfig { token: "abc-123".parse().ok(), ..ClientConfig::new("a:1") };
        assert!(config.token.is_some());
        assert!(!format!("{config:?}").contains("abc"), "{config:?}");
        for bad in ["", "a b", "a\nb", "ü"] {
            assert_eq!(bad.parse::<Token>(), Err(ClientError::BadToken), "{bad:?}");
        }
    }
}
