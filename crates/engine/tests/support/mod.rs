//! Scoring a pair of synthetic clips on one thread.
#![allow(dead_code, reason = "each test crate takes what it needs")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use engine::{
    FrameAnalyzer, FrameInput, Isa, Model, Picture, PictureWithPast, Plan, Scores, Sequence,
};
use testkit::{Clip, ClipPair};
use types::{ModelRef, ModelSpec};

/// A built-in model as `--model` takes it.
pub fn model(text: &str) -> Model {
    let spec: ModelSpec = text.parse().expect("models of tests are well formed");
    let ModelRef::Version(version) = &spec.source else { panic!("{text} is not built in") };
    let model = Model::builtin(version).expect("models of tests are built in");
    model.bent(&spec).expect("models of tests read what is overridden")
}

/// Analyzes a range of frames, given the pictures to its left that the plan looks at.
pub fn analyze(plan: &Arc<Plan>, pair: &ClipPair, range: Range<usize>, isa: Isa) -> Sequence {
    let needs = plan.needs();
    let spec = pair.reference.picture_spec(needs.planes);
    let mut analyzer = FrameAnalyzer::new(Arc::clone(plan), spec, isa);
    let mut sequence = Sequence::new(Arc::clone(plan), spec.width, spec.height);
    for frame in range {
        let picture = |clip: &Clip, back| {
            frame.checked_sub(back).map(|frame| clip.picture(frame, needs.planes))
        };
        let pictures = |clip: &Clip, before: u64| {
            [0, 1, 2].map(|back| picture(clip, back).filter(|_| back as u64 <= before))
        };
        let reference = pictures(&pair.reference, needs.references_before);
        let distorted = pictures(&pair.distorted, needs.distorted_before);
        let input = FrameInput {
            frame_index: frame as u64,
            reference: with_past(&reference),
            distorted: &[with_past(&distorted)],
        };
        let values = analyzer.analyze(&input, &mut || Duration::ZERO).expect("frames fit the plan");
        values.into_iter().for_each(|values| sequence.add(values).expect("frames come once"));
    }
    sequence
}

/// The own picture first, then those before it.
fn with_past(pictures: &[Option<Picture>; 3]) -> PictureWithPast<'_> {
    let [own, before @ ..] = pictures.each_ref().map(Option::as_ref);
    PictureWithPast { picture: own.expect("every frame has a picture"), before }
}

/// Scores a whole pair.
pub fn score(plan: &Arc<Plan>, pair: &ClipPair, isa: Isa) -> Scores {
    let all = 0..pair.reference.frame_count();
    analyze(plan, pair, all, isa).finish().expect("all frames are there")
}
