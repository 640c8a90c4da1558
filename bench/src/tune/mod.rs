//! The search for a quality on real clips: how many probes it takes, how close the finished file is,
//! and whether the answer is the true one.
//!
//! What is true is known, not believed: on short cuts of the clips every step of the encoder's whole
//! scale is encoded and scored, and answers are held against that curve.

mod curve;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use media::{MediaConfig, SourcePolicy, Stop};
use scoring::RunConfig;
use search::Target;
use types::Encoder;
use vmafx_tune::{
    Besides, CrfOutcome, CrfRequest, EncodeSettings, Environment, Sampling, SearchSettings, Silent,
    TuneOutcome, TuneRequest,
};

use crate::Error;
use crate::machine;
use crate::statistics::median;
use crate::table::{Goal, Table, markdown};
use curve::Curve;

/// Probes of a search: half of all take no more.
const PROBES_MEDIAN_GOAL: f64 = 3.0;
/// Nine of ten take no more.
const PROBES_P90_GOAL: f64 = 4.0;
/// How far above its target a finished file may score, unless the next step misses.
const CLOSE: f64 = search::TOLERANCE_DEFAULT;
/// The encoders that are searched, each with its usual preset and with a fast one.
const ENCODERS: [(Encoder, &str); 2] = [(Encoder::X264, "veryfast"), (Encoder::SvtAv1, "11")];
/// The mean scores that are searched for.
const TARGETS: [f64; 3] = [80.0, 90.0, 95.0];
/// The cuts that are swept: file, first frame, frames. Short, so that trying everything ends.
const CUTS: [(&str, u32, u32); 2] = [("bikes.mp4", 60, 24), ("bigbuckbunny.mp4", 20, 8)];

/// What to search.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fast presets, and no search of the whole clips: a first look
    #[arg(long)]
    quick: bool,
    /// The ffmpeg with the encoders
    #[arg(long, env = "VMAFX_FFMPEG")]
    ffmpeg: PathBuf,
    /// The folder with bikes.mp4 and bigbuckbunny.mp4
    #[arg(long, env = "VMAFX_TEST_MEDIA")]
    media: PathBuf,
}

/// One target on one curve that is known.
struct Case {
    clip: &'static str,
    encoder: Encoder,
    target: f64,
    curve: Curve,
    /// The search as it comes, with its finished file.
    usual: CrfOutcome,
    /// The search that goes on until the next step is seen to miss.
    exact: CrfOutcome,
}

impl Case {
    /// Whether the finished file scores what the sweep has at its quality, to the last bit.
    fn is_as_swept(&self) -> bool {
        self.usual.file.as_ref().is_some_and(|file| {
            file.quality.is_some_and(|q| self.curve.at(q) == Some(file.pooled.mean))
        })
    }

    /// Whether the finished file is close to its target, or nothing closer can be had.
    fn is_close(&self) -> bool {
        self.usual.file.as_ref().is_some_and(|file| {
            let last = file.quality.is_some_and(|q| self.curve.is_last(q, self.target));
            let margin = file.pooled.mean - self.target;
            margin >= 0.0 && (margin <= CLOSE || last)
        })
    }

    /// Whether the exact answer meets the target and the step after it misses.
    fn is_last(&self) -> bool {
        self.curve.is_last(self.exact.found.quality, self.target)
    }

    /// Whether no number beyond the exact answer meets the target.
    fn is_largest(&self) -> bool {
        Some(self.exact.found.quality) == self.curve.largest(self.target)
    }
}

/// Sweeps, searches and prints.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    println!("## tune\n\n{}", machine::describe());
    let folder = tempfile::tempdir()?;
    let mut cases = Vec::new();
    for (clip, first, frames) in CUTS {
        let source = cut(args, clip, first, frames, folder.path())?;
        for (encoder, fast) in ENCODERS {
            let encode = settings(args, encoder, fast);
            let curve = Curve::sweep(&environment(args), &source, &encode, folder.path())?;
            eprintln!("{clip} {encoder}: {} encodes scored", curve.len());
            for target in TARGETS {
                let curve = curve.clone();
                let usual = search(args, &source, &encode, target, CLOSE, Some(folder.path()))?;
                let exact = search(args, &source, &encode, target, 0.0, None)?;
                cases.push(Case { clip, encoder, target, curve, usual, exact });
            }
        }
    }
    let whole = if args.quick { Vec::new() } else { whole(args, folder.path())? };
    print_cases(&cases);
    print_whole(&whole);
    print_sums(&cases, &whole);
    let is_true = |case: &&Case| case.is_as_swept() && case.is_close() && case.is_last();
    let broken: Vec<String> = cases
        .iter()
        .filter(|case| !is_true(case))
        .map(|case| format!("{} {} {}", case.clip, case.encoder, case.target))
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("the answer does not hold: {}", broken.join(", ")).into())
}

/// The searches of the whole clips, which nobody sweeps.
fn whole(
    args: &Args,
    folder: &Path,
) -> Result<Vec<(&'static str, Encoder, f64, CrfOutcome)>, Error> {
    let mut outcomes = Vec::new();
    for (clip, _, _) in CUTS {
        let source = args.media.join(clip).display().to_string();
        for (encoder, fast) in ENCODERS {
            let encode = settings(args, encoder, fast);
            for target in TARGETS {
                let outcome = search(args, &source, &encode, target, CLOSE, Some(folder))?;
                eprintln!("{clip} {encoder} {target}: {} probes", outcome.found.probes);
                outcomes.push((clip, encoder, target, outcome));
            }
        }
    }
    Ok(outcomes)
}

fn settings(args: &Args, encoder: Encoder, fast: &str) -> EncodeSettings {
    let preset = args.quick.then(|| fast.to_owned());
    EncodeSettings { preset, ..EncodeSettings::new(encoder) }
}

/// Nothing is remembered: no search knows of another, nor of a sweep.
fn environment(args: &Args) -> Environment {
    let mut media = MediaConfig::new(SourcePolicy::unrestricted_local());
    media.ffmpeg.program = Some(args.ffmpeg.clone());
    Environment::new(RunConfig::new(media))
}

/// Frames of a real clip as y4m, exactly as they are in it.
fn cut(args: &Args, clip: &str, first: u32, frames: u32, folder: &Path) -> Result<String, Error> {
    let path = folder.join(format!("{clip}.y4m"));
    let last = first + frames - 1;
    let filter = format!("select=between(n\\,{first}\\,{last}),setpts=N/FRAME_RATE/TB");
    let mut command = Command::new(&args.ffmpeg);
    command.args(["-nostdin", "-y", "-v", "error", "-i"]).arg(args.media.join(clip));
    command.args(["-an", "-vf", &filter, "-f", "yuv4mpegpipe"]).arg(&path).stdin(Stdio::null());
    let output = command.output()?;
    if output.status.success() {
        return Ok(path.display().to_string());
    }
    Err(format!("ffmpeg could not cut {clip}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// One search that knows nothing of any other. With a folder, the file is made.
fn search(
    args: &Args,
    source: &str,
    encode: &EncodeSettings,
    target: f64,
    tolerance: f64,
    folder: Option<&Path>,
) -> Result<CrfOutcome, Error> {
    let target = Target { tolerance, ..Target::mean(target) };
    let request = TuneRequest::Crf(CrfRequest {
        source: source.to_owned(),
        encode: encode.clone(),
        search: SearchSettings { sampling: Sampling::WHOLE, ..SearchSettings::new(target) },
        output: folder.map(|folder| folder.join("finished.mkv")),
        besides: Besides::default(),
    });
    match vmafx_tune::run(&request, &environment(args), &Stop::never(), &Silent)? {
        TuneOutcome::Crf(outcome) => Ok(*outcome),
        _ => Err("a search gives a search's outcome".into()),
    }
}

fn finished(outcome: &CrfOutcome) -> String {
    let file = outcome.file.as_ref();
    file.map_or_else(String::new, |file| {
        let quality = file.quality.map_or(String::new(), |quality| quality.to_string());
        format!("{quality}: {:.3}", file.pooled.mean)
    })
}

fn print_cases(cases: &[Case]) {
    let head = [
        "cut",
        "encoder",
        "target",
        "largest",
        "finished",
        "probes",
        "exact",
        "its next",
        "probes",
        "the true one",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for case in cases {
        let exact = case.exact.found.quality;
        let next = case.curve.next(exact).map_or("none".to_owned(), |score| format!("{score:.3}"));
        let verdict = match (case.is_last(), case.is_largest()) {
            (true, true) => "yes",
            (true, false) => "a step: the curve meets it again",
            _ => "NO",
        };
        rows.push([
            case.clip.to_owned(),
            case.encoder.to_string(),
            case.target.to_string(),
            case.curve.largest(case.target).map_or("none".to_owned(), |q| q.to_string()),
            finished(&case.usual),
            case.usual.found.probes.to_string(),
            format!("{exact}: {:.3}", case.exact.found.measured.pooled.mean),
            next,
            case.exact.found.probes.to_string(),
            verdict.to_owned(),
        ]);
    }
    println!("### Cuts, every step of the scale swept\n\n{}", markdown(&rows));
}

fn print_whole(whole: &[(&'static str, Encoder, f64, CrfOutcome)]) {
    if whole.is_empty() {
        return;
    }
    let head = ["clip", "encoder", "target", "finished", "why", "probes", "files made"];
    let mut rows = vec![head.map(str::to_owned)];
    for (clip, encoder, target, outcome) in whole {
        rows.push([
            (*clip).to_owned(),
            encoder.to_string(),
            target.to_string(),
            finished(outcome),
            vmafx_tune::show::evidence(outcome.found.evidence).to_owned(),
            outcome.found.probes.to_string(),
            outcome.file.as_ref().map_or(0, |file| file.rounds).to_string(),
        ]);
    }
    println!("\n### Whole clips\n\n{}", markdown(&rows));
}

fn print_sums(cases: &[Case], whole: &[(&'static str, Encoder, f64, CrfOutcome)]) {
    let mut table = Table::new("Sums");
    let of_whole = whole.iter().map(|(_, _, _, outcome)| outcome);
    let usual: Vec<f64> = cases
        .iter()
        .map(|case| &case.usual)
        .chain(of_whole.clone())
        .map(|outcome| outcome.found.probes as f64)
        .collect();
    let searches = format!("{} searches", usual.len());
    let (at_median, at_p90) = (Goal::AtMost(PROBES_MEDIAN_GOAL), Goal::AtMost(PROBES_P90_GOAL));
    table.row("probes, median", (median(&usual), "probes"), at_median, searches.clone());
    table.row("probes, p90", (p90(&usual), "probes"), at_p90, searches);
    let exact: Vec<f64> = cases.iter().map(|case| case.exact.found.probes as f64).collect();
    table.row("with tolerance 0: probes, median", (median(&exact), "probes"), Goal::Open, "");
    let met = of_whole.filter(|outcome| {
        let why = outcome.found.evidence;
        outcome.file.as_ref().is_some_and(|file| {
            let margin = file.binding.margin();
            margin >= 0.0 && (margin <= CLOSE || why == search::Evidence::NextStepMisses)
        })
    });
    if !whole.is_empty() {
        let what = "whole clips: files within 0.5 above the target, or the next step misses";
        let goal = Goal::AtLeast(whole.len() as f64);
        table.row(what, (met.count() as f64, "files"), goal, format!("of {}", whole.len()));
    }
    let mut count = |what: &str, holds: fn(&Case) -> bool, goal: bool| {
        let measured = cases.iter().filter(|case| holds(case)).count() as f64;
        let all = cases.len() as f64;
        let goal = if goal { Goal::AtLeast(all) } else { Goal::Open };
        table.row(what, (measured, "cases"), goal, format!("of {all}"));
    };
    count("files that score what the sweep has there, to the last bit", Case::is_as_swept, true);
    count("files within 0.5 above the target, or the next step misses", Case::is_close, true);
    count("exact answers that meet, and whose next step misses", Case::is_last, true);
    count("exact answers that are the largest number that meets", Case::is_largest, false);
    let uneven = |case: &Case| !case.curve.falls();
    count("curves that rise somewhere", uneven, false);
    table.print();
}

/// The smallest value that nine of ten do not exceed.
fn p90(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * 9).div_ceil(10).max(1) - 1;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
