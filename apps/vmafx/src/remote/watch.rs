//! `vmafx watch`: what happens to jobs, as it happens.

use std::process::ExitCode;

use client::{Backoff, Client, ClientError, JobEvents};
use proto::rpc::{JobEvent, WatchJobs};
use types::{JobId, JobSummary};

use super::read::FilterArgs;
use super::submit::{ended_well, is_news, watch_backoff};
use super::{RemoteArgs, RemoteError, now, parse_job_id, print, run};
use crate::show;

/// What `vmafx watch` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// Only this job; the watch ends when it does, with its exit code
    #[arg(value_parser = parse_job_id)]
    job: Option<JobId>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx watch`: first a line for each job there is, then one for every change. With `--json`
/// each line is one JSON object. A controller that restarts meanwhile is waited for; then the jobs
/// are told as they are by now, since changes may have been missed.
pub(crate) fn watch(args: &WatchArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let which = || WatchJobs { filter: args.filter.filter(), only: args.job };
        let mut backoff = watch_backoff();
        let mut events = client.watch(which()).await?;
        while let Err(error) = tell(&mut events, args.remote.json, &mut backoff).await {
            let RemoteError::Client(cut) = error else { return Err(error) };
            if !cut.is_retryable() {
                return Err(cut.into());
            }
            eprintln!("vmafx: the watch was cut off and begins anew: {cut}");
            events = again(&client, which, &mut backoff).await?;
        }
        match args.job {
            Some(job) => ended_well(&client.job(job).await?),
            None => Ok(()),
        }
    })
}

/// Prints events until there are no more.
async fn tell(
    events: &mut JobEvents,
    json: bool,
    backoff: &mut Backoff,
) -> Result<(), RemoteError> {
    while let Some(event) = events.next().await? {
        backoff.reset();
        match event {
            JobEvent::SnapshotEnd => {}
            JobEvent::Job(job) if json => {
                print(&format!("{}\n", vmafx_controller::json::summary(*job)))?;
            }
            JobEvent::Job(job) => print(&line(&job))?,
        }
    }
    Ok(())
}

/// The same watch once more, as soon as there is somebody to ask, however long that takes: whoever watches
/// ends it. Why there is nothing to tell is said when it changes.
async fn again(
    client: &Client,
    which: impl Fn() -> WatchJobs,
    backoff: &mut Backoff,
) -> Result<JobEvents, ClientError> {
    let mut said = None;
    loop {
        tokio::time::sleep(backoff.next_wait()).await;
        match client.watch(which()).await {
            Err(error) if error.is_retryable() => {
                if is_news(&error, &mut said) {
                    eprintln!("vmafx: waiting to watch again: {error}");
                }
            }
            answer => return answer,
        }
    }
}

fn line(job: &JobSummary) -> String {
    let what = match (&job.failure, job.score, job.progress) {
        (Some(failure), _, _) => failure.to_string(),
        (None, Some(score), _) => format!("score {score:.6}"),
        (None, None, Some(progress)) => {
            show::progress_text(progress.frames_done, progress.frames_total)
        }
        (None, None, None) => String::new(),
    };
    let text = format!("{}  {}  {:<9}  {what}", now(), job.id, job.state);
    format!("{}\n", text.trim_end())
}
