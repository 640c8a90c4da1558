//! `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
//!
//! The argument alone tunes our default. A bad argument keeps 1 %: the specification would record
//! everything, and a typing error must not flood a collector.

use super::{Env, shown};
use crate::sampler::{DEFAULT_RATIO, ParentRule, RootRule, SamplerConfig};

const NAMES: &str = "always_on, always_off, traceidratio, parentbased_always_on, \
                     parentbased_always_off, parentbased_traceidratio";

pub(super) fn read(env: &mut Env<'_>) -> SamplerConfig {
    let ratio = read_ratio(env);
    let Some(name) = env.get("OTEL_TRACES_SAMPLER") else {
        return with_ratio(ParentRule::Follow, ratio.unwrap_or(DEFAULT_RATIO));
    };
    let lower = name.to_ascii_lowercase();
    let (parent, root) = match lower.strip_prefix("parentbased_") {
        Some(root) => (ParentRule::Follow, root),
        None => (ParentRule::Ignore, lower.as_str()),
    };
    match root {
        "always_on" => SamplerConfig { parent, root: RootRule::AlwaysOn },
        "always_off" => SamplerConfig { parent, root: RootRule::AlwaysOff },
        // Named without an argument, the specification records everything.
        "traceidratio" => with_ratio(parent, ratio.unwrap_or(1.0)),
        _ => {
            env.warn(format_args!(
                "OTEL_TRACES_SAMPLER={} is not one of {NAMES}; default kept",
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
    let value = env.get("OTEL_TRACES_SAMPLER_ARG")?;
    let parsed = value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    if parsed.is_none() {
        env.warn(format_args!(
            "OTEL_TRACES_SAMPLER_ARG={} is not a number from 0 to 1; {DEFAULT_RATIO} kept",
            shown(&value)
        ));
    }
    Some(parsed.unwrap_or(DEFAULT_RATIO))
}
