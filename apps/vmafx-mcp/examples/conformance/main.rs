//! The product's server stack with the fixtures of the protocol's conformance suite beside its own
//! tools, for the suite to run against. No part of the product.
//!
//! Prints the address it serves on one line, and serves until it is killed.

#![expect(deprecated, reason = "the suite also asks for what the newer generation dropped")]

mod fixtures;
mod inputs;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use observability::Telemetry;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, ErrorData,
    GetPromptRequestParams, GetPromptResponse, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext, SubscriptionSink};
use service::Faces;
use tokio_util::sync::CancellationToken;
use vmafx_mcp::http::{self, Door};
use vmafx_mcp::{Args, Config, Followed, Server, Transport, platform};

/// Listens that may be open at once.
const LISTENS_MAX: usize = 64;

/// The product's handler, and fixtures beside it.
#[derive(Clone)]
struct WithFixtures {
    product: Server,
    inputs: inputs::Inputs,
    listens: Arc<Mutex<HashMap<u64, SubscriptionSink>>>,
    next: Arc<AtomicU64>,
}

impl WithFixtures {
    fn sinks(&self) -> Vec<SubscriptionSink> {
        self.listens.lock().expect("no panic").values().cloned().collect()
    }
}

impl ServerHandler for WithFixtures {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_logging()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        let mut config = self.product.get_info();
        config.capabilities = capabilities;
        config
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.product.list_tools(request, context).await?;
        list.tools.extend(fixtures::tools());
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let fixture = || fixtures::tools().into_iter().find(|tool| tool.name == name);
        self.product.get_tool(name).or_else(fixture)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.to_string();
        match name.as_str() {
            "test_trigger_tool_change" => {
                for sink in self.sinks() {
                    let _ = sink.notify_tool_list_changed().await;
                }
                Ok(fixtures::said("told").into())
            }
            "test_trigger_prompt_change" => {
                for sink in self.sinks() {
                    let _ = sink.notify_prompt_list_changed().await;
                }
                Ok(fixtures::said("told").into())
            }
            name if inputs::is_one(name) => self.inputs.call(&request, &context),
            name if fixtures::is_one(name) => fixtures::call(name, &request, &context).await,
            _ => self.product.call_tool(request, context).await,
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut list = self.product.list_resources(request, context).await?;
        list.resources.extend(fixtures::resources());
        Ok(list)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut list = self.product.list_resource_templates(request, context).await?;
        list.resource_templates.push(fixtures::template());
        Ok(list)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match fixtures::read(&request.uri) {
            Some(result) => Ok(result.into()),
            None => self.product.read_resource(request, context).await,
        }
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut list = self.product.list_prompts(request, context).await?;
        list.prompts.extend(fixtures::prompts());
        Ok(list)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if let Some(response) = inputs::prompt(&request) {
            return Ok(response);
        }
        match fixtures::prompt(&request) {
            Some(result) => Ok(result.into()),
            None => self.product.get_prompt(request, context).await,
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.product.complete(request, context).await
    }

    async fn set_level(
        &self,
        _: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(
        &self,
        _: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        {
            let mut listens = self.listens.lock().expect("no panic");
            if listens.len() >= LISTENS_MAX {
                return Err(ErrorData::internal_error("too many listen already", None));
            }
            listens.insert(id, context.sink().clone());
        }
        context.cancelled().await;
        self.listens.lock().expect("no panic").remove(&id);
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let config = Config::from(Args::parse());
    let telemetry = Telemetry::disabled();
    let platform = platform(&config, &telemetry).expect("a good configuration");
    let handler = WithFixtures {
        product: Server::new(platform),
        inputs: inputs::Inputs::default(),
        listens: Arc::default(),
        next: Arc::default(),
    };
    let (listener, addr) = service::bind("HTTP", config.listen).await.expect("a free port");
    let door = Door { addr, tokens: None, allowed_origins: Vec::new(), allowed_hosts: Vec::new() };
    let followed = Followed::new(handler, &telemetry, Transport::Http);
    let mut faces = Faces::default();
    faces.serve_http(listener, http::router(followed, &door, &telemetry, CancellationToken::new()));
    println!("http://{addr}{}", http::PATH);
    eprintln!("{}", faces.failed().await);
}
