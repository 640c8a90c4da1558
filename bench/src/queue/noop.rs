//! Parts that do nothing, end to end: from the first byte of the first submission until the last
//! result is durable, over the work stream and `ReportResult`, submissions included.

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Client;
use proto::rpc::ListJobs;
use types::{JobFilter, State};

use super::{Args, Place, submit_batches, table};
use crate::Error;
use crate::fleet::{self, Noop};
use crate::process;
use crate::statistics::median;
use crate::table::{Goal, number};

/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Commits of the controller's store since its start.
const COMMITS: &str = "vmafx_store_commit_duration_seconds_count";

/// Batches in flight while jobs are submitted, and jobs in each.
const BATCHES: (usize, u64) = (4, 200);

struct Fleet {
    nodes: u32,
    credit: u32,
    jobs: u64,
    goal: Goal,
}

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let fleet = |nodes, credit, jobs, goal| Fleet { nodes, credit, jobs, goal };
    for fleet in [
        fleet(16, 1, 60_000, Goal::AtLeast(15_000.0)),
        fleet(16, 16, 150_000, Goal::AtLeast(45_000.0)),
        fleet(1_000, 1, 80_000, Goal::AtLeast(20_000.0)),
        fleet(1_000, 4, 80_000, Goal::AtLeast(20_000.0)),
    ] {
        of_fleet(args, &fleet).await?;
    }
    Ok(())
}

async fn of_fleet(args: &Args, fleet: &Fleet) -> Result<(), Error> {
    let place = Place::new(args, &[]).await?;
    let noop = Arc::new(Noop::default());
    let size = (fleet.nodes, fleet.credit);
    let nodes = fleet::start(&place.controller.address, "noop", size, noop.clone()).await?;
    fleet::ready(&nodes).await?;
    let jobs = args.scaled(fleet.jobs);
    let (mut rates, mut controller_us, mut bench_us) = (Vec::new(), Vec::new(), Vec::new());
    let commits_before = place.controller.metric(COMMITS)?;
    for round in 1..=args.rounds() as u64 {
        let before = (place.controller.cpu()?, process::cpu("self")?);
        let took = one_round(&place.client, &noop, (round - 1) * jobs, jobs, BATCHES).await?;
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / jobs as f64;
        controller_us.push(each(place.controller.cpu()? - before.0));
        bench_us.push(each(process::cpu("self")? - before.1));
        rates.push(jobs as f64 / took.as_secs_f64());
    }
    let commits = place.controller.metric(COMMITS)? - commits_before;
    let again = check(&place.client, jobs * args.rounds() as u64).await?;
    fleet::stop(nodes).await;
    let title = format!("No-op parts end to end: {} nodes, credit {}", fleet.nodes, fleet.credit);
    let mut table = table(&title, &place.baseline);
    table.cpu_row("parts", (median(&rates), "/s"), fleet.goal, place.baseline.short());
    let beside = format!("all of {jobs} jobs a round succeeded, {again} in a further attempt");
    table.row("CPU a part: controller", (median(&controller_us), "µs"), Goal::Open, &beside);
    table.row(
        "CPU a part: clients and nodes",
        (median(&bench_us), "µs"),
        Goal::Open,
        format!(
            "rounds: {}",
            rates.iter().map(|rate| number(*rate)).collect::<Vec<_>>().join(", ")
        ),
    );
    let each = (jobs * args.rounds() as u64) as f64 / commits;
    table.row("parts a commit", (each, ""), Goal::Open, "submit, lease and result together");
    table.print();
    Ok(())
}

/// Submits the jobs and waits until all are done.
pub(super) async fn one_round(
    client: &Client,
    noop: &Noop,
    started_before: u64,
    jobs: u64,
    batches: (usize, u64),
) -> Result<Duration, Error> {
    let began = Instant::now();
    submit_batches(client, jobs, batches).await?;
    while noop.started() < started_before + jobs || is_unfinished(client).await? {
        if began.elapsed() > PATIENCE {
            let started = noop.started() - started_before;
            return Err(format!("only {started} of {jobs} parts in {PATIENCE:?}").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(began.elapsed())
}

async fn is_unfinished(client: &Client) -> Result<bool, Error> {
    let states = vec![State::Queued, State::Running];
    let filter = JobFilter { states, ..JobFilter::default() };
    let page = client.jobs(ListJobs { filter, page_size: Some(1), after: None }).await?;
    Ok(!page.jobs.is_empty())
}

/// Every job has succeeded, and none is missing. Says how many needed more than one attempt.
async fn check(client: &Client, jobs: u64) -> Result<u64, Error> {
    let page_size = Some(proto::limits::PAGE_SIZE_MAX);
    let (mut listed, mut again, mut after) = (0, 0, None);
    loop {
        let list = ListJobs { filter: JobFilter::default(), page_size, after };
        let page = client.jobs(list).await?;
        if let Some(job) = page.jobs.iter().find(|job| job.state != State::Succeeded) {
            return Err(format!("job {} is {}: {:?}", job.id, job.state, job.failure).into());
        }
        listed += page.jobs.len() as u64;
        again += page.jobs.iter().filter(|job| job.attempts > 1).count() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if listed == jobs {
        Ok(again)
    } else {
        Err(format!("{jobs} jobs were submitted, {listed} are listed").into())
    }
}
