//! One run: who measures, what is known, who is told. Everything that is measured goes through here.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media::{EncoderError, Stop};
use observability::metrics::ProbeOutcome;
use observability::schema::{attr, span_name};
use observability::{Context, SpanKind, Telemetry};
use scoring::RunConfig;
use types::{Encoder, Warning};

use crate::error::TuneError;
use crate::fleet::{Fleet, FleetProber};
use crate::journal::Journal;
use crate::local::LocalProber;
use crate::output::{Unfinished, Wrap};
use crate::probe::{Probe, ProbeSpec, Prober};
use crate::progress::{Event, Pace, Sink};
use crate::request::{PARALLEL_DEFAULT, PARALLEL_MAX};
use crate::source::Source;

/// Frames between two words of the analysis.
const ANALYSIS_TOLD_EVERY: u64 = 250;

/// Different things that the user is told of finished files.
const HEEDED_MAX: usize = 256;

/// With what a run is done. None of it changes an answer, but for the programs themselves.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Source rules, `ffmpeg`, threads for scoring.
    pub run: RunConfig,
    /// Spans, metrics.
    pub telemetry: Telemetry,
    /// Where probes are carried out; `None` is here.
    pub fleet: Option<Fleet>,
    /// The folder of journals, one a source, and of notes of the files that were made; `None`
    /// remembers nothing beyond the run.
    pub journal_dir: Option<PathBuf>,
    /// A finished file replaces what has its name and is something else; else that is refused.
    pub replaces: bool,
    /// Where encodes lie while they are scored.
    pub scratch_dir: PathBuf,
    /// Records the run's trace whatever the sampling ratio.
    pub force_trace: bool,
    /// Probes at once; `None` is one here, and as many as there are slots on a fleet.
    pub parallel: Option<NonZeroUsize>,
}

impl Environment {
    /// This machine, with nothing remembered and nothing exported.
    #[must_use]
    pub fn new(run: RunConfig) -> Self {
        Self {
            run,
            telemetry: Telemetry::disabled(),
            fleet: None,
            journal_dir: None,
            replaces: true,
            scratch_dir: std::env::temp_dir(),
            force_trace: false,
            parallel: None,
        }
    }
}

enum Who {
    Here,
    Fleet(Box<FleetProber>),
}

/// A run.
pub(crate) struct Session<'a> {
    pub env: &'a Environment,
    pub stop: Stop,
    pub sink: &'a dyn Sink,
    /// The run's span.
    cx: Context,
    local: Option<LocalProber>,
    who: Who,
    parallel: usize,
    pace: Mutex<Pace>,
    /// Probes that were measured or remembered.
    probes: AtomicUsize,
    /// Probes that were measured in this run.
    measured: AtomicUsize,
    /// What made the first probe of each encoder, and whether it was told that another differs.
    versions: Mutex<BTreeMap<Encoder, (String, bool)>>,
    /// What the user was told of.
    heeded: Mutex<BTreeSet<String>>,
}

/// A source with what is remembered of it.
pub(crate) struct Known {
    pub source: Source,
    journal: Journal,
}

impl<'a> Session<'a> {
    /// Finds out who measures. `encoders` are those that will be asked for.
    pub(crate) fn open(
        env: &'a Environment,
        encoders: &[Encoder],
        needs_files: bool,
        stop: &Stop,
        sink: &'a dyn Sink,
        cx: &Context,
    ) -> Result<Self, TuneError> {
        let here = || {
            let (run, telemetry) = (env.run.clone(), env.telemetry.clone());
            LocalProber::new(run, telemetry, &env.scratch_dir, encoders, stop)
        };
        let (local, who, parallel) = match &env.fleet {
            None => (Some(here()?), Who::Here, PARALLEL_DEFAULT.get()),
            Some(fleet) => {
                let prober = FleetProber::new(fleet.clone(), env.force_trace)?;
                let slots = prober.slots().max(1);
                (needs_files.then(here).transpose()?, Who::Fleet(Box::new(prober)), slots)
            }
        };
        let parallel = env.parallel.map_or(parallel, NonZeroUsize::get).min(PARALLEL_MAX);
        let session = Self {
            env,
            stop: stop.clone(),
            sink,
            cx: cx.clone(),
            local,
            who,
            parallel,
            pace: Mutex::default(),
            probes: AtomicUsize::new(0),
            measured: AtomicUsize::new(0),
            versions: Mutex::default(),
            heeded: Mutex::default(),
        };
        session.check_encoders(encoders)?;
        Ok(session)
    }

    /// Refuses at once what this machine cannot do, and warns of what no node can do yet.
    fn check_encoders(&self, encoders: &[Encoder]) -> Result<(), TuneError> {
        if let Some(local) = &self.local {
            let set = local.encoders();
            if let Some(encoder) = encoders.iter().find(|encoder| !set.has(**encoder)) {
                let has: Vec<&str> = set.encoders.iter().map(|encoder| encoder.as_str()).collect();
                return Err(TuneError::Encode(EncoderError::EncoderMissing {
                    program: local.ffmpeg().program().display().to_string(),
                    encoder: *encoder,
                    has: if has.is_empty() { "none".to_owned() } else { has.join(", ") },
                }));
            }
        }
        if let Who::Fleet(fleet) = &self.who {
            for encoder in encoders {
                if !fleet.has(*encoder) {
                    let message = format!("no node alive has {encoder}; its probes wait for one");
                    self.sink.event(&Event::Note { message });
                } else if let [one, other, ..] = &fleet.versions(*encoder)[..] {
                    let message = format!(
                        "nodes encode with {one} and with {other}: what they measure is mixed in this run"
                    );
                    self.sink.event(&Event::Note { message });
                }
            }
        }
        Ok(())
    }

    /// Steps of one unit of an encoder's scale, as whoever encodes has it.
    pub(crate) fn steps_per_unit(&self, encoder: Encoder) -> u8 {
        match (&self.who, &self.local) {
            (Who::Here, Some(local)) => local.encoders().steps_per_unit(encoder),
            // Nodes may have any version: what all of them take.
            _ => encoder.scale().steps_per_unit,
        }
    }

    /// Whether a probe of this encoder would begin at once.
    pub(crate) fn can_probe(&self, encoder: Encoder) -> bool {
        match &self.who {
            Who::Here => true,
            Who::Fleet(fleet) => fleet.has(encoder),
        }
    }

    /// Probes at once.
    pub(crate) const fn parallel(&self) -> usize {
        self.parallel
    }

    /// The prober of this machine.
    pub(crate) fn local(&self) -> Result<&LocalProber, TuneError> {
        let missing = || TuneError::Request("nothing is encoded on this machine here".to_owned());
        self.local.as_ref().ok_or_else(missing)
    }

    /// Names the programs that measure with an encoder.
    pub(crate) fn chain(&self, encoder: Encoder) -> Result<String, TuneError> {
        Ok(self.prober()?.chain(encoder))
    }

    /// Names the programs that measure with an encoder on this machine.
    pub(crate) fn chain_here(&self, encoder: Encoder) -> Result<String, TuneError> {
        Ok(self.local()?.chain(encoder))
    }

    /// The run's context.
    pub(crate) fn cx(&self) -> &Context {
        &self.cx
    }

    /// Probes so far, and those of them that were made in this run.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.probes.load(Ordering::Relaxed), self.measured.load(Ordering::Relaxed))
    }

    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a source and opens its journal.
    pub(crate) fn know(&self, name: &str) -> Result<Known, TuneError> {
        let mut told = 0;
        let source = Source::analyse(name, &self.env.run.media, &self.stop, &mut |done, total| {
            if done >= told + ANALYSIS_TOLD_EVERY {
                told = done;
                self.sink.event(&Event::Analysing { frames_done: done, frames_total: total });
            }
        })?;
        let journal = match &self.env.journal_dir {
            None => Journal::in_memory(),
            Some(dir) => Journal::open(&dir.join(format!("{}.jsonl", source.sha256)))?,
        };
        if journal.damaged() > 0 {
            let message =
                format!("{} damaged lines of the journal are left out", journal.damaged());
            self.sink.event(&Event::Note { message });
        }
        self.sink.event(&Event::Analysed {
            source: source.media.uri.clone(),
            frame_count: source.frame_count(),
            shots: source.shots.len(),
        });
        Ok(Known { source, journal })
    }

    fn prober(&self) -> Result<&dyn Prober, TuneError> {
        match &self.who {
            Who::Here => Ok(self.local()?),
            Who::Fleet(fleet) => Ok(&**fleet),
        }
    }

    /// Measures, or remembers. What it gives is on the disk.
    pub(crate) fn measure(&self, known: &Known, spec: &ProbeSpec) -> Result<Probe, TuneError> {
        let prober = self.prober()?;
        let key = spec.key(&prober.chain(spec.request.encoder));
        if let Some(probe) = known.journal.find(&key) {
            self.heed_version(spec.request.encoder, &probe);
            self.remembered(spec, &probe);
            return Ok(probe);
        }
        let probe = self.traced(spec, |cx| {
            let probe = prober.probe(spec, &key, cx, &self.stop, self.sink)?;
            known.journal.add(&key, &probe)?;
            Ok(probe)
        })?;
        Ok(probe)
    }

    /// Encodes and scores all of a source here, into a file that stays. Always done anew: it is the
    /// file that counts.
    pub(crate) fn make(
        &self,
        known: &Known,
        spec: &ProbeSpec,
        output: &Unfinished,
        wrap: Wrap,
    ) -> Result<Probe, TuneError> {
        let local = self.local()?;
        let probe = self.traced(spec, |cx| {
            let (stop, sink) = (&self.stop, self.sink);
            let (probe, scored) = if wrap == Wrap::Plain {
                local.try_into(spec, &output.path, cx, stop, sink)?
            } else {
                let info = &known.source.info;
                local.try_into_with(spec, info, output, wrap, cx, stop, sink)?
            };
            self.check_whole(spec, &scored)?;
            Ok(probe)
        })?;
        if matches!(self.who, Who::Here) {
            known.journal.add(&spec.key(&local.chain(spec.request.encoder)), &probe)?;
        }
        Ok(probe)
    }

    /// Tells what the user should know, once: each part of a film has the same to say.
    pub(crate) fn heed(&self, warnings: &[Warning]) {
        for Warning { message, .. } in warnings {
            let mut told = self.heeded.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < HEEDED_MAX && told.insert(message.clone()) {
                self.sink.event(&Event::Note { message: message.clone() });
            }
        }
    }

    /// Whether a finished file was scored frame by frame to its end; tells what else should be known.
    pub(crate) fn check_whole(
        &self,
        spec: &ProbeSpec,
        report: &types::ScoreReport,
    ) -> Result<(), TuneError> {
        self.heed(&report.warnings);
        let scored = report.frames.frame_count() as u64;
        if scored == spec.range.count {
            return Ok(());
        }
        Err(TuneError::Request(format!(
            "the finished file was scored on {scored} of {} frames; the encode or the join lost some",
            spec.range.count
        )))
    }

    /// A trial within its span, counted and told of.
    fn traced(
        &self,
        spec: &ProbeSpec,
        work: impl FnOnce(&Context) -> Result<Probe, TuneError>,
    ) -> Result<Probe, TuneError> {
        let Telemetry { tracer, metrics } = &self.env.telemetry;
        let mut span = tracer
            .span(span_name::PROBE)
            .kind(SpanKind::Internal)
            .parent(observability::Parent::Context(self.cx.clone()))
            .start();
        span.set(attr::ENCODER, spec.request.encoder.as_str());
        span.set(attr::ENCODE_QUALITY, spec.request.quality.value());
        span.set(attr::PROBE_KIND, spec.kind.as_str());
        let began = Instant::now();
        let cx = span.cx().clone();
        let outcome = work(&cx);
        match &outcome {
            Ok(probe) => {
                span.set(attr::SCORE_MEAN, probe.pooled.mean);
                span.set(
                    attr::ENCODED_BYTES,
                    i64::try_from(probe.encoded.bytes).unwrap_or(i64::MAX),
                );
                if let Some(job) = probe.job {
                    span.set(attr::JOB_ID, job.to_string());
                }
                self.heed_version(spec.request.encoder, probe);
                metrics.tune().probe(ProbeOutcome::Measured);
                metrics.tune().took(probe.encoded.encode_time, probe.score_time);
                self.measured.fetch_add(1, Ordering::Relaxed);
                self.told(spec, probe, began.elapsed());
            }
            Err(error) => {
                span.fail(error.kind().as_str(), "the probe failed");
                metrics.tune().probe(ProbeOutcome::Failed);
            }
        }
        span.end();
        outcome
    }

    /// Notes what made a probe, and tells where one encoder's probes were made by two versions: keys
    /// keep them apart as far as versions are known beforehand, which a node that comes later may not be.
    fn heed_version(&self, encoder: Encoder, probe: &Probe) {
        let version = &probe.encoded.encoder_version;
        let mut seen = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, told) = seen.entry(encoder).or_insert_with(|| (version.clone(), false));
        if first != version && !*told {
            *told = true;
            let message = format!(
                "probes were made with {first} and with {version}: their scores and rates may not fit together"
            );
            self.sink.event(&Event::Note { message });
        }
    }

    fn remembered(&self, spec: &ProbeSpec, probe: &Probe) {
        self.env.telemetry.metrics.tune().probe(ProbeOutcome::Remembered);
        self.probes.fetch_add(1, Ordering::Relaxed);
        let seconds_left = {
            let mut pace = self.pace();
            pace.skipped(spec.range.count);
            pace.seconds_left(self.parallel)
        };
        self.sink.event(&probed(spec, probe, true, seconds_left));
    }

    fn told(&self, spec: &ProbeSpec, probe: &Probe, took: Duration) {
        self.probes.fetch_add(1, Ordering::Relaxed);
        let seconds_left = {
            let mut pace = self.pace();
            pace.done(spec.range.count, took);
            pace.seconds_left(self.parallel)
        };
        self.sink.event(&probed(spec, probe, false, seconds_left));
    }

    /// Does `work` on each item, as many at once as there may be, and gives what comes of them in
    /// order. The first failure ends the others.
    pub(crate) fn each<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T, TuneError> + Sync,
    ) -> Result<Vec<T>, TuneError> {
        each(self.parallel, items, work)
    }

    /// As [`each`](Self::each), for work that is done on this machine whoever measures: a fleet's
    /// slots say nothing of how much this machine can carry.
    pub(crate) fn each_here<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&I) -> Result<T, TuneError> + Sync,
    ) -> Result<Vec<T>, TuneError> {
        each(parallel_here(self.env.parallel), items, work)
    }
}

/// How much is done at once on this machine.
fn parallel_here(asked: Option<NonZeroUsize>) -> usize {
    asked.unwrap_or(PARALLEL_DEFAULT).get().min(PARALLEL_MAX)
}

fn each<I: Sync, T: Send>(
    parallel: usize,
    items: &[I],
    work: impl Fn(&I) -> Result<T, TuneError> + Sync,
) -> Result<Vec<T>, TuneError> {
    let next = AtomicUsize::new(0);
    let slots: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let failure: Mutex<Option<TuneError>> = Mutex::new(None);
    let locked = |slot: &Mutex<Option<TuneError>>| {
        slot.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    };
    std::thread::scope(|scope| {
        for _ in 0..parallel.min(items.len()) {
            scope.spawn(|| {
                while !locked(&failure) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    match work(item) {
                        Ok(value) => {
                            *slots[index].lock().unwrap_or_else(PoisonError::into_inner) =
                                Some(value);
                        }
                        Err(error) => {
                            let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                            first.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let value = |slot: Mutex<Option<T>>| {
        slot.into_inner().unwrap_or_else(PoisonError::into_inner).ok_or_else(|| {
            TuneError::Request("a defect: a probe came to nothing; please report it".to_owned())
        })
    };
    slots.into_iter().map(value).collect()
}

fn probed(spec: &ProbeSpec, probe: &Probe, remembered: bool, seconds_left: Option<f64>) -> Event {
    Event::Probed {
        encoder: spec.request.encoder,
        quality: spec.request.quality,
        kind: spec.kind,
        range: spec.range,
        remembered,
        score: probe.pooled.mean,
        kilobits_per_second: probe.encoded.kilobits_per_second(),
        encode_seconds: probe.encoded.encode_time.as_secs_f64(),
        score_seconds: probe.score_time.as_secs_f64(),
        seconds_left,
    }
}
