//! Curves of score over the logarithm of the rate, as SVG.

use std::fmt::Write as _;

use super::escaped;
use super::read::Series;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 460.0;
/// Room for the axes' numbers: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (50.0, 20.0, 15.0, 40.0);
/// Colours that are told apart by most people, also on a dark ground.
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f"];
/// Lines of the grid for scores, and for each doubling of the rate.
const SCORE_STEPS: [f64; 5] = [1.0, 2.0, 5.0, 10.0, 20.0];
const SCORE_LINES_MAX: f64 = 10.0;

/// What is on the axes.
struct Axes {
    rates: (f64, f64),
    scores: (f64, f64),
}

impl Axes {
    fn of(series: &[Series]) -> Self {
        let points = || series.iter().flat_map(|one| &one.points);
        let bounds = |value: fn(&super::read::Point) -> f64| {
            points().map(value).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            })
        };
        let (low, high) = bounds(|point| point.rate.ln());
        let (worst, best) = bounds(|point| point.score);
        let wide = |(low, high): (f64, f64), by: f64| (low - by, high + by);
        Self {
            rates: wide((low, high), ((high - low) * 0.05).max(0.1)),
            scores: wide((worst, best), ((best - worst) * 0.05).max(0.5)),
        }
    }

    fn x(&self, rate: f64) -> f64 {
        let (low, high) = self.rates;
        MARGIN.0 + (rate.ln() - low) / (high - low) * (WIDTH - MARGIN.0 - MARGIN.1)
    }

    fn y(&self, score: f64) -> f64 {
        let (low, high) = self.scores;
        HEIGHT - MARGIN.3 - (score - low) / (high - low) * (HEIGHT - MARGIN.2 - MARGIN.3)
    }
}

/// All series in one picture, with a legend.
pub(super) fn plot(series: &[Series]) -> String {
    let axes = Axes::of(series);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n");
    grid(&mut svg, &axes);
    for (one, colour) in series.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<String> = one
            .points
            .iter()
            .map(|point| format!("{:.1},{:.1}", axes.x(point.rate), axes.y(point.score)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for point in &one.points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{}: {} → {:.3} at {:.0} kbit/s</title></circle>",
                axes.x(point.rate),
                axes.y(point.score),
                escaped(&one.name),
                escaped(&point.quality),
                point.score,
                point.rate
            );
        }
    }
    svg.push_str("</svg>\n<p>");
    for (one, colour) in series.iter().zip(COLOURS.iter().cycle()) {
        let name = escaped(&one.name);
        let _ = write!(svg, "<span style=\"color:{colour}\">■</span> {name} &nbsp; ");
    }
    svg.push_str("</p>\n");
    svg
}

fn grid(svg: &mut String, axes: &Axes) {
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64| {
        let _ = writeln!(
            svg,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#8884\"/>"
        );
    };
    let (left, right) = (MARGIN.0, WIDTH - MARGIN.1);
    let (top, bottom) = (MARGIN.2, HEIGHT - MARGIN.3);
    let scores = scores(axes.scores);
    let rates = rates(axes.rates);
    scores.iter().for_each(|score| line(left, axes.y(*score), right, axes.y(*score)));
    rates.iter().for_each(|rate| line(axes.x(*rate), top, axes.x(*rate), bottom));
    for score in scores {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{score}</text>",
            left - 6.0,
            axes.y(score) + 4.0
        );
    }
    for rate in rates {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{rate:.0}</text>",
            axes.x(rate),
            bottom + 16.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">kbit/s</text>",
        left.midpoint(right),
        HEIGHT - 6.0
    );
}

/// Round scores within the bounds, not too many.
fn scores((low, high): (f64, f64)) -> Vec<f64> {
    let step = SCORE_STEPS
        .into_iter()
        .find(|step| (high - low) / step <= SCORE_LINES_MAX)
        .unwrap_or(SCORE_STEPS[SCORE_STEPS.len() - 1]);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Rates of 1, 2 and 5 times a power of ten within the bounds, which are logarithms.
fn rates((low, high): (f64, f64)) -> Vec<f64> {
    let decades = (low / std::f64::consts::LN_10).floor() as i32
        ..=(high / std::f64::consts::LN_10).ceil() as i32;
    decades
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10.0_f64.powi(decade)))
        .filter(|rate| (low..=high).contains(&rate.ln()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_round_and_within() {
        assert_eq!(scores((78.2, 96.1)), [80.0, 82.0, 84.0, 86.0, 88.0, 90.0, 92.0, 94.0, 96.0]);
        assert_eq!(rates((90.0_f64.ln(), 1_100.0_f64.ln())), [100.0, 200.0, 500.0, 1_000.0]);
    }
}
