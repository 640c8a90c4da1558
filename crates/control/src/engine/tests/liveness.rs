//! Nodes come, fall silent, come back and go.

use super::*;

#[test]
fn a_lost_stream_costs_its_leases_after_the_grace_and_not_before() {
    let mut site = Site::new();
    let (node, part) = (site.node("a", 1), site.submit(draft()));
    site.wait(500);
    site.detach(node);
    let lost_at = site.now;
    site.now = lost_at.after(Config::default().stream_grace);
    site.batch(Vec::new());
    assert_eq!(site.ended(), [], "the grace includes its last moment");
    site.until_due();
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    assert_eq!(site.now.since(lost_at), Duration::from_micros(1_000_001));
    site.node("b", 1);
    assert_eq!((site.lease().part, site.lease().fence), (part, Fence(2)));
}

#[test]
fn a_silent_node_keeps_its_leases_for_the_lease_time_only() {
    let mut site = Site::new();
    let (node, _) = (site.node("a", 1), site.submit(draft()));
    let lease = site.lease();
    for _ in 0..3 {
        site.wait(9_000);
        site.status(node, status(1, &[&lease]));
        assert_eq!(site.ended(), []);
    }
    assert_eq!(site.view("a").liveness, Liveness::Alive);
    let heard = site.now;
    site.wait(5_000);
    assert_eq!(site.view("a").liveness, Liveness::Stale);
    while site.transitions.is_empty() {
        site.until_due();
    }
    assert_eq!(site.now.since(heard), Duration::from_micros(10_000_001));
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::LeaseExpired))]);
    assert_eq!(site.view("a").liveness, Liveness::Unknown, "not the same as dead");
}

#[test]
fn a_node_that_slept_past_its_lease_is_told_to_stop_and_keeps_its_session() {
    let mut site = Site::new();
    let (node, _) = (site.node("a", 1), site.submit(draft()));
    let old = site.lease();
    site.until_due();
    let other = site.node("b", 1);
    let new = site.lease();
    assert_eq!(site.report(node, &old, success()), None, "the history answers");
    let late = site.effects.iter().any(|effect| matches!(effect, Effect::AnswerLate { .. }));
    assert!(late && site.transitions.is_empty());
    site.status(node, status(1, &[&old]));
    assert_eq!(site.stops(), [(old.part, old.fence, StopReason::LeaseLost)]);
    let answer = site.report(other, &new, success());
    assert_eq!(answer, Some(Answer::Reported(ReportAnswer::Accepted)));
    site.status(node, status(1, &[]));
    site.submit(draft());
    assert_eq!(site.leases().len(), 1, "both are good for work again");
}

#[test]
fn a_frozen_node_with_an_open_stream_is_given_no_work() {
    let mut site = Site::new();
    site.node("a", 1);
    site.wait(4_000);
    site.submit(draft());
    assert_eq!(site.leases(), []);
}

#[test]
fn a_new_process_of_a_node_frees_the_old_ones_parts_at_once() {
    let mut site = Site::new();
    let (old, part) = (site.node("a", 1), site.submit(draft()));
    let new = site.register("a", 2, 1);
    assert_ne!(new.session, old.session);
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    site.attach(new, status(1, &[]));
    assert_eq!((site.lease().part, site.lease().fence), (part, Fence(2)));
    let again = site.register("a", 2, 1);
    assert_eq!(again.session, new.session, "the same process has the same session");
}

/// Two machines were given one name: each takes the other's session, and its work with it.
#[test]
fn two_nodes_under_one_name_do_not_use_up_the_crashes_of_the_jobs_they_take_from_each_other() {
    let mut site = Site::new();
    site.node("twin", 1);
    let part = site.submit(draft());
    for turn in 0..20 {
        // The second time somebody comes back, it is clear that both live.
        let taken = site.register("twin", [2, 1][turn % 2], 1);
        assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
        let named = site.effects.iter().any(|effect| {
            matches!(effect,
            Effect::Event(Event::NameTaken(node)) if node.as_str() == "twin")
        });
        assert_eq!(named, turn > 0, "{turn}");
        site.attach(taken, status(1, &[]));
        assert_eq!(site.lease().part, part, "{turn}");
    }
    assert_eq!(site.finished(), []);
}

#[test]
fn the_end_of_an_old_stream_does_not_end_the_new_one() {
    let mut site = Site::new();
    let (old, _) = (site.node("a", 1), site.submit(draft()));
    let lease = site.lease();
    let new = site.attach(old, status(1, &[&lease]));
    assert!(site.effects.iter().any(|effect| matches!(effect,
        Effect::Close { connection, .. } if *connection == old.connection)));
    site.detach(old);
    site.wait(5_000);
    site.status(new, status(1, &[&lease]));
    assert_eq!(site.ended(), []);
}

#[test]
fn a_lease_that_a_node_no_longer_lists_is_found_and_goes_out_again() {
    let mut site = Site::new();
    let (node, part) = (site.node("a", 1), site.submit(draft()));
    let lease = site.lease();
    site.status(node, status(1, &[]));
    assert_eq!(site.ended(), [], "the lease may still be on its way");
    site.wait(3_000);
    site.status(node, status(1, &[&lease]));
    site.wait(3_000);
    site.status(node, status(1, &[]));
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::NodeLost))]);
    assert_eq!((site.lease().part, site.lease().fence), (part, Fence(2)));
}

#[test]
fn a_session_is_over_when_it_is_replaced_or_its_node_stays_away() {
    let mut site = Site::new();
    let over = |site: &Site| -> Vec<SessionId> {
        let closed = site.transitions.iter().filter_map(|transition| match transition {
            Transition::CloseSession { session } => Some(*session),
            _ => None,
        });
        closed.collect()
    };
    let first = site.node("a", 1);
    assert_eq!(over(&site), []);
    site.submit(draft());
    let second = site.register("a", 2, 1);
    assert_eq!(over(&site), [first.session]);
    let place = |is_it: fn(&Transition) -> bool| site.transitions.iter().position(is_it);
    let ended = place(|transition| matches!(transition, Transition::End(_)));
    let closed = place(|transition| matches!(transition, Transition::CloseSession { .. }));
    assert!(ended.is_some() && ended < closed, "its lease ends first: {:?}", site.transitions);
    // It was heard once, when it registered, and no more.
    site.wait(u64::try_from(Config::NODE_KEPT.as_millis()).expect("a day") + 1);
    site.register("b", 1, 1);
    assert_eq!(over(&site), [second.session]);
}
