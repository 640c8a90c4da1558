//! What telemetry costs the thread that serves a call, in nanoseconds: bare services and the same
//! ones behind the layers take turns in one run, each cost beside its goal. Allocations are counted
//! by `span_allocations`. `cargo xtask bench telemetry` runs both.
//!
//! A call is a whole unary call in memory: the request is made, the service answers at once, the
//! body is read to its trailers. With a number as argument, that variant runs alone, for a profiler,
//! as often as a second number says; otherwise what a variant costs is its time minus the bare service's.

use std::time::Instant;

use calls::{Services, Variant};

mod calls;

/// As the programs have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds in which the variants take turns.
const ROUNDS: usize = 100;
/// Calls of a variant in a round; fewer than the queue of spans holds.
const CALLS: u32 = 2_000;

/// Calls of one variant alone, unless said otherwise.
const ALONE: usize = 3_000_000;

fn main() {
    let services = Services::start();
    let mut variants = services.variants();
    let number = |nth| std::env::args().nth(nth).and_then(|number| number.parse::<usize>().ok());
    if let Some(alone) = number(1) {
        return (0..number(2).unwrap_or(ALONE)).for_each(|_| (variants[alone].call)());
    }
    let costs = measure(&mut variants, &services);
    println!("| call | ns | more than bare | goal | ratio |");
    println!("|---|---|---|---|---|");
    for (variant, nanos) in variants.iter().zip(&costs) {
        let bare = variant.beside.map(|index| costs[index]);
        let cost = nanos - bare.unwrap_or(0.0);
        let (goal, ratio) = match variant.goal {
            Some((goal, _)) if cost <= goal => (format!("≤ {goal:.0}"), goal / cost),
            Some((goal, _)) => (format!("≤ {goal:.0} missed"), goal / cost),
            None => Default::default(),
        };
        let more = bare.map_or(String::new(), |_| format!("{cost:.0}"));
        let ratio = if goal.is_empty() { String::new() } else { format!("{ratio:.2}") };
        println!("| {} | {nanos:.0} | {more} | {goal} | {ratio} |", variant.name);
    }
}

/// Nanoseconds of each variant's call, as the best tenth of the rounds had them: whatever else runs
/// on the machine makes a round slower, never faster.
fn measure(variants: &mut [Variant<'_>], services: &Services) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            let began = Instant::now();
            for _ in 0..CALLS {
                (variant.call)();
            }
            times.push(began.elapsed().as_nanos() as f64 / f64::from(CALLS));
            services.flush();
        }
    }
    let tenth = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 10]
    };
    times.into_iter().map(tenth).collect()
}
