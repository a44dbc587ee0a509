//! Hosts: who reports, how lately, and what fails on them.

use askama::Template;

use super::frame::Frame;
use super::part::{Column, Empty, Facet, Pager, Share, Standing, When, count, counted};

/// The list of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "hosts.html")]
pub struct HostsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The text filter in force, as it was typed.
    pub query: String,
    /// Why the text filter was not understood; empty when it was.
    pub query_problem: String,
    /// How the list can be narrowed: group, system, state.
    pub facets: Vec<Facet>,
    /// Heads of the columns, in this order: host, group, system, last round, observed, fails,
    /// errors, agent.
    pub columns: Vec<Column>,
    /// The hosts on this page of the list.
    pub rows: Vec<HostRow>,
    /// Which of them are shown.
    pub pager: Pager,
    /// Hosts that are enrolled and not retired, whatever the filter.
    pub enrolled: u64,
    /// Of them, hosts on which a check fails.
    pub failing: u64,
    /// Of them, hosts that were heard before and are silent for too long now.
    pub silent: u64,
    /// Of them, hosts that were never heard.
    pub never_seen: u64,
}

/// One host in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its name, as it reports it.
    pub name: String,
    /// Address of its page.
    pub href: String,
    /// Its group.
    pub group: String,
    /// Its operating system, in short: `Debian 12`.
    pub system: String,
    /// When its last round was received; none if never.
    pub last_round: Option<When>,
    /// Whether that is longer ago than its cadence explains.
    pub silent: bool,
    /// Checks with a fresh outcome that is no error, in the checks due.
    pub observed: Share,
    /// Failing checks by severity: critical, high, medium, low.
    pub fails: [u64; 4],
    /// Checks in error.
    pub errors: u64,
    /// First eight digits of the digest of the bundle it used last.
    pub bundle: String,
    /// Version of its agent.
    pub agent: String,
}

impl HostRow {
    fn fails_words(&self) -> String {
        let names = ["critical", "high", "medium", "low"];
        let words: Vec<String> = names
            .iter()
            .zip(self.fails)
            .filter(|(_, number)| *number > 0)
            .map(|(name, number)| format!("{number} {name}"))
            .collect();
        match words.is_empty() {
            true => "none".to_owned(),
            false => words.join(", "),
        }
    }

    fn has_fails(&self) -> bool {
        self.fails.iter().any(|number| *number > 0)
    }
}

impl HostsPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        if self.enrolled == 0 {
            return "No host is enrolled yet.".to_owned();
        }
        let mut text = match self.failing {
            0 => format!(
                "No check fails on the {} enrolled",
                counted(self.enrolled, "host")
            ),
            some => format!(
                "{} of {} {} at least one failing check",
                count(some),
                counted(self.enrolled, "enrolled host"),
                if some == 1 { "has" } else { "have" }
            ),
        };
        match (self.silent, self.never_seen) {
            (0, 0) => text.push_str("; all reported as expected."),
            (silent, 0) => text.push_str(&format!("; {} silent.", count(silent))),
            (0, never) => text.push_str(&format!("; {} never heard.", count(never))),
            (silent, never) => {
                text.push_str(&format!(
                    "; {} silent, {} never heard.",
                    count(silent),
                    count(never)
                ));
            }
        }
        text
    }

    fn empty(&self) -> Empty {
        match self.enrolled {
            0 => Empty {
                why: "There are no hosts to show.".to_owned(),
                next: "Make an enrolment token and give it to an agent.".to_owned(),
                command: Some(
                    "assay-collector token create --group default --uses 1 --expires 7d".to_owned(),
                ),
            },
            _ => Empty {
                why: "No host matches this filter.".to_owned(),
                next: "Remove a word or a choice to see more.".to_owned(),
                command: None,
            },
        }
    }
}
