//! `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` and `VMAFX_TRACES_MIN_PER_MINUTE`, from the
//! environment and from the file that `VMAFX_SAMPLING_FILE` names; and the bound of what is
//! recorded, `VMAFX_TRACES_MAX_SPANS_PER_SECOND`.
//!
//! The argument alone tunes our default. A bad argument keeps 1 %: the specification would record
//! everything, and a typing error must not flood a collector. What the file says goes before the
//! environment; what it does not say is as the environment says.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::{Env, shown};
use crate::sampler::{
    DEFAULT_MIN_PER_MINUTE, DEFAULT_RATIO, DEFAULT_SPANS_PER_SECOND_MAX, MIN_PER_MINUTE_MAX, Named,
    ParentRule, RootRule, SAMPLER_NAMES, SPANS_PER_SECOND_MAX, SamplerConfig, SamplingSettings,
    SamplingSource, named,
};

/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 10;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const MIN_PER_MINUTE: &str = "VMAFX_TRACES_MIN_PER_MINUTE";
const SPANS_PER_SECOND: &str = "VMAFX_TRACES_MAX_SPANS_PER_SECOND";
const FILE: &str = "VMAFX_SAMPLING_FILE";

/// What about sampling is configured besides the sampler itself.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingConfig {
    /// Read at start and at each reload. `VMAFX_SAMPLING_FILE`.
    pub file: Option<PathBuf>,
    /// How many traces of each kind a quiet minute yields. `VMAFX_TRACES_MIN_PER_MINUTE`.
    pub min_per_minute: u32,
    /// How many spans a second are recorded of traces that the ratio picks; `None` is as many as
    /// there are. `VMAFX_TRACES_MAX_SPANS_PER_SECOND`.
    pub spans_per_second_max: Option<NonZeroU32>,
    /// What the process started with, before the file.
    pub(crate) start: SamplerConfig,
    /// The environment, for what the file does not say.
    environment: Vec<(&'static str, String)>,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            file: None,
            min_per_minute: DEFAULT_MIN_PER_MINUTE,
            spans_per_second_max: Some(DEFAULT_SPANS_PER_SECOND_MAX),
            start: SamplerConfig::default(),
            environment: Vec::new(),
        }
    }
}

impl SamplingConfig {
    /// What is configured now: by the file, else by the environment at start.
    pub(crate) fn reread(&self) -> Result<(SamplingSettings, SamplingSource), String> {
        let Some(path) = &self.file else {
            return Ok((self.started_with(), SamplingSource::Environment));
        };
        let text = read_file(path)?;
        let settings = self.with_file(&text).map_err(|why| format!("{FILE}: {why}"))?;
        Ok((settings, SamplingSource::File))
    }

    /// What the environment said at start.
    pub(crate) fn started_with(&self) -> SamplingSettings {
        SamplingSettings { sampler: self.start, min_per_minute: self.min_per_minute }
    }

    fn with_file(&self, text: &str) -> Result<SamplingSettings, String> {
        let lines = parse(text)?;
        let value = |all: &[(&str, String)], name: &str| {
            all.iter().rev().find(|(have, _)| *have == name).map(|(_, value)| value.clone())
        };
        let in_file = |name: &str| value(&lines, name).filter(|value| !value.is_empty());
        let lookup = |name: &str| in_file(name).or_else(|| value(&self.environment, name));
        let mut env = Env::new(&lookup);
        let settings = read_settings(&mut env);
        // What is wrong with the environment was said at start.
        let about_file = |warning: &String| {
            lines.iter().any(|(name, _)| {
                warning.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
                    && in_file(name).is_some()
            })
        };
        match env.into_warnings().into_iter().find(about_file) {
            Some(warning) => Err(warning),
            None => Ok(settings),
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let problem =
        |error: std::io::Error| format!("{FILE}={} cannot be read: {error}", path.display());
    let mut text = String::new();
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(problem)?.is_file() {
        return Err(format!("{FILE}={} is not a file", path.display()));
    }
    let file = File::open(path).map_err(problem)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(problem)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{FILE}={} is over {FILE_BYTES_MAX} bytes", path.display()));
    }
    Ok(text)
}

/// The lines `NAME=value`; empty ones and those that begin with `#` are skipped.
fn parse(text: &str) -> Result<Vec<(&str, String)>, String> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let name = name.trim_end();
        if ![SAMPLER, ARGUMENT, MIN_PER_MINUTE].contains(&name) {
            let number = index + 1;
            return Err(format!(
                "line {number} sets {}, not one of {SAMPLER}, {ARGUMENT}, {MIN_PER_MINUTE}",
                shown(name)
            ));
        }
        lines.push((name, value.trim().to_owned()));
    }
    Ok(lines)
}

pub(super) fn read(env: &mut Env<'_>) -> (SamplerConfig, SamplingConfig) {
    let settings = read_settings(env);
    let environment = [SAMPLER, ARGUMENT, MIN_PER_MINUTE]
        .into_iter()
        .filter_map(|name| Some((name, env.get(name)?)))
        .collect();
    let config = SamplingConfig {
        file: env.get(FILE).map(PathBuf::from),
        min_per_minute: settings.min_per_minute,
        spans_per_second_max: read_spans_per_second(env),
        start: settings.sampler,
        environment,
    };
    (settings.sampler, config)
}

fn read_spans_per_second(env: &mut Env<'_>) -> Option<NonZeroU32> {
    let default = Some(DEFAULT_SPANS_PER_SECOND_MAX);
    let Some(value) = env.get(SPANS_PER_SECOND) else { return default };
    if value.eq_ignore_ascii_case("off") {
        return None;
    }
    let parsed: Option<NonZeroU32> = value.parse().ok();
    if let Some(bound) = parsed.filter(|bound| bound.get() as usize <= SPANS_PER_SECOND_MAX) {
        return Some(bound);
    }
    env.warn(format_args!(
        "{SPANS_PER_SECOND}={} is neither off nor a whole number from 1 to {SPANS_PER_SECOND_MAX}; \
         default kept",
        shown(&value)
    ));
    default
}

fn read_settings(env: &mut Env<'_>) -> SamplingSettings {
    let sampler = read_sampler(env);
    let per_minute = env.count(MIN_PER_MINUTE, 0..=MIN_PER_MINUTE_MAX as usize);
    let min_per_minute = per_minute.map_or(DEFAULT_MIN_PER_MINUTE, |count| count as u32);
    SamplingSettings { sampler, min_per_minute }
}

fn read_sampler(env: &mut Env<'_>) -> SamplerConfig {
    let ratio = read_ratio(env);
    let Some(name) = env.get(SAMPLER) else {
        return with_ratio(ParentRule::Follow, ratio.unwrap_or(DEFAULT_RATIO));
    };
    match named(&name) {
        Some((parent, Named::AlwaysOn)) => SamplerConfig { parent, root: RootRule::AlwaysOn },
        Some((parent, Named::AlwaysOff)) => SamplerConfig { parent, root: RootRule::AlwaysOff },
        // Named without an argument, the specification records everything.
        Some((parent, Named::TraceIdRatio)) => with_ratio(parent, ratio.unwrap_or(1.0)),
        None => {
            env.warn(format_args!(
                "{SAMPLER}={} is not one of {SAMPLER_NAMES}; default kept",
                shown(&name)
            ));
            with_ratio(ParentRule::Follow, ratio.unwrap_or(DEFAULT_RATIO))
        }
    }
}

fn with_ratio(parent: ParentRule, ratio: f64) -> SamplerConfig {
    SamplerConfig { parent, root: RootRule::Ratio(ratio) }
}

/// The argument, or the default in place of a bad one.
fn read_ratio(env: &mut Env<'_>) -> Option<f64> {
    let value = env.get(ARGUMENT)?;
    let parsed = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    if parsed.is_none() {
        env.warn(format_args!(
            "{ARGUMENT}={} is not a number from 0 to 1; {DEFAULT_RATIO} kept",
            shown(&value)
        ));
    }
    Some(parsed.unwrap_or(DEFAULT_RATIO))
}
