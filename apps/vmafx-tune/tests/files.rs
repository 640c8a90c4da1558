//! Finished files: what they have besides pictures, how they get their names, and the files of a ladder.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use media::Stop;
use support::{Ears, cut, environment, fast, ffmpeg, score, search};
use types::{Encoder, FailureKind};
use vmafx_tune::{
    AUDIO_KILOBITS_DEFAULT, Besides, CrfOutcome, CrfRequest, Event, Keep, LadderAudio,
    LadderOutcome, LadderRequest, ShotsRequest, Silent, Sink, Standing, TuneError, TuneOutcome,
    TuneRequest, run,
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs ffmpeg and gives what it writes to its standard output.
fn ask(arguments: &[&str]) -> String {
    let output = Command::new(ffmpeg())
        .args(["-v", "error", "-y"])
        .args(arguments)
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The hash of a file's coded streams of one kind, such as `a`; empty where it has none.
fn coded(path: &Path, kind: &str) -> String {
    let path = path.display().to_string();
    let hash = ["-map", "0", "-c", "copy", "-f", "streamhash", "-hash", "md5", "-"];
    let all = ask(&[&["-i", &path][..], &hash].concat());
    // `1,a,MD5=…`: which stream it is says nothing of what is in it.
    let of_kind = all.lines().filter_map(|line| line.split_once(',')?.1.strip_prefix(kind));
    of_kind.collect()
}

/// Frames of a video, a playlist or a manifest's first stream of pictures, as another decoder counts
/// them.
fn frames(path: &Path, map: &str) -> usize {
    let path = path.display().to_string();
    let listed = ask(&["-i", &path, "-map", map, "-f", "framecrc", "-"]);
    listed.lines().filter(|line| !line.starts_with('#')).count()
}

/// A film with sound and subtitles, its pictures late by so much.
fn film(folder: &Path, late: &str) -> PathBuf {
    let pictures = cut("bikes.mp4", 60, 24, &folder.join("pictures.y4m"));
    let subtitles = folder.join("subtitles.srt");
    std::fs::write(&subtitles, "1\n00:00:00,100 --> 00:00:00,700\nA word\n").expect("written");
    let film = folder.join("film.mkv");
    let paths = [&subtitles, &film].map(|path| path.display().to_string());
    let sound = "sine=frequency=440:sample_rate=48000:duration=1";
    ask(&[
        "-itsoffset",
        late,
        "-i",
        &pictures,
        "-f",
        "lavfi",
        "-i",
        sound,
        "-i",
        &paths[0],
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "2",
        "-c:v",
        "ffv1",
        "-c:a",
        "flac",
        "-c:s",
        "srt",
        &paths[1],
    ]);
    film
}

fn crf(source: &Path, output: &Path, besides: Besides) -> TuneRequest {
    TuneRequest::Crf(CrfRequest {
        source: source.display().to_string(),
        encode: fast(Encoder::X264),
        search: search(85.0),
        output: Some(output.to_owned()),
        besides,
    })
}

fn go(request: &TuneRequest, sink: &dyn Sink) -> Result<TuneOutcome, TuneError> {
    run(request, &environment(None), &Stop::never(), sink)
}

fn of_crf(outcome: TuneOutcome) -> CrfOutcome {
    match outcome {
        TuneOutcome::Crf(outcome) => *outcome,
        other => panic!("{other:?} is not of crf"),
    }
}

#[test]
fn a_finished_file_has_the_sources_sound_and_subtitles_as_they_are() {
    let folder = folder();
    let film = film(folder.path(), "0");
    let output = folder.path().join("tuned.mkv");
    let outcome = of_crf(go(&crf(&film, &output, Besides::default()), &Silent).expect("it ends"));
    for kind in ["a", "s"] {
        assert!(!coded(&film, kind).is_empty());
        assert_eq!(coded(&output, kind), coded(&film, kind), "{kind}: coded anew");
    }
    let file = outcome.file.expect("a file");
    assert_eq!(file.pooled, score(&film.display().to_string(), &output), "measured on this file");
    assert_eq!(file.bytes, std::fs::metadata(&output).expect("there").len());
    assert_eq!((file.met, frames(&output, "0:v:0")), (true, 24));

    let silent = folder.path().join("silent.mkv");
    go(&crf(&film, &silent, Besides::NOTHING), &Silent).expect("it ends");
    assert_eq!((coded(&silent, "a"), coded(&silent, "s")), (String::new(), String::new()));
    assert_eq!(coded(&silent, "v"), coded(&output, "v"), "the same pictures");
}

#[test]
fn what_a_container_does_not_take_is_said_before_anything_is_encoded() {
    let folder = folder();
    let film = film(folder.path(), "0");
    let refused = |name: &str, besides: Besides| {
        let ears = Ears::default();
        let error =
            go(&crf(&film, &folder.path().join(name), besides), &ears).expect_err("refused");
        assert_eq!((error.kind(), ears.made()), (FailureKind::InvalidJob, 0), "{error}");
        error.to_string()
    };
    let sound = refused("a.webm", Besides::default());
    assert!(sound.contains("audio") && sound.contains("--audio none"), "{sound}");
    let subtitles = Besides { subtitles: Keep::Copy, ..Besides::default() };
    let subtitles = refused("a.mp4", subtitles);
    assert!(subtitles.contains("--subtitles none"), "{subtitles}");

    // By default sound is copied, and subtitles are where they can be.
    let (ears, output) = (Ears::default(), folder.path().join("a.mp4"));
    go(&crf(&film, &output, Besides::default()), &ears).expect("it ends");
    assert_eq!(coded(&output, "a"), coded(&film, "a"));
    assert_eq!(coded(&output, "s"), "");
    let told = ears.events().into_iter().any(
        |event| matches!(event, Event::Note { message } if message.contains("subtitles are left out")),
    );
    assert!(told, "{:?}", ears.events());
    let left = std::fs::read_dir(folder.path()).expect("there").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 4, "trials are left: {left:?}");
}

#[test]
fn sound_and_pictures_stay_as_far_apart_as_they_are() {
    let folder = folder();
    let film = film(folder.path(), "0.4");
    let begins = |path: &Path| {
        let path = path.display().to_string();
        let listed = ask(&["-i", &path, "-map", "0:v:0", "-frames:v", "1", "-f", "framecrc", "-"]);
        let base = listed.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")).expect("a base");
        let first = listed.lines().find(|line| line.starts_with("0,")).expect("a frame");
        let time = first.split(',').nth(2).expect("its time").trim();
        time.parse::<f64>().expect("a number") / base.parse::<f64>().expect("a number")
    };
    assert!((begins(&film) - 0.4).abs() < 0.021, "{}", begins(&film));
    for name in ["tuned.mkv", "tuned.mp4"] {
        let output = folder.path().join(name);
        go(&crf(&film, &output, Besides::default()), &Silent).expect("it ends");
        assert!((begins(&output) - begins(&film)).abs() < 0.021, "{name}: {}", begins(&output));
        assert_eq!(frames(&output, "0:v:0"), 24, "{name}");
    }
}

#[test]
fn a_film_of_shots_has_its_sound_too() {
    let folder = folder();
    let film = film(folder.path(), "0");
    let output = folder.path().join("shots.mkv");
    let request = TuneRequest::Shots(ShotsRequest {
        source: film.display().to_string(),
        encode: fast(Encoder::X264),
        search: search(80.0),
        output: Some(output.clone()),
        besides: Besides::default(),
    });
    let TuneOutcome::Shots(outcome) = go(&request, &Silent).expect("it ends") else {
        panic!("of shots")
    };
    assert_eq!(coded(&output, "a"), coded(&film, "a"));
    let file = outcome.file.expect("a film");
    assert_eq!(file.pooled, score(&film.display().to_string(), &output));
    assert!(file.bytes > 0 && frames(&output, "0:v:0") == 24);
}

/// Makes a file under the output's name as soon as something is tried.
struct Intruder {
    output: PathBuf,
    was_there: AtomicBool,
}

impl Sink for Intruder {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Probed { .. }) && !self.was_there.swap(true, Ordering::Relaxed) {
            std::fs::write(&self.output, b"somebody else's").expect("written");
        }
    }
}

#[test]
fn a_file_that_appeared_meanwhile_is_left_alone() {
    let folder = folder();
    let source = PathBuf::from(cut("bikes.mp4", 60, 16, &folder.path().join("source.y4m")));
    let output = folder.path().join("film.mkv");
    let intruder = Intruder { output: output.clone(), was_there: AtomicBool::new(false) };
    let request = crf(&source, &output, Besides::default());
    let file = of_crf(go(&request, &intruder).expect("it ends")).file.expect("a file");
    assert_eq!(std::fs::read(&output).expect("there"), b"somebody else's");
    assert_eq!(file.output, folder.path().join("film-2.mkv"));
    assert_eq!(frames(&file.output, "0:v:0"), 16);
    // What had the name when the run began is what is to be replaced.
    let file = of_crf(go(&request, &Silent).expect("it ends")).file.expect("a file");
    assert_eq!((file.output, frames(&output, "0:v:0")), (output.clone(), 16));
}

#[test]
fn a_file_that_is_there_and_whole_is_not_made_again() {
    let folder = folder();
    let source = PathBuf::from(cut("bikes.mp4", 60, 16, &folder.path().join("source.y4m")));
    let (output, journal) = (folder.path().join("film.mkv"), folder.path().join("journal"));
    let request = crf(&source, &output, Besides::default());
    let run_of = |request: &TuneRequest, replaces: bool, ears: &Ears| {
        let env = vmafx_tune::Environment { replaces, ..environment(Some(&journal)) };
        run(request, &env, &Stop::never(), ears)
    };
    let first = of_crf(run_of(&request, true, &Ears::default()).expect("it ends"));
    let again = Ears::default();
    assert_eq!(of_crf(run_of(&request, false, &again).expect("it ends")).file, first.file);
    assert_eq!((files_made(&again), again.made()), (0, 0), "{:?}", again.events());

    // What is another file now is made again, or refused where nothing may be replaced.
    let bytes = std::fs::read(&output).expect("there");
    let mut spoilt = bytes.clone();
    *spoilt.last_mut().expect("some") ^= 1;
    std::fs::write(&output, &spoilt).expect("written");
    let refused = run_of(&request, false, &Ears::default()).expect_err("refused");
    assert_eq!(refused.kind(), FailureKind::InvalidJob, "{refused}");
    assert_eq!(std::fs::read(&output).expect("there"), spoilt, "left alone");
    let third = Ears::default();
    assert_eq!(of_crf(run_of(&request, true, &third).expect("it ends")).file, first.file);
    assert_eq!(files_made(&third), 1);
    assert_eq!(std::fs::read(&output).expect("there"), bytes, "the same file again");

    // Another target is another file, whatever has the name.
    let TuneRequest::Crf(asked) = request else { panic!("of crf") };
    let other = TuneRequest::Crf(CrfRequest { search: search(70.0), ..asked });
    let refused = run_of(&other, false, &Ears::default()).expect_err("refused");
    assert!(refused.to_string().contains("is not what this run makes"), "{refused}");
}

fn ladder(source: &str, journal: &Path, output: &Path, sink: &dyn Sink) -> LadderOutcome {
    ladder_with(source, journal, output, LadderAudio::Auto, sink)
}

fn ladder_with(
    source: &str,
    journal: &Path,
    output: &Path,
    audio: LadderAudio,
    sink: &dyn Sink,
) -> LadderOutcome {
    let request = TuneRequest::Ladder(LadderRequest {
        source: source.to_owned(),
        encode: fast(Encoder::X264),
        search: search(0.0),
        heights: vec![272, 136],
        targets: vec![88.0, 60.0],
        ratio_min: 1.2,
        output: Some(output.to_owned()),
        audio,
        audio_kilobits: AUDIO_KILOBITS_DEFAULT,
    });
    let outcome = run(&request, &environment(Some(journal)), &Stop::never(), sink);
    let outcome = outcome.expect("it ends");
    assert_eq!(outcome.standing(), Standing::Met);
    match outcome {
        TuneOutcome::Ladder(ladder) => ladder,
        other => panic!("{other:?} is not of ladder"),
    }
}

fn files_made(ears: &Ears) -> usize {
    ears.events().iter().filter(|event| matches!(event, Event::Finishing { .. })).count()
}

#[test]
fn the_rungs_of_a_ladder_are_made_and_verified_and_what_names_them_can_be_played() {
    let folder = folder();
    let (journal, output) = (folder.path().join("journal"), folder.path().join("ladder"));
    std::fs::create_dir(&output).expect("made");
    let source = cut("bikes.mp4", 60, 30, &folder.path().join("source.y4m"));
    let first = Ears::default();
    let outcome = ladder(&source, &journal, &output, &first);
    assert!(outcome.rungs.len() >= 2, "{outcome:?}");
    assert_eq!(files_made(&first), outcome.rungs.len());
    for rung in &outcome.rungs {
        let file = rung.file.as_ref().expect("made");
        assert!(file.met && file.pooled.mean >= file.binding.constraint.at_least, "{file:?}");
        assert!((file.pooled.mean - rung.score).abs() < 1e-9, "{file:?}: the probes were whole");
        assert_eq!(file.bytes, std::fs::metadata(&file.output).expect("there").len());
        assert_eq!(frames(&file.output, "0:v:0"), 30);
        assert_eq!(frames(&file.output.with_extension("m3u8"), "0:v:0"), 30);
    }
    let names: Vec<String> = std::fs::read_dir(&output)
        .expect("there")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    for name in ["ladder.json", "ladder.csv", "ladder.m3u8", "ladder.mpd"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    // Another program finds every rung by what names them.
    for (number, _) in outcome.rungs.iter().enumerate() {
        let map = format!("0:v:{number}");
        assert_eq!(frames(&output.join("ladder.m3u8"), &map), 30, "HLS {map}");
        assert_eq!(frames(&output.join("ladder.mpd"), &map), 30, "DASH {map}");
    }
    let csv = std::fs::read_to_string(output.join("ladder.csv")).expect("there");
    for (line, rung) in csv.lines().skip(1).zip(&outcome.rungs) {
        let file = rung.file.as_ref().expect("made").output.file_name().expect("a name");
        assert!(line.ends_with(&file.to_string_lossy().into_owned()), "{line}");
    }

    // A later run makes what is missing and nothing else.
    let again = Ears::default();
    assert_eq!(ladder(&source, &journal, &output, &again), outcome);
    assert_eq!((files_made(&again), again.made()), (0, 0));
    let gone = &outcome.rungs[0].file.as_ref().expect("made").output;
    let spoilt = &outcome.rungs[1].file.as_ref().expect("made").output;
    std::fs::remove_file(gone).expect("it is there");
    std::fs::write(spoilt, b"cut").expect("written");
    let third = Ears::default();
    assert_eq!(ladder(&source, &journal, &output, &third), outcome);
    assert_eq!(files_made(&third), 2);
    assert_eq!((frames(gone, "0:v:0"), frames(spoilt, "0:v:0")), (30, 30));
}

/// A film of 30 pictures, 1.2 s, that begin so late, with sound of 1.6 s in two languages: AAC and FLAC.
fn film_in_two_languages(folder: &Path, late: &str) -> PathBuf {
    let pictures = cut("bikes.mp4", 60, 30, &folder.join("pictures.y4m"));
    let film = folder.join(format!("film-{late}.mkv"));
    let path = film.display().to_string();
    let sine = |frequency| format!("sine=frequency={frequency}:sample_rate=48000:duration=1.6");
    let (english, german) = (sine(440), sine(880));
    let inputs = ["-itsoffset", late, "-i", &pictures, "-f", "lavfi", "-i", &english];
    let others = ["-f", "lavfi", "-i", &german, "-map", "0", "-map", "1", "-map", "2"];
    let codecs = ["-c:v", "ffv1", "-c:a:0", "aac", "-b:a:0", "96k", "-c:a:1", "flac"];
    let names = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", &path];
    ask(&[&inputs[..], &others, &codecs, &names].concat());
    film
}

/// Seconds of sound that another decoder finds in a track.
fn seconds_of_sound(path: &Path, map: &str) -> f64 {
    let path = path.display().to_string();
    let decoded = ["-i", &path, "-map", map, "-ac", "1", "-ar", "48000", "-f", "framecrc", "-"];
    let listed = ask(&decoded);
    let packets = listed.lines().filter(|line| !line.starts_with('#'));
    let samples = packets.map(|line| line.split(',').nth(3).expect("a duration").trim());
    samples.map(|count| count.parse::<f64>().expect("a number")).sum::<f64>() / 48_000.0
}

#[test]
fn a_ladder_has_a_track_for_each_language_and_players_find_them() {
    let folder = folder();
    let (journal, output) = (folder.path().join("journal"), folder.path().join("ladder"));
    std::fs::create_dir(&output).expect("made");
    let film = film_in_two_languages(folder.path(), "0");
    let source = film.display().to_string();
    let outcome = ladder(&source, &journal, &output, &Silent);
    let tracks: Vec<(&str, Option<&str>)> =
        outcome.sound.iter().map(|t| (t.codec.as_str(), t.language.as_deref())).collect();
    assert_eq!(tracks, [("aac", Some("eng")), ("aac", Some("ger"))]);
    // AAC is taken over packet by packet; what is not is encoded, and as long as it was.
    let (english, german) = (&outcome.sound[0].output, &outcome.sound[1].output);
    let first = |path: &Path| {
        let path = path.display().to_string();
        ask(&["-i", &path, "-map", "0:a:0", "-c", "copy", "-f", "streamhash", "-hash", "md5", "-"])
    };
    assert_eq!(first(english), first(&film));
    for track in [english, german] {
        let seconds = seconds_of_sound(track, "0:a:0");
        assert!((seconds - 1.6).abs() < 0.03, "{}: {seconds} s", track.display());
    }
    for names in ["ladder.m3u8", "ladder.mpd"] {
        for map in ["0:a:0", "0:a:1"] {
            let seconds = seconds_of_sound(&output.join(names), map);
            assert!((seconds - 1.6).abs() < 0.03, "{names} {map}: {seconds} s");
        }
        assert_eq!(frames(&output.join(names), "0:v:0"), 30, "{names}");
    }
    // A later run makes what is missing or spoilt, and nothing else.
    let written = |path: &Path| std::fs::metadata(path).expect("there").modified().expect("a time");
    let (kept, bytes) = (written(english), std::fs::read(german).expect("there"));
    std::fs::write(german, &bytes[..bytes.len() / 2]).expect("written");
    assert_eq!(ladder(&source, &journal, &output, &Silent), outcome);
    assert_eq!(written(english), kept);
    assert_eq!(std::fs::read(german).expect("there"), bytes);
    // Without sound there is none, and no word of it.
    let silent = folder.path().join("silent");
    std::fs::create_dir(&silent).expect("made");
    let outcome = ladder_with(&source, &journal, &silent, LadderAudio::None, &Silent);
    assert!(outcome.sound.is_empty() && !silent.join("audio-1.mp4").exists());
    let playlist = std::fs::read_to_string(silent.join("ladder.m3u8")).expect("there");
    assert!(!playlist.contains("AUDIO"), "{playlist}");
}

#[test]
fn the_sound_of_a_ladder_begins_with_its_first_picture() {
    let folder = folder();
    let (journal, output) = (folder.path().join("journal"), folder.path().join("ladder"));
    std::fs::create_dir(&output).expect("made");
    let film = film_in_two_languages(folder.path(), "0.4");
    let outcome = ladder(&film.display().to_string(), &journal, &output, &Silent);
    for track in &outcome.sound {
        // What is heard before the first picture is no part of the ladder, whose time begins there.
        let seconds = seconds_of_sound(&track.output, "0:a:0");
        assert!((seconds - 1.2).abs() < 0.03, "{track:?}: {seconds} s");
    }
}

#[test]
fn a_ladder_needs_a_folder_that_is_there() {
    let folder = folder();
    let source = cut("bikes.mp4", 60, 5, &folder.path().join("source.y4m"));
    let request = TuneRequest::Ladder(LadderRequest {
        source,
        encode: fast(Encoder::X264),
        search: search(0.0),
        heights: vec![136],
        targets: vec![60.0],
        ratio_min: 1.2,
        output: Some(folder.path().join("none")),
        audio: LadderAudio::Auto,
        audio_kilobits: AUDIO_KILOBITS_DEFAULT,
    });
    let error = go(&request, &Silent).expect_err("refused");
    assert!(error.to_string().contains("make it first"), "{error}");
}
