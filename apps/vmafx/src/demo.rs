//! `vmafx demo`: the whole platform in one process, on a clip that is compiled in.

use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use client::{Client, ClientConfig};
use observability::schema::span_name;
use observability::{OtelGuard, SpanKind, with_context};
use proto::rpc::Submit;
use serde_json::json;
use types::explain::explain;
use types::{JobSpec, JobView, MediaRef};
use vmafx_node::PICTURE_PIXELS_MAX_DEFAULT;

use crate::fleet::{Fleet, FleetConfig};
use crate::remote::{self, RemoteError, finish, follow, now, print, print_json};
use crate::{clip, show};

/// How long the end may wait for what still runs.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What `vmafx demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs `vmafx demo`.
pub(crate) fn demo(args: &DemoArgs) -> ExitCode {
    let telemetry = remote::quiet_telemetry();
    let outcome = run(args, &telemetry);
    telemetry.shutdown();
    finish(outcome)
}

fn run(args: &DemoArgs, telemetry: &OtelGuard) -> Result<(), RemoteError> {
    let cannot = |what: &str| {
        let what = what.to_owned();
        move |source| RemoteError::Write { what, source }
    };
    // Removed when it goes out of scope, whatever happens until then.
    let folder = tempfile::Builder::new().prefix("vmafx-demo-").tempdir();
    let folder = folder.map_err(cannot("a temporary folder"))?;
    let (reference, distorted) =
        clip::write_into(folder.path()).map_err(cannot("the clip pair"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(cannot("a runtime's threads"))?;
    let job = runtime.block_on(async {
        let fleet = Fleet::start(config(folder.path()), telemetry.telemetry()).await;
        let fleet = fleet.map_err(|error| RemoteError::Usage(error.to_string()))?;
        let job = score(&fleet, &reference, &distorted, telemetry).await;
        fleet.stop(STOP_GRACE).await;
        job
    })?;
    remote::ended_well(&job)?;
    if args.json { print_json(&object(&job)) } else { print(&text(&job)) }
}

fn config(folder: &Path) -> FleetConfig {
    let free = "127.0.0.1:0".parse().expect("an address");
    let controller = vmafx_controller::Config {
        grpc_listen: free,
        http_listen: free,
        db_path: folder.join("controller.db"),
        ..vmafx_controller::Config::default()
    };
    FleetConfig {
        controller,
        spool_folder: folder.to_owned(),
        node_count: 2,
        slots: NonZeroU32::MIN,
        source_roots: vec![folder.to_owned()],
        ffmpeg: None,
        picture_pixels_max: PICTURE_PIXELS_MAX_DEFAULT,
    }
}

async fn score(
    fleet: &Fleet,
    reference: &Path,
    distorted: &Path,
    telemetry: &OtelGuard,
) -> Result<JobView, RemoteError> {
    let telemetry_handles = telemetry.telemetry().clone();
    let client = Client::new(&ClientConfig {
        telemetry: telemetry_handles,
        ..ClientConfig::new(fleet.url())
    })?;
    let media = |path: &Path| MediaRef::new(path.to_string_lossy());
    let mut spec = JobSpec::pair(media(reference), media(distorted));
    spec.force_trace = true;
    let span = telemetry.tracer().span(span_name::SUBMIT).kind(SpanKind::Internal).force().start();
    let submitted =
        with_context(span.cx().clone(), client.submit(Submit { spec, idempotency_key: None }))
            .await;
    span.end();
    follow(&client, submitted?.job).await
}

fn text(job: &JobView) -> String {
    let results: String = job.results.iter().map(show::score).collect();
    let waterfall = explain(job, now()).render();
    format!(
        "{results}{:<15}{}\n{:<15}{}\n\n{waterfall}",
        "job", job.id, "trace", job.trace.trace_id
    )
}

fn object(job: &JobView) -> serde_json::Value {
    let pooled =
        job.results.first().and_then(|result| result.models.first()).map(|model| model.pooled);
    json!({
        "score": pooled.map(|pooled| pooled.mean),
        "min": pooled.map(|pooled| pooled.min),
        "p5": pooled.map(|pooled| pooled.p5),
        "harmonic_mean": pooled.map(|pooled| pooled.harmonic_mean),
        "job_id": job.id,
        "trace_id": job.trace.trace_id,
        "job": vmafx_controller::json::job(job.clone()),
        "waterfall": explain(job, now()),
    })
}
