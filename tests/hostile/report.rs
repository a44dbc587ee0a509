//! What `assay-agent check --format json` says.

use std::collections::BTreeMap;
use std::process::Output;

use acceptance::fleet::AGENT;
use acceptance::machine::Machine;
use serde::Deserialize;
use serde_json::Value;

/// Reads, decides and ends within this many seconds whatever users do, also in a debug build on a busy machine.
const LIMIT: &str = "240";

#[derive(Debug, Deserialize)]
struct Report {
    outcomes: Vec<Judged>,
}

/// One check.
#[derive(Debug, Clone, Deserialize)]
pub struct Judged {
    check: String,
    /// `pass`, `fail`, `not_applicable` or `error`.
    pub outcome: String,
    /// Why, unless it passed.
    pub reason: Option<String>,
    /// What was found, for messages.
    #[serde(default)]
    observed: Value,
}

impl Judged {
    /// Outcome and reason: `fail extra`.
    pub fn words(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        format!("{} {reason}", self.outcome).trim_end().to_owned()
    }
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.words(), self.observed)
    }
}

/// The outcome of every check.
pub type Judgements = BTreeMap<String, Judged>;

/// The report that the agent printed.
///
/// # Panics
/// If it crashed, had to be stopped, or said anything but its report.
pub fn parse(output: &Output) -> Judgements {
    let said = String::from_utf8_lossy(&output.stderr);
    let ended = output.status.code();
    assert!(
        matches!(ended, Some(0..=2)) && said.is_empty(),
        "{}: {said}",
        output.status
    );
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    let judged = report.outcomes.into_iter();
    judged.map(|one| (one.check.clone(), one)).collect()
}

/// What the agent says as root, or as somebody else by a program that runs it so; it is ended if it takes too long.
pub fn check(host: &Machine, by: &[&str]) -> Judgements {
    let command = [
        &["timeout", LIMIT][..],
        by,
        &[AGENT, "check", "--format", "json"],
    ];
    parse(&host.exec(&command.concat()).unwrap())
}
