//! Behaviours of the whole state machine, on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use types::{
    AttemptOutcome, Capabilities, Failure, FailureKind, Fence, Incarnation, JobId, JobSpec,
    Liveness, MediaRef, NodeId, NodeStatus, NodeView, PartId, Priority, Registration, ReportAnswer,
    RunningPart, SessionId, SpanId, StageTimings, State, StopReason, Timestamp, TraceContext,
    TraceFlags, TraceId,
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

#[test]
fn work_goes_to_a_node_in_the_batch_that_brings_it() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    let part = site.submit(draft());
    let lease = site.lease();
    assert_eq!((lease.part, lease.session, lease.fence), (part, node.session, Fence(1)));
    let kinds: Vec<bool> =
        site.transitions.iter().map(|t| matches!(t, Transition::Submit(_))).collect();
    assert_eq!(kinds, [true, false], "stored before it is leased");
}

#[test]
fn a_status_that_crosses_its_answer_neither_stops_anything_nor_keeps_a_slot() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let done = site.lease();
    site.report(node, &done, success());
    site.status(node, status(1, &[&done]));
    assert_eq!(site.stops(), []);
    site.submit(draft());
    assert_eq!(site.leases().len(), 1, "the slot is free");
}

#[test]
fn a_status_is_acknowledged_where_it_asks_and_after_what_it_brought() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    let Node { session, connection, .. } = node;
    let elsewhere = Grant { part: PartId(99), fence: Fence(1), ..grant_of_a_job(&mut site) };
    let told = |site: &Site| {
        let messages = site.effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { message, .. } => Some(message.clone()),
            _ => None,
        });
        messages.collect::<Vec<_>>()
    };
    for acknowledge in [0, 7] {
        let status = status(1, &[&elsewhere]);
        site.batch(vec![Command::Status { session, connection, status, acknowledge }]);
        let (part, reason) = (PartId(99), StopReason::LeaseLost);
        let mut expected = vec![NodeMessage::Stop { part, fence: Fence(1), reason }];
        expected.extend((acknowledge != 0).then_some(NodeMessage::Acknowledged(acknowledge)));
        assert_eq!(told(&site), expected);
    }
}

#[test]
fn an_attempt_leased_more_than_the_cut_over_after_it_could_have_been_has_its_own_trace() {
    let limit = Config::default().trace_cut_over.expect("on by default");
    let lease_after = |waited: Duration| {
        let mut site = Site::new();
        site.submit(draft());
        site.now = site.now.after(waited);
        site.node("a", 1);
        let lease = site.lease();
        let stored = site.transitions.iter().find_map(|transition| match transition {
            Transition::Lease(lease) => Some(lease.trace_id),
            _ => None,
        });
        assert_eq!(stored, Some(lease.trace_id), "stored as it is sent");
        lease.trace_id
    };
    assert_eq!(lease_after(limit), None);
    assert!(lease_after(limit + Duration::from_micros(1)).is_some());
}

fn grant_of_a_job(site: &mut Site) -> Grant {
    site.submit(draft());
    site.lease()
}

#[test]
fn a_node_never_holds_more_than_it_offered() {
    let mut site = Site::new();
    let node = site.node("a", 3);
    let drafts = vec![draft(); 5];
    site.ask(|to| Command::Submit { drafts, to });
    let leases = site.leases();
    assert_eq!(leases.len(), 3);
    site.report(node, &leases[0], success());
    assert_eq!(site.leases().len(), 1, "a free slot is filled in the batch that frees it");
    let leaving = NodeStatus { draining: true, ..status(3, &[]) };
    let elsewhere = Grant { part: PartId(99), ..leases[1].clone() };
    site.status(node, NodeStatus { draining: true, ..status(3, &[&elsewhere]) });
    assert_eq!(site.stops(), [(PartId(99), Fence(1), StopReason::LeaseLost)]);
    site.report(node, &leases[1], ReportedOutcome::Released);
    assert_eq!(site.leases(), [], "{leaving:?} takes nothing");
}

#[test]
fn leases_spread_over_nodes_before_one_is_filled() {
    let mut site = Site::new();
    let nodes = [site.node("a", 4), site.node("b", 4)];
    let drafts = vec![draft(); 4];
    site.ask(|to| Command::Submit { drafts, to });
    for node in nodes {
        let its = site.leases().iter().filter(|lease| lease.session == node.session).count();
        assert_eq!(its, 2);
    }
}

#[test]
fn a_part_waits_for_a_node_that_can_run_it() {
    let mut site = Site::new();
    site.node("a", 1);
    let gpu = changed(|spec| spec.requirements.backend = Some("gpu".into()));
    let part = site.submit(gpu);
    assert_eq!(site.leases(), []);
    let registration = Registration {
        node: NodeId::new("g").expect("a good name"),
        incarnation: Incarnation(1),
        capabilities: Capabilities { backends: vec!["gpu".into()], ..capabilities(&[], 1) },
    };
    let answer = site.ask(|to| Command::Register { registration, to });
    let Answer::Registered(registered) = answer else { panic!("{answer:?}") };
    let (session, incarnation) = (registered.session, Incarnation(1));
    site.attach(Node { session, incarnation, connection: ConnectionId(0) }, status(1, &[]));
    assert_eq!((site.lease().part, site.lease().session), (part, session));
}

#[test]
fn a_lost_stream_costs_its_leases_after_the_grace_and_not_before() {
    let mut site = Site::new();
    let (node, part) = (site.node("a", 1), site.submit(draft()));
    site.wait(500);
    site.detach(node);
    let lost_at = site.now;
    site.now = lost_at.after(Config::default().stream_grace);
    site.batch(Vec::new());
    assert_eq!(site.ended(), [], "the grace includes its last moment");
    site.until_due();
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    assert_eq!(site.now.since(lost_at), Duration::from_micros(1_000_001));
    site.node("b", 1);
    assert_eq!((site.lease().part, site.lease().fence), (part, Fence(2)));
}

#[test]
fn a_silent_node_keeps_its_leases_for_the_lease_time_only() {
    let mut site = Site::new();
    let (node, _) = (site.node("a", 1), site.submit(draft()));
    let lease = site.lease();
    for _ in 0..3 {
        site.wait(9_000);
        site.status(node, status(1, &[&lease]));
        assert_eq!(site.ended(), []);
    }
    assert_eq!(site.view("a").liveness, Liveness::Alive);
    let heard = site.now;
    site.wait(5_000);
    assert_eq!(site.view("a").liveness, Liveness::Stale);
    while site.transitions.is_empty() {
        site.until_due();
    }
    assert_eq!(site.now.since(heard), Duration::from_micros(10_000_001));
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::LeaseExpired))]);
    assert_eq!(site.view("a").liveness, Liveness::Unknown, "not the same as dead");
}

#[test]
fn a_node_that_slept_past_its_lease_is_told_to_stop_and_keeps_its_session() {
    let mut site = Site::new();
    let (node, _) = (site.node("a", 1), site.submit(draft()));
    let old = site.lease();
    site.until_due();
    let other = site.node("b", 1);
    let new = site.lease();
    assert_eq!(site.report(node, &old, success()), None, "the history answers");
    let late = site.effects.iter().any(|effect| matches!(effect, Effect::AnswerLate { .. }));
    assert!(late && site.transitions.is_empty());
    site.status(node, status(1, &[&old]));
    assert_eq!(site.stops(), [(old.part, old.fence, StopReason::LeaseLost)]);
    let answer = site.report(other, &new, success());
    assert_eq!(answer, Some(Answer::Reported(ReportAnswer::Accepted)));
    site.status(node, status(1, &[]));
    site.submit(draft());
    assert_eq!(site.leases().len(), 1, "both are good for work again");
}

#[test]
fn a_frozen_node_with_an_open_stream_is_given_no_work() {
    let mut site = Site::new();
    site.node("a", 1);
    site.wait(4_000);
    site.submit(draft());
    assert_eq!(site.leases(), []);
}

#[test]
fn errors_wait_longer_each_time_and_end_with_their_budget() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    for wait_ms in [1_000, 2_000] {
        let lease = site.lease();
        site.report(node, &lease, failed(FailureKind::Io));
        let ended = site.now;
        while site.leases().is_empty() {
            let due = site.control.next_deadline().expect("a retry is due");
            site.now = site.now.max(due);
            site.status(node, status(1, &[]));
        }
        let waited = site.now.since(ended);
        assert!(waited >= Duration::from_millis(wait_ms / 2), "{waited:?}");
        assert!(waited <= Duration::from_millis(wait_ms), "{waited:?}");
    }
    let lease = site.lease();
    site.report(node, &lease, failed(FailureKind::Io));
    assert_eq!((lease.attempt, site.finished()), (3, vec![State::Failed]));
}

#[test]
fn a_final_failure_is_not_tried_again() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let lease = site.lease();
    site.report(node, &lease, failed(FailureKind::SizeMismatch));
    assert_eq!(site.finished(), [State::Failed]);
}

#[test]
fn a_part_that_kills_its_nodes_is_failed_by_its_own_budget_and_starves_nobody() {
    let mut site = Site::new();
    let poison = site.submit(draft());
    for crash in 1..=3 {
        let node = site.register("a", crash, 1);
        site.attach(node, status(1, &[]));
        while site.leases().is_empty() {
            site.until_due();
        }
        assert_eq!(site.lease().part, poison);
    }
    site.register("a", 4, 1);
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    assert_eq!(site.finished(), [State::Failed]);
}

#[test]
fn what_is_handed_back_counts_against_nothing() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(changed(|spec| spec.attempts_max = std::num::NonZeroU32::MIN));
    for attempt in 1..20 {
        let lease = site.lease();
        assert_eq!((lease.attempt, lease.fence), (attempt, Fence(u64::from(attempt))));
        site.report(node, &lease, ReportedOutcome::Released);
        assert_eq!(site.ended(), [(AttemptOutcome::Released, None)]);
    }
}

#[test]
fn a_new_process_of_a_node_frees_the_old_ones_parts_at_once() {
    let mut site = Site::new();
    let (old, part) = (site.node("a", 1), site.submit(draft()));
    let new = site.register("a", 2, 1);
    assert_ne!(new.session, old.session);
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    site.attach(new, status(1, &[]));
    assert_eq!((site.lease().part, site.lease().fence), (part, Fence(2)));
    let again = site.register("a", 2, 1);
    assert_eq!(again.session, new.session, "the same process has the same session");
}

#[test]
fn the_end_of_an_old_stream_does_not_end_the_new_one() {
    let mut site = Site::new();
    let (old, _) = (site.node("a", 1), site.submit(draft()));
    let lease = site.lease();
    let new = site.attach(old, status(1, &[&lease]));
    assert!(site.effects.iter().any(|effect| matches!(effect,
        Effect::Close { connection, .. } if *connection == old.connection)));
    site.detach(old);
    site.wait(5_000);
    site.status(new, status(1, &[&lease]));
    assert_eq!(site.ended(), []);
}

#[test]
fn a_lease_that_a_node_no_longer_lists_is_found_and_goes_out_again() {
    let mut site = Site::new();
    let (node, part) = (site.node("a", 1), site.submit(draft()));
    let lease = site.lease();
    site.status(node, status(1, &[]));
    assert_eq!(site.ended(), [], "the lease may still be on its way");
    site.wait(3_000);
    site.status(node, status(1, &[&lease]));
    site.wait(3_000);
    site.status(node, status(1, &[]));
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    assert_eq!((site.lease().part, site.lease().fence), (part, Fence(2)));
}

#[test]
fn a_cancel_stops_what_runs_and_drops_what_waits() {
    let mut site = Site::new();
    site.node("a", 1);
    let first = site.submit(parts(3));
    let running = site.lease();
    let job = job_ref(first, 3);
    let answer = site.ask(|to| Command::Cancel { job, to });
    assert!(matches!(answer, Answer::Cancelled(it) if it.changed));
    assert_eq!(site.stops(), [(running.part, running.fence, StopReason::Cancelled)]);
    assert_eq!((site.finished(), site.transitions.len()), (vec![State::Cancelled], 3));
    assert_eq!(site.control.counts(site.now).queued, 0);
    site.batch(vec![Command::Cancel { job: job_ref(first, 3), to: 7 }]);
    assert!(matches!(site.effects[..], [Effect::AnswerState { to: 7, .. }]));
}

#[test]
fn a_job_of_many_parts_succeeds_with_its_last_and_fails_with_its_first_failure() {
    let mut site = Site::new();
    let node = site.node("a", 2);
    site.submit(parts(3));
    let leases = site.leases();
    site.report(node, &leases[0], success());
    assert_eq!(site.finished(), []);
    let third = site.lease();
    site.report(node, &leases[1], success());
    assert_eq!(site.finished(), []);
    site.report(node, &third, success());
    assert_eq!(site.finished(), [State::Succeeded]);

    site.submit(parts(4));
    let leases = site.leases();
    site.report(node, &leases[0], success());
    let third = site.lease();
    site.report(node, &leases[1], failed(FailureKind::Truncated));
    assert_eq!(site.finished(), [State::Failed]);
    assert_eq!(site.stops(), [(third.part, third.fence, StopReason::Cancelled)]);
    let dropped = site
        .transitions
        .iter()
        .filter(|transition| matches!(transition, Transition::Drop { state: State::Failed, .. }));
    assert_eq!(dropped.count(), 1, "the part that waited");
    let counts = site.control.counts(site.now);
    assert_eq!((counts.queued, counts.running), (0, 0));
}

#[test]
fn a_reload_is_as_if_the_uncommitted_batch_had_never_been() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    assert_eq!(site.leases().len(), 1);
    site.control.unload();
    let Node { session, incarnation, .. } = node;
    let opened = crate::transition::SessionOpened {
        session,
        node: NodeId::new("a").expect("a good name"),
        incarnation,
        capabilities: capabilities(&["y4m"], 1),
        registered_at: site.now,
    };
    let stored = crate::store::StoredSession { opened, draining: false };
    site.control.load(crate::store::Stored::Session(&stored), site.now);
    let mut out = Output::default();
    let turn = &mut Turn { now: site.now, random: &mut site.random, out: &mut out };
    site.control.loaded(turn);
    let counts = site.control.counts(site.now);
    assert_eq!((counts.queued, counts.running, counts.nodes), (0, 0, 1));
    site.submit(draft());
    assert_eq!(site.lease().session, session, "who was connected still is");
}

#[test]
fn a_poll_waits_for_work_and_no_longer_than_it_may() {
    let mut site = Site::new();
    let node = site.register("a", 1, 2);
    let Node { session, incarnation, .. } = node;
    let poll =
        |until, to| Command::Poll { session, incarnation, status: status(2, &[]), until, to };
    let until = site.now.after(Duration::from_secs(20));
    site.batch(vec![poll(until, 70)]);
    assert!(site.effects.is_empty());
    let drafts = vec![draft(); 3];
    site.batch(vec![Command::Submit { drafts, to: 71 }]);
    let told = site.effects.iter().find_map(|effect| match effect {
        Effect::Answer { to: 70, answer: Answer::Messages(messages) } => Some(messages.len()),
        _ => None,
    });
    assert_eq!(told, Some(2), "all that it has slots for in one answer");
    let until = site.now.after(Duration::from_secs(1));
    site.batch(vec![poll(until, 72)]);
    site.until_due();
    let answered = |effect: &Effect<Who>| matches!(effect, Effect::Answer { to: 72, .. });
    assert!(site.effects.iter().any(answered));
    assert_eq!(site.now.since(until), Duration::from_micros(1));
}

#[test]
fn what_a_late_report_is_worth_depends_on_its_own_attempt() {
    let record = |outcome, digest| AttemptRecord { outcome, digest };
    let late = LateReport {
        part: PartId(1),
        fence: Fence(1),
        digest: [1; 32],
        score_digests: Some(vec!["d".into()]),
    };
    for (record, expected) in [
        (None, ReportAnswer::Stale),
        (Some(record(AttemptOutcome::Lost, None)), ReportAnswer::Stale),
        (Some(record(AttemptOutcome::Cancelled, None)), ReportAnswer::Cancelled),
        (Some(record(AttemptOutcome::Succeeded, Some([1; 32]))), ReportAnswer::Duplicate),
        (Some(record(AttemptOutcome::Succeeded, Some([2; 32]))), ReportAnswer::Stale),
    ] {
        assert_eq!(judge_late(&late, record.as_ref(), None), (expected, None), "{record:?}");
    }
}

#[test]
fn no_lease_of_one_part_follows_another_forever() {
    let mut site = Site::new();
    site.node("a", 1);
    site.submit(draft());
    let mut leases = 0;
    while let [lease] = &site.leases()[..] {
        leases += 1;
        assert_eq!(lease.fence, Fence(leases));
        assert!(leases <= Config::LEASES_PER_PART_MAX, "it never ends");
        site.batch(vec![Command::Undelivered { leases: vec![(lease.part, lease.fence)] }]);
    }
    assert_eq!(leases, Config::LEASES_PER_PART_MAX);
    assert_eq!(site.finished(), [State::Failed]);
}

#[test]
fn no_part_is_handed_back_forever() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let mut leases = 0;
    while let [lease] = &site.leases()[..] {
        leases += 1;
        assert!(leases <= Config::LEASES_PER_PART_MAX, "it never ends");
        site.report(node, &lease.clone(), ReportedOutcome::Released);
    }
    assert_eq!(leases, Config::LEASES_PER_PART_MAX);
    assert_eq!(site.ended(), [(AttemptOutcome::Released, Some(FailureKind::Internal))]);
    assert_eq!(site.finished(), [State::Failed]);
}

#[test]
fn a_reload_gives_every_lease_its_time_even_where_the_stream_was_lost_meanwhile() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let grant = site.lease();
    site.status(node, status(1, &[&grant]));
    site.detach(node);
    // The store was in trouble for a minute, in which nobody could come back.
    site.wait(60_000);
    reload(&mut site, node, &grant);
    site.batch(Vec::new());
    assert_eq!(site.ended(), [], "the node has had no chance to come back");
    site.wait(Config::default().lease.as_millis() as u64 - 1);
    let node = site.attach(node, status(1, &[&grant]));
    assert_eq!((site.ended(), site.stops()), (Vec::new(), Vec::new()));
    assert_eq!(
        site.report(node, &grant, success()),
        Some(Answer::Reported(ReportAnswer::Accepted))
    );
}

#[test]
fn a_lease_that_nobody_comes_back_to_after_a_reload_ends_with_its_time() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let grant = site.lease();
    site.detach(node);
    site.wait(60_000);
    reload(&mut site, node, &grant);
    let loaded = site.now;
    // The first look may be an earlier timer's.
    while site.ended().is_empty() {
        site.until_due();
    }
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::LeaseExpired))]);
    assert!(site.now.since(loaded) >= Config::default().lease);
}

/// What follows a failed commit: everything comes from the store again, here one lease.
fn reload(site: &mut Site, node: Node, grant: &Grant) {
    use crate::store::{Stored, StoredLease, StoredPart, StoredSession};
    let Node { session, incarnation, .. } = node;
    let opened = crate::transition::SessionOpened {
        session,
        node: grant.node.clone(),
        incarnation,
        capabilities: capabilities(&["y4m"], 1),
        registered_at: site.now,
    };
    let requirements = types::Requirements::default();
    let part = StoredPart {
        part: grant.part,
        part_index: 0,
        part_count: 1,
        tenant: "",
        priority: Priority::default().get(),
        requirements: &requirements,
        available_at: grant.available_at,
        fence: grant.fence,
        attempt: grant.attempt,
        tally: crate::retry::Tally { errors_max: 3, ..Default::default() },
    };
    let (span_id, started_at) = (grant.span_id, grant.started_at);
    let control = &mut site.control;
    control.unload();
    control.load(Stored::Session(&StoredSession { opened, draining: false }), site.now);
    control.load(
        Stored::Lease(StoredLease { part, session, span_id, trace_id: None, started_at }),
        site.now,
    );
    let mut out = Output::default();
    let turn = &mut Turn { now: site.now, random: &mut site.random, out: &mut out };
    control.loaded(turn);
}

#[test]
fn parts_of_two_new_stores_have_different_numbers() {
    let first_part = |seed| {
        let mut control: Control<()> = Control::new(Config::default());
        let mut random = Random::new(seed);
        let mut out = Output::default();
        let turn = &mut Turn { now: Timestamp::EPOCH, random: &mut random, out: &mut out };
        control.loaded(turn);
        control.last_part
    };
    assert_ne!(first_part(1), first_part(2));
    assert!((1..100).all(|seed| first_part(seed).0 < 1 << 53 && first_part(seed).0 > 0));
}
