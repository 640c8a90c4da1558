//! What the tests of export share.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use observability::testing::OtlpReceiver;
use observability::{OtelConfig, SpanKind, SpanRecord, new_span_id, new_trace_id};
use types::{Timestamp, TraceContext, TraceFlags};

/// More than anything here takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Both transports, by the word for `OTEL_EXPORTER_OTLP_PROTOCOL`.
pub const PROTOCOLS: [&str; 2] = ["http/protobuf", "grpc"];

pub fn endpoint(receiver: &OtlpReceiver, protocol: &str) -> String {
    if protocol == "grpc" { receiver.grpc_endpoint() } else { receiver.http_endpoint() }
}

pub fn address(receiver: &OtlpReceiver, protocol: &str) -> SocketAddr {
    if protocol == "grpc" { receiver.grpc_address() } else { receiver.http_address() }
}

/// What these variables configure, with every trace recorded.
pub fn config(endpoint: &str, protocol: &str, more: &[(&str, &str)]) -> OtelConfig {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
    ];
    let config = OtelConfig::from_env("vmafx-test", |name| {
        let found = more.iter().chain(&variables).find(|(have, _)| *have == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    config
}

pub fn record(name: &'static str) -> SpanRecord {
    let context = TraceContext {
        trace_id: new_trace_id(),
        span_id: new_span_id(),
        flags: TraceFlags::SAMPLED,
        tracestate: String::new(),
    };
    SpanRecord::new(context, SpanKind::Internal, name, Timestamp::EPOCH, Timestamp::EPOCH)
}

/// A writer that keeps what is written.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything logged at any level, by anybody, while `act` runs on this thread and on the
/// exporting thread that starts under it.
pub fn logged(act: impl FnOnce()) -> Vec<String> {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, act);
    captured.lines()
}

/// One connection through a [`Relay`].
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Bytes are taken and go nowhere.
    is_dead: Arc<AtomicBool>,
}

/// A server whose network can fail in two ways.
pub struct Relay {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

impl Relay {
    /// Listens on a free port for clients of `backend`, until the program ends.
    pub fn start(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let is_cut = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (cut, open) = (is_cut.clone(), connections.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(backend).expect("the backend");
                let is_dead = Arc::new(AtomicBool::new(false));
                carry(&client, &server, &is_dead);
                carry(&server, &client, &is_dead);
                open.lock().expect("not poisoned").push(Connection { client, server, is_dead });
            }
        });
        Self { address, is_cut, connections }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and whatever comes, until mended.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for connection in self.connections.lock().expect("not poisoned").drain(..) {
            // It may have ended by itself.
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.server.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }

    /// Lets what is connected now fall silent without an end, as when a host loses its power. New
    /// connections work.
    pub fn silence_connections(&self) {
        for connection in self.connections.lock().expect("not poisoned").iter() {
            connection.is_dead.store(true, Ordering::SeqCst);
        }
    }
}

/// Carries bytes one way until either side ends.
fn carry(from: &TcpStream, to: &TcpStream, is_dead: &Arc<AtomicBool>) {
    let (mut from, mut to) =
        (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
    let is_dead = is_dead.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 4_096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if !is_dead.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        if !is_dead.load(Ordering::SeqCst) {
            // The other side may have ended already.
            let _ = to.shutdown(Shutdown::Both);
        }
    });
}
