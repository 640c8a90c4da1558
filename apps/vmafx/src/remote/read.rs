//! The subcommands that look at jobs and nodes, and the short ones that change them.

use std::process::ExitCode;

use proto::rpc::{ListJobs, RetryJobs};
use serde_json::json;
use types::explain::explain as waterfall;
use types::{JobFilter, JobId, JobPage, NodeId, State};
use vmafx_controller::json as shape;

use super::{RemoteArgs, RemoteError, now, parse_job_id, parse_label, print, print_json, run};
use crate::show;

/// Which jobs a list or a watch shows.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FilterArgs {
    /// Only jobs in this state; may be given several times
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<State>,
    /// Only jobs that carry this label; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
}

impl FilterArgs {
    pub(crate) fn filter(&self) -> JobFilter {
        JobFilter {
            states: self.states.clone(),
            tenant: None,
            labels: self.labels.iter().cloned().collect(),
        }
    }
}

/// What `vmafx jobs` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many at most, newest first
    #[arg(long, default_value = "20", value_name = "N")]
    limit: usize,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx jobs`.
pub(crate) fn jobs(args: &JobsArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let mut jobs = Vec::new();
        let mut list = ListJobs { filter: args.filter.filter(), ..ListJobs::default() };
        while jobs.len() < args.limit {
            list.page_size = Some((args.limit - jobs.len()).min(proto::limits::PAGE_SIZE_MAX));
            let page = client.jobs(list.clone()).await?;
            jobs.extend(page.jobs);
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        if args.remote.json {
            return print_json(&shape::page(JobPage { jobs, next: list.after }));
        }
        print(&show::jobs(&jobs, now()))
    })
}

/// What `vmafx job` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct JobArgs {
    /// The job's id
    #[arg(value_parser = parse_job_id)]
    job: JobId,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx job`.
pub(crate) fn job(args: &JobArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let job = client.job(args.job).await?;
        if args.remote.json { print_json(&shape::job(job)) } else { print(&show::job(&job)) }
    })
}

/// What `vmafx explain` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The job's id
    #[arg(value_parser = parse_job_id)]
    job: JobId,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx explain`.
pub(crate) fn explain(args: &ExplainArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let waterfall = waterfall(&client.job(args.job).await?, now());
        if args.remote.json { print_json(&waterfall) } else { print(&waterfall.render()) }
    })
}

/// What `vmafx cancel` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct CancelArgs {
    /// The jobs' ids
    #[arg(required = true, value_parser = parse_job_id)]
    jobs: Vec<JobId>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx cancel`.
pub(crate) fn cancel(args: &CancelArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let mut answers = Vec::new();
        for job in &args.jobs {
            let answer = client.cancel(*job).await?;
            answers
                .push(json!({ "job_id": job, "state": answer.state, "changed": answer.changed }));
            if !args.remote.json {
                print(&format!(
                    "{job}  {}{}\n",
                    answer.state,
                    if answer.changed { "" } else { " already" }
                ))?;
            }
        }
        if args.remote.json { print_json(&json!({ "jobs": answers })) } else { Ok(()) }
    })
}

/// What `vmafx retry` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    /// The failed jobs' ids
    #[arg(value_parser = parse_job_id)]
    jobs: Vec<JobId>,
    /// All failed jobs, or those with the labels given
    #[arg(long, conflicts_with = "jobs")]
    all: bool,
    /// With --all: only jobs that carry this label; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label, requires = "all")]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx retry`.
pub(crate) fn retry(args: &RetryArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let which = match (args.jobs.is_empty(), args.all) {
            (false, _) => RetryJobs::Ids(args.jobs.clone()),
            (true, true) => RetryJobs::Filter(JobFilter {
                states: vec![State::Failed],
                tenant: None,
                labels: args.labels.iter().cloned().collect(),
            }),
            (true, false) => {
                return Err(RemoteError::Usage("name the jobs to retry, or pass --all".to_owned()));
            }
        };
        let retried = client.retry(which).await?;
        if args.remote.json {
            return print_json(&json!({ "retried": retried }));
        }
        print(&format!("{retried} jobs are queued again\n"))
    })
}

/// What `vmafx nodes` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx nodes`.
pub(crate) fn nodes(args: &NodesArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let nodes = client.nodes().await?;
        if args.remote.json {
            return print_json(&shape::nodes(nodes));
        }
        print(&show::nodes(&nodes, now()))
    })
}

/// What `vmafx drain` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct DrainArgs {
    /// The node's name
    node: String,
    /// Let it take work again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx drain`.
pub(crate) fn drain(args: &DrainArgs) -> ExitCode {
    run(&args.remote, |client, _| async move {
        let node = NodeId::new(args.node.clone())
            .map_err(|error| RemoteError::Usage(error.to_string()))?;
        let running =
            if args.undo { client.undo_drain(&node).await? } else { client.drain(&node).await? };
        if args.remote.json {
            return print_json(
                &json!({ "node": node, "running": running, "draining": !args.undo }),
            );
        }
        let does = if args.undo { "takes work again" } else { "takes no new work" };
        print(&format!("{node} {does}; it runs {running} attempts\n"))
    })
}
