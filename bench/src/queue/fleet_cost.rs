//! What a thousand idle nodes cost the controller: their signs of life every two seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Args, Place, table};
use crate::Error;
use crate::fleet::{self, Noop};
use crate::table::Goal;

/// Nodes, with one slot each.
const NODES: u32 = 1_000;

/// How long the idle fleet is watched.
const SECONDS: u64 = 20;

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let place = Place::new(args, &[]).await?;
    let began = Instant::now();
    let noop = Arc::new(Noop::default());
    let nodes = fleet::start(&place.controller.address, "idle", (NODES, 1), noop).await?;
    fleet::ready(&nodes).await?;
    let connected = began.elapsed().as_secs_f64();
    let time = Duration::from_secs(if args.quick { SECONDS / 4 } else { SECONDS });
    let before = place.controller.cpu()?;
    let began = Instant::now();
    tokio::time::sleep(time).await;
    let used = (place.controller.cpu()? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let alive = place.client.nodes().await?.len();
    if alive != NODES as usize || !nodes.iter().all(vmafx_node::NodeHandle::is_ready) {
        return Err(format!("only {alive} of {NODES} nodes are known and ready").into());
    }
    let mut table = table("1 000 idle nodes", &place.baseline);
    let beside = "registered and streams open, from the first node's start";
    table.row("all connected after", (connected, "s"), Goal::AtMost(3.0), beside);
    let beside = format!("over {} s, a sign of life every 2 s", time.as_secs());
    table.cpu_row("controller's CPU", (used * 100.0, "% of a core"), Goal::AtMost(2.0), beside);
    let bytes = place.controller.rss_bytes()?;
    table.row("controller's memory", (bytes as f64 / 1e6, "MB"), Goal::AtMost(150.0), "");
    table.print();
    fleet::stop(nodes).await;
    Ok(())
}
