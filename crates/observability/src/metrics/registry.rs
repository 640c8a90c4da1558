//! The list of instruments, and the snapshot from which every form is written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use super::cells::{Counter, Gauge, Histogram, HistogramSnapshot, SecondsCounter};
use super::labels::Label;
use crate::config::ExemplarFilter;
use crate::schema::{AttributeDef, InstrumentDef, ValueType, attr, instrument};

/// A label whose values come from outside keeps its first ones, this many; the rest become `other`,
/// so that sums stay exact.
pub const LABEL_VALUES_MAX: usize = 200;

/// A family with such labels keeps this many series; in those beyond it all of them are `other`.
pub const SERIES_MAX: usize = 1_000;

/// The value that stands for all that are not kept.
pub const OTHER: &str = "other";

/// One series as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Label keys and values.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// What it holds.
    pub value: PointValue,
}

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum PointValue {
    /// Of a counter of things.
    Integer(u64),
    /// Of a gauge or a counter of seconds.
    Float(f64),
    /// Of a histogram.
    Histogram(HistogramSnapshot),
}

/// One instrument with its series.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSnapshot {
    /// The instrument.
    pub def: InstrumentDef,
    /// Its series.
    pub points: Vec<Point>,
}

type Collect = Box<dyn Fn(&mut Vec<Point>) + Send + Sync>;

/// A cell that a family can make and read.
pub trait Cell: Clone + Send + Sync + fmt::Debug + 'static {
    /// An empty cell for the instrument.
    fn empty(def: &InstrumentDef) -> Self;

    /// Its value now.
    fn value(&self) -> PointValue;

    /// Says which measurements may become exemplars, for a cell that keeps any.
    fn filter_exemplars(&self, _filter: ExemplarFilter) {}
}

impl Cell for Counter {
    fn empty(_: &InstrumentDef) -> Self {
        Self::default()
    }

    fn value(&self) -> PointValue {
        PointValue::Integer(self.get())
    }
}

impl Cell for SecondsCounter {
    fn empty(_: &InstrumentDef) -> Self {
        Self::default()
    }

    fn value(&self) -> PointValue {
        PointValue::Float(self.seconds())
    }
}

impl Cell for Gauge {
    fn empty(_: &InstrumentDef) -> Self {
        Self::default()
    }

    fn value(&self) -> PointValue {
        PointValue::Float(self.get())
    }
}

impl Cell for Histogram {
    fn empty(def: &InstrumentDef) -> Self {
        Self::new(def.buckets)
    }

    fn value(&self) -> PointValue {
        PointValue::Histogram(self.snapshot())
    }

    fn filter_exemplars(&self, filter: ExemplarFilter) {
        Self::filter_exemplars(self, filter);
    }
}

/// An empty cell that keeps the exemplars that `exemplars` lets through.
fn cell<C: Cell>(def: &InstrumentDef, exemplars: ExemplarFilter) -> C {
    let cell = C::empty(def);
    cell.filter_exemplars(exemplars);
    cell
}

/// One cell for each value of a closed label.
#[derive(Debug, Clone)]
pub(crate) struct Family<L, C> {
    cells: Arc<[C]>,
    label: std::marker::PhantomData<L>,
}

impl<L: Label, C> Family<L, C> {
    pub(crate) fn get(&self, label: L) -> &C {
        &self.cells[label.index()]
    }
}

/// The label keys and values of one series.
pub(crate) type LabelSet = Vec<(&'static str, Cow<'static, str>)>;

/// A cell for each set of labels seen, where some labels take their values from outside.
///
/// Of each such label the first [`LABEL_VALUES_MAX`] values are kept, and [`SERIES_MAX`] series in
/// all. Labels from closed lists keep theirs always.
#[derive(Debug)]
pub(crate) struct OpenFamily<C> {
    def: InstrumentDef,
    exemplars: ExemplarFilter,
    open: Arc<[&'static str]>,
    series: Arc<RwLock<Series<C>>>,
    overflow: Counter,
}

#[derive(Debug)]
struct Series<C> {
    cells: HashMap<LabelSet, C>,
    /// The values kept, by open label.
    values: HashMap<&'static str, HashSet<Cow<'static, str>>>,
}

impl<C> Clone for OpenFamily<C> {
    fn clone(&self) -> Self {
        Self {
            def: self.def,
            exemplars: self.exemplars,
            open: Arc::clone(&self.open),
            series: Arc::clone(&self.series),
            overflow: self.overflow.clone(),
        }
    }
}

impl<C: Cell> OpenFamily<C> {
    fn new(def: InstrumentDef, exemplars: ExemplarFilter, overflow: Counter) -> Self {
        let is_open = |key: &&str| {
            matches!(AttributeDef::of(key).map(|def| def.value), None | Some(ValueType::Text(_)))
        };
        let open = def.labels.iter().map(|label| label.key).filter(is_open).collect();
        let series = Series { cells: HashMap::new(), values: HashMap::new() };
        Self { def, exemplars, open, series: Arc::new(RwLock::new(series)), overflow }
    }

    /// The cell of `labels`; a caller on a hot path keeps it.
    pub(crate) fn get(&self, labels: LabelSet) -> C {
        if let Some(cell) = self.read().cells.get(&labels) {
            return cell.clone();
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let labels = self.admit(&mut series, labels);
        let empty = || cell(&self.def, self.exemplars);
        series.cells.entry(labels).or_insert_with(empty).clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Series<C>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The labels as they are kept.
    fn admit(&self, series: &mut Series<C>, mut labels: LabelSet) -> LabelSet {
        let full = series.cells.len() >= SERIES_MAX && !series.cells.contains_key(&labels);
        let mut cut = false;
        for (key, value) in labels.iter_mut().filter(|(key, _)| self.open.contains(key)) {
            let kept = series.values.entry(key).or_default();
            if full || (kept.len() >= LABEL_VALUES_MAX && !kept.contains(value)) {
                *value = OTHER.into();
                cut = true;
            } else if !kept.contains(value) {
                kept.insert(value.clone());
            }
        }
        if cut {
            self.overflow.add(1);
        }
        labels
    }

    fn points(&self, points: &mut Vec<Point>) {
        points.extend(
            self.read()
                .cells
                .iter()
                .map(|(labels, cell)| Point { labels: labels.clone(), value: cell.value() }),
        );
    }
}

/// The instruments of a process.
pub struct Registry {
    started_at: SystemTime,
    exemplars: ExemplarFilter,
    entries: Mutex<Vec<(InstrumentDef, Collect)>>,
    /// How often a label's value was not kept, by instrument.
    overflows: Arc<Mutex<Vec<(&'static str, Counter)>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("started_at", &self.started_at).finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn with_exemplars(exemplars: ExemplarFilter) -> Self {
        let registry = Self {
            started_at: SystemTime::now(),
            exemplars,
            entries: Mutex::new(Vec::new()),
            overflows: Arc::default(),
        };
        let overflows = Arc::clone(&registry.overflows);
        registry.observe(instrument::LABEL_OVERFLOW, move |points| {
            let overflows = overflows.lock().unwrap_or_else(PoisonError::into_inner);
            points.extend(overflows.iter().map(|(name, count)| Point {
                labels: vec![(attr::TELEMETRY_INSTRUMENT, (*name).into())],
                value: count.value(),
            }));
        });
        registry
    }

    /// From when on the sums count.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        self.started_at
    }

    /// Adds an instrument whose series are read when somebody looks. A panic in `collect` costs
    /// its points of that reading, nothing else.
    pub fn observe(
        &self,
        def: InstrumentDef,
        collect: impl Fn(&mut Vec<Point>) + Send + Sync + 'static,
    ) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(entries.iter().all(|(other, _)| other.name != def.name), "{}", def.name);
        entries.push((def, Box::new(collect)));
    }

    /// Adds an instrument without labels.
    pub fn single<C: Cell>(&self, def: InstrumentDef) -> C {
        let cell: C = cell(&def, self.exemplars);
        let read = cell.clone();
        self.observe(def, move |points| {
            points.push(Point { labels: Vec::new(), value: read.value() });
        });
        cell
    }

    pub(crate) fn family<L: Label, C: Cell>(&self, def: InstrumentDef) -> Family<L, C> {
        let key = def.labels[0].key;
        let cells: Arc<[C]> = L::ALL.iter().map(|_| cell(&def, self.exemplars)).collect();
        let read = cells.clone();
        self.observe(def, move |points| {
            points.extend(L::ALL.iter().zip(read.iter()).map(|(label, cell)| Point {
                labels: vec![(key, label.as_str().into())],
                value: cell.value(),
            }));
        });
        Family { cells, label: std::marker::PhantomData }
    }

    pub(crate) fn open_family<C: Cell>(&self, def: InstrumentDef) -> OpenFamily<C> {
        let overflow = Counter::default();
        let mut overflows = self.overflows.lock().unwrap_or_else(PoisonError::into_inner);
        overflows.push((def.name, overflow.clone()));
        drop(overflows);
        let family = OpenFamily::new(def, self.exemplars, overflow);
        let read = family.clone();
        self.observe(def, move |points| read.points(points));
        family
    }

    pub(crate) fn snapshot(&self) -> Vec<MetricSnapshot> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|(def, collect)| {
                let mut points = Vec::new();
                if catch_unwind(AssertUnwindSafe(|| collect(&mut points))).is_err() {
                    points.clear();
                }
                points.sort_by(|a, b| a.labels.cmp(&b.labels));
                MetricSnapshot { def: *def, points }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'a>(snapshot: &'a [MetricSnapshot], def: &InstrumentDef) -> &'a [Point] {
        &snapshot.iter().find(|metric| metric.def.name == def.name).expect("registered").points
    }

    fn whole(point: &Point) -> u64 {
        match &point.value {
            PointValue::Integer(value) => *value,
            PointValue::Histogram(histogram) => histogram.count(),
            PointValue::Float(_) => panic!("{point:?}"),
        }
    }

    #[test]
    fn a_panicking_reader_costs_its_own_points_only() {
        let registry = Registry::with_exemplars(ExemplarFilter::default());
        registry.observe(instrument::NODE_SLOTS, |_| panic!("reader failed"));
        let counter: Counter = registry.single(instrument::NODE_FRAMES);
        counter.add(3);
        for _ in 0..2 {
            let snapshot = registry.snapshot();
            assert!(named(&snapshot, &instrument::NODE_SLOTS).is_empty());
            assert_eq!(whole(&named(&snapshot, &instrument::NODE_FRAMES)[0]), 3);
        }
    }

    #[test]
    fn values_beyond_the_limit_become_other_and_closed_labels_stay() {
        let registry = Registry::with_exemplars(ExemplarFilter::default());
        let family: OpenFamily<Counter> = registry.open_family(instrument::ATTEMPTS);
        let labels = |node: usize, outcome: &'static str| {
            vec![(attr::OUTCOME, outcome.into()), (attr::NODE_ID, format!("node-{node}").into())]
        };
        for node in 0..LABEL_VALUES_MAX + 50 {
            family.get(labels(node, "succeeded")).add(1);
            family.get(labels(node, "lost")).add(2);
        }
        // A value that was kept is kept for good.
        family.get(labels(7, "failed")).add(1);
        let snapshot = registry.snapshot();
        let points = named(&snapshot, &instrument::ATTEMPTS);
        let of = |outcome: &str, node: &str| {
            let found = points.iter().find(|point| {
                point.labels[0].1 == outcome && point.labels[1] == (attr::NODE_ID, node.into())
            });
            whole(found.unwrap_or_else(|| panic!("{outcome} {node}")))
        };
        assert_eq!((of("succeeded", OTHER), of("lost", OTHER)), (50, 100));
        assert_eq!((of("succeeded", "node-0"), of("failed", "node-7")), (1, 1));
        assert_eq!(points.len(), 2 * (LABEL_VALUES_MAX + 1) + 1);
        let overflows = named(&snapshot, &instrument::LABEL_OVERFLOW);
        assert_eq!(overflows[0].labels[0].1, instrument::ATTEMPTS.name);
        assert_eq!(whole(&overflows[0]), 100);
    }

    #[test]
    fn series_beyond_the_limit_share_the_one_of_other() {
        let registry = Registry::with_exemplars(ExemplarFilter::default());
        let family: OpenFamily<Histogram> = registry.open_family(instrument::RPC_SERVER_DURATION);
        for method in 0..100 {
            for code in 0..20 {
                family
                    .get(vec![
                        (attr::RPC_METHOD, format!("method-{method}").into()),
                        (attr::RPC_STATUS_CODE, format!("code-{code}").into()),
                    ])
                    .record_value(1.0);
            }
        }
        let snapshot = registry.snapshot();
        let points = named(&snapshot, &instrument::RPC_SERVER_DURATION);
        assert_eq!(points.len(), SERIES_MAX + 1);
        assert_eq!(points.iter().map(whole).sum::<u64>(), 2_000);
        let other =
            points.iter().find(|point| point.labels.iter().all(|(_, value)| value == OTHER));
        assert_eq!(whole(other.expect("the shared one")), 1_000);
    }
}
