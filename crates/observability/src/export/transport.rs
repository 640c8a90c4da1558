//! One message to one collector: HTTP with protobuf or JSON, or gRPC; retried where that can help.
//!
//! Runs on the exporting thread's runtime only. The caller bounds the time of [`Transport::send`].

use std::io::Write as _;
use std::marker::PhantomData;
use std::time::SystemTime;

use bytes::{BufMut as _, Bytes};
use flate2::Compression as GzipLevel;
use flate2::write::GzEncoder;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::codec::{Codec, CompressionEncoding, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Extensions, Status};
use tonic_prost::ProstDecoder;

use super::encode::Item;
use super::retry::{Retry, SendError};
use super::{tls, wire_json};
use crate::config::{Compression, OtlpConfig, Protocol};
use crate::ids::random_fraction;
use crate::logs::with_causes;

/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// A message that a collector takes, and what its answer says.
pub(super) trait OtlpMessage: Message + Serialize + Clone + Default + 'static {
    /// The answer.
    type Answer: Message + DeserializeOwned + Default + 'static;
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

impl OtlpMessage for ExportLogsServiceRequest {
    type Answer = ExportLogsServiceResponse;
    const GRPC_PATH: &'static str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

    fn rejected(answer: Self::Answer) -> Option<(u64, String)> {
        let partial = answer.partial_success?;
        Some((u64::try_from(partial.rejected_log_records).unwrap_or(0), partial.error_message))
    }
}

/// The way to one collector.
pub(super) enum Transport {
    Http(Box<HttpTransport>),
    Grpc(Box<GrpcTransport>),
}

pub(super) struct HttpTransport {
    client: HttpClient,
    endpoint: Uri,
    headers: HeaderMap,
    compression: Compression,
    encoding: Encoding,
}

enum HttpClient {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

pub(super) struct GrpcTransport {
    client: tonic::client::Grpc<Channel>,
    metadata: MetadataMap,
}

impl Transport {
    /// Opens nothing yet; the first message connects. Encrypts with `tls`, where there is one.
    pub(super) fn new(config: &OtlpConfig, tls: Option<ClientConfig>) -> Self {
        match config.protocol {
            Protocol::HttpProtobuf => Self::http(config, tls, Encoding::Protobuf),
            Protocol::HttpJson => Self::http(config, tls, Encoding::Json),
            Protocol::Grpc => Self::grpc(config, tls),
        }
    }

    fn http(config: &OtlpConfig, tls: Option<ClientConfig>, encoding: Encoding) -> Self {
        let builder = Client::builder(TokioExecutor::new());
        let client = match tls {
            None => HttpClient::Plain(builder.build_http()),
            Some(tls) => HttpClient::Tls(builder.build(tls::http1_connector(tls))),
        };
        Self::Http(Box::new(HttpTransport {
            client,
            endpoint: config.endpoint.clone(),
            headers: config.headers.clone(),
            compression: config.compression,
            encoding,
        }))
    }

    fn grpc(config: &OtlpConfig, tls: Option<ClientConfig>) -> Self {
        let channel = match tls {
            None => Endpoint::from(config.endpoint.clone()).connect_lazy(),
            Some(tls) => Endpoint::from(tls::with_scheme(&config.endpoint, Scheme::HTTP))
                .origin(config.endpoint.clone())
                .connect_with_connector_lazy(tls::http2_connector(tls)),
        };
        let mut client =
            tonic::client::Grpc::new(channel).accept_compressed(CompressionEncoding::Gzip);
        if config.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let metadata = MetadataMap::from_headers(config.headers.clone());
        Self::Grpc(Box::new(GrpcTransport { client, metadata }))
    }

    /// Sends a message until it is taken, refused for good, or tried often enough. Says what the
    /// collector refused of it.
    pub(super) async fn send<T: Item>(
        &mut self,
        resource: &Resource,
        items: Vec<T>,
    ) -> Result<Option<(u64, String)>, SendError> {
        // Written once, however often it is sent.
        let body = match self {
            Self::Http(http) => http.body(resource, items)?,
            Self::Grpc(_) => Bytes::from(T::protobuf(resource, items)),
        };
        self.send_body::<T::Message>(&body).await
    }

    async fn send_body<M: OtlpMessage>(
        &mut self,
        body: &Bytes,
    ) -> Result<Option<(u64, String)>, SendError> {
        let mut attempt = 1;
        loop {
            let sent = match self {
                Self::Http(http) => http.send_once::<M>(body.clone()).await,
                Self::Grpc(grpc) => grpc.send_once::<M>(body.clone()).await,
            };
            let error = match sent {
                Ok(answer) => return Ok(M::rejected(answer)),
                Err(error) => error,
            };
            let Some(pause) = error.retry.pause(attempt, random_fraction()) else {
                return Err(error);
            };
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }
}

impl HttpTransport {
    async fn send_once<M: OtlpMessage>(&self, body: Bytes) -> Result<M::Answer, SendError> {
        let request = self.request(body);
        // Not reached or broken off: the collector may be restarting.
        let sent = match &self.client {
            HttpClient::Plain(client) => client.request(request),
            HttpClient::Tls(client) => client.request(request),
        };
        let response =
            sent.await.map_err(|error| SendError::new(with_causes(&error), Retry::Soon))?;
        let status = response.status();
        if !status.is_success() {
            let retry = Retry::of_http(status, response.headers(), SystemTime::now());
            return Err(SendError::new(format!("HTTP status {status}"), retry));
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        // The status says that it was taken; an answer that cannot be read changes nothing.
        let answer = body.ok().and_then(|body| match self.encoding {
            Encoding::Protobuf => M::Answer::decode(body.to_bytes()).ok(),
            Encoding::Json => serde_json::from_slice(&body.to_bytes()).ok(),
        });
        Ok(answer.unwrap_or_default())
    }

    /// What is sent of `items`: encoded, and compressed if that is configured.
    fn body<T: Item>(&self, resource: &Resource, items: Vec<T>) -> Result<Bytes, SendError> {
        let failed =
            |error: &dyn std::error::Error| SendError::new(error.to_string(), Retry::Never);
        let encoded = match self.encoding {
            Encoding::Protobuf => T::protobuf(resource, items),
            Encoding::Json => {
                wire_json::encode(&T::message(resource, items)).map_err(|error| failed(&error))?
            }
        };
        Ok(Bytes::from(match self.compression {
            Compression::None => encoded,
            Compression::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), GzipLevel::fast());
                gzip.write_all(&encoded)
                    .and_then(|()| gzip.finish())
                    .map_err(|error| failed(&error))?
            }
        }))
    }

    fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        let content_type = HeaderValue::from_static(self.encoding.content_type());
        headers.insert(header::CONTENT_TYPE, content_type);
        let agent = concat!("vmafx-observability/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        if self.compression == Compression::Gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        request
    }
}

/// Sends what is encoded already.
#[derive(Debug, Clone, Copy)]
struct Encoded<A>(PhantomData<fn() -> A>);

impl<A: Message + Default + 'static> Codec for Encoded<A> {
    type Encode = Bytes;
    type Decode = A;
    type Encoder = Self;
    type Decoder = ProstDecoder<A>;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> ProstDecoder<A> {
        ProstDecoder::default()
    }
}

impl<A> Encoder for Encoded<A> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl GrpcTransport {
    async fn send_once<M: OtlpMessage>(&mut self, body: Bytes) -> Result<M::Answer, SendError> {
        self.client
            .ready()
            .await
            .map_err(|error| SendError::new(with_causes(&error), Retry::Soon))?;
        let request =
            tonic::Request::from_parts(self.metadata.clone(), Extensions::default(), body);
        let codec = Encoded::<M::Answer>(PhantomData);
        let path = PathAndQuery::from_static(M::GRPC_PATH);
        match self.client.unary(request, path, codec).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => {
                let mut reason = format!("gRPC status {:?}: {}", status.code(), status.message());
                if let Some(source) = std::error::Error::source(&status) {
                    reason = format!("{reason}: {}", with_causes(source));
                }
                let retry = Retry::of_grpc(&status);
                Err(SendError::new(reason, retry))
            }
        }
    }
}
