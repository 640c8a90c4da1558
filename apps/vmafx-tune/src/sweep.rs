//! `compare` and `corpus`: many settings, all measured.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use search::{RatePoint, Target, bd_rate};

use crate::crf::Hunt;
use crate::error::TuneError;
use crate::outcome::{CompareOutcome, Contender, CorpusLine, CorpusOutcome};
use crate::probe::ProbeKind;
use crate::progress::Event;
use crate::request::{CompareRequest, CorpusRequest, SearchSettings};
use crate::session::Session;
use crate::together::find_all;

/// Bytes of a line of a corpus that are read back.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What each line of a corpus begins with.
const LINE_BEGINS: &str = "{\"key\":";

/// Searches each encoder for each target.
pub(crate) fn compare(
    session: &Session<'_>,
    request: &CompareRequest,
) -> Result<CompareOutcome, TuneError> {
    let known = session.know(&request.source)?;
    let mut contenders: Vec<Contender> = Vec::new();
    let mut anchor: Option<Vec<RatePoint>> = None;
    let search = &request.search;
    let hunts: Vec<Hunt<'_>> = request
        .encodes
        .iter()
        .map(|encode| Hunt { session, known: &known, encode, search })
        .collect();
    let found = find_all(&hunts, &request.targets)?;
    for (encode, at) in request.encodes.iter().zip(found) {
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
        let chain = session.chain(encode.encoder)?;
        let on_scale = |quality: &&types::Quality| scale.at(scale.index_of(**quality)) == **quality;
        for quality in request.qualities.iter().filter(on_scale) {
            let measures = format!("{} samples, {chain}", samples.len());
            let key = hunt.spec(&samples[0], *quality, ProbeKind::Sample).key(&measures);
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
