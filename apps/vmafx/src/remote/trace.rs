//! `vmafx trace export`: the trace of a job that has ended, from what the controller stored.

use std::path::PathBuf;
use std::process::ExitCode;

use client::Client;
use observability::job_trace::rebuild;
use observability::{OtelConfig, OtelGuard, SpanRecord, Speaker, otlp_json};
use serde_json::{Value, json};
use types::{ExportReason, JobId, TraceId};

use super::{RemoteArgs, RemoteError, parse_job_id, print, print_json, run};

/// The endpoint of all signals, which `--endpoint` stands for.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// What `vmafx trace` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct TraceArgs {
    #[command(subcommand)]
    command: TraceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TraceCommand {
    /// Rebuilds a finished job's trace from the store and sends it, with the ids it always had.
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// The job's id
    #[arg(value_parser = parse_job_id)]
    job: JobId,
    /// Send it from here to this OTLP endpoint, instead of from the controller to its own
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Write it to this file as OTLP/JSON instead of sending it
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    file: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs `vmafx trace`.
pub(crate) fn trace(args: &TraceArgs) -> ExitCode {
    let TraceCommand::Export(args) = &args.command;
    run(&args.remote, |client, _| async move { export(args, &client).await })
}

async fn export(args: &ExportArgs, client: &Client) -> Result<(), RemoteError> {
    if let Some(endpoint) = &args.endpoint {
        let (trace_id, spans) = rebuilt(args.job, client).await?;
        let sent = send(endpoint, spans).await?;
        return if args.remote.json {
            print_json(&json!({ "job_id": args.job, "trace_id": trace_id, "spans": sent }))
        } else {
            print(&sentence(trace_id, sent, endpoint))
        };
    }
    if let Some(file) = &args.file {
        let (trace_id, spans) = rebuilt(args.job, client).await?;
        let count = spans.len() as u64;
        let text = format!("{}\n", document(spans)?);
        let what = || format!("the file {}", file.display());
        let written = std::fs::write(file, text);
        written.map_err(|source| RemoteError::Write { what: what(), source })?;
        return print(&sentence(trace_id, count, &file.display().to_string()));
    }
    if args.remote.json {
        let (_, spans) = rebuilt(args.job, client).await?;
        return print_json(&document(spans)?);
    }
    let exported = client.export_trace(args.job).await?;
    print(&sentence(exported.trace_id, exported.spans.into(), "the controller's collector"))
}

fn sentence(trace_id: TraceId, spans: u64, to: &str) -> String {
    format!("trace {trace_id}: {spans} spans to {to}\n")
}

/// The spans of a job that has ended.
async fn rebuilt(job: JobId, client: &Client) -> Result<(TraceId, Vec<SpanRecord>), RemoteError> {
    let view = client.job(job).await?;
    if !view.state.is_terminal() {
        let text = format!("the job is {}; its trace is whole when it has ended", view.state);
        return Err(RemoteError::Usage(text));
    }
    let mut spans = rebuild(&view, ExportReason::Asked);
    for span in &mut spans {
        // What is the controller's own there is not this process's here.
        span.speaker.get_or_insert(Speaker::Controller);
    }
    Ok((view.trace.trace_id, spans))
}

fn document(spans: Vec<SpanRecord>) -> Result<Value, RemoteError> {
    let config = OtelConfig::from_process_env("vmafx");
    otlp_json(&config, spans).map_err(|error| RemoteError::Write {
        what: "the trace as JSON".to_owned(),
        source: error.into(),
    })
}

/// Sends spans to `endpoint` from this process; headers, protocol and the like are the
/// environment's.
async fn send(endpoint: &str, spans: Vec<SpanRecord>) -> Result<u64, RemoteError> {
    let config = OtelConfig::from_env("vmafx", |name| match name {
        ENDPOINT => Some(endpoint.to_owned()),
        // It would go before the one asked for.
        TRACES_ENDPOINT | "OTEL_TRACES_EXPORTER" | "OTEL_SDK_DISABLED" => None,
        "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
        other => std::env::var(other).ok(),
    });
    let telemetry = OtelGuard::start(&config);
    let delivered = telemetry.tracer().deliver(spans).await;
    telemetry.shutdown_async().await;
    delivered.map_err(|error| RemoteError::Usage(format!("{endpoint}: {error}")))
}
