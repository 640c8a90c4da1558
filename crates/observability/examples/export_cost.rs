//! What a recorded span costs, part by part: the thread that makes it, the thread that exports it, and a
//! collector that reads the message and throws it away, each by its own CPU time; and what of the
//! exporting thread's is for writing the message and for compressing it.
//!
//! `cargo xtask bench telemetry` runs it.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use observability::schema::attr;
use observability::testing::encoded_spans;
use observability::{
    OtelConfig, OtelGuard, Parent, SpanKind, SpanRecord, Tracer, new_span_id, new_trace_id,
};
use types::{TraceContext, TraceFlags};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Spans of a turn, fewer than the queue holds, and turns.
const SPANS: (usize, usize) = (40_000, 6);
/// How long a turn's spans may take to be sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Names of threads, as the system cuts them.
const EXPORTING: &str = "vmafx-telemetry";
const COLLECTOR: &str = "collector";

fn main() {
    println!("| part | ns a span | bytes a span |");
    println!("|---|---|---|");
    alone();
    println!();
    println!(
        "| spans a message | compression | maker, ns | exporter, ns | collector, ns | together |"
    );
    println!("|---|---|---|---|---|---|");
    let endpoint = collector();
    for (batch, compression) in
        [("512", "none"), ("4096", "none"), ("512", "gzip"), ("4096", "gzip")]
    {
        whole_way(&endpoint, batch, compression);
    }
}

/// A span as the queue makes most: about ten attributes, ids and numbers among them.
fn record() -> SpanRecord {
    let context = TraceContext {
        trace_id: new_trace_id(),
        span_id: new_span_id(),
        flags: TraceFlags::SAMPLED,
        tracestate: "ot=th:0".to_owned(),
    };
    let now = SystemTime::now();
    SpanRecord::new(context, SpanKind::Consumer, "process vmafx.jobs", now, now)
        .child_of(new_span_id(), observability::Origin::Remote)
        .with(attr::JOB_ID, "01a20581-6781-7000-89e9-a1fa3a5dfdc4".to_owned())
        .with(attr::NODE_ID, "node-a".to_owned())
        .with(attr::PART_ID, 123_456)
        .with(attr::ATTEMPT_NUMBER, 1)
        .with(attr::FENCE, 234_567)
        .with(attr::OUTCOME, "succeeded")
        .with(attr::FRAME_COUNT, 48)
        .with(attr::MESSAGING_SYSTEM_NAME, "vmafx")
        .with(attr::MESSAGING_OPERATION_NAME, "process")
        .with(attr::MESSAGING_DESTINATION_NAME, "vmafx.jobs")
}

/// The best of some turns, in nanoseconds each.
fn best(times: usize, mut turn: impl FnMut()) -> f64 {
    let once = || {
        let began = Instant::now();
        turn();
        began.elapsed().as_nanos() as f64 / times as f64
    };
    std::iter::repeat_with(once).take(20).fold(f64::INFINITY, f64::min)
}

/// Each part by itself, on this thread.
fn alone() {
    const BATCH: usize = 512;
    let row = |part: &str, nanos: f64, bytes: Option<usize>| {
        let bytes = bytes.map_or(String::new(), |bytes| (bytes / BATCH).to_string());
        println!("| {part} | {nanos:.0} | {bytes} |");
    };
    row(
        "a span of ten attributes made and dropped",
        best(BATCH, || {
            (0..BATCH).for_each(|_| drop(black_box(record())));
        }),
        None,
    );
    let config = OtelConfig::from_env("export-cost", |_| None);
    let spans: Vec<_> = (0..BATCH).map(|_| record()).collect();
    let message = encoded_spans(&config, &spans);
    let encode = || drop(black_box(encoded_spans(&config, &spans)));
    row("written as protobuf", best(BATCH, encode), Some(message.len()));
    for level in [1, 6] {
        let gzip = || {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
            gzip.write_all(&message).expect("in memory");
            gzip.finish().expect("in memory")
        };
        let bytes = gzip().len();
        let nanos = best(BATCH, || drop(black_box(gzip())));
        row(&format!("compressed by gzip, level {level}"), nanos, Some(bytes));
    }
}

/// Made by this thread, exported by the telemetry's, read by the collector's.
fn whole_way(endpoint: &str, batch: &str, compression: &str) {
    let guard = OtelGuard::start(&OtelConfig::from_env("export-cost", |name| {
        let value = match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => endpoint,
            "OTEL_EXPORTER_OTLP_COMPRESSION" => compression,
            "OTEL_METRICS_EXPORTER" => "none",
            "OTEL_TRACES_SAMPLER" => "always_on",
            "OTEL_BSP_MAX_QUEUE_SIZE" => "65536",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" => batch,
            _ => return None,
        };
        Some(value.to_owned())
    }));
    let (spans, turns) = SPANS;
    let mut costs = [f64::INFINITY; 3];
    for _ in 0..turns {
        let before = cpu();
        (0..spans).for_each(|_| make(guard.tracer()));
        let made = cpu();
        guard.flush(PATIENCE);
        let after = cpu();
        let used = [made[0] - before[0], after[1] - before[1], after[2] - before[2]];
        for (least, used) in costs.iter_mut().zip(used) {
            *least = least.min(used as f64 / spans as f64);
        }
    }
    let [maker, exporter, collector] = costs;
    let sum = maker + exporter + collector;
    println!(
        "| {batch} | {compression} | {maker:.0} | {exporter:.0} | {collector:.0} | {sum:.0} |"
    );
    guard.shutdown();
}

/// A span as the programs make one that lives: begun, described, ended.
fn make(tracer: &Tracer) {
    let mut span = tracer.span("process vmafx.jobs").parent(Parent::Root).start();
    span.set(attr::JOB_ID, "01a20581-6781-7000-89e9-a1fa3a5dfdc4".to_owned());
    span.set(attr::NODE_ID, "node-a".to_owned());
    span.set(attr::PART_ID, 123_456);
    span.set(attr::ATTEMPT_NUMBER, 1);
    span.set(attr::FENCE, 234_567);
    span.set(attr::OUTCOME, "succeeded");
    span.set(attr::FRAME_COUNT, 48);
    span.set(attr::MESSAGING_SYSTEM_NAME, "vmafx");
    span.set(attr::MESSAGING_OPERATION_NAME, "process");
    span.set(attr::MESSAGING_DESTINATION_NAME, "vmafx.jobs");
    span.end();
}

/// CPU nanoseconds of this thread, the exporting ones and the collector's.
fn cpu() -> [u64; 3] {
    let of = |folder: &std::path::Path| {
        let text = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    let mut used = [of("/proc/thread-self".as_ref()).unwrap_or(0), 0, 0];
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let place = match name.trim() {
            EXPORTING => 1,
            COLLECTOR => 2,
            _ => continue,
        };
        used[place] += of(&thread.path()).unwrap_or(0);
    }
    used
}

/// A collector that reads whole requests and answers each, on a thread of its own; its address.
fn collector() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let serve = move || {
        for connection in listener.incoming().flatten() {
            // Whoever sends has gone.
            let _ = answer_all(connection);
        }
    };
    std::thread::Builder::new().name(COLLECTOR.to_owned()).spawn(serve).expect("a thread");
    endpoint
}

/// One connection at a time, which is all that there is.
fn answer_all(connection: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, connection);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
