//! `vmafx submit`: hands a pair to the controller and, if asked, waits for its score.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use client::{Backoff, Client, ClientError};
use indicatif::{ProgressBar, ProgressStyle};
use observability::schema::span_name;
use observability::{SpanKind, with_context};
use proto::ErrorKind;
use proto::rpc::{JobEvent, Submit, Submitted, WatchJobs};
use serde_json::json;
use types::{
    Failure, FailureKind, JobId, JobSpec, JobView, MediaRef, ModelRef, ModelSpec, Priority, State,
};

use super::{RemoteArgs, RemoteError, parse_label, print, print_json, run};
use crate::preset::PresetArgs;
use crate::show;

/// What `vmafx submit` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct SubmitArgs {
    /// The undegraded video: a path as the nodes see it, or a URL
    reference: String,
    /// The videos to score against it
    #[arg(required = true)]
    distorted: Vec<String>,
    /// A built-in model's version (see `vmafx models`) or path=FILE, then any of :name=NAME,
    /// :disable_clip, :enable_transform and :EXTRACTOR.OPTION=VALUE; may be given several times
    /// with distinct names, the first being the headline [default: vmaf_v0.6.1]
    #[arg(long = "model", value_name = "PARAMS")]
    models: Vec<ModelSpec>,
    /// A feature extractor to compute beside the model's; may be given several times
    #[arg(long = "feature", value_name = "NAME")]
    features: Vec<String>,
    #[command(flatten)]
    preset: PresetArgs,
    /// Score every Nth frame
    #[arg(long, value_name = "N", default_value = "1")]
    subsample: NonZeroU32,
    /// The first frame that counts, from 0
    #[arg(long, value_name = "N", default_value = "0")]
    first_frame: u64,
    /// How many frames count at most
    #[arg(long, value_name = "N")]
    frames: Option<u64>,
    /// Who is served first: 0 (last) to 9 (first)
    #[arg(long, default_value = "5", value_name = "0-9", value_parser = parse_priority)]
    priority: Priority,
    /// A label to find the job by; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
    /// How many attempts may end in an error before the job fails
    #[arg(long, default_value = "3", value_name = "N")]
    attempts: NonZeroU32,
    /// Submitting again with the same key gives the same job
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Record the job's trace whatever the sampling ratio
    #[arg(long)]
    trace: bool,
    /// Wait for the score and print it
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

fn parse_priority(text: &str) -> Result<Priority, String> {
    let number: u8 = text.parse().map_err(|_| format!("{text:?} is not a number from 0 to 9"))?;
    Priority::new(number).map_err(|error| error.to_string())
}

impl SubmitArgs {
    fn spec(&self) -> Result<JobSpec, RemoteError> {
        let reference = MediaRef::new(absolute(&self.reference)?);
        let distorted = self.distorted.iter().map(|uri| absolute(uri).map(MediaRef::new));
        let mut distorted: Vec<MediaRef> = distorted.collect::<Result<_, _>>()?;
        let first = distorted.remove(0);
        let mut spec = JobSpec::pair(reference, first);
        spec.distorted.append(&mut distorted);
        let asked = self.preset.asked().map_err(RemoteError::Usage)?;
        let models = asked.models.iter().chain(&self.models);
        let mut models = models.map(|model| match &model.source {
            ModelRef::Version(_) => Ok(model.clone()),
            ModelRef::Path(path) => {
                Ok(ModelSpec { source: ModelRef::Path(absolute(path)?), ..model.clone() })
            }
        });
        spec.model = models.next().transpose()?.unwrap_or_default();
        spec.further_models = models.collect::<Result<_, RemoteError>>()?;
        spec.features = asked.features;
        spec.features.extend_from_slice(&self.features);
        spec.subsample_interval = self.subsample;
        spec.first_frame_index = self.first_frame;
        spec.frame_count_max = self.frames;
        spec.priority = self.priority;
        spec.labels = self.labels.iter().cloned().collect();
        spec.attempts_max = self.attempts;
        spec.force_trace = self.trace;
        spec.check().map_err(|error| RemoteError::Usage(error.to_string()))?;
        Ok(spec)
    }
}

/// A path as nodes on this machine can open it whatever their working directory; URLs stay.
fn absolute(uri: &str) -> Result<String, RemoteError> {
    if uri.contains("://") {
        return Ok(uri.to_owned());
    }
    let path = std::path::absolute(uri)
        .map_err(|error| RemoteError::Usage(format!("{uri:?}: {error}")))?;
    path.into_os_string().into_string().map_err(|path| {
        RemoteError::Usage(format!(
            "{} is not UTF-8, which the controller needs",
            path.to_string_lossy()
        ))
    })
}

/// Runs `vmafx submit`.
pub(crate) fn submit(args: &SubmitArgs) -> ExitCode {
    run(&args.remote, |client, telemetry| async move {
        let spec = args.spec()?;
        let span = telemetry.tracer.span(span_name::SUBMIT).kind(SpanKind::Internal);
        let span = if args.trace { span.force() } else { span }.start();
        let request = Submit { spec, idempotency_key: args.idempotency_key.clone() };
        let submitted = with_context(span.cx().clone(), client.submit(request)).await;
        span.end();
        let submitted = submitted?;
        if args.wait {
            let job = follow(&client, submitted.job).await?;
            finished(args, &submitted, &job)
        } else if args.remote.json {
            print_json(&answer(&submitted))
        } else {
            print(&format!("job    {}\ntrace  {}\n", submitted.job, submitted.trace_id))
        }
    })
}

fn answer(submitted: &Submitted) -> serde_json::Value {
    json!({
        "job_id": submitted.job,
        "trace_id": submitted.trace_id,
        "existing": submitted.existing,
    })
}

fn finished(args: &SubmitArgs, submitted: &Submitted, job: &JobView) -> Result<(), RemoteError> {
    if args.remote.json {
        let mut value = answer(submitted);
        value["job"] = vmafx_controller::json::job(job.clone());
        print_json(&value)?;
    } else {
        let results: String = job.results.iter().map(show::score).collect();
        print(&format!(
            "{results}{:<15}{}\n{:<15}{}\n",
            "job", job.id, "trace", job.trace.trace_id
        ))?;
    }
    ended_well(job)
}

/// An error unless the job has its score.
pub(crate) fn ended_well(job: &JobView) -> Result<(), RemoteError> {
    match job.state {
        State::Succeeded => Ok(()),
        State::Cancelled => {
            Err(RemoteError::Job(Failure::new(FailureKind::Cancelled, "the job was cancelled")))
        }
        State::Failed | State::Queued | State::Running => {
            Err(RemoteError::Job(job.failure.clone().unwrap_or_else(|| {
                Failure::new(
                    FailureKind::Internal,
                    format!("the job is {} without a cause", job.state),
                )
            })))
        }
    }
}

/// How long to wait before a watch that was cut off begins anew.
pub(crate) const fn watch_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}

/// Whether an error is of another kind than the one that was said last, as which it counts from then on.
pub(crate) fn is_news(error: &ClientError, said: &mut Option<ErrorKind>) -> bool {
    said.replace(error.kind()) != Some(error.kind())
}

/// Waits for a job's end, showing its frames on a terminal. A controller that restarts meanwhile is
/// waited for, however long it is away: the job is in its store. Why is said when it changes.
pub(crate) async fn follow(client: &Client, job: JobId) -> Result<JobView, RemoteError> {
    let bar = progress_bar();
    let mut backoff = watch_backoff();
    let mut said = None;
    loop {
        match watch_to_end(client, job, &bar).await {
            Ok(()) => {
                bar.finish_and_clear();
                return Ok(client.job(job).await?);
            }
            Err(error) if error.is_retryable() => {
                if is_news(&error, &mut said) {
                    bar.suspend(|| eprintln!("vmafx: waiting to follow the job again: {error}"));
                }
                tokio::time::sleep(backoff.next_wait()).await;
            }
            Err(error) => {
                bar.finish_and_clear();
                return Err(error.into());
            }
        }
    }
}

async fn watch_to_end(client: &Client, job: JobId, bar: &ProgressBar) -> Result<(), ClientError> {
    let mut events = client.watch(WatchJobs { only: Some(job), ..WatchJobs::default() }).await?;
    while let Some(event) = events.next().await? {
        let JobEvent::Job(job) = event else { continue };
        if let Some(progress) = job.progress {
            if let Some(total) = progress.frames_total {
                bar.set_length(total);
            }
            bar.set_position(progress.frames_done);
        }
        bar.set_message(job.state.as_str());
        if job.state.is_terminal() {
            return Ok(());
        }
    }
    Ok(())
}

/// Frames done of all, on standard error; nothing where that is no terminal.
pub(crate) fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg:<9} [{bar:32}] {pos}/{len} frames {per_sec}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar
}
