//! The closed lists from which metric labels take their values.

pub use types::{AttemptOutcome, ReportAnswer};
use types::{FailureKind, Stage, State};

/// A label whose values are known when the program is built.
pub trait Label: Copy + PartialEq + Send + Sync + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The value's text.
    fn as_str(self) -> &'static str;

    /// The value's place in [`ALL`](Self::ALL).
    fn index(self) -> usize {
        Self::ALL.iter().position(|value| *value == self).unwrap_or(0)
    }
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$value_doc])* $value,)+
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    )+};
}

labels! {
    /// Whether a part waits or runs.
    PartState {
        /// It waits for a lease, or for its retry time.
        Queued = "queued",
        /// A node has it.
        Running = "running",
    }

    /// How a job ended.
    JobEnd {
        /// With its scores.
        Succeeded = "succeeded",
        /// With a failure.
        Failed = "failed",
        /// Somebody wanted it no more.
        Cancelled = "cancelled",
    }

    /// What became of a trace that was to be exported after its job's end.
    TraceExport {
        /// The collector took it.
        Exported = "exported",
        /// There were too many in a short time.
        RateLimited = "rate_limited",
        /// Too many waited for the collector.
        Overflow = "overflow",
        /// No collector took it for a day.
        Expired = "expired",
        /// The collector took others and not this one.
        Refused = "refused",
    }

    /// What became of a probe.
    ProbeOutcome {
        /// It was encoded and scored.
        Measured = "measured",
        /// An earlier run had measured it.
        Remembered = "remembered",
        /// It could not be encoded or scored.
        Failed = "failed",
    }

    /// Why a part is tried again.
    RetryCause {
        /// The node had no decoder for it.
        DecoderMissing = "decoder_missing",
        /// The decoder died or ran out of its limits.
        DecoderFailed = "decoder_failed",
        /// The node had no such encoder.
        EncoderMissing = "encoder_missing",
        /// The encoder died or ran out of its limits.
        EncoderFailed = "encoder_failed",
        /// Reading or writing failed.
        Io = "io",
        /// The node's disk was full.
        DiskFull = "disk_full",
        /// The attempt took too long.
        TimedOut = "timed_out",
        /// The node's process ended, or its stream was lost for longer than the grace time.
        NodeLost = "node_lost",
        /// The lease ran out.
        LeaseExpired = "lease_expired",
        /// A defect of ours.
        Internal = "internal",
        /// The node drained and handed it back.
        Released = "released",
        /// Somebody asked for it.
        ByHand = "by_hand",
    }

    /// Why a lease ended without a report.
    LeaseLostCause {
        /// It ran out.
        Expired = "lease_expired",
        /// The node's process ended, or its stream was lost for longer than the grace time.
        NodeLost = "node_lost",
    }

    /// What is known of a node.
    NodeLiveness {
        /// Heard of lately.
        Alive = "alive",
        /// Not heard of lately; it is not dead for that.
        Unknown = "unknown",
    }

    /// A kind of telemetry.
    Signal {
        /// Spans.
        Traces = "traces",
        /// Metric points.
        Metrics = "metrics",
        /// Log records.
        Logs = "logs",
    }

    /// Why telemetry was given up.
    DropReason {
        /// The queue was full.
        QueueFull = "queue_full",
        /// No collector took it, retries included.
        ExportFailed = "export_failed",
        /// The collector took the message and refused part of it.
        Rejected = "rejected",
        /// The process ended before it could be sent.
        Shutdown = "shutdown",
    }

    /// A way to spend CPU time.
    CpuMode {
        /// In the program.
        User = "user",
        /// In the kernel on its behalf.
        System = "system",
    }

    /// Where a page came from.
    PagingFault {
        /// From memory.
        Minor = "minor",
        /// From the disk.
        Major = "major",
    }

    /// A direction of disk traffic.
    DiskDirection {
        /// From the disk.
        Read = "read",
        /// To the disk.
        Write = "write",
    }
}

impl JobEnd {
    /// The label of a terminal state; `None` for any other.
    #[must_use]
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::Succeeded => Some(Self::Succeeded),
            State::Failed => Some(Self::Failed),
            State::Cancelled => Some(Self::Cancelled),
            State::Queued | State::Running => None,
        }
    }
}

impl RetryCause {
    /// The label of what ended the attempt before; `None` when its node handed it back.
    #[must_use]
    pub fn of(cause: Option<FailureKind>) -> Self {
        match cause {
            None => Self::Released,
            Some(FailureKind::DecoderMissing) => Self::DecoderMissing,
            Some(FailureKind::DecoderFailed) => Self::DecoderFailed,
            Some(FailureKind::EncoderMissing) => Self::EncoderMissing,
            Some(FailureKind::EncoderFailed) => Self::EncoderFailed,
            Some(FailureKind::Io) => Self::Io,
            Some(FailureKind::DiskFull) => Self::DiskFull,
            Some(FailureKind::TimedOut) => Self::TimedOut,
            Some(FailureKind::NodeLost) => Self::NodeLost,
            Some(FailureKind::LeaseExpired) => Self::LeaseExpired,
            // All others are final: a retry of one is a defect.
            Some(_) => Self::Internal,
        }
    }
}

impl LeaseLostCause {
    /// The label of how the loss showed.
    #[must_use]
    pub fn of(kind: FailureKind) -> Self {
        if kind == FailureKind::LeaseExpired { Self::Expired } else { Self::NodeLost }
    }
}

impl Label for Stage {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }
}

impl Label for AttemptOutcome {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }
}

impl Label for ReportAnswer {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{AttributeDef, ValueType, attr};

    fn check<L: Label>(key: &str) {
        let texts: Vec<_> = L::ALL.iter().map(|value| value.as_str()).collect();
        let declared = AttributeDef::of(key).expect("declared").value;
        assert_eq!(declared, ValueType::OneOf(&texts.clone().leak()[..]), "{key}");
        for (place, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), place, "{key}");
        }
    }

    #[test]
    fn closed_lists_are_declared_with_exactly_their_values() {
        check::<PartState>(attr::PART_STATE);
        check::<JobEnd>(attr::JOB_STATE);
        check::<LeaseLostCause>(attr::LEASE_CAUSE);
        check::<ReportAnswer>(attr::REPORT_ANSWER);
        check::<AttemptOutcome>(attr::OUTCOME);
        check::<Stage>(attr::STAGE);
        check::<NodeLiveness>(attr::NODE_STATE);
        check::<Signal>(attr::SIGNAL);
        check::<DropReason>(attr::DROP_REASON);
        check::<CpuMode>(attr::CPU_MODE);
        check::<PagingFault>(attr::PAGING_FAULT_TYPE);
        check::<DiskDirection>(attr::DISK_IO_DIRECTION);
    }

    #[test]
    fn every_failure_that_is_retried_has_a_label_of_its_name() {
        let Some(ValueType::OneOf(declared)) =
            AttributeDef::of(attr::RETRY_CAUSE).map(|def| def.value)
        else {
            panic!("not a closed list")
        };
        let kinds = FailureKind::ALL.iter().map(|kind| kind.as_str());
        let words: std::collections::BTreeSet<_> =
            kinds.chain(RetryCause::ALL.iter().map(|cause| cause.as_str())).collect();
        assert_eq!(words, declared.iter().copied().collect());
        assert_eq!(words.len(), declared.len());
        for kind in FailureKind::ALL.iter().filter(|kind| kind.is_retryable()) {
            assert_eq!(RetryCause::of(Some(*kind)).as_str(), kind.as_str());
            if kind.is_crash() {
                assert_eq!(LeaseLostCause::of(*kind).as_str(), kind.as_str());
            }
        }
    }
}
