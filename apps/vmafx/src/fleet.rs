//! A controller and its nodes in this process: what `up` and `demo` run on.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use observability::Telemetry;
use thiserror::Error;
use types::NodeId;
use vmafx_controller::{Controller, ControllerHandle};
use vmafx_node::{Node, NodeHandle, SpoolConfig};

/// How many nodes of what kind.
pub(crate) struct FleetConfig {
    pub(crate) controller: vmafx_controller::Config,
    /// Where the nodes keep reports until they are answered.
    pub(crate) spool_folder: PathBuf,
    pub(crate) node_count: u32,
    pub(crate) slots: NonZeroU32,
    pub(crate) source_roots: Vec<PathBuf>,
    pub(crate) ffmpeg: Option<PathBuf>,
    pub(crate) picture_pixels_max: NonZeroU64,
}

/// Why no fleet was started.
#[derive(Debug, Error)]
pub(crate) enum FleetError {
    #[error("the controller was not started: {0}")]
    Controller(#[from] vmafx_controller::StartError),
    #[error("node {name} was not started: {source}")]
    Node { name: NodeId, source: vmafx_node::StartError },
}

/// A controller and its nodes.
pub(crate) struct Fleet {
    pub(crate) controller: ControllerHandle,
    nodes: Vec<NodeHandle>,
}

impl Fleet {
    /// Starts the controller, then the nodes.
    pub(crate) async fn start(
        config: FleetConfig,
        telemetry: &Telemetry,
    ) -> Result<Self, FleetError> {
        let controller = Controller::start(config.controller, telemetry.clone()).await?;
        let url = format!("http://{}", controller.grpc_addr);
        let mut fleet = Self { controller, nodes: Vec::new() };
        for index in 0..config.node_count {
            let name = NodeId::new(format!("local-{}", index + 1)).expect("a short printable word");
            let mut node = vmafx_node::Config::new(&url, name.clone());
            node.slots = config.slots;
            node.threads_per_slot = threads_per_slot(config.node_count, config.slots);
            node.source_roots.clone_from(&config.source_roots);
            node.ffmpeg.clone_from(&config.ffmpeg);
            node.picture_pixels_max = config.picture_pixels_max;
            node.spool = Some(SpoolConfig::new(spool(&config.spool_folder, &name)));
            let started = Node::start(node, telemetry.clone()).await;
            fleet.nodes.push(started.map_err(|source| FleetError::Node { name, source })?);
        }
        Ok(fleet)
    }

    /// The controller's gRPC address as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.controller.grpc_addr)
    }

    /// Lets the nodes finish what they can within the grace time, then ends everything.
    pub(crate) async fn stop(self, grace: Duration) {
        for node in self.nodes {
            node.drain(grace).await;
            node.shutdown().await;
        }
        self.controller.shutdown().await;
    }
}

fn spool(folder: &Path, node: &NodeId) -> PathBuf {
    folder.join(format!("spool-{node}"))
}

/// The processors shared out over all slots of the process.
fn threads_per_slot(node_count: u32, slots: NonZeroU32) -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let attempts = node_count.saturating_mul(slots.get()).max(1) as usize;
    NonZeroUsize::new(processors / attempts).unwrap_or(NonZeroUsize::MIN)
}
