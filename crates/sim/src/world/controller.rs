//! The controller's shell: batches, commits, lets go, and dies in between.

use super::*;

impl World {
    /// Takes a command; often the next one joins its batch.
    pub(super) fn take(&mut self, command: Command<Origin>) -> Result<(), Violation> {
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

    pub(super) fn wake_by(&mut self, at: Timestamp) {
        if self.wake_at.is_none_or(|set| at < set || set <= self.now) {
            self.wake_at = Some(at);
            self.agenda.put(at.max(self.now), Happening::Wake);
        }
    }

    pub(super) fn fate(&mut self) -> Fate {
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
    pub(super) fn turn(&mut self) -> Result<(), Violation> {
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

    pub(super) fn let_go(&mut self, effects: Vec<Effect<Origin>>) -> Result<(), Violation> {
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

    pub(super) fn answer(&mut self, to: Origin, answer: Answer) -> Result<(), Violation> {
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

    pub(super) fn answer_report(
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
    pub(super) fn loses(&mut self) -> bool {
        self.in_trouble() && chance(&mut self.random, 60)
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
