//! Encrypted connections: rustls with `ring`, for both transports.
//!
//! The files are read when telemetry starts, and again after a message could not be sent, so that
//! renewed certificates are taken up without a restart. A file that cannot be used means that the
//! signal is not exported: never that it is sent unencrypted or unchecked.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::config::{OtlpConfig, TlsFiles};

/// The largest file of certificates that is read.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// Why no encrypted connection can be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{} cannot be read", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not a PEM file of {what}", .path.display())]
    NotPem { path: PathBuf, what: &'static str, source: pem::Error },
    #[error("{} holds no certificate", .path.display())]
    Empty { path: PathBuf },
    #[error("{} holds a certificate that cannot be used", .path.display())]
    BadAuthority { path: PathBuf, source: rustls::Error },
    #[error(
        "this system has no certificates of authorities; name a file in OTEL_EXPORTER_OTLP_CERTIFICATE"
    )]
    NoAuthorities,
    #[error("a client certificate and a client key go together, and only the {given} is named")]
    HalfIdentity { given: &'static str },
    #[error("client certificate {} and client key {} cannot be used together", .certificate.display(), .key.display())]
    BadIdentity { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// What the connections to `config`'s endpoint need to be encrypted; `None` where they are not.
pub(crate) fn client_config(config: &OtlpConfig) -> Result<Option<ClientConfig>, TlsError> {
    if config.endpoint.scheme() != Some(&Scheme::HTTPS) {
        return Ok(None);
    }
    let TlsFiles { certificate, client_certificate, client_key } = &config.tls;
    let authorities = match certificate {
        Some(path) => authorities_of(path)?,
        None => authorities_of_system()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(authorities);
    let config = match (client_certificate, client_key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let bad = |source| TlsError::BadIdentity {
                certificate: certificate.clone(),
                key: key.clone(),
                source,
            };
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(bad)?
        }
        (Some(_), None) => return Err(TlsError::HalfIdentity { given: "certificate" }),
        (None, Some(_)) => return Err(TlsError::HalfIdentity { given: "key" }),
    };
    Ok(Some(config))
}

fn authorities_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        let bad = |source| TlsError::BadAuthority { path: path.to_owned(), source };
        store.add(certificate).map_err(bad)?;
    }
    Ok(store)
}

fn authorities_of_system() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    // Single unusable certificates among the system's are none of our business.
    let (added, _) =
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TlsError::NoAuthorities) } else { Ok(store) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|source| not_pem(path, "certificates", source))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned() });
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| not_pem(path, "a key", source))
}

fn not_pem(path: &Path, what: &'static str, source: pem::Error) -> TlsError {
    TlsError::NotPem { path: path.to_owned(), what, source }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
    // A pipe would keep the program waiting.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("not a file")));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Encrypted connections for HTTP/1.1.
pub(super) fn http1_connector(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
    builder.enable_http1().wrap_connector(tcp())
}

/// Encrypted connections for gRPC, which is HTTP/2.
pub(super) fn http2_connector(tls: ClientConfig) -> AlwaysTls {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
    AlwaysTls(builder.enable_http2().wrap_connector(tcp()))
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp
}

/// Encrypts whatever the scheme says. `tonic` is given `http`: built with TLS of its own, as
/// another crate may ask for, it would otherwise want to encrypt once more.
#[derive(Clone)]
pub(super) struct AlwaysTls(HttpsConnector<HttpConnector>);

type Connecting = <HttpsConnector<HttpConnector> as Service<Uri>>::Future;

impl Service<Uri> for AlwaysTls {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.0.call(with_scheme(&uri, Scheme::HTTPS))
    }
}

/// `uri` with another scheme.
pub(super) fn with_scheme(uri: &Uri, scheme: Scheme) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(scheme);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    // The parts come from a valid URI; only the scheme is another one.
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
