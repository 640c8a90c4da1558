//! Flags that several subcommands take.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use types::{Encoder, ModelSpec};
use vmafx_tune::{Besides, EncodeSettings, Keep, LadderAudio, Sampling, ScoreSettings};

use super::parse::{parse_option, parse_range};

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
    pub(crate) fn settings(&self, encoder: Encoder) -> EncodeSettings {
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
    /// The model: a built-in version or path=FILE, then any of :disable_clip, :enable_transform and
    /// :EXTRACTOR.OPTION=VALUE
    #[arg(long, short = 'm')]
    model: Option<ModelSpec>,
    /// Every how many frames one is scored
    #[arg(long, default_value = "1", value_name = "N")]
    subsample: NonZeroU32,
}

impl ScoreArgs {
    pub(crate) fn settings(&self) -> ScoreSettings {
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
    pub(crate) fn sampling(&self) -> Sampling {
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
    pub tolerance: f64,
    /// Qualities to try at most
    #[arg(long, default_value_t = search::PROBES_MAX_DEFAULT, value_name = "N")]
    pub probes_max: usize,
}

/// What a finished file has besides its pictures.
#[derive(Debug, clap::Args)]
pub(crate) struct BesidesArgs {
    /// The source's sound: as it is, as it is where the container takes it, or not at all
    #[arg(
        long,
        value_enum,
        default_value = "copy",
        value_name = "copy|auto|none",
        hide_possible_values = true
    )]
    audio: KeepArg,
    /// The source's subtitles, likewise
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "copy|auto|none",
        hide_possible_values = true
    )]
    subtitles: KeepArg,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum KeepArg {
    Copy,
    Auto,
    None,
}

/// What becomes of a ladder's sound.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum LadderAudioArg {
    Auto,
    Copy,
    Aac,
    None,
}

impl From<LadderAudioArg> for LadderAudio {
    fn from(arg: LadderAudioArg) -> Self {
        match arg {
            LadderAudioArg::Auto => Self::Auto,
            LadderAudioArg::Copy => Self::Copy,
            LadderAudioArg::Aac => Self::Aac,
            LadderAudioArg::None => Self::None,
        }
    }
}

impl BesidesArgs {
    pub(crate) fn besides(&self) -> Besides {
        let keep = |arg: KeepArg| match arg {
            KeepArg::Copy => Keep::Copy,
            KeepArg::Auto => Keep::Auto,
            KeepArg::None => Keep::None,
        };
        Besides { audio: keep(self.audio), subtitles: keep(self.subtitles) }
    }
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

/// Encoders, each with its own preset where one is named beside it.
pub(crate) fn encodes(
    encoders: &[(Encoder, Option<String>)],
    args: &EncodeArgs,
) -> Vec<EncodeSettings> {
    let one = |(encoder, preset): &(Encoder, Option<String>)| {
        let settings = args.settings(*encoder);
        EncodeSettings { preset: preset.clone().or(settings.preset.clone()), ..settings }
    };
    encoders.iter().map(one).collect()
}
