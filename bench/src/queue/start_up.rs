//! A controller that starts with a long queue: how soon it dispatches, and what the queue weighs.

use std::time::{Duration, Instant};

use super::{Args, Place, submit_batches, table};
use crate::Error;
use crate::fleet::{self, Teller};
use crate::process::Controller;
use crate::table::{Goal, number};

/// Jobs in the queue.
const JOBS: u64 = 1_000_000;

/// How long the first dispatch may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Calls in flight while jobs are submitted, and jobs in each.
const BATCHES: (usize, u64) = (4, 1_000);

const MB: f64 = 1e6;

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let place = Place::new(args, &[]).await?;
    let jobs = args.scaled(JOBS);
    let empty_bytes = place.controller.rss_bytes()?;
    let began = Instant::now();
    submit_batches(&place.client, jobs, BATCHES).await?;
    let submitted = began.elapsed();
    let full_bytes = place.controller.rss_bytes()?;
    let mut table =
        table(&format!("Start-up with {} jobs queued", number(jobs as f64)), &place.baseline);
    let Place { controller, dir, client, .. } = place;
    drop(client);
    controller.kill()?;

    let db = dir.path().join("controller.db");
    let stored_bytes = std::fs::metadata(&db)?.len();
    let controller = Controller::start(&db, &[])?;
    let ready_bytes = controller.rss_bytes()?;
    let (teller, mut starts) = Teller::new();
    let nodes = fleet::start(&controller.address, "first", (1, 1), teller).await?;
    let first = tokio::time::timeout(PATIENCE, starts.recv()).await?.ok_or("the node has ended")?;
    let took = first.at - controller.started;
    drop(nodes);

    // The goals are for a million; a shorter queue is held to its share of the variable part.
    let share = jobs as f64 / JOBS as f64;
    let ready_ms = controller.ready_after.as_secs_f64() * 1e3;
    let beside = format!("after kill -9; ready after {} ms", number(ready_ms));
    let took = took.as_secs_f64();
    table.row("start to first dispatch", (took, "s"), Goal::AtMost(1.5), beside);
    let beside = format!("empty: {} MB", number(empty_bytes as f64 / MB));
    table.row("memory once started", (ready_bytes as f64 / MB, "MB"), Goal::AtMost(150.0), beside);
    let per_100k = |bytes: u64| bytes.saturating_sub(empty_bytes) as f64 / MB / (share * 10.0);
    let beside = "of a controller just started, less the empty one";
    table.row("memory per 100k queued", (per_100k(ready_bytes), "MB"), Goal::AtMost(10.0), beside);
    let beside = format!("right after {} submits/s", number(jobs as f64 / submitted.as_secs_f64()));
    table.row("memory after submitting", (full_bytes as f64 / MB, "MB"), Goal::Open, beside);
    let beside = "the store's file without its log";
    table.row(
        "disk per 100k queued",
        (stored_bytes as f64 / MB / (share * 10.0), "MB"),
        Goal::Open,
        beside,
    );
    table.print();
    Ok(())
}
