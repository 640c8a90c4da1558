//! What operators and probes see: `/metrics`, `/healthz`, `/readyz`, and the sampling of traces.
//!
//! Nobody is asked for a token here, so what changes the process is for callers on this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use observability::layers::HttpServerLayer;
use service::http::{Common, Ops};

use crate::shared::Shared;

/// The face, ready to be served at `addr`.
pub(crate) fn router(shared: &Arc<Shared>, addr: SocketAddr) -> Router {
    let asked = Arc::clone(shared);
    let readiness = move || {
        if asked.is_ready() {
            Ok(())
        } else if asked.hands.is_draining() {
            Err("the node is draining")
        } else {
            Err("the node is not connected to the controller")
        }
    };
    let locked = "this node listens beyond loopback and asks nobody for a token: sampling is \
                  changed by SIGHUP";
    let ops =
        Ops::new(&shared.telemetry, readiness).locked((!addr.ip().is_loopback()).then_some(locked));
    let common = Common { name: "node", tokens: None, unhurried: &[] };
    common.around(ops.routes(), HttpServerLayer::new(&shared.telemetry))
}
