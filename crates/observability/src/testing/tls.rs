//! Certificates for tests, and a door that ends TLS in front of a plain server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// An authority of its own with a certificate for clients, as PEM files that live as long as this.
#[derive(Debug)]
pub struct TestPki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl TestPki {
    /// Makes new keys and certificates. Fails when the files cannot be written.
    pub fn new() -> io::Result<Self> {
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        let pki = Self { issuer, files: TempDir::new()? };
        std::fs::write(pki.authority(), pki.issuer.pem())?;
        let (certificate, key) = pki.leaf("client", ExtendedKeyUsagePurpose::ClientAuth)?;
        std::fs::write(pki.client_certificate(), certificate.pem())?;
        std::fs::write(pki.client_key(), key.serialize_pem())?;
        Ok(pki)
    }

    /// A directory that lives as long as this, for more files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.files.path()
    }

    /// For `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.files.path().join("authority.pem")
    }

    /// For `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`.
    #[must_use]
    pub fn client_certificate(&self) -> PathBuf {
        self.files.path().join("client.pem")
    }

    /// For `OTEL_EXPORTER_OTLP_CLIENT_KEY`.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.files.path().join("client.key")
    }

    /// The certificate and the key of a server on loopback, for a program that reads files.
    pub fn server_files(&self) -> io::Result<(PathBuf, PathBuf)> {
        let (certificate, key) = self.leaf("localhost", ExtendedKeyUsagePurpose::ServerAuth)?;
        let path = |name| self.files.path().join(name);
        let (certificate_file, key_file) = (path("server.pem"), path("server.key"));
        std::fs::write(&certificate_file, certificate.pem())?;
        std::fs::write(&key_file, key.serialize_pem())?;
        Ok((certificate_file, key_file))
    }

    fn leaf(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> io::Result<(rcgen::Certificate, KeyPair)> {
        let names = vec![name.to_owned(), Ipv4Addr::LOCALHOST.to_string()];
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok((certificate, key))
    }

    fn server_config(&self, clients: Clients) -> io::Result<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match clients {
            Clients::Anybody => builder.with_no_client_auth(),
            Clients::Known => {
                let mut authorities = RootCertStore::empty();
                authorities.add(self.issuer.der().clone()).map_err(io::Error::other)?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(authorities.into(), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            }
        };
        let (certificate, key) = self.leaf("localhost", ExtendedKeyUsagePurpose::ServerAuth)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Everybody.
    Anybody,
    /// Those with a certificate of the same authority.
    Known,
}

/// A door on loopback that ends TLS and hands the bytes to a plain server. It closes when dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    refused: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TlsFront {
    /// Listens on a free port for clients of `backend`.
    pub fn start(backend: SocketAddr, pki: &TestPki, clients: Clients) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let acceptor = TlsAcceptor::from(Arc::new(pki.server_config(clients)?));
        let refused = Arc::new(AtomicU64::new(0));
        let counted = refused.clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("tls-front".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = serve(listener, backend, acceptor, counted) => {
                        result.expect("the door serves");
                    }
                    // A dropped handle ends it as well as a word from it.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { address, refused, stop: Some(stop), thread: Some(thread) })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The address without a scheme.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many clients came whose handshake failed.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has shown itself already.
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: std::net::TcpListener,
    backend: SocketAddr,
    acceptor: TlsAcceptor,
    refused: Arc<AtomicU64>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let (acceptor, refused) = (acceptor.clone(), refused.clone());
        tokio::spawn(async move {
            let Ok(mut client) = acceptor.accept(client).await else {
                refused.fetch_add(1, Ordering::SeqCst);
                return;
            };
            if let Ok(mut server) = TcpStream::connect(backend).await {
                // Either side may leave when it likes.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
