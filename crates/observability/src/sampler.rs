//! Which traces are recorded, decided where a trace begins.
//!
//! The default is parent-based with a ratio of 1 %. The ratio compares the low eight bytes of the
//! trace id with a threshold, as the OpenTelemetry SDKs of Rust and Go do, so that every process
//! with the same ratio comes to the same decision about the same trace.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use types::{TraceContext, TraceFlags, TraceId};

/// The share of new traces recorded unless configured otherwise.
pub const DEFAULT_RATIO: f64 = 0.01;

/// What a sampler does with a trace that begins here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RootRule {
    /// Record every trace.
    AlwaysOn,
    /// Record none.
    AlwaysOff,
    /// Record this share, `0.0..=1.0`, chosen by trace id.
    Ratio(f64),
}

/// Whether the decision of a caller is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentRule {
    /// A caller's decision stands; the root rule is for traces that begin here.
    Follow,
    /// The root rule decides about every span, whatever the caller decided.
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

/// Why a trace is recorded or not; the value of the attribute `vmafx.sampling.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SamplingReason {
    /// Somebody asked for this trace.
    Forced,
    /// The caller records it, or does not.
    Parent,
    /// A span it links to is recorded: a retry of a traced job stays traced.
    Link,
    /// The ratio decided.
    Ratio,
    /// No exporter is configured here, so no trace begins here.
    Disabled,
}

impl SamplingReason {
    /// The word for the span attribute and for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::Parent => "parent",
            Self::Link => "link",
            Self::Ratio => "ratio",
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

/// A decision and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingDecision {
    /// Whether the trace is recorded.
    pub sampled: bool,
    /// Why.
    pub reason: SamplingReason,
}

impl SamplingDecision {
    /// The flags of a context that carries this decision.
    #[must_use]
    pub const fn flags(self) -> TraceFlags {
        if self.sampled { TraceFlags::SAMPLED } else { TraceFlags(0) }
    }
}

const FOLLOW_PARENT: u8 = 0;
const IGNORE_PARENT: u8 = 1;

/// The sampler of a process. It may be changed while the process runs; the next decision sees it.
#[derive(Debug)]
pub struct Sampler {
    parent: AtomicU8,
    /// A trace is recorded when its low 63 bits are below this; `1 << 63` records every one.
    threshold: AtomicU64,
}

impl Sampler {
    /// Builds the sampler that `config` describes.
    #[must_use]
    pub fn new(config: SamplerConfig) -> Self {
        let sampler = Self { parent: AtomicU8::new(0), threshold: AtomicU64::new(0) };
        sampler.set(config);
        sampler
    }

    /// Replaces the rules, from the next decision on.
    pub fn set(&self, config: SamplerConfig) {
        let parent = match config.parent {
            ParentRule::Follow => FOLLOW_PARENT,
            ParentRule::Ignore => IGNORE_PARENT,
        };
        let threshold = match config.root {
            RootRule::AlwaysOn => 1 << 63,
            RootRule::AlwaysOff => 0,
            // The cast saturates: NaN gives 0 and no ratio exceeds the whole range.
            RootRule::Ratio(ratio) => (ratio.clamp(0.0, 1.0) * (1u64 << 63) as f64) as u64,
        };
        self.parent.store(parent, Ordering::Relaxed);
        self.threshold.store(threshold, Ordering::Relaxed);
    }

    /// Decides about a trace: force flag, then caller, then sampled link, then ratio.
    #[must_use]
    pub fn decide(&self, request: &SamplingRequest<'_>) -> SamplingDecision {
        if request.forced {
            return SamplingDecision { sampled: true, reason: SamplingReason::Forced };
        }
        let follows = self.parent.load(Ordering::Relaxed) == FOLLOW_PARENT;
        if let (true, Some(parent)) = (follows, request.parent) {
            let sampled = parent.flags.is_sampled();
            return SamplingDecision { sampled, reason: SamplingReason::Parent };
        }
        if request.links.iter().any(|link| link.flags.is_sampled()) {
            return SamplingDecision { sampled: true, reason: SamplingReason::Link };
        }
        let sampled = self.ratio_admits(request.trace_id);
        SamplingDecision { sampled, reason: SamplingReason::Ratio }
    }

    fn ratio_admits(&self, trace_id: TraceId) -> bool {
        let low = u128::from_be_bytes(trace_id.to_bytes()) as u64;
        low >> 1 < self.threshold.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use types::SpanId;

    use super::*;

    /// A fixed stream of trace ids, so that a count can be asserted exactly.
    fn trace_ids(count: u64) -> impl Iterator<Item = TraceId> {
        let mut state = 0x5eed_u64;
        let mut next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        (0..count).map(move |_| {
            let bytes = (u128::from(next()) << 64 | u128::from(next())).to_be_bytes();
            TraceId::new(bytes).expect("not zero")
        })
    }

    fn share(config: SamplerConfig, roots: u64) -> u64 {
        let sampler = Sampler::new(config);
        trace_ids(roots)
            .filter(|&trace_id| {
                let request = SamplingRequest { trace_id, forced: false, parent: None, links: &[] };
                sampler.decide(&request).sampled
            })
            .count() as u64
    }

    fn context(sampled: bool) -> TraceContext {
        TraceContext {
            trace_id: trace_ids(1).next().expect("one"),
            span_id: SpanId::new([7; 8]).expect("not zero"),
            flags: if sampled { TraceFlags::SAMPLED } else { TraceFlags(0) },
            tracestate: String::new(),
        }
    }

    #[test]
    fn the_default_records_one_root_in_a_hundred() {
        let sampled = share(SamplerConfig::default(), 100_000);
        // Four standard deviations of a binomial with p = 0.01 are 126.
        assert!(sampled.abs_diff(1_000) <= 126, "{sampled} of 100000");
    }

    #[test]
    fn ratios_and_switches_record_their_share() {
        for (root, low, high) in [
            (RootRule::AlwaysOn, 10_000, 10_000),
            (RootRule::AlwaysOff, 0, 0),
            (RootRule::Ratio(0.0), 0, 0),
            (RootRule::Ratio(1.0), 10_000, 10_000),
            (RootRule::Ratio(0.25), 4_000 - 1_673, 4_000 - 1_327),
            (RootRule::Ratio(f64::NAN), 0, 0),
        ] {
            let sampled = share(SamplerConfig { parent: ParentRule::Follow, root }, 10_000);
            assert!((low..=high).contains(&sampled), "{root:?}: {sampled}");
        }
    }

    #[test]
    fn force_goes_before_caller_before_link_before_ratio() {
        let off = SamplerConfig { parent: ParentRule::Follow, root: RootRule::AlwaysOff };
        let sampler = Sampler::new(off);
        let (yes, no) = (context(true), context(false));
        let check = |forced, parent: Option<&TraceContext>, links: &[TraceContext]| {
            let request = SamplingRequest { trace_id: yes.trace_id, forced, parent, links };
            let decision = sampler.decide(&request);
            (decision.sampled, decision.reason)
        };
        let linked = [no.clone(), yes.clone()];
        assert_eq!(check(true, Some(&no), &[]), (true, SamplingReason::Forced));
        assert_eq!(check(false, Some(&yes), &[]), (true, SamplingReason::Parent));
        assert_eq!(check(false, Some(&no), &linked), (false, SamplingReason::Parent));
        assert_eq!(check(false, None, &linked), (true, SamplingReason::Link));
        assert_eq!(check(false, None, std::slice::from_ref(&no)), (false, SamplingReason::Ratio));
    }

    #[test]
    fn a_change_is_seen_by_the_next_decision() {
        let sampler = Sampler::new(SamplerConfig::default());
        let no = context(false);
        let request =
            SamplingRequest { trace_id: no.trace_id, forced: false, parent: Some(&no), links: &[] };
        assert!(!sampler.decide(&request).sampled);
        sampler.set(SamplerConfig { parent: ParentRule::Ignore, root: RootRule::AlwaysOn });
        assert!(sampler.decide(&request).sampled);
    }
}
