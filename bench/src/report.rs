//! What is printed and written.

use crate::bench::{Figure, repository};
use crate::machine::Machine;
use crate::plot;
use crate::row::{Goal, Row};
use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// `latest.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Where it was measured.
    pub(crate) machine: Machine,
    /// What was measured: the commit, with a mark when the checkout was changed.
    pub(crate) commit: String,
    /// When it ended, RFC 3339.
    pub(crate) at: String,
    /// How long all of it took, seconds.
    pub(crate) seconds: f64,
    /// The table.
    pub(crate) rows: Vec<Row>,
}

/// A line for a person, on standard error: standard output is for results.
pub(crate) fn note(text: impl AsRef<str>) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
}

/// Rows as JSON on standard output.
///
/// # Errors
/// When nobody reads.
pub(crate) fn rows(rows: &[Row]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, rows)?;
    Ok(writeln!(out)?)
}

/// The figures there are.
///
/// # Errors
/// When nobody reads.
pub(crate) fn list(figures: &[Figure]) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for figure in figures {
        writeln!(out, "{:<14} {}", figure.name, figure.about)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A number with as many digits as one reads.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 1000.0 => return thousands(value),
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 || v == 0.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// A goal as a person reads it.
pub(crate) fn goal(goal: Goal, unit: &str) -> String {
    match goal {
        Goal::RatioAtLeast(bound) => format!("ratio ≥ {}", number(bound)),
        Goal::RatioAtMost(bound) => format!("ratio ≤ {}", number(bound)),
        Goal::AtLeast(bound) => format!("≥ {} {unit}", number(bound)),
        Goal::AtMost(bound) => format!("≤ {} {unit}", number(bound)),
        Goal::AboveYardstick(bound) => format!("≤ +{} {unit}", number(bound)),
    }
}

fn met(row: &Row) -> &'static str {
    match row.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    }
}

/// A row in one line.
pub(crate) fn line(row: &Row) -> String {
    let mut text = format!("{}: {} {}", row.figure, number(row.value), row.unit);
    if let Some(yardstick) = &row.yardstick {
        text.push_str(&format!(" | {}: {}", yardstick.name, number(yardstick.value)));
    }
    if let Some(ratio) = row.ratio {
        text.push_str(&format!(" | ratio {}", number(ratio)));
    }
    if let Some(bound) = row.goal {
        text.push_str(&format!(" | goal {}: {}", goal(bound, &row.unit), met(row)));
    }
    text
}

fn cells(row: &Row) -> [String; 7] {
    [
        row.figure.clone(),
        number(row.value),
        row.unit.clone(),
        row.yardstick.as_ref().map_or(String::new(), |y| format!("{}: {}", y.name, number(y.value))),
        row.ratio.map_or(String::new(), number),
        row.goal.map_or(String::new(), |g| goal(g, &row.unit)),
        met(row).to_owned(),
    ]
}

const HEADER: [&str; 7] = ["figure", "value", "unit", "yardstick", "ratio", "goal", "met"];

/// The table on standard output.
///
/// # Errors
/// When nobody reads.
pub(crate) fn print(rows: &[Row]) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADER);
    for row in rows {
        table.add_row(cells(row));
    }
    Ok(writeln!(std::io::stdout(), "{table}")?)
}

/// Writes `latest.json` and the plots, and puts the table into the README. Rows of figures that were not measured now are kept as they were.
///
/// # Errors
/// When a file can't be read or written.
pub(crate) fn write(folder: &Path, rows: Vec<Row>, took: Duration) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join("latest.json");
    let before: Option<Report> = match std::fs::read(&file) {
        Ok(text) => serde_json::from_slice(&text).ok(),
        Err(_) => None,
    };
    let mut kept: Vec<Row> = before.map(|r| r.rows).unwrap_or_default();
    kept.retain(|old| rows.iter().all(|new| new.group != old.group));
    kept.extend(rows);
    let place = |row: &Row| crate::figures::ALL.iter().position(|f| f.name == row.group);
    kept.retain(|row| place(row).is_some());
    kept.sort_by_key(place);
    let report = Report {
        machine: Machine::read(),
        commit: crate::machine::commit(),
        at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        seconds: took.as_secs_f64().round(),
        rows: kept,
    };
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    plot::write(folder, &report)?;
    show(&repository().join("README.md"), &markdown(&report))
}

/// What the README shows stands between these lines.
const SHOWN: (&str, &str) = ("<!-- bench: written by `./just bench` -->\n", "<!-- bench: end -->");

/// Puts a table into the README, in the place of the last one.
fn show(file: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let parts = text.split_once(SHOWN.0).and_then(|(before, rest)| Some((before, rest.split_once(SHOWN.1)?.1)));
    let (before, after) = parts.with_context(|| format!("{} has no place for the table", file.display()))?;
    Ok(std::fs::write(file, format!("{before}{}{table}{}{after}", SHOWN.0, SHOWN.1))?)
}

/// The table as Markdown: what the README shows.
fn markdown(report: &Report) -> String {
    let mut text = format!("{}, commit `{}`, {}:\n\n", report.machine, report.commit, report.at);
    text.push_str(&format!("| {} |\n|{}\n", HEADER.join(" | "), "---|".repeat(HEADER.len())));
    for row in &report.rows {
        text.push_str(&format!("| {} |\n", cells(row).join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, 0.1234, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0].map(number).into();
        assert_eq!(shown, ["0.00", "0.123", "1.23", "12.3", "123", "1,234", "1,234,567"]);
    }
}
