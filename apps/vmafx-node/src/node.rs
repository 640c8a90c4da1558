//! The node as a whole: started, drained, ended in good order.
//!
//! It knows no signals and no process: `main` has those, and a program that embeds a node has its
//! own. Everything here runs on the caller's runtime, which must not be blocked by CPU work;
//! scoring has threads of its own, and those are niced.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use client::{Client, ClientConfig, ClientError};
use engine::Isa;
use media::{FfmpegConfig, Stop};
use observability::Telemetry;
use service::{Bounds, ListenError, TokenError, Tokens, bind};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{Capabilities, Encoder, Incarnation};
use vmafx_server::{Callers, DirectConfig, Slots};

use crate::clock::Acknowledged;
use crate::config::{Config, ConfigError, DIRECT_WAITING_MAX, STREAM_IDLE_MAX};
use crate::deliver::deliver_leftovers;
use crate::direct::DirectFace;
use crate::hands::{Cause, Hands, Key};
use crate::lane::ReportLane;
use crate::shared::Shared;
use crate::spool::{Spool, SpoolError};
use crate::worker::{ScoringWorker, Worker, run_config};
use crate::{http, session};

/// How long a node that leaves waits for the answers to its last reports.
pub const LAST_ANSWERS_WAIT: Duration = Duration::from_secs(5);

/// How long the HTTP face may take to end.
const HTTP_STOP_WAIT: Duration = Duration::from_secs(1);

/// Why a node could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The controller's address or the token cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The address is taken, or not ours.
    #[error("{0}: {source}", source = .0.source)]
    Listen(#[from] ListenError),
    /// The tokens of direct scoring's callers cannot be used.
    #[error("the tokens cannot be used: {0}")]
    Tokens(#[from] TokenError),
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(String),
    /// A part of the start was cut off.
    #[error("the start was cut off: {0}")]
    CutOff(String),
}

/// Starts nodes.
#[derive(Debug)]
pub struct Node;

impl Node {
    /// Starts a node that scores. Answers at once: the controller need not be there yet.
    ///
    /// # Errors
    /// When a setting is not allowed, an address is taken, or the spool cannot be used.
    pub async fn start(config: Config, telemetry: Telemetry) -> Result<NodeHandle, StartError> {
        let worker = Arc::new(ScoringWorker::new(&config));
        Self::start_with(config, telemetry, worker).await
    }

    /// Starts a node whose work is done by `worker`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        config: Config,
        telemetry: Telemetry,
        worker: Arc<dyn Worker>,
    ) -> Result<NodeHandle, StartError> {
        config.check()?;
        let client = Client::new(&ClientConfig {
            token: config.token.clone(),
            telemetry: telemetry.clone(),
            ..ClientConfig::new(config.controller.as_str())
        })?;
        let listener = match config.listen {
            Some(addr) => Some(bind("HTTP", addr).await?),
            None => None,
        };
        let grpc = match config.grpc_listen {
            Some(addr) => Some(bind("gRPC", addr).await?),
            None => None,
        };
        let tokens = config.token_file.as_deref().map(Tokens::read).transpose()?;
        let callers = tokens.map_or(Callers::Anybody, Callers::Known);
        let run = run_config(&config);
        let (spool, left) = open_spool(&config).await?;
        let capabilities = capabilities(&config).await;
        let incarnation = getrandom::u64()
            .map(Incarnation)
            .map_err(|error| StartError::Randomness(error.to_string()))?;
        let slots = config.slots.get();
        let permits = Arc::new(Semaphore::new(slots as usize));
        let direct_slots = Slots::shared(Arc::clone(&permits), slots as usize);
        let codecs = capabilities.codecs.clone();
        telemetry.metrics.node().add_slots(slots as usize);
        let shared = Arc::new(Shared {
            node_id: config.node_id,
            incarnation,
            capabilities,
            client,
            telemetry,
            worker,
            attempt_timeout: config.attempt_timeout,
            hands: Hands::new(slots),
            slots: permits,
            direct_slots: direct_slots.clone(),
            spool: spool.clone(),
            session: watch::Sender::new(None),
            acknowledged: Acknowledged::default(),
            lane: ReportLane::default(),
            connected: AtomicBool::new(false),
            asked_to_leave: CancellationToken::new(),
            leaving: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let listen_addr = serve(&shared, listener);
        let direct = DirectConfig {
            run,
            slots: direct_slots,
            waiting_max: DIRECT_WAITING_MAX,
            unread_bytes_max: vmafx_server::UNREAD_BYTES_MAX_DEFAULT,
            time_max: shared.attempt_timeout,
            stream_idle_max: STREAM_IDLE_MAX,
            codecs,
        };
        let telemetry = &shared.telemetry;
        let direct = grpc.map(|bound| DirectFace::serve(bound, direct, &callers, telemetry));
        let direct = direct.transpose().map_err(StartError::CutOff)?;
        shared.tasks.spawn(session::keep(Arc::clone(&shared)));
        if let Some(spool) = spool.filter(|_| !left.is_empty()) {
            tracing::info!(reports = left.len(), "reports of an earlier process are sent again");
            shared.tasks.spawn(deliver_leftovers(Arc::clone(&shared), spool, left));
        }
        tracing::info!(
            node = %shared.node_id,
            controller = shared.client.address(),
            slots,
            direct = direct.as_ref().map(|direct| tracing::field::display(direct.addr)),
            isa = shared.capabilities.isa,
            codecs = ?shared.capabilities.codecs,
            encoders = ?shared.capabilities.encoders,
            "node started"
        );
        if config.source_roots.is_empty() && config.source_hosts.is_empty() {
            tracing::warn!(
                "no source is allowed, every video will be refused; name a folder with --source-root"
            );
        }
        Ok(NodeHandle { shared, listen_addr, direct })
    }
}

async fn open_spool(config: &Config) -> Result<(Option<Arc<Spool>>, Vec<Key>), StartError> {
    let Some(spool) = config.spool.clone() else { return Ok((None, Vec::new())) };
    let opened = tokio::task::spawn_blocking(move || Spool::open(&spool)).await;
    let (spool, left) = opened.map_err(|error| StartError::CutOff(error.to_string()))??;
    Ok((Some(Arc::new(spool)), left))
}

async fn capabilities(config: &Config) -> Capabilities {
    let (encoders, encoder_versions) = encoders(config).await;
    Capabilities {
        backends: vec!["cpu".to_owned()],
        codecs: vmafx_server::codecs(config.ffmpeg.as_deref()).await,
        encoders,
        encoder_versions,
        slots: config.slots.get(),
        isa: Isa::detect(config.isa_limit).to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The encoders that jobs may ask for, those that are known and that `ffmpeg` has, and what each
/// calls its version.
async fn encoders(config: &Config) -> (Vec<String>, Vec<String>) {
    let ffmpeg = FfmpegConfig { program: config.ffmpeg.clone(), ..FfmpegConfig::default() };
    let asked = tokio::task::spawn_blocking(move || {
        let set = media::encoders_of(&ffmpeg, &Stop::never())?;
        // That one does not say its version in time makes it no less of an encoder.
        let libraries = media::library_versions(&ffmpeg, &set.encoders, &Stop::never());
        let libraries = libraries.unwrap_or_default();
        let said = |encoder: &Encoder| {
            let library = libraries.get(encoder).map(String::as_str);
            media::encoder_version(Some(&set.version), *encoder, library)
        };
        let names = set.encoders.iter().map(|encoder| encoder.as_str().to_owned()).collect();
        Ok::<_, media::EncoderError>((names, set.encoders.iter().map(said).collect()))
    });
    match asked.await {
        Ok(Ok(encoders)) => encoders,
        // Without ffmpeg there is no encoder, and the list of codecs says so already.
        Ok(Err(_)) | Err(_) => (Vec::new(), Vec::new()),
    }
}

fn serve(shared: &Arc<Shared>, listener: Option<(TcpListener, SocketAddr)>) -> Option<SocketAddr> {
    let (listener, addr) = listener?;
    let router = http::router(shared, addr);
    let leaving = shared.leaving.clone();
    shared.tasks.spawn(async move {
        let served = service::serve_http(listener, router, Bounds::HTTP, leaving.clone());
        let ended = async {
            leaving.cancelled().await;
            tokio::time::sleep(HTTP_STOP_WAIT).await;
        };
        tokio::select! {
            () = served => {}
            () = ended => {}
        }
    });
    Some(addr)
}

/// A node that runs. Dropping it ends it without waiting: what it holds is lost to it, and the
/// controller gives it to another.
#[derive(Debug)]
pub struct NodeHandle {
    shared: Arc<Shared>,
    listen_addr: Option<SocketAddr>,
    direct: Option<DirectFace>,
}

impl NodeHandle {
    /// Where `/metrics` is served.
    #[must_use]
    pub fn listen_addr(&self) -> Option<SocketAddr> {
        self.listen_addr
    }

    /// Where direct scoring is served.
    #[must_use]
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.direct.as_ref().map(|direct| direct.addr)
    }

    /// Whether the work stream is open and work is taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// Waits until the controller asks the node to leave. From then on it takes no new work;
    /// whoever holds the handle drains it.
    ///
    /// Cancel safe.
    pub async fn asked_to_leave(&self) {
        self.shared.asked_to_leave.cancelled().await;
    }

    /// Takes no new work, gives what runs `grace` to be finished and reported, hands the rest back
    /// uncounted, and ends the node.
    ///
    /// Cancel safe: called again with another grace, it goes on from where it was.
    pub async fn drain(&self, grace: Duration) {
        let shared = &self.shared;
        shared.hands.drain();
        if let Some(direct) = &self.direct {
            direct.close().await;
        }
        tracing::info!(?grace, "draining");
        let done = async {
            shared.hands.empty().await;
            if let Some(direct) = &self.direct {
                direct.idle().await;
            }
        };
        if tokio::time::timeout(grace, done).await.is_err() {
            shared.hands.stop_all(Cause::Released);
            if tokio::time::timeout(LAST_ANSWERS_WAIT, shared.hands.empty()).await.is_err() {
                tracing::warn!("some reports are not answered; they stay in the spool");
            }
        }
        self.end().await;
        tracing::info!("node stopped");
    }

    /// Hands everything back at once and ends the node.
    pub async fn shutdown(self) {
        self.drain(Duration::ZERO).await;
    }

    async fn end(&self) {
        self.shared.leaving.cancel();
        if let Some(direct) = &self.direct {
            direct.end().await;
        }
        self.shared.tasks.close();
        let all = self.shared.tasks.wait();
        if tokio::time::timeout(LAST_ANSWERS_WAIT, all).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.shared.leaving.cancel();
        self.shared.hands.stop_all(Cause::Released);
    }
}
