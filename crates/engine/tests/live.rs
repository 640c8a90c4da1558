//! A clip that is scored while it comes gives the bits of one that is scored at its end, and gives
//! each as soon as can be.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;

use engine::{
    AHEAD_MAX, FRAMES_MAX, FrameValues, Isa, IsaLevel, LiveSequence, Model, OutputSet, Plan,
    PlanOptions, Scores, Sequence, SequenceError, TABLE_BYTES_MAX, builtin_models, digest,
};
use testkit::{ClipPair, ClipSpec, SplitMix64};
use types::{ChromaSubsampling, Provenance, StageTimings};

const FRAMES: usize = 9;
const SIZE: (u32, u32) = (50, 42);

fn clip() -> ClipPair {
    let spec = ClipSpec::texture(7, SIZE.0, SIZE.1, FRAMES as u32);
    spec.with_format(ChromaSubsampling::C420, 10).make()
}

fn plan(models: &[&str], requests: &[&str], interval: u32, outputs: OutputSet) -> Arc<Plan> {
    let models: Vec<_> = models
        .iter()
        .map(|version| Model::builtin(version).expect("it is built in").named(*version))
        .collect();
    let options = PlanOptions {
        requests: requests.iter().map(|text| text.parse().expect("form")).collect(),
        outputs,
        subsample_interval: NonZeroU32::new(interval).expect("not zero"),
    };
    Arc::new(Plan::new(models, &options).expect("it can be planned"))
}

/// Whether pictures as small as the clip's are taken by all that the model reads.
fn takes_small_pictures(version: &str) -> bool {
    let plan = plan(&[version], &[], 1, OutputSet::Needed);
    plan.check_pictures(&clip().reference.picture_spec(plan.needs().planes)).is_ok()
}

/// Each built-in model alone, and what has no model or looks at no other frame.
fn plans() -> Vec<(String, Arc<Plan>)> {
    let mut plans = Vec::new();
    for interval in [1, 2, 3, 5] {
        for model in builtin_models().iter().filter(|model| takes_small_pictures(model.version)) {
            let plan = plan(&[model.version], &[], interval, OutputSet::Needed);
            plans.push((format!("{} every {interval}", model.version), plan));
        }
        for requests in [
            &["motion=motion_blend_factor=0.5:motion_blend_offset=3"][..],
            &["vif"],
            &["psnr=enable_apsnr=true", "motion"],
            &["adm", "motion=motion_force_zero=true"],
            &["vif", "motion=motion_five_frame_window=true:motion_moving_average=true"],
            &["vif", "motion=motion_moving_average=true", "motion=motion_five_frame_window=true"],
        ] {
            let full = plan(&[], requests, interval, OutputSet::Full);
            plans.push((format!("{requests:?} every {interval}"), full));
        }
    }
    plans
}

fn values(plan: &Arc<Plan>, pair: &ClipPair, frames: usize) -> Vec<FrameValues> {
    let isa = Isa::detect(IsaLevel::Avx512);
    support::analyze(plan, pair, 0..frames, isa).into_part().frames
}

fn digest_of(scores: Scores) -> String {
    let report = scores.into_report(Vec::new(), Provenance::default(), StageTimings::default());
    assert_eq!(digest(&report), report.digest);
    report.digest
}

fn whole(plan: &Arc<Plan>, values: &[FrameValues]) -> Scores {
    let mut sequence = Sequence::new(Arc::clone(plan), SIZE.0, SIZE.1);
    values.iter().for_each(|frame| sequence.add(frame.clone()).expect("once each"));
    sequence.finish().expect("all frames are there")
}

/// Adds the values in the order given and holds what comes out, and when, to the whole.
fn check(name: &str, plan: &Arc<Plan>, values: &[FrameValues], order: &[usize]) {
    let expected = whole(plan, values);
    let mut live = LiveSequence::new(Arc::clone(plan), SIZE.0, SIZE.1);
    let mut there = vec![false; values.len()];
    let apart = plan.needs().references_before as usize;
    for index in order {
        let rows = live.add(values[*index].clone()).expect("it fits");
        assert_eq!(rows.end, live.final_count());
        there[*index] = true;
        let in_order = there.iter().take_while(|is_there| **is_there).count();
        // All frames in order are final but the last, whose successor may still count, and at the
        // start those that take the value of the first difference.
        let frames = &expected.frames.frame_indices;
        let due =
            frames.iter().filter(|frame| (**frame as usize + 1).max(apart) < in_order).count();
        assert!(live.final_count() >= due, "{name}: {} of {due}", live.final_count());
    }
    let last = live.end();
    assert!(
        last.len() <= apart.max(1) && last.end == expected.frames.frame_count(),
        "{name}: {last:?}"
    );
    for row in 0..expected.frames.frame_count() {
        let frame = live.frame(row).expect("it is final");
        assert_eq!(frame.frame_index, expected.frames.frame_indices[row], "{name}");
        for (column, value) in expected.frames.columns.iter().zip(&frame.values) {
            let (expected, found) = (column.values[row].to_bits(), value.to_bits());
            assert_eq!(expected, found, "{name}: {} of row {row}", column.name);
        }
    }
    assert_eq!(live.frame(expected.frames.frame_count()), None);
    let scores = live.finish().expect("all frames are there");
    assert_eq!(scores.pooled, expected.pooled, "{name}");
    assert_eq!(scores.aggregates, expected.aggregates, "{name}");
    assert_eq!(digest_of(scores), digest_of(expected), "{name}");
}

#[test]
fn frames_in_any_order_give_the_bits_of_the_whole_for_every_model() {
    let pair = clip();
    let mut random = SplitMix64::new(4);
    let mut checked = 0;
    for (name, plan) in plans() {
        let all = values(&plan, &pair, FRAMES);
        for _ in 0..4 {
            let length = 1 + random.below(FRAMES as u64) as usize;
            let mut order: Vec<usize> = (0..length).collect();
            for last in (1..length).rev() {
                order.swap(last, random.below(last as u64 + 1) as usize);
            }
            // The values of a shorter clip are the first of the longer one.
            check(&name, &plan, &all[..length], &order);
            check(&name, &plan, &all[..length], &(0..length).collect::<Vec<_>>());
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn a_frame_that_looks_at_no_other_is_final_at_once() {
    let pair = clip();
    for (request, due) in [("vif", 1), ("motion", 0)] {
        let plan = plan(&[], &[request], 1, OutputSet::Full);
        let mut live = LiveSequence::new(Arc::clone(&plan), SIZE.0, SIZE.1);
        let rows = live.add(values(&plan, &pair, 1).remove(0)).expect("it fits");
        assert_eq!(rows, 0..due, "{request}");
        assert_eq!(live.end(), due..1, "{request}");
    }
}

#[test]
fn a_table_is_bounded_in_bytes_and_not_only_in_frames() {
    let frames_max = |plan: &Arc<Plan>| LiveSequence::new(Arc::clone(plan), 64, 48).frames_max();
    let default = plan(&["vmaf_v0.6.1"], &[], 1, OutputSet::Needed);
    assert_eq!(frames_max(&default), FRAMES_MAX as u64, "nine hours of the default model");
    // Extractors with settings of their own: a column each, and more.
    let requests: Vec<String> =
        (0..24).map(|n| format!("motion=motion_fps_weight=1.{n:02}")).collect();
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    for interval in [1, 4] {
        let wide = plan(&["vmaf_v0.6.1"], &requests, interval, OutputSet::Full);
        let row_bytes = 8 * (wide.column_names().count() as u64 + 1);
        let rows = frames_max(&wide) / u64::from(interval);
        assert!(rows * row_bytes <= TABLE_BYTES_MAX as u64, "{rows} rows of {row_bytes} bytes");
    }
    let wide = plan(&["vmaf_v0.6.1"], &requests, 1, OutputSet::Full);
    assert!(frames_max(&wide) < FRAMES_MAX as u64);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let plan = plan(&["vmaf_v0.6.1"], &[], 1, OutputSet::Needed);
    let all = values(&plan, &clip(), 3);
    let mut live = LiveSequence::new(Arc::clone(&plan), SIZE.0, SIZE.1);
    assert_eq!(live.clone().finish().err(), Some(SequenceError::Empty));
    live.add(all[0].clone()).expect("it fits");
    assert_eq!(live.add(all[0].clone()), Err(SequenceError::Duplicate(0)));
    live.add(all[2].clone()).expect("it may come early");
    assert_eq!(live.add(all[2].clone()), Err(SequenceError::Duplicate(2)));
    assert_eq!(live.clone().finish().err(), Some(SequenceError::Missing(1)));
    let changed = |frame: &FrameValues, change: fn(&mut FrameValues)| {
        let mut frame = frame.clone();
        change(&mut frame);
        frame
    };
    let far = changed(&all[2], |frame| frame.frame_index = 1 + AHEAD_MAX);
    assert_eq!(live.add(far), Err(SequenceError::Missing(1)));
    let foreign = changed(&all[1], |frame| frame.motion_sad = None);
    assert_eq!(live.add(foreign), Err(SequenceError::Foreign(1)));
    let beyond = changed(&all[1], |frame| frame.frame_index = u64::MAX);
    assert_eq!(live.add(beyond), Err(SequenceError::TooLong));
    live.add(all[1].clone()).expect("it still fits");
    let scores = live.finish().expect("all frames are there");
    assert_eq!(digest_of(scores), digest_of(whole(&plan, &all)));
}
