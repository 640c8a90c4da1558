//! The finished file: made, scored in full, made again where it misses.

use std::path::PathBuf;

use search::{Binding, Evidence, Search, Step, Target};
use serde::{Deserialize, Serialize};
use types::{PooledScore, Quality};

use crate::crf::{Found, Hunt};
use crate::error::TuneError;
use crate::output::{Unfinished, Wanted};
use crate::probe::{Probe, ProbeKind};
use crate::progress::Event;
use crate::shots::Sample;

/// Times the file may be made anew because it missed, or gave away more than it should.
pub const REPAIRS_MAX: usize = 2;

/// A file that was scored from its first frame to its last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Where it is.
    pub output: PathBuf,
    /// With which quality it was made; `None` where each shot has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Its size, with all that is in it.
    pub bytes: u64,
    /// The rate of its pictures.
    pub kilobits_per_second: f64,
    /// Its score.
    pub pooled: PooledScore,
    /// What decides.
    pub binding: Binding,
    /// Whether the target is met.
    pub met: bool,
    /// Times it was made.
    pub rounds: usize,
}

/// Makes the file at the answer, and again at a better one while it misses and there are rounds left.
/// The best file that was made stays: of those that meet the target the smallest, else the one that
/// comes closest.
pub(crate) fn finish(
    hunt: &Hunt<'_>,
    found: &Found,
    wanted: &Wanted,
) -> Result<Verified, TuneError> {
    let session = hunt.session;
    let scale = hunt.scale();
    let whole = Sample { range: hunt.known.source.whole(), share: 1.0 };
    // What samples said places the curve; only whole files count from here on.
    let prior = hunt.prior().seen(found.quality, found.measured.pooled.mean);
    let mut search = Search::new(scale, prior, found.target.clone());
    let mut best: Option<(Verified, Unfinished)> = None;
    let mut quality = found.quality;
    for round in 1..=REPAIRS_MAX + 1 {
        session.pace().add(whole.range.count);
        session.sink.event(&Event::Finishing { quality, round });
        let held = wanted.unfinished()?;
        let spec = hunt.spec(&whole, quality, ProbeKind::Whole).in_full();
        let probe = session.make(hunt.known, &spec, &held, wanted.wrap)?;
        let bytes = std::fs::metadata(&held.path).map_err(TuneError::write(&held.path))?.len();
        let verified = Verified { bytes, ..verified(&found.target, quality, &probe, round)? };
        session.sink.event(&Event::Verified { binding: verified.binding, met: verified.met });
        search.tell(scale.index_of(quality), &probe.pooled);
        if round == 1 && found.whole && verified.met == found.evidence.is_met() {
            // The file is what the probes promised, so that they are true of it. Where it is not
            // (another build of the encoder measured them), only files count.
            for one in &found.tried {
                search.know(scale.index_of(one.quality), &one.measured.pooled);
            }
        }
        if best.as_ref().is_none_or(|(best, _)| is_better(&verified, best)) {
            best = Some((verified, held));
        }
        if let Some((best, _)) = &mut best {
            best.rounds = round;
        }
        // A target that is out of reach was reported; the closest file is what there is.
        match search.ask() {
            Step::Probe(index) if found.evidence != Evidence::Unreachable => {
                quality = scale.at(index);
            }
            _ => break,
        }
    }
    let (verified, held) =
        best.ok_or_else(|| TuneError::Request("a defect: no file was made".to_owned()))?;
    let output = held.place(wanted, session.sink)?;
    Ok(Verified { output, ..verified })
}

fn verified(
    target: &Target,
    quality: Quality,
    probe: &Probe,
    rounds: usize,
) -> Result<Verified, TuneError> {
    let binding = target
        .binding(&probe.pooled)
        .ok_or_else(|| TuneError::Request("the target has no constraint".to_owned()))?;
    Ok(Verified {
        output: PathBuf::new(),
        quality: Some(quality),
        bytes: probe.encoded.bytes,
        kilobits_per_second: probe.encoded.kilobits_per_second(),
        pooled: probe.pooled,
        binding,
        met: binding.margin() >= 0.0,
        rounds,
    })
}

fn is_better(new: &Verified, old: &Verified) -> bool {
    match (new.met, old.met) {
        (true, true) => new.bytes < old.bytes,
        (false, false) => new.binding.margin() > old.binding.margin(),
        (met, _) => met,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::probe;

    fn file(mean: f64, bytes: u64) -> Verified {
        let mut probe = probe(mean);
        probe.encoded.bytes = bytes;
        verified(&Target::mean(90.0), Quality(2_300), &probe, 1).expect("a constraint")
    }

    #[test]
    fn the_smallest_that_meets_is_best_and_else_the_closest() {
        assert!(is_better(&file(90.0, 900), &file(95.0, 1_000)));
        assert!(!is_better(&file(89.9, 100), &file(90.0, 1_000)));
        assert!(is_better(&file(90.0, 1_000), &file(89.9, 100)));
        assert!(is_better(&file(89.9, 1_000), &file(80.0, 100)));
    }
}
