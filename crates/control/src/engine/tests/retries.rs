//! What did not succeed is tried again, and not for ever.

use super::*;

#[test]
fn errors_wait_longer_each_time_and_end_with_their_budget() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    for wait_ms in [1_000, 2_000] {
        let lease = site.lease();
        site.report(node, &lease, failed(FailureKind::Io));
        let ended = site.now;
        while site.leases().is_empty() {
            let due = site.control.next_deadline().expect("a retry is due");
            site.now = site.now.max(due);
            site.status(node, status(1, &[]));
        }
        let waited = site.now.since(ended);
        assert!(waited >= Duration::from_millis(wait_ms / 2), "{waited:?}");
        assert!(waited <= Duration::from_millis(wait_ms), "{waited:?}");
    }
    let lease = site.lease();
    site.report(node, &lease, failed(FailureKind::Io));
    assert_eq!((lease.attempt, site.finished()), (3, vec![State::Failed]));
}

#[test]
fn a_final_failure_is_not_tried_again() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let lease = site.lease();
    site.report(node, &lease, failed(FailureKind::SizeMismatch));
    assert_eq!(site.finished(), [State::Failed]);
}

#[test]
fn a_part_that_kills_its_nodes_is_failed_by_its_own_budget_and_starves_nobody() {
    let mut site = Site::new();
    let poison = site.submit(draft());
    for crash in 1..=3 {
        let node = site.register("a", crash, 1);
        site.attach(node, status(1, &[]));
        while site.leases().is_empty() {
            site.until_due();
        }
        assert_eq!(site.lease().part, poison);
    }
    site.register("a", 4, 1);
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    assert_eq!(site.finished(), [State::Failed]);
}

#[test]
fn what_is_handed_back_counts_against_nothing() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(changed(|spec| spec.attempts_max = std::num::NonZeroU32::MIN));
    for attempt in 1..20 {
        let lease = site.lease();
        assert_eq!((lease.attempt, lease.fence), (attempt, Fence(u64::from(attempt))));
        site.report(node, &lease, ReportedOutcome::Released);
        assert_eq!(site.ended(), [(AttemptOutcome::Released, None)]);
    }
}

#[test]
fn no_lease_of_one_part_follows_another_forever() {
    let mut site = Site::new();
    site.node("a", 1);
    site.submit(draft());
    let mut leases = 0;
    while let [lease] = &site.leases()[..] {
        leases += 1;
        assert_eq!(lease.fence, Fence(leases));
        assert!(leases <= Config::LEASES_PER_PART_MAX, "it never ends");
        site.batch(vec![Command::Undelivered { leases: vec![(lease.part, lease.fence)] }]);
    }
    assert_eq!(leases, Config::LEASES_PER_PART_MAX);
    assert_eq!(site.finished(), [State::Failed]);
}

#[test]
fn no_part_is_handed_back_forever() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let mut leases = 0;
    while let [lease] = &site.leases()[..] {
        leases += 1;
        assert!(leases <= Config::LEASES_PER_PART_MAX, "it never ends");
        site.report(node, &lease.clone(), ReportedOutcome::Released);
    }
    assert_eq!(leases, Config::LEASES_PER_PART_MAX);
    assert_eq!(site.ended(), [(AttemptOutcome::Released, Some(FailureKind::Internal))]);
    assert_eq!(site.finished(), [State::Failed]);
}
