//! Tools, resources and prompts with the names and answers that the suite expects.

use std::time::Duration;

use rmcp::model::{
    AudioContent, CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities,
    ContentBlock, CreateMessageRequestParams, ElicitRequestParams, ErrorData,
    GetPromptRequestParams, GetPromptResult, ImageContent, JsonObject, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam, Prompt, PromptArgument,
    PromptMessage, ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role,
    SamplingMessage, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

/// A PNG of one pixel, and a WAV without a sample.
const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// The pause between two notifications.
const PAUSE: Duration = Duration::from_millis(50);

const TOOLS: [&str; 16] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_error_handling",
    "test_tool_with_progress",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_missing_capability",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
];

fn object(value: &Value) -> JsonObject {
    value.as_object().cloned().expect("written as an object")
}

fn plain(name: &str) -> Tool {
    let schema = object(&json!({"type": "object", "properties": {}}));
    Tool::new(name.to_owned(), format!("The suite's {name}"), schema)
}

/// Every fixture tool.
pub fn tools() -> Vec<Tool> {
    let argument = |name: &str, argument: &str| {
        let schema = json!({
            "type": "object",
            "properties": {argument: {"type": "string"}},
            "required": [argument],
        });
        Tool::new(name.to_owned(), format!("The suite's {name}"), object(&schema))
    };
    let others =
        TOOLS.iter().filter(|name| !matches!(**name, "test_sampling" | "test_elicitation"));
    let mut tools: Vec<Tool> = others.map(|name| plain(name)).collect();
    tools.extend(crate::inputs::NAMES.iter().map(|name| plain(name)));
    tools.push(argument("test_sampling", "prompt"));
    tools.push(argument("test_elicitation", "message"));
    tools
}

/// Whether a tool is one of these.
pub fn is_one(name: &str) -> bool {
    TOOLS.contains(&name)
}

/// A result of one line.
pub fn said(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn embedded(uri: &str, mime_type: &str, text: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(mime_type))
}

/// Calls one.
pub async fn call(
    name: &str,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let text = |argument: &str| {
        let value = request.arguments.as_ref().and_then(|arguments| arguments.get(argument));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let result = match name {
        "test_simple_text" => said("This is a simple text response for testing."),
        "test_image_content" => {
            CallToolResult::success(vec![ContentBlock::image(IMAGE, "image/png")])
        }
        "test_audio_content" => CallToolResult::success(vec![ContentBlock::Audio(
            AudioContent::new(AUDIO, "audio/wav"),
        )]),
        "test_embedded_resource" => CallToolResult::success(vec![embedded(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        )]),
        "test_multiple_content_types" => CallToolResult::success(vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(IMAGE, "image/png"),
            embedded(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            ),
        ]),
        "test_error_handling" => CallToolResult::error(vec![ContentBlock::text(
            "This tool intentionally returns an error for testing",
        )]),
        "test_tool_with_logging" => {
            let lines =
                ["Tool execution started", "Tool processing data", "Tool execution completed"];
            for line in lines {
                log(context, LoggingLevel::Info, line).await;
                tokio::time::sleep(PAUSE).await;
            }
            said("logged")
        }
        "test_logging_tool" => {
            if let Some(level) = context.meta.log_level() {
                log(context, level, "asked for").await;
            }
            said("logged if asked for")
        }
        "test_tool_with_progress" => {
            for done in [0.0, 50.0, 100.0] {
                if let Some(token) = context.meta.get_progress_token() {
                    let param = ProgressNotificationParam::new(token, done).with_total(100.0);
                    let _ = context.peer.notify_progress(param).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
            said("done")
        }
        "test_sampling" => sample(context, text("prompt")).await,
        "test_elicitation" => {
            let message = text("message");
            elicit(
                context,
                &message,
                json!({
                    "type": "object",
                    "properties": {
                        "username": {"type": "string", "description": "User's response"},
                        "email": {"type": "string", "description": "User's email address"},
                    },
                    "required": ["username", "email"],
                }),
            )
            .await
        }
        "test_elicitation_sep1034_defaults" => {
            elicit(context, "All have defaults", defaults()).await
        }
        "test_elicitation_sep1330_enums" => elicit(context, "Choose", enums()).await,
        "test_missing_capability" => {
            let declared = context.meta.client_capabilities().unwrap_or_default();
            if declared.sampling.is_none() {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            said("declared")
        }
        _ => return Err(ErrorData::invalid_params(format!("no fixture {name}"), None)),
    };
    Ok(result.into())
}

async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, line: &str) {
    let param = LoggingMessageNotificationParam::new(level, json!(line));
    let _ = context.peer.notify_logging_message(param).await;
}

async fn sample(context: &RequestContext<RoleServer>, prompt: String) -> CallToolResult {
    let params = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    match context.peer.create_message(params).await {
        Ok(answer) => {
            let first = answer.message.content.first();
            let text = first.and_then(|content| content.as_text()).map(|text| text.text.clone());
            said(format!("LLM response: {}", text.unwrap_or_default()))
        }
        Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
    }
}

async fn elicit(
    context: &RequestContext<RoleServer>,
    message: &str,
    schema: Value,
) -> CallToolResult {
    let params = ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema: serde_json::from_value(schema).expect("a schema"),
    };
    match context.peer.create_elicitation(params).await {
        Ok(answer) => {
            let action = serde_json::to_value(&answer.action).unwrap_or_default();
            let content = answer.content.unwrap_or_default();
            said(format!(
                "User response: action={}, content={content}",
                action.as_str().unwrap_or("?")
            ))
        }
        Err(error) => CallToolResult::error(vec![ContentBlock::text(error.to_string())]),
    }
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Name", "default": "John Doe"},
            "age": {"type": "integer", "description": "Age", "default": 30},
            "score": {"type": "number", "description": "Score", "default": 95.5},
            "status": {
                "type": "string",
                "description": "Status",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": {"type": "boolean", "description": "Verified", "default": true},
        },
        "required": [],
    })
}

fn enums() -> Value {
    let titled = |word: &str| {
        json!([
            {"const": "value1", "title": format!("First {word}")},
            {"const": "value2", "title": format!("Second {word}")},
            {"const": "value3", "title": format!("Third {word}")},
        ])
    };
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {
                "type": "array",
                "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
            },
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
        },
        "required": [],
    })
}

/// The fixture resources.
pub fn resources() -> Vec<Resource> {
    vec![
        Resource::new("test://static-text", "static text").with_mime_type("text/plain"),
        Resource::new("test://static-binary", "static binary").with_mime_type("image/png"),
        Resource::new("test://watched-resource", "watched").with_mime_type("text/plain"),
    ]
}

/// The fixture template.
pub fn template() -> ResourceTemplate {
    ResourceTemplate::new("test://template/{id}/data", "template")
        .with_mime_type("application/json")
}

/// Reads a fixture; `None` where it is none.
pub fn read(uri: &str) -> Option<ReadResourceResult> {
    let contents = match uri {
        "test://static-text" => {
            ResourceContents::text("This is the content of the static text resource.", uri)
                .with_mime_type("text/plain")
        }
        "test://watched-resource" => ResourceContents::text("watched", uri),
        "test://static-binary" => ResourceContents::blob(IMAGE, uri).with_mime_type("image/png"),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let data =
                json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
        }
    };
    Some(ReadResourceResult::new(vec![contents]))
}

/// The fixture prompts.
pub fn prompts() -> Vec<Prompt> {
    let argument = |name: &str, required| {
        PromptArgument::new(name).with_description("An argument").with_required(required)
    };
    let arguments = vec![argument("arg1", true), argument("arg2", false)];
    let embedded = vec![argument("resourceUri", true)];
    [
        ("test_simple_prompt", None),
        ("test_prompt_with_arguments", Some(arguments)),
        ("test_prompt_with_embedded_resource", Some(embedded)),
        ("test_prompt_with_image", None),
        ("test_input_required_result_prompt", None),
    ]
    .into_iter()
    .map(|(name, arguments)| Prompt::new(name, Some("A prompt of the suite"), arguments))
    .collect()
}

/// A fixture prompt; `None` where it is none.
pub fn prompt(request: &GetPromptRequestParams) -> Option<GetPromptResult> {
    let given = |name: &str| {
        let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let says = |text: String| PromptMessage::new_text(Role::User, text);
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![says("This is a simple prompt for testing.".to_owned())],
        "test_prompt_with_arguments" => {
            let (first, second) = (given("arg1"), given("arg2"));
            vec![says(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let uri = given("resourceUri");
            let content = embedded(&uri, "text/plain", "Embedded resource content for testing.");
            vec![
                PromptMessage::new(Role::User, content),
                says("Please process the embedded resource above.".to_owned()),
            ]
        }
        "test_prompt_with_image" => vec![
            PromptMessage::new(
                Role::User,
                ContentBlock::Image(ImageContent::new(IMAGE, "image/png")),
            ),
            says("Please analyze the image above.".to_owned()),
        ],
        _ => return None,
    };
    Some(GetPromptResult::new(messages))
}
