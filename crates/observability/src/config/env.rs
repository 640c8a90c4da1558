//! How a variable is read: words without regard to case, empty as unset, bad values as warnings.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The environment while it is read.
pub(super) struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl<'a> Env<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, warnings: Vec::new() }
    }

    /// What was wrong.
    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// Notes what was wrong. A variable that stands for several signals is complained of once.
    pub(super) fn warn(&mut self, message: impl fmt::Display) {
        let message = message.to_string();
        if !self.warnings.contains(&message) {
            self.warnings.push(message);
        }
    }

    /// True or false; anything else is as if unset, with a warning.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        let parsed = value.to_ascii_lowercase().parse().ok();
        if parsed.is_none() {
            self.warn(format_args!(
                "{name}={} is neither true nor false; default kept",
                shown(&value)
            ));
        }
        parsed
    }

    /// A word that `T` knows, in lower case.
    pub(super) fn word<T: FromStr>(&mut self, name: &str, known: &str) -> Option<T> {
        let value = self.get(name)?;
        let parsed = value.to_ascii_lowercase().parse().ok();
        if parsed.is_none() {
            self.warn(format_args!("{name}={} is not one of {known}; default kept", shown(&value)));
        }
        parsed
    }

    /// A whole number within `range`.
    pub(super) fn count(&mut self, name: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let value = self.get(name)?;
        let parsed = value.parse().ok().filter(|count| range.contains(count));
        if parsed.is_none() {
            let (low, high) = range.into_inner();
            self.warn(format_args!(
                "{name}={} is not a whole number from {low} to {high}; default kept",
                shown(&value)
            ));
        }
        parsed
    }

    /// A number of milliseconds, at least one, at most a day.
    pub(super) fn millis(&mut self, name: &str) -> Option<Duration> {
        const DAY_MILLIS: usize = 86_400_000;
        let millis = self.count(name, 1..=DAY_MILLIS)?;
        Some(Duration::from_millis(millis as u64))
    }
}

/// A value as a warning shows it: quoted and not too long.
pub(super) fn shown(value: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    format!("{:?}", value.chars().take(SHOWN_CHARS_MAX).collect::<String>())
}
