//! Idempotency keys.

use control::Verdict;

use super::Bench;
use super::make::{at, job_id, submit, submit_keyed, trace};

pub(super) fn one_key_is_one_job(bench: &mut Bench) {
    let key = |bench: &mut Bench| {
        bench.store().reader().idempotency("t", "key", at(5)).expect("a store in good order")
    };
    assert_eq!(key(bench), None);
    bench.applied(submit_keyed(1, "t", 7, at(100)));
    assert_eq!(bench.apply(submit_keyed(1, "t", 7, at(100))), Verdict::Already);
    let before = bench.dump();
    assert_eq!(bench.apply(submit_keyed(2, "t", 7, at(100))), Verdict::Refused);
    assert_eq!(bench.dump(), before, "a refused job left something behind");
    bench.reopen();
    let record = key(bench).expect("the key is taken");
    assert_eq!((record.job, record.body_digest), (job_id(1), [7; 32]));
    assert_eq!(record.trace, trace(1));
}

pub(super) fn an_expired_key_is_free(bench: &mut Bench) {
    bench.applied(submit_keyed(1, "t", 7, at(4)));
    let found = bench.store().reader().idempotency("t", "key", at(4));
    assert_eq!(found.expect("a store in good order"), None);
    bench.applied(submit_keyed(5, "t", 8, at(100)));
    bench.reopen();
    let found = bench.store().reader().idempotency("t", "key", at(6));
    let record = found.expect("a store in good order").expect("taken anew");
    assert_eq!((record.job, record.body_digest), (job_id(5), [8; 32]));
}

pub(super) fn keys_belong_to_tenants(bench: &mut Bench) {
    bench.applied(submit_keyed(1, "a", 7, at(100)));
    bench.applied(submit_keyed(2, "b", 7, at(100)));
    bench.applied(submit(3));
    for (tenant, job) in [("a", 1), ("b", 2)] {
        let found = bench.store().reader().idempotency(tenant, "key", at(5));
        let found = found.expect("a store in good order").map(|record| record.job);
        assert_eq!(found, Some(job_id(job)));
    }
}
