//! Whole runs on synthetic clips: results, warnings, times, stops and failures.

use std::fs::File;
use std::io::Write;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::{
    FrameAnalyzer, FrameInput, Isa, IsaLevel, PictureSpec, PictureWithPast, PlanesWanted, Sequence,
};
use media::{CancelToken, MediaConfig, SourcePolicy, Stop};
use rustix::fs::{CWD, Mode};
use scoring::{Progress, RunConfig, ScoreError, ScoreRequest, run};
use testkit::{ClipPair, ClipSpec};
use types::{FailureKind, JobSpec, MediaRef, ScoreReport, Stage};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn media(&self, name: &str) -> MediaRef {
        MediaRef::new(self.path(name).display().to_string())
    }

    fn write(&self, pair: &ClipPair) -> ScoreRequest {
        std::fs::write(self.path("reference.y4m"), pair.reference.y4m_bytes()).expect("written");
        std::fs::write(self.path("distorted.y4m"), pair.distorted.y4m_bytes()).expect("written");
        ScoreRequest::pair(self.media("reference.y4m"), self.media("distorted.y4m"))
    }
}

fn config(threads: usize) -> RunConfig {
    let media = MediaConfig::new(SourcePolicy::unrestricted_local());
    RunConfig { threads: NonZeroUsize::new(threads).expect("some"), ..RunConfig::new(media) }
}

fn score(request: &ScoreRequest, threads: usize) -> Result<ScoreReport, ScoreError> {
    run(request, &config(threads), &Stop::never(), &Progress::new())
}

fn spec() -> ClipSpec {
    ClipSpec::texture(11, 96, 64, 24)
}

/// The digest of a pair that the engine scores frame by frame on this thread, with nothing of this
/// crate but the plan.
fn digest_in_one_piece(request: &ScoreRequest, pair: &ClipPair) -> String {
    let plan = request.plan(&SourcePolicy::unrestricted_local()).expect("planned");
    let plan = std::sync::Arc::new(plan);
    let references = pair.reference.pictures(PlanesWanted::Luma);
    let distorted = pair.distorted.pictures(PlanesWanted::Luma);
    let spec: PictureSpec = *references[0].spec();
    let mut analyzer = FrameAnalyzer::new(plan.clone(), spec, Isa::detect(IsaLevel::Baseline));
    let mut sequence = Sequence::new(plan, spec.width, spec.height);
    for (at, (reference, distorted)) in references.iter().zip(&distorted).enumerate() {
        let before = [1, 2].map(|back| at.checked_sub(back).map(|before| &references[before]));
        let input = FrameInput {
            frame_index: at as u64,
            reference: PictureWithPast { picture: reference, before },
            distorted: &[PictureWithPast::alone(distorted)],
        };
        let values = analyzer.analyze(&input, &mut || Duration::ZERO).expect("analyzed");
        values.into_iter().for_each(|values| sequence.add(values).expect("added"));
    }
    let scores = sequence.finish().expect("scored");
    scores.into_report(Vec::new(), Default::default(), Default::default()).digest
}

#[test]
fn any_number_of_threads_gives_the_bits_of_one() {
    let folder = Folder::new();
    let pair = spec().make();
    let mut request = folder.write(&pair);
    request.subsample_interval = NonZeroU32::new(3).expect("some");
    request.features = vec!["motion=motion_fps_weight=1.5".to_owned()];
    let expected = digest_in_one_piece(&request, &pair);
    for threads in [1, 2, 3, 8, 40] {
        let report = score(&request, threads).expect("scored");
        assert_eq!(report.digest, expected, "{threads} threads");
        assert_eq!(report.frames.frame_indices, [0, 3, 6, 9, 12, 15, 18, 21]);
    }
}

#[test]
fn references_of_any_number_before_are_there_with_one_thread_too() {
    let folder = Folder::new();
    let mut request = folder.write(&spec().make());
    for features in [
        &["motion=motion_five_frame_window=true"][..],
        &["motion=motion_force_zero=true", "motion=motion_five_frame_window=true"],
        &["vif"],
    ] {
        request.models.clear();
        request.features = features.iter().map(|&text| text.into()).collect();
        let [one, three] = [1, 3].map(|threads| score(&request, threads).expect("scored").digest);
        assert_eq!(one, three, "{features:?}");
    }
}

#[test]
fn several_distorted_videos_get_the_bits_of_runs_of_their_own() {
    let folder = Folder::new();
    let mut request = folder.write(&spec().make());
    request.features = vec!["motion".to_owned()];
    let other = ClipSpec::texture(12, 96, 64, 24).make();
    let longer = ClipSpec::texture(11, 96, 64, 30).make();
    let shorter = ClipSpec::texture(11, 96, 64, 9).make();
    let narrow = ClipSpec::texture(11, 90, 64, 24).make();
    let others =
        [("other", &other), ("longer", &longer), ("shorter", &shorter), ("narrow", &narrow)];
    let mut others: Vec<MediaRef> = others
        .into_iter()
        .map(|(name, pair)| {
            std::fs::write(folder.path(name), pair.distorted.y4m_bytes()).expect("written");
            folder.media(name)
        })
        .collect();
    let whole = std::fs::read(folder.path("distorted.y4m")).expect("read");
    std::fs::write(folder.path("damaged"), &whole[..whole.len() / 2]).expect("written");
    others.extend([folder.media("damaged"), folder.media("missing")]);
    for threads in [1, 2, 5] {
        let (stop, progress) = (Stop::never(), Progress::new());
        let all = scoring::run_each(&request, &others, &config(threads), &stop, &progress);
        let all = all.expect("the reference is fine");
        let videos = std::iter::once(&request.distorted).chain(&others);
        let mut failed = Vec::new();
        for (video, shared) in videos.zip(all) {
            let alone = ScoreRequest { distorted: video.clone(), ..request.clone() };
            match (score(&alone, 1), shared) {
                (Ok(alone), Ok(shared)) => {
                    assert_eq!(shared.digest, alone.digest, "{video:?}, {threads} threads");
                    assert_eq!(shared.warnings, alone.warnings);
                    let stages = &shared.timings.stages;
                    let sum: Duration = stages.iter().map(|(_, time)| *time).sum();
                    assert_eq!(sum, shared.timings.wall);
                }
                (Err(alone), Err(shared)) => {
                    assert_eq!(shared.to_string(), alone.to_string());
                    failed.push(shared.kind());
                }
                (alone, shared) => panic!("{video:?}: {alone:?} and {shared:?}"),
            }
        }
        let expected = [FailureKind::SizeMismatch, FailureKind::Truncated, FailureKind::NotFound];
        assert_eq!(failed, expected, "{threads} threads");
    }
}

#[test]
fn a_report_says_what_made_it_and_stages_add_up_to_the_wall_time() {
    let folder = Folder::new();
    let progress = Progress::new();
    let request = folder.write(&spec().make());
    let report = run(&request, &config(2), &Stop::never(), &progress).expect("scored");
    assert_eq!((report.width, report.height), (96, 64));
    assert_eq!(report.provenance.decoders, ["y4m", "y4m"]);
    assert!(!report.provenance.isa.is_empty() && !report.provenance.engine_version.is_empty());
    assert_eq!(report.digest.len(), 64);
    assert_eq!(report.headline().map(|model| model.version.as_str()), Some("vmaf_v0.6.1"));
    assert!(report.warnings.is_empty());
    assert_eq!((progress.frames_done(), progress.frames_total()), (24, Some(24)));

    let timings = &report.timings;
    let sum: Duration = timings.stages.iter().map(|(_, time)| *time).sum();
    assert!(
        sum <= timings.wall && sum.as_secs_f64() >= 0.99 * timings.wall.as_secs_f64(),
        "{timings:?}"
    );
    let stages: Vec<Stage> = timings.stages.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [Stage::Fetch, Stage::Decode, Stage::Score, Stage::Pool]);
    let features: Vec<&str> = timings.features.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(features, ["vif", "adm", "motion"]);
    assert!(timings.features.iter().all(|(_, time)| !time.is_zero()), "{timings:?}");
}

#[test]
fn a_reader_that_is_slow_is_charged_to_decoding() {
    let folder = Folder::new();
    let pair = spec().make();
    let mut request = folder.write(&pair);
    request.distorted = folder.media("fifo");
    let bytes = pair.distorted.y4m_bytes();
    let wait = Duration::from_millis(400);
    let (report, _) = with_fifo(
        &folder,
        "fifo",
        move |pipe| {
            let _ = pipe.write_all(&bytes[..bytes.len() / 2]);
            // Time is what is measured here.
            std::thread::sleep(wait);
            let _ = pipe.write_all(&bytes[bytes.len() / 2..]);
        },
        || score(&request, 2),
    );
    let timings = report.expect("scored").timings;
    assert!(timings.stage(Stage::Decode) >= wait.mul_f64(0.8), "{timings:?}");
    assert!(timings.stage(Stage::Score) < wait, "{timings:?}");
}

/// Runs `body` while another thread writes to a pipe of that name.
fn with_fifo<T>(
    folder: &Folder,
    name: &str,
    write: impl FnOnce(&mut File) + Send + 'static,
    body: impl FnOnce() -> T,
) -> (T, Duration) {
    let path = folder.path(name);
    rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a pipe");
    let writer = std::thread::spawn(move || {
        let mut pipe = File::options().write(true).open(path).expect("opened");
        write(&mut pipe);
    });
    let began = Instant::now();
    let value = body();
    let took = began.elapsed();
    writer.join().expect("no panic");
    (value, took)
}

#[test]
fn the_shorter_video_counts_whichever_it_is() {
    let folder = Folder::new();
    let pair = spec().make();
    let whole = folder.write(&pair);
    let short = pair.distorted.clone().truncated(9);
    std::fs::write(folder.path("short.y4m"), short.y4m_bytes()).expect("written");
    let values =
        |report: &ScoreReport, name: &str| report.frames.column(name).expect(name).values.clone();
    let full = score(&whole, 2).expect("scored");
    for threads in [1, 2, 7] {
        let shorter = ScoreRequest { distorted: folder.media("short.y4m"), ..whole.clone() };
        let report = score(&shorter, threads).expect("scored");
        assert_eq!(values(&report, "integer_vif_scale0"), values(&full, "integer_vif_scale0")[..9]);
        assert_eq!(report.warnings.len(), 1);
        assert_eq!(report.warnings[0].code, "length_mismatch");
        let text = &report.warnings[0].message;
        assert!(text.contains("short.y4m ended before") && text.contains("9 frames"), "{text}");

        let shorter = ScoreRequest { reference: folder.media("short.y4m"), ..whole.clone() };
        let report = score(&shorter, threads).expect("scored");
        assert_eq!(report.frames.frame_count(), 9);
        assert!(
            report.warnings[0].message.contains("short.y4m ended before"),
            "{:?}",
            report.warnings
        );
    }
}

#[test]
fn a_range_inside_both_videos_warns_of_nothing() {
    let folder = Folder::new();
    let pair = spec().make();
    let mut request = folder.write(&pair);
    std::fs::write(folder.path("short.y4m"), pair.distorted.truncated(9).y4m_bytes())
        .expect("written");
    request.distorted = folder.media("short.y4m");
    request.range.frame_count_max = Some(9);
    for threads in [1, 2] {
        let report = score(&request, threads).expect("scored");
        assert_eq!((report.frames.frame_count(), report.warnings.len()), (9, 0));
    }
}

#[test]
fn pictures_too_small_to_compare_with_libvmaf_are_warned_of() {
    let folder = Folder::new();
    let report = score(&folder.write(&ClipSpec::texture(1, 40, 32, 2).make()), 1).expect("scored");
    assert_eq!(report.warnings[0].code, "small_picture");
}

#[test]
fn samples_above_the_declared_depth_are_warned_of() {
    let folder = Folder::new();
    let clip = spec().with_format(types::ChromaSubsampling::C420, 10);
    let request = folder.write(&clip.make());
    // As P010 looks to who takes it for planes of 10 bits: two bits too many.
    let shift = |name: &str, clip: testkit::Clip| {
        let mut bytes = clip.raised(12).y4m_bytes();
        let at = bytes.windows(3).position(|part| part == b"p12").expect("in the header");
        bytes[at..at + 3].copy_from_slice(b"p10");
        std::fs::write(folder.path(name), bytes).expect("written");
    };
    for (threads, shifted) in
        [(1, vec![]), (1, vec!["distorted.y4m"]), (3, vec!["distorted.y4m", "reference.y4m"])]
    {
        for name in &shifted {
            let pair = clip.make();
            shift(name, if *name == "reference.y4m" { pair.reference } else { pair.distorted });
        }
        let report = score(&request, threads).expect("scored");
        let warnings: Vec<_> = report.warnings.iter().map(|warning| &*warning.code).collect();
        if shifted.is_empty() {
            assert_eq!(warnings, [""; 0]);
            continue;
        }
        assert_eq!(warnings, ["samples_above_depth"]);
        let message = &report.warnings[0].message;
        for name in ["reference.y4m", "distorted.y4m"] {
            assert_eq!(message.contains(name), shifted.contains(&name), "{message}");
        }
        assert!(message.contains("above 10 bits") && message.contains("P010"), "{message}");
    }
}

#[test]
fn a_job_becomes_the_request_it_describes() {
    let mut job = JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b"));
    job.distorted.push(MediaRef::new("/c"));
    job.first_frame_index = 5;
    job.frame_count_max = Some(7);
    job.features = vec!["vif".to_owned()];
    let request = ScoreRequest::from_job(&job, 1).expect("there are two");
    assert_eq!(request.distorted.uri, "/c");
    let range = request.range;
    assert_eq!(
        (range.skip_reference, range.skip_distorted, range.frame_count_max),
        (5, 5, Some(7))
    );
    assert_eq!((request.models.len(), request.features.len()), (1, 1));
    assert!(ScoreRequest::from_job(&job, 2).is_none());
}

#[test]
fn failures_have_their_kind() {
    let folder = Folder::new();
    let good = folder.write(&spec().make());
    // One thread and its readers take turns; two do not.
    let kind = |change: &dyn Fn(&mut ScoreRequest)| {
        let mut request = good.clone();
        change(&mut request);
        let kinds = [1, 2].map(|threads| {
            let error = score(&request, threads).expect_err("it fails");
            assert!(!error.to_failure().message.is_empty());
            error.kind()
        });
        assert_eq!(kinds[0], kinds[1]);
        kinds[0]
    };
    let bytes = std::fs::read(folder.path("distorted.y4m")).expect("there");
    std::fs::write(folder.path("cut.y4m"), &bytes[..bytes.len() - 1]).expect("written");
    std::fs::write(folder.path("none.y4m"), b"YUV4MPEG2 W96 H64\n").expect("written");
    let to = |name: &str| {
        let media = folder.media(name);
        move |request: &mut ScoreRequest| request.distorted = media.clone()
    };
    assert_eq!(kind(&to("nowhere.y4m")), FailureKind::NotFound);
    assert_eq!(kind(&to("cut.y4m")), FailureKind::Truncated);
    assert_eq!(kind(&to("none.y4m")), FailureKind::ZeroFrames);
    assert_eq!(kind(&|r| r.range.skip_reference = 24), FailureKind::ZeroFrames);
    assert_eq!(kind(&|r| r.range.skip_distorted = u64::MAX), FailureKind::ZeroFrames);
    assert_eq!(
        kind(&|r| r.models[0].source = types::ModelRef::Version("x".into())),
        FailureKind::UnknownModel
    );
    assert_eq!(
        kind(&|r| r.models[0].source = types::ModelRef::Path("/x.json".into())),
        FailureKind::UnknownModel
    );
    assert_eq!(kind(&|r| r.features.push("x".into())), FailureKind::UnknownFeature);
    assert_eq!(kind(&|r| r.models.clear()), FailureKind::InvalidJob);
    assert_eq!(kind(&|r| r.models.push(r.models[0].clone())), FailureKind::InvalidJob);
}

#[test]
fn a_model_file_is_under_the_same_source_rules() {
    let folder = Folder::new();
    let mut request = folder.write(&spec().make());
    let outside = tempfile::NamedTempFile::new().expect("temporary file");
    request.models[0].source = types::ModelRef::Path(outside.path().display().to_string());
    let mut config = config(1);
    config.media.policy = SourcePolicy::below([folder.0.path().to_owned()]);
    let error = run(&request, &config, &Stop::never(), &Progress::new()).expect_err("refused");
    assert_eq!(error.kind(), FailureKind::SourceRefused);
}

/// A run that waits for a pipe which gives some frames and then nothing until the run is over.
fn check_stopped(
    stop: &Stop,
    expected: FailureKind,
    when_waiting: impl FnOnce() -> Instant + Send,
) {
    let folder = Folder::new();
    let pair = spec().make();
    let mut request = folder.write(&pair);
    request.distorted = folder.media("fifo");
    let bytes = pair.distorted.truncated(10).y4m_bytes();
    let path = folder.path("fifo");
    rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a pipe");
    let progress = Progress::new();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let result = run(&request, &config(2), stop, &progress);
            (result, Instant::now())
        });
        let mut pipe = File::options().write(true).open(&path).expect("opened");
        pipe.write_all(&bytes).expect("taken");
        let deadline = Instant::now() + Duration::from_secs(30);
        while progress.frames_done() < 10 {
            assert!(Instant::now() < deadline, "the frames there are were never scored");
            std::thread::yield_now();
        }
        let told = when_waiting();
        let (result, ended) = running.join().expect("no panic");
        assert_eq!(result.expect_err("stopped").kind(), expected);
        let took = ended.saturating_duration_since(told);
        assert!(took < Duration::from_millis(200), "it took {took:?}");
        drop(pipe);
    });
}

/// The pipe is kept open and silent until the run has ended.
fn check_ends_while_the_other_is_silent(
    reference: &str,
    silent_from: usize,
    expected: FailureKind,
) {
    let folder = Folder::new();
    let pair = spec().make();
    let mut request = folder.write(&pair);
    // Within the first frames: later ones wait for the other video.
    let bytes = pair.reference.truncated(2).y4m_bytes();
    std::fs::write(folder.path("cut.y4m"), &bytes[..bytes.len() - 1]).expect("written");
    request.reference = folder.media(reference);
    request.distorted = folder.media("fifo");
    let path = folder.path("fifo");
    rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a pipe");
    // Opened for reading too, so that it does not wait for a run that ends before it reads.
    let mut pipe = File::options().read(true).write(true).open(&path).expect("opened");
    pipe.write_all(&pair.distorted.y4m_bytes()[..silent_from]).expect("it fits the pipe");
    let stop = Stop { deadline: Some(Instant::now() + Duration::from_secs(30)), ..Stop::never() };
    let error = run(&request, &config(2), &stop, &Progress::new()).expect_err("it is bad");
    assert_eq!(error.kind(), expected, "{error}");
    assert_eq!(stop.check(), Ok(()), "it waited for the silent video until its deadline");
    drop(pipe);
}

#[test]
fn a_bad_reference_ends_a_run_whose_other_video_is_silent() {
    check_ends_while_the_other_is_silent("nowhere.y4m", 0, FailureKind::NotFound);
    check_ends_while_the_other_is_silent("cut.y4m", 300, FailureKind::Truncated);
}

#[test]
fn a_cancel_ends_a_run_within_200_ms() {
    let stop = Stop { cancel: CancelToken::new(), deadline: None };
    check_stopped(&stop, FailureKind::Cancelled, || {
        stop.cancel.cancel();
        Instant::now()
    });
}

#[test]
fn a_deadline_ends_a_run_within_200_ms() {
    let deadline = Instant::now() + Duration::from_secs(2);
    let stop = Stop { cancel: CancelToken::new(), deadline: Some(deadline) };
    check_stopped(&stop, FailureKind::TimedOut, || deadline);
}

#[test]
fn a_cancelled_run_never_begins() {
    let stop = Stop::never();
    stop.cancel.cancel();
    let request = ScoreRequest::pair(MediaRef::new("/nowhere"), MediaRef::new("/nowhere"));
    let error = run(&request, &config(1), &stop, &Progress::new()).expect_err("cancelled");
    assert_eq!(error.kind(), FailureKind::Cancelled);
}

#[cfg(target_os = "linux")]
#[test]
fn a_niced_run_leaves_its_caller_as_it_was() {
    let niceness = || rustix::process::getpriority_process(None).expect("readable");
    let before = niceness();
    let folder = Folder::new();
    let pair = spec().make();
    let mut request = folder.write(&pair);
    request.distorted = folder.media("fifo");
    let bytes = pair.distorted.y4m_bytes();
    let config = RunConfig { niced: true, ..config(2) };
    let nice = move |(name, nice): (String, i32)| name.starts_with("score-") && nice == 19;
    let write = move |pipe: &mut File| {
        // The run cannot end before it has been looked at.
        pipe.write_all(&bytes[..bytes.len() / 2]).expect("taken");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !niceness_of_threads().into_iter().any(nice) {
            assert!(Instant::now() < deadline, "no thread is nice: {:?}", niceness_of_threads());
            std::thread::yield_now();
        }
        pipe.write_all(&bytes[bytes.len() / 2..]).expect("taken");
    };
    let progress = Progress::new();
    let score = || run(&request, &config, &Stop::never(), &progress);
    let (report, _) = with_fifo(&folder, "fifo", write, score);
    assert_eq!(report.expect("scored").frames.frame_count(), 24);
    assert_eq!(niceness(), before);
}

/// Name and niceness of every thread of this process.
#[cfg(target_os = "linux")]
fn niceness_of_threads() -> Vec<(String, i32)> {
    let threads = std::fs::read_dir("/proc/self/task").expect("the thread list");
    let stat = |path: &Path| {
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        // The 19th field of the line; the first after the name is the third.
        Some((name, tail.split_whitespace().nth(16)?.parse().ok()?))
    };
    threads.filter_map(|thread| stat(&thread.ok()?.path())).collect()
}
