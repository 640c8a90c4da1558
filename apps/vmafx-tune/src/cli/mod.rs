//! The command line.

mod parse;
mod shared;

use std::num::NonZeroU32;
use std::path::PathBuf;

use search::{Constraint, Target};
use types::{Encoder, Quality};
use vmafx_tune::{
    AUDIO_KILOBITS_DEFAULT, CompareRequest, CorpusRequest, CrfRequest, LadderRequest, Sampling,
    SearchSettings, ShotsRequest, TuneRequest,
};

use parse::parse_encoder;
pub(crate) use shared::RunArgs;
use shared::{BesidesArgs, EncodeArgs, LadderAudioArg, SampleArgs, ScoreArgs, SearchArgs, encodes};

/// No setting reaches the target.
pub(crate) const EXIT_UNREACHABLE: u8 = 3;
/// The finished file misses the target.
pub(crate) const EXIT_MISSED: u8 = 4;
/// Some of many sources could not be measured.
pub(crate) const EXIT_PARTIAL: u8 = 5;
/// No controller answers.
pub(crate) const EXIT_UNREACHABLE_CONTROLLER: u8 = 40;
/// The controller refused.
pub(crate) const EXIT_REFUSED: u8 = 41;

/// What the process's exit code says.
const EXIT_CODES: &str = "Exit codes:
    0  the target is met; a finished file was scored in full and meets it
    1  a defect of ours
    2  a flag that is not allowed
    3  no setting that was tried reaches the target (ladder: every target); the closest is reported
    4  the finished file was scored in full and misses the target
    5  corpus: some sources could not be measured
   10-32  the failure's kind, as `vmafx score --help` lists them:
       10 no such file, 13 not a video, 22 what the encoder refuses, 26 disk full,
       30 interrupted, 31 no such encoder, 32 the encoder died
   40  no controller answers at the address given, not in time, or not to the end
   41  the controller refused
  130  a second signal cut the end short";

/// The command line of `vmafx-tune`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "vmafx-tune",
    version,
    about = "Target-quality encoding: finds the smallest file that is good enough, makes it, and verifies it",
    after_help = EXIT_CODES
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Finds the largest CRF whose score meets the target, and makes the file
    Crf(Crf),
    /// Measures sizes and targets, and makes a ladder of the convex hull
    Ladder(Ladder),
    /// Compares encoders at equal quality
    Compare(Compare),
    /// Searches each shot by itself, and assembles the film
    Shots(Shots),
    /// Sweeps many sources and settings into a JSONL file
    Corpus(Corpus),
    /// Writes one self-contained HTML file of results
    Report(ReportArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Crf {
    /// The video to encode
    source: String,
    /// The file to make; without it, only the setting is found
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// The encoder: x264, x265, svt-av1, aom, vp9, vvenc
    #[arg(long, short = 'e', default_value = "svt-av1")]
    encoder: Encoder,
    /// What to reach: a mean such as 93, or p5=88; all that are given must hold
    #[arg(long = "target", short = 't', default_value = "93", value_name = "SCORE")]
    targets: Vec<Constraint>,
    #[command(flatten)]
    besides: BesidesArgs,
    #[command(flatten)]
    encode: EncodeArgs,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    score: ScoreArgs,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ladder {
    /// The video to encode
    source: String,
    /// The folder to make the rungs in, with playlists and a manifest; without it, they are only found
    #[arg(long, short = 'o', value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// The encoder: x264, x265, svt-av1, aom, vp9, vvenc
    #[arg(long, short = 'e', default_value = "svt-av1")]
    encoder: Encoder,
    /// Heights of the renditions
    #[arg(long, value_delimiter = ',', default_value = "2160,1440,1080,720,540,360,240")]
    heights: Vec<u32>,
    /// Mean scores to search for at each height
    #[arg(long = "targets", short = 't', value_delimiter = ',', default_value = "95,90,80,70")]
    targets: Vec<f64>,
    /// How many times the rate of the rung below a rung has at least
    #[arg(long, default_value_t = 1.3, value_name = "FACTOR")]
    ratio_min: f64,
    /// The source's sound, a file for each track beside the rungs: auto takes AAC over as it is and
    /// encodes the rest as AAC
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "auto|copy|aac|none",
        hide_possible_values = true
    )]
    audio: LadderAudioArg,
    /// Kilobits a second of a track of sound that is encoded
    #[arg(long, default_value_t = AUDIO_KILOBITS_DEFAULT, value_name = "KBIT")]
    audio_rate: NonZeroU32,
    /// What to print
    #[arg(long, value_enum, default_value = "text")]
    pub format: LadderFormat,
    #[command(flatten)]
    encode: EncodeArgs,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    score: ScoreArgs,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// What `ladder` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LadderFormat {
    /// A table for people
    Text,
    /// Everything as one JSON value
    Json,
    /// The rungs
    Csv,
    /// An HLS multivariant playlist of the rungs
    Hls,
    /// A DASH manifest of the rungs
    Dash,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// The video to encode
    source: String,
    /// Encoders, each with a preset after a colon where it is not the usual: x264:slow,svt-av1:6
    #[arg(long, short = 'e', value_delimiter = ',', default_value = "x264,svt-av1", value_parser = parse_encoder)]
    encoders: Vec<(Encoder, Option<String>)>,
    /// Mean scores to meet
    #[arg(long = "targets", short = 't', value_delimiter = ',', default_value = "80,90,95")]
    targets: Vec<f64>,
    #[command(flatten)]
    encode: EncodeArgs,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    score: ScoreArgs,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Shots {
    /// The video to encode
    source: String,
    /// The file to make; without it, only the settings are found
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// The encoder: x264, x265, svt-av1, aom, vp9, vvenc
    #[arg(long, short = 'e', default_value = "svt-av1")]
    encoder: Encoder,
    /// What each shot is to reach: a mean such as 93, or p5=88; all that are given must hold
    #[arg(long = "target", short = 't', default_value = "93", value_name = "SCORE")]
    targets: Vec<Constraint>,
    #[command(flatten)]
    besides: BesidesArgs,
    #[command(flatten)]
    encode: EncodeArgs,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    score: ScoreArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Corpus {
    /// The videos to encode
    #[arg(required = true)]
    sources: Vec<String>,
    /// The JSONL file to add to; what it holds is not measured again
    #[arg(long, short = 'o', value_name = "FILE")]
    output: PathBuf,
    /// Encoders, each with a preset after a colon where it is not the usual: x264:slow,svt-av1:6
    #[arg(long, short = 'e', value_delimiter = ',', default_value = "x264", value_parser = parse_encoder)]
    encoders: Vec<(Encoder, Option<String>)>,
    /// The numbers to try
    #[arg(long, short = 'q', value_delimiter = ',', default_value = "20,24,28,32,36,40,44,48")]
    qualities: Vec<Quality>,
    #[command(flatten)]
    encode: EncodeArgs,
    #[command(flatten)]
    score: ScoreArgs,
    #[command(flatten)]
    samples: SampleArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// What --json printed, or a corpus
    #[arg(required = true)]
    pub inputs: Vec<PathBuf>,
    /// The HTML file to write
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: PathBuf,
}

impl Command {
    /// The request, and where and how it is carried out; `None` for what measures nothing.
    pub(crate) fn request(&self) -> Option<(TuneRequest, &RunArgs)> {
        let search =
            |target: Target, args: &SearchArgs, score: &ScoreArgs, sampling| SearchSettings {
                score: score.settings(),
                sampling,
                probes_max: args.probes_max,
                ..SearchSettings::new(Target { tolerance: args.tolerance, ..target })
            };
        let of = |constraints: &[Constraint]| Target {
            constraints: constraints.to_vec(),
            ..Target::mean(0.0)
        };
        Some(match self {
            Self::Crf(args) => {
                let target = of(&args.targets);
                let search = search(target, &args.search, &args.score, args.samples.sampling());
                let request = CrfRequest {
                    source: args.source.clone(),
                    encode: args.encode.settings(args.encoder),
                    search,
                    output: args.output.clone(),
                    besides: args.besides.besides(),
                };
                (TuneRequest::Crf(request), &args.run)
            }
            Self::Shots(args) => {
                let target = of(&args.targets);
                let search = search(target, &args.search, &args.score, Sampling::WHOLE);
                let request = ShotsRequest {
                    source: args.source.clone(),
                    encode: args.encode.settings(args.encoder),
                    search,
                    output: args.output.clone(),
                    besides: args.besides.besides(),
                };
                (TuneRequest::Shots(request), &args.run)
            }
            Self::Ladder(args) => {
                let target = Target::mean(0.0);
                let search = search(target, &args.search, &args.score, args.samples.sampling());
                let request = LadderRequest {
                    source: args.source.clone(),
                    encode: args.encode.settings(args.encoder),
                    search,
                    heights: args.heights.clone(),
                    targets: args.targets.clone(),
                    ratio_min: args.ratio_min,
                    output: args.output.clone(),
                    audio: args.audio.into(),
                    audio_kilobits: args.audio_rate,
                };
                (TuneRequest::Ladder(request), &args.run)
            }
            Self::Compare(args) => {
                let target = Target::mean(0.0);
                let search = search(target, &args.search, &args.score, args.samples.sampling());
                let request = CompareRequest {
                    source: args.source.clone(),
                    encodes: encodes(&args.encoders, &args.encode),
                    search,
                    targets: args.targets.clone(),
                };
                (TuneRequest::Compare(request), &args.run)
            }
            Self::Corpus(args) => {
                let request = CorpusRequest {
                    sources: args.sources.clone(),
                    encodes: encodes(&args.encoders, &args.encode),
                    qualities: args.qualities.clone(),
                    score: args.score.settings(),
                    sampling: args.samples.sampling(),
                    output: args.output.clone(),
                };
                (TuneRequest::Corpus(request), &args.run)
            }
            Self::Report(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use vmafx_tune::{Besides, Keep};

    use super::*;

    fn request(arguments: &[&str]) -> Result<TuneRequest, String> {
        let args = Args::try_parse_from([&["vmafx-tune"], arguments].concat());
        let args = args.map_err(|error| error.to_string())?;
        Ok(args.command.request().expect("it measures").0)
    }

    #[test]
    fn the_table_of_subcommands_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_typed_is_what_is_asked() {
        let typed = [
            "crf",
            "a.mkv",
            "-o",
            "b.mp4",
            "-e",
            "x265",
            "-p",
            "slow",
            "-t",
            "93",
            "-t",
            "p5=88",
            "--enc",
            "tune=grain",
            "--range",
            "18..40",
            "--pix-fmt",
            "yuv420p10le",
            "--whole",
            "--audio",
            "none",
        ];
        let Ok(TuneRequest::Crf(crf)) = request(&typed) else { panic!("it is well formed") };
        assert_eq!(crf.encode.encoder, Encoder::X265);
        assert_eq!(crf.search.target.to_string(), "mean ≥ 93 and p5 ≥ 88");
        assert_eq!((crf.encode.range, crf.search.sampling), (Some((18, 40)), Sampling::WHOLE));
        let besides = Besides { audio: Keep::None, subtitles: Keep::Auto };
        assert_eq!(crf.besides, besides);
        let Ok(TuneRequest::Compare(compare)) = request(&["compare", "a", "-e", "x264:slow,vp9"])
        else {
            panic!("it is well formed")
        };
        assert_eq!(compare.encodes[0].preset.as_deref(), Some("slow"));
        assert_eq!(compare.encodes[1].preset(), "4");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for typed in [
            &["crf", "a", "-e", "mpeg2"][..],
            &["crf", "a", "--range", "40..18"],
            &["crf", "a", "-t", "p7=9"],
            &["crf", "a", "--enc", "tune"],
            &["crf", "a", "--whole", "--samples", "3"],
            &["corpus", "-o", "x"],
        ] {
            assert!(request(typed).is_err(), "{typed:?}");
        }
    }
}
