//! Options of extractors: how tables declare them, and the values that passed their checks.

use super::{ExtractorKind, FeatureError, FeatureOptions};
use crate::model::{c_double_prefix, format_g};

/// What an option takes, and what it is where nothing is said.
#[derive(Debug, Clone, Copy)]
enum Domain {
    /// `true` or `false`; false by default.
    Flag,
    /// `true` or `false`; true by default.
    FlagSet,
    Integer {
        default: i32,
        min: i32,
        max: i32,
    },
    Real {
        default: f64,
        min: f64,
        max: f64,
    },
    /// One of these; the first by default.
    Word(&'static [&'static str]),
    /// Any text but none: where something is written to. It bears on no value, and is kept by the
    /// extractor: here is only whether it was given.
    Folder,
}

/// One option as libvmaf 3.2 declares it. Tables are sorted by name, which is the order in which
/// options enter the name of a feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct OptionSpec {
    name: &'static str,
    /// What it is called within the name of a feature; `None` where it leaves the name alone.
    alias: Option<&'static str>,
    domain: Domain,
}

pub(super) const fn flag(name: &'static str, alias: Option<&'static str>) -> OptionSpec {
    OptionSpec { name, alias, domain: Domain::Flag }
}

/// A flag that is set unless it is said not to be.
pub(super) const fn flag_set(name: &'static str) -> OptionSpec {
    OptionSpec { name, alias: None, domain: Domain::FlagSet }
}

pub(super) const fn real(
    name: &'static str,
    alias: &'static str,
    default: f64,
    (min, max): (f64, f64),
) -> OptionSpec {
    OptionSpec { name, alias: Some(alias), domain: Domain::Real { default, min, max } }
}

pub(super) const fn integer(
    name: &'static str,
    alias: &'static str,
    default: i32,
    (min, max): (i32, i32),
) -> OptionSpec {
    OptionSpec { name, alias: Some(alias), domain: Domain::Integer { default, min, max } }
}

/// A value that is one of these words; the first by default.
pub(super) const fn word(
    name: &'static str,
    alias: &'static str,
    words: &'static [&'static str],
) -> OptionSpec {
    OptionSpec { name, alias: Some(alias), domain: Domain::Word(words) }
}

/// Where something is written to.
pub(super) const fn folder(name: &'static str) -> OptionSpec {
    OptionSpec { name, alias: None, domain: Domain::Folder }
}

impl OptionSpec {
    /// Leaves the names of features alone, though it bears on values.
    pub(super) const fn unnamed(mut self) -> Self {
        self.alias = None;
        self
    }
}

/// The value of every option of an extractor, each in its range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CheckedOptions {
    kind: ExtractorKind,
    /// In the order of the extractor's table. A flag is 0 or 1, an integer is exact, a word is its
    /// place among its words.
    values: Vec<f64>,
}

impl CheckedOptions {
    /// Checks names, types and ranges.
    pub(super) fn new(kind: ExtractorKind, options: &FeatureOptions) -> Result<Self, FeatureError> {
        let specs = kind.options();
        let is_known = |name: &str| specs.iter().any(|spec| spec.name == name);
        if let Some((unknown, _)) = options.iter().find(|(name, _)| !is_known(name)) {
            let known = specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ");
            let option = unknown.chars().take(64).collect();
            return Err(FeatureError::UnknownOption { extractor: kind.name(), option, known });
        }
        let value = |spec: &OptionSpec| match options.get(spec.name) {
            None => Ok(spec.default()),
            Some(text) => spec.parse(text).ok_or_else(|| FeatureError::BadValue {
                extractor: kind.name(),
                option: spec.name,
                value: text.chars().take(64).collect(),
                expected: spec.expected(),
            }),
        };
        Ok(Self { kind, values: specs.iter().map(value).collect::<Result<_, _>>()? })
    }

    pub(super) fn real(&self, name: &str) -> f64 {
        let at = self.kind.options().iter().position(|spec| spec.name == name);
        self.values[at.expect("options are asked for by the names in the table")]
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.real(name) != 0.0
    }

    /// Flags that are set and leave the names of features alone.
    pub(super) fn silent_flags(&self) -> impl Iterator<Item = &'static str> {
        let specs = self.kind.options().iter().zip(&self.values);
        specs
            .filter(|(spec, value)| {
                spec.alias.is_none()
                    && matches!(spec.domain, Domain::Flag | Domain::FlagSet)
                    && **value != 0.0
            })
            .map(|(spec, _)| spec.name)
    }

    /// What the options add to the name of a feature: every one that differs from its default.
    pub(super) fn name_suffix(&self) -> String {
        let mut suffix = String::new();
        for (spec, value) in self.kind.options().iter().zip(&self.values) {
            let Some(alias) = spec.alias.filter(|_| *value != spec.default()) else { continue };
            suffix.push('_');
            suffix.push_str(alias);
            match spec.domain {
                Domain::Flag | Domain::FlagSet | Domain::Folder => {}
                Domain::Word(words) => {
                    suffix.push('_');
                    suffix.push_str(words[*value as usize]);
                }
                Domain::Integer { .. } | Domain::Real { .. } => {
                    suffix.push('_');
                    suffix.push_str(&format_g(*value));
                }
            }
        }
        suffix
    }
}

impl OptionSpec {
    fn default(&self) -> f64 {
        match self.domain {
            Domain::Flag | Domain::Word(_) | Domain::Folder => 0.0,
            Domain::FlagSet => 1.0,
            Domain::Integer { default, .. } => f64::from(default),
            Domain::Real { default, .. } => default,
        }
    }

    fn parse(&self, text: &str) -> Option<f64> {
        match self.domain {
            Domain::Folder => (!text.is_empty()).then_some(1.0),
            Domain::Word(words) => {
                words.iter().position(|word| *word == text).map(|place| place as f64)
            }
            Domain::Flag | Domain::FlagSet => match text {
                "true" => Some(1.0),
                "false" => Some(0.0),
                _ => None,
            },
            Domain::Integer { min, max, .. } => {
                let value: i32 = text.parse().ok()?;
                (min..=max).contains(&value).then_some(f64::from(value))
            }
            Domain::Real { min, max, .. } => {
                let (value, _) = c_double_prefix(text).filter(|(_, rest)| rest.is_empty())?;
                (min..=max).contains(&value).then_some(value)
            }
        }
    }

    fn expected(&self) -> String {
        match self.domain {
            Domain::Flag | Domain::FlagSet => "true or false".to_owned(),
            Domain::Folder => "the name of a folder".to_owned(),
            Domain::Word(words) => format!("one of {}", words.join(", ")),
            Domain::Integer { min, max, .. } => format!("a whole number from {min} to {max}"),
            Domain::Real { min, max: f64::MAX, .. } => format!("a number of {min} or more"),
            Domain::Real { min, max, .. } => format!("a number from {min} to {max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_by_name() {
        for kind in ExtractorKind::ALL {
            let table = kind.options();
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
    }
}
