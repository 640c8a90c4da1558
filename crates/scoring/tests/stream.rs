//! Streams of frames: the bits of a run from files, scores while it runs, and every way to end.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::PictureMut;
use media::{MediaConfig, MediaError, SourcePolicy, Stop};
use scoring::{
    PairSource, Progress, RunConfig, STREAM_CUT, ScoreError, ScoreRequest, StreamRun, run,
};
use testkit::{ClipPair, ClipSpec};
use types::{ChromaSubsampling, FailureKind, MediaRef, RawGeometry, ScoreReport};

const FRAMES: u32 = 13;

/// Hands over a clip, and does something before each frame.
struct Clips<'a> {
    pair: &'a ClipPair,
    next: usize,
    before: &'a mut (dyn FnMut(usize) -> Result<(), ScoreError> + Send),
}

impl PairSource for Clips<'_> {
    fn fill(
        &mut self,
        reference: &mut PictureMut,
        distorted: &mut PictureMut,
        stop: &Stop,
    ) -> Result<Option<u64>, ScoreError> {
        stop.check()?;
        (self.before)(self.next)?;
        if self.next == self.pair.reference.frame_count() {
            return Ok(None);
        }
        let mut bytes = 0;
        for (picture, clip) in
            [(reference, &self.pair.reference), (distorted, &self.pair.distorted)]
        {
            let frame = clip.frame_bytes(self.next);
            bytes += frame.len() as u64;
            let plane = &mut picture.planes_mut()[0];
            let luma = plane.bytes_mut();
            luma.copy_from_slice(&frame[..luma.len()]);
            plane.swap_from_little_endian();
        }
        self.next += 1;
        Ok(Some(bytes))
    }
}

fn spec() -> ClipSpec {
    ClipSpec::texture(21, 64, 50, FRAMES).with_format(ChromaSubsampling::C422, 10)
}

fn geometry() -> RawGeometry {
    RawGeometry { width: 64, height: 50, format: spec().format }
}

fn config(threads: usize) -> RunConfig {
    let media = MediaConfig::new(SourcePolicy::unrestricted_local());
    RunConfig { threads: NonZeroUsize::new(threads).expect("some"), ..RunConfig::new(media) }
}

fn request(interval: u32) -> ScoreRequest {
    let media = || MediaRef { uri: "unused".to_owned(), raw: None };
    let subsample_interval = NonZeroU32::new(interval).expect("some");
    ScoreRequest { subsample_interval, ..ScoreRequest::pair(media(), media()) }
}

fn stream(
    interval: u32,
    threads: usize,
    stop: &Stop,
    before: &mut (dyn FnMut(usize) -> Result<(), ScoreError> + Send),
) -> Result<ScoreReport, ScoreError> {
    let pair = spec().make();
    let prepared = StreamRun::prepare(&request(interval), geometry(), &config(threads), || {});
    let mut source = Clips { pair: &pair, next: 0, before };
    prepared.expect("a known model").run(&mut source, stop, &Progress::new())
}

#[test]
fn a_stream_gives_the_bits_of_files_on_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = spec().make();
    let media = |name: &str, clip: &testkit::Clip| {
        let path = folder.path().join(name);
        std::fs::write(&path, clip.y4m_bytes()).expect("written");
        MediaRef::new(path.display().to_string())
    };
    let files = [media("a.y4m", &pair.reference), media("b.y4m", &pair.distorted)];
    for interval in [1, 3] {
        let [reference, distorted] = files.clone();
        let request = ScoreRequest { reference, distorted, ..request(interval) };
        let expected = run(&request, &config(1), &Stop::never(), &Progress::new()).expect("scored");
        for threads in [1, 2, 7] {
            let report = stream(interval, threads, &Stop::never(), &mut |_| Ok(()));
            let report = report.expect("scored");
            assert_eq!(report.digest, expected.digest, "every {interval} on {threads}");
            assert_eq!((&report.models, &report.pooled), (&expected.models, &expected.pooled));
            let sum: Duration = report.timings.stages.iter().map(|(_, time)| *time).sum();
            assert_eq!(sum, report.timings.wall);
        }
    }
}

#[test]
fn each_frame_is_there_before_the_third_after_it_is_handed_over() {
    let (told, pair) = (Arc::new(AtomicU64::new(0)), spec().make());
    let changed = Arc::clone(&told);
    let tell = move || {
        changed.fetch_add(1, Ordering::Relaxed);
    };
    let prepared = StreamRun::prepare(&request(1), geometry(), &config(3), tell);
    let prepared = prepared.expect("a known model");
    let columns = prepared.column_names().count();
    let live = prepared.live();
    let watched = live.clone();
    // Frame `next` is not handed over before the scores of all but its two predecessors are there.
    let mut before = |next: usize| {
        let began = Instant::now();
        while watched.frames(0, usize::MAX).len() + 2 < next {
            assert!(began.elapsed() < Duration::from_secs(20), "frame {next} waits in vain");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    let mut source = Clips { pair: &pair, next: 0, before: &mut before };
    let report = prepared.run(&mut source, &Stop::never(), &Progress::new()).expect("scored");
    assert_eq!(report.frames.frame_count(), FRAMES as usize);
    assert_eq!(report.frames.columns.len(), columns);
    assert!(told.load(Ordering::Relaxed) > 0);
    assert!(live.frames(0, 9).is_empty(), "the report has all now");
}

#[test]
fn a_stream_that_is_stopped_breaks_or_is_empty_says_so() {
    let stop = Stop::never();
    let cancelled = stream(1, 2, &stop, &mut |next| {
        if next == 5 {
            stop.cancel.cancel();
        }
        Ok(())
    });
    assert_eq!(cancelled.expect_err("cancelled").kind(), FailureKind::Cancelled);
    let broken = stream(1, 2, &Stop::never(), &mut |next| match next {
        5 => Err(MediaError::NotFound { name: "the fifth".to_owned() }.into()),
        _ => Ok(()),
    });
    let broken = broken.expect_err("the source's error");
    assert_eq!(broken.kind(), FailureKind::NotFound);
    assert!(broken.to_string().contains("the fifth"), "{broken}");
    let panicked = stream(1, 2, &Stop::never(), &mut |next| {
        assert!(next < 5, "deliberate");
        Ok(())
    });
    assert_eq!(panicked.expect_err("a panic").kind(), FailureKind::Internal);
    let empty = ClipPair {
        reference: spec().make().reference.truncated(0),
        distorted: spec().make().distorted.truncated(0),
    };
    let prepared = StreamRun::prepare(&request(1), geometry(), &config(1), || {});
    let mut nothing = |_| Ok(());
    let mut source = Clips { pair: &empty, next: 0, before: &mut nothing };
    let empty = prepared.expect("a model").run(&mut source, &Stop::never(), &Progress::new());
    assert_eq!(empty.expect_err("no frame").kind(), FailureKind::ZeroFrames);
}

#[test]
fn what_cannot_be_scored_is_refused_before_a_frame_comes() {
    let prepare = |request: &ScoreRequest, geometry| {
        let prepared = StreamRun::prepare(request, geometry, &config(1), || {});
        prepared.map(|_| ()).expect_err("it is refused").kind()
    };
    let mut unknown = request(1);
    unknown.models = vec![types::ModelRef::Version("vmaf_v9".to_owned()).into()];
    assert_eq!(prepare(&unknown, geometry()), FailureKind::UnknownModel);
    let large = RawGeometry { width: 60_000, ..geometry() };
    assert_eq!(prepare(&request(1), large), FailureKind::UnsupportedFormat);
    let mut strict = config(1);
    strict.media.picture_pixels_max = 64 * 50 - 1;
    let prepared = StreamRun::prepare(&request(1), geometry(), &strict, || {});
    let error = prepared.map(|_| ()).expect_err("one sample too many");
    assert!(error.to_string().contains("3199 are taken"), "{error}");
}

#[test]
fn samples_above_the_depth_of_the_stream_are_warned_of() {
    for deep in [false, true] {
        let mut pair = spec().make();
        if deep {
            // As P010 looks to who takes it for planes of 10 bits.
            pair.distorted = pair.distorted.raised(12);
        }
        let prepared = StreamRun::prepare(&request(1), geometry(), &config(2), || {});
        let mut source = Clips { pair: &pair, next: 0, before: &mut |_| Ok(()) };
        let run = prepared.expect("a known model");
        let report = run.run(&mut source, &Stop::never(), &Progress::new()).expect("scored");
        let warned: Vec<_> =
            report.warnings.iter().filter(|it| it.code == "samples_above_depth").collect();
        assert_eq!(warned.len(), usize::from(deep), "{:?}", report.warnings);
        if let [warning] = warned[..] {
            let message = &warning.message;
            assert!(message.contains("the distorted video has samples above 10"), "{message}");
            assert!(!message.contains("the reference"), "{message}");
        }
    }
}

#[test]
fn a_stream_that_is_too_long_ends_with_what_was_scored_and_says_so() {
    let pair = spec().make();
    let ended_after = |frames: u64| {
        let prepared = StreamRun::prepare(&request(1), geometry(), &config(2), || {});
        let run = prepared.expect("a known model").ending_after(frames);
        let mut source = Clips { pair: &pair, next: 0, before: &mut |_| Ok(()) };
        let report = run.run(&mut source, &Stop::never(), &Progress::new()).expect("scored");
        let cut = report.warnings.iter().any(|warning| warning.code == STREAM_CUT);
        (report.frames.frame_count() as u64, cut)
    };
    let all = u64::from(FRAMES);
    assert_eq!(ended_after(5), (5, true));
    assert_eq!(ended_after(all - 1), (all - 1, true));
    assert_eq!(ended_after(all), (all, false), "exactly as many as may be are not too many");
    assert_eq!(ended_after(all + 1), (all, false));
}
