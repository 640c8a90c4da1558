//! How much sooner two threads are done than one: our runs alone, in turns, on clips that are long
//! enough for starting not to count.

use std::path::Path;

use super::cases::Case;
use super::clips::{self, Shape};
use super::contender::{Contender, Ran};
use super::{Args, at_least};
use crate::Error;
use crate::statistics::median;
use crate::table::{markdown, number};

/// Wall time of one thread over that of two, on two CPUs with nothing else to do: at least.
const GOAL: f64 = 1.9;

/// Measures each model that is measured everywhere and prints a table; nothing where `cases` has none.
pub(super) fn run(args: &Args, cases: &[Case], turns: usize, dir: &Path) -> Result<(), Error> {
    let cases: Vec<&Case> = cases.iter().filter(|case| case.everywhere).collect();
    if cases.is_empty() {
        return Ok(());
    }
    let ours = Contender::vmafx()?;
    let head = ["clip", "frames", "what", "fps, 1 thread", "fps, 2 threads", "ratio", "goal"];
    let mut rows = vec![head.map(str::to_owned)];
    for shape in Shape::long(args.quick) {
        let files = clips::make(&args.ffmpeg, &args.media, &shape, dir)?;
        for case in &cases {
            let mut ran: [Vec<Ran>; 2] = [Vec::new(), Vec::new()];
            for _ in 0..turns {
                for (threads, ran) in (1..).zip(&mut ran) {
                    ran.push(ours.run(case, &files, threads)?);
                }
            }
            let [one, two] =
                ran.map(|ran| ran.iter().map(|ran| ran.wall.as_secs_f64()).collect::<Vec<_>>());
            let ratios: Vec<f64> = one.iter().zip(&two).map(|(one, two)| one / two).collect();
            let fps = |walls: &[f64]| number(f64::from(shape.frames) / median(walls));
            let ratio = median(&ratios);
            rows.push([
                shape.to_string(),
                shape.frames.to_string(),
                case.name.clone(),
                fps(&one),
                fps(&two),
                format!("{ratio:.2}"),
                at_least(GOAL, ratio),
            ]);
        }
        files.remove()?;
    }
    println!("Two threads over one, `vmafx score` alone:\n\n{}", markdown(&rows));
    Ok(())
}
