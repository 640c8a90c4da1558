//! What is printed: one table a topic, a goal beside every figure that has one.

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Stands there to be compared with.
    Open,
}

impl Goal {
    /// How many times as good as asked for; 1 and more meets the goal.
    fn ratio(self, measured: f64) -> Option<f64> {
        match self {
            Self::AtLeast(goal) => Some(measured / goal),
            Self::AtMost(goal) => Some(goal / measured),
            Self::Open => None,
        }
    }

    fn shown(self, unit: &str) -> String {
        match self {
            Self::AtLeast(goal) => format!("≥ {} {unit}", number(goal)),
            Self::AtMost(goal) => format!("≤ {} {unit}", number(goal)),
            Self::Open => String::new(),
        }
    }
}

/// A table in Markdown, aligned for the terminal.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<[String; 5]>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        let head = ["what", "measured", "goal", "ratio", "beside"].map(str::to_owned);
        Self { title: title.into(), rows: vec![head] }
    }

    /// Adds a figure. `beside` says what it is to be read with.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        (measured, unit): (f64, &str),
        goal: Goal,
        beside: impl Into<String>,
    ) {
        let ratio = goal.ratio(measured).map_or(String::new(), |ratio| {
            format!("{ratio:.2}{}", if ratio >= 1.0 { "" } else { " missed" })
        });
        let measured = format!("{} {unit}", number(measured));
        self.rows.push([what.into(), measured, goal.shown(unit), ratio, beside.into()]);
    }

    pub(crate) fn print(&self) {
        println!("\n### {}\n\n{}", self.title, markdown(&self.rows));
    }
}

/// Rows of equal length as a Markdown table; the first is the head.
pub(crate) fn markdown<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = std::array::from_fn(|column| "-".repeat(widths[column].max(3)));
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        text.push_str(&line(row));
        if index == 0 {
            text.push_str(&line(&rule));
        }
    }
    text
}

/// Three significant digits, thousands apart.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "none".to_owned();
    }
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_better_than_asked_in_either_direction() {
        assert_eq!(Goal::AtLeast(10.0).ratio(20.0), Some(2.0));
        assert_eq!(Goal::AtMost(10.0).ratio(20.0), Some(0.5));
        assert_eq!(Goal::Open.ratio(1.0), None);
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let shown = [1_234_567.0, 123.4, 12.34, 1.234, 0.1234].map(number);
        assert_eq!(shown, ["1 234 567", "123", "12.3", "1.23", "0.123"]);
        assert_eq!(number(f64::NAN), "none");
    }

    #[test]
    fn tables_are_markdown() {
        let rows = [["a", "b"], ["long", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(markdown(&rows), "| a    | b |\n| ---- | --- |\n| long | x |\n");
    }
}
