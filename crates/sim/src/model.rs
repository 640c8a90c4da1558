//! What must hold, checked against what the run itself saw.

use std::collections::{HashMap, HashSet};
use std::fmt;

use control::{AttemptEnd, LeaseGrant, Next, Transition, satisfies};
use types::{
    AttemptOutcome, Capabilities, Failure, Fence, JobId, JobSpec, JobView, PartId, SessionId,
    SpanId, State, Timestamp, TraceId,
};

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which: `I1` to `I9`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

impl std::error::Error for Violation {}

pub(crate) fn violated<V>(invariant: &'static str, what: String) -> Result<V, Violation> {
    Err(Violation { invariant, what })
}

/// A job as its client submitted it.
#[derive(Debug, Clone)]
pub(crate) struct KnownJob {
    pub spec: JobSpec,
    pub trace: TraceId,
    pub parts: usize,
}

/// Everything that was promised or happened, kept outside the code under test.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Jobs that a client was told were accepted, by idempotency key.
    pub acked: HashMap<u64, JobId>,
    /// Cancels that were told to have changed the job.
    pub cancelled: HashSet<JobId>,
    /// What each submission asked.
    pub asked: HashMap<u64, KnownJob>,
    /// Jobs that entered the store, with their key.
    pub stored: HashMap<JobId, u64>,
    job_of: HashMap<PartId, JobId>,
    last_fence: HashMap<PartId, Fence>,
    spans: HashMap<SpanId, PartId>,
    current: HashMap<PartId, LeaseGrant>,
    /// Each execution's own digest, with the lease under which it ran.
    pub executions: HashMap<[u8; 32], (PartId, Fence)>,
    /// Reports that nodes were told were accepted.
    pub accepted: Vec<(PartId, Fence, [u8; 32])>,
    /// Parts that succeeded, with the fence that did.
    pub succeeded: HashMap<PartId, Fence>,
    /// How often each part was retried by hand.
    revived: HashMap<PartId, usize>,
    /// Ends that count, by part; and the number each lease had, as if it were the fence.
    counted_ends: HashMap<PartId, u64>,
    numbers: HashMap<(PartId, Fence), u64>,
    /// The last sign of life of each session that reached the controller, or its restart.
    pub heard: HashMap<SessionId, Timestamp>,
    pub abilities: HashMap<SessionId, Capabilities>,
}

impl Model {
    /// Sees a transition that was committed.
    pub(crate) fn committed(&mut self, transition: &Transition) -> Result<(), Violation> {
        match transition {
            Transition::Submit(job) => {
                let key = job.idempotency.as_ref().and_then(|(it, _)| it.key.parse().ok());
                if let Some(key) = key {
                    if self.stored.values().any(|other| *other == key) {
                        return violated("I6", format!("key {key} made a second job {}", job.id));
                    }
                    self.stored.insert(job.id, key);
                }
                for (_, part) in job.part_ids() {
                    self.job_of.insert(part, job.id);
                }
                Ok(())
            }
            Transition::Lease(lease) => self.leased(lease),
            Transition::End(end) => self.ended(end),
            Transition::OpenSession(opened) => {
                self.abilities.insert(opened.session, opened.capabilities.clone());
                self.heard.insert(opened.session, opened.registered_at);
                Ok(())
            }
            Transition::Revive { part, .. } => {
                *self.revived.entry(*part).or_default() += 1;
                Ok(())
            }
            Transition::Drop { .. }
            | Transition::Drain { .. }
            | Transition::CloseSession { .. }
            | Transition::TraceDue { .. }
            | Transition::TraceDone { .. }
            | Transition::TracesTold { .. }
            | Transition::Committed(_)
            | Transition::Forget { .. } => Ok(()),
        }
    }

    fn spec_of(&self, part: PartId) -> Option<&KnownJob> {
        self.asked.get(self.stored.get(self.job_of.get(&part)?)?)
    }

    fn leased(&mut self, lease: &LeaseGrant) -> Result<(), Violation> {
        let LeaseGrant { part, fence, session, span_id, .. } = lease;
        let number = self.counted_ends.get(part).copied().unwrap_or(0) + 1;
        self.numbers.insert((*part, *fence), number);
        if let Some(before) = self.last_fence.insert(*part, *fence)
            && before >= *fence
        {
            return violated("I4", format!("part {part}: fence {fence} after {before}"));
        }
        if let Some(held) = self.current.insert(*part, lease.clone()) {
            return violated("I4", format!("part {part} is leased twice: {held:?}"));
        }
        if let Some(other) = self.spans.insert(*span_id, *part) {
            return violated("I8", format!("parts {part} and {other} share a span"));
        }
        let able = self
            .spec_of(*part)
            .zip(self.abilities.get(session))
            .is_some_and(|(known, node)| satisfies(node, &known.spec.requirements));
        if !able {
            return violated("I9", format!("part {part} went to session {session}"));
        }
        Ok(())
    }

    fn ended(&mut self, end: &AttemptEnd) -> Result<(), Violation> {
        let (part, fence) = (end.lease.part, end.lease.fence);
        if matches!(end.outcome, AttemptOutcome::Failed | AttemptOutcome::Lost) {
            *self.counted_ends.entry(part).or_default() += 1;
        }
        match self.current.remove(&part) {
            Some(held) if held == end.lease => {}
            held => return violated("I3", format!("{:?} ended, held is {held:?}", end.lease)),
        }
        if let Some(digest) = end.digest {
            let ran = self.executions.get(&digest);
            if ran != Some(&(part, fence)) {
                let what = format!("part {part}: the report of {ran:?} counted for fence {fence}");
                return violated("I3", what);
            }
        }
        if matches!(end.next, Next::Done { state: State::Succeeded, .. })
            && let Some(before) = self.succeeded.insert(part, fence)
        {
            return violated("I2", format!("part {part} succeeded by {before} and by {fence}"));
        }
        Ok(())
    }

    /// The lease that holds the part now.
    pub(crate) fn current(&self, part: PartId) -> Option<&LeaseGrant> {
        self.current.get(&part)
    }

    /// The attempt number of a lease, in a count that takes back what was handed back.
    pub(crate) fn number(&self, part: PartId, fence: Fence) -> Option<u64> {
        self.numbers.get(&(part, fence)).copied()
    }

    /// No lease holds longer than its session was heard of, plus the lease time.
    pub(crate) fn check_leases(
        &self,
        leases: impl Iterator<Item = (PartId, Fence, SessionId)>,
        lease: std::time::Duration,
        now: Timestamp,
    ) -> Result<(), Violation> {
        for (part, fence, session) in leases {
            let heard = self.heard.get(&session).copied().unwrap_or(Timestamp::EPOCH);
            if now > heard.after(lease) {
                let what = format!("part {part} fence {fence} outlived session {session}");
                return violated("I7", what);
            }
        }
        Ok(())
    }

    /// A job in the end, as the store shows it.
    pub(crate) fn check_job(&self, view: &JobView, crashes_max: u16) -> Result<(), Violation> {
        let id = view.id;
        if !view.state.is_terminal() {
            return violated("I1", format!("job {id} is {} for good", view.state));
        }
        if self.cancelled.contains(&id) && view.state != State::Cancelled {
            return violated("I1", format!("job {id} was cancelled and is {}", view.state));
        }
        let known = self.stored.get(&id).and_then(|key| self.asked.get(key));
        let parts = known.map_or(1, |known| known.parts);
        let mut good = HashMap::<PartId, usize>::new();
        for attempt in &view.attempts {
            let succeeded = attempt.outcome == Some(AttemptOutcome::Succeeded);
            *good.entry(attempt.part).or_default() += usize::from(succeeded);
        }
        let all_good = good.values().filter(|count| **count == 1).count() == parts;
        let succeeded = view.state == State::Succeeded;
        if good.values().any(|count| *count > 1)
            || all_good != succeeded
            || view.results.is_empty() == succeeded
        {
            return violated("I2", format!("{id} is {}: {good:?} of {parts}", view.state));
        }
        if known.map(|known| known.trace) != Some(view.trace.trace_id) {
            return violated("I8", format!("job {id} lost its trace"));
        }
        for attempt in &view.attempts {
            if self.spans.get(&attempt.span_id) != Some(&attempt.part) {
                return violated("I8", format!("job {id}: attempt {attempt:?} lost its span"));
            }
        }
        self.check_budgets(view, crashes_max)
    }

    /// A retry by hand gives fresh budgets: they hold for each round.
    fn check_budgets(&self, view: &JobView, crashes_max: u16) -> Result<(), Violation> {
        let (mut errors, mut crashes) = (HashMap::new(), HashMap::new());
        for attempt in &view.attempts {
            let uncounted = ["did not reach", "goes by the name"];
            let reached = |f: &Failure| !uncounted.iter().any(|text| f.message.contains(text));
            let count: &mut HashMap<PartId, usize> = match attempt.outcome {
                Some(AttemptOutcome::Failed) => &mut errors,
                Some(AttemptOutcome::Lost) if attempt.failure.as_ref().is_some_and(reached) => {
                    &mut crashes
                }
                _ => continue,
            };
            *count.entry(attempt.part).or_default() += 1;
        }
        let rounds = |part| 1 + self.revived.get(part).copied().unwrap_or(0);
        let errors_max = view.spec.attempts_max.get() as usize;
        if let Some(part) = errors.iter().find(|(part, n)| **n > errors_max * rounds(part)) {
            return violated("I5", format!("job {}: {part:?} ran into too many errors", view.id));
        }
        let crashes_max = usize::from(crashes_max);
        if let Some(part) = crashes.iter().find(|(part, n)| **n > crashes_max * rounds(part)) {
            return violated("I5", format!("job {}: {part:?} crashed too often", view.id));
        }
        Ok(())
    }
}
