//! The finished file: made, scored in full, made again where it misses.
//!
//! The file appears under its name only when it is whole: until then it lies beside it, and a run
//! that is killed leaves the old file, or none.

use std::fs::File;
use std::path::{Path, PathBuf};

use search::{Binding, Evidence, Prior, Search, Step, Target};
use serde::Serialize;
use types::{PooledScore, Quality};

use crate::crf::{Found, Hunt};
use crate::error::TuneError;
use crate::leftovers::Scratch;
use crate::probe::ProbeKind;
use crate::progress::Event;
use crate::shots::Sample;

/// What the names of folders of unfinished files begin with.
const PREFIX: &str = ".vmafx-tune-";

/// Times the file may be made anew because it missed, or gave away more than it should.
pub const REPAIRS_MAX: usize = 2;

/// A file that was scored from its first frame to its last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verified {
    /// Where it is.
    pub output: PathBuf,
    /// With which quality it was made; `None` where each shot has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Its size.
    pub bytes: u64,
    /// Its rate.
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

/// Where a file lies until it is whole: a folder beside where it will be, which goes with the run.
pub(crate) struct Unfinished {
    pub path: PathBuf,
    _folder: Scratch,
}

/// A place for a file until it is whole, with the same ending. What killed runs left there is removed.
pub(crate) fn unfinished(output: &Path) -> Result<Unfinished, TuneError> {
    media::encode::container_of(output)?;
    let output = std::path::absolute(output).map_err(TuneError::write(output))?;
    let folder = output.parent().unwrap_or(Path::new("/"));
    let scratch = Scratch::new(folder, PREFIX).map_err(TuneError::write(&output))?;
    let path = scratch.path().join(output.file_name().unwrap_or_default());
    Ok(Unfinished { path, _folder: scratch })
}

impl Unfinished {
    /// Gives the file its name, so that it is there whole also after a loss of power.
    pub(crate) fn place(self, output: &Path) -> Result<(), TuneError> {
        let placed = || {
            File::open(&self.path)?.sync_all()?;
            std::fs::rename(&self.path, output)?;
            let output = std::path::absolute(output)?;
            File::open(output.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        placed().map_err(TuneError::write(output))
    }
}

/// Makes the file at the answer, and again at a better one while it misses and there are rounds left.
/// The best file that was made stays: of those that meet the target the smallest, else the one that
/// comes closest.
pub(crate) fn finish(hunt: &Hunt<'_>, found: &Found, output: &Path) -> Result<Verified, TuneError> {
    let session = hunt.session;
    let scale = hunt.scale();
    let whole = Sample { range: hunt.known.source.whole(), share: 1.0 };
    // What samples said places the curve; only whole files count from here on.
    let prior = Prior::of(hunt.encode.encoder, hunt.encode.preset(), hunt.known.source.info.height)
        .seen(found.quality, found.measured.pooled.mean);
    let mut search = Search::new(scale, prior, found.target.clone());
    let mut best: Option<(Verified, Unfinished)> = None;
    let mut quality = found.quality;
    for round in 1..=REPAIRS_MAX + 1 {
        session.pace().add(whole.range.count);
        session.sink.event(&Event::Finishing { quality, round });
        let held = unfinished(output)?;
        let spec = hunt.spec(&whole, quality, ProbeKind::Whole).in_full();
        let (probe, _) = session.make(hunt.known, &spec, &held.path)?;
        let verified = verified(output, &found.target, quality, &probe, round)?;
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
    held.place(output)?;
    Ok(verified)
}

fn verified(
    output: &Path,
    target: &Target,
    quality: Quality,
    probe: &crate::probe::Probe,
    rounds: usize,
) -> Result<Verified, TuneError> {
    let binding = target
        .binding(&probe.pooled)
        .ok_or_else(|| TuneError::Request("the target has no constraint".to_owned()))?;
    Ok(Verified {
        output: output.to_owned(),
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
        let output = Path::new("/a.mkv");
        verified(output, &Target::mean(90.0), Quality(2_300), &probe, 1).expect("a constraint")
    }

    #[test]
    fn the_smallest_that_meets_is_best_and_else_the_closest() {
        assert!(is_better(&file(90.0, 900), &file(95.0, 1_000)));
        assert!(!is_better(&file(89.9, 100), &file(90.0, 1_000)));
        assert!(is_better(&file(90.0, 1_000), &file(89.9, 100)));
        assert!(is_better(&file(89.9, 1_000), &file(80.0, 100)));
    }

    #[test]
    fn an_unfinished_file_lies_beside_the_finished_one_and_goes_with_its_guard() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("film.mp4");
        let held = unfinished(&output).expect("a known ending");
        assert_eq!(held.path.parent().and_then(Path::parent), output.parent());
        assert_eq!(held.path.extension(), output.extension());
        std::fs::write(&held.path, b"x").expect("written");
        let path = held.path.clone();
        drop(held);
        assert!(!path.exists());
        let held = unfinished(&output).expect("a known ending");
        std::fs::write(&held.path, b"x").expect("written");
        held.place(&output).expect("renamed");
        let left = std::fs::read_dir(folder.path()).expect("read").count();
        assert!(output.exists() && left == 1, "{left}");
        assert!(unfinished(Path::new("film.exe")).is_err());
    }
}
