//! The process as the operating system sees it. Where there is no `/proc`, only the uptime.

use std::fs;
use std::time::Instant;

use super::labels::{CpuMode, DiskDirection, Label, PagingFault};
use super::registry::{Point, PointValue, Registry};
use crate::schema::{InstrumentDef, instrument};

/// The unit of CPU times in `/proc`, which Linux fixes at a hundredth of a second.
const PROC_TICKS_PER_SECOND: f64 = 100.0;

/// Fields of `/proc/self/stat` after the command's closing parenthesis, from the state at 0.
const STAT_MINOR_FAULTS: usize = 7;
const STAT_MAJOR_FAULTS: usize = 9;
const STAT_USER_TICKS: usize = 11;
const STAT_SYSTEM_TICKS: usize = 12;
const STAT_THREADS: usize = 17;

pub(super) fn register(registry: &Registry) {
    let started = Instant::now();
    single(registry, instrument::PROCESS_UPTIME, move || Some(started.elapsed().as_secs_f64()));
    pair(registry, instrument::PROCESS_CPU, [CpuMode::User, CpuMode::System], |mode| {
        let field = match mode {
            CpuMode::User => STAT_USER_TICKS,
            CpuMode::System => STAT_SYSTEM_TICKS,
        };
        Some(stat_field(field)? / PROC_TICKS_PER_SECOND)
    });
    single(registry, instrument::PROCESS_THREADS, || stat_field(STAT_THREADS));
    single(registry, instrument::PROCESS_MEMORY, || kibibytes("VmRSS"));
    single(registry, instrument::PROCESS_MEMORY_VIRTUAL, || kibibytes("VmSize"));
    pair(registry, instrument::PROCESS_FAULTS, [PagingFault::Minor, PagingFault::Major], |fault| {
        stat_field(match fault {
            PagingFault::Minor => STAT_MINOR_FAULTS,
            PagingFault::Major => STAT_MAJOR_FAULTS,
        })
    });
    pair(
        registry,
        instrument::PROCESS_DISK,
        [DiskDirection::Read, DiskDirection::Write],
        |direction| {
            line(
                "/proc/self/io",
                match direction {
                    DiskDirection::Read => "read_bytes",
                    DiskDirection::Write => "write_bytes",
                },
            )
        },
    );
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

/// An instrument with a label of two values.
fn pair<L: Label>(
    registry: &Registry,
    def: InstrumentDef,
    values: [L; 2],
    read: fn(L) -> Option<f64>,
) {
    let key = def.labels[0].key;
    registry.observe(def, move |points| {
        points.extend(values.into_iter().filter_map(|value| {
            let labels = vec![(key, value.as_str().into())];
            Some(Point { labels, value: PointValue::Float(read(value)?) })
        }));
    });
}

fn stat_field(index: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command may hold spaces and parentheses itself, so the last one counts.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_ascii_whitespace().nth(index)?.parse().ok()
}

/// The number behind `name:` in a file of `/proc`.
fn line(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
    text.lines().find_map(rest)?.split_ascii_whitespace().next()?.parse().ok()
}

/// A size that `/proc/self/status` tells in KiB, in bytes.
fn kibibytes(name: &str) -> Option<f64> {
    Some(line("/proc/self/status", name)? * 1_024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_plausible_values() {
        let threads = stat_field(STAT_THREADS).expect("threads");
        assert!((1.0..10_000.0).contains(&threads), "{threads}");
        let resident = kibibytes("VmRSS").expect("memory");
        assert!((1e5..1e11).contains(&resident), "{resident}");
        assert!(kibibytes("VmSize").expect("memory") >= resident);
        assert!(stat_field(STAT_MINOR_FAULTS).expect("faults") > 0.0);
        let registry = Registry::with_exemplars(crate::config::ExemplarFilter::default());
        register(&registry);
        let snapshot = registry.snapshot();
        let empty = |metric: &&crate::metrics::MetricSnapshot| metric.points.is_empty();
        // Where the kernel was built without accounting of disk traffic, that one is not there.
        let missing: Vec<_> = snapshot.iter().filter(empty).map(|metric| metric.def.name).collect();
        let may_miss = [instrument::LABEL_OVERFLOW.name, instrument::PROCESS_DISK.name];
        assert!(missing.iter().all(|name| may_miss.contains(name)), "{missing:?}");
    }
}
