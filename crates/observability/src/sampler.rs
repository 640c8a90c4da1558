//! Which traces are recorded, decided where a trace begins.
//!
//! In this order: somebody asked for this very trace; it links to a recorded one, so that the
//! retries of a traced job stay traced; a caller decided, and its decision is followed; the ratio,
//! 1 % unless set. What the ratio passes over is recorded all the same when nothing of its kind was
//! for a minute ([`floor`]), so that a quiet platform yields traces too.
//!
//! What the ratio would record is passed over while more is recorded than the process may
//! ([`budget`]).
//!
//! The ratio is OpenTelemetry's consistent probability ([`threshold`]): every process with the same
//! ratio comes to the same decision about the same trace, one with a larger ratio keeps what one
//! with a smaller keeps, and `tracestate` tells backends for how many traces a kept one stands. It
//! says nothing of a trace that was kept for another reason, since nobody knows that number.
//!
//! The rules may be changed while the process runs, for a while or for good; [`control`] is the way.

pub(crate) mod budget;
pub(crate) mod control;
mod floor;
mod threshold;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use types::{TraceContext, TraceFlags, TraceId};

use crate::context::{Context, SpanPlace};

pub use budget::{DEFAULT_SPANS_PER_SECOND_MAX, SPANS_PER_SECOND_MAX};
pub use control::{
    SamplerControl, SamplingChange, SamplingChangeError, SamplingSettings, SamplingSource,
    SamplingStatus,
};

use budget::SpanBudget;
use control::Rules;
use floor::Floor;
pub(crate) use threshold::named_randomness;

/// The share of new traces recorded unless configured otherwise.
pub const DEFAULT_RATIO: f64 = 0.01;

/// How many traces of each kind a quiet minute yields unless configured otherwise.
pub const DEFAULT_MIN_PER_MINUTE: u32 = 1;

/// The most that can be configured of those.
pub const MIN_PER_MINUTE_MAX: u32 = 600;

/// What a sampler does with a trace that begins here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RootRule {
    /// Record every trace.
    AlwaysOn,
    /// Record none, not even one a minute.
    AlwaysOff,
    /// Record this share, `0.0..=1.0`, chosen by trace id.
    Ratio(f64),
}

/// Whether the decision of a caller is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentRule {
    /// A caller's decision stands; the root rule is for traces that begin here.
    Follow,
    /// The root rule decides about every call, whatever the caller decided.
    Ignore,
}

/// A sampler as configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplerConfig {
    /// What to do with a caller's decision.
    pub parent: ParentRule,
    /// What to do without one.
    pub root: RootRule,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self { parent: ParentRule::Follow, root: RootRule::Ratio(DEFAULT_RATIO) }
    }
}

impl SamplerConfig {
    /// OpenTelemetry's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.parent, self.root) {
            (ParentRule::Follow, RootRule::AlwaysOn) => "parentbased_always_on",
            (ParentRule::Follow, RootRule::AlwaysOff) => "parentbased_always_off",
            (ParentRule::Follow, RootRule::Ratio(_)) => "parentbased_traceidratio",
            (ParentRule::Ignore, RootRule::AlwaysOn) => "always_on",
            (ParentRule::Ignore, RootRule::AlwaysOff) => "always_off",
            (ParentRule::Ignore, RootRule::Ratio(_)) => "traceidratio",
        }
    }

    /// The share of new traces that it records.
    #[must_use]
    pub const fn ratio(self) -> f64 {
        match self.root {
            RootRule::AlwaysOn => 1.0,
            RootRule::AlwaysOff => 0.0,
            RootRule::Ratio(ratio) => ratio,
        }
    }
}

/// What a sampler's name says, before its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    AlwaysOn,
    AlwaysOff,
    TraceIdRatio,
}

/// The samplers that there are.
pub(crate) const SAMPLER_NAMES: &str = "always_on, always_off, traceidratio, \
                                        parentbased_always_on, parentbased_always_off, \
                                        parentbased_traceidratio";

/// Reads one of [`SAMPLER_NAMES`], whatever its case.
pub(crate) fn named(name: &str) -> Option<(ParentRule, Named)> {
    let lower = name.to_ascii_lowercase();
    let (parent, root) = match lower.strip_prefix("parentbased_") {
        Some(root) => (ParentRule::Follow, root),
        None => (ParentRule::Ignore, lower.as_str()),
    };
    let root = match root {
        "always_on" => Named::AlwaysOn,
        "always_off" => Named::AlwaysOff,
        "traceidratio" => Named::TraceIdRatio,
        _ => return None,
    };
    Some((parent, root))
}

/// Why a trace is recorded or not; the value of the attribute `vmafx.sampling.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplingReason {
    /// Somebody asked for this trace.
    Forced,
    /// A span it links to is recorded: a retry of a traced job stays traced.
    Link,
    /// The caller records it, or does not.
    Parent,
    /// The ratio decided.
    Ratio,
    /// The ratio passed it over, but nothing of its kind had been recorded for a while.
    Quiet,
    /// No exporter is configured here, so no trace begins here.
    Disabled,
}

impl SamplingReason {
    /// The word for the span attribute and for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::Link => "link",
            Self::Parent => "parent",
            Self::Ratio => "ratio",
            Self::Quiet => "quiet",
            Self::Disabled => "disabled",
        }
    }
}

/// What a decision about a trace depends on.
#[derive(Debug, Clone, Copy)]
pub struct SamplingRequest<'a> {
    /// The trace to decide about; the parent's where there is one.
    pub trace_id: TraceId,
    /// Whether somebody asked for this very trace.
    pub forced: bool,
    /// The caller.
    pub parent: Option<&'a TraceContext>,
    /// Spans the new one will link to.
    pub links: &'a [TraceContext],
}

/// What becomes of the threshold in `tracestate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    /// It was decided elsewhere and stays.
    Keep,
    /// The share is not known.
    Erase,
    /// The ratio decided.
    Set(u64),
}

/// A decision and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingDecision {
    /// Whether the trace is recorded.
    pub sampled: bool,
    /// Why.
    pub reason: SamplingReason,
    threshold: Threshold,
    /// The flags of the caller; those of a trace that begins here without one.
    inherited: TraceFlags,
}

impl SamplingDecision {
    /// The flags of a context that carries this decision.
    #[must_use]
    pub const fn flags(self) -> TraceFlags {
        self.inherited.with_sampled(self.sampled)
    }

    /// The `tracestate` of a context that carries this decision: the caller's, or an empty one, with
    /// the share for which the trace stands.
    #[must_use]
    pub fn tracestate(self, callers: &str) -> String {
        match self.threshold {
            Threshold::Keep => callers.to_owned(),
            Threshold::Erase if callers.is_empty() => String::new(),
            Threshold::Erase => threshold::with_threshold(callers, None),
            Threshold::Set(value) => threshold::with_threshold(callers, Some(value)),
        }
    }

    /// `cx` with the `tracestate` that carries this decision.
    #[inline]
    pub(crate) fn tell(self, cx: Context) -> Context {
        match self.threshold {
            Threshold::Keep => cx,
            Threshold::Set(threshold) if !cx.has_tracestate() => {
                cx.with_share(threshold, || self.tracestate(""))
            }
            Threshold::Erase if !cx.has_tracestate() => cx,
            Threshold::Erase | Threshold::Set(_) => {
                let told = self.tracestate(cx.tracestate());
                cx.with_tracestate(told)
            }
        }
    }

    /// The same trace where nothing is exported.
    pub(crate) fn disabled(self) -> Self {
        let (sampled, reason) = (false, SamplingReason::Disabled);
        Self { sampled, reason, threshold: Threshold::Erase, ..self }
    }
}

/// `tracestate` of a trace whose share is not known.
pub(crate) fn without_threshold(tracestate: &str) -> String {
    threshold::with_threshold(tracestate, None)
}

/// A request in the form in which spans have it at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) trace_id: TraceId,
    pub(crate) forced: bool,
    /// Whether a span that the new one links to is recorded.
    pub(crate) linked: bool,
    /// The flags of the caller.
    pub(crate) parent: Option<TraceFlags>,
    /// Roots of a kind share a token of the floor.
    pub(crate) kind: u64,
}

/// The bits of the rejection threshold, up to and with [`threshold::RANGE`].
const THRESHOLD: u64 = (threshold::RANGE << 1) - 1;
/// The bit that says: a caller's decision is not followed.
const IGNORES_PARENT: u64 = 1 << 57;
/// The bit that says: a quiet minute yields a trace.
const HAS_FLOOR: u64 = 1 << 58;
/// The bit that says: the rules hold for a while only.
const TEMPORARY: u64 = 1 << 59;

/// The sampler of a process. It may be changed while the process runs; the next decision sees it.
#[derive(Debug)]
pub struct Sampler {
    /// The rules in force, in one word, so that a decision reads one word.
    state: AtomicU64,
    floor: Floor,
    /// What a ratio may record, where that is bounded.
    budget: OnceLock<Arc<SpanBudget>>,
    rules: Mutex<Rules>,
}

impl Sampler {
    /// Builds the sampler that `config` describes, without a floor.
    #[must_use]
    pub fn new(config: SamplerConfig) -> Self {
        let settings = SamplingSettings { sampler: config, min_per_minute: 0 };
        Self::with(settings, SamplingSource::Environment)
    }

    pub(crate) fn with(settings: SamplingSettings, source: SamplingSource) -> Self {
        let sampler = Self {
            state: AtomicU64::new(0),
            floor: Floor::new(Instant::now()),
            budget: OnceLock::new(),
            rules: Mutex::new(Rules::new(settings, source)),
        };
        sampler.apply(settings, false);
        sampler
    }

    /// Bounds what a ratio may record, from now on.
    pub(crate) fn bound(&self, budget: Arc<SpanBudget>) {
        // A second bound has no say.
        let _ = self.budget.set(budget);
    }

    /// Puts rules in force, from the next decision on.
    fn apply(&self, settings: SamplingSettings, is_temporary: bool) {
        let SamplingSettings { sampler, min_per_minute } = settings;
        let mut state = match sampler.root {
            RootRule::AlwaysOn => 0,
            RootRule::AlwaysOff => threshold::RANGE,
            RootRule::Ratio(ratio) => threshold::of_ratio(ratio) | HAS_FLOOR,
        };
        if sampler.parent == ParentRule::Ignore {
            state |= IGNORES_PARENT;
        }
        if is_temporary {
            state |= TEMPORARY;
        }
        self.floor.set(min_per_minute);
        self.state.store(state, Ordering::Relaxed);
    }

    /// Decides about a trace.
    #[must_use]
    pub fn decide(&self, request: &SamplingRequest<'_>) -> SamplingDecision {
        let question = Question {
            trace_id: request.trace_id,
            forced: request.forced,
            linked: request.links.iter().any(|link| link.flags.is_sampled()),
            parent: request.parent.map(|parent| parent.flags),
            kind: 0,
        };
        let state = || request.parent.map_or("", |parent| &parent.tracestate);
        self.answer(&question, || named_randomness(state()), Instant::now)
    }

    /// Whether a span is plainly not recorded, its flags and its `tracestate` being its parent's: most are
    /// not, and this is all that is asked about them. `false` where there is more to decide, which
    /// [`answer`](Self::answer) does; nothing is changed by asking. Of a trace that begins here its id
    /// decides, so there must be no `tracestate`.
    #[inline]
    pub(crate) fn passes_over(
        &self,
        trace_id: TraceId,
        parent: Option<&SpanPlace>,
        kind: u64,
        now: impl FnOnce() -> Instant,
    ) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        if state & TEMPORARY != 0 {
            return false;
        }
        match parent {
            Some(parent) => {
                let is_followed = !parent.is_remote() || state & IGNORES_PARENT == 0;
                is_followed && !parent.flags.is_sampled()
            }
            None => {
                threshold::randomness(trace_id) < state & THRESHOLD
                    && (state & HAS_FLOOR == 0 || !self.floor.has_token(kind, now()))
            }
        }
    }

    /// Decides about a trace. `randomness_of_caller` is asked only where the ratio decides, `now` only
    /// where the floor does.
    pub(crate) fn answer(
        &self,
        question: &Question,
        randomness_of_caller: impl FnOnce() -> Option<u64>,
        now: impl Fn() -> Instant,
    ) -> SamplingDecision {
        let mut state = self.state.load(Ordering::Relaxed);
        if state & TEMPORARY != 0 && self.end_if_over(now()) {
            state = self.state.load(Ordering::Relaxed);
        }
        let inherited = question.parent.unwrap_or(TraceFlags::RANDOM);
        let decision =
            |sampled, reason, threshold| SamplingDecision { sampled, reason, threshold, inherited };
        let followed = question.parent.filter(|_| state & IGNORES_PARENT == 0);
        let known = followed.is_some_and(TraceFlags::is_sampled);
        let unknown_share = if known { Threshold::Keep } else { Threshold::Erase };
        if question.forced || question.linked {
            if question.parent.is_none() && state & HAS_FLOOR != 0 {
                self.floor.recorded(question.kind, now());
            }
            let forced = question.forced;
            let reason = if forced { SamplingReason::Forced } else { SamplingReason::Link };
            return decision(true, reason, unknown_share);
        }
        if let Some(parent) = followed {
            return decision(parent.is_sampled(), SamplingReason::Parent, Threshold::Keep);
        }
        let threshold = state & THRESHOLD;
        let randomness =
            randomness_of_caller().unwrap_or_else(|| threshold::randomness(question.trace_id));
        // Always is always; a ratio records what the process can afford.
        let is_ratio = state & HAS_FLOOR != 0;
        if randomness >= threshold {
            if !is_ratio {
                return decision(true, SamplingReason::Ratio, Threshold::Set(threshold));
            }
            if self.budget.get().is_none_or(|budget| budget.admits(now())) {
                self.floor.recorded(question.kind, now());
                return decision(true, SamplingReason::Ratio, Threshold::Set(threshold));
            }
        }
        if is_ratio && self.floor.admits(question.kind, now()) {
            return decision(true, SamplingReason::Quiet, Threshold::Erase);
        }
        decision(false, SamplingReason::Ratio, Threshold::Erase)
    }
}

#[cfg(test)]
mod tests;
