//! y4m and headerless files, good and hostile, through the public face.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::{Picture, PicturePool, PictureSpec, PlaneData, PlanesWanted};
use media::{Depths, MediaConfig, MediaError, Renditions, SourcePolicy, Stop, Video, open};
use testkit::{Clip, ClipSpec};
use types::{ChromaSubsampling, FailureKind, MediaRef, PixelFormat, RawGeometry};

use ChromaSubsampling::{C400, C411, C420, C422, C444};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn write(&self, bytes: &[u8]) -> MediaRef {
        let path: PathBuf = self.0.path().join("video");
        std::fs::write(&path, bytes).expect("written");
        MediaRef::new(path.display().to_string())
    }
}

fn config() -> MediaConfig {
    let mut config = MediaConfig::new(SourcePolicy::unrestricted_local());
    // Nothing here may fall through to a decoder and be found bad by that one.
    config.ffmpeg.program = Some("/no/decoder/for/these/tests".into());
    config
}

fn open_it(media: &MediaRef) -> Result<Video, MediaError> {
    open(media, &config(), &Stop::never())
}

/// Reads the rest of a video.
fn read_all(video: &mut Video, planes: PlanesWanted) -> Result<Vec<Picture>, MediaError> {
    let info = video.info();
    let spec = PictureSpec { width: info.width, height: info.height, format: info.format, planes };
    let pool = PicturePool::new(spec, NonZeroUsize::new(64).expect("not zero")).expect("supported");
    let mut pictures = Vec::new();
    loop {
        let mut picture = pool.try_take().expect("no test has as many frames");
        if !video.read_frame(&mut picture)? {
            assert!(!video.read_frame(&mut picture)?, "the end is the end");
            return Ok(pictures);
        }
        pictures.push(picture.freeze());
    }
}

fn check_planes(clip: &Clip, media: &MediaRef, decoder: &str) {
    for planes in [PlanesWanted::Luma, PlanesWanted::All] {
        let mut video = open_it(media).expect("opened");
        assert_eq!(video.info().decoder, decoder);
        assert_eq!(video.info().frame_count_estimate, Some(clip.frame_count() as u64));
        let pictures = read_all(&mut video, planes).expect("read");
        let expected = clip.pictures(planes);
        assert_eq!(pictures.len(), expected.len());
        for (picture, expected) in pictures.iter().zip(&expected) {
            assert_eq!(picture.planes(), expected.planes());
        }
    }
}

#[test]
fn every_chroma_mode_depth_and_odd_size_is_read_sample_by_sample() {
    let folder = Folder::new();
    let mut cases = 0;
    for chroma in [C400, C411, C420, C422, C444] {
        for bit_depth in [8, 9, 10, 12, 14, 16] {
            for (width, height) in [(33, 17), (64, 36), (1, 1)] {
                let clip = ClipSpec::texture(3, width, height, 3)
                    .with_format(chroma, bit_depth)
                    .make()
                    .distorted;
                check_planes(&clip, &folder.write(&clip.y4m_bytes()), "y4m");
                let mut raw = folder.write(&clip.raw_bytes());
                let format = PixelFormat { chroma, bit_depth };
                raw.raw = Some(RawGeometry { width, height, format });
                check_planes(&clip, &raw, "raw");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 90);
}

#[test]
fn frame_lines_with_parameters_do_not_shift_samples() {
    let clip = ClipSpec::texture(4, 48, 20, 2).make().reference;
    let mut bytes = b"YUV4MPEG2 H20 W48 It A0:0 F30000:1001 C420paldv XCOMMENT\n".to_vec();
    for (frame, line) in ["FRAME\n", "FRAME Ixyz XTHING=1\n"].iter().enumerate() {
        bytes.extend(line.as_bytes());
        bytes.extend(clip.frame_bytes(frame));
    }
    let folder = Folder::new();
    let mut video = open_it(&folder.write(&bytes)).expect("opened");
    assert_eq!(video.info().frame_rate, Some((30_000, 1_001)));
    let pictures = read_all(&mut video, PlanesWanted::All).expect("read");
    assert_eq!(pictures.len(), 2);
    assert_eq!(pictures[1].planes(), clip.picture(1, PlanesWanted::All).planes());
}

#[test]
fn skipped_frames_are_frames_and_no_more_than_there_are() {
    let clip = ClipSpec::texture(5, 40, 30, 5).make().reference;
    let folder = Folder::new();
    let media = folder.write(&clip.y4m_bytes());
    let mut video = open_it(&media).expect("opened");
    assert_eq!(video.skip_frames(3).expect("skipped"), 3);
    assert_eq!(video.frame_index(), 3);
    let pictures = read_all(&mut video, PlanesWanted::Luma).expect("read");
    assert_eq!(pictures[0].planes(), clip.picture(3, PlanesWanted::Luma).planes());
    assert_eq!(pictures.len(), 2);
    assert_eq!(open_it(&media).expect("opened").skip_frames(9).expect("skipped"), 5);
}

#[test]
fn a_pipe_that_nobody_writes_yet_is_waited_for_until_told_to_stop() {
    let folder = Folder::new();
    let path = folder.0.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("a pipe");
    let media = MediaRef::new(path.display().to_string());
    let stop = Stop { deadline: Some(Instant::now() + Duration::from_millis(60)), ..Stop::never() };
    let error = open(&media, &config(), &stop).expect_err("nobody wrote");
    assert_eq!(error.kind(), FailureKind::TimedOut);

    let clip = ClipSpec::texture(5, 40, 30, 3).make().reference;
    let bytes = clip.y4m_bytes();
    let writer = std::thread::spawn(move || std::fs::write(path, bytes));
    let mut video = open_it(&media).expect("opened");
    assert_eq!(read_all(&mut video, PlanesWanted::Luma).expect("read").len(), 3);
    writer.join().expect("no panic").expect("written");
}

/// What becomes of these bytes when they are read to the end.
fn outcome(folder: &Folder, bytes: &[u8]) -> Result<usize, FailureKind> {
    let read = open_it(&folder.write(bytes))
        .and_then(|mut video| read_all(&mut video, PlanesWanted::Luma))
        .map(|pictures| pictures.len());
    read.map_err(|error| {
        let text = error.to_string();
        assert!(text.contains("video") && text.len() < 600, "{text}");
        error.kind()
    })
}

#[test]
fn hostile_files_are_refused_by_kind_and_cost_nothing() {
    let folder = Folder::new();
    let long = |count| "X".repeat(count);
    let frame = |size: usize| [b"FRAME\n".as_slice(), &vec![7; size]].concat();
    let clip = |header: &str, rest: &[u8]| [header.as_bytes(), b"\n", rest].concat();
    let small = "YUV4MPEG2 W4 H4 Cmono";
    for (name, bytes, expected) in [
        ("no line feed", b"YUV4MPEG2 W4 H4".to_vec(), Err(FailureKind::Truncated)),
        ("the mark alone", b"YUV4MPEG2".to_vec(), Err(FailureKind::Truncated)),
        (
            "endless header",
            clip(&format!("{small} {}", long(5_000)), b""),
            Err(FailureKind::NotAVideo),
        ),
        ("longest header", clip(&format!("{small} {}", long(4_000)), &frame(16)), Ok(1)),
        ("no width", clip("YUV4MPEG2 H4", b""), Err(FailureKind::NotAVideo)),
        ("zero width", clip("YUV4MPEG2 W0 H4", b""), Err(FailureKind::NotAVideo)),
        ("negative", clip("YUV4MPEG2 W-4 H4", b""), Err(FailureKind::NotAVideo)),
        ("overflow", clip("YUV4MPEG2 W4294967297 H4", b""), Err(FailureKind::NotAVideo)),
        (
            "huge",
            clip("YUV4MPEG2 W4294967295 H4294967295", b""),
            Err(FailureKind::UnsupportedFormat),
        ),
        ("too wide", clip("YUV4MPEG2 W16385 H4", b""), Err(FailureKind::UnsupportedFormat)),
        (
            "large and cut",
            clip("YUV4MPEG2 W16384 H16384 C444p16", &frame(9)),
            Err(FailureKind::Truncated),
        ),
        ("alpha", clip("YUV4MPEG2 W4 H4 C444alpha", b""), Err(FailureKind::UnsupportedFormat)),
        ("no frame", clip(small, b""), Ok(0)),
        ("garbage for a frame", clip(small, &[0xff; 200]), Err(FailureKind::Truncated)),
        ("cut frame line", clip(small, b"FRA"), Err(FailureKind::Truncated)),
        (
            "endless frame line",
            clip(small, &[b"FRAME ", vec![b'x'; 3_000].as_slice(), b"\n"].concat()),
            Err(FailureKind::Truncated),
        ),
        ("frame line alone", clip(small, b"FRAME\n"), Err(FailureKind::Truncated)),
        ("one sample short", clip(small, &frame(15)), Err(FailureKind::Truncated)),
        (
            "second frame short",
            clip(small, &[frame(16), frame(3)].concat()),
            Err(FailureKind::Truncated),
        ),
        (
            "bytes after the last frame",
            clip(small, &[frame(16), b"x".to_vec()].concat()),
            Err(FailureKind::Truncated),
        ),
        ("cut in the chroma", clip("YUV4MPEG2 W4 H4", &frame(23)), Err(FailureKind::Truncated)),
        ("two whole frames", clip(small, &[frame(16), frame(16)].concat()), Ok(2)),
        ("empty", Vec::new(), Err(FailureKind::NotAVideo)),
        ("no y4m, and no decoder", b"hello".to_vec(), Err(FailureKind::DecoderMissing)),
    ] {
        assert_eq!(outcome(&folder, &bytes), expected, "{name}");
    }
}

#[test]
fn random_bytes_after_a_header_never_panic() {
    let folder = Folder::new();
    let mut state = 0x9e37_79b9_u64;
    for round in 0..300 {
        let mut bytes = b"YUV4MPEG2 W8 H2 F25:1 ".to_vec();
        for _ in 0..round {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let pool = b"FRAME\n WHC0128pmono\xff\x00";
            bytes.push(pool[(state >> 33) as usize % pool.len()]);
        }
        // Any answer will do but a panic or a hang.
        let _ = outcome(&folder, &bytes);
    }
}

#[test]
fn a_headerless_file_of_another_geometry_is_found_at_once() {
    let folder = Folder::new();
    let mut media = folder.write(&[0; 1_000]);
    let kind = |width, height, bit_depth, media: &mut MediaRef| {
        let format = PixelFormat { chroma: C420, bit_depth };
        media.raw = Some(RawGeometry { width, height, format });
        open_it(media).map(|video| video.info().frame_count_estimate).map_err(|error| error.kind())
    };
    assert_eq!(kind(10, 10, 8, &mut media), Err(FailureKind::Truncated));
    assert_eq!(kind(0, 10, 8, &mut media), Err(FailureKind::UnsupportedFormat));
    assert_eq!(kind(100_000, 100_000, 8, &mut media), Err(FailureKind::UnsupportedFormat));
    assert_eq!(kind(10, 10, 17, &mut media), Err(FailureKind::UnsupportedFormat));
    assert_eq!(
        kind(20, 25, 8, &mut media),
        Err(FailureKind::Truncated),
        "chroma rows are rounded up"
    );
    assert_eq!(kind(10, 20, 10, &mut media), Err(FailureKind::Truncated));
    let format = PixelFormat { chroma: C400, bit_depth: 8 };
    media.raw = Some(RawGeometry { width: 10, height: 10, format });
    assert_eq!(open_it(&media).expect("fits").info().frame_count_estimate, Some(10));
}

#[test]
fn pictures_larger_than_is_wanted_are_refused_before_anything_is_read_of_them() {
    let folder = Folder::new();
    let config = MediaConfig { picture_pixels_max: 8 * 4, ..config() };
    let opened = |media: &MediaRef| {
        open(media, &config, &Stop::never()).map(drop).map_err(|error| {
            let text = error.to_string();
            assert!(text.contains("9x4") && text.contains("--picture-pixels-max"), "{text}");
            error.kind()
        })
    };
    let headed =
        |header: &str| folder.write(&[header.as_bytes(), b"\nFRAME\n", &[0; 8 * 4]].concat());
    assert_eq!(opened(&headed("YUV4MPEG2 W8 H4 Cmono")), Ok(()));
    let refused = Err(FailureKind::UnsupportedFormat);
    assert_eq!(opened(&headed("YUV4MPEG2 W9 H4 Cmono")), refused);
    let mut headerless = folder.write(&[0; 9 * 4]);
    let format = PixelFormat { chroma: C400, bit_depth: 8 };
    headerless.raw = Some(RawGeometry { width: 9, height: 4, format });
    assert_eq!(opened(&headerless), refused);
}

/// The samples of all planes, shifted to the left.
fn shifted(pictures: &[Picture], shift: u32) -> Vec<Vec<u16>> {
    let samples = |plane: &engine::Plane| match plane.data() {
        PlaneData::U8(samples) => samples.iter().map(|it| u16::from(*it) << shift).collect(),
        PlaneData::U16(samples) => samples.iter().map(|it| it << shift).collect(),
    };
    pictures.iter().flat_map(|picture| picture.planes().iter().map(samples)).collect()
}

#[test]
fn videos_of_different_depths_are_brought_to_the_largest_where_that_is_asked_for() {
    let folder = Folder::new();
    let named = |name: &str, clip: &Clip, is_raw: bool| {
        let bytes = if is_raw { clip.raw_bytes() } else { clip.y4m_bytes() };
        let moved = folder.0.path().join(name);
        std::fs::rename(&folder.write(&bytes).uri, &moved).expect("moved");
        let info = clip.picture_spec(PlanesWanted::All);
        let (width, height, format) = (info.width, info.height, info.format);
        let raw = is_raw.then_some(RawGeometry { width, height, format });
        MediaRef { uri: moved.display().to_string(), raw }
    };
    for (low, high) in [(8, 10), (8, 16), (10, 12), (9, 16)] {
        for chroma in [C420, C444, C400] {
            let make = |depth| ClipSpec::texture(3, 33, 17, 2).with_format(chroma, depth).make();
            let (shallow, deep) = (make(low).reference, make(high).distorted);
            let (a, b) = (named("a", &shallow, false), named("b", &deep, false));
            let headerless = named("c", &shallow, true);
            for depths in [Depths::Equal, Depths::Largest] {
                let all = [&b, &headerless];
                let opened =
                    Renditions::open(&a, &all, [None, None], depths, &config(), &Stop::never())
                        .expect("the reference is there");
                let Renditions { mut reference, mut distorted } = opened;
                if depths == Depths::Equal {
                    let error = distorted.remove(0).expect_err("they differ");
                    assert_eq!(error.kind(), FailureKind::DepthMismatch);
                    assert_eq!(reference.info().format.bit_depth, low);
                    continue;
                }
                assert_eq!(
                    (reference.info().format.bit_depth, reference.stored_depth()),
                    (high, low)
                );
                assert!(reference.info().decoder.contains(&format!("from {low} to {high} bits")));
                let expected = shifted(&shallow.pictures(PlanesWanted::All), u32::from(high - low));
                for video in [&mut reference, distorted[1].as_mut().expect("headerless")] {
                    let read = read_all(video, PlanesWanted::All).expect("read");
                    assert_eq!(shifted(&read, 0), expected, "{low} to {high}");
                }
                let deep_video = distorted[0].as_mut().expect("deep");
                assert_eq!(deep_video.info().decoder, "y4m");
                let read = read_all(deep_video, PlanesWanted::All).expect("read");
                assert_eq!(shifted(&read, 0), shifted(&deep.pictures(PlanesWanted::All), 0));
            }
        }
    }
}
