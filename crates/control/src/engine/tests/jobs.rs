//! Jobs from their submission to their end.

use super::*;

#[test]
fn a_cancel_stops_what_runs_and_drops_what_waits() {
    let mut site = Site::new();
    site.node("a", 1);
    let first = site.submit(parts(3));
    let running = site.lease();
    let job = job_ref(first, 3);
    let answer = site.ask(|to| Command::Cancel { job, to });
    assert!(matches!(answer, Answer::Cancelled(it) if it.changed));
    assert_eq!(site.stops(), [(running.part, running.fence, StopReason::Cancelled)]);
    assert_eq!((site.finished(), site.transitions.len()), (vec![State::Cancelled], 3));
    assert_eq!(site.control.counts(site.now).queued, 0);
    site.batch(vec![Command::Cancel { job: job_ref(first, 3), to: 7 }]);
    assert!(matches!(site.effects[..], [Effect::AnswerState { to: 7, .. }]));
}

#[test]
fn a_job_of_many_parts_succeeds_with_its_last_and_fails_with_its_first_failure() {
    let mut site = Site::new();
    let node = site.node("a", 2);
    site.submit(parts(3));
    let leases = site.leases();
    site.report(node, &leases[0], success());
    assert_eq!(site.finished(), []);
    let third = site.lease();
    site.report(node, &leases[1], success());
    assert_eq!(site.finished(), []);
    site.report(node, &third, success());
    assert_eq!(site.finished(), [State::Succeeded]);

    site.submit(parts(4));
    let leases = site.leases();
    site.report(node, &leases[0], success());
    let third = site.lease();
    site.report(node, &leases[1], failed(FailureKind::Truncated));
    assert_eq!(site.finished(), [State::Failed]);
    assert_eq!(site.stops(), [(third.part, third.fence, StopReason::Cancelled)]);
    let dropped = site
        .transitions
        .iter()
        .filter(|transition| matches!(transition, Transition::Drop { state: State::Failed, .. }));
    assert_eq!(dropped.count(), 1, "the part that waited");
    let counts = site.control.counts(site.now);
    assert_eq!((counts.queued, counts.running), (0, 0));
}

#[test]
fn what_a_late_report_is_worth_depends_on_its_own_attempt() {
    let record = |outcome, digest| AttemptRecord { outcome, digest };
    let late = LateReport {
        part: PartId(1),
        fence: Fence(1),
        digest: [1; 32],
        score_digests: Some(vec!["d".into()]),
    };
    for (record, expected) in [
        (None, ReportAnswer::Stale),
        (Some(record(AttemptOutcome::Lost, None)), ReportAnswer::Stale),
        (Some(record(AttemptOutcome::Cancelled, None)), ReportAnswer::Cancelled),
        (Some(record(AttemptOutcome::Succeeded, Some([1; 32]))), ReportAnswer::Duplicate),
        (Some(record(AttemptOutcome::Succeeded, Some([2; 32]))), ReportAnswer::Stale),
    ] {
        assert_eq!(judge_late(&late, record.as_ref(), None), (expected, None), "{record:?}");
    }
}

#[test]
fn parts_of_two_new_stores_have_different_numbers() {
    let first_part = |seed| {
        let mut control: Control<()> = Control::new(Config::default());
        let mut random = Random::new(seed);
        let mut out = Output::default();
        let turn = &mut Turn { now: Timestamp::EPOCH, random: &mut random, out: &mut out };
        control.loaded(turn);
        control.last_part
    };
    assert_ne!(first_part(1), first_part(2));
    assert!((1..100).all(|seed| first_part(seed).0 < 1 << 53 && first_part(seed).0 > 0));
}
