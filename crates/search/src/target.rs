//! What is to be reached.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::PooledScore;

/// How far above its target a score may lie and still end the search, in points.
pub const TOLERANCE_DEFAULT: f64 = 0.5;

/// One number of a clip's pooled score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are those of `PooledScore`'s fields")]
pub enum Statistic {
    Mean,
    HarmonicMean,
    Min,
    P1,
    P5,
    P10,
    P25,
    P50,
}

impl Statistic {
    /// Every statistic.
    pub const ALL: [Self; 8] = [
        Self::Mean,
        Self::HarmonicMean,
        Self::Min,
        Self::P1,
        Self::P5,
        Self::P10,
        Self::P25,
        Self::P50,
    ];

    /// Its name on every face.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::HarmonicMean => "harmonic_mean",
            Self::Min => "min",
            Self::P1 => "p1",
            Self::P5 => "p5",
            Self::P10 => "p10",
            Self::P25 => "p25",
            Self::P50 => "p50",
        }
    }

    /// Its value.
    #[must_use]
    pub const fn of(self, pooled: &PooledScore) -> f64 {
        match self {
            Self::Mean => pooled.mean,
            Self::HarmonicMean => pooled.harmonic_mean,
            Self::Min => pooled.min,
            Self::P1 => pooled.p1,
            Self::P5 => pooled.p5,
            Self::P10 => pooled.p10,
            Self::P25 => pooled.p25,
            Self::P50 => pooled.p50,
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Statistic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|statistic| statistic.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            let shown: String = text.chars().take(32).collect();
            format!("{shown:?} is not a statistic; use {names}")
        })
    }
}

/// A statistic, and what it must at least be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// Which number.
    pub statistic: Statistic,
    /// What it must at least be.
    pub at_least: f64,
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ≥ {}", self.statistic, self.at_least)
    }
}

impl FromStr for Constraint {
    type Err = String;

    /// Reads `93` (the mean), `p5=88` and `p5>=88`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (statistic, number) = match text.split_once('=') {
            None => (Statistic::Mean, text),
            Some((name, number)) => (name.trim_end_matches('>').trim().parse()?, number.trim()),
        };
        let at_least: f64 = number
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .ok_or_else(|| format!("{number:?} is not a score; write 93 or p5=88"))?;
        Ok(Self { statistic, at_least })
    }
}

/// What must hold of a clip's score, all of it at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// At least one constraint.
    pub constraints: Vec<Constraint>,
    /// How far above it the tightest constraint may lie and still be good enough: 0 searches on
    /// until the next step is seen to miss.
    pub tolerance: f64,
}

/// The constraint that decides, and by how much it is met.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// Which.
    pub constraint: Constraint,
    /// What the statistic is.
    pub value: f64,
}

impl Binding {
    /// How far above what is asked for; negative where it is missed.
    #[must_use]
    pub fn margin(&self) -> f64 {
        self.value - self.constraint.at_least
    }
}

impl Target {
    /// A mean, and nothing else.
    #[must_use]
    pub fn mean(at_least: f64) -> Self {
        let constraints = vec![Constraint { statistic: Statistic::Mean, at_least }];
        Self { constraints, tolerance: TOLERANCE_DEFAULT }
    }

    /// The constraint that is met by the least, or missed by the most. What cannot be compared (NaN)
    /// counts as missed.
    #[must_use]
    pub fn binding(&self, pooled: &PooledScore) -> Option<Binding> {
        let all = self.constraints.iter().map(|constraint| {
            let value = constraint.statistic.of(pooled);
            let value = if value.is_nan() { f64::NEG_INFINITY } else { value };
            Binding { constraint: *constraint, value }
        });
        all.min_by(|a, b| a.margin().total_cmp(&b.margin()))
    }

    /// How far the tightest constraint is met; negative where it is missed.
    #[must_use]
    pub fn margin(&self, pooled: &PooledScore) -> f64 {
        self.binding(pooled).map_or(f64::NEG_INFINITY, |binding| binding.margin())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.constraints.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled(mean: f64, p5: f64) -> PooledScore {
        PooledScore {
            mean,
            harmonic_mean: mean,
            min: p5,
            max: mean,
            standard_deviation: 0.0,
            p1: p5,
            p5,
            p10: p5,
            p25: mean,
            p50: mean,
        }
    }

    #[test]
    fn constraints_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Constraint>().map(|constraint| constraint.to_string());
        assert_eq!(read("93").as_deref(), Ok("mean ≥ 93"));
        assert_eq!(read("p5=88.5").as_deref(), Ok("p5 ≥ 88.5"));
        assert_eq!(read("harmonic_mean>=90").as_deref(), Ok("harmonic_mean ≥ 90"));
        for bad in ["", "x", "p7=1", "p5=", "nan", "p5=inf"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_tightest_constraint_binds() {
        let constraints = ["93", "p5=88"].map(|text| text.parse().expect("well formed")).to_vec();
        let target = Target { constraints, tolerance: 0.5 };
        let binding = |mean, p5| target.binding(&pooled(mean, p5)).expect("there are two");
        assert_eq!(binding(95.0, 89.0).constraint.statistic, Statistic::P5);
        assert_eq!(binding(93.5, 92.0).constraint.statistic, Statistic::Mean);
        assert_eq!(target.margin(&pooled(95.0, 87.0)), -1.0);
        assert_eq!(target.margin(&pooled(f64::NAN, 99.0)), f64::NEG_INFINITY);
        assert_eq!(target.to_string(), "mean ≥ 93 and p5 ≥ 88");
    }
}
