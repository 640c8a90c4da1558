//! The W3C trace context as plain data: it rides in the job, opaque to whoever carries it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hex::{decode_lower_hex, encode_lower_hex, read_sixteen};

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Takes the bytes, most significant first; `None` when all are zero, which W3C calls
            /// invalid.
            #[must_use]
            pub fn new(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// The bytes, most significant first.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }

            /// Reads exactly the lower-case hex digits that `Display` writes.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                decode_lower_hex(text.as_bytes(), &mut bytes)?;
                Self::new(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; $bytes * 2];
                f.write_str(encode_lower_hex(&self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text).ok_or_else(|| concat!("not a ", stringify!($name)).to_owned())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id! {
    /// Names one trace. Never all zero.
    TraceId, 16
}
hex_id! {
    /// Names one span of a trace. Never all zero.
    SpanId, 8
}

/// The flags byte of a trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceFlags(pub u8);

impl TraceFlags {
    /// The bit that says: whoever made this context records it.
    pub const SAMPLED: Self = Self(0x01);

    /// The bit that says: the low seven bytes of the trace id are random, so that decisions may
    /// be made from them (W3C Trace Context, level 2).
    pub const RANDOM: Self = Self(0x02);

    /// The bits that are known. Others are neither read nor handed on.
    pub const KNOWN: Self = Self(Self::SAMPLED.0 | Self::RANDOM.0);

    /// Whether the sampled bit is set.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// Whether the trace id is known to be random.
    #[must_use]
    pub const fn is_random(self) -> bool {
        self.0 & Self::RANDOM.0 != 0
    }

    /// The same flags with this decision.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        Self(self.0 & !Self::SAMPLED.0 | sampled as u8)
    }
}

/// A position in a trace, as W3C Trace Context carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that is the parent of whatever continues from here.
    pub span_id: SpanId,
    /// Whether it is recorded.
    pub flags: TraceFlags,
    /// Vendor data that rides along untouched, at most
    /// [`TRACESTATE_BYTES_MAX`](Self::TRACESTATE_BYTES_MAX) bytes; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tracestate: String,
}

/// How long a `traceparent` header of version 00 is, and the known part of one of a later version.
const TRACEPARENT_BYTES: usize = 55;

/// Whether a header is of a version after 00 and ends, or goes on, as one may.
#[cold]
fn is_later_version(known: &[u8; TRACEPARENT_BYTES], rest: &[u8]) -> bool {
    let mut version = [0];
    let is_version = decode_lower_hex(&known[..2], &mut version).is_some();
    is_version && !matches!(version, [0 | 0xff]) && rest.first().is_none_or(|byte| *byte == b'-')
}

impl TraceContext {
    /// The length up to which W3C asks every participant to carry `tracestate`.
    pub const TRACESTATE_BYTES_MAX: usize = 512;

    /// Reads a `traceparent` header with its `tracestate`. Whatever is malformed is as if absent:
    /// a bad `traceparent` gives `None`, an oversized `tracestate` is dropped.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: &str) -> Option<Self> {
        let (trace_id, span_id, flags) = Self::parse_traceparent(traceparent.trim().as_bytes())?;
        let carried = tracestate.len() <= Self::TRACESTATE_BYTES_MAX && tracestate.is_ascii();
        let tracestate = if carried { tracestate.to_owned() } else { String::new() };
        Some(Self { trace_id, span_id, flags, tracestate })
    }

    /// Reads a `traceparent` header alone. Of a later version, which may be longer, the part that
    /// is known is read; of the flags, the bits that are known.
    #[inline]
    #[must_use]
    pub fn parse_traceparent(header: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
        let (known, rest) = header.split_first_chunk::<TRACEPARENT_BYTES>()?;
        let is_plain = known[..2] == *b"00" && rest.is_empty();
        if !is_plain && !is_later_version(known, rest) {
            return None;
        }
        let (trace_high, wrong) = read_sixteen(known[3..19].first_chunk()?);
        let (trace_low, wrong_too) = read_sixteen(known[19..35].first_chunk()?);
        let (span, wrong_there) = read_sixteen(known[36..52].first_chunk()?);
        let mut flags = [0];
        decode_lower_hex(&known[53..], &mut flags)?;
        if wrong | wrong_too | wrong_there != 0 || [known[2], known[35], known[52]] != *b"---" {
            return None;
        }
        let trace_id = u128::from(trace_high) << 64 | u128::from(trace_low);
        let flags = TraceFlags(flags[0] & TraceFlags::KNOWN.0);
        Some((TraceId::new(trace_id.to_be_bytes())?, SpanId::new(span.to_be_bytes())?, flags))
    }

    /// The `traceparent` header, version 00.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let (mut trace_id, mut span_id, mut flags) = ([0; 32], [0; 16], [0; 2]);
        [
            "00-",
            encode_lower_hex(&self.trace_id.0, &mut trace_id),
            "-",
            encode_lower_hex(&self.span_id.0, &mut span_id),
            "-",
            encode_lower_hex(&[self.flags.0], &mut flags),
        ]
        .concat()
    }

    /// The position of the span of an attempt of the job that was created here: in this trace, or
    /// in one of its own, which is recorded if this one is.
    #[must_use]
    pub fn of_attempt(&self, own_trace: Option<TraceId>, span_id: SpanId) -> Self {
        match own_trace {
            None => self.with_span(span_id),
            Some(trace_id) => {
                Self { trace_id, span_id, flags: self.flags, tracestate: String::new() }
            }
        }
    }

    /// The same trace, continued from another span.
    #[must_use]
    pub fn with_span(&self, span_id: SpanId) -> Self {
        Self { span_id, ..self.clone() }
    }
}

/// Why the trace of a job is exported after its end, from what the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExportReason {
    /// The job failed.
    Failed,
    /// The job took longer than is usual.
    Slow,
    /// Somebody asked for it.
    Asked,
}

impl ExportReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Slow, Self::Asked];

    /// The word for the span attribute, for logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Slow => "slow",
            Self::Asked => "asked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_survives_a_round_trip() {
        let context = TraceContext::parse(GOOD, "vendor=1").expect("valid");
        assert_eq!(context.traceparent(), GOOD);
        assert_eq!(context.tracestate, "vendor=1");
        assert!(context.flags.is_sampled());
    }

    #[test]
    fn malformed_contexts_are_as_if_absent() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{e9}",
        ] {
            assert_eq!(TraceContext::parse(bad, ""), None, "{bad}");
        }
    }

    #[test]
    fn of_the_flags_only_those_that_are_known_are_kept() {
        for (sent, kept) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("f8", 0)] {
            let context = TraceContext::parse(&format!("{}{sent}", &GOOD[..53]), "");
            assert_eq!(context.expect("valid").flags, TraceFlags(kept), "{sent}");
        }
        let flags = TraceFlags(3);
        assert_eq!((flags.with_sampled(false), flags.with_sampled(true)), (TraceFlags(2), flags));
    }

    #[test]
    fn a_later_version_with_more_fields_is_read_as_far_as_known() {
        let later = format!("cc{}-what-the-future-brings", &GOOD[2..]);
        assert_eq!(TraceContext::parse(&later, ""), TraceContext::parse(GOOD, ""));
    }

    #[test]
    fn an_oversized_tracestate_is_dropped_and_the_rest_kept() {
        let context = TraceContext::parse(GOOD, &"x".repeat(513)).expect("valid");
        assert_eq!(context.tracestate, "");
    }
}
