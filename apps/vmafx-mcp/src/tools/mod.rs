//! The tools: what each is called, takes, gives and does.
//!
//! A tool is a type with its own input and output, from which both schemas are made. What is not
//! known among the arguments is refused, never ignored. A tool answers with a value, which leaves as
//! structured content and, for hosts that read no such thing, as the same JSON in a text; images and
//! links follow it.

mod args;
mod check;
mod cluster;
mod compare;
mod jobs;
mod probe;
mod recommend;
mod score;
pub(crate) mod tune;
pub(crate) mod view;
mod worst;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use types::JobView;

use crate::error::ToolError;
use crate::platform::Call;
use crate::tunes::TuneView;

pub(crate) use score::result_of;
pub(crate) use view::{FRAMES_TEMPLATE, JOB_TEMPLATE, JobOut, frames_uri};

/// What a tool does to the world, from which its annotations follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It looks.
    Reads,
    /// It begins work, which takes machine time and destroys nothing.
    Starts,
    /// It ends work; doing so twice is as once.
    Ends,
}

/// What a tool gives: its value, and what follows it.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub value: T,
    pub more: Vec<ContentBlock>,
}

impl<T> From<T> for Answer<T> {
    fn from(value: T) -> Self {
        Self { value, more: Vec::new() }
    }
}

/// One tool.
pub(crate) trait Tool: 'static {
    const NAME: &'static str;
    const TITLE: &'static str;
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;

    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Serialize + JsonSchema + Send + 'static;

    fn run(
        call: Call,
        input: Self::Input,
    ) -> impl Future<Output = Result<Answer<Self::Output>, ToolError>> + Send;
}

type Running = Pin<Box<dyn Future<Output = Result<CallToolResult, ToolError>> + Send>>;

/// A tool as the server lists and calls it.
pub(crate) struct Entry {
    pub tool: rmcp::model::Tool,
    run: fn(Call, JsonObject) -> Running,
}

impl Entry {
    fn of<T: Tool>() -> Self {
        // Videos may be fetched from other hosts, which makes the world open.
        let annotations = ToolAnnotations::with_title(T::TITLE)
            .read_only(T::EFFECT == Effect::Reads)
            .destructive(T::EFFECT == Effect::Ends)
            .idempotent(T::EFFECT != Effect::Starts)
            .open_world(T::EFFECT != Effect::Ends);
        let mut tool = rmcp::model::Tool::new(T::NAME, T::DESCRIPTION, JsonObject::new())
            .with_title(T::TITLE)
            .with_input_schema::<T::Input>()
            .with_output_schema::<T::Output>()
            .with_annotations(annotations);
        // Hosts look for it also where a tool takes nothing.
        let schema = std::sync::Arc::make_mut(&mut tool.input_schema);
        schema.entry("properties").or_insert_with(|| JsonObject::new().into());
        Self { tool, run: |call, arguments| Box::pin(run::<T>(call, arguments)) }
    }

    /// Calls it.
    pub fn call(&self, call: Call, arguments: JsonObject) -> Running {
        (self.run)(call, arguments)
    }
}

/// Every tool by its name. Lists are in this order, which is the same for every client.
pub(crate) static TOOLS: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| {
    BTreeMap::from([
        (check::CheckPair::NAME, Entry::of::<check::CheckPair>()),
        (cluster::ClusterStatus::NAME, Entry::of::<cluster::ClusterStatus>()),
        (compare::CompareResults::NAME, Entry::of::<compare::CompareResults>()),
        (jobs::CancelJob::NAME, Entry::of::<jobs::CancelJob>()),
        (jobs::GetJob::NAME, Entry::of::<jobs::GetJob>()),
        (jobs::ListJobs::NAME, Entry::of::<jobs::ListJobs>()),
        (probe::ProbeMedia::NAME, Entry::of::<probe::ProbeMedia>()),
        (recommend::RecommendModel::NAME, Entry::of::<recommend::RecommendModel>()),
        (score::Score::NAME, Entry::of::<score::Score>()),
        (score::SubmitJob::NAME, Entry::of::<score::SubmitJob>()),
        (tune::Tune::NAME, Entry::of::<tune::Tune>()),
        (worst::WorstFrames::NAME, Entry::of::<worst::WorstFrames>()),
    ])
});

/// Tools whose work may become a task, for clients that know such.
pub(crate) const LONG: [&str; 2] = [score::Score::NAME, tune::Tune::NAME];

/// From here on a call of theirs is a task.
const TASK_AFTER: Duration = Duration::from_secs(2);

/// What became of a call that may be a task. A task has the handle of its work, and is as durable.
pub(crate) enum Begun {
    /// It was over at once.
    Over(CallToolResult),
    /// A job goes on.
    Job(Box<JobView>),
    /// A run of `tune` goes on.
    Run(Box<TuneView>),
}

/// Calls one of [`LONG`]: what is short answers at once, what takes longer becomes a task.
pub(crate) async fn begin(
    name: &str,
    call: Call,
    arguments: JsonObject,
) -> Result<Begun, ToolError> {
    let until = Instant::now() + TASK_AFTER;
    if name == tune::Tune::NAME {
        let run = tune::start_and_wait(call, input::<tune::Tune>(arguments)?, until).await?;
        return match run.state.is_terminal() {
            true => tune::result_of(&run).map(Begun::Over),
            false => Ok(Begun::Run(run.into())),
        };
    }
    let input = input::<score::Score>(arguments)?;
    let job = score::submit_and_wait(call, &input, until).await?.job;
    match job.state.is_terminal() {
        true => result_of(&job).map(Begun::Over),
        false => Ok(Begun::Job(job.into())),
    }
}

async fn run<T: Tool>(call: Call, arguments: JsonObject) -> Result<CallToolResult, ToolError> {
    result(T::run(call, input::<T>(arguments)?).await?)
}

/// The arguments as the tool takes them.
fn input<T: Tool>(arguments: JsonObject) -> Result<T::Input, ToolError> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        let message = format!("the arguments of {} cannot be used: {error}", T::NAME);
        ToolError::argument(message, "Look at the tool's inputSchema and call again.")
    })
}

/// What a tool gave, as it leaves.
fn result<T: Serialize>(answer: Answer<T>) -> Result<CallToolResult, ToolError> {
    let Answer { value, more } = answer;
    let value = serde_json::to_value(&value)
        .map_err(|error| ToolError::internal(format!("the answer is no JSON: {error}")))?;
    let mut result = CallToolResult::structured(value);
    result.content.extend(more);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_most_twelve_tools_each_with_schemas_and_annotations() {
        assert!(TOOLS.len() <= 12, "{}", TOOLS.len());
        for (name, entry) in TOOLS.iter() {
            let tool = &entry.tool;
            assert_eq!(*name, tool.name);
            assert_eq!(tool.input_schema["type"], "object", "{name}");
            assert_eq!(tool.input_schema["additionalProperties"], false, "{name}");
            let output = tool.output_schema.as_ref().expect("an output schema");
            assert_eq!(output["type"], "object", "{name}");
            assert!(tool.annotations.as_ref().is_some_and(|a| a.read_only_hint.is_some()));
            assert!(tool.description.as_ref().is_some_and(|text| text.len() > 60), "{name}");
            let required = tool.input_schema.get("required").and_then(Value::as_array);
            assert!(required.is_none_or(|names| names.len() <= 3), "{name}");
        }
    }

    #[test]
    fn every_argument_is_described() {
        for (name, entry) in TOOLS.iter() {
            let properties = entry.tool.input_schema["properties"].as_object();
            for (argument, schema) in properties.into_iter().flatten() {
                assert!(schema.get("description").is_some(), "{name}.{argument}");
            }
        }
    }
}
