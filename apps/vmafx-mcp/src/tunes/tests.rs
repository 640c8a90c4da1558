use std::time::Duration;

use media::{MediaConfig, SourcePolicy};
use scoring::RunConfig;
use search::Target;
use vmafx_tune::{EncodeSettings, SearchSettings};

use super::*;

/// Runs that may read what lies in `folder`.
fn tunes(folder: &Path) -> Tunes {
    let media = MediaConfig::new(SourcePolicy::below([folder.to_owned()]));
    Tunes::new(Environment::new(RunConfig::new(media)), None, TaskTracker::new())
}

#[tokio::test]
async fn a_name_that_another_server_is_about_to_use_is_refused() {
    let (folder, path) = source();
    let (ours, theirs) = (tunes(folder.path()), tunes(folder.path()));
    let _slots = (ours.0.slots.acquire().await, theirs.0.slots.acquire().await);
    let into_file = |mean| match request(&path, mean) {
        TuneRequest::Crf(crf) => {
            let output = Some(folder.path().join("film.mkv"));
            TuneRequest::Crf(CrfRequest { output, ..crf })
        }
        other => other,
    };
    let (id, waiter) = ours.start(into_file(90.0)).await.expect("free");
    let (joined, _second) = ours.start(into_file(90.0)).await.expect("the same question");
    assert_eq!(joined, id);
    for tunes in [&ours, &theirs] {
        let refused = tunes.start(into_file(80.0)).await.expect_err("taken");
        assert!(refused.message.contains("taken by another run"), "{}", refused.message);
    }
    waiter.hand_over();
    ours.cancel(id).expect("known");
    ours.0.work.close();
    ours.0.work.wait().await;
    theirs.start(into_file(80.0)).await.expect("free again");
}

fn request(source: &Path, mean: f64) -> TuneRequest {
    TuneRequest::Crf(CrfRequest {
        source: source.display().to_string(),
        encode: EncodeSettings::new(types::Encoder::X264),
        search: SearchSettings::new(Target::mean(mean)),
        output: None,
        besides: vmafx_tune::Besides::default(),
    })
}

/// A folder with a file that no run of these tests ever opens.
fn source() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.y4m");
    std::fs::write(&path, b"x").expect("written");
    (folder, path)
}

#[tokio::test]
async fn a_run_is_cancelled_with_the_last_of_its_callers_and_not_before() {
    let (folder, path) = source();
    let tunes = tunes(folder.path());
    let _slot = tunes.0.slots.acquire().await.expect("open");
    let (id, first) = tunes.start(request(&path, 90.0)).await.expect("taken");
    let (joined, second) = tunes.start(request(&path, 90.0)).await.expect("joined");
    assert_eq!(joined, id);
    let state = || tunes.view(id).expect("kept").state;
    drop(first);
    assert_eq!(state(), State::Queued, "somebody waits");
    drop(second);
    assert_eq!(state(), State::Cancelled);

    let (id, first) = tunes.start(request(&path, 90.0)).await.expect("taken anew");
    first.hand_over();
    let (_, second) = tunes.start(request(&path, 90.0)).await.expect("joined");
    drop(second);
    assert_eq!(tunes.view(id).expect("kept").state, State::Queued, "its handle is out");
}

#[tokio::test]
async fn what_is_cancelled_while_it_waits_is_gone_at_once() {
    let (folder, path) = source();
    let tunes = tunes(folder.path());
    let _slot = tunes.0.slots.acquire().await.expect("open");
    for score in 0..2 * TUNES_UNENDED_MAX {
        let (_, waiter) = tunes.start(request(&path, score as f64)).await.expect("room");
        drop(waiter);
    }
    tunes.0.work.close();
    let over = tokio::time::timeout(Duration::from_secs(10), tunes.0.work.wait()).await;
    assert!(over.is_ok(), "{} tasks wait for a slot", tunes.0.work.len());
}

#[tokio::test]
async fn a_run_that_took_long_is_kept_however_many_ended_meanwhile() {
    let (folder, path) = source();
    let tunes = tunes(folder.path());
    let _slot = tunes.0.slots.acquire().await.expect("open");
    let (long, waiter) = tunes.start(request(&path, 99.0)).await.expect("taken");
    waiter.hand_over();
    for score in 0..TUNES_KEPT_MAX + 1 {
        drop(tunes.start(request(&path, score as f64)).await.expect("taken"));
        // Ends are told apart by the clock.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tunes.cancel(long).expect("known");
    drop(tunes.start(request(&path, 98.0)).await.expect("taken"));
    assert!(tunes.view(long).is_some(), "it ended last");
}

#[tokio::test]
async fn nothing_is_said_of_a_source_that_may_not_be_read() {
    let (folder, _) = source();
    let tunes = tunes(folder.path());
    let refused = tunes.start(request(Path::new("/etc/passwd"), 90.0)).await;
    assert_eq!(refused.expect_err("outside").kind, "source_refused");
}
