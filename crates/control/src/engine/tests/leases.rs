//! Work finds its node.

use super::*;

#[test]
fn work_goes_to_a_node_in_the_batch_that_brings_it() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    let part = site.submit(draft());
    let lease = site.lease();
    assert_eq!((lease.part, lease.session, lease.fence), (part, node.session, Fence(1)));
    let kinds: Vec<bool> =
        site.transitions.iter().map(|t| matches!(t, Transition::Submit(_))).collect();
    assert_eq!(kinds, [true, false], "stored before it is leased");
}

#[test]
fn a_status_that_crosses_its_answer_neither_stops_anything_nor_keeps_a_slot() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    site.submit(draft());
    let done = site.lease();
    site.report(node, &done, success());
    site.status(node, status(1, &[&done]));
    assert_eq!(site.stops(), []);
    site.submit(draft());
    assert_eq!(site.leases().len(), 1, "the slot is free");
}

#[test]
fn a_status_is_acknowledged_where_it_asks_and_after_what_it_brought() {
    let mut site = Site::new();
    let node = site.node("a", 1);
    let Node { session, connection, .. } = node;
    let elsewhere = Grant { part: PartId(99), fence: Fence(1), ..grant_of_a_job(&mut site) };
    let told = |site: &Site| {
        let messages = site.effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { message, .. } => Some(message.clone()),
            _ => None,
        });
        messages.collect::<Vec<_>>()
    };
    for acknowledge in [0, 7] {
        let status = status(1, &[&elsewhere]);
        site.batch(vec![Command::Status { session, connection, status, acknowledge }]);
        let (part, reason) = (PartId(99), StopReason::LeaseLost);
        let mut expected = vec![NodeMessage::Stop { part, fence: Fence(1), reason }];
        expected.extend((acknowledge != 0).then_some(NodeMessage::Acknowledged(acknowledge)));
        assert_eq!(told(&site), expected);
    }
}

#[test]
fn an_attempt_leased_more_than_the_cut_over_after_it_could_have_been_has_its_own_trace() {
    let limit = Config::default().trace_cut_over.expect("on by default");
    let lease_after = |waited: Duration| {
        let mut site = Site::new();
        site.submit(draft());
        site.now = site.now.after(waited);
        site.node("a", 1);
        let lease = site.lease();
        let stored = site.transitions.iter().find_map(|transition| match transition {
            Transition::Lease(lease) => Some(lease.trace_id),
            _ => None,
        });
        assert_eq!(stored, Some(lease.trace_id), "stored as it is sent");
        lease.trace_id
    };
    assert_eq!(lease_after(limit), None);
    assert!(lease_after(limit + Duration::from_micros(1)).is_some());
}

#[test]
fn a_node_never_holds_more_than_it_offered() {
    let mut site = Site::new();
    let node = site.node("a", 3);
    let drafts = vec![draft(); 5];
    site.ask(|to| Command::Submit { drafts, to });
    let leases = site.leases();
    assert_eq!(leases.len(), 3);
    site.report(node, &leases[0], success());
    assert_eq!(site.leases().len(), 1, "a free slot is filled in the batch that frees it");
    let leaving = NodeStatus { draining: true, ..status(3, &[]) };
    let elsewhere = Grant { part: PartId(99), ..leases[1].clone() };
    site.status(node, NodeStatus { draining: true, ..status(3, &[&elsewhere]) });
    assert_eq!(site.stops(), [(PartId(99), Fence(1), StopReason::LeaseLost)]);
    site.report(node, &leases[1], ReportedOutcome::Released);
    assert_eq!(site.leases(), [], "{leaving:?} takes nothing");
}

#[test]
fn leases_spread_over_nodes_before_one_is_filled() {
    let mut site = Site::new();
    let nodes = [site.node("a", 4), site.node("b", 4)];
    let drafts = vec![draft(); 4];
    site.ask(|to| Command::Submit { drafts, to });
    for node in nodes {
        let its = site.leases().iter().filter(|lease| lease.session == node.session).count();
        assert_eq!(its, 2);
    }
}

#[test]
fn a_part_waits_for_a_node_that_can_run_it() {
    let mut site = Site::new();
    site.node("a", 1);
    let gpu = changed(|spec| spec.requirements.backend = Some("gpu".into()));
    let part = site.submit(gpu);
    assert_eq!(site.leases(), []);
    let registration = Registration {
        node: NodeId::new("g").expect("a good name"),
        incarnation: Incarnation(1),
        capabilities: Capabilities { backends: vec!["gpu".into()], ..capabilities(&[], 1) },
    };
    let answer = site.ask(|to| Command::Register { registration, to });
    let Answer::Registered(registered) = answer else { panic!("{answer:?}") };
    let (session, incarnation) = (registered.session, Incarnation(1));
    site.attach(Node { session, incarnation, connection: ConnectionId(0) }, status(1, &[]));
    assert_eq!((site.lease().part, site.lease().session), (part, session));
}

#[test]
fn a_poll_waits_for_work_and_no_longer_than_it_may() {
    let mut site = Site::new();
    let node = site.register("a", 1, 2);
    let Node { session, incarnation, .. } = node;
    let poll =
        |until, to| Command::Poll { session, incarnation, status: status(2, &[]), until, to };
    let until = site.now.after(Duration::from_secs(20));
    site.batch(vec![poll(until, 70)]);
    assert!(site.effects.is_empty());
    let drafts = vec![draft(); 3];
    site.batch(vec![Command::Submit { drafts, to: 71 }]);
    let told = site.effects.iter().find_map(|effect| match effect {
        Effect::Answer { to: 70, answer: Answer::Messages(messages) } => Some(messages.len()),
        _ => None,
    });
    assert_eq!(told, Some(2), "all that it has slots for in one answer");
    let until = site.now.after(Duration::from_secs(1));
    site.batch(vec![poll(until, 72)]);
    site.until_due();
    let answered = |effect: &Effect<Who>| matches!(effect, Effect::Answer { to: 72, .. });
    assert!(site.effects.iter().any(answered));
    assert_eq!(site.now.since(until), Duration::from_micros(1));
}
