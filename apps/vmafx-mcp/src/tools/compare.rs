//! `compare_results`: what changed between two results, and whether that means anything.

use proto::rpc::GetFrames;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{FrameTable, JobView, ModelScore, PooledScore, ResultView};

use super::{Answer, Effect, Tool, args, worst};
use crate::analysis::bootstrap::{PairedMean, paired_mean};
use crate::error::ToolError;
use crate::platform::Call;

/// Seed of the resamples: the same two results give the same interval everywhere.
const SEED: u64 = 0x766d_6166_7821;

/// `compare_results`
pub(crate) struct CompareResults;

/// What `compare_results` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareIn {
    /// The job to compare with: the baseline. It must have succeeded.
    pub baseline_job_id: String,
    /// The job in question. It must have succeeded.
    pub candidate_job_id: String,
    /// Which distorted video of the baseline, from 0.
    #[serde(default)]
    pub baseline_index: usize,
    /// Which distorted video of the candidate, from 0.
    #[serde(default)]
    pub candidate_index: usize,
    /// Compare scores of different models all the same: the numbers then mean little.
    #[serde(default)]
    pub allow_different_models: bool,
}

/// What changed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CompareOut {
    /// better, worse or indistinguishable: the candidate against the baseline, by the interval;
    /// not_comparable where there are no frames in common.
    pub verdict: CompareVerdict,
    /// The verdict in a sentence.
    pub summary: String,
    /// The model that both were scored with (the candidate's, where they differ).
    pub model: String,
    /// Candidate less baseline, for every pooled statistic.
    pub statistics: Vec<StatisticOut>,
    /// Candidate less baseline, frame by frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_frame: Option<PerFrameOut>,
    /// What makes the comparison less sure than it looks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The candidate against the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CompareVerdict {
    /// The interval lies above zero.
    Better,
    /// The interval lies below zero.
    Worse,
    /// The interval holds zero.
    Indistinguishable,
    /// No frame has a score in both.
    NotComparable,
}

/// One statistic of both.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StatisticOut {
    /// mean, harmonic_mean, min, p1, p5, p10, p25, p50, max or standard_deviation.
    pub name: &'static str,
    /// The baseline's.
    pub baseline: f64,
    /// The candidate's.
    pub candidate: f64,
    /// Candidate less baseline.
    pub difference: f64,
}

/// Differences of the frames that both have.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PerFrameOut {
    /// Frames with a score in both.
    pub frame_count: usize,
    /// The mean difference.
    pub mean_difference: f64,
    /// Where the mean difference lies with 95 % confidence: from here ...
    pub ci95_low: f64,
    /// ... to here. Blocks of neighbouring frames were resampled, since neighbours are alike.
    pub ci95_high: f64,
    /// The frame that lost most, from 0.
    pub worst_frame_index: u64,
    /// What it lost or won.
    pub worst_difference: f64,
    /// Frames on which the candidate is better by more than half a point.
    pub frames_better: usize,
    /// Frames on which it is worse by more than half a point.
    pub frames_worse: usize,
}

/// Half a point: what no one sees.
const VISIBLE: f64 = 0.5;

impl Tool for CompareResults {
    const NAME: &'static str = "compare_results";
    const TITLE: &'static str = "Compare two results";
    const DESCRIPTION: &'static str = "Compares two jobs that have succeeded, such as last week's encode and today's of the same \
         title: the difference of every pooled statistic, and of every frame paired, with a 95 % \
         confidence interval of the mean difference. Use it as a regression gate instead of \
         comparing two means by eye. Refuses results of different models, whose numbers do not \
         compare.";
    const EFFECT: Effect = Effect::Reads;
    type Input = CompareIn;
    type Output = CompareOut;

    async fn run(call: Call, input: CompareIn) -> Result<Answer<CompareOut>, ToolError> {
        let load = async |id: &str| worst::succeeded(&call, args::job_id(id)?).await;
        let baseline = load(&input.baseline_job_id).await?;
        let candidate = load(&input.candidate_job_id).await?;
        let old = Side::of(&baseline, input.baseline_index)?;
        let new = Side::of(&candidate, input.candidate_index)?;
        let warnings = old.doubts(&new, input.allow_different_models)?;
        let frames = call.platform.jobs.frames(old.frames()).await?;
        let other = call.platform.jobs.frames(new.frames()).await?;
        let pairs = pair(&old, &frames, &new, &other);
        let per_frame = per_frame(&pairs);
        let verdict = verdict(per_frame.as_ref());
        Ok(CompareOut {
            verdict,
            summary: summary(verdict, per_frame.as_ref()),
            model: new.model.version.clone(),
            statistics: statistics(&old.model.pooled, &new.model.pooled),
            per_frame,
            warnings,
        }
        .into())
    }
}

/// One of the two results.
struct Side<'a> {
    job: &'a JobView,
    index: usize,
    result: &'a ResultView,
    model: &'a ModelScore,
}

impl<'a> Side<'a> {
    fn of(job: &'a JobView, index: usize) -> Result<Self, ToolError> {
        let result = job.results.get(index).ok_or_else(|| {
            let message = format!("job {} has no distorted video {index}", job.id);
            ToolError::argument(message, "The index counts from 0; get_job lists the results.")
        })?;
        let model = result.models.first().ok_or_else(|| {
            let message = format!("job {} has features only and no model's score", job.id);
            ToolError::argument(message, "Score both pairs with a model.")
        })?;
        Ok(Self { job, index, result, model })
    }

    fn frames(&self) -> GetFrames {
        GetFrames {
            distorted_index: self.index,
            columns: vec![self.model.name.clone()],
            ..GetFrames::all(self.job.id)
        }
    }

    /// What makes the comparison less sure; an error where it would mean nothing.
    fn doubts(&self, other: &Self, allow_different_models: bool) -> Result<Vec<String>, ToolError> {
        let mut doubts = Vec::new();
        if self.model.sha256 != other.model.sha256 {
            let message = format!(
                "the baseline was scored with {} ({}), the candidate with {} ({})",
                self.model.version,
                short(&self.model.sha256),
                other.model.version,
                short(&other.model.sha256)
            );
            if !allow_different_models {
                let hint = "Score both with the same model and compare those jobs; or set \
                            allow_different_models to see the numbers all the same.";
                return Err(ToolError::new("fingerprint_mismatch", message, hint));
            }
            doubts.push(format!("{message}: their scores are not comparable"));
        }
        let mut differ = |what: &str, a: &str, b: &str| {
            if a != b {
                doubts.push(format!("{what} differs: {a} in the baseline, {b} in the candidate"));
            }
        };
        differ("the reference", &self.job.spec.reference.uri, &other.job.spec.reference.uri);
        let size = |side: &Self| format!("{}x{}", side.result.width, side.result.height);
        differ("the size of the pictures", &size(self), &size(other));
        let count = |side: &Self| side.result.frame_count.to_string();
        differ("the number of frames scored", &count(self), &count(other));
        let every = |side: &Self| side.job.spec.subsample_interval.to_string();
        differ("the subsample interval", &every(self), &every(other));
        let first = |side: &Self| side.job.spec.first_frame_index.to_string();
        differ("the first frame", &first(self), &first(other));
        let engine = |side: &Self| side.result.provenance.engine_version.clone();
        differ("the engine's version", &engine(self), &engine(other));
        let decoders = |side: &Self| side.result.provenance.decoders.join(" and ");
        differ("the decoder", &decoders(self), &decoders(other));
        if self.result.digest == other.result.digest {
            doubts.push("the two results are bit for bit the same".to_owned());
        }
        Ok(doubts)
    }
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// The frames that have a score in both, with the difference.
fn pair(
    old: &Side<'_>,
    frames: &FrameTable,
    new: &Side<'_>,
    other: &FrameTable,
) -> Vec<(u64, f64)> {
    let values = |table: &FrameTable, side: &Side<'_>| {
        table.column(&side.model.name).map(|column| column.values.clone()).unwrap_or_default()
    };
    let (a, b) = (values(frames, old), values(other, new));
    let mut later = other.frame_indices.iter().zip(&b).peekable();
    let mut pairs = Vec::with_capacity(a.len().min(b.len()));
    // Both tables rise strictly, so that one walk over each is enough.
    for (index, before) in frames.frame_indices.iter().zip(&a) {
        while later.next_if(|(other, _)| *other < index).is_some() {}
        let Some((_, after)) = later.next_if(|(other, _)| *other == index) else { continue };
        let difference = after - before;
        if difference.is_finite() {
            pairs.push((*index, difference));
        }
    }
    pairs
}

fn per_frame(pairs: &[(u64, f64)]) -> Option<PerFrameOut> {
    let differences: Vec<f64> = pairs.iter().map(|(_, difference)| *difference).collect();
    let PairedMean { mean, low, high, count } = paired_mean(&differences, SEED)?;
    let (worst_frame_index, worst_difference) = *pairs.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(PerFrameOut {
        frame_count: count,
        mean_difference: mean,
        ci95_low: low,
        ci95_high: high,
        worst_frame_index,
        worst_difference,
        frames_better: differences.iter().filter(|d| **d > VISIBLE).count(),
        frames_worse: differences.iter().filter(|d| **d < -VISIBLE).count(),
    })
}

fn verdict(per_frame: Option<&PerFrameOut>) -> CompareVerdict {
    match per_frame {
        None => CompareVerdict::NotComparable,
        Some(frames) if frames.ci95_low > 0.0 => CompareVerdict::Better,
        Some(frames) if frames.ci95_high < 0.0 => CompareVerdict::Worse,
        Some(_) => CompareVerdict::Indistinguishable,
    }
}

fn summary(verdict: CompareVerdict, per_frame: Option<&PerFrameOut>) -> String {
    let Some(frames) = per_frame else {
        return "The two results have no frame in common that has a score in both.".to_owned();
    };
    let interval = format!(
        "by {:+.3} on average (95 % confidence: {:+.3} to {:+.3}, {} frames)",
        frames.mean_difference, frames.ci95_low, frames.ci95_high, frames.frame_count
    );
    match verdict {
        CompareVerdict::Better => format!("The candidate is better, {interval}."),
        CompareVerdict::Worse => format!("The candidate is worse, {interval}."),
        _ => format!("No difference can be told: the candidate differs {interval}."),
    }
}

fn statistics(old: &PooledScore, new: &PooledScore) -> Vec<StatisticOut> {
    let values = |p: &PooledScore| {
        [
            ("mean", p.mean),
            ("harmonic_mean", p.harmonic_mean),
            ("min", p.min),
            ("p1", p.p1),
            ("p5", p.p5),
            ("p10", p.p10),
            ("p25", p.p25),
            ("p50", p.p50),
            ("max", p.max),
            ("standard_deviation", p.standard_deviation),
        ]
    };
    // A NaN, which JSON cannot carry, is left out.
    let both = values(old).into_iter().zip(values(new));
    let both = both.filter(|((_, old), (_, new))| old.is_finite() && new.is_finite());
    both.map(|((name, baseline), (_, candidate))| StatisticOut {
        name,
        baseline,
        candidate,
        difference: candidate - baseline,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(differences: &[f64]) -> Option<PerFrameOut> {
        let pairs: Vec<(u64, f64)> = (0..).zip(differences.iter().copied()).collect();
        per_frame(&pairs)
    }

    #[test]
    fn the_interval_decides_and_not_the_mean() {
        let clear: Vec<f64> = (0..200).map(|i| -2.0 + f64::from(i % 3) * 0.1).collect();
        let found = frames(&clear);
        assert_eq!(verdict(found.as_ref()), CompareVerdict::Worse);
        assert_eq!(found.map(|f| (f.frames_worse, f.frames_better)), Some((200, 0)));
        // A mean above zero that a few frames alone make.
        let noisy: Vec<f64> = (0..100).map(|i| if i == 50 { 9.0 } else { -0.02 }).collect();
        assert_eq!(verdict(frames(&noisy).as_ref()), CompareVerdict::Indistinguishable);
        assert_eq!(verdict(None), CompareVerdict::NotComparable);
    }

    #[test]
    fn the_frame_that_lost_most_is_named() {
        let found = frames(&[0.0, -3.0, 1.0]).expect("frames");
        assert_eq!((found.worst_frame_index, found.worst_difference), (1, -3.0));
    }
}
