//! Whole scoring runs as a user starts them, against libvmaf's on the same clips: wall time, CPU
//! time and peak memory of the whole process, in paired runs that take turns: models, instruction
//! sets, a ladder, and on request each feature alone. Each turn gives a ratio, and the median of
//! these is what a goal is held against: what else the machine did then bore on both runs of a turn.
//!
//! The opponents are a static `ffmpeg`'s `libvmaf` filter and, where one is given, libvmaf's own
//! `vmaf` program. Every pooled value is compared: a fast wrong answer is no result.

mod cases;
mod clips;
mod contender;
mod scaling;

use std::path::PathBuf;

use cases::Case;
use clips::{ClipFiles, Shape};
use contender::{Contender, Ran};

use crate::Error;
use crate::machine;
use crate::statistics::median;
use crate::table::{markdown, number};

/// Peak memory with one thread, as a share of what libvmaf's own program takes: at most.
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
        "y4m from bigbuckbunny.mp4 (x264 crf 35), {runs} turns: medians, and of ratios the median of \
         those of each turn\n"
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
        "goal",
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
        "our fps: times theirs; our CPU: their CPU time over ours; our memory: share of theirs. Each goal \
         is of the column before it. Frames of several renditions count each\n"
    );
    scaling::run(args, &cases, runs, dir.path())
}

/// One clip with one number of threads: a row for each contender.
fn compare(
    contenders: &[Contender],
    case: &Case,
    files: &ClipFiles,
    threads: u32,
    runs: usize,
) -> Result<Vec<[String; 12]>, Error> {
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
    let mut rows = Vec::new();
    for (contender, of_contender) in contenders.iter().zip(&ran) {
        agree(case, files, &ran[0][0], contender, of_contender)?;
        let [fps, cpu, memory] = summary((contender, of_contender)).map(number);
        let [faster, cheaper, share] = ratios(case, &ran[0], contender, of_contender);
        let set = Goals::of(case, files, threads, contender);
        let shown = |ratio: f64| match contender.is_ours() {
            true => String::new(),
            false => format!("{ratio:.2}"),
        };
        rows.push([
            files.shape.to_string(),
            threads.to_string(),
            case.name.clone(),
            contender.name().to_owned(),
            fps,
            cpu,
            memory,
            shown(faster),
            shown(cheaper),
            set.cpu.map_or_else(String::new, |goal| at_least(goal, cheaper)),
            shown(share),
            set.memory.map_or_else(String::new, |goal| at_most(goal, share)),
        ]);
    }
    Ok(rows)
}

/// The median of the ratios of each turn: frames a second, CPU time, memory.
fn ratios(case: &Case, ours: &[Ran], contender: &Contender, theirs: &[Ran]) -> [f64; 3] {
    // One run of ours scores all renditions.
    let frames = f64::from(case.renditions) / f64::from(contender.renditions(case));
    let ratio = |of_turn: fn(&Ran, &Ran) -> f64| {
        let turns = ours.iter().zip(theirs).map(|(ours, theirs)| of_turn(ours, theirs));
        median(&turns.collect::<Vec<_>>())
    };
    [
        frames * ratio(|ours, theirs| theirs.wall.as_secs_f64() / ours.wall.as_secs_f64()),
        frames * ratio(|ours, theirs| theirs.cpu.as_secs_f64() / ours.cpu.as_secs_f64()),
        ratio(|ours, theirs| ours.peak_bytes as f64 / theirs.peak_bytes as f64),
    ]
}

/// What is asked of a row.
struct Goals {
    /// Their CPU time over ours, at least.
    cpu: Option<f64>,
    /// Our peak memory as a share of theirs, at most.
    memory: Option<f64>,
}

impl Goals {
    /// Against libvmaf's own program with one thread: by CPU time at 1920x1080, by memory there and
    /// above, of whole models of one distorted video.
    fn of(case: &Case, files: &ClipFiles, threads: u32, contender: &Contender) -> Self {
        let shape = &files.shape;
        let depth = usize::from(shape.bit_depth > 8);
        let is_set = matches!(contender, Contender::Vmaf(_)) && threads == 1;
        let is_large = shape.height >= Shape::HD_HEIGHT;
        let is_whole = case.everywhere && is_large && is_set;
        Self {
            cpu: case.goals[depth].filter(|_| is_set && shape.is_hd()),
            memory: is_whole.then_some(MEMORY_GOAL),
        }
    }
}

fn at_least(goal: f64, measured: f64) -> String {
    format!("≥ {goal:.1}{}", if measured < goal { " missed" } else { "" })
}

fn at_most(goal: f64, measured: f64) -> String {
    format!("≤ {goal:.2}{}", if measured > goal { " missed" } else { "" })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn ran(millis: u64, peak_bytes: u64) -> Ran {
        let time = Duration::from_millis(millis);
        Ran { wall: time, cpu: 2 * time, peak_bytes, means: BTreeMap::new() }
    }

    #[test]
    fn a_ratio_is_the_median_of_those_of_each_turn() {
        // A machine that is slow for one turn is slow for both.
        let ours = [ran(1_000, 25), ran(10_000, 25), ran(1_000, 25)];
        let theirs = [ran(2_000, 100), ran(30_000, 100), ran(4_000, 100)];
        let case = &Case::all(false)[0];
        let them = Contender::Vmaf("vmaf".into());
        assert_eq!(ratios(case, &ours, &them, &theirs), [3.0, 3.0, 0.25]);
    }

    #[test]
    fn goals_are_missed_on_their_own_side() {
        assert_eq!([at_least(2.0, 1.99), at_least(2.0, 2.0)], ["≥ 2.0 missed", "≥ 2.0"]);
        let third = 1.0 / 3.0;
        assert_eq!([at_most(third, 0.34), at_most(third, 0.33)], ["≤ 0.33 missed", "≤ 0.33"]);
    }
}
