//! Memory made anew from the store.

use super::*;

#[test]
fn a_reload_is_as_if_the_uncommitted_batch_had_never_been() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    assert_eq!(site.leases().len(), 1);
    site.control.unload();
    let Node { session, incarnation, .. } = node;
    let opened = crate::transition::SessionOpened {
        session,
        node: NodeId::new("a").expect("a good name"),
        incarnation,
        capabilities: capabilities(&["y4m"], 1),
        registered_at: site.now,
    };
    let stored = crate::store::StoredSession { opened, draining: false };
    site.control.load(crate::store::Stored::Session(&stored), site.now);
    let mut out = Output::default();
    let turn = &mut Turn { now: site.now, random: &mut site.random, out: &mut out };
    site.control.loaded(turn);
    let counts = site.control.counts(site.now);
    assert_eq!((counts.queued, counts.running, counts.nodes), (0, 0, 1));
    site.submit(draft());
    assert_eq!(site.lease().session, session, "who was connected still is");
}

#[test]
fn a_reload_gives_every_lease_its_time_even_where_the_stream_was_lost_meanwhile() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let grant = site.lease();
    site.status(node, status(1, &[&grant]));
    site.detach(node);
    // The store was in trouble for a minute, in which nobody could come back.
    site.wait(60_000);
    reload(&mut site, node, &grant);
    site.batch(Vec::new());
    assert_eq!(site.ended(), [], "the node has had no chance to come back");
    site.wait(Config::default().lease.as_millis() as u64 - 1);
    let node = site.attach(node, status(1, &[&grant]));
    assert_eq!((site.ended(), site.stops()), (Vec::new(), Vec::new()));
    assert_eq!(
        site.report(node, &grant, success()),
        Some(Answer::Reported(ReportAnswer::Accepted))
    );
}

#[test]
fn a_lease_that_nobody_comes_back_to_after_a_reload_ends_with_its_time() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let grant = site.lease();
    site.detach(node);
    site.wait(60_000);
    reload(&mut site, node, &grant);
    let loaded = site.now;
    // The first look may be an earlier timer's.
    while site.ended().is_empty() {
        site.until_due();
    }
    assert_eq!(site.ended(), [(AttemptOutcome::Lost, Some(FailureKind::LeaseExpired))]);
    assert!(site.now.since(loaded) >= Config::default().lease);
}

/// What follows a failed commit: everything comes from the store again, here one lease.
fn reload(site: &mut Site, node: Node, grant: &Grant) {
    use crate::store::{Stored, StoredLease, StoredPart, StoredSession};
    let Node { session, incarnation, .. } = node;
    let opened = crate::transition::SessionOpened {
        session,
        node: grant.node.clone(),
        incarnation,
        capabilities: capabilities(&["y4m"], 1),
        registered_at: site.now,
    };
    let requirements = types::Requirements::default();
    let part = StoredPart {
        part: grant.part,
        part_index: 0,
        part_count: 1,
        tenant: "",
        priority: Priority::default().get(),
        requirements: &requirements,
        available_at: grant.available_at,
        fence: grant.fence,
        attempt: grant.attempt,
        tally: crate::retry::Tally { errors_max: 3, ..Default::default() },
    };
    let (span_id, started_at) = (grant.span_id, grant.started_at);
    let control = &mut site.control;
    control.unload();
    control.load(Stored::Session(&StoredSession { opened, draining: false }), site.now);
    control.load(
        Stored::Lease(StoredLease { part, session, span_id, trace_id: None, started_at }),
        site.now,
    );
    let mut out = Output::default();
    let turn = &mut Turn { now: site.now, random: &mut site.random, out: &mut out };
    control.loaded(turn);
}
