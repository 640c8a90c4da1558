//! A job's state, derived from its parts. It is stored nowhere.

use types::{Failure, FailureKind, State};

/// Where one part stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSnapshot {
    /// Its state.
    pub state: State,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
}

/// The state of a job whose parts stand like this.
///
/// A part that failed or was cancelled decides for the job once no part is live any more; until
/// then, and as soon as any part has run, the job is running.
#[must_use]
pub fn derive_state<'a>(parts: impl IntoIterator<Item = &'a PartSnapshot>) -> State {
    let (mut total, mut counts) = (0_usize, [0_usize; State::ALL.len()]);
    for part in parts {
        total += 1;
        counts[part.state as usize] += 1;
    }
    let count = |state: State| counts[state as usize];
    if count(State::Queued) == total {
        State::Queued
    } else if count(State::Queued) + count(State::Running) > 0 {
        State::Running
    } else if count(State::Cancelled) > 0 {
        State::Cancelled
    } else if count(State::Failed) > 0 {
        State::Failed
    } else {
        State::Succeeded
    }
}

/// Why a job failed: the first part's failure that is a cause, not a consequence of another's.
#[must_use]
pub fn derive_failure<'a>(
    parts: impl IntoIterator<Item = &'a PartSnapshot>,
) -> Option<&'a Failure> {
    let mut consequence = None;
    for failure in parts.into_iter().filter_map(|part| part.failure.as_ref()) {
        if failure.kind != FailureKind::Cancelled {
            return Some(failure);
        }
        consequence = consequence.or(Some(failure));
    }
    consequence
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Cancelled, Failed, Queued, Running, Succeeded};

    fn parts(states: &[State]) -> Vec<PartSnapshot> {
        states.iter().map(|state| PartSnapshot { state: *state, failure: None }).collect()
    }

    #[test]
    fn a_job_of_one_part_is_where_its_part_is() {
        for state in State::ALL {
            assert_eq!(derive_state(&parts(&[state])), state);
        }
    }

    #[test]
    fn a_job_of_many_parts_ends_when_its_last_part_does() {
        for (states, expected) in [
            (vec![Queued, Queued], Queued),
            (vec![Queued, Running], Running),
            (vec![Succeeded, Queued], Running),
            (vec![Succeeded, Running], Running),
            (vec![Failed, Running], Running),
            (vec![Succeeded, Failed], Failed),
            (vec![Succeeded, Cancelled], Cancelled),
            (vec![Failed, Cancelled], Cancelled),
            (vec![Succeeded, Succeeded], Succeeded),
        ] {
            assert_eq!(derive_state(&parts(&states)), expected, "{states:?}");
        }
    }

    #[test]
    fn the_cause_is_named_and_not_its_consequences() {
        let failed = |kind| PartSnapshot { state: Failed, failure: Some(Failure::new(kind, "")) };
        let all = [failed(FailureKind::Cancelled), failed(FailureKind::SizeMismatch)];
        assert_eq!(derive_failure(&all).map(|f| f.kind), Some(FailureKind::SizeMismatch));
        assert_eq!(derive_failure(&all[..1]).map(|f| f.kind), Some(FailureKind::Cancelled));
    }
}
