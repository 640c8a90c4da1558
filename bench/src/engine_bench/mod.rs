//! Whole scoring runs as a user starts them, against libvmaf's on the same clips: wall time, CPU
//! time and peak memory of the whole process, in paired runs that take turns.
//!
//! The opponents are a static `ffmpeg`'s `libvmaf` filter and, where one is given, libvmaf's own
//! `vmaf` program. Every run's score is compared: a fast wrong answer is no result.

mod clips;
mod contender;

use std::path::PathBuf;

use clips::{ClipFiles, Shape};
use contender::{Contender, Ran};

use crate::Error;
use crate::machine;
use crate::statistics::median;
use crate::table::{markdown, number};

/// Frames per second, as a multiple of libvmaf's, that the project asks of itself.
const SPEED_GOAL: f64 = 2.0;

/// Memory, as a share of libvmaf's, below which the project wants to stay.
const MEMORY_GOAL: f64 = 1.0 / 3.0;

/// How far pooled scores may lie apart: logs are rounded to six digits.
const SCORE_TOLERANCE: f64 = 2e-6;

/// What to compare, and with what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fewer frames and runs: seconds in place of minutes, and less to be trusted
    #[arg(long)]
    quick: bool,
    /// Compare with this `vmaf` program of libvmaf too
    #[arg(long, value_name = "PATH")]
    vmaf: Option<PathBuf>,
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
        "model vmaf_v0.6.1, y4m from bigbuckbunny.mp4 (x264 crf 35), medians of {runs} runs that \
         take turns\ngoals against libvmaf: {SPEED_GOAL} times its frames a second, memory under \
         {} of its\n",
        number(MEMORY_GOAL)
    );
    let head = [
        "clip",
        "threads",
        "engine",
        "fps",
        "CPU ms/frame",
        "peak MB",
        "our fps",
        "our CPU",
        "our memory",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for shape in Shape::all(args.quick, args.uhd) {
        let files = clips::make(&args.ffmpeg, &args.media, &shape, dir.path())?;
        for threads in [1, 2] {
            rows.extend(compare(&contenders, &files, threads, runs)?);
        }
        files.remove()?;
    }
    println!("{}", markdown(&rows));
    println!(
        "our fps: times theirs; our CPU: their CPU time over ours; our memory: share of theirs"
    );
    Ok(())
}

/// One clip with one number of threads: a row for each contender.
fn compare(
    contenders: &[Contender],
    files: &ClipFiles,
    threads: u32,
    runs: usize,
) -> Result<Vec<[String; 9]>, Error> {
    let mut ran: Vec<Vec<Ran>> = vec![Vec::new(); contenders.len()];
    // The first turn warms caches up and does not count.
    for turn in 0..=runs {
        for (contender, ran) in contenders.iter().zip(&mut ran) {
            let one = contender.run(files, threads)?;
            if turn > 0 {
                ran.push(one);
            }
        }
    }
    let of =
        |ran: &[Ran], value: fn(&Ran) -> f64| median(&ran.iter().map(value).collect::<Vec<_>>());
    let frames = f64::from(files.shape.frames);
    let summary = |ran: &Vec<Ran>| {
        let wall = of(ran, |ran| ran.wall.as_secs_f64());
        let cpu = of(ran, |ran| ran.cpu.as_secs_f64());
        [frames / wall, cpu * 1e3 / frames, of(ran, |ran| ran.peak_bytes as f64 / 1e6)]
    };
    let summaries: Vec<[f64; 3]> = ran.iter().map(summary).collect();
    let (ours, score) = (summaries[0], ran[0][0].score);
    let mut rows = Vec::new();
    for ((contender, ran), theirs) in contenders.iter().zip(&ran).zip(&summaries) {
        for one in ran {
            if (one.score - score).abs() > SCORE_TOLERANCE {
                return Err(format!(
                    "{}: {} says {}, we say {score}",
                    files.shape,
                    contender.name(),
                    one.score
                )
                .into());
            }
        }
        let times = |ratio: f64| {
            if contender.is_ours() { String::new() } else { format!("{ratio:.2}") }
        };
        rows.push([
            files.shape.to_string(),
            threads.to_string(),
            contender.name().to_owned(),
            number(theirs[0]),
            number(theirs[1]),
            number(theirs[2]),
            times(ours[0] / theirs[0]),
            times(theirs[1] / ours[1]),
            times(ours[2] / theirs[2]),
        ]);
    }
    Ok(rows)
}
