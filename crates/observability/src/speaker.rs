//! Whom a span is of, where that is not the process that tells it.
//!
//! A span's resource says which process did the work. The controller tells spans of its nodes: of
//! an attempt whose node vanished, and of a finished job whose tree is rebuilt; and `vmafx` tells
//! spans of all. They leave under the resource of whoever did the work, so that a backend counts
//! its time as theirs.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use types::NodeId;

use crate::schema::attr;

/// What of the telling process's own attributes is true of others too: what names the deployment,
/// and the program that wrote the message.
const SHARED: [&str; 6] = [
    "service.namespace",
    "deployment.environment.name",
    "deployment.environment",
    attr::TELEMETRY_SDK_NAME,
    attr::TELEMETRY_SDK_LANGUAGE,
    attr::TELEMETRY_SDK_VERSION,
];

/// Who did what a span tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// A controller. Which of its processes is not known afterwards.
    Controller,
    /// A node, by the name under which it registers.
    Node(NodeId),
}

impl Speaker {
    /// What stands for it, where `own` stands for the process that tells.
    pub(crate) fn resource(&self, own: &Resource) -> Resource {
        let (service, instance) = match self {
            Self::Controller => ("vmafx-controller", None),
            Self::Node(node) => ("vmafx-node", Some(node.as_str())),
        };
        let shared = own.attributes.iter().filter(|pair| SHARED.contains(&pair.key.as_str()));
        let attributes = std::iter::once(pair(attr::SERVICE_NAME, service))
            .chain(instance.map(|instance| pair(attr::SERVICE_INSTANCE_ID, instance)))
            .chain(shared.cloned());
        Resource { attributes: attributes.collect(), ..Resource::default() }
    }
}

fn pair(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(resource: &Resource) -> Vec<&str> {
        resource.attributes.iter().map(|pair| pair.key.as_str()).collect()
    }

    #[test]
    fn a_node_has_its_own_name_and_the_deployment_and_nothing_of_the_process_that_tells() {
        let own = ["host.name", "service.name", "service.instance.id", "telemetry.sdk.name"]
            .map(|key| pair(key, "the controller's"));
        let shared = pair("deployment.environment.name", "staging");
        let attributes = own.into_iter().chain([shared.clone()]).collect();
        let own = Resource { attributes, ..Resource::default() };
        let node = NodeId::new("node-7").expect("a name");
        let told = Speaker::Node(node).resource(&own);
        let expected = [
            pair("service.name", "vmafx-node"),
            pair("service.instance.id", "node-7"),
            pair("telemetry.sdk.name", "the controller's"),
            shared,
        ];
        assert_eq!(told.attributes, expected);
        let controller = Speaker::Controller.resource(&own);
        let expected = ["service.name", "telemetry.sdk.name", "deployment.environment.name"];
        assert_eq!(keys(&controller), expected);
    }
}
