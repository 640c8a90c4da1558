//! Results out of NDJSON. Only what a report shows is looked at, so that results of other versions
//! are read as far as they are alike.

use std::io::{self, BufRead, Read};

use serde_json::Value;
use thiserror::Error;

use super::film::Film;

/// Bytes of a line that are looked at.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Points of one report.
const POINTS_MAX: usize = 100_000;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// No line is a result.
    #[error("{name} holds no result; give it what --json printed, or a corpus")]
    Nothing {
        /// The file.
        name: String,
    },
    /// Too much for one picture.
    #[error("{count} curves are too many for one report; give it files of at most {max}")]
    TooMany {
        /// How many.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The file cannot be read.
    #[error("{name} cannot be read")]
    Read {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub name: String,
    /// By rate.
    pub points: Vec<Point>,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub quality: String,
    pub rate: f64,
    pub score: f64,
}

/// The answer of a search.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub source: String,
    pub encoder: String,
    pub quality: String,
    pub target: String,
    pub reached: f64,
    pub rate: f64,
    pub probes: u64,
}

/// Adds what the lines hold, and says how many points that was.
pub(super) fn read(
    name: &str,
    mut lines: impl BufRead,
    series: &mut Vec<Series>,
    answers: &mut Vec<Answer>,
    films: &mut Vec<Film>,
) -> Result<usize, ReportError> {
    let failed = |source| ReportError::Read { name: name.to_owned(), source };
    let points = |series: &[Series]| series.iter().map(|one| one.points.len()).sum::<usize>();
    let before = points(series);
    let (mut line, mut shots) = (Vec::new(), 0);
    loop {
        line.clear();
        if lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let Ok(value) = serde_json::from_slice::<Value>(&line) else { continue };
        let outcome = value.get("outcome").unwrap_or(&value);
        take(outcome, series, answers);
        if outcome["command"] == "shots" {
            shots += Film::read(outcome).map_or(0, |film| {
                let shots = film.len();
                films.push(film);
                shots
            });
        }
        if points(series) + shots > POINTS_MAX {
            break;
        }
    }
    let taken = points(series) - before + shots;
    for one in series {
        one.points.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        one.points.dedup();
    }
    Ok(taken)
}

fn take(outcome: &Value, series: &mut Vec<Series>, answers: &mut Vec<Answer>) {
    let source = text(&outcome["source"]);
    match outcome["command"].as_str() {
        Some("crf") => found(&source, &outcome["found"], series, answers),
        Some("compare") => {
            for contender in array(&outcome["contenders"]) {
                for at in array(&contender["at"]) {
                    found(&source, at, series, answers);
                }
            }
        }
        Some("ladder") => {
            for one in array(&outcome["cloud"]) {
                let size = &one["size"];
                let name = format!("{} {}x{}", short(&source), text(&size[0]), text(&size[1]));
                let score = one["score"].as_f64();
                add(series, &name, one, score);
            }
            for one in array(&outcome["hull"]) {
                add(series, &format!("{} hull", short(&source)), one, one["score"].as_f64());
            }
        }
        // A line of a corpus.
        None if outcome["key"].is_string() => {
            let name = format!(
                "{} {} {}",
                short(&source),
                text(&outcome["encoder"]),
                text(&outcome["preset"])
            );
            add(series, &name, outcome, outcome["pooled"]["mean"].as_f64());
        }
        _ => {}
    }
}

fn found(source: &str, found: &Value, series: &mut Vec<Series>, answers: &mut Vec<Answer>) {
    let encode = &found["encode"];
    let name =
        format!("{} {} {}", short(source), text(&encode["encoder"]), text(&encode["preset"]));
    for one in array(&found["tried"]) {
        add(series, name.trim_end(), one, one["pooled"]["mean"].as_f64());
    }
    let binding = &found["binding"];
    let constraint = &binding["constraint"];
    answers.push(Answer {
        source: source.to_owned(),
        encoder: text(&encode["encoder"]),
        quality: text(&found["quality"]),
        target: format!("{} ≥ {}", text(&constraint["statistic"]), text(&constraint["at_least"])),
        reached: binding["value"].as_f64().unwrap_or(f64::NAN),
        rate: found["measured"]["kilobits_per_second"].as_f64().unwrap_or(f64::NAN),
        probes: found["probes"].as_u64().unwrap_or_default(),
    });
}

fn add(series: &mut Vec<Series>, name: &str, one: &Value, score: Option<f64>) {
    let rate = one["kilobits_per_second"].as_f64().filter(|rate| *rate > 0.0);
    let (Some(rate), Some(score)) = (rate, score) else { return };
    let point = Point { quality: text(&one["quality"]), rate, score };
    match series.iter_mut().find(|known| known.name == name) {
        Some(known) => known.points.push(point),
        None => series.push(Series { name: name.to_owned(), points: vec![point] }),
    }
}

pub(super) fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A word or a number as text, cut.
pub(super) fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    text.chars().take(256).collect()
}

/// A path's last part.
fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
