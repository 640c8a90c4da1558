//! Durable submissions: each answered only after its commit is on the disk.

use std::time::{Duration, Instant};

use client::Client;

use super::{Args, Place, client, job, submit_batches, table};
use crate::Error;
use crate::statistics::{Times, median};
use crate::table::{Goal, number};

/// How long one kind of submission is measured.
const SECONDS: u64 = 5;

/// Clients where many submit.
const CLIENTS: usize = 64;

/// Jobs in a batch, and batches in flight.
const BATCH: (usize, u64) = (8, 100);

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let place = Place::new(args, &[]).await?;
    let beside = place.baseline.short();
    let mut table = table("Durable submissions", &place.baseline);
    let time = Duration::from_millis(args.scaled(SECONDS * 1_000));

    let (rate, times) = unary(vec![place.client.clone()], time).await?;
    table.row("one client: submits", (rate, "/s"), Goal::Open, &beside);
    table.row("one client: p50", (times.p50_ms(), "ms"), Goal::AtMost(0.6), &beside);
    table.row("one client: p99", (times.p99_ms(), "ms"), Goal::AtMost(2.0), &beside);

    let clients = (0..CLIENTS).map(|_| client(&place.controller));
    let clients = clients.collect::<Result<Vec<_>, _>>()?;
    many(&mut table, args, "64 clients, a connection each", &clients, time).await?;
    let clients = vec![place.client.clone(); CLIENTS];
    many(&mut table, args, "64 in flight, one connection", &clients, time).await?;

    let jobs = args.scaled(300_000);
    let mut rates = Vec::new();
    for _ in 0..args.rounds() {
        let began = Instant::now();
        submit_batches(&place.client, jobs, BATCH).await?;
        rates.push(jobs as f64 / began.elapsed().as_secs_f64());
    }
    let what = "8 batches of 100 in flight: jobs";
    table.cpu_row(what, (median(&rates), "/s"), Goal::AtLeast(150_000.0), &beside);
    table.print();
    Ok(())
}

async fn many(
    table: &mut crate::table::Table,
    args: &Args,
    what: &str,
    clients: &[Client],
    time: Duration,
) -> Result<(), Error> {
    let (mut rates, mut all) = (Vec::new(), None);
    for _ in 0..args.rounds() {
        let (rate, times) = unary(clients.to_vec(), time).await?;
        rates.push(rate);
        all = Some(times);
    }
    let times = all.ok_or("no round ran")?;
    let beside = format!("p50 {} ms, p99 {} ms", number(times.p50_ms()), number(times.p99_ms()));
    table.cpu_row(
        format!("{what}: submits"),
        (median(&rates), "/s"),
        Goal::AtLeast(15_000.0),
        beside,
    );
    Ok(())
}

/// Every client submits one job after the other for `time`.
async fn unary(clients: Vec<Client>, time: Duration) -> Result<(f64, Times), Error> {
    for client in &clients {
        client.submit(job()).await?;
    }
    let began = Instant::now();
    let mut submitting = tokio::task::JoinSet::new();
    for client in clients {
        submitting.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < time {
                let one = Instant::now();
                client.submit(job()).await?;
                times.push(one.elapsed());
            }
            Ok::<_, Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(submitted) = submitting.join_next().await {
        times.extend(submitted??);
    }
    let took = began.elapsed().as_secs_f64();
    let times = Times::new(times).ok_or("nothing was submitted")?;
    Ok((times.count() as f64 / took, times))
}
