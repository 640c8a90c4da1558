//! Films of shots that were searched one by one: each shot over time, and a table of them.

use std::fmt::Write as _;

use serde_json::Value;

use super::escaped;
use super::read::{array, text};

/// Shots of one film that are shown; a film has a few thousand.
const SHOTS_MAX: usize = 20_000;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
/// Room for the axes' numbers: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (50.0, 20.0, 15.0, 30.0);

/// The outcome of `shots`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Film {
    source: String,
    encoder: String,
    kilobits_per_second: f64,
    shots: Vec<Shot>,
    /// Shots that are left out here.
    more: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Shot {
    first: u64,
    count: u64,
    quality: String,
    target: String,
    at_least: f64,
    score: f64,
    rate: f64,
    repairs: u64,
}

impl Film {
    /// Reads an outcome; `None` where it has no shot.
    pub(super) fn read(outcome: &Value) -> Option<Self> {
        let shot = |one: &Value| {
            let binding = &one["binding"];
            let constraint = &binding["constraint"];
            Some(Shot {
                first: one["range"]["first"].as_u64()?,
                count: one["range"]["count"].as_u64().filter(|count| *count > 0)?,
                quality: text(&one["quality"]),
                target: format!(
                    "{} ≥ {}",
                    text(&constraint["statistic"]),
                    text(&constraint["at_least"])
                ),
                at_least: constraint["at_least"].as_f64()?,
                score: binding["value"].as_f64()?,
                rate: one["kilobits_per_second"].as_f64()?,
                repairs: one["repairs"].as_u64().unwrap_or_default(),
            })
        };
        let mut shots: Vec<Shot> = array(&outcome["shots"]).filter_map(shot).collect();
        let more = shots.len().saturating_sub(SHOTS_MAX);
        shots.truncate(SHOTS_MAX);
        (!shots.is_empty()).then(|| Self {
            source: text(&outcome["source"]),
            encoder: text(&outcome["encoder"]),
            kilobits_per_second: outcome["kilobits_per_second"].as_f64().unwrap_or(f64::NAN),
            shots,
            more,
        })
    }

    /// How many shots there are to be seen.
    pub(super) fn len(&self) -> usize {
        self.shots.len()
    }

    /// A heading, a plot and a table.
    pub(super) fn html(&self) -> String {
        let mut body = format!(
            "<h2>Shots of {}, {}, {:.0} kbit/s</h2>\n{}",
            escaped(&self.source),
            escaped(&self.encoder),
            self.kilobits_per_second,
            self.plot()
        );
        body.push_str("<table>\n<tr><th>shot</th><th>frames</th><th>quality</th><th>target</th><th>score</th><th>kbit/s</th><th>made again</th></tr>\n");
        for (number, shot) in self.shots.iter().enumerate() {
            let _ = writeln!(
                body,
                "<tr><td>{}</td><td>{} to {}</td><td>{}</td><td>{}</td><td>{:.3}{}</td><td>{:.0}</td><td>{}</td></tr>",
                number + 1,
                shot.first,
                shot.first + shot.count - 1,
                escaped(&shot.quality),
                escaped(&shot.target),
                shot.score,
                if shot.score < shot.at_least { " misses" } else { "" },
                shot.rate,
                shot.repairs
            );
        }
        body.push_str("</table>\n");
        if self.more > 0 {
            let _ = writeln!(body, "<p>{} further shots are left out.</p>", self.more);
        }
        body
    }

    /// Each shot's score as a line over its frames, above the line of what it was to reach.
    fn plot(&self) -> String {
        let values = || self.shots.iter().flat_map(|shot| [shot.score, shot.at_least]);
        let low = values().fold(f64::INFINITY, f64::min) - 0.5;
        let high = values().fold(f64::NEG_INFINITY, f64::max) + 0.5;
        let end = self.shots.iter().map(|shot| shot.first + shot.count).max().unwrap_or(1);
        let (left, right, top, bottom) = (MARGIN.0, WIDTH - MARGIN.1, MARGIN.2, HEIGHT - MARGIN.3);
        let x = |frame: u64| left + frame as f64 / end as f64 * (right - left);
        let y = |score: f64| bottom - (score - low) / (high - low) * (bottom - top);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n");
        let mut line = |from: (f64, f64), to: (f64, f64), look: &str, title: &str| {
            let _ = writeln!(
                svg,
                "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {look}><title>{title}</title></line>",
                from.0, from.1, to.0, to.1
            );
        };
        for (number, shot) in self.shots.iter().enumerate() {
            let (from, to) = (x(shot.first), x(shot.first + shot.count));
            let title = format!(
                "shot {}: {:.3} at {}, {:.0} kbit/s",
                number + 1,
                shot.score,
                escaped(&shot.quality),
                shot.rate
            );
            let asked = y(shot.at_least);
            line((from, asked), (to, asked), "stroke=\"#8888\" stroke-dasharray=\"3\"", "");
            let colour = if shot.score < shot.at_least { "#d55e00" } else { "#0072b2" };
            let look = format!("stroke=\"{colour}\" stroke-width=\"4\"");
            line((from, y(shot.score)), (to, y(shot.score)), &look, &title);
        }
        for (score, at) in [(low, bottom), (high, top)] {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{score:.1}</text>",
                left - 6.0,
                at + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{right:.1}\" y=\"{:.1}\" text-anchor=\"end\">frame {end}</text>\n</svg>",
            HEIGHT - 8.0
        );
        svg
    }
}
