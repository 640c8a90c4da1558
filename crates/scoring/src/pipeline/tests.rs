//! The pipeline from inside: pictures alive, stops and panics.

use super::*;
use media::Pair;
use testkit::ClipSpec;
use types::{FailureKind, MediaRef};

/// Frames of the clip that the tests run through.
const FRAME_COUNT: u32 = 60;

fn run_pair(threads: usize, stop: &Stop) -> (Result<Outcome, ScoreError>, Pools) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let pair = ClipSpec::texture(2, 64, 48, FRAME_COUNT).make();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        MediaRef::new(path.display().to_string())
    };
    let reference = write("reference", pair.reference.y4m_bytes());
    let distorted = write("distorted", pair.distorted.y4m_bytes());
    let request = crate::ScoreRequest::pair(reference, distorted);
    let policy = media::SourcePolicy::unrestricted_local();
    let plan = Arc::new(request.plan(&policy).expect("planned"));
    let config = media::MediaConfig::new(policy);
    let Pair { reference, distorted } =
        Pair::open(&request.reference, &request.distorted, &config, &Stop::never())
            .expect("opened");
    let info = reference.info();
    let spec = PictureSpec {
        width: info.width,
        height: info.height,
        format: info.format,
        planes: plan.needs().planes,
    };
    let workers = Workers {
        threads: NonZeroUsize::new(threads).expect("some"),
        isa: Isa::BASELINE,
        heat_maps: None,
    };
    let at_hand = (reference.is_at_hand(), vec![distorted.is_at_hand()]);
    let pools = Pools::new(spec, at_hand, workers.threads, plan.needs()).expect("supported");
    let outcome = run_in(
        &plan,
        (reference, vec![distorted]),
        &request.range,
        &workers,
        stop,
        &Progress::new(),
        &pools,
    );
    (outcome, pools)
}

fn frame_count(outcome: Result<Outcome, ScoreError>) -> usize {
    let collected = outcome.expect("scored").collected.pop().expect("one video");
    collected.expect("it has not failed").collector.len()
}

#[test]
fn pictures_alive_are_bounded_by_threads_and_not_by_the_clip() {
    for threads in [1, 2, 4] {
        let (outcome, pools) = run_pair(threads, &Stop::never());
        assert_eq!(frame_count(outcome), FRAME_COUNT as usize);
        assert_eq!(pools.alive(), 0, "every picture was given back");
        let most = if threads == 1 { 2 } else { 2 * threads + 5 };
        assert_eq!(pools.capacity(), most, "with {threads} threads");
    }
}

#[test]
fn a_stopped_run_gives_its_pictures_back() {
    for (threads, order) in [(1, Order::InTurns), (2, Order::Ahead)] {
        let stop = Stop::never();
        stop.cancel.cancel();
        let (outcome, pools) = run_pair(threads, &stop);
        assert_eq!(outcome.expect_err("cancelled").kind(), FailureKind::Cancelled);
        assert_eq!((pools.alive(), pools.order), (0, order));
    }
}

#[test]
fn a_panic_in_a_thread_ends_everybody_with_an_error() {
    let policy = media::SourcePolicy::unrestricted_local();
    let request = crate::ScoreRequest::pair(MediaRef::new("/a"), MediaRef::new("/b"));
    let plan = Arc::new(request.plan(&policy).expect("planned"));
    let needs = plan.needs();
    for order in [Order::Ahead, Order::InTurns] {
        let (stop, progress) = (Stop::never(), Progress::new());
        let sequences = vec![Sequence::new(Arc::clone(&plan), 64, 48)];
        let shared = Shared::new(sequences, (needs, order), &stop, &progress, u64::MAX);
        std::thread::scope(|scope| {
            let shared = &shared;
            // Waits for a frame that nobody will bring.
            spawn(scope, shared, "waits", move || shared.wait_for_frame().map(|_| ()));
            spawn(scope, shared, "panics", || panic!("deliberate"));
        });
        let error = shared.into_outcome().expect_err("a thread panicked");
        assert_eq!(error.kind(), FailureKind::Internal);
        assert!(error.to_string().contains("deliberate"), "{error}");
    }
}
