//! One HTML file with plots and tables of what was measured, that needs nothing but a browser: no
//! script, no font, no request.
//!
//! It is written from what `--json` printed or a corpus holds, so that results of several runs can
//! stand beside each other.

mod film;
mod plot;
mod read;

use std::fmt::Write as _;
use std::io::BufRead;

use film::Film;
use plot::plot;
pub use read::ReportError;
use read::Series;

/// Series that one report shows; more would not be told apart.
pub const SERIES_MAX: usize = 24;

/// Reads NDJSON of runs and corpora.
#[derive(Debug, Default)]
pub struct Report {
    series: Vec<Series>,
    answers: Vec<read::Answer>,
    films: Vec<Film>,
}

impl Report {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one file's lines. `name` is for messages.
    ///
    /// # Errors
    /// When nothing in it is a result, or it cannot be read.
    pub fn read(&mut self, name: &str, lines: impl BufRead) -> Result<(), ReportError> {
        let Self { series, answers, films } = self;
        let taken = read::read(name, lines, series, answers, films)?;
        if taken == 0 {
            return Err(ReportError::Nothing { name: name.to_owned() });
        }
        let count = self.series.len() + self.films.len();
        if count > SERIES_MAX {
            return Err(ReportError::TooMany { count, max: SERIES_MAX });
        }
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn html(&self) -> String {
        let mut body = String::new();
        body.push_str("<h1>Quality over rate</h1>\n");
        if !self.series.is_empty() {
            body.push_str(&plot(&self.series));
        }
        if !self.answers.is_empty() {
            body.push_str("<h2>Answers</h2>\n<table>\n<tr><th>source</th><th>encoder</th><th>quality</th><th>target</th><th>reached</th><th>kbit/s</th><th>probes</th></tr>\n");
            for answer in &self.answers {
                let _ = writeln!(
                    body,
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.0}</td><td>{}</td></tr>",
                    escaped(&answer.source),
                    escaped(&answer.encoder),
                    escaped(&answer.quality),
                    escaped(&answer.target),
                    answer.reached,
                    answer.rate,
                    answer.probes
                );
            }
            body.push_str("</table>\n");
        }
        for film in &self.films {
            body.push_str(&film.html());
        }
        if self.series.is_empty() {
            return format!("{HEAD}{body}</body>\n</html>\n");
        }
        body.push_str("<h2>Measurements</h2>\n<table>\n<tr><th>series</th><th>quality</th><th>kbit/s</th><th>score</th></tr>\n");
        for series in &self.series {
            for point in &series.points {
                let _ = writeln!(
                    body,
                    "<tr><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.3}</td></tr>",
                    escaped(&series.name),
                    escaped(&point.quality),
                    point.rate,
                    point.score
                );
            }
        }
        body.push_str("</table>\n");
        format!("{HEAD}{body}</body>\n</html>\n")
    }
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Quality over rate</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1f24; }
svg { width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #57606a; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid #d8dee4; }
th:first-child, td:first-child { text-align: left; }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #e6edf3; } svg text { fill: #8d96a0; } th, td { border-color: #30363d; }
}
</style>
</head>
<body>
"#;

/// Text that is no markup.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        r#"{"event":"probed","score":1}"#,
        "\n",
        r#"{"event":"done","outcome":{"command":"crf","source":"/v/<b>&.mp4","found":{"encode":{"encoder":"libx264"},"#,
        r#""target":{"constraints":[{"statistic":"mean","at_least":90.0}],"tolerance":0.5},"quality":27.5,"#,
        r#""binding":{"constraint":{"statistic":"mean","at_least":90.0},"value":90.2},"probes":3,"#,
        r#""measured":{"pooled":{"mean":90.2},"kilobits_per_second":400.0},"tried":["#,
        r#"{"quality":27.5,"pooled":{"mean":90.2},"kilobits_per_second":400.0},"#,
        r#"{"quality":30.0,"pooled":{"mean":86.0},"kilobits_per_second":300.0}]}}}"#,
        "\n",
        r#"{"key":"k","source":"/v/c.mp4","encoder":"libsvtav1","preset":"8","quality":35.0,"#,
        r#""pooled":{"mean":93.0},"kilobits_per_second":350.0}"#,
        "\n",
        "not json\n",
    );

    #[test]
    fn runs_and_corpora_stand_beside_each_other_and_names_are_no_markup() {
        let mut report = Report::new();
        report.read("a.jsonl", LINES.as_bytes()).expect("results");
        assert_eq!(report.series.len(), 2);
        let html = report.html();
        assert!(html.contains("&lt;b&gt;&amp;.mp4") && !html.contains("<b>&"), "{html}");
        assert_eq!(html.matches("<polyline").count(), 2);
        for foreign in ["<script", "http://", "https://", "src="] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn shots_are_shown_over_their_frames_and_those_that_miss_are_told_apart() {
        let line = concat!(
            r#"{"event":"done","outcome":{"command":"shots","source":"/v/<i>.mp4","encoder":"libx264","#,
            r#""kilobits_per_second":210.5,"missed":1,"shots":["#,
            r#"{"range":{"first":0,"count":30},"quality":28.5,"probes":3,"kilobits_per_second":136.0,"#,
            r#""binding":{"constraint":{"statistic":"mean","at_least":90.0},"value":90.121},"repairs":0},"#,
            r#"{"range":{"first":30,"count":50},"quality":29.5,"probes":3,"kilobits_per_second":223.0,"#,
            r#""binding":{"constraint":{"statistic":"mean","at_least":90.0},"value":89.5},"repairs":2}]}}"#,
        );
        let mut report = Report::new();
        report.read("run", line.as_bytes()).expect("a result");
        let html = report.html();
        for part in ["/v/&lt;i&gt;.mp4", "0 to 29", "30 to 79", "28.5", "89.500 misses", "210"] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert_eq!(html.matches("90.121 misses").count(), 0);
        assert_eq!(html.matches("stroke-width=\"4\"").count(), 2, "a line a shot");
        let both = [LINES, line].concat();
        let mut report = Report::new();
        report.read("all", both.as_bytes()).expect("results");
        assert!(report.html().contains("Measurements") && report.html().contains("Shots of"));
    }

    #[test]
    fn a_file_without_a_result_is_an_error() {
        let read = |text: &str| Report::new().read("a", text.as_bytes()).map_err(|e| e.to_string());
        assert!(read("").is_err() && read("{}\n[]\n").is_err());
    }
}
