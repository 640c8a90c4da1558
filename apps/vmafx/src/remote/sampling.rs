//! `vmafx sampling`: which new traces a running controller or node records.
//!
//! It speaks HTTP and not gRPC, so that one command reaches both: nodes serve nothing else.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use observability::Telemetry;
use observability::layers::HttpClientLayer;
use serde_json::{Map, Value};
use thiserror::Error;
use tower::{Layer as _, ServiceExt as _};

use super::{RemoteError, print, print_json, read_token, run_alone};
use crate::exit;

/// Where a controller answers unless told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:8080";
/// How long an answer may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// Bytes that are read of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What `vmafx sampling` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct SamplingArgs {
    #[command(subcommand)]
    command: SamplingCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SamplingCommand {
    /// Shows what is in force, and what returns after it.
    Show(TargetArgs),
    /// Changes it in the running process, for a while with --for.
    Set(SetArgs),
    /// Takes back what was changed so, as SIGHUP does.
    Reset(TargetArgs),
}

/// Which process, and in what form its answer is shown.
#[derive(Debug, clap::Args)]
struct TargetArgs {
    /// The HTTP address of a controller or of a node
    #[arg(long, default_value = URL_DEFAULT, value_name = "URL")]
    url: Uri,
    /// A file with the token the controller asks for
    #[arg(long, env = "VMAFX_CONTROLLER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one JSON value instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
struct SetArgs {
    /// The share of new traces that is recorded, from 0 to 1
    #[arg(long, value_name = "SHARE", group = "change")]
    ratio: Option<f64>,
    /// A sampler by its standard name, such as always_on
    #[arg(long, value_name = "NAME", group = "change")]
    sampler: Option<String>,
    /// How many traces of each kind a quiet minute yields at least
    #[arg(long, value_name = "COUNT", group = "change")]
    min_per_minute: Option<u32>,
    /// How many seconds it holds before the configured rules return; until a reset otherwise
    #[arg(long = "for", value_name = "SECONDS")]
    for_seconds: Option<u64>,
    #[command(flatten)]
    target: TargetArgs,
}

impl SetArgs {
    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        };
        set("arg", self.ratio.map(Value::from));
        set("sampler", self.sampler.clone().map(Value::from));
        set("min_per_minute", self.min_per_minute.map(Value::from));
        set("for_seconds", self.for_seconds.map(Value::from));
        Value::Object(body)
    }
}

/// Why a process gave no answer that can be used.
#[derive(Debug, Error)]
pub(crate) enum HttpError {
    /// Nobody answers there, or not in time.
    #[error("no answer from {0}: {1}")]
    Unreachable(Uri, String),
    /// It answered that it would not.
    #[error("{0}")]
    Refused(String),
    /// It answered with something else: another program listens there.
    #[error("{0} answers like no controller and no node")]
    Strange(Uri),
}

impl HttpError {
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable(..) | Self::Strange(_) => exit::UNREACHABLE,
            Self::Refused(_) => exit::REFUSED,
        }
    }
}

/// Runs `vmafx sampling`.
pub(crate) fn sampling(args: &SamplingArgs) -> ExitCode {
    run_alone(async |telemetry| {
        let (target, method, body) = match &args.command {
            SamplingCommand::Show(target) => (target, Method::GET, None),
            SamplingCommand::Set(set) => (&set.target, Method::PUT, Some(set.body())),
            SamplingCommand::Reset(target) => (target, Method::DELETE, None),
        };
        let status = ask(telemetry.telemetry(), target, method, body).await?;
        if target.json { print_json(&status) } else { print(&sentence(&status)) }
    })
}

async fn ask(
    telemetry: &Telemetry,
    target: &TargetArgs,
    method: Method,
    body: Option<Value>,
) -> Result<Value, RemoteError> {
    let token = target.token_file.as_deref().map(read_token).transpose()?;
    let request = request(&target.url, method, token.as_deref(), body)?;
    let answer =
        tokio::time::timeout(ANSWER_WAIT_MAX, answer(telemetry, &target.url, request)).await;
    let (status, document) = answer.unwrap_or_else(|_| {
        let why = format!("nothing within {} s", ANSWER_WAIT_MAX.as_secs());
        Err(HttpError::Unreachable(target.url.clone(), why))
    })?;
    if status.is_success() {
        return Ok(document);
    }
    let said = document["detail"].as_str().or(document["title"].as_str());
    Err(HttpError::Refused(said.map_or_else(|| status.to_string(), str::to_owned)).into())
}

fn request(
    url: &Uri,
    method: Method,
    token: Option<&str>,
    body: Option<Value>,
) -> Result<Request<Full<bytes::Bytes>>, RemoteError> {
    if url.scheme_str() != Some("http") || url.authority().is_none() {
        return Err(RemoteError::Usage(format!("{url} is no address; write http://HOST:PORT")));
    }
    let path = url.path().trim_end_matches('/');
    let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{authority}{path}/v1/telemetry/sampling"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = request.body(Full::new(body.into()));
    request.map_err(|error| RemoteError::Usage(error.to_string()))
}

async fn answer(
    telemetry: &Telemetry,
    url: &Uri,
    request: Request<Full<bytes::Bytes>>,
) -> Result<(StatusCode, Value), HttpError> {
    let unreachable = |error: &dyn std::error::Error| {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        HttpError::Unreachable(url.clone(), cause)
    };
    let client = Client::builder(TokioExecutor::new()).build_http();
    let client = HttpClientLayer::new(telemetry).layer(client);
    let answer = client.oneshot(request).await.map_err(|error| unreachable(&error))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| unreachable(error.as_ref()))?.to_bytes();
    let document = serde_json::from_slice(&body).map_err(|_| HttpError::Strange(url.clone()))?;
    Ok((head.status, document))
}

/// What is in force, for people.
fn sentence(status: &Value) -> String {
    let rules = |of: &Value| {
        let sampler = of["sampler"].as_str().unwrap_or("unknown");
        match of["arg"].as_f64() {
            Some(ratio) => {
                let floor = of["min_per_minute"].as_u64().unwrap_or(0);
                format!("{sampler} {ratio}, at least {floor} a minute of each kind")
            }
            None => sampler.to_owned(),
        }
    };
    let source = status["source"].as_str().unwrap_or("unknown");
    let mut text = format!("{} (from: {source})\n", rules(status));
    if let Some(left) = status["for_seconds"].as_u64() {
        text.push_str(&format!("in {left} s: {}\n", rules(&status["configured"])));
    } else if rules(status) != rules(&status["configured"]) {
        text.push_str(&format!("after a reset: {}\n", rules(&status["configured"])));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_in_force_and_what_returns_is_said() {
        let configured =
            json!({"sampler": "parentbased_traceidratio", "arg": 0.01, "min_per_minute": 1});
        let mut status = configured.clone();
        status["configured"] = configured;
        status["source"] = "environment".into();
        let usual = "parentbased_traceidratio 0.01, at least 1 a minute of each kind";
        assert_eq!(sentence(&status), format!("{usual} (from: environment)\n"));
        (status["sampler"], status["arg"]) = ("always_on".into(), Value::Null);
        status["source"] = "admin".into();
        assert_eq!(sentence(&status), format!("always_on (from: admin)\nafter a reset: {usual}\n"));
        status["for_seconds"] = 90.into();
        assert_eq!(sentence(&status), format!("always_on (from: admin)\nin 90 s: {usual}\n"));
    }

    #[test]
    fn only_addresses_that_can_be_asked_are() {
        let made = |url: &str| {
            let url = url.parse().expect("a URI");
            request(&url, Method::GET, None, None).map(|request| request.uri().to_string())
        };
        let path = "/v1/telemetry/sampling";
        assert_eq!(made("http://node:9090/").expect("fine"), format!("http://node:9090{path}"));
        assert_eq!(made("http://h/behind/a").expect("fine"), format!("http://h/behind/a{path}"));
        for bad in ["https://h:1", "h:80", "/x"] {
            assert!(matches!(made(bad), Err(RemoteError::Usage(_))), "{bad}");
        }
    }
}
