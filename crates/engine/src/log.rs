//! Writes reports in libvmaf's log formats, byte for byte as its own `output.c` would.
//!
//! A value is printed with six digits after the point, or with sixteen when its fractional part
//! begins with more than six zeros; that is libvmaf's rule, and [`Precision`] offers others. JSON
//! has `null` for what is not finite, and libvmaf writes no line break after such a value: neither
//! is one written here.

use std::fmt::{self, Write};
use std::str::FromStr;

use types::{PooledScore, ScoreReport};

/// The formats of libvmaf's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// libvmaf's default.
    Xml,
    /// One object.
    Json,
    /// A line a frame. Nothing is pooled.
    Csv,
    /// Subtitles in the MicroDVD format, a line a frame. Nothing is pooled.
    Sub,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Xml, Self::Json, Self::Csv, Self::Sub];

    /// The name of the format, which is also its file extension.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Sub => "sub",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a log format; use xml, json, csv or sub"))
    }
}

/// How many digits values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// libvmaf's six, or sixteen for fractional parts below a millionth.
    #[default]
    Libvmaf,
    /// So many after the point, at most [`Precision::DIGITS_MAX`].
    Digits(u8),
    /// As few as lead back to the same value.
    Max,
}

impl Precision {
    /// The most digits after the point that may be asked for.
    pub const DIGITS_MAX: u8 = 17;
}

/// Reads `max`, or a number of digits from 0 to 17.
impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse() {
            Ok(digits) if digits <= Self::DIGITS_MAX => Ok(Self::Digits(digits)),
            _ => Err(format!("{text:?} is not a precision; use max, or 0 to {}", Self::DIGITS_MAX)),
        }
    }
}

/// What a log says that is not in the report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogOptions<'a> {
    /// The version in the log's head, in libvmaf its own.
    pub version: &'a str,
    /// Frames a second in the log's head. JSON writes `null` for what is not finite.
    pub fps: f64,
    /// How many digits values have.
    pub precision: Precision,
    /// What was done to the videos before they were compared, and why; a log of libvmaf's has no such
    /// thing, and of none there is no trace. Formats of a line a frame have no place for it.
    pub notes: &'a [String],
}

/// Writes `report` as a log.
///
/// # Errors
/// When `out` fails.
pub fn write_log(
    out: &mut dyn Write,
    report: &ScoreReport,
    format: LogFormat,
    options: &LogOptions<'_>,
) -> fmt::Result {
    let mut log = Log { out, report, options };
    match format {
        LogFormat::Xml => log.xml(),
        LogFormat::Json => log.json(),
        LogFormat::Csv => log.csv(),
        LogFormat::Sub => log.sub(),
    }
}

struct Log<'a> {
    out: &'a mut dyn Write,
    report: &'a ScoreReport,
    options: &'a LogOptions<'a>,
}

/// The pooled values that libvmaf writes, in its order.
fn pooled_values(pooled: &PooledScore) -> [(&'static str, f64); 4] {
    [
        ("min", pooled.min),
        ("max", pooled.max),
        ("mean", pooled.mean),
        ("harmonic_mean", pooled.harmonic_mean),
    ]
}

impl<'a> Log<'a> {
    fn number(&self, value: f64) -> Number {
        Number { value, precision: self.options.precision }
    }

    /// Row number and frame index of every frame.
    fn frames(&self) -> impl Iterator<Item = (usize, u64)> + use<'a> {
        self.report.frames.frame_indices.iter().copied().enumerate()
    }

    /// Name and value of every column in one row.
    fn row(&self, row: usize) -> impl ExactSizeIterator<Item = (&'a str, f64)> + use<'a> {
        let columns = self.report.frames.columns.iter();
        columns.map(move |column| (column.name.as_str(), column.values[row]))
    }

    fn xml(&mut self) -> fmt::Result {
        let ScoreReport { width, height, .. } = *self.report;
        writeln!(self.out, "<VMAF version=\"{}\">", self.options.version)?;
        writeln!(self.out, "  <params qualityWidth=\"{width}\" qualityHeight=\"{height}\" />")?;
        writeln!(self.out, "  <fyi fps=\"{}\" />", Number::digits(self.options.fps, 2))?;
        for note in self.options.notes {
            let note = note.replace('&', "&amp;").replace('<', "&lt;");
            writeln!(self.out, "  <note>{note}</note>")?;
        }
        writeln!(self.out, "  <frames>")?;
        for (row, index) in self.frames() {
            write!(self.out, "    <frame frameNum=\"{index}\" ")?;
            for (name, value) in self.row(row) {
                write!(self.out, "{name}=\"{}\" ", self.number(value))?;
            }
            writeln!(self.out, "/>")?;
        }
        writeln!(self.out, "  </frames>")?;
        writeln!(self.out, "  <pooled_metrics>")?;
        for (name, pooled) in &self.report.pooled {
            write!(self.out, "    <metric name=\"{name}\" ")?;
            for (method, value) in pooled_values(pooled) {
                write!(self.out, "{method}=\"{}\" ", self.number(value))?;
            }
            writeln!(self.out, "/>")?;
        }
        writeln!(self.out, "  </pooled_metrics>")?;
        write!(self.out, "  <aggregate_metrics ")?;
        for (name, value) in &self.report.aggregates {
            write!(self.out, "{name}=\"{}\" ", self.number(*value))?;
        }
        writeln!(self.out, "/>")?;
        writeln!(self.out, "</VMAF>")
    }

    fn json(&mut self) -> fmt::Result {
        writeln!(self.out, "{{")?;
        writeln!(self.out, "  \"version\": \"{}\",", self.options.version)?;
        writeln!(self.out, "  \"fps\": {},", OrNull(Number::digits(self.options.fps, 2)))?;
        if !self.options.notes.is_empty() {
            writeln!(self.out, "  \"notes\": {},", serde_json::json!(self.options.notes))?;
        }
        write!(self.out, "  \"frames\": [")?;
        for (row, index) in self.frames() {
            self.out.write_str(if row > 0 { ",\n" } else { "\n" })?;
            writeln!(self.out, "    {{")?;
            writeln!(self.out, "      \"frameNum\": {index},")?;
            writeln!(self.out, "      \"metrics\": {{")?;
            let columns = self.row(row);
            let last = columns.len() - 1;
            for (column, (name, value)) in columns.enumerate() {
                let comma = if column < last { "," } else { "" };
                let line_break = if value.is_finite() { "\n" } else { "" };
                let number = OrNull(self.number(value));
                write!(self.out, "        \"{name}\": {number}{comma}{line_break}")?;
            }
            writeln!(self.out, "      }}")?;
            write!(self.out, "    }}")?;
        }
        writeln!(self.out, "\n  ],")?;
        write!(self.out, "  \"pooled_metrics\": {{")?;
        for (at, (name, pooled)) in self.report.pooled.iter().enumerate() {
            self.out.write_str(if at > 0 { ",\n" } else { "\n" })?;
            write!(self.out, "    \"{name}\": {{")?;
            for (at, (method, value)) in pooled_values(pooled).into_iter().enumerate() {
                self.out.write_str(if at > 0 { ",\n" } else { "\n" })?;
                write!(self.out, "      \"{method}\": {}", OrNull(self.number(value)))?;
            }
            write!(self.out, "\n    }}")?;
        }
        writeln!(self.out, "\n  }},")?;
        write!(self.out, "  \"aggregate_metrics\": {{")?;
        for (at, (name, value)) in self.report.aggregates.iter().enumerate() {
            self.out.write_str(if at > 0 { ",\n" } else { "\n" })?;
            write!(self.out, "    \"{name}\": {}", OrNull(self.number(*value)))?;
        }
        writeln!(self.out, "\n  }}")?;
        writeln!(self.out, "}}")
    }

    fn csv(&mut self) -> fmt::Result {
        write!(self.out, "Frame,")?;
        for column in &self.report.frames.columns {
            write!(self.out, "{},", column.name)?;
        }
        writeln!(self.out)?;
        for (row, index) in self.frames() {
            write!(self.out, "{index},")?;
            for (_, value) in self.row(row) {
                write!(self.out, "{},", self.number(value))?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn sub(&mut self) -> fmt::Result {
        for (row, index) in self.frames() {
            write!(self.out, "{{{index}}}{{{}}}frame: {index}|", index + 1)?;
            for (name, value) in self.row(row) {
                write!(self.out, "{name}: {}|", self.number(value))?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }
}

/// A value as C's `printf` writes it.
struct Number {
    value: f64,
    precision: Precision,
}

impl Number {
    const fn digits(value: f64, digits: u8) -> Self {
        Self { value, precision: Precision::Digits(digits) }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        if !value.is_finite() {
            let sign = if value.is_sign_negative() { "-" } else { "" };
            return write!(f, "{sign}{}", if value.is_nan() { "nan" } else { "inf" });
        }
        match self.precision {
            Precision::Libvmaf if begins_with_many_zeros(value) => write!(f, "{value:.16}"),
            Precision::Libvmaf => write!(f, "{value:.6}"),
            Precision::Digits(digits) => write!(f, "{value:.*}", usize::from(digits)),
            Precision::Max => write!(f, "{value}"),
        }
    }
}

/// A value as JSON has it.
struct OrNull(Number);

impl fmt::Display for OrNull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.value.is_finite() { self.0.fmt(f) } else { f.write_str("null") }
    }
}

/// Whether the fractional part must be shifted by more than six decimal places to reach one.
/// Values beyond the range of a 32-bit integer count as whole, as they do in libvmaf.
fn begins_with_many_zeros(value: f64) -> bool {
    const ZEROS: u32 = 6;
    let value = value.abs();
    if value >= f64::from(i32::MAX) {
        return false;
    }
    let mut fraction = value.fract();
    let mut shifts = 0;
    while fraction < 1.0 && fraction != 0.0 && shifts <= ZEROS {
        fraction *= 10.0;
        shifts += 1;
    }
    shifts > ZEROS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(value: f64, precision: Precision) -> String {
        Number { value, precision }.to_string()
    }

    #[test]
    fn six_digits_unless_the_fraction_begins_with_more_than_six_zeros() {
        for (value, text) in [
            (76.668_904_499_9, "76.668904"),
            (0.0, "0.000000"),
            (-0.0, "-0.000000"),
            (3.0, "3.000000"),
            (0.000_001, "0.000001"),
            (0.000_000_5, "0.0000005000000000"),
            (2.000_000_25, "2.0000002499999998"),
            (-0.000_000_25, "-0.0000002500000000"),
            // Ties go to the even digit.
            (0.007_812_5, "0.007812"),
            (0.023_437_5, "0.023438"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(printed(value, Precision::Libvmaf), text);
        }
    }

    #[test]
    fn more_digits_on_request() {
        assert_eq!(printed(0.1 + 0.2, Precision::Max), "0.30000000000000004");
        assert_eq!(printed(100.0, Precision::Max), "100");
        assert_eq!(printed(0.1 + 0.2, Precision::Digits(9)), "0.300000000");
        for (text, precision) in
            [("max", Precision::Max), ("0", Precision::Digits(0)), ("17", Precision::Digits(17))]
        {
            assert_eq!(text.parse(), Ok(precision));
        }
        for text in ["18", "-1", "", "most"] {
            assert!(text.parse::<Precision>().is_err(), "{text:?}");
        }
    }
}
