//! Where the time of an attempt went, as its worker measured it on one monotonic clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A stretch of an attempt. The stages of one attempt do not overlap: they add up to its wall time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From the lease's arrival to the worker's first step: the wait for a free slot thread.
    Start,
    /// The reference's range was encoded, for a job that asks for it.
    Encode,
    /// Checking sources, probing, starting decoders, comparing the two formats, loading models.
    Fetch,
    /// Scoring had to wait for frames: the decoder or the disk was the bottleneck.
    Decode,
    /// Frames were at hand and features were computed.
    Score,
    /// Temporal features, prediction and pooling.
    Pool,
    /// Writing the result to disk before it is reported.
    Spool,
}

impl Stage {
    /// Every stage, in the order of an attempt's life.
    pub const ALL: [Self; 7] = [
        Self::Start,
        Self::Encode,
        Self::Fetch,
        Self::Decode,
        Self::Score,
        Self::Pool,
        Self::Spool,
    ];

    /// The stage's name on the wire, in metric labels and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fetch => "fetch",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Score => "score",
            Self::Pool => "pool",
            Self::Spool => "spool",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a stage"))
    }
}

/// The stage times of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageTimings {
    /// Wall time from the first step to the last.
    pub wall: Duration,
    /// Wall time by stage, in the order of [`Stage::ALL`]; a stage that did not happen is absent.
    pub stages: Vec<(Stage, Duration)>,
    /// CPU time by feature extractor (`vif`, `adm`, `motion`), summed over threads. Within the
    /// `score` stage, wall time is shared out in these proportions.
    pub features: Vec<(String, Duration)>,
    /// When the lease arrived, by the node's wall clock; `None` where the node did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<Timestamp>,
    /// The runs of the attempt whose times are known, in order. Their stages are parts of `stages`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunTimings>,
}

/// The stage times of one run within an attempt: the scoring of a distorted video and of those after
/// it, up to the next run's, in one walk over the reference.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunTimings {
    /// The first distorted video of the job that it scores, from 0.
    pub distorted_index: u32,
    /// From the lease's arrival to the beginning of the run.
    pub began_after: Duration,
    /// The attempt failed in this run; its last stage is the one in which it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Wall time by stage: they follow each other without a gap.
    pub stages: Vec<(Stage, Duration)>,
    /// CPU time by feature extractor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<(String, Duration)>,
}

impl RunTimings {
    /// The wall time of one stage; `None` when it did not happen.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Option<Duration> {
        self.stages.iter().find(|(known, _)| *known == stage).map(|(_, duration)| *duration)
    }
}

impl StageTimings {
    /// Adds `duration` to a stage.
    pub fn add(&mut self, stage: Stage, duration: Duration) {
        match self.stages.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, sum)) => *sum += duration,
            None => {
                self.stages.push((stage, duration));
                self.stages.sort_unstable_by_key(|(stage, _)| *stage);
            }
        }
    }

    /// The wall time of one stage, zero when it did not happen.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Duration {
        self.stages.iter().find(|(known, _)| *known == stage).map_or(Duration::ZERO, |(_, d)| *d)
    }

    /// Adds the times of every stage and feature of `other`: of what was done beside, or of another
    /// share of it.
    pub fn absorb(&mut self, other: &Self) {
        for (stage, time) in &other.stages {
            self.add(*stage, *time);
        }
        for (feature, time) in &other.features {
            match self.features.iter_mut().find(|(known, _)| known == feature) {
                Some((_, sum)) => *sum += *time,
                None => self.features.push((feature.clone(), *time)),
            }
        }
    }

    /// One of `count` equal shares of every time but the moment of arrival.
    #[must_use]
    pub fn share(mut self, count: u32) -> Self {
        let times = self.stages.iter_mut().map(|(_, time)| time);
        for time in times.chain(self.features.iter_mut().map(|(_, time)| time)) {
            *time /= count;
        }
        // The stages still add up to it.
        self.wall = self.stages.iter().map(|(_, time)| *time).sum();
        self
    }

    /// The `score` stage's wall time shared out over the features by their CPU time.
    #[must_use]
    pub fn score_by_feature(&self) -> Vec<(&str, Duration)> {
        let cpu: Duration = self.features.iter().map(|(_, d)| *d).sum();
        if cpu.is_zero() {
            return Vec::new();
        }
        let score = self.stage(Stage::Score);
        let share = |d: &Duration| score.mul_f64(d.as_secs_f64() / cpu.as_secs_f64());
        self.features.iter().map(|(name, d)| (name.as_str(), share(d))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_and_stay_in_order() {
        let mut timings = StageTimings::default();
        timings.add(Stage::Pool, Duration::from_millis(1));
        timings.add(Stage::Fetch, Duration::from_millis(2));
        timings.add(Stage::Pool, Duration::from_millis(3));
        let stages: Vec<_> =
            timings.stages.iter().map(|(s, d)| (s.as_str(), d.as_millis())).collect();
        assert_eq!(stages, [("fetch", 2), ("pool", 4)]);
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let mut whole = StageTimings::default();
        whole.add(Stage::Fetch, Duration::from_millis(30));
        whole.add(Stage::Score, Duration::from_millis(60));
        whole.features = vec![("vif".into(), Duration::from_millis(90))];
        let share = whole.clone().share(3);
        assert_eq!(share.wall, Duration::from_millis(30));
        let mut sum = StageTimings::default();
        (0..3).for_each(|_| sum.absorb(&share));
        assert_eq!((sum.stages, sum.features), (whole.stages, whole.features));
    }

    #[test]
    fn score_time_is_shared_out_by_cpu_time() {
        let mut timings = StageTimings::default();
        timings.add(Stage::Score, Duration::from_secs(4));
        timings.features =
            vec![("vif".into(), Duration::from_secs(6)), ("adm".into(), Duration::from_secs(2))];
        let shares = timings.score_by_feature();
        assert_eq!(shares, [("vif", Duration::from_secs(3)), ("adm", Duration::from_secs(1))]);
    }
}
