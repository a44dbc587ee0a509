//! `assay-agent explain`: a check in words, the same that the pages show.

use std::fmt::Write as _;

use clap::builder::styling::Style;
use evidence::bundle::Bundle;
use evidence::check::{Check, JudgedBy, Role, plain};
use evidence::id::CheckId;
use evidence::outcome::Judgement;

use super::page::{WIDTH, cut, prose};
use super::policy::{self, PolicyArguments};
use super::{Exit, known_check, print};

const BOLD: Style = Style::new().bold();

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The check, such as sshd.root; without it all are listed.
    check: Option<String>,
    #[command(flatten)]
    policy: PolicyArguments,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let bundle = policy::bundle(&arguments.policy)?;
    let text = match &arguments.check {
        Some(text) => {
            let id = known_check(&bundle, text)?;
            bundle
                .checks
                .get(&id)
                .map(|check| explain(&id, check))
                .unwrap_or_default()
        }
        None => list(&bundle),
    };
    print(&text)?;
    Ok(Exit::Done)
}

fn list(bundle: &Bundle) -> String {
    let width = bundle.checks.keys().map(|id| id.as_str().len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for (id, check) in &bundle.checks {
        let title = cut(&check.title, WIDTH.saturating_sub(width + 2));
        let _ = writeln!(text, "{id:<width$}  {title}");
    }
    text
}

fn explain(id: &CheckId, check: &Check) -> String {
    let mut text = format!("{BOLD}{id}{BOLD:#}\n{}", prose(&check.title, 0));
    let judged = match check.judged_by {
        JudgedBy::Host => format!("judged on the cron line {:?} (UTC)", check.cadence),
        JudgedBy::Collector => "judged by the collector, not on the host".to_owned(),
    };
    let _ = writeln!(
        text,
        "{}, severity {}, {judged}",
        check.topic, check.severity
    );
    section(&mut text, "Reads", &check.reads);
    let probes: Vec<&str> = check.probes.iter().map(|probe| probe.as_str()).collect();
    section(&mut text, "Probes", &probes.join(", "));
    section(&mut text, "Decides", &check.decides);
    section(&mut text, "Expects", &check.expected_text());
    section(
        &mut text,
        "Rules, the first that holds decides",
        &rules(check),
    );
    if !check.params.is_empty() {
        section(&mut text, "Parameters", &params(check));
    }
    if !check.learns.is_empty() {
        section(
            &mut text,
            "Proposes for approval, by what a host shows (assay-agent baseline)",
            &learns(check),
        );
    }
    section(&mut text, "A pass shows", &check.shows);
    section(&mut text, "A pass does not show", &check.does_not_show);
    section(&mut text, "To mend a failure", &check.remediation);
    if !check.ask.trim().is_empty() {
        section(&mut text, "An auditor also asks for", &check.ask);
    }
    section(&mut text, "Controls", &controls(check));
    text
}

fn section(text: &mut String, title: &str, body: &str) {
    let _ = write!(text, "\n{BOLD}{title}{BOLD:#}\n{}", prose(body, 2));
}

/// The rules as they stand in the bundle, indented so that they are not wrapped: they may be copied.
fn rules(check: &Check) -> String {
    let mut text = String::new();
    for rule in &check.rules {
        let mut lines = rule.condition.trim().lines();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(text, " {} if {first}", verdict(rule.judgement()));
        for line in lines {
            let _ = writeln!(text, "     {line}");
        }
    }
    let _ = writeln!(text, " else {}", verdict(check.otherwise.judgement()));
    text
}

fn verdict(judgement: Judgement) -> String {
    match judgement.reason {
        Some(reason) => format!("{} {reason}", judgement.outcome),
        None => judgement.outcome.to_string(),
    }
}

fn params(check: &Check) -> String {
    let mut text = String::new();
    for (name, value) in &check.params {
        let _ = writeln!(text, " {name} = {}", plain(value));
    }
    text
}

fn learns(check: &Check) -> String {
    let mut text = String::new();
    for (name, source) in &check.learns {
        let _ = writeln!(text, " {name} = {}", source.trim().replace('\n', "\n     "));
    }
    text
}

fn controls(check: &Check) -> String {
    let mut text = String::new();
    for (id, role) in check.control_links() {
        let role = match role {
            Role::Primary => "primary",
            Role::Supporting => "supporting",
        };
        let _ = writeln!(text, " {id} ({role})");
    }
    text
}
