//! Behaviours of the whole state machine, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use types::{
    AttemptOutcome, Capabilities, Failure, FailureKind, Fence, Incarnation, JobId, JobSpec,
    Liveness, MediaRef, NodeId, NodeStatus, NodeView, PartId, Priority, Registration, ReportAnswer,
    ReportWay, RunningPart, SessionId, SpanId, StageTimings, State, StopReason, Timestamp,
    TraceContext, TraceFlags, TraceId,
};

use super::{Control, Output, Turn, judge_late};
use crate::command::{
    Answer, Command, ConnectionId, Draft, Effect, Event, Grant, JobRef, LateReport, NodeMessage,
    Report, ReportedOutcome,
};
use crate::config::Config;
use crate::random::Random;
use crate::store::AttemptRecord;
use crate::transition::{StoredResult, Transition};

mod jobs;
mod leases;
mod liveness;
mod reload;
mod retries;

type Who = u32;

/// A controller without a store, and what its last batch brought about.
struct Site {
    control: Control<Who>,
    random: Random,
    now: Timestamp,
    transitions: Vec<Transition>,
    effects: Vec<Effect<Who>>,
    asked: Who,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    session: SessionId,
    incarnation: Incarnation,
    connection: ConnectionId,
}

impl Site {
    fn new() -> Self {
        Self {
            control: Control::new(Config::default()),
            random: Random::new(1),
            now: Timestamp::from_unix_micros(1_700_000_000_000_000),
            transitions: Vec::new(),
            effects: Vec::new(),
            asked: 0,
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Duration::from_millis(ms));
    }

    /// One batch of these commands.
    fn batch(&mut self, commands: Vec<Command<Who>>) {
        let mut out = Output::default();
        for command in commands {
            let turn = &mut Turn { now: self.now, random: &mut self.random, out: &mut out };
            self.control.step(command, turn);
        }
        let turn = &mut Turn { now: self.now, random: &mut self.random, out: &mut out };
        self.control.close(turn);
        (self.transitions, self.effects) = (out.transitions, out.effects);
    }

    /// Lets time pass up to the next deadline, and that happen.
    fn until_due(&mut self) {
        let due = self.control.next_deadline().expect("something is due");
        self.now = self.now.max(due);
        self.batch(Vec::new());
    }

    fn ask(&mut self, command: impl FnOnce(Who) -> Command<Who>) -> Answer {
        self.asked += 1;
        let asked = self.asked;
        self.batch(vec![command(asked)]);
        let answer = self.effects.iter().find_map(|effect| match effect {
            Effect::Answer { to, answer } if *to == asked => Some(answer.clone()),
            _ => None,
        });
        answer.expect("answered in its batch")
    }

    fn submit(&mut self, draft: Draft) -> PartId {
        let answer = self.ask(|to| Command::Submit { drafts: vec![draft], to });
        assert!(matches!(answer, Answer::Submitted(_)), "{answer:?}");
        let first = self.transitions.iter().find_map(|transition| match transition {
            Transition::Submit(job) => Some(job.first_part),
            _ => None,
        });
        first.expect("a new job")
    }

    fn register(&mut self, name: &str, incarnation: u64, slots: u32) -> Node {
        let incarnation = Incarnation(incarnation);
        let registration = Registration {
            node: NodeId::new(name).expect("a good name"),
            incarnation,
            capabilities: capabilities(&["y4m"], slots),
        };
        match self.ask(|to| Command::Register { registration, to }) {
            Answer::Registered(it) => {
                Node { session: it.session, incarnation, connection: ConnectionId(0) }
            }
            other => panic!("{other:?}"),
        }
    }

    fn attach(&mut self, node: Node, status: NodeStatus) -> Node {
        let Node { session, incarnation, .. } = node;
        match self.ask(|to| Command::Attach { session, incarnation, status, to }) {
            Answer::Attached(connection) => Node { connection, ..node },
            other => panic!("{other:?}"),
        }
    }

    /// A node with this many slots, attached and idle.
    fn node(&mut self, name: &str, slots: u32) -> Node {
        let node = self.register(name, 1, slots);
        self.attach(node, status(slots, &[]))
    }

    fn status(&mut self, node: Node, status: NodeStatus) {
        let Node { session, connection, .. } = node;
        self.batch(vec![Command::Status { session, connection, status, acknowledge: 0 }]);
    }

    fn detach(&mut self, node: Node) {
        let Node { session, connection, .. } = node;
        self.batch(vec![Command::Detach { session, connection }]);
    }

    fn report(&mut self, node: Node, grant: &Grant, outcome: ReportedOutcome) -> Option<Answer> {
        let Node { session, incarnation, .. } = node;
        let report = Box::new(Report {
            part: grant.part,
            fence: grant.fence,
            outcome,
            timings: StageTimings::default(),
            digest: [1; 32],
            received_at: self.now,
            way: ReportWay::STREAM,
        });
        self.batch(vec![Command::Report { session, incarnation, report, to: 0 }]);
        self.effects.iter().find_map(|effect| match effect {
            Effect::Answer { to: 0, answer } => Some(answer.clone()),
            _ => None,
        })
    }

    /// The leases that the last batch sent.
    fn leases(&self) -> Vec<Grant> {
        let messages = self.effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { message: NodeMessage::Lease(grant), .. } => Some(grant.clone()),
            _ => None,
        });
        messages.collect()
    }

    fn lease(&self) -> Grant {
        let [lease] = <[Grant; 1]>::try_from(self.leases()).expect("one lease");
        lease
    }

    fn stops(&self) -> Vec<(PartId, Fence, StopReason)> {
        let stops = self.effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { message: NodeMessage::Stop { part, fence, reason }, .. } => {
                Some((*part, *fence, *reason))
            }
            _ => None,
        });
        stops.collect()
    }

    fn finished(&self) -> Vec<State> {
        let finished = self.effects.iter().filter_map(|effect| match effect {
            Effect::Event(Event::Finished { state, .. }) => Some(*state),
            _ => None,
        });
        finished.collect()
    }

    /// Outcomes and causes of the attempts that the last batch ended.
    fn ended(&self) -> Vec<(AttemptOutcome, Option<FailureKind>)> {
        let ended = self.transitions.iter().filter_map(|transition| match transition {
            Transition::End(end) => Some((end.outcome, end.failure.as_ref().map(|f| f.kind))),
            _ => None,
        });
        ended.collect()
    }

    fn view(&self, name: &str) -> NodeView {
        let views = self.control.node_views(self.now);
        views.into_iter().find(|view| view.node.as_str() == name).expect("it is known")
    }
}

fn capabilities(codecs: &[&str], slots: u32) -> Capabilities {
    Capabilities {
        backends: vec!["cpu".into()],
        codecs: codecs.iter().map(|&name| name.to_owned()).collect(),
        encoders: Vec::new(),
        encoder_versions: Vec::new(),
        slots,
        isa: String::new(),
        version: String::new(),
    }
}

fn draft() -> Draft {
    let span_id = SpanId::new([1; 8]).expect("not zero");
    Draft {
        spec: Arc::new(JobSpec::pair(MediaRef::new("/r"), MediaRef::new("/d"))),
        spec_encoded: Arc::new([]),
        tenant: "".into(),
        parts: vec![None],
        idempotency: None,
        existing: None,
        trace: TraceContext {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id,
            flags: TraceFlags::default(),
            tracestate: String::new(),
        },
        root_span_id: span_id,
        call: None,
    }
}

fn changed(change: impl FnOnce(&mut JobSpec)) -> Draft {
    let mut draft = draft();
    change(Arc::make_mut(&mut draft.spec));
    draft
}

fn parts(count: usize) -> Draft {
    Draft { parts: vec![None; count], ..draft() }
}

fn job_ref(first_part: PartId, part_count: u16) -> JobRef {
    JobRef {
        job: JobId::new(Timestamp::EPOCH, 0),
        first_part,
        part_count,
        tenant: "".into(),
        priority: Priority::default().get(),
        requirements: types::Requirements::default(),
    }
}

fn status(slots_offered: u32, running: &[&Grant]) -> NodeStatus {
    let named = |grant: &&Grant| RunningPart {
        part: grant.part,
        fence: grant.fence,
        frames_done: 0,
        frames_total: None,
    };
    NodeStatus { slots_offered, running: running.iter().map(named).collect(), draining: false }
}

fn success() -> ReportedOutcome {
    let (encoded, frames, score_digests) = (Vec::new(), Vec::new(), vec!["d".into()]);
    ReportedOutcome::Succeeded(Arc::new(StoredResult {
        encoded,
        frames,
        score: None,
        score_digests,
    }))
}

fn failed(kind: FailureKind) -> ReportedOutcome {
    ReportedOutcome::Failed(Failure::new(kind, "so it is"))
}

fn grant_of_a_job(site: &mut Site) -> Grant {
    site.submit(draft());
    site.lease()
}
