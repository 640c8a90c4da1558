//! `tune`: the smallest file that is good enough.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rmcp::model::CallToolResult;
use schemars::JsonSchema;
use search::{Binding, Constraint, Statistic, Target};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use types::{Encoder, JobId, State};
use vmafx_tune::{
    Besides, CrfOutcome, CrfRequest, EncodeSettings, SearchSettings, Standing, TuneOutcome,
    TuneRequest,
};

use super::view::{FailureOut, JobOut, PooledOut};
use super::{Answer, Effect, Tool, args, result, score};
use crate::error::ToolError;
use crate::platform::Call;
use crate::tunes::TuneView;

/// Bytes of an argument: as long as paths are.
const ARGUMENT_BYTES_MAX: usize = 4_096;

/// Bytes of a finished file's name.
const NAME_BYTES_MAX: usize = 200;

/// How often a waiting call looks at its run, should nothing be told.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// `tune`
pub(crate) struct Tune;

/// What `tune` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TuneIn {
    /// The video to encode: an absolute path below a source root.
    pub source: String,
    /// The score that the mean must reach, such as 93.
    pub target: f64,
    /// The encoder: libx264, libx265, libsvtav1, libaom-av1, libvpx-vp9 or libvvenc; libx264 unless
    /// given.
    #[serde(default)]
    pub encoder: Option<String>,
    /// What the 5th percentile must reach besides, so that bad moments count.
    #[serde(default)]
    pub p5_at_least: Option<f64>,
    /// The encoder's preset, in its own words.
    #[serde(default)]
    pub preset: Option<String>,
    /// A built-in model such as vmaf_v0.6.1 (the default).
    #[serde(default)]
    pub model: Option<String>,
    /// Make the file too, under this name (no folder, such as film.mkv) in the server's output
    /// folder, and verify it in full. Without it only the setting is searched. A name that
    /// is taken is refused.
    #[serde(default)]
    pub output: Option<String>,
    /// How long to wait before the run's handle is given instead, 0 to 120; 20 unless given.
    #[serde(default)]
    pub wait_seconds: Option<u32>,
}

/// What a run found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct TuneOut {
    /// met: the target is reached. unreachable: no setting reaches it, the closest is shown. missed:
    /// the finished file misses it.
    pub standing: StandingOut,
    /// The encoder.
    pub encoder: String,
    /// Its preset.
    pub preset: String,
    /// The answer: the encoder's number for quality, such as its CRF.
    pub quality: f64,
    /// The score at the answer, on what was tried.
    pub score: f64,
    /// The rate at the answer.
    pub kilobits_per_second: f64,
    /// The constraint that decides.
    pub binding: String,
    /// How many qualities were tried.
    pub probes: usize,
    /// How many samples of the source each was tried on; 1 where it was tried whole.
    pub samples: usize,
    /// Everything that was tried.
    pub tried: Vec<TriedOut>,
    /// The finished file, scored from its first frame to its last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileOut>,
}

/// How well a run ended.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StandingOut {
    Met,
    Unreachable,
    Missed,
}

/// One quality that was tried.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct TriedOut {
    /// The encoder's number.
    pub quality: f64,
    /// The mean score.
    pub score: f64,
    /// The rate.
    pub kilobits_per_second: f64,
}

/// A finished file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FileOut {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its rate.
    pub kilobits_per_second: f64,
    /// Its scores.
    pub pooled: PooledOut,
    /// Whether they meet the target.
    pub met: bool,
    /// How often it was made until it did.
    pub rounds: usize,
}

impl Tool for Tune {
    const NAME: &'static str = "tune";
    const TITLE: &'static str = "Find the cheapest good encode";
    const DESCRIPTION: &'static str = "Searches the encoder setting (CRF) that just reaches a target score, on samples of the \
         source, usually in three tries; with output it also makes the file, verifies it in full and \
         repairs it where it misses. Takes minutes: waits up to wait_seconds, then hands back a \
         handle for get_job and cancel_job. Asking again for the same run joins it.";
    const EFFECT: Effect = Effect::Starts;
    type Input = TuneIn;
    type Output = JobOut;

    async fn run(call: Call, input: TuneIn) -> Result<Answer<JobOut>, ToolError> {
        let until = score::until(input.wait_seconds, score::WAIT_DEFAULT);
        answer(&start_and_wait(call, input, until).await?)
    }
}

/// Starts a run, or joins the one that answers the same question, and waits for its end as long as
/// that is wanted. A call that is cancelled meanwhile cancels the run, unless others wait for it or
/// know its handle.
pub(super) async fn start_and_wait(
    mut call: Call,
    input: TuneIn,
    until: Instant,
) -> Result<TuneView, ToolError> {
    let output = match &input.output {
        None => None,
        Some(name) => Some(output(call.platform.tunes.output_root(), name)?),
    };
    let (id, waiter) = call.platform.tunes.start(request(input, output)?).await?;
    let run = follow(&mut call, id, until).await;
    if !call.stop.is_cancelled() {
        waiter.hand_over();
    }
    run
}

/// What `tune` answers of a run that has ended.
pub(crate) fn result_of(run: &TuneView) -> Result<CallToolResult, ToolError> {
    result(answer(run)?)
}

fn request(input: TuneIn, output: Option<PathBuf>) -> Result<TuneRequest, ToolError> {
    let encoder: Encoder =
        input.encoder.as_deref().unwrap_or("libx264").parse().map_err(|error: String| {
            ToolError::argument(error, "Name one of the encoders, or leave it out.")
        })?;
    let texts = [Some(&input.source), input.preset.as_ref(), input.model.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > ARGUMENT_BYTES_MAX) {
        let message = format!("an argument has more than {ARGUMENT_BYTES_MAX} bytes");
        return Err(ToolError::argument(message, "Shorten it."));
    }
    let is_score = |score: f64| score.is_finite() && (0.0..=100.0).contains(&score);
    if !is_score(input.target) || !input.p5_at_least.is_none_or(is_score) {
        let hint = "Give scores from 0 to 100, such as 93.";
        return Err(ToolError::argument("target or p5_at_least is no score", hint));
    }
    let mut target = Target::mean(input.target);
    if let Some(at_least) = input.p5_at_least {
        target.constraints.push(Constraint { statistic: Statistic::P5, at_least });
    }
    let mut search = SearchSettings::new(target);
    search.score.model = args::model(input.model.as_deref());
    let encode = EncodeSettings { preset: input.preset, ..EncodeSettings::new(encoder) };
    Ok(TuneRequest::Crf(CrfRequest {
        source: input.source,
        encode,
        search,
        output,
        besides: Besides::default(),
    }))
}

/// Where a finished file goes: a plain name in the output folder.
fn output(root: Option<&PathBuf>, name: &str) -> Result<PathBuf, ToolError> {
    let Some(root) = root else {
        let hint = "Leave output out to search the setting only, or ask the operator for an \
                    output folder (--output-root).";
        return Err(ToolError::new("source_refused", "this server writes no files", hint));
    };
    let is_plain = !name.starts_with('.')
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(['/', '\\', '\0'])
        && Path::new(name).file_name().is_some_and(|only| only == name);
    if !is_plain {
        let hint = "Give a plain file name such as film.mkv; the folder is the server's.";
        return Err(ToolError::argument(format!("{name:?} is no plain file name"), hint));
    }
    Ok(root.join(name))
}

/// Waits, telling how far the run is, and leaves it alone should nobody wait any more.
pub(super) async fn follow(
    call: &mut Call,
    id: JobId,
    until: Instant,
) -> Result<TuneView, ToolError> {
    let gone = || ToolError::internal("the run is not known any more");
    let mut changes = call.platform.tunes.changes(id).ok_or_else(gone)?;
    loop {
        let run = call.platform.tunes.view(id).ok_or_else(gone)?;
        call.reporter.note(run.steps, &run.note).await;
        let now = Instant::now();
        if run.state.is_terminal() || now >= until {
            return Ok(run);
        }
        let look = until.min(now + LOOK_INTERVAL);
        tokio::select! {
            () = call.stop.cancelled() => return Err(ToolError::cancelled()),
            // A sender that is gone means that the run is forgotten, which the next look says.
            _ = tokio::time::timeout_at(look, changes.changed()) => {}
        }
    }
}

fn answer(run: &TuneView) -> Result<Answer<JobOut>, ToolError> {
    if let Some(failure) = run.failure.clone() {
        return Err(failure.into());
    }
    Ok(view(run).into())
}

/// A run in the shape of a job.
pub(crate) fn view(run: &TuneView) -> JobOut {
    let id = run.id;
    let next = match run.state {
        State::Queued | State::Running => format!(
            "Call get_job with job_id {id} and wait_seconds 60 until it has ended; cancel_job if it \
             is not wanted any more."
        ),
        State::Succeeded => "Done: the field tune says what was found.".to_owned(),
        State::Failed => "It failed: follow the failure's hint, then call tune again.".to_owned(),
        State::Cancelled => "It was cancelled: call tune again if it is still wanted.".to_owned(),
    };
    let crf = match run.outcome.as_deref() {
        Some(outcome @ TuneOutcome::Crf(crf)) => Some(out(outcome.standing(), crf)),
        _ => None,
    };
    JobOut {
        job_id: id.to_string(),
        state: run.state.into(),
        next,
        score: crf.as_ref().map(|crf| crf.file.as_ref().map_or(crf.score, |f| f.pooled.mean)),
        results: Vec::new(),
        progress: None,
        failure: run.failure.as_ref().map(FailureOut::from),
        waiting_for: None,
        submitted_at: run.submitted_at.to_string(),
        finished_at: run.finished_at.map(|at| at.to_string()),
        attempts: Vec::new(),
        trace_id: run.trace_id.to_string(),
        uri: super::view::job_uri(id),
        note: Some(format!("{} ({} parts tried so far)", run.note, run.probes)),
        tune: crf,
    }
}

fn out(standing: Standing, crf: &CrfOutcome) -> TuneOut {
    let found = &crf.found;
    TuneOut {
        standing: match standing {
            Standing::Met => StandingOut::Met,
            Standing::Missed => StandingOut::Missed,
            Standing::Unreachable | Standing::Partial => StandingOut::Unreachable,
        },
        encoder: found.encode.encoder.to_string(),
        preset: found.encode.preset().to_owned(),
        quality: found.quality.value(),
        score: found.measured.pooled.mean,
        kilobits_per_second: found.measured.kilobits_per_second,
        binding: binding(&found.binding),
        probes: found.probes,
        samples: found.samples,
        tried: found
            .tried
            .iter()
            .map(|one| TriedOut {
                quality: one.quality.value(),
                score: one.measured.pooled.mean,
                kilobits_per_second: one.measured.kilobits_per_second,
            })
            .collect(),
        file: crf.file.as_ref().map(|file| FileOut {
            path: file.output.display().to_string(),
            bytes: file.bytes,
            kilobits_per_second: file.kilobits_per_second,
            pooled: (&file.pooled).into(),
            met: file.met,
            rounds: file.rounds,
        }),
    }
}

/// `mean is 93.2, at least 93 is asked for`.
fn binding(binding: &Binding) -> String {
    let Constraint { statistic, at_least } = binding.constraint;
    format!("{statistic} is {:.2}, at least {at_least} is asked for", binding.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_into_the_output_folder_alone() {
        let root = PathBuf::from("/out");
        let good = output(Some(&root), "film.mkv").expect("a plain name");
        assert_eq!(good, root.join("film.mkv"));
        for bad in ["../film.mkv", "/etc/film.mkv", ".hidden.mkv", "a/b.mkv", "", "..", "a\\b"] {
            assert!(output(Some(&root), bad).is_err(), "{bad}");
        }
        assert!(output(None, "film.mkv").is_err(), "no folder, no file");
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_encoded() {
        let input = |target: f64, encoder: Option<&str>| TuneIn {
            source: "/a.mkv".to_owned(),
            target,
            encoder: encoder.map(str::to_owned),
            p5_at_least: None,
            preset: None,
            model: None,
            output: None,
            wait_seconds: None,
        };
        assert!(request(input(93.0, Some("svt-av1")), None).is_ok());
        assert!(request(input(193.0, None), None).is_err());
        assert!(request(input(f64::NAN, None), None).is_err());
        let error = request(input(93.0, Some("divx")), None).expect_err("unknown");
        assert!(error.message.contains("libsvtav1"), "{error:?}");
    }
}
