//! What every call goes through on its way to the connection.

use observability::layers::{GrpcClient, GrpcClientLayer, GrpcMethods, Visibility};
use tonic::transport::{Channel, Uri};
use tower_layer::Layer as _;

use crate::config::ClientConfig;

/// The connection with its layers.
pub(crate) type Transport = GrpcClient<Channel>;

/// Calls that leave no span: they are not about one job, or live for hours.
const WITHOUT_SPAN: [&str; 5] = ["RegisterNode", "Heartbeat", "PullWork", "PollWork", "StreamJobs"];

pub(crate) fn transport(channel: Channel, target: &Uri, config: &ClientConfig) -> Transport {
    let methods = GrpcMethods::from_descriptors(proto::DESCRIPTORS)
        .expect("the descriptors that the build compiled");
    let methods = WITHOUT_SPAN
        .into_iter()
        .fold(methods, |methods, name| methods.with(name, Visibility::DurationOnly));
    GrpcClientLayer::new(&config.telemetry, methods, target).layer(channel)
}
