//! What is asked for, as text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::FeatureError;
use crate::model::{c_double_prefix, format_g};

/// Options of an extractor by name, unchecked.
///
/// A value that is a number is kept as libvmaf keeps it: as the text that `%g` prints of its `f32`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct FeatureOptions(BTreeMap<String, String>);

impl FeatureOptions {
    /// Sets an option; a value it had is replaced.
    pub fn set(&mut self, name: &str, value: &str) {
        let number = c_double_prefix(value).filter(|(_, rest)| rest.trim().is_empty());
        let value = number
            .map_or_else(|| value.to_owned(), |(number, _)| format_g(f64::from(number as f32)));
        self.0.insert(name.to_owned(), value);
    }

    /// Sets every option that `other` sets.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    /// The value of an option, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Every option that is set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Reads `option=value:option=value`; empty text sets nothing.
impl FromStr for FeatureOptions {
    type Err = FeatureError;

    fn from_str(text: &str) -> Result<Self, FeatureError> {
        let mut options = Self::default();
        for pair in text.split(':').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((name, value)) if !name.is_empty() => options.set(name, value),
                _ => return Err(syntax(text)),
            }
        }
        Ok(options)
    }
}

/// An extractor that is asked for by name, such as `vif=vif_enhn_gain_limit=1.0:debug=true`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeatureRequest {
    /// The extractor: `vif`, `adm` or `motion`.
    pub name: String,
    /// Its options; what is not set has libvmaf's default.
    pub options: FeatureOptions,
}

impl FromStr for FeatureRequest {
    type Err = FeatureError;

    fn from_str(text: &str) -> Result<Self, FeatureError> {
        let (name, options) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() || name.contains(':') {
            return Err(syntax(text));
        }
        let options = options.parse().map_err(|_| syntax(text))?;
        Ok(Self { name: name.to_owned(), options })
    }
}

impl fmt::Display for FeatureRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let separators = std::iter::once('=').chain(std::iter::repeat(':'));
        separators
            .zip(self.options.iter())
            .try_for_each(|(separator, (name, value))| write!(f, "{separator}{name}={value}"))
    }
}

fn syntax(text: &str) -> FeatureError {
    FeatureError::Syntax(text.chars().take(128).collect())
}
