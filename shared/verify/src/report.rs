//! What was checked, step by step, and what was not.

use std::error::Error;
use std::fmt::Write as _;

use serde::Serialize;

/// Failures that one step names one by one; the rest are counted.
pub const MAX_NAMED: usize = 100;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Ok,
    /// It does not hold.
    Failed,
    /// It was asked for and nobody can do it with this program: the engine is unknown.
    NotPerformable,
}

impl Verdict {
    /// The word printed for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Failed => "FAILED",
            Verdict::NotPerformable => "NOT RE-PERFORMABLE",
        }
    }
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How it ended.
    pub verdict: Verdict,
    /// What was checked, a few words that stay the same.
    pub step: &'static str,
    /// What was found.
    pub detail: String,
}

/// The steps of one verification, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    steps: Vec<Step>,
    not_checked: Vec<String>,
}

impl Report {
    /// Nothing checked yet.
    #[must_use]
    pub fn new() -> Report {
        Report::default()
    }

    /// A step that holds.
    pub fn ok(&mut self, step: &'static str, detail: impl Into<String>) {
        self.add(Verdict::Ok, step, detail.into());
    }

    /// A step that does not hold.
    pub fn failed(&mut self, step: &'static str, detail: impl Into<String>) {
        self.add(Verdict::Failed, step, detail.into());
    }

    /// A step that this program cannot perform.
    pub fn not_performable(&mut self, step: &'static str, detail: impl Into<String>) {
        self.add(Verdict::NotPerformable, step, detail.into());
    }

    /// A step that holds or fails by `holds`; `detail` says what was compared.
    pub fn hold(&mut self, step: &'static str, holds: bool, detail: impl Into<String>) -> bool {
        let verdict = if holds { Verdict::Ok } else { Verdict::Failed };
        self.add(verdict, step, detail.into());
        holds
    }

    /// A step with any number of failures, each a line of its own; without one it holds, and `detail` says what does.
    pub fn all(
        &mut self,
        step: &'static str,
        failures: Vec<String>,
        detail: impl Into<String>,
    ) -> bool {
        if failures.is_empty() {
            self.ok(step, detail);
            return true;
        }
        let more = failures.len().saturating_sub(MAX_NAMED);
        for failure in failures.into_iter().take(MAX_NAMED) {
            self.failed(step, failure);
        }
        if more > 0 {
            self.failed(step, format!("and {more} more like these"));
        }
        false
    }

    /// The value of a result; its error is a failure of the step.
    pub fn take<T, E: Error>(&mut self, step: &'static str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|error| self.failed(step, in_full(&error)))
            .ok()
    }

    /// All of another verification as one of this one's steps, a line for each of its own.
    pub fn take_in(&mut self, step: &'static str, other: Report) {
        for one in other.steps {
            self.add(one.verdict, step, format!("{}: {}", one.step, one.detail));
        }
        self.not_checked.extend(other.not_checked);
    }

    /// Something that these files cannot show, or that nobody asked for.
    pub fn not_checked(&mut self, what: impl Into<String>) {
        self.not_checked.push(what.into());
    }

    /// The steps so far.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The number of steps that did not hold.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| step.verdict != Verdict::Ok)
            .count()
    }

    /// Whether something was checked and all of it held.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        !self.steps.is_empty() && self.failures() == 0
    }

    /// The report for people: a line for each step, what was not checked, and the conclusion.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let (verdict, name) = (step.verdict.as_str(), step.step);
            let _ = writeln!(
                text,
                "{verdict:<6}  {name:<22}  {}",
                printable(&step.detail)
            );
        }
        for what in &self.not_checked {
            let _ = writeln!(text, "not checked: {}", printable(what));
        }
        let _ = match (self.is_verified(), self.failures()) {
            (true, _) => writeln!(text, "verified"),
            (false, 1) => writeln!(text, "NOT VERIFIED: 1 failure"),
            (false, n) => writeln!(text, "NOT VERIFIED: {n} failures"),
        };
        text
    }

    /// The report for programs: `{"verified", "failures", "steps": [{"verdict", "step", "detail"}], "not_checked"}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let value = serde_json::json!({
            "verified": self.is_verified(),
            "failures": self.failures(),
            "steps": self.steps,
            "not_checked": self.not_checked,
        });
        format!("{value}\n")
    }

    fn add(&mut self, verdict: Verdict, step: &'static str, detail: String) {
        self.steps.push(Step {
            verdict,
            step,
            detail,
        });
    }
}

/// An error with all its causes. Those that an error already tells in its own words are not told twice.
#[must_use]
pub fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// A text that may come from a forger, without what could steer a terminal or hide its end.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hidden = c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            let escaped = hidden.then(|| c.escape_unicode());
            let plain = (!hidden).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_checked_is_not_verified() {
        assert!(!Report::new().is_verified());
        let mut report = Report::new();
        report.ok("a", "");
        assert!(report.is_verified());
        report.not_performable("b", "");
        assert!(!report.is_verified());
        assert!(report.to_text().ends_with("NOT VERIFIED: 1 failure\n"));
    }

    #[test]
    fn a_forged_text_cannot_write_a_line_of_its_own() {
        let mut report = Report::new();
        report.failed("a", "x\nverified\u{1b}[2J\u{202e}");
        assert_eq!(report.to_text().lines().count(), 2);
        assert!(!report.to_text().contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn many_failures_are_counted() {
        let mut report = Report::new();
        report.all("a", vec!["x".to_owned(); MAX_NAMED + 5], "");
        assert_eq!(report.failures(), MAX_NAMED + 1);
        assert!(report.to_text().contains("and 5 more"));
    }
}
