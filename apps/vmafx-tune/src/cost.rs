//! What a request would take, before it is carried out: one short trial tells the pace.

use std::time::Instant;

use media::Stop;
use serde::Serialize;

use crate::crf::{Hunt, PROBES_USUAL};
use crate::error::TuneError;
use crate::probe::{FrameRange, ProbeKind};
use crate::progress::{Silent, Sink};
use crate::request::{EncodeSettings, SearchSettings, TuneRequest};
use crate::run::{check, needs};
use crate::session::{Environment, Session};
use crate::shots::Sample;
use search::Target;

/// Frames of the trial that tells the pace.
const TRIAL_FRAMES: u64 = 48;

/// What a request is expected to take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Trials: each an encode and a score, and on a fleet a job.
    pub trials: u64,
    /// Frames encoded, and scored, altogether.
    pub frames: u64,
    /// Seconds, by the pace of a short trial; `None` where no node can make one now.
    pub seconds: Option<f64>,
    /// Sources that it is about.
    pub sources: usize,
    /// The samples of the first source.
    pub samples: Vec<FrameRange>,
}

/// Says what a request would take. Reads its sources and makes one short trial, where probes would be
/// made: here, or as a job of the fleet. Measures and remembers nothing.
///
/// # Errors
/// As [`run`](crate::run).
pub fn cost(request: &TuneRequest, env: &Environment, stop: &Stop) -> Result<Cost, TuneError> {
    check(request)?;
    let (encoders, files) = needs(request);
    // The short trial is nobody's probe.
    let telemetry = observability::Telemetry::disabled();
    let forgetful = Environment { journal_dir: None, telemetry, ..env.clone() };
    let cx = observability::Context::new();
    let sink: &dyn Sink = &Silent;
    let session = Session::open(&forgetful, &encoders, files, stop, sink, &cx)?;
    let plain;
    let (sources, encodes, search, tries): (&[String], &[EncodeSettings], &SearchSettings, u64) =
        match request {
            TuneRequest::Crf(r) => one(&r.source, &r.encode, &r.search, PROBES_USUAL),
            TuneRequest::Shots(r) => one(&r.source, &r.encode, &r.search, PROBES_USUAL),
            TuneRequest::Ladder(r) => {
                let tries = r.targets.len() as u64 * r.heights.len() as u64 * PROBES_USUAL;
                one(&r.source, &r.encode, &r.search, tries)
            }
            TuneRequest::Compare(r) => {
                let tries = r.targets.len() as u64 * PROBES_USUAL;
                (std::slice::from_ref(&r.source), &r.encodes, &r.search, tries)
            }
            TuneRequest::Corpus(r) => {
                plain = SearchSettings {
                    sampling: r.sampling,
                    score: r.score.clone(),
                    ..SearchSettings::new(Target::mean(0.0))
                };
                (&r.sources, &r.encodes, &plain, r.qualities.len() as u64)
            }
        };
    let by_shot = matches!(request, TuneRequest::Shots(_));
    // A ladder has a rung a target at most.
    let files_made = match request {
        TuneRequest::Ladder(r) => r.targets.len() as u64,
        _ => 1,
    };
    let mut cost =
        Cost { trials: 0, frames: 0, seconds: None, sources: sources.len(), samples: Vec::new() };
    let mut pace = None;
    for source in sources {
        let known = session.know(source)?;
        for encode in encodes {
            let hunt = Hunt { session: &session, known: &known, encode, search };
            let samples: Vec<Sample> = if by_shot {
                known.source.shots.iter().map(|r| Sample { range: *r, share: 1.0 }).collect()
            } else {
                hunt.samples(search.sampling.count.max(1))
            };
            let frames: u64 = samples.iter().map(|sample| sample.range.count).sum();
            cost.trials += tries * samples.len() as u64;
            cost.frames += tries * frames;
            if files {
                let made = if by_shot { samples.len() as u64 } else { files_made };
                cost.trials += made;
                cost.frames += known.source.frame_count() * if by_shot { 1 } else { files_made };
            }
            if cost.samples.is_empty() {
                cost.samples = samples.iter().map(|sample| sample.range).collect();
            }
            if pace.is_none() && session.can_probe(encode.encoder) {
                pace = Some(trial(&hunt, &samples)?);
            }
        }
    }
    // Searches go step by step; as much is done at once as a step has parts.
    let at_once = session.parallel().min(cost.samples.len()).max(1) as f64;
    cost.seconds = pace.map(|per_frame| per_frame * cost.frames as f64 / at_once);
    Ok(cost)
}

fn one<'a>(
    source: &'a String,
    encode: &'a EncodeSettings,
    search: &'a SearchSettings,
    tries: u64,
) -> (&'a [String], &'a [EncodeSettings], &'a SearchSettings, u64) {
    (std::slice::from_ref(source), std::slice::from_ref(encode), search, tries)
}

/// Seconds a frame takes, encoded and scored.
fn trial(hunt: &Hunt<'_>, samples: &[Sample]) -> Result<f64, TuneError> {
    let first = samples.first().map_or(FrameRange { first: 0, count: 1 }, |sample| sample.range);
    let range = FrameRange { count: first.count.min(TRIAL_FRAMES), ..first };
    let scale = hunt.scale();
    let middle = scale.at(scale.len() / 2);
    let spec = hunt.spec(&Sample { range, share: 1.0 }, middle, ProbeKind::Sample);
    let began = Instant::now();
    hunt.session.measure(hunt.known, &spec)?;
    Ok(began.elapsed().as_secs_f64() / range.count as f64)
}
