//! The run: one agenda, one controller, its store, some nodes, and trouble.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use control::{
    Answer, Command, Config, ConnectionId, Control, Draft, Effect, Event, ExistingKey, FrameRange,
    Idempotency, Output, Random, Store, Turn, Verdict, judge_late,
};
use store::{SqliteConfig, SqliteStore};
use types::{
    AttemptOutcome, Capabilities, Fence, Incarnation, JobId, JobSpec, MediaRef, NodeId, PartId,
    Priority, Registration, ReportAnswer, SessionId, SpanId, Timestamp, TraceContext, TraceFlags,
    TraceId,
};

use crate::model::{KnownJob, Model, Violation, violated};
use crate::network::{Agenda, Arrival, Happening, NodeIndex, Request, between, chance};
use crate::node::{Process, SimNode, TICK_MS};
use crate::{Sabotage, Stats};

const START: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);
/// How long trouble lasts.
const TROUBLE: Duration = Duration::from_secs(90);
/// How long healing may take: far longer than every retry and lease time.
const HEALING_MAX: Duration = Duration::from_secs(1_200);
const JOBS: u64 = 25;
const NODES: usize = 4;
/// A part that kills its node whenever it has run, one in this many.
const POISON_EVERY: u64 = 19;

const LIFE_SHIFT: u32 = 32;

/// A connection's name inside the controller.
fn inside(connection: ConnectionId) -> ConnectionId {
    ConnectionId(connection.0 & ((1 << LIFE_SHIFT) - 1))
}

/// Who asked, and is answered.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Submit { key: u64 },
    Cancel { job: JobId },
    Operator,
    Node { node: NodeIndex, incarnation: Incarnation },
    Report { node: NodeIndex, incarnation: Incarnation, part: PartId, fence: Fence },
}

/// When the controller dies within a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    BeforeCommit,
    AfterCommit,
}

pub(crate) struct World {
    sabotage: Sabotage,
    random: Random,
    now: Timestamp,
    agenda: Agenda,
    directory: tempfile::TempDir,
    /// The controller's process; `None` while it is down.
    controller: Option<(SqliteStore, Control<Origin>)>,
    config: Config,
    pending: Vec<Command<Origin>>,
    nodes: Vec<SimNode>,
    incarnations: u64,
    /// The controller's count of lives, part of each connection's name outside of it.
    life: u64,
    connections: BTreeMap<ConnectionId, (SessionId, NodeIndex, Incarnation)>,
    frozen_until: HashMap<NodeIndex, Timestamp>,
    wake_at: Option<Timestamp>,
    model: Model,
    stats: Stats,
}

/// Memory where there is some: the runs are about order, not about a disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("room for a small file")
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut random = Random::new(seed);
        let codecs = [&["y4m"][..], &["y4m", "raw"], &["y4m", "ffmpeg"], &["y4m"]];
        let node = |index: usize| {
            let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let capabilities = Capabilities {
                backends: names(&["cpu"]),
                codecs: names(codecs[index % codecs.len()]),
                slots: 1 + u32::try_from(index % 3).expect("small"),
                isa: "avx2".into(),
                version: "sim".into(),
            };
            SimNode::new(format!("node-{index}"), capabilities, index % 3 == 2)
        };
        let nodes = (0..NODES).map(node).collect();
        let mut agenda = Agenda::default();
        let at = |ms| START.after(Duration::from_millis(ms));
        for node in 0..NODES {
            agenda.put(at(random.below(1_000)), Happening::Start { node });
        }
        let span_ms = u64::try_from(TROUBLE.as_millis()).expect("short");
        for key in 0..JOBS {
            agenda.put(at(random.below(span_ms * 2 / 3)), Happening::Submit { key });
        }
        for (count, what) in [
            (6, Happening::Cancel),
            (10, Happening::Retry),
            (4, Happening::Drain),
            (30, Happening::Fault),
        ] {
            for _ in 0..count {
                agenda.put(at(random.below(span_ms)), what.clone());
            }
        }
        Self {
            sabotage,
            random,
            now: START,
            agenda,
            directory: directory(),
            controller: None,
            config: Config::default(),
            pending: Vec::new(),
            nodes,
            incarnations: 0,
            life: 0,
            connections: BTreeMap::new(),
            frozen_until: HashMap::new(),
            wake_at: None,
            model: Model::default(),
            stats: Stats::default(),
        }
    }

    /// A connection's name outside the controller: no two lives share one.
    fn outside(&self, connection: ConnectionId) -> ConnectionId {
        ConnectionId(connection.0 + (self.life << LIFE_SHIFT))
    }

    fn in_trouble(&self) -> bool {
        self.now < START.after(TROUBLE)
    }

    pub(crate) fn run(mut self) -> Result<Stats, Violation> {
        self.start_controller()?;
        let mut look_at = START.after(TROUBLE + Duration::from_secs(5));
        while let Some((at, what)) = self.agenda.next() {
            self.now = self.now.max(at);
            self.happen(what)?;
            if self.now >= look_at {
                look_at = self.now.after(Duration::from_secs(5));
                if self.is_over()? {
                    return self.verdict();
                }
            }
        }
        violated("I1", "nothing happens any more, and jobs are open".into())
    }

    fn is_over(&mut self) -> Result<bool, Violation> {
        let all: Vec<JobId> = self.model.stored.keys().copied().collect();
        let everything_asked = self.model.acked.len() as u64 == JOBS;
        let Some((store, _)) = &mut self.controller else { return Ok(false) };
        let mut open = 0;
        for job in all {
            let state = store.reader().state(job).expect("a store in good order");
            open += usize::from(!state.is_some_and(|state| state.is_terminal()));
        }
        if self.now > START.after(TROUBLE + HEALING_MAX) {
            return violated("I1", format!("{open} jobs are open long after all trouble"));
        }
        let spooled = self.nodes.iter().any(|node| !node.spool.is_empty());
        Ok(open == 0 && everything_asked && !spooled)
    }

    /// Looks at everything once more, after a last restart.
    fn verdict(mut self) -> Result<Stats, Violation> {
        self.controller = None;
        self.start_controller()?;
        let Some((store, _)) = &mut self.controller else { return Ok(self.stats) };
        let reader = store.reader();
        for (key, job) in &self.model.acked {
            match reader.job(*job).expect("a store in good order") {
                Some(view) => self.model.check_job(&view, self.config.retry.crashes_max)?,
                None => return violated("I1", format!("job {job} of key {key} is gone")),
            }
        }
        for (part, fence, digest) in &self.model.accepted {
            let record = reader.attempt(*part, *fence).expect("a store in good order");
            if record.and_then(|record| record.digest) != Some(*digest) {
                return violated("I1", format!("the report of {part} by {fence} is gone"));
            }
        }
        self.stats.jobs = self.model.acked.len() as u64;
        Ok(self.stats)
    }

    fn start_controller(&mut self) -> Result<(), Violation> {
        let path = self.directory.path().join("queue.db");
        let config = SqliteConfig { wal_prewarm_bytes: 0, ..SqliteConfig::new(path) };
        let mut store = SqliteStore::open(config).expect("its own file");
        let mut control = Control::new(self.config.clone());
        let now = self.now;
        store.load(now, &mut |stored| control.load(stored, now)).expect("in good order");
        let mut out = Output::default();
        control.loaded(&mut Turn { now, random: &mut self.random, out: &mut out });
        if !out.transitions.is_empty() {
            return violated("I7", "a lease lost its session over a restart".into());
        }
        self.model.heard.values_mut().for_each(|heard| *heard = now);
        self.controller = Some((store, control));
        Ok(())
    }

    /// The controller's process ends; all its streams with it.
    fn kill_controller(&mut self) {
        self.stats.controller_restarts += 1;
        self.life += 1;
        self.controller = None;
        self.pending.clear();
        for (connection, (_, node, incarnation)) in std::mem::take(&mut self.connections) {
            let what = Arrival::StreamLost { connection: Some(connection) };
            self.send_to_node(node, incarnation, what, 1);
        }
        let up = self.now.after(between(&mut self.random, 0, 4_000));
        self.agenda.put(up, Happening::Wake);
        self.wake_at = Some(up);
    }

    fn happen(&mut self, what: Happening) -> Result<(), Violation> {
        match what {
            Happening::Submit { key } => self.client_submits(key)?,
            Happening::Cancel => self.client_cancels()?,
            Happening::Retry => self.client_retries()?,
            Happening::Drain => self.operator_drains()?,
            Happening::Fault => self.fault(),
            Happening::Request { from, incarnation, request } => {
                if let Request::Status { connection, .. } = &request
                    && !self.connections.contains_key(connection)
                {
                    let what = Arrival::StreamLost { connection: Some(*connection) };
                    self.send_to_node(from, incarnation, what, 1);
                } else if let Some(command) = self.command(from, incarnation, request) {
                    self.take(command)?;
                }
            }
            Happening::StreamEnded { session, connection } => {
                if self.controller.is_some() && self.connections.remove(&connection).is_some() {
                    self.take(Command::Detach { session, connection: inside(connection) })?;
                }
            }
            Happening::ToNode { to, incarnation, what } => self.node_gets(to, incarnation, what),
            Happening::Tick { node, incarnation } => self.node_ticks(node, incarnation),
            Happening::Start { node } => self.node_starts(node),
            Happening::Resume { node } => self.node_resumes(node),
            Happening::Wake => {
                if self.controller.is_none() {
                    self.start_controller()?;
                }
                self.turn()?;
            }
        }
        Ok(())
    }

    // The controller.

    /// Takes a command; often the next one joins its batch.
    fn take(&mut self, command: Command<Origin>) -> Result<(), Violation> {
        if self.controller.is_none() {
            return Ok(());
        }
        self.pending.push(command);
        if chance(&mut self.random, 600) {
            self.turn()
        } else {
            self.wake_by(self.now.after(Duration::from_millis(3)));
            Ok(())
        }
    }

    fn wake_by(&mut self, at: Timestamp) {
        if self.wake_at.is_none_or(|set| at < set || set <= self.now) {
            self.wake_at = Some(at);
            self.agenda.put(at.max(self.now), Happening::Wake);
        }
    }

    fn fate(&mut self) -> Fate {
        if !self.in_trouble() {
            return Fate::Lives;
        }
        match self.random.below(1_000) {
            0..=4 => Fate::BeforeCommit,
            5..=9 => Fate::AfterCommit,
            _ => Fate::Lives,
        }
    }

    /// One batch: step, close, commit, let go; and maybe death in between.
    fn turn(&mut self) -> Result<(), Violation> {
        let mut commands = std::mem::take(&mut self.pending);
        let fate = self.fate();
        let Some((store, control)) = &mut self.controller else { return Ok(()) };
        let mut out = Output::default();
        let now = self.now;
        for command in &mut commands {
            sabotage(self.sabotage, command, &self.model, &self.nodes);
            if let Command::Submit { drafts, .. } = command {
                for draft in drafts {
                    let Some(wanted) = &draft.idempotency else { continue };
                    let found = store.reader().idempotency(&draft.tenant, &wanted.key, now);
                    draft.existing = found.expect("in good order").map(|record| ExistingKey {
                        job: record.job,
                        body_digest: record.body_digest,
                        trace: record.trace,
                    });
                }
            }
        }
        for command in commands {
            note_sign_of_life(&mut self.model, &command, now);
            control.step(command, &mut Turn { now, random: &mut self.random, out: &mut out });
        }
        control.close(&mut Turn { now, random: &mut self.random, out: &mut out });
        let mut effects = out.effects;
        if self.sabotage == Sabotage::AckBeforeCommit {
            self.let_go(std::mem::take(&mut effects))?;
        }
        if fate == Fate::BeforeCommit {
            self.kill_controller();
            return Ok(());
        }
        let Some((store, control)) = &mut self.controller else { return Ok(()) };
        let verdicts = store.commit(&out.transitions).expect("a store in good order");
        for (verdict, transition) in verdicts.iter().zip(&out.transitions) {
            if *verdict != Verdict::Applied {
                return violated("I3", format!("{verdict:?}: {transition:?}"));
            }
            self.model.committed(transition)?;
        }
        let (lease, leases) = (self.config.lease, control.leases());
        self.model.check_leases(leases, lease, now)?;
        if fate == Fate::AfterCommit {
            self.kill_controller();
            return Ok(());
        }
        let next = control.next_deadline();
        self.let_go(effects)?;
        if let Some(next) = next {
            self.wake_by(next);
        }
        Ok(())
    }

    fn let_go(&mut self, effects: Vec<Effect<Origin>>) -> Result<(), Violation> {
        for effect in effects {
            match effect {
                Effect::Answer { to, answer } => self.answer(to, answer)?,
                Effect::AnswerState { .. } => {}
                Effect::AnswerLate { to, report } => {
                    let Some((store, _)) = &mut self.controller else { continue };
                    let reader = store.reader();
                    let attempt = reader.attempt(report.part, report.fence).expect("in order");
                    let results = reader.results(report.part).expect("in good order");
                    let (answer, differs) =
                        judge_late(&report, attempt.as_ref(), results.as_deref());
                    if let Some(digests) = differs {
                        return violated("I2", format!("equal scores differ: {digests:?}"));
                    }
                    self.answer(to, Answer::Reported(answer))?;
                }
                Effect::Deliver { connection, message, .. } => {
                    let connection = self.outside(connection);
                    if let Some((_, node, incarnation)) = self.connections.get(&connection) {
                        let what = Arrival::Message { connection, message };
                        self.send_to_node(*node, *incarnation, what, 1);
                    }
                }
                Effect::Close { connection, .. } => {
                    let connection = self.outside(connection);
                    if let Some((_, node, incarnation)) = self.connections.remove(&connection) {
                        let what = Arrival::StreamLost { connection: Some(connection) };
                        self.send_to_node(node, incarnation, what, 1);
                    }
                }
                Effect::Event(Event::Leased(_)) => self.stats.leases += 1,
                Effect::Event(Event::Ended(ended)) => {
                    self.stats.lost += u64::from(ended.outcome == AttemptOutcome::Lost);
                }
                Effect::Event(_) => {}
            }
        }
        Ok(())
    }

    fn answer(&mut self, to: Origin, answer: Answer) -> Result<(), Violation> {
        match (to, answer) {
            (Origin::Submit { key }, Answer::Submitted(submitted)) => {
                let job = submitted[0].job;
                if let Some(before) = self.model.acked.insert(key, job)
                    && before != job
                {
                    return violated("I6", format!("key {key} is job {before} and job {job}"));
                }
            }
            (Origin::Submit { key }, other) => {
                return violated("I6", format!("key {key} was answered {other:?}"));
            }
            (Origin::Cancel { job }, Answer::Cancelled(cancelled)) if cancelled.changed => {
                self.model.cancelled.insert(job);
            }
            (Origin::Cancel { .. } | Origin::Operator, _) => {}
            (Origin::Node { node, incarnation }, answer) => {
                let answer = match answer {
                    Answer::Attached(connection) => Answer::Attached(self.outside(connection)),
                    other => other,
                };
                if let Answer::Registered(registered) = &answer {
                    self.model.heard.insert(registered.session, self.now);
                }
                if let Answer::Attached(connection) = answer
                    && let Some(session) = self.nodes[node].session
                {
                    self.connections.insert(connection, (session, node, incarnation));
                }
                // A poll's answer and its messages may be lost; an attached stream is not.
                let attached = matches!(answer, Answer::Attached(_));
                if attached || !self.loses() {
                    self.send_to_node(node, incarnation, Arrival::Answer(answer), 1);
                }
            }
            (Origin::Report { node, incarnation, part, fence }, answer) => {
                return self.answer_report((node, incarnation), (part, fence), answer);
            }
        }
        Ok(())
    }

    fn answer_report(
        &mut self,
        (node, incarnation): (NodeIndex, Incarnation),
        (part, fence): (PartId, Fence),
        answer: Answer,
    ) -> Result<(), Violation> {
        let answer = match answer {
            Answer::Reported(answer) => answer,
            other => return violated("I1", format!("a report was answered {other:?}")),
        };
        let count = match answer {
            ReportAnswer::Accepted => &mut self.stats.accepted,
            ReportAnswer::Duplicate => &mut self.stats.duplicates,
            ReportAnswer::Stale => &mut self.stats.stale,
            ReportAnswer::Cancelled => &mut self.stats.cancelled,
            ReportAnswer::UnknownSession => &mut self.stats.unknown_sessions,
        };
        *count += 1;
        if matches!(answer, ReportAnswer::Accepted | ReportAnswer::Duplicate) {
            let ran = self.model.executions.iter().find(|(_, ran)| **ran == (part, fence));
            if let Some((digest, _)) = ran {
                self.model.accepted.push((part, fence, *digest));
            }
        }
        if !self.loses() {
            self.send_to_node(node, incarnation, Arrival::Reported { part, fence, answer }, 1);
        }
        Ok(())
    }

    /// Whether a message that nothing guards is lost.
    fn loses(&mut self) -> bool {
        self.in_trouble() && chance(&mut self.random, 60)
    }

    // The clients.

    fn client_submits(&mut self, key: u64) -> Result<(), Violation> {
        if self.model.acked.contains_key(&key) {
            return Ok(());
        }
        self.agenda.put(self.now.after(Duration::from_secs(3)), Happening::Submit { key });
        let draft = draft(key);
        let trace = draft.trace.trace_id;
        let (spec, parts) = ((*draft.spec).clone(), draft.parts.len());
        self.model.asked.insert(key, KnownJob { spec, trace, parts });
        self.take(Command::Submit { drafts: vec![draft], to: Origin::Submit { key } })
    }

    fn some_job(&mut self) -> Option<JobId> {
        let mut known: Vec<JobId> = self.model.acked.values().copied().collect();
        known.sort_unstable();
        let index = self.random.below(known.len() as u64);
        known.get(usize::try_from(index).ok()?).copied()
    }

    fn client_cancels(&mut self) -> Result<(), Violation> {
        let Some(job) = self.some_job() else { return Ok(()) };
        // As in production, the job is looked up right before the step.
        self.turn()?;
        let Some((store, _)) = &mut self.controller else { return Ok(()) };
        let Some(found) = store.reader().locate(job).expect("in good order") else {
            return violated("I1", format!("job {job} cannot be found"));
        };
        self.take(Command::Cancel { job: found, to: Origin::Cancel { job } })
    }

    fn client_retries(&mut self) -> Result<(), Violation> {
        let Some(job) = self.some_job() else { return Ok(()) };
        self.turn()?;
        let Some((store, _)) = &mut self.controller else { return Ok(()) };
        let parts = store.reader().failed_parts(job).expect("in good order");
        self.pending.push(Command::Retry { parts, to: Origin::Operator });
        self.turn()
    }

    fn operator_drains(&mut self) -> Result<(), Violation> {
        let index = usize::try_from(self.random.below(NODES as u64)).expect("small");
        let node = NodeId::new(self.nodes[index].name.clone()).expect("a good name");
        // A drained node leaves when it is done, and starts anew.
        self.agenda.put(self.now.after(Duration::from_secs(20)), Happening::Start { node: index });
        self.take(Command::Drain { node, undo: false, to: Origin::Operator })
    }

    // The nodes.

    fn command(
        &self,
        node: NodeIndex,
        incarnation: Incarnation,
        request: Request,
    ) -> Option<Command<Origin>> {
        let to = Origin::Node { node, incarnation };
        Some(match request {
            Request::Register => {
                let it = &self.nodes[node];
                let name = NodeId::new(it.name.clone()).ok()?;
                let capabilities = it.capabilities.clone();
                let registration = Registration { node: name, incarnation, capabilities };
                Command::Register { registration, to }
            }
            Request::Attach { session, status } => {
                Command::Attach { session, incarnation, status, to }
            }
            Request::Status { session, connection, status } => {
                Command::Status { session, connection: inside(connection), status }
            }
            Request::Heartbeat { session, status } => {
                Command::Heartbeat { session, incarnation, status, to }
            }
            Request::Poll { session, status } => {
                let until = self.now.after(Duration::from_millis(TICK_MS));
                Command::Poll { session, incarnation, status, until, to }
            }
            Request::Report { session, report } => {
                let (part, fence) = (report.part, report.fence);
                let to = Origin::Report { node, incarnation, part, fence };
                Command::Report { session, incarnation, report, to }
            }
        })
    }

    fn send_to_node(&mut self, to: NodeIndex, incarnation: Incarnation, what: Arrival, ms: u64) {
        let at = self.now.after(Duration::from_millis(ms));
        self.agenda.put(at, Happening::ToNode { to, incarnation, what });
    }

    fn send_all(&mut self, from: NodeIndex, requests: Vec<Request>) {
        let incarnation = self.nodes[from].incarnation;
        for request in requests {
            // What goes over a stream arrives in order or not at all.
            let streamed = matches!(request, Request::Status { .. });
            if !streamed && self.loses() {
                continue;
            }
            let delay = if streamed {
                Duration::from_millis(1)
            } else if self.in_trouble() && chance(&mut self.random, 30) {
                between(&mut self.random, 1_000, 12_000)
            } else {
                between(&mut self.random, 1, 10)
            };
            let request = Happening::Request { from, incarnation, request };
            self.agenda.put(self.now.after(delay), request);
        }
    }

    /// Whether this process still runs and is not frozen; puts off what reaches a frozen one.
    fn awake(&mut self, node: NodeIndex, incarnation: Incarnation, again: Happening) -> bool {
        let it = &self.nodes[node];
        if it.incarnation != incarnation || it.process == Process::Down {
            return false;
        }
        if it.process == Process::Frozen {
            let until = self.frozen_until.get(&node).copied().unwrap_or(self.now);
            self.agenda.put(until.after(Duration::from_millis(1)), again);
            return false;
        }
        true
    }

    fn node_gets(&mut self, to: NodeIndex, incarnation: Incarnation, what: Arrival) {
        let again = Happening::ToNode { to, incarnation, what: what.clone() };
        if self.awake(to, incarnation, again) {
            let requests = self.nodes[to].arrive(what, self.now, &mut self.random);
            self.send_all(to, requests);
        }
    }

    fn node_ticks(&mut self, node: NodeIndex, incarnation: Incarnation) {
        if !self.awake(node, incarnation, Happening::Tick { node, incarnation }) {
            return;
        }
        let now = self.now;
        let poison = |part: PartId| part.0.is_multiple_of(POISON_EVERY);
        if self.nodes[node].running.iter().any(|e| e.until <= now && poison(e.part)) {
            return self.crash_node(node);
        }
        for (digest, part, fence) in self.nodes[node].finish_due(now, &mut self.random) {
            self.model.executions.insert(digest, (part, fence));
        }
        let requests = self.nodes[node].tick(now);
        self.send_all(node, requests);
        let tick = now.after(Duration::from_millis(TICK_MS));
        let next = self.nodes[node].running.iter().map(|e| e.until).chain([tick]).min();
        let next = next.unwrap_or(tick).max(now.after(Duration::from_millis(5)));
        self.agenda.put(next, Happening::Tick { node, incarnation });
    }

    fn node_starts(&mut self, node: NodeIndex) {
        if self.nodes[node].process == Process::Frozen {
            let later = self.frozen_until.get(&node).copied().unwrap_or(self.now);
            return self.agenda.put(later.after(Duration::from_secs(1)), Happening::Start { node });
        }
        self.end_streams_of(node);
        self.incarnations += 1;
        let incarnation = Incarnation(self.incarnations);
        self.nodes[node].start(incarnation);
        self.agenda.put(self.now, Happening::Tick { node, incarnation });
    }

    fn node_resumes(&mut self, node: NodeIndex) {
        if self.nodes[node].process == Process::Frozen {
            self.nodes[node].process = Process::Up;
        }
    }

    // Trouble.

    fn end_streams_of(&mut self, node: NodeIndex) {
        let mut ended: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, (_, owner, _))| *owner == node)
            .map(|(connection, (session, ..))| (*connection, *session))
            .collect();
        ended.sort_unstable();
        for (connection, session) in ended {
            let at = self.now.after(Duration::from_millis(2));
            self.agenda.put(at, Happening::StreamEnded { session, connection });
        }
    }

    fn crash_node(&mut self, node: NodeIndex) {
        self.stats.node_crashes += 1;
        self.end_streams_of(node);
        self.nodes[node].process = Process::Down;
        let at = self.now.after(between(&mut self.random, 200, 15_000));
        self.agenda.put(at, Happening::Start { node });
    }

    fn fault(&mut self) {
        let node = usize::try_from(self.random.below(NODES as u64)).expect("small");
        match self.random.below(10) {
            0..=2 if self.nodes[node].process == Process::Up => self.crash_node(node),
            3..=5 if self.nodes[node].process == Process::Up => {
                self.stats.pauses += 1;
                let until = self.now.after(between(&mut self.random, 500, 30_000));
                self.nodes[node].process = Process::Frozen;
                self.frozen_until.insert(node, until);
                self.agenda.put(until, Happening::Resume { node });
            }
            6..=8 => {
                self.stats.broken_streams += 1;
                let incarnation = self.nodes[node].incarnation;
                let connection = self.nodes[node].connection;
                self.end_streams_of(node);
                let after_ms = self.random.below(6_000);
                let what = Arrival::StreamLost { connection };
                self.send_to_node(node, incarnation, what, after_ms);
            }
            _ => {
                if self.controller.is_some() {
                    self.kill_controller();
                }
            }
        }
    }
}

/// What the controller hears from a node, as the model counts it.
fn note_sign_of_life(model: &mut Model, command: &Command<Origin>, now: Timestamp) {
    let session = match command {
        Command::Attach { session, .. }
        | Command::Status { session, .. }
        | Command::Heartbeat { session, .. }
        | Command::Poll { session, .. }
        | Command::Report { session, .. } => *session,
        _ => return,
    };
    if let Some(heard) = model.heard.get_mut(&session) {
        *heard = now;
    }
}

/// Makes a late report pass for the current one, as a queue without our fence would.
fn sabotage(how: Sabotage, command: &mut Command<Origin>, model: &Model, nodes: &[SimNode]) {
    let Command::Report { session, incarnation, report, .. } = command else { return };
    let Some(current) = model.current(report.part) else { return };
    let passes = match how {
        Sabotage::None | Sabotage::AckBeforeCommit => false,
        Sabotage::NoFence => true,
        Sabotage::AttemptAsFence => {
            model.number(report.part, report.fence) == model.number(report.part, current.fence)
        }
    };
    let holder = nodes.iter().find(|node| node.session == Some(current.session));
    if let Some(holder) = holder.filter(|_| passes) {
        report.fence = current.fence;
        (*session, *incarnation) = (current.session, holder.incarnation);
    }
}

fn draft(key: u64) -> Draft {
    let mut random = Random::new(key + 1);
    let mut spec = JobSpec::pair(MediaRef::new("/r.y4m"), MediaRef::new("/d.y4m"));
    let priority = u8::try_from(random.below(10)).expect("below ten");
    spec.priority = Priority::new(priority).expect("below ten");
    spec.attempts_max =
        NonZeroU32::new(1 + u32::try_from(random.below(4)).expect("small")).expect("at least one");
    spec.requirements.codecs = match random.below(4) {
        0 => vec!["raw".into()],
        1 => vec!["h264".into()],
        _ => vec!["y4m".into()],
    };
    let range = |index: u64| Some(FrameRange { first_frame_index: index * 10, frame_count: 10 });
    let parts = match random.below(4) {
        0 => (0..3).map(range).collect(),
        _ => vec![None],
    };
    let trace_id = TraceId::new((u128::from(key) + 1).to_be_bytes()).expect("not zero");
    let span_id = SpanId::new((key + 1).to_be_bytes()).expect("not zero");
    Draft {
        spec_encoded: store::codec::encode_spec(&spec).expect("plain data").into(),
        spec: Arc::new(spec),
        tenant: format!("tenant-{}", key % 3).into(),
        parts,
        idempotency: Some(Idempotency { key: key.to_string(), body_digest: [1; 32] }),
        existing: None,
        trace: TraceContext {
            trace_id,
            span_id,
            flags: TraceFlags::default(),
            tracestate: String::new(),
        },
        root_span_id: span_id,
    }
}
