//! Every encoder of the table, with the real library: the ends of its scale, its steps, its presets,
//! its pixel formats, and what it calls its version.
//!
//! Needs an ffmpeg (`VMAFX_FFMPEG`, or `ffmpeg` in `PATH`); `cargo xtask test` brings one that has
//! all of them. What another one lacks is said and left out.

use std::path::{Path, PathBuf};

use media::{
    EncodeJob, EncodeProgress, EncodedFile, EncoderError, EncoderSet, MediaConfig, SourcePolicy,
    Stop, encode, encoders_of, library_versions, open,
};
use testkit::ClipSpec;
use types::{ChromaSubsampling, EncodeRequest, Encoder, MediaRef, PixelFormat, Quality};

const FRAMES: u64 = 6;

/// Encoders that the `ffmpeg` at hand must have at least, lest nothing be tested.
const ENCODERS_MIN: usize = 2;

fn config() -> MediaConfig {
    let mut config = MediaConfig::new(SourcePolicy::unrestricted_local());
    config.ffmpeg.program = std::env::var_os("VMAFX_FFMPEG").map(PathBuf::from);
    config
}

fn set() -> EncoderSet {
    encoders_of(&config().ffmpeg, &Stop::never()).expect("it answers")
}

/// Does something with each encoder there is.
fn each(mut check: impl FnMut(Encoder)) {
    let set = set();
    let mut checked = 0;
    for encoder in Encoder::ALL {
        if set.has(*encoder) {
            check(*encoder);
            checked += 1;
        } else {
            println!("{encoder} is not there and is left out");
        }
    }
    assert!(checked >= ENCODERS_MIN, "only {checked} encoders: {set:?}");
}

struct Place {
    dir: tempfile::TempDir,
    reference: MediaRef,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("reference.y4m");
        let clip = ClipSpec::texture(3, 96, 64, u32::try_from(FRAMES).expect("few")).make();
        std::fs::write(&path, clip.reference.y4m_bytes()).expect("written");
        Self { reference: MediaRef::new(path.display().to_string()), dir }
    }

    fn encode(&self, request: &EncodeRequest) -> Result<(EncodedFile, PathBuf), EncoderError> {
        let output = self.dir.path().join("out.mkv");
        let job = EncodeJob {
            reference: &self.reference,
            first_frame_index: 0,
            frame_count_max: None,
            request,
            output: &output,
            bytes_max: None,
        };
        let file = encode(&job, &config(), &Stop::never(), &EncodeProgress::default())?;
        Ok((file, output))
    }

    /// An encode that succeeds.
    fn encoded(&self, request: &EncodeRequest) -> (EncodedFile, PathBuf) {
        self.encode(request).unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }
}

/// An encode with a preset that costs little.
fn fast(encoder: Encoder, quality: Quality) -> EncodeRequest {
    let preset = match encoder {
        Encoder::X264 | Encoder::X265 => "ultrafast",
        Encoder::SvtAv1 => "12",
        Encoder::Aom | Encoder::Vp9 => "8",
        Encoder::Vvenc => "faster",
    };
    EncodeRequest { preset: preset.to_owned(), ..EncodeRequest::new(encoder, quality) }
}

/// The format of a file's pictures, all of which are read.
fn format_of(path: &Path) -> PixelFormat {
    let media = MediaRef::new(path.display().to_string());
    let mut video = open(&media, &config(), &Stop::never()).expect("opened");
    let format = video.info().format;
    assert_eq!(video.skip_frames(u64::MAX).expect("whole"), FRAMES, "{}", path.display());
    format
}

#[test]
fn the_scale_is_the_encoders_own_from_its_first_number_to_its_last() {
    let (place, set) = (Place::new(), set());
    each(|encoder| {
        let steps_per_unit = set.steps_per_unit(encoder);
        let scale = types::QualityScale { steps_per_unit, ..encoder.scale() };
        let bytes = |index: usize| {
            let quality = scale.at(index);
            let (file, output) = place.encoded(&fast(encoder, quality));
            assert_eq!(file.encoded.frame_count, FRAMES, "{encoder} {quality}");
            format_of(&output);
            std::fs::read(output).expect("there")
        };
        let middle = scale.len() / 2;
        // This noise at its best has more bytes than ffmpeg takes from VVenC, which is said.
        let first = match place.encode(&fast(encoder, scale.at(0))) {
            Err(error) if encoder == Encoder::Vvenc => {
                assert!(error.to_string().contains("ask for a larger number"), "{error}");
                bytes(middle / 2)
            }
            _ => bytes(0),
        };
        let (half, last) = (bytes(middle), bytes(scale.len() - 1));
        println!("{encoder}: {} {} {} bytes", first.len(), half.len(), last.len());
        assert!(first.len() > half.len() && half.len() > last.len(), "{encoder}: no slope");
        // A step that were rounded away would be the same file.
        assert!(half != bytes(middle + 1), "{encoder}: one step changes nothing");
    });
}

#[test]
fn the_usual_preset_and_one_more_are_words_of_the_encoder_and_others_are_refused() {
    let place = Place::new();
    each(|encoder| {
        let quality = Quality(encoder.scale().last * 50);
        let usual = EncodeRequest::new(encoder, Quality(quality.0 / 100 * 100));
        place.encoded(&usual);
        place.encoded(&fast(encoder, usual.quality));
        let odd = EncodeRequest { preset: "no-such-preset".to_owned(), ..usual };
        let error = place.encode(&odd).expect_err("no preset");
        assert!(matches!(error, EncoderError::Refused { .. }), "{encoder}: {error}");
    });
}

#[test]
fn each_pixel_format_is_encoded_as_it_is_or_refused_with_one_that_is_taken() {
    let place = Place::new();
    each(|encoder| {
        let mut taken = Vec::new();
        for name in EncodeRequest::PIXEL_FORMATS {
            let quality = Quality(3_000);
            let pixel_format = Some(name.to_owned());
            let request = EncodeRequest { pixel_format, ..fast(encoder, quality) };
            match place.encode(&request) {
                Ok((_, output)) => {
                    assert_eq!(media::pixel_format_name(format_of(&output)), name, "{encoder}");
                    taken.push(name);
                }
                Err(error) => {
                    let text = error.to_string();
                    let (_, advice) = text.split_once("such as --pix-fmt ").expect("advice");
                    let pixel_format = Some(advice.to_owned());
                    let advised = EncodeRequest { pixel_format, ..request };
                    place.encode(&advised).unwrap_or_else(|e| panic!("{encoder} {advice}: {e}"));
                }
            }
        }
        println!("{encoder}: {}", taken.join(", "));
        assert!(taken.contains(&"yuv420p10le"), "{encoder}: {taken:?}");
        // Unless it is said otherwise, the encode keeps the reference's format where it can.
        let (_, output) = place.encode(&fast(encoder, Quality(3_000))).expect("the usual");
        let bit_depth = if encoder == Encoder::Vvenc { 10 } else { 8 };
        let expected = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth };
        assert_eq!(format_of(&output), expected, "{encoder}");
    });
}

#[test]
fn every_library_says_its_version() {
    let set = set();
    let stop = Stop::never();
    let versions = library_versions(&config().ffmpeg, &set.encoders, &stop).expect("they answer");
    println!("{versions:?}");
    for encoder in &set.encoders {
        let version = versions.get(encoder).unwrap_or_else(|| panic!("{encoder} says none"));
        assert!(version.contains(|c: char| c.is_ascii_digit()), "{encoder}: {version}");
    }
    assert_eq!(versions.get(&Encoder::SvtAv1), set.svt_version.as_ref());
}
