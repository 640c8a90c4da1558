//! The HTTP face: `/mcp` for agents, probes and metrics for operators.
//!
//! Both generations of the protocol are served at one path. The newer one has no sessions; closing
//! a response cancels its request. Clients of the older one get a session, of which there is a
//! bounded number, so that their cancellations and progress find their requests.

mod sessions;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use observability::Telemetry;
use observability::layers::{HttpServerLayer, Visibility};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use service::Tokens;
use service::http::{Common, Ops};
use tokio_util::sync::CancellationToken;

use sessions::Sessions;

pub use sessions::SESSIONS_MAX;

/// Where agents are served.
pub const PATH: &str = "/mcp";
/// Bytes of one message of an agent.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Origins of this machine: pages of local tools.
const LOCAL_ORIGINS: [&str; 4] =
    ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*", "https://localhost:*"];
/// Names of this machine.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Who may call, and how.
#[derive(Debug, Clone)]
pub struct Door {
    /// The address that is served.
    pub addr: SocketAddr,
    /// Who may call; `None` lets everybody who reaches the address.
    pub tokens: Option<Tokens>,
    /// Origins of web pages beside this machine's.
    pub allowed_origins: Vec<String>,
    /// Names of the server beside this machine's.
    pub allowed_hosts: Vec<String>,
}

/// The face, ready to be served. `stop` ends the sessions and streams that are open.
pub fn router<H>(handler: H, door: &Door, telemetry: &Telemetry, stop: CancellationToken) -> Router
where
    H: ServerHandler + Clone,
{
    let agents = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(Sessions::default()),
        agents_config(door, stop.clone()),
    );
    let locked = "this server listens beyond loopback and asks nobody for a token: sampling is \
                  changed by SIGHUP";
    let is_open = door.tokens.is_none() && !door.addr.ip().is_loopback();
    let readiness = move || {
        if stop.is_cancelled() { Err("the server is stopping") } else { Ok(()) }
    };
    let ops = Ops::new(telemetry, readiness).locked(is_open.then_some(locked));
    let common = Common { name: "MCP server", tokens: door.tokens.clone(), unhurried: &[PATH] };
    // The span of a message is the protocol's own.
    let spans = HttpServerLayer::new(telemetry).with(PATH, Visibility::DurationOnly);
    common.around(ops.routes().route_service(PATH, agents), spans)
}

fn agents_config(door: &Door, stop: CancellationToken) -> StreamableHttpServerConfig {
    let origins = LOCAL_ORIGINS.iter().map(|origin| (*origin).to_owned());
    let config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_max_request_body_bytes(MESSAGE_BYTES_MAX)
        .with_cancellation_token(stop)
        .enforce_origin_validation()
        .with_allowed_origins(origins.chain(door.allowed_origins.iter().cloned()));
    if door.allowed_hosts.is_empty() && !door.addr.ip().is_loopback() {
        // Reached by names that are not known here; callers are asked for a token instead, or
        // somebody has said that everybody may call.
        return config.disable_allowed_hosts();
    }
    let hosts = LOCAL_HOSTS.iter().map(|host| (*host).to_owned());
    // Loopback has more addresses than those two.
    let hosts = hosts.chain([door.addr.ip().to_string()]);
    config.with_allowed_hosts(hosts.chain(door.allowed_hosts.iter().cloned()))
}
