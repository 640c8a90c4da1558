//! Ask and tell: where to try next, until the answer is known.
//!
//! Places are indices on a [`QualityScale`]: 0 is the best quality, each further place a smaller
//! file. The answer is the last place that meets the target. It lies between the last place known to
//! meet it and the first known to miss it, and every ask is strictly between those two, so that no
//! place is asked for twice and the search ends.
//!
//! The first ask is where the [`Prior`] expects the target. Measured scores are turned into numbers
//! of the prior's curve, over which the places are nearly a straight line: the second ask follows that
//! line, later ones a monotone cubic through all that was measured. Where that does not halve the
//! bracket twice in a row, the middle is asked for. Scores that do not fall as they should are
//! levelled for the interpolation, told of in the verdict, and change nothing in what holds: the
//! answer was measured, and it meets the target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{PooledScore, QualityScale};

use crate::monotone::{Monotone, isotonic};
use crate::prior::Prior;
use crate::target::{Binding, Target};

/// Probes after which the best that is known counts.
pub const PROBES_MAX_DEFAULT: usize = 16;

/// Where within the tolerance an ask aims: low enough to be small, high enough not to miss.
const AIM: f64 = 0.35;

/// Places per number of the curve: how far one may be from the straight line that both would make.
const SLOPES: (f64, f64) = (0.4, 2.5);

/// Asks on one side of the target after which steps grow, whatever the curve says.
const PATIENCE: u32 = 3;

/// Scores that differ by less do so by rounding.
const NOISE: f64 = 1e-6;

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Encode and score at this place, and [`tell`](Search::tell).
    Probe(usize),
    /// The search is over.
    Done(Verdict),
}

/// Why the search is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The target is met, by no more than the tolerance.
    WithinTolerance,
    /// The target is met, and the next place was measured and misses it.
    NextStepMisses,
    /// The target is met at the scale's very end.
    EndOfScale,
    /// The target is met, but the probes were spent before more was known.
    ProbesSpent,
    /// The target is missed at all places tried when the probes were spent; this one comes closest.
    SpentMissing,
    /// No place meets the target: the best one was measured. This one comes closest.
    Unreachable,
}

impl Evidence {
    /// Whether the answer meets the target.
    #[must_use]
    pub const fn is_met(self) -> bool {
        !matches!(self, Self::Unreachable | Self::SpentMissing)
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The place, which was measured.
    pub index: usize,
    /// Why it is the answer.
    pub evidence: Evidence,
    /// The constraint that decides there.
    pub binding: Binding,
    /// Places measured, those known from before included.
    pub probes: usize,
    /// Somewhere a larger number scored better: the encoder's curve is no curve there.
    pub non_monotone: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Point {
    /// By constraint.
    values: Vec<f64>,
    binding: Binding,
}

/// One search. Cloning it forks it.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    scale: QualityScale,
    prior: Prior,
    target: Target,
    probes_max: usize,
    points: BTreeMap<usize, Point>,
    /// How wide the bracket was before each tell.
    widths: Vec<usize>,
}

/// The last place known to meet the target, and the first after it known to miss it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bracket {
    met: Option<usize>,
    missed: Option<usize>,
}

impl Search {
    /// A search on a scale. A target without a constraint cannot be reached.
    #[must_use]
    pub fn new(scale: QualityScale, prior: Prior, target: Target) -> Self {
        let (points, widths) = (BTreeMap::new(), Vec::new());
        Self { scale, prior, target, probes_max: PROBES_MAX_DEFAULT, points, widths }
    }

    /// Lets it make at most so many probes, at least one.
    #[must_use]
    pub fn with_probes_max(mut self, probes_max: usize) -> Self {
        self.probes_max = probes_max.max(1);
        self
    }

    /// What is to be reached.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the place was measured already.
    #[must_use]
    pub fn knows(&self, index: usize) -> bool {
        self.points.contains_key(&index)
    }

    /// Takes what is known of a place from elsewhere, such as from a search for another target. It is
    /// no probe of this search's budget. Of two measurements of one place the first counts.
    pub fn know(&mut self, index: usize, pooled: &PooledScore) {
        let index = index.min(self.scale.len() - 1);
        let Some(binding) = self.target.binding(pooled) else { return };
        let values = self.target.constraints.iter().map(|c| c.statistic.of(pooled)).collect();
        self.points.entry(index).or_insert(Point { values, binding });
    }

    /// Takes what was measured at the place that was asked for.
    pub fn tell(&mut self, index: usize, pooled: &PooledScore) {
        self.widths.push(self.width(self.bracket()));
        self.know(index, pooled);
    }

    /// What to do next. The same until something is told.
    #[must_use]
    pub fn ask(&self) -> Step {
        if let Some(verdict) = self.verdict() {
            return Step::Done(verdict);
        }
        let bracket = self.bracket();
        let first = bracket.met.map_or(0, |met| met + 1);
        let last = bracket.missed.map_or(self.scale.len() - 1, |missed| missed - 1);
        let guess = match bracket {
            _ if self.points.is_empty() => self.expected(),
            Bracket { met: Some(met), missed: Some(missed) } if self.is_slow() => {
                met.midpoint(missed)
            }
            _ => self.hurried(bracket, self.interpolated()),
        };
        Step::Probe(guess.clamp(first, last))
    }

    /// The answer, once there is one.
    fn verdict(&self) -> Option<Verdict> {
        let bracket = self.bracket();
        let end = self.scale.len() - 1;
        let spent = self.widths.len() >= self.probes_max;
        let found = |index: usize, evidence| {
            let binding = self.points.get(&index)?.binding;
            let (probes, non_monotone) = (self.points.len(), self.is_non_monotone());
            Some(Verdict { index, evidence, binding, probes, non_monotone })
        };
        let Some(met) = bracket.met else {
            let hopeless = self.points.contains_key(&0);
            let closest = self.points.iter().max_by(|a, b| {
                a.1.binding.margin().total_cmp(&b.1.binding.margin()).then(b.0.cmp(a.0))
            });
            let (index, _) = closest.filter(|_| hopeless || spent)?;
            let evidence = if hopeless { Evidence::Unreachable } else { Evidence::SpentMissing };
            return found(*index, evidence);
        };
        let evidence = if self.points[&met].binding.margin() <= self.target.tolerance {
            Evidence::WithinTolerance
        } else if bracket.missed == Some(met + 1) {
            Evidence::NextStepMisses
        } else if met == end {
            Evidence::EndOfScale
        } else if spent {
            Evidence::ProbesSpent
        } else {
            return None;
        };
        found(met, evidence)
    }

    fn bracket(&self) -> Bracket {
        let is_met = |point: &Point| point.binding.margin() >= 0.0;
        let met = self.points.iter().rev().find(|(_, point)| is_met(point)).map(|(i, _)| *i);
        let after = met.map_or(0, |met| met + 1);
        let missed = self.points.range(after..).next().map(|(i, _)| *i);
        Bracket { met, missed }
    }

    /// Places that may be the answer.
    fn width(&self, bracket: Bracket) -> usize {
        bracket.missed.unwrap_or(self.scale.len()) - bracket.met.unwrap_or(0)
    }

    /// Whether the last two probes did not halve the bracket.
    fn is_slow(&self) -> bool {
        let now = self.width(self.bracket());
        match self.widths[..] {
            [.., before, then] => now * 2 > then && then * 2 > before,
            _ => false,
        }
    }

    /// On one side for long: steps that grow, so that a strange curve is left behind.
    fn hurried(&self, bracket: Bracket, guess: usize) -> usize {
        let tries = u32::try_from(self.widths.len()).unwrap_or(u32::MAX);
        let Some(doublings) = tries.checked_sub(PATIENCE) else { return guess };
        let step = usize::from(self.scale.steps_per_unit) << doublings.min(8);
        match bracket {
            Bracket { met: Some(met), missed: None } => guess.max(met + step),
            Bracket { met: None, missed: Some(missed) } => guess.min(missed.saturating_sub(step)),
            _ => guess,
        }
    }

    fn is_non_monotone(&self) -> bool {
        let points: Vec<&Point> = self.points.values().collect();
        points.windows(2).any(|pair| {
            pair[0]
                .values
                .iter()
                .zip(&pair[1].values)
                .any(|(better, worse)| better + NOISE < *worse)
        })
    }

    /// The score an ask aims at, for a constraint.
    fn aim(&self, at_least: f64) -> f64 {
        at_least + AIM * self.target.tolerance
    }

    /// Where the prior alone expects the target.
    fn expected(&self) -> usize {
        let numbers =
            self.target.constraints.iter().map(|c| self.prior.number_at(self.aim(c.at_least)));
        self.place(numbers.fold(f64::INFINITY, f64::min))
    }

    /// Where what was measured puts the target: of the constraints, the one that asks for the best.
    fn interpolated(&self) -> usize {
        let numbers = self.target.constraints.iter().enumerate().map(|(which, constraint)| {
            let aim = self.prior.number_at(self.aim(constraint.at_least));
            self.crossing(which, aim)
        });
        self.place(numbers.fold(f64::INFINITY, f64::min))
    }

    /// The number at which a constraint's statistic is `aim`, a number of the prior's curve.
    fn crossing(&self, which: usize, aim: f64) -> f64 {
        let numbers: Vec<f64> = self.points.keys().map(|index| self.number(*index)).collect();
        let expected: Vec<f64> =
            self.points.values().map(|point| self.prior.number_at(point.values[which])).collect();
        // Rises strictly in both: what stands still says nothing of where to go.
        let mut curve: Vec<(f64, f64)> = Vec::new();
        for (expected, number) in isotonic(&expected).into_iter().zip(numbers) {
            match curve.last_mut() {
                // The last place that still reaches as much.
                Some(last) if expected - last.0 <= NOISE && last.0 >= aim => {}
                Some(last) if expected - last.0 <= NOISE => last.1 = number,
                _ => curve.push((expected, number)),
            }
        }
        let along = |from: (f64, f64), slope: f64| from.1 + (aim - from.0) * slope;
        match curve[..] {
            [] => aim,
            [only] => along(only, 1.0),
            [first, second, ..] if aim < first.0 => along(first, slope(first, second)),
            [.., before, last] if aim > last.0 => along(last, slope(before, last)),
            _ => Monotone::through(&curve).map_or(aim, |curve| curve.at(aim)),
        }
    }

    /// The number at a place, as if larger always meant smaller.
    fn number(&self, index: usize) -> f64 {
        f64::from(self.scale.first) + index as f64 / f64::from(self.scale.steps_per_unit)
    }

    /// The last place at or before a number.
    fn place(&self, number: f64) -> usize {
        let steps = (number - f64::from(self.scale.first)) * f64::from(self.scale.steps_per_unit);
        // A number that is a place, but for rounding, is that place.
        let steps = (steps + NOISE).floor();
        if steps >= 0.0 { (steps as usize).min(self.scale.len() - 1) } else { 0 }
    }
}

/// Numbers of the scale per number of the curve between two points, held to what is plausible.
fn slope(from: (f64, f64), to: (f64, f64)) -> f64 {
    ((to.1 - from.1) / (to.0 - from.0)).clamp(SLOPES.0, SLOPES.1)
}

#[cfg(test)]
mod tests {
    use types::Encoder;

    use super::*;

    fn pooled(mean: f64) -> PooledScore {
        PooledScore {
            mean,
            harmonic_mean: mean,
            min: mean,
            max: mean,
            standard_deviation: 0.0,
            p1: mean - 8.0,
            p5: mean - 6.0,
            p10: mean - 4.0,
            p25: mean,
            p50: mean,
        }
    }

    fn search(target: Target) -> Search {
        let prior = Prior::of(Encoder::X264, "medium", 1_080);
        Search::new(Encoder::X264.scale(), prior, target)
    }

    fn run(mut search: Search, mean: impl Fn(usize) -> f64) -> (Verdict, Vec<usize>) {
        let mut asked = Vec::new();
        loop {
            match search.ask() {
                Step::Done(verdict) => return (verdict, asked),
                Step::Probe(index) => {
                    assert!(!asked.contains(&index), "{index} twice: {asked:?}");
                    asked.push(index);
                    search.tell(index, &pooled(mean(index)));
                }
            }
        }
    }

    #[test]
    fn the_first_ask_is_where_the_encoder_is_known_to_reach_the_target() {
        let Step::Probe(index) = search(Target::mean(95.3)).ask() else { panic!("it must ask") };
        let crf = Encoder::X264.scale().at(index).value();
        assert!((22.0..=23.0).contains(&crf), "{crf}");
    }

    #[test]
    fn what_is_typical_is_found_at_once() {
        let line = |index: usize| 99.0 - 0.12 * index as f64;
        let (verdict, asked) = run(search(Target::mean(90.0)), line);
        assert!(verdict.evidence.is_met() && asked.len() <= 4, "{verdict:?} {asked:?}");
        assert!(!verdict.non_monotone);
    }

    #[test]
    fn without_tolerance_the_next_step_is_seen_to_miss() {
        let target = Target { tolerance: 0.0, ..Target::mean(90.0) };
        let line = |index: usize| 99.01 - 0.12 * index as f64;
        let (verdict, _) = run(search(target), line);
        assert_eq!((verdict.index, verdict.evidence), (75, Evidence::NextStepMisses));
    }

    #[test]
    fn both_ends_of_the_scale_are_answers() {
        let (verdict, asked) = run(search(Target::mean(90.0)), |_| 100.0);
        assert_eq!((verdict.index, verdict.evidence), (204, Evidence::EndOfScale));
        assert!(asked.len() <= 8, "{asked:?}");
        let (verdict, asked) = run(search(Target::mean(90.0)), |_| 89.0);
        assert_eq!((verdict.index, verdict.evidence), (0, Evidence::Unreachable));
        assert!(asked.len() <= 8, "{asked:?}");
    }

    #[test]
    fn the_second_constraint_binds_where_it_is_the_tighter() {
        let constraints = ["90", "p5=88"].map(|text| text.parse().expect("well formed")).to_vec();
        let line = |index: usize| 99.0 - 0.1 * index as f64;
        let (verdict, _) = run(search(Target { constraints, tolerance: 0.5 }), line);
        assert_eq!(verdict.binding.constraint.to_string(), "p5 ≥ 88");
        assert!((94.0..=94.5).contains(&line(verdict.index)), "{verdict:?}");
    }

    #[test]
    fn what_is_known_is_not_asked_for_and_may_be_the_answer() {
        let mut known = search(Target::mean(90.0));
        known.know(70, &pooled(90.2));
        assert!(matches!(known.ask(), Step::Done(Verdict { index: 70, probes: 1, .. })));
        known.tell(70, &pooled(10.0));
        assert!(matches!(known.ask(), Step::Done(Verdict { index: 70, .. })), "the first counts");
        let line = |index: usize| 99.0 - 0.12 * index as f64;
        let mut seeded = search(Target::mean(90.0));
        for index in [20, 30, 40, 60, 100] {
            seeded.know(index, &pooled(line(index)));
        }
        let (verdict, asked) = run(seeded, line);
        assert!(asked.len() <= 2 && verdict.probes == 5 + asked.len(), "{asked:?}");
    }

    #[test]
    fn a_curve_that_rises_somewhere_is_told_of_and_ends() {
        let mean =
            |index: usize| 99.0 - 0.12 * index as f64 + if index % 7 < 3 { 0.6 } else { 0.0 };
        let target = Target { tolerance: 0.0, ..Target::mean(90.0) };
        let mut told = false;
        for at_least in 80..95 {
            let constraints = vec![format!("{at_least}").parse().expect("a number")];
            let (verdict, asked) = run(search(Target { constraints, ..target.clone() }), mean);
            assert!(verdict.evidence.is_met() && mean(verdict.index) >= f64::from(at_least));
            assert!(asked.len() <= PROBES_MAX_DEFAULT);
            told |= verdict.non_monotone;
        }
        assert!(told);
    }

    #[test]
    fn spent_probes_give_the_best_that_is_known() {
        let target = Target { tolerance: 0.0, ..Target::mean(90.0) };
        let (verdict, asked) =
            run(search(target).with_probes_max(2), |index| 99.0 - 0.12 * index as f64);
        assert_eq!((verdict.probes, asked.len()), (2, 2));
        let steep = |index: usize| 89.0 - 0.01 * index as f64;
        let (verdict, _) = run(search(Target::mean(90.0)).with_probes_max(1), steep);
        assert_eq!(verdict.evidence, Evidence::SpentMissing, "better places are untried");
        assert!(!verdict.evidence.is_met());
    }
}
