//! Jobs that have ended and whose trace is still to be exported.

use std::sync::Arc;
use std::time::Duration;

use control::{DueTrace, Transition, Verdict};
use types::{ExportReason, PartId, Timestamp, TraceFlags};

use super::Bench;
use super::make::{at, fail, job_id, lease, new_job, session, submit, succeed};

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
