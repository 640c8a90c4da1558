//! `/metrics` waits for nobody.

mod common;

use std::time::Duration;

use common::{Running, soon};
use http::StatusCode;
use observability::schema::instrument;

const PAIR: &str = r#"{"reference":"/r.y4m","distorted":["/d.y4m"]}"#;

/// Scrapes that are made while a submit waits for the store.
const SCRAPES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_probes_are_answered_while_another_program_keeps_the_store_locked() {
    let running = Running::start().await;
    let http = running.http();
    assert_eq!(http.post("/v1/jobs", PAIR).await.status, StatusCode::ACCEPTED);
    let path = running.dir.path().join("state").join("controller.db");
    let other = rusqlite::Connection::open(path).expect("the controller's store");
    other.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let blocked = running.http();
    let submit = tokio::spawn(async move { blocked.post("/v1/jobs", PAIR).await.status });
    let mut answered = 0;
    while !submit.is_finished() && answered < SCRAPES {
        let text = soon("a scrape", http.get("/metrics")).await;
        assert_eq!(text.status, StatusCode::OK);
        assert!(text.text().contains("vmafx_jobs_submitted_total 1\n"), "{}", text.text());
        assert_eq!(soon("a probe", http.get("/readyz")).await.status, StatusCode::OK);
        // Counts only if the submit was still waiting when both had been answered.
        answered += usize::from(!submit.is_finished());
    }
    assert!(answered > 0, "nothing was answered before the submit had given up");
    other.execute_batch("ROLLBACK").expect("the lock is given back");
    soon("the submit's answer", submit).await.expect("no panic");
    let accepted = soon("the store works again", async {
        while http.post("/v1/jobs", PAIR).await.status != StatusCode::ACCEPTED {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    accepted.await;
    running.handle.shutdown().await;
}

#[tokio::test]
async fn a_fresh_controller_shows_its_queue_store_and_runtime() {
    let running = Running::start().await;
    let text = running.http().get("/metrics").await.text().to_owned();
    for def in [
        instrument::QUEUE_DEPTH,
        instrument::QUEUE_DELAYED,
        instrument::QUEUE_COMMANDS,
        instrument::FLEET_SLOTS,
        instrument::STORE_DISK_SYNC,
        instrument::PROCESS_FAULTS,
    ] {
        let name = observability::metrics::prometheus_name(&def);
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}\n{text}");
    }
    // What the disk can do was measured, not made up.
    let sync =
        text.lines().find_map(|line| line.strip_prefix("vmafx_store_disk_sync_time_seconds "));
    let seconds: f64 = sync.expect("measured").parse().expect("a number");
    assert!(seconds > 0.0 && seconds < 5.0, "{seconds}");
    running.handle.shutdown().await;
}
