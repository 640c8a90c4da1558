//! Fixtures that need something from the client before they can answer.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, InputRequest, InputRequests, InputRequiredResult, InputResponses,
    PromptMessage, RequestStateCodec, Role,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::fixtures::said;

/// The fixtures there are.
pub const NAMES: [&str; 9] = [
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "test_streaming_elicitation",
];

/// Long enough for the codec; what it protects lives as long as this process.
const KEY: &[u8] = b"a key that protects nothing but the fixtures of a test";

/// Seals what is kept at the client between two rounds.
#[derive(Clone)]
pub struct Inputs(RequestStateCodec);

impl Default for Inputs {
    fn default() -> Self {
        Self(RequestStateCodec::new_unchecked(KEY))
    }
}

/// Whether a tool is one of these.
pub fn is_one(name: &str) -> bool {
    NAMES.contains(&name)
}

fn ask(method: &str, params: &Value) -> InputRequest {
    serde_json::from_value(json!({"method": method, "params": params})).expect("a request")
}

fn form(message: &str, field: &str, kind: &str) -> InputRequest {
    let schema = json!({
        "type": "object",
        "properties": {field: {"type": kind}},
        "required": [field],
    });
    ask(
        "elicitation/create",
        &json!({"mode": "form", "message": message, "requestedSchema": schema}),
    )
}

fn name_form() -> InputRequest {
    form("What is your name?", "name", "string")
}

fn sampling(prompt: &str) -> InputRequest {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    ask("sampling/createMessage", &json!({"messages": [message], "maxTokens": 100}))
}

fn roots() -> InputRequest {
    ask("roots/list", &json!({}))
}

fn required<const N: usize>(
    requests: [(&str, InputRequest); N],
    state: Option<String>,
) -> InputRequiredResult {
    let requests: InputRequests =
        requests.into_iter().map(|(key, request)| (key.to_owned(), request)).collect();
    InputRequiredResult::new(Some(requests), state)
}

/// A response that has the form of one; anything else is as if missing, and asked for again.
fn given<'a>(responses: Option<&'a InputResponses>, key: &str) -> Option<&'a Value> {
    responses.and_then(|responses| responses.get(key)).filter(|value| value.is_object())
}

impl Inputs {
    fn seal(&self, state: &Value) -> Result<Option<String>, ErrorData> {
        let sealed = self.0.seal_json(state);
        sealed.map(Some).map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }

    fn open(&self, sealed: &str) -> Result<Value, ErrorData> {
        let refused = |_| ErrorData::invalid_params("requestState was tampered with", None);
        self.0.open_json(sealed).map_err(refused)
    }

    /// Calls one.
    pub fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let responses = request.input_responses.as_ref();
        let has = |key: &str| given(responses, key).is_some();
        let state = request.request_state.as_deref();
        Ok(match request.name.as_ref() {
            "test_input_required_result_elicitation" => match given(responses, "user_name") {
                Some(answer) => {
                    let name = answer["content"]["name"].as_str().unwrap_or("friend");
                    said(format!("Hello, {name}!")).into()
                }
                None => required([("user_name", name_form())], None).into(),
            },
            "test_input_required_result_sampling" => match given(responses, "capital_question") {
                Some(answer) => said(format!("The client said: {}", answer["content"])).into(),
                None => {
                    let question = sampling("What is the capital of France?");
                    required([("capital_question", question)], None).into()
                }
            },
            "test_input_required_result_list_roots" => match given(responses, "client_roots") {
                Some(answer) => said(format!("Client roots: {}", answer["roots"])).into(),
                None => required([("client_roots", roots())], None).into(),
            },
            "test_input_required_result_request_state"
            | "test_input_required_result_tampered_state" => match state {
                Some(sealed) => {
                    self.open(sealed)?;
                    said("state-ok").into()
                }
                None => {
                    let sealed = self.seal(&json!({"step": "confirm"}))?;
                    required([("confirm", form("Please confirm", "ok", "boolean"))], sealed).into()
                }
            },
            "test_input_required_result_multiple_inputs" => {
                state.map(|sealed| self.open(sealed)).transpose()?;
                if state.is_some() && has("user_name") && has("greeting") && has("client_roots") {
                    said("All inputs received").into()
                } else {
                    let sealed = self.seal(&json!({"step": "gather"}))?;
                    let greeting = sampling("Generate a greeting");
                    let inputs = [
                        ("user_name", name_form()),
                        ("greeting", greeting),
                        ("client_roots", roots()),
                    ];
                    required(inputs, sealed).into()
                }
            }
            "test_input_required_result_multi_round" => self.round(state)?,
            "test_input_required_result_capabilities" => {
                if responses.is_some() {
                    return Ok(said("complete").into());
                }
                let declared = context.meta.client_capabilities().unwrap_or_default();
                let mut requests = InputRequests::new();
                if declared.elicitation.is_some() {
                    requests.insert("user_name".to_owned(), name_form());
                }
                if declared.sampling.is_some() {
                    requests.insert("greeting".to_owned(), sampling("Generate a greeting"));
                }
                if requests.is_empty() {
                    said("nothing that could be asked was declared").into()
                } else {
                    InputRequiredResult::from_input_requests(requests).into()
                }
            }
            _ => required([("value", form("Provide a value", "value", "string"))], None).into(),
        })
    }

    fn round(&self, state: Option<&str>) -> Result<CallToolResponse, ErrorData> {
        let round = match state {
            None => 0,
            Some(sealed) => self.open(sealed)?["round"].as_u64().unwrap_or(0),
        };
        let next = self.seal(&json!({"round": round + 1}))?;
        Ok(match round {
            0 => {
                let step = form("Step 1: What is your name?", "name", "string");
                required([("step1", step)], next).into()
            }
            1 => {
                let step = form("Step 2: What is your favorite color?", "color", "string");
                required([("step2", step)], next).into()
            }
            _ => said("Multi-round flow complete").into(),
        })
    }
}

/// The prompt that needs something; `None` where it is another.
pub fn prompt(request: &GetPromptRequestParams) -> Option<GetPromptResponse> {
    if request.name != "test_input_required_result_prompt" {
        return None;
    }
    Some(match given(request.input_responses.as_ref(), "user_context") {
        Some(answer) => {
            let text = format!("Context: {}", answer["content"]["context"]);
            GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into()
        }
        None => {
            let question = form("What context should the prompt use?", "context", "string");
            required([("user_context", question)], None).into()
        }
    })
}
