//! An agent at the lowest level: messages of the Model Context Protocol over HTTP on loopback.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::{DEADLINE, Fleet, Process, is_listening, wait_for};

/// The newest version of the protocol, in which every message stands for itself.
const VERSION: &str = "2026-07-28";

/// How long an impatient agent waits: long enough for its job to run.
const PATIENCE: Duration = Duration::from_secs(3);

/// The server and an agent that speaks to it.
pub struct Agent {
    pub server: Process,
    pub port: u16,
}

impl Agent {
    /// Starts a server that hands jobs to the fleet's controller and may read below `roots`.
    pub fn start(fleet: &Fleet, port: u16, roots: &str) -> Self {
        let variables = [
            ("VMAFX_MCP_TRANSPORT", "http".to_owned()),
            ("VMAFX_MCP_LISTEN", format!("127.0.0.1:{port}")),
            ("VMAFX_CONTROLLER_ADDR", fleet.controller_url()),
            ("VMAFX_SCORING_ROOTS", roots.to_owned()),
        ];
        let server = fleet.start_program("vmafx-mcp", &variables);
        wait_for("the server listens", DEADLINE, || is_listening(port).then_some(()));
        Self { server, port }
    }

    /// Sends one request, within `meta` and with more headers, and gives the message that answers.
    pub fn send(
        &self,
        method: &str,
        params: Value,
        meta: &Value,
        headers: &[(&str, &str)],
    ) -> Value {
        let mut stream = self.ask(method, params, meta, headers);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        // A JSON body, or the last event of a stream; chunk sizes stand on lines of their own.
        let mut lines = answer.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
        let last = lines.rfind(|line| line.starts_with('{'));
        let last = last.unwrap_or_else(|| panic!("{method}: {answer}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Calls a tool, and leaves after [`PATIENCE`] without an answer.
    pub fn hang_up_on(&self, tool: &str, arguments: &Value) {
        let params = json!({"name": tool, "arguments": arguments});
        let stream = self.ask("tools/call", params, &json!({}), &[]);
        std::thread::sleep(PATIENCE);
        drop(stream);
    }

    fn ask(
        &self,
        method: &str,
        params: Value,
        meta: &Value,
        headers: &[(&str, &str)],
    ) -> TcpStream {
        let mut params = params;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
        });
        if let (Some(all), Some(more)) = (params["_meta"].as_object_mut(), meta.as_object()) {
            all.extend(more.clone());
        }
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let body =
            json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string();
        let mut request = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {VERSION}\r\n\
             Mcp-Method: {method}\r\nContent-Length: {}\r\nConnection: close\r\n",
            self.port,
            body.len()
        );
        for (header, value) in
            headers.iter().copied().chain(name.as_deref().map(|n| ("Mcp-Name", n)))
        {
            request.push_str(&format!("{header}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("it reads");
        stream
    }

    /// Calls a tool.
    pub fn call(&self, tool: &str, arguments: &Value, meta: &Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        self.send("tools/call", params, meta, &[])["result"].clone()
    }
}
