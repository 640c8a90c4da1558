//! Sessions.

use control::{Stored, Transition, Verdict};
use types::{PartId, SessionId, Timestamp};

use super::Bench;
use super::make::{job_id, lease, requeue, session, submit, succeed};

fn sessions(bench: &mut Bench) -> Vec<(u64, String, bool)> {
    let mut all = Vec::new();
    let each = &mut |stored: Stored<'_>| {
        if let Stored::Session(found) = stored {
            let node = found.opened.node.to_string();
            all.push((found.opened.session.0, node, found.draining));
        }
    };
    bench.store().load(Timestamp::EPOCH, each).expect("a store in good order");
    all
}

pub(super) fn loaded_before_their_leases(bench: &mut Bench) {
    bench.applied(session(1, "a", 1));
    bench.applied(submit(1));
    bench.applied(lease(1, 1));
    bench.applied(session(2, "a", 2));
    bench.applied(session(3, "b", 1));
    bench.reopen();
    let dump = bench.dump();
    let place = |start: &str| dump.iter().position(|line| line.starts_with(start));
    assert!(place("Session") < place("Lease"), "{dump:#?}");
    // Session 1 was replaced, and is told all the same because it holds a lease.
    let names = ["a", "a", "b"].map(str::to_owned);
    let [first, second, third] = names;
    assert_eq!(sessions(bench), [(1, first, false), (2, second, false), (3, third, false)]);
}

pub(super) fn opened_once(bench: &mut Bench) {
    bench.applied(session(1, "a", u64::MAX));
    assert_eq!(bench.apply(session(1, "a", u64::MAX)), Verdict::Already);
    assert_eq!(bench.apply(session(1, "b", u64::MAX)), Verdict::Refused);
    assert_eq!(bench.apply(session(1, "a", 2)), Verdict::Refused);
    let before = bench.dump();
    assert!(before.iter().any(|line| line.contains(&u64::MAX.to_string())), "{before:#?}");
    bench.applied(session(2, "a", 2));
    bench.reopen();
    assert_eq!(sessions(bench), [(2, "a".to_owned(), false)], "only the latest of a node");
}

pub(super) fn drains_are_kept(bench: &mut Bench) {
    let drain = |draining| Transition::Drain { session: SessionId(1), draining };
    assert_eq!(bench.apply(drain(true)), Verdict::Refused);
    bench.applied(session(1, "a", 1));
    bench.applied(drain(true));
    bench.reopen();
    assert_eq!(sessions(bench), [(1, "a".to_owned(), true)]);
    bench.applied(drain(false));
    bench.reopen();
    assert_eq!(sessions(bench), [(1, "a".to_owned(), false)]);
}

pub(super) fn what_is_over_is_not_loaded(bench: &mut Bench) {
    let close = |session| Transition::CloseSession { session: SessionId(session) };
    bench.applied(session(1, "a", 1));
    bench.applied(submit(1));
    bench.applied(lease(1, 1));
    bench.applied(requeue(1, 1));
    bench.applied(session(2, "b", 1));
    bench.applied(close(1));
    assert_eq!(bench.apply(close(1)), Verdict::Already);
    assert_eq!(bench.apply(close(9)), Verdict::Already, "there is none");
    bench.reopen();
    assert_eq!(sessions(bench), [(2, "b".to_owned(), false)]);
    let view = bench.store().reader().job(job_id(1)).expect("in good order").expect("there");
    assert_eq!(view.attempts[0].node.as_str(), "a", "its attempt still names its node");
    bench.applied(session(3, "a", 2));
    bench.applied(close(3));
    bench.reopen();
    assert_eq!(sessions(bench), [(2, "b".to_owned(), false)], "an earlier one does not come back");
}

pub(super) fn what_is_over_goes_with_the_jobs_of_its_time(bench: &mut Bench) {
    let close = |session| Transition::CloseSession { session: SessionId(session) };
    let forget = |part| Transition::Forget { first_part: PartId(part) };
    bench.applied(session(1, "node", 1));
    for part in 1..=4 {
        bench.applied(submit(part));
        bench.applied(lease(part, 1));
        bench.applied(succeed(part, 1));
    }
    bench.applied(close(1));
    bench.applied(submit(5));
    // In another order than they came: the session's attempts are read as long as one of its jobs is kept.
    for part in [2, 1, 3] {
        bench.applied(forget(part));
        let view = bench.store().reader().job(job_id(4)).expect("in good order").expect("there");
        assert_eq!(view.attempts.len(), 1, "after {part}");
    }
    bench.applied(forget(4));
    // The number of the session is not given again.
    let mut mark = None;
    let each = &mut |stored: Stored<'_>| {
        if let Stored::Marks { session, .. } = stored {
            mark = Some(session);
        }
    };
    bench.store().load(Timestamp::EPOCH, each).expect("a store in good order");
    assert_eq!(mark, Some(SessionId(1)));
}
