//! The numbers that encoders take for quality.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which way quality goes as the encoder's number grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A larger number is a smaller file of less quality: CRF, QP.
    LargerIsSmaller,
    /// A larger number is a larger file of more quality.
    LargerIsBetter,
}

/// The numbers an encoder takes for quality: every `1 / steps_per_unit` from `first` to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QualityScale {
    /// The smallest number, in whole units.
    pub first: i32,
    /// The largest number, in whole units.
    pub last: i32,
    /// Steps within one unit: 1, 2 or 4.
    pub steps_per_unit: u8,
    /// Which way quality goes.
    pub direction: Direction,
}

impl QualityScale {
    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let units = usize::try_from(self.last - self.first).unwrap_or(0);
        units * usize::from(self.steps_per_unit) + 1
    }

    /// Whether there is none: never, of a scale of this crate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last < self.first
    }

    /// The number at a place, where 0 is the best quality and `len() - 1` the smallest file.
    #[must_use]
    pub fn at(&self, index: usize) -> Quality {
        let index = index.min(self.len() - 1);
        let from_first = match self.direction {
            Direction::LargerIsSmaller => index,
            Direction::LargerIsBetter => self.len() - 1 - index,
        };
        let steps = i32::try_from(from_first).unwrap_or(i32::MAX);
        Quality(self.first * 100 + steps * 100 / i32::from(self.steps_per_unit))
    }

    /// The place of a number, or of the nearest there is.
    #[must_use]
    pub fn index_of(&self, quality: Quality) -> usize {
        let step = 100.0 / f64::from(self.steps_per_unit);
        let steps = (f64::from(quality.0 - self.first * 100) / step).round();
        let from_first = (steps.max(0.0) as usize).min(self.len() - 1);
        match self.direction {
            Direction::LargerIsSmaller => from_first,
            Direction::LargerIsBetter => self.len() - 1 - from_first,
        }
    }
}

/// An encoder's number for quality, in hundredths so that it is exact: CRF 23.25 is 2325.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Quality(pub i32);

impl Quality {
    /// The number as a float.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Quality {
    /// As short as it is exact: `23`, `23.5`, `23.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.value().to_string())
    }
}

impl From<Quality> for f64 {
    fn from(quality: Quality) -> Self {
        quality.value()
    }
}

impl FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map_err(|_| format!("{text:?} is not a number")).and_then(Self::from_value)
    }
}

impl TryFrom<f64> for Quality {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::from_value(value)
    }
}

impl Quality {
    /// Takes a number, to the nearest hundredth.
    fn from_value(value: f64) -> Result<Self, String> {
        let hundredths = (value * 100.0).round();
        if !(-100_000.0..=100_000.0).contains(&hundredths) {
            return Err(format!("{value} is no encoder's quality"));
        }
        Ok(Self(hundredths as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Encoder;

    #[test]
    fn every_place_of_every_scale_comes_back() {
        let better = QualityScale {
            first: 1,
            last: 10,
            steps_per_unit: 2,
            direction: Direction::LargerIsBetter,
        };
        let scales = Encoder::ALL.iter().map(|encoder| encoder.scale()).chain([better]);
        for scale in scales {
            for index in 0..scale.len() {
                assert_eq!(scale.index_of(scale.at(index)), index, "{scale:?}");
            }
        }
        assert_eq!(better.at(0), Quality(1_000), "the best is the largest number");
        assert_eq!(Encoder::X264.scale().at(93), Quality(2_325));
        assert_eq!(Encoder::X264.scale().index_of(Quality(-500)), 0);
        assert_eq!(Quality(2_325).to_string(), "23.25");
        assert_eq!("23.5".parse(), Ok(Quality(2_350)));
        assert!("x".parse::<Quality>().is_err() && "1e9".parse::<Quality>().is_err());
    }
}
