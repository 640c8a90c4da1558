//! An unsampled call costs no allocation but what axum needs to carry a layer.

use std::sync::{Mutex, PoisonError};

#[path = "../examples/span_cost/calls.rs"]
mod calls;

use calls::Services;

#[test]
fn an_unsampled_call_allocates_nothing() {
    // Counting is by thread; nothing else runs on this one.
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let services = Services::start();
    let mut variants = services.variants();
    let counts: Vec<u64> = variants
        .iter_mut()
        .map(|variant| {
            // What is made once is made now.
            (0..10).for_each(|_| (variant.call)());
            let counted = allocation_counter::measure(|| (0..100).for_each(|_| (variant.call)()));
            services.flush();
            counted.count_total / 100
        })
        .collect();
    let mut checked = 0;
    for (variant, count) in variants.iter().zip(&counts) {
        if let Some((_, most)) = variant.goal.filter(|(_, most)| *most < u64::MAX) {
            let bare = variant.beside.map_or(0, |index| counts[index]);
            assert!(count - bare <= most, "{}: {count} instead of {bare}", variant.name);
            checked += 1;
        }
    }
    assert!(checked >= 7, "{checked}");
}
