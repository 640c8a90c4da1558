//! Trials as jobs: the controller spreads them over the nodes that have the encoder.
//!
//! A trial's key is its job's idempotency key, so that a run that was killed finds its jobs again,
//! running or done, and none is made twice. A job that ended without a result is succeeded by one with
//! a numbered key.

use std::time::Duration;

use client::{Backoff, Client, ClientError};
use media::Stop;
use media::stop::STOP_CHECK_INTERVAL;
use observability::{Context, with_context};
use proto::rpc::{GetFrames, JobEvent, Submit, WatchJobs};
use tokio::runtime::Handle;
use types::{Encoder, Failure, FailureKind, JobId, JobView, Liveness, Stage, State};

use crate::error::TuneError;
use crate::local::job;
use crate::probe::{FRAME_SCORES_MAX, Probe, ProbeKind, ProbeSpec, Prober};

/// Jobs that may be made for one trial, where those before ended without a result.
const SUCCESSORS_MAX: u32 = 16;

/// How often a waiting job is asked what it waits for.
const WAITING_LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Waits between tries to reach a controller that is away.
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// For how long a controller may be away.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// A controller, and the runtime on which it is called.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The controller.
    pub client: Client,
    /// Where calls run. Never the thread that waits for them.
    pub runtime: Handle,
}

/// Carries trials out on the fleet.
#[derive(Debug)]
pub(crate) struct FleetProber {
    fleet: Fleet,
    force_trace: bool,
}

impl FleetProber {
    pub(crate) fn new(fleet: Fleet, force_trace: bool) -> Self {
        Self { fleet, force_trace }
    }

    /// The encoders that nodes alive have.
    pub(crate) fn encoders(&self) -> Result<Vec<Encoder>, TuneError> {
        let client = self.fleet.client.clone();
        let nodes = self.fleet.runtime.block_on(async move { client.nodes().await })?;
        let alive = nodes.iter().filter(|node| node.liveness == Liveness::Alive);
        let names: Vec<&String> = alive.flat_map(|node| &node.capabilities.encoders).collect();
        let has = |encoder: &Encoder| names.iter().any(|name| *name == encoder.as_str());
        Ok(Encoder::ALL.iter().copied().filter(has).collect())
    }

    /// Slots of all nodes that are alive.
    pub(crate) fn slots(&self) -> Result<usize, TuneError> {
        let client = self.fleet.client.clone();
        let nodes = self.fleet.runtime.block_on(async move { client.nodes().await })?;
        let alive = nodes.iter().filter(|node| node.liveness == Liveness::Alive);
        Ok(alive.map(|node| node.capabilities.slots as usize).sum())
    }

    async fn run(&self, spec: &ProbeSpec, key: &str, stop: &Stop) -> Result<Probe, TuneError> {
        for successor in 0..SUCCESSORS_MAX {
            let key = match successor {
                0 => key.to_owned(),
                number => format!("{key}.{number}"),
            };
            let spec_of_job = types::JobSpec { force_trace: self.force_trace, ..job(spec) };
            let submit = Submit { spec: spec_of_job, idempotency_key: Some(key) };
            let submitted =
                self.patiently(stop, || self.fleet.client.submit(submit.clone())).await?;
            let ended = self.follow(submitted.job, stop).await;
            let job = match ended {
                Ok(job) => job,
                Err(error) => {
                    // Nobody waits for it any more. That it cannot be said is no second error: a
                    // later run finds the job by its key.
                    if stop.check().is_err() || matches!(error, TuneError::NoNode { .. }) {
                        let cancel = self.fleet.client.cancel(submitted.job);
                        let _ = tokio::time::timeout(RETRY_WAIT_MAX, cancel).await;
                    }
                    return Err(error);
                }
            };
            match job.state {
                State::Succeeded => return self.read(spec, &job, stop).await,
                // An earlier run's end is no answer to this one.
                State::Cancelled | State::Failed if submitted.existing => {}
                _ => {
                    let failure = job.failure.unwrap_or_else(|| {
                        Failure::new(FailureKind::Cancelled, "somebody cancelled it")
                    });
                    return Err(TuneError::Job { job: job.id.to_string(), failure });
                }
            }
        }
        Err(TuneError::Request(format!(
            "{SUCCESSORS_MAX} jobs for one probe have failed before; retry or remove them first"
        )))
    }

    /// Waits for a job's end. A controller that restarts meanwhile is waited for.
    async fn follow(&self, job: JobId, stop: &Stop) -> Result<JobView, TuneError> {
        let client = &self.fleet.client;
        self.patiently(stop, || async move {
            let mut events =
                client.watch(WatchJobs { only: Some(job), ..WatchJobs::default() }).await?;
            loop {
                let event = tokio::time::timeout(WAITING_LOOK_INTERVAL, events.next()).await;
                match event {
                    Ok(event) => match event? {
                        Some(JobEvent::Job(summary)) if summary.state.is_terminal() => break,
                        Some(_) => {}
                        None => break,
                    },
                    Err(_) => {
                        let view = client.job(job).await?;
                        if view.state.is_terminal() || view.waiting_for.is_some() {
                            return Ok(view);
                        }
                    }
                }
            }
            client.job(job).await
        })
        .await
        .and_then(|view| match &view.waiting_for {
            Some(what) if !view.state.is_terminal() => {
                Err(TuneError::NoNode { job: job.to_string(), what: what.clone() })
            }
            _ => Ok(view),
        })
    }

    /// What a job that has succeeded measured.
    async fn read(&self, spec: &ProbeSpec, job: &JobView, stop: &Stop) -> Result<Probe, TuneError> {
        let malformed = |what: &str| {
            TuneError::Request(format!("job {} has no {what}; do the versions fit?", job.id))
        };
        let result = job.results.first().ok_or_else(|| malformed("result"))?;
        let model = result.models.first().ok_or_else(|| malformed("model's score"))?;
        let encoded = result.encoded.clone().ok_or_else(|| malformed("encode"))?;
        let frames = result.frame_count as usize;
        let mut frame_scores = Vec::new();
        if spec.kind == ProbeKind::Sample && frames <= FRAME_SCORES_MAX {
            let columns = vec![model.name.clone()];
            let get = GetFrames { columns, ..GetFrames::all(job.id) };
            let table = self.patiently(stop, || self.fleet.client.frames(get.clone())).await?;
            frame_scores = table.column(&model.name).map_or_else(Vec::new, |c| c.values.clone());
        }
        let timings = job.attempts.last().and_then(|attempt| attempt.timings.as_ref());
        let score_time = timings.map_or(Duration::ZERO, |timings| {
            [Stage::Fetch, Stage::Decode, Stage::Score, Stage::Pool]
                .iter()
                .map(|stage| timings.stage(*stage))
                .sum()
        });
        Ok(Probe {
            pooled: model.pooled,
            frame_scores,
            encoded,
            score_time,
            warnings: result.warnings.iter().map(|warning| warning.code.clone()).collect(),
            job: Some(job.id),
        })
    }

    /// Calls until the controller answers, the work is stopped, or the controller has been away for
    /// too long.
    async fn patiently<T, F>(
        &self,
        stop: &Stop,
        mut call: impl FnMut() -> F,
    ) -> Result<T, TuneError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::new(RETRY_WAIT_FIRST, RETRY_WAIT_MAX);
        let mut away_since = None;
        loop {
            let answer = tokio::select! {
                answer = call() => answer,
                stopped = stopped(stop) => return Err(stopped),
            };
            match answer {
                Ok(value) => return Ok(value),
                Err(error) if error.is_retryable() => {
                    let since = *away_since.get_or_insert_with(std::time::Instant::now);
                    if since.elapsed() >= AWAY_MAX {
                        return Err(error.into());
                    }
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next_wait()) => {}
                        stopped = stopped(stop) => return Err(stopped),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Prober for FleetProber {
    fn probe(
        &self,
        spec: &ProbeSpec,
        key: &str,
        cx: &Context,
        stop: &Stop,
    ) -> Result<Probe, TuneError> {
        let work = with_context(cx.clone(), self.run(spec, key, stop));
        self.fleet.runtime.block_on(work)
    }

    fn chain(&self) -> &str {
        // Nodes may run other versions than this program; the job's own answer says which.
        "fleet"
    }
}

/// Ends when the work is to end, and says why.
async fn stopped(stop: &Stop) -> TuneError {
    loop {
        if let Err(stopped) = stop.check() {
            return stopped.into();
        }
        tokio::time::sleep(STOP_CHECK_INTERVAL).await;
    }
}
