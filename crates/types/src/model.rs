//! Which model scores, and how its file is bent: what libvmaf's `--model` takes, as plain data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names a model: a built-in version such as `vmaf_v0.6.1`, or a JSON file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRef {
    /// A built-in model by its version string.
    Version(String),
    /// A model JSON file, under the same source rules as the videos.
    Path(String),
}

impl Default for ModelRef {
    fn default() -> Self {
        Self::Version("vmaf_v0.6.1".to_owned())
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => f.write_str(version),
            Self::Path(path) => write!(f, "path={path}"),
        }
    }
}

/// An option of a feature extractor that a caller sets for a model: what `cambi.enc_width=1280` says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureOverride {
    /// libvmaf's name of the extractor, such as `vif`.
    pub extractor: String,
    /// Its option, such as `vif_enhn_gain_limit`.
    pub option: String,
    /// The value as text.
    pub value: String,
}

/// A model, and how its file is to be bent.
///
/// Written as libvmaf writes it: `version=NAME` or `path=FILE`, then any of `name=NAME`,
/// `disable_clip`, `enable_transform` and `EXTRACTOR.OPTION=VALUE`, with colons between. A version
/// may also stand alone at the front. The text form has no way to say a colon.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Built in, or a file.
    #[serde(flatten)]
    pub source: ModelRef,
    /// The name of its scores; `None` is `vmaf`. Models of one run need distinct names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Lets scores leave the range that the model clips them to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_clip: bool,
    /// Applies the score transform that the file holds but does not enable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enable_transform: bool,
    /// Options of extractors that replace the file's; of two of one option the later one counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<FeatureOverride>,
}

/// Why a model cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModelSpecError {
    /// Neither a version nor a path.
    #[error("it names no model; begin with version= or path=")]
    NoModel,
    /// A word that is neither a flag nor `key=value`.
    #[error("{0:?} is not an option of a model; write key=value")]
    Word(String),
    /// A key that says nothing of a model.
    #[error("{0:?} is not an option of a model; options of extractors are EXTRACTOR.OPTION=VALUE")]
    Key(String),
    /// More overrides than a model takes.
    #[error("{0} options of extractors are given; a model takes at most {max}", max = ModelSpec::OVERRIDES_MAX)]
    Overrides(usize),
    /// A name, option or value that is empty or too long.
    #[error("the {what} has {bytes} bytes; 1 to {max} are taken", max = ModelSpec::TEXT_BYTES_MAX)]
    #[allow(missing_docs, reason = "which text, and how long it is")]
    Text { what: &'static str, bytes: usize },
}

impl ModelSpec {
    /// Overrides that a model takes at most, as in libvmaf.
    pub const OVERRIDES_MAX: usize = 32;
    /// Bytes of a name, option or value at most.
    pub const TEXT_BYTES_MAX: usize = 1_024;

    /// A built-in model by its version, as it is.
    #[must_use]
    pub fn version(version: impl Into<String>) -> Self {
        ModelRef::Version(version.into()).into()
    }

    /// Checks the bounds of everything but the path or version, whose bounds are a source's.
    ///
    /// # Errors
    /// The first bound that is broken.
    pub fn check(&self) -> Result<(), ModelSpecError> {
        if self.overrides.len() > Self::OVERRIDES_MAX {
            return Err(ModelSpecError::Overrides(self.overrides.len()));
        }
        let name = self.name.iter().map(|name| ("model's name", name));
        let overrides = self.overrides.iter().flat_map(|set| {
            [("extractor", &set.extractor), ("option", &set.option), ("value", &set.value)]
        });
        let within = |text: &str| (1..=Self::TEXT_BYTES_MAX).contains(&text.len());
        match name.chain(overrides).find(|(_, text)| !within(text)) {
            Some((what, text)) => Err(ModelSpecError::Text { what, bytes: text.len() }),
            None => Ok(()),
        }
    }
}

impl From<ModelRef> for ModelSpec {
    fn from(source: ModelRef) -> Self {
        Self { source, ..Self::default() }
    }
}

impl FromStr for ModelSpec {
    type Err = ModelSpecError;

    fn from_str(text: &str) -> Result<Self, ModelSpecError> {
        let mut spec = Self::default();
        let mut source = None;
        for (at, word) in text.split(':').enumerate() {
            let shown = |word: &str| word.chars().take(64).collect();
            let (key, value) = match word.split_once('=') {
                Some(pair) => pair,
                None if matches!(word, "disable_clip" | "enable_transform") => (word, "true"),
                None if at == 0 && !word.is_empty() => ("version", word),
                None => return Err(ModelSpecError::Word(shown(word))),
            };
            match key {
                "version" => source = Some(ModelRef::Version(value.to_owned())),
                "path" => source = Some(ModelRef::Path(value.to_owned())),
                "name" => spec.name = Some(value.to_owned()),
                "disable_clip" => spec.disable_clip |= value == "true",
                "enable_transform" => spec.enable_transform |= value == "true",
                _ => {
                    let (extractor, option) =
                        key.split_once('.').ok_or_else(|| ModelSpecError::Key(shown(key)))?;
                    spec.overrides.push(FeatureOverride {
                        extractor: extractor.to_owned(),
                        option: option.to_owned(),
                        value: value.to_owned(),
                    });
                }
            }
        }
        spec.source = source.ok_or(ModelSpecError::NoModel)?;
        spec.check()?;
        Ok(spec)
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)?;
        if let Some(name) = &self.name {
            write!(f, ":name={name}")?;
        }
        for (is_set, flag) in
            [(self.disable_clip, "disable_clip"), (self.enable_transform, "enable_transform")]
        {
            if is_set {
                write!(f, ":{flag}")?;
            }
        }
        self.overrides.iter().try_for_each(|FeatureOverride { extractor, option, value }| {
            write!(f, ":{extractor}.{option}={value}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "vmaf_v0.6.1:name=a:disable_clip:enable_transform:\
                        adm.adm_enhn_gain_limit=1.0:cambi.enc_width=1280";

    #[test]
    fn text_is_read_as_libvmaf_reads_it_and_written_back() {
        let spec: ModelSpec = FULL.parse().expect("well formed");
        assert_eq!(spec.source, ModelRef::Version("vmaf_v0.6.1".to_owned()));
        assert_eq!(spec.name.as_deref(), Some("a"));
        assert!(spec.disable_clip && spec.enable_transform);
        let set = &spec.overrides[0];
        assert_eq!(
            (set.extractor.as_str(), set.option.as_str(), set.value.as_str()),
            ("adm", "adm_enhn_gain_limit", "1.0")
        );
        assert_eq!(spec.to_string(), FULL);
        for same in [
            "version=vmaf_v0.6.1:enable_transform=true",
            "enable_transform:version=vmaf_v0.6.1",
            "vmaf_v0.6.1:disable_clip=no:enable_transform",
        ] {
            let spec: ModelSpec = same.parse().expect("well formed");
            assert_eq!(spec.to_string(), "vmaf_v0.6.1:enable_transform", "{same}");
        }
        let file: ModelSpec = "path=/m.json:name=mine".parse().expect("well formed");
        assert_eq!(file.source, ModelRef::Path("/m.json".to_owned()));
        assert_eq!(file.to_string(), "path=/m.json:name=mine");
    }

    #[test]
    fn what_says_nothing_of_a_model_is_refused_by_name() {
        let long = format!("a:x.y={}", "1".repeat(2_000));
        let many = format!("a{}", ":x.y=1".repeat(33));
        for (text, part) in [
            ("", "\"\""),
            ("name=a", "names no model"),
            ("version=a:flag", "\"flag\""),
            ("version=a:option=1", "\"option\""),
            ("version=a:name=", "0 bytes"),
            ("version=a:vif.=1", "option has 0 bytes"),
            (long.as_str(), "2000 bytes"),
            (many.as_str(), "33 options"),
        ] {
            let error = text.parse::<ModelSpec>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_model_without_options_is_stored_as_its_reference_alone() {
        let plain = ModelSpec::version("vmaf_4k_v0.6.1");
        let text = serde_json::to_string(&plain).expect("plain data");
        assert_eq!(text, r#"{"version":"vmaf_4k_v0.6.1"}"#);
        let full: ModelSpec = FULL.parse().expect("well formed");
        for spec in [plain, full, ModelRef::Path("/m.json".to_owned()).into()] {
            let text = serde_json::to_string(&spec).expect("plain data");
            assert_eq!(serde_json::from_str::<ModelSpec>(&text).expect("ours"), spec, "{text}");
        }
    }
}
