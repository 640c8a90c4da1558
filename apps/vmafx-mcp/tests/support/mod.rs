//! A server on one end of a pipe, the SDK's client on the other, and clips in a folder between.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser as _;
use observability::Telemetry;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
    ProgressNotificationParam,
};
use rmcp::service::{NotificationContext, RoleClient, RunningService};
use rmcp::{ClientHandler, ServiceExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Clip, ClipSpec};
use vmafx_mcp::{Args, Config, Followed, Platform, Server, Transport, platform};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that the pipe holds in each direction.
const PIPE_BYTES: usize = 64 << 10;

/// A folder that the server may read.
pub struct Videos(TempDir);

impl Videos {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a clip as y4m and gives its path.
    pub fn write(&self, name: &str, clip: &Clip) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, clip.y4m_bytes()).expect("written");
        path.display().to_string()
    }

    /// A pair of moving texture.
    pub fn pair(&self, frame_count: u32) -> (String, String) {
        let pair = ClipSpec::texture(7, 160, 96, frame_count).make();
        let reference = self.write(&format!("reference{frame_count}.y4m"), &pair.reference);
        (reference, self.write(&format!("distorted{frame_count}.y4m"), &pair.distorted))
    }
}

/// A server's configuration by its flags; it may read `videos`.
pub fn config(videos: &Videos, flags: &[&str]) -> Config {
    let root = videos.path().display().to_string();
    let args = ["vmafx-mcp", "--source-root", &root, "--threads", "2"];
    Config::from(Args::try_parse_from(args.iter().chain(flags)).expect("good flags"))
}

/// A client that remembers the progress it was told.
#[derive(Default)]
pub struct Told {
    pub progress: Mutex<Vec<ProgressNotificationParam>>,
    pub knows_tasks: bool,
}

impl ClientHandler for Told {
    async fn on_progress(
        &self,
        told: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.progress.lock().expect("no panic").push(told);
    }

    fn get_info(&self) -> ClientConfig {
        let capabilities = match self.knows_tasks {
            true => ClientCapabilities::builder().enable_tasks().build(),
            false => ClientCapabilities::default(),
        };
        ClientConfig::new(capabilities, Implementation::new("test", "0"))
    }
}

/// An agent: the SDK's client and the server that it speaks to.
pub struct Agent {
    pub client: RunningService<RoleClient, Told>,
}

impl Agent {
    /// Connects to a server of its own.
    pub async fn connect(config: &Config, telemetry: &Telemetry, told: Told) -> Self {
        let platform = platform(config, telemetry).expect("a good configuration");
        Self::of(platform, telemetry, told).await
    }

    /// Connects to a server of this platform.
    pub async fn of(platform: Arc<Platform>, telemetry: &Telemetry, told: Told) -> Self {
        let handler = Followed::new(Server::new(platform), telemetry, Transport::Stdio);
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(async move {
            let running = handler.serve(ours).await.expect("a handshake");
            let _ = running.waiting().await;
        });
        let client = told.serve(theirs).await.expect("a handshake");
        Self { client }
    }

    /// A server alone, without a controller.
    pub async fn alone(videos: &Videos) -> Self {
        Self::connect(&config(videos, &[]), &Telemetry::disabled(), Told::default()).await
    }

    /// Calls a tool, whatever comes of it.
    pub async fn try_call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let arguments = arguments.as_object().cloned().expect("an object");
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        let called = tokio::time::timeout(PATIENCE, self.client.call_tool(request)).await;
        called.expect("an answer in time").expect("no error of the protocol")
    }

    /// Calls a tool that must succeed, and gives its structured content.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.try_call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {result:?}");
        let value = result.structured_content.clone().expect("structured content");
        let text = &result.content[0].as_text().expect("a text first").text;
        let same: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(same, value, "the text is the same JSON");
        value
    }

    /// Calls a tool that must fail, and gives what the agent reads.
    pub async fn refused(&self, tool: &'static str, arguments: Value) -> String {
        let result = self.try_call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {result:?}");
        result.content[0].as_text().expect("a text").text.clone()
    }

    /// Reads a JSON resource.
    pub async fn read(&self, uri: &str) -> Value {
        let request = rmcp::model::ReadResourceRequestParams::new(uri);
        let result = self.client.read_resource(request).await.expect("it is there");
        let contents = serde_json::to_value(&result.contents[0]).expect("JSON");
        serde_json::from_str(contents["text"].as_str().expect("text")).expect("JSON")
    }

    /// Scores a pair and waits for it.
    pub async fn score(&self, reference: &str, distorted: &str) -> Value {
        self.call(
            "score",
            json!({"reference": reference, "distorted": distorted, "wait_seconds": 60}),
        )
        .await
    }
}

/// An ffmpeg (`VMAFX_FFMPEG`, or `ffmpeg` in `PATH`); `cargo xtask test` brings one.
pub fn ffmpeg() -> String {
    std::env::var("VMAFX_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned())
}
