//! The log writers against logs that libvmaf wrote of the same clips, byte for byte.

mod support;

use std::sync::Arc;

use engine::{Isa, LIBVMAF_COMMIT, LogFormat, LogOptions, OutputSet, Plan, PlanOptions};
use engine::{IsaLevel, Precision, write_log};
use testkit::golden::{Case, cases};
use types::{Provenance, ScoreReport, StageTimings};

/// Clips whose logs lie in `golden/logs`: one has fractions below a millionth, one is subsampled, one
/// has bootstrapped collections, one has values of the whole clip, of which one has two that no log
/// can tell.
const CASES: [&str; 5] = [
    "equal_97x65_8_models",
    "texture_80x60_8_models_every_3",
    "texture_97x65_8_bootstrap",
    "blocks_98x66_420_8_clip_error_every_2",
    "texture_64x64_420_8_clip_error_luma",
];

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).expect("the case is captured")
}

fn report(case: &Case) -> ScoreReport {
    let models = case.ask.models.iter().map(|text| support::model(text));
    let requests = case.ask.requests.iter().map(|request| request.parse().expect("form"));
    let options = PlanOptions {
        requests: requests.collect(),
        outputs: OutputSet::Full,
        subsample_interval: case.subsample_interval.try_into().expect("never zero"),
    };
    let plan = Arc::new(Plan::new(models.collect(), &options).expect("it can be planned"));
    let scores = support::score(&plan, &case.clip.make(), Isa::detect(IsaLevel::Avx512));
    scores.into_report(Vec::new(), Provenance::default(), StageTimings::default())
}

fn written(report: &ScoreReport, format: LogFormat, fps: f64, precision: Precision) -> String {
    let mut text = String::new();
    let options = LogOptions { version: LIBVMAF_COMMIT, fps, precision, notes: &[] };
    write_log(&mut text, report, format, &options).expect("strings take everything");
    text
}

/// The speed that a log names: the one thing in it that differs from run to run.
fn fps(log: &str) -> f64 {
    let after = log.split_once("fps").map_or("0", |(_, after)| after);
    let number = after.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    number[..end].parse().expect("the log names a speed")
}

#[test]
fn every_format_is_libvmafs_to_the_byte() {
    for name in CASES {
        let report = report(&case(name));
        for format in LogFormat::ALL {
            let path = format!("{}/golden/logs/{name}.{format}", env!("CARGO_MANIFEST_DIR"));
            let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            let actual = written(&report, format, fps(&expected), Precision::Libvmaf);
            let differs = expected.lines().zip(actual.lines()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "{path}");
            assert_eq!(expected, actual, "{path}: equal but for its end");
        }
    }
}

#[test]
fn the_clips_show_the_rule_for_small_fractions_and_gaps_between_frames() {
    let logs =
        CASES.map(|name| written(&report(&case(name)), LogFormat::Json, 1.0, Precision::Libvmaf));
    let long = |log: &str| log.lines().any(|line| line.contains(": 1.0000005"));
    assert!(long(&logs[0]), "{}", logs[0]);
    assert!(logs[1].contains("\"frameNum\": 3,") && !logs[1].contains("\"frameNum\": 1,"));
}

#[test]
fn at_the_highest_precision_a_log_holds_every_bit() {
    let report = report(&case(CASES[1]));
    let log = written(&report, LogFormat::Json, f64::NAN, Precision::Max);
    let log: serde_json::Value = serde_json::from_str(&log).expect("it is JSON");
    assert!(log["fps"].is_null());
    for (row, frame) in log["frames"].as_array().expect("an array").iter().enumerate() {
        for column in &report.frames.columns {
            let value = frame["metrics"][&column.name].as_f64().expect("a number");
            assert_eq!(value.to_bits(), column.values[row].to_bits(), "{}[{row}]", column.name);
        }
    }
    let mean = log["pooled_metrics"]["vmaf"]["mean"].as_f64();
    assert_eq!(mean, Some(report.models[0].pooled.mean));
}

#[test]
fn values_that_are_not_finite_are_null_in_json_and_leave_it_valid() {
    let mut report = report(&case(CASES[1]));
    report.frames.columns[0].values[1] = f64::NAN;
    report.frames.columns[1].values[0] = f64::INFINITY;
    report.pooled[0].1.mean = f64::NAN;
    let log = written(&report, LogFormat::Json, 25.0, Precision::Libvmaf);
    assert!(log.contains("\"integer_adm2\": null,        \"integer_aim\": "), "{log}");
    let log: serde_json::Value = serde_json::from_str(&log).expect("it is JSON");
    assert!(log["frames"][0]["metrics"]["integer_aim"].is_null());
    assert!(log["pooled_metrics"]["integer_adm2"]["mean"].is_null());
    let csv = written(&report, LogFormat::Csv, 25.0, Precision::Libvmaf);
    assert!(csv.lines().nth(2).expect("a second frame").starts_with("3,nan,"), "{csv}");
}
