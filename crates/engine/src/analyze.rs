//! The work on one frame: pictures in, values out, nothing kept between frames.
//!
//! Frames may therefore be analyzed in any order and on any thread, each thread with a
//! [`FrameAnalyzer`] of its own. What depends on more than a frame and the reference picture before
//! it is the [`Sequence`](crate::Sequence)'s to compute.

use std::sync::Arc;
use std::time::Duration;

use kernels::Isa;
use kernels::motion::{MotionScratch, motion_sad};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clip_error::SquaredErrors;
use crate::features::{ExtractorKind, MotionOptions, Plan, Prepared, Refusal, Scratch};
use crate::heat_map::HeatMapSink;
use crate::picture::{Picture, PictureSpec};

/// How many frames back an extractor may look.
pub const PICTURES_BEFORE_MAX: usize = 2;

/// A picture with those of the frames before it.
#[derive(Debug, Clone, Copy)]
pub struct PictureWithPast<'a> {
    /// The frame's own picture.
    pub picture: &'a Picture,
    /// The pictures before it, the nearest first, as many as [`Plan::needs`] says; fewer where the
    /// clip has no more.
    pub before: [Option<&'a Picture>; PICTURES_BEFORE_MAX],
}

impl<'a> PictureWithPast<'a> {
    /// A picture that needs none before it.
    #[must_use]
    pub const fn alone(picture: &'a Picture) -> Self {
        Self { picture, before: [None; PICTURES_BEFORE_MAX] }
    }
}

/// The pictures of one frame: a reference picture and those that are compared with it.
#[derive(Debug, Clone, Copy)]
pub struct FrameInput<'a> {
    /// 0-based, counted from the first frame of the clip that is scored.
    pub frame_index: u64,
    /// The undegraded picture.
    pub reference: PictureWithPast<'a>,
    /// The degraded pictures; not looked at where the plan needs nothing spatial of this frame and
    /// nothing is computed of the whole clip.
    pub distorted: &'a [PictureWithPast<'a>],
}

/// What was computed from one reference and one distorted picture. Plain data: it can be stored,
/// sent and merged without losing a bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameValues {
    /// 0-based, counted from the first frame of the clip that is scored.
    pub frame_index: u64,
    /// The raw sum of differences from the reference picture before, in 1/256 of an 8-bit step;
    /// `None` for frame 0 and where the plan does not measure it.
    pub motion_sad: Option<u64>,
    /// The same from the reference picture two before; `None` for the first two frames and where
    /// the plan does not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_sad_wide: Option<u64>,
    /// The values of the spatial extractors in the plan's order; `None` on frames that subsampling
    /// leaves out.
    #[serde(with = "bits")]
    pub(crate) spatial: Option<Vec<f64>>,
    /// The squared errors of the planes, where something is computed of the whole clip: of every
    /// frame then, also of those that subsampling leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) squared_errors: Option<Box<SquaredErrors>>,
}

/// Values travel as the integers of their bits, since JSON has neither NaN nor infinity.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        values: &Option<Vec<f64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let bits: Option<Vec<u64>> =
            values.as_ref().map(|values| values.iter().map(|value| value.to_bits()).collect());
        bits.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<f64>>, D::Error> {
        let bits = Option::<Vec<u64>>::deserialize(deserializer)?;
        Ok(bits.map(|bits| bits.into_iter().map(f64::from_bits).collect()))
    }
}

/// How much the reference picture of one frame differs from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MotionSads([Option<u64>; PICTURES_BEFORE_MAX]);

/// Why a frame cannot be analyzed. All but [`AnalyzeError::Refused`] are mistakes of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnalyzeError {
    /// A picture is not of the kind that the analyzer was made for.
    #[error("frame {frame_index}: the {role} picture is {}x{} {}, expected {}x{} {}",
        given.width, given.height, given.format, expected.width, expected.height, expected.format)]
    #[allow(missing_docs, reason = "the frame, which picture, and both kinds")]
    Shape { frame_index: u64, role: &'static str, given: PictureSpec, expected: PictureSpec },
    /// A picture before the frame's own that the plan looks at is not there, or one is there
    /// before the start of the clip.
    #[error(
        "frame {frame_index}: the {role} picture {back} before it must be given except where the clip begins later"
    )]
    #[allow(missing_docs, reason = "the frame, which picture, and how many frames back")]
    Past { frame_index: u64, role: &'static str, back: u64 },
    /// An extractor does not take what the pictures hold, or their kind ([`Plan::check_pictures`]
    /// would have told).
    #[error("frame {frame_index}: {extractor}: {what}")]
    #[allow(missing_docs, reason = "the frame, the extractor, and why")]
    Refused { frame_index: u64, extractor: &'static str, what: String },
}

/// Analyzes frames of one kind of picture for one plan. Owns the working memory of all its
/// extractors, which one frame after the other reuses; make one for each thread.
#[derive(Debug)]
pub struct FrameAnalyzer {
    plan: Arc<Plan>,
    spec: PictureSpec,
    isa: Isa,
    instances: Vec<(ExtractorKind, Prepared)>,
    scratch: Scratch,
    motion_scratch: MotionScratch,
    /// What one instance gave for each distorted picture.
    values: Vec<Vec<f64>>,
    times: [Duration; ExtractorKind::ALL.len()],
    heat_maps: Option<Arc<dyn HeatMapSink>>,
}

impl FrameAnalyzer {
    /// An analyzer for pictures of this kind. `isa` picks the instruction set of the kernels; all
    /// give the same values.
    ///
    /// The plan must take such pictures ([`Plan::check_pictures`]); if it does not, that is a
    /// mistake of the caller, and analyzing may panic.
    #[must_use]
    pub fn new(plan: Arc<Plan>, spec: PictureSpec, isa: Isa) -> Self {
        let prepared = plan.instances().iter().map(|planned| {
            let extractor = &planned.extractor;
            (extractor.kind(), extractor.settings().prepare(planned.computes_asked(), &spec))
        });
        Self {
            instances: prepared.collect(),
            plan,
            spec,
            isa,
            scratch: Scratch::default(),
            motion_scratch: MotionScratch::new(),
            values: Vec::new(),
            times: Default::default(),
            heat_maps: None,
        }
    }

    /// Shows the heat maps that the plan was asked for to this sink.
    #[must_use]
    pub fn with_heat_maps(self, sink: Arc<dyn HeatMapSink>) -> Self {
        Self { heat_maps: Some(sink), ..self }
    }

    /// Computes what the plan wants of one frame, for each distorted picture in their order. What
    /// depends on the reference picture alone is computed once.
    ///
    /// `clock` tells the time that each extractor is charged by: CPU time of the calling thread,
    /// or any clock that never goes back. It is read twice an extractor.
    ///
    /// # Errors
    /// [`AnalyzeError`] when a picture is not of the kind announced, or one before is missing.
    pub fn analyze(
        &mut self,
        input: &FrameInput<'_>,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Result<Vec<FrameValues>, AnalyzeError> {
        let motion = self.measure_motion(input, clock)?;
        self.analyze_moved(input, &motion, clock)
    }

    /// The first step of [`analyze`](Self::analyze): motion, for which no distorted picture need be
    /// there yet. Unless [`Needs::spatial_looks_back`](crate::Needs::spatial_looks_back), the pictures
    /// before the frame's own are not needed after it.
    ///
    /// # Errors
    /// As [`analyze`](Self::analyze), for the reference pictures.
    pub fn measure_motion(
        &mut self,
        input: &FrameInput<'_>,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Result<MotionSads, AnalyzeError> {
        let FrameInput { frame_index, reference, .. } = *input;
        let needs = self.plan.needs();
        self.check(frame_index, "reference", &reference, needs.references_before)?;
        let windows = self.plan.motion_windows();
        Ok(MotionSads([0, 1].map(|window| {
            let before = reference.before[window].filter(|_| windows[window])?;
            Some(self.motion(before, reference.picture, clock))
        })))
    }

    /// The second step of [`analyze`](Self::analyze): all that is left of the frame that the motion
    /// is of. `input` may lack the pictures before its own where they are not needed any more.
    ///
    /// # Errors
    /// As [`analyze`](Self::analyze), for the distorted pictures.
    pub fn analyze_moved(
        &mut self,
        input: &FrameInput<'_>,
        &MotionSads([motion_sad, motion_sad_wide]): &MotionSads,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Result<Vec<FrameValues>, AnalyzeError> {
        let FrameInput { frame_index, distorted, .. } = *input;
        let is_spatial = self.plan.needs_spatial(frame_index);
        let clip_psnr = self.plan.clip_psnr_instance();
        let distorted_before = self.plan.needs().distorted_before;
        for distorted in distorted.iter().filter(|_| is_spatial || clip_psnr.is_some()) {
            self.check(frame_index, "distorted", distorted, distorted_before)?;
        }
        let spatial = is_spatial.then(|| self.spatial(input, clock)).transpose()?;
        let spatial = spatial.map_or_else(
            || vec![None; distorted.len()],
            |values| values.into_iter().map(Some).collect(),
        );
        if let Some(instance) = clip_psnr.filter(|_| !is_spatial) {
            self.run(instance, input, clock)?;
        }
        let errors = |place: usize| clip_psnr.map(|_| Box::new(self.scratch.errors[place]));
        let values = spatial.into_iter().enumerate().map(|(place, spatial)| FrameValues {
            frame_index,
            motion_sad,
            motion_sad_wide,
            spatial,
            squared_errors: errors(place),
        });
        Ok(values.collect())
    }

    /// Time charged to each kind of extractor that the plan runs, by name, since the analyzer was
    /// made.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.plan.extractor_kinds().map(|kind| (kind.name(), self.times[kind as usize]))
    }

    fn check(
        &self,
        frame_index: u64,
        role: &'static str,
        pictures: &PictureWithPast<'_>,
        before_count: u64,
    ) -> Result<(), AnalyzeError> {
        let expected = self.spec;
        let before = (1_u64..=before_count).zip(pictures.before);
        for (back, picture) in before.clone() {
            if picture.is_some() != (frame_index >= back) {
                return Err(AnalyzeError::Past { frame_index, role, back });
            }
        }
        let before = before.filter_map(|(_, picture)| picture);
        let given = std::iter::once(pictures.picture).chain(before).map(|picture| *picture.spec());
        for given in given {
            if given != expected {
                return Err(AnalyzeError::Shape { frame_index, role, given, expected });
            }
        }
        Ok(())
    }

    fn motion(
        &mut self,
        previous: &Picture,
        reference: &Picture,
        clock: &mut dyn FnMut() -> Duration,
    ) -> u64 {
        let start = clock();
        let sad =
            motion_sad(self.isa, &previous.luma(), &reference.luma(), &mut self.motion_scratch)
                .expect("both pictures are of the analyzer's kind");
        self.charge(ExtractorKind::Motion, start, clock);
        sad
    }

    /// The values of every planned output, for each distorted picture.
    fn spatial(
        &mut self,
        input: &FrameInput<'_>,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Result<Vec<Vec<f64>>, AnalyzeError> {
        let plan = Arc::clone(&self.plan);
        let mut places = plan.spatial();
        let wanted = plan.spatial().len();
        let mut all = vec![Vec::with_capacity(wanted); input.distorted.len()];
        for instance in 0..self.instances.len() {
            let own = places.iter().take_while(|(of, _)| *of == instance).count();
            let (outputs, rest) = places.split_at(own);
            places = rest;
            if outputs.is_empty() {
                continue;
            }
            self.run(instance, input, clock)?;
            for (all, values) in all.iter_mut().zip(&self.values) {
                all.extend(outputs.iter().map(|(_, output)| values[output.0]));
            }
        }
        Ok(all)
    }

    /// Leaves the values of one instance in `self.values`.
    fn run(
        &mut self,
        instance: usize,
        input: &FrameInput<'_>,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Result<(), AnalyzeError> {
        let start = clock();
        self.values.resize_with(input.distorted.len(), Vec::new);
        self.values.iter_mut().for_each(Vec::clear);
        let (kind, prepared) = &self.instances[instance];
        let has_maps = self.plan.heat_map_instance() == Some(instance);
        let maps = self.heat_maps.as_deref().filter(|_| has_maps);
        let ran = prepared.run(self.isa, input, &mut self.scratch, maps, &mut self.values);
        let kind = *kind;
        self.charge(kind, start, clock);
        ran.map_err(|Refusal(what)| AnalyzeError::Refused {
            frame_index: input.frame_index,
            extractor: kind.name(),
            what,
        })
    }

    fn charge(
        &mut self,
        kind: ExtractorKind,
        start: Duration,
        clock: &mut dyn FnMut() -> Duration,
    ) {
        self.times[kind as usize] += clock().saturating_sub(start);
    }
}

impl FrameValues {
    /// The raw difference that motion with these options is made of.
    pub(crate) fn motion(&self, options: &MotionOptions) -> Option<u64> {
        if options.five_frame_window { self.motion_sad_wide } else { self.motion_sad }
    }
}
