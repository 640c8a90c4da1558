//! Scoring frames while they come: no file, no end in sight, each frame's scores as soon as they
//! are final.
//!
//! [`StreamRun::prepare`] loads models and says what the columns will be; [`StreamRun::run`] blocks
//! until the source ends. Meanwhile [`LiveScores`] gives, on other threads, the frames that are
//! final. Nothing here waits for whoever reads the scores: they lie in the table that the pooled
//! values need anyway ([`engine::LiveSequence`] says what that costs).
//!
//! As many pictures are alive as in a run from files. The report is that of such a run, bit for bit.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{
    FrameValues, Isa, LiveFrame, LiveSequence, PictureMut, PictureSpec, Plan, SequenceError,
};
use media::{MediaError, Stop, exceeded_depth_warning};
use types::{Provenance, RawGeometry, ScoreReport, Stage, StageTimings, Warning};

use crate::error::ScoreError;
use crate::pipeline::{self, Collect, Workers};
use crate::progress::Progress;
use crate::request::ScoreRequest;
use crate::run::{RunConfig, StageClock, apart, small_picture_warning};

/// What a report calls the decoder of frames that came as they are.
const DECODER: &str = "stream";

/// The warning of a report whose stream was ended before its source.
pub const STREAM_CUT: &str = "stream_cut";

fn cut_warning(frames: u64) -> Warning {
    Warning {
        code: STREAM_CUT.to_owned(),
        message: format!(
            "the stream was ended after {frames} frames, whose values fill the memory that one \
             stream may take; more came, which are not scored: open another stream for them"
        ),
    }
}

/// Hands over the frames of a stream.
pub trait PairSource: Send {
    /// Fills the luma planes of both pictures with the next frame and gives the bytes that it took,
    /// or `None` when there is none. May block; must then look at `stop` at least every
    /// [`STOP_CHECK_INTERVAL`](media::stop::STOP_CHECK_INTERVAL).
    ///
    /// # Errors
    /// Whatever ends the run.
    fn fill(
        &mut self,
        reference: &mut PictureMut,
        distorted: &mut PictureMut,
        stop: &Stop,
    ) -> Result<Option<u64>, ScoreError>;
}

/// The scores of a stream as far as they are final. Cloning shares them.
#[derive(Clone)]
pub struct LiveScores(Arc<Live>);

struct Live {
    /// `None` when the run has ended: the report has all then.
    sequence: Mutex<Option<LiveSequence>>,
    changed: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for LiveScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveScores").finish_non_exhaustive()
    }
}

impl LiveScores {
    fn lock(&self) -> MutexGuard<'_, Option<LiveSequence>> {
        // A sequence is changed as a whole or not at all.
        self.0.sequence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The final frames from this row on, `max` at most; none once the run has ended, when they
    /// are the rows of the report's table.
    #[must_use]
    pub fn frames(&self, from_row: usize, max: usize) -> Vec<LiveFrame> {
        let sequence = self.lock();
        let Some(sequence) = sequence.as_ref() else { return Vec::new() };
        (from_row..sequence.final_count()).take(max).filter_map(|row| sequence.frame(row)).collect()
    }
}

impl Collect for LiveScores {
    fn add(&mut self, values: FrameValues) -> Result<(), SequenceError> {
        let mut sequence = self.lock();
        let rows = match sequence.as_mut() {
            Some(sequence) => sequence.add(values)?,
            None => return Ok(()),
        };
        drop(sequence);
        if !rows.is_empty() {
            (self.0.changed)();
        }
        Ok(())
    }
}

/// A stream that is about to be scored.
#[derive(Debug)]
pub struct StreamRun {
    plan: Arc<Plan>,
    spec: PictureSpec,
    config: RunConfig,
    clock: StageClock,
    live: LiveScores,
    frames_max: u64,
}

impl StreamRun {
    /// Loads the models of the request, whose videos and range are not looked at, for pictures of
    /// this geometry. `changed` is called, on a thread of the run, whenever further frames are
    /// final; it must not block.
    ///
    /// # Errors
    /// When a model or feature is unknown, or pictures of this kind are not taken.
    pub fn prepare(
        request: &ScoreRequest,
        geometry: RawGeometry,
        config: &RunConfig,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, ScoreError> {
        let mut clock = StageClock::start();
        let plan = Arc::new(request.plan(&config.media.policy)?);
        let RawGeometry { width, height, format } = geometry;
        let spec = PictureSpec { width, height, format, planes: plan.needs().planes };
        spec.check()?;
        plan.check_pictures(&spec)?;
        let (pixels, pixels_max) =
            (u64::from(width) * u64::from(height), config.media.picture_pixels_max);
        if pixels > pixels_max {
            let detail = format!(
                "pictures of {width}x{height} have {pixels} luma samples; {pixels_max} are taken"
            );
            let name = DECODER.to_owned();
            return Err(MediaError::UnsupportedFormat { name, detail }.into());
        }
        let sequence = LiveSequence::new(Arc::clone(&plan), width, height);
        let frames_max = sequence.frames_max();
        let sequence = Mutex::new(Some(sequence));
        let live = LiveScores(Arc::new(Live { sequence, changed: Box::new(changed) }));
        clock.end_of(Stage::Fetch);
        Ok(Self { plan, spec, config: config.clone(), clock, live, frames_max })
    }

    /// The names of a frame's values, as [`Plan::column_names`] orders them.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.plan.column_names()
    }

    /// Which column is the first model's score; `None` where no model is asked for.
    #[must_use]
    pub fn headline_column(&self) -> Option<usize> {
        self.plan.headline_column()
    }

    /// Ends the stream after so many frames, where that is sooner than its table is full.
    #[must_use]
    pub fn ending_after(self, frames: u64) -> Self {
        Self { frames_max: self.frames_max.min(frames), ..self }
    }

    /// The scores as they become final.
    #[must_use]
    pub fn live(&self) -> LiveScores {
        self.live.clone()
    }

    /// Scores what the source hands over, until it ends or the table is full
    /// ([`LiveSequence::frames_max`]): the report of what was scored warns of that with
    /// [`STREAM_CUT`]. Blocks; ends as soon after a stop as
    /// [`crate::run`] does.
    ///
    /// # Errors
    /// [`ScoreError`]: of the source, of a stop, or of a clip without a frame.
    pub fn run(
        self,
        source: &mut dyn PairSource,
        stop: &Stop,
        progress: &Progress,
    ) -> Result<ScoreReport, ScoreError> {
        apart(self.config.niced, progress, || self.run_here(source, stop, progress))
    }

    fn run_here(
        mut self,
        source: &mut dyn PairSource,
        stop: &Stop,
        progress: &Progress,
    ) -> Result<ScoreReport, ScoreError> {
        stop.check()?;
        let stop = &stop.child();
        let isa = Isa::detect(self.config.isa_limit);
        let workers = Workers { threads: self.config.threads, isa, heat_maps: None };
        // What passed since the models were loaded was a wait for the first frame.
        self.clock.end_of(Stage::Decode);
        let collector = self.live.clone();
        let source = (source, self.frames_max);
        let outcome =
            pipeline::run_fed(&self.plan, self.spec, source, collector, &workers, stop, progress)?;
        self.clock.share(Stage::Score, outcome.score_time, Stage::Decode);
        let sequence = self.live.lock().take().ok_or(SequenceError::Empty)?;
        let scores = sequence.finish()?;
        let small = small_picture_warning(self.spec.width, self.spec.height);
        let bit_depth = self.spec.format.bit_depth;
        let exceeded = outcome.collected.iter().flatten().find_map(|collected| {
            let [reference, distorted] = collected.exceed_depth;
            exceeded_depth_warning([
                ("the reference", bit_depth, reference),
                ("the distorted video", bit_depth, distorted),
            ])
        });
        let cut = outcome.was_cut.then(|| cut_warning(self.frames_max));
        let provenance = Provenance {
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            isa: isa.to_string(),
            decoders: vec![DECODER.to_owned(); 2],
        };
        let warnings = small.into_iter().chain(exceeded).chain(cut).collect();
        let mut report = scores.into_report(warnings, provenance, StageTimings::default());
        self.clock.end_of(Stage::Pool);
        report.timings = self.clock.finish(outcome.feature_times);
        Ok(report)
    }
}
