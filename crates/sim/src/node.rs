//! A node of the run: leases, runs, reports, dies and freezes, with a spool that outlives it.

use std::sync::Arc;

use control::{
    Answer, ConnectionId, Grant, NodeMessage, Random, Report, ReportedOutcome, StoredResult,
};
use types::{
    Capabilities, Failure, FailureKind, Fence, Incarnation, NodeStatus, PartId, ReportAnswer,
    ReportWay, RunningPart, SessionId, StageTimings, Timestamp,
};

use crate::network::{Arrival, Request, between, chance};

/// How often a node says that it lives, asks again and reports again.
pub(crate) const TICK_MS: u64 = 2_000;

#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub part: PartId,
    pub fence: Fence,
    pub until: Timestamp,
}

/// Where a node's process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Down,
    Up,
    Frozen,
}

#[derive(Debug)]
pub(crate) struct SimNode {
    pub name: String,
    pub capabilities: Capabilities,
    /// It cannot stream and polls instead.
    pub polls: bool,
    pub process: Process,
    pub incarnation: Incarnation,
    pub session: Option<SessionId>,
    pub connection: Option<ConnectionId>,
    pub running: Vec<Execution>,
    /// On disk: reports that were not answered. Outlives the process.
    pub spool: Vec<Report>,
    pub draining: bool,
}

impl SimNode {
    pub(crate) fn new(name: String, capabilities: Capabilities, polls: bool) -> Self {
        Self {
            name,
            capabilities,
            polls,
            process: Process::Down,
            incarnation: Incarnation(0),
            session: None,
            connection: None,
            running: Vec::new(),
            spool: Vec::new(),
            draining: false,
        }
    }

    pub(crate) fn start(&mut self, incarnation: Incarnation) {
        self.process = Process::Up;
        self.incarnation = incarnation;
        (self.session, self.connection) = (None, None);
        self.running.clear();
        self.draining = false;
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let listed = |part, fence| RunningPart { part, fence, frames_done: 1, frames_total: None };
        let running = self.running.iter().map(|e| listed(e.part, e.fence));
        let spooled = self.spool.iter().map(|r| listed(r.part, r.fence));
        NodeStatus {
            slots_offered: if self.draining { 0 } else { self.capabilities.slots },
            running: running.chain(spooled).collect(),
            draining: self.draining,
        }
    }

    /// Everything it says at a tick.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Request> {
        let Some(session) = self.session else {
            return vec![Request::Register];
        };
        let mut requests = Vec::new();
        let status = self.status();
        match self.connection {
            Some(connection) => requests.push(Request::Status { session, connection, status }),
            None if self.polls => {
                requests.push(Request::Heartbeat { session, status: status.clone() });
                requests.push(Request::Poll { session, status });
            }
            None => requests.push(Request::Attach { session, status }),
        }
        let reports = self.spool.iter();
        requests.extend(reports.map(|report| {
            let report = Box::new(Report { received_at: now, ..report.clone() });
            Request::Report { session, report }
        }));
        requests
    }

    /// Takes what arrives; answers with what it says at once.
    pub(crate) fn arrive(
        &mut self,
        what: Arrival,
        now: Timestamp,
        random: &mut Random,
    ) -> Vec<Request> {
        match what {
            Arrival::Answer(Answer::Registered(registered)) => {
                self.session = Some(registered.session);
                self.connection = None;
                self.tick(now)
            }
            Arrival::Answer(Answer::Attached(connection)) => {
                self.connection = Some(connection);
                Vec::new()
            }
            Arrival::Answer(Answer::UnknownSession) => self.register_again(),
            Arrival::Answer(Answer::Messages(messages)) => {
                messages.iter().flat_map(|m| self.told(m, now, random)).collect()
            }
            Arrival::Answer(_) => Vec::new(),
            Arrival::Reported { part, fence, answer } => match answer {
                ReportAnswer::UnknownSession => self.register_again(),
                _ => {
                    self.spool.retain(|r| (r.part, r.fence) != (part, fence));
                    self.session.map_or(Vec::new(), |_| self.say_status())
                }
            },
            Arrival::Message { connection, message } => {
                if self.connection.is_some_and(|current| current != connection) {
                    return Vec::new();
                }
                self.told(&message, now, random)
            }
            Arrival::StreamLost { connection } => {
                if connection.is_none() || self.connection == connection {
                    self.connection = None;
                }
                Vec::new()
            }
        }
    }

    fn say_status(&self) -> Vec<Request> {
        let (Some(session), Some(connection)) = (self.session, self.connection) else {
            return Vec::new();
        };
        vec![Request::Status { session, connection, status: self.status() }]
    }

    fn register_again(&mut self) -> Vec<Request> {
        (self.session, self.connection) = (None, None);
        vec![Request::Register]
    }

    fn told(&mut self, message: &NodeMessage, now: Timestamp, random: &mut Random) -> Vec<Request> {
        match *message {
            NodeMessage::Lease(Grant { part, fence, .. }) => {
                let until = now.after(between(random, 10, 15_000));
                self.running.push(Execution { part, fence, until });
                Vec::new()
            }
            NodeMessage::Stop { part, fence, .. } => {
                // Sometimes the end of the run and the stop cross each other.
                if !chance(random, 300) {
                    self.running.retain(|e| (e.part, e.fence) != (part, fence));
                }
                self.say_status()
            }
            NodeMessage::Reregister => self.register_again(),
            NodeMessage::Acknowledged(_) => Vec::new(),
            NodeMessage::Drain => {
                self.draining = true;
                self.say_status()
            }
        }
    }

    /// Moves what has run its time to the spool. Returns the digests of these runs.
    pub(crate) fn finish_due(
        &mut self,
        now: Timestamp,
        random: &mut Random,
    ) -> Vec<([u8; 32], PartId, Fence)> {
        let (due, running) = self.running.drain(..).partition(|e| e.until <= now);
        self.running = running;
        let due: Vec<Execution> = due;
        due.into_iter()
            .map(|Execution { part, fence, .. }| {
                let digest = execution_digest(part, fence, self.incarnation);
                let outcome = outcome(part, random);
                let timings = StageTimings::default();
                let (received_at, way) = (now, ReportWay::STREAM);
                self.spool.push(Report { part, fence, outcome, timings, digest, received_at, way });
                (digest, part, fence)
            })
            .collect()
    }
}

/// Each run has a digest of its own, so that a report that counts can be traced to its run.
fn execution_digest(part: PartId, fence: Fence, incarnation: Incarnation) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&part.0.to_be_bytes());
    digest[8..16].copy_from_slice(&fence.0.to_be_bytes());
    digest[16..24].copy_from_slice(&incarnation.0.to_be_bytes());
    digest
}

fn outcome(part: PartId, random: &mut Random) -> ReportedOutcome {
    match random.below(100) {
        0..=11 => ReportedOutcome::Failed(Failure::new(FailureKind::Io, "a cable")),
        12..=14 => ReportedOutcome::Failed(Failure::new(FailureKind::Truncated, "half a file")),
        15..=24 => ReportedOutcome::Released,
        _ => {
            let score_digests = vec![format!("score of {part}")];
            let view = view(part);
            let (encoded, frames) = (view, Vec::new());
            let score = Some(1.0);
            ReportedOutcome::Succeeded(Arc::new(StoredResult {
                encoded,
                frames,
                score,
                score_digests,
            }))
        }
    }
}

/// One stored result with the part's digest.
fn view(part: PartId) -> Vec<u8> {
    let report = types::ScoreReport {
        width: 16,
        height: 16,
        models: Vec::new(),
        pooled: Vec::new(),
        aggregates: Vec::new(),
        frames: types::FrameTable::default(),
        warnings: Vec::new(),
        provenance: types::Provenance::default(),
        timings: StageTimings::default(),
        digest: format!("score of {part}"),
        encoded: None,
    };
    store::codec::encode_results(vec![report]).expect("a small result").encoded
}
