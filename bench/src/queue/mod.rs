//! The durable queue, measured from outside: a controller process with its default durability, and
//! clients and nodes over gRPC in this process, all on the same machine.
//!
//! The work takes no time and the nodes keep their reports in memory, so that the queue is what is
//! measured. The goals are the project's own; every topic gets a controller of its own, on an empty
//! store, and is measured beside the disk and the wire of the same minute.

mod fleet_cost;
mod latency;
mod noop;
mod requeue;
mod start_up;
mod submits;
mod telemetry_cost;

use std::path::PathBuf;

use client::{Client, ClientConfig};
use proto::rpc::Submit;
use tempfile::TempDir;
use types::{JobSpec, MediaRef};

use crate::Error;
use crate::baseline::Baseline;
use crate::machine;
use crate::process::Controller;
use crate::table::Table;

/// The topics, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Topic {
    /// Durable submissions a second
    Submits,
    /// Parts that do nothing, end to end
    Noop,
    /// From submit to start
    Latency,
    /// From the death of a node to the next attempt
    Requeue,
    /// From start to first dispatch with a long queue
    StartUp,
    /// What a large idle fleet costs
    Fleet,
    /// What telemetry costs
    Telemetry,
}

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A tenth of the work: seconds in place of minutes, and less to be trusted
    #[arg(long)]
    quick: bool,
    /// Only this topic; may be given more than once
    #[arg(long)]
    only: Vec<Topic>,
    /// Where the stores are made; must lie on a real disk [default: the system's temporary folder]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Args {
    /// `full` of something, or a tenth of it when there is little time.
    fn scaled(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }

    /// An empty folder for a store.
    fn folder(&self) -> Result<TempDir, Error> {
        Ok(match &self.dir {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => tempfile::tempdir()?,
        })
    }

    /// How often a throughput is measured; the median counts.
    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }
}

/// Runs the topics and prints their tables.
pub(crate) async fn run(args: Args) -> Result<(), Error> {
    println!("## queue\n\n{}", machine::describe());
    let all = <Topic as clap::ValueEnum>::value_variants();
    for topic in all.iter().filter(|topic| args.only.is_empty() || args.only.contains(topic)) {
        match topic {
            Topic::Submits => submits::run(&args).await?,
            Topic::Noop => noop::run(&args).await?,
            Topic::Latency => latency::run(&args).await?,
            Topic::Requeue => requeue::run(&args).await?,
            Topic::StartUp => start_up::run(&args).await?,
            Topic::Fleet => fleet_cost::run(&args).await?,
            Topic::Telemetry => telemetry_cost::run(&args).await?,
        }
    }
    Ok(())
}

/// A controller on an empty store, and what the machine can do beside it.
struct Place {
    controller: Controller,
    baseline: Baseline,
    client: Client,
    dir: TempDir,
}

impl Place {
    async fn new(args: &Args, arguments: &[&str]) -> Result<Self, Error> {
        let dir = args.folder()?;
        let controller = Controller::start(&dir.path().join("controller.db"), arguments)?;
        let client = client(&controller)?;
        let baseline = Baseline::measure(dir.path(), &controller.address).await?;
        Ok(Self { controller, baseline, client, dir })
    }
}

/// A client with a connection of its own.
fn client(controller: &Controller) -> Result<Client, Error> {
    Ok(Client::new(&ClientConfig::new(controller.address.as_str()))?)
}

/// A job whose files nobody will ever open. By their names any node can read them: one that needs
/// `ffmpeg` is not offered to nodes without it.
fn job() -> Submit {
    let spec = JobSpec::pair(
        MediaRef::new("/videos/catalogue/reference-00000001.y4m"),
        MediaRef::new("/videos/catalogue/distorted-00000001-1080p-5000k.y4m"),
    );
    Submit { spec, idempotency_key: None }
}

/// Submits `jobs` jobs, `batch` in a call and `callers` calls in flight.
async fn submit_batches(
    client: &Client,
    jobs: u64,
    (callers, batch): (usize, u64),
) -> Result<(), Error> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let next = Arc::new(AtomicU64::new(0));
    let mut calling = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (client, next) = (client.clone(), Arc::clone(&next));
        calling.spawn(async move {
            loop {
                let first = next.fetch_add(batch, Ordering::Relaxed);
                if first >= jobs {
                    return Ok::<_, Error>(());
                }
                client.submit_all(vec![job(); batch.min(jobs - first) as usize]).await?;
            }
        });
    }
    while let Some(called) = calling.join_next().await {
        called??;
    }
    Ok(())
}

/// A table whose title is followed by what the machine could do.
fn table(title: &str, baseline: &Baseline) -> Table {
    Table::new(format!("{title}\n\n{}", baseline.shown())).at_speed(baseline.speed())
}
