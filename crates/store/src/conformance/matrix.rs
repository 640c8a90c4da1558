//! Each transition on a part in each place it can be.

use control::{Transition, Verdict};

use super::Bench;
use super::make::{
    cancel_running, drop_queued, fail, lease, requeue, revive, session, submit, succeed,
};
use Verdict::{Already, Applied, Refused};

/// How a part gets to a place. Its fence there is in the name.
type Place = (&'static str, &'static [fn() -> Transition]);

const PLACES: [Place; 9] = [
    ("nowhere", &[]),
    ("queued 0", &[|| submit(1)]),
    ("leased 1", &[|| submit(1), || lease(1, 1)]),
    ("queued 1", &[|| submit(1), || lease(1, 1), || requeue(1, 1)]),
    ("leased 2", &[|| submit(1), || lease(1, 1), || requeue(1, 1), || lease(1, 2)]),
    ("succeeded 1", &[|| submit(1), || lease(1, 1), || succeed(1, 1)]),
    ("failed 1", &[|| submit(1), || lease(1, 1), || fail(1, 1)]),
    ("cancelled 0", &[|| submit(1), || drop_queued(1, 0)]),
    ("revived 1", &[|| submit(1), || lease(1, 1), || fail(1, 1), || revive(1, 1)]),
];

/// What a transition must come to in each place, in the order above.
type Row = (&'static str, fn() -> Transition, [Verdict; 9]);

#[rustfmt::skip]
const TRANSITIONS: [Row; 13] = [
    //                                           nowhere  queued0  leased1  queued1  leased2  succ1    failed1  canc0    revived1
    ("submit",    || submit(1),                 [Applied, Already, Already, Already, Already, Already, Already, Already, Already]),
    ("lease 1",   || lease(1, 1),               [Refused, Applied, Already, Refused, Refused, Refused, Refused, Refused, Refused]),
    ("lease 2",   || lease(1, 2),               [Refused, Refused, Refused, Applied, Already, Refused, Refused, Refused, Applied]),
    ("lease 3",   || lease(1, 3),               [Refused, Refused, Refused, Refused, Refused, Refused, Refused, Refused, Refused]),
    ("succeed 1", || succeed(1, 1),             [Refused, Refused, Applied, Refused, Refused, Already, Refused, Refused, Refused]),
    ("succeed 2", || succeed(1, 2),             [Refused, Refused, Refused, Refused, Applied, Refused, Refused, Refused, Refused]),
    ("fail 1",    || fail(1, 1),                [Refused, Refused, Applied, Refused, Refused, Refused, Already, Refused, Already]),
    ("requeue 1", || requeue(1, 1),             [Refused, Refused, Applied, Already, Already, Refused, Refused, Refused, Refused]),
    ("cancel 1",  || cancel_running(1, 1),      [Refused, Refused, Applied, Refused, Refused, Refused, Refused, Refused, Refused]),
    ("drop 0",    || drop_queued(1, 0),         [Refused, Applied, Refused, Refused, Refused, Refused, Refused, Already, Refused]),
    ("drop 1",    || drop_queued(1, 1),         [Refused, Refused, Refused, Applied, Refused, Refused, Refused, Refused, Applied]),
    ("revive 0",  || revive(1, 0),              [Refused, Refused, Refused, Refused, Refused, Refused, Refused, Refused, Refused]),
    ("revive 1",  || revive(1, 1),              [Refused, Refused, Refused, Refused, Refused, Refused, Applied, Refused, Already]),
];

pub(super) fn each_transition_from_each_place(bench: &mut Bench) {
    bench.applied(session(1, "node", 1));
    // Each case has a part of its own, so that one site serves all.
    let mut number = 0;
    for (column, (place, way)) in PLACES.iter().enumerate() {
        for (name, transition, verdicts) in &TRANSITIONS {
            number += 1;
            let case = format!("{name} on a part that is {place}");
            for step in *way {
                bench.applied(moved(step(), number));
            }
            let before = bench.dump();
            let transition = || moved(transition(), number);
            assert_eq!(bench.apply(transition()), verdicts[column], "{case}");
            if verdicts[column] == Applied {
                assert_eq!(bench.apply(transition()), Already, "{case}, again");
            } else {
                assert_eq!(bench.dump(), before, "{case} changed something");
            }
        }
    }
    let before = bench.dump();
    bench.reopen();
    assert_eq!(bench.dump(), before, "closing and opening changed something");
    // Each recognises after a restart what it did before it.
    number = 0;
    for (column, (place, _)) in PLACES.iter().enumerate() {
        for (name, transition, verdicts) in &TRANSITIONS {
            number += 1;
            if verdicts[column] != Refused {
                let verdict = bench.apply(moved(transition(), number));
                assert_eq!(verdict, Already, "{name} on {place}, after a restart");
            }
        }
    }
}

/// The same transition for another part and job.
fn moved(transition: Transition, number: u64) -> Transition {
    use types::PartId;
    match transition {
        Transition::Submit(_) => submit(number),
        Transition::Lease(mut lease) => {
            lease.part = PartId(number);
            Transition::Lease(lease)
        }
        Transition::End(mut end) => {
            end.lease.part = PartId(number);
            Transition::End(end)
        }
        Transition::Drop { fence, state, failure, at, .. } => {
            Transition::Drop { part: PartId(number), fence, state, failure, at }
        }
        Transition::Revive { fence, at, .. } => {
            Transition::Revive { part: PartId(number), fence, at }
        }
        other => other,
    }
}

pub(super) fn a_batch_is_applied_in_order(bench: &mut Bench) {
    let whole = [
        session(1, "node", 1),
        submit(1),
        lease(1, 1),
        requeue(1, 1),
        lease(1, 2),
        succeed(1, 1),
        succeed(1, 2),
        submit(2),
    ];
    let verdicts = bench.commit(&whole);
    let expected = [Applied, Applied, Applied, Applied, Applied, Refused, Applied, Applied];
    assert_eq!(verdicts, expected);
    bench.reopen();
    let again = bench.commit(&whole);
    assert!(!again.contains(&Applied), "applied twice: {again:?}");
    assert_eq!(bench.commit(&[]), []);
}
