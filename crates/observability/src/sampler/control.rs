//! Changing the rules of sampling while the process runs.
//!
//! Two ways lead here: an admin call, for good or for a while, and a reload, which reads
//! `VMAFX_SAMPLING_FILE` again or, without one, goes back to what the process started with. After
//! each, one log line says what is in force and where it came from. A change that cannot be read
//! changes nothing.
//!
//! A change for a while ends by itself: whoever next decides about a trace, or asks for the
//! status, after its end puts the configured rules back. A timer does so where nobody does, so
//! that the end is in the log.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::task::AbortHandle;

use super::{MIN_PER_MINUTE_MAX, Named, RootRule, SAMPLER_NAMES, Sampler, SamplerConfig, named};
use crate::config::{OtelConfig, SamplingConfig};

/// The longest for which a change may be made before the configured rules return.
pub const FOR_SECONDS_MAX: u64 = 86_400;

/// Everything that an operator can say about sampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingSettings {
    /// The rules.
    pub sampler: SamplerConfig,
    /// How many traces of each kind a quiet minute yields whatever the ratio; 0 is none.
    pub min_per_minute: u32,
}

impl fmt::Display for SamplingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sampler.name())?;
        if let RootRule::Ratio(ratio) = self.sampler.root {
            write!(f, " {ratio}, at least {} a minute of each kind", self.min_per_minute)?;
        }
        Ok(())
    }
}

/// Where the rules in force came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplingSource {
    /// The environment of the process, or the defaults.
    Environment,
    /// The file that `VMAFX_SAMPLING_FILE` names.
    File,
    /// An admin call.
    Admin,
}

impl SamplingSource {
    /// The word for answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::File => "file",
            Self::Admin => "admin",
        }
    }
}

/// Settings and where they came from.
#[derive(Debug, Clone, Copy)]
struct Sourced {
    settings: SamplingSettings,
    source: SamplingSource,
}

/// What is in force, and what returns after it.
#[derive(Debug)]
pub(super) struct Rules {
    configured: Sourced,
    current: Sourced,
    until: Option<Instant>,
}

impl Rules {
    pub(super) fn new(settings: SamplingSettings, source: SamplingSource) -> Self {
        let both = Sourced { settings, source };
        Self { configured: both, current: both, until: None }
    }
}

/// What is in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingStatus {
    /// The rules in force.
    pub settings: SamplingSettings,
    /// Where they came from.
    pub source: SamplingSource,
    /// The rules that a reload, or the end of a change for a while, brings back.
    pub configured: SamplingSettings,
    /// When those return by themselves.
    pub returns_in: Option<Duration>,
}

impl SamplingStatus {
    /// The status as JSON, as the admin call answers.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut out = settings_json(&self.settings);
        out.insert("source".to_owned(), self.source.as_str().into());
        let remaining = self.returns_in.map(|left| left.as_secs_f64().ceil() as u64);
        out.insert("for_seconds".to_owned(), remaining.into());
        out.insert("configured".to_owned(), settings_json(&self.configured).into());
        out.into()
    }
}

fn settings_json(settings: &SamplingSettings) -> Map<String, Value> {
    let arg = match settings.sampler.root {
        RootRule::Ratio(ratio) => json!(ratio),
        _ => Value::Null,
    };
    let mut out = Map::new();
    out.insert("sampler".to_owned(), settings.sampler.name().into());
    out.insert("arg".to_owned(), arg);
    out.insert("min_per_minute".to_owned(), settings.min_per_minute.into());
    out
}

/// What an admin call asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingChange {
    /// The rules; those in force with another ratio where the call names no sampler.
    pub sampler: Option<SamplerConfig>,
    /// The ratio, where no sampler is named.
    pub ratio: Option<f64>,
    /// The floor; as it is where the call does not name it.
    pub min_per_minute: Option<u32>,
    /// For how long; until the next reload where the call does not say.
    pub lasts: Option<Duration>,
}

/// Why an admin call changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SamplingChangeError {
    /// The body is no JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// A field says what it may not.
    #[error("{field}: {problem}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

impl SamplingChange {
    /// Reads the body of an admin call:
    /// `{"sampler": "parentbased_traceidratio", "arg": 0.25, "for_seconds": 600}`. Each field may be
    /// left out, but not all; `min_per_minute` is a fourth.
    ///
    /// # Errors
    /// What is not known, or out of its bounds, is refused.
    pub fn from_json(body: &[u8]) -> Result<Self, SamplingChangeError> {
        let parsed: Value = serde_json::from_slice(body)
            .map_err(|error| SamplingChangeError::NotJson(error.to_string()))?;
        let Value::Object(fields) = parsed else {
            return Err(wrong("body", "must be a JSON object"));
        };
        let known = ["sampler", "arg", "min_per_minute", "for_seconds"];
        if let Some(unknown) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            let unknown: String = unknown.chars().take(32).collect();
            return Err(wrong(
                &unknown,
                "is not known; there are sampler, arg, min_per_minute, for_seconds",
            ));
        }
        let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let ratio = given("arg").map(read_ratio).transpose()?;
        let sampler = given("sampler").map(|name| read_sampler(name, ratio)).transpose()?;
        let whole = |name: &str, range: std::ops::RangeInclusive<u64>| {
            given(name).map(|value| read_whole(name, value, range)).transpose()
        };
        let min_per_minute = whole("min_per_minute", 0..=MIN_PER_MINUTE_MAX.into())?;
        let min_per_minute = min_per_minute.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let lasts = whole("for_seconds", 1..=FOR_SECONDS_MAX)?.map(Duration::from_secs);
        if sampler.is_none() && ratio.is_none() && min_per_minute.is_none() {
            return Err(wrong("body", "names neither sampler nor arg nor min_per_minute"));
        }
        Ok(Self { sampler, ratio, min_per_minute, lasts })
    }

    fn applied_to(&self, current: SamplingSettings) -> SamplingSettings {
        let mut settings = current;
        if let Some(sampler) = self.sampler {
            settings.sampler = sampler;
        } else if let Some(ratio) = self.ratio {
            settings.sampler.root = RootRule::Ratio(ratio);
        }
        settings.min_per_minute = self.min_per_minute.unwrap_or(settings.min_per_minute);
        settings
    }
}

fn wrong(field: &str, problem: impl Into<String>) -> SamplingChangeError {
    SamplingChangeError::Field { field: field.to_owned(), problem: problem.into() }
}

fn read_ratio(value: &Value) -> Result<f64, SamplingChangeError> {
    let ratio = value.as_f64().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| wrong("arg", "must be a number from 0 to 1"))
}

fn read_sampler(value: &Value, ratio: Option<f64>) -> Result<SamplerConfig, SamplingChangeError> {
    let Some((parent, root)) = value.as_str().and_then(named) else {
        return Err(wrong("sampler", format!("must be one of {SAMPLER_NAMES}")));
    };
    let root = match (root, ratio) {
        (Named::AlwaysOn, None) => RootRule::AlwaysOn,
        (Named::AlwaysOff, None) => RootRule::AlwaysOff,
        (Named::AlwaysOn | Named::AlwaysOff, Some(_)) => {
            return Err(wrong("arg", "is for traceidratio and parentbased_traceidratio only"));
        }
        (Named::TraceIdRatio, Some(ratio)) => RootRule::Ratio(ratio),
        (Named::TraceIdRatio, None) => return Err(wrong("arg", "must be the ratio, from 0 to 1")),
    };
    Ok(SamplerConfig { parent, root })
}

fn read_whole(
    name: &str,
    value: &Value,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, SamplingChangeError> {
    let (low, high) = (*range.start(), *range.end());
    let read = value.as_u64().filter(|count| range.contains(count));
    read.ok_or_else(|| wrong(name, format!("must be a whole number from {low} to {high}")))
}

impl Sampler {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the rules for good, and those that a reload brings back.
    pub fn set(&self, config: SamplerConfig) {
        let mut rules = self.rules();
        let settings = SamplingSettings { sampler: config, ..rules.current.settings };
        *rules = Rules::new(settings, rules.current.source);
        self.apply(settings, false);
    }

    fn change(&self, change: &SamplingChange, now: Instant) {
        // One that has ended unnoticed is not what this one builds upon.
        self.end_if_over(now);
        let mut rules = self.rules();
        let settings = change.applied_to(rules.current.settings);
        rules.current = Sourced { settings, source: SamplingSource::Admin };
        rules.until = change.lasts.and_then(|lasts| now.checked_add(lasts));
        self.apply(settings, rules.until.is_some());
    }

    fn configure(&self, settings: SamplingSettings, source: SamplingSource) {
        let mut rules = self.rules();
        *rules = Rules::new(settings, source);
        self.apply(settings, false);
    }

    /// Puts the configured rules back if the time of a change for a while is over, and says
    /// whether it was.
    #[cold]
    pub(super) fn end_if_over(&self, now: Instant) -> bool {
        let ended = {
            let mut rules = self.rules();
            if rules.until.is_none_or(|until| now < until) {
                return false;
            }
            *rules = Rules::new(rules.configured.settings, rules.configured.source);
            self.apply(rules.configured.settings, false);
            rules.configured
        };
        let (settings, source) = (ended.settings, ended.source.as_str());
        tracing::info!(%settings, source, "sampling: the configured rules are back");
        true
    }

    fn status(&self, now: Instant) -> SamplingStatus {
        self.end_if_over(now);
        let rules = self.rules();
        SamplingStatus {
            settings: rules.current.settings,
            source: rules.current.source,
            configured: rules.configured.settings,
            returns_in: rules.until.map(|until| until.saturating_duration_since(now)),
        }
    }
}

/// Changes the sampling of a process. Cheap to clone; from [`Tracer::sampling`](crate::Tracer::sampling).
#[derive(Debug, Clone)]
pub struct SamplerControl {
    sampler: Arc<Sampler>,
    config: Arc<SamplingConfig>,
    /// Ends the change that is for a while, if nobody asks before.
    ending: Arc<Mutex<Option<AbortHandle>>>,
}

impl SamplerControl {
    /// The sampling that the process starts with. A file that cannot be used leaves one warning;
    /// then it is as the environment says.
    pub(crate) fn start(config: &OtelConfig) -> Self {
        let mut sampling = config.sampling.clone();
        sampling.start = config.sampler;
        let configured = match sampling.reread() {
            Ok((settings, SamplingSource::File)) => {
                tracing::info!(%settings, source = "file", "sampling: set");
                (settings, SamplingSource::File)
            }
            Ok(configured) => configured,
            Err(problem) => {
                let settings = sampling.started_with();
                tracing::warn!(%settings, "sampling: {problem}; the environment decides");
                (settings, SamplingSource::Environment)
            }
        };
        let sampler = Sampler::with(configured.0, configured.1);
        Self { sampler: Arc::new(sampler), config: Arc::new(sampling), ending: Arc::default() }
    }

    pub(crate) fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// What is in force.
    #[must_use]
    pub fn status(&self) -> SamplingStatus {
        self.sampler.status(Instant::now())
    }

    /// Makes a change, seen by the next decision, and says what is in force then.
    pub fn change(&self, change: &SamplingChange) -> SamplingStatus {
        self.sampler.change(change, Instant::now());
        let status = self.status();
        let SamplingStatus { settings, source, .. } = status;
        let (source, for_seconds) = (source.as_str(), change.lasts.map(|lasts| lasts.as_secs()));
        tracing::info!(%settings, source, for_seconds, "sampling: changed");
        self.end_after(change.lasts);
        status
    }

    /// Has the end of a change for a while noticed, and logged, in a process that decides about
    /// nothing then. The rules do not depend on it.
    fn end_after(&self, lasts: Option<Duration>) {
        let runtime = tokio::runtime::Handle::try_current().ok();
        let timer = lasts.zip(runtime).map(|(lasts, runtime)| {
            let sampler = Arc::downgrade(&self.sampler);
            let end = async move {
                tokio::time::sleep(lasts).await;
                if let Some(sampler) = sampler.upgrade() {
                    sampler.end_if_over(Instant::now());
                }
            };
            runtime.spawn(end).abort_handle()
        });
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *ending, timer) {
            before.abort();
        }
    }

    /// Reads the file again, or goes back to what the process started with where there is none. A
    /// file that cannot be used changes nothing and leaves one warning.
    pub fn reload(&self) {
        match self.config.reread() {
            Ok((settings, source)) => {
                self.sampler.configure(settings, source);
                tracing::info!(%settings, source = source.as_str(), "sampling: reloaded");
            }
            Err(problem) => {
                let settings = self.status().settings;
                tracing::warn!(%settings, "sampling: {problem}; nothing is changed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::ParentRule;

    fn control(variables: &[(&str, &str)]) -> SamplerControl {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(have, _)| *have == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        SamplerControl::start(&OtelConfig::from_env("vmafx-test", lookup))
    }

    fn ratio(control: &SamplerControl) -> (f64, SamplingSource) {
        let status = control.status();
        (status.settings.sampler.ratio(), status.source)
    }

    fn change(body: &str) -> SamplingChange {
        SamplingChange::from_json(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn a_change_holds_until_a_reload_takes_it_back() {
        let control = control(&[("OTEL_TRACES_SAMPLER_ARG", "0.5")]);
        assert_eq!(ratio(&control), (0.5, SamplingSource::Environment));
        control.change(&change(r#"{"arg": 0.25}"#));
        assert_eq!(ratio(&control), (0.25, SamplingSource::Admin));
        control.reload();
        assert_eq!(ratio(&control), (0.5, SamplingSource::Environment));
    }

    #[test]
    fn a_change_for_a_while_ends_by_itself() {
        let control = control(&[]);
        control.change(&change(r#"{"sampler": "always_on", "for_seconds": 600}"#));
        let sampler = control.sampler();
        let now = Instant::now();
        let status = sampler.status(now + Duration::from_secs(590));
        assert_eq!(status.settings.sampler.name(), "always_on");
        assert!(status.returns_in.is_some_and(|left| left <= Duration::from_secs(10)));
        assert!(!sampler.end_if_over(now + Duration::from_secs(599)));
        let status = sampler.status(now + Duration::from_secs(601));
        assert_eq!(status.settings, status.configured);
        assert_eq!((status.source, status.returns_in), (SamplingSource::Environment, None));
    }

    #[test]
    fn a_decision_notices_that_the_time_is_over() {
        let control = control(&[("VMAFX_TRACES_MIN_PER_MINUTE", "0")]);
        control.change(&change(r#"{"sampler": "parentbased_always_on", "for_seconds": 1}"#));
        let question = super::super::Question {
            trace_id: types::TraceId::parse("00000000000000000000000000000001").expect("valid"),
            forced: false,
            linked: false,
            parent: None,
            kind: 0,
        };
        let now = Instant::now();
        let decide = |at: Instant| control.sampler().answer(&question, || None, || at).sampled;
        assert!(decide(now));
        assert!(!decide(now + Duration::from_secs(2)));
    }

    #[test]
    fn a_change_says_only_what_it_changes() {
        let control = control(&[("OTEL_TRACES_SAMPLER", "always_off")]);
        control.change(&change(r#"{"min_per_minute": 7}"#));
        let settings = control.status().settings;
        assert_eq!((settings.sampler.name(), settings.min_per_minute), ("always_off", 7));
        control.change(&change(r#"{"arg": 0.5, "for_seconds": null}"#));
        let settings = control.status().settings;
        assert_eq!(settings.sampler.parent, ParentRule::Ignore);
        assert_eq!((settings.sampler.root, settings.min_per_minute), (RootRule::Ratio(0.5), 7));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_would() {
        for (body, says) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[]", "must be a JSON object"),
            ("{}", "names neither"),
            (r#"{"for_seconds": 5}"#, "names neither"),
            (r#"{"ratio": 0.5}"#, "ratio: is not known"),
            (r#"{"arg": 1.5}"#, "arg: must be a number from 0 to 1"),
            (r#"{"arg": -0.1}"#, "arg: must be"),
            (r#"{"arg": "0.5"}"#, "arg: must be"),
            (r#"{"sampler": "sometimes"}"#, "sampler: must be one of always_on"),
            (r#"{"sampler": 1}"#, "sampler: must be one of"),
            (r#"{"sampler": "traceidratio"}"#, "arg: must be the ratio"),
            (r#"{"sampler": "always_on", "arg": 1}"#, "arg: is for traceidratio"),
            (r#"{"arg": 1, "for_seconds": 0}"#, "for_seconds: must be a whole number from 1"),
            (r#"{"arg": 1, "for_seconds": 86401}"#, "for_seconds: must be"),
            (r#"{"arg": 1, "min_per_minute": 601}"#, "min_per_minute: must be"),
        ] {
            let error = SamplingChange::from_json(body.as_bytes()).expect_err(body).to_string();
            assert!(error.contains(says), "{body}: {error}");
        }
    }

    #[test]
    fn the_file_goes_before_the_environment_and_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sampling");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("# an incident\nOTEL_TRACES_SAMPLER_ARG=0.25\n\n");
        let control = control(&[
            ("VMAFX_SAMPLING_FILE", path.to_str().expect("text")),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
            ("VMAFX_TRACES_MIN_PER_MINUTE", "3"),
        ]);
        assert_eq!(ratio(&control), (0.25, SamplingSource::File));
        assert_eq!(control.status().settings.sampler.name(), "traceidratio");
        assert_eq!(control.status().settings.min_per_minute, 3);

        write("OTEL_TRACES_SAMPLER = always_on\r\nVMAFX_TRACES_MIN_PER_MINUTE=0\r\n");
        control.reload();
        assert_eq!(control.status().settings.sampler.name(), "always_on");
        assert_eq!(control.status().settings.min_per_minute, 0);

        for bad in [
            "OTEL_TRACES_SAMPLER_ARG=abc",
            "OTEL_TRACES_SAMPLER=sometimes",
            "VMAFX_TRACES_MIN_PER_MINUTE=-1",
            "OTEL_SERVICE_NAME=x",
            "what is this",
            &"#".repeat(20_000),
        ] {
            write(bad);
            control.reload();
            assert_eq!(control.status().settings.sampler.name(), "always_on", "{bad:.30}");
        }
        std::fs::remove_file(&path).expect("removed");
        control.reload();
        assert_eq!(control.status().settings.sampler.name(), "always_on");

        write("");
        control.reload();
        assert_eq!(ratio(&control), (0.5, SamplingSource::File), "the environment is left");
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_the_environment() {
        let control = control(&[
            ("VMAFX_SAMPLING_FILE", "/nonexistent/sampling"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ]);
        assert_eq!(ratio(&control), (0.5, SamplingSource::Environment));
    }

    #[test]
    fn a_mistake_in_the_environment_does_not_spoil_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sampling");
        std::fs::write(&path, "OTEL_TRACES_SAMPLER=parentbased_always_on").expect("written");
        let control = control(&[
            ("VMAFX_SAMPLING_FILE", path.to_str().expect("text")),
            ("OTEL_TRACES_SAMPLER_ARG", "9.5"),
        ]);
        assert_eq!(ratio(&control), (1.0, SamplingSource::File));
    }
}
