//! Jobs that have ended and whose trace is still to be exported.

use control::{DueTrace, Transition, Verdict};
use types::{ExportReason, PartId, Timestamp};

use super::Bench;
use super::make::{fail, job_id, lease, session, submit};

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
