//! The Kubernetes manifests as they are applied: put together by kustomize, read as objects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Ran, asset};

/// The forms in which the manifests are shipped.
pub const FORMS: [&str; 4] =
    ["base", "collector-daemonset", "collector-sidecar", "collector-gateway"];

/// The folder with the forms.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes")
}

/// What `kubectl apply -k` of a form would apply, as YAML.
pub fn build(form: &str) -> String {
    let mut kustomize =
        Command::new(asset("VMAFX_TEST_KUSTOMIZE", "go-bin/kustomize-v5.8.1/kustomize"));
    let ran = Ran::of(kustomize.arg("build").arg(folder().join(form)));
    assert_eq!(ran.code, Some(0), "{form}: {ran:#?}");
    ran.stdout
}

/// Every object of a form.
pub fn objects(form: &str) -> Vec<Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&build(form)).expect("YAML objects");
    assert!(!objects.is_empty(), "{form} has no object");
    objects
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// A list, or nothing.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A container of some workload.
#[derive(Debug)]
pub struct Container {
    /// The workload's name and the container's.
    pub name: String,
    pub pod: Value,
    pub container: Value,
}

impl Container {
    /// Every container of every workload, the sidecars too.
    pub fn all(objects: &[Value]) -> Vec<Self> {
        let mut containers = Vec::new();
        for object in objects {
            let pod = &object["spec"]["template"]["spec"];
            for container in ["initContainers", "containers"].iter().flat_map(|key| list(&pod[key]))
            {
                let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                containers.push(Self {
                    name: format!(
                        "{}/{}",
                        name(&object["metadata"]["name"]),
                        name(&container["name"])
                    ),
                    pod: pod.clone(),
                    container: container.clone(),
                });
            }
        }
        assert!(!containers.is_empty(), "no workload");
        containers
    }

    /// The image without its tag.
    pub fn image(&self) -> &str {
        let image = self.container["image"].as_str().expect("an image");
        image.split(':').next().expect("a name")
    }

    /// Its environment in order: names, and plain values.
    pub fn environment(&self) -> Vec<(&str, Option<&str>)> {
        list(&self.container["env"])
            .iter()
            .map(|variable| {
                (variable["name"].as_str().expect("a name"), variable["value"].as_str())
            })
            .collect()
    }

    /// The plain value of a variable.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.environment().iter().find(|(key, _)| *key == name).and_then(|(_, value)| *value)
    }

    /// Its ports by name.
    pub fn ports(&self) -> BTreeMap<&str, u64> {
        list(&self.container["ports"])
            .iter()
            .filter_map(|port| Some((port["name"].as_str()?, port["containerPort"].as_u64()?)))
            .collect()
    }

    /// Its probes: the path and the number of the port.
    pub fn probes(&self) -> Vec<(String, u64)> {
        let ports = self.ports();
        ["startupProbe", "readinessProbe", "livenessProbe"]
            .iter()
            .filter_map(|probe| self.container[probe].get("httpGet"))
            .map(|get| {
                let name = get["port"].as_str().expect("probes name their port");
                let port =
                    ports.get(name).unwrap_or_else(|| panic!("{}: no port {name}", self.name));
                (get["path"].as_str().expect("a path").to_owned(), *port)
            })
            .collect()
    }
}
