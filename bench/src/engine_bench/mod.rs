//! Whole scoring runs as a user starts them, against libvmaf's on the same clips: wall time, CPU
//! time and peak memory of the whole process, in paired runs that take turns: models, instruction
//! sets, a ladder, and on request each feature alone.
//!
//! The opponents are a static `ffmpeg`'s `libvmaf` filter and, where one is given, libvmaf's own
//! `vmaf` program. Every pooled value is compared: a fast wrong answer is no result.

mod cases;
mod clips;
mod contender;

use std::path::PathBuf;

use cases::Case;
use clips::{ClipFiles, Shape};
use contender::{Contender, Ran};

use crate::Error;
use crate::machine;
use crate::statistics::median;
use crate::table::{markdown, number};

/// Memory, as a share of libvmaf's, below which the project wants to stay.
const MEMORY_GOAL: f64 = 1.0 / 3.0;

/// How far pooled values may lie apart: logs are rounded to six digits.
const TOLERANCE: f64 = 2e-6;

/// What to compare, and with what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fewer frames and runs: seconds in place of minutes, and less to be trusted
    #[arg(long)]
    quick: bool,
    /// Compare with this `vmaf` program of libvmaf too
    #[arg(long, value_name = "PATH")]
    vmaf: Option<PathBuf>,
    /// Each feature alone too, at 1920x1080 with one thread
    #[arg(long)]
    features: bool,
    /// Only cases whose name has this in it
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// 3840x2160 too
    #[arg(long)]
    uhd: bool,
    /// The static ffmpeg with libvmaf and x264
    #[arg(long, env = "VMAFX_FFMPEG")]
    ffmpeg: PathBuf,
    /// The folder with bigbuckbunny.mp4
    #[arg(long, env = "VMAFX_TEST_MEDIA")]
    media: PathBuf,
}

/// Makes the clips, runs everything and prints the table.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    println!("## engine\n\n{}", machine::describe());
    let dir = tempfile::tempdir()?;
    let mut contenders = vec![Contender::vmafx()?, Contender::FfmpegLibvmaf(args.ffmpeg.clone())];
    contenders.extend(args.vmaf.clone().map(Contender::Vmaf));
    let runs = if args.quick { 3 } else { 5 };
    println!(
        "y4m from bigbuckbunny.mp4 (x264 crf 35), medians of {runs} runs that take turns; memory \
         is to stay under {} of libvmaf's\n",
        number(MEMORY_GOAL)
    );
    let wanted =
        |case: &Case| args.only.is_empty() || args.only.iter().any(|text| case.name.contains(text));
    let cases: Vec<Case> = Case::all(args.features).into_iter().filter(wanted).collect();
    let head = [
        "clip",
        "threads",
        "what",
        "engine",
        "fps",
        "CPU ms/frame",
        "peak MB",
        "our fps",
        "our CPU",
        "goal",
        "our memory",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for shape in Shape::all(args.quick, args.uhd) {
        let files = clips::make(&args.ffmpeg, &args.media, &shape, dir.path())?;
        for case in &cases {
            for threads in [1, 2] {
                if case.everywhere || (threads == 1 && shape.is_hd()) {
                    rows.extend(compare(&contenders, case, &files, threads, runs)?);
                }
            }
        }
        files.remove()?;
    }
    println!("{}", markdown(&rows));
    println!(
        "our fps: times theirs; our CPU: their CPU time over ours, which is what the goal is set \
         for; our memory: share of theirs. Frames of several renditions count each"
    );
    Ok(())
}

/// One clip with one number of threads: a row for each contender.
fn compare(
    contenders: &[Contender],
    case: &Case,
    files: &ClipFiles,
    threads: u32,
    runs: usize,
) -> Result<Vec<[String; 11]>, Error> {
    let contenders: Vec<&Contender> =
        contenders.iter().filter(|contender| contender.takes(case)).collect();
    let mut ran: Vec<Vec<Ran>> = vec![Vec::new(); contenders.len()];
    // The first turn warms caches up and does not count.
    for turn in 0..=runs {
        for (contender, ran) in contenders.iter().zip(&mut ran) {
            let one = contender.run(case, files, threads)?;
            if turn > 0 {
                ran.push(one);
            }
        }
    }
    let of =
        |ran: &[Ran], value: fn(&Ran) -> f64| median(&ran.iter().map(value).collect::<Vec<_>>());
    let summary = |(contender, ran): (&&Contender, &Vec<Ran>)| {
        let frames = f64::from(files.shape.frames * contender.renditions(case));
        let wall = of(ran, |ran| ran.wall.as_secs_f64());
        let cpu = of(ran, |ran| ran.cpu.as_secs_f64());
        [frames / wall, cpu * 1e3 / frames, of(ran, |ran| ran.peak_bytes as f64 / 1e6)]
    };
    let summaries: Vec<[f64; 3]> = contenders.iter().zip(&ran).map(summary).collect();
    let ours = summaries[0];
    let mut rows = Vec::new();
    for ((contender, of_contender), theirs) in contenders.iter().zip(&ran).zip(&summaries) {
        agree(case, files, &ran[0][0], contender, of_contender)?;
        let times = |ratio: f64| {
            if contender.is_ours() { String::new() } else { format!("{ratio:.2}") }
        };
        let faster = theirs[1] / ours[1];
        rows.push([
            files.shape.to_string(),
            threads.to_string(),
            case.name.clone(),
            contender.name().to_owned(),
            number(theirs[0]),
            number(theirs[1]),
            number(theirs[2]),
            times(ours[0] / theirs[0]),
            times(faster),
            goal(case, files, threads, contender, faster),
            times(ours[2] / theirs[2]),
        ]);
    }
    Ok(rows)
}

/// The goal of a case, where it is set, and whether it is missed.
fn goal(
    case: &Case,
    files: &ClipFiles,
    threads: u32,
    contender: &Contender,
    faster: f64,
) -> String {
    let depth = usize::from(files.shape.bit_depth > 8);
    let is_set = matches!(contender, Contender::Vmaf(_)) && files.shape.is_hd() && threads == 1;
    let goal = case.goals[depth].filter(|_| is_set);
    goal.map_or_else(String::new, |goal| {
        format!("≥ {goal:.1}{}", if faster < goal { " missed" } else { "" })
    })
}

/// Everybody must say the same of every column that both have.
fn agree(
    case: &Case,
    files: &ClipFiles,
    ours: &Ran,
    contender: &Contender,
    theirs: &[Ran],
) -> Result<(), Error> {
    for one in theirs {
        let mut compared = 0;
        for (name, mean) in &one.means {
            let Some(own) = ours.means.get(name) else { continue };
            compared += 1;
            if (own - mean).abs() > TOLERANCE {
                let (shape, who) = (files.shape, contender.name());
                let what = &case.name;
                return Err(
                    format!("{shape}, {what}: {who} says {name} {mean}, we say {own}").into()
                );
            }
        }
        if compared == 0 {
            let (what, who) = (&case.name, contender.name());
            return Err(format!("{what}: {who} has no column in common with us").into());
        }
    }
    Ok(())
}
