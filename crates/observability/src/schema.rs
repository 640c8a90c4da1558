//! Every name that telemetry carries, declared once: attributes, spans, metrics, events.
//!
//! The names follow OpenTelemetry's semantic conventions, pinned at version [`SEMCONV_VERSION`]
//! (`rpc.*`, `http.*`, `messaging.*`, `process.*`); `vmafx.*` is ours. Prometheus names derive from
//! these by OpenTelemetry's rules, see [`crate::metrics::prometheus_name`].
//! [`to_markdown`] writes the reference in `docs/development/observability.md`, [`registry_files`]
//! the registry for OpenTelemetry's tools in `docs/development/registry`.

mod attributes;
mod events;
mod instruments;
mod markdown;
mod registry;
mod spans;

pub use attributes::{ATTRIBUTES, AttributeDef, AttributeRef, Level, ValueType, attr};
pub use events::{EVENTS, EventDef, event_name};
pub use instruments::{
    INSTRUMENTS, InstrumentDef, InstrumentKind, RPC_SECONDS_BUCKETS, instrument,
};
pub use markdown::to_markdown;
pub use registry::{RESOURCE_ATTRIBUTES, RegistryFile, registry_files};
pub use spans::{COMMON_SPAN_ATTRIBUTES, SPANS, SpanDef, span_name};

/// The version of the semantic conventions whose names are used.
pub const SEMCONV_VERSION: &str = "1.45.0";

/// How settled a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// It may change with any release.
    Development,
    /// It changes only for a grave reason.
    ReleaseCandidate,
    /// It does not change.
    Stable,
}

/// The namespaces of names that may still change; all others are stable in the conventions.
const UNSETTLED: [(&str, Stability); 9] = [
    ("vmafx.", Stability::Development),
    ("messaging.", Stability::Development),
    ("system.", Stability::Development),
    ("mcp.", Stability::Development),
    ("gen_ai.", Stability::Development),
    ("jsonrpc.", Stability::Development),
    ("process.", Stability::ReleaseCandidate),
    ("cpu.", Stability::ReleaseCandidate),
    ("disk.", Stability::ReleaseCandidate),
];

impl Stability {
    /// The stability of a name: the conventions' own, and development for ours.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let found = UNSETTLED.iter().find(|(namespace, _)| name.starts_with(namespace));
        found.map_or(Self::Stable, |(_, stability)| *stability)
    }

    /// The word of OpenTelemetry's registries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::ReleaseCandidate => "release_candidate",
            Self::Stable => "stable",
        }
    }
}
