//! Results, lists and what is not there.

use control::Stored;
use types::{Fence, FrameTable, JobFilter, JobId, PartId, State, Timestamp};

use super::Bench;
use super::make::{
    drop_queued, fail, frame_table, job_id, lease, pooled, report, session, submit, succeed,
};

pub(super) fn results_keep_every_bit(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    bench.applied(submit(1));
    bench.applied(lease(1, 1));
    assert_eq!(bench.store().reader().results(PartId(1)), Ok(None));
    bench.applied(succeed(1, 1));
    bench.reopen();
    let views = bench.store().reader().results(PartId(1)).expect("in good order");
    let views = views.expect("it succeeded");
    // `{:?}` of a float is its shortest exact form, and equal for all NaN.
    assert_eq!(format!("{:?}", views[1].models[0].pooled), format!("{:?}", pooled()));
    assert_eq!((views[1].width, views[1].frame_count), (1_920, 3));
    assert_eq!(views[1].warnings, report(0).warnings);
    let bits = |table: &FrameTable| {
        let columns = table.columns.iter();
        let bits = columns.map(|c| c.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        (table.frame_indices.clone(), bits.collect::<Vec<_>>())
    };
    for index in [0, 1] {
        let frames = bench.store().reader().frames(job_id(1), index).expect("in good order");
        assert_eq!(bits(&frames.expect("it succeeded")), bits(&frame_table(100)));
    }
    let summary = bench.store().reader().summary(job_id(1)).expect("in good order");
    let score = summary.expect("there").score.map(f64::to_bits);
    assert_eq!(score, Some(pooled().mean.to_bits()));
}

pub(super) fn pages_are_complete_and_in_order(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    const JOBS: u64 = 700;
    let submits: Vec<_> = (1..=JOBS).map(submit).collect();
    bench.commit(&submits);
    let state_of = |number: u64| match number % 5 {
        0 => State::Running,
        1 => State::Succeeded,
        2 => State::Failed,
        3 => State::Cancelled,
        _ => State::Queued,
    };
    for number in 1..=JOBS {
        let way = match state_of(number) {
            State::Queued => vec![],
            State::Running => vec![lease(number, 1)],
            State::Succeeded => vec![lease(number, 1), succeed(number, 1)],
            State::Failed => vec![lease(number, 1), fail(number, 1)],
            State::Cancelled => vec![drop_queued(number, 0)],
        };
        bench.commit(&way);
    }
    let every_state: Vec<Vec<State>> = State::ALL.into_iter().map(|state| vec![state]).collect();
    let mixes = [
        vec![],
        vec![State::Queued, State::Running],
        vec![State::Failed, State::Cancelled],
        vec![State::Succeeded, State::Queued],
    ];
    for states in every_state.into_iter().chain(mixes) {
        let expected: Vec<JobId> = (1..=JOBS)
            .rev()
            .filter(|number| states.is_empty() || states.contains(&state_of(*number)))
            .map(job_id)
            .collect();
        let filter = JobFilter { states: states.clone(), ..JobFilter::default() };
        for limit in [7, 1_000] {
            assert_eq!(all_pages(bench, &filter, limit), expected, "{states:?} by {limit}");
        }
    }
    let tenant = JobFilter { tenant: Some("nobody".into()), ..JobFilter::default() };
    assert_eq!(all_pages(bench, &tenant, 10), []);
}

fn all_pages(bench: &mut Bench, filter: &JobFilter, limit: usize) -> Vec<JobId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = bench.store().reader().page(filter, after, limit).expect("in good order");
        assert!(page.jobs.len() <= limit);
        all.extend(page.jobs.iter().map(|job| job.id));
        after = page.next;
        if after.is_none() {
            return all;
        }
        assert_eq!(page.jobs.len(), limit, "only the last page is short");
    }
}

pub(super) fn unknown_things_are_not_found(bench: &mut Bench) {
    let reader = bench.store().reader();
    let (job, part) = (job_id(1), PartId(1));
    assert_eq!(reader.state(job), Ok(None));
    assert_eq!(reader.locate(job), Ok(None));
    assert_eq!(reader.frames(job, 0), Ok(None));
    assert_eq!(reader.head(part), Ok(None));
    assert_eq!(reader.results(part), Ok(None));
    assert_eq!(reader.attempt(part, Fence(1)), Ok(None));
    assert_eq!(reader.job_of(part), Ok(None));
    assert_eq!(reader.failed_parts(job), Ok(Vec::new()));
    assert!(matches!(reader.job(job), Ok(None)));
    assert!(matches!(reader.summary(job), Ok(None)));
    let page = reader.page(&JobFilter::default(), Some(job), 10).expect("in good order");
    assert_eq!((page.jobs.len(), page.next), (0, None));
    bench.applied(submit(1));
    for index in [0, 63, 64, usize::MAX] {
        assert_eq!(bench.store().reader().frames(job_id(1), index), Ok(None));
    }
}

pub(super) fn marks_never_fall(bench: &mut Bench) {
    bench.applied(session(7, "node", 1));
    bench.applied(submit(40));
    bench.applied(drop_queued(40, 0));
    bench.reopen();
    let mut marks = None;
    let each = &mut |stored: Stored<'_>| {
        if let Stored::Marks { part, session, job } = stored {
            marks = Some((part.0, session.0, job));
        }
    };
    bench.store().load(Timestamp::EPOCH, each).expect("in good order");
    assert_eq!(marks, Some((40, 7, Some(job_id(40)))));
}
