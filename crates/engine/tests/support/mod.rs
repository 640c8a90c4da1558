//! Scoring a pair of synthetic clips on one thread.
#![allow(dead_code, reason = "each test crate takes what it needs")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use engine::{FrameAnalyzer, FrameInput, Isa, Plan, PlanesWanted, Scores, Sequence};
use testkit::ClipPair;

/// Analyzes a range of frames, given the one reference picture to its left.
pub fn analyze(plan: &Arc<Plan>, pair: &ClipPair, range: Range<usize>, isa: Isa) -> Sequence {
    let spec = pair.reference.picture_spec(PlanesWanted::Luma);
    let mut analyzer = FrameAnalyzer::new(Arc::clone(plan), spec, isa);
    let mut sequence = Sequence::new(Arc::clone(plan), spec.width, spec.height);
    let halo = plan.halo().left as usize;
    let mut previous = (range.start >= halo.max(1))
        .then(|| pair.reference.picture(range.start - 1, PlanesWanted::Luma));
    for frame in range {
        let reference = pair.reference.picture(frame, PlanesWanted::Luma);
        let distorted = pair.distorted.picture(frame, PlanesWanted::Luma);
        let input = FrameInput {
            frame_index: frame as u64,
            reference: &reference,
            distorted: &distorted,
            previous_reference: previous.as_ref(),
        };
        let values = analyzer.analyze(&input, &mut || Duration::ZERO).expect("frames fit the plan");
        sequence.add(values).expect("frames come once");
        previous = Some(reference);
    }
    sequence
}

/// Scores a whole pair.
pub fn score(plan: &Arc<Plan>, pair: &ClipPair, isa: Isa) -> Scores {
    let all = 0..pair.reference.frame_count();
    analyze(plan, pair, all, isa).finish().expect("all frames are there")
}
