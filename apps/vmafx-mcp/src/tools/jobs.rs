//! `get_job`, `cancel_job` and `list_jobs`: what became of what was handed over.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::rpc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use types::{JobFilter, JobId, JobPage};

use super::view::{self, JobLine, JobOut, StateOut};
use super::{Answer, Effect, Tool, args, score, tune};
use crate::error::ToolError;
use crate::platform::Call;
use crate::tunes::TuneView;

/// Jobs on one page of a list.
const PAGE_MAX: usize = 50;
/// Jobs on one page where nothing is said.
const PAGE_DEFAULT: usize = 20;

/// `get_job`
pub(crate) struct GetJob;

/// What `get_job` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetJobIn {
    /// The job's handle.
    pub job_id: String,
    /// How long to wait for its end, 0 to 120; 0, the default, answers at once.
    #[serde(default)]
    pub wait_seconds: Option<u32>,
}

impl Tool for GetJob {
    const NAME: &'static str = "get_job";
    const TITLE: &'static str = "Look at a job";
    const DESCRIPTION: &'static str = "Says where a job stands: its progress while it runs, its scores once it has succeeded, or \
         why it failed. With wait_seconds it waits for the end and reports progress, which is \
         better than calling again and again. Cancelling this call leaves the job running.";
    const EFFECT: Effect = Effect::Reads;
    type Input = GetJobIn;
    type Output = JobOut;

    async fn run(mut call: Call, input: GetJobIn) -> Result<Answer<JobOut>, ToolError> {
        let id = args::job_id(&input.job_id)?;
        let until = score::until(input.wait_seconds, Duration::ZERO);
        if call.platform.tunes.view(id).is_some() {
            return Ok(tune::view(&tune::follow(&mut call, id, until).await?).into());
        }
        let jobs = &call.platform.jobs;
        let job = match input.wait_seconds {
            None | Some(0) => jobs.job(id).await?,
            Some(_) => jobs.wait(id, until, &call.stop, &mut call.reporter).await?,
        };
        // That a job failed is what was asked for here, and no failure of this call.
        Ok(Answer { value: (&job).into(), more: view::links(&job) })
    }
}

/// `cancel_job`
pub(crate) struct CancelJob;

/// What `cancel_job` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelIn {
    /// The job's handle.
    pub job_id: String,
}

/// What a cancel did.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CancelOut {
    /// The job's handle.
    pub job_id: String,
    /// Where it stands now.
    pub state: StateOut,
    /// Whether this call moved it there; a job that had ended stays as it was.
    pub changed: bool,
}

impl Tool for CancelJob {
    const NAME: &'static str = "cancel_job";
    const TITLE: &'static str = "Cancel a job";
    const DESCRIPTION: &'static str = "Cancels a job that waits or runs; it stops within a second. A job that has ended stays as \
         it is, and cancelling twice does no harm. A cancelled job keeps no result.";
    const EFFECT: Effect = Effect::Ends;
    type Input = CancelIn;
    type Output = CancelOut;

    async fn run(call: Call, input: CancelIn) -> Result<Answer<CancelOut>, ToolError> {
        let id = args::job_id(&input.job_id)?;
        let job_id = id.to_string();
        if let Some((state, changed)) = call.platform.tunes.cancel(id) {
            return Ok(CancelOut { job_id, state: state.into(), changed }.into());
        }
        let answer = call.platform.jobs.cancel(id).await?;
        Ok(CancelOut { job_id, state: answer.state.into(), changed: answer.changed }.into())
    }
}

/// `list_jobs`
pub(crate) struct ListJobs;

/// What `list_jobs` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListIn {
    /// Only jobs in these states; all where none is given.
    #[serde(default)]
    pub states: Vec<StateOut>,
    /// Only jobs that carry all of these labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How many at most, 1 to 50; 20 unless given.
    #[serde(default)]
    pub limit: Option<usize>,
    /// The next_cursor of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// One page of jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ListOut {
    /// The jobs, newest first.
    pub jobs: Vec<JobLine>,
    /// Give this as cursor for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Tool for ListJobs {
    const NAME: &'static str = "list_jobs";
    const TITLE: &'static str = "List jobs";
    const DESCRIPTION: &'static str = "Lists jobs and runs of tune, newest first, with their states and headline scores, filtered by state and \
         label and a page at a time. For the whole of one job call get_job.";
    const EFFECT: Effect = Effect::Reads;
    type Input = ListIn;
    type Output = ListOut;

    async fn run(call: Call, input: ListIn) -> Result<Answer<ListOut>, ToolError> {
        let after: Option<JobId> = match input.cursor {
            None => None,
            Some(cursor) => Some(cursor.parse().map_err(|error| {
                let hint = "Give the next_cursor of the page before, or none for the first.";
                ToolError::argument(format!("cursor: {error}"), hint)
            })?),
        };
        let filter = JobFilter {
            states: input.states.into_iter().map(Into::into).collect(),
            tenant: None,
            labels: input.labels,
        };
        let limit = input.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        // Runs of tune carry no labels.
        let runs = match filter.labels.is_empty() {
            true => call.platform.tunes.list(&filter.states, after),
            false => Vec::new(),
        };
        let page_size = Some(limit);
        let page = call.platform.jobs.list(rpc::ListJobs { filter, page_size, after }).await?;
        Ok(merged(&page, &runs, limit).into())
    }
}

/// One page of jobs and runs together, newest first: the ids of both sort by when they began.
fn merged(page: &JobPage, runs: &[TuneView], limit: usize) -> ListOut {
    let more = page.next.is_some();
    let jobs = page.jobs.iter().map(|job| (job.id, JobLine::from(job)));
    let runs = runs.iter().map(|run| (run.id, JobLine::from(run)));
    let mut all: Vec<(JobId, JobLine)> = jobs.chain(runs).collect();
    all.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    let more = more || all.len() > limit;
    all.truncate(limit);
    let next_cursor = all.last().filter(|_| more).map(|(id, _)| id.to_string());
    ListOut { jobs: all.into_iter().map(|(_, line)| line).collect(), next_cursor }
}

#[cfg(test)]
mod tests {
    use types::{State, Timestamp, TraceId};

    use super::*;

    fn id(number: i64) -> JobId {
        JobId::new(Timestamp::from_unix_micros(number * 1_000_000), 7)
    }

    fn run(number: i64) -> TuneView {
        TuneView {
            id: id(number),
            state: State::Running,
            submitted_at: Timestamp::from_unix_micros(number * 1_000_000),
            finished_at: None,
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            probes: 2,
            steps: 9,
            note: "tried 23: score 93".to_owned(),
            outcome: None,
            failure: None,
        }
    }

    #[test]
    fn runs_stand_among_the_jobs_and_no_page_leaves_one_out() {
        let runs: Vec<TuneView> = (1..=5).rev().map(run).collect();
        let (mut seen, mut after) = (Vec::new(), None::<JobId>);
        loop {
            let older = |run: &&TuneView| after.is_none_or(|after| run.id < after);
            let left: Vec<TuneView> = runs.iter().filter(older).cloned().collect();
            let page = merged(&JobPage { jobs: Vec::new(), next: None }, &left, 2);
            assert!(page.jobs.len() <= 2);
            seen.extend(page.jobs.iter().map(|line| line.job_id.clone()));
            let Some(cursor) = page.next_cursor else { break };
            after = Some(cursor.parse().expect("an id"));
        }
        let expected: Vec<String> = runs.iter().map(|run| run.id.to_string()).collect();
        assert_eq!(seen, expected);
    }
}
