//! The list of instruments, and the snapshot from which every form is written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::cells::{Counter, Gauge, Histogram, HistogramSnapshot, SecondsCounter};
use super::labels::Label;
use crate::config::ExemplarFilter;
use crate::schema::InstrumentDef;

/// A family whose label values come from outside keeps this many series; the rest share one in
/// which every value is `other`, so that sums stay exact.
pub const SERIES_MAX: usize = 1_000;

/// The value of each label of the series that takes what exceeds [`SERIES_MAX`].
const OTHER: &str = "other";

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

/// A histogram for each set of labels seen, [`SERIES_MAX`] at most.
#[derive(Debug, Clone)]
pub(crate) struct OpenFamily {
    def: InstrumentDef,
    exemplars: ExemplarFilter,
    series: Arc<Mutex<HashMap<LabelSet, Histogram>>>,
}

impl OpenFamily {
    /// The histogram of `labels`; a caller on a hot path keeps it.
    pub(crate) fn get(&self, labels: LabelSet) -> Histogram {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let full = series.len() >= SERIES_MAX && !series.contains_key(&labels);
        let labels = if full {
            labels.into_iter().map(|(key, _)| (key, OTHER.into())).collect()
        } else {
            labels
        };
        let empty = || {
            let histogram = Histogram::new(self.def.buckets);
            histogram.filter_exemplars(self.exemplars);
            histogram
        };
        series.entry(labels).or_insert_with(empty).clone()
    }
}

/// The instruments of a process.
pub struct Registry {
    started_at: SystemTime,
    exemplars: ExemplarFilter,
    entries: Mutex<Vec<(InstrumentDef, Collect)>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("started_at", &self.started_at).finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn with_exemplars(exemplars: ExemplarFilter) -> Self {
        Self { started_at: SystemTime::now(), exemplars, entries: Mutex::new(Vec::new()) }
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
        let cell = self.cell::<C>(&def);
        let read = cell.clone();
        self.observe(def, move |points| {
            points.push(Point { labels: Vec::new(), value: read.value() });
        });
        cell
    }

    fn cell<C: Cell>(&self, def: &InstrumentDef) -> C {
        let cell = C::empty(def);
        cell.filter_exemplars(self.exemplars);
        cell
    }

    pub(crate) fn family<L: Label, C: Cell>(&self, def: InstrumentDef) -> Family<L, C> {
        let key = def.labels[0];
        let cells: Arc<[C]> = L::ALL.iter().map(|_| self.cell::<C>(&def)).collect();
        let read = cells.clone();
        self.observe(def, move |points| {
            points.extend(L::ALL.iter().zip(read.iter()).map(|(label, cell)| Point {
                labels: vec![(key, label.as_str().into())],
                value: cell.value(),
            }));
        });
        Family { cells, label: std::marker::PhantomData }
    }

    pub(crate) fn open_family(&self, def: InstrumentDef) -> OpenFamily {
        let family = OpenFamily { def, exemplars: self.exemplars, series: Arc::default() };
        let read = family.series.clone();
        self.observe(def, move |points| {
            let series = read.lock().unwrap_or_else(PoisonError::into_inner);
            points.extend(series.iter().map(|(labels, histogram)| Point {
                labels: labels.clone(),
                value: histogram.value(),
            }));
        });
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
    use crate::schema::instrument;

    #[test]
    fn a_panicking_reader_costs_its_own_points_only() {
        let registry = Registry::with_exemplars(ExemplarFilter::default());
        registry.observe(instrument::NODE_SLOTS, |_| panic!("reader failed"));
        let counter: Counter = registry.single(instrument::NODE_FRAMES);
        counter.add(3);
        for _ in 0..2 {
            let snapshot = registry.snapshot();
            assert!(snapshot[0].points.is_empty());
            assert_eq!(snapshot[1].points[0].value, PointValue::Integer(3));
        }
    }

    #[test]
    fn series_beyond_the_limit_share_one_and_sums_stay_exact() {
        let registry = Registry::with_exemplars(ExemplarFilter::default());
        let family = registry.open_family(instrument::HTTP_SERVER_DURATION);
        for index in 0..SERIES_MAX + 500 {
            family.get(vec![("http.route", index.to_string().into())]).record_value(1.0);
        }
        let snapshot = registry.snapshot();
        let points = &snapshot[0].points;
        assert_eq!(points.len(), SERIES_MAX + 1);
        let count = |point: &Point| match &point.value {
            PointValue::Histogram(histogram) => histogram.count(),
            other => panic!("{other:?}"),
        };
        assert_eq!(points.iter().map(count).sum::<u64>(), 1_500);
        let other = points.iter().find(|point| point.labels[0].1 == OTHER).expect("overflow");
        assert_eq!(count(other), 500);
    }
}
