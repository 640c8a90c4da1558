//! The flags of `vmafx score`: libvmaf's names and meanings, and a few of ours.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{ArgAction, Args};
use engine::{IsaLevel, LogFormat, OutputSet, PictureSpec, Precision, View};
use media::{Depths, FfmpegConfig, MediaConfig, PairRange, SourcePolicy};
use scoring::{HeatMapRule, RunConfig, ScoreRequest};
use types::{ChromaSubsampling, MediaRef, ModelSpec, PixelFormat, RawGeometry};

use crate::preset::PresetArgs;

/// libvmaf's bits for instruction sets that may not be used.
const CPUMASK_AVX2: u64 = 8;
const CPUMASK_AVX512: u64 = 16;

/// Scores one video, or several, against its reference here and now.
///
/// Takes the flags of libvmaf's vmaf tool with their meaning (so -h is the height; use --help for
/// this text). Inputs may be .y4m, headerless YUV, or anything that ffmpeg decodes. The score goes
/// to standard output, everything else to standard error.
#[derive(Debug, Args)]
#[command(
    version,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true
)]
#[command(next_line_help = false, infer_long_args = true)]
pub(crate) struct ScoreArgs {
    /// The undegraded video.
    #[arg(short = 'r', long, value_name = "PATH")]
    pub reference: String,

    /// The degraded video. May be repeated: all are scored in one walk over the reference, each with
    /// the score that it would have alone.
    #[arg(short = 'd', long, value_name = "PATH", required = true, action = ArgAction::Append)]
    pub distorted: Vec<String>,

    /// Width of headerless YUV, which needs -h, -p and -b too.
    #[arg(short = 'w', long, value_name = "SAMPLES", value_parser = unsigned)]
    width: Option<u64>,

    /// Height of headerless YUV.
    #[arg(short = 'h', long, value_name = "SAMPLES", value_parser = unsigned)]
    height: Option<u64>,

    /// Chroma subsampling of headerless YUV: 420, 422, 444, 411 or 400.
    #[arg(short = 'p', long = "pixel_format", alias = "pixel-format", value_name = "FORMAT")]
    pixel_format: Option<ChromaSubsampling>,

    /// Bits a sample of headerless YUV: 8 to 16.
    #[arg(short = 'b', long, value_name = "BITS", value_parser = unsigned)]
    bitdepth: Option<u64>,

    /// A model: version=NAME or path=FILE, then any of :name=NAME, :disable_clip,
    /// :enable_transform and :EXTRACTOR.OPTION=VALUE. May be repeated with distinct names.
    /// Without it, version=vmaf_v0.6.1.
    #[arg(short = 'm', long, value_name = "PARAMS")]
    model: Vec<ModelSpec>,

    #[command(flatten)]
    preset: PresetArgs,

    /// Chooses the model by how the video is watched, tv-1080p, phone, tv-4k or tv-4k-close, and
    /// brings both videos to the size and depth that it judges. See --explain.
    #[arg(long, value_name = "VIEW", conflicts_with_all = ["model", "scale", "no_prediction", "aom_ctc", "nflx_ctc"])]
    pub view: Option<View>,

    /// Scales both videos to this size first (bicubic), where they have another, and raises the lower
    /// bit depth to the higher. Without it, videos that differ are refused.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub scale: Option<(u32, u32)>,

    /// Says on standard error what was chosen for --view or changed for --scale, and why.
    #[arg(long)]
    pub explain: bool,

    /// Writes a log in libvmaf's format. Of several distorted videos each has its own: log.json
    /// becomes log.1.json, log.2.json and so on.
    #[arg(short = 'o', long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// Writes the log as XML (what it is without a format).
    #[arg(long, overrides_with_all = ["json", "csv", "sub"])]
    xml: bool,

    /// Writes the log as JSON.
    #[arg(long, overrides_with_all = ["xml", "csv", "sub"])]
    json: bool,

    /// Writes the log as CSV.
    #[arg(long, overrides_with_all = ["xml", "json", "sub"])]
    csv: bool,

    /// Writes the log as MicroDVD subtitles.
    #[arg(long, overrides_with_all = ["xml", "json", "csv"])]
    sub: bool,

    /// Threads that compute; 0 is one. Without it, one a CPU. Scores do not depend on it.
    #[arg(long, value_name = "COUNT", value_parser = unsigned)]
    threads: Option<u64>,

    /// Scores every Nth frame only.
    #[arg(long, value_name = "N", value_parser = unsigned, default_value = "1")]
    subsample: u64,

    /// An extractor beside those of the models: NAME or NAME=OPTION=VALUE:OPTION=VALUE. May be
    /// repeated.
    #[arg(long, value_name = "PARAMS")]
    feature: Vec<String>,

    /// Instruction sets not to use, as libvmaf's bits: 8 is AVX2, 16 is AVX-512.
    #[arg(short = 'c', long, value_name = "BITMASK", value_parser = unsigned, default_value = "0")]
    cpumask: u64,

    /// Accepted for compatibility; there is no GPU backend.
    #[arg(long, value_name = "BITMASK", value_parser = unsigned, hide = true)]
    gpumask: Option<u64>,

    /// How many frames are scored at most; 0 is all.
    #[arg(long = "frame_cnt", alias = "frame-cnt", value_name = "COUNT", value_parser = unsigned, default_value = "0")]
    frame_cnt: u64,

    /// Frames of the reference to skip first.
    #[arg(long = "frame_skip_ref", alias = "frame-skip-ref", value_name = "COUNT", value_parser = unsigned, default_value = "0")]
    frame_skip_ref: u64,

    /// Frames of the distorted video to skip first.
    #[arg(long = "frame_skip_dist", alias = "frame-skip-dist", value_name = "COUNT", value_parser = unsigned, default_value = "0")]
    frame_skip_dist: u64,

    /// No score: extracts features only.
    #[arg(short = 'n', long = "no_prediction", alias = "no-prediction")]
    pub no_prediction: bool,

    /// No progress on a terminal, and no score when a log is written.
    #[arg(short = 'q', long)]
    pub quiet: bool,

    /// Digits after the point in scores and logs: 0 to 17, or max for as few as lead back to the
    /// very same number. Without it, as libvmaf prints.
    #[arg(long, value_name = "N|max", value_parser = precision)]
    precision: Option<Precision>,

    /// The ffmpeg that decodes what is neither .y4m nor headerless.
    #[arg(long, value_name = "PATH", env = "VMAFX_FFMPEG")]
    ffmpeg: Option<PathBuf>,

    /// Prints this text.
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,

    /// Prints the version.
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl ScoreArgs {
    /// What is to be scored, and the distorted videos after the first.
    ///
    /// # Errors
    /// A sentence on how the flags do not go together.
    pub(crate) fn request(&self) -> Result<(ScoreRequest, Vec<MediaRef>), String> {
        let raw = self.raw_geometry()?;
        let media = |uri: &String| MediaRef { uri: uri.clone(), raw };
        let mut distorted = self.distorted.iter().map(media);
        let first = distorted.next().ok_or("--distorted is missing")?;
        let asked = self.preset.asked()?;
        let mut models = asked.models;
        models.extend_from_slice(&self.model);
        let mut features = asked.features;
        features.extend_from_slice(&self.feature);
        if models.is_empty() && !self.no_prediction {
            models.push(ModelSpec::default());
        }
        if models.is_empty() && features.is_empty() {
            return Err(
                "--no_prediction without --feature or --model leaves nothing to compute".to_owned()
            );
        }
        let interval = u32::try_from(self.subsample)
            .map_err(|_| format!("--subsample {} is too large", self.subsample))?;
        // A log shows every column that libvmaf's would; a score alone does without some.
        let outputs = if self.output.is_some() { OutputSet::Full } else { OutputSet::Needed };
        let request = ScoreRequest {
            models,
            features,
            outputs,
            // As in libvmaf, 0 is every frame.
            subsample_interval: NonZeroU32::new(interval).unwrap_or(NonZeroU32::MIN),
            range: PairRange {
                skip_reference: self.frame_skip_ref,
                skip_distorted: self.frame_skip_dist,
                frame_count_max: Some(self.frame_cnt).filter(|count| *count > 0),
            },
            heat_maps: HeatMapRule::Written,
            depths: if asked.common_bit_depth { Depths::Largest } else { Depths::Equal },
            ..ScoreRequest::pair(media(&self.reference), first)
        };
        Ok((request, distorted.collect()))
    }

    /// With what it is scored.
    pub(crate) fn config(&self) -> RunConfig {
        let ffmpeg = FfmpegConfig { program: self.ffmpeg.clone(), ..FfmpegConfig::default() };
        let media = MediaConfig { ffmpeg, ..MediaConfig::new(SourcePolicy::unrestricted_local()) };
        let mut config = RunConfig::new(media);
        if let Some(threads) = self.threads {
            let threads = usize::try_from(threads).unwrap_or(usize::MAX).min(THREADS_MAX);
            config.threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        }
        config.isa_limit = if self.cpumask & CPUMASK_AVX2 != 0 {
            IsaLevel::Baseline
        } else if self.cpumask & CPUMASK_AVX512 != 0 {
            IsaLevel::Avx2
        } else {
            IsaLevel::Avx512
        };
        config
    }

    /// The log's format.
    pub(crate) fn format(&self) -> LogFormat {
        match (self.json, self.csv, self.sub) {
            (true, _, _) => LogFormat::Json,
            (_, true, _) => LogFormat::Csv,
            (_, _, true) => LogFormat::Sub,
            _ => LogFormat::Xml,
        }
    }

    /// How many digits numbers have.
    pub(crate) fn precision(&self) -> Precision {
        self.precision.unwrap_or_default()
    }

    /// As in libvmaf, any one of the four flags makes both inputs headerless, and all are needed.
    fn raw_geometry(&self) -> Result<Option<RawGeometry>, String> {
        let given = [
            ("-w", self.width.is_some()),
            ("-h", self.height.is_some()),
            ("-p", self.pixel_format.is_some()),
            ("-b", self.bitdepth.is_some()),
        ];
        let (Some(width), Some(height), Some(chroma), Some(bits)) =
            (self.width, self.height, self.pixel_format, self.bitdepth)
        else {
            let missing: Vec<&str> =
                given.iter().filter(|(_, given)| !given).map(|(flag, _)| *flag).collect();
            if missing.len() == given.len() {
                return Ok(None);
            }
            return Err(format!(
                "headerless YUV needs -w, -h, -p and -b; {} is missing (without all four, the files say what they \
                 are)",
                missing.join(" and ")
            ));
        };
        let side = |side: u64| {
            u32::try_from(side).map_err(|_| format!("a side of {side} samples is too large"))
        };
        let bit_depth = u8::try_from(bits)
            .ok()
            .filter(|bits| (8..=16).contains(bits))
            .ok_or_else(|| format!("-b {bits} is not taken; use 8, 10, 12 or 16"))?;
        let format = PixelFormat { chroma, bit_depth };
        Ok(Some(RawGeometry { width: side(width)?, height: side(height)?, format }))
    }
}

/// Threads that may be asked for.
const THREADS_MAX: usize = 1_024;

/// A number as C reads it: `0x` begins hexadecimal, `0` octal.
fn unsigned(text: &str) -> Result<u64, String> {
    let parsed = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        u64::from_str_radix(digits, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        u64::from_str_radix(text, 8)
    } else {
        text.parse()
    };
    match parsed {
        // The standard library takes a sign; no flag here does.
        Ok(number) if !text.contains('+') => Ok(number),
        _ => Err("not a whole number".to_owned()),
    }
}

/// A size such as `1920x1080`.
fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').or_else(|| text.split_once(':'));
    let side =
        |text: &str| text.parse().ok().filter(|side| (1..=PictureSpec::SIDE_MAX).contains(side));
    let sides = sides.and_then(|(width, height)| Some((side(width)?, side(height)?)));
    sides.ok_or_else(|| "not a size; write WIDTHxHEIGHT, such as 1920x1080".to_owned())
}

fn precision(text: &str) -> Result<Precision, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(version)]
    struct Tool {
        #[command(flatten)]
        score: ScoreArgs,
    }

    fn parse(line: &str) -> Result<ScoreArgs, String> {
        let words = std::iter::once("score").chain(line.split_whitespace());
        Tool::try_parse_from(words).map(|tool| tool.score).map_err(|error| error.to_string())
    }

    fn args(line: &str) -> ScoreArgs {
        parse(&format!("-r a -d b {line}")).expect(line)
    }

    #[test]
    fn h_is_the_height() {
        let request = args("-w 352 -h 288 -p 420 -b 10").request().expect("complete").0;
        let raw = request.reference.raw.expect("headerless");
        assert_eq!((raw.width, raw.height, raw.format.bit_depth), (352, 288, 10));
        assert_eq!(request.distorted.raw, request.reference.raw);
    }

    #[test]
    fn a_part_of_the_geometry_is_not_enough() {
        let error = args("-w 352 -b 8").request().expect_err("incomplete");
        assert!(error.contains("-h and -p is missing"), "{error}");
        assert!(args("-w 352 -h 288 -p 420 -b 17").request().is_err());
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, number) in [("0", 0), ("12", 12), ("0x1F", 31), ("010", 8)] {
            assert_eq!(unsigned(text), Ok(number));
        }
        for bad in ["", "-1", "+1", "1.5", "0x", "08", "x"] {
            assert!(unsigned(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn models_are_read_with_their_options() {
        let request = args("-m version=vmaf_v0.6.1:name=a:disable_clip -m path=b.json").request();
        let models = request.expect("complete").0.models;
        let texts: Vec<String> = models.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["vmaf_v0.6.1:name=a:disable_clip", "path=b.json"]);
        for bad in ["name=a", "version=a:flag", "version=a:option=1"] {
            assert!(parse(&format!("-r a -d b -m {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_said_is_as_in_libvmaf() {
        let plain = args("");
        let request = plain.request().expect("complete").0;
        assert_eq!(request.models, [ModelSpec::default()]);
        assert_eq!((request.range, request.subsample_interval.get()), (PairRange::default(), 1));
        assert_eq!(plain.format(), LogFormat::Xml);
        let none = args("-n --feature vif").request().expect("features only").0;
        assert!(none.models.is_empty());
        assert!(args("-n").request().is_err());
    }

    #[test]
    fn the_last_of_what_excludes_each_other_wins() {
        assert_eq!(args("--json --csv").format(), LogFormat::Csv);
        assert_eq!(args("--sub --xml").format(), LogFormat::Xml);
        assert_eq!(args("--json --json").format(), LogFormat::Json);
        let request = args("--frame_cnt 3 --frame_cnt 4 --subsample 0 --frame_skip_r 5").request();
        let (request, _) = request.expect("complete");
        assert_eq!(request.range.frame_count_max, Some(4));
        assert_eq!(
            request.range.skip_reference, 5,
            "options may be cut short where they stay unique"
        );
        assert_eq!(request.subsample_interval.get(), 1);
    }

    #[test]
    fn instruction_sets_and_threads_are_limited_as_asked() {
        assert_eq!(args("--cpumask 63").config().isa_limit, IsaLevel::Baseline);
        assert_eq!(args("-c 0x30").config().isa_limit, IsaLevel::Avx2);
        assert_eq!(args("").config().isa_limit, IsaLevel::Avx512);
        assert_eq!(args("--threads 0").config().threads.get(), 1);
        assert_eq!(args("--threads 7").config().threads.get(), 7);
    }

    #[test]
    fn several_distorted_videos_are_taken_in_their_order() {
        let (request, others) = args("-d c --distorted d").request().expect("complete");
        assert_eq!(request.distorted.uri, "b");
        let others: Vec<_> = others.iter().map(|media| media.uri.as_str()).collect();
        assert_eq!(others, ["c", "d"]);
    }

    #[test]
    fn a_view_leaves_no_room_for_a_model_of_ones_own() {
        assert_eq!(args("--view phone").view, Some(View::Phone));
        assert!(parse("-r a -d b --view cinema").expect_err("unknown").contains("tv-4k-close"));
        for other in ["--model version=vmaf_v0.6.1", "--scale 1x1", "-n"] {
            assert!(parse(&format!("-r a -d b --view phone {other}")).is_err(), "{other}");
        }
        assert_eq!(args("--scale 1920x1080").scale, Some((1_920, 1_080)));
        for bad in ["1920", "0x4", "x", "1920x1080x3", "99999x1"] {
            assert!(parse(&format!("-r a -d b --scale {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_preset_names_its_models_and_features_before_those_that_are_added() {
        let line = "--aom_ctc v6.0 --feature motion -m version=vmaf_4k_v0.6.1:name=uhd";
        let request = args(line).request().expect("complete").0;
        let models: Vec<String> = request.models.iter().map(ToString::to_string).collect();
        assert_eq!(
            models,
            ["vmaf_v0.6.1:name=vmaf", "vmaf_v0.6.1neg:name=vmaf_neg", "vmaf_4k_v0.6.1:name=uhd"]
        );
        assert_eq!(request.features.first().map(String::as_str).map(|f| &f[..5]), Some("psnr="));
        assert_eq!(request.features[5..], ["cambi", "motion"]);
        assert_eq!(request.depths, Depths::Largest);
        let request = args("--nflx_ctc v1.0").request().expect("complete").0;
        assert_eq!((request.models.len(), request.features.len()), (2, 3));
        assert_eq!(request.depths, Depths::Equal);
        for bad in ["--aom_ctc proposed", "--nflx_ctc v7.0"] {
            let error = args(bad).request().expect_err(bad);
            assert!(error.contains("aom_ctc v1.0"), "{error}");
        }
        assert!(parse("-r a -d b --view phone --aom_ctc v1.0").is_err());
    }

    #[test]
    fn both_videos_are_needed() {
        assert!(parse("-r a").expect_err("no distorted").contains("--distorted"));
        assert!(parse("-d a").expect_err("no reference").contains("--reference"));
    }
}
