//! From a configuration to a server that runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Client;
use observability::Telemetry;
use rmcp::ServiceExt as _;
use rmcp::service::{QuitReason, RoleServer, RunningService};
use service::program::{Refusal, Running};
use service::{Faces, ForceBudget, ListenError, Tokens};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vmafx_tune::{Environment, Fleet};

use crate::config::{Config, ConfigError};
use crate::follow::{Followed, Transport};
use crate::http::{self, Door};
use crate::jobs::{Jobs, LocalJobs, RemoteJobs};
use crate::platform::Platform;
use crate::server::Server;
use crate::tunes::Tunes;

/// How long requests in flight may take when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Why the server was not started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

impl Refusal for StartError {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}

/// Sets up what the tools need. Must be called within a runtime.
///
/// # Errors
/// The setting that is not allowed.
pub fn platform(config: &Config, telemetry: &Telemetry) -> Result<Arc<Platform>, ConfigError> {
    config.check()?;
    let client = config.client(telemetry).map(|client| Client::new(&client)).transpose()?;
    let runtime = Handle::current();
    let fleet = client.clone().map(|client| Fleet { client, runtime });
    let work = TaskTracker::new();
    let jobs = match client {
        Some(client) => Jobs::Remote(Box::new(RemoteJobs::new(client))),
        None => {
            let (slots, telemetry) = (config.slots.get(), telemetry.clone());
            Jobs::Local(LocalJobs::new(config.run(), slots, telemetry, work.clone()))
        }
    };
    let tuning = Environment {
        telemetry: telemetry.clone(),
        fleet,
        journal_dir: config.tune_journal_dir.clone(),
        // Agents choose names, and mistakes of theirs must cost nobody a file.
        replaces: false,
        ..Environment::new(config.run())
    };
    tracing::info!(
        jobs = jobs.place(),
        source_roots = config.source_roots.len(),
        source_hosts = config.source_hosts.len(),
        "tools are ready"
    );
    if config.source_roots.is_empty() && config.source_hosts.is_empty() {
        tracing::warn!("no --source-root and no --source-host: this process may read no video");
    }
    let tunes = Tunes::new(tuning, config.output_root.clone(), work.clone());
    Ok(Arc::new(Platform::new(
        work,
        jobs,
        tunes,
        config.media(),
        config.source_roots.clone(),
        config.source_hosts.clone(),
    )))
}

/// A server over HTTP that runs.
#[derive(Debug)]
pub struct HttpServer {
    faces: Faces,
    addr: SocketAddr,
    platform: Arc<Platform>,
    stop: CancellationToken,
}

impl HttpServer {
    /// Starts serving.
    ///
    /// # Errors
    /// When a setting is not allowed or the address is taken.
    pub async fn start(config: Config, telemetry: Telemetry) -> Result<Self, StartError> {
        let platform = platform(&config, &telemetry)?;
        let tokens = config.token_file.as_deref().map(Tokens::read).transpose();
        let tokens = tokens.map_err(ConfigError::from)?;
        let handler =
            Followed::new(Server::new(Arc::clone(&platform)), &telemetry, Transport::Http);
        let handler = match &tokens {
            Some(_) => handler,
            None => handler.with_budget(Arc::new(ForceBudget::new(Instant::now()))),
        };
        let (listener, addr) = service::bind("HTTP", config.listen).await?;
        let door = Door {
            addr,
            tokens,
            allowed_origins: config.allowed_origins,
            allowed_hosts: config.allowed_hosts,
        };
        let stop = CancellationToken::new();
        let mut faces = Faces::default();
        faces.serve_http(listener, http::router(handler, &door, &telemetry, stop.clone()));
        tracing::info!(%addr, path = http::PATH, "agents are served over HTTP");
        Ok(Self { faces, addr, platform, stop })
    }

    /// The address that is served.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Running for HttpServer {
    async fn failed(&mut self) -> String {
        self.faces.failed().await
    }

    async fn shutdown(mut self) {
        self.faces.close();
        // Streams end, and with them the requests that wait.
        self.stop.cancel();
        tokio::join!(self.platform.shut_down(), self.faces.shutdown(SHUTDOWN_GRACE));
    }
}

/// A server over standard input and output that runs.
pub struct StdioServer {
    running: RunningService<RoleServer, Followed<Server>>,
    platform: Arc<Platform>,
}

impl StdioServer {
    /// Waits for the first message of the host and serves it from then on; `None` when the host
    /// left before it.
    ///
    /// # Errors
    /// When a setting is not allowed.
    pub async fn start(config: &Config, telemetry: &Telemetry) -> Result<Option<Self>, StartError> {
        let platform = platform(config, telemetry)?;
        let server = Server::new(Arc::clone(&platform));
        let handler = Followed::new(server, telemetry, Transport::Stdio);
        match handler.serve(rmcp::transport::stdio()).await {
            Ok(running) => Ok(Some(Self { running, platform })),
            Err(error) => {
                tracing::info!("the host left before it said anything of use: {error}");
                Ok(None)
            }
        }
    }

    /// Serves until the host closes the input or `stop` is cancelled, and ends what runs then, which
    /// takes [`WORK_END_MAX`](crate::WORK_END_MAX) at most; says whether all went well.
    pub async fn wait(self, stop: CancellationToken) -> bool {
        let ours = self.running.cancellation_token();
        let ended = tokio::select! {
            ended = self.running.waiting() => ended,
            () = stop.cancelled() => {
                ours.cancel();
                Ok(QuitReason::Cancelled)
            }
        };
        self.platform.shut_down().await;
        match ended {
            Ok(QuitReason::JoinError(error)) | Err(error) => {
                tracing::error!("the connection ended badly: {error}");
                false
            }
            Ok(_) => true,
        }
    }
}
