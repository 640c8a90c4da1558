//! The embedded store: the common suite, and what is SQLite's own.

mod common;

use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use common::{job_id, submit};
use control::{NewJob, Read, SessionOpened, Store, StoreErrorKind, Transition, Verdict};
use store::conformance::{Site, run};
use store::{SqliteConfig, SqliteStore};
use tempfile::TempDir;
use types::{
    Capabilities, Fence, Incarnation, JobFilter, NodeId, PartId, SessionId, State, Timestamp,
};

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn config(&self) -> SqliteConfig {
        let path = self.0.path().join("queue.db");
        SqliteConfig { wal_prewarm_bytes: 64 << 10, ..SqliteConfig::new(path) }
    }
}

impl Site for Directory {
    fn open(&mut self) -> Box<dyn Store> {
        Box::new(SqliteStore::open(self.config()).expect("a file of our own"))
    }
}

#[test]
fn sqlite_conforms() {
    assert!(run(Directory::new) > 10, "the suite ran");
}

#[test]
fn a_second_store_on_the_same_file_is_refused_until_the_first_is_gone() {
    let directory = Directory::new();
    let first = SqliteStore::open(directory.config()).expect("a fresh file");
    let second = SqliteStore::open(directory.config()).map(drop).expect_err("held");
    assert_eq!(second.kind, StoreErrorKind::Locked);
    drop(first);
    assert!(SqliteStore::open(directory.config()).is_ok());
}

#[test]
fn a_file_that_is_no_database_is_called_so() {
    let directory = Directory::new();
    std::fs::write(&directory.config().path, vec![b'x'; 8_192]).expect("a file");
    let error = SqliteStore::open(directory.config()).map(drop).expect_err("no database");
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("restore the file"), "{error}");
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = Directory::new();
    drop(SqliteStore::open(directory.config()).expect("a fresh file"));
    let mut file =
        std::fs::OpenOptions::new().write(true).open(&directory.config().path).expect("the file");
    // The user version is the 32-bit number at byte 60 of the header.
    file.seek(SeekFrom::Start(60)).expect("a header");
    file.write_all(&99_u32.to_be_bytes()).expect("written");
    drop(file);
    let error = SqliteStore::open(directory.config()).map(drop).expect_err("newer");
    assert_eq!(error.kind, StoreErrorKind::Version, "{error}");
}

/// A store of so many jobs, and a filter that none of them passes.
fn full_of_others_jobs(count: u64) -> (Directory, SqliteStore, JobFilter) {
    let directory = Directory::new();
    let mut store = SqliteStore::open(directory.config()).expect("a fresh file");
    let submits: Vec<_> = (1..=count).map(|number| submit(number, "/r")).collect();
    store.commit(&submits).expect("room for some jobs");
    (directory, store, JobFilter { tenant: Some("nobody".into()), ..JobFilter::default() })
}

#[test]
fn a_read_that_takes_too_long_is_broken_off_and_the_next_one_works() {
    let (_directory, store, nobody) = full_of_others_jobs(2_000);
    let mut hasty = store.open_reader(Duration::ZERO).expect("a reader");
    let error = hasty.page(&nobody, None, 10).expect_err("there is much to look at");
    assert_eq!(error.kind, StoreErrorKind::TimedOut, "{error}");
    assert_eq!(hasty.job_of(PartId(2_000)).map(|found| found.is_some()), Ok(true));
    let mut patient = store.open_reader(Duration::from_secs(60)).expect("a reader");
    assert!(patient.page(&nobody, None, 10).expect("time enough").jobs.is_empty());
}

#[test]
fn a_reader_whose_questions_take_too_long_never_stays_in_a_transaction() {
    let (_directory, mut store, nobody) = full_of_others_jobs(600);
    let mut hasty = store.open_reader(Duration::ZERO).expect("a reader");
    // SQLite looks at the time every so many steps of a statement, counted over all its runs, those that
    // end transactions too.
    for round in 0..4_000 {
        let error = hasty.page(&nobody, None, 10).expect_err("there is much to look at");
        assert_eq!(error.kind, StoreErrorKind::TimedOut, "{round}: {error}");
    }
    store.commit(&[submit(601, "/r")]).expect("room for one more");
    let newest = hasty.state(job_id(601)).expect("a question that is soon answered");
    assert_eq!(newest, Some(State::Queued), "it sees what came since");
}

#[test]
fn a_filter_that_takes_few_of_many_jobs_gives_short_pages_and_all_that_pass() {
    let directory = Directory::new();
    let mut store = SqliteStore::open(directory.config()).expect("a fresh file");
    const JOBS: u64 = 9_000;
    let wanted = [JOBS, 4_500, 1];
    let job = |number| match submit(number, "/r") {
        Transition::Submit(job) if wanted.contains(&number) => {
            Transition::Submit(Arc::new(NewJob { tenant: "rare".into(), ..(*job).clone() }))
        }
        other => other,
    };
    store.commit(&(1..=JOBS).map(job).collect::<Vec<_>>()).expect("room for some jobs");
    let rare = JobFilter { tenant: Some("rare".into()), ..JobFilter::default() };
    let mut reader = store.open_reader(Duration::from_secs(60)).expect("a reader");
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = reader.page(&rare, after, 10).expect("time enough");
        (pages, after) = (pages + 1, page.next);
        found.extend(page.jobs.into_iter().map(|job| job.id));
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, wanted.map(job_id), "each once, newest first");
    assert_eq!(pages, 3, "of 4,096 jobs each at most");
}

#[test]
fn the_disk_is_timed_when_the_store_is_opened() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.config()).expect("a fresh file");
    assert!(store.disk_times().p50 > Duration::ZERO);
    assert!(store.disk_times().p50 <= store.disk_times().p99);
}

#[test]
fn sessions_that_are_over_go_with_the_jobs_of_their_time() {
    let directory = Directory::new();
    let mut store = SqliteStore::open(directory.config()).expect("a fresh file");
    let left = || -> u64 {
        let connection = rusqlite::Connection::open(&directory.config().path).expect("the file");
        let count = connection.query_row("SELECT count(*) FROM session", [], |row| row.get(0));
        count.expect("a number")
    };
    let open = |number: u64| {
        Transition::OpenSession(Box::new(SessionOpened {
            session: SessionId(number),
            node: NodeId::new(format!("pod-{number}")).expect("a name"),
            incarnation: Incarnation(1),
            capabilities: Capabilities {
                backends: vec!["cpu".to_owned()],
                codecs: Vec::new(),
                encoders: Vec::new(),
                encoder_versions: Vec::new(),
                slots: 1,
                isa: "scalar".to_owned(),
                version: "1".to_owned(),
            },
            registered_at: Timestamp::EPOCH,
        }))
    };
    store.commit(&[submit(1, "/r")]).expect("room");
    for number in 1..=40 {
        let close = Transition::CloseSession { session: SessionId(number) };
        let pod = [open(number), close];
        store.commit(&pod[..if number < 40 { 2 } else { 1 }]).expect("room");
    }
    store.commit(&[submit(2, "/r"), submit(3, "/r"), submit(4, "/r")]).expect("room");
    let forget = |store: &mut SqliteStore, number| {
        let (part, fence, at) = (PartId(number), Fence(0), Timestamp::EPOCH);
        let ended = Transition::Drop { part, fence, state: State::Cancelled, failure: None, at };
        let gone = store.commit(&[ended, Transition::Forget { first_part: part }]);
        assert_eq!(gone.expect("in good order"), [Verdict::Applied; 2]);
        left()
    };
    // Some at a time, and the one that is not over stays.
    let counts = [2, 1, 3].map(|number| forget(&mut store, number));
    assert_eq!(counts, [40, 24, 8], "none while a job of their time is kept");
    store.commit(&[submit(5, "/r")]).expect("room");
    assert_eq!(forget(&mut store, 4), 1);
}
