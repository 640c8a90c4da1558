//! The handle: what everybody asks of the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use control::{
    Answer, Cancelled, Command, DueTrace, Forgettable, Idempotency, Keep, NodeMessage, Read,
    StoreError, StoreErrorKind, Submitted, waiting_for,
};
use store::SqliteReader;
use tokio::sync::{Semaphore, mpsc, oneshot};
use types::{
    AttemptReport, FrameTable, Incarnation, JobFilter, JobId, JobPage, JobSpec, JobView, NodeId,
    NodeStatus, NodeView, PartId, Registered, Registration, ReportAnswer, ReportWay, SessionId,
    SpanId, State, SubmitCall, Timestamp, ToNode, TraceContext,
};

use super::config::QueueConfig;
use super::error::QueueError;
use super::event::QueueObserver;
use super::intake::{check_capabilities, draft, encode_report};
use super::live::{Clock, Live};
use super::signs::QuietSigns;
use super::stats::{Gauges, QueueStats};
use super::stream::{StreamReply, WorkStream};
use super::thread::{self, QueueThread};
use super::watch::Watch;

/// Frame values above which a report is encoded off the runtime's own threads.
const INLINE_VALUES_MAX: usize = 16_384;

/// A job that asks to be accepted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// What is asked.
    pub spec: JobSpec,
    /// Whose it is; empty where there is one tenant only.
    pub tenant: String,
    /// The caller's key.
    pub idempotency: Option<Idempotency>,
    /// The creation context: the span that sends the job.
    pub trace: TraceContext,
    /// The span that will stand for the whole job, allocated by the caller.
    pub root_span_id: SpanId,
    /// The request that submits it, where it has a span of its own.
    pub call: Option<SubmitCall>,
}

/// Which failed jobs are tried again.
#[derive(Debug, Clone)]
pub enum RetrySelection {
    /// These, as far as they failed.
    Ids(Vec<JobId>),
    /// All failed ones that pass, at most [`QueueConfig::RETRY_JOBS_MAX`].
    Filter(JobFilter),
}

/// What the writer answers with: plain answers, or messages that are ready for a node.
#[derive(Debug)]
pub(super) enum Response {
    Answer(Answer),
    /// To `TracesDone`, `TracesTold`, `Forget` and `NoteCommits`.
    Done,
    ToNode(Vec<ToNode>),
    Attached {
        connection: control::ConnectionId,
        messages: mpsc::Receiver<ToNode>,
        replies: mpsc::WeakSender<ToNode>,
    },
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// A call.
    Call(oneshot::Sender<Result<Response, QueueError>>),
    /// A node whose report came over its work stream.
    Stream(StreamReply),
}

impl Reply {
    /// Answers. Where nobody waits any more the answer comes back.
    pub(super) fn send(
        self,
        answer: Result<Response, QueueError>,
    ) -> Result<(), Result<Response, QueueError>> {
        match self {
            Self::Call(to) => to.send(answer),
            Self::Stream(to) => {
                to.send(match answer {
                    Ok(Response::Answer(Answer::Reported(answer))) => Some(answer),
                    _ => None,
                });
                Ok(())
            }
        }
    }
}

/// What the writer thread is sent.
#[derive(Debug)]
pub(super) enum Message {
    Command(Command<Reply>),
    Cancel { job: JobId, to: Reply },
    Retry { jobs: Vec<JobId>, to: Reply },
    TracesDone { traces: Vec<DueTrace>, to: Reply },
    TracesTold { until: Timestamp, to: Reply },
    Forget { jobs: Vec<PartId>, to: Reply },
    HandOver { to: Reply },
    NoteCommits { to: Reply },
    Shutdown,
}

/// The bounded way to the writer. The bound is a count beside the channel, because the end of a
/// stream must get through however full it is; streams are bounded themselves.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) channel: crossbeam_channel::Sender<Message>,
    pub(super) waiting: Arc<AtomicUsize>,
}

impl Sender {
    fn send(&self, message: Message) -> Result<(), QueueError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QueueConfig::COMMANDS_WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(QueueError::Overloaded);
        }
        self.channel.send(message).map_err(|_| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            QueueError::Shutdown
        })
    }

    pub(super) fn tell(&self, command: Command<Reply>) -> Result<(), QueueError> {
        self.send(Message::Command(command))
    }

    pub(super) fn tell_surely(&self, command: Command<Reply>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.channel.send(Message::Command(command)).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn shut_down(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.channel.send(Message::Shutdown);
    }

    async fn ask(&self, message: impl FnOnce(Reply) -> Message) -> Result<Response, QueueError> {
        let (to, answer) = oneshot::channel();
        self.send(message(Reply::Call(to)))?;
        answer.await.unwrap_or(Err(QueueError::Shutdown))
    }

    async fn command(
        &self,
        command: impl FnOnce(Reply) -> Command<Reply>,
    ) -> Result<Response, QueueError> {
        self.ask(|to| Message::Command(command(to))).await
    }
}

/// Read-only connections, handed out one at a time.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) free: std::sync::Mutex<Vec<SqliteReader>>,
    pub(super) permits: Arc<Semaphore>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) readers: Readers,
    pub(super) gauges: Gauges,
    pub(super) live: Live,
    pub(super) quiet: Arc<QuietSigns>,
    pub(super) watchers: AtomicUsize,
    pub(super) follower: crossbeam_channel::Sender<super::follower::Note>,
    /// The follower missed something: every watch gets a fresh snapshot.
    pub(super) follower_lagged: std::sync::atomic::AtomicBool,
}

/// The queue. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(super) commands: Sender,
    pub(super) shared: Arc<Shared>,
}

impl Queue {
    /// Opens or creates the store, loads what decisions need, and starts the threads.
    ///
    /// # Errors
    /// [`QueueError::Store`] when the file cannot be opened, is held by another controller, is
    /// damaged, or durability is not to be had.
    #[expect(clippy::needless_pass_by_value, reason = "the queue takes its configuration over")]
    pub fn open(
        config: QueueConfig,
        observer: Arc<dyn QueueObserver>,
    ) -> Result<(Self, QueueThread), QueueError> {
        thread::open(&config, observer)
    }

    /// Accepts jobs: all or none, durable before it answers.
    ///
    /// # Errors
    /// [`QueueError::InvalidSpec`], [`QueueError::IdempotencyConflict`],
    /// [`QueueError::InvalidArgument`] for an empty or too long list, overload, store trouble.
    /// Dropping the future does not take the submission back.
    pub async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<Submitted>, QueueError> {
        if submissions.is_empty() || submissions.len() > QueueConfig::SUBMISSION_JOBS_MAX {
            let max = QueueConfig::SUBMISSION_JOBS_MAX;
            let text = format!("{} jobs are given; a call takes 1 to {max}", submissions.len());
            return Err(QueueError::InvalidArgument(text));
        }
        let drafts = submissions.into_iter().map(draft).collect::<Result<Vec<_>, _>>()?;
        match self.commands.command(|to| Command::Submit { drafts, to }).await? {
            Response::Answer(Answer::Submitted(submitted)) => Ok(submitted),
            Response::Answer(Answer::IdempotencyConflict(key)) => {
                Err(QueueError::IdempotencyConflict { key })
            }
            Response::Answer(Answer::TooManyClasses) => Err(QueueError::Overloaded),
            other => Err(unexpected(&other)),
        }
    }

    /// A job with everything but its frames.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], store trouble.
    pub async fn job(&self, id: JobId) -> Result<JobView, QueueError> {
        let found = self.read(move |reader| reader.job(id)).await?;
        let mut view = found.ok_or(QueueError::NotFound)?;
        self.shared.live.complete(&mut view, self.shared.clock.now());
        Ok(view)
    }

    /// One page of a job list, newest first.
    ///
    /// # Errors
    /// Store trouble.
    pub async fn jobs(
        &self,
        filter: JobFilter,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<JobPage, QueueError> {
        let limit = limit.clamp(1, QueueConfig::PAGE_JOBS_MAX);
        let mut page = self.read(move |reader| reader.page(&filter, after, limit)).await?;
        for job in &mut page.jobs {
            self.shared.live.complete_summary(job);
        }
        Ok(page)
    }

    /// One distorted video's per-frame values.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] for an unknown job or index, [`QueueError::NotReady`] for a job
    /// that has not succeeded, store trouble.
    pub async fn frames(
        &self,
        id: JobId,
        distorted_index: usize,
    ) -> Result<FrameTable, QueueError> {
        let (state, frames) = self
            .read(move |reader| Ok((reader.state(id)?, reader.frames(id, distorted_index)?)))
            .await?;
        match (state, frames) {
            (None, _) => Err(QueueError::NotFound),
            (Some(_), Some(frames)) => Ok(frames),
            (Some(State::Succeeded), None) => Err(QueueError::NotFound),
            (Some(state), None) => Err(QueueError::NotReady(state)),
        }
    }

    /// Cancels a job. Idempotent; a job that has ended stays as it is.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], overload, store trouble.
    pub async fn cancel(&self, id: JobId) -> Result<Cancelled, QueueError> {
        match self.commands.ask(|to| Message::Cancel { job: id, to }).await? {
            Response::Answer(Answer::Cancelled(cancelled)) => Ok(cancelled),
            other => Err(unexpected(&other)),
        }
    }

    /// Puts failed jobs back into the queue with fresh budgets; answers how many.
    ///
    /// # Errors
    /// [`QueueError::InvalidArgument`] for too many ids, overload, store trouble.
    pub async fn retry(&self, which: RetrySelection) -> Result<u64, QueueError> {
        let jobs = match which {
            RetrySelection::Ids(ids) => ids,
            RetrySelection::Filter(filter) => self.failed_jobs(filter).await?,
        };
        if jobs.len() > QueueConfig::RETRY_JOBS_MAX {
            let max = QueueConfig::RETRY_JOBS_MAX;
            let text = format!("{} jobs are given; a call takes at most {max}", jobs.len());
            return Err(QueueError::InvalidArgument(text));
        }
        match self.commands.ask(|to| Message::Retry { jobs, to }).await? {
            Response::Answer(Answer::Retried(count)) => Ok(count),
            Response::Answer(Answer::TooManyClasses) => Err(QueueError::Overloaded),
            other => Err(unexpected(&other)),
        }
    }

    async fn failed_jobs(&self, mut filter: JobFilter) -> Result<Vec<JobId>, QueueError> {
        if !filter.states.is_empty() && !filter.states.contains(&State::Failed) {
            return Ok(Vec::new());
        }
        filter.states = vec![State::Failed];
        let (mut jobs, mut after) = (Vec::new(), None);
        loop {
            let room = QueueConfig::RETRY_JOBS_MAX - jobs.len();
            let limit = room.min(QueueConfig::PAGE_JOBS_MAX);
            let page = self.jobs(filter.clone(), after, limit).await?;
            jobs.extend(page.jobs.iter().map(|job| job.id).take(room));
            after = page.next;
            if after.is_none() || jobs.len() == QueueConfig::RETRY_JOBS_MAX {
                return Ok(jobs);
            }
        }
    }

    /// Jobs that have ended and whose trace is to be exported, oldest first, and how many there are.
    ///
    /// # Errors
    /// Store trouble.
    pub async fn due_traces(&self, limit: usize) -> Result<(Vec<DueTrace>, u64), QueueError> {
        self.read(move |reader| reader.due_traces(limit)).await
    }

    /// The present time by the clock that all stored times are of.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// These traces have been exported, or are given up. Answers once that is durable.
    ///
    /// # Errors
    /// Overload and store trouble: then they are due as before.
    pub async fn traces_done(&self, traces: Vec<DueTrace>) -> Result<(), QueueError> {
        self.commands.ask(|to| Message::TracesDone { traces, to }).await.map(drop)
    }

    /// Until when the spans of recorded jobs are known to have arrived.
    ///
    /// # Errors
    /// Store trouble.
    pub async fn traces_told(&self) -> Result<Option<Timestamp>, QueueError> {
        self.read(|reader| reader.traces_told()).await
    }

    /// The spans of all recorded jobs that had ended by then have arrived. Answers once that is
    /// durable.
    ///
    /// # Errors
    /// Overload and store trouble: then it is as before.
    pub async fn tell_traces(&self, until: Timestamp) -> Result<(), QueueError> {
        self.commands.ask(|to| Message::TracesTold { until, to }).await.map(drop)
    }

    /// Answers once the observer has heard of everything that had ended before the question.
    ///
    /// # Errors
    /// Overload and store trouble: then nobody knows.
    pub async fn handed_over(&self) -> Result<(), QueueError> {
        self.commands.ask(|to| Message::HandOver { to }).await.map(drop)
    }

    /// Answers once the store knows how every commit went that was made before the question: what is
    /// told of jobs from then on is what any later run will tell of them.
    ///
    /// # Errors
    /// Overload and store trouble: then the last ones are known to this process alone.
    pub async fn note_commits(&self) -> Result<(), QueueError> {
        self.commands.ask(|to| Message::NoteCommits { to }).await.map(drop)
    }

    /// The newest recorded jobs that have ended since, at most `limit`.
    ///
    /// # Errors
    /// Store trouble.
    pub async fn recorded_since(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, QueueError> {
        self.read(move |reader| reader.recorded_since(since, limit)).await
    }

    /// The newest job but `newer` ones.
    ///
    /// # Errors
    /// Store trouble.
    pub async fn newest_but(&self, newer: u64) -> Result<Option<PartId>, QueueError> {
        self.read(move |reader| reader.newest_but(newer)).await
    }

    /// Jobs that have ended and need not be kept, among the `limit` oldest after `after`.
    ///
    /// # Errors
    /// Store trouble.
    pub async fn forgettable(
        &self,
        keep: Keep,
        after: PartId,
        limit: usize,
    ) -> Result<Forgettable, QueueError> {
        self.read(move |reader| reader.forgettable(&keep, after, limit)).await
    }

    /// Removes jobs, by their first parts, with everything that is kept of them; those that have
    /// not ended stay. Answers once that is durable.
    ///
    /// # Errors
    /// Overload and store trouble: then they are there as before.
    pub async fn forget(&self, jobs: Vec<PartId>) -> Result<(), QueueError> {
        self.commands.ask(|to| Message::Forget { jobs, to }).await.map(drop)
    }

    /// A snapshot of the newest jobs that pass, then every change of one that passes. With `only`,
    /// just that job, until it has ended.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] when `only` names no job, [`QueueError::Overloaded`] when too many
    /// watch already, store trouble.
    pub async fn watch(&self, filter: JobFilter, only: Option<JobId>) -> Result<Watch, QueueError> {
        super::follower::subscribe(&self.shared, filter, only).await
    }

    /// Registers a node process. The same process gets the same session.
    ///
    /// # Errors
    /// [`QueueError::InvalidArgument`] for capabilities out of bounds, overload, store trouble.
    pub async fn register(&self, registration: Registration) -> Result<Registered, QueueError> {
        check_capabilities(&registration)?;
        match self.commands.command(|to| Command::Register { registration, to }).await? {
            Response::Answer(Answer::Registered(registered)) => Ok(registered),
            Response::Answer(Answer::TooManyClasses) => Err(QueueError::Overloaded),
            other => Err(unexpected(&other)),
        }
    }

    /// Opens a node's work stream. An older one of the session ends.
    ///
    /// # Errors
    /// [`QueueError::UnknownSession`], overload.
    pub async fn attach(
        &self,
        session: SessionId,
        incarnation: Incarnation,
        status: NodeStatus,
    ) -> Result<WorkStream, QueueError> {
        let told = status.clone();
        let attach = |to| Command::Attach { session, incarnation, status, to };
        match self.commands.command(attach).await? {
            Response::Attached { connection, messages, replies } => Ok(WorkStream {
                session,
                incarnation,
                connection,
                messages,
                replies,
                commands: self.commands.clone(),
                clock: self.shared.clock.clone(),
                quiet: Arc::clone(&self.shared.quiet),
                told,
                unanswered: 0,
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes a node's sign of life; answers with stops and drains, never with a lease. Touches
    /// memory only.
    ///
    /// # Errors
    /// [`QueueError::UnknownSession`], overload.
    pub async fn heartbeat(
        &self,
        session: SessionId,
        incarnation: Incarnation,
        status: NodeStatus,
    ) -> Result<Vec<ToNode>, QueueError> {
        let beat = |to| Command::Heartbeat { session, incarnation, status, to };
        messages(self.commands.command(beat).await?)
    }

    /// Waits for work: answers as soon as there is something for the node, or after `wait`.
    ///
    /// # Errors
    /// [`QueueError::UnknownSession`], overload.
    pub async fn poll(
        &self,
        session: SessionId,
        incarnation: Incarnation,
        status: NodeStatus,
        wait: Duration,
    ) -> Result<Vec<ToNode>, QueueError> {
        let until = self.shared.clock.now().after(wait.min(QueueConfig::POLL_WAIT_MAX));
        let poll = |to| Command::Poll { session, incarnation, status, until, to };
        messages(self.commands.command(poll).await?)
    }

    /// Takes an attempt's end, which came by a call: durable before it answers.
    ///
    /// # Errors
    /// Overload and store trouble. That the session is not known is an answer, not an error.
    pub async fn report(
        &self,
        session: SessionId,
        incarnation: Incarnation,
        report: AttemptReport,
        way: ReportWay,
    ) -> Result<ReportAnswer, QueueError> {
        let received_at = self.shared.clock.now();
        let values = report.outcome.value_count();
        let encode = move || encode_report(report, received_at, way);
        let report = if values > INLINE_VALUES_MAX {
            tokio::task::spawn_blocking(encode).await.map_err(|_| QueueError::Shutdown)??
        } else {
            encode()?
        };
        let command = |to| Command::Report { session, incarnation, report: Box::new(report), to };
        match self.commands.command(command).await? {
            Response::Answer(Answer::Reported(answer)) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// The nodes known, by name.
    ///
    /// # Errors
    /// Overload.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, QueueError> {
        match self.commands.command(|to| Command::Nodes { to }).await? {
            Response::Answer(Answer::Nodes(nodes)) => Ok(nodes),
            other => Err(unexpected(&other)),
        }
    }

    /// Drains a node, or takes that back; answers how many attempts it still runs.
    ///
    /// # Errors
    /// [`QueueError::UnknownNode`], overload, store trouble.
    pub async fn drain(&self, node: NodeId, undo: bool) -> Result<u32, QueueError> {
        match self.commands.command(|to| Command::Drain { node, undo, to }).await? {
            Response::Answer(Answer::Draining(running)) => Ok(running),
            other => Err(unexpected(&other)),
        }
    }

    /// How the queue stands. Never waits.
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        let waiting = self.commands.waiting.load(Ordering::Relaxed);
        self.shared.gauges.read(self.shared.clock.now(), waiting)
    }

    async fn read<V: Send + 'static>(
        &self,
        question: impl FnOnce(&mut SqliteReader) -> Result<V, StoreError> + Send + 'static,
    ) -> Result<V, QueueError> {
        let permits = Arc::clone(&self.shared.readers.permits);
        let permit = permits.acquire_owned().await.map_err(|_| QueueError::Shutdown)?;
        let shared = Arc::clone(&self.shared);
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let free = || shared.readers.free.lock().unwrap_or_else(|held| held.into_inner());
            let Some(mut reader) = free().pop() else { return Err(QueueError::Shutdown) };
            let answer = question(&mut reader);
            free().push(reader);
            Ok(answer?)
        });
        answer.await.unwrap_or(Err(QueueError::Shutdown))
    }
}

fn unexpected(response: &Response) -> QueueError {
    match response {
        Response::Answer(Answer::UnknownSession) => QueueError::UnknownSession,
        Response::Answer(Answer::UnknownNode) => QueueError::UnknownNode,
        other => QueueError::Store(StoreError::new(
            StoreErrorKind::Internal,
            "answer a call",
            format!("the queue gave an answer of another kind: {other:?}"),
        )),
    }
}

fn messages(response: Response) -> Result<Vec<ToNode>, QueueError> {
    match response {
        Response::ToNode(messages) => Ok(messages),
        Response::Answer(Answer::Messages(messages)) => {
            Ok(messages.iter().filter_map(without_lease).collect())
        }
        other => Err(unexpected(&other)),
    }
}

/// The message as the node gets it, where it needs nothing from the store.
pub(super) fn without_lease(message: &NodeMessage) -> Option<ToNode> {
    match *message {
        NodeMessage::Lease(_) => None,
        NodeMessage::Stop { part, fence, reason } => Some(ToNode::Stop { part, fence, reason }),
        NodeMessage::Reregister => Some(ToNode::Reregister),
        NodeMessage::Drain => Some(ToNode::Drain),
        NodeMessage::Acknowledged(number) => Some(ToNode::Acknowledged(number)),
    }
}

/// What only memory knows of a queued job.
pub(super) fn waiting_reason(
    view: &JobView,
    nodes: &[Arc<types::Capabilities>],
    now: Timestamp,
) -> Option<String> {
    let since = view.available_at.unwrap_or(view.submitted_at);
    let nodes = nodes.iter().map(AsRef::as_ref);
    (view.state == State::Queued)
        .then(|| waiting_for(&view.spec.requirements, nodes, since, now))
        .flatten()
}
