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
    /// How fast the machine was in this run, where that is known.
    speed: Option<f64>,
    rows: Vec<[String; 5]>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        let head = ["what", "measured", "goal", "ratio", "beside"].map(str::to_owned);
        Self { title: title.into(), speed: None, rows: vec![head] }
    }

    /// With the speed of the machine in this run, as a multiple of what it was where goals were met
    /// or missed for the record.
    pub(crate) fn at_speed(self, speed: f64) -> Self {
        Self { speed: Some(speed), ..self }
    }

    /// Adds a figure. `beside` says what it is to be read with.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        (measured, unit): (f64, &str),
        goal: Goal,
        beside: impl Into<String>,
    ) {
        let ratio = goal.ratio(measured).map_or(String::new(), verdict);
        self.add(what.into(), (measured, unit), goal, ratio, beside.into());
    }

    /// Adds a figure that only the CPU bounds. Where the machine's speed is known its ratio at that
    /// speed is followed by the one at speed 1.
    pub(crate) fn cpu_row(
        &mut self,
        what: impl Into<String>,
        (measured, unit): (f64, &str),
        goal: Goal,
        beside: impl Into<String>,
    ) {
        let ratio = goal.ratio(measured).map_or(String::new(), |ratio| {
            let at_speed = self.speed.map(|speed| format!("; by echo {}", verdict(ratio / speed)));
            verdict(ratio) + &at_speed.unwrap_or_default()
        });
        self.add(what.into(), (measured, unit), goal, ratio, beside.into());
    }

    fn add(
        &mut self,
        what: String,
        (measured, unit): (f64, &str),
        goal: Goal,
        ratio: String,
        beside: String,
    ) {
        let measured = format!("{} {unit}", number(measured));
        self.rows.push([what, measured, goal.shown(unit), ratio, beside]);
    }

    pub(crate) fn print(&self) {
        println!("\n### {}\n\n{}", self.title, markdown(&self.rows));
    }
}

/// A ratio, and whether it misses the goal.
fn verdict(ratio: f64) -> String {
    format!("{ratio:.2}{}", if ratio >= 1.0 { "" } else { " missed" })
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
    fn what_the_cpu_bounds_is_told_by_the_speed_of_the_machine_too() {
        let mut table = Table::new("any").at_speed(0.5);
        table.row("memory", (10.0, "MB"), Goal::AtMost(9.0), "");
        table.cpu_row("rate", (10.0, "/s"), Goal::AtLeast(15.0), "");
        table.cpu_row("time", (10.0, "ms"), Goal::AtMost(4.0), "");
        table.cpu_row("open", (10.0, "ms"), Goal::Open, "");
        let ratios: Vec<_> = table.rows[1..].iter().map(|row| row[3].as_str()).collect();
        let slow = "0.40 missed; by echo 0.80 missed";
        assert_eq!(ratios, ["0.90 missed", "0.67 missed; by echo 1.33", slow, ""]);
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
