//! `shots`: each shot searched by itself, all of them assembled, the film scored in full and the
//! shots that miss within it made again.
//!
//! A shot within a film scores a little otherwise than alone: its first frames have others before
//! them. So it is the assembled film that is judged, shot by shot.

use std::path::PathBuf;

use media::EncodeProgress;
use scoring::Progress;
use search::{Binding, Target};
use types::{Encoded, PooledScore, Quality, ScoreReport};

use crate::combine::pool_frames;
use crate::crf::{Hunt, PROBES_USUAL};
use crate::error::TuneError;
use crate::finish::{REPAIRS_MAX, Verified};
use crate::outcome::{Shot, ShotsOutcome};
use crate::output::{Unfinished, Wanted, Wrap, wrap};
use crate::probe::{FrameRange, ProbeKind, ProbeSpec};
use crate::progress::Event;
use crate::request::ShotsRequest;
use crate::session::Session;
use crate::shots::Sample;

/// A shot on its way into the film.
struct Part {
    file: PathBuf,
    encoded: Encoded,
}

/// Searches, and assembles where a file is asked for.
pub(crate) fn shots(
    session: &Session<'_>,
    request: &ShotsRequest,
) -> Result<ShotsOutcome, TuneError> {
    let known = session.know(&request.source)?;
    let media = &known.source.media;
    let wanted = match &request.output {
        Some(output) => Some(Wanted::new(output, request.besides, media, session)?),
        None => None,
    };
    let hunt = Hunt { session, known: &known, encode: &request.encode, search: &request.search };
    let target = &request.search.target;
    session.pace().add(known.source.frame_count() * PROBES_USUAL);
    let found = session.each(&known.source.shots, |range| {
        hunt.find_on(&[Sample { range: *range, share: 1.0 }], target)
    })?;
    let mut shots: Vec<Shot> = known
        .source
        .shots
        .iter()
        .zip(&found)
        .map(|(range, found)| Shot {
            range: *range,
            quality: found.quality,
            probes: found.probes,
            binding: found.binding,
            kilobits_per_second: found.measured.kilobits_per_second,
            repairs: 0,
        })
        .collect();
    let file = match &wanted {
        Some(wanted) => Some(assemble(&hunt, &mut shots, target, wanted)?),
        None => None,
    };
    let frames: u64 = shots.iter().map(|shot| shot.range.count).sum();
    let share = |shot: &Shot| shot.range.count as f64 / frames as f64;
    let rate = shots.iter().map(|shot| share(shot) * shot.kilobits_per_second).sum();
    Ok(ShotsOutcome {
        source: known.source.media.uri.clone(),
        encoder: request.encode.encoder,
        missed: shots.iter().filter(|shot| shot.binding.margin() < 0.0).count(),
        shots,
        kilobits_per_second: file.as_ref().map_or(rate, |file| file.kilobits_per_second),
        file,
    })
}

fn assemble(
    hunt: &Hunt<'_>,
    shots: &mut [Shot],
    target: &Target,
    wanted: &Wanted,
) -> Result<Verified, TuneError> {
    let session = hunt.session;
    let held = wanted.unfinished()?;
    let mut parts = session.each_here(shots, |shot| make(hunt, shot.range, shot.quality))?;
    for round in 1.. {
        let mut verified = judge(hunt, shots, &parts, target, &held, wanted.wrap)?;
        verified.rounds = round;
        session.sink.event(&Event::Verified { binding: verified.binding, met: verified.met });
        let failing: Vec<usize> = (0..shots.len())
            .filter(|index| shots[*index].binding.margin() < 0.0)
            .filter(|index| better(hunt, &shots[*index]) != shots[*index].quality)
            .collect();
        if failing.is_empty() || round > REPAIRS_MAX {
            verified.output = held.place(wanted, session.sink)?;
            return Ok(verified);
        }
        for index in &failing {
            let shot = &mut shots[*index];
            shot.quality = better(hunt, shot);
            shot.repairs += 1;
            session.sink.event(&Event::Finishing { quality: shot.quality, round: round + 1 });
        }
        let again = session
            .each_here(&failing, |index| make(hunt, shots[*index].range, shots[*index].quality))?;
        for (index, part) in failing.into_iter().zip(again) {
            // What it replaces is ours, and no longer of use.
            let _ = std::fs::remove_file(&parts[index].file);
            parts[index] = part;
        }
    }
    Err(TuneError::Request("a defect: the film was not finished".to_owned()))
}

/// Encodes one shot.
fn make(hunt: &Hunt<'_>, range: FrameRange, quality: Quality) -> Result<Part, TuneError> {
    let local = hunt.session.local()?;
    let spec = hunt.spec(&Sample { range, share: 1.0 }, quality, ProbeKind::Sample);
    let file = local.scratch_file("mkv");
    let (cx, stop) = (hunt.session.cx(), &hunt.session.stop);
    let (encoded, warnings) = local.encode(&spec, &file, cx, stop, &EncodeProgress::default())?;
    hunt.session.heed(&warnings);
    Ok(Part { file, encoded })
}

/// Joins the parts, scores the whole, and says of each shot how it stands.
fn judge(
    hunt: &Hunt<'_>,
    shots: &mut [Shot],
    parts: &[Part],
    target: &Target,
    held: &Unfinished,
    how: Wrap,
) -> Result<Verified, TuneError> {
    let session = hunt.session;
    let local = session.local()?;
    let files: Vec<PathBuf> = parts.iter().map(|part| part.file.clone()).collect();
    let (file, encoder, stop) = (&held.path, hunt.encode.encoder, &session.stop);
    let joined = if how == Wrap::Plain { file.clone() } else { held.pictures() };
    media::join(&files, encoder, &joined, local.ffmpeg(), stop)?;
    let size_of = |path: &PathBuf| {
        std::fs::metadata(path).map(|file| file.len()).map_err(TuneError::write(path))
    };
    let picture_bytes = size_of(&joined)?;
    if how != Wrap::Plain {
        let (source, media) = (&hunt.known.source.media, &session.env.run.media);
        wrap(how, &joined, source, encoder, file, media, stop)?;
    }
    let whole = Sample { range: hunt.known.source.whole(), share: 1.0 };
    let spec: ProbeSpec = hunt.spec(&whole, shots[0].quality, ProbeKind::Whole).in_full();
    let info = &hunt.known.source.info;
    let report = local.score(&spec, info, file, session.cx(), stop, &Progress::new())?;
    session.check_whole(&spec, &report)?;
    let model = report
        .headline()
        .ok_or_else(|| TuneError::Request("the score has no model's prediction".to_owned()))?;
    let mut worst: Option<Binding> = None;
    for (shot, part) in shots.iter_mut().zip(parts) {
        let pooled = pool_range(&report, &model.name, shot.range);
        if let Some(binding) = pooled.and_then(|pooled| target.binding(&pooled)) {
            shot.binding = binding;
            shot.kilobits_per_second = part.encoded.kilobits_per_second();
            if worst.is_none_or(|worst| binding.margin() < worst.margin()) {
                worst = Some(binding);
            }
        }
    }
    let binding = worst.ok_or_else(|| TuneError::Request("no shot could be judged".to_owned()))?;
    let bytes = size_of(file)?;
    let seconds = hunt.known.source.frame_count() as f64 / hunt.known.source.frames_per_second();
    Ok(Verified {
        output: file.to_owned(),
        quality: None,
        bytes,
        kilobits_per_second: picture_bytes as f64 * 8.0 / 1_000.0 / seconds,
        pooled: model.pooled,
        binding,
        met: binding.margin() >= 0.0,
        rounds: 1,
    })
}

/// The score of a range of a report's frames.
fn pool_range(report: &ScoreReport, model: &str, range: FrameRange) -> Option<PooledScore> {
    let column = report.frames.column(model)?;
    let within = range.first..range.first + range.count;
    let scores: Vec<f64> = report
        .frames
        .frame_indices
        .iter()
        .zip(&column.values)
        .filter(|(index, _)| within.contains(index))
        .map(|(_, score)| *score)
        .collect();
    (!scores.is_empty()).then(|| pool_frames(&scores))
}

/// The quality at which a shot that misses should meet: by the typical curve through what it has, and
/// a step better at least. The same where there is none.
fn better(hunt: &Hunt<'_>, shot: &Shot) -> Quality {
    let scale = hunt.scale();
    let Some(next) = scale.index_of(shot.quality).checked_sub(1) else { return shot.quality };
    let curve = hunt.prior().seen(shot.quality, shot.binding.value);
    let number = curve.number_at(shot.binding.constraint.at_least);
    let expected = (number * f64::from(scale.steps_per_unit)).floor()
        - f64::from(scale.first) * f64::from(scale.steps_per_unit);
    let expected = if expected > 0.0 { expected as usize } else { 0 };
    scale.at(expected.min(next))
}
