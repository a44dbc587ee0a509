//! Check: what one check reads and decides, and how it stands over the fleet.

use askama::Template;

use super::frame::Frame;
use super::outcome::ControlLink;
use super::part::{Pager, Pair, Prose, Severity, Standing, Tally, When};

/// The page of one check.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "check.html")]
pub struct CheckPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How much a failure weighs.
    pub severity: Severity,
    /// Probes it reads, one name each.
    pub probes: Vec<String>,
    /// When it runs, in words.
    pub cadence: String,
    /// Its parameters and their values in the bundle in force.
    pub parameters: Vec<Pair>,
    /// Its rules in order: condition as text, then what they conclude.
    pub rules: Vec<Pair>,
    /// What it reads.
    pub reads: Prose,
    /// How it decides, in words.
    pub decides: Prose,
    /// What it shows.
    pub shows: Prose,
    /// What it does not show.
    pub does_not_show: Prose,
    /// What an auditor should ask for beside it; may be empty.
    pub ask: Prose,
    /// How to mend a failure.
    pub fix: Prose,
    /// Controls it carries or supports.
    pub controls: Vec<ControlLink>,
    /// Hosts by how it stands on them now.
    pub hosts: Tally,
    /// The hosts, failing ones first.
    pub rows: Vec<CheckRow>,
    /// Which of them are shown.
    pub pager: Pager,
}

/// How the check stands on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRow {
    /// The host's name.
    pub host: String,
    /// The host's group.
    pub group: String,
    /// How it stands.
    pub standing: Standing,
    /// The reason code.
    pub reason: String,
    /// What was observed, in short.
    pub observed: String,
    /// Since when.
    pub since: When,
    /// Address of the outcome.
    pub href: String,
}

impl CheckPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        match (self.hosts.total(), self.hosts.fail) {
            (0, _) => "No host has reported on this check yet.".to_owned(),
            (total, 0) if self.hosts.pass == total => {
                format!("This check passes on {}.", all_hosts(total))
            }
            (_, 0) => format!("This check fails nowhere: {}.", self.hosts.words()),
            (total, fail) => format!(
                "This check fails on {fail} of {}.",
                super::part::counted(total, "host")
            ),
        }
    }
}

fn all_hosts(total: u64) -> String {
    match total {
        1 => "the one host that reports on it".to_owned(),
        _ => format!("all {total} hosts"),
    }
}
