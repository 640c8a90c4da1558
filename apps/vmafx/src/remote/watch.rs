//! `vmafx watch`: what happens to jobs, as it happens.

use std::process::ExitCode;

use proto::rpc::{JobEvent, WatchJobs};
use types::{JobId, JobSummary};

use super::read::FilterArgs;
use super::submit::ended_well;
use super::{RemoteArgs, now, parse_job_id, print, run};
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
/// each line is one JSON object.
pub(crate) fn watch(args: &WatchArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let which = WatchJobs { filter: args.filter.filter(), only: args.job };
        let mut events = client.watch(which).await?;
        while let Some(event) = events.next().await? {
            match event {
                JobEvent::SnapshotEnd => {}
                JobEvent::Job(job) if args.remote.json => {
                    print(&format!("{}\n", vmafx_controller::json::summary(*job)))?;
                }
                JobEvent::Job(job) => print(&line(&job))?,
            }
        }
        match args.job {
            Some(job) => ended_well(&client.job(job).await?),
            None => Ok(()),
        }
    })
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
