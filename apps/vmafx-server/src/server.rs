//! The server as a whole: bound, served, and ended in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use observability::Telemetry;
use observability::layers::GrpcServerLayer;
use proto::scoring::vmafx_scoring_server::VmafxScoringServer;
use service::grpc::DoorLayer;
use service::program::{Refusal, Running};
use service::{Faces, ListenError, TokenError, Tokens, bind};
use thiserror::Error;
use tonic_health::server::HealthReporter;

use crate::admission::Slots;
use crate::config::{Config, ConfigError};
use crate::decoders::codecs;
use crate::direct::{Callers, Direct, DirectConfig};
use crate::grpc::{Face, methods};

/// How long runs may take to end once nobody waits for them any more.
const ABANDON_WAIT: Duration = Duration::from_secs(1);

/// How long a caller that is probed may stay silent. Longer than nodes and controllers allow each other: a
/// caller may encode what it streams on the same machine, and get no processor for seconds.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Starts servers.
#[derive(Debug)]
pub struct Server;

/// Why a server could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting is not allowed.
    #[error("the configuration is not allowed")]
    Config(#[from] ConfigError),
    /// The tokens cannot be used.
    #[error("the tokens cannot be used")]
    Tokens(#[from] TokenError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A defect of ours: a part of the faces could not be built.
    #[error("a face could not be built: {0}")]
    Face(String),
}

impl Refusal for StartError {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}

/// A server that runs. Dropping it ends it without waiting.
#[derive(Debug)]
pub struct ServerHandle {
    /// Where gRPC listens.
    pub grpc_addr: SocketAddr,
    /// Where HTTP listens.
    pub http_addr: SocketAddr,
    direct: Arc<Direct>,
    health: HealthReporter,
    faces: Faces,
    shutdown_delay: Duration,
    shutdown_grace: Duration,
}

impl Server {
    /// Starts a server: binds and serves. Answers once requests are welcome.
    ///
    /// # Errors
    /// When a setting is not allowed, or an address is taken.
    pub async fn start(config: Config, telemetry: Telemetry) -> Result<ServerHandle, StartError> {
        config.check()?;
        let callers = match config.token_file.as_deref().map(Tokens::read).transpose()? {
            Some(tokens) => Callers::Known(tokens),
            None => Callers::Anybody,
        };
        let (grpc, grpc_addr) = bind("gRPC", config.grpc_listen).await?;
        let (http, http_addr) = bind("HTTP", config.http_listen).await?;
        let direct = DirectConfig {
            run: config.run(),
            slots: Slots::new(config.slots.get()),
            waiting_max: config.waiting_max,
            unread_bytes_max: config.unread_bytes_max,
            time_max: config.time_max,
            stream_idle_max: config.stream_idle_max,
            codecs: codecs(config.ffmpeg.as_deref()).await,
        };
        let direct = Direct::new(direct, &callers, telemetry);
        let (health, mut faces) = (HealthReporter::new(), Faces::default());
        let router = service::grpc::server()
            .http2_keepalive_timeout(Some(SILENCE_MAX))
            .layer(GrpcServerLayer::new(&direct.telemetry, methods().map_err(StartError::Face)?))
            .layer(DoorLayer { name: "server", tokens: callers.tokens(), frequent: &[] })
            .add_service(direct.grpc())
            .add_service(service::grpc::health(&health))
            .add_service(
                service::grpc::reflection(proto::SCORING_SERVICE).map_err(StartError::Face)?,
            );
        faces.serve_grpc(grpc, router);
        faces.serve_http(http, crate::http::router(&direct, &callers, http_addr));
        health.set_serving::<VmafxScoringServer<Face>>().await;
        tracing::info!(
            grpc = %grpc_addr,
            http = %http_addr,
            slots = config.slots.get(),
            threads = config.threads_per_slot.get(),
            isa = %direct.isa(),
            codecs = ?direct.codecs,
            authenticated = callers.tokens().is_some(),
            "server ready"
        );
        if config.source_roots.is_empty() && config.source_hosts.is_empty() {
            tracing::warn!(
                "no source is allowed, every path and URL will be refused; name a folder with \
                 --source-root. Streams need none"
            );
        }
        Ok(ServerHandle {
            grpc_addr,
            http_addr,
            direct,
            health,
            faces,
            shutdown_delay: config.shutdown_delay,
            shutdown_grace: config.shutdown_grace,
        })
    }
}

impl Running for ServerHandle {
    async fn failed(&mut self) -> String {
        self.faces.failed().await
    }

    /// Readiness turns false first, and everybody is served for the configured delay all the same.
    /// Then nobody is let in and nothing is listened on, streams are told to come again, pairs in
    /// work get the configured grace, and everything is ended.
    async fn shutdown(mut self) {
        let began = Instant::now();
        self.health.set_not_serving::<VmafxScoringServer<Face>>().await;
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        self.direct.leave();
        if !self.shutdown_delay.is_zero() {
            tracing::info!(delay = ?self.shutdown_delay, "server going down: no longer ready");
            tokio::time::sleep(self.shutdown_delay).await;
        }
        tracing::info!("server shutting down: no new work is taken");
        self.direct.close();
        self.faces.shutdown(self.shutdown_grace).await;
        self.direct.abandon();
        let _ = tokio::time::timeout(ABANDON_WAIT, self.direct.idle()).await;
        tracing::info!(took_ms = began.elapsed().as_millis() as u64, "server stopped");
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.direct.abandon();
    }
}
