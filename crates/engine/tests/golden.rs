//! The engine against libvmaf's portable C path, bit for bit: every feature of every frame, every
//! score, every pooled value, on every instruction set of this machine.
//!
//! The files in `golden/` are captured by hand, on purpose, with the examples `golden_inputs` and
//! `golden_collect`; they are never edited to make a test pass.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;

use engine::{Isa, LIBVMAF_COMMIT, OutputSet, Plan, PlanOptions, Scores};
use testkit::ClipPair;
use testkit::golden::{Case, Golden, POOLED, cases, differences};
use testkit::isa::every_isa;
use types::{Column, PooledScore, Provenance, StageTimings};

/// Differences that are shown of one column.
const SHOWN_MAX: usize = 3;

fn plan(case: &Case, outputs: OutputSet) -> Arc<Plan> {
    let models = case.ask.models.iter().map(|text| support::model(text));
    let requests = case.ask.requests.iter();
    let requests =
        requests.map(|request| request.parse().expect("golden requests are well formed"));
    let options = PlanOptions {
        requests: requests.collect(),
        outputs,
        subsample_interval: NonZeroU32::new(case.subsample_interval).expect("never zero"),
    };
    Arc::new(Plan::new(models.collect(), &options).expect("golden cases can be planned"))
}

fn golden(case: &Case, pair: &ClipPair) -> Golden {
    let path = format!("{}/golden/{}.json", env!("CARGO_MANIFEST_DIR"), case.name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let golden = Golden::from_json(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(golden.libvmaf, LIBVMAF_COMMIT, "{path}");
    assert_eq!(golden.reference_sha256, pair.reference.sha256(), "{path}: another reference");
    assert_eq!(golden.distorted_sha256, pair.distorted.sha256(), "{path}: another distorted");
    golden
}

fn pooled_column(name: &str, pooled: &PooledScore) -> Column {
    let values = vec![pooled.min, pooled.max, pooled.mean, pooled.harmonic_mean];
    Column { name: format!("{name}, pooled"), values }
}

/// How many values were compared, and where they differ.
fn compare(golden: &Golden, scores: &Scores) -> (usize, Vec<String>) {
    let names = |columns: &[Column]| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&scores.frames.columns), names(&golden.columns), "columns and their order");
    assert_eq!(scores.frames.frame_indices, golden.frame_indices);
    let (mut compared, mut found) = (0, Vec::new());
    for (expected, actual) in golden.columns.iter().zip(&scores.frames.columns) {
        compared += expected.values.len();
        found.extend(differences(expected, actual, SHOWN_MAX));
    }
    for ((name, expected), (_, actual)) in golden.pooled.iter().zip(&scores.pooled) {
        compared += POOLED.len();
        let expected = Column { name: format!("{name}, pooled"), values: expected.to_vec() };
        found.extend(differences(&expected, &pooled_column(name, actual), SHOWN_MAX));
    }
    compared += golden.aggregates.len();
    found.extend(differing_aggregates(golden, scores));
    (compared, found)
}

/// Values of the whole clip. Those that a log, which says null of them, cannot tell are only not
/// finite.
fn differing_aggregates(golden: &Golden, scores: &Scores) -> Vec<String> {
    let mut ours = scores.aggregates.clone();
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    let comparable = |all: &[(String, f64)]| -> Vec<Column> {
        all.iter()
            .map(|(name, value)| {
                let value = if value.is_finite() { *value } else { f64::NAN };
                Column { name: name.clone(), values: vec![value] }
            })
            .collect()
    };
    let (expected, actual) = (comparable(&golden.aggregates), comparable(&ours));
    assert_eq!(expected.len(), actual.len(), "values of the clip: {ours:?}");
    let pairs = expected.iter().zip(&actual);
    pairs.flat_map(|(expected, actual)| differences(expected, actual, SHOWN_MAX)).collect()
}

#[test]
fn every_value_of_every_case_is_libvmafs_on_every_instruction_set() {
    let (mut compared, mut found) = (0, Vec::new());
    for case in cases() {
        let pair = case.clip.make();
        let golden = golden(&case, &pair);
        let plan = plan(&case, OutputSet::Full);
        for isa in every_isa() {
            let scores = support::score(&plan, &pair, isa);
            let (count, differences) = compare(&golden, &scores);
            compared += count;
            found.extend(differences.iter().map(|line| format!("{} on {isa}: {line}", case.name)));
        }
    }
    assert!(compared > 5_000, "only {compared} values were compared");
    assert!(found.is_empty(), "{} of {compared} values:\n{}", found.len(), found.join("\n"));
}

#[test]
fn leaving_out_what_no_model_reads_changes_no_other_value() {
    let mut left_out_count = 0;
    for case in cases().into_iter().filter(|case| !case.ask.models.is_empty()) {
        let pair = case.clip.make();
        let isa = Isa::BASELINE;
        let full = support::score(&plan(&case, OutputSet::Full), &pair, isa);
        let needed = support::score(&plan(&case, OutputSet::Needed), &pair, isa);
        let names = full.frames.columns.iter().map(|column| column.name.as_str());
        let left_out: Vec<_> = names.filter(|name| needed.frames.column(name).is_none()).collect();
        let costly = ["integer_aim", "integer_adm3"];
        assert!(
            left_out.iter().all(|name| costly.iter().any(|prefix| name.starts_with(prefix))),
            "{}: {left_out:?}",
            case.name
        );
        left_out_count += left_out.len();
        for column in &needed.frames.columns {
            let expected = full.frames.column(&column.name).expect("the full set has every column");
            assert_eq!(differences(expected, column, SHOWN_MAX), [""; 0], "{}", case.name);
        }
    }
    assert!(left_out_count > 100, "only {left_out_count} columns were left out");
}

/// Changes only with the form of digests or with a value of the case, both of which everybody who
/// compares digests must know of.
const DIGEST: &str = "c8573706ad565f500ec5b94eb64714b46617b9d161c7bfa97661e85383db483e";

#[test]
fn the_digest_of_a_case_is_the_same_everywhere() {
    let case = cases().into_iter().find(|case| case.name == "texture_97x65_10_models");
    let case = case.expect("the case is captured");
    let pair = case.clip.make();
    for isa in every_isa() {
        let scores = support::score(&plan(&case, OutputSet::Full), &pair, isa);
        let report = scores.into_report(Vec::new(), Provenance::default(), StageTimings::default());
        assert_eq!(report.digest, DIGEST, "{isa}");
    }
}
