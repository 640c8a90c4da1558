//! Encrypted export, against real sockets with certificates of a private authority.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{PROTOCOLS, SOON, address, config, logged, record};
use observability::OtelGuard;
use observability::metrics::{DropReason, Signal};
use observability::testing::{Clients, OtlpReceiver, TestPki, TlsFront};

const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// A collector behind TLS.
struct Collector {
    receiver: OtlpReceiver,
    front: TlsFront,
    pki: TestPki,
}

impl Collector {
    fn start(protocol: &str, clients: Clients) -> Self {
        let receiver = OtlpReceiver::start().expect("a port");
        let pki = TestPki::new().expect("keys");
        let front = TlsFront::start(address(&receiver, protocol), &pki, clients).expect("a port");
        Self { receiver, front, pki }
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("text")
}

/// Exports one span and one push of metrics to `endpoint`; says whether they arrived, and checks
/// that what did not is counted.
fn exports(
    collector: &Collector,
    endpoint: &str,
    protocol: &str,
    files: &[(&str, PathBuf)],
) -> bool {
    let files: Vec<_> = files.iter().map(|(name, path)| (*name, text(path.clone()))).collect();
    let files: Vec<_> = files.iter().map(|(name, path)| (*name, path.as_str())).collect();
    let guard = OtelGuard::start(&config(endpoint, protocol, &files));
    let telemetry = guard.metrics().telemetry().clone();
    guard.tracer().emit_span(record("encrypted"));
    guard.flush(SOON);
    let arrived = collector.receiver.spans().len();
    let exported = telemetry.exported_total(Signal::Traces);
    let dropped = telemetry.dropped_total(Signal::Traces, DropReason::ExportFailed);
    assert_eq!((exported, dropped), (arrived as u64, 1 - arrived as u64), "{protocol}");
    guard.shutdown();
    assert_eq!(collector.receiver.metrics().is_empty(), arrived == 0, "{protocol}");
    arrived == 1
}

#[test]
fn whom_the_authority_vouches_for_is_talked_to_by_both_protocols() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Anybody);
        let authority = [(CERTIFICATE, collector.pki.authority())];
        assert!(exports(&collector, &collector.front.endpoint(), protocol, &authority));
        let named = Collector::start(protocol, Clients::Anybody);
        let endpoint = format!("https://localhost:{}", named.front.address().port());
        assert!(exports(&named, &endpoint, protocol, &[(CERTIFICATE, named.pki.authority())]));
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_encrypted_when_certificates_are_named() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Anybody);
        let authority = [(CERTIFICATE, collector.pki.authority())];
        let endpoint = collector.front.address().to_string();
        assert!(exports(&collector, &endpoint, protocol, &authority));
    }
}

#[test]
fn whom_nobody_vouches_for_gets_nothing() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Anybody);
        let stranger = TestPki::new().expect("keys");
        let authority = [(CERTIFICATE, stranger.authority())];
        assert!(!exports(&collector, &collector.front.endpoint(), protocol, &authority));
        assert!(collector.front.refused() > 0, "{protocol}");
        assert_eq!(collector.receiver.requests(), 0, "{protocol}");
    }
}

#[test]
fn a_private_authority_is_not_among_the_systems() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Anybody);
        let guard = OtelGuard::start(&config(&collector.front.endpoint(), protocol, &[]));
        guard.tracer().emit_span(record("meant for somebody else"));
        guard.flush(SOON);
        guard.shutdown();
        assert_eq!(collector.receiver.requests(), 0, "{protocol}");
    }
}

#[test]
fn a_client_certificate_opens_a_door_that_is_closed_without() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Known);
        let endpoint = collector.front.endpoint();
        let authority = (CERTIFICATE, collector.pki.authority());
        assert!(!exports(&collector, &endpoint, protocol, std::slice::from_ref(&authority)));
        let refused = collector.front.refused();
        assert!(refused > 0, "{protocol}");
        let stranger = TestPki::new().expect("keys");
        let of_stranger = [
            authority.clone(),
            (CLIENT_CERTIFICATE, stranger.client_certificate()),
            (CLIENT_KEY, stranger.client_key()),
        ];
        assert!(!exports(&collector, &endpoint, protocol, &of_stranger));
        assert!(collector.front.refused() > refused, "{protocol}");
        let own = [
            authority,
            (CLIENT_CERTIFICATE, collector.pki.client_certificate()),
            (CLIENT_KEY, collector.pki.client_key()),
        ];
        assert!(exports(&collector, &endpoint, protocol, &own));
    }
}

#[test]
fn each_signal_has_certificates_of_its_own() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Anybody);
        let (right, wrong) =
            (text(collector.pki.authority()), text(TestPki::new().expect("keys").authority()));
        // The wrong file is gone by now, so only the metrics' own keeps them going.
        let files =
            [(CERTIFICATE, wrong.as_str()), ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", &right)];
        let config = config(&collector.front.endpoint(), protocol, &files);
        let lines = logged(|| {
            let guard = OtelGuard::start(&config);
            assert!(!guard.tracer().is_enabled());
            guard.shutdown();
        });
        assert!(!collector.receiver.metrics().is_empty(), "{protocol}");
        assert_eq!(collector.receiver.spans().len(), 0, "{protocol}");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("traces") && !lines[0].contains("metrics"), "{}", lines[0]);
    }
}

#[test]
fn files_that_cannot_be_used_stop_the_signal_with_one_warning_and_nothing_goes_in_plain() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Anybody);
        let other = TestPki::new().expect("keys");
        let directory = collector.pki.directory();
        let (text_file, empty) = (directory.join("text"), directory.join("empty"));
        let broken = directory.join("broken");
        fs::write(&text_file, "no certificate\n").expect("written");
        fs::write(&empty, "").expect("written");
        fs::write(
            &broken,
            "-----BEGIN CERTIFICATE-----\nbm90IERFUg==\n-----END CERTIFICATE-----\n",
        )
        .expect("written");
        let authority = collector.pki.authority();
        let cases: Vec<(&str, Vec<(&str, PathBuf)>)> = vec![
            ("cannot be read", vec![(CERTIFICATE, directory.join("missing"))]),
            ("cannot be read", vec![(CERTIFICATE, directory.to_owned())]),
            ("holds no certificate", vec![(CERTIFICATE, text_file.clone())]),
            ("holds no certificate", vec![(CERTIFICATE, empty)]),
            ("cannot be used", vec![(CERTIFICATE, broken)]),
            (
                "only the certificate is named",
                vec![
                    (CERTIFICATE, authority.clone()),
                    (CLIENT_CERTIFICATE, collector.pki.client_certificate()),
                ],
            ),
            (
                "only the key is named",
                vec![(CERTIFICATE, authority.clone()), (CLIENT_KEY, collector.pki.client_key())],
            ),
            (
                "not a PEM file of a key",
                vec![
                    (CERTIFICATE, authority.clone()),
                    (CLIENT_CERTIFICATE, collector.pki.client_certificate()),
                    (CLIENT_KEY, text_file),
                ],
            ),
            (
                "cannot be used together",
                vec![
                    (CERTIFICATE, authority),
                    (CLIENT_CERTIFICATE, collector.pki.client_certificate()),
                    (CLIENT_KEY, other.client_key()),
                ],
            ),
        ];
        for (complaint, files) in cases {
            let files: Vec<_> = files.into_iter().map(|(name, path)| (name, text(path))).collect();
            let files: Vec<_> = files.iter().map(|(name, path)| (*name, path.as_str())).collect();
            let config = config(&collector.front.endpoint(), protocol, &files);
            let lines = logged(|| {
                let guard = OtelGuard::start(&config);
                guard.tracer().span("kept here").force().start().end();
                guard.shutdown();
            });
            assert_eq!(lines.len(), 1, "{complaint}: {lines:?}");
            assert!(lines[0].contains("WARN") && lines[0].contains(complaint), "{}", lines[0]);
            assert!(lines[0].contains("traces, metrics"), "{}", lines[0]);
        }
        assert_eq!(collector.receiver.requests(), 0, "{protocol}");
        assert_eq!(collector.front.refused(), 0, "{protocol}: not even connected to");
    }
}

#[test]
fn renewed_certificates_are_taken_up_without_a_restart() {
    for protocol in PROTOCOLS {
        let collector = Collector::start(protocol, Clients::Anybody);
        let stranger = TestPki::new().expect("keys");
        let file = collector.pki.directory().join("mounted.pem");
        fs::copy(stranger.authority(), &file).expect("copied");
        let files = [(CERTIFICATE, file.to_str().expect("text"))];
        let guard = OtelGuard::start(&config(&collector.front.endpoint(), protocol, &files));
        guard.tracer().emit_span(record("before"));
        guard.flush(SOON);
        assert_eq!(collector.receiver.spans().len(), 0, "{protocol}");
        fs::copy(collector.pki.authority(), &file).expect("copied");
        // The failure that shows that the file is needed may still be this one.
        for _ in 0..2 {
            guard.tracer().emit_span(record("after"));
            guard.flush(SOON);
        }
        assert!(!collector.receiver.spans().is_empty(), "{protocol}");
        guard.shutdown();
    }
}
