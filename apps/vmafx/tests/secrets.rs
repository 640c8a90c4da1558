//! Nothing secret in what our programs say of themselves: with every library at its most talkative,
//! no token, right or wrong, stands in a line of a log, on a span, in a log record or among the
//! metrics of any program that was shown it.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use http::uri::PathAndQuery;
use observability::testing::OtlpReceiver;
use support::{DEADLINE, Fleet, demo_pair, free_port, is_listening, wait_for};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

/// The libraries that see headers are held back unless the filter names them.
const LOG: &str = "trace,h2=trace,hyper=trace,hyper_util=trace,tonic=trace,tower=trace,axum=trace,\
                   tower_http=trace,tokio_util=trace";

const RIGHT: &str = "r1ght-0a1b2c3d4e5f60718293a4b5";
const WRONG: &str = "wr0ng-0a1b2c3d4e5f60718293a4b5";

/// The status of one HTTP request, with these more lines in its head.
fn http_status(port: u16, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(!answer.contains(RIGHT) && !answer.contains(WRONG), "{answer}");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// How a gRPC call without a message ends that shows this as its `authorization`.
async fn grpc_code(port: u16, method: &'static str, authorization: &str) -> Code {
    let url = format!("http://127.0.0.1:{port}");
    let endpoint = tonic::transport::Endpoint::from_shared(url).expect("a URL");
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.expect("it listens"));
    grpc.ready().await.expect("it is open");
    let mut request = Request::new(());
    let value: MetadataValue<_> = authorization.parse().expect("text");
    request.metadata_mut().insert("authorization", value);
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let answer = grpc.unary(request, PathAndQuery::from_static(method), codec).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Shows the tokens at both faces, in every place where callers put them.
fn show_tokens(grpc: u16, http: u16, method: &'static str, route: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (token, code, status) in [(RIGHT, Code::Ok, "200"), (WRONG, Code::Unauthenticated, "401")] {
        let bearer = format!("Bearer {token}");
        assert_eq!(runtime.block_on(grpc_code(grpc, method, &bearer)), code, "{method}");
        let basic = runtime.block_on(grpc_code(grpc, method, &format!("Basic {token}")));
        assert_eq!(basic, Code::Unauthenticated, "{method}");
        let header = format!("Authorization: {bearer}\r\n");
        assert_eq!(http_status(http, route, &header), status, "{route}");
        let in_query = format!("{route}?token={token}&access_token={token}");
        assert_eq!(http_status(http, &in_query, ""), "401", "{route}");
        let other_header = format!("X-Api-Key: {token}\r\nCookie: token={token}\r\n");
        assert_eq!(http_status(http, route, &other_header), "401", "{route}");
    }
    // Admitted, and then refused for a parameter that nobody knows.
    let header = format!("Authorization: Bearer {RIGHT}\r\n");
    assert_eq!(http_status(http, &format!("{route}?token={RIGHT}"), &header), "400", "{route}");
}

#[track_caller]
fn assert_no_token(who: &str, said: &str) {
    for token in [RIGHT, WRONG] {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(token)).collect();
        assert!(lines.is_empty(), "{who}: {} lines, such as {}", lines.len(), lines[0]);
    }
}

#[test]
fn no_token_is_in_anything_that_a_program_says() {
    let receiver = OtlpReceiver::start().expect("a port");
    let telemetry = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint().as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("VMAFX_TRACES_MAX_SPANS_PER_SECOND", "off"),
        ("VMAFX_LOG", LOG),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let fleet = Fleet::new().with_telemetry(&telemetry);
    let file = fleet.folder().join("token");
    std::fs::write(&file, format!("{RIGHT}\n")).expect("written");
    let wrong_file = fleet.folder().join("wrong-token");
    std::fs::write(&wrong_file, format!("{WRONG}\n")).expect("written");
    let [file, wrong_file] = [&file, &wrong_file].map(|path| path.to_str().expect("UTF-8"));
    let fleet = fleet.with_setting("VMAFX_TOKEN_FILE", file);

    let controller = fleet.start_controller();
    let node_port = free_port();
    let listen = format!("127.0.0.1:{node_port}");
    let with_token = [("VMAFX_NODE_LISTEN", listen.as_str()), ("VMAFX_TOKEN", RIGHT)];
    let node = fleet.start_node_with("a", &with_token);
    let stranger = fleet.start_node_with("stranger", &[("VMAFX_TOKEN", WRONG)]);
    let method = "/vmafx.controller.v1.VmafxController/ListJobs";
    show_tokens(fleet.grpc_port(), fleet.http_port(), method, "/v1/jobs");
    let (server, grpc, http) = fleet.start_server_with(&[("VMAFX_TOKEN_FILE", file)]);
    show_tokens(grpc, http, "/vmafx.v1.VmafxScoring/Health", "/v1/health");

    let mcp_port = free_port();
    let of_mcp = [
        ("VMAFX_MCP_TRANSPORT", "http".to_owned()),
        ("VMAFX_MCP_LISTEN", format!("127.0.0.1:{mcp_port}")),
        ("VMAFX_TOKEN_FILE", file.to_owned()),
    ];
    let mcp = fleet.start_program("vmafx-mcp", &of_mcp);
    wait_for("the agents' server listens", DEADLINE, || is_listening(mcp_port).then_some(()));
    for (token, status) in [(RIGHT, "200"), (WRONG, "401")] {
        let header = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(http_status(mcp_port, "/metrics", &header), status);
        assert_eq!(http_status(mcp_port, &format!("/mcp?token={token}"), ""), "401");
    }

    // Our own callers.
    let (reference, distorted) = demo_pair();
    let scored = ["submit", "--wait", &reference, &distorted, "--token-file", file];
    let refused = ["jobs", "--token-file", wrong_file];
    let ran = [fleet.vmafx(&scored), fleet.vmafx(&refused)];
    assert_eq!(ran[0].code, Some(0), "{:#?}", ran[0]);
    assert_ne!(ran[1].code, Some(0), "{:#?}", ran[1]);
    for ran in &ran {
        assert_no_token("vmafx", &format!("{}{}", ran.stdout, ran.stderr));
    }
    wait_for("the stranger was refused", DEADLINE, || {
        stranger.output().contains("asks for a token").then_some(())
    });
    wait_for("the node listens", DEADLINE, || is_listening(node_port).then_some(()));
    let header = format!("Authorization: Bearer {RIGHT}\r\n");
    for port in [fleet.http_port(), http, mcp_port, node_port] {
        assert_eq!(http_status(port, "/metrics", &header), "200");
    }

    // What each says at least. Of HTTP/1 alone, no library says anything at that level.
    let trace = "\"level\":\"TRACE\"";
    for (process, word) in [
        (stranger, trace),
        (node, trace),
        (mcp, "\"http request\""),
        (server, trace),
        (controller, trace),
    ] {
        let (name, log) = process.end();
        assert!(log.contains(word), "{name} was not talkative");
        assert_no_token(&name, &log);
    }
    let (spans, records) = (receiver.spans(), receiver.logs());
    assert!(!spans.is_empty() && !records.is_empty(), "{} {}", spans.len(), records.len());
    assert_no_token("spans", &format!("{spans:#?}"));
    assert_no_token("records", &format!("{records:#?}"));
    assert_no_token("metrics", &format!("{:#?}", receiver.metrics_of_all()));
}
