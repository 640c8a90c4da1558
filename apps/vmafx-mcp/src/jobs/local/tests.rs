use std::time::Duration;

use media::{MediaConfig, SourcePolicy};
use types::{JobSpec, MediaRef};

use super::*;

fn jobs(slots: usize) -> LocalJobs {
    let media = MediaConfig::new(SourcePolicy::below([]));
    LocalJobs::new(RunConfig::new(media), slots, Telemetry::disabled(), TaskTracker::new())
}

fn submit(reference: &str, key: Option<&str>) -> Submit {
    let spec = JobSpec::pair(MediaRef::new(reference), MediaRef::new("/nowhere/b"));
    Submit { spec, idempotency_key: key.map(str::to_owned) }
}

async fn ended(jobs: &LocalJobs, id: JobId) -> JobView {
    let mut changes = jobs.changes(id).expect("known");
    let wait = async {
        while !jobs.job(id).expect("known").state.is_terminal() {
            changes.changed().await.expect("kept");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it ends");
    jobs.job(id).expect("known")
}

#[tokio::test]
async fn a_job_that_cannot_run_fails_with_its_cause_and_keeps_no_slot() {
    let jobs = jobs(1);
    for _ in 0..3 {
        let id = jobs.submit(submit("/nowhere/a", None)).expect("taken").job;
        let view = ended(&jobs, id).await;
        assert_eq!(view.state, State::Failed);
        assert_eq!(view.failure.map(|f| f.kind), Some(FailureKind::SourceRefused));
        assert_eq!(view.attempts.len(), 1);
    }
    assert_eq!(jobs.load(), (1, 0, 0));
    let error = jobs.frames(&GetFrames::all(jobs.list(&ListJobs::default()).jobs[0].id));
    assert_eq!(error.expect_err("no result").kind, "NOT_READY");
}

#[tokio::test]
async fn the_same_key_is_the_same_job_and_another_job_with_it_is_refused() {
    let jobs = jobs(1);
    let first = jobs.submit(submit("/nowhere/a", Some("k"))).expect("taken");
    let again = jobs.submit(submit("/nowhere/a", Some("k"))).expect("taken");
    assert_eq!((again.job, again.existing), (first.job, true));
    let other = jobs.submit(submit("/nowhere/c", Some("k"))).expect_err("another job");
    assert_eq!(other.kind, "IDEMPOTENCY_CONFLICT");
}

#[tokio::test]
async fn waiting_jobs_are_bounded_and_cancelled_ones_make_room() {
    let jobs = jobs(1);
    // The one slot is taken, so that everything waits.
    let _slot = jobs.0.slots.acquire().await.expect("open");
    let ids: Vec<JobId> = (0..UNENDED_MAX)
        .map(|_| jobs.submit(submit("/nowhere/a", None)).expect("taken").job)
        .collect();
    assert_eq!(jobs.submit(submit("/a", None)).expect_err("full").kind, "OVERLOADED");
    assert!(jobs.cancel(ids[3]).expect("known").changed);
    assert!(!jobs.cancel(ids[3]).expect("known").changed);
    assert_eq!(ended(&jobs, ids[3]).await.state, State::Cancelled);
    jobs.submit(submit("/a", None)).expect("there is room again");
    jobs.cancel_all();
    assert_eq!(jobs.load(), (1, 0, 0));
}

#[tokio::test]
async fn lists_are_paged_newest_first_and_old_jobs_are_forgotten() {
    let jobs = jobs(4);
    // Of those submitted within one millisecond the last need not have the largest id.
    let mut newest = None;
    for _ in 0..KEPT_MAX + 8 {
        let id = jobs.submit(submit("/nowhere/a", None)).expect("taken").job;
        ended(&jobs, id).await;
        newest = newest.max(Some(id));
    }
    let page = jobs.list(&ListJobs { page_size: Some(100), ..ListJobs::default() });
    assert_eq!(page.jobs.first().map(|job| job.id), newest);
    let (mut seen, mut next) = (page.jobs.len(), page.next);
    while let Some(after) = next {
        let list = ListJobs { page_size: Some(100), after: Some(after), ..ListJobs::default() };
        let page = jobs.list(&list);
        assert!(page.jobs.iter().all(|job| job.id < after));
        (seen, next) = (seen + page.jobs.len(), page.next);
    }
    assert_eq!(seen, KEPT_MAX);
}
