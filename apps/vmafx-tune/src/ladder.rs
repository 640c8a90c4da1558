//! `ladder`: sizes and targets, their convex hull, its rungs, and the files of them.
//!
//! A rung that was made and verified is noted in the folder, so that a run that was killed makes only
//! those that are missing.

use std::collections::BTreeSet;
use std::path::Path;

use search::{Evidence, Target, hull, rungs};

use crate::crf::{Found, Hunt, Tried};
use crate::error::TuneError;
use crate::finish::finish;
use crate::manifest;
use crate::notes::Notes;
use crate::outcome::{LadderOutcome, Rendition};
use crate::output::Wanted;
use crate::probe::ProbeKind;
use crate::request::{EncodeSettings, LadderRequest};
use crate::session::Session;
use crate::shots::Sample;
use crate::sound::make_tracks;
use crate::together::find_all;

/// The notes of what was made, in the folder of the rungs.
const NOTES: &str = ".vmafx-tune-rungs.jsonl";

/// A size, how it is searched, and what was found.
struct Searched<'a> {
    size: (u32, u32),
    hunt: &'a Hunt<'a>,
    found: &'a [Found],
}

/// Searches each size for each target, and makes a ladder of all that was measured on the way.
pub(crate) fn ladder(
    session: &Session<'_>,
    request: &LadderRequest,
) -> Result<LadderOutcome, TuneError> {
    let known = session.know(&request.source)?;
    let info = &known.source.info;
    let mut sizes: Vec<(u32, u32)> = request
        .heights
        .iter()
        .filter(|height| **height <= info.height)
        .map(|height| size_of_height(info.width, info.height, *height))
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.is_empty() {
        return Err(TuneError::Request(format!(
            "none of the heights is at most the source's {}; name a smaller one",
            info.height
        )));
    }
    // First, as it costs the least and is the likeliest to be refused.
    let sound = make_tracks(session, &known, request)?;
    let encodes: Vec<EncodeSettings> = sizes
        .iter()
        .map(|size| {
            let scaled = (*size != (info.width, info.height)).then_some(*size);
            EncodeSettings { size: scaled, ..request.encode.clone() }
        })
        .collect();
    let hunts: Vec<Hunt<'_>> = encodes
        .iter()
        .map(|encode| Hunt { session, known: &known, encode, search: &request.search })
        .collect();
    let found = find_all(&hunts, &request.targets)?;
    let mut cloud: Vec<Rendition> = Vec::new();
    for (size, found) in sizes.iter().zip(&found) {
        let tried = found.iter().flat_map(|found| &found.tried);
        cloud.extend(tried.map(|one| Rendition {
            size: *size,
            quality: one.quality,
            kilobits_per_second: one.measured.kilobits_per_second,
            score: one.measured.pooled.mean,
            file: None,
        }));
    }
    cloud.sort_by_key(|one| (one.size, one.quality));
    cloud.dedup_by(|a, b| (a.size, a.quality) == (b.size, b.quality));
    let points = |all: &[Rendition]| -> Vec<(f64, f64)> {
        all.iter().map(|one| (one.kilobits_per_second, one.score)).collect()
    };
    let pick = |all: &[Rendition], places: Vec<usize>| -> Vec<Rendition> {
        places.into_iter().map(|place| all[place].clone()).collect()
    };
    let best = pick(&cloud, hull(&points(&cloud)));
    let mut chosen = pick(&best, rungs(&points(&best), &request.targets, request.ratio_min));
    if let Some(folder) = &request.output {
        let searched: Vec<Searched<'_>> = sizes
            .iter()
            .zip(&hunts)
            .zip(&found)
            .map(|((size, hunt), found)| Searched { size: *size, hunt, found })
            .collect();
        make_rungs(&searched, &request.targets, &mut chosen, folder)?;
    }
    let reached = cloud.iter().map(|one| one.score).fold(f64::NEG_INFINITY, f64::max);
    let outcome = LadderOutcome {
        missed: request.targets.iter().copied().filter(|target| *target > reached).collect(),
        source: known.source.media.uri.clone(),
        encoder: request.encode.encoder,
        frames_per_second: known.source.frames_per_second(),
        frame_rate: info.frame_rate.unwrap_or(media::encode::FRAME_RATE_DEFAULT),
        seconds: known.source.frame_count() as f64 / known.source.frames_per_second(),
        cloud,
        hull: best,
        rungs: chosen,
        sound,
    };
    if let Some(folder) = &request.output {
        manifest::write_all(&outcome, folder)?;
    }
    Ok(outcome)
}

/// Makes the file of each rung, or finds the one that an earlier run made.
fn make_rungs(
    searched: &[Searched<'_>],
    targets: &[f64],
    rungs: &mut [Rendition],
    folder: &Path,
) -> Result<(), TuneError> {
    let mut notes = Notes::open(folder.join(NOTES))?;
    let mut names = BTreeSet::new();
    for rung in rungs {
        let at = searched.iter().find(|at| at.size == rung.size);
        let at = at.ok_or_else(|| TuneError::Request("a defect: a rung has no size".to_owned()))?;
        let session = at.hunt.session;
        let found = as_found(at, rung, targets)?;
        let path = folder.join(free_name(rung, &mut names));
        let whole = Sample { range: at.hunt.known.source.whole(), share: 1.0 };
        let spec = at.hunt.spec(&whole, rung.quality, ProbeKind::Whole).in_full();
        let chain = session.chain_here(at.hunt.encode.encoder)?;
        let key = spec.key(&format!("{chain}, a rung for {}", found.target));
        let made = match notes.find_told(&key, &path, session)? {
            Some(verified) => verified,
            None => {
                let verified = finish(at.hunt, &found, &Wanted::fragments(&path))?;
                notes.add(key, &verified, &session.stop)?;
                verified
            }
        };
        rung.file = Some(made);
    }
    Ok(())
}

/// A rung as the answer of a search: it serves the highest target that it reaches, and may lie as far
/// above that as it does, since what is cheaper is no better by the hull.
fn as_found(at: &Searched<'_>, rung: &Rendition, targets: &[f64]) -> Result<Found, TuneError> {
    let defect = || TuneError::Request("a defect: a rung was not measured".to_owned());
    let mut tried: Vec<Tried> = at.found.iter().flat_map(|found| found.tried.clone()).collect();
    tried.sort_by_key(|one| one.quality);
    tried.dedup_by_key(|one| one.quality);
    let measured =
        tried.iter().find(|one| one.quality == rung.quality).ok_or_else(defect)?.measured;
    let reached = targets.iter().copied().filter(|target| *target <= rung.score);
    let lowest = targets.iter().copied().fold(f64::INFINITY, f64::min);
    let at_least = reached.reduce(f64::max).unwrap_or(lowest);
    let above = (rung.score - at_least).max(0.0);
    let first = at.found.first().ok_or_else(defect)?;
    let target =
        Target { tolerance: above + at.hunt.search.target.tolerance, ..Target::mean(at_least) };
    let met = rung.score >= at_least;
    Ok(Found {
        quality: rung.quality,
        evidence: if met { Evidence::WithinTolerance } else { Evidence::Unreachable },
        binding: target.binding(&measured.pooled).ok_or_else(defect)?,
        target,
        measured,
        tried,
        ..first.clone()
    })
}

/// `720p-1148k.mp4`, or with a number where another rung has that name.
fn free_name(rung: &Rendition, names: &mut BTreeSet<String>) -> String {
    let stem = manifest::name(rung);
    let mut name = format!("{stem}.mp4");
    let mut number = 1;
    while !names.insert(name.clone()) {
        number += 1;
        name = format!("{stem}-{number}.mp4");
    }
    name
}

/// The size of a rendition: the source's shape, sides even.
fn size_of_height(width: u32, height: u32, wanted: u32) -> (u32, u32) {
    if wanted == height {
        return (width, height);
    }
    let even = |side: f64| ((side / 2.0).round() as u32 * 2).max(16);
    let factor = f64::from(wanted) / f64::from(height);
    (even(f64::from(width) * factor), even(f64::from(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renditions_keep_the_shape_with_even_sides() {
        assert_eq!(size_of_height(1_280, 720, 720), (1_280, 720));
        assert_eq!(size_of_height(1_280, 720, 360), (640, 360));
        assert_eq!(size_of_height(640, 272, 135), (318, 136));
        assert_eq!(size_of_height(1_919, 1_079, 1_079), (1_919, 1_079), "the source's own stays");
    }

    #[test]
    fn no_two_rungs_have_one_name() {
        let rung = |rate: f64| Rendition {
            size: (640, 360),
            quality: types::Quality(2_300),
            kilobits_per_second: rate,
            score: 80.0,
            file: None,
        };
        let mut names = BTreeSet::new();
        let all = [300.1, 300.2, 500.0].map(|rate| free_name(&rung(rate), &mut names));
        assert_eq!(all, ["360p-300k.mp4", "360p-300k-2.mp4", "360p-500k.mp4"]);
    }
}
