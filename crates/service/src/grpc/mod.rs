//! The common part of every gRPC face.

mod door;

use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

pub use door::{Door, DoorLayer};

/// Streams that one connection may have open.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1_024;
/// Bytes of a request's headers.
pub const HEADER_BYTES_MAX: u32 = 32 << 10;
/// Bytes in flight towards the service over one stream: reports and pictures are large.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes in flight towards the service over all streams of a connection: as much as all of them may
/// have. With less, streams whose bodies nobody reads yet, such as those that wait for a slot, would
/// use it up, and those that are read could not go on. It is credit and takes no memory; how many
/// bodies may wait unread is for each service to bound.
pub const CONNECTION_WINDOW_BYTES: u32 = STREAMS_PER_CONNECTION_MAX * STREAM_WINDOW_BYTES;
// What HTTP/2 can say.
const _: () = assert!(CONNECTION_WINDOW_BYTES <= i32::MAX as u32);

/// A server within these bounds, which notices a peer that is gone. Connections may grow as old
/// as they like: a stream may live for hours.
#[must_use]
pub fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(proto::limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(proto::limits::KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
}

/// The standard health service, told by `reporter`.
#[must_use]
pub fn health(reporter: &HealthReporter) -> HealthServer<HealthService> {
    HealthServer::new(HealthService::from_health_reporter(reporter.clone()))
}

/// The standard reflection service: shows the named service and the standard ones beside it, of all
/// that [`proto`] describes.
///
/// # Errors
/// When the descriptors cannot be read, which is a defect of ours.
pub fn reflection(service: &str) -> Result<ServerReflectionServer<impl ServerReflection>, String> {
    tonic_reflection::server::Builder::configure()
        .with_service_name(service)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| error.to_string())
}

/// How long the caller of a request waits, where it says so.
#[must_use]
pub fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse_timeout)
}

/// Reads a `grpc-timeout`: up to eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3_600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_patience_is_read_and_nonsense_is_none() {
        let mut metadata = MetadataMap::new();
        assert_eq!(timeout(&metadata), None);
        for (text, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("50m", Some(Duration::from_millis(50))),
            ("2000000u", Some(Duration::from_secs(2))),
            ("123456789S", None),
            ("S", None),
            ("5x", None),
        ] {
            metadata.insert("grpc-timeout", text.parse().expect("ascii"));
            assert_eq!(timeout(&metadata), expected, "{text}");
        }
    }
}
