//! What a measurement costs where it is made: nanoseconds a call, the best of several rounds, each
//! beside a bare atomic addition in the same run. Run it with `--release`.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use observability::metrics::{AttemptOutcome, Metrics};
use observability::{Origin, context_of};
use types::{Stage, TraceContext};

const ROUNDS: usize = 15;
const CALLS: u32 = 200_000;

/// What a recorder that is kept may cost a call.
const GOAL_NANOS: f64 = 20.0;

fn nanos(mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let began = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let metrics = Metrics::new();
    let bare = AtomicU64::new(0);
    let (queue, node, engine) = (metrics.queue(), metrics.node(), metrics.engine());
    let wait = Duration::from_micros(700);
    println!(
        "a bare atomic addition        {:6.1} ns",
        nanos(|| {
            black_box(&bare).fetch_add(1, Ordering::Relaxed);
        })
    );
    let kept: [(&str, f64); 5] = [
        ("counter", nanos(|| black_box(node).frames().add(1))),
        ("counter of seconds", nanos(|| black_box(node).work_time().add(wait))),
        ("counter with a closed label", nanos(|| black_box(node).stage(Stage::Score, wait))),
        ("histogram, no span", nanos(|| black_box(queue).waited(wait))),
        (
            "histogram with a closed label",
            nanos(|| black_box(node).attempt(AttemptOutcome::Succeeded, wait)),
        ),
    ];
    for (what, took) in kept {
        let verdict = if took <= GOAL_NANOS { "within" } else { "MISSES" };
        println!("{what:<30}{took:6.1} ns  {verdict} {GOAL_NANOS} ns");
    }
    for (flags, what) in [("00", "histogram, unsampled span"), ("01", "histogram, sampled span")] {
        let trace = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let trace = TraceContext::parse(&trace, "").expect("valid");
        let _guard = context_of(&trace, Origin::Local).attach();
        println!("{what:<30}{:6.1} ns", nanos(|| black_box(queue).waited(wait)));
    }
    // Looked up by its labels each time: for what happens once an attempt.
    println!("open label, known value       {:6.1} ns", nanos(|| engine.frames("vmaf_v0.6.1", 1)));
    println!(
        "open and closed label         {:6.1} ns",
        nanos(|| queue.attempt("node-7", AttemptOutcome::Succeeded))
    );
    let began = Instant::now();
    let bytes = metrics.render(None).body.len();
    println!("a scrape of {bytes} bytes       {:6.0} µs", began.elapsed().as_secs_f64() * 1e6);
}
