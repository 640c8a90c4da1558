//! Decoding through `ffmpeg`, the real one and scripts that stand for a broken one.
//!
//! Needs an ffmpeg (`VMAFX_FFMPEG`, or `ffmpeg` in `PATH`); `cargo xtask test` brings one.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine::{Picture, PicturePool, PictureSpec, PlanesWanted};
use media::{CancelToken, MediaConfig, MediaError, SourcePolicy, Stop, Video, open};
use testkit::{Clip, ClipSpec};
use types::{ChromaSubsampling, FailureKind, MediaRef};

fn ffmpeg() -> PathBuf {
    std::env::var_os("VMAFX_FFMPEG").map_or_else(|| PathBuf::from("ffmpeg"), PathBuf::from)
}

fn config() -> MediaConfig {
    let mut config = MediaConfig::new(SourcePolicy::unrestricted_local());
    config.ffmpeg.program = Some(ffmpeg());
    config
}

/// Feeds `input` to ffmpeg and gives what it writes to `to`.
fn encode(input: &[u8], to: &Path, options: &str) {
    let mut command = Command::new(ffmpeg());
    command.args(["-v", "error", "-y", "-strict", "-1", "-i", "pipe:0"]);
    command.args(options.split_whitespace()).arg(to).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!(
            "{} cannot be started ({error}); set VMAFX_FFMPEG or run `cargo xtask test`",
            ffmpeg().display()
        )
    });
    child.stdin.take().expect("a pipe").write_all(input).expect("taken");
    assert!(child.wait().expect("ended").success(), "{options}");
}

fn media(path: &Path) -> MediaRef {
    MediaRef::new(path.display().to_string())
}

fn read_all(video: &mut Video, planes: PlanesWanted) -> Result<Vec<Picture>, MediaError> {
    let info = video.info();
    let spec = PictureSpec { width: info.width, height: info.height, format: info.format, planes };
    let pool =
        PicturePool::new(spec, NonZeroUsize::new(512).expect("not zero")).expect("supported");
    let mut pictures = Vec::new();
    loop {
        let mut picture = pool.try_take().expect("no test has as many frames");
        if !video.read_frame(&mut picture)? {
            return Ok(pictures);
        }
        pictures.push(picture.freeze());
    }
}

fn outcome(media: &MediaRef, config: &MediaConfig) -> Result<usize, MediaError> {
    let mut video = open(media, config, &Stop::never())?;
    read_all(&mut video, PlanesWanted::Luma).map(|pictures| pictures.len())
}

fn kind(media: &MediaRef, config: &MediaConfig) -> FailureKind {
    outcome(media, config).expect_err("it fails").kind()
}

fn check_same(clip: &Clip, path: &Path) {
    let mut video = open(&media(path), &config(), &Stop::never()).expect("opened");
    assert!(video.info().decoder.starts_with("ffmpeg "), "{}", video.info().decoder);
    let pictures = read_all(&mut video, PlanesWanted::All).expect("read");
    let expected = clip.pictures(PlanesWanted::All);
    assert_eq!(pictures.len(), expected.len());
    for (picture, expected) in pictures.iter().zip(&expected) {
        assert_eq!(picture.planes(), expected.planes(), "{}", path.display());
    }
}

#[test]
fn lossless_files_give_the_very_samples_of_every_format() {
    use ChromaSubsampling::{C400, C411, C420, C422, C444};
    let folder = tempfile::tempdir().expect("temporary folder");
    let formats = [
        (C420, 8),
        (C420, 10),
        (C420, 12),
        (C420, 16),
        (C422, 8),
        (C422, 10),
        (C444, 8),
        (C444, 12),
        (C411, 8),
        (C400, 8),
        (C400, 16),
    ];
    for (chroma, bit_depth) in formats {
        let clip = ClipSpec::texture(9, 66, 35, 4).with_format(chroma, bit_depth).make().distorted;
        let path = folder.path().join(format!("{chroma}-{bit_depth}.mkv"));
        encode(&clip.y4m_bytes(), &path, "-c:v ffv1");
        check_same(&clip, &path);
    }
}

#[test]
fn packed_layouts_are_rearranged_and_lose_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (chroma, bit_depth, pixel_format) in [
        (ChromaSubsampling::C420, 8, "nv12"),
        (ChromaSubsampling::C422, 8, "yuyv422"),
        (ChromaSubsampling::C422, 8, "uyvy422"),
        (ChromaSubsampling::C420, 10, "yuv420p10be"),
    ] {
        let clip = ClipSpec::texture(9, 64, 36, 3).with_format(chroma, bit_depth).make().distorted;
        let path = folder.path().join(format!("{pixel_format}.nut"));
        encode(&clip.y4m_bytes(), &path, &format!("-c:v rawvideo -pix_fmt {pixel_format}"));
        check_same(&clip, &path);
    }
}

#[test]
fn formats_that_need_a_conversion_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clip = ClipSpec::texture(9, 64, 36, 3).make().distorted;
    for pixel_format in ["rgb24", "yuv440p", "yuva420p", "yuv410p"] {
        let path = folder.path().join(format!("{pixel_format}.nut"));
        encode(&clip.y4m_bytes(), &path, &format!("-c:v rawvideo -pix_fmt {pixel_format}"));
        let error = outcome(&media(&path), &config()).expect_err("refused");
        assert_eq!(error.kind(), FailureKind::UnsupportedFormat);
        assert!(error.to_string().contains(pixel_format), "{error}");
    }
}

#[test]
fn odd_timestamps_neither_drop_nor_repeat_a_frame() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clip = ClipSpec::texture(9, 64, 36, 12).make().reference;
    for (name, timestamps) in
        [("same", "floor(N/3)*3"), ("growing", "N*N*7"), ("gap", "N+1000*floor((N+7)/12)")]
    {
        let path = folder.path().join(format!("{name}.mkv"));
        let filter = format!(
            "-vf settb=1/25,setpts={timestamps} -fps_mode passthrough -enc_time_base 1/25 -c:v ffv1"
        );
        encode(&clip.y4m_bytes(), &path, &filter);
        check_same(&clip, &path);
    }
}

#[test]
fn a_rotation_in_the_container_is_not_applied() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clip = ClipSpec::texture(9, 64, 36, 2).make().reference;
    let (plain, turned) = (folder.path().join("plain.mp4"), folder.path().join("turned.mp4"));
    encode(&clip.y4m_bytes(), &plain, "-c:v libx264 -qp 0 -preset ultrafast");
    let status = Command::new(ffmpeg())
        .args(["-v", "error", "-display_rotation", "90", "-i"])
        .args([plain.as_os_str(), "-c".as_ref(), "copy".as_ref(), turned.as_os_str()])
        .status();
    assert!(status.expect("started").success());
    check_same(&clip, &turned);
}

#[test]
fn damage_is_never_a_silently_shorter_clip() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clip = ClipSpec::texture(9, 160, 90, 60).make().reference;
    for (name, options) in [
        ("a.mkv", "-c:v libx264 -g 20"),
        ("a.mp4", "-c:v libx264 -g 20 -movflags +faststart"),
        ("a.nut", "-c:v ffv1"),
    ] {
        let path = folder.path().join(name);
        encode(&clip.y4m_bytes(), &path, options);
        assert_eq!(outcome(&media(&path), &config()).expect("whole"), 60);
        let bytes = std::fs::read(&path).expect("there");
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).expect("cut");
        let read = outcome(&media(&path), &config()).map_err(|error| error.kind());
        assert_eq!(read, Err(FailureKind::Truncated), "{name} cut");
        let mut broken = bytes.clone();
        // Enough to hide whole pictures: a few wrong bits decode to something without a complaint.
        broken[bytes.len() / 3..bytes.len() / 2].fill(0);
        std::fs::write(&path, &broken).expect("broken");
        let read = outcome(&media(&path), &config()).map_err(|error| error.kind());
        assert_eq!(read, Err(FailureKind::Truncated), "{name} broken");
    }
}

#[test]
fn what_is_no_video_is_told_apart() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("file");
    let write = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        media(&path)
    };
    assert_eq!(kind(&write(b"only text here\n"), &config()), FailureKind::NotAVideo);
    let sound = folder.path().join("sound.wav");
    let tone = Command::new(ffmpeg())
        .args(["-v", "error", "-f", "lavfi", "-i", "sine=duration=0.2"])
        .arg(&sound)
        .status();
    assert!(tone.expect("started").success());
    let error = outcome(&media(&sound), &config()).expect_err("no video");
    assert_eq!(error.kind(), FailureKind::NotAVideo);
    assert!(error.to_string().contains("no video stream"), "{error}");
}

#[test]
fn a_playlist_in_disguise_opens_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clip = ClipSpec::texture(9, 64, 36, 2).make().reference;
    let real = folder.path().join("real.ts");
    encode(&clip.y4m_bytes(), &real, "-c:v libx264");
    let list = folder.path().join("list.mp4");
    let playlist = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        real.display()
    );
    std::fs::write(&list, playlist).expect("written");
    assert!(outcome(&media(&list), &config()).is_err());
    std::fs::write(&list, format!("ffconcat version 1.0\nfile '{}'\n", real.display()))
        .expect("written");
    assert!(outcome(&media(&list), &config()).is_err());
}

/// A script in the place of ffmpeg.
///
/// It is run through the shell's own file, so that no thread's child can hold it open while it is
/// started.
struct Fake {
    folder: tempfile::TempDir,
    config: MediaConfig,
    media: MediaRef,
}

impl Fake {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program = folder.path().join("ffmpeg");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&program)
            .expect("created");
        write!(file, "#!/bin/sh\necho $$ > '{}/pid'\n{script}\n", folder.path().display())
            .expect("written");
        drop(file);
        let video = folder.path().join("video.mp4");
        std::fs::write(&video, b"not y4m").expect("written");
        let mut config = MediaConfig::new(SourcePolicy::unrestricted_local());
        config.ffmpeg.program = Some(program);
        let media = media(&video);
        Self { folder, config, media }
    }

    /// Waits until no process of the group that the script began runs any more.
    ///
    /// A killed process whose parent is gone too may stay a zombie where process 1 does not reap; it
    /// runs no more.
    fn expect_gone(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).expect("it was started");
        let deadline = Instant::now() + Duration::from_secs(10);
        while running_in_group(pid.trim()) > 0 {
            assert!(Instant::now() < deadline, "processes of group {pid} still run");
            std::thread::yield_now();
        }
    }

    /// Opens, again where another thread's child still held the script open for writing.
    fn open(&self, stop: &Stop) -> Result<Video, MediaError> {
        loop {
            match open(&self.media, &self.config, stop) {
                Err(MediaError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                other => return other,
            }
        }
    }
}

/// How many processes of a group are neither dead nor zombies.
fn running_in_group(group: &str) -> usize {
    let stats = std::fs::read_dir("/proc")
        .expect("the process list")
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats
        .filter(|stat| {
            // After the name, which is in parentheses: state, parent, group.
            let fields: Vec<&str> = stat
                .rsplit_once(')')
                .map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
            fields.len() > 2 && fields[2] == group && !matches!(fields[0], "Z" | "X")
        })
        .count()
}

const HEADER: &str = "printf 'YUV4MPEG2 W4 H4 F25:1 Cmono\\n'";
const FRAME: &str = "printf 'FRAME\\n0123456789abcdef'";

fn read_error(fake: &Fake) -> MediaError {
    let mut video = fake.open(&Stop::never()).expect("it gives a header");
    read_all(&mut video, PlanesWanted::Luma).expect_err("it fails")
}

#[test]
fn a_decoder_that_fails_in_mid_stream_is_an_error_of_its_kind() {
    let frames = format!("{HEADER}; {FRAME}; {FRAME}");
    let with = |end: &str| read_error(&Fake::new(&format!("{frames}; {end}")));
    assert_eq!(with("exit 3").kind(), FailureKind::DecoderFailed);
    assert_eq!(with("kill -SEGV $$").kind(), FailureKind::DecoderFailed);
    assert_eq!(with("printf 'FRAME\\nhalf'").kind(), FailureKind::Truncated);
    let damaged = with("echo '[h264 @ 0x1] [error] missing picture in access unit' >&2; exit 0");
    assert_eq!(damaged.kind(), FailureKind::Truncated);
    assert!(damaged.to_string().contains("missing picture"), "{damaged}");
    let memory = with("echo '[h264 @ 0x1] [error] Cannot allocate memory' >&2; exit 1");
    assert_eq!(memory.kind(), FailureKind::DecoderFailed);
    let whole = Fake::new(&frames);
    let mut video = whole.open(&Stop::never()).expect("opened");
    assert_eq!(read_all(&mut video, PlanesWanted::Luma).expect("a good end").len(), 2);
}

#[test]
fn a_decoder_that_ends_without_a_picture_is_told_apart() {
    let error =
        |script: &str| Fake::new(script).open(&Stop::never()).expect_err("no header").kind();
    assert_eq!(error("exit 0"), FailureKind::ZeroFrames);
    assert_eq!(error("kill -KILL $$"), FailureKind::DecoderFailed);
    assert_eq!(
        error("echo '[in#0 @ 0x1] [error] moov atom not found' >&2; exit 1"),
        FailureKind::NotAVideo
    );
}

#[test]
fn an_old_ffmpeg_is_asked_by_path_instead_of_descriptor() {
    let script = format!(
        "case \"$*\" in *fd:*) echo '[error] fd:: Protocol not found' >&2; exit 1;; esac; {HEADER}; {FRAME}"
    );
    let fake = Fake::new(&script);
    let mut video = fake.open(&Stop::never()).expect("the second spelling");
    assert_eq!(read_all(&mut video, PlanesWanted::Luma).expect("read").len(), 1);
}

#[test]
fn a_playlist_opens_no_other_file_even_where_the_decoder_may_open_paths() {
    let script = format!(
        "case \"$*\" in *fd:*) echo '[error] fd:: Protocol not found' >&2; exit 1;; esac; exec '{}' \"$@\"",
        ffmpeg().display()
    );
    let mut fake = Fake::new(&script);
    let clip = ClipSpec::texture(9, 64, 36, 3).make().reference;
    let secret = fake.folder.path().join("secret.mp4");
    encode(&clip.y4m_bytes(), &secret, "-c:v mpeg4");
    let video = PathBuf::from(&fake.media.uri);
    std::fs::write(
        &video,
        format!(
            r#"<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"
            profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static"
            mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">
            <Representation id="1" bandwidth="1000" codecs="mp4v"><BaseURL>file://{}</BaseURL>
            </Representation></AdaptationSet></Period></MPD>"#,
            secret.display()
        ),
    )
    .expect("written");
    let error = fake.open(&Stop::never()).map(|_| ()).expect_err("nothing of it is opened");
    assert_eq!(error.kind(), FailureKind::NotAVideo);
    fake.media = media(&secret);
    let mut video = fake.open(&Stop::never()).expect("by itself it is a video");
    assert_eq!(read_all(&mut video, PlanesWanted::Luma).expect("read").len(), 3);
}

#[test]
fn what_a_decoder_leaves_behind_is_ended_with_it() {
    let fake = Fake::new(&format!("sleep 600 >/dev/null & {HEADER}; {FRAME}"));
    let mut video = fake.open(&Stop::never()).expect("opened");
    assert_eq!(read_all(&mut video, PlanesWanted::Luma).expect("read").len(), 1);
    fake.expect_gone();
}

#[test]
fn a_silent_decoder_is_ended_with_its_whole_group() {
    let mut fake = Fake::new(&format!("{HEADER}; sleep 600 & sleep 600"));
    fake.config.ffmpeg.stall_limit = Duration::from_millis(100);
    assert_eq!(read_error(&fake).kind(), FailureKind::DecoderFailed);
    fake.expect_gone();
    fake.config.ffmpeg.stall_limit = Duration::from_secs(600);
    fake.config.ffmpeg.time_limit = Duration::from_millis(100);
    let error = read_error(&fake);
    assert_eq!(error.kind(), FailureKind::DecoderFailed);
    assert!(error.to_string().contains("time limit"), "{error}");
    fake.expect_gone();
}

#[test]
fn dropping_a_video_leaves_no_process() {
    let fake = Fake::new(&format!("{HEADER}; sleep 600 & while :; do {FRAME}; done"));
    let video = fake.open(&Stop::never()).expect("opened");
    drop(video);
    fake.expect_gone();
}

#[test]
fn a_cancel_ends_a_wait_for_the_decoder_soon() {
    let fake = Fake::new("sleep 600");
    let stop = Stop { cancel: CancelToken::new(), deadline: None };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| fake.open(&stop).map(|_| ()));
        while !fake.folder.path().join("pid").exists() {
            std::thread::yield_now();
        }
        let began = Instant::now();
        stop.cancel.cancel();
        let error = waiting.join().expect("no panic").expect_err("cancelled");
        assert_eq!(error.kind(), FailureKind::Cancelled);
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    });
    let stop = Stop {
        cancel: CancelToken::new(),
        deadline: Some(Instant::now() + Duration::from_millis(50)),
    };
    assert_eq!(fake.open(&stop).expect_err("late").kind(), FailureKind::TimedOut);
}

#[test]
fn a_flood_of_messages_neither_blocks_nor_fills_memory() {
    let script = format!(
        "{HEADER}; i=0; while [ $i -lt 3000 ]; do echo \"[h264 @ 0x1] [warning] $(printf %0500d $i)\" >&2; i=$((i+1)); done; {FRAME}"
    );
    let fake = Fake::new(&script);
    let mut video = fake.open(&Stop::never()).expect("opened");
    assert_eq!(read_all(&mut video, PlanesWanted::Luma).expect("read").len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn the_decoder_runs_under_its_limits_and_without_our_environment() {
    let fake = Fake::new(&format!(
        "{HEADER}; while [ \"$(ulimit -v)\" = unlimited ]; do :; done; {FRAME}; echo \"[info] ffmpeg version $(ulimit -v)/$(env | grep -c CARGO)\" >&2"
    ));
    let mut video = fake.open(&Stop::never()).expect("opened");
    assert_eq!(read_all(&mut video, PlanesWanted::Luma).expect("read").len(), 1);
    let mut small = fake;
    small.config.ffmpeg.memory_bytes_max = 1 << 20;
    // With a megabyte of addresses nothing of use can run.
    let read =
        small.open(&Stop::never()).and_then(|mut video| read_all(&mut video, PlanesWanted::Luma));
    assert!(read.is_err() || read.is_ok_and(|pictures| pictures.len() == 1));
}

/// Serves `body` for every request to a port of its own until the test ends.
fn serve(status: &'static str, headers: String, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request);
            let head =
                format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
            // ffmpeg may hang up early.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}/video")
}

#[test]
fn urls_are_decoded_only_where_allowed_and_redirects_are_not_followed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let clip = ClipSpec::texture(9, 64, 36, 3).make().reference;
    let path = folder.path().join("a.mkv");
    encode(&clip.y4m_bytes(), &path, "-c:v ffv1");
    let url = serve("200 OK", String::new(), std::fs::read(&path).expect("there"));
    assert_eq!(kind(&MediaRef::new(url.as_str()), &config()), FailureKind::SourceRefused);

    let mut config = config();
    config.policy = SourcePolicy::below([]).with_urls(["http".into()], ["127.0.0.1".into()]);
    assert_eq!(outcome(&MediaRef::new(url.as_str()), &config).expect("served"), 3);
    let redirect = serve("302 Found", format!("Location: {url}\r\n"), Vec::new());
    assert!(outcome(&MediaRef::new(redirect), &config).is_err());
    let missing = serve("404 Not Found", String::new(), Vec::new());
    assert_eq!(kind(&MediaRef::new(missing), &config), FailureKind::NotFound);
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n");
    let playlist = serve("200 OK", String::new(), playlist.into_bytes());
    assert!(outcome(&MediaRef::new(playlist), &config).is_err());
}

#[test]
fn a_missing_decoder_is_named_with_what_to_do() {
    let fake = Fake::new("exit 0");
    let mut config = fake.config.clone();
    config.ffmpeg.program = Some("/no/such/ffmpeg".into());
    let error = outcome(&fake.media, &config).expect_err("missing");
    assert_eq!(error.kind(), FailureKind::DecoderMissing);
    let text = error.to_failure().message;
    assert!(text.contains("/no/such/ffmpeg") && text.contains("VMAFX_FFMPEG"), "{text}");
}
