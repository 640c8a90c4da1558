//! Every name that telemetry carries, declared once: attributes, spans, metrics.
//!
//! The names follow OpenTelemetry's semantic conventions, pinned at version [`SEMCONV_VERSION`]
//! (`rpc.*`, `http.*`, `messaging.*`, `process.*`); `vmafx.*` is ours. Prometheus names derive from
//! these by OpenTelemetry's rules, see [`crate::metrics::prometheus_name`].
//! [`to_markdown`] writes the reference in `docs/development/observability.md`.

mod attributes;
mod instruments;
mod markdown;
mod spans;

pub use attributes::{ATTRIBUTES, AttributeDef, attr};
pub use instruments::{
    INSTRUMENTS, InstrumentDef, InstrumentKind, RPC_SECONDS_BUCKETS, instrument,
};
pub use markdown::to_markdown;
pub use spans::{SPANS, SpanDef, span_name};

/// The version of the semantic conventions whose names are used.
pub const SEMCONV_VERSION: &str = "1.45.0";
