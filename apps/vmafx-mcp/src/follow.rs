//! Telemetry around a handler: for every request of an agent one span, one duration, and a context
//! in which all that it causes (calls to the controller, jobs, their scores) continues the agent's
//! trace.
//!
//! The trace context that a request carries in its `_meta` goes before that of the HTTP request,
//! which may be a proxy's: the latter becomes a link. Polls leave a duration and no span.

#![expect(deprecated, reason = "clients of the older generation still send what the newer dropped")]

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use observability::metrics::McpOperation;
use observability::propagation::{BAGGAGE, TRACEPARENT, TRACESTATE};
use observability::schema::attr;
use observability::{ActiveSpan, Context, Parent, SpanKind, SpanLink, Telemetry, with_context};
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CancelledNotificationParam,
    CompleteRequestParams, CompleteResult, CustomNotification, CustomRequest, CustomResult,
    DiscoverResult, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams,
    GetTaskResult, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
    ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use service::ForceBudget;
use tokio_util::sync::CancellationToken;

use crate::server::is_prompt;

/// Longer names and numbers that a client makes up are cut.
const TEXT_BYTES_MAX: usize = 256;
const REQUEST_ID_BYTES_MAX: usize = 64;

/// How requests come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http,
    /// Standard input and output.
    Stdio,
}

impl Transport {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "tcp",
            Self::Stdio => "pipe",
        }
    }
}

/// A handler whose requests are followed. Clones share the handler's state as its clones do.
#[derive(Debug, Clone)]
pub struct Followed<H> {
    inner: H,
    telemetry: Telemetry,
    transport: Transport,
    /// What callers who are not known may force; `None` where all are known.
    budget: Option<Arc<ForceBudget>>,
}

/// What a request is about, of low cardinality but for the URI.
#[derive(Debug, Clone, Copy)]
enum Target<'a> {
    Nothing,
    Tool(&'a str),
    Prompt(&'a str),
    Resource(&'a str),
}

/// Whether a request makes a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Span,
    DurationOnly,
}

/// A request that runs.
struct Request {
    telemetry: Telemetry,
    span: Option<ActiveSpan>,
    cx: Context,
    began: Instant,
    method: &'static str,
    transport: &'static str,
    tool: Option<String>,
    version: Option<&'static str>,
    stop: CancellationToken,
}

/// How a request ended, as far as telemetry is concerned.
trait Outcome {
    /// A tool's own failure, which is no error of the protocol.
    fn is_tool_error(&self) -> bool {
        false
    }
}

impl Outcome for CallToolResponse {
    fn is_tool_error(&self) -> bool {
        matches!(self, Self::Complete(result) if result.is_error == Some(true))
    }
}

macro_rules! no_tool_error {
    ($($type:ty),+ $(,)?) => { $(impl Outcome for $type {})+ };
}

no_tool_error!(
    (),
    CompleteResult,
    CustomResult,
    DiscoverResult,
    GetPromptResponse,
    GetTaskResult,
    InitializeResult,
    ListPromptsResult,
    ListResourceTemplatesResult,
    ListResourcesResult,
    ListToolsResult,
    ReadResourceResponse,
);

impl<H: ServerHandler> Followed<H> {
    /// Follows the requests of `inner`.
    pub fn new(inner: H, telemetry: &Telemetry, transport: Transport) -> Self {
        Self { inner, telemetry: telemetry.clone(), transport, budget: None }
    }

    /// Lets callers, who are not known, have only so many traces recorded whatever the ratio.
    #[must_use]
    pub fn with_budget(self, budget: Arc<ForceBudget>) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Runs a request within its span.
    async fn follow<T: Outcome>(
        &self,
        method: &'static str,
        shown: Shown,
        target: Target<'_>,
        context: &RequestContext<RoleServer>,
        forced: bool,
        work: impl Future<Output = Result<T, ErrorData>>,
    ) -> Result<T, ErrorData> {
        let request = self.begin(method, shown, target, context, forced);
        let result = with_context(request.cx.clone(), work).await;
        request.end(&result);
        result
    }

    fn begin(
        &self,
        method: &'static str,
        shown: Shown,
        target: Target<'_>,
        context: &RequestContext<RoleServer>,
        forced: bool,
    ) -> Request {
        let told = told(context);
        let carried = context.extensions.get::<http::request::Parts>().map(|parts| &parts.headers);
        let tracer = &self.telemetry.tracer;
        let has_own = tracer.propagators().extract_trace(&told).is_some();
        let parent = match carried {
            Some(headers) if !has_own => tracer.extract(headers),
            _ => tracer.extract(&told),
        };
        // A name that is not ours would make names without end.
        let tool = match target {
            Target::Tool(name) => self.inner.get_tool(name).map(|tool| tool.name.into_owned()),
            _ => None,
        };
        let version = context.protocol_version().and_then(|version| known(&version));
        let span = (shown == Shown::Span).then(|| {
            let name = match (&tool, target) {
                (Some(tool), _) => Cow::Owned(format!("{method} {tool}")),
                (None, Target::Prompt(prompt)) if is_prompt(prompt) => {
                    Cow::Owned(format!("{method} {prompt}"))
                }
                _ => Cow::Borrowed(method),
            };
            let mut builder =
                tracer.span(name).kind(SpanKind::Server).parent(Parent::Context(parent.clone()));
            let http = carried.and_then(|headers| tracer.propagators().extract_trace(headers));
            if let Some(http) = http.filter(|_| has_own) {
                builder = builder.link(SpanLink::new(http, "transport"));
            }
            if forced {
                builder = builder.force();
            }
            let mut span = builder.start();
            describe(&mut span, method, self.transport, target, tool.as_deref(), version, context);
            span
        });
        Request {
            cx: span.as_ref().map_or(parent, |span| span.cx().clone()),
            telemetry: self.telemetry.clone(),
            span,
            began: Instant::now(),
            method,
            transport: self.transport.as_str(),
            tool,
            version,
            stop: context.ct.clone(),
        }
    }
}

impl Request {
    fn end<T: Outcome>(self, result: &Result<T, ErrorData>) {
        let took = self.began.elapsed();
        let code = result.as_ref().err().map(|error| error.code.0.to_string());
        let error = match result {
            _ if self.stop.is_cancelled() => Some("cancelled"),
            Err(_) => code.as_deref(),
            Ok(outcome) if outcome.is_tool_error() => Some("tool_error"),
            Ok(_) => None,
        };
        let operation = McpOperation {
            method: self.method,
            transport: self.transport,
            tool: self.tool.as_deref(),
            version: self.version,
            error,
        };
        // Within the span, so that the measurement can point to it.
        let within = self.cx.attach();
        self.telemetry.metrics.mcp().operation(&operation, took);
        drop(within);
        let Some(mut span) = self.span else { return };
        if let Some(code) = &code {
            span.set(attr::RPC_STATUS_CODE, code.clone());
        }
        if let Some(error) = error {
            span.fail(error.to_owned(), "the request was not done");
        }
        span.end();
    }
}

/// The context that a request carries in its `_meta`, as the headers they stand for.
fn told(context: &RequestContext<RoleServer>) -> HeaderMap {
    let meta = &context.meta.0;
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: Option<&str>| {
        // What is no header value is as if absent.
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    };
    put(TRACEPARENT, meta.get_traceparent());
    put(TRACESTATE, meta.get_tracestate());
    put(BAGGAGE, meta.get_baggage());
    headers
}

/// A version as one of those that are known.
fn known(version: &ProtocolVersion) -> Option<&'static str> {
    let mut known = ProtocolVersion::KNOWN_VERSIONS.iter();
    known.find(|other| *other == version).map(ProtocolVersion::as_str)
}

fn describe(
    span: &mut ActiveSpan,
    method: &'static str,
    transport: Transport,
    target: Target<'_>,
    tool: Option<&str>,
    version: Option<&'static str>,
    context: &RequestContext<RoleServer>,
) {
    if !span.is_recording() {
        return;
    }
    span.set(attr::MCP_METHOD_NAME, method);
    span.set(attr::NETWORK_TRANSPORT, transport.as_str());
    span.set(attr::JSONRPC_REQUEST_ID, cut(&context.id.to_string(), REQUEST_ID_BYTES_MAX));
    if let Some(version) = version {
        span.set(attr::MCP_PROTOCOL_VERSION, version);
    }
    if let Some(tool) = tool {
        span.set(attr::GEN_AI_TOOL_NAME, tool.to_owned());
        span.set(attr::GEN_AI_OPERATION_NAME, "execute_tool");
    }
    match target {
        Target::Prompt(name) => span.set(attr::GEN_AI_PROMPT_NAME, cut(name, TEXT_BYTES_MAX)),
        Target::Resource(uri) => span.set(attr::MCP_RESOURCE_URI, cut(uri, TEXT_BYTES_MAX)),
        Target::Nothing | Target::Tool(_) => {}
    }
}

/// The beginning of a text, of at most so many bytes.
fn cut(text: &str, bytes_max: usize) -> String {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}

/// Requests that are handed on within their span: name, method of the protocol, what is shown,
/// what they take and give.
macro_rules! followed {
    ($($name:ident, $method:literal, $shown:ident, $params:ty => $gives:ty;)+) => {$(
        async fn $name(
            &self,
            request: $params,
            context: RequestContext<RoleServer>,
        ) -> Result<$gives, ErrorData> {
            let of_span = context.clone();
            let work = self.inner.$name(request, context);
            self.follow($method, Shown::$shown, Target::Nothing, &of_span, false, work).await
        }
    )+};
}

impl<H: ServerHandler> ServerHandler for Followed<H> {
    followed! {
        initialize, "initialize", Span, InitializeRequestParams => InitializeResult;
        complete, "completion/complete", DurationOnly, CompleteRequestParams => CompleteResult;
        set_level, "logging/setLevel", DurationOnly, SetLevelRequestParams => ();
        list_prompts, "prompts/list", Span, Option<PaginatedRequestParams> => ListPromptsResult;
        list_resources, "resources/list", Span, Option<PaginatedRequestParams> => ListResourcesResult;
        list_resource_templates, "resources/templates/list", Span,
            Option<PaginatedRequestParams> => ListResourceTemplatesResult;
        subscribe, "resources/subscribe", DurationOnly, SubscribeRequestParams => ();
        unsubscribe, "resources/unsubscribe", DurationOnly, UnsubscribeRequestParams => ();
        list_tools, "tools/list", Span, Option<PaginatedRequestParams> => ListToolsResult;
        get_task, "tasks/get", DurationOnly, GetTaskParams => GetTaskResult;
        update_task, "tasks/update", DurationOnly, UpdateTaskParams => ();
        cancel_task, "tasks/cancel", Span, CancelTaskParams => ();
        on_custom_request, "_OTHER", DurationOnly, CustomRequest => CustomResult;
    }

    async fn ping(&self, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        let of_span = context.clone();
        let work = self.inner.ping(context);
        self.follow("ping", Shown::DurationOnly, Target::Nothing, &of_span, false, work).await
    }

    async fn discover(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let of_span = context.clone();
        let work = self.inner.discover(context);
        self.follow("server/discover", Shown::Span, Target::Nothing, &of_span, false, work).await
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let of_span = context.clone();
        let name = request.name.clone();
        let wish = request.arguments.as_mut().and_then(|arguments| arguments.get_mut("trace"));
        // A tool that takes no such argument refuses it, and costs nothing.
        let takes_it = self
            .inner
            .get_tool(&name)
            .is_some_and(|tool| tool.input_schema["properties"].get("trace").is_some());
        let wish = wish.filter(|wish| takes_it && wish.as_bool() == Some(true));
        let may = || self.budget.as_ref().is_none_or(|budget| budget.take(Instant::now()));
        let forced = wish.is_some_and(|wish| {
            // Beyond the budget the job's own trace is not forced either.
            *wish = may().into();
            wish.as_bool() == Some(true)
        });
        let work = self.inner.call_tool(request, context);
        self.follow("tools/call", Shown::Span, Target::Tool(&name), &of_span, forced, work).await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let of_span = context.clone();
        let name = request.name.clone();
        let work = self.inner.get_prompt(request, context);
        self.follow("prompts/get", Shown::Span, Target::Prompt(&name), &of_span, false, work).await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let of_span = context.clone();
        let uri = request.uri.clone();
        let work = self.inner.read_resource(request, context);
        let target = Target::Resource(&uri);
        self.follow("resources/read", Shown::Span, target, &of_span, false, work).await
    }

    fn negotiate_initialize(
        &self,
        request: &InitializeRequestParams,
    ) -> Result<InitializeResult, ErrorData> {
        self.inner.negotiate_initialize(request)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.inner.supported_protocol_versions()
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.inner.accepted_subscription_filter(requested)
    }

    /// Lives as long as its client: no span, no duration.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.inner.listen(context).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.inner.get_tool(name)
    }

    fn get_info(&self) -> ServerConfig {
        self.inner.get_info()
    }

    async fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.inner.on_cancelled(notification, context).await;
    }

    async fn on_progress(
        &self,
        notification: ProgressNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.inner.on_progress(notification, context).await;
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.inner.on_initialized(context).await;
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.inner.on_roots_list_changed(context).await;
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        context: NotificationContext<RoleServer>,
    ) {
        self.inner.on_custom_notification(notification, context).await;
    }
}
