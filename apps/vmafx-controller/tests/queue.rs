//! The queue from end to end, on a real store: no gRPC, no HTTP, no node process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;
use types::{
    AttemptOutcome, AttemptReport, Capabilities, Column, Failure, FailureKind, Fence, FrameTable,
    Incarnation, JobFilter, JobId, JobSpec, Lease, MediaRef, ModelScore, NodeId, NodeStatus,
    Outcome, PooledScore, Provenance, Registration, ReportAnswer, ReportWay, RunningPart,
    ScoreReport, SessionId, SpanId, StageTimings, State, StopReason, ToNode, TraceContext,
    TraceFlags, TraceId,
};
use vmafx_controller::queue::{
    Idempotency, Queue, QueueConfig, QueueError, QueueEvent, QueueObserver, QueueThread,
    RetryPolicy, RetrySelection, Submission, WatchEvent, WorkStream,
};

/// Longer than anything here takes, so that only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl QueueObserver for Log {
    fn observe(&self, event: &QueueEvent<'_>) {
        let line = match event {
            QueueEvent::Submitted { .. } => "submitted".to_owned(),
            QueueEvent::Leased { lease, .. } => format!("leased {}", lease.attempt),
            QueueEvent::AttemptEnded { attempt, .. } => {
                format!("ended {}", attempt.outcome.expect("it ended").as_str())
            }
            QueueEvent::Retried { .. } => "retried".to_owned(),
            QueueEvent::Reported { answer } => format!("reported {}", answer.as_str()),
            QueueEvent::JobFinished { job } => format!("finished {}", job.state),
            QueueEvent::Unobserved { .. } => "unobserved".to_owned(),
            QueueEvent::Nondeterminism { .. } => "nondeterminism".to_owned(),
            QueueEvent::Committed { .. } => return,
        };
        self.0.lock().expect("not poisoned").push(line);
    }
}

impl Log {
    /// Waits until the log holds the line.
    async fn wait_for(&self, line: &str) {
        let seen = async {
            while !self.0.lock().expect("not poisoned").iter().any(|other| other == line) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{line} never came"));
    }
}

struct Site {
    directory: TempDir,
    config: QueueConfig,
    log: Arc<Log>,
    queue: Queue,
    thread: Option<QueueThread>,
}

fn config(directory: &TempDir) -> QueueConfig {
    let mut config = QueueConfig::new(directory.path().join("queue.db"));
    config.wal_prewarm_bytes = 1 << 20;
    config
}

impl Site {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut QueueConfig)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(&directory);
        change(&mut config);
        let log = Arc::new(Log::default());
        let (queue, thread) = Queue::open(config.clone(), log.clone()).expect("a fresh store");
        Self { directory, config, log, queue, thread: Some(thread) }
    }

    /// Ends the queue and opens it again on the same file.
    fn restart(&mut self) {
        drop(self.thread.take());
        let opened = Queue::open(self.config.clone(), self.log.clone());
        let (queue, thread) = opened.expect("the same store");
        (self.queue, self.thread) = (queue, Some(thread));
    }

    async fn submit(&self, submission: Submission) -> JobId {
        self.queue.submit(vec![submission]).await.expect("accepted")[0].job
    }

    async fn node(&self, name: &str, incarnation: u64) -> Node {
        let node = NodeId::new(name).expect("a good name");
        let incarnation = Incarnation(incarnation);
        let capabilities = Capabilities {
            backends: vec!["cpu".into()],
            codecs: vec!["y4m".into()],
            encoders: Vec::new(),
            encoder_versions: Vec::new(),
            slots: 1,
            isa: "avx2".into(),
            version: "test".into(),
        };
        let registration = Registration { node, incarnation, capabilities };
        let session = self.queue.register(registration).await.expect("registered").session;
        Node { session, incarnation }
    }

    async fn state(&self, job: JobId) -> State {
        self.queue.job(job).await.expect("it is there").state
    }
}

#[derive(Clone, Copy)]
struct Node {
    session: SessionId,
    incarnation: Incarnation,
}

impl Node {
    async fn attach(&self, queue: &Queue, status: NodeStatus) -> WorkStream {
        queue.attach(self.session, self.incarnation, status).await.expect("a known session")
    }

    async fn report(&self, queue: &Queue, lease: &Lease, outcome: Outcome) -> ReportAnswer {
        let digest = digest(&outcome);
        let (part, fence, timings) = (lease.part, lease.fence, StageTimings::default());
        let report = AttemptReport { part, fence, outcome, timings, digest };
        let call = ReportWay::CALL;
        queue.report(self.session, self.incarnation, report, call).await.expect("answered")
    }
}

fn digest(outcome: &Outcome) -> [u8; 32] {
    let mut digest = [0_u8; 32];
    for (at, byte) in format!("{outcome:?}").bytes().enumerate() {
        digest[at % 32] = u8::wrapping_add(digest[at % 32].rotate_left(3), byte);
    }
    digest
}

fn idle() -> NodeStatus {
    NodeStatus { slots_offered: 1, running: Vec::new(), draining: false }
}

fn busy(lease: &Lease) -> NodeStatus {
    let running = RunningPart {
        part: lease.part,
        fence: lease.fence,
        frames_done: 7,
        frames_total: Some(10),
    };
    NodeStatus { slots_offered: 1, running: vec![running], draining: false }
}

fn submission() -> Submission {
    let trace = TraceContext {
        trace_id: TraceId::new([7; 16]).expect("not zero"),
        span_id: SpanId::new([8; 8]).expect("not zero"),
        flags: TraceFlags::SAMPLED,
        tracestate: "vendor=1".into(),
    };
    Submission {
        spec: JobSpec::pair(MediaRef::new("/reference.y4m"), MediaRef::new("/distorted.y4m")),
        tenant: String::new(),
        idempotency: None,
        trace,
        root_span_id: SpanId::new([9; 8]).expect("not zero"),
        call: None,
    }
}

fn success(score: f64) -> Outcome {
    let pooled = PooledScore {
        mean: score,
        harmonic_mean: score,
        min: score,
        max: score,
        standard_deviation: 0.0,
        p1: score,
        p5: score,
        p10: score,
        p25: score,
        p50: score,
    };
    Outcome::Succeeded(vec![ScoreReport {
        width: 1_920,
        height: 1_080,
        models: vec![ModelScore {
            name: "vmaf".into(),
            version: "vmaf_v0.6.1".into(),
            sha256: String::new(),
            pooled,
        }],
        pooled: vec![("vmaf".into(), pooled)],
        aggregates: Vec::new(),
        frames: FrameTable {
            frame_indices: vec![0, 1],
            columns: vec![Column { name: "vmaf".into(), values: vec![score, score] }],
        },
        warnings: Vec::new(),
        provenance: Provenance::default(),
        timings: StageTimings::default(),
        digest: format!("{score:?}"),
        encoded: None,
    }])
}

async fn lease(stream: &mut WorkStream) -> Box<Lease> {
    match timeout(PATIENCE, stream.next()).await.expect("a lease comes") {
        Some(ToNode::Lease(lease)) => lease,
        other => panic!("expected a lease, got {other:?}"),
    }
}

async fn stop(stream: &mut WorkStream) -> (Fence, StopReason) {
    match timeout(PATIENCE, stream.next()).await.expect("a stop comes") {
        Some(ToNode::Stop { fence, reason, .. }) => (fence, reason),
        other => panic!("expected a stop, got {other:?}"),
    }
}

#[tokio::test]
async fn a_job_goes_from_submission_to_its_result_and_every_step_is_stored() {
    let site = Site::new();
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let job = site.submit(submission()).await;
    let lease = lease(&mut stream).await;
    assert_eq!((lease.job, lease.attempt, lease.fence), (job, 1, Fence(1)));
    assert_eq!(*lease.spec, submission().spec);
    assert_eq!(lease.trace.trace_id, submission().trace.trace_id);
    assert_eq!(lease.parent.span_id, submission().root_span_id);
    assert_eq!(site.state(job).await, State::Running);
    assert_eq!(node.report(&site.queue, &lease, success(93.5)).await, ReportAnswer::Accepted);
    let view = site.queue.job(job).await.expect("there");
    assert_eq!(view.state, State::Succeeded);
    assert_eq!(view.results[0].models[0].pooled.mean.to_bits(), 93.5_f64.to_bits());
    assert_eq!(view.trace, submission().trace);
    assert_eq!(view.attempts.len(), 1);
    assert_eq!(view.attempts[0].outcome, Some(AttemptOutcome::Succeeded));
    assert_eq!(view.attempts[0].span_id, lease.trace.span_id);
    assert!(view.finished_at >= view.started_at && view.started_at >= Some(view.submitted_at));
    let frames = site.queue.frames(job, 0).await.expect("frames");
    assert_eq!(frames.columns[0].values, [93.5, 93.5]);
    assert_eq!(site.queue.frames(job, 1).await, Err(QueueError::NotFound));
    site.log.wait_for("finished succeeded").await;
}

#[tokio::test]
async fn an_accepted_report_sent_again_is_a_duplicate_and_another_one_stale() {
    let site = Site::new();
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    site.submit(submission()).await;
    let lease = lease(&mut stream).await;
    assert_eq!(node.report(&site.queue, &lease, success(1.0)).await, ReportAnswer::Accepted);
    assert_eq!(node.report(&site.queue, &lease, success(1.0)).await, ReportAnswer::Duplicate);
    assert_eq!(node.report(&site.queue, &lease, success(2.0)).await, ReportAnswer::Stale);
    site.log.wait_for("nondeterminism").await;
    let unknown = Node { session: SessionId(99), ..node };
    let answer = unknown.report(&site.queue, &lease, success(1.0)).await;
    assert_eq!(answer, ReportAnswer::UnknownSession);
}

#[tokio::test]
async fn a_job_whose_node_vanished_runs_elsewhere_after_the_grace_and_the_late_report_is_stale() {
    let site = Site::with(|config| config.stream_grace = Duration::from_millis(20));
    let (dead, other) = (site.node("dead", 1).await, site.node("other", 1).await);
    let mut stream = dead.attach(&site.queue, idle()).await;
    let job = site.submit(submission()).await;
    let first = lease(&mut stream).await;
    drop(stream);
    let mut stream = other.attach(&site.queue, idle()).await;
    let second = lease(&mut stream).await;
    assert_eq!((second.attempt, second.fence), (2, Fence(2)));
    assert_eq!(dead.report(&site.queue, &first, success(1.0)).await, ReportAnswer::Stale);
    assert_eq!(other.report(&site.queue, &second, success(2.0)).await, ReportAnswer::Accepted);
    let view = site.queue.job(job).await.expect("there");
    assert_eq!(view.results[0].models[0].pooled.mean.to_bits(), 2.0_f64.to_bits());
    let outcomes: Vec<_> = view.attempts.iter().filter_map(|a| a.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Lost, AttemptOutcome::Succeeded]);
    assert_eq!(view.attempts[0].failure.as_ref().map(|f| f.kind), Some(FailureKind::NodeLost));
}

#[tokio::test]
async fn a_node_that_comes_back_within_the_grace_keeps_its_lease() {
    let site = Site::with(|config| config.stream_grace = PATIENCE);
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let job = site.submit(submission()).await;
    let lease = lease(&mut stream).await;
    drop(stream);
    let _stream = node.attach(&site.queue, busy(&lease)).await;
    assert_eq!(node.report(&site.queue, &lease, success(1.0)).await, ReportAnswer::Accepted);
    assert_eq!(site.queue.job(job).await.expect("there").attempts.len(), 1);
}

#[tokio::test]
async fn a_lease_that_never_arrived_goes_out_again_and_counts_against_nothing() {
    let site = Site::with(|config| config.stream_grace = PATIENCE);
    let node = site.node("a", 1).await;
    let stream = node.attach(&site.queue, idle()).await;
    let job = site.submit(submission()).await;
    while site.state(job).await != State::Running {}
    drop(stream);
    let mut stream = node.attach(&site.queue, idle()).await;
    assert_eq!(lease(&mut stream).await.fence, Fence(2));
}

#[tokio::test]
async fn a_running_job_goes_on_over_a_restart_of_the_controller() {
    let mut site = Site::new();
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let (running, waiting) = (site.submit(submission()).await, site.submit(submission()).await);
    let held = lease(&mut stream).await;
    drop(stream);
    site.restart();
    assert_eq!(site.state(running).await, State::Running);
    let mut stream = node.attach(&site.queue, busy(&held)).await;
    assert_eq!(node.report(&site.queue, &held, success(1.0)).await, ReportAnswer::Accepted);
    assert_eq!(site.queue.job(running).await.expect("there").attempts.len(), 1);
    assert_eq!(lease(&mut stream).await.job, waiting);
}

#[tokio::test]
async fn a_cancel_reaches_the_running_node_and_its_report_changes_nothing() {
    let site = Site::new();
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let job = site.submit(submission()).await;
    let held = lease(&mut stream).await;
    let cancelled = site.queue.cancel(job).await.expect("there");
    assert_eq!((cancelled.state, cancelled.changed), (State::Cancelled, true));
    assert_eq!(stop(&mut stream).await, (held.fence, StopReason::Cancelled));
    assert_eq!(node.report(&site.queue, &held, success(1.0)).await, ReportAnswer::Cancelled);
    let again = site.queue.cancel(job).await.expect("there");
    assert_eq!((again.state, again.changed), (State::Cancelled, false));
    assert_eq!(site.queue.frames(job, 0).await, Err(QueueError::NotReady(State::Cancelled)));
    let nowhere = "018bcfe5-687b-7fff-bfff-ffffffffffff".parse().expect("a job id");
    assert_eq!(site.queue.cancel(nowhere).await, Err(QueueError::NotFound));
}

#[tokio::test]
async fn errors_are_tried_again_until_the_budget_is_used_up_and_then_by_hand() {
    let fast = RetryPolicy { first: Duration::from_millis(1), ..RetryPolicy::default() };
    let site = Site::with(|config| config.retry = fast);
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let job = site.submit(submission()).await;
    for attempt in 1..=3 {
        let held = lease(&mut stream).await;
        assert_eq!(held.attempt, attempt);
        let outcome = Outcome::Failed(Failure::new(FailureKind::Io, "a cable"));
        assert_eq!(node.report(&site.queue, &held, outcome).await, ReportAnswer::Accepted);
    }
    let view = site.queue.job(job).await.expect("there");
    assert_eq!((view.state, view.attempts.len()), (State::Failed, 3));
    assert_eq!(view.failure.map(|f| f.message), Some("a cable".to_owned()));
    let failed = JobFilter { states: vec![State::Failed], ..JobFilter::default() };
    let page = site.queue.jobs(failed.clone(), None, 10).await.expect("a page");
    assert_eq!(page.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
    assert_eq!(site.queue.retry(RetrySelection::Filter(failed)).await, Ok(1));
    assert_eq!(site.queue.retry(RetrySelection::Ids(vec![job])).await, Ok(0));
    let held = lease(&mut stream).await;
    assert_eq!(held.fence, Fence(4));
    assert_eq!(node.report(&site.queue, &held, success(5.0)).await, ReportAnswer::Accepted);
    assert_eq!(site.state(job).await, State::Succeeded);
}

#[tokio::test]
async fn one_idempotency_key_is_one_job_over_calls_batches_and_restarts() {
    let mut site = Site::new();
    let keyed = |key: &str, body: u8| {
        let idempotency = Some(Idempotency { key: key.into(), body_digest: [body; 32] });
        Submission { idempotency, ..submission() }
    };
    let (first, second) = tokio::join!(
        site.queue.submit(vec![keyed("k", 1)]),
        site.queue.submit(vec![keyed("k", 1)])
    );
    let (first, second) = (first.expect("accepted"), second.expect("accepted"));
    assert_eq!(first[0].job, second[0].job);
    assert!(first[0].existing != second[0].existing, "one of them made it");
    site.restart();
    let third = site.queue.submit(vec![keyed("k", 1)]).await.expect("accepted");
    assert_eq!((third[0].job, third[0].existing), (first[0].job, true));
    let conflict = site.queue.submit(vec![keyed("new", 1), keyed("k", 2)]).await;
    assert_eq!(conflict, Err(QueueError::IdempotencyConflict { key: "k".into() }));
    let page = site.queue.jobs(JobFilter::default(), None, 10).await.expect("a page");
    assert_eq!(page.jobs.len(), 1, "a refused call accepts none of its jobs");
}

#[tokio::test]
async fn a_watch_shows_what_is_there_then_every_change_and_ends_with_its_job() {
    let site = Site::new();
    let job = site.submit(submission()).await;
    let mut watch = site.queue.watch(JobFilter::default(), Some(job)).await.expect("a watch");
    let mut states = Vec::new();
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let held = lease(&mut stream).await;
    node.report(&site.queue, &held, success(4.0)).await;
    while let Some(event) = timeout(PATIENCE, watch.next()).await.expect("it goes on") {
        match event {
            WatchEvent::Job(job) => states.push(job.state),
            WatchEvent::SnapshotEnd => states.push(State::Cancelled),
        }
    }
    assert_eq!(states.first(), Some(&State::Queued));
    assert_eq!(states.get(1), Some(&State::Cancelled), "the snapshot's end");
    assert_eq!(states.last(), Some(&State::Succeeded));
}

#[tokio::test]
async fn a_poll_answers_as_soon_as_there_is_work_and_an_abandoned_one_swallows_none() {
    let site = Site::new();
    let node = site.node("a", 1).await;
    let none = site.queue.poll(node.session, node.incarnation, idle(), Duration::ZERO).await;
    assert_eq!(none, Ok(Vec::new()));
    let abandoned = site.queue.poll(node.session, node.incarnation, idle(), PATIENCE);
    assert!(timeout(Duration::from_millis(50), abandoned).await.is_err());
    let job = site.submit(submission()).await;
    let poll = site.queue.poll(node.session, node.incarnation, idle(), PATIENCE);
    let got = timeout(PATIENCE, poll).await.expect("at once").expect("messages");
    let Some(ToNode::Lease(held)) = got.first() else { panic!("no lease in {got:?}") };
    assert_eq!(held.job, job);
}

#[tokio::test]
async fn a_drained_node_gets_no_work_and_may_be_taken_back() {
    let mut site = Site::new();
    let node = site.node("a", 1).await;
    let name = NodeId::new("a").expect("a good name");
    assert_eq!(site.queue.drain(name.clone(), false).await, Ok(0));
    site.restart();
    let mut stream = node.attach(&site.queue, idle()).await;
    assert_eq!(timeout(PATIENCE, stream.next()).await.expect("told"), Some(ToNode::Drain));
    let job = site.submit(submission()).await;
    assert_eq!(site.state(job).await, State::Queued);
    assert_eq!(site.queue.drain(name, true).await, Ok(0));
    assert_eq!(lease(&mut stream).await.job, job);
    let unknown = NodeId::new("b").expect("a good name");
    assert_eq!(site.queue.drain(unknown, false).await, Err(QueueError::UnknownNode));
}

#[tokio::test]
async fn a_new_process_of_a_node_ends_the_old_ones_leases_at_once() {
    let site = Site::with(|config| config.stream_grace = PATIENCE);
    let old = site.node("a", 1).await;
    let mut old_stream = old.attach(&site.queue, idle()).await;
    site.submit(submission()).await;
    let held = lease(&mut old_stream).await;
    let new = site.node("a", 2).await;
    assert_ne!(new.session, old.session);
    let mut stream = new.attach(&site.queue, idle()).await;
    assert_eq!(lease(&mut stream).await.fence, held.fence.next());
    let told = timeout(PATIENCE, old_stream.next()).await.expect("told");
    assert_eq!(told, Some(ToNode::Reregister));
    assert_eq!(timeout(PATIENCE, old_stream.next()).await.expect("ended"), None);
    let gone = site.queue.heartbeat(old.session, old.incarnation, idle()).await;
    assert_eq!(gone, Err(QueueError::UnknownSession));
}

#[tokio::test]
async fn a_second_controller_on_the_same_file_is_refused() {
    let site = Site::new();
    let second = Queue::open(config(&site.directory), Arc::new(Log::default()));
    let Err(QueueError::Store(error)) = second else { panic!("two controllers on one file") };
    assert!(error.to_string().contains("another controller"), "{error}");
}

#[tokio::test]
async fn lists_are_paged_newest_first_and_filtered() {
    let site = Site::new();
    let mut jobs = Vec::new();
    for index in 0..7 {
        let mut one = submission();
        let label = if index % 2 == 0 { "even" } else { "odd" };
        one.spec.labels.insert("parity".into(), label.into());
        jobs.push(site.submit(one).await);
    }
    jobs.reverse();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = site.queue.jobs(JobFilter::default(), after, 3).await.expect("a page");
        seen.extend(page.jobs.iter().map(|job| job.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, jobs);
    let labels = [("parity".to_owned(), "odd".to_owned())].into();
    let odd = JobFilter { labels, states: vec![State::Queued], ..JobFilter::default() };
    let page = site.queue.jobs(odd, None, 10).await.expect("a page");
    assert_eq!(page.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [jobs[1], jobs[3], jobs[5]]);
}

#[tokio::test]
async fn a_full_disk_refuses_clearly_loses_nothing_and_is_over_when_there_is_room() {
    let mut site = Site::with(|config| config.bytes_max = Some(2 << 20));
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let mut accepted = Vec::new();
    let refused = loop {
        match site.queue.submit(vec![submission(); 100]).await {
            Ok(jobs) => accepted.extend(jobs.into_iter().map(|job| job.job)),
            Err(error) => break error,
        }
        assert!(accepted.len() < 100_000, "the disk is never full");
    };
    let QueueError::Store(error) = &refused else { panic!("{refused:?}") };
    assert_eq!(error.kind, control::StoreErrorKind::DiskFull);
    assert!(refused.is_retryable() && error.to_string().contains("free space"), "{error}");
    // Reading goes on, and what was accepted is there.
    assert_eq!(site.state(accepted[accepted.len() - 1]).await, State::Queued);
    let again = site.queue.submit(vec![submission()]).await;
    assert!(matches!(again, Err(QueueError::Store(_))), "{again:?}");
    let held = lease(&mut stream).await;
    drop(stream);
    site.config.bytes_max = None;
    site.restart();
    for job in &accepted {
        site.queue.job(*job).await.expect("accepted is accepted");
    }
    let mut stream = node.attach(&site.queue, busy(&held)).await;
    assert_eq!(node.report(&site.queue, &held, success(1.0)).await, ReportAnswer::Accepted);
    lease(&mut stream).await;
}

#[tokio::test]
async fn work_goes_on_by_itself_once_the_store_can_be_written_again() {
    let site = Site::with(|config| config.bytes_max = Some(2 << 20));
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let first = site.submit(submission()).await;
    let held = lease(&mut stream).await;
    // In pieces so large that what does not fit leaves room for a report.
    while site.queue.submit(vec![submission(); QueueConfig::SUBMISSION_JOBS_MAX]).await.is_ok() {}
    // The pause after the failed commit refuses writes; then the store is loaded anew, the stream
    // still stands, and what fits is written.
    let report = |outcome: Outcome| AttemptReport {
        part: held.part,
        fence: held.fence,
        digest: digest(&outcome),
        outcome,
        timings: StageTimings::default(),
    };
    let released = async {
        loop {
            let report = report(Outcome::Released);
            let call = ReportWay::CALL;
            match site.queue.report(node.session, node.incarnation, report, call).await {
                Ok(answer) => return answer,
                Err(QueueError::Store(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    let answer = timeout(PATIENCE, released).await.expect("the pause ends");
    assert_eq!(answer, ReportAnswer::Accepted);
    assert_eq!(lease(&mut stream).await.job, first);
}

#[tokio::test]
async fn retries_and_a_cancel_of_one_job_that_arrive_together_are_each_answered() {
    let site = Site::new();
    let node = site.node("a", 1).await;
    for _ in 0..5 {
        let mut stream = node.attach(&site.queue, idle()).await;
        let job = site.submit(submission()).await;
        let held = lease(&mut stream).await;
        let outcome = Outcome::Failed(Failure::new(FailureKind::NotAVideo, "a picture"));
        assert_eq!(node.report(&site.queue, &held, outcome).await, ReportAnswer::Accepted);
        // No slot is offered any more, and the writer has enough to do for the rest to wait
        // together.
        let none = NodeStatus { slots_offered: 0, ..idle() };
        let stream = node.attach(&site.queue, none).await;
        let others = vec![submission(); QueueConfig::SUBMISSION_JOBS_MAX];
        let again = || site.queue.retry(RetrySelection::Ids(vec![job]));
        let (others, first, cancel, second) =
            tokio::join!(site.queue.submit(others), again(), site.queue.cancel(job), again());
        assert_eq!((first, second), (Ok(1), Ok(0)));
        assert_eq!(cancel.map(|it| (it.state, it.changed)), Ok((State::Cancelled, true)));
        for other in others.expect("accepted") {
            site.queue.cancel(other.job).await.expect("cancelled");
        }
        drop(stream);
    }
}

#[tokio::test]
async fn the_word_that_all_was_handed_over_comes_behind_it() {
    let site = Site::new();
    let node = site.node("a", 1).await;
    for round in 1..=20 {
        let mut stream = node.attach(&site.queue, idle()).await;
        site.submit(submission()).await;
        let held = lease(&mut stream).await;
        assert_eq!(node.report(&site.queue, &held, success(1.0)).await, ReportAnswer::Accepted);
        site.queue.handed_over().await.expect("the queue is open");
        let log = site.log.0.lock().expect("not poisoned");
        assert_eq!(log.iter().filter(|line| line.starts_with("finished")).count(), round);
    }
}

#[tokio::test]
async fn what_finished_before_the_end_is_told_before_the_end() {
    let mut site = Site::new();
    const JOBS: usize = 200;
    let jobs = site.queue.submit(vec![submission(); JOBS]).await.expect("accepted");
    let cancels = jobs.iter().map(|job| site.queue.cancel(job.job));
    let cancelled = futures_util::future::join_all(cancels).await;
    assert!(cancelled.iter().all(Result::is_ok));
    drop(site.thread.take());
    let log = site.log.0.lock().expect("not poisoned");
    assert_eq!(log.iter().filter(|line| *line == "finished cancelled").count(), JOBS);
}

#[tokio::test]
async fn watchers_that_left_make_room_for_others_although_nothing_happens() {
    let site = Site::new();
    let watch = || site.queue.watch(JobFilter::default(), None);
    let mut watches = Vec::new();
    for _ in 0..QueueConfig::WATCHERS_MAX {
        watches.push(watch().await.expect("there is room"));
    }
    assert!(matches!(watch().await, Err(QueueError::Overloaded)));
    watches.clear();
    watch().await.expect("there is room again");
}

#[tokio::test]
async fn a_report_with_fewer_results_than_the_job_has_distorted_videos_is_a_failed_attempt() {
    let site = Site::new();
    let node = site.node("a", 1).await;
    let mut stream = node.attach(&site.queue, idle()).await;
    let mut two = submission();
    two.spec.distorted.push(MediaRef::new("/other.y4m"));
    two.spec.attempts_max = std::num::NonZeroU32::MIN;
    let job = site.submit(two).await;
    let held = lease(&mut stream).await;
    // It counts as an answer: the node forgets it, and the part is tried elsewhere, or fails.
    assert_eq!(node.report(&site.queue, &held, success(1.0)).await, ReportAnswer::Accepted);
    let view = site.queue.job(job).await.expect("there");
    assert_eq!(view.state, State::Failed);
    let failure = view.attempts[0].failure.clone().expect("a failed attempt");
    assert_eq!(failure.kind, FailureKind::Internal);
    assert!(failure.message.contains("1 results for 2 distorted videos"), "{failure:?}");
}
