//! What the machine can do at all, measured in the same run as everything else.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::Error;
use crate::statistics::Times;
use crate::table::number;

/// How long each of them is measured.
const TIME: Duration = Duration::from_millis(700);

/// Bytes that are made durable at once: a page.
const PAGE_BYTES: usize = 4_096;

/// Pages of the file that is overwritten in place.
const PAGES: u64 = 1_024;

/// Calls in flight where many are.
const ECHOES_IN_FLIGHT: usize = 32;

/// Echoes a second, one after the other, of the machine of bench/README.md when nothing slows it.
const ECHOES_ALONE_PER_SECOND: f64 = 9_000.0;

/// How often a second something was done, and how long it took.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) times: Times,
}

impl Rate {
    fn new(times: Vec<Duration>, took: Duration) -> Result<Self, Error> {
        let per_second = times.len() as f64 / took.as_secs_f64();
        Ok(Self { per_second, times: Times::new(times).ok_or("nothing was measured")? })
    }

    fn shown(&self) -> String {
        let (p50, p99) = (number(self.times.p50_ms()), number(self.times.p99_ms()));
        format!("{}/s (p50 {p50} ms, p99 {p99} ms)", number(self.per_second))
    }
}

/// The disk and the wire.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    overwrite: Rate,
    append: Rate,
    echo_alone: Rate,
    echo_many: Rate,
}

impl Baseline {
    /// Measures the disk that `dir` lies on, and the gRPC server at `address`, by its health check.
    pub(crate) async fn measure(dir: &Path, address: &str) -> Result<Self, Error> {
        let dir = dir.to_owned();
        let (overwrite, append) =
            tokio::task::spawn_blocking(move || Ok::<_, Error>((overwrite(&dir)?, append(&dir)?)))
                .await??;
        let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let channel = channel.connect().await?;
        Ok(Self {
            overwrite,
            append,
            echo_alone: echo(&channel, 1).await?,
            echo_many: echo(&channel, ECHOES_IN_FLIGHT).await?,
        })
    }

    /// How fast CPU and wire are in this run, as a multiple of what they are on a quiet machine.
    pub(crate) fn speed(&self) -> f64 {
        self.echo_alone.per_second / ECHOES_ALONE_PER_SECOND
    }

    /// In one line, for below a table's title.
    pub(crate) fn shown(&self) -> String {
        format!(
            "fdatasync of 4 KiB: in place {}, appended {}; gRPC echo: alone {}, {ECHOES_IN_FLIGHT} in flight {}",
            self.overwrite.shown(),
            self.append.shown(),
            self.echo_alone.shown(),
            self.echo_many.shown(),
        )
    }

    /// In a few words, for beside a figure.
    pub(crate) fn short(&self) -> String {
        format!(
            "{} fdatasync/s, {} echoes/s",
            number(self.overwrite.per_second),
            number(self.echo_many.per_second)
        )
    }
}

fn overwrite(dir: &Path) -> Result<Rate, Error> {
    let file = File::create(dir.join("overwrite"))?;
    file.write_all_at(&vec![1; PAGE_BYTES * PAGES as usize], 0)?;
    file.sync_all()?;
    sync(&file, |index| index % PAGES)
}

fn append(dir: &Path) -> Result<Rate, Error> {
    sync(&File::create(dir.join("append"))?, |index| index)
}

fn sync(file: &File, page: impl Fn(u64) -> u64) -> Result<Rate, Error> {
    let bytes = [7; PAGE_BYTES];
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < TIME {
        let one = Instant::now();
        file.write_all_at(&bytes, page(times.len() as u64) * PAGE_BYTES as u64)?;
        rustix::fs::fdatasync(file)?;
        times.push(one.elapsed());
    }
    Rate::new(times, began.elapsed())
}

async fn echo(channel: &Channel, in_flight: usize) -> Result<Rate, Error> {
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let mut client = HealthClient::new(channel.clone());
        callers.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < TIME {
                let one = Instant::now();
                client.check(HealthCheckRequest { service: String::new() }).await?;
                times.push(one.elapsed());
            }
            Ok::<_, Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(called) = callers.join_next().await {
        times.extend(called??);
    }
    Rate::new(times, began.elapsed())
}
