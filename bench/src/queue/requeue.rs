//! From the loss of a node process, by `kill -9` or frozen, until its part has reached another node.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Args, Place, job, table};
use crate::Error;
use crate::fleet::{self, Teller};
use crate::statistics::Times;
use crate::table::Goal;

/// How long any step of a round may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (kills, freezes) = if args.quick { (3, 1) } else { (15, 4) };
    let place = Place::new(args, &[]).await?;
    let mut table = table("kill -9 of a node to its part's next start", &place.baseline);
    let times = measure(&place, Loss::Killed, kills).await?;
    let beside = format!("{kills} rounds, stream grace 1 s (the default)");
    table.row("default grace: p50", (times.p50_ms(), "ms"), Goal::Open, &beside);
    table.row("default grace: max", (times.max_ms(), "ms"), Goal::AtMost(1_500.0), &beside);

    // Its connection stays open and silent: only the lease tells.
    let times = measure(&place, Loss::Frozen, freezes).await?;
    let beside = format!("{freezes} rounds of SIGSTOP, lease of 10 s (the default)");
    table.row("frozen node: p50", (times.p50_ms(), "ms"), Goal::Open, &beside);
    table.row("frozen node: max", (times.max_ms(), "ms"), Goal::AtMost(15_000.0), &beside);
    drop(place);

    let place = Place::new(args, &["--stream-grace", "0s"]).await?;
    let times = measure(&place, Loss::Killed, kills).await?;
    let beside = format!("{kills} rounds, stream grace 0");
    table.row("no grace: p50", (times.p50_ms(), "ms"), Goal::Open, &beside);
    table.row("no grace: max", (times.max_ms(), "ms"), Goal::AtMost(200.0), &beside);
    table.print();
    Ok(())
}

/// How a node is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// Its process is gone, and its connection with it.
    Killed,
    /// It stands still, as on a host that hangs.
    Frozen,
}

async fn measure(place: &Place, loss: Loss, rounds: usize) -> Result<Times, Error> {
    let mut times = Vec::new();
    for round in 0..rounds {
        times.push(one_round(place, loss, round).await?);
    }
    Ok(Times::new(times).ok_or("no round ran")?)
}

async fn one_round(place: &Place, loss: Loss, round: usize) -> Result<Duration, Error> {
    let address = &place.controller.address;
    let name = |what| format!("{what}-{loss:?}-{round}");
    let (holding, output) = Holding::start(address, &name("holding"))?;
    let submitted = place.client.submit(job()).await?;
    // Ends with the node at the latest, which is killed with `holding` when this takes too long.
    let held = tokio::task::spawn_blocking(move || first_line(output));
    let held = tokio::time::timeout(PATIENCE, held).await???;
    if held != submitted.job.to_string() {
        return Err(format!("the node holds {held}, not {}", submitted.job).into());
    }
    let (teller, mut starts) = Teller::new();
    let next = fleet::start(address, &name("next"), (1, 1), teller).await?;
    fleet::ready(&next).await?;
    let lost = Instant::now();
    let frozen = match loss {
        Loss::Killed => {
            drop(holding);
            None
        }
        Loss::Frozen => {
            holding.freeze()?;
            Some(holding)
        }
    };
    let started =
        tokio::time::timeout(PATIENCE, starts.recv()).await?.ok_or("the node has ended")?;
    if started.job() != submitted.job {
        return Err("another job than the one that was lost has started".into());
    }
    let took = started.at - lost;
    drop(frozen);
    started.finish();
    // Waits for the answer to the report, so that nothing is left for the next round.
    for node in &next {
        node.drain(PATIENCE).await;
    }
    Ok(took)
}

/// A node process that holds what it gets. Killed with -9 when dropped.
struct Holding(Child);

impl Holding {
    /// Starts it; it says on its output which jobs it got.
    fn start(address: &str, name: &str) -> Result<(Self, ChildStdout), Error> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["holding-node", "--controller", address, "--name", name]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut holding = Self(command.spawn()?);
        let output = holding.0.stdout.take().ok_or("a node has no standard output")?;
        Ok((holding, output))
    }

    /// Stops it where it is.
    fn freeze(&self) -> Result<(), Error> {
        let pid = rustix::process::Pid::from_child(&self.0);
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::STOP)?)
    }
}

fn first_line(output: ChildStdout) -> Result<String, Error> {
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
