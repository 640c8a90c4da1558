//! What is told while the work goes on.

use std::time::Duration;

use search::{Binding, Evidence};
use serde::Serialize;
use types::{Encoder, Quality};

use crate::probe::{FrameRange, ProbeKind};

/// Something happened. Serialised, it is one line of NDJSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The source is being read; told every few hundred frames.
    Analysing {
        /// Frames read.
        frames_done: u64,
        /// Frames there seem to be, where the file tells.
        frames_total: Option<u64>,
    },
    /// The source was read.
    Analysed {
        /// Its name.
        source: String,
        /// Its frames.
        frame_count: u64,
        /// Its shots.
        shots: usize,
    },
    /// A trial goes on; told every second.
    Working {
        /// At which quality.
        quality: Quality,
        /// Frames encoded.
        frames_encoded: u64,
        /// Frames scored: they are, once all are encoded.
        frames_scored: u64,
        /// Frames of the trial.
        frames_total: u64,
    },
    /// A part was tried, or is known from before.
    Probed {
        /// The encoder.
        encoder: Encoder,
        /// At which quality.
        quality: Quality,
        /// A part, or all.
        kind: ProbeKind,
        /// Which frames.
        range: FrameRange,
        /// Known from an earlier run.
        remembered: bool,
        /// Its mean score.
        score: f64,
        /// Its rate.
        kilobits_per_second: f64,
        /// Seconds of the encode.
        encode_seconds: f64,
        /// Seconds of the scoring.
        score_seconds: f64,
        /// Seconds that all that is left will take, as far as can be told.
        seconds_left: Option<f64>,
    },
    /// A search is over.
    Found {
        /// The encoder.
        encoder: Encoder,
        /// The answer.
        quality: Quality,
        /// Why it is the answer.
        evidence: Evidence,
        /// What decides there.
        binding: Binding,
        /// Qualities tried.
        probes: usize,
    },
    /// Samples disagree by more than the tolerance: there will be more of them.
    Widened {
        /// Half of the interval that they leave.
        half_width: Option<f64>,
        /// How many there are now.
        samples: usize,
    },
    /// The finished file is being made.
    Finishing {
        /// At which quality.
        quality: Quality,
        /// Which round, from 1.
        round: usize,
    },
    /// The finished file was scored in full.
    Verified {
        /// What decides.
        binding: Binding,
        /// Whether it holds.
        met: bool,
    },
    /// Something to know.
    Note {
        /// What.
        message: String,
    },
}

/// Who is told. Called from several threads; must not block for long.
pub trait Sink: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Sink for Silent {
    fn event(&self, _event: &Event) {}
}

/// How long what is left will take, by what was done.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    frames: u64,
    took: Duration,
    /// Frames that are still to be tried.
    left: u64,
}

impl Pace {
    /// More frames are to be tried.
    pub(crate) fn add(&mut self, frames: u64) {
        self.left = self.left.saturating_add(frames);
    }

    /// Frames were tried.
    pub(crate) fn done(&mut self, frames: u64, took: Duration) {
        self.frames += frames;
        self.took += took;
        self.left = self.left.saturating_sub(frames);
    }

    /// Frames were known.
    pub(crate) fn skipped(&mut self, frames: u64) {
        self.left = self.left.saturating_sub(frames);
    }

    /// Seconds left, with so many trials at once.
    pub(crate) fn seconds_left(&self, at_once: usize) -> Option<f64> {
        if self.frames == 0 {
            return None;
        }
        let per_frame = self.took.as_secs_f64() / self.frames as f64;
        Some(per_frame * self.left as f64 / at_once.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_pace() {
        let mut pace = Pace::default();
        pace.add(300);
        assert_eq!(pace.seconds_left(1), None, "nothing is known yet");
        pace.done(100, Duration::from_secs(10));
        assert_eq!(pace.seconds_left(1), Some(20.0));
        pace.skipped(100);
        assert_eq!(pace.seconds_left(2), Some(5.0));
    }

    #[test]
    fn an_event_is_one_object_with_its_name() {
        let event = Event::Widened { half_width: Some(1.5), samples: 8 };
        let text = serde_json::to_string(&event).expect("plain data");
        assert_eq!(text, r#"{"event":"widened","half_width":1.5,"samples":8}"#);
    }
}
