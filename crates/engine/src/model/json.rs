//! Reads libvmaf's model files.
//!
//! Keys that say how a model was trained (`param_dict`, `feature_dict`) are passed over, as
//! libvmaf does. Every key that bears on a score is honoured or refused by name.

use serde_json::{Map, Value};

use super::svm::{Svm, SvmError};
use super::{
    MODEL_NAME_DEFAULT, Model, ModelError, ModelFeature, Normalization, ScoreTransform, format_g,
};
use crate::features::{FeatureOptions, extractor_of_feature};

/// More features than this are refused, as in libvmaf.
const FEATURES_MAX: usize = 64;
/// More knots than this are refused, as in libvmaf.
const KNOTS_MAX: usize = 10;

/// What is wrong, before the file's name is added.
enum Fault {
    Malformed(String),
    Unsupported(String),
}

impl Fault {
    fn of(self, source_name: &str) -> ModelError {
        let source_name = source_name.to_owned();
        match self {
            Self::Malformed(what) => ModelError::Malformed { source_name, what },
            Self::Unsupported(what) => ModelError::Unsupported { source_name, what },
        }
    }
}

fn malformed<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Malformed(what.into()))
}

/// Everything of a model but the file's hash.
pub(super) fn parse(source_name: &str, json: &[u8]) -> Result<Model, ModelError> {
    read(source_name, json).map_err(|fault| fault.of(source_name))
}

fn read(source_name: &str, json: &[u8]) -> Result<Model, Fault> {
    let file: Value = serde_json::from_slice(json)
        .map_err(|error| Fault::Malformed(format!("not JSON: {error}")))?;
    let Value::Object(file) = &file else { return malformed("not a JSON object") };
    if !file.contains_key("model_dict") && file.contains_key("0") {
        let what = "a collection of bootstrapped models".to_owned();
        return Err(Fault::Unsupported(what));
    }
    let dict = object(file, "model_dict")?;
    match text(dict, "model_type")? {
        "LIBSVMNUSVR" => {}
        other => return Err(Fault::Unsupported(format!("model_type {other}"))),
    }
    if dict.contains_key("chroma_correction_parameter") {
        return Err(Fault::Unsupported("chroma_correction_parameter".to_owned()));
    }
    let normalization = match text(dict, "norm_type")? {
        "linear_rescale" => Normalization::LinearRescale,
        "none" => Normalization::None,
        other => return Err(Fault::Unsupported(format!("norm_type {other}"))),
    };
    let names = feature_names(dict)?;
    let (slope, slopes) = rescaling(dict, "slopes", normalization, names.len())?;
    let (intercept, intercepts) = rescaling(dict, "intercepts", normalization, names.len())?;
    let options = feature_options(dict, names.len())?;
    let rescaled = slopes.into_iter().zip(intercepts);
    let features = names.into_iter().zip(options).zip(rescaled);
    let features = features
        .map(|((name, options), (slope, intercept))| ModelFeature {
            name,
            options,
            slope,
            intercept,
        })
        .collect();
    Ok(Model {
        name: MODEL_NAME_DEFAULT.to_owned(),
        version: source_name.to_owned(),
        sha256: String::new(),
        features,
        normalization,
        slope,
        intercept,
        clip: score_clip(dict)?,
        transform: score_transform(dict)?,
        svm: Svm::parse(text(dict, "model")?).map_err(|error| match error {
            SvmError::Malformed(what) => Fault::Malformed(what),
            SvmError::Unsupported(what) => Fault::Unsupported(what),
        })?,
    })
}

fn object<'a>(map: &'a Map<String, Value>, key: &str) -> Result<&'a Map<String, Value>, Fault> {
    match map.get(key) {
        Some(Value::Object(inner)) => Ok(inner),
        Some(_) => malformed(format!("{key} is not an object")),
        None => malformed(format!("{key} is missing")),
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Result<&'a str, Fault> {
    match map.get(key) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => malformed(format!("{key} is not a string")),
        None => malformed(format!("{key} is missing")),
    }
}

/// The array under `key`; `None` where the key is absent or null.
fn array<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a [Value]>, Fault> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => Ok(Some(values)),
        Some(_) => malformed(format!("{key} is not an array")),
    }
}

fn numbers(values: &[Value], key: &str) -> Result<Vec<f64>, Fault> {
    let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
    numbers.ok_or_else(|| Fault::Malformed(format!("{key} holds something that is not a number")))
}

/// The names of the features, each of which must be built here.
fn feature_names(dict: &Map<String, Value>) -> Result<Vec<String>, Fault> {
    let names = array(dict, "feature_names")?.unwrap_or_default();
    if !(1..=FEATURES_MAX).contains(&names.len()) {
        return malformed(format!("feature_names must hold 1 to {FEATURES_MAX} names"));
    }
    let name = |value: &Value| match value {
        Value::String(name) if extractor_of_feature(name).is_some() => Ok(name.clone()),
        Value::String(name) => Err(Fault::Unsupported(format!("feature {name}"))),
        _ => malformed("feature_names holds something that is not a string"),
    };
    names.iter().map(name).collect()
}

/// The score's own coefficient, then one a feature. Without normalization none is used.
fn rescaling(
    dict: &Map<String, Value>,
    key: &str,
    normalization: Normalization,
    feature_count: usize,
) -> Result<(f64, Vec<f64>), Fault> {
    if normalization == Normalization::None {
        return Ok((0.0, vec![0.0; feature_count]));
    }
    let mut values = numbers(array(dict, key)?.unwrap_or_default(), key)?;
    if values.len() != feature_count + 1 {
        return malformed(format!("{key} must hold {} numbers", feature_count + 1));
    }
    let own = values.remove(0);
    Ok((own, values))
}

/// One set of options a feature, empty where the file gives none.
///
/// libvmaf keeps an option as the text that `%g` prints of its `f32`; so does this, since the text
/// becomes part of the feature's name and is what the extractor reads back.
fn feature_options(
    dict: &Map<String, Value>,
    feature_count: usize,
) -> Result<Vec<FeatureOptions>, Fault> {
    const KEY: &str = "feature_opts_dicts";
    let Some(dicts) = array(dict, KEY)? else {
        return Ok(vec![FeatureOptions::default(); feature_count]);
    };
    if dicts.len() != feature_count {
        return malformed(format!("{KEY} must hold one object a feature"));
    }
    let one = |value: &Value| {
        let Value::Object(dict) = value else {
            return malformed(format!("{KEY} holds something that is not an object"));
        };
        let mut options = FeatureOptions::default();
        for (name, value) in dict {
            let value = match value {
                Value::Number(number) => number
                    .as_f64()
                    .map(|value| format_g(f64::from(value as f32)))
                    .ok_or_else(|| Fault::Malformed(format!("{KEY}: {name} is out of range")))?,
                Value::Bool(value) => value.to_string(),
                Value::String(value) => value.clone(),
                _ => return malformed(format!("{KEY}: {name} has no plain value")),
            };
            options.set(name, &value);
        }
        Ok(options)
    };
    dicts.iter().map(one).collect()
}

fn score_clip(dict: &Map<String, Value>) -> Result<Option<(f64, f64)>, Fault> {
    let Some(values) = array(dict, "score_clip")? else { return Ok(None) };
    match numbers(values, "score_clip")?[..] {
        [min, max] => Ok(Some((min, max))),
        _ => malformed("score_clip must hold two numbers"),
    }
}

fn score_transform(dict: &Map<String, Value>) -> Result<Option<ScoreTransform>, Fault> {
    const KEYS: [&str; 7] = ["enabled", "p0", "p1", "p2", "knots", "out_lte_in", "out_gte_in"];
    if matches!(dict.get("score_transform"), None | Some(Value::Null)) {
        return Ok(None);
    }
    let dict = object(dict, "score_transform")?;
    if let Some(unknown) = dict.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(Fault::Unsupported(format!("score_transform {unknown}")));
    }
    let coefficient = |key: &str| match dict.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            numbers(std::slice::from_ref(value), key).map(|numbers| numbers.first().copied())
        }
    };
    // These two are strings in the published files, which is all that libvmaf takes.
    let flag = |key: &str| match dict.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(flag)) => Ok(flag == "true"),
        Some(_) => malformed(format!("{key} is neither true nor false")),
    };
    Ok(Some(ScoreTransform {
        enabled: flag("enabled")?,
        polynomial: [coefficient("p0")?, coefficient("p1")?, coefficient("p2")?],
        knots: array(dict, "knots")?.map(knots).transpose()?,
        out_lte_in: flag("out_lte_in")?,
        out_gte_in: flag("out_gte_in")?,
    }))
}

fn knots(values: &[Value]) -> Result<Vec<(f64, f64)>, Fault> {
    let knot = |value: &Value| match value {
        Value::Array(pair) => match numbers(pair, "knots")?[..] {
            [x, y] => Ok((x, y)),
            _ => malformed("a knot must hold two numbers"),
        },
        _ => malformed("knots holds something that is not an array"),
    };
    let knots: Vec<_> = values.iter().map(knot).collect::<Result<_, _>>()?;
    let rises = knots.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
    if (2..=KNOTS_MAX).contains(&knots.len()) && rises {
        Ok(knots)
    } else {
        malformed(format!("knots must be 2 to {KNOTS_MAX}, x rising and y not falling"))
    }
}
