//! Prompts: two jobs that people give an agent again and again, spelled out.

use rmcp::model::{
    ErrorData, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role,
};
use serde_json::Value;

/// Characters of an argument.
const ARGUMENT_CHARS_MAX: usize = 4_096;

const DIAGNOSE: &str = "diagnose_low_score";
const GATE: &str = "ci_gate_report";

/// The prompts there are.
pub(super) fn list() -> Vec<Prompt> {
    let argument = |name: &str, description: &str, required| {
        PromptArgument::new(name).with_description(description).with_required(required)
    };
    vec![
        Prompt::new(
            GATE,
            Some("Decides whether an encode may ship: compares two jobs and writes the report"),
            Some(vec![
                argument("baseline_job_id", "The job of the encode that is in production", true),
                argument("candidate_job_id", "The job of the encode that is to replace it", true),
                argument("max_drop", "Points that the mean may lose; 0.5 unless given", false),
            ]),
        )
        .with_title("CI gate report"),
        Prompt::new(
            DIAGNOSE,
            Some("Finds out why a score is low: a broken pair, or a bad encode, and where"),
            Some(vec![argument("job_id", "The job whose score is low", true)]),
        )
        .with_title("Diagnose a low score"),
    ]
}

/// A prompt with its arguments filled in.
pub(super) fn get(name: &str, arguments: &JsonObject) -> Result<GetPromptResult, ErrorData> {
    let (description, text) = match name {
        DIAGNOSE => ("Why is this score low?", diagnose(&argument(arguments, "job_id")?)),
        GATE => {
            let baseline = argument(arguments, "baseline_job_id")?;
            let candidate = argument(arguments, "candidate_job_id")?;
            let max_drop = match arguments.contains_key("max_drop") {
                true => argument(arguments, "max_drop")?,
                false => "0.5".to_owned(),
            };
            ("May this encode ship?", gate(&baseline, &candidate, &max_drop))
        }
        _ => {
            let shown: String = name.chars().take(64).collect();
            return Err(ErrorData::invalid_params(format!("there is no prompt {shown:?}"), None));
        }
    };
    let messages = vec![PromptMessage::new_text(Role::User, text)];
    Ok(GetPromptResult::new(messages).with_description(description))
}

/// An argument that must be given.
fn argument(arguments: &JsonObject, name: &str) -> Result<String, ErrorData> {
    let text = arguments.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        ErrorData::invalid_params(format!("the argument {name} must be given, as text"), None)
    })?;
    if text.chars().count() > ARGUMENT_CHARS_MAX {
        let what = format!("the argument {name} is over {ARGUMENT_CHARS_MAX} characters");
        return Err(ErrorData::invalid_params(what, None));
    }
    Ok(text.to_owned())
}

fn diagnose(job_id: &str) -> String {
    format!(
        "Find out why the score of VMAFX job {job_id} is low.\n\n\
         1. Call get_job for it. Note the model, the number of frames, mean, p5, min and every \
         warning.\n\
         2. Call check_pair on its reference and distorted video. If it says invalid, that is the \
         cause: report the finding and its fix, and stop.\n\
         3. Call worst_frames and look at the images. Say what you see: blocking, blur, banding, \
         noise that was smoothed away, a wrong or repeated frame, a fade, text that became \
         unreadable.\n\
         4. Read the frames_uri of the result around the worst frames. Say whether the score is low \
         throughout (too few bits, wrong scaling, wrong range) or in some scenes only (hard content).\n\
         5. If the videos are not HD television, call recommend_model: the model may be the wrong \
         one.\n\n\
         Answer with: the cause in one sentence; the evidence (numbers, frames); what to change, as a \
         command where possible; and what you could not find out."
    )
}

fn gate(baseline: &str, candidate: &str, max_drop: &str) -> String {
    format!(
        "Decide whether the encode of VMAFX job {candidate} may replace that of job {baseline}. It \
         may if the mean difference is not below -{max_drop} with confidence.\n\n\
         1. Call compare_results with baseline_job_id {baseline} and candidate_job_id {candidate}. If \
         it refuses, the gate fails: say why.\n\
         2. FAIL if per_frame.ci95_high is below -{max_drop}. WARN if mean_difference is below \
         -{max_drop} but ci95_high is not, or if p5 lost more than two points. PASS otherwise.\n\
         3. On FAIL and WARN call worst_frames for {candidate} and say what the worst frames show.\n\n\
         Answer in Markdown: the verdict in bold on the first line; a table of mean, p5, p1 and min \
         of both with their differences; the interval; every warning; and on FAIL what to try next."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn arguments(value: &Value) -> JsonObject {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn prompts_hold_their_arguments_and_ask_for_what_is_missing() {
        let gate = get(GATE, &arguments(&json!({"baseline_job_id": "a", "candidate_job_id": "b"})));
        let text = format!("{:?}", gate.expect("complete").messages);
        assert!(text.contains("-0.5") && text.contains("baseline_job_id a"), "{text}");
        let error = get(DIAGNOSE, &JsonObject::new()).expect_err("nothing given");
        assert!(error.message.contains("job_id"), "{error:?}");
        assert!(get("nonsense", &JsonObject::new()).is_err());
        let long = arguments(&json!({"job_id": "x".repeat(5_000)}));
        assert!(get(DIAGNOSE, &long).is_err());
    }

    #[test]
    fn required_arguments_are_listed_as_such() {
        for prompt in list() {
            let required = prompt.arguments.iter().flatten().filter(|a| a.required == Some(true));
            assert!(required.count() > 0, "{}", prompt.name);
        }
    }
}
