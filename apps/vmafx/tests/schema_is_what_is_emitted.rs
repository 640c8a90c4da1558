//! Real processes go through what can happen to jobs, and everything they emit is held to the
//! schema: no name is emitted that is not declared, and none is declared that nothing emits.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Instant;

use http::uri::PathAndQuery;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use observability::layers::HttpClientLayer;
use observability::testing::{Emitted, OtlpReceiver, promtool_check};
use observability::{OtelConfig, OtelGuard};
use tower::{Layer as _, ServiceExt as _};

use serde_json::json;
use support::agent::Agent;
use support::{DEADLINE, Fleet, Ran, demo_folder, demo_pair, free_port, long_pair, wait_for};

/// Repeats of the demonstration's clip: enough to be killed or cancelled in the middle.
const LONG: usize = 100;
/// Submissions after which the controller is killed.
const SUBMISSIONS_MAX: usize = 5;

/// Everything is recorded and sent soon.
fn telemetry(receiver: &OtlpReceiver) -> Vec<(&'static str, String)> {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint().as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "200"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// Telemetry of a program of another make.
fn caller(receiver: &OtlpReceiver) -> OtelGuard {
    let variables = telemetry(receiver);
    OtelGuard::start(&OtelConfig::from_env("vmafx-caller", |name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }))
}

/// One HTTP request on loopback and the whole answer.
fn http(port: u16, request_line: &str, body: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let length = body.len();
    let request = format!(
        "{request_line} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: schema-test\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn submitted(ran: &Ran) -> String {
    ran.json()["job_id"].as_str().expect("a job id").to_owned()
}

fn wait_for_job(fleet: &Fleet, job: &str, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
    wait_for(what, DEADLINE, || holds(&fleet.vmafx(&["job", job, "--json"]).json()).then_some(()));
}

fn wait_for_state(fleet: &Fleet, job: &str, state: &str) {
    wait_for_job(fleet, job, &format!("the job is {state}"), |job| job["state"] == state);
}

fn is_being_scored(job: &serde_json::Value) -> bool {
    job["progress"]["frames_done"].as_u64() > Some(0)
}

/// A fleet to whose processes all that can happen happens.
struct Scenario {
    fleet: Fleet,
    roots: String,
    node_http: u16,
}

impl Scenario {
    fn new(receiver: &OtlpReceiver) -> Self {
        // The attempt that waits for its node to start has a trace of its own.
        let fleet = Fleet::new()
            .with_telemetry(&telemetry(receiver))
            .with_setting("VMAFX_TRACE_CUT_OVER", "1ms");
        let roots = format!("{}:{}", demo_folder().display(), fleet.folder().display());
        Self { fleet, roots, node_http: free_port() }
    }

    fn node(&self, name: &str, more: &[(&str, &str)]) -> support::Process {
        let mut variables = vec![("VMAFX_SCORING_ROOTS", self.roots.as_str())];
        variables.extend(more);
        self.fleet.start_node_with(name, &variables)
    }

    fn submit(&self, arguments: &[&str]) -> Ran {
        self.fleet.vmafx(&[&["submit", "--json"], arguments].concat())
    }

    /// A node is killed while it scores; another finishes.
    fn lost_and_retried(&self) -> support::Process {
        // Submitted before there is a node, so that it surely waits.
        let (reference, distorted) = demo_pair();
        let early = submitted(&self.submit(&[&reference, &distorted]));
        let first = self.node("first", &[]);
        wait_for_state(&self.fleet, &early, "succeeded");
        let (reference, distorted) = long_pair(self.fleet.folder(), LONG);
        let job = submitted(&self.submit(&[&reference, &distorted, "--trace"]));
        wait_for_job(&self.fleet, &job, "the first node scores", is_being_scored);
        first.kill_9();
        let listen = format!("127.0.0.1:{}", self.node_http);
        let second = self.node("second", &[("VMAFX_NODE_LISTEN", &listen)]);
        wait_for_state(&self.fleet, &job, "succeeded");
        second
    }

    /// A job that nobody records, told afterwards: its report had come over the work stream.
    fn dropped_and_exported(&self) {
        let (reference, distorted) = demo_pair();
        let mut command = std::process::Command::new(support::binary("vmafx"));
        command
            .args(["submit", &reference, &distorted, "--json", "--wait"])
            .env("VMAFX_CONTROLLER_ADDR", self.fleet.controller_url())
            .env("TRACEPARENT", format!("00-{}-{}-00", "c".repeat(32), "d".repeat(16)));
        let job = submitted(&Ran::of(&mut command));
        assert_eq!(self.fleet.vmafx(&["trace", "export", &job]).code, Some(0));
    }

    /// The controller is killed right after a submission, before it could keep how that commit went;
    /// the next run tells of it all the same.
    fn killed_after_a_submission(&self, mut controller: support::Process) -> support::Process {
        let (reference, distorted) = demo_pair();
        // What else is committed now and then would keep it.
        for _ in 0..SUBMISSIONS_MAX {
            let job = submitted(&self.submit(&[&reference, &distorted]));
            controller.kill_9();
            controller = self.fleet.start_controller();
            assert_eq!(self.fleet.vmafx(&["cancel", &job]).code, Some(0));
            let told = self.fleet.vmafx(&["trace", "export", &job, "--json"]).stdout;
            if told.contains("vmafx.span.end") {
                assert_eq!(self.fleet.vmafx(&["trace", "export", &job]).code, Some(0));
                return controller;
            }
        }
        panic!("how a commit went was always known");
    }

    fn cancelled(&self) {
        let (reference, distorted) = long_pair(self.fleet.folder(), LONG);
        let job = submitted(&self.submit(&[&reference, &distorted]));
        wait_for_job(&self.fleet, &job, "the node scores", is_being_scored);
        assert_eq!(self.fleet.vmafx(&["cancel", &job]).code, Some(0));
        wait_for_state(&self.fleet, &job, "cancelled");
    }

    fn failed_and_retried_by_hand(&self) {
        let (reference, _) = demo_pair();
        let absent = self.fleet.folder().join("absent.y4m");
        let job = submitted(&self.submit(&[&reference, absent.to_str().expect("a UTF-8 path")]));
        wait_for_state(&self.fleet, &job, "failed");
        assert_eq!(self.fleet.vmafx(&["retry", &job]).code, Some(0));
        wait_for_state(&self.fleet, &job, "failed");
    }

    /// A quality is searched for, here and then on the fleet.
    fn tuned(&self) {
        let (reference, _) = demo_pair();
        let journal = self.fleet.folder().join("journal").display().to_string();
        let controller = self.fleet.controller_url();
        let here = [
            "crf",
            &reference,
            "-e",
            "x264",
            "-p",
            "veryfast",
            "-t",
            "80",
            "--journal-dir",
            &journal,
        ];
        let there = [&here[..], &["--controller", &controller]].concat();
        // The second time, it is known.
        for arguments in [&here[..], &here, &there] {
            let ran = self.fleet.program("vmafx-tune", arguments);
            assert_eq!(ran.code, Some(0), "{ran:#?}");
        }
    }

    /// A program that has the search inside and shows its own metrics: gives what it shows.
    fn tuned_inside(&self, receiver: &OtlpReceiver) -> String {
        let guard = caller(receiver);
        let mut media = media::MediaConfig::new(media::SourcePolicy::unrestricted_local());
        media.ffmpeg.program = std::env::var_os("VMAFX_FFMPEG").map(Into::into);
        let env = vmafx_tune::Environment {
            telemetry: guard.telemetry().clone(),
            ..vmafx_tune::Environment::new(scoring::RunConfig::new(media))
        };
        let request = vmafx_tune::TuneRequest::Crf(vmafx_tune::CrfRequest {
            source: demo_pair().0,
            encode: vmafx_tune::EncodeSettings::new(types::Encoder::X264),
            search: vmafx_tune::SearchSettings::new(search::Target::mean(80.0)),
            output: None,
            besides: vmafx_tune::Besides::default(),
        });
        let never = media::Stop::never();
        vmafx_tune::run(&request, &env, &never, &vmafx_tune::Silent).expect("it ends well");
        let text = guard.metrics().render(None).body;
        guard.shutdown();
        text
    }

    /// The faces, asked rightly and wrongly.
    fn asked(&self, job: &str) {
        for arguments in [
            &["explain", job][..],
            &["jobs"],
            &["nodes"],
            &["frames", job],
            &["trace", "export", job],
        ] {
            let ran = self.fleet.vmafx(arguments);
            assert_eq!(ran.code, Some(0), "{ran:#?}");
        }
        let port = self.fleet.http_port();
        let url = format!("http://127.0.0.1:{port}");
        let ran = self.fleet.vmafx(&["sampling", "show", "--url", &url]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        for (request, expected) in [
            ("GET /v1/jobs".to_owned(), "200"),
            (format!("GET /v1/jobs/{job}"), "200"),
            (format!("GET /v1/jobs/{job}/explain"), "200"),
            ("GET /no/such/route".to_owned(), "404"),
            ("GET /healthz".to_owned(), "200"),
        ] {
            assert_eq!(status(&http(port, &request, "")), expected, "{request}");
        }
    }

    /// A caller of another make: over HTTP within spans of its own, with a method nobody knows and
    /// at a port where nobody listens; over gRPC with a method that is not there. Gives what the
    /// caller itself shows at `/metrics`.
    fn called_by_others(&self, receiver: &OtlpReceiver) -> String {
        let guard = caller(receiver);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = Client::builder(TokioExecutor::new()).build_http::<Empty<_>>();
            let client = HttpClientLayer::new(guard.telemetry()).layer(client);
            let (there, nowhere) = (self.fleet.http_port(), free_port());
            for (method, port) in [("BREW", there), ("GET", nowhere)] {
                let request = http::Request::builder()
                    .method(method)
                    .uri(format!("http://127.0.0.1:{port}/v1/jobs"))
                    .body(Empty::<tonic::codegen::Bytes>::new())
                    .expect("a request");
                match client.clone().oneshot(request).await {
                    Ok(answer) => drop(answer.into_body().collect().await.expect("it ends")),
                    Err(_) => assert_eq!(port, nowhere),
                }
            }
            let controller = tonic::transport::Endpoint::from_shared(self.fleet.controller_url());
            let channel = controller.expect("a URL").connect().await.expect("it listens");
            let mut grpc = tonic::client::Grpc::new(channel);
            grpc.ready().await.expect("it is open");
            let path = PathAndQuery::from_static("/vmafx.controller.v1.VmafxController/Brew");
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            let answer = grpc.unary(tonic::Request::new(()), path, codec).await;
            assert_eq!(answer.expect_err("no such method").code(), tonic::Code::Unimplemented);
        });
        let text = guard.metrics().render(None).body;
        guard.shutdown();
        text
    }

    /// Another program keeps the store's write lock for so long that submits are refused.
    fn store_blocked(&self) {
        let store = rusqlite::Connection::open(self.fleet.folder().join("controller.db"));
        let store = store.expect("the controller's store");
        store.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        let (reference, distorted) = demo_pair();
        let body = serde_json::json!({"reference": reference, "distorted": [distorted]});
        let (port, body) = (self.fleet.http_port(), body.to_string());
        std::thread::scope(|scope| {
            let refused = scope.spawn(|| http(port, "POST /v1/jobs", &body));
            // Meanwhile the metrics are there, again and again, for as long as the submit waits.
            let mut scrapes = 0_u32;
            while !refused.is_finished() {
                assert_eq!(status(&http(port, "GET /metrics", "")), "200");
                scrapes += 1;
            }
            let answer = refused.join().expect("no panic");
            assert!(status(&answer).starts_with('5'), "{answer}");
            assert!(scrapes > 1, "the store was not waited for");
        });
        assert_ne!(self.submit(&[&reference, &distorted]).code, Some(0));
        drop(store);
        wait_for("the store works again", DEADLINE, || {
            (self.submit(&[&reference, &distorted]).code == Some(0)).then_some(())
        });
    }

    /// A server with one slot and a line of one: one request holds the slot, one waits in vain, one
    /// is sent away, one waits and is served. Gives what the server shows at `/metrics`.
    fn scored_directly(&self) -> String {
        let variables = [
            ("VMAFX_SCORING_ROOTS", self.roots.as_str()),
            ("VMAFX_MAX_CONCURRENT_SCORES", "1"),
            ("VMAFX_SCORES_WAITING_MAX", "1"),
        ];
        let (server, _, port) = self.fleet.start_server_with(&variables);
        let score = |pair: (String, String), timeout_ms: u64| {
            let (reference, distorted) = pair;
            let body = serde_json::json!({
                "reference": reference,
                "distorted": distorted,
                "timeout_ms": timeout_ms,
            });
            http(port, "POST /v1/score", &body.to_string())
        };
        let long = long_pair(self.fleet.folder(), LONG);
        let health = |what: &str, field: &str| {
            wait_for(what, DEADLINE, || {
                http(port, "GET /v1/health", "").contains(field).then_some(())
            });
        };
        std::thread::scope(|scope| {
            let holds = scope.spawn(|| score(long.clone(), 3_000));
            health("the slot is taken", r#""busy":1"#);
            let vain = scope.spawn(|| score(demo_pair(), 500));
            health("one waits", r#""waiting":1"#);
            assert_eq!(status(&score(demo_pair(), 60_000)), "429");
            assert_eq!(status(&vain.join().expect("no panic")), "504");
            assert_eq!(status(&score(demo_pair(), 60_000)), "200");
            // Done or not: how fast the machine is decides.
            assert!(["200", "504"].contains(&status(&holds.join().expect("no panic"))));
        });
        let scrape = http(port, "GET /metrics", "");
        assert_eq!(server.terminate(), Some(0));
        scrape
    }

    /// An agent asks for everything there is, rightly and wrongly, within a trace of its own and
    /// through a proxy that has another.
    fn asked_by_an_agent(&self, job: &str) -> Agent {
        let agent = Agent::start(&self.fleet, free_port(), &self.roots);
        let traced = |digit: &str| format!("00-{}-{}-01", digit.repeat(32), digit.repeat(16));
        let (own, proxy) = (json!({"traceparent": traced("a")}), traced("b"));
        let (reference, distorted) = demo_pair();
        let score = json!({"reference": reference, "distorted": distorted, "wait_seconds": 60});
        let params = json!({"name": "score", "arguments": score});
        let answer = agent.send("tools/call", params, &own, &[("traceparent", &proxy)]);
        assert_eq!(answer["result"]["structuredContent"]["state"], "succeeded", "{answer}");
        let send = |method, params| agent.send(method, params, &json!({}), &[]);
        let prompt = json!({"name": "diagnose_low_score", "arguments": {"job_id": job}});
        assert!(send("prompts/get", prompt)["result"]["messages"].is_array());
        let models = send("resources/read", json!({"uri": "vmafx://models"}));
        assert!(models["result"]["contents"].is_array(), "{models}");
        let absent = send("resources/read", json!({"uri": "vmafx://nothing"}));
        assert_eq!(absent["error"]["code"], -32602, "{absent}");
        let tune = json!({"source": reference, "target": 90, "wait_seconds": 100});
        let tuned = agent.call("tune", &tune, &json!({}));
        assert_eq!(tuned["structuredContent"]["state"], "succeeded", "{tuned}");
        let refused = agent.call("probe_media", &json!({"path": "/etc/passwd"}), &json!({}));
        assert_eq!(refused["isError"], true, "{refused}");
        agent
    }

    fn scrapes(&self, agent: &Agent) -> [String; 3] {
        let ports = [self.fleet.http_port(), self.node_http, agent.port];
        ports.map(|port| http(port, "GET /metrics", ""))
    }
}

#[test]
fn what_is_emitted_is_declared_and_what_is_declared_is_emitted() {
    let began = Instant::now();
    let receiver = OtlpReceiver::start().expect("a receiver on loopback");
    let scenario = Scenario::new(&receiver);
    let controller = scenario.fleet.start_controller();
    let controller = scenario.killed_after_a_submission(controller);
    let node = scenario.lost_and_retried();
    scenario.dropped_and_exported();
    let (reference, distorted) = demo_pair();
    let ran = scenario.submit(&[&reference, &distorted, "--wait"]);
    let job = submitted(&ran);
    scenario.cancelled();
    scenario.failed_and_retried_by_hand();
    scenario.asked(&job);
    scenario.tuned();
    let tuner = scenario.tuned_inside(&receiver);
    let agent = scenario.asked_by_an_agent(&job);
    let caller = scenario.called_by_others(&receiver);
    scenario.store_blocked();
    let direct = scenario.scored_directly();
    let scrapes = scenario.scrapes(&agent);
    assert_eq!(agent.server.terminate(), Some(0));
    assert_eq!(node.terminate(), Some(0));
    assert_eq!(controller.terminate(), Some(0));
    println!("the scenario took {:?}", began.elapsed());

    let pages = scrapes.iter().chain([&direct]).map(|answer| {
        let (head, page) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200") && !head.contains("chunked"), "{head}");
        page
    });
    // Whatever a program measures: controller, node, agents' server, server, caller, search.
    for page in pages.chain([caller.as_str(), tuner.as_str()]) {
        assert!(page.lines().count() > 20, "{page}");
        promtool_check(page).unwrap_or_else(|said| panic!("promtool: {said}\n{page}"));
    }

    let mut emitted = Emitted::new();
    receiver.spans().iter().for_each(|span| emitted.span(span));
    receiver.metrics_of_all().iter().for_each(|metrics| emitted.metrics(metrics));
    receiver.logs().iter().for_each(|log| emitted.log(log));
    scrapes.iter().chain([&caller, &direct, &tuner]).for_each(|text| emitted.scrape(text));
    let (undeclared, unseen) = (emitted.undeclared(), emitted.unseen());
    assert!(
        undeclared.is_empty() && unseen.is_empty(),
        "emitted and not declared so:\n  {}\ndeclared and never emitted:\n  {}",
        undeclared.join("\n  "),
        unseen.join("\n  ")
    );
    assert!(emitted.exemplars() > 0, "no measurement names its trace");
}
