//! Trials as jobs: the controller spreads them over the nodes that have the encoder.
//!
//! A trial's key is its job's idempotency key, so that a run that was killed finds its jobs again,
//! running or done, and none is made twice. A job that ended without a result is succeeded by one with
//! a numbered key.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{Backoff, Client, ClientError};
use media::Stop;
use media::stop::STOP_CHECK_INTERVAL;
use observability::{Context, with_context};
use proto::rpc::{GetFrames, JobEvent, Submit, WatchJobs};
use tokio::runtime::Handle;
use types::{
    Encoder, Failure, FailureKind, JobId, JobSummary, JobView, Liveness, NodeView, Stage, State,
};

use crate::digest::sha256;
use crate::error::TuneError;
use crate::local::{TELL_EVERY, job};
use crate::probe::{FRAME_SCORES_MAX, Probe, ProbeKind, ProbeSpec, Prober};
use crate::progress::{Event, Sink};

/// Jobs that may be made for one trial, where those before ended without a result.
const SUCCESSORS_MAX: u32 = 16;

/// How often a waiting job is asked what it waits for.
const WAITING_LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Waits between tries to reach a controller that is away.
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// For how long a controller may be away.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// For how long a job may wait for a node that can run it: fleets that are scaled to zero or are being
/// renewed come back.
const NODE_WAIT_MAX: Duration = Duration::from_secs(3_600);

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
    /// The nodes there were when the run began.
    nodes: Vec<NodeView>,
    force_trace: bool,
    /// That jobs wait for a node is said once a run, not once a probe.
    waiting_told: AtomicBool,
}

impl FleetProber {
    /// Asks the controller which nodes there are.
    pub(crate) fn new(fleet: Fleet, force_trace: bool) -> Result<Self, TuneError> {
        let client = fleet.client.clone();
        let nodes = fleet.runtime.block_on(async move { client.nodes().await })?;
        Ok(Self { fleet, nodes, force_trace, waiting_told: AtomicBool::new(false) })
    }

    fn alive(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.iter().filter(|node| node.liveness == Liveness::Alive)
    }

    /// Whether a node alive has the encoder.
    pub(crate) fn has(&self, encoder: Encoder) -> bool {
        self.alive().any(|node| has(node, encoder))
    }

    /// What the nodes alive encode with, or those that are known where none of them is alive: each
    /// version once, with that of the program that scores.
    pub(crate) fn versions(&self, encoder: Encoder) -> Vec<String> {
        versions(&self.nodes, encoder)
    }

    /// Slots of all nodes that are alive.
    pub(crate) fn slots(&self) -> usize {
        self.alive().map(|node| node.capabilities.slots as usize).sum()
    }

    /// The key of a probe's job. The controller holds a key to the whole of what is submitted, so that
    /// what a result does not depend on, and the job says, is part of it too.
    fn job_key(&self, spec: &ProbeSpec, key: &str) -> String {
        sha256(serde_json::json!([key, spec.reference, self.force_trace]).to_string())
    }

    async fn run(
        &self,
        spec: &ProbeSpec,
        key: &str,
        stop: &Stop,
        sink: &dyn Sink,
    ) -> Result<Probe, TuneError> {
        let key = self.job_key(spec, key);
        for successor in 0..SUCCESSORS_MAX {
            let key = match successor {
                0 => key.clone(),
                number => format!("{key}.{number}"),
            };
            let spec_of_job = types::JobSpec { force_trace: self.force_trace, ..job(spec) };
            let submit = Submit { spec: spec_of_job, idempotency_key: Some(key) };
            let submitted =
                self.patiently(stop, || self.fleet.client.submit(submit.clone())).await?;
            let ended = self.follow(spec, submitted.job, stop, sink).await;
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
                // Another run that shares the job may end while this one goes on.
                State::Cancelled => {}
                // An earlier run's end is no answer to this one.
                State::Failed if submitted.existing => {}
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

    /// Waits for a job's end. A controller that restarts meanwhile is waited for, and so is a node.
    async fn follow(
        &self,
        spec: &ProbeSpec,
        job: JobId,
        stop: &Stop,
        sink: &dyn Sink,
    ) -> Result<JobView, TuneError> {
        let (client, heard) = (&self.fleet.client, &Cell::new(false));
        let told = &Told::default();
        let waits_since = &Cell::new(None);
        self.patiently_hearing(stop, heard, || async move {
            let mut events =
                client.watch(WatchJobs { only: Some(job), ..WatchJobs::default() }).await?;
            loop {
                let event = tokio::time::timeout(WAITING_LOOK_INTERVAL, events.next()).await;
                match event {
                    Ok(event) => {
                        let event = event?;
                        heard.set(true);
                        match event {
                            Some(JobEvent::Job(summary)) if summary.state.is_terminal() => break,
                            Some(JobEvent::Job(summary)) => told.working(spec, &summary, sink),
                            Some(JobEvent::SnapshotEnd) => {}
                            None => break,
                        }
                    }
                    Err(_) => {
                        let view = client.job(job).await?;
                        heard.set(true);
                        if view.state.is_terminal() || self.waits_too_long(&view, waits_since, sink)
                        {
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

    /// Notes since when a job waits for a node that can run it, and says so.
    fn waits_too_long(
        &self,
        view: &JobView,
        since: &Cell<Option<Instant>>,
        sink: &dyn Sink,
    ) -> bool {
        let Some(what) = &view.waiting_for else {
            since.set(None);
            return false;
        };
        if !self.waiting_told.swap(true, Ordering::Relaxed) {
            let message =
                format!("job {} waits for {what}; it goes on when such a node comes", view.id);
            sink.event(&Event::Note { message });
        }
        let began = since.get().unwrap_or_else(Instant::now);
        since.set(Some(began));
        began.elapsed() >= NODE_WAIT_MAX
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
            let column = table.column(&model.name);
            frame_scores = column.ok_or_else(|| malformed("score a frame"))?.values.clone();
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
    async fn patiently<T, F>(&self, stop: &Stop, call: impl FnMut() -> F) -> Result<T, TuneError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        self.patiently_hearing(stop, &Cell::new(false), call).await
    }

    /// As [`patiently`](Self::patiently), for a call that lasts: it sets `heard` when the controller
    /// answered, and from then on the controller was not away.
    async fn patiently_hearing<T, F>(
        &self,
        stop: &Stop,
        heard: &Cell<bool>,
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
            if heard.replace(false) {
                backoff = Backoff::new(RETRY_WAIT_FIRST, RETRY_WAIT_MAX);
                away_since = None;
            }
            match answer {
                Ok(value) => return Ok(value),
                Err(error) if error.is_retryable() => {
                    let since = *away_since.get_or_insert_with(Instant::now);
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

/// When it was last told how far a job is.
#[derive(Debug, Default)]
struct Told(Cell<Option<Instant>>);

impl Told {
    /// Tells how far a job is that runs, not more often than is of use.
    fn working(&self, spec: &ProbeSpec, job: &JobSummary, sink: &dyn Sink) {
        let Some(progress) = job.progress.filter(|_| job.state == State::Running) else { return };
        if self.0.get().is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        self.0.set(Some(Instant::now()));
        // Nodes count what they score, which begins when all is encoded.
        let frames_total = progress.frames_total.unwrap_or(spec.range.count);
        sink.event(&Event::Working {
            quality: spec.request.quality,
            frames_encoded: if progress.frames_done > 0 { frames_total } else { 0 },
            frames_scored: progress.frames_done,
            frames_total,
        });
    }
}

impl Prober for FleetProber {
    fn probe(
        &self,
        spec: &ProbeSpec,
        key: &str,
        cx: &Context,
        stop: &Stop,
        sink: &dyn Sink,
    ) -> Result<Probe, TuneError> {
        let work = with_context(cx.clone(), self.run(spec, key, stop, sink));
        self.fleet.runtime.block_on(work)
    }

    fn chain(&self, encoder: Encoder) -> String {
        format!("fleet: {}", self.versions(encoder).join("; "))
    }
}

fn has(node: &NodeView, encoder: Encoder) -> bool {
    node.capabilities.encoders.iter().any(|name| name == encoder.as_str())
}

/// See [`FleetProber::versions`]. A node that says no version stands there by its program's alone.
fn versions(nodes: &[NodeView], encoder: Encoder) -> Vec<String> {
    let with = |node: &&NodeView| has(node, encoder);
    let mut able: Vec<&NodeView> = nodes.iter().filter(with).collect();
    if able.iter().any(|node| node.liveness == Liveness::Alive) {
        able.retain(|node| node.liveness == Liveness::Alive);
    }
    let said = |node: &NodeView| {
        // `ffmpeg 8.0, libx264 165` names its encoder as a word.
        let names = |words: &&String| words.split([' ', ',']).any(|word| word == encoder.as_str());
        let encodes = node.capabilities.encoder_versions.iter().find(names);
        let encodes = encodes.map_or(encoder.as_str(), String::as_str);
        format!("vmafx {}, {encodes}", node.capabilities.version)
    };
    let all: BTreeSet<String> = able.into_iter().map(said).collect();
    all.into_iter().collect()
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use types::{
        Capabilities, EncodeRequest, MediaRef, NodeId, Progress, Quality, SessionId, SpanId,
        Timestamp, TraceContext, TraceFlags, TraceId,
    };

    use super::*;
    use crate::probe::FrameRange;
    use crate::request::ScoreSettings;

    struct Ears(Mutex<Vec<Event>>);

    impl Sink for Ears {
        fn event(&self, event: &Event) {
            self.0.lock().expect("no panic").push(event.clone());
        }
    }

    #[test]
    fn frames_that_a_node_has_scored_are_told_of_and_not_too_often() {
        let spec = ProbeSpec {
            reference: MediaRef::new("/a.mp4"),
            source_sha256: String::new(),
            range: FrameRange { first: 0, count: 40 },
            kind: ProbeKind::Whole,
            request: EncodeRequest::new(Encoder::X264, Quality(2_300)),
            score: ScoreSettings::default(),
        };
        let job = |state: State, frames_done: u64| JobSummary {
            id: JobId::new(Timestamp::EPOCH, 1),
            tenant: String::new(),
            state,
            labels: std::collections::BTreeMap::new(),
            priority: 5,
            submitted_at: Timestamp::EPOCH,
            finished_at: None,
            attempts: 1,
            score: None,
            failure: None,
            trace: TraceContext {
                trace_id: TraceId::new([1; 16]).expect("not zero"),
                span_id: SpanId::new([1; 8]).expect("not zero"),
                flags: TraceFlags::RANDOM,
                tracestate: String::new(),
            },
            progress: Some(Progress { frames_done, frames_total: Some(40) }),
        };
        let (told, ears) = (Told::default(), Ears(Mutex::default()));
        told.working(&spec, &job(State::Queued, 0), &ears);
        told.working(&spec, &job(State::Running, 12), &ears);
        told.working(&spec, &job(State::Running, 13), &ears);
        let heard = ears.0.into_inner().expect("no panic");
        let expected = Event::Working {
            quality: Quality(2_300),
            frames_encoded: 40,
            frames_scored: 12,
            frames_total: 40,
        };
        assert_eq!(heard, [expected]);
    }

    fn node(liveness: Liveness, words: &[&str]) -> NodeView {
        NodeView {
            node: NodeId::new("n").expect("a name"),
            session: SessionId(1),
            liveness,
            draining: false,
            capabilities: Capabilities {
                backends: Vec::new(),
                codecs: Vec::new(),
                encoders: vec!["libx264".to_owned()],
                encoder_versions: words.iter().map(|words| (*words).to_owned()).collect(),
                slots: 1,
                isa: String::new(),
                version: "1".to_owned(),
            },
            slots_busy: 0,
            registered_at: Timestamp::from_unix_micros(0),
            last_seen_at: Timestamp::from_unix_micros(0),
        }
    }

    #[test]
    fn versions_are_those_of_nodes_alive_that_have_the_encoder() {
        let of = |nodes: &[NodeView]| versions(nodes, Encoder::X264);
        let old = node(Liveness::Alive, &["ffmpeg 7, libx265 4", "ffmpeg 7, libx264 164"]);
        let new = node(Liveness::Alive, &["ffmpeg 8, libx264 165"]);
        let gone = node(Liveness::Stale, &["ffmpeg 6, libx264 160"]);
        assert_eq!(of(&[old.clone(), old.clone()]), ["vmafx 1, ffmpeg 7, libx264 164"]);
        let both = ["vmafx 1, ffmpeg 7, libx264 164", "vmafx 1, ffmpeg 8, libx264 165"];
        assert_eq!(of(&[new, old, gone.clone()]), both);
        assert_eq!(of(&[gone]), ["vmafx 1, ffmpeg 6, libx264 160"], "it may come back");
        assert_eq!(of(&[node(Liveness::Alive, &[])]), ["vmafx 1, libx264"], "it does not say");
        assert!(versions(&[node(Liveness::Alive, &[])], Encoder::X265).is_empty());
    }
}
