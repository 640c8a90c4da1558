//! The asynchronous runtimes of the process, as tokio counts them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Handle, RuntimeMetrics};

use super::registry::{Point, PointValue, Registry};
use crate::schema::{InstrumentDef, attr, instrument};

/// Runtimes that are shown.
pub const RUNTIMES_MAX: usize = 8;

type Watched = Arc<Mutex<Vec<(&'static str, Handle)>>>;

/// The runtimes that are shown. A handle keeps no runtime alive, only its numbers.
#[derive(Debug, Clone)]
pub(super) struct Runtimes(Watched);

impl Runtimes {
    pub(super) fn register(registry: &Registry) -> Self {
        let watched = Watched::default();
        let show = |def: InstrumentDef, read: fn(&RuntimeMetrics) -> PointValue| {
            let watched = Arc::clone(&watched);
            registry.observe(def, move |points| {
                let watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                points.extend(watched.iter().map(|(name, runtime)| Point {
                    labels: vec![(attr::RUNTIME, (*name).into())],
                    value: read(&runtime.metrics()),
                }));
            });
        };
        show(
            instrument::TOKIO_WORKERS,
            |runtime| PointValue::Integer(runtime.num_workers() as u64),
        );
        show(instrument::TOKIO_TASKS, |runtime| {
            PointValue::Integer(runtime.num_alive_tasks() as u64)
        });
        show(instrument::TOKIO_QUEUE, |runtime| {
            PointValue::Integer(runtime.global_queue_depth() as u64)
        });
        show(instrument::TOKIO_BUSY, |runtime| {
            let busy = |worker| runtime.worker_total_busy_duration(worker).as_secs_f64();
            PointValue::Float((0..runtime.num_workers()).map(busy).sum())
        });
        show(instrument::TOKIO_PARKS, |runtime| {
            let parks = |worker| runtime.worker_park_count(worker);
            PointValue::Integer((0..runtime.num_workers()).map(parks).sum())
        });
        Self(watched)
    }

    pub(super) fn watch(&self, name: &'static str, runtime: &Handle) {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = watched.iter_mut().find(|(known, _)| *known == name) {
            *known = runtime.clone();
        } else if watched.len() < RUNTIMES_MAX {
            watched.push((name, runtime.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Metrics, PointValue};
    use crate::schema::{attr, instrument};

    #[test]
    fn each_runtime_is_shown_under_its_name() {
        let metrics = Metrics::new();
        let build = |workers| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(workers).build().expect("a runtime")
        };
        let (two, three) = (build(2), build(3));
        metrics.watch_runtime("main", two.handle());
        metrics.watch_runtime("telemetry", three.handle());
        let task = two.spawn(std::future::pending::<()>());
        let points = |name: &str| {
            let snapshot = metrics.snapshot();
            snapshot.into_iter().find(|metric| metric.def.name == name).expect("there").points
        };
        let workers = points(instrument::TOKIO_WORKERS.name);
        assert_eq!(workers[0].labels, [(attr::RUNTIME, "main".into())]);
        assert_eq!(workers[0].value, PointValue::Integer(2));
        assert_eq!(workers[1].value, PointValue::Integer(3));
        assert_eq!(points(instrument::TOKIO_TASKS.name)[0].value, PointValue::Integer(1));
        task.abort();
        metrics.watch_runtime("main", three.handle());
        assert_eq!(points(instrument::TOKIO_WORKERS.name)[0].value, PointValue::Integer(3));
    }

    #[test]
    fn a_runtime_that_has_ended_can_still_be_read() {
        let metrics = Metrics::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        metrics.watch_runtime("main", runtime.handle());
        drop(runtime);
        let rendered = metrics.render(None).body;
        assert!(
            rendered.contains("vmafx_runtime_tokio_tasks{vmafx_runtime_name=\"main\"} 0"),
            "{rendered}"
        );
    }
}
