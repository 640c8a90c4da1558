//! `vmafx score` as a user meets it: output, logs, messages and exit codes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::{ClipPair, ClipSpec};
use types::ChromaSubsampling;

/// What libvmaf says of the demo pair.
const DEMO_SCORE: &str = "vmaf_v0.6.1: 36.876214\n";

fn demo(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo").join(name);
    path.display().to_string()
}

/// A folder with one synthetic pair in it, as y4m and headerless.
struct Folder {
    folder: tempfile::TempDir,
    spec: ClipSpec,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let spec = ClipSpec::texture(7, 72, 50, 6);
        let this = Self { folder, spec };
        let ClipPair { reference, distorted } = spec.make();
        this.write("reference.y4m", &reference.y4m_bytes());
        this.write("distorted.y4m", &distorted.y4m_bytes());
        this.write("reference.yuv", &reference.raw_bytes());
        this.write("distorted.yuv", &distorted.raw_bytes());
        this.write("short.y4m", &distorted.truncated(4).y4m_bytes());
        this
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `vmafx score` in the folder.
    fn score(&self, line: &str) -> Output {
        let mut command = score_command();
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command.output().expect("started")
    }

    fn log(&self, line: &str) -> Value {
        let output = self.score(&format!("{line} --json -o log.json"));
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let text = std::fs::read_to_string(self.path("log.json")).expect("the log is there");
        serde_json::from_str(&text).expect("JSON")
    }
}

fn score_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx"));
    command.arg("score");
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("not ended by a signal")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const PAIR: &str = "-r reference.y4m -d distorted.y4m";

fn demo_args() -> [String; 4] {
    ["-r".into(), demo("carphone_pristine.y4m"), "-d".into(), demo("carphone_distorted.y4m")]
}

#[test]
fn the_score_alone_is_on_standard_output() {
    let output = score_command().args(demo_args()).output().expect("started");
    assert_eq!((code(&output), stdout(&output).as_str()), (0, DEMO_SCORE), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn threads_and_instruction_sets_change_no_digit() {
    for options in ["--threads 0", "--threads 1", "--threads 5", "--cpumask 63", "-c 16"] {
        let mut command = score_command();
        command.args(demo_args()).args(options.split(' '));
        assert_eq!(stdout(&command.output().expect("started")), DEMO_SCORE, "{options}");
    }
}

#[test]
fn headerless_and_y4m_inputs_give_the_same_log() {
    let folder = Folder::new();
    let y4m = folder.log(PAIR);
    let raw = folder.log("-r reference.yuv -d distorted.yuv -w 72 -h 50 -p 420 -b 8");
    assert_eq!(y4m["frames"], raw["frames"]);
    assert_eq!(y4m["frames"].as_array().map(Vec::len), Some(folder.spec.frame_count as usize));
    let metrics = y4m["frames"][0]["metrics"].as_object().expect("an object");
    for name in ["integer_adm2", "integer_aim", "integer_motion2", "integer_vif_scale3", "vmaf"] {
        assert!(metrics.contains_key(name), "{name}");
    }
}

#[test]
fn without_prediction_there_are_features_and_no_score() {
    let folder = Folder::new();
    let log = folder.log(&format!("{PAIR} -n --feature motion"));
    assert!(log["frames"][1]["metrics"]["integer_motion2"].is_number());
    assert!(log["pooled_metrics"].get("vmaf").is_none());
    let log = folder.log(&format!("{PAIR} -n -m version=vmaf_v0.6.1"));
    assert!(log["frames"][0]["metrics"]["integer_vif_scale0"].is_number());
    assert!(log["frames"][0]["metrics"].get("vmaf").is_none());
    let output = folder.score(&format!("{PAIR} -n --feature vif"));
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
}

#[test]
fn every_log_format_is_written() {
    let folder = Folder::new();
    for (options, beginning) in [
        ("", "<VMAF version="),
        ("--xml", "<VMAF version="),
        ("--json", "{\n  \"version\""),
        ("--csv", "Frame,"),
        ("--sub", "{0}{1}frame: 0|"),
    ] {
        let output = folder.score(&format!("{PAIR} {options} -q -o log"));
        assert_eq!((code(&output), stdout(&output).as_str()), (0, ""), "{}", stderr(&output));
        let log = std::fs::read_to_string(folder.path("log")).expect("the log is there");
        assert!(log.starts_with(beginning), "{options}: {log:.80}");
    }
}

#[test]
fn full_precision_leads_back_to_the_very_same_number() {
    let folder = Folder::new();
    let short = stdout(&folder.score(PAIR));
    let full = stdout(&folder.score(&format!("{PAIR} --precision max")));
    let value: f64 = full.trim().rsplit(' ').next().expect("a word").parse().expect("a number");
    assert_eq!(format!("vmaf_v0.6.1: {value:.6}\n"), short);
    assert_eq!(format!("vmaf_v0.6.1: {value}\n"), full);
    let mean = &folder.log(&format!("{PAIR} --precision max"))["pooled_metrics"]["vmaf"]["mean"];
    assert_eq!(mean.as_f64(), Some(value));
}

#[test]
fn frames_are_skipped_counted_and_sampled_as_asked() {
    let folder = Folder::new();
    let whole = folder.log(PAIR);
    let vif =
        |log: &Value, frame: usize| log["frames"][frame]["metrics"]["integer_vif_scale0"].clone();
    let cut = folder.log(&format!("{PAIR} --frame_skip_ref 2 --frame_skip_dist 2 --frame_cnt 3"));
    assert_eq!(cut["frames"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (0..3).map(|at| vif(&cut, at)).collect::<Vec<_>>(),
        (2..5).map(|at| vif(&whole, at)).collect::<Vec<_>>()
    );
    let sampled = folder.log(&format!("{PAIR} --subsample 4"));
    let indices: Vec<_> = sampled["frames"]
        .as_array()
        .expect("frames")
        .iter()
        .map(|f| f["frameNum"].as_u64())
        .collect();
    assert_eq!(indices, [Some(0), Some(4)]);
    assert_eq!(
        sampled["frames"][1]["metrics"]["integer_motion2"],
        whole["frames"][4]["metrics"]["integer_motion2"]
    );
}

#[test]
fn the_shorter_video_counts_and_a_warning_names_it() {
    let folder = Folder::new();
    let output = folder.score("-r reference.y4m -d short.y4m");
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).starts_with("vmaf_v0.6.1: "));
    let warning = stderr(&output);
    assert!(warning.contains("short.y4m ended before reference.y4m: 4 frames"), "{warning}");
}

#[test]
fn each_failure_has_its_code_and_says_what_was_wrong_with_what() {
    let folder = Folder::new();
    let wide = ClipSpec::texture(7, 80, 50, 2).make().distorted;
    folder.write("wide.y4m", &wide.y4m_bytes());
    let deep = folder.spec.with_format(ChromaSubsampling::C420, 10).make().distorted;
    folder.write("deep.y4m", &deep.y4m_bytes());
    let full = folder.spec.with_format(ChromaSubsampling::C444, 8).make().distorted;
    folder.write("full.y4m", &full.y4m_bytes());
    let whole = std::fs::read(folder.path("distorted.y4m")).expect("there");
    folder.write("cut.y4m", &whole[..whole.len() - 100]);
    folder.write("none.y4m", b"YUV4MPEG2 W72 H50 F25:1\n");
    folder.write("empty.mp4", b"");
    folder.write("model.json", b"{}");
    let distorted = |name: &str| format!("-r reference.y4m -d {name}");
    for (line, expected, words) in [
        (distorted("nowhere.y4m"), 10, vec!["nowhere.y4m"]),
        (distorted("empty.mp4"), 13, vec!["empty.mp4", "empty"]),
        (distorted("."), 13, vec!["directory"]),
        (distorted("cut.y4m"), 14, vec!["cut.y4m", "frame 5"]),
        (distorted("none.y4m"), 15, vec!["none.y4m"]),
        (distorted("wide.y4m"), 16, vec!["72x50", "80x50"]),
        (distorted("full.y4m"), 17, vec!["4:2:0", "4:4:4"]),
        (distorted("deep.y4m"), 18, vec!["8-bit", "10-bit"]),
        (format!("{PAIR} --frame_skip_ref 6"), 15, vec!["reference.y4m", "6"]),
        ("-r reference.yuv -d distorted.yuv -w 70 -h 50 -p 420 -b 8".into(), 14, vec!["70x50"]),
        ("-r reference.yuv -d distorted.yuv -w 99999 -h 50 -p 420 -b 8".into(), 19, vec!["99999"]),
        (format!("{PAIR} -m version=vmaf_v9"), 20, vec!["vmaf_v9", "vmaf_v0.6.1"]),
        (format!("{PAIR} -m path=no.json"), 20, vec!["no.json"]),
        (format!("{PAIR} -m path=model.json"), 20, vec!["model.json"]),
        (format!("{PAIR} --feature nonsense"), 21, vec!["nonsense", "vif"]),
        (format!("{PAIR} -m version=vmaf_v0.6.1 -m version=vmaf_v0.6.1neg"), 22, vec!["name"]),
        (format!("{PAIR} -o no/such/folder/log"), 10, vec!["no/such/folder/log"]),
        (
            distorted("reference.yuv") + " --ffmpeg /no/such/ffmpeg",
            23,
            vec!["/no/such/ffmpeg", "VMAFX_FFMPEG"],
        ),
        (format!("{PAIR} -w 72"), 1, vec!["-h"]),
        (format!("{PAIR} --nonsense"), 1, vec!["--nonsense"]),
        ("-r reference.y4m".into(), 1, vec!["--distorted"]),
        (distorted("https://example.invalid/a.mp4"), 12, vec!["https"]),
    ] {
        let output = folder.score(&line);
        let text = stderr(&output);
        assert_eq!(code(&output), expected, "{line}: {text}");
        assert!(text.starts_with("error: "), "{line}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{line}: {text}");
        assert_eq!(stdout(&output), "", "{line}");
    }
}

#[test]
fn a_failed_run_leaves_the_old_log_and_nothing_beside_it() {
    let folder = Folder::new();
    folder.write("log.xml", b"old");
    let before = std::fs::read_dir(folder.folder.path()).expect("readable").count();
    assert_eq!(code(&folder.score("-r reference.y4m -d nowhere.y4m -o log.xml")), 10);
    assert_eq!(std::fs::read(folder.path("log.xml")).expect("there"), b"old");
    assert_eq!(std::fs::read_dir(folder.folder.path()).expect("readable").count(), before);
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = score_command();
    let child = command.args(demo_args()).stdout(writer).stderr(Stdio::piped()).spawn();
    let output = child.expect("started").wait_with_output().expect("ended");
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn an_interrupt_ends_a_run_in_order() {
    let folder = Folder::new();
    let made = Command::new("mkfifo").arg(folder.path("fifo")).status().expect("mkfifo is there");
    assert!(made.success());
    let mut command = score_command();
    command
        .current_dir(folder.folder.path())
        .args("-r reference.y4m -d fifo -o log.xml".split(' '));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    // Opening succeeds when the run opens its end, which it does after it listens to signals.
    let fifo = std::fs::File::options().write(true).open(folder.path("fifo")).expect("opened");
    let told = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(told.expect("kill is there").success());
    let output = child.wait_with_output().expect("ended");
    drop(fifo);
    assert_eq!((code(&output), stdout(&output).as_str()), (30, ""), "{}", stderr(&output));
    let left = std::fs::read_dir(folder.folder.path()).expect("readable");
    let left: Vec<_> = left.map(|entry| entry.expect("readable").file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("log")), "{left:?}");
}

#[test]
fn help_is_there_and_lists_the_exit_codes() {
    let output = score_command().arg("--help").output().expect("started");
    assert_eq!(code(&output), 0);
    let help = stdout(&output);
    for word in ["--frame_skip_dist", "--pixel_format", "Exit codes:", "16  size_mismatch"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let version = score_command().arg("-v").output().expect("started");
    assert!(stdout(&version).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn several_distorted_videos_are_scored_in_one_walk_each_with_its_own_log() {
    let folder = Folder::new();
    let alone = |name: &str| {
        let output = folder.score(&format!("-r reference.y4m -d {name} --precision max"));
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        stdout(&output)
    };
    let lone = [alone("distorted.y4m"), alone("short.y4m")];
    let line = "-r reference.y4m -d distorted.y4m -d short.y4m -d missing.y4m --precision max --json -o log.json";
    let output = folder.score(line);
    let expected = format!("distorted.y4m: {}short.y4m: {}", lone[0], lone[1]);
    assert_eq!(stdout(&output), expected);
    assert!(stderr(&output).contains("missing.y4m"), "{}", stderr(&output));
    assert_ne!(code(&output), 0, "one of three could not be scored");
    for (name, frames) in [("log.1.json", 6), ("log.2.json", 4)] {
        let log = std::fs::read_to_string(folder.path(name)).expect(name);
        let log: Value = serde_json::from_str(&log).expect("JSON");
        assert_eq!(log["frames"].as_array().map(Vec::len), Some(frames), "{name}");
    }
    assert!(!folder.path("log.json").exists() && !folder.path("log.3.json").exists());
}

#[test]
fn videos_of_two_sizes_are_compared_where_a_size_is_asked_for() {
    let folder = Folder::new();
    let small = ClipSpec::texture(7, 36, 26, 6).make();
    folder.write("small.y4m", &small.distorted.y4m_bytes());
    let refused = folder.score("-r reference.y4m -d small.y4m");
    assert!(stderr(&refused).contains("72x50") && stderr(&refused).contains("36x26"));
    let output = folder.score("-r reference.y4m -d small.y4m --scale 72x50 --explain");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("the distorted video is brought to 72x50 (bicubic)"), "{said}");
    assert!(!said.contains("the reference is brought"), "{said}");
}

#[test]
fn headerless_videos_are_scaled_as_others_are() {
    let folder = Folder::new();
    let raw = "-r reference.yuv -d distorted.yuv -w 72 -h 50 -p 420 -b 8";
    let scaled = "--scale 144x100";
    let (y4m, headerless) =
        (folder.log(&format!("{PAIR} {scaled}")), folder.log(&format!("{raw} {scaled}")));
    assert_eq!(y4m["frames"].as_array().map(Vec::len), Some(folder.spec.frame_count as usize));
    assert_eq!(y4m["frames"], headerless["frames"]);
    // Of a size that the banding detector takes as one of an encode.
    let large = ClipSpec::texture(7, 320, 240, 2).make();
    folder.write("large.yuv", &large.reference.raw_bytes());
    let large = "-r large.yuv -d large.yuv -w 320 -h 240 -p 420 -b 8";
    let output = folder.score(&format!("{large} --view tv-1080p --explain --frame_cnt 1"));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("the reference is scaled from 320x240 to 1440x1080"), "{said}");
    assert!(said.contains("raised from 8 to 10 bits"), "{said}");
    // What was done stands in the logs, and a size that no banding detector takes is no obstacle.
    let rung = ClipSpec::texture(7, 256, 144, 2).make();
    folder.write("rung.yuv", &rung.reference.raw_bytes());
    let rung = "-r rung.yuv -d rung.yuv -w 256 -h 144 -p 420 -b 8 --view tv-1080p --frame_cnt 1";
    let notes = folder.log(rung)["notes"].to_string();
    for part in ["scaled from 256x144 to 1920x1080 (bicubic)", "counts as 256x150"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let output = folder.score(&format!("{rung} --xml -o rung.xml"));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let xml = std::fs::read_to_string(folder.path("rung.xml")).expect("written");
    assert!(xml.contains("<note>the reference is scaled from 256x144"), "{xml}");
    assert_eq!(y4m["notes"].as_array().map(Vec::len), Some(2));
    // A wrong geometry is found before anything is decoded.
    let wrong = folder.score(&format!("{} {scaled}", raw.replace("72", "70")));
    assert!(stderr(&wrong).contains("is the geometry right?"), "{}", stderr(&wrong));
}

/// Ten minutes at 25 frames a second take what ten seconds take, and the values of the frames.
#[test]
#[cfg(target_os = "linux")]
fn a_long_clip_takes_the_memory_of_a_short_one() {
    use wait4::Wait4 as _;
    /// Values of a frame, as they come and in the report.
    const BYTES_A_FRAME_MAX: u64 = 1_024;
    const SLACK_BYTES: u64 = 2 << 20;
    let folder = Folder::new();
    let frames = u64::from(folder.spec.frame_count);
    let [reference, distorted] = ["reference.yuv", "distorted.yuv"]
        .map(|name| std::fs::read(folder.path(name)).expect("written"));
    let peak = |seconds: u64| {
        let rounds = seconds * 25 / frames;
        // Piece by piece: the peak of a child counts from before it became another program.
        for (name, frames) in [("r.yuv", &reference), ("d.yuv", &distorted)] {
            let mut file = std::fs::File::create(folder.path(name)).expect("created");
            (0..rounds).for_each(|_| file.write_all(frames).expect("written"));
        }
        let line = "-r r.yuv -d d.yuv -w 72 -h 50 -p 420 -b 8 --threads 2 -q --csv -o log.csv";
        let mut command = score_command();
        command.current_dir(folder.folder.path()).args(line.split_whitespace());
        let used = command.stdout(Stdio::null()).spawn().expect("started").wait4().expect("ended");
        assert!(used.status.success());
        let log = std::fs::read_to_string(folder.path("log.csv")).expect("the log is there");
        assert_eq!(log.lines().count() as u64, rounds * frames + 1);
        used.rusage.maxrss
    };
    let (short, long) = (peak(10), peak(600));
    let values = 600 * 25 * BYTES_A_FRAME_MAX;
    assert!(long <= short + values + SLACK_BYTES, "{short} and {long} bytes");
}

#[test]
fn heat_maps_are_written_where_the_folder_is_named() {
    let folder = Folder::new();
    let pair = ClipSpec::texture(7, 320, 240, 3).make();
    folder.write("r.y4m", &pair.reference.y4m_bytes());
    folder.write("d.y4m", &pair.distorted.y4m_bytes());
    let line = "-r r.y4m -d d.y4m --feature cambi=heatmaps_path=maps/of/d";
    let output = folder.score(line);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let bytes =
        |name: &str| std::fs::metadata(folder.path("maps/of/d").join(name)).map(|it| it.len());
    assert_eq!(bytes("cambi_heatmap_scale_0_320x240_16b.gray").expect("there"), 3 * 320 * 240 * 2);
    assert_eq!(bytes("cambi_heatmap_scale_4_20x15_16b.gray").expect("there"), 3 * 20 * 15 * 2);
    let several = folder.score(&format!("{line} -d r.y4m"));
    assert!(stderr(&several).contains("one distorted video at a time"), "{}", stderr(&several));
    folder.write("file", b"in the way");
    let blocked = folder.score("-r r.y4m -d d.y4m --feature cambi=heatmaps_path=file/maps");
    assert!(stderr(&blocked).contains("file/maps"), "{}", stderr(&blocked));
}

/// A reference with two bits more, of which the distorted video has the upper ones.
#[test]
fn different_depths_are_compared_at_the_larger_one_under_presets_that_say_so_and_nowhere_else() {
    let folder = Folder::new();
    let clip = ClipSpec::texture(7, 320, 240, 2);
    let shallow = clip.make().distorted;
    let deep = clip.with_format(ChromaSubsampling::C420, 10).make().reference;
    let raised = shallow.clone().raised(10);
    folder.write("shallow.y4m", &shallow.y4m_bytes());
    folder.write("raised.y4m", &raised.y4m_bytes());
    folder.write("deep.y4m", &deep.y4m_bytes());
    let preset = "--aom_ctc v6.0";
    let by_us = folder.log(&format!("-r deep.y4m -d shallow.y4m {preset}"));
    let before = folder.log(&format!("-r deep.y4m -d raised.y4m {preset}"));
    assert_eq!(by_us["frames"], before["frames"]);
    assert_eq!(by_us["aggregate_metrics"], before["aggregate_metrics"]);
    assert!(by_us["aggregate_metrics"]["apsnr_y"].is_number());
    let output = folder.score(&format!("-r deep.y4m -d shallow.y4m {preset} --precision max"));
    assert!(stderr(&output).contains("has 8 bits a sample; it was compared at 10 bits"));
    let lines = stdout(&output);
    let names: Vec<&str> = lines.lines().filter_map(|line| line.split(": ").next()).collect();
    let expected = ["vmaf_v0.6.1", "vmaf_v0.6.1neg", "apsnr_y", "apsnr_cb", "apsnr_cr"];
    assert_eq!(names, expected, "{lines}");
    // Of several, each at the depth of its own pair: the one alone at 8 bits as it is.
    let both = "-r shallow.y4m -d shallow.y4m -d raised.y4m --quiet --json -o both.json";
    assert_eq!(code(&folder.score(&format!("{both} {preset}"))), 0);
    let log = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder.path(name)).expect("the log is there");
        serde_json::from_str(&text).expect("JSON")
    };
    // Equal pictures reach the limit, which follows from the depth.
    let limits = ["both.1.json", "both.2.json"]
        .map(|name| log(name)["pooled_metrics"]["psnr_y"]["min"].clone());
    let alone = ["shallow.y4m", "raised.y4m"].map(|name| {
        let one = folder.log(&format!("-r shallow.y4m -d {name} {preset}"));
        one["pooled_metrics"]["psnr_y"]["min"].clone()
    });
    assert_eq!(limits, alone);
    assert_ne!(limits[0], limits[1], "the peak follows from the depth");
    for preset in ["--aom_ctc v5.0", "--nflx_ctc v1.0", ""] {
        let output = folder.score(&format!("-r deep.y4m -d shallow.y4m {preset}"));
        assert!(stderr(&output).contains("convert one to the other's bit depth"), "{preset}");
    }
    let output = folder.score(&format!("{PAIR} --aom_ctc v8.0"));
    assert!(stderr(&output).contains("aom_ctc v7.0") && code(&output) == 1);
}
