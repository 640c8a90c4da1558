//! The run: one agenda, one controller, its store, some nodes, and trouble.

mod clients;
mod controller;
mod nodes;
mod trouble;

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
                encoders: Vec::new(),
                encoder_versions: Vec::new(),
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
}
