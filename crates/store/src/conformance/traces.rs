//! Jobs that have ended and whose trace is still to be exported.

use std::sync::Arc;
use std::time::Duration;

use control::{DueTrace, Transition, Verdict};
use types::{Commit, CommitNote, ExportReason, JobView, PartId, Timestamp, TraceFlags};

use super::Bench;
use super::make::{at, call, fail, job_id, lease, new_job, requeue, session, submit, succeed, way};

fn due(part: u64, reason: ExportReason, at: i64) -> Transition {
    Transition::TraceDue { part: PartId(part), reason, at: Timestamp::from_unix_micros(at) }
}

fn done(part: u64, at: i64) -> Transition {
    Transition::TraceDone { first_part: PartId(part), due_at: Timestamp::from_unix_micros(at) }
}

fn mark(part: u64, reason: ExportReason, at: i64) -> DueTrace {
    DueTrace {
        job: job_id(part),
        first_part: PartId(part),
        reason,
        due_at: Timestamp::from_unix_micros(at),
    }
}

fn all(bench: &mut Bench, limit: usize) -> (Vec<DueTrace>, u64) {
    bench.store().reader().due_traces(limit).expect("a store in good order")
}

pub(super) fn due_until_done(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for part in 1..=3 {
        bench.applied(submit(part));
        bench.applied(lease(part, 1));
    }
    assert_eq!(bench.apply(due(9, ExportReason::Failed, 5)), Verdict::Refused, "no such part");
    // The mark is made with the end itself.
    let ended = [fail(2, 1), due(2, ExportReason::Failed, 50)];
    assert_eq!(bench.commit(&ended), [Verdict::Applied, Verdict::Applied]);
    assert_eq!(bench.apply(due(2, ExportReason::Failed, 50)), Verdict::Already);
    bench.applied(due(1, ExportReason::Slow, 60));
    let (first, second) = (mark(1, ExportReason::Slow, 60), mark(2, ExportReason::Failed, 50));
    assert_eq!(all(bench, 9), (vec![first, second], 2));
    assert_eq!(all(bench, 1), (vec![first], 2), "no more than asked for, but all counted");
    bench.reopen();
    assert_eq!(all(bench, 9), (vec![first, second], 2));
    bench.applied(done(1, 60));
    assert_eq!(bench.apply(done(1, 60)), Verdict::Already);
    bench.reopen();
    assert_eq!(all(bench, 9), (vec![second], 1));
}

pub(super) fn a_later_mark_stays(bench: &mut Bench) {
    bench.applied(submit(1));
    bench.applied(due(1, ExportReason::Failed, 10));
    bench.applied(due(1, ExportReason::Slow, 20));
    assert_eq!(bench.apply(done(1, 10)), Verdict::Already);
    assert_eq!(all(bench, 9), (vec![mark(1, ExportReason::Slow, 20)], 1));
    bench.applied(done(1, 20));
    assert_eq!(all(bench, 9), (vec![], 0));
}

pub(super) fn the_time_told_is_kept(bench: &mut Bench) {
    let told = |bench: &mut Bench| bench.store().reader().traces_told().expect("in good order");
    assert_eq!(told(bench), None);
    bench.applied(Transition::TracesTold { until: at(5) });
    assert_eq!(bench.apply(Transition::TracesTold { until: at(4) }), Verdict::Already);
    bench.reopen();
    assert_eq!(told(bench), Some(at(5)));
    bench.applied(Transition::TracesTold { until: at(6) });
    assert_eq!(told(bench), Some(at(6)));
}

pub(super) fn recorded_since(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for part in 1..=4 {
        let mut job = new_job(part, 1);
        job.trace.flags = TraceFlags(if part == 2 { TraceFlags::RANDOM.0 } else { 3 });
        bench.applied(Transition::Submit(Arc::new(job)));
        bench.applied(lease(part, 1));
        if part < 4 {
            bench.applied(succeed(part, 1));
        }
    }
    bench.reopen();
    // All of them ended in one moment.
    let ended = bench.store().reader().job(job_id(1)).expect("in good order").expect("there");
    let ended_at = ended.finished_at.expect("it has ended");
    let mut since = |at, limit| bench.store().reader().recorded_since(at, limit).expect("in order");
    assert_eq!(since(ended_at, 9), [job_id(3), job_id(1)], "2 is not recorded, 4 still runs");
    assert_eq!(since(ended_at, 1), [job_id(3)], "the newest");
    assert_eq!(since(ended_at.after(Duration::from_micros(1)), 9), []);
}

fn note(since: u64, start: u64, end: u64) -> CommitNote {
    let commit = Commit { start: at(start), end: at(end), writes: start };
    CommitNote { since: at(since), commit }
}

fn job(bench: &mut Bench, number: u64) -> JobView {
    bench.store().reader().job(job_id(number)).expect("in good order").expect("there")
}

pub(super) fn calls_and_commits_read_back(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for part in [1, 2] {
        bench.applied(submit(part));
        bench.applied(lease(part, 1));
        bench.applied(requeue(part, 1));
        bench.applied(lease(part, 2));
        bench.applied(succeed(part, 2));
    }
    bench.reopen();
    for part in [1, 2] {
        let view = job(bench, part);
        assert_eq!((view.call, view.submitted_by), (call(part), None));
        let ways: Vec<_> = view.attempts.iter().map(|attempt| attempt.report).collect();
        assert_eq!(ways, [None, Some(way(part))], "a lost attempt has no report");
        assert!(view.attempts.iter().all(|it| it.leased_by.is_none() && it.ended_by.is_none()));
    }
    // They were submitted at 1 and 2, leased at 100 and 200, ended at 150 and 250.
    let notes = [note(0, 1, 2), note(2, 101, 102), note(180, 199, 201), note(201, 251, 252)];
    for each in notes {
        bench.applied(Transition::Committed(each));
        assert_eq!(bench.apply(Transition::Committed(each)), Verdict::Already);
    }
    bench.reopen();
    let commit = |index: usize| Some(notes[index].commit);
    let first = job(bench, 1);
    assert_eq!(first.submitted_by, commit(0));
    assert_eq!(job(bench, 2).submitted_by, commit(1), "decided when the one before had ended");
    let [lost, good] = first.attempts.as_slice() else { panic!("two attempts") };
    assert_eq!(lost.leased_by, commit(1));
    assert_eq!(lost.ended_by, None, "the next one that is known began to gather later");
    // Decided while one was made is of no commit.
    assert_eq!((good.leased_by, good.ended_by), (None, commit(3)));
}

pub(super) fn commits_are_forgotten(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for part in [1, 2] {
        bench.applied(submit(part));
        bench.applied(lease(part, 1));
        bench.applied(succeed(part, 1));
    }
    let (first, second) = (note(0, 1, 2), note(2, 101, 102));
    bench.applied(Transition::Committed(first));
    bench.applied(Transition::Committed(second));
    bench.applied(Transition::Forget { first_part: PartId(1) });
    assert_eq!(job(bench, 2).submitted_by, Some(second.commit), "what a younger job needs is kept");
    assert_eq!(bench.apply(Transition::Committed(first)), Verdict::Already, "it came later");
    // A job that does not end keeps nothing for all that come after it.
    bench.applied(submit(3));
    bench.applied(Transition::Forget { first_part: PartId(2) });
    // Known again only if it was forgotten.
    bench.applied(Transition::Committed(first));
    assert_eq!(bench.apply(Transition::Committed(second)), Verdict::Already);
}
