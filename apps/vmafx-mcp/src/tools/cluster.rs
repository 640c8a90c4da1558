//! `cluster_status`: who works, how busy, and what this server may read.

use proto::rpc::ListJobs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{JobFilter, Liveness, NodeView, State};

use super::{Answer, Effect, Tool};
use crate::error::ToolError;
use crate::jobs::Jobs;
use crate::platform::Call;

/// Nodes that are shown one by one.
const NODES_SHOWN_MAX: usize = 64;
/// Jobs that are counted in each state.
const COUNTED_MAX: usize = 500;

/// `cluster_status`
pub(crate) struct ClusterStatus;

/// `cluster_status` takes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterIn {}

/// Who works and how busy they are.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ClusterOut {
    /// controller: jobs go to its queue. alone: this process scores by itself.
    pub mode: Mode,
    /// The controller's address, or this process.
    pub place: String,
    /// The state of the fleet in a sentence.
    pub summary: String,
    /// Attempts that may run at once.
    pub slots: u64,
    /// Attempts that run.
    pub slots_busy: u64,
    /// Jobs that wait.
    pub jobs_queued: CountOut,
    /// Jobs that run.
    pub jobs_running: CountOut,
    /// The nodes; none where this process scores by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeOut>,
    /// Folders below which this server itself may read videos.
    pub source_roots: Vec<String>,
    /// Hosts from which this server itself may fetch videos over https.
    pub source_hosts: Vec<String>,
}

/// Where jobs go.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Through a controller.
    Controller,
    /// Into this process.
    Alone,
}

/// How many there are.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CountOut {
    /// As many as were counted.
    pub count: usize,
    /// There are more.
    pub or_more: bool,
}

/// A node of the fleet.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NodeOut {
    /// Its name.
    pub node: String,
    /// alive, stale or unknown; unknown is not dead.
    pub liveness: String,
    /// It takes no new work.
    pub draining: bool,
    /// Attempts it takes at once.
    pub slots: u32,
    /// Attempts it holds.
    pub slots_busy: u32,
    /// What it decodes.
    pub codecs: Vec<String>,
    /// The instruction set it scores with.
    pub isa: String,
    /// Its software's version.
    pub version: String,
}

impl From<&NodeView> for NodeOut {
    fn from(node: &NodeView) -> Self {
        Self {
            node: node.node.to_string(),
            liveness: node.liveness.as_str().to_owned(),
            draining: node.draining,
            slots: node.capabilities.slots,
            slots_busy: node.slots_busy,
            codecs: node.capabilities.codecs.clone(),
            isa: node.capabilities.isa.clone(),
            version: node.capabilities.version.clone(),
        }
    }
}

impl Tool for ClusterStatus {
    const NAME: &'static str = "cluster_status";
    const TITLE: &'static str = "Look at the cluster";
    const DESCRIPTION: &'static str = "Says whether there are machines to score, how busy they are, how many jobs wait, and which \
         folders and hosts this server may read from. Call it when a job stays queued, or when a \
         path is refused.";
    const EFFECT: Effect = Effect::Reads;
    type Input = ClusterIn;
    type Output = ClusterOut;

    async fn run(call: Call, _: ClusterIn) -> Result<Answer<ClusterOut>, ToolError> {
        let platform = &call.platform;
        let jobs_queued = count(&platform.jobs, State::Queued).await?;
        let jobs_running = count(&platform.jobs, State::Running).await?;
        let nodes = platform.jobs.nodes().await?;
        let (slots, slots_busy) = match (&platform.jobs, &nodes) {
            (Jobs::Local(jobs), _) => {
                let (slots, running, _) = jobs.load();
                (slots as u64, running as u64)
            }
            (Jobs::Remote(_), nodes) => load(nodes.as_deref().unwrap_or_default()),
        };
        let nodes = nodes.unwrap_or_default();
        let is_remote = platform.jobs.is_remote();
        Ok(ClusterOut {
            mode: if is_remote { Mode::Controller } else { Mode::Alone },
            place: platform.jobs.place().to_owned(),
            summary: summary(is_remote, &nodes, slots, slots_busy, jobs_queued.count),
            slots,
            slots_busy,
            jobs_queued,
            jobs_running,
            nodes: nodes.iter().take(NODES_SHOWN_MAX).map(Into::into).collect(),
            source_roots: platform.source_roots.iter().map(|r| r.display().to_string()).collect(),
            source_hosts: platform.source_hosts.clone(),
        }
        .into())
    }
}

async fn count(jobs: &Jobs, state: State) -> Result<CountOut, ToolError> {
    let filter = JobFilter { states: vec![state], ..JobFilter::default() };
    let list = ListJobs { filter, page_size: Some(COUNTED_MAX), after: None };
    let page = jobs.list(list).await?;
    Ok(CountOut { count: page.jobs.len(), or_more: page.next.is_some() })
}

/// Slots and busy slots of the nodes that take work.
fn load(nodes: &[NodeView]) -> (u64, u64) {
    let working = nodes.iter().filter(|node| node.liveness != Liveness::Unknown && !node.draining);
    let slots = working.map(|node| u64::from(node.capabilities.slots)).sum();
    (slots, nodes.iter().map(|node| u64::from(node.slots_busy)).sum())
}

fn summary(is_remote: bool, nodes: &[NodeView], slots: u64, busy: u64, queued: usize) -> String {
    if !is_remote {
        return format!(
            "This process scores by itself: {busy} of {slots} slots busy, {queued} jobs wait. Jobs \
             end with the process."
        );
    }
    let alive = nodes.iter().filter(|node| node.liveness == Liveness::Alive).count();
    match (alive, slots) {
        (0, _) => "No node is alive: jobs stay queued until one comes.".to_owned(),
        (_, 0) => "No node takes work: all are draining. Jobs stay queued.".to_owned(),
        _ => format!("{alive} nodes alive, {busy} of {slots} slots busy, {queued} jobs wait."),
    }
}
