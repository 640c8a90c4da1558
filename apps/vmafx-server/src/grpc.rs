//! The gRPC face: `vmafx.v1.VmafxScoring`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use observability::layers::{GrpcMethods, Visibility};
use proto::limits::{MESSAGE_BYTES_MAX, SCORING_MESSAGE_BYTES_MAX};
use proto::score::Score;
use proto::scoring as pb;
use proto::scoring::vmafx_scoring_server::{VmafxScoring, VmafxScoringServer};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};

use crate::direct::{Direct, FRAME_VALUES_MAX};
use crate::stream;
use crate::unread::{Counted, Kept};

/// Bytes of a message of any method but `ScoreStream`: what describes a pair is short, and is read
/// before anybody is asked whether there is a slot.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

type Answer<T> = Result<Response<T>, Status>;
pub(crate) type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Face {
    direct: Arc<Direct>,
}

/// The gRPC service with its message bounds, one for pictures and one for everything else. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct ScoringService {
    streams: VmafxScoringServer<Face>,
    others: VmafxScoringServer<Face>,
}

impl NamedService for ScoringService {
    const NAME: &'static str = <VmafxScoringServer<Face> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for ScoringService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path().rsplit('/').next() {
            Some("ScoreStream") => self.streams.call(request),
            _ => {
                let answer = self.others.call(request);
                Box::pin(async move {
                    let mut response = answer.await?;
                    // Written as one message, which counts until the connection has taken it.
                    match response.extensions_mut().remove::<Kept>() {
                        Some(kept) => Ok(response.map(|body| Body::new(Counted::new(body, kept)))),
                        None => Ok(response),
                    }
                })
            }
        }
    }
}

impl Direct {
    /// The gRPC service with its message bounds.
    #[must_use]
    pub fn grpc(self: &Arc<Self>) -> ScoringService {
        let bounded = |bytes_max| {
            VmafxScoringServer::new(Face { direct: Arc::clone(self) })
                .max_decoding_message_size(bytes_max)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        };
        ScoringService {
            streams: bounded(SCORING_MESSAGE_BYTES_MAX),
            others: bounded(REQUEST_BYTES_MAX),
        }
    }

    /// How the service is.
    pub(crate) fn health(&self) -> pb::HealthResponse {
        let (slots, busy, waiting, waiting_max) = self.admission.load();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let ready = self.is_ready();
        pb::HealthResponse {
            ready,
            message: if ready { String::new() } else { "shutting down".to_owned() },
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            isa: self.isa().to_string(),
            codecs: self.codecs.clone(),
            models: engine::builtin_models().iter().map(|model| model.version.to_owned()).collect(),
            slots: count(slots),
            busy: count(busy),
            waiting: count(waiting),
            waiting_max: count(waiting_max),
        }
    }
}

/// Every method, and what of it is shown: probes make no spans.
///
/// # Errors
/// When the descriptors cannot be read, which is a defect of ours.
pub fn methods() -> Result<GrpcMethods, String> {
    let methods = GrpcMethods::from_descriptors(proto::DESCRIPTORS);
    let methods = methods.map_err(|error| error.to_string())?;
    Ok(methods.with(&format!("{}/Health", proto::SCORING_SERVICE), Visibility::Hidden))
}

#[tonic::async_trait]
impl VmafxScoring for Face {
    async fn score(&self, request: Request<pb::ScoreRequest>) -> Answer<pb::ScoreResponse> {
        let caller = service::grpc::timeout(request.metadata());
        let asked = Score::try_from(request.into_inner())?;
        let (scored, kept) = self.direct.score(asked, caller, FRAME_VALUES_MAX).await?;
        let mut response = Response::new(scored.into());
        if let Some(kept) = kept {
            response.extensions_mut().insert(kept);
        }
        Ok(response)
    }

    type ScoreStreamStream = BoxStream<pb::ScoreStreamResponse>;

    async fn score_stream(
        &self,
        request: Request<Streaming<pb::ScoreStreamRequest>>,
    ) -> Answer<Self::ScoreStreamStream> {
        let caller = service::grpc::timeout(request.metadata());
        let stream = stream::open(&self.direct, request.into_inner(), caller).await?;
        Ok(Response::new(stream))
    }

    async fn health(&self, _request: Request<pb::HealthRequest>) -> Answer<pb::HealthResponse> {
        Ok(Response::new(self.direct.health()))
    }
}
