//! The Kubernetes manifests: valid by the schemas of Kubernetes, and true of our programs, whose
//! flags, variables, ports and probes they name.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use observability::SHUTDOWN_BUDGET;
use serde_json::Value;
use support::manifests::{Container, FORMS, build, folder, list, objects, of_kind};
use support::otelcol::{http_get, shipped_folder};
use support::{DEADLINE, Fleet, Ran, asset, free_port, wait_for};

/// The oldest version of Kubernetes that the manifests are for, and the newest known.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.29.0", "1.37.0"];

fn kubeconform(version: &str, files: &[&Path]) -> Ran {
    let program = asset("VMAFX_TEST_KUBECONFORM", "go-bin/kubeconform-v0.8.0/kubeconform");
    let schemas = asset("VMAFX_TEST_KUBERNETES_SCHEMAS", "kubernetes-schemas");
    let mut command = Command::new(program);
    command
        .args(["-strict", "-summary", "-output", "json", "-kubernetes-version", version])
        .arg("-schema-location")
        .arg(schemas)
        .args(files);
    Ran::of(&mut command)
}

#[test]
fn every_form_is_valid_by_the_schemas_of_kubernetes() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let mut count = 0;
    for form in FORMS {
        std::fs::write(temporary.path().join(format!("{form}.yaml")), build(form))
            .expect("written");
        count += objects(form).len();
    }
    for version in KUBERNETES_VERSIONS {
        let ran = kubeconform(version, &[temporary.path()]);
        assert_eq!(ran.code, Some(0), "{version}: {ran:#?}");
        let summary = &ran.json()["summary"];
        assert_eq!(summary["valid"].as_u64(), Some(count as u64), "{version}: {summary}");
        assert_eq!(summary["skipped"], 0, "{version}: {summary}");
    }
}

#[test]
fn a_field_that_kubernetes_does_not_know_is_refused() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let path = temporary.path().join("wrong.yaml");
    let wrong = build("base").replace("livenessProbe:", "liveProbe:");
    std::fs::write(&path, wrong).expect("written");
    let ran = kubeconform(KUBERNETES_VERSIONS[1], &[&path]);
    assert!(ran.code != Some(0) && ran.stdout.contains("liveProbe"), "{ran:#?}");
}

#[test]
fn no_manifest_is_left_out() {
    for form in FORMS {
        let kustomization = folder().join(form).join("kustomization.yaml");
        let named = std::fs::read_to_string(kustomization).expect("it is there");
        for entry in std::fs::read_dir(folder().join(form)).expect("it is there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(
                name == "kustomization.yaml" || named.contains(&name),
                "{form}/{name} is in no kustomization"
            );
        }
    }
}

/// The variables that a program's flags know, with the flag.
fn flags<Args: CommandFactory>() -> BTreeMap<String, String> {
    let command = Args::command();
    let flag = |arg: &clap::Arg| {
        Some((arg.get_env()?.to_str()?.to_owned(), format!("--{}", arg.get_long()?)))
    };
    command.get_arguments().filter_map(flag).collect()
}

/// The variables of telemetry, by the guide's table.
fn guide_knows(name: &str) -> bool {
    let guide =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/development/observability.md");
    std::fs::read_to_string(guide).expect("the guide").contains(&format!("`{name}`"))
}

/// Variables that a Collector's configuration names; `true` where it gives no default.
fn variables_of(config: &str) -> BTreeMap<String, bool> {
    let text = std::fs::read_to_string(shipped_folder().join(config)).expect("it is there");
    let mut found: BTreeMap<String, bool> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("node_from_env_var: "))
        .map(|name| (name.to_owned(), true))
        .collect();
    for part in text.split("${env:").skip(1) {
        let inner = part.split('}').next().expect("split gives one");
        let (name, has_default) =
            inner.split_once(":-").map_or((inner, false), |(name, _)| (name, true));
        found.insert(name.to_owned(), !has_default);
    }
    found
}

/// The shipped configuration that a Collector's container mounts.
fn config_of(container: &Container) -> String {
    let map = list(&container.pod["volumes"])
        .iter()
        .find_map(|volume| volume["configMap"]["name"].as_str())
        .expect("a configuration");
    let form = map.trim_start_matches("vmafx-collector-").split('-').next().expect("a form");
    match form {
        "gateway" => "gateway-tail-sampling.yaml".to_owned(),
        _ => format!("{form}.yaml"),
    }
}

fn check_variables(container: &Container, known: impl Fn(&str) -> bool) {
    let environment = container.environment();
    let mut seen = BTreeSet::new();
    for (name, value) in &environment {
        let is_used = environment
            .iter()
            .any(|(_, value)| value.is_some_and(|value| value.contains(&format!("$({name})"))));
        assert!(known(name) || is_used, "{}: nothing reads {name}", container.name);
        for referred in value.unwrap_or_default().split("$(").skip(1) {
            let referred = referred.split(')').next().expect("split gives one");
            assert!(seen.contains(referred), "{}: {referred} comes too late", container.name);
        }
        assert!(seen.insert(*name), "{}: {name} is there twice", container.name);
    }
}

#[test]
fn every_variable_is_one_that_its_program_reads() {
    let controller = flags::<vmafx_controller::Args>();
    let node = flags::<vmafx_node::Args>();
    let server = flags::<vmafx_server::Args>();
    for form in FORMS {
        let objects = objects(form);
        for container in Container::all(&objects) {
            let telemetry = |name: &str| guide_knows(name);
            match container.image() {
                "vmafx-controller" => check_variables(&container, |name| {
                    controller.contains_key(name) || telemetry(name)
                }),
                "vmafx-node" => {
                    check_variables(&container, |name| node.contains_key(name) || telemetry(name));
                }
                "vmafx-server" => {
                    check_variables(&container, |name| {
                        server.contains_key(name) || telemetry(name)
                    });
                }
                "otel/opentelemetry-collector-contrib" => {
                    let named = variables_of(&config_of(&container));
                    check_variables(&container, |name| {
                        name == "GOMEMLIMIT" || named.contains_key(name)
                    });
                    for (name, _) in named.iter().filter(|(_, is_needed)| **is_needed) {
                        let is_set = container.environment().iter().any(|(key, _)| key == name);
                        assert!(is_set, "{form}, {}: {name} is not set", container.name);
                    }
                }
                other => panic!("{}: an image of nobody: {other}", container.name),
            }
        }
    }
}

/// The flags that a container's plain variables amount to.
fn parsed<Args: Parser>(container: &Container) -> Args {
    let flags = flags::<Args>();
    let mut words = vec!["program".to_owned()];
    for (name, value) in container.environment() {
        let (Some(flag), Some(value)) = (flags.get(name), value) else { continue };
        match value {
            "true" => words.push(flag.clone()),
            _ => words.push(format!("{flag}={value}")),
        }
    }
    assert!(words.len() > 3, "{}: {words:?}", container.name);
    Args::try_parse_from(words).unwrap_or_else(|error| panic!("{}: {error}", container.name))
}

fn find(form: &str, image: &str) -> Container {
    let all = Container::all(&objects(form)).into_iter();
    all.into_iter().find(|container| container.image() == image).expect("it is there")
}

fn grace(container: &Container) -> Duration {
    Duration::from_secs(
        container.pod["terminationGracePeriodSeconds"].as_u64().expect("a grace period"),
    )
}

#[test]
fn the_controller_takes_its_settings_and_ends_within_its_grace() {
    for form in FORMS {
        let container = find(form, "vmafx-controller");
        let config = vmafx_controller::Config::from(parsed::<vmafx_controller::Args>(&container));
        config.check().expect("allowed");
        let ports = container.ports();
        assert_eq!(ports["grpc"], u64::from(config.grpc_listen.port()), "{form}");
        assert_eq!(ports["http"], u64::from(config.http_listen.port()), "{form}");
        assert!(!config.grpc_listen.ip().is_loopback() && config.token_file.is_some());
        assert!(grace(&container) > config.shutdown_grace + SHUTDOWN_BUDGET, "{form}");
    }
}

#[test]
fn the_server_takes_its_settings_and_ends_within_its_grace() {
    for form in FORMS {
        let container = find(form, "vmafx-server");
        let config = vmafx_server::Config::from(parsed::<vmafx_server::Args>(&container));
        config.check().expect("allowed");
        let ports = container.ports();
        assert_eq!(ports["grpc"], u64::from(config.grpc_listen.port()), "{form}");
        assert_eq!(ports["http"], u64::from(config.http_listen.port()), "{form}");
        assert!(!config.grpc_listen.ip().is_loopback() && config.token_file.is_some());
        assert!(grace(&container) > config.shutdown_grace + SHUTDOWN_BUDGET, "{form}");
    }
}

#[test]
fn the_node_takes_its_settings_and_drains_within_its_grace() {
    for form in FORMS {
        let container = find(form, "vmafx-node");
        let args: vmafx_node::Args = parsed(&container);
        let drain = args.drain_grace;
        let config = vmafx_node::Config::from(args);
        config.check().expect("allowed");
        let listen = config.listen.expect("it serves its metrics");
        assert_eq!(container.ports()["http"], u64::from(listen.port()), "{form}");
        assert!(grace(&container) > drain + SHUTDOWN_BUDGET, "{form}");
        let service = of_kind(&objects(form), "Service")
            .into_iter()
            .find(|service| service["metadata"]["name"] == "vmafx-controller")
            .expect("the controller's service")
            .clone();
        let grpc = list(&service["spec"]["ports"])
            .iter()
            .find(|port| port["name"] == "grpc")
            .expect("a port");
        let expected = format!("http://vmafx-controller:{}", grpc["port"]);
        assert_eq!(config.controller, expected, "{form}");
    }
}

#[test]
fn the_programs_answer_the_probes_without_a_token() {
    let token = "a-token-of-some-length";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, token).expect("written");
    let fleet =
        Fleet::new().with_setting("VMAFX_TOKEN_FILE", token_file.to_str().expect("a UTF-8 path"));
    let _controller = fleet.start_controller();
    let node_port = free_port();
    let listen = format!("127.0.0.1:{node_port}");
    let _node =
        fleet.start_node_with("a", &[("VMAFX_NODE_LISTEN", &listen), ("VMAFX_TOKEN", token)]);
    let tokens = [("VMAFX_TOKEN_FILE", token_file.to_str().expect("a UTF-8 path"))];
    let (_server, _, server_port) = fleet.start_server_with(&tokens);
    for (image, port) in [
        ("vmafx-controller", fleet.http_port()),
        ("vmafx-node", node_port),
        ("vmafx-server", server_port),
    ] {
        let container = find("base", image);
        let probes = container.probes();
        assert_eq!(probes.len(), 3, "{probes:?}");
        for (path, number) in probes {
            assert_eq!(number, container.ports()["http"], "{image}");
            wait_for(&format!("{image} answers {path}"), DEADLINE, || {
                http_get(port, &path, "*/*")?.starts_with("HTTP/1.1 200").then_some(())
            });
        }
    }
    for (port, path) in [(fleet.http_port(), "/v1/jobs"), (server_port, "/v1/health")] {
        let refused = http_get(port, path, "*/*").expect("an answer");
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    }
}

/// What a container says of where it runs, by attribute: the field that Kubernetes fills in.
fn attributes_of_place(container: &Container) -> BTreeMap<String, String> {
    let attributes = container.value("OTEL_RESOURCE_ATTRIBUTES").expect("attributes");
    let field = |variable: &str| {
        let listed = list(&container.container["env"]).iter();
        let found = listed.clone().find(|listed| listed["name"] == variable);
        let path = found.and_then(|found| found["valueFrom"]["fieldRef"]["fieldPath"].as_str());
        path.unwrap_or_else(|| panic!("{}: no field for {variable}", container.name)).to_owned()
    };
    let pairs = attributes.split(',').filter_map(|pair| pair.split_once("=$("));
    pairs
        .filter_map(|(key, value)| Some((key.to_owned(), field(value.strip_suffix(')')?))))
        .collect()
}

#[test]
fn every_program_says_where_it_runs_and_is_probed() {
    for form in FORMS {
        for container in Container::all(&objects(form)) {
            let name = format!("{form}, {}", container.name);
            let probes = container.probes().len();
            if container.image().contains("collector") {
                // One that starts together with others holds up nobody until it is ready.
                assert!(container.container["livenessProbe"].is_object() && probes >= 2, "{name}");
                continue;
            }
            assert_eq!(probes, 3, "{name}");
            let place = attributes_of_place(&container);
            for (attribute, field) in [
                ("k8s.namespace.name", "metadata.namespace"),
                ("k8s.pod.name", "metadata.name"),
                ("k8s.pod.uid", "metadata.uid"),
                ("k8s.node.name", "spec.nodeName"),
            ] {
                assert_eq!(place.get(attribute).map(String::as_str), Some(field), "{name}");
            }
        }
    }
}

#[test]
fn every_pipeline_of_a_collector_bounds_its_memory_first_and_sends_in_batches() {
    let mut pipelines = 0;
    for entry in std::fs::read_dir(shipped_folder()).expect("it is there").flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let Ok(config) = serde_saphyr::from_str::<Value>(&text) else { continue };
        let Some(of_file) = config["service"]["pipelines"].as_object() else { continue };
        // What is laid over another configuration adds exporters to the pipelines of that.
        if config["receivers"].is_null() {
            continue;
        }
        for (name, pipeline) in of_file {
            let name = format!("{}, {name}", entry.path().display());
            let processors = list(&pipeline["processors"]);
            assert_eq!(processors.first(), Some(&Value::from("memory_limiter")), "{name}");
            assert!(config["processors"]["memory_limiter"].is_object(), "{name}");
            // What goes to another pipeline of the same process needs no batch; whatever leaves does.
            let stays = |exporter: &Value| {
                exporter.as_str().is_some_and(|exporter| !config["connectors"][exporter].is_null())
            };
            if !list(&pipeline["exporters"]).iter().all(stays) {
                assert_eq!(processors.last(), Some(&Value::from("batch")), "{name}");
            }
            pipelines += 1;
        }
    }
    assert!(pipelines >= 3 * 4, "{pipelines} pipelines");
}

#[test]
fn what_a_collector_listens_on_is_what_is_sent_to() {
    for form in &FORMS[1..] {
        let objects = objects(form);
        let containers = Container::all(&objects);
        let collector = containers
            .iter()
            .find(|container| container.image().contains("collector"))
            .expect("a Collector");
        let config = shipped_folder().join(config_of(collector));
        let config = std::fs::read_to_string(config).expect("it is there");
        let listens = |port: u64| config.contains(&format!("_PORT:-{port}}}"));
        for (name, port) in collector.ports() {
            assert!(listens(port), "{form}: nothing listens on {name}, {port}");
        }
        for (path, port) in collector.probes() {
            assert!(path == "/" && config.contains(&format!("HEALTH_PORT:-{port}}}")), "{form}");
        }
        for image in ["vmafx-controller", "vmafx-node", "vmafx-server"] {
            let sender = find(form, image);
            let endpoint = sender.value("OTEL_EXPORTER_OTLP_ENDPOINT").expect("an endpoint");
            let (host, port) =
                endpoint.trim_start_matches("http://").split_once(':').expect("a port");
            let expected = match sender.value("OTEL_EXPORTER_OTLP_PROTOCOL") {
                Some("grpc") => "OTLP_GRPC_PORT",
                _ => "OTLP_HTTP_PORT",
            };
            assert!(config.contains(&format!("{expected}:-{port}}}")), "{form}: {endpoint}");
            let is_served = host == "127.0.0.1" && sender.pod["initContainers"].is_array()
                || of_kind(&objects, "Service").iter().any(|service| {
                    service["metadata"]["name"] == host
                        && list(&service["spec"]["ports"])
                            .iter()
                            .any(|listed| listed["port"].as_u64() == port.parse().ok())
                });
            assert!(is_served, "{form}: nobody serves {endpoint}");
        }
    }
}

#[test]
fn no_container_can_write_its_root_or_gain_privileges() {
    for form in FORMS {
        for container in Container::all(&objects(form)) {
            let name = format!("{form}, {}", container.name);
            let security = &container.container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(list(&security["capabilities"]["drop"]), ["ALL"], "{name}");
            assert_eq!(container.pod["securityContext"]["runAsNonRoot"], true, "{name}");
            let seccomp = &container.pod["securityContext"]["seccompProfile"]["type"];
            assert_eq!(seccomp, "RuntimeDefault", "{name}");
            let limits: &Value = &container.container["resources"]["limits"]["memory"];
            assert!(limits.is_string(), "{name}: no memory limit");
        }
    }
}
