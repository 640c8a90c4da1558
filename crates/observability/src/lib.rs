//! Observability: traces, metrics and logs of every VMAFX program.
//!
//! What holds everywhere:
//! - **Opt-in.** Without an endpoint nothing is exported and one line says so; contexts still
//!   propagate, `/metrics` still answers, logs still carry trace ids.
//! - **Harmless.** No call here blocks on a collector, and nothing here fails a program. Queues are
//!   bounded, what is dropped is counted, the end takes [`SHUTDOWN_BUDGET`] at most.
//! - **Declared once.** Every name lives in [`schema`]; the reference in
//!   `docs/development/observability.md` is written from it.
//! - **Never its own cause.** One thread sends everything; what it and the transports log is never
//!   exported, at any level.
//! - **Passed, not global.** Components get a [`Telemetry`] (a [`Tracer`] and [`Metrics`]).
//!
//! When a job's spans are written the programs decide that move jobs; what they look like stands
//! in [`job_trace`]. Spans and export are our own code over OpenTelemetry's wire messages, because
//! queue spans need ids and times that are chosen before, or in another process; the context is our
//! own because every call has one.
//!
//! # A program
//! ```no_run
//! let guard = observability::init_otel("vmafx-node");
//! let telemetry = guard.telemetry().clone(); // hand it to components
//! telemetry.metrics.node().frames().add(1);
//! guard.shutdown(); // or drop it, or `shutdown_async().await`
//! ```
//!
//! # A span of this process
//! ```
//! # let tracer = observability::Tracer::disabled();
//! let mut span = tracer.span("fetch").start(); // child of the current span
//! span.set(observability::schema::attr::FRAME_COUNT, 48_i64);
//! let guard = span.cx().clone().attach(); // logs and children now belong to it
//! // ... or, around a future: observability::with_context(span.cx().clone(), future).await
//! drop(guard);
//! span.end();
//! ```
//!
//! # A span with given ids and times
//! ```
//! # use observability::{SpanKind, SpanRecord, SamplingRequest};
//! # let tracer = observability::Tracer::disabled();
//! // Where a job is submitted: decide, and allocate the ids of spans that end much later.
//! let trace_id = observability::new_trace_id();
//! let request = SamplingRequest { trace_id, forced: false, parent: None, links: &[] };
//! let decision = tracer.decide(&request);
//! let root = types::TraceContext {
//!     trace_id, span_id: observability::new_span_id(),
//!     flags: decision.flags(), tracestate: decision.tracestate(""),
//! };
//! let attempt = root.with_span(observability::new_span_id()); // travels with the lease
//! // Where they end, perhaps after a restart; exported if the context is sampled.
//! let (start, end) = (types::Timestamp::EPOCH, types::Timestamp::from_unix_micros(5));
//! tracer.emit_span(
//!     SpanRecord::new(attempt, SpanKind::Consumer, "process vmafx.jobs", start, end)
//!         .child_of(root.span_id, observability::Origin::Remote),
//! );
//! ```
//!
//! # Layers
//! [`layers::GrpcServerLayer`], [`layers::GrpcClientLayer`] and [`layers::HttpServerLayer`] make
//! the spans and durations of calls. Within a handler the server span's context is the current
//! one, and [`layers::ServerSpan::current`] gives the span itself.

mod clock;
pub mod config;
mod context;
mod current;
mod export;
mod hangup;
mod ids;
mod init;
pub mod job_trace;
pub mod layers;
mod logs;
pub mod metrics;
pub mod propagation;
pub mod sampler;
pub mod schema;
mod served;
mod span;
mod spare;
mod speaker;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod tracer;

pub use config::OtelConfig;
pub use context::Context;
pub use current::{ContextGuard, WithContext, with_context};
pub use export::{DeliveryError, otlp_json};
pub use hangup::reload_on_hangup;
pub use ids::{new_span_id, new_trace_id};
pub use init::{DISABLED_MESSAGE, OtelGuard, SHUTDOWN_BUDGET, Telemetry, init_otel, init_with};
pub use logs::LogLayer;
pub use metrics::Metrics;
pub use opentelemetry::trace::{SpanKind, Status};
pub use opentelemetry::{KeyValue, Value};
pub use propagation::{Origin, context_of, current_trace, trace_of};
pub use sampler::{SamplerControl, SamplingDecision, SamplingReason, SamplingRequest};
pub use span::{
    ActiveSpan, IntoSystemTime, Parent, Position, SPAN_ITEMS_MAX, SpanBuilder, SpanEvent, SpanLink,
    SpanRecord,
};
pub use speaker::Speaker;
pub use tracer::Tracer;
