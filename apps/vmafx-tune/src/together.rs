//! Several searches that are compared with each other, all of them on the same samples.

use search::Target;

use crate::crf::{Found, Hunt};
use crate::error::TuneError;

/// The answers of each hunt at several mean scores. What one search measured, the hunt's next one knows.
///
/// Where one search widens its samples, those that were made on fewer are made again: a rate and a
/// score that were measured on one part of a film say nothing against those of another part.
pub(crate) fn find_all(hunts: &[Hunt<'_>], targets: &[f64]) -> Result<Vec<Vec<Found>>, TuneError> {
    let mut all: Vec<Vec<Option<Found>>> = vec![vec![None; targets.len()]; hunts.len()];
    let mut count = hunts.iter().map(Hunt::samples_first).max().unwrap_or(1);
    loop {
        for (hunt, answers) in hunts.iter().zip(&mut all) {
            for (place, at_least) in targets.iter().enumerate() {
                if answers[place].as_ref().is_some_and(|found| found.count >= count) {
                    continue;
                }
                let tolerance = hunt.search.target.tolerance;
                let target = Target { tolerance, ..Target::mean(*at_least) };
                let before: Vec<Found> = answers.iter().flatten().cloned().collect();
                let found = hunt.find_knowing(&target, &before, count)?;
                count = count.max(found.count);
                answers[place] = Some(found);
            }
        }
        let done = |found: &Option<Found>| found.as_ref().is_some_and(|f| f.count >= count);
        if all.iter().flatten().all(done) {
            let found = all.into_iter().map(|answers| answers.into_iter().flatten().collect());
            return Ok(found.collect());
        }
    }
}
