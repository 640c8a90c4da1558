//! Jobs as they read back.

use std::sync::Arc;
use std::time::Duration;

use control::Transition;
use types::{AttemptOutcome, EarlierEnd, Fence, PartId, State};

use super::Bench;
use super::make::{
    at, drop_queued, fail, failure, job_id, lease, new_job, requeue, revive, session, span, spec,
    submit, succeed, timings, trace,
};

fn state(bench: &mut Bench, number: u64) -> Option<State> {
    bench.store().reader().state(job_id(number)).expect("a store in good order")
}

pub(super) fn the_whole_story_reads_back(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    bench.applied(submit(1));
    assert_eq!(state(bench, 1), Some(State::Queued));
    bench.applied(lease(1, 1));
    assert_eq!(state(bench, 1), Some(State::Running));
    bench.applied(requeue(1, 1));
    let view = bench.store().reader().job(job_id(1)).expect("in good order").expect("there");
    assert_eq!((view.state, view.available_at), (State::Queued, Some(at(1_001))));
    bench.applied(lease(1, 2));
    let view = bench.store().reader().job(job_id(1)).expect("in good order").expect("there");
    assert_eq!((view.attempts.len(), view.attempts[1].outcome), (2, None));
    bench.applied(succeed(1, 2));
    bench.reopen();
    let view = bench.store().reader().job(job_id(1)).expect("in good order").expect("there");
    assert_eq!(
        (view.id, view.state, view.tenant.as_str()),
        (job_id(1), State::Succeeded, "tenant")
    );
    assert_eq!((view.spec, view.trace), (spec(), trace(1)));
    assert_eq!(view.root_span_id, span(1_001));
    assert_eq!((view.submitted_at, view.started_at), (at(1), Some(at(100))));
    assert_eq!((view.finished_at, view.available_at), (Some(at(250)), None));
    assert_eq!((view.results.len(), view.failure), (2, None));
    let [lost, good] = view.attempts.as_slice() else { panic!("two attempts") };
    assert_eq!((lost.outcome, lost.attempt), (Some(AttemptOutcome::Lost), 1));
    assert_eq!(lost.failure.as_ref().map(|f| f.message.as_str()), Some("gone"));
    assert_eq!((lost.settle, &lost.timings), (None, &None));
    assert_eq!((good.outcome, good.fence), (Some(AttemptOutcome::Succeeded), Fence(2)));
    assert_eq!((good.node.as_str(), good.span_id), ("node", span(12)));
    assert_eq!((good.available_at, good.started_at), (at(2), at(200)));
    assert_eq!((good.ended_at, good.settle), (Some(at(250)), Some(Duration::from_micros(11))));
    assert_eq!(good.timings, Some(timings()));
    let record = bench.store().reader().attempt(PartId(1), Fence(2)).expect("in good order");
    let record = record.expect("it ended");
    assert_eq!((record.outcome, record.digest), (AttemptOutcome::Succeeded, Some([9; 32])));
}

pub(super) fn many_read_back_at_once(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for number in 1..=3 {
        bench.applied(submit(number));
    }
    bench.applied(lease(2, 1));
    bench.applied(succeed(2, 1));
    let asked = [2, 9, 1, 2].map(job_id);
    let views = bench.store().reader().jobs(&asked).expect("in good order");
    let mut alone = |job| bench.store().reader().job(job).expect("in good order");
    // Results hold a NaN, which equals nothing.
    assert_eq!(format!("{views:?}"), format!("{:?}", asked.map(&mut alone)), "as each alone");
    let states = views.iter().map(|view| view.as_ref().map(|view| view.state));
    let (queued, succeeded) = (Some(State::Queued), Some(State::Succeeded));
    assert_eq!(states.collect::<Vec<_>>(), [succeeded, None, queued, succeeded]);
    assert_eq!(bench.store().reader().jobs(&[]).expect("in good order"), []);
}

pub(super) fn the_attempt_before(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    for part in [1, 2] {
        bench.applied(submit(part));
        for fence in [1, 2] {
            bench.applied(lease(part, fence));
            bench.applied(requeue(part, fence));
        }
    }
    bench.reopen();
    let mut before = |part, fence| {
        let found = bench.store().reader().attempt_before(PartId(part), Fence(fence));
        found.expect("in good order").map(|it| (it.span_id, it.trace_id))
    };
    assert_eq!(before(1, 1), None);
    assert_eq!(before(1, 2), Some((span(11), None)));
    let own = Some(trace(22).trace_id);
    assert_eq!(before(2, 3), Some((span(22), own)), "of its part, the last, with its own trace");
    assert_eq!(before(3, 9), None);
}

pub(super) fn many_parts_are_one_job(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    bench.applied(Transition::Submit(Arc::new(new_job(1, 3))));
    bench.applied(Transition::Submit(Arc::new(new_job(10, 2))));
    bench.applied(lease(2, 1));
    assert_eq!(state(bench, 1), Some(State::Running));
    bench.applied(succeed(2, 1));
    assert_eq!(state(bench, 1), Some(State::Running), "two parts still wait");
    for part in [1, 3] {
        bench.applied(lease(part, 1));
        bench.applied(succeed(part, 1));
    }
    bench.reopen();
    assert_eq!(state(bench, 1), Some(State::Succeeded));
    assert_eq!(state(bench, 10), Some(State::Queued));
    let view = bench.store().reader().job(job_id(1)).expect("in good order").expect("there");
    let mut indices: Vec<_> = view.attempts.iter().map(|a| (a.part.0, a.part_index)).collect();
    indices.sort_unstable();
    assert_eq!(indices, [(1, 0), (2, 1), (3, 2)]);
    let frames = bench.store().reader().frames(job_id(1), 1).expect("in good order");
    let frames = frames.expect("all parts have theirs");
    assert_eq!(frames.frame_indices, [100, 101, 102, 200, 201, 202, 300, 301, 302]);
    assert_eq!(frames.columns[0].values.len(), 9);
    let place = bench.store().reader().locate(job_id(1)).expect("in good order").expect("there");
    assert_eq!((place.first_part, place.part_count, place.priority), (PartId(1), 3, 5));
    assert_eq!(place.requirements, spec().requirements);
    assert_eq!(bench.store().reader().job_of(PartId(3)), Ok(Some(job_id(1))));
}

pub(super) fn failed_parts_are_revived(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    bench.applied(Transition::Submit(Arc::new(new_job(1, 2))));
    bench.applied(lease(1, 1));
    bench.applied(fail(1, 1));
    let failed = |bench: &mut Bench| {
        let parts = bench.store().reader().failed_parts(job_id(1)).expect("in good order");
        parts.iter().map(|p| (p.part.0, p.fence.0, p.attempt, p.errors_max)).collect::<Vec<_>>()
    };
    assert_eq!(failed(bench), [], "its other part still waits");
    let (state_failed, at_nine) = (State::Failed, at(9));
    let (part, fence, failure_given) = (PartId(2), Fence(0), Some(failure()));
    bench.applied(Transition::Drop {
        part,
        fence,
        state: state_failed,
        failure: failure_given,
        at: at_nine,
    });
    assert_eq!(failed(bench), [(1, 1, 1, 3), (2, 0, 0, 3)]);
    let view = bench.store().reader().job(job_id(1)).expect("in good order").expect("there");
    assert_eq!((view.state, view.failure), (State::Failed, Some(failure())));
    bench.applied(revive(1, 1));
    bench.applied(revive(2, 0));
    bench.reopen();
    assert_eq!((state(bench, 1), failed(bench)), (Some(State::Queued), Vec::new()));
    bench.applied(submit(3));
    bench.applied(drop_queued(3, 0));
    assert_eq!(state(bench, 3), Some(State::Cancelled));
    assert_eq!(bench.store().reader().failed_parts(job_id(3)), Ok(Vec::new()));
}

pub(super) fn earlier_ends_are_kept(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    bench.applied(submit(1));
    let ends = |bench: &mut Bench| {
        let found = bench.store().reader().job(job_id(1)).expect("in good order");
        found.expect("there").earlier_ends
    };
    for fence in 1..=2 {
        bench.applied(lease(1, fence));
        bench.applied(fail(1, fence));
        let retried_at = at(5_000 + fence);
        let (part, fence) = (PartId(1), Fence(fence));
        bench.applied(Transition::Revive { part, fence, at: retried_at });
    }
    bench.reopen();
    let expected = |fence: u64| EarlierEnd {
        failed_at: at(100 * fence + 50),
        failure: Some(failure()),
        retried_at: at(5_000 + fence),
    };
    assert_eq!(ends(bench), [expected(1), expected(2)]);
}

pub(super) fn heads_read_back(bench: &mut Bench) {
    bench.applied(Transition::Submit(Arc::new(new_job(1, 2))));
    bench.reopen();
    for part in [1, 2] {
        let head = bench.store().reader().head(PartId(part)).expect("in good order");
        let head = head.expect("there");
        assert_eq!((head.job, &*head.spec), (job_id(1), &spec()));
        assert_eq!((head.trace, head.root_span_id), (trace(1), span(1_001)));
        assert_eq!(head.submitted_at, at(1));
    }
}

pub(super) fn heads_of_many_read_back(bench: &mut Bench) {
    // Parts 1, 2; 3; 10, 11, 12; 5000.
    for (first, parts) in [(1, 2), (3, 1), (10, 3), (5_000, 1)] {
        bench.applied(Transition::Submit(Arc::new(new_job(first, parts))));
    }
    let close = [12, 3, 1, 4, 2, 10, 9, 11, 12, 13];
    for asked in [&close[..], &[5_000, 2, 4_999, 5_001], &[2], &[0, 1], &[]] {
        let asked: Vec<PartId> = asked.iter().copied().map(PartId).collect();
        let reader = bench.store().reader();
        let heads = reader.heads(&asked).expect("in good order");
        let singly: Vec<_> =
            asked.iter().map(|part| reader.head(*part).expect("in good order")).collect();
        assert_eq!(heads, singly, "{asked:?}");
        let job_of = |part: &PartId| match part.0 {
            1 | 2 => Some(job_id(1)),
            3 => Some(job_id(3)),
            10..=12 => Some(job_id(10)),
            5_000 => Some(job_id(5_000)),
            _ => None,
        };
        let jobs = heads.iter().map(|head| head.as_ref().map(|head| head.job));
        assert!(jobs.eq(asked.iter().map(job_of)), "{asked:?}");
    }
}
