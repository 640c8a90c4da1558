//! In what portions spans and log records leave: `OTEL_BSP_*` and `OTEL_BLRP_*`.

use std::time::Duration;

use super::Env;

/// How many spans or log records wait for export unless configured otherwise.
pub const QUEUE_ITEMS_DEFAULT: usize = 2_048;
/// The largest queue that can be configured.
pub const QUEUE_ITEMS_MAX: usize = 1 << 20;

/// When and in what portions spans, or log records, are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    /// Items that may wait; further ones are dropped and counted.
    pub queue_items_max: usize,
    /// Items in one message at most.
    pub export_items_max: usize,
    /// The longest an item waits for its message.
    pub schedule_delay: Duration,
    /// The longest one message may take, retries included.
    pub export_timeout: Duration,
}

impl BatchConfig {
    /// What holds for spans by default.
    #[must_use]
    pub const fn spans() -> Self {
        Self {
            queue_items_max: QUEUE_ITEMS_DEFAULT,
            export_items_max: 512,
            schedule_delay: Duration::from_secs(5),
            export_timeout: Duration::from_secs(30),
        }
    }

    /// What holds for log records by default.
    #[must_use]
    pub const fn log_records() -> Self {
        Self { schedule_delay: Duration::from_secs(1), ..Self::spans() }
    }
}

/// The names that differ between spans and log records.
struct Names {
    queue: &'static str,
    batch: &'static str,
    delay: &'static str,
    timeout: &'static str,
}

pub(super) fn read_spans(env: &mut Env<'_>) -> BatchConfig {
    let names = Names {
        queue: "OTEL_BSP_MAX_QUEUE_SIZE",
        batch: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        delay: "OTEL_BSP_SCHEDULE_DELAY",
        timeout: "OTEL_BSP_EXPORT_TIMEOUT",
    };
    read(env, &names, BatchConfig::spans())
}

pub(super) fn read_log_records(env: &mut Env<'_>) -> BatchConfig {
    let names = Names {
        queue: "OTEL_BLRP_MAX_QUEUE_SIZE",
        batch: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        delay: "OTEL_BLRP_SCHEDULE_DELAY",
        timeout: "OTEL_BLRP_EXPORT_TIMEOUT",
    };
    read(env, &names, BatchConfig::log_records())
}

fn read(env: &mut Env<'_>, names: &Names, default: BatchConfig) -> BatchConfig {
    let mut items = |name, default| env.count(name, 1..=QUEUE_ITEMS_MAX).unwrap_or(default);
    let queue_items_max = items(names.queue, default.queue_items_max);
    let export_items_max = items(names.batch, default.export_items_max);
    BatchConfig {
        queue_items_max,
        // The specification wants the message to fit the queue.
        export_items_max: export_items_max.min(queue_items_max),
        schedule_delay: env.millis(names.delay).unwrap_or(default.schedule_delay),
        export_timeout: env.millis(names.timeout).unwrap_or(default.export_timeout),
    }
}
