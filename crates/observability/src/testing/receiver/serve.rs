//! The servers that take OTLP over HTTP and gRPC.

use std::io::Read as _;
use std::net::TcpListener;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Refusal, Shared};

/// The largest message that is taken.
const MESSAGE_BYTES_MAX: usize = 64 * 1_024 * 1_024;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

pub(super) async fn serve(
    http: TcpListener,
    grpc: TcpListener,
    shared: Shared,
) -> Result<(), Box<dyn std::error::Error>> {
    let router = Router::new()
        .route("/v1/traces", post(http_traces))
        .route("/v1/metrics", post(http_metrics))
        .route("/v1/logs", post(http_logs))
        .layer(DefaultBodyLimit::max(MESSAGE_BYTES_MAX))
        .with_state(shared.clone());
    let http = axum::serve(tokio::net::TcpListener::from_std(http)?, router);
    let traces = TraceServiceServer::new(shared.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let metrics = MetricsServiceServer::new(shared.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let logs = LogsServiceServer::new(shared)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let grpc = tonic::transport::Server::builder()
        .add_service(traces)
        .add_service(metrics)
        .add_service(logs)
        .serve_with_incoming(TcpListenerStream::new(tokio::net::TcpListener::from_std(grpc)?));
    tokio::select! {
        result = http => result?,
        result = grpc => result?,
    }
    Ok(())
}

fn traces_answer(rejected_spans: i64) -> ExportTraceServiceResponse {
    let partial = ExportTracePartialSuccess { rejected_spans, error_message: why() };
    ExportTraceServiceResponse { partial_success: (rejected_spans != 0).then_some(partial) }
}

fn metrics_answer(rejected_data_points: i64) -> ExportMetricsServiceResponse {
    let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message: why() };
    ExportMetricsServiceResponse { partial_success: (rejected_data_points != 0).then_some(partial) }
}

fn logs_answer(rejected_log_records: i64) -> ExportLogsServiceResponse {
    let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: why() };
    ExportLogsServiceResponse { partial_success: (rejected_log_records != 0).then_some(partial) }
}

fn why() -> String {
    "told to".to_owned()
}

async fn http_traces(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let take = |request| shared.traces(request);
    http_message(&shared, headers, &body, take, traces_answer).await
}

async fn http_metrics(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let take = |request: ExportMetricsServiceRequest| shared.metrics(request);
    http_message(&shared, headers, &body, take, metrics_answer).await
}

async fn http_logs(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let take = |request: ExportLogsServiceRequest| shared.logs(request);
    http_message(&shared, headers, &body, take, logs_answer).await
}

async fn http_message<M, A>(
    shared: &Shared,
    headers: HeaderMap,
    body: &Bytes,
    take: impl FnOnce(M),
    answer: impl FnOnce(i64) -> A,
) -> Response
where
    M: Message + Default + DeserializeOwned,
    A: Message + Serialize,
{
    let kind = headers.get(header::CONTENT_TYPE).cloned();
    let is_json = kind.as_ref().is_some_and(|kind| kind == JSON);
    if !is_json && kind.is_none_or(|kind| kind != PROTOBUF) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Some(plain) = plain(&headers, body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let message = match is_json {
        true => serde_json::from_slice(&plain).ok(),
        false => M::decode(&plain[..]).ok(),
    };
    let Some(message) = message else { return StatusCode::BAD_REQUEST.into_response() };
    let rejected = match shared.admit(headers).await {
        Ok(rejected) => rejected,
        Err(refusal) => return refusal.http(),
    };
    take(message);
    let answer = answer(rejected);
    if is_json {
        let text = serde_json::to_vec(&answer).expect("an answer is plain data");
        ([(header::CONTENT_TYPE, JSON)], text).into_response()
    } else {
        ([(header::CONTENT_TYPE, PROTOBUF)], answer.encode_to_vec()).into_response()
    }
}

fn plain(headers: &HeaderMap, body: &Bytes) -> Option<Vec<u8>> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Some(body.to_vec());
    }
    let mut plain = Vec::new();
    let mut decoder = GzDecoder::new(&body[..]).take(MESSAGE_BYTES_MAX as u64);
    decoder.read_to_end(&mut plain).ok()?;
    Some(plain)
}

impl Refusal {
    fn http(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        response
    }

    fn grpc(self) -> Status {
        let text = format!("told to answer {}", self.status);
        match (self.status, self.retry_after) {
            (_, Some(after)) => {
                let details = ErrorDetails::with_retry_info(Some(after));
                Status::with_error_details(tonic::Code::Unavailable, text, details)
            }
            (429 | 502 | 503 | 504, None) => Status::unavailable(text),
            _ => Status::invalid_argument(text),
        }
    }
}

impl Shared {
    async fn admit_grpc<M>(&self, request: Request<M>) -> Result<(M, i64), Status> {
        let (metadata, _, message) = request.into_parts();
        let rejected = self.admit(metadata.into_headers()).await.map_err(Refusal::grpc)?;
        Ok((message, rejected))
    }
}

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (message, rejected) = self.admit_grpc(request).await?;
        self.traces(message);
        Ok(tonic::Response::new(traces_answer(rejected)))
    }
}

#[tonic::async_trait]
impl MetricsService for Shared {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let (message, rejected) = self.admit_grpc(request).await?;
        self.metrics(message);
        Ok(tonic::Response::new(metrics_answer(rejected)))
    }
}

#[tonic::async_trait]
impl LogsService for Shared {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let (message, rejected) = self.admit_grpc(request).await?;
        self.logs(message);
        Ok(tonic::Response::new(logs_answer(rejected)))
    }
}
