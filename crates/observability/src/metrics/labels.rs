//! The closed lists from which metric labels take their values.

use types::{Stage, State};

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
    /// Why a part is tried again.
    RetryCause {
        /// The attempt reported a failure that may pass.
        Failed = "failed",
        /// The lease ran out.
        LeaseExpired = "lease_expired",
        /// The node's stream was lost for longer than the grace time.
        StreamLost = "stream_lost",
        /// The node came back as a new process.
        NodeRestarted = "node_restarted",
        /// The node drained and handed it back.
        Drained = "drained",
        /// Somebody asked for it.
        ByHand = "by_hand",
    }

    /// Why a lease ended without a report.
    LeaseLostCause {
        /// It ran out.
        Expired = "lease_expired",
        /// The node's stream was lost for longer than the grace time.
        StreamLost = "stream_lost",
        /// The node came back as a new process.
        NodeRestarted = "node_restarted",
        /// The node drained and handed it back.
        Drained = "drained",
    }

    /// What the controller says to a report.
    ReportAnswer {
        /// It counts.
        Accepted = "accepted",
        /// The same report came before.
        Duplicate = "duplicate",
        /// The lease is no longer the node's.
        Stale = "stale",
        /// The job was cancelled.
        Cancelled = "cancelled",
        /// The session is unknown.
        UnknownSession = "unknown_session",
    }

    /// How an attempt ended on its node.
    AttemptOutcome {
        /// With a result.
        Succeeded = "succeeded",
        /// With a failure.
        Failed = "failed",
        /// The controller took it back.
        Cancelled = "cancelled",
        /// The node handed it back.
        Abandoned = "abandoned",
    }

    /// What is known of a node.
    NodeLiveness {
        /// Heard of lately.
        Alive = "alive",
        /// Not heard of for a while.
        Stale = "stale",
        /// Nothing is known; it is not dead for that.
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
}

impl Label for State {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }
}

impl Label for Stage {
    const ALL: &'static [Self] = &Self::ALL;

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }
}
