//! What comes of a request.

use std::path::PathBuf;

use search::Binding;
use serde::Serialize;
use types::{Encoder, PooledScore, Quality};

use crate::crf::{Found, Tried};
use crate::finish::Verified;
use crate::probe::FrameRange;
use crate::request::EncodeSettings;
use crate::sound::SoundTrack;

/// What `crf` gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrfOutcome {
    /// The source.
    pub source: String,
    /// The answer of the search.
    pub found: Found,
    /// The finished file, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Verified>,
}

/// One measured rendition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rendition {
    /// Width and height.
    pub size: (u32, u32),
    /// The quality.
    pub quality: Quality,
    /// Its rate.
    pub kilobits_per_second: f64,
    /// Its mean score, scaled back to the source's size.
    pub score: f64,
    /// The file of it, where it is a rung that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Verified>,
}

impl Rendition {
    /// Whether its file was made and misses what it was to reach. One that could not reach any target
    /// is told of as such.
    fn misses(&self) -> bool {
        let file = self.file.as_ref().filter(|file| !file.met);
        file.is_some_and(|file| self.score >= file.binding.constraint.at_least)
    }
}

/// What `ladder` gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LadderOutcome {
    /// The source.
    pub source: String,
    /// The encoder.
    pub encoder: Encoder,
    /// Frames a second.
    pub frames_per_second: f64,
    /// Frames a second, as numerator and denominator.
    pub frame_rate: (u32, u32),
    /// How long it is.
    pub seconds: f64,
    /// Everything that was measured.
    pub cloud: Vec<Rendition>,
    /// The renditions that no mix of others beats, cheapest first.
    pub hull: Vec<Rendition>,
    /// The ladder, cheapest first.
    pub rungs: Vec<Rendition>,
    /// The tracks of sound that were made beside the rungs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sound: Vec<SoundTrack>,
    /// Targets that no size reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<f64>,
}

/// One encoder of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contender {
    /// How it encodes.
    pub encode: EncodeSettings,
    /// The answer at each target.
    pub at: Vec<Found>,
    /// By what share more (positive) or less it needs than the first at equal quality; `None` for the
    /// first, and where they have no quality in common.
    pub bd_rate: Option<f64>,
    /// Frames encoded in a second, over all that was tried.
    pub frames_per_second: f64,
}

/// What `compare` gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompareOutcome {
    /// The source.
    pub source: String,
    /// The mean scores that were to be met.
    pub targets: Vec<f64>,
    /// The encoders, in the order asked for.
    pub contenders: Vec<Contender>,
}

/// One shot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shot {
    /// Its frames.
    pub range: FrameRange,
    /// Its answer.
    pub quality: Quality,
    /// Qualities tried.
    pub probes: usize,
    /// What decides: as searched, or as verified where there is a file.
    pub binding: Binding,
    /// Its rate.
    pub kilobits_per_second: f64,
    /// Times it was encoded anew because it missed within the finished file.
    pub repairs: usize,
}

/// What `shots` gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShotsOutcome {
    /// The source.
    pub source: String,
    /// The encoder.
    pub encoder: Encoder,
    /// The shots, in order.
    pub shots: Vec<Shot>,
    /// The rate of all of it.
    pub kilobits_per_second: f64,
    /// The assembled file, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Verified>,
    /// Shots that miss the target.
    pub missed: usize,
}

/// One line of a corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorpusLine {
    /// What exactly was measured, as the journal names it.
    pub key: String,
    /// The source.
    pub source: String,
    /// SHA-256 of its bytes.
    pub source_sha256: String,
    /// The encoder.
    pub encoder: Encoder,
    /// Its preset.
    pub preset: String,
    /// What was measured.
    #[serde(flatten)]
    pub tried: Tried,
}

/// What `corpus` gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorpusOutcome {
    /// The file.
    pub output: PathBuf,
    /// Lines written now.
    pub written: usize,
    /// Lines that were there.
    pub known: usize,
    /// Sources that could not be read, and why.
    pub failed: Vec<(String, String)>,
}

/// What comes of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum TuneOutcome {
    /// Of `crf`.
    Crf(Box<CrfOutcome>),
    /// Of `ladder`.
    Ladder(LadderOutcome),
    /// Of `compare`.
    Compare(CompareOutcome),
    /// Of `shots`.
    Shots(ShotsOutcome),
    /// Of `corpus`.
    Corpus(CorpusOutcome),
}

/// How well it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// What was asked for is there.
    Met,
    /// No setting that was tried reaches the target; the closest is reported.
    Unreachable,
    /// The finished file was scored in full and misses the target.
    Missed,
    /// Some of many sources failed.
    Partial,
}

impl TuneOutcome {
    /// How well it ended.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self {
            Self::Crf(outcome) if !outcome.found.evidence.is_met() => Standing::Unreachable,
            Self::Crf(outcome) if outcome.file.as_ref().is_some_and(|file| !file.met) => {
                Standing::Missed
            }
            Self::Compare(outcome)
                if outcome.contenders.iter().flat_map(|c| &c.at).any(|f| !f.evidence.is_met()) =>
            {
                Standing::Unreachable
            }
            Self::Ladder(outcome) if outcome.rungs.iter().any(Rendition::misses) => {
                Standing::Missed
            }
            Self::Ladder(outcome) if !outcome.missed.is_empty() => Standing::Unreachable,
            Self::Shots(outcome) if outcome.missed > 0 => match outcome.file {
                Some(_) => Standing::Missed,
                None => Standing::Unreachable,
            },
            Self::Corpus(outcome) if !outcome.failed.is_empty() => Standing::Partial,
            _ => Standing::Met,
        }
    }

    /// The score of the finished file, where there is one.
    #[must_use]
    pub fn pooled(&self) -> Option<&PooledScore> {
        match self {
            Self::Crf(outcome) => outcome.file.as_ref().map(|file| &file.pooled),
            Self::Shots(outcome) => outcome.file.as_ref().map(|file| &file.pooled),
            Self::Ladder(_) | Self::Compare(_) | Self::Corpus(_) => None,
        }
    }
}
