//! Searches on real clips with real encoders: answers that hold, files that are what was said of them,
//! and runs that go on where they were killed.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use media::Stop;
use search::{Evidence, Target};
use support::{Ears, cut, environment, fast, ffmpeg, score, search};
use types::{Encoder, FailureKind, Quality};
use vmafx_tune::{
    AUDIO_KILOBITS_DEFAULT, Besides, CompareRequest, CorpusRequest, CrfRequest, EncodeSettings,
    LadderAudio, LadderRequest, Sampling, ScoreSettings, ShotsRequest, Silent, Standing,
    TuneOutcome, TuneRequest, cost, report, run,
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn crf(source: &str, encode: EncodeSettings, mean: f64, output: Option<&Path>) -> TuneRequest {
    let (source, output) = (source.to_owned(), output.map(Path::to_owned));
    TuneRequest::Crf(CrfRequest {
        source,
        encode,
        search: search(mean),
        output,
        besides: Besides::default(),
    })
}

fn found(outcome: &TuneOutcome) -> &vmafx_tune::CrfOutcome {
    match outcome {
        TuneOutcome::Crf(outcome) => outcome,
        other => panic!("{other:?} is not of crf"),
    }
}

#[test]
fn on_real_clips_targets_are_met_closely_with_three_probes_usually_and_four_nearly_always() {
    let folder = folder();
    let journal = folder.path().join("journal");
    let (mut probes, mut checked) = (Vec::new(), 0);
    for (clip, first, count) in [("bikes.mp4", 60, 40), ("bigbuckbunny.mp4", 20, 16)] {
        let source = cut(clip, first, count, &folder.path().join(format!("{clip}.y4m")));
        for encoder in [Encoder::X264, Encoder::SvtAv1] {
            for mean in [80.0, 90.0, 95.0] {
                // A journal of its own for each, so that no search profits from another.
                let env = environment(Some(&journal.join(format!("{encoder}{mean}"))));
                let outcome =
                    run(&crf(&source, fast(encoder), mean, None), &env, &Stop::never(), &Silent);
                let outcome = outcome.expect("it ends well");
                let found = &found(&outcome).found;
                println!(
                    "{clip} {encoder} {mean}: {} {:.3} {:?} {} probes",
                    found.quality, found.binding.value, found.evidence, found.probes
                );
                let close = found.binding.margin() <= 0.5;
                let holds = close || found.evidence == Evidence::NextStepMisses;
                assert!(found.binding.margin() >= 0.0 && holds, "{found:?}");
                let tried: BTreeSet<Quality> = found.tried.iter().map(|one| one.quality).collect();
                assert_eq!(tried.len(), found.tried.len(), "a quality was tried twice");
                probes.push(found.probes);
                checked += 1;
            }
        }
    }
    probes.sort_unstable();
    assert_eq!(checked, 12);
    let (median, p90) = (probes[probes.len() / 2], probes[probes.len() * 9 / 10]);
    assert!(median <= 3 && p90 <= 4, "probes: {probes:?}");
}

#[test]
fn the_finished_file_is_what_was_said_of_it_and_meets_both_constraints() {
    let folder = folder();
    let source = cut("bikes.mp4", 60, 40, &folder.path().join("source.y4m"));
    let output = folder.path().join("finished.mp4");
    let constraints = ["88", "p5=86"].map(|text| text.parse().expect("well formed")).to_vec();
    let target = Target { constraints, tolerance: 0.5 };
    let request = TuneRequest::Crf(CrfRequest {
        source: source.clone(),
        encode: fast(Encoder::X264),
        search: vmafx_tune::SearchSettings::new(target.clone()),
        output: Some(output.clone()),
        besides: Besides::default(),
    });
    let outcome = run(&request, &environment(None), &Stop::never(), &Silent).expect("it ends well");
    assert_eq!(outcome.standing(), Standing::Met);
    let file = found(&outcome).file.as_ref().expect("a file");
    let independent = score(&source, &output);
    assert_eq!(file.pooled, independent, "what is reported was measured on this file");
    assert!(independent.mean >= 88.0 && independent.p5 >= 86.0, "{independent:?}");
    assert!(file.met && (0.0..=0.5).contains(&file.binding.margin()), "{file:?}");
    assert_eq!(file.bytes, std::fs::metadata(&output).expect("there").len());
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("there").flatten().collect();
    assert_eq!(left.len(), 2, "only the source and the file are left: {left:?}");
}

#[test]
fn a_target_out_of_reach_is_said_and_the_closest_is_reported() {
    let folder = folder();
    let source = cut("bikes.mp4", 60, 20, &folder.path().join("source.y4m"));
    let encode = EncodeSettings { range: Some((40, 51)), ..fast(Encoder::X264) };
    let outcome =
        run(&crf(&source, encode, 95.0, None), &environment(None), &Stop::never(), &Silent);
    let outcome = outcome.expect("it ends");
    assert_eq!(outcome.standing(), Standing::Unreachable);
    assert_eq!(found(&outcome).found.quality, Quality(4_000), "the best that was allowed");
}

#[test]
fn samples_that_were_too_kind_are_put_right_in_the_finished_file() {
    let folder = folder();
    // A still beginning and a moving end: the one sample that is allowed shows one of the two.
    let source = cut("bikes.mp4", 0, 200, &folder.path().join("source.y4m"));
    let output = folder.path().join("finished.mkv");
    let sampling = Sampling { seconds: 1.0, count: 1, count_max: 1, whole_below_seconds: 0.0 };
    let search = vmafx_tune::SearchSettings { sampling, ..search(90.0) };
    let request = TuneRequest::Crf(CrfRequest {
        source: source.clone(),
        encode: fast(Encoder::X264),
        search,
        output: Some(output.clone()),
        besides: Besides::default(),
    });
    let ears = Ears::default();
    let outcome = run(&request, &environment(None), &Stop::never(), &ears).expect("it ends well");
    let file = found(&outcome).file.as_ref().expect("a file");
    let whole = score(&source, &output);
    println!(
        "sample {:?}, whole {:.3}, {} rounds",
        found(&outcome).found.binding,
        whole.mean,
        file.rounds
    );
    assert_eq!(file.pooled, whole);
    assert!(whole.mean >= 90.0, "{file:?}");
    assert!(file.rounds > 1, "the sample was no bad one; choose another clip for this test");
    assert!(file.binding.margin() <= 1.0, "{file:?}");
}

#[test]
fn samples_that_disagree_become_more_until_all_is_tried() {
    let folder = folder();
    let source = cut("bikes.mp4", 0, 200, &folder.path().join("source.y4m"));
    let sampling = Sampling { seconds: 0.6, count: 2, count_max: 4, whole_below_seconds: 0.0 };
    let search = vmafx_tune::SearchSettings { sampling, ..search(85.0) };
    let request = TuneRequest::Crf(CrfRequest {
        source,
        encode: fast(Encoder::X264),
        search,
        output: None,
        besides: Besides::default(),
    });
    let ears = Ears::default();
    let outcome = run(&request, &environment(None), &Stop::never(), &ears).expect("it ends well");
    let found = &found(&outcome).found;
    let widened = ears.events().iter().any(
        |event| matches!(event, vmafx_tune::Event::Widened { half_width, samples: 4 } if *half_width > Some(0.5)),
    );
    println!("{} samples, {:?}", found.samples, found.measured.half_width);
    assert!(widened && found.samples == 4 && !found.whole, "{:?}", ears.events());
    assert!(found.measured.half_width.is_some_and(|half| half.is_finite()));
    // What both sets of samples share at one quality is measured once.
    let mut tried = BTreeSet::new();
    for event in ears.events() {
        if let vmafx_tune::Event::Probed { quality, range, remembered: false, .. } = event {
            assert!(tried.insert((quality, range)), "{quality} {range:?} twice");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    let folder = folder();
    let source = cut("bikes.mp4", 0, 5, &folder.path().join("source.y4m"));
    let env = environment(None);
    let failed = |request: &TuneRequest, env: &vmafx_tune::Environment| {
        run(request, env, &Stop::never(), &Silent).expect_err("refused").to_failure()
    };
    let missing = failed(&crf("/no/such/film.mkv", fast(Encoder::X264), 90.0, None), &env);
    assert_eq!(missing.kind, FailureKind::NotFound);
    let own = failed(&crf(&source, fast(Encoder::X264), 90.0, Some(Path::new(&source))), &env);
    assert_eq!(own.kind, FailureKind::InvalidJob);
    let same = folder.path().join("source.mkv");
    std::fs::copy(&source, &same).expect("copied");
    let same_name = same.display().to_string();
    let own = failed(&crf(&same_name, fast(Encoder::X264), 90.0, Some(&same)), &env);
    assert!(own.message.contains("the source itself"), "{own}");
    let bad = EncodeSettings { preset: Some("quick".to_owned()), ..fast(Encoder::X264) };
    let refused = failed(&crf(&source, bad, 90.0, None), &env);
    assert!(refused.message.contains("quick"), "{refused}");
    let mut nowhere = env.clone();
    nowhere.run.media.ffmpeg.program = Some("/no/such/ffmpeg".into());
    let missing = failed(&crf(&source, fast(Encoder::X264), 90.0, None), &nowhere);
    assert_eq!(missing.kind, FailureKind::EncoderMissing);
    let script = folder.path().join("ffmpeg");
    std::fs::write(&script, "#!/bin/sh\necho ' V..... libx264 x'\n").expect("written");
    let mut chmod = Command::new("chmod");
    assert!(chmod.arg("+x").arg(&script).status().expect("chmod").success());
    let mut without = env.clone();
    without.run.media.ffmpeg.program = Some(script);
    let missing = failed(&crf(&source, fast(Encoder::SvtAv1), 90.0, None), &without);
    assert!(
        missing.message.contains("libsvtav1") && missing.message.contains("libx264"),
        "{missing}"
    );
    let broken = folder.path().join("broken.mp4");
    std::fs::write(&broken, vec![0x55; 4_000]).expect("written");
    let broken = failed(&crf(&broken.display().to_string(), fast(Encoder::X264), 90.0, None), &env);
    assert_eq!(broken.kind, FailureKind::NotAVideo);
}

#[test]
fn a_cancelled_run_ends_soon_and_a_later_one_makes_no_probe_twice() {
    let folder = folder();
    let journal = folder.path().join("journal");
    let source = cut("bikes.mp4", 60, 40, &folder.path().join("source.y4m"));
    let request = crf(&source, fast(Encoder::X264), 90.0, None);
    let ears = Ears::default();
    let stop = Stop::never();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&request, &environment(Some(&journal)), &stop, &ears));
        while ears.made() < 1 && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
        stop.cancel.cancel();
        let asked = std::time::Instant::now();
        let error = running.join().expect("no panic").expect_err("cancelled");
        assert_eq!(error.kind(), FailureKind::Cancelled, "{error}");
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    });
    let again = Ears::default();
    let env = environment(Some(&journal));
    let outcome = run(&request, &env, &Stop::never(), &again).expect("it ends well");
    let probes = found(&outcome).found.probes;
    assert!(again.remembered() >= 1, "{:?}", again.events());
    assert_eq!(again.made() + again.remembered(), probes);
    let third = Ears::default();
    run(&request, &env, &Stop::never(), &third).expect("it ends well");
    assert_eq!((third.made(), third.remembered()), (0, probes));
}

#[test]
fn what_another_version_of_an_encoders_library_measured_is_not_remembered() {
    let folder = folder();
    let journal = folder.path().join("journal");
    let source = cut("bikes.mp4", 60, 16, &folder.path().join("source.y4m"));
    let request = crf(&source, fast(Encoder::X264), 80.0, None);
    let go = |env: &vmafx_tune::Environment| {
        let ears = Ears::default();
        run(&request, env, &Stop::never(), &ears).expect("it ends well");
        (ears.made(), ears.remembered())
    };
    let env = environment(Some(&journal));
    let (made, remembered) = go(&env);
    assert!(made > 0 && remembered == 0);
    assert_eq!(go(&env), (0, made));
    // The same ffmpeg, built with another libx264.
    let script = folder.path().join("ffmpeg");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *'-f h264 pipe:1'*) echo 'x264 - core 999 - '; exit;; esac\nexec {} \"$@\"\n",
        ffmpeg().display()
    );
    std::fs::write(&script, text).expect("written");
    let mut chmod = Command::new("chmod");
    assert!(chmod.arg("+x").arg(&script).status().expect("chmod").success());
    let mut renewed = env.clone();
    renewed.run.media.ffmpeg.program = Some(script);
    assert_eq!(go(&renewed), (made, 0));
}

#[test]
fn what_is_compared_was_measured_on_the_same_samples() {
    let folder = folder();
    let source = cut("bikes.mp4", 0, 200, &folder.path().join("source.y4m"));
    // Samples of a source that is still at first and moves at the end disagree more the worse it gets:
    // four are enough for the first target, and not for the second.
    let sampling = Sampling { seconds: 0.4, count: 4, count_max: 8, whole_below_seconds: 0.0 };
    let search = vmafx_tune::SearchSettings { sampling, ..search(0.0) };
    let compare = TuneRequest::Compare(CompareRequest {
        source,
        encodes: vec![fast(Encoder::X264)],
        search,
        targets: vec![99.0, 80.0],
    });
    let ears = Ears::default();
    let TuneOutcome::Compare(outcome) =
        run(&compare, &environment(None), &Stop::never(), &ears).expect("it ends well")
    else {
        panic!("of compare")
    };
    let events = ears.events();
    let place = |is: fn(&vmafx_tune::Event) -> bool| events.iter().position(is);
    let found = place(|event| matches!(event, vmafx_tune::Event::Found { .. }));
    let widened = place(|event| matches!(event, vmafx_tune::Event::Widened { .. }));
    let odd = "the first target widens, or none does; choose another clip for this test";
    assert!(found.is_some() && widened > found, "{odd}: {events:?}");
    let all: Vec<_> = outcome.contenders.iter().flat_map(|one| &one.at).collect();
    let ranges: BTreeSet<_> = all.iter().map(|found| &found.ranges).collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
}

/// The command line of a test's run.
fn program(arguments: &[&str], journal: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmafx-tune"));
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("OTEL_")) {
        command.env_remove(key);
    }
    command.args(arguments).arg("--journal-dir").arg(journal).env("VMAFX_FFMPEG", ffmpeg());
    command.env_remove("VMAFX_CONTROLLER_ADDR").stdin(Stdio::null());
    command
}

/// The keys of all lines of all journals, as they stand there.
fn keys(journal: &Path) -> Vec<String> {
    let files = std::fs::read_dir(journal).into_iter().flatten().flatten();
    files
        .flat_map(|file| {
            let text = std::fs::read_to_string(file.path()).expect("text");
            text.lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                .filter_map(|line| line["key"].as_str().map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn killed_again_and_again_it_goes_on_and_no_probe_is_made_twice() {
    let folder = folder();
    let journal = folder.path().join("journal");
    let source = cut("bikes.mp4", 60, 40, &folder.path().join("source.y4m"));
    let arguments = ["crf", &source, "-e", "x264", "-p", "veryfast", "-t", "90", "--json"];
    let arguments = [&arguments[..], &["--tolerance", "0"]].concat();
    // Times of death from a seed, so that a failure can be played again.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut kills, mut lines_before) = (0, 0);
    let last = loop {
        let mut child =
            program(&arguments, &journal).stdout(Stdio::piped()).spawn().expect("it starts");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let until = Duration::from_millis(250 + (random >> 33) % 900);
        let began = std::time::Instant::now();
        let ended = loop {
            match child.try_wait().expect("it is ours") {
                Some(status) => break Some(status),
                None if began.elapsed() >= until && kills < 6 => break None,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let lines = keys(&journal).len();
        assert!(lines >= lines_before, "a probe was lost");
        lines_before = lines;
        match ended {
            Some(status) => {
                assert_eq!(status.code(), Some(0));
                break child.wait_with_output().expect("it ended");
            }
            None => {
                child.kill().expect("it is ours");
                child.wait().expect("it is ours");
                kills += 1;
            }
        }
    };
    let keys = keys(&journal);
    let unique: BTreeSet<&String> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len(), "a probe was made twice");
    let text = String::from_utf8(last.stdout).expect("text");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect();
    let done = events.last().expect("events");
    assert_eq!((done["event"].as_str(), done["standing"].as_str()), (Some("done"), Some("met")));
    assert_eq!(done["outcome"]["found"]["probes"].as_u64(), Some(keys.len() as u64));
    println!("killed {kills} times, {} probes in all", keys.len());
    assert!(kills > 0, "it was too fast to be killed");
}

#[test]
fn exit_codes_tell_how_it_ended() {
    let folder = folder();
    let journal = folder.path().join("journal");
    let source = cut("bikes.mp4", 60, 12, &folder.path().join("source.y4m"));
    let code = |arguments: &[&str]| {
        let output = program(arguments, &journal).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let x264 = ["-e", "x264", "-p", "veryfast"];
    let with = |more: &[&str]| code(&[&["crf", &source][..], &x264, more].concat());
    assert_eq!(with(&["-t", "80"]).0, Some(0));
    assert_eq!(with(&["-t", "80", "--dry-run"]).0, Some(0));
    assert_eq!(with(&["-t", "99", "--range", "45..51"]).0, Some(3));
    let full = with(&["-t", "80", "-o", "/no/such/folder/x.mkv"]);
    assert_eq!(full.0, Some(22), "{full:?}");
    assert_eq!(code(&["crf", "/no/such/film"]).0, Some(10));
    assert_eq!(code(&["crf"]).0, Some(2));
    let nobody = with(&["-t", "80", "--controller", "http://127.0.0.1:9"]);
    assert_eq!(nobody.0, Some(40), "{nobody:?}");
    assert!(nobody.1.contains("127.0.0.1:9"), "{nobody:?}");
}

#[test]
fn each_shot_is_met_by_itself_and_the_assembled_film_is_scored_in_full() {
    let folder = folder();
    // Three shots of different complexity.
    let parts = [("bikes.mp4", 0, 24), ("bikes.mp4", 100, 30), ("bikes.mp4", 200, 26)];
    let film = folder.path().join("film.y4m");
    let mut whole = Vec::new();
    for (index, (clip, first, count)) in parts.into_iter().enumerate() {
        let part = cut(clip, first, count, &folder.path().join(format!("{index}.y4m")));
        let bytes = std::fs::read(part).expect("there");
        let header = bytes.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
        whole.extend_from_slice(if index == 0 { &bytes } else { &bytes[header..] });
    }
    std::fs::write(&film, whole).expect("written");
    let source = film.display().to_string();
    let output = folder.path().join("tuned.mkv");
    let request = TuneRequest::Shots(ShotsRequest {
        source: source.clone(),
        encode: fast(Encoder::X264),
        search: search(88.0),
        output: Some(output.clone()),
        besides: Besides::default(),
    });
    let outcome = run(&request, &environment(None), &Stop::never(), &Silent).expect("it ends well");
    let TuneOutcome::Shots(shots) = &outcome else { panic!("of shots") };
    for shot in &shots.shots {
        println!("{:?} {} {:?} {} repairs", shot.range, shot.quality, shot.binding, shot.repairs);
    }
    assert!(shots.shots.len() >= 3, "{shots:?}");
    assert_eq!((shots.missed, outcome.standing()), (0, Standing::Met));
    let qualities: BTreeSet<Quality> = shots.shots.iter().map(|shot| shot.quality).collect();
    assert!(qualities.len() > 1, "every shot has the same: nothing is gained");
    let file = shots.file.as_ref().expect("a film");
    assert_eq!(file.pooled, score(&source, &output));
    let total: u64 = shots.shots.iter().map(|shot| shot.range.count).sum();
    assert_eq!(total, 80, "no frame is left out");
}

#[test]
fn a_ladder_a_comparison_and_a_corpus_end_in_one_report() {
    let folder = folder();
    let source = cut("bikes.mp4", 60, 24, &folder.path().join("source.y4m"));
    let journal = folder.path().join("journal");
    let env = environment(Some(&journal));
    let go =
        |request: &TuneRequest| run(request, &env, &Stop::never(), &Silent).expect("it ends well");
    let ladder = go(&TuneRequest::Ladder(LadderRequest {
        source: source.clone(),
        encode: fast(Encoder::X264),
        search: search(0.0),
        heights: vec![1_080, 272, 136],
        targets: vec![85.0, 60.0],
        ratio_min: 1.2,
        output: None,
        audio: LadderAudio::Auto,
        audio_kilobits: AUDIO_KILOBITS_DEFAULT,
    }));
    let TuneOutcome::Ladder(of) = &ladder else { panic!("of ladder") };
    assert!(
        of.cloud.iter().any(|r| r.size == (320, 136))
            && of.cloud.iter().any(|r| r.size == (640, 272))
    );
    assert!(
        !of.rungs.is_empty() && of.rungs.len() <= of.hull.len() && of.hull.len() <= of.cloud.len()
    );
    let rises = |all: &[vmafx_tune::Rendition]| {
        all.windows(2)
            .all(|p| p[0].kilobits_per_second < p[1].kilobits_per_second && p[0].score < p[1].score)
    };
    assert!(rises(&of.hull) && rises(&of.rungs), "{:?}", of.hull);
    assert!(of.rungs.last().is_some_and(|best| best.score >= 85.0), "{:?}", of.rungs);

    let compare = go(&TuneRequest::Compare(CompareRequest {
        source: source.clone(),
        encodes: vec![fast(Encoder::X264), fast(Encoder::SvtAv1)],
        search: search(0.0),
        targets: vec![75.0, 85.0, 92.0],
    }));
    let TuneOutcome::Compare(of) = &compare else { panic!("of compare") };
    assert_eq!(of.contenders[0].bd_rate, None);
    let gain = of.contenders[1].bd_rate.expect("they have scores in common");
    assert!(gain < 0.0, "AV1 needs less than H.264: {gain}");

    let lines = folder.path().join("corpus.jsonl");
    let corpus = TuneRequest::Corpus(CorpusRequest {
        sources: vec![source.clone(), "/no/such/film".to_owned()],
        encodes: vec![fast(Encoder::X264)],
        qualities: [2_400, 3_200, 9_900].map(Quality).to_vec(),
        score: ScoreSettings::default(),
        sampling: Sampling::default(),
        output: lines.clone(),
    });
    let first = go(&corpus);
    let TuneOutcome::Corpus(of) = &first else { panic!("of corpus") };
    assert_eq!((of.written, of.known, of.failed.len()), (2, 0, 1), "{of:?}");
    assert_eq!(first.standing(), Standing::Partial);
    let TuneOutcome::Corpus(of) = go(&corpus) else { panic!("of corpus") };
    assert_eq!((of.written, of.known), (0, 2), "what is there is not measured again");

    let mut page = report::Report::new();
    for outcome in [&ladder, &compare] {
        let line = serde_json::json!({ "event": "done", "outcome": outcome }).to_string();
        page.read("run", line.as_bytes()).expect("a result");
    }
    let corpus = std::fs::read(&lines).expect("there");
    page.read("corpus", corpus.as_slice()).expect("results");
    let html = page.html();
    for part in ["320x136", "libsvtav1", "<svg", "hull"] {
        assert!(html.contains(part), "{part} is not in the report");
    }
}

#[test]
fn the_cost_is_said_and_nothing_is_measured_for_keeps() {
    let folder = folder();
    let journal = folder.path().join("journal");
    let source = cut("bikes.mp4", 60, 40, &folder.path().join("source.y4m"));
    let env = environment(Some(&journal));
    let output = folder.path().join("x.mkv");
    let request = crf(&source, fast(Encoder::X264), 90.0, Some(&output));
    let cost = cost(&request, &env, &Stop::never()).expect("it is said");
    assert_eq!((cost.trials, cost.frames, cost.sources), (4, 160, 1));
    assert!(cost.seconds.is_some_and(|seconds| seconds > 0.0));
    assert!(keys(&journal).is_empty() && !output.exists());
}
