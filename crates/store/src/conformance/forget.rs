//! Jobs that have ended and are not kept.

use control::{Forgettable, Keep, Transition, Verdict};
use types::{ExportReason, PartId, Timestamp};

use super::Bench;
use super::make::{
    at, fail, job_id, lease, new_job, revive, session, submit, submit_keyed, succeed,
};

fn forget(part: u64) -> Transition {
    Transition::Forget { first_part: PartId(part) }
}

fn found(bench: &mut Bench, keep: Keep, after: u64, limit: usize) -> (Vec<u64>, Option<u64>) {
    let found = bench.store().reader().forgettable(&keep, PartId(after), limit);
    let Forgettable { jobs, next } = found.expect("a store in good order");
    (jobs.into_iter().map(|part| part.0).collect(), next.map(|part| part.0))
}

fn newest(bench: &mut Bench, count: u64) -> Keep {
    let after = bench.store().reader().newest_but(count).expect("a store in good order");
    Keep { after, ..Keep::default() }
}

fn since(at: Timestamp) -> Keep {
    Keep { ended_since: Some(at), ..Keep::default() }
}

pub(super) fn what_need_not_be_kept(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    bench.applied(submit_keyed(1, "tenant", 7, at(9_000)));
    for part in 2..=6 {
        bench.applied(submit(part));
    }
    for part in 1..=6 {
        bench.applied(lease(part, 1));
        bench.applied(if part == 2 { fail(part, 1) } else { succeed(part, 1) });
    }
    assert_eq!(found(bench, Keep::default(), 0, 9), (vec![], None), "all are kept");
    let keep = newest(bench, 4);
    assert_eq!(found(bench, keep, 0, 9), (vec![1, 2], None));
    let keep = newest(bench, 0);
    assert_eq!(found(bench, keep, 0, 9), (vec![1, 2, 3, 4, 5], None), "the newest stays");
    let keep = newest(bench, 0);
    assert_eq!(found(bench, keep, 0, 2), (vec![1, 2], Some(2)));
    let keep = newest(bench, 0);
    assert_eq!(found(bench, keep, 2, 9), (vec![3, 4, 5], None));
    // They were submitted at 1 to 6 and ended together, at 150.
    assert_eq!(found(bench, since(at(150)), 0, 9), (vec![], None));
    assert_eq!(found(bench, since(at(151)), 0, 9), (vec![1, 2, 3, 4, 5], None));
    assert_eq!(found(bench, since(at(3)), 0, 9), (vec![], None), "it ended later");

    assert_eq!(bench.commit(&[forget(1), forget(2)]), [Verdict::Applied; 2]);
    assert_eq!(bench.apply(forget(1)), Verdict::Already);
    bench.reopen();
    let reader = bench.store().reader();
    for part in [1, 2] {
        assert_eq!(reader.job(job_id(part)), Ok(None));
        assert_eq!(reader.head(PartId(part)), Ok(None));
        assert_eq!(reader.attempt(PartId(part), types::Fence(1)), Ok(None));
        assert_eq!(reader.results(PartId(part)), Ok(None));
        assert_eq!(reader.frames(job_id(part), 0), Ok(None));
    }
    assert_eq!(reader.idempotency("tenant", "key", at(10)), Ok(None));
    let kept = reader.job(job_id(3)).expect("in good order").expect("kept");
    assert_eq!(kept.results.len(), 2);
    assert!(reader.frames(job_id(3), 1).expect("in good order").is_some());
    // The key may be used again.
    bench.applied(submit_keyed(9, "tenant", 8, at(9_000)));
}

pub(super) fn recorded_jobs_stay_until_they_have_arrived(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for part in 1..=3 {
        let mut job = new_job(part, 1);
        job.trace.flags = types::TraceFlags(u8::from(part == 1));
        bench.applied(Transition::Submit(std::sync::Arc::new(job)));
        bench.applied(lease(part, 1));
        bench.applied(succeed(part, 1));
    }
    let all = newest(bench, 0);
    // They ended at 150.
    let arrived = |until| Keep { recorded_since: Some(at(until)), ..all };
    assert_eq!(found(bench, arrived(151), 0, 9), (vec![1, 2], None));
    assert_eq!(found(bench, arrived(150), 0, 9), (vec![2], None));
}

pub(super) fn what_is_not_over_stays(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for part in 1..=5 {
        bench.applied(submit(part));
    }
    for part in 2..=4 {
        bench.applied(lease(part, 1));
    }
    // 1 waits, 2 runs, 3 waits for its export, 4 has failed, 5 is the newest.
    bench.applied(succeed(3, 1));
    let due = Transition::TraceDue { part: PartId(3), reason: ExportReason::Slow, at: at(5) };
    bench.applied(due);
    bench.applied(fail(4, 1));
    let keep = newest(bench, 0);
    assert_eq!(found(bench, keep, 0, 9), (vec![4], None));
    // Somebody retries it before it is forgotten.
    bench.applied(revive(4, 1));
    for part in [1, 2, 4, 77] {
        assert_eq!(bench.apply(forget(part)), Verdict::Already, "{part}");
    }
    bench.reopen();
    for part in [1, 2, 3, 4, 5] {
        assert!(bench.store().reader().job(job_id(part)).expect("in order").is_some(), "{part}");
    }
}
