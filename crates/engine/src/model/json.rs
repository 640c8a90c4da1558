//! Reads libvmaf's model files.
//!
//! Keys that say how a model was trained (`param_dict`, `feature_dict`) are passed over, as
//! libvmaf does. Every key that bears on a score is honoured or refused by name.

use serde_json::{Map, Value};

use super::ensemble::{Ensemble, Regressor};
use super::mapping::{ScoreMapping, ScoreTransform};
use super::rescale::{ChromaFromLuma, Line, Rescaling};
use super::svm::{Svm, SvmError};
use super::{MODEL_NAME_DEFAULT, Model, ModelError, ModelFeature, format_g};
use crate::features::FeatureOptions;

/// More features than this are refused, as in libvmaf.
pub(super) const FEATURES_MAX: usize = 64;
/// More knots than this are refused, as in libvmaf.
const KNOTS_MAX: usize = 10;
/// More members of a collection than this are refused. Published ones have 21 to 101.
const MEMBERS_MAX: usize = 128;

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
    let is_collection = !file.contains_key("model_dict") && file.contains_key("0");
    let (features, regressors) =
        if is_collection { collection(file)? } else { single(object(file, "model_dict")?)? };
    Ok(Model {
        name: MODEL_NAME_DEFAULT.to_owned(),
        version: source_name.to_owned(),
        sha256: String::new(),
        ensemble: Ensemble::new(regressors, features.len()),
        features,
    })
}

/// The features that a model reads, and its regressors.
type Parsed = (Vec<ModelFeature>, Vec<Regressor>);

fn single(dict: &Map<String, Value>) -> Result<Parsed, Fault> {
    model_type(dict)?;
    let (features, regressor) = member(dict)?;
    Ok((features, vec![regressor]))
}

/// The members under the keys `0`, `1` and so on, which must read the same features.
fn collection(file: &Map<String, Value>) -> Result<Parsed, Fault> {
    let count = file.len();
    if !(2..=MEMBERS_MAX).contains(&count) {
        return malformed(format!("a collection must hold 2 to {MEMBERS_MAX} models"));
    }
    let mut features = Vec::new();
    let mut regressors = Vec::with_capacity(count);
    for key in 0..count {
        let key = key.to_string();
        let dict = object(object(file, &key)?, "model_dict")?;
        if model_type(dict)? == ModelType::Alone {
            return Err(Fault::Unsupported("a collection of models not bootstrapped".to_owned()));
        }
        let (names, regressor) = member(dict)?;
        if regressors.is_empty() {
            features = names;
        } else if features != names {
            let what = "a collection whose models read different features".to_owned();
            return Err(Fault::Unsupported(what));
        }
        regressors.push(regressor);
    }
    Ok((features, regressors))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ModelType {
    Alone,
    /// A member of a collection. Where a file holds such a model alone, it is one like any other.
    Bootstrapped,
}

fn model_type(dict: &Map<String, Value>) -> Result<ModelType, Fault> {
    match text(dict, "model_type")? {
        "LIBSVMNUSVR" => Ok(ModelType::Alone),
        "BOOTSTRAP_LIBSVMNUSVR" | "RESIDUEBOOTSTRAP_LIBSVMNUSVR" => Ok(ModelType::Bootstrapped),
        other => Err(Fault::Unsupported(format!("model_type {other}"))),
    }
}

fn member(dict: &Map<String, Value>) -> Result<(Vec<ModelFeature>, Regressor), Fault> {
    let names = feature_names(dict)?;
    let (score_line, lines) = rescaling(dict, names.len())?;
    let chroma = chroma_from_luma(dict, &names)?;
    let options = feature_options(dict, names.len())?.into_iter();
    let features = names.into_iter().zip(options);
    let features = features.map(|(name, options)| ModelFeature { name, options }).collect();
    let regressor = Regressor {
        rescaling: Rescaling { lines, chroma },
        score_line,
        svm: Svm::parse(text(dict, "model")?).map_err(|error| match error {
            SvmError::Malformed(what) => Fault::Malformed(what),
            SvmError::Unsupported(what) => Fault::Unsupported(what),
        })?,
        mapping: ScoreMapping { transform: score_transform(dict)?, clip: score_clip(dict)? },
    };
    Ok((features, regressor))
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

fn feature_names(dict: &Map<String, Value>) -> Result<Vec<String>, Fault> {
    let names = array(dict, "feature_names")?.unwrap_or_default();
    if !(1..=FEATURES_MAX).contains(&names.len()) {
        return malformed(format!("feature_names must hold 1 to {FEATURES_MAX} names"));
    }
    let name = |value: &Value| match value {
        Value::String(name) => Ok(name.clone()),
        _ => malformed("feature_names holds something that is not a string"),
    };
    names.iter().map(name).collect()
}

/// The score's own line and one a feature; none where nothing is rescaled.
fn rescaling(
    dict: &Map<String, Value>,
    feature_count: usize,
) -> Result<(Option<Line>, Option<Vec<Line>>), Fault> {
    match text(dict, "norm_type")? {
        "linear_rescale" => {}
        "none" => return Ok((None, None)),
        other => return Err(Fault::Unsupported(format!("norm_type {other}"))),
    }
    let coefficients = |key: &str| {
        let values = numbers(array(dict, key)?.unwrap_or_default(), key)?;
        if values.len() == feature_count + 1 {
            Ok(values)
        } else {
            malformed(format!("{key} must hold {} numbers", feature_count + 1))
        }
    };
    let lines = coefficients("slopes")?.into_iter().zip(coefficients("intercepts")?);
    let mut lines = lines.map(|(slope, intercept)| Line { slope, intercept });
    let score = lines.next();
    Ok((score, Some(lines.collect())))
}

/// How chroma follows from luma, where the model says so. As in libvmaf, features are told by a part
/// of their names; one of each must be there, or it would read memory that it never wrote.
fn chroma_from_luma(
    dict: &Map<String, Value>,
    names: &[String],
) -> Result<Option<ChromaFromLuma>, Fault> {
    const KEY: &str = "chroma_correction_parameter";
    let parameter = match dict.get(KEY) {
        None => return Ok(None),
        Some(value) => numbers(std::slice::from_ref(value), KEY)?[0],
    };
    if parameter == 0.0 {
        // libvmaf then has no score at all.
        return malformed(format!("{KEY} must not be zero"));
    }
    let place = |part: &str| {
        let mut places = (0..names.len()).filter(|place| names[*place].contains(part));
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            _ => malformed(format!("{KEY} needs one feature of {part}, and no second")),
        }
    };
    Ok(Some(ChromaFromLuma { parameter, luma: place("adm3")?, chroma: place("speed_chroma")? }))
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
