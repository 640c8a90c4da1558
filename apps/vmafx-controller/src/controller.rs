//! The controller as a whole: opened, served, and ended in good order.
//!
//! It knows no signals and no process: `main` has those, and a program that embeds a controller
//! has its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use observability::Telemetry;
use observability::layers::GrpcServerLayer;
use proto::controller::vmafx_controller_server::VmafxControllerServer;
use proto::limits::KEEPALIVE_INTERVAL_CONTROLLER;
use service::{Faces, ForceBudget, Tokens, bind};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::app::App;
use crate::config::Config;
use crate::error::StartError;
use crate::grpc::{self, Face};
use crate::queue::{Queue, QueueConfig, QueueThread};
use crate::retention::{self, Retention};
use crate::telemetry::{GAUGES_INTERVAL, QueueTelemetry, set_gauges};
use crate::trace_export::{self, DueTraces, TracePolicy};

type Served = VmafxControllerServer<Face>;

/// Starts controllers.
#[derive(Debug)]
pub struct Controller;

/// A controller that runs. Dropping it stops it without waiting; [`shutdown`](Self::shutdown) ends
/// it in good order.
#[derive(Debug)]
pub struct ControllerHandle {
    /// Where gRPC listens.
    pub grpc_addr: SocketAddr,
    /// Where HTTP listens.
    pub http_addr: SocketAddr,
    app: Arc<App>,
    health: HealthReporter,
    faces: Faces,
    queue: Option<QueueThread>,
    /// Has a last word with the queue.
    recorded: Option<JoinHandle<()>>,
    shutdown_grace: Duration,
}

impl Controller {
    /// Starts a controller: binds, opens the queue, serves. Answers once new work is welcome.
    ///
    /// # Errors
    /// When a setting is not allowed, an address is taken, or the store cannot be opened.
    pub async fn start(
        config: Config,
        telemetry: Telemetry,
    ) -> Result<ControllerHandle, StartError> {
        config.check()?;
        let tokens = config.token_file.as_deref().map(Tokens::read).transpose()?;
        let (grpc, grpc_addr) = bind("gRPC", config.grpc_listen).await?;
        let (http, http_addr) = bind("HTTP", config.http_listen).await?;
        make_directory(&config.db_path)?;
        let queue_metrics = telemetry.metrics.queue().clone();
        let policy = TracePolicy::new(config.traces, queue_metrics, Instant::now());
        let due = policy.due();
        let observer = QueueTelemetry::new(telemetry.clone(), policy);
        let queue_config = queue_config(&config);
        let opened = Instant::now();
        let open = move || Queue::open(queue_config, Arc::new(observer));
        let (queue, queue_thread) = tokio::task::spawn_blocking(open)
            .await
            .map_err(|error| StartError::Face(error.to_string()))?
            .map_err(StartError::Queue)?;
        let stats = queue.stats();
        let forced = tokens.is_none().then(|| ForceBudget::new(Instant::now()));
        let admin = tokens.is_some() || http_addr.ip().is_loopback();
        let app = Arc::new(App {
            queue,
            telemetry,
            tokens,
            forced,
            admin,
            ready: AtomicBool::new(false),
            closing: CancellationToken::new(),
            stream_age_max: config.stream_age_max,
        });
        let mut handle = ControllerHandle::new(app, &config, grpc_addr, http_addr);
        handle.queue = Some(queue_thread);
        handle.serve_grpc(grpc)?;
        handle.faces.serve_http(http, crate::http::router(Arc::clone(&handle.app)));
        handle.keep_gauges();
        handle.export_due_traces(due);
        handle.keep_jobs(config.retention);
        handle.welcome().await;
        tracing::info!(
            grpc = %handle.grpc_addr,
            http = %handle.http_addr,
            db = %config.db_path.display(),
            queued = stats.queued,
            running = stats.running,
            opened_ms = opened.elapsed().as_millis() as u64,
            authenticated = handle.app.tokens.is_some(),
            "controller ready"
        );
        Ok(handle)
    }
}

fn make_directory(db_path: &Path) -> Result<(), StartError> {
    let Some(directory) = db_path.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
        return Ok(());
    };
    let path = db_path.to_owned();
    std::fs::create_dir_all(directory).map_err(|source| StartError::Directory { path, source })
}

fn queue_config(config: &Config) -> QueueConfig {
    let mut queue = QueueConfig::new(&config.db_path);
    queue.lease = config.lease;
    queue.liveness_interval = config.liveness_interval;
    queue.stream_grace = config.stream_grace;
    queue.trace_cut_over = config.trace_cut_over;
    queue.retry.first = config.backoff_base;
    queue.retry.cap = config.backoff_max;
    queue.retry.crashes_max = config.crashes_max;
    queue
}

impl ControllerHandle {
    fn new(app: Arc<App>, config: &Config, grpc_addr: SocketAddr, http_addr: SocketAddr) -> Self {
        Self {
            grpc_addr,
            http_addr,
            app,
            health: HealthReporter::new(),
            faces: Faces::default(),
            queue: None,
            recorded: None,
            shutdown_grace: config.shutdown_grace,
        }
    }

    fn serve_grpc(&mut self, listener: TcpListener) -> Result<(), StartError> {
        let router = service::grpc::server()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL_CONTROLLER))
            .layer(GrpcServerLayer::new(&self.app.telemetry, grpc::methods()?))
            .layer(grpc::door(&self.app))
            .add_service(Face::service(Arc::clone(&self.app)))
            .add_service(service::grpc::health(&self.health))
            .add_service(
                service::grpc::reflection(proto::CONTROLLER_SERVICE).map_err(StartError::Face)?,
            );
        self.faces.serve_grpc(listener, router);
        Ok(())
    }

    /// Keeps the gauges fresh for metrics that are pushed; a scrape does so by itself.
    fn keep_gauges(&self) {
        let (app, closing) = (Arc::downgrade(&self.app), self.app.closing.clone());
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(GAUGES_INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = closing.cancelled() => break,
                }
                let Some(app) = app.upgrade() else { break };
                set_gauges(&app.telemetry.metrics, &app.queue.stats());
            }
        });
    }

    /// Exports the traces that are due, those of an earlier run of the controller too.
    fn export_due_traces(&mut self, due: Arc<DueTraces>) {
        if self.app.telemetry.tracer.is_enabled() {
            let closing = &self.app.closing;
            let app = || Arc::downgrade(&self.app);
            tokio::spawn(trace_export::run(app(), Arc::clone(&due), closing.clone()));
            let recorded = trace_export::confirm_recorded(app(), due, closing.clone());
            self.recorded = Some(tokio::spawn(recorded));
        }
    }

    /// Removes finished jobs that are not to be kept.
    fn keep_jobs(&self, rules: Retention) {
        if rules.is_on() {
            let (app, closing) = (Arc::downgrade(&self.app), self.app.closing.clone());
            tokio::spawn(retention::run(app, rules, closing));
        }
    }

    async fn welcome(&self) {
        self.health.set_serving::<Served>().await;
        self.app.ready.store(true, Ordering::Release);
    }

    /// The queue, for a program that embeds the controller.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.app.queue
    }

    /// Waits until a face ends although nobody asked for it, and says which and why.
    ///
    /// Cancel safe.
    pub async fn failed(&mut self) -> String {
        self.faces.failed().await
    }

    /// Ends the controller in good order: readiness turns false first, nodes are asked to
    /// reconnect, streams end, calls in flight get the configured grace, the queue commits what it
    /// took and closes. What runs on nodes goes on; their leases outlive a restart.
    pub async fn shutdown(mut self) {
        let began = Instant::now();
        self.app.ready.store(false, Ordering::Release);
        self.health.set_not_serving::<Served>().await;
        self.health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        tracing::info!("controller shutting down: no new work is taken");
        self.app.closing.cancel();
        self.faces.shutdown(self.shutdown_grace).await;
        if let Some(recorded) = self.recorded.take() {
            // Bounded by itself; fails by a panic only, which has been logged.
            let _ = recorded.await;
        }
        if let Some(queue) = self.queue.take() {
            // Fails by a panic of that thread only, which has been logged.
            let _ = tokio::task::spawn_blocking(move || queue.shutdown()).await;
        }
        tracing::info!(took_ms = began.elapsed().as_millis() as u64, "controller stopped");
    }
}

impl service::program::Running for ControllerHandle {
    async fn failed(&mut self) -> String {
        Self::failed(self).await
    }

    async fn shutdown(self) {
        Self::shutdown(self).await;
    }
}

impl Drop for ControllerHandle {
    fn drop(&mut self) {
        self.app.ready.store(false, Ordering::Release);
        self.app.closing.cancel();
    }
}
