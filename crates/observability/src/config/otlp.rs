//! Where a signal goes: exporter, endpoint, protocol, headers, timeout.
//!
//! For each setting the signal's own variable goes before the generic one. Without any endpoint
//! nothing is exported, unless the exporter `otlp` is asked for by name: then the collector is
//! expected on this machine.

use std::str::FromStr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{Env, resource, shown};

/// The longest one message may take, unless configured otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

const EXPORTERS: &str = "otlp, none";

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// OTLP as protobuf over HTTP, port 4318.
    #[default]
    HttpProtobuf,
    /// OTLP over gRPC, port 4317.
    Grpc,
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "grpc" => Ok(Self::Grpc),
            _ => Err(()),
        }
    }
}

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By gzip.
    Gzip,
}

impl FromStr for Compression {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            _ => Err(()),
        }
    }
}

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    /// How.
    pub protocol: Protocol,
    /// For HTTP the URL that is posted to, for gRPC the server.
    pub endpoint: Uri,
    /// Sent with each message. The values may be secret and appear in no log.
    pub headers: HeaderMap,
    /// The longest one message may take, retries included.
    pub timeout: Duration,
    /// How messages are compressed.
    pub compression: Compression,
}

impl OtlpConfig {
    /// Sends to `endpoint`, as it stands, by `protocol`.
    #[must_use]
    pub fn new(protocol: Protocol, endpoint: Uri) -> Self {
        Self {
            protocol,
            endpoint,
            headers: HeaderMap::new(),
            timeout: TIMEOUT_DEFAULT,
            compression: Compression::None,
        }
    }
}

/// The words in which signals differ.
pub(super) struct SignalNames {
    variable: &'static str,
    path: &'static str,
}

pub(super) const TRACES: SignalNames = SignalNames { variable: "TRACES", path: "v1/traces" };
pub(super) const METRICS: SignalNames = SignalNames { variable: "METRICS", path: "v1/metrics" };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exporter {
    /// By OTLP where an endpoint is known.
    Unset,
    Otlp,
    None,
}

/// Whether the signal is switched off by name.
pub(super) fn is_off(env: &Env<'_>, signal: &SignalNames) -> bool {
    let name = format!("OTEL_{}_EXPORTER", signal.variable);
    env.get(&name).is_some_and(|value| value.eq_ignore_ascii_case("none"))
}

pub(super) fn read(env: &mut Env<'_>, signal: &SignalNames) -> Option<OtlpConfig> {
    let exporter = read_exporter(env, signal);
    if exporter == Exporter::None {
        return None;
    }
    let protocol = setting(env, signal, "PROTOCOL")
        .and_then(|name| env.word(&name, "http/protobuf, grpc"))
        .unwrap_or_default();
    let endpoint = read_endpoint(env, signal, protocol, exporter)?;
    let headers = match setting(env, signal, "HEADERS") {
        Some(name) => read_headers(env, &name),
        None => HeaderMap::new(),
    };
    let timeout = setting(env, signal, "TIMEOUT").and_then(|name| env.millis(&name));
    let compression =
        setting(env, signal, "COMPRESSION").and_then(|name| env.word(&name, "none, gzip"));
    for part in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"] {
        if let Some(name) = setting(env, signal, part) {
            env.warn(format_args!("{name} is not supported yet and was ignored"));
        }
    }
    Some(OtlpConfig {
        protocol,
        endpoint,
        headers,
        timeout: timeout.unwrap_or(TIMEOUT_DEFAULT),
        compression: compression.unwrap_or_default(),
    })
}

fn generic(part: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{part}")
}

/// The name of the variable that decides about `part`: the signal's own where it is set.
fn setting(env: &Env<'_>, signal: &SignalNames, part: &str) -> Option<String> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_{part}", signal.variable);
    [own, generic(part)].into_iter().find(|name| env.get(name).is_some())
}

fn read_exporter(env: &mut Env<'_>, signal: &SignalNames) -> Exporter {
    let name = format!("OTEL_{}_EXPORTER", signal.variable);
    let Some(value) = env.get(&name) else { return Exporter::Unset };
    let words: Vec<String> =
        value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
    // `/metrics` is there in any case, so asking for Prometheus alone means: no push.
    let known = |word: &&String| {
        matches!(word.as_str(), "otlp" | "none")
            || (signal.variable == METRICS.variable && word.as_str() == "prometheus")
    };
    if let Some(unknown) = words.iter().find(|word| !known(word)) {
        env.warn(format_args!("{name}={} is not one of {EXPORTERS}; ignored", shown(unknown)));
    }
    if words.iter().any(|word| word == "otlp") {
        Exporter::Otlp
    } else if words.iter().any(|word| matches!(word.as_str(), "none" | "prometheus")) {
        Exporter::None
    } else {
        Exporter::Unset
    }
}

fn read_endpoint(
    env: &mut Env<'_>,
    signal: &SignalNames,
    protocol: Protocol,
    exporter: Exporter,
) -> Option<Uri> {
    let Some(name) = setting(env, signal, "ENDPOINT") else {
        let local = match protocol {
            Protocol::HttpProtobuf => format!("http://localhost:4318/{}", signal.path),
            Protocol::Grpc => "http://localhost:4317".to_owned(),
        };
        return local.parse().ok().filter(|_| exporter == Exporter::Otlp);
    };
    let value = env.get(&name)?;
    // The generic variable is a base; a signal's own is the whole URL. gRPC has no path.
    let is_base = name == generic("ENDPOINT");
    let mut text = if value.contains("://") { value.clone() } else { format!("http://{value}") };
    if protocol == Protocol::HttpProtobuf && is_base {
        text = format!("{}/{}", text.trim_end_matches('/'), signal.path);
    }
    let parsed = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some());
    match parsed {
        Some(uri) if uri.scheme_str() == Some("http") => Some(uri),
        Some(uri) if uri.scheme_str() == Some("https") => {
            env.warn(format_args!(
                "{name} asks for https, which is not supported yet; not exported"
            ));
            None
        }
        _ => {
            env.warn(format_args!("{name}={} is not a URL; not exported", shown(&value)));
            None
        }
    }
}

fn read_headers(env: &mut Env<'_>, name: &str) -> HeaderMap {
    let list = env.get(name).unwrap_or_default();
    let parsed = resource::parse_list(&list).and_then(|pairs| {
        pairs
            .into_iter()
            .map(|(key, value)| {
                let key = HeaderName::from_str(&key.to_ascii_lowercase()).ok()?;
                let mut value = HeaderValue::from_str(&value).ok()?;
                value.set_sensitive(true);
                Some((key, value))
            })
            .collect::<Option<HeaderMap>>()
    });
    // The value may hold a token, so the warning does not repeat it.
    parsed.unwrap_or_else(|| {
        env.warn(format_args!("{name} is not a list of key=value headers; ignored"));
        HeaderMap::new()
    })
}
