//! The process as the operating system sees it. Where there is no `/proc`, only the uptime.

use std::fs;
use std::time::Instant;

use super::labels::{CpuMode, Label};
use super::registry::{Point, PointValue, Registry};
use crate::schema::{InstrumentDef, attr, instrument};

/// The unit of CPU times in `/proc`, which Linux fixes at a hundredth of a second.
const PROC_TICKS_PER_SECOND: f64 = 100.0;

/// Fields of `/proc/self/stat` after the command's closing parenthesis, from the state at 0.
const STAT_USER_TICKS: usize = 11;
const STAT_SYSTEM_TICKS: usize = 12;
const STAT_THREADS: usize = 17;

pub(super) fn register(registry: &Registry) {
    let started = Instant::now();
    single(registry, instrument::PROCESS_UPTIME, move || Some(started.elapsed().as_secs_f64()));
    registry.observe(instrument::PROCESS_CPU, |points| {
        let ticks = [(CpuMode::User, STAT_USER_TICKS), (CpuMode::System, STAT_SYSTEM_TICKS)];
        points.extend(ticks.into_iter().filter_map(|(mode, field)| {
            Some(Point {
                labels: vec![(attr::CPU_MODE, mode.as_str().into())],
                value: PointValue::Float(stat_field(field)? / PROC_TICKS_PER_SECOND),
            })
        }));
    });
    single(registry, instrument::PROCESS_THREADS, || stat_field(STAT_THREADS));
    single(registry, instrument::PROCESS_MEMORY, resident_bytes);
    single(registry, instrument::PROCESS_FDS, || {
        Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
    });
}

fn single(
    registry: &Registry,
    def: InstrumentDef,
    read: impl Fn() -> Option<f64> + Send + Sync + 'static,
) {
    registry.observe(def, move |points| {
        points.extend(
            read().map(|value| Point { labels: Vec::new(), value: PointValue::Float(value) }),
        );
    });
}

fn stat_field(index: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command may hold spaces and parentheses itself, so the last one counts.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_ascii_whitespace().nth(index)?.parse().ok()
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_plausible_values() {
        let threads = stat_field(STAT_THREADS).expect("threads");
        assert!((1.0..10_000.0).contains(&threads), "{threads}");
        let resident = resident_bytes().expect("memory");
        assert!((1e5..1e11).contains(&resident), "{resident}");
        let registry = Registry::with_exemplars(crate::config::ExemplarFilter::default());
        register(&registry);
        assert!(registry.snapshot().iter().all(|metric| !metric.points.is_empty()));
    }
}
