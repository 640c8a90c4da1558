//! `vmafx up`: a controller and nodes in one process, until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use observability::OtelGuard;
use tokio::signal::unix::{Signal, SignalKind, signal};
use vmafx_node::PICTURE_PIXELS_MAX_DEFAULT;

use crate::exit;
use crate::fleet::{Fleet, FleetConfig, FleetError};

/// How long the end waits for what still runs before it is handed back.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// What `vmafx up` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// A folder below which videos may lie; may be given several times [default: the current folder]
    #[arg(
        long = "source-root",
        env = "VMAFX_SCORING_ROOTS",
        value_delimiter = ':',
        value_name = "FOLDER"
    )]
    source_roots: Vec<PathBuf>,
    /// Where jobs and results are kept [default: vmafx below the XDG state folder]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// How many nodes
    #[arg(long, default_value = "1", value_name = "N")]
    nodes: NonZeroU32,
    /// Attempts at once for each node
    #[arg(long, default_value = "1", value_name = "N")]
    slots: NonZeroU32,
    /// Where gRPC listens
    #[arg(long, env = "VMAFX_GRPC_LISTEN", default_value = "127.0.0.1:50051", value_name = "ADDR")]
    grpc_listen: SocketAddr,
    /// Where HTTP listens
    #[arg(long, env = "VMAFX_HTTP_ADDR", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    http_listen: SocketAddr,
    /// The ffmpeg program [default: the one in PATH]
    #[arg(long, env = "VMAFX_FFMPEG", value_name = "FILE")]
    ffmpeg: Option<PathBuf>,
    /// Luma samples that a picture may have; memory follows them
    #[arg(
        long,
        env = "VMAFX_PICTURE_PIXELS_MAX",
        default_value_t = PICTURE_PIXELS_MAX_DEFAULT,
        value_name = "N"
    )]
    picture_pixels_max: NonZeroU64,
    /// Listen beyond loopback although anybody may call
    #[arg(long)]
    insecure: bool,
}

impl UpArgs {
    fn fleet(&self) -> Result<FleetConfig, std::io::Error> {
        let here = || std::env::current_dir().map(|folder| vec![folder]);
        let source_roots =
            if self.source_roots.is_empty() { here()? } else { self.source_roots.clone() };
        let db_path = match &self.data {
            Some(folder) => folder.join("controller.db"),
            None => vmafx_controller::default_db_path(),
        };
        let spool_folder = db_path.parent().map(PathBuf::from).unwrap_or_default();
        Ok(FleetConfig {
            controller: vmafx_controller::Config {
                grpc_listen: self.grpc_listen,
                http_listen: self.http_listen,
                db_path,
                insecure: self.insecure,
                ..vmafx_controller::Config::default()
            },
            spool_folder,
            node_count: self.nodes.get(),
            slots: self.slots,
            source_roots,
            ffmpeg: self.ffmpeg.clone(),
            picture_pixels_max: self.picture_pixels_max,
        })
    }
}

/// Runs `vmafx up`.
pub(crate) fn up(args: &UpArgs) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refused(&format!("cannot start the runtime: {error}")),
    };
    runtime.block_on(async {
        let telemetry = observability::init_otel("vmafx");
        let code = serve(args, &telemetry).await;
        telemetry.shutdown_async().await;
        code
    })
}

async fn serve(args: &UpArgs, telemetry: &OtelGuard) -> ExitCode {
    let config = match args.fleet() {
        Ok(config) => config,
        Err(error) => return refused(&format!("cannot tell the current folder: {error}")),
    };
    let roots = config
        .source_roots
        .iter()
        .map(|root| root.display().to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let (interrupt, terminate) =
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
            (Err(error), _) | (_, Err(error)) => {
                return refused(&format!("signals cannot be handled: {error}"));
            }
        };
    let mut signals = Signals { interrupt, terminate };
    observability::reload_on_hangup(telemetry.tracer().sampling());
    let mut fleet = match Fleet::start(config, telemetry.telemetry()).await {
        Ok(fleet) => fleet,
        Err(error) => return refused(&with_causes(&error)),
    };
    greet(&fleet, &roots);
    let code = tokio::select! {
        why = fleet.controller.failed() => refused(&why),
        () = signals.next() => ExitCode::SUCCESS,
    };
    tokio::select! {
        () = fleet.stop(STOP_GRACE) => code,
        () = signals.next() => ExitCode::from(exit::INTERRUPTED),
    }
}

fn with_causes(error: &FleetError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error).and_then(std::error::Error::source);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Says on standard output what to do next: standard error is the log's alone, line by line JSON
/// where no person reads it.
fn greet(fleet: &Fleet, roots: &str) {
    let text = format!(
        "gRPC on {}, HTTP on http://{}; videos below {roots}\n\
         try: vmafx submit REFERENCE DISTORTED --wait\n\
         stop: Ctrl-C (a second one stops at once)\n",
        fleet.url(),
        fleet.controller.http_addr,
    );
    let mut stdout = std::io::stdout().lock();
    // Nobody may be reading, and the fleet works all the same.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn refused(why: &str) -> ExitCode {
    eprintln!("vmafx: {why}");
    ExitCode::from(exit::USAGE_OR_INTERNAL)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
