//! The work on one frame: pictures in, values out, nothing kept between frames.
//!
//! Frames may therefore be analyzed in any order and on any thread, each thread with a
//! [`FrameAnalyzer`] of its own. What depends on more than a frame and the reference picture before
//! it is the [`Sequence`](crate::Sequence)'s to compute.

use std::sync::Arc;
use std::time::Duration;

use kernels::Isa;
use kernels::adm::{AdmParams, AdmScores, AdmScratch, adm};
use kernels::motion::{MotionScratch, motion_sad};
use kernels::vif::{VifParams, VifScores, VifScratch, vif};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::features::{ExtractorKind, Output, Plan, Planned, Settings};
use crate::picture::{Picture, PictureSpec};

/// The pictures of one frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameInput<'a> {
    /// 0-based, counted from the first frame of the clip that is scored.
    pub frame_index: u64,
    /// The undegraded picture.
    pub reference: &'a Picture,
    /// The degraded picture; not looked at where the plan needs nothing spatial of this frame.
    pub distorted: &'a Picture,
    /// The reference picture of the frame before; `None` for frame 0 and for no other.
    pub previous_reference: Option<&'a Picture>,
}

/// What was computed from one frame. Plain data: it can be stored, sent and merged without losing
/// a bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameValues {
    /// 0-based, counted from the first frame of the clip that is scored.
    pub frame_index: u64,
    /// The raw sum of differences from the reference picture before, in 1/256 of an 8-bit step;
    /// `None` for frame 0 and where the plan measures no motion.
    pub motion_sad: Option<u64>,
    /// The values of the spatial extractors in the plan's order; `None` on frames that subsampling
    /// leaves out.
    #[serde(with = "bits")]
    pub(crate) spatial: Option<Vec<f64>>,
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

/// Why a frame cannot be analyzed. All are mistakes of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnalyzeError {
    /// A picture is not of the kind that the analyzer was made for.
    #[error("frame {frame_index}: the {role} picture is {}x{} {}, expected {}x{} {}",
        given.width, given.height, given.format, expected.width, expected.height, expected.format)]
    #[allow(missing_docs, reason = "the frame, which picture, and both kinds")]
    Shape { frame_index: u64, role: &'static str, given: PictureSpec, expected: PictureSpec },
    /// The plan measures motion, and a frame other than the first came without the reference
    /// picture before it, or the first came with one.
    #[error(
        "frame {frame_index}: the reference picture before it must be given except for frame 0"
    )]
    #[allow(missing_docs, reason = "the frame")]
    PreviousReference { frame_index: u64 },
}

/// Analyzes frames of one kind of picture for one plan. Owns the working memory of all its
/// extractors, which one frame after the other reuses; make one for each thread.
#[derive(Debug)]
pub struct FrameAnalyzer {
    plan: Arc<Plan>,
    spec: PictureSpec,
    isa: Isa,
    spatial: Vec<Spatial>,
    vif_scratch: VifScratch,
    adm_scratch: AdmScratch,
    motion_scratch: MotionScratch,
    times: [Duration; ExtractorKind::ALL.len()],
}

/// One spatial instance, ready to run.
#[derive(Debug)]
enum Spatial {
    Vif(VifParams),
    Adm(Box<AdmParams>),
    /// Motion is measured for all its instances at once.
    None,
}

enum SpatialScores {
    Vif(VifScores),
    Adm(AdmScores),
    None,
}

impl FrameAnalyzer {
    /// An analyzer for pictures of this kind. `isa` picks the instruction set of the kernels; all
    /// give the same values.
    #[must_use]
    pub fn new(plan: Arc<Plan>, spec: PictureSpec, isa: Isa) -> Self {
        let spatial = plan.instances().iter().map(Spatial::new).collect();
        let adm_scratch = AdmScratch::default();
        let (vif_scratch, motion_scratch) = (VifScratch::new(), MotionScratch::new());
        let times = Default::default();
        Self { plan, spec, isa, spatial, vif_scratch, adm_scratch, motion_scratch, times }
    }

    /// Computes what the plan wants of one frame.
    ///
    /// `clock` tells the time that each extractor is charged by: CPU time of the calling thread,
    /// or any clock that never goes back. It is read twice an extractor.
    ///
    /// # Errors
    /// [`AnalyzeError`] when a picture is not of the kind announced, or the one before is missing.
    pub fn analyze(
        &mut self,
        input: &FrameInput<'_>,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Result<FrameValues, AnalyzeError> {
        let FrameInput { frame_index, reference, distorted, previous_reference } = *input;
        self.check(frame_index, "reference", reference)?;
        let motion_sad = if self.plan.needs_previous_reference() {
            if previous_reference.is_none() != (frame_index == 0) {
                return Err(AnalyzeError::PreviousReference { frame_index });
            }
            previous_reference
                .map(|previous| {
                    self.check(frame_index, "previous reference", previous)?;
                    Ok(self.motion(previous, reference, clock))
                })
                .transpose()?
        } else {
            None
        };
        let spatial = if self.plan.needs_spatial(frame_index) {
            self.check(frame_index, "distorted", distorted)?;
            Some(self.spatial(reference, distorted, clock))
        } else {
            None
        };
        Ok(FrameValues { frame_index, motion_sad, spatial })
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
        picture: &Picture,
    ) -> Result<(), AnalyzeError> {
        let (given, expected) = (*picture.spec(), self.spec);
        if given == expected {
            Ok(())
        } else {
            Err(AnalyzeError::Shape { frame_index, role, given, expected })
        }
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

    fn spatial(
        &mut self,
        reference: &Picture,
        distorted: &Picture,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Vec<f64> {
        let plan = Arc::clone(&self.plan);
        let mut places = plan.spatial().iter().peekable();
        let mut values = Vec::with_capacity(plan.spatial().len());
        for instance in 0..self.spatial.len() {
            let scores = self.run(instance, reference, distorted, clock);
            while let Some((_, output)) = places.next_if(|(of, _)| *of == instance) {
                values.push(scores.value(*output));
            }
        }
        values
    }

    fn run(
        &mut self,
        instance: usize,
        reference: &Picture,
        distorted: &Picture,
        clock: &mut dyn FnMut() -> Duration,
    ) -> SpatialScores {
        let start = clock();
        let (reference, distorted) = (reference.luma(), distorted.luma());
        let (kind, scores) = match &self.spatial[instance] {
            Spatial::Vif(params) => {
                let scores = vif(self.isa, &reference, &distorted, params, &mut self.vif_scratch)
                    .expect("both pictures are of the analyzer's kind");
                (ExtractorKind::Vif, SpatialScores::Vif(scores))
            }
            Spatial::Adm(params) => {
                let scores = adm(self.isa, &reference, &distorted, params, &mut self.adm_scratch)
                    .expect("both pictures are of the analyzer's kind");
                (ExtractorKind::Adm, SpatialScores::Adm(scores))
            }
            Spatial::None => return SpatialScores::None,
        };
        self.charge(kind, start, clock);
        scores
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

impl Spatial {
    fn new(planned: &Planned) -> Self {
        match planned.extractor.settings() {
            Settings::Vif(params) => Self::Vif(*params),
            Settings::Adm(options) => {
                let mut options = options.clone();
                options.skip_aim = !planned.computes_aim();
                let params = AdmParams::new(options).expect("the extractor checked its options");
                Self::Adm(Box::new(params))
            }
            Settings::Motion(_) => Self::None,
        }
    }
}

impl SpatialScores {
    fn value(&self, output: Output) -> f64 {
        match self {
            Self::Vif(scores) => vif_value(scores, output),
            Self::Adm(scores) => adm_value(scores, output),
            Self::None => None,
        }
        .expect("the plan lists outputs of their own instance")
    }
}

fn vif_value(scores: &VifScores, output: Output) -> Option<f64> {
    match output {
        Output::VifScale(scale) => Some(scores.scales[scale].score),
        Output::Vif => Some(scores.score()),
        Output::VifNumerator => Some(scores.num()),
        Output::VifDenominator => Some(scores.den()),
        Output::VifScaleNumerator(scale) => Some(scores.scales[scale].num),
        Output::VifScaleDenominator(scale) => Some(scores.scales[scale].den),
        _ => None,
    }
}

fn adm_value(scores: &AdmScores, output: Output) -> Option<f64> {
    match output {
        Output::Adm2 | Output::Adm => Some(scores.adm2),
        Output::Aim => Some(scores.aim),
        Output::Adm3 => Some(scores.adm3),
        Output::AdmScale(scale) => Some(scores.scale[scale]),
        Output::AdmNumerator => Some(scores.numerator),
        Output::AdmDenominator => Some(scores.denominator),
        Output::AdmScaleNumerator(scale) => Some(scores.scale_numerator[scale]),
        Output::AdmScaleDenominator(scale) => Some(scores.scale_denominator[scale]),
        _ => None,
    }
}
