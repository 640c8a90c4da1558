//! The suite that every store must pass, whatever database it stands on.
//!
//! Each transition is tried on a part in every place a part can be: it must be applied when its
//! condition holds, be recognised when it was applied before, change nothing otherwise, and still
//! hold after the store was closed and opened again. What is stored must read back bit for bit.
//!
//! Panics name the check that failed: the suite is made to be called from tests.

mod forget;
mod jobs;
mod keys;
mod make;
mod matrix;
mod reads;
mod sessions;
mod traces;

use control::{Store, Stored, Transition, Verdict};
use types::Timestamp;

/// Where a store's data lives.
pub trait Site {
    /// Opens the store on this site's data. Whatever was opened before has been dropped.
    fn open(&mut self) -> Box<dyn Store>;
}

type Check = fn(&mut Bench);

/// Every check with its name.
const CHECKS: &[(&str, Check)] = &[
    ("each transition from each place", matrix::each_transition_from_each_place),
    ("a batch is applied in order", matrix::a_batch_is_applied_in_order),
    ("sessions are loaded before their leases", sessions::loaded_before_their_leases),
    ("sessions are opened once", sessions::opened_once),
    ("drains are kept", sessions::drains_are_kept),
    ("a session that is over is not loaded", sessions::what_is_over_is_not_loaded),
    (
        "a session that is over goes with the jobs of its time",
        sessions::what_is_over_goes_with_the_jobs_of_its_time,
    ),
    ("one idempotency key is one job", keys::one_key_is_one_job),
    ("an expired key is free", keys::an_expired_key_is_free),
    ("keys belong to tenants", keys::keys_belong_to_tenants),
    ("a job's whole story reads back", jobs::the_whole_story_reads_back),
    ("jobs read back together as each alone", jobs::many_read_back_at_once),
    ("a job of many parts is derived from them", jobs::many_parts_are_one_job),
    ("failed parts are found and revived", jobs::failed_parts_are_revived),
    ("a failure before a retry by hand is kept", jobs::earlier_ends_are_kept),
    ("what a lease needs reads back", jobs::heads_read_back),
    ("what many leases need reads back at once", jobs::heads_of_many_read_back),
    ("a trace is due until it is done", traces::due_until_done),
    ("a later mark outlives the end of an earlier one", traces::a_later_mark_stays),
    ("the time until which traces arrived is kept", traces::the_time_told_is_kept),
    ("recorded jobs that have ended since are found", traces::recorded_since),
    ("how calls came and commits went reads back", traces::calls_and_commits_read_back),
    ("how commits went is forgotten with the jobs", traces::commits_are_forgotten),
    ("the span of the attempt before is found", jobs::the_attempt_before),
    ("what need not be kept is found and forgotten whole", forget::what_need_not_be_kept),
    ("what is not over is not forgotten", forget::what_is_not_over_stays),
    (
        "recorded jobs stay until they have arrived",
        forget::recorded_jobs_stay_until_they_have_arrived,
    ),
    ("results keep every bit", reads::results_keep_every_bit),
    ("pages are complete and in order", reads::pages_are_complete_and_in_order),
    ("unknown things are not found", reads::unknown_things_are_not_found),
    ("marks never fall", reads::marks_never_fall),
];

/// Runs every check, each on a fresh site. Returns how many there were.
pub fn run<S: Site + 'static>(mut fresh: impl FnMut() -> S) -> usize {
    for (name, check) in CHECKS {
        eprintln!("store conformance: {name}");
        check(&mut Bench::new(Box::new(fresh())));
    }
    CHECKS.len()
}

/// A store under test.
struct Bench {
    site: Box<dyn Site>,
    store: Option<Box<dyn Store>>,
}

impl Bench {
    fn new(mut site: Box<dyn Site>) -> Self {
        let store = site.open();
        Self { site, store: Some(store) }
    }

    fn store(&mut self) -> &mut dyn Store {
        self.store.as_mut().expect("open between reopens").as_mut()
    }

    fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(self.site.open());
    }

    fn commit(&mut self, transitions: &[Transition]) -> Vec<Verdict> {
        let verdicts = self.store().commit(transitions).expect("a store in good order");
        assert_eq!(verdicts.len(), transitions.len(), "one verdict a transition");
        verdicts
    }

    fn apply(&mut self, transition: Transition) -> Verdict {
        self.commit(&[transition])[0]
    }

    /// Applies what must be applicable.
    fn applied(&mut self, transition: Transition) {
        let said = format!("{transition:?}");
        assert_eq!(self.apply(transition), Verdict::Applied, "{said}");
    }

    /// Everything the store tells at start, as text.
    fn dump(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        let each = &mut |stored: Stored<'_>| all.push(format!("{stored:?}"));
        self.store().load(Timestamp::EPOCH, each).expect("a store in good order");
        all
    }
}
