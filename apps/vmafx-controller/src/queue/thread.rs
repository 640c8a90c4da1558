//! The writer thread: takes commands, lets `control` decide, commits, lets effects leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control::{
    Command, Control, DueTrace, Effect, Event, ExistingKey, Output, Random, ReportedOutcome, Store,
    StoreError, StoreErrorKind, Transition, Turn, Verdict,
};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use store::{SqliteConfig, SqliteStore};
use tokio::sync::Semaphore;
use types::{Commit, CommitNote, Failure, FailureKind, JobId, Timestamp};

use super::config::QueueConfig;
use super::error::QueueError;
use super::event::{FinishedJob, QueueEvent, QueueObserver};
use super::follower::{self, Note};
use super::handle::{Message, Queue, Readers, Reply, Response, Sender, Shared};
use super::live::{Clock, Live};
use super::release::Release;
use super::signs::QuietSigns;
use super::stats::Gauges;

/// How often the numbers that cost a look at every node are brought up to date.
const GAUGES_EVERY: Duration = Duration::from_millis(100);

/// The queue's threads. Dropping it stops them like [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct QueueThread {
    commands: Sender,
    notes: crossbeam_channel::Sender<Note>,
    writer: Option<JoinHandle<()>>,
    follower: Option<JoinHandle<()>>,
}

impl QueueThread {
    /// Stops taking commands, finishes what was taken, ends all streams and watches, and waits for
    /// the threads to end. Everything that was answered is durable already.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.commands.shut_down();
            if writer.join().is_err() {
                tracing::error!("the queue's writer thread panicked");
            }
        }
        if let Some(follower) = self.follower.take() {
            let _ = self.notes.send(Note::Shutdown);
            if follower.join().is_err() {
                tracing::error!("the queue's follower thread panicked");
            }
        }
    }
}

impl Drop for QueueThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A seed that no other start has: the clock's nanoseconds, the process and an address, mixed.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    hasher.write_u128(nanos);
    hasher.write_u32(std::process::id());
    hasher.finish()
}

pub(super) fn open(
    config: &QueueConfig,
    observer: Arc<dyn QueueObserver>,
) -> Result<(Queue, QueueThread), QueueError> {
    let started = Instant::now();
    let sqlite = SqliteConfig {
        path: config.path.clone(),
        wal_prewarm_bytes: config.wal_prewarm_bytes,
        bytes_max: config.bytes_max,
    };
    let mut store = SqliteStore::open(sqlite)?;
    let disk = store.disk_times();
    let clock = Clock::new();
    let readers = (0..config.readers.max(1))
        .map(|_| store.open_reader(config.read_timeout))
        .collect::<Result<Vec<_>, _>>()?;
    let follower_reader = store.open_reader(config.read_timeout)?;
    let mut control = Control::new(config.control());
    let now = clock.now();
    store.load(now, &mut |stored| control.load(stored, now))?;
    let (channel, messages) = crossbeam_channel::unbounded();
    let (follower, notes) = crossbeam_channel::bounded(QueueConfig::FOLLOWER_CHANGES_MAX);
    let commands = Sender { channel, waiting: Arc::new(AtomicUsize::new(0)) };
    let gauges = Gauges::default();
    let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
    gauges.fsync_p50_us.store(micros(disk.p50), Ordering::Relaxed);
    gauges.fsync_p99_us.store(micros(disk.p99), Ordering::Relaxed);
    let shared = Arc::new(Shared {
        readers: Readers {
            permits: Arc::new(Semaphore::new(readers.len())),
            free: std::sync::Mutex::new(readers),
        },
        clock,
        gauges,
        live: Live::default(),
        quiet: Arc::default(),
        watchers: AtomicUsize::new(0),
        follower: follower.clone(),
        follower_lagged: std::sync::atomic::AtomicBool::new(false),
    });
    let mut writer = Writer {
        store,
        control,
        random: Random::new(seed()),
        messages,
        waiting: Arc::clone(&commands.waiting),
        release: Release::new(Arc::clone(&shared), Arc::clone(&observer)),
        shared: Arc::clone(&shared),
        observer: Arc::clone(&observer),
        out: Output::default(),
        told: Vec::new(),
        handing_over: Vec::new(),
        again: Vec::new(),
        trouble: None,
        pause: None,
        since: now,
        note: None,
        note_due: None,
        note_asked: false,
        gauges_at: None,
        looked_at: Instant::now(),
        look_every: QuietSigns::pause(config.liveness_interval),
        nodes_changed: true,
    };
    let turn = &mut Turn { now: writer.now(), random: &mut writer.random, out: &mut writer.out };
    writer.control.loaded(turn);
    writer.update_gauges();
    let counts = writer.control.counts(writer.now());
    tracing::info!(
        fsync_p50_us = micros(disk.p50),
        fsync_p99_us = micros(disk.p99),
        queued = counts.queued,
        running = counts.running,
        took_ms = micros(started.elapsed()) / 1_000,
        "queue opened"
    );
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| {
            QueueError::Store(StoreError::new(
                StoreErrorKind::Io,
                "start a thread",
                error.to_string(),
            ))
        })
    };
    let follow = follower::Follower::new(follower_reader, notes, Arc::clone(&shared), observer);
    let follower_thread = spawn("queue-follower", Box::new(move || follow.run()))?;
    let writer_thread = spawn("queue-writer", Box::new(move || writer.run()))?;
    let thread = QueueThread {
        commands: commands.clone(),
        notes: follower,
        writer: Some(writer_thread),
        follower: Some(follower_thread),
    };
    Ok((Queue { commands, shared }, thread))
}

/// The store cannot be written.
struct Trouble {
    error: StoreError,
    /// Until when it is not tried again.
    until: Instant,
}

struct Writer {
    store: SqliteStore,
    control: Control<Reply>,
    random: Random,
    messages: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    release: Release,
    shared: Arc<Shared>,
    observer: Arc<dyn QueueObserver>,
    out: Output<Reply>,
    /// Who is told when the batch is durable, and of nothing else.
    told: Vec<Reply>,
    /// Who is told when all that this batch ended has reached the observer.
    handing_over: Vec<Reply>,
    /// What releasing effects found out, for the next batch.
    again: Vec<Command<Reply>>,
    /// The store's last failure, and until when nothing is written.
    trouble: Option<Trouble>,
    /// The pause after the next failure; `None` once something was written since the last.
    pause: Option<Duration>,
    /// When the last commit ended, or the queue was opened: from then on the next one gathers.
    since: Timestamp,
    /// How the last commit went that the job's traces tell of; written with the next commit.
    note: Option<CommitNote>,
    /// When the note is written even if nothing else is to be.
    note_due: Option<Instant>,
    /// Somebody waits for the note, or it is due.
    note_asked: bool,
    gauges_at: Option<Instant>,
    /// When quiet signs of life were last taken, and how often they are.
    looked_at: Instant,
    look_every: Duration,
    nodes_changed: bool,
}

/// Whether the thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Stop,
}

impl Writer {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn run(mut self) {
        loop {
            let first = match self.wait() {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.recover() && self.batch(first) == Flow::Stop {
                return self.write_note();
            }
        }
    }

    /// The next message, or none when something is due.
    fn wait(&self) -> Result<Message, RecvTimeoutError> {
        if !self.again.is_empty() || !self.out.transitions.is_empty() {
            return self.messages.recv_timeout(Duration::ZERO);
        }
        let due = self.control.next_deadline().map(|at| self.shared.clock.instant_of(at));
        let trouble = self.trouble.as_ref().map(|trouble| trouble.until);
        let gauges = self.gauges_at.filter(|_| self.gauges_stale()).map(|at| at + GAUGES_EVERY);
        let look = self.control.has_streams().then(|| self.looked_at + self.look_every);
        let (due, note) = match trouble {
            Some(_) => (trouble, None),
            None => (due, self.note_due),
        };
        match [due, note, gauges, look].into_iter().flatten().min() {
            Some(at) => self.messages.recv_deadline(at),
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn gauges_stale(&self) -> bool {
        let commits = self.shared.gauges.commits.load(Ordering::Relaxed);
        commits != self.release.commits_at_gauges
    }

    /// After a failed commit memory is ahead of the store: once the pause is over, loads anew.
    /// Whether batches may go on; in trouble they do too, and refuse what would write.
    fn recover(&mut self) -> bool {
        let Some(trouble) = &self.trouble else { return true };
        if Instant::now() < trouble.until {
            return true;
        }
        match self.reload() {
            Ok(()) => self.trouble = None,
            Err(error) => self.enter_trouble(error),
        }
        true
    }

    fn reload(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        self.control.unload();
        let control = &mut self.control;
        self.store.load(now, &mut |stored| control.load(stored, now))?;
        let turn = &mut Turn { now, random: &mut self.random, out: &mut self.out };
        self.control.loaded(turn);
        Ok(())
    }

    fn enter_trouble(&mut self, error: StoreError) {
        let pause = self.pause.unwrap_or(QueueConfig::STORE_TROUBLE_PAUSE);
        tracing::error!(%error, kind = ?error.kind, ?pause, "the queue cannot write");
        self.trouble = Some(Trouble { error, until: Instant::now() + pause });
        self.pause = Some((pause * 2).min(QueueConfig::STORE_TROUBLE_PAUSE_MAX));
    }

    /// Takes what waits, decides, commits, and lets go.
    fn batch(&mut self, first: Option<Message>) -> Flow {
        let mut flow = Flow::On;
        self.looked_at = Instant::now();
        let signs = self.shared.quiet.take();
        for command in std::mem::take(&mut self.again).into_iter().chain(signs) {
            self.step(command);
        }
        let mut next = first;
        for _ in 0..QueueConfig::BATCH_COMMANDS_MAX {
            let Some(message) = next.take().or_else(|| self.messages.try_recv().ok()) else {
                break;
            };
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if self.take(message) == Flow::Stop {
                flow = Flow::Stop;
                break;
            }
        }
        if self.trouble.is_none() {
            self.note_asked |= self.note_due.is_some_and(|at| at <= self.looked_at);
            let now = self.now();
            let turn = &mut Turn { now, random: &mut self.random, out: &mut self.out };
            self.control.close(turn);
        }
        self.commit_and_release();
        self.update_gauges();
        flow
    }

    fn take(&mut self, message: Message) -> Flow {
        match message {
            Message::Shutdown => return Flow::Stop,
            Message::Command(command) => self.step(command),
            Message::Cancel { job, to } => self.cancel(job, to),
            Message::Retry { jobs, to } => self.retry(&jobs, to),
            Message::TracesDone { traces, to } => {
                let done = |trace: DueTrace| Transition::TraceDone {
                    first_part: trace.first_part,
                    due_at: trace.due_at,
                };
                self.write(traces.into_iter().map(done), to);
            }
            Message::Forget { jobs, to } => {
                let forget = |first_part| Transition::Forget { first_part };
                self.write(jobs.into_iter().map(forget), to);
            }
            Message::HandOver { to } => self.handing_over.push(to),
            Message::NoteCommits { to } => {
                self.note_asked = self.trouble.is_none();
                self.write([], to);
            }
            Message::TracesTold { until, to } => self.write([Transition::TracesTold { until }], to),
        }
        Flow::On
    }

    /// Writes what needs no decision with the next commit, and then says that it is done.
    fn write(&mut self, transitions: impl IntoIterator<Item = Transition>, to: Reply) {
        if let Some(Trouble { error, .. }) = &self.trouble {
            let _ = to.send(Err(QueueError::Store(error.clone())));
            return;
        }
        self.out.transitions.extend(transitions);
        self.told.push(to);
    }

    fn cancel(&mut self, job: JobId, to: Reply) {
        match self.store.reader().locate(job) {
            Ok(Some(job)) => self.step(Command::Cancel { job, to }),
            Ok(None) => drop(to.send(Err(QueueError::NotFound))),
            Err(error) => drop(to.send(Err(error.into()))),
        }
    }

    fn retry(&mut self, jobs: &[JobId], to: Reply) {
        // The store says what failed. It must know what this batch has decided: a job may have been
        // retried and cancelled in it already.
        if !self.out.transitions.is_empty() {
            self.commit_and_release();
        }
        let reader = self.store.reader();
        let parts: Result<Vec<_>, _> = jobs.iter().map(|job| reader.failed_parts(*job)).collect();
        match parts {
            Ok(parts) => {
                let parts = parts.into_iter().flatten().collect();
                self.step(Command::Retry { parts, to });
            }
            Err(error) => drop(to.send(Err(error.into()))),
        }
    }

    fn step(&mut self, command: Command<Reply>) {
        let command = match &self.trouble {
            None => Some(command),
            Some(trouble) => without_writes(command, &trouble.error),
        };
        let Some(mut command) = command else { return };
        if matches!(&command, Command::Submit { drafts, .. } if drafts.iter().any(|it| it.idempotency.is_some()))
            && self.out.transitions.iter().any(|it| matches!(it, Transition::Forget { .. }))
        {
            // A key must not name a job that goes in this very batch.
            self.commit_and_release();
        }
        if let Command::Submit { drafts, .. } = &mut command
            && let Err(error) = self.look_up_keys(drafts)
        {
            if let Command::Submit { to, .. } = command {
                let _ = to.send(Err(error.into()));
            }
            return;
        }
        if let Command::Report { report, .. } = &mut command {
            self.check_results(report);
        }
        self.nodes_changed |= matches!(command, Command::Register { .. });
        if let Command::Detach { connection, .. } = &command {
            self.release.stream_ended(*connection);
        }
        let now = self.now();
        let turn = &mut Turn { now, random: &mut self.random, out: &mut self.out };
        self.control.step(command, turn);
    }

    /// A result for each distorted video, or that of the encode, or the attempt has failed: whoever
    /// asks for the third must not learn at the end that there are two.
    fn check_results(&mut self, report: &mut control::Report) {
        let ReportedOutcome::Succeeded(result) = &report.outcome else { return };
        let results = result.frames.len();
        let Some(head) = self.release.head(report.part, self.store.reader()) else { return };
        let asked = head.spec.result_count();
        if results != asked {
            let text = format!("the node reported {results} results for {asked} distorted videos");
            report.outcome = ReportedOutcome::Failed(Failure::new(FailureKind::Internal, text));
        }
    }

    fn look_up_keys(&mut self, drafts: &mut [control::Draft]) -> Result<(), StoreError> {
        let now = self.now();
        for draft in drafts {
            let Some(wanted) = &draft.idempotency else { continue };
            let found = self.store.reader().idempotency(&draft.tenant, &wanted.key, now)?;
            draft.existing = found.map(|record| ExistingKey {
                job: record.job,
                body_digest: record.body_digest,
                trace: record.trace,
            });
        }
        Ok(())
    }

    fn commit_and_release(&mut self) {
        let mut transitions = std::mem::take(&mut self.out.transitions);
        let effects = std::mem::take(&mut self.out.effects);
        let told = std::mem::take(&mut self.told);
        self.mark_traces(&effects, &mut transitions);
        let note_asked = std::mem::take(&mut self.note_asked) && self.note.is_some();
        if (note_asked || !transitions.is_empty())
            && let Err(error) = self.commit(transitions)
        {
            self.release.refuse(effects, &error);
            for to in told.into_iter().chain(std::mem::take(&mut self.handing_over)) {
                let _ = to.send(Err(QueueError::Store(error.clone())));
            }
            return self.enter_trouble(error);
        }
        for to in told {
            let _ = to.send(Ok(Response::Done));
        }
        let now = self.now();
        self.release.let_go(effects, self.store.reader(), now, &mut self.again);
        for to in self.handing_over.drain(..) {
            self.release.hand_over(to);
        }
    }

    /// Marks the jobs that end here and whose trace is to be exported: together with the end, so
    /// that no crash comes between.
    fn mark_traces(&mut self, effects: &[Effect<Reply>], transitions: &mut Vec<Transition>) {
        if !self.observer.marks_traces() {
            return;
        }
        for effect in effects {
            let Effect::Event(Event::Finished { part, state }) = effect else { continue };
            let (part, state) = (*part, *state);
            let Some(head) = self.release.head(part, self.store.reader()) else { continue };
            let at = self.shared.clock.now();
            let took = at.since(head.submitted_at);
            let job = FinishedJob { job: head.job, state, trace: &head.trace, took };
            if let Some(reason) = self.observer.trace_due(&job) {
                transitions.push(Transition::TraceDue { part, reason, at });
            }
        }
    }

    fn commit(&mut self, mut transitions: Vec<Transition>) -> Result<(), StoreError> {
        let writes = transitions.len() as u64;
        let is_told = transitions.iter().any(is_of_a_trace);
        transitions.extend(self.note.map(Transition::Committed));
        let start = self.now();
        let verdicts = self.store.commit(&transitions)?;
        let commit = Commit { start, end: self.now(), writes };
        let note = CommitNote { since: std::mem::replace(&mut self.since, commit.end), commit };
        self.note = is_told.then_some(note);
        self.note_due = is_told.then(|| Instant::now() + QueueConfig::NOTE_WAIT_MAX);
        if is_told {
            self.shared.live.committed(note);
        }
        if self.pause.take().is_some() {
            tracing::info!("the store works again");
        }
        self.shared.gauges.commits.fetch_add(1, Ordering::Relaxed);
        self.observer.observe(&QueueEvent::Committed { commit });
        let refused = verdicts.iter().position(|verdict| *verdict == Verdict::Refused);
        match refused {
            None => Ok(()),
            Some(index) => Err(StoreError::new(
                StoreErrorKind::Internal,
                "commit to the queue",
                format!("memory and store disagree over {:?}", transitions[index]),
            )),
        }
    }

    /// Writes how the last commit went, for no other follows.
    fn write_note(mut self) {
        if self.trouble.is_none() {
            self.note_asked = true;
            self.commit_and_release();
        }
    }

    fn update_gauges(&mut self) {
        let gauges = &self.shared.gauges;
        let set = |gauge: &std::sync::atomic::AtomicU64, value: usize| {
            gauge.store(value as u64, Ordering::Relaxed);
        };
        if self.nodes_changed {
            self.nodes_changed = false;
            let all = self.control.capabilities().cloned().map(Arc::new).collect();
            self.shared.live.set_nodes(all);
        }
        if self.gauges_at.is_some_and(|at| at.elapsed() < GAUGES_EVERY) {
            return;
        }
        self.gauges_at = Some(Instant::now());
        self.release.commits_at_gauges = gauges.commits.load(Ordering::Relaxed);
        let counts = self.control.counts(self.shared.clock.now());
        set(&gauges.queued, counts.queued);
        set(&gauges.delayed, counts.delayed);
        set(&gauges.running, counts.running);
        set(&gauges.slots_busy, counts.running);
        set(&gauges.nodes, counts.nodes);
        set(&gauges.nodes_alive, counts.nodes_alive);
        gauges.slots.store(counts.slots, Ordering::Relaxed);
        let oldest = counts.oldest_ready_at.map_or(i64::MAX, Timestamp::unix_micros);
        gauges.oldest_ready_us.store(oldest, Ordering::Relaxed);
    }
}

/// Whether a trace tells of the commit that makes this durable.
fn is_of_a_trace(transition: &Transition) -> bool {
    matches!(transition, Transition::Submit(_) | Transition::Lease(_) | Transition::End(_))
}

/// In trouble: refuses what may write, lets pass what touches memory only.
fn without_writes(command: Command<Reply>, error: &StoreError) -> Option<Command<Reply>> {
    match command {
        Command::Submit { to, .. }
        | Command::Cancel { to, .. }
        | Command::Retry { to, .. }
        | Command::Register { to, .. }
        | Command::Attach { to, .. }
        | Command::Heartbeat { to, .. }
        | Command::Poll { to, .. }
        | Command::Report { to, .. }
        | Command::Drain { to, .. } => {
            let _ = to.send(Err(QueueError::Store(error.clone())));
            None
        }
        // A lease that was not handed over is found again by the reload.
        Command::Status { .. } | Command::Undelivered { .. } => None,
        Command::Detach { .. } | Command::Nodes { .. } => Some(command),
    }
}
