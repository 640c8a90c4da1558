//! The server as the protocol sees it: tools, resources, prompts, completions, tasks.

mod complete;
mod prompts;
mod resources;
mod tasks;

use std::sync::Arc;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
    CompleteResult, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams,
    GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ServerHandler, model::CreateTaskResult};

use crate::error::ToolError;
use crate::platform::{Call, Platform};
use crate::progress::Reporter;
use crate::tools::{self, Begun, TOOLS};

/// How long clients may keep lists, which change with the program's version only.
const LISTS_FRESH_MILLIS: u64 = 3_600_000;

/// What an agent is told when it connects.
const INSTRUCTIONS: &str = "\
VMAFX scores how much worse a distorted video looks than its reference (VMAF, 0 to 100). \
Start with check_pair when you do not know that two files belong together frame by frame, and with \
recommend_model for anything but HD television; then score, or submit_job for long videos and many \
renditions. worst_frames shows what went wrong; compare_results is the regression gate. Paths are as \
the machine that scores sees them and must lie below the configured source roots (cluster_status \
lists them). Per-frame values are resources: read the frames_uri of a result, a page at a time.";

/// Whether a prompt has this name.
pub(crate) fn is_prompt(name: &str) -> bool {
    prompts::list().iter().any(|prompt| prompt.name == name)
}

/// The handler behind every transport. Cheap to clone; clones share the platform.
#[derive(Debug, Clone)]
pub struct Server {
    platform: Arc<Platform>,
}

impl Server {
    /// Serves this platform.
    #[must_use]
    pub const fn new(platform: Arc<Platform>) -> Self {
        Self { platform }
    }

    fn call(&self, context: &RequestContext<RoleServer>) -> Call {
        let token = context.meta.get_progress_token();
        self.platform.call(&context.ct, Reporter::client(context.peer.clone(), token))
    }
}

/// Whether this client can be given a task instead of a result.
fn knows_tasks(context: &RequestContext<RoleServer>) -> bool {
    context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks())
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_prompts()
            .enable_resources()
            .enable_tools()
            .enable_tasks()
            .build();
        let mut us = Implementation::new("vmafx-mcp", env!("CARGO_PKG_VERSION"));
        us.title = Some("VMAFX video quality".to_owned());
        ServerConfig::new(capabilities).with_server_info(us).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = TOOLS.values().map(|entry| entry.tool.clone()).collect();
        Ok(ListToolsResult { tools, ..ListToolsResult::default() }
            .with_ttl_ms(LISTS_FRESH_MILLIS)
            .with_cache_scope(CacheScope::Public))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.get(name).map(|entry| entry.tool.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.as_ref();
        let Some((name, entry)) = TOOLS.get_key_value(name) else {
            let shown: String = name.chars().take(64).collect();
            return Err(ErrorData::invalid_params(format!("there is no tool {shown:?}"), None));
        };
        let arguments = request.arguments.unwrap_or_default();
        let call = self.call(&context);
        if knows_tasks(&context) && tools::LONG.contains(name) {
            return Ok(match tools::begin(name, call, arguments).await {
                Ok(Begun::Over(result)) => result.into(),
                Ok(Begun::Job(job)) => CreateTaskResult::new(tasks::of_job(&job)).into(),
                Ok(Begun::Run(run)) => CreateTaskResult::new(tasks::of_run(&run)).into(),
                Err(error) => self.failed(error).into(),
            });
        }
        let called = entry.call(call, arguments).await;
        Ok(called.unwrap_or_else(|error| self.failed(error)).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = resources::list();
        Ok(ListResourcesResult { resources, ..ListResourcesResult::default() }
            .with_ttl_ms(LISTS_FRESH_MILLIS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = ListResourceTemplatesResult {
            resource_templates: resources::templates(),
            ..Default::default()
        };
        Ok(templates.with_ttl_ms(LISTS_FRESH_MILLIS).with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.platform, &request.uri).await.map(Into::into)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = prompts::list();
        Ok(ListPromptsResult { prompts, ..ListPromptsResult::default() }
            .with_ttl_ms(LISTS_FRESH_MILLIS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        prompts::get(&request.name, &arguments).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        complete::complete(&self.platform, &request).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        tasks::get(&self.platform, &request.task_id).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        // Our tasks never ask for anything, so that whatever comes is ignored, as the extension says.
        tasks::get(&self.platform, &request.task_id).await.map(|_| ())
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(&self.platform, &request.task_id).await
    }

    async fn on_initialized(&self, _: rmcp::service::NotificationContext<RoleServer>) {}
}

impl Server {
    fn failed(&self, error: ToolError) -> rmcp::model::CallToolResult {
        tracing::info!(kind = error.kind, "a tool refused or failed: {}", error.message);
        error.into_result()
    }
}
