//! Why a queued job does not run although it could start now.

use std::time::Duration;

use types::{Capabilities, Requirements, Timestamp};

use crate::fleet::satisfies;

/// How long a part waits before anybody wonders whether a node can run it at all.
pub const UNSATISFIABLE_AFTER: Duration = Duration::from_secs(60);

/// Says what is missing when no known node can run a part that has waited for a minute.
#[must_use]
pub fn waiting_for<'a>(
    requirements: &Requirements,
    nodes: impl IntoIterator<Item = &'a Capabilities>,
    available_at: Timestamp,
    now: Timestamp,
) -> Option<String> {
    if now.since(available_at) < UNSATISFIABLE_AFTER {
        return None;
    }
    let mut known = 0_usize;
    for node in nodes {
        if satisfies(node, requirements) {
            return None;
        }
        known += 1;
    }
    if known == 0 {
        return Some("a node: none is registered".to_owned());
    }
    let backend = requirements.backend.as_ref().map(|name| format!("backend {name}"));
    let codecs = requirements.codecs.iter().map(|name| format!("codec {name}"));
    let encoders = requirements.encoders.iter().map(|name| format!("encoder {name}"));
    let needs: Vec<String> = backend.into_iter().chain(codecs).chain(encoders).collect();
    Some(format!("a node with {}: none of the {known} known has it", needs.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(codecs: &[&str]) -> Capabilities {
        Capabilities {
            backends: vec!["cpu".into()],
            codecs: codecs.iter().map(|&name| name.to_owned()).collect(),
            encoders: vec!["libx264".into()],
            encoder_versions: Vec::new(),
            slots: 1,
            isa: String::new(),
            version: String::new(),
        }
    }

    #[test]
    fn a_job_that_no_node_can_run_says_so_after_a_minute() {
        let needs = Requirements {
            backend: Some("gpu".into()),
            codecs: vec!["av1".into()],
            encoders: vec!["libsvtav1".into()],
        };
        let (start, nodes) = (Timestamp::EPOCH, [node(&["y4m"])]);
        let at = |seconds| start.after(Duration::from_secs(seconds));
        assert_eq!(waiting_for(&needs, &nodes, start, at(59)), None);
        let said = waiting_for(&needs, &nodes, start, at(60)).expect("a minute passed");
        assert!(said.contains("backend gpu") && said.contains("codec av1"), "{said}");
        assert!(said.contains("encoder libsvtav1"), "{said}");
        assert!(waiting_for(&needs, [], start, at(60)).is_some());
    }

    #[test]
    fn a_job_that_some_node_can_run_only_waits_its_turn() {
        let needs = Requirements {
            backend: Some("cpu".into()),
            codecs: vec!["y4m".into()],
            encoders: vec!["libx264".into()],
        };
        let late = Timestamp::EPOCH.after(Duration::from_secs(3_600));
        assert_eq!(waiting_for(&needs, &[node(&["y4m"])], Timestamp::EPOCH, late), None);
    }
}
