//! What telemetry costs the thread that serves a call, in allocations; see `span_cost`.

#[path = "span_cost/calls.rs"]
mod calls;

use calls::Services;

/// Calls of which the mean is taken.
const CALLS: u64 = 1_000;

fn main() {
    let services = Services::start();
    let mut variants = services.variants();
    let mut counts = Vec::new();
    for variant in &mut variants {
        (variant.call)();
        let counted = allocation_counter::measure(|| (0..CALLS).for_each(|_| (variant.call)()));
        counts.push(counted.count_total as f64 / CALLS as f64);
        services.flush();
    }
    println!("| call | allocations | more than bare | goal |");
    println!("|---|---|---|---|");
    for (variant, count) in variants.iter().zip(&counts) {
        let bare = variant.beside.map(|index| counts[index]);
        let cost = count - bare.unwrap_or(0.0);
        let goal = match variant.goal {
            Some((_, most)) if most < u64::MAX => {
                format!("≤ {most}{}", if cost <= most as f64 { "" } else { " missed" })
            }
            _ => String::new(),
        };
        let more = bare.map_or(String::new(), |_| format!("{cost:.2}"));
        println!("| {} | {count:.2} | {more} | {goal} |", variant.name);
    }
}
