//! One message to one collector: HTTP with protobuf, or gRPC; retried where that can help.
//!
//! Runs on the exporting thread's runtime only. The caller bounds the time of [`Transport::send`],
//! which retries refusals that may pass, with growing pauses, at most [`ATTEMPTS_MAX`] times.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression as GzipLevel;
use flate2::write::GzEncoder;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Extensions};

use crate::config::{Compression, OtlpConfig, Protocol};
use crate::ids::random_fraction;

/// How often a message is tried.
const ATTEMPTS_MAX: u32 = 5;
/// The pause after the first refusal; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause of our own accord.
const PAUSE_MAX: Duration = Duration::from_millis(1_600);
/// The longest pause a collector can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// A message that a collector takes, and what its answer says.
pub(super) trait OtlpMessage: Message + Clone + Default + 'static {
    /// The answer.
    type Answer: Message + Default + 'static;
    /// The method that takes it over gRPC.
    const GRPC_PATH: &'static str;

    /// How many items the collector refused of a message it took, and why.
    fn rejected(answer: Self::Answer) -> Option<(u64, String)>;
}

impl OtlpMessage for ExportTraceServiceRequest {
    type Answer = ExportTraceServiceResponse;
    const GRPC_PATH: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

    fn rejected(answer: Self::Answer) -> Option<(u64, String)> {
        let partial = answer.partial_success?;
        Some((u64::try_from(partial.rejected_spans).unwrap_or(0), partial.error_message))
    }
}

impl OtlpMessage for ExportMetricsServiceRequest {
    type Answer = ExportMetricsServiceResponse;
    const GRPC_PATH: &'static str =
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

    fn rejected(answer: Self::Answer) -> Option<(u64, String)> {
        let partial = answer.partial_success?;
        Some((u64::try_from(partial.rejected_data_points).unwrap_or(0), partial.error_message))
    }
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) struct SendError {
    reason: String,
    retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Never,
    Soon,
    After(Duration),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl SendError {
    fn new(reason: impl Into<String>, retry: Retry) -> Self {
        Self { reason: reason.into(), retry }
    }
}

/// The way to one collector.
pub(super) enum Transport {
    Http(Box<HttpTransport>),
    Grpc(Box<GrpcTransport>),
}

pub(super) struct HttpTransport {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: Uri,
    headers: HeaderMap,
    compression: Compression,
}

pub(super) struct GrpcTransport {
    client: tonic::client::Grpc<Channel>,
    metadata: MetadataMap,
}

impl Transport {
    /// Opens nothing yet; the first message connects.
    pub(super) fn new(config: &OtlpConfig) -> Self {
        match config.protocol {
            Protocol::HttpProtobuf => Self::Http(Box::new(HttpTransport {
                client: Client::builder(TokioExecutor::new()).build_http(),
                endpoint: config.endpoint.clone(),
                headers: config.headers.clone(),
                compression: config.compression,
            })),
            Protocol::Grpc => {
                let channel = Endpoint::from(config.endpoint.clone()).connect_lazy();
                let mut client =
                    tonic::client::Grpc::new(channel).accept_compressed(CompressionEncoding::Gzip);
                if config.compression == Compression::Gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let metadata = MetadataMap::from_headers(config.headers.clone());
                Self::Grpc(Box::new(GrpcTransport { client, metadata }))
            }
        }
    }

    /// Sends a message until it is taken, refused for good, or tried often enough. Says what the
    /// collector refused of it.
    pub(super) async fn send<M: OtlpMessage>(
        &mut self,
        message: &M,
    ) -> Result<Option<(u64, String)>, SendError> {
        let mut attempt = 1;
        loop {
            let sent = match self {
                Self::Http(http) => http.send_once(message).await,
                Self::Grpc(grpc) => grpc.send_once(message).await,
            };
            let error = match sent {
                Ok(answer) => return Ok(M::rejected(answer)),
                Err(error) => error,
            };
            let pause = match error.retry {
                Retry::Never => return Err(error),
                Retry::Soon => (PAUSE_FIRST * 2_u32.pow(attempt - 1)).min(PAUSE_MAX),
                Retry::After(pause) => pause.min(RETRY_AFTER_MAX),
            };
            if attempt == ATTEMPTS_MAX {
                return Err(error);
            }
            attempt += 1;
            // Jitter, so that a restarted collector is not met by all processes at once.
            tokio::time::sleep(pause.mul_f64(0.75 + random_fraction() / 2.0)).await;
        }
    }
}

impl HttpTransport {
    async fn send_once<M: OtlpMessage>(&self, message: &M) -> Result<M::Answer, SendError> {
        let request = self.request(message)?;
        // Not reached or broken off: the collector may be restarting.
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| SendError::new(with_sources(&error), Retry::Soon))?;
        let status = response.status();
        if !status.is_success() {
            let retry = retry_of_status(status, response.headers());
            return Err(SendError::new(format!("HTTP status {status}"), retry));
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        // The status says that it was taken; an answer that cannot be read changes nothing.
        let answer = body.ok().and_then(|body| M::Answer::decode(body.to_bytes()).ok());
        Ok(answer.unwrap_or_default())
    }

    fn request<M: OtlpMessage>(&self, message: &M) -> Result<Request<Full<Bytes>>, SendError> {
        let encoded = message.encode_to_vec();
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let agent = concat!("vmafx-observability/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        let body = match self.compression {
            Compression::None => encoded,
            Compression::Gzip => {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                let mut gzip = GzEncoder::new(Vec::new(), GzipLevel::fast());
                gzip.write_all(&encoded)
                    .and_then(|()| gzip.finish())
                    .map_err(|error| SendError::new(error.to_string(), Retry::Never))?
            }
        };
        *request.body_mut() = Full::new(Bytes::from(body));
        Ok(request)
    }
}

fn retry_of_status(status: StatusCode, headers: &HeaderMap) -> Retry {
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            match after.and_then(|seconds| seconds.trim().parse().ok()) {
                Some(seconds) => Retry::After(Duration::from_secs(seconds)),
                None => Retry::Soon,
            }
        }
        _ => Retry::Never,
    }
}

impl GrpcTransport {
    async fn send_once<M: OtlpMessage>(&mut self, message: &M) -> Result<M::Answer, SendError> {
        self.client
            .ready()
            .await
            .map_err(|error| SendError::new(with_sources(&error), Retry::Soon))?;
        let request = tonic::Request::from_parts(
            self.metadata.clone(),
            Extensions::default(),
            message.clone(),
        );
        let codec = tonic_prost::ProstCodec::<M, M::Answer>::default();
        let path = PathAndQuery::from_static(M::GRPC_PATH);
        match self.client.unary(request, path, codec).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => {
                let retry = match status.code() {
                    Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Aborted
                    | Code::OutOfRange
                    | Code::Unavailable
                    | Code::DataLoss => Retry::Soon,
                    _ => Retry::Never,
                };
                let reason = format!("gRPC status {:?}: {}", status.code(), status.message());
                Err(SendError::new(reason, retry))
            }
        }
    }
}

/// An error with its causes on one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_that_may_pass_are_retried() {
        let mut asked = HeaderMap::new();
        asked.insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
        let none = HeaderMap::new();
        for (status, headers, retry) in [
            (503, &none, Retry::Soon),
            (503, &asked, Retry::After(Duration::from_secs(7))),
            (429, &none, Retry::Soon),
            (502, &none, Retry::Soon),
            (504, &none, Retry::Soon),
            (500, &none, Retry::Never),
            (400, &asked, Retry::Never),
            (404, &none, Retry::Never),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(retry_of_status(status, headers), retry, "{status}");
        }
    }
}
