//! Jobs come, go and come again.

use std::collections::HashMap;
use std::sync::Arc;

use types::{AttemptOutcome, Failure, FailureKind, Fence, PartId, State};

use super::{Control, Turn};
use crate::command::{
    Answer, Cancelled, Draft, Effect, Event, ExistingKey, FailedPart, JobRef, Submitted, Waiting,
};
use crate::config::Config;
use crate::ready::Key;
use crate::retry::Tally;
use crate::transition::{NewJob, Transition};

/// What a draft comes to.
enum Plan {
    Existing(ExistingKey),
    New,
}

impl<T> Control<T> {
    pub(super) fn submit(&mut self, drafts: Vec<Draft>, to: T, turn: &mut Turn<'_, T>) {
        if let Some(key) = self.conflict(&drafts) {
            return turn.answer(to, Answer::IdempotencyConflict(key));
        }
        let Some(keys) = self.take_keys(&drafts) else {
            return turn.answer(to, Answer::TooManyClasses);
        };
        let mut answers = Vec::with_capacity(drafts.len());
        for (draft, key) in drafts.into_iter().zip(keys) {
            match self.plan(&draft) {
                Plan::Existing(existing) => {
                    self.release_key(key);
                    let ExistingKey { job, trace, .. } = existing;
                    answers.push(Submitted { job, existing: true, trace });
                }
                Plan::New => answers.push(self.accept(draft, key, turn)),
            }
        }
        turn.answer(to, Answer::Submitted(answers));
    }

    /// A key that was used for something else: in the store, in this batch, or in this call.
    fn conflict(&self, drafts: &[Draft]) -> Option<String> {
        let mut here = HashMap::new();
        for draft in drafts {
            let Some(wanted) = &draft.idempotency else { continue };
            let named = (Arc::clone(&draft.tenant), wanted.key.clone());
            let known = draft.existing.as_ref().or_else(|| self.batch_keys.get(&named));
            let known = known.map(|existing| existing.body_digest);
            let first = *here.entry(named).or_insert(wanted.body_digest);
            if known.unwrap_or(first) != wanted.body_digest || first != wanted.body_digest {
                return Some(wanted.key.clone());
            }
        }
        None
    }

    fn plan(&self, draft: &Draft) -> Plan {
        let Some(wanted) = &draft.idempotency else { return Plan::New };
        let named = (Arc::clone(&draft.tenant), wanted.key.clone());
        let known = draft.existing.as_ref().or_else(|| self.batch_keys.get(&named));
        known.cloned().map_or(Plan::New, Plan::Existing)
    }

    /// One key a draft, holding one use; none when the index is full of other requirements.
    fn take_keys(&mut self, drafts: &[Draft]) -> Option<Vec<Key>> {
        let mut keys = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let spec = &draft.spec;
            match self.ready.key(&draft.tenant, spec.priority.get(), &spec.requirements) {
                Ok(key) => {
                    self.learn_class(key.class);
                    keys.push(key);
                }
                Err(_) => {
                    keys.into_iter().for_each(|key| self.release_key(key));
                    return None;
                }
            }
        }
        Some(keys)
    }

    fn accept(&mut self, draft: Draft, key: Key, turn: &mut Turn<'_, T>) -> Submitted {
        let id = turn.random.job_id_after(self.last_job, turn.now);
        self.last_job = Some(id);
        let part_count = draft.parts.len().clamp(1, Config::PARTS_PER_JOB_MAX);
        let part_count = u16::try_from(part_count).expect("bounded by PARTS_PER_JOB_MAX");
        let first_part = PartId(self.last_part.0 + 1);
        self.last_part = PartId(self.last_part.0 + u64::from(part_count));
        let expires_at = turn.now.after(Config::IDEMPOTENCY_KEPT);
        if let Some(wanted) = &draft.idempotency {
            let named = (Arc::clone(&draft.tenant), wanted.key.clone());
            let (body_digest, trace) = (wanted.body_digest, draft.trace.clone());
            self.batch_keys.insert(named, ExistingKey { job: id, body_digest, trace });
        }
        let errors_max = u16::try_from(draft.spec.attempts_max.get()).unwrap_or(u16::MAX);
        let trace = draft.trace.clone();
        let mut parts = draft.parts;
        parts.resize(usize::from(part_count), None);
        let job = Arc::new(NewJob {
            id,
            first_part,
            parts,
            submitted_at: turn.now,
            tenant: draft.tenant,
            spec: draft.spec,
            spec_encoded: draft.spec_encoded,
            idempotency: draft.idempotency.map(|wanted| (wanted, expires_at)),
            trace: draft.trace,
            root_span_id: draft.root_span_id,
            call: draft.call,
        });
        for (part_index, part) in job.part_ids() {
            if part_index > 0 {
                self.ready.again(key);
            }
            let tally = Tally { errors_max, ..Tally::default() };
            let (available_at, fence) = (turn.now, Fence(0));
            let waiting =
                Waiting { available_at, fence, attempt: 0, tally, part_index, part_count };
            self.ready.insert(key, part, waiting, turn.now);
        }
        turn.out.transitions.push(Transition::Submit(Arc::clone(&job)));
        turn.event(Event::Submitted(job));
        Submitted { job: id, existing: false, trace }
    }

    pub(super) fn cancel(&mut self, job: &JobRef, to: T, turn: &mut Turn<'_, T>) {
        let mut last = None;
        if let Some(key) = self.ready.find_key(&job.tenant, job.priority, &job.requirements) {
            for part in parts_of(job) {
                if self.end_live_part(key, part, State::Cancelled, None, turn) {
                    last = Some(part);
                }
            }
        }
        match last {
            Some(part) => {
                turn.event(Event::Finished { part, state: State::Cancelled });
                let cancelled = Cancelled { state: State::Cancelled, changed: true };
                turn.answer(to, Answer::Cancelled(cancelled));
            }
            None => turn.out.effects.push(Effect::AnswerState { to, job: job.job }),
        }
    }

    /// Ends a part that waits or runs, without a word from its node. Whether it was live.
    pub(super) fn end_live_part(
        &mut self,
        key: Key,
        part: PartId,
        state: State,
        failure: Option<&Failure>,
        turn: &mut Turn<'_, T>,
    ) -> bool {
        if let Some(waiting) = self.ready.remove(key, part) {
            let (fence, at, failure) = (waiting.fence, turn.now, failure.cloned());
            turn.out.transitions.push(Transition::Drop { part, fence, state, failure, at });
            self.release_key(key);
            return true;
        }
        let Some(fence) = self.running.get(&part).map(|running| running.lease.fence) else {
            return false;
        };
        self.stop_running(part, fence, state, failure, turn);
        true
    }

    pub(super) fn retry(&mut self, parts: &[FailedPart], to: T, turn: &mut Turn<'_, T>) {
        let (mut jobs, mut last) = (0, None);
        for failed in parts {
            let (job, part) = (&failed.job, failed.part);
            let Ok(key) = self.ready.key(&job.tenant, job.priority, &job.requirements) else {
                return turn.answer(to, Answer::TooManyClasses);
            };
            if self.ready.contains(key, part) || self.running.contains_key(&part) {
                self.release_key(key);
                continue;
            }
            self.learn_class(key.class);
            let part_index = u16::try_from(part.0 - job.first_part.0).unwrap_or(u16::MAX);
            let (available_at, fence, attempt) = (turn.now, failed.fence, failed.attempt);
            let tally = Tally { errors_max: failed.errors_max, ..Tally::default() };
            let part_count = job.part_count;
            let waiting = Waiting { available_at, fence, attempt, tally, part_index, part_count };
            self.ready.insert(key, part, waiting, turn.now);
            turn.out.transitions.push(Transition::Revive { part, fence, at: turn.now });
            turn.event(Event::Changed(part));
            if last != Some(job.job) {
                jobs += 1;
                last = Some(job.job);
            }
        }
        turn.answer(to, Answer::Retried(jobs));
    }

    /// Fails what is left of a job one of whose parts failed.
    pub(super) fn fail_siblings(&mut self, key: Key, siblings: Siblings, turn: &mut Turn<'_, T>) {
        let text = format!("not run to its end: part {} of the job failed", siblings.index);
        let failure = Failure::new(FailureKind::Cancelled, text);
        for part in siblings.others() {
            self.end_live_part(key, part, State::Failed, Some(&failure), turn);
        }
    }

    pub(super) fn any_live(&self, key: Key, siblings: Siblings) -> bool {
        let live = |part| self.running.contains_key(&part) || self.ready.contains(key, part);
        siblings.others().any(live)
    }

    /// Lets the nodes' groups know whether they can run a class.
    pub(super) fn learn_class(&mut self, class: u32) {
        let Some(requirements) = self.ready.requirements(class) else { return };
        for group in 0..self.fleet.group_count() {
            self.fleet.learn(group, class, requirements);
        }
    }

    pub(super) fn release_key(&mut self, key: Key) {
        if self.ready.release(key) {
            self.fleet.forget_class(key.class);
        }
    }
}

/// The other parts of a part's job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Siblings {
    pub part: PartId,
    pub index: u16,
    pub count: u16,
}

impl Siblings {
    fn others(self) -> impl Iterator<Item = PartId> {
        let first = self.part.0 - u64::from(self.index);
        let all = (first..first + u64::from(self.count)).map(PartId);
        all.filter(move |part| *part != self.part)
    }
}

fn parts_of(job: &JobRef) -> impl Iterator<Item = PartId> + use<> {
    let first = job.first_part.0;
    (first..first + u64::from(job.part_count)).map(PartId)
}

impl<T> Control<T> {
    /// Takes a part from its node because its job ended, and tells the node.
    fn stop_running(
        &mut self,
        part: PartId,
        fence: Fence,
        state: State,
        failure: Option<&Failure>,
        turn: &mut Turn<'_, T>,
    ) {
        self.cancelled.remember(part, fence);
        let end = super::ends::End {
            outcome: AttemptOutcome::Cancelled,
            failure: failure.cloned(),
            timings: None,
            settle: None,
            report: None,
            digest: None,
            lost_cause: None,
            next: crate::transition::Next::Done { state, result: None },
        };
        let session = self.running.get(&part).map(|running| running.lease.session);
        self.end_attempt_only(part, end, turn);
        if let Some(session) = session {
            let reason = types::StopReason::Cancelled;
            let stop = crate::command::NodeMessage::Stop { part, fence, reason };
            self.deliver(session, stop, turn);
        }
    }
}
