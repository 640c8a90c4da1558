//! The sampler: shares, order, changes.

use std::time::Duration;

use types::SpanId;

use super::*;
use crate::context::Known;

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
fn force_goes_before_link_before_caller_before_ratio() {
    let off = SamplerConfig { parent: ParentRule::Follow, root: RootRule::AlwaysOff };
    let sampler = Sampler::new(off);
    let (yes, no) = (context(true), context(false));
    let check = |forced, parent: Option<&TraceContext>, links: &[TraceContext]| {
        let request = SamplingRequest { trace_id: yes.trace_id, forced, parent, links };
        let decision = sampler.decide(&request);
        (decision.sampled, decision.reason)
    };
    let linked = [no.clone(), yes.clone()];
    let unrecorded = std::slice::from_ref(&no);
    assert_eq!(check(true, Some(&no), &linked), (true, SamplingReason::Forced));
    assert_eq!(check(false, Some(&no), &linked), (true, SamplingReason::Link));
    assert_eq!(check(false, None, &linked), (true, SamplingReason::Link));
    assert_eq!(check(false, Some(&yes), unrecorded), (true, SamplingReason::Parent));
    assert_eq!(check(false, Some(&no), unrecorded), (false, SamplingReason::Parent));
    assert_eq!(check(false, None, unrecorded), (false, SamplingReason::Ratio));
}

#[test]
fn sampled_callers_are_kept_at_ratio_zero() {
    let zero = SamplerConfig { parent: ParentRule::Follow, root: RootRule::Ratio(0.0) };
    let (sampler, yes) = (Sampler::new(zero), context(true));
    let mut asked = 0;
    for trace_id in trace_ids(1_000) {
        let parent = TraceContext { trace_id, tracestate: "ot=th:c,a=1".to_owned(), ..yes.clone() };
        let request =
            SamplingRequest { trace_id, forced: false, parent: Some(&parent), links: &[] };
        let decision = sampler.decide(&request);
        assert!(decision.sampled);
        assert_eq!(
            decision.tracestate(&parent.tracestate),
            parent.tracestate,
            "not ours to change"
        );
        asked += 1;
    }
    assert_eq!(asked, 1_000);
}

#[test]
fn the_decision_is_that_of_the_specification() {
    // R, the low 56 bits, against T = 0.75 * 2^56: worked out by hand, so that any process, of
    // any version, decides the same.
    let quarter = SamplerConfig { parent: ParentRule::Follow, root: RootRule::Ratio(0.25) };
    let sampler = Sampler::new(quarter);
    for (trace_id, sampled) in [
        ("4bf92f3577b34da6a3c0000000000000", true),
        ("4bf92f3577b34da6a3bfffffffffffff", false),
        ("00000000000000000000000000000001", false),
        ("000000000000000000ffffffffffffff", true),
        ("ffffffffffffffffff00000000000000", false),
    ] {
        let trace_id = TraceId::parse(trace_id).expect("valid");
        let request = SamplingRequest { trace_id, forced: false, parent: None, links: &[] };
        let decision = sampler.decide(&request);
        assert_eq!(decision.sampled, sampled, "{trace_id}");
        assert_eq!(decision.tracestate("a=1"), if sampled { "ot=th:c,a=1" } else { "a=1" });
    }
}

#[test]
fn a_larger_ratio_keeps_all_that_a_smaller_one_keeps() {
    let ratios = [0.001, 0.01, 0.1, 0.5, 1.0];
    let samplers = ratios.map(|ratio| {
        Sampler::new(SamplerConfig { parent: ParentRule::Follow, root: RootRule::Ratio(ratio) })
    });
    let mut kept = [0; 5];
    for trace_id in trace_ids(20_000) {
        let request = SamplingRequest { trace_id, forced: false, parent: None, links: &[] };
        let decisions = samplers.each_ref().map(|sampler| sampler.decide(&request).sampled);
        assert!(decisions.is_sorted(), "{trace_id}: {decisions:?}");
        kept.iter_mut().zip(decisions).for_each(|(count, kept)| *count += u32::from(kept));
    }
    assert!(kept.is_sorted() && kept[0] > 0 && kept[4] == 20_000, "{kept:?}");
}

#[test]
fn a_caller_that_names_its_randomness_is_believed() {
    let config = SamplerConfig { parent: ParentRule::Ignore, root: RootRule::Ratio(0.5) };
    let sampler = Sampler::new(config);
    for (state, sampled, after) in [
        ("ot=rv:80000000000000", true, "ot=th:8;rv:80000000000000"),
        ("ot=th:4;rv:7fffffffffffff", false, "ot=rv:7fffffffffffff"),
    ] {
        let parent = TraceContext { tracestate: state.to_owned(), ..context(true) };
        let request = SamplingRequest {
            trace_id: parent.trace_id,
            forced: false,
            parent: Some(&parent),
            links: &[],
        };
        let decision = sampler.decide(&request);
        assert_eq!((decision.sampled, decision.tracestate(state)), (sampled, after.to_owned()));
    }
}

#[test]
fn traces_that_are_kept_for_another_reason_say_no_share() {
    let sampler = Sampler::new(SamplerConfig::default());
    let (yes, no) = (context(true), context(false));
    for (forced, links) in [(true, &[][..]), (false, std::slice::from_ref(&yes))] {
        let parent = Some(&no);
        let request = SamplingRequest { trace_id: no.trace_id, forced, parent, links };
        let decision = sampler.decide(&request);
        assert_eq!(decision.tracestate("a=1,ot=th:c"), "a=1");
        assert_eq!(
            decision.flags(),
            TraceFlags::SAMPLED,
            "the caller's trace id may not be random"
        );
    }
}

#[test]
fn traces_that_begin_here_are_marked_random() {
    let trace_id = trace_ids(1).next().expect("one");
    let request = SamplingRequest { trace_id, forced: false, parent: None, links: &[] };
    for (root, flags) in [(RootRule::AlwaysOn, 3), (RootRule::AlwaysOff, 2)] {
        let sampler = Sampler::new(SamplerConfig { parent: ParentRule::Follow, root });
        assert_eq!(sampler.decide(&request).flags(), TraceFlags(flags));
    }
}

/// The decision about a root of this kind, that long after the sampler was made, and its reason.
fn root(sampler: &Sampler, kind: u64, after: Duration) -> SamplingDecision {
    let trace_id = TraceId::parse("00000000000000000000000000000001").expect("valid");
    let question = Question { trace_id, forced: false, linked: false, parent: None, kind };
    let now = Instant::now() + after;
    sampler.answer(&question, || None, || now)
}

fn with_floor(root: RootRule, min_per_minute: u32) -> Sampler {
    let sampler = SamplerConfig { parent: ParentRule::Follow, root };
    let settings = SamplingSettings { sampler, min_per_minute };
    Sampler::with(settings, SamplingSource::Environment)
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_quiet_minute_yields_one_root_of_each_kind_even_at_ratio_zero() {
    let sampler = with_floor(RootRule::Ratio(0.0), 1);
    assert!(!root(&sampler, 1, Duration::ZERO).sampled, "a new process has earned nothing yet");
    let first = root(&sampler, 1, MINUTE);
    assert_eq!((first.sampled, first.reason), (true, SamplingReason::Quiet));
    assert_eq!(first.tracestate("ot=th:c"), "", "nobody knows for how many it stands");
    assert!(!root(&sampler, 1, MINUTE).sampled);
    assert!(root(&sampler, 2, MINUTE).sampled, "another kind has its own");
    assert!(root(&sampler, 1, 2 * MINUTE + Duration::from_secs(1)).sampled);
}

#[test]
fn the_floor_is_for_ratios_alone_and_can_be_switched_off() {
    for sampler in [with_floor(RootRule::AlwaysOff, 1), with_floor(RootRule::Ratio(0.0), 0)] {
        assert!(!root(&sampler, 1, 60 * MINUTE).sampled);
    }
}

#[test]
fn a_caller_that_does_not_record_gets_no_token() {
    let sampler = with_floor(RootRule::Ratio(0.0), 1);
    let question = Question {
        trace_id: context(false).trace_id,
        forced: false,
        linked: false,
        parent: Some(TraceFlags(0)),
        kind: 1,
    };
    let later = Instant::now() + 2 * MINUTE;
    let decision = sampler.answer(&question, || None, || later);
    assert_eq!((decision.sampled, decision.reason), (false, SamplingReason::Parent));
    assert!(root(&sampler, 1, 2 * MINUTE).sampled, "the token is still there");
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

/// A span that another one continues from.
fn place(known: Known, sampled: bool) -> SpanPlace {
    let TraceContext { trace_id, span_id, flags, .. } = context(sampled);
    SpanPlace { trace_id, span_id, flags, known }
}

#[test]
fn what_is_passed_over_without_a_question_is_what_the_answer_would_not_record() {
    let rules = [
        RootRule::AlwaysOn,
        RootRule::AlwaysOff,
        RootRule::Ratio(0.0),
        RootRule::Ratio(0.25),
        RootRule::Ratio(1.0),
    ];
    let parents = [
        None,
        Some(place(Known::Remotely, true)),
        Some(place(Known::Remotely, false)),
        Some(place(Known::Here, true)),
        Some(place(Known::Here, false)),
    ];
    let mut passed_over = 0;
    for (root, follow) in rules.iter().flat_map(|root| [(*root, true), (*root, false)]) {
        let parent_rule = if follow { ParentRule::Follow } else { ParentRule::Ignore };
        for after in [Duration::ZERO, 2 * MINUTE] {
            let sampler = SamplerConfig { parent: parent_rule, root };
            let settings = SamplingSettings { sampler, min_per_minute: 1 };
            let sampler = Sampler::with(settings, SamplingSource::Environment);
            let now = || Instant::now() + after;
            for (parent, trace_id) in
                parents.iter().flat_map(|p| trace_ids(50).map(move |id| (p, id)))
            {
                let is_passed_over = sampler.passes_over(trace_id, parent.as_ref(), 1, now);
                let is_recorded = match parent {
                    // Within a process a trace is not torn: nobody is asked.
                    Some(parent) if !parent.is_remote() => parent.flags.is_sampled(),
                    _ => {
                        let flags = parent.map(|parent| parent.flags);
                        let question = Question {
                            trace_id,
                            forced: false,
                            linked: false,
                            parent: flags,
                            kind: 1,
                        };
                        let decision = sampler.answer(&question, || None, now);
                        let told = decision.tell(Context::new());
                        assert!(!is_passed_over || !told.has_tracestate(), "{root:?}");
                        let kept = flags.unwrap_or(TraceFlags::RANDOM);
                        assert!(!is_passed_over || decision.flags() == kept, "{root:?}");
                        decision.sampled
                    }
                };
                let is_ignored = parent.is_some_and(|parent| parent.is_remote()) && !follow;
                // Of a caller that is not followed the whole answer is asked for.
                assert_eq!(is_passed_over, !is_recorded && !is_ignored, "{root:?} {parent:?}");
                passed_over += u32::from(is_passed_over);
            }
        }
    }
    assert!(passed_over > 1_000, "{passed_over}");
}

#[test]
fn while_rules_hold_for_a_while_only_every_span_is_asked_about() {
    let sampler = with_floor(RootRule::AlwaysOff, 0);
    let trace_id = context(false).trace_id;
    assert!(sampler.passes_over(trace_id, None, 1, Instant::now));
    let config = SamplerConfig { parent: ParentRule::Follow, root: RootRule::AlwaysOff };
    sampler.apply(SamplingSettings { sampler: config, min_per_minute: 0 }, true);
    assert!(!sampler.passes_over(trace_id, None, 1, Instant::now));
}
