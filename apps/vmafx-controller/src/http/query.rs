//! What several routes read from the path and the query.

use std::collections::BTreeMap;

use service::http::{Parameters, Problem};
use types::{JobFilter, JobId};

/// `state=` and `label=key=value`, each as often as wanted.
pub(crate) fn filter(parameters: &mut Parameters) -> Result<JobFilter, Problem> {
    let states = parameters
        .all("state")
        .into_iter()
        .map(|state| state.parse().map_err(|error| Problem::invalid(format!("state: {error}"))));
    let states = states.collect::<Result<_, _>>()?;
    let mut labels = BTreeMap::new();
    for label in parameters.all("label") {
        let (key, value) = label.split_once('=').ok_or_else(|| {
            Problem::invalid("label: write label=<key>=<value>, with the second `=` as %3D")
        })?;
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(JobFilter { states, tenant: None, labels })
}

/// Reads the job's id from the path. An id that is none names no job.
pub(crate) fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|error: types::id::ParseIdError| {
        proto::ApiError::new(proto::ErrorKind::JobNotFound, error.to_string()).into()
    })
}
