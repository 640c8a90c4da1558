//! The command line.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use search::{Constraint, Target};
use types::{Encoder, ModelRef, Quality};
use vmafx_tune::{
    CompareRequest, CorpusRequest, CrfRequest, EncodeSettings, LadderRequest, Sampling,
    ScoreSettings, SearchSettings, ShotsRequest, TuneRequest,
};

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
   40  no controller answers at the address given, or not in time
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
pub(crate) struct EncodeArgs {
    /// The encoder's preset [default: the encoder's usual]
    #[arg(long, short = 'p')]
    preset: Option<String>,
    /// The pixel format to encode, such as yuv420p10le [default: the source's]
    #[arg(long)]
    pix_fmt: Option<String>,
    /// An option of the encoder by ffmpeg's name, such as tune=film; may be given more than once
    #[arg(long = "enc", value_name = "NAME=VALUE", value_parser = parse_option)]
    options: Vec<(String, String)>,
    /// Threads of the encoder; some encoders' bytes depend on it
    #[arg(long, value_name = "N")]
    encoder_threads: Option<u8>,
    /// The numbers that may be tried, such as 18..40 [default: the encoder's whole scale]
    #[arg(long, value_name = "FROM..TO", value_parser = parse_range)]
    range: Option<(i32, i32)>,
}

impl EncodeArgs {
    fn settings(&self, encoder: Encoder) -> EncodeSettings {
        EncodeSettings {
            preset: self.preset.clone(),
            pixel_format: self.pix_fmt.clone(),
            options: self.options.iter().cloned().collect(),
            threads: self.encoder_threads,
            range: self.range,
            ..EncodeSettings::new(encoder)
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScoreArgs {
    /// The model: a built-in version, or path=FILE
    #[arg(long, short = 'm', value_parser = parse_model)]
    model: Option<ModelRef>,
    /// Every how many frames one is scored
    #[arg(long, default_value = "1", value_name = "N")]
    subsample: NonZeroU32,
}

impl ScoreArgs {
    fn settings(&self) -> ScoreSettings {
        ScoreSettings {
            model: self.model.clone().unwrap_or_default(),
            subsample_interval: self.subsample,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SampleArgs {
    /// Probe the whole source, however long
    #[arg(long, conflicts_with_all = ["samples", "samples_max", "sample_seconds"])]
    whole: bool,
    /// Samples to begin with, chosen by complexity
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Samples at most, where they disagree
    #[arg(long, value_name = "N")]
    samples_max: Option<usize>,
    /// Seconds of one sample
    #[arg(long, value_name = "SECONDS")]
    sample_seconds: Option<f64>,
    /// Sources up to this many seconds are probed whole
    #[arg(long, value_name = "SECONDS")]
    whole_below: Option<f64>,
}

impl SampleArgs {
    fn sampling(&self) -> Sampling {
        let usual = Sampling::default();
        if self.whole {
            return Sampling::WHOLE;
        }
        let count = self.samples.unwrap_or(usual.count);
        Sampling {
            seconds: self.sample_seconds.unwrap_or(usual.seconds),
            count,
            count_max: self.samples_max.unwrap_or(usual.count_max.max(count)),
            whole_below_seconds: self.whole_below.unwrap_or(usual.whole_below_seconds),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    /// How far above the target is good enough; 0 searches until the next step is seen to miss
    #[arg(long, default_value_t = search::TOLERANCE_DEFAULT, value_name = "POINTS")]
    tolerance: f64,
    /// Qualities to try at most
    #[arg(long, default_value_t = search::PROBES_MAX_DEFAULT, value_name = "N")]
    probes_max: usize,
}

/// Where and how, but not what.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Print events and the outcome as lines of JSON
    #[arg(long)]
    pub json: bool,
    /// Say what it would take, and measure nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Spread probes over the nodes of this controller; sources must lie at the same path there
    #[arg(long, env = "VMAFX_CONTROLLER_ADDR", value_name = "URL")]
    pub controller: Option<String>,
    /// A file with the token the controller asks for
    #[arg(long, env = "VMAFX_CONTROLLER_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Record the run's trace whatever the sampling ratio
    #[arg(long)]
    pub trace: bool,
    /// Probes at once [default: 1, or the fleet's slots]
    #[arg(long, short = 'j', value_name = "N")]
    pub parallel: Option<NonZeroUsize>,
    /// Threads that score [default: the processors]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// The ffmpeg program [default: the one in PATH]
    #[arg(long, env = "VMAFX_FFMPEG", value_name = "FILE")]
    pub ffmpeg: Option<PathBuf>,
    /// The folder of journals, by which an interrupted run goes on
    /// [default: below the XDG state directory]
    #[arg(long, env = "VMAFX_TUNE_JOURNAL_DIR", value_name = "DIR")]
    pub journal_dir: Option<PathBuf>,
    /// Remember nothing
    #[arg(long, conflicts_with = "journal_dir")]
    pub no_journal: bool,
    /// Where encodes lie while they are scored [default: the system's temporary folder]
    #[arg(long, env = "VMAFX_SCRATCH_DIR", value_name = "DIR")]
    pub scratch_dir: Option<PathBuf>,
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

fn encodes(encoders: &[(Encoder, Option<String>)], args: &EncodeArgs) -> Vec<EncodeSettings> {
    let one = |(encoder, preset): &(Encoder, Option<String>)| {
        let settings = args.settings(*encoder);
        EncodeSettings { preset: preset.clone().or(settings.preset.clone()), ..settings }
    };
    encoders.iter().map(one).collect()
}

fn parse_option(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_range(text: &str) -> Result<(i32, i32), String> {
    let error = || format!("{text:?} is not a range such as 18..40");
    let (from, to) = text.split_once("..").ok_or_else(error)?;
    let (from, to) = (from.parse().map_err(|_| error())?, to.parse().map_err(|_| error())?);
    if from <= to { Ok((from, to)) } else { Err(error()) }
}

fn parse_encoder(text: &str) -> Result<(Encoder, Option<String>), String> {
    match text.split_once(':') {
        Some((encoder, preset)) => Ok((encoder.parse()?, Some(preset.to_owned()))),
        None => Ok((text.parse()?, None)),
    }
}

fn parse_model(text: &str) -> Result<ModelRef, String> {
    Ok(match text.strip_prefix("path=") {
        Some(path) => ModelRef::Path(path.to_owned()),
        None => ModelRef::Version(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

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
        ];
        let Ok(TuneRequest::Crf(crf)) = request(&typed) else { panic!("it is well formed") };
        assert_eq!(crf.encode.encoder, Encoder::X265);
        assert_eq!(crf.search.target.to_string(), "mean ≥ 93 and p5 ≥ 88");
        assert_eq!((crf.encode.range, crf.search.sampling), (Some((18, 40)), Sampling::WHOLE));
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
