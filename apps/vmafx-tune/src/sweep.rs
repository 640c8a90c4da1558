//! `ladder`, `compare` and `corpus`: many settings, all measured.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use search::{RatePoint, Target, bd_rate, hull, rungs};

use crate::crf::{Found, Hunt};
use crate::error::TuneError;
use crate::outcome::{
    CompareOutcome, Contender, CorpusLine, CorpusOutcome, LadderOutcome, Rendition,
};
use crate::probe::ProbeKind;
use crate::progress::Event;
use crate::request::{
    CompareRequest, CorpusRequest, EncodeSettings, LadderRequest, SearchSettings,
};
use crate::session::{Known, Session};

/// Bytes of a line of a corpus that are read back.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What each line of a corpus begins with.
const LINE_BEGINS: &str = "{\"key\":";

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
    let mut cloud: Vec<Rendition> = Vec::new();
    for size in sizes {
        let own = (size == (info.width, info.height)).then_some(());
        let encode =
            EncodeSettings { size: own.map_or(Some(size), |()| None), ..request.encode.clone() };
        for found in at_targets(session, &known, &encode, &request.search, &request.targets)? {
            cloud.extend(found.tried.iter().map(|one| Rendition {
                size,
                quality: one.quality,
                kilobits_per_second: one.measured.kilobits_per_second,
                score: one.measured.pooled.mean,
            }));
        }
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
    let chosen = pick(&best, rungs(&points(&best), &request.targets, request.ratio_min));
    let reached = cloud.iter().map(|one| one.score).fold(f64::NEG_INFINITY, f64::max);
    Ok(LadderOutcome {
        missed: request.targets.iter().copied().filter(|target| *target > reached).collect(),
        source: known.source.media.uri.clone(),
        encoder: request.encode.encoder,
        frames_per_second: known.source.frames_per_second(),
        frame_rate: info.frame_rate.unwrap_or(media::encode::FRAME_RATE_DEFAULT),
        seconds: known.source.frame_count() as f64 / known.source.frames_per_second(),
        cloud,
        hull: best,
        rungs: chosen,
    })
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

/// The answers at several mean scores. What one search measured, the next one knows.
fn at_targets(
    session: &Session<'_>,
    known: &Known,
    encode: &EncodeSettings,
    search: &SearchSettings,
    targets: &[f64],
) -> Result<Vec<Found>, TuneError> {
    let hunt = Hunt { session, known, encode, search };
    let mut found: Vec<Found> = Vec::new();
    for at_least in targets {
        let target = Target { tolerance: search.target.tolerance, ..Target::mean(*at_least) };
        found.push(hunt.find_knowing(&target, &found)?);
    }
    Ok(found)
}

/// Searches each encoder for each target.
pub(crate) fn compare(
    session: &Session<'_>,
    request: &CompareRequest,
) -> Result<CompareOutcome, TuneError> {
    let known = session.know(&request.source)?;
    let mut contenders: Vec<Contender> = Vec::new();
    let mut anchor: Option<Vec<RatePoint>> = None;
    for encode in &request.encodes {
        let at = at_targets(session, &known, encode, &request.search, &request.targets)?;
        let tried: Vec<_> = at.iter().flat_map(|found| &found.tried).collect();
        let points: Vec<RatePoint> = tried
            .iter()
            .map(|one| RatePoint {
                rate: one.measured.kilobits_per_second,
                score: one.measured.pooled.mean,
            })
            .collect();
        let seconds: f64 = tried.iter().map(|one| one.encode_seconds).sum();
        let frames: u64 = tried.iter().map(|one| one.frame_count).sum();
        contenders.push(Contender {
            encode: encode.clone(),
            bd_rate: anchor.as_ref().and_then(|anchor| bd_rate(anchor, &points)),
            frames_per_second: if seconds > 0.0 { frames as f64 / seconds } else { 0.0 },
            at,
        });
        anchor.get_or_insert(points);
    }
    Ok(CompareOutcome {
        source: known.source.media.uri.clone(),
        targets: request.targets.clone(),
        contenders,
    })
}

/// Measures every setting on every source and adds a line for each to the file.
pub(crate) fn corpus(
    session: &Session<'_>,
    request: &CorpusRequest,
) -> Result<CorpusOutcome, TuneError> {
    let (mut file, lines) = open_lines(&request.output)?;
    let mut outcome =
        CorpusOutcome { output: request.output.clone(), written: 0, known: 0, failed: Vec::new() };
    for source in &request.sources {
        let swept = sweep(session, request, source, &lines, &mut file, &mut outcome);
        match swept {
            Ok(()) => {}
            // One bad file of many is told of and stepped over; a stop or a full disk ends all.
            Err(error) if is_of_the_source(&error) && session.stop.check().is_ok() => {
                let failure = error.to_failure();
                let message = format!("{source} is left out: {failure}");
                session.sink.event(&Event::Note { message });
                outcome.failed.push((source.clone(), failure.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(outcome)
}

/// Whether the next source may fare better: the fault is not the machine's, the fleet's or the disk's.
fn is_of_the_source(error: &TuneError) -> bool {
    use types::FailureKind::{Cancelled, DiskFull, EncoderMissing, Io, TimedOut};
    let of_all = matches!(error.kind(), Cancelled | TimedOut | DiskFull | Io | EncoderMissing);
    matches!(error, TuneError::Source(_) | TuneError::Score(_)) || !of_all
}

fn sweep(
    session: &Session<'_>,
    request: &CorpusRequest,
    source: &str,
    lines: &BTreeSet<String>,
    file: &mut File,
    outcome: &mut CorpusOutcome,
) -> Result<(), TuneError> {
    let known = session.know(source)?;
    let search = SearchSettings {
        score: request.score.clone(),
        sampling: request.sampling,
        ..SearchSettings::new(Target::mean(0.0))
    };
    for encode in &request.encodes {
        let hunt = Hunt { session, known: &known, encode, search: &search };
        let scale = hunt.scale();
        let samples = hunt.samples(search.sampling.count.max(1));
        let on_scale = |quality: &&types::Quality| scale.at(scale.index_of(**quality)) == **quality;
        for quality in request.qualities.iter().filter(on_scale) {
            let key =
                hunt.spec(&samples[0], *quality, ProbeKind::Sample).key(&samples.len().to_string());
            if lines.contains(&key) {
                outcome.known += 1;
                continue;
            }
            let line = CorpusLine {
                key,
                source: known.source.media.uri.clone(),
                source_sha256: known.source.sha256.clone(),
                encoder: encode.encoder,
                preset: encode.preset().to_owned(),
                tried: hunt.try_all(&samples, *quality)?,
            };
            let text = serde_json::to_string(&line).map_err(std::io::Error::from);
            text.and_then(|text| {
                file.write_all((text + "\n").as_bytes())?;
                file.sync_data()
            })
            .map_err(TuneError::write(&request.output))?;
            outcome.written += 1;
        }
    }
    Ok(())
}

/// Opens the file to add to it, and gives the keys of the lines it holds. A line that a crash has cut
/// is ended, and measured again.
fn open_lines(path: &Path) -> Result<(File, BTreeSet<String>), TuneError> {
    let failed = TuneError::write(path);
    refuse_what_is_no_corpus(path)?;
    let mut file =
        File::options().read(true).append(true).create(true).open(path).map_err(&failed)?;
    let mut keys = BTreeSet::new();
    let mut reader = BufReader::new(&file);
    let mut line = Vec::new();
    let mut torn = false;
    // A terminal, a pipe or a device holds nothing that could be known.
    while file.metadata().map_err(&failed)?.is_file() {
        line.clear();
        if (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(&failed)? == 0 {
            break;
        }
        torn = line.last() != Some(&b'\n');
        let value = serde_json::from_slice::<serde_json::Value>(&line).ok().filter(|_| !torn);
        keys.extend(value.and_then(|value| value["key"].as_str().map(str::to_owned)));
    }
    if torn {
        file.write_all(b"\n").map_err(&failed)?;
    }
    Ok((file, keys))
}

/// A shell may have put a source where the corpus was meant: what does not begin as a corpus does is
/// not touched.
fn refuse_what_is_no_corpus(path: &Path) -> Result<(), TuneError> {
    if !path.is_file() {
        return Ok(());
    }
    let failed = TuneError::write(path);
    let mut first = Vec::new();
    let limit = LINE_BEGINS.len() as u64;
    File::open(path).map_err(&failed)?.take(limit).read_to_end(&mut first).map_err(&failed)?;
    // Of a line that a crash has cut there may be less.
    if LINE_BEGINS.as_bytes().starts_with(&first) {
        return Ok(());
    }
    Err(TuneError::Request(format!(
        "{} is there and is no corpus; name another file with --output",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_corpus_is_not_touched() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("film.mkv");
        std::fs::write(&path, b"\x1a\x45\xdf\xa3 pictures").expect("written");
        let error = open_lines(&path).expect_err("refused").to_string();
        assert!(error.contains("no corpus"), "{error}");
        assert_eq!(std::fs::read(&path).expect("there"), b"\x1a\x45\xdf\xa3 pictures");
        std::fs::write(&path, b"{\"ke").expect("written");
        open_lines(&path).expect("a cut first line");
    }

    #[test]
    fn what_one_source_is_at_fault_for_does_not_end_the_others() {
        let refused =
            media::EncoderError::Refused { encoder: types::Encoder::X264, detail: String::new() };
        assert!(is_of_the_source(&TuneError::Encode(refused)));
        let job =
            |kind| TuneError::Job { job: String::new(), failure: types::Failure::new(kind, "") };
        assert!(is_of_the_source(&job(types::FailureKind::InvalidJob)));
        assert!(!is_of_the_source(&job(types::FailureKind::DiskFull)));
        let full = media::EncoderError::DiskFull { output: String::new() };
        assert!(!is_of_the_source(&TuneError::Encode(full)));
    }

    #[test]
    fn renditions_keep_the_shape_with_even_sides() {
        assert_eq!(size_of_height(1_280, 720, 720), (1_280, 720));
        assert_eq!(size_of_height(1_280, 720, 360), (640, 360));
        assert_eq!(size_of_height(640, 272, 135), (318, 136));
        assert_eq!(size_of_height(1_919, 1_079, 1_079), (1_919, 1_079), "the source's own stays");
    }

    #[test]
    fn a_corpus_knows_its_lines_and_ends_a_torn_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("corpus.jsonl");
        std::fs::write(&path, "{\"key\":\"a\"}\nnot json\n{\"key\":\"b\"").expect("written");
        let (mut file, keys) = open_lines(&path).expect("opened");
        assert_eq!(keys, ["a".to_owned()].into());
        file.write_all(b"{\"key\":\"c\"}\n").expect("written");
        let (_, keys) = open_lines(&path).expect("opened");
        assert_eq!(keys, ["a".to_owned(), "c".to_owned()].into());
    }
}
