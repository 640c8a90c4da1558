//! How jobs, nodes and scores look on a terminal. Pure: data in, text out.

use std::fmt::Write as _;
use std::time::Duration;

use types::{
    AttemptOutcome, AttemptView, BootstrapScore, JobSummary, JobView, NodeView, PooledScore,
    ResultView, Timestamp,
};

/// Digits behind the point of every score shown to people: as many as libvmaf prints.
const SCORE_DIGITS: usize = 6;

/// A duration with three significant digits and a unit that fits.
pub(crate) fn duration(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    let (number, unit) = match seconds {
        s if s >= 120.0 => return format!("{}m{:02}s", value.as_secs() / 60, value.as_secs() % 60),
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let digits = if number >= 100.0 { 0 } else { usize::from(number < 10.0) + 1 };
    format!("{number:.digits$} {unit}")
}

/// Rows in columns, each as wide as its widest cell; the last one is not padded.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| {
            cells(column)
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .max(title.chars().count())
        })
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    line(&mut head.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// The list that `vmafx jobs` prints.
pub(crate) fn jobs(jobs: &[JobSummary], now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = jobs.iter().map(|job| job_row(job, now)).collect();
    table(&["JOB", "STATE", "SCORE", "ATTEMPTS", "AGE", "TOOK", "NOTE"], &rows)
}

fn job_row(job: &JobSummary, now: Timestamp) -> Vec<String> {
    let note = match (&job.failure, job.progress) {
        (Some(failure), _) => failure.to_string(),
        (None, Some(progress)) => progress_text(progress.frames_done, progress.frames_total),
        (None, None) => job
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(" "),
    };
    vec![
        job.id.to_string(),
        job.state.to_string(),
        job.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.SCORE_DIGITS$}")),
        job.attempts.to_string(),
        duration(now.since(job.submitted_at)),
        job.finished_at.map_or_else(|| "-".to_owned(), |at| duration(at.since(job.submitted_at))),
        note,
    ]
}

/// `12 of 240 frames`, or without the total where it is not known.
pub(crate) fn progress_text(frames_done: u64, frames_total: Option<u64>) -> String {
    match frames_total {
        Some(total) => format!("{frames_done} of {total} frames"),
        None => format!("{frames_done} frames"),
    }
}

/// The list that `vmafx nodes` prints.
pub(crate) fn nodes(nodes: &[NodeView], now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|node| {
            vec![
                node.node.to_string(),
                if node.draining {
                    "draining".to_owned()
                } else {
                    node.liveness.as_str().to_owned()
                },
                format!("{}/{}", node.slots_busy, node.capabilities.slots),
                node.capabilities.backends.join(","),
                node.capabilities.codecs.join(","),
                node.capabilities.isa.clone(),
                duration(now.since(node.last_seen_at)),
                node.capabilities.version.clone(),
            ]
        })
        .collect();
    table(&["NODE", "LIVENESS", "BUSY", "BACKENDS", "CODECS", "ISA", "SEEN", "VERSION"], &rows)
}

/// Everything about one job but its frames.
pub(crate) fn job(job: &JobView) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<12}{value}");
    };
    line("job", &job.id.to_string());
    line("state", job.state.as_str());
    line("trace", &job.trace.trace_id.to_string());
    line("reference", &job.spec.reference.uri);
    for distorted in &job.spec.distorted {
        line("distorted", &distorted.uri);
    }
    if let Some(encode) = &job.spec.encode {
        let what = format!("{} {}, preset {}", encode.encoder, encode.quality, encode.preset);
        line("encode", &what);
    }
    line("model", &job.spec.model.to_string());
    line("submitted", &job.submitted_at.to_string());
    if let Some(finished_at) = job.finished_at {
        line("took", &duration(finished_at.since(job.submitted_at)));
    }
    if let Some(progress) = job.progress {
        line("progress", &progress_text(progress.frames_done, progress.frames_total));
    }
    if let Some(waiting_for) = &job.waiting_for {
        line("waiting for", waiting_for);
    }
    if let Some(failure) = &job.failure {
        line("failure", &failure.to_string());
    }
    for result in &job.results {
        text.push('\n');
        text.push_str(&score(result));
    }
    if !job.attempts.is_empty() {
        text.push('\n');
        text.push_str(&attempts(&job.attempts));
    }
    text
}

fn attempts(attempts: &[AttemptView]) -> String {
    let rows: Vec<Vec<String>> = attempts
        .iter()
        .map(|attempt| {
            let ended = attempt.ended_at.map(|at| duration(at.since(attempt.started_at)));
            vec![
                attempt.attempt.to_string(),
                attempt.node.to_string(),
                attempt.outcome.map_or("running", AttemptOutcome::as_str).to_owned(),
                duration(attempt.started_at.since(attempt.available_at)),
                ended.unwrap_or_else(|| "-".to_owned()),
                attempt.failure.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]
        })
        .collect();
    table(&["ATTEMPT", "NODE", "OUTCOME", "WAITED", "RAN", "CAUSE"], &rows)
}

/// A result's scores, one model after the other, the values of the whole clip, then its warnings.
pub(crate) fn score(result: &ResultView) -> String {
    let mut text = String::new();
    for model in &result.models {
        text.push_str(&model_score(&model.version, &model.pooled));
        if let Some(sure) = BootstrapScore::find(&model.name, &result.pooled) {
            let (low, high) = (sure.low, sure.high);
            let _ = writeln!(
                text,
                "{:<15}{low:.SCORE_DIGITS$} to {high:.SCORE_DIGITS$}",
                "95 % interval"
            );
        }
    }
    for (name, value) in &result.aggregates {
        let _ = writeln!(text, "{name:<15}{value:.SCORE_DIGITS$}");
    }
    let _ = writeln!(
        text,
        "{:<15}{} of {}×{}",
        "frames", result.frame_count, result.width, result.height
    );
    for warning in &result.warnings {
        let _ = writeln!(text, "{:<15}{}", "warning", warning.message);
    }
    text
}

fn model_score(version: &str, pooled: &PooledScore) -> String {
    let rows = [
        (version, pooled.mean),
        ("minimum", pooled.min),
        ("p5", pooled.p5),
        ("harmonic mean", pooled.harmonic_mean),
    ];
    rows.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key:<15}{value:.SCORE_DIGITS$}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_a_fitting_unit() {
        for (value, text) in [
            (Duration::from_nanos(1_500), "1.50 µs"),
            (Duration::from_micros(12_345), "12.3 ms"),
            (Duration::from_millis(999), "999 ms"),
            (Duration::from_millis(1_234), "1.23 s"),
            (Duration::from_secs(3_671), "61m11s"),
        ] {
            assert_eq!(duration(value), text);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_blanks() {
        let rows = [vec!["a".to_owned(), String::new()], vec!["abc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&["X", "YY"], &rows), "X    YY\na\nabc  d\n");
    }
}
