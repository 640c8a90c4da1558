//! Trials on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use media::{EncodeJob, EncodeProgress, EncoderSet, FfmpegConfig, Stop, VideoInfo};
use observability::schema::{attr, span_name};
use observability::{Context, KeyValue, Origin, Parent, SpanKind, SpanRecord, Telemetry};
use scoring::{Progress, RunConfig, Trial, TrialProgress, score_encoded, try_out};
use types::{Encoded, Encoder, JobSpec, ScoreReport, Stage, Warning};

use crate::error::TuneError;
use crate::leftovers::Scratch;
use crate::output::{Unfinished, Wrap, wrap};
use crate::probe::{FRAME_SCORES_MAX, Probe, ProbeKind, ProbeSpec, Prober};
use crate::progress::{Event, Sink};

/// What the names of scratch folders begin with.
const SCRATCH_PREFIX: &str = "vmafx-tune-";

/// How often a trial that goes on is told of.
pub(crate) const TELL_EVERY: Duration = Duration::from_secs(1);

/// Carries trials out in this process and its children.
#[derive(Debug)]
pub(crate) struct LocalProber {
    run: RunConfig,
    telemetry: Telemetry,
    scratch: Scratch,
    next: AtomicU64,
    encoders: EncoderSet,
    /// What the libraries of the encoders asked for call their versions.
    libraries: BTreeMap<Encoder, String>,
}

impl LocalProber {
    /// Asks `ffmpeg` what it has, and in which versions those of it that are asked for, and takes a
    /// scratch folder below `scratch_dir`.
    pub(crate) fn new(
        run: RunConfig,
        telemetry: Telemetry,
        scratch_dir: &Path,
        asked_for: &[Encoder],
        stop: &Stop,
    ) -> Result<Self, TuneError> {
        let encoders = media::encoders_of(&run.media.ffmpeg, stop)?;
        let scratch =
            Scratch::new(scratch_dir, SCRATCH_PREFIX).map_err(TuneError::write(scratch_dir))?;
        let here: Vec<Encoder> =
            asked_for.iter().copied().filter(|encoder| encoders.has(*encoder)).collect();
        let libraries = media::library_versions(&run.media.ffmpeg, &here, stop)?;
        Ok(Self { run, telemetry, scratch, next: AtomicU64::new(0), encoders, libraries })
    }

    pub(crate) fn encoders(&self) -> &EncoderSet {
        &self.encoders
    }

    pub(crate) fn ffmpeg(&self) -> &FfmpegConfig {
        &self.run.media.ffmpeg
    }

    /// A name in the scratch folder that nobody else has.
    pub(crate) fn scratch_file(&self, ending: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.scratch.path().join(format!("{number}.{ending}"))
    }

    /// Encodes and scores into `output`, which stays.
    pub(crate) fn try_into(
        &self,
        spec: &ProbeSpec,
        output: &Path,
        cx: &Context,
        stop: &Stop,
        sink: &dyn Sink,
    ) -> Result<(Probe, ScoreReport), TuneError> {
        let job = job(spec);
        let trial = Trial { spec: &job, request: &spec.request, output, bytes_max: None };
        let began_at = SystemTime::now();
        let progress = TrialProgress::default();
        let report =
            telling(spec, &progress, sink, || try_out(&trial, &self.run, stop, &progress))?;
        if let Some(encoded) = &report.encoded {
            self.write_encode_span(encoded, began_at, cx);
        }
        self.write_score_span(&report, began_at + report.timings.stage(Stage::Encode), cx);
        let probe = probe_of(spec, &report)?;
        Ok((probe, report))
    }

    /// As [`try_into`](Self::try_into), into a file that is made of the pictures. It is this file that
    /// is scored.
    #[expect(clippy::too_many_arguments, reason = "a run's context has three parts of its own")]
    pub(crate) fn try_into_with(
        &self,
        spec: &ProbeSpec,
        reference: &VideoInfo,
        output: &Unfinished,
        how: Wrap,
        cx: &Context,
        stop: &Stop,
        sink: &dyn Sink,
    ) -> Result<(Probe, ScoreReport), TuneError> {
        let (pictures, progress) = (output.pictures(), TrialProgress::default());
        let encoder = spec.request.encoder;
        let report = telling(spec, &progress, sink, || {
            let (encoded, warnings) = self.encode(spec, &pictures, cx, stop, &progress.encode)?;
            let (source, media) = (&spec.reference, &self.run.media);
            wrap(how, &pictures, source, encoder, &output.path, media, stop)?;
            let mut report =
                self.score(spec, reference, &output.path, cx, stop, &progress.score)?;
            report.timings.add(Stage::Encode, encoded.encode_time);
            report.timings.wall += encoded.encode_time;
            report.encoded = Some(encoded);
            report.warnings.extend(warnings);
            Ok::<_, TuneError>(report)
        })?;
        Ok((probe_of(spec, &report)?, report))
    }

    /// Encodes a range and does not score it: it is scored as part of what it becomes. Says besides what
    /// the user should know of the file.
    pub(crate) fn encode(
        &self,
        spec: &ProbeSpec,
        output: &Path,
        cx: &Context,
        stop: &Stop,
        progress: &EncodeProgress,
    ) -> Result<(Encoded, Vec<Warning>), TuneError> {
        let job = EncodeJob {
            reference: &spec.reference,
            first_frame_index: spec.range.first,
            frame_count_max: Some(spec.range.count),
            request: &spec.request,
            output,
            bytes_max: None,
        };
        let began_at = SystemTime::now();
        let file = media::encode(&job, &self.run.media, stop, progress)?;
        self.write_encode_span(&file.encoded, began_at, cx);
        Ok((file.encoded, file.warnings))
    }

    /// Scores a file that is there against the spec's range.
    pub(crate) fn score(
        &self,
        spec: &ProbeSpec,
        reference: &VideoInfo,
        file: &Path,
        cx: &Context,
        stop: &Stop,
        progress: &Progress,
    ) -> Result<ScoreReport, TuneError> {
        let job = job(spec);
        let trial = Trial { spec: &job, request: &spec.request, output: file, bytes_max: None };
        let began_at = SystemTime::now();
        let report = score_encoded(&trial, reference, &self.run, stop, progress)?;
        self.write_score_span(&report, began_at, cx);
        Ok(report)
    }

    fn write_encode_span(&self, encoded: &Encoded, began_at: SystemTime, cx: &Context) {
        let mut span = self
            .telemetry
            .tracer
            .span(span_name::ENCODE)
            .kind(SpanKind::Internal)
            .parent(Parent::Context(cx.clone()))
            .start_time(began_at)
            .start();
        span.set(attr::ENCODED_BYTES, count(encoded.bytes));
        span.set(attr::FRAME_COUNT, count(encoded.frame_count));
        span.end_at(began_at + encoded.encode_time);
    }

    /// The span of a scoring, as nodes write it. Its keys are not known when the program is built,
    /// so that it is written as a record.
    fn write_score_span(&self, report: &ScoreReport, began_at: SystemTime, cx: &Context) {
        let Some(trace) = observability::trace_of(cx) else { return };
        let start = began_at + report.timings.stage(Stage::Fetch);
        let stages =
            [Stage::Decode, Stage::Score].map(|stage| (stage, report.timings.stage(stage)));
        let end = start + stages.iter().map(|(_, time)| *time).sum::<Duration>();
        let context = trace.with_span(observability::new_span_id());
        let mut record = SpanRecord::new(context, SpanKind::Internal, span_name::SCORE, start, end)
            .child_of(trace.span_id, Origin::Local)
            .with(attr::FRAME_COUNT, count(report.frames.frame_count() as u64));
        let mut seconds = |prefix: &str, what: &str, time: Duration| {
            record.attributes.push(KeyValue::new(format!("{prefix}.{what}"), time.as_secs_f64()));
        };
        stages.iter().for_each(|(stage, t)| seconds(attr::STAGE_SECONDS, stage.as_str(), *t));
        let features = &report.timings.features;
        features.iter().for_each(|(name, cpu)| seconds(attr::FEATURE_SECONDS, name, *cpu));
        self.telemetry.tracer.emit_span(record);
    }
}

impl Prober for LocalProber {
    fn probe(
        &self,
        spec: &ProbeSpec,
        _key: &str,
        cx: &Context,
        stop: &Stop,
        sink: &dyn Sink,
    ) -> Result<Probe, TuneError> {
        let output = self.scratch_file("mkv");
        let tried = self.try_into(spec, &output, cx, stop, sink);
        // It may never have been made.
        let _ = std::fs::remove_file(&output);
        Ok(tried?.0)
    }

    fn chain(&self, encoder: Encoder) -> String {
        let library = self.libraries.get(&encoder).map(String::as_str);
        let encodes = media::encoder_version(Some(&self.encoders.version), encoder, library);
        format!("vmafx {}, {encodes}", env!("CARGO_PKG_VERSION"))
    }
}

/// Does `work`, and tells how far it is while it goes on.
fn telling<T>(
    spec: &ProbeSpec,
    progress: &TrialProgress,
    sink: &dyn Sink,
    work: impl FnOnce() -> T,
) -> T {
    std::thread::scope(|scope| {
        let (over, is_over) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_over.recv_timeout(TELL_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                sink.event(&Event::Working {
                    quality: spec.request.quality,
                    frames_encoded: progress.encode.frames_done(),
                    frames_scored: progress.score.frames_done(),
                    frames_total: spec.range.count,
                });
            }
        });
        let done = work();
        drop(over);
        done
    })
}

/// The trial as a job says it.
pub(crate) fn job(spec: &ProbeSpec) -> JobSpec {
    JobSpec {
        model: spec.score.model.clone(),
        subsample_interval: spec.score.subsample_interval,
        first_frame_index: spec.range.first,
        frame_count_max: Some(spec.range.count),
        ..JobSpec::encode(spec.reference.clone(), spec.request.clone())
    }
}

/// What is kept of a report.
pub(crate) fn probe_of(spec: &ProbeSpec, report: &ScoreReport) -> Result<Probe, TuneError> {
    let (Some(model), Some(encoded)) = (report.headline(), &report.encoded) else {
        return Err(TuneError::Request("the score has no model's prediction".to_owned()));
    };
    let scores = report.frames.column(&model.name).map(|column| column.values.as_slice());
    let keep = spec.kind == ProbeKind::Sample;
    let frame_scores = scores
        .filter(|scores| keep && scores.len() <= FRAME_SCORES_MAX)
        .map_or_else(Vec::new, <[f64]>::to_vec);
    let timings = &report.timings;
    Ok(Probe {
        pooled: model.pooled,
        frame_scores,
        encoded: encoded.clone(),
        score_time: timings.wall.saturating_sub(timings.stage(Stage::Encode)),
        warnings: report.warnings.iter().map(|warning| warning.code.clone()).collect(),
        job: None,
    })
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
