//! The table: one row for each thing that is measured, as Markdown.

use std::{fmt, iter};

/// What the numbers of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Of time.
    Milliseconds,
    /// Of memory.
    Mebibytes,
    /// How many in a second.
    PerSecond,
    /// Of data in a second.
    KibibytesPerSecond,
    /// Of data in a second.
    MebibytesPerSecond,
    /// Of data.
    Bytes,
    /// Of processors' time, for so much data.
    SecondsPerGibibyte,
    /// Of processors' time, for so many frames.
    SecondsPerMillion,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::PerSecond => "/s",
            Self::KibibytesPerSecond => "KiB/s",
            Self::MebibytesPerSecond => "MiB/s",
            Self::Bytes => "bytes",
            Self::SecondsPerGibibyte => "s/GiB",
            Self::SecondsPerMillion => "s/million",
        }
    }
}

/// The numbers of one cell, one from each round; none if it was not measured.
pub(crate) type Rounds = Vec<f64>;

/// One thing that was measured.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) unit: Unit,
    /// A cell for each of the table's columns.
    pub(crate) cells: Vec<Rounds>,
}

/// All of them. The first column is compared with the second.
#[derive(Debug)]
pub(crate) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a line to read after the table.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns.iter().map(|&name| name.to_owned()).collect();
        let head = with_ratio("what", "goal", columns, "ratio".into());
        let lines: Vec<_> = iter::once(head).chain(self.rows.iter().map(Row::texts)).collect();
        let mut widths = vec![3; self.columns.len() + 3];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (number, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                for width in &widths {
                    write!(f, "|{:-<1$}", "", width + 2)?;
                }
                writeln!(f, "|")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl Row {
    fn texts(&self) -> Vec<String> {
        let mut medians = self.cells.iter().map(|rounds| median(rounds));
        let ratio = match (medians.next().flatten(), medians.next().flatten()) {
            (Some(first), Some(second)) if second > 0.0 => number(first / second),
            _ => "–".into(),
        };
        let cells = self.cells.iter().map(|rounds| cell(rounds, self.unit)).collect();
        with_ratio(self.what, self.goal, cells, ratio)
    }
}

/// A line of the table: the ratio stands behind the two columns that it is of.
fn with_ratio(what: &str, goal: &str, mut cells: Vec<String>, ratio: String) -> Vec<String> {
    cells.insert(cells.len().min(2), ratio);
    [what.to_owned(), goal.to_owned()].into_iter().chain(cells).collect()
}

/// The median, and the least and the greatest if there is more than one.
fn cell(rounds: &[f64], unit: Unit) -> String {
    let Some(median) = median(rounds) else { return "–".into() };
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let text = format!("{} {}", number(median), unit.name());
    if rounds.len() > 1 { format!("{text} ({}–{})", number(least), number(most)) } else { text }
}

/// The middle one of the numbers, or the mean of the middle two.
pub(crate) fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let high = *sorted.get(sorted.len() / 2)?;
    let low = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(low, high))
}

/// Three digits that count, or all digits of a large number.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["qemu-bmc", "ipmi_sim", "floor"]);
        table.push(Row {
            what: "echo",
            goal: "< 2 ms",
            unit: Unit::Milliseconds,
            cells: vec![vec![1.5, 1.0, 2.0], vec![3.0], vec![]],
        });
        table.note("a note");
        let lines: Vec<String> = table.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "| what | goal   | qemu-bmc            | ipmi_sim | ratio | floor |");
        assert_eq!(lines[1], "|------|--------|---------------------|----------|-------|-------|");
        assert_eq!(lines[2], "| echo | < 2 ms | 1.50 ms (1.00–2.00) | 3.00 ms  | 0.500 | –     |");
        assert_eq!(lines[3..], ["", "a note"]);
    }
}
