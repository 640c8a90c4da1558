//! Where a signal goes: exporter, endpoint, protocol, headers, timeout, certificates.
//!
//! For each setting the signal's own variable goes before the generic one. Without any endpoint
//! nothing is exported, unless the exporter `otlp` is asked for by name: then the collector is
//! expected on this machine. Log records leave only when asked for by name: they are on stderr in
//! any case.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{Env, resource, shown};

/// The longest one message may take, unless configured otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// OTLP as protobuf over HTTP, port 4318.
    #[default]
    HttpProtobuf,
    /// OTLP as JSON over HTTP, port 4318.
    HttpJson,
    /// OTLP over gRPC, port 4317.
    Grpc,
}

impl FromStr for Protocol {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "http/json" => Ok(Self::HttpJson),
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

/// The PEM files of an encrypted connection. They are read when telemetry starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Certificates of the authorities that a collector's certificate may come from; the system's
    /// where none is named.
    pub certificate: Option<PathBuf>,
    /// Our own certificate, for a collector that wants to know who we are.
    pub client_certificate: Option<PathBuf>,
    /// The key of our own certificate.
    pub client_key: Option<PathBuf>,
}

impl TlsFiles {
    fn are_named(&self) -> bool {
        *self != Self::default()
    }
}

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    /// How.
    pub protocol: Protocol,
    /// For HTTP the URL that is posted to, for gRPC the server. `https` is encrypted.
    pub endpoint: Uri,
    /// Sent with each message. The values may be secret and appear in no log.
    pub headers: HeaderMap,
    /// The longest one message may take, retries included.
    pub timeout: Duration,
    /// How messages are compressed.
    pub compression: Compression,
    /// Certificates and keys, for an `https` endpoint.
    pub tls: TlsFiles,
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
            tls: TlsFiles::default(),
        }
    }
}

/// The words in which signals differ.
pub(super) struct SignalNames {
    variable: &'static str,
    path: &'static str,
    exporters: &'static [&'static str],
    /// Whether it takes more than an endpoint to be exported.
    by_name_only: bool,
}

pub(super) const TRACES: SignalNames = SignalNames {
    variable: "TRACES",
    path: "v1/traces",
    exporters: &["otlp", "console", "none"],
    by_name_only: false,
};
/// `/metrics` is there in any case, so `prometheus` alone means: no push.
pub(super) const METRICS: SignalNames = SignalNames {
    variable: "METRICS",
    path: "v1/metrics",
    exporters: &["otlp", "console", "none", "prometheus"],
    by_name_only: false,
};
pub(super) const LOGS: SignalNames = SignalNames {
    variable: "LOGS",
    path: "v1/logs",
    exporters: &["otlp", "console", "none"],
    by_name_only: true,
};

/// What was asked for a signal.
#[derive(Debug, Default)]
pub(super) struct Exporters {
    /// Over OTLP.
    pub(super) otlp: Option<OtlpConfig>,
    /// To stderr.
    pub(super) console: bool,
    /// Nothing is exported, and that is meant.
    pub(super) off: bool,
    /// Something was named as the endpoint that is none.
    pub(super) bad_endpoint: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Over OTLP where an endpoint is known.
    Unset,
    Otlp,
    NotOtlp,
}

pub(super) fn read(env: &mut Env<'_>, signal: &SignalNames) -> Exporters {
    let (wish, console) = read_exporters(env, signal);
    let mut exporters = Exporters { console, ..Exporters::default() };
    if wish == Wish::NotOtlp || (wish == Wish::Unset && signal.by_name_only) {
        exporters.off = !console;
        return exporters;
    }
    let protocol = setting(env, signal, "PROTOCOL")
        .and_then(|name| env.word(&name, "http/protobuf, http/json, grpc"))
        .unwrap_or_default();
    let tls = TlsFiles {
        certificate: path(env, signal, "CERTIFICATE"),
        client_certificate: path(env, signal, "CLIENT_CERTIFICATE"),
        client_key: path(env, signal, "CLIENT_KEY"),
    };
    let insecure = setting(env, signal, "INSECURE").and_then(|name| env.flag(&name));
    let endpoint = match setting(env, signal, "ENDPOINT") {
        Some(name) => {
            let scheme = scheme_unless_given(protocol, insecure, &tls);
            let endpoint = read_endpoint(env, signal, (&name, scheme), protocol);
            exporters.bad_endpoint = endpoint.is_none();
            let is_plain = endpoint.as_ref().is_some_and(|at| at.scheme_str() == Some("http"));
            if is_plain && tls.are_named() && insecure != Some(true) {
                env.warn(format_args!("{name} is not https: the certificates named are not used"));
            }
            endpoint
        }
        None => local(signal, protocol).filter(|_| wish == Wish::Otlp),
    };
    let headers = match setting(env, signal, "HEADERS") {
        Some(name) => read_headers(env, &name),
        None => HeaderMap::new(),
    };
    let timeout = setting(env, signal, "TIMEOUT").and_then(|name| env.millis(&name));
    let compression =
        setting(env, signal, "COMPRESSION").and_then(|name| env.word(&name, "none, gzip"));
    exporters.otlp = endpoint.map(|endpoint| OtlpConfig {
        protocol,
        endpoint,
        headers,
        timeout: timeout.unwrap_or(TIMEOUT_DEFAULT),
        compression: compression.unwrap_or_default(),
        tls,
    });
    exporters
}

fn generic(part: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{part}")
}

/// The name of the variable that decides about `part`: the signal's own where it is set.
fn setting(env: &Env<'_>, signal: &SignalNames, part: &str) -> Option<String> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_{part}", signal.variable);
    [own, generic(part)].into_iter().find(|name| env.get(name).is_some())
}

fn path(env: &Env<'_>, signal: &SignalNames, part: &str) -> Option<PathBuf> {
    env.get(&setting(env, signal, part)?).map(PathBuf::from)
}

fn read_exporters(env: &mut Env<'_>, signal: &SignalNames) -> (Wish, bool) {
    let name = format!("OTEL_{}_EXPORTER", signal.variable);
    let Some(value) = env.get(&name) else { return (Wish::Unset, false) };
    let words: Vec<String> =
        value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
    let unknown = words.iter().find(|word| !signal.exporters.contains(&word.as_str()));
    if let Some(unknown) = unknown {
        let known = signal.exporters.join(", ");
        env.warn(format_args!("{name}={} is not one of {known}; ignored", shown(unknown)));
    }
    let asked = |word: &str| words.iter().any(|have| have == word);
    let console = asked("console");
    let scraped = asked("prometheus") && signal.exporters.contains(&"prometheus");
    let wish = if asked("otlp") {
        Wish::Otlp
    } else if console || scraped || asked("none") {
        Wish::NotOtlp
    } else {
        Wish::Unset
    };
    (wish, console)
}

fn local(signal: &SignalNames, protocol: Protocol) -> Option<Uri> {
    match protocol {
        Protocol::Grpc => "http://localhost:4317".parse().ok(),
        Protocol::HttpProtobuf | Protocol::HttpJson => {
            format!("http://localhost:4318/{}", signal.path).parse().ok()
        }
    }
}

/// What an endpoint without a scheme means. The specification encrypts gRPC then, unless told
/// otherwise; `localhost:4317`, as people write it, would not work. So it is encrypted when that is
/// asked for, by `INSECURE=false` or by naming certificates, and plain otherwise. `INSECURE=true` is
/// for gRPC alone: over HTTP it does not undo certificates.
fn scheme_unless_given(protocol: Protocol, insecure: Option<bool>, tls: &TlsFiles) -> &'static str {
    let insecure = insecure.filter(|insecure| !insecure || protocol == Protocol::Grpc);
    if insecure.unwrap_or(!tls.are_named()) { "http" } else { "https" }
}

fn read_endpoint(
    env: &mut Env<'_>,
    signal: &SignalNames,
    (name, scheme): (&str, &str),
    protocol: Protocol,
) -> Option<Uri> {
    let value = env.get(name)?;
    // The generic variable is a base; a signal's own is the whole URL. gRPC has no path.
    let is_base = name == generic("ENDPOINT");
    let given = value.contains("://");
    let mut text = if given { value.clone() } else { format!("{scheme}://{value}") };
    if protocol != Protocol::Grpc && is_base {
        text = format!("{}/{}", text.trim_end_matches('/'), signal.path);
    }
    let has_user = value.contains('@');
    let usable = text.parse::<Uri>().ok().filter(|uri| {
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        has_host && !has_user && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    if usable.is_none() {
        // A value with a user may hold a password, so the warning does not repeat it.
        let why = if has_user {
            format!("names a user, for which {} is the place", generic("HEADERS"))
        } else {
            // Nor a query, which may hold a key.
            let told = value.split_once('?').map_or(value.as_str(), |(before, _)| before);
            format!("is not a URL of http or https: {}", shown(told))
        };
        env.warn(format_args!("{name} {why}; not exported"));
    }
    usable
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
