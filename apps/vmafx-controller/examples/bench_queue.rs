//! How fast the queue is, on this disk, without gRPC: durable submits, claims and completes, and
//! start-up with a backlog, beside the disk's own time to make 4 KiB durable.
//!
//! ```text
//! cargo run --release -p vmafx-controller --example bench_queue -- [DIRECTORY] [BACKLOG_JOBS]
//! ```
//!
//! Goals, on a machine whose disk makes 4 KiB durable in 0.11 ms: one client p50 at most 0.6 ms and
//! p99 at most 2 ms; 15,000 submits a second by 64 clients; 150,000 jobs a second in batches of
//! 100; a million queued jobs loaded in at most 1.5 s in at most 10 MB per 100,000.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use types::{
    AttemptReport, Capabilities, Column, FrameTable, Incarnation, JobSpec, MediaRef, ModelScore,
    NodeId, NodeStatus, Outcome, PooledScore, Provenance, Registration, ReportAnswer, ReportWay,
    ScoreReport, SpanId, StageTimings, SubmitCall, SubmitMethod, Timestamp, ToNode, TraceContext,
    TraceFlags, TraceId,
};
use vmafx_controller::queue::{
    FinishedJob, Queue, QueueConfig, QueueEvent, QueueObserver, Submission,
};

struct Quiet;

impl QueueObserver for Quiet {
    fn observe(&self, _: &QueueEvent<'_>) {}

    fn wants_finished(&self, _: &FinishedJob<'_>) -> bool {
        false
    }
}

fn open(path: &Path) -> Result<(Queue, vmafx_controller::queue::QueueThread), Box<dyn Error>> {
    Ok(Queue::open(QueueConfig::new(path), Arc::new(Quiet))?)
}

fn submission() -> Submission {
    let trace_id = TraceId::new([7; 16]).expect("not zero");
    let span_id = SpanId::new([8; 8]).expect("not zero");
    let reference = MediaRef::new("/media/catalogue/title-0001/reference-2160p.mkv");
    let distorted = MediaRef::new("/media/catalogue/title-0001/rendition-0007-1080p.mp4");
    let trace =
        TraceContext { trace_id, span_id, flags: TraceFlags::default(), tracestate: String::new() };
    let mut spec = JobSpec::pair(reference, distorted);
    spec.labels.insert("title".into(), "title-0001".into());
    let (began_at, sent_at) = (Timestamp::EPOCH, Timestamp::EPOCH);
    let (method, caller) = (SubmitMethod::SubmitJob, None);
    let call = Some(SubmitCall { method, span_id, caller, began_at, sent_at });
    let tenant = String::new();
    Submission { spec, tenant, idempotency: None, trace, root_span_id: span_id, call }
}

/// A result of a clip of ten frames: what a no-op costs least.
fn success() -> Outcome {
    let it = 93.5;
    let pooled = PooledScore {
        mean: it,
        harmonic_mean: it,
        min: it,
        max: it,
        standard_deviation: 0.0,
        p1: it,
        p5: it,
        p10: it,
        p25: it,
        p50: it,
    };
    let model = ModelScore {
        name: "vmaf".into(),
        version: "vmaf_v0.6.1".into(),
        sha256: String::new(),
        pooled,
    };
    Outcome::Succeeded(vec![ScoreReport {
        width: 1_920,
        height: 1_080,
        models: vec![model],
        pooled: vec![("vmaf".into(), pooled)],
        aggregates: Vec::new(),
        frames: FrameTable {
            frame_indices: (0..10).collect(),
            columns: vec![Column { name: "vmaf".into(), values: vec![it; 10] }],
        },
        warnings: Vec::new(),
        provenance: Provenance::default(),
        timings: StageTimings::default(),
        digest: "0".repeat(64),
        encoded: None,
    }])
}

fn percentile(sorted: &[Duration], share: usize) -> f64 {
    sorted[(sorted.len() - 1) * share / 1_000].as_secs_f64() * 1_000.0
}

/// Submits from `clients` tasks, each `calls` times `batch` jobs.
async fn submits(queue: &Queue, clients: usize, calls: usize, batch: usize) {
    let (started, cpu) = (Instant::now(), writer_cpu());
    let tasks = (0..clients).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut times = Vec::with_capacity(calls);
            for _ in 0..calls {
                let before = Instant::now();
                queue.submit(vec![submission(); batch]).await.expect("accepted");
                times.push(before.elapsed());
            }
            times
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("it ends"));
    }
    let rate = (clients * calls * batch) as f64 / started.elapsed().as_secs_f64();
    let cpu = (writer_cpu() - cpu).as_secs_f64() * 1e6;
    times.sort_unstable();
    println!(
        "submit   {clients:>4} clients x {batch:>4} jobs  {rate:>9.0} jobs/s  \
         p50 {:.3} ms  p99 {:.3} ms  p99.9 {:.3} ms  writer {:.1} us/job",
        percentile(&times, 500),
        percentile(&times, 990),
        percentile(&times, 999),
        cpu / (clients * calls * batch) as f64,
    );
}

/// Lets `nodes` nodes of `credit` slots run `jobs` queued jobs that take no time.
async fn claims(queue: &Queue, nodes: usize, credit: u32, jobs: usize) {
    let batches = jobs / 1_000;
    for _ in 0..batches {
        queue.submit(vec![submission(); 1_000]).await.expect("accepted");
    }
    let jobs = (batches * 1_000) as u64;
    let (done, all) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let commits = queue.stats().commits;
    let (started, cpu) = (Instant::now(), writer_cpu());
    let mut tasks = Vec::new();
    for index in 0..nodes {
        let (queue, done, all) = (queue.clone(), Arc::clone(&done), Arc::clone(&all));
        tasks.push(tokio::spawn(async move {
            node(&queue, &format!("bench-{nodes}-{credit}-{index}"), credit, move || {
                if done.fetch_add(1, Ordering::Relaxed) + 1 == jobs {
                    all.notify_one();
                }
            })
            .await;
        }));
    }
    all.notified().await;
    let took = started.elapsed().as_secs_f64();
    let commits = queue.stats().commits - commits;
    println!(
        "no-op    {nodes:>4} nodes x {credit:>4} slots   {:>9.0} jobs/s  {:.0} commits/s  \
         writer {:.1} us/job",
        jobs as f64 / took,
        commits as f64 / took,
        (writer_cpu() - cpu).as_secs_f64() * 1e6 / jobs as f64,
    );
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Runs what comes in no time; as many reports are under way as it has slots.
async fn node(queue: &Queue, name: &str, credit: u32, done: impl Fn() + Clone + Send + 'static) {
    let capabilities = Capabilities {
        backends: vec!["cpu".into()],
        codecs: vec!["y4m".into(), "ffmpeg".into()],
        encoders: Vec::new(),
        encoder_versions: Vec::new(),
        slots: credit,
        isa: "avx2".into(),
        version: "bench".into(),
    };
    let (node, incarnation) = (NodeId::new(name).expect("a good name"), Incarnation(1));
    let registration = Registration { node, incarnation, capabilities };
    let session = queue.register(registration).await.expect("registered").session;
    let status = NodeStatus { slots_offered: credit, running: Vec::new(), draining: false };
    let mut stream = queue.attach(session, incarnation, status).await.expect("attached");
    while let Some(message) = stream.next().await {
        let ToNode::Lease(lease) = message else { continue };
        let (queue, done) = (queue.clone(), done.clone());
        tokio::spawn(async move {
            let (part, fence, timings) = (lease.part, lease.fence, StageTimings::default());
            let (outcome, digest) = (success(), [1; 32]);
            let report = AttemptReport { part, fence, outcome, timings, digest };
            let answer = queue.report(session, incarnation, report, ReportWay::CALL).await;
            assert_eq!(answer, Ok(ReportAnswer::Accepted));
            done();
        });
    }
}

/// Time on a processor that the writer thread has had so far: what a busy machine cannot blur.
fn writer_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let nanos = times.split(' ').next()?.parse().ok()?;
        (name.trim() == "queue-writer").then_some(Duration::from_nanos(nanos))
    });
    times.sum()
}

fn resident_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    pages * 4_096.0 / 1e6
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// Opens a store with a backlog and leases from it.
async fn start(path: &Path) -> Result<(), Box<dyn Error>> {
    let before_mb = resident_mb();
    let started = Instant::now();
    let (queue, thread) = open(path)?;
    let opened = started.elapsed();
    let loaded_mb = resident_mb();
    let (sent, mut first) = tokio::sync::mpsc::unbounded_channel();
    let task = {
        let queue = queue.clone();
        tokio::spawn(async move {
            node(&queue, "first", 1, move || sent.send(()).unwrap_or(())).await;
        })
    };
    first.recv().await.ok_or("the node ended")?;
    let queued = queue.stats().queued;
    println!(
        "start    {queued} queued: open {opened:?}, first job done after {:?}, resident \
         {before_mb:.0} MB before, {loaded_mb:.0} MB loaded",
        started.elapsed()
    );
    task.abort();
    drop(queue);
    thread.shutdown();
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| "target/bench_queue".into()));
    let backlog: usize = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let path = directory.join("queue.db");
    if arguments.next().as_deref() == Some("start") {
        return start(&path).await;
    }
    std::fs::create_dir_all(&directory)?;
    remove(&path);
    let (queue, thread) = open(&path)?;
    let stats = queue.stats();
    println!("fsync    p50 {:?}  p99 {:?}", stats.fsync_p50, stats.fsync_p99);
    submits(&queue, 1, 4_000, 1).await;
    submits(&queue, 64, 1_500, 1).await;
    submits(&queue, 8, 250, 100).await;
    submits(&queue, 8, 50, 1_000).await;
    drop(queue);
    thread.shutdown();
    for (nodes, credit) in [(1, 1), (16, 1), (16, 16), (1_000, 4)] {
        remove(&path);
        let (queue, thread) = open(&path)?;
        claims(&queue, nodes, credit, if nodes == 1 { 10_000 } else { 200_000 }).await;
        drop(queue);
        thread.shutdown();
    }
    remove(&path);
    let (queue, thread) = open(&path)?;
    for _ in 0..backlog / 1_000 {
        queue.submit(vec![submission(); 1_000]).await?;
    }
    drop(queue);
    thread.shutdown();
    // A process of its own, so that the memory that filled the store does not count.
    let status = std::process::Command::new(std::env::current_exe()?)
        .args([directory.as_os_str(), backlog.to_string().as_ref(), "start".as_ref()])
        .status()?;
    remove(&path);
    if status.success() { Ok(()) } else { Err("the second process failed".into()) }
}
