//! A clip that is cut into ranges, analyzed apart and merged gives the bits of a run in one piece.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use engine::{
    AnalyzeError, FrameAnalyzer, FrameInput, Isa, IsaLevel, Model, OutputSet, PartValues,
    PictureWithPast, Plan, PlanOptions, PlanesWanted, Scores, Sequence, SequenceError, digest,
};
use testkit::{ClipPair, ClipSpec, SplitMix64};
use types::{ChromaSubsampling, Provenance, StageTimings};

const FRAMES: usize = 11;

const APSNR: &str = "psnr=enable_apsnr=true";

fn clip() -> ClipPair {
    ClipSpec::texture(42, 66, 50, FRAMES as u32).with_format(ChromaSubsampling::C420, 10).make()
}

fn plan(interval: u32) -> Arc<Plan> {
    plan_with("motion=motion_blend_factor=0.5:motion_blend_offset=3", interval)
}

fn plan_with(request: &str, interval: u32) -> Arc<Plan> {
    let models = ["vmaf_v0.6.1", "vmaf_v0.6.1neg"]
        .map(|version| Model::builtin(version).expect("it is built in").named(version));
    let options = PlanOptions {
        requests: vec![request.parse().expect("form")],
        outputs: OutputSet::Full,
        subsample_interval: NonZeroU32::new(interval).expect("not zero"),
    };
    Arc::new(Plan::new(models.to_vec(), &options).expect("it can be planned"))
}

fn isa() -> Isa {
    Isa::detect(IsaLevel::Avx512)
}

/// Every value by its bits, with its column and frame.
fn bits(scores: &Scores) -> Vec<(&str, u64, u64)> {
    let rows = &scores.frames.frame_indices;
    let columns = scores.frames.columns.iter();
    columns
        .flat_map(|column| {
            let values = rows.iter().zip(&column.values);
            values.map(|(index, value)| (column.name.as_str(), *index, value.to_bits()))
        })
        .collect()
}

fn digest_of(scores: Scores) -> String {
    scores.into_report(Vec::new(), Provenance::default(), StageTimings::default()).digest
}

/// A part as it arrives from another machine: written as JSON and read again.
fn sent(part: &PartValues) -> PartValues {
    serde_json::from_str(&serde_json::to_string(part).expect("plain data")).expect("plain data")
}

#[test]
fn ranges_with_the_halo_of_the_plan_merge_to_the_same_bits_wherever_they_are_cut() {
    let wide = "motion=motion_five_frame_window=true:motion_moving_average=true";
    for interval in [1, 2, 3] {
        check_cuts(&plan(interval), 1);
        check_cuts(&plan_with(wide, interval), 2);
    }
}

fn check_cuts(plan: &Arc<Plan>, halo: u64) {
    let pair = clip();
    assert_eq!((plan.halo().left, plan.halo().right), (halo, 0));
    let whole = support::score(plan, &pair, isa());
    for cuts in [&[1][..], &[10], &[5], &[3, 4, 9], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
        let starts = [0].iter().chain(cuts);
        let ends = cuts.iter().chain(&[FRAMES]);
        let ranges = starts.zip(ends).map(|(start, end)| *start..*end);
        let parts: Vec<_> = ranges
            .map(|range| sent(&support::analyze(plan, &pair, range, isa()).into_part()))
            .collect();
        let mut merged = Sequence::new(Arc::clone(plan), 66, 50);
        for part in parts.into_iter().rev() {
            merged.add_part(part).expect("parts of one plan");
        }
        let merged = merged.finish().expect("all frames are there");
        let interval = plan.subsample_interval();
        assert_eq!(bits(&merged), bits(&whole), "interval {interval}, cut at {cuts:?}");
        assert_eq!(merged.pooled, whole.pooled);
        assert_eq!(merged.aggregates, whole.aggregates);
        assert_eq!(digest_of(merged), digest_of(whole.clone()));
    }
}

#[test]
fn the_error_of_a_clip_is_the_same_in_whatever_parts_it_comes() {
    for interval in [1, 2, 3] {
        let plan = plan_with(APSNR, interval);
        check_cuts(&plan, 1);
        let scores = support::score(&plan, &clip(), isa());
        let names: Vec<_> = scores.aggregates.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["apsnr_y", "apsnr_cb", "apsnr_cr"]);
        assert!(scores.aggregates.iter().all(|(_, value)| (5.0..80.0).contains(value)));
    }
    // Every frame counts, also those that the table leaves out.
    let values = |interval| support::score(&plan_with(APSNR, interval), &clip(), isa()).aggregates;
    assert_eq!(values(1), values(4));
}

#[test]
fn parts_with_foreign_errors_are_told_by_frame() {
    let pair = clip();
    let plan = plan_with(APSNR, 1);
    let part = |start, end| support::analyze(&plan, &pair, start..end, isa()).into_part();
    let sent = |part: &PartValues, from: &str, to: &str| -> PartValues {
        let text = serde_json::to_string(part).expect("plain data");
        assert!(text.contains(from), "{text}");
        serde_json::from_str(&text.replace(from, to)).expect("of the form")
    };
    let mut sequence = Sequence::new(Arc::clone(&plan), 66, 50);
    sequence.add_part(part(0, 1)).expect("it fits");
    for depth in ["7", "17"] {
        let damaged = sent(&part(1, 2), "\"bit_depth\":10", &format!("\"bit_depth\":{depth}"));
        assert_eq!(sequence.add_part(damaged), Err(SequenceError::Foreign(1)));
    }
    let missing = sent(&part(1, 2), "squared_errors", "something_else");
    assert_eq!(sequence.add_part(missing), Err(SequenceError::Foreign(1)));
    let other = sent(&part(1, 2), "\"bit_depth\":10", "\"bit_depth\":8");
    sequence.add_part(other).expect("alone it could be");
    assert_eq!(sequence.finish().err(), Some(SequenceError::Foreign(1)));
}

#[test]
fn change_in_time_needs_no_more_than_the_pictures_before_on_both_sides() {
    let clip = ClipSpec::texture(43, 304, 272, 5).with_format(ChromaSubsampling::C444, 8);
    let pair = clip.make();
    let requests = ["speed_temporal", "speed_temporal=speed_use_ref_diff=true", "speed_chroma"];
    for interval in [1, 2] {
        let options = PlanOptions {
            requests: requests.map(|request| request.parse().expect("form")).to_vec(),
            outputs: OutputSet::Full,
            subsample_interval: NonZeroU32::new(interval).expect("not zero"),
        };
        let plan = Arc::new(Plan::new(Vec::new(), &options).expect("it can be planned"));
        assert_eq!((plan.halo().left, plan.halo().right), (1, 0));
        let whole = support::score(&plan, &pair, isa());
        let mut merged = Sequence::new(Arc::clone(&plan), 304, 272);
        for frame in [3, 0, 4, 2, 1] {
            let part = support::analyze(&plan, &pair, frame..frame + 1, isa()).into_part();
            merged.add_part(sent(&part)).expect("parts of one plan");
        }
        let merged = merged.finish().expect("all frames are there");
        assert_eq!(bits(&merged), bits(&whole), "interval {interval}");
        for column in &whole.frames.columns {
            let is_change = column.name.starts_with("speed_temporal");
            assert_eq!(column.values[0] == 0.0, is_change, "{}", column.name);
            assert!(column.values[1..].iter().all(|value| *value > 0.0), "{}", column.name);
        }
    }
}

#[test]
fn frames_may_come_in_any_order() {
    let pair = clip();
    let plan = plan(2);
    let whole = support::analyze(&plan, &pair, 0..FRAMES, isa());
    let mut frames = whole.clone().into_part().frames;
    let mut random = SplitMix64::new(9);
    for last in (1..frames.len()).rev() {
        frames.swap(last, random.below(last as u64 + 1) as usize);
    }
    let mut shuffled = Sequence::new(Arc::clone(&plan), 66, 50);
    frames.into_iter().for_each(|frame| shuffled.add(frame).expect("frames come once"));
    let shuffled = shuffled.finish().expect("all frames are there");
    assert_eq!(bits(&shuffled), bits(&whole.finish().expect("all frames are there")));
}

#[test]
fn what_is_missing_doubled_or_foreign_is_told_by_frame() {
    let pair = clip();
    let plan = plan(1);
    let part = |start, end| support::analyze(&plan, &pair, start..end, isa()).into_part();
    let mut sequence = Sequence::new(Arc::clone(&plan), 66, 50);
    assert_eq!(sequence.clone().finish().err(), Some(SequenceError::Empty));
    sequence.add_part(part(3, 6)).expect("it fits");
    assert_eq!(sequence.clone().finish().err(), Some(SequenceError::Missing(0)));
    sequence.add_part(part(0, 2)).expect("it fits");
    assert_eq!(sequence.clone().finish().err(), Some(SequenceError::Missing(2)));
    assert_eq!(sequence.add_part(part(5, 7)), Err(SequenceError::Duplicate(5)));
    assert_eq!((sequence.len(), sequence.is_empty()), (5, false));

    let mut damaged = part(2, 3);
    damaged.frames[0].motion_sad = None;
    assert_eq!(sequence.add_part(damaged), Err(SequenceError::Foreign(2)));
    let mut other_size = part(2, 3);
    other_size.width = 64;
    assert_eq!(sequence.add_part(other_size), Err(SequenceError::ForeignPart));
    let sparse = support::analyze(&self::plan(2), &pair, 2..3, isa()).into_part();
    assert_eq!(sequence.add_part(sparse), Err(SequenceError::ForeignPart));
}

#[test]
fn a_digest_changes_with_any_bit_and_with_nothing_else() {
    let pair = clip();
    let plan = plan(3);
    let scores = support::score(&plan, &pair, isa());
    let report = |scores: Scores| {
        scores.into_report(Vec::new(), Provenance::default(), StageTimings::default())
    };
    let first = report(scores.clone());
    assert_eq!(first.digest.len(), 64);
    assert_eq!(first.digest, digest(&first));

    let mut same = first.clone();
    same.provenance.isa = "other".to_owned();
    same.timings.wall = Duration::from_secs(1);
    assert_eq!(digest(&same), first.digest);

    let changes: [fn(&mut types::ScoreReport); 7] = [
        |r| r.aggregates.push(("apsnr_y".to_owned(), 1.0)),
        |r| r.width += 1,
        |r| r.models[1].sha256.push('0'),
        |r| r.frames.frame_indices[1] += 1,
        |r| r.frames.columns[2].name.push('x'),
        |r| r.frames.columns[3].values[1] = r.frames.columns[3].values[1].next_up(),
        |r| r.frames.columns[4].values[0] = f64::NAN,
    ];
    for change in changes {
        let mut changed = first.clone();
        change(&mut changed);
        assert_ne!(digest(&changed), first.digest);
    }
}

#[test]
fn pictures_that_do_not_fit_are_refused_with_their_frame() {
    let pair = clip();
    let other = ClipSpec::texture(1, 64, 50, 1).with_format(ChromaSubsampling::C420, 10).make();
    let spec = pair.reference.picture_spec(PlanesWanted::Luma);
    let mut analyzer = FrameAnalyzer::new(plan(2), spec, isa());
    let [fits, too] = [0, 1].map(|frame| pair.reference.picture(frame, PlanesWanted::Luma));
    let narrow = other.reference.picture(0, PlanesWanted::Luma);
    let mut analyze = |frame_index, reference, distorted, previous| {
        let input = FrameInput {
            frame_index,
            reference: PictureWithPast { picture: reference, before: [previous, None] },
            distorted: &[PictureWithPast::alone(distorted)],
        };
        analyzer.analyze(&input, &mut || Duration::ZERO)
    };
    let shape = |result: Result<_, AnalyzeError>| match result.map(|_| ()) {
        Err(AnalyzeError::Shape { frame_index, role, .. }) => (frame_index, role),
        other => panic!("{other:?}"),
    };
    assert_eq!(shape(analyze(4, &narrow, &fits, Some(&fits))), (4, "reference"));
    assert_eq!(shape(analyze(4, &fits, &narrow, Some(&fits))), (4, "distorted"));
    assert_eq!(shape(analyze(4, &fits, &fits, Some(&narrow))), (4, "reference"));
    let past = |frame_index| Err(AnalyzeError::Past { frame_index, role: "reference", back: 1 });
    let missing = past(1);
    assert_eq!(analyze(1, &fits, &fits, None), missing);
    let surplus = past(0);
    assert_eq!(analyze(0, &fits, &fits, Some(&too)), surplus);
    // A frame that subsampling leaves out does not look at the distorted picture.
    assert!(analyze(1, &fits, &narrow, Some(&too)).is_ok());
}

#[test]
fn extractors_are_charged_by_the_clock_that_is_passed_in() {
    let pair = clip();
    let plan = plan(2);
    let spec = pair.reference.picture_spec(PlanesWanted::Luma);
    let mut analyzer = FrameAnalyzer::new(Arc::clone(&plan), spec, isa());
    let pictures = pair.reference.pictures(PlanesWanted::Luma);
    let mut now = Duration::ZERO;
    let mut clock = || {
        now += Duration::from_millis(1);
        now
    };
    for frame in 0..4 {
        let input = FrameInput {
            frame_index: frame as u64,
            reference: PictureWithPast {
                picture: &pictures[frame],
                before: [frame.checked_sub(1).map(|before| &pictures[before]), None],
            },
            distorted: &[PictureWithPast::alone(&pictures[frame])],
        };
        analyzer.analyze(&input, &mut clock).expect("it fits");
    }
    let times: Vec<_> = analyzer.times().map(|(name, time)| (name, time.as_millis())).collect();
    // Two frames are scored, each by two instances of VIF and of ADM; three have a predecessor.
    assert_eq!(times, [("vif", 4), ("adm", 4), ("motion", 3)]);
}
