//! The pipeline from inside: pictures alive, stops and panics.

use super::*;
use media::Pair;
use testkit::ClipSpec;
use types::{FailureKind, MediaRef};

/// Frames of the clip that the tests run through.
const FRAME_COUNT: u32 = 60;

/// The least that every extractor takes.
const WIDTH: u32 = 80;
const HEIGHT: u32 = 80;

fn plan_of(request: &crate::ScoreRequest) -> Arc<Plan> {
    let policy = media::SourcePolicy::unrestricted_local();
    Arc::new(request.plan(&policy).expect("planned"))
}

/// Has a pair of files in hand, open, and how it is to be scored.
fn with_pair<T>(work: impl FnOnce(crate::ScoreRequest, Pair) -> T) -> T {
    let folder = tempfile::tempdir().expect("temporary folder");
    let pair = ClipSpec::texture(2, WIDTH, HEIGHT, FRAME_COUNT).make();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        MediaRef::new(path.display().to_string())
    };
    let reference = write("reference", pair.reference.y4m_bytes());
    let distorted = write("distorted", pair.distorted.y4m_bytes());
    let request = crate::ScoreRequest::pair(reference, distorted);
    let config = media::MediaConfig::new(media::SourcePolicy::unrestricted_local());
    let pair = Pair::open(&request.reference, &request.distorted, &config, &Stop::never());
    work(request, pair.expect("opened"))
}

fn spec_of(plan: &Plan, info: &media::VideoInfo) -> PictureSpec {
    let media::VideoInfo { width, height, format, .. } = *info;
    PictureSpec { width, height, format, planes: plan.needs().planes }
}

/// Runs through files in this order, as if their frames did not lie there where they are not to be
/// read in turns.
fn run_videos(
    plan: &Arc<Plan>,
    videos: (Video, Vec<Video>),
    range: &PairRange,
    (threads, order): (usize, Order),
    stop: &Stop,
) -> (Result<Outcome, ScoreError>, Pools) {
    assert!(videos.0.is_at_hand() && videos.1.iter().all(Video::is_at_hand));
    let spec = spec_of(plan, videos.0.info());
    let threads = NonZeroUsize::new(threads).expect("some");
    let workers = Workers { threads, isa: Isa::BASELINE, heat_maps: None };
    let in_turns = order == Order::InTurns;
    let at_hand = (in_turns, vec![in_turns; videos.1.len()]);
    let pools = Pools::new(spec, at_hand, threads, plan.needs()).expect("supported");
    let outcome = run_in(plan, videos, range, &workers, stop, &Progress::new(), &pools);
    (outcome, pools)
}

fn run_pair(
    threads: usize,
    order: Order,
    features: &[&str],
    stop: &Stop,
) -> (Result<Outcome, ScoreError>, Pools) {
    with_pair(|mut request, Pair { reference, distorted }| {
        request.features = features.iter().map(|&feature| feature.to_owned()).collect();
        let videos = (reference, vec![distorted]);
        run_videos(&plan_of(&request), videos, &request.range, (threads, order), stop)
    })
}

fn frame_count(outcome: Result<Outcome, ScoreError>) -> usize {
    let collected = outcome.expect("scored").collected.pop().expect("one video");
    collected.expect("it has not failed").collector.len()
}

#[test]
fn pictures_alive_are_bounded_by_threads_and_not_by_the_clip() {
    for threads in [1, 2, 4] {
        // A frame's two pictures, and those that it looks back on.
        let wide = "motion=motion_five_frame_window=true";
        for (features, of_frame) in [(&[][..], 2), (&[wide], 3), (&["speed_temporal"], 4)] {
            check_alive(threads, Order::InTurns, features, of_frame * threads);
        }
        let most = if threads == 1 { 4 } else { 2 * threads + 5 };
        check_alive(threads, Order::Ahead, &[], most);
    }
}

fn check_alive(threads: usize, order: Order, features: &[&str], most: usize) {
    let (outcome, pools) = run_pair(threads, order, features, &Stop::never());
    let case = format!("{order:?}, {threads} threads, {features:?}");
    assert_eq!(frame_count(outcome), FRAME_COUNT as usize, "{case}");
    assert_eq!(pools.alive(), 0, "every picture was given back: {case}");
    assert_eq!((pools.order, pools.capacity()), (order, most), "{case}");
}

#[test]
fn a_stopped_run_gives_its_pictures_back() {
    for order in [Order::InTurns, Order::Ahead] {
        for threads in [1, 2] {
            let stop = Stop::never();
            stop.cancel.cancel();
            let (outcome, pools) = run_pair(threads, order, &[], &stop);
            assert_eq!(outcome.expect_err("cancelled").kind(), FailureKind::Cancelled);
            assert_eq!((pools.alive(), pools.order), (0, order));
        }
    }
}

fn check_panic(
    shared: Shared<'_, Sequence>,
    waits: impl FnOnce(&Shared<'_, Sequence>) -> Result<(), ScoreError> + Send,
    panics: impl FnOnce(&Shared<'_, Sequence>) + Send,
) {
    std::thread::scope(|scope| {
        let shared = &shared;
        spawn(scope, shared, "waits", move || waits(shared));
        spawn(scope, shared, "panics", move || {
            panics(shared);
            Ok(())
        });
    });
    shared.find_ends().expect("nothing is read any more");
    let error = shared.into_outcome().expect_err("a thread panicked");
    assert_eq!(error.kind(), FailureKind::Internal);
    assert!(error.to_string().contains("deliberate"), "{error}");
}

#[test]
fn a_panic_in_a_thread_ends_everybody_with_an_error() {
    with_pair(|request, Pair { reference, distorted }| {
        let plan = plan_of(&request);
        let (stops, progress) = ([Stop::never(), Stop::never()], Progress::new());
        let shared = |order: Order| {
            let sequences = vec![Sequence::new(Arc::clone(&plan), WIDTH, HEIGHT)];
            let stop = &stops[order as usize];
            Shared::new(sequences, (plan.needs(), order), stop, &progress, u64::MAX)
        };
        // Waits for a frame that nobody will bring.
        let waits = |shared: &Shared<'_, Sequence>| shared.wait_for_frame().map(|_| ());
        check_panic(shared(Order::Ahead), waits, |_| panic!("deliberate"));

        let pool = pool_of(spec_of(&plan, reference.info()), 2).expect("supported");
        let readers = [reference, distorted].into_iter().enumerate();
        let readers = readers.map(|(number, video)| Reader::new(number, video, 0, pool.clone()));
        let in_turns = shared(Order::InTurns).with_readers(readers);
        let frames = [0, 1].map(|_| in_turns.read_reference().expect("read").expect("there"));
        let [_, mut second] = frames;
        // Waits for its turn after a frame that has gone.
        let waits =
            move |shared: &Shared<'_, Sequence>| shared.read_distorted(&mut second).map(|_| ());
        check_panic(in_turns, waits, |shared| {
            let _in_hand = shared.readers[REFERENCE].lock();
            panic!("deliberate");
        });
    });
}

/// What a run through a reference of 24 frames and videos of 24, 30 and 9 and one that breaks off
/// tells.
fn told_of_lengths(threads: usize, order: Order, range: PairRange) -> (bool, Vec<String>) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let open = |name: &str, frames: u32, left_out: usize| {
        let path = folder.path().join(name);
        let bytes = ClipSpec::texture(2, WIDTH, HEIGHT, frames).make().distorted.y4m_bytes();
        std::fs::write(&path, &bytes[..bytes.len() - left_out]).expect("written");
        MediaRef::new(path.display().to_string())
    };
    let reference = open("reference", 24, 0);
    let distorted =
        [open("equal", 24, 0), open("longer", 30, 0), open("shorter", 9, 0), open("broken", 20, 1)];
    let mut request = crate::ScoreRequest::pair(reference, distorted[0].clone());
    request.models.clear();
    request.features = vec!["psnr".to_owned(), "motion".to_owned()];
    let config = media::MediaConfig::new(media::SourcePolicy::unrestricted_local());
    let (conform, depths) = (request.conform, request.depths);
    let distorted: Vec<_> = distorted.iter().collect();
    let opened = media::Renditions::open(
        &request.reference,
        &distorted,
        conform,
        depths,
        &config,
        &Stop::never(),
    );
    let media::Renditions { reference, distorted } = opened.expect("the reference is fine");
    let distorted = distorted.into_iter().map(|video| video.expect("opened")).collect();
    let plan = plan_of(&request);
    let videos = (reference, distorted);
    let (outcome, pools) = run_videos(&plan, videos, &range, (threads, order), &Stop::never());
    let outcome = outcome.expect("one video is scored at least");
    assert_eq!(pools.alive(), 0);
    let told = outcome.collected.into_iter().map(|collected| match collected {
        Ok(Collected { collector, ended_first, exceed_depth }) => {
            let count = collector.len();
            let scores = collector.finish().expect("it has frames");
            let report = scores.into_report(Vec::new(), Default::default(), Default::default());
            format!("{count} {ended_first:?} {exceed_depth:?} {}", report.digest)
        }
        Err(error) => error.to_string().replace(&folder.path().display().to_string(), ""),
    });
    (outcome.was_cut, told.collect())
}

#[test]
fn videos_of_any_length_end_alike_in_either_order() {
    let cut = |skip_reference, skip_distorted, frame_count_max| PairRange {
        skip_reference,
        skip_distorted,
        frame_count_max,
    };
    for range in [cut(0, 0, None), cut(3, 0, None), cut(0, 9, None), cut(2, 2, Some(7))] {
        let expected = told_of_lengths(1, Order::Ahead, range);
        assert_eq!(expected.1.len(), 4);
        for threads in [1, 2, 5] {
            for order in [Order::Ahead, Order::InTurns] {
                let told = told_of_lengths(threads, order, range);
                assert_eq!(told, expected, "{range:?}, {order:?}, {threads} threads");
            }
        }
    }
}
