//! Encoding through `ffmpeg`, the real one and scripts that stand for a broken one.
//!
//! Needs an ffmpeg (`VMAFX_FFMPEG`, or `ffmpeg` in `PATH`); `cargo xtask test` brings one.

use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use media::{
    CancelToken, Conform, EncodeJob, EncodeProgress, EncodedFile, EncoderError, MediaConfig,
    SourcePolicy, Stop, encode, encoders_of, join, open, open_as,
};
use testkit::ClipSpec;
use types::{
    ChromaSubsampling, EncodeRequest, Encoder, FailureKind, MediaRef, PixelFormat, Quality,
};

const FRAMES: u32 = 30;

fn ffmpeg() -> PathBuf {
    std::env::var_os("VMAFX_FFMPEG").map_or_else(|| PathBuf::from("ffmpeg"), PathBuf::from)
}

fn config() -> MediaConfig {
    let mut config = MediaConfig::new(SourcePolicy::unrestricted_local());
    config.ffmpeg.program = Some(ffmpeg());
    config
}

/// A folder with a reference in it.
struct Place {
    dir: tempfile::TempDir,
    reference: MediaRef,
}

impl Place {
    fn new() -> Self {
        Self::with(ClipSpec::texture(3, 96, 64, FRAMES))
    }

    fn with(spec: ClipSpec) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("reference.y4m");
        std::fs::write(&path, spec.make().reference.y4m_bytes()).expect("written");
        Self { reference: MediaRef::new(path.display().to_string()), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn encode(
        &self,
        request: &EncodeRequest,
        range: (u64, Option<u64>),
        output: &Path,
    ) -> Result<EncodedFile, EncoderError> {
        self.encode_with(request, range, output, None, &config(), &Stop::never())
    }

    fn encode_with(
        &self,
        request: &EncodeRequest,
        (first_frame_index, frame_count_max): (u64, Option<u64>),
        output: &Path,
        bytes_max: Option<u64>,
        config: &MediaConfig,
        stop: &Stop,
    ) -> Result<EncodedFile, EncoderError> {
        let reference = &self.reference;
        let job =
            EncodeJob { reference, first_frame_index, frame_count_max, request, output, bytes_max };
        encode(&job, config, stop, &EncodeProgress::default())
    }

    /// A script in the place of ffmpeg.
    fn script(&self, body: &str) -> MediaConfig {
        let path = self.path("ffmpeg.sh");
        let mut options = std::fs::File::options();
        let file = options.create(true).write(true).truncate(true).mode(0o755).open(&path);
        let text = format!("#!/bin/sh\n{body}\n");
        std::io::Write::write_all(&mut file.expect("made"), text.as_bytes()).expect("written");
        let mut config = config();
        config.ffmpeg.program = Some(path);
        config
    }
}

fn x264() -> EncodeRequest {
    let mut request = EncodeRequest::new(Encoder::X264, Quality(2_500));
    request.preset = "veryfast".to_owned();
    request
}

fn frame_count(path: &Path) -> u64 {
    let media = MediaRef::new(path.display().to_string());
    let mut video = open(&media, &config(), &Stop::never()).expect("opened");
    video.skip_frames(u64::MAX).expect("whole")
}

#[test]
fn exactly_the_frames_asked_for_are_encoded_and_the_bytes_are_the_same_every_time() {
    let place = Place::new();
    for encoder in [Encoder::X264, Encoder::SvtAv1] {
        let mut request = EncodeRequest::new(encoder, Quality(3_000));
        request.preset = if encoder == Encoder::X264 { "veryfast" } else { "12" }.to_owned();
        let (one, two) = (place.path("one.mkv"), place.path("two.mkv"));
        let file = place.encode(&request, (7, Some(12)), &one).expect("encoded");
        assert_eq!((file.encoded.frame_count, frame_count(&one)), (12, 12), "{encoder}");
        assert_eq!(file.encoded.bytes, std::fs::metadata(&one).expect("there").len());
        assert!(file.encoded.encoder_version.contains(encoder.as_str()), "{file:?}");
        assert!(file.encoded.encoder_version.starts_with("ffmpeg "), "{file:?}");
        place.encode(&request, (7, Some(12)), &two).expect("encoded");
        let bytes = [&one, &two].map(|path| std::fs::read(path).expect("there"));
        assert!(bytes[0] == bytes[1], "{encoder}: the bytes differ");
        let rest = place.encode(&request, (20, None), &two).expect("encoded");
        assert_eq!(rest.encoded.frame_count, u64::from(FRAMES) - 20);
    }
}

#[test]
fn size_depth_and_container_are_as_asked_and_can_be_brought_back() {
    let place = Place::new();
    let request = EncodeRequest {
        pixel_format: Some("yuv420p10le".to_owned()),
        size: Some((48, 32)),
        ..x264()
    };
    for name in ["a.mkv", "a.mp4", "a.mov"] {
        let path = place.path(name);
        place.encode(&request, (0, Some(3)), &path).expect(name);
        let media = MediaRef::new(path.display().to_string());
        let video = open(&media, &config(), &Stop::never()).expect("opened");
        let info = video.info();
        assert_eq!((info.width, info.height, info.format.bit_depth), (48, 32, 10), "{name}");
        let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };
        let conform = Conform { size: (96, 64), format };
        let mut video = open_as(&media, conform, &config(), &Stop::never()).expect("opened");
        assert_eq!(
            (video.info().width, video.info().height, video.info().format),
            (96, 64, format)
        );
        assert_eq!(video.skip_frames(9).expect("read"), 3);
    }
    let error = place.encode(&request, (0, None), &place.path("a.exe")).expect_err("unknown");
    assert!(matches!(error, EncoderError::Container { .. }), "{error}");
}

/// What `ffmpeg` says of a file and its first picture.
fn described(path: &Path) -> String {
    let input = path.display().to_string();
    let words =
        ["-hide_banner", "-v", "verbose", "-i", &input, "-vf", "showinfo", "-frames:v", "1"];
    let output = Command::new(ffmpeg()).args(words).args(["-f", "null", "-"]).output();
    String::from_utf8_lossy(&output.expect("starts").stderr).into_owned()
}

#[test]
fn what_a_source_says_of_its_light_is_in_the_file_or_told_of() {
    let place =
        Place::with(ClipSpec::texture(3, 192, 128, 6).with_format(ChromaSubsampling::C420, 10));
    let source = place.path("hdr.mkv");
    let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
    let params = format!(
        "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:chromaloc=2:\
         master-display={display}:max-cll=1000,400"
    );
    let mut made = Command::new(ffmpeg());
    made.args(["-v", "error", "-i", &place.reference.uri, "-c:v", "libx265"]);
    made.args(["-x265-params", &params]).arg(&source);
    assert!(made.status().expect("starts").success());
    let place = Place { reference: MediaRef::new(source.display().to_string()), dir: place.dir };

    let light = [
        "Mastering display metadata: has_primaries:1 has_luminance:1 r(0.6800,0.3200)",
        "MaxCLL=1000, MaxFALL=400",
    ];
    for (encoder, preset, is_carried) in [
        (Encoder::X264, "veryfast", true),
        (Encoder::X265, "ultrafast", true),
        (Encoder::SvtAv1, "10", true),
        (Encoder::Aom, "8", false),
        (Encoder::Vp9, "8", false),
    ] {
        let output = place.path(&format!("{encoder}.mkv"));
        let mut request = EncodeRequest::new(encoder, Quality(3_500));
        request.preset = preset.to_owned();
        request.pixel_format = Some("yuv420p10le".to_owned());
        // The colours hold also where pictures are scaled on the way.
        request.size = is_carried.then_some((96, 64));
        let file = place.encode(&request, (0, None), &output).expect("encoded");
        let said = described(&output);
        assert!(
            said.contains("(tv, bt2020nc/bt2020/smpte2084, progressive, topleft)"),
            "{encoder}: {said}"
        );
        for words in light {
            assert_eq!(said.contains(words), is_carried, "{encoder}, {words}: {said}");
        }
        let codes: Vec<&str> = file.warnings.iter().map(|warning| warning.code.as_str()).collect();
        let expected: &[&str] = if is_carried { &[] } else { &["hdr_not_carried"; 2] };
        assert_eq!(codes, expected, "{encoder}: {:?}", file.warnings);
    }
}

#[test]
fn parts_are_joined_without_losing_a_frame() {
    let place = Place::new();
    let parts: Vec<PathBuf> = [(0, 11), (11, 12), (23, 7)]
        .into_iter()
        .map(|(first, count)| {
            let path = place.path(&format!("it's {first}.mkv"));
            place.encode(&x264(), (first, Some(count)), &path).expect("encoded");
            path
        })
        .collect();
    let joined = place.path("joined.mkv");
    join(&parts, Encoder::X264, &joined, &config().ffmpeg, &Stop::never()).expect("joined");
    assert_eq!(frame_count(&joined), u64::from(FRAMES));
    let missing = [place.path("missing.mkv")];
    let gone = place.path("gone.mkv");
    join(&missing, Encoder::X264, &gone, &config().ffmpeg, &Stop::never()).expect_err("no part");
    assert!(!gone.exists());
}

#[test]
fn what_the_encoder_refuses_is_told_in_its_own_words_and_leaves_no_file() {
    let place = Place::new();
    let output = place.path("out.mkv");
    let refused = |request: &EncodeRequest| {
        let error = place.encode(request, (0, None), &output).expect_err("refused");
        assert!(!output.exists(), "{error}");
        error
    };
    let error = refused(&EncodeRequest { preset: "quick".to_owned(), ..x264() });
    assert_eq!(error.kind(), FailureKind::InvalidJob);
    assert!(error.to_string().contains("quick"), "{error}");
    let options = [("tune".to_owned(), "no-such-tune".to_owned())].into();
    let error = refused(&EncodeRequest { options, ..x264() });
    assert!(matches!(error, EncoderError::Refused { .. }), "{error}");
    let error = refused(&EncodeRequest { threads: 0, ..x264() });
    assert!(matches!(error, EncoderError::Request(_)), "{error}");
    let beyond = place.encode(&x264(), (u64::from(FRAMES), None), &output).expect_err("no frame");
    assert_eq!(beyond.kind(), FailureKind::ZeroFrames);
}

#[test]
fn a_full_disk_and_a_file_that_grows_too_large_are_told_apart() {
    let place = Place::new();
    if Path::new("/dev/full").exists() {
        let full = place.path("full.mkv");
        symlink("/dev/full", &full).expect("linked");
        let error = place.encode(&x264(), (0, None), &full).expect_err("no room");
        assert_eq!(error.kind(), FailureKind::DiskFull, "{error}");
    }
    let output = place.path("large.mkv");
    let sharp = EncodeRequest { quality: Quality(0), ..x264() };
    let range = (0, None);
    let stop = Stop::never();
    let limited = place.encode_with(&sharp, range, &output, Some(20_000), &config(), &stop);
    let error = limited.expect_err("too large");
    assert!(matches!(error, EncoderError::TooLarge { bytes_max: 20_000, .. }), "{error}");
    assert!(!output.exists());
}

#[test]
fn a_missing_program_and_a_missing_encoder_are_told_apart() {
    let place = Place::new();
    let output = place.path("out.mkv");
    let mut nowhere = config();
    nowhere.ffmpeg.program = Some("/no/such/ffmpeg".into());
    let ask = |config: &MediaConfig| {
        place.encode_with(&x264(), (0, None), &output, None, config, &Stop::never())
    };
    let error = ask(&nowhere).expect_err("missing");
    assert!(matches!(error, EncoderError::ProgramMissing { .. }), "{error}");
    assert_eq!(error.kind(), FailureKind::EncoderMissing);
    let without = place.script("echo \"[fatal] Unknown encoder 'libx264'\" >&2; exit 8");
    let error = ask(&without).expect_err("missing");
    assert!(matches!(error, EncoderError::EncoderMissing { .. }), "{error}");
    let dies = place.script("head -c 100000 >/dev/null; kill -SEGV $$");
    let error = ask(&dies).expect_err("it dies");
    assert_eq!(error.kind(), FailureKind::EncoderFailed, "{error}");
}

#[test]
fn a_program_named_from_the_working_folder_is_found_whatever_folder_it_runs_in() {
    let place = Place::new();
    let mut relative = place.script(&format!("exec {} \"$@\"", ffmpeg().display()));
    let script = place.path("ffmpeg.sh");
    let here = std::env::current_dir().expect("there is one");
    let mut program: PathBuf = here.components().skip(1).map(|_| "..").collect();
    program.push(script.strip_prefix("/").expect("absolute"));
    assert!(program.is_relative() && program.exists(), "{program:?}");
    relative.ffmpeg.program = Some(program);
    let output = place.path("out.mkv");
    place
        .encode_with(&x264(), (0, Some(5)), &output, None, &relative, &Stop::never())
        .expect("encoded");
}

#[test]
fn a_fault_of_the_machine_is_not_told_as_a_refusal() {
    let place = Place::new();
    let output = place.path("no-such-folder/out.mkv");
    let error = place.encode(&x264(), (0, Some(5)), &output).expect_err("no folder");
    assert_eq!(error.kind(), FailureKind::Io, "{error}");
    let output = place.path("dangling.mkv");
    symlink("/no/such/folder/out.mkv", &output).expect("linked");
    let error = place.encode(&x264(), (0, Some(5)), &output).expect_err("no folder");
    assert_eq!(error.kind(), FailureKind::Io, "{error}");
}

#[test]
fn a_format_that_the_encoder_would_change_unasked_is_refused_with_advice() {
    let place = Place::new();
    let path = place.path("444.y4m");
    let mut bytes = b"YUV4MPEG2 W64 H64 F25:1 Ip C444\n".to_vec();
    for _ in 0..5 {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.resize(bytes.len() + 3 * 64 * 64, 100);
    }
    std::fs::write(&path, bytes).expect("written");
    let place = Place { reference: MediaRef::new(path.display().to_string()), ..place };
    let mut request = EncodeRequest::new(Encoder::SvtAv1, Quality(4_000));
    let output = place.path("out.mkv");
    let error = place.encode(&request, (0, None), &output).expect_err("4:4:4");
    assert!(error.to_string().contains("--pix-fmt yuv420p"), "{error}");
    request.pixel_format = Some("yuv420p".to_owned());
    place.encode(&request, (0, None), &output).expect("encoded");
}

#[test]
fn a_flood_of_messages_is_bounded_and_the_last_words_are_told() {
    let place = Place::new();
    let flood = place.script(
        "i=0; while [ $i -lt 20000 ]; do echo \"[error] line $i xxxxxxxxxxxxxxxxxxxxxxxxxxx\" >&2; \
         i=$((i+1)); done; echo '[fatal] the very last' >&2; exit 1",
    );
    let output = place.path("out.mkv");
    let stop = Stop::never();
    let error = place.encode_with(&x264(), (0, None), &output, None, &flood, &stop);
    let text = error.expect_err("it fails").to_failure().message;
    assert!(text.contains("the very last") && text.len() < 2_000, "{text}");
}

#[test]
fn a_cancel_ends_encoder_and_decoder_at_once_and_leaves_no_file() {
    let place = Place::with(ClipSpec::texture(3, 640, 360, 60));
    let output = place.path("slow.mkv");
    let slow = EncodeRequest { preset: "placebo".to_owned(), quality: Quality(100), ..x264() };
    let cancel = CancelToken::new();
    let stop = Stop { cancel: cancel.clone(), deadline: None };
    std::thread::scope(|scope| {
        let run =
            scope.spawn(|| place.encode_with(&slow, (0, None), &output, None, &config(), &stop));
        let began = Instant::now();
        while !output.exists() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let asked = Instant::now();
        cancel.cancel();
        let error = run.join().expect("no panic").expect_err("cancelled");
        assert_eq!(error.kind(), FailureKind::Cancelled, "{error}");
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    });
    assert!(!output.exists());
    let list = Command::new("ps").args(["-eo", "args"]).output().expect("ps");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(!list.contains(&output.display().to_string()), "a child is left");
}

#[test]
fn what_ffmpeg_has_is_known() {
    let set = encoders_of(&config().ffmpeg, &Stop::never()).expect("it answers");
    assert!(set.has(Encoder::X264) && set.has(Encoder::SvtAv1), "{set:?}");
    assert!(!set.version.is_empty() && set.svt_version.is_some(), "{set:?}");
    let place = Place::new();
    let hangs = place.script("sleep 60");
    let stop =
        Stop { deadline: Some(Instant::now() + Duration::from_millis(200)), ..Stop::default() };
    let began = Instant::now();
    encoders_of(&hangs.ffmpeg, &stop).expect_err("it does not answer");
    assert!(began.elapsed() < Duration::from_secs(5));
}
