//! Golden values: what libvmaf computed for synthetic clips, at full precision.
//!
//! A [`Case`] says which clip and which of libvmaf's arguments; a [`Golden`] holds what came out,
//! with the hashes of what went in. They are captured by hand, on purpose, from the portable C path
//! of a libvmaf that prints every digit: `cargo xtask golden`.

mod cases;

use serde_json::{Map, Value, json};
use types::Column;

use crate::clip::ClipSpec;
pub use cases::{Ask, cases};

/// One clip with the arguments that libvmaf's command line is given beside its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The name of the case and of its files.
    pub name: String,
    /// The pair of clips.
    pub clip: ClipSpec,
    /// What is asked of libvmaf.
    pub ask: Ask,
    /// Every how many frames one is scored.
    pub subsample_interval: u32,
}

impl Case {
    /// The arguments for libvmaf's `vmaf`, given the paths of its two inputs (headerless YUV) and
    /// of its log: the portable C path, one thread.
    #[must_use]
    pub fn vmaf_arguments(&self, reference: &str, distorted: &str, log: &str) -> Vec<String> {
        let format = self.clip.format;
        let mut arguments = vec![
            format!("--reference={reference}"),
            format!("--distorted={distorted}"),
            format!("--width={}", self.clip.width),
            format!("--height={}", self.clip.height),
            format!("--pixel_format={}", format.chroma),
            format!("--bitdepth={}", format.bit_depth),
            format!("--output={log}"),
            "--json".to_owned(),
            "--quiet".to_owned(),
            "--cpumask=63".to_owned(),
            format!("--subsample={}", self.subsample_interval),
        ];
        let models = self.ask.models;
        if models.is_empty() {
            arguments.push("--no_prediction".to_owned());
        }
        arguments.extend(models.iter().map(|model| format!("--model={model}")));
        arguments.extend(self.ask.requests.iter().map(|request| format!("--feature={request}")));
        arguments
    }
}

/// What libvmaf computed for one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// SHA-256 of the reference clip's raw bytes.
    pub reference_sha256: String,
    /// SHA-256 of the distorted clip's raw bytes.
    pub distorted_sha256: String,
    /// libvmaf's own version.
    pub libvmaf: String,
    /// The frames that were scored.
    pub frame_indices: Vec<u64>,
    /// Per-frame values in the log's order; NaN where the log says null.
    pub columns: Vec<Column>,
    /// Pooled `min`, `max`, `mean` and `harmonic_mean`, in the log's order.
    pub pooled: Vec<(String, [f64; 4])>,
    /// Values of the whole clip, by name; NaN where the log says null.
    pub aggregates: Vec<(String, f64)>,
}

/// The pooled values of a log, in the order of [`Golden::pooled`].
pub const POOLED: [&str; 4] = ["min", "max", "mean", "harmonic_mean"];

impl Golden {
    /// Reads a log that libvmaf wrote as JSON with every digit.
    ///
    /// # Errors
    /// When it is no such log, or its numbers were rounded to a few digits.
    pub fn from_log(case: &Case, log: &str) -> Result<Self, String> {
        let keys = ordered_keys(log)?;
        let log: Value = serde_json::from_str(log).map_err(|error| error.to_string())?;
        let frames = log["frames"].as_array().ok_or("the log has no frames")?;
        let metrics = |frame: &Value| -> Result<Map<String, Value>, String> {
            frame["metrics"].as_object().cloned().ok_or_else(|| "a frame has no metrics".to_owned())
        };
        let rows: Vec<_> = frames.iter().map(metrics).collect::<Result<_, _>>()?;
        let index = |frame: &Value| frame["frameNum"].as_u64().ok_or("a frame has no number");
        let columns = keys.into_iter().map(|name| {
            let values = rows.iter().map(|row| row.get(&name).map_or(f64::NAN, number)).collect();
            Column { name, values }
        });
        let columns: Vec<Column> = columns.collect();
        let pooled = columns.iter().map(|column| {
            let pooled = &log["pooled_metrics"][&column.name];
            (column.name.clone(), POOLED.map(|kind| number(&pooled[kind])))
        });
        let pair = case.clip.make();
        let golden = Self {
            reference_sha256: pair.reference.sha256(),
            distorted_sha256: pair.distorted.sha256(),
            libvmaf: log["version"].as_str().unwrap_or_default().to_owned(),
            frame_indices: frames.iter().map(index).collect::<Result<_, _>>()?,
            pooled: pooled.collect(),
            aggregates: aggregates(&log["aggregate_metrics"]),
            columns,
        };
        golden.check_precision()?;
        Ok(golden)
    }

    /// Some value must have more than six digits after the point: a stock libvmaf rounds there.
    fn check_precision(&self) -> Result<(), String> {
        let mut values = self.columns.iter().flat_map(|column| &column.values);
        let is_long =
            |value: &f64| value.to_string().split('.').nth(1).is_some_and(|f| f.len() > 7);
        let all_whole = values.clone().all(|value| value.is_nan() || value.fract() == 0.0);
        if all_whole || values.any(is_long) {
            Ok(())
        } else {
            Err("the log's numbers were rounded; libvmaf must print every digit".to_owned())
        }
    }

    /// The text of a golden file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let columns: Vec<Value> = self
            .columns
            .iter()
            .map(|column| json!({ "name": column.name, "values": column.values }))
            .collect();
        let pooled: Vec<Value> = self
            .pooled
            .iter()
            .map(|(name, values)| json!({ "name": name, "values": values }))
            .collect();
        let aggregates: Vec<Value> = self
            .aggregates
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let mut text = String::from("{\n");
        let scalars = json!({
            "reference_sha256": self.reference_sha256,
            "distorted_sha256": self.distorted_sha256,
            "libvmaf": self.libvmaf,
            "frame_indices": self.frame_indices,
        });
        for (key, value) in scalars.as_object().into_iter().flatten() {
            text.push_str(&format!("  \"{key}\": {value},\n"));
        }
        let lists = [("columns", columns), ("pooled", pooled), ("aggregates", aggregates)];
        let lists: Vec<_> = lists.iter().filter(|(_, list)| !list.is_empty()).collect();
        for (at, (key, list)) in lists.iter().enumerate() {
            let end = if at + 1 < lists.len() { ",\n" } else { "\n" };
            let lines: Vec<String> = list.iter().map(|line| format!("    {line}")).collect();
            text.push_str(&format!("  \"{key}\": [\n{}\n  ]{end}", lines.join(",\n")));
        }
        text.push_str("}\n");
        text
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let string = |key: &str| file[key].as_str().map(str::to_owned).ok_or(format!("no {key}"));
        let list = |key: &str| file[key].as_array().ok_or(format!("no {key}"));
        let named = |line: &Value| -> Result<(String, Vec<f64>), String> {
            let name = line["name"].as_str().ok_or("a line has no name")?;
            let values = line["values"].as_array().ok_or("a line has no values")?;
            Ok((name.to_owned(), values.iter().map(number).collect()))
        };
        let columns = list("columns")?
            .iter()
            .map(|line| named(line).map(|(name, values)| Column { name, values }));
        let pooled = list("pooled")?.iter().map(|line| {
            let (name, values) = named(line)?;
            Ok((name, values.try_into().map_err(|_| "four pooled values".to_owned())?))
        });
        Ok(Self {
            reference_sha256: string("reference_sha256")?,
            distorted_sha256: string("distorted_sha256")?,
            libvmaf: string("libvmaf")?,
            frame_indices: list("frame_indices")?.iter().filter_map(Value::as_u64).collect(),
            columns: columns.collect::<Result<_, _>>()?,
            pooled: pooled.collect::<Result<_, String>>()?,
            aggregates: match &file["aggregates"] {
                Value::Array(lines) => lines
                    .iter()
                    .map(|line| {
                        let name = line["name"].as_str().ok_or("an aggregate has no name")?;
                        Ok((name.to_owned(), number(&line["value"])))
                    })
                    .collect::<Result<_, String>>()?,
                _ => Vec::new(),
            },
        })
    }
}

/// By name, in the alphabet's order.
fn aggregates(log: &Value) -> Vec<(String, f64)> {
    let all = log.as_object().into_iter().flatten();
    let mut all: Vec<_> = all.map(|(name, value)| (name.clone(), number(value))).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The keys of the first frame's metrics in the order of the text, which a parsed map forgets.
fn ordered_keys(log: &str) -> Result<Vec<String>, String> {
    let start = log.find("\"metrics\": {").ok_or("the log has no metrics")?;
    let block = &log[start..];
    let block =
        &block[block.find('{').unwrap_or(0) + 1..block.find('}').ok_or("unclosed metrics")?];
    Ok(block.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Lists where two columns differ by their bits, at most `limit` places, each with the distance in
/// units of the last place. All NaNs are equal.
#[must_use]
pub fn differences(expected: &Column, actual: &Column, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    if expected.name != actual.name {
        found.push(format!("column {} where {} was expected", actual.name, expected.name));
    }
    if expected.values.len() != actual.values.len() {
        let (expected_count, count) = (expected.values.len(), actual.values.len());
        found.push(format!("{}: {count} values, expected {expected_count}", expected.name));
    }
    for (row, (expected_value, value)) in expected.values.iter().zip(&actual.values).enumerate() {
        let same = expected_value.to_bits() == value.to_bits()
            || (expected_value.is_nan() && value.is_nan());
        if !same {
            let units = expected_value.to_bits().abs_diff(value.to_bits());
            let name = &expected.name;
            found.push(format!(
                "{name}[{row}]: {value:?}, expected {expected_value:?} ({units} units apart)"
            ));
        }
    }
    found.truncate(limit);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{
  "version": "f85a8536",
  "frames": [
    { "frameNum": 0, "metrics": { "b": 0.12345678901234567, "a": null } },
    { "frameNum": 3, "metrics": { "b": 1, "a": 0.25 } }
  ],
  "pooled_metrics": {
    "b": { "min": 0.1, "max": 1, "mean": 0.5, "harmonic_mean": 0.4 },
    "a": { "min": 0, "max": 0, "mean": 0, "harmonic_mean": 0 }
  },
  "aggregate_metrics": { "d": 33.3, "c": null }
}"#;

    fn case() -> Case {
        let clip = ClipSpec::texture(1, 8, 8, 2);
        Case { name: "small".to_owned(), clip, ask: cases::DEBUG, subsample_interval: 3 }
    }

    #[test]
    fn a_log_becomes_a_golden_file_and_back_without_losing_order_or_bits() {
        let golden = Golden::from_log(&case(), LOG).expect("a log");
        let names: Vec<_> = golden.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["b", "a"], "the log's order, not the alphabet's");
        assert_eq!(golden.frame_indices, [0, 3]);
        assert!(golden.columns[1].values[0].is_nan());
        assert_eq!(golden.pooled[0], ("b".to_owned(), [0.1, 1.0, 0.5, 0.4]));
        assert!(golden.aggregates[0].0 == "c" && golden.aggregates[0].1.is_nan());
        assert_eq!(golden.aggregates[1], ("d".to_owned(), 33.3));
        let again = Golden::from_json(&golden.to_json()).expect("a golden file");
        for (first, second) in golden.columns.iter().zip(&again.columns) {
            assert_eq!(differences(first, second, 9), [""; 0]);
        }
        assert_eq!(format!("{:?}", golden.aggregates), format!("{:?}", again.aggregates));
        assert_eq!(
            (golden.pooled, golden.reference_sha256),
            (again.pooled, again.reference_sha256)
        );
    }

    #[test]
    fn a_log_with_rounded_numbers_is_refused() {
        let rounded = LOG.replace("0.12345678901234567", "0.123457");
        assert!(Golden::from_log(&case(), &rounded).expect_err("rounded").contains("every digit"));
        for text in ["", "{}", "{\"frames\": []}"] {
            assert!(Golden::from_log(&case(), text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn differences_are_told_by_place_and_distance() {
        let column = |values: &[f64]| Column { name: "x".to_owned(), values: values.to_vec() };
        let expected = column(&[1.0, f64::NAN, 0.0]);
        assert_eq!(differences(&expected, &expected, 9), [""; 0]);
        let found = differences(&expected, &column(&[1.0_f64.next_up(), -f64::NAN, -0.0]), 9);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("x[0]: ") && found[0].ends_with("(1 units apart)"),
            "{found:?}"
        );
        assert!(found[1].starts_with("x[2]: -0.0, expected 0.0"), "zeros differ: {found:?}");
        assert_eq!(differences(&expected, &column(&[1.0]), 9).len(), 1);
        assert_eq!(differences(&expected, &column(&[2.0, 2.0, 2.0]), 2).len(), 2);
    }

    #[test]
    fn every_case_has_a_name_of_its_own_and_a_size_that_libvmaf_defines() {
        let cases = cases();
        let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), cases.len());
        assert!(cases.iter().all(|case| case.clip.width.min(case.clip.height) > 32));
    }
}
