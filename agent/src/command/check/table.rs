//! The report for people: 80 columns, the same words with and without colour, what needs attention first.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::builder::styling::{AnsiColor, Style};
use evidence::check::{Check, plain};
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome};
use serde_json::Value;

use super::Report;
use crate::command::page::{WIDTH, clean, cut, prose, wrap};

/// Where details of a finding start.
const INDENT: usize = 9;
/// Width of the words `found`, `expected`, `read at`, `fix`.
const LABEL: usize = 10;
/// Most lines of one detail; `explain` and the JSON have the rest.
const MAX_LINES: usize = 4;
/// Most sources named.
const MAX_SOURCES: usize = 4;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// One check with its outcome.
struct Row<'r> {
    id: &'r CheckId,
    check: &'r Check,
    judgement: Judgement,
}

/// The report as text.
pub(super) fn render(report: &Report) -> String {
    let mut text = header(report);
    let ids = report.outcomes.keys().map(|id| id.as_str().len());
    let id_width = ids.max().unwrap_or_default().min(34);
    for (topic, rows) in by_topic(report) {
        let _ = writeln!(text, "\n{BOLD}{topic}{BOLD:#}");
        for row in &rows {
            write_row(&mut text, report, row, id_width);
        }
    }
    text.push_str(&summary(report));
    text
}

fn header(report: &Report) -> String {
    let mut text = format!(
        "{BOLD}{}{BOLD:#}, {}\n",
        clean(&report.hostname),
        clean(&report.os)
    );
    if let Some(root) = &report.root {
        let _ = writeln!(
            text,
            "unpacked in {}, judged as after boot",
            clean(&root.display().to_string())
        );
    }
    let digest = report.digest.to_hex();
    let name = report.bundle.name.as_deref().unwrap_or("unnamed");
    let _ = writeln!(
        text,
        "{DIM}bundle {name} {}, {}{DIM:#}",
        report.bundle.version,
        digest.get(..12).unwrap_or_default()
    );
    text
}

/// Topics and checks, each with what needs attention first.
fn by_topic(report: &Report) -> Vec<(&str, Vec<Row<'_>>)> {
    let mut topics: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
    for (id, check, judgement) in report.judged() {
        topics.entry(&check.topic).or_default().push(Row {
            id,
            check,
            judgement,
        });
    }
    for rows in topics.values_mut() {
        rows.sort_by_key(|row| {
            (
                rank(row.judgement.outcome),
                std::cmp::Reverse(row.check.severity),
                row.id.clone(),
            )
        });
    }
    let mut topics: Vec<_> = topics.into_iter().collect();
    topics.sort_by_key(|(_, rows)| rows.first().map(|row| rank(row.judgement.outcome)));
    topics
}

const fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Fail => 0,
        Outcome::Error => 1,
        Outcome::Pass => 2,
        Outcome::NotApplicable => 3,
    }
}

const fn style(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Fail => AnsiColor::Red.on_default().bold(),
        Outcome::Error => AnsiColor::Yellow.on_default().bold(),
        Outcome::Pass => AnsiColor::Green.on_default(),
        Outcome::NotApplicable => Style::new().dimmed(),
    }
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplicable => "n/a",
        other => other.as_str(),
    }
}

fn write_row(text: &mut String, report: &Report, row: &Row<'_>, id_width: usize) {
    let outcome = row.judgement.outcome;
    let style = style(outcome);
    let column = INDENT + id_width + 2;
    let title = clean(&row.check.title);
    let lines = match outcome {
        Outcome::Fail | Outcome::Error => wrap(&title, WIDTH - column),
        Outcome::Pass => vec![cut(&title, WIDTH - column)],
        Outcome::NotApplicable => {
            let why = row.judgement.reason.map_or("", |reason| reason.as_str());
            vec![cut(&format!("{why}: {title}"), WIDTH - column)]
        }
    };
    let mut lines = lines.iter();
    let first = lines.next().map_or("", String::as_str);
    let _ = writeln!(
        text,
        "  {style}{:<5}{style:#}  {:<id_width$}  {first}",
        word(outcome),
        row.id.as_str()
    );
    for line in lines {
        let _ = writeln!(text, "{:column$}{line}", "");
    }
    if matches!(outcome, Outcome::Fail | Outcome::Error) {
        write_details(text, report, row);
    }
}

fn write_details(text: &mut String, report: &Report, row: &Row<'_>) {
    let observed = report.observed.get(row.id).unwrap_or(&Value::Null);
    let reason = row.judgement.reason.map_or("", |reason| reason.as_str());
    detail(
        text,
        "why",
        &format!("{reason}, severity {}", row.check.severity),
    );
    detail(text, "found", &plain(observed));
    if row.judgement.outcome == Outcome::Error {
        return;
    }
    detail(text, "expected", &row.check.expected_text());
    detail(text, "read at", &sources(report, row.check));
    write_fix(text, row);
}

/// The beginning of the remediation; commands keep their lines, so that they can be copied.
fn write_fix(text: &mut String, row: &Row<'_>) {
    let page = prose(row.check.remediation.trim(), INDENT + LABEL);
    let lines: Vec<&str> = page
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    for (i, line) in lines.iter().take(MAX_LINES).enumerate() {
        let label = if i == 0 { "fix" } else { "" };
        let line = line.get(INDENT + LABEL..).unwrap_or_default();
        let _ = writeln!(text, "{:INDENT$}{DIM}{label:<LABEL$}{DIM:#}{line}", "");
    }
    if lines.len() > MAX_LINES {
        detail(text, "", &format!("more: assay-agent explain {}", row.id));
    }
}

fn detail(text: &mut String, label: &str, value: &str) {
    let mut lines = wrap(&clean(value), WIDTH - INDENT - LABEL);
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        if let Some(last) = lines.last_mut() {
            last.push_str(" …");
        }
    }
    for (i, line) in lines.iter().enumerate() {
        let label = if i == 0 { label } else { "" };
        let _ = writeln!(text, "{:INDENT$}{DIM}{label:<LABEL$}{DIM:#}{line}", "");
    }
}

fn sources(report: &Report, check: &Check) -> String {
    let mut names = Vec::new();
    for probe in &check.probes {
        let facts = report.facts.get(probe);
        for source in facts.map(|facts| facts.sources()).unwrap_or_default() {
            if !names.contains(&source.at) {
                names.push(source.at);
            }
        }
    }
    // What was read before what was looked for in vain.
    names.sort_by_key(|name| name.ends_with("(absent)"));
    let more = names.len().saturating_sub(MAX_SOURCES);
    names.truncate(MAX_SOURCES);
    let mut text = names.join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn summary(report: &Report) -> String {
    let mut parts = Vec::new();
    for outcome in [
        Outcome::Fail,
        Outcome::Error,
        Outcome::Pass,
        Outcome::NotApplicable,
    ] {
        let count = report.count(outcome);
        let style = if count > 0 {
            style(outcome)
        } else {
            Style::new()
        };
        let name = match outcome {
            Outcome::NotApplicable => "not applicable",
            other => other.as_str(),
        };
        parts.push(format!("{style}{count} {name}{style:#}"));
    }
    let total = report.outcomes.len();
    let noun = if total == 1 { "check" } else { "checks" };
    format!("\n{BOLD}{total} {noun}{BOLD:#}: {}\n", parts.join(", "))
}
