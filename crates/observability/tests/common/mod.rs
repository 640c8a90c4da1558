//! What the tests of export share.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::io;
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

/// A server whose network can be cut: while it is, connections end, old and new ones.
pub struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    /// Listens on a free port for clients of `backend`, until the program ends.
    pub fn start(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let cut = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (is_cut, open) = (cut.clone(), connections.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(backend).expect("the backend");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let mut from = from.try_clone().expect("a handle");
                    let mut to = to.try_clone().expect("a handle");
                    std::thread::spawn(move || {
                        // It ends when either side does.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                open.lock().expect("not poisoned").extend([client, server]);
            }
        });
        Self { address, cut, connections }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and whatever comes.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for connection in self.connections.lock().expect("not poisoned").drain(..) {
            // It may have ended by itself.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}
