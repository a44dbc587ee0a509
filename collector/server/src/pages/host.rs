//! Host: who it is, whether its chain of rounds is whole, and every outcome on it.

use askama::Template;

use super::frame::Frame;
use super::part::{
    Empty, Mark, Pager, Pair, Severity, Standing, Strip, Tally, When, count, counted,
};

/// The page of one host.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "host.html")]
pub struct HostPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Address of this page, without a filter.
    pub href: String,
    /// Its name, as it reports it.
    pub name: String,
    /// Id of its key, as hexadecimal text.
    pub key_id: String,
    /// Its properties: group, system, agent, bundle, enrolled when and by which token, hardware hints.
    pub identity: Vec<Pair>,
    /// Whether its signed rounds form one unbroken chain.
    pub chain: Chain,
    /// Its outcomes by how they stand, whatever the filter.
    pub tally: Tally,
    /// Of how many checks something waits for approval, whatever the filter.
    pub proposals: u64,
    /// The filter in force.
    pub filter: OutcomeFilter,
    /// Outcomes that match it, by topic, failing topics first.
    pub topics: Vec<Topic>,
    /// How many match, of how many.
    pub pager: Pager,
}

/// Health of the chain of signed rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Rounds in the ledger.
    pub rounds: u64,
    /// Sequence number of the newest.
    pub sequence: u64,
    /// Signed gaps: rounds that the agent says it lost.
    pub gaps: u64,
    /// The same sequence number signed twice: a cloned or restored machine.
    pub forks: u64,
    /// Difference of the host's clock from the collector's at the last round, in words: `+0.4 s`.
    pub skew: String,
    /// When the newest round was received; none if never.
    pub last: Option<When>,
    /// Whether that is longer ago than its cadence explains.
    pub silent: bool,
}

/// What narrows the outcomes of a host; an empty field does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomeFilter {
    /// Words of title, id or observed value.
    pub text: String,
    /// An outcome's word in formats: `fail`, `not_applicable`.
    pub outcome: String,
    /// A severity's word.
    pub severity: String,
    /// Only outcomes of which something waits for approval.
    pub proposals: bool,
}

/// Outcomes about one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name: `SSH daemon`.
    pub name: String,
    /// Its outcomes, failing ones first.
    pub rows: Vec<OutcomeRow>,
}

/// One outcome in the list of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRow {
    /// Id of the check.
    pub check: String,
    /// Title of the check.
    pub title: String,
    /// How it stands.
    pub standing: Standing,
    /// The reason code.
    pub reason: String,
    /// How much a failure weighs.
    pub severity: Severity,
    /// What was observed, in short.
    pub observed: String,
    /// How many values of it wait for approval; none if nothing does.
    pub proposed: Option<u64>,
    /// Since when it stands so.
    pub since: When,
    /// The year, as a line.
    pub strip: Strip,
    /// Address of the outcome.
    pub href: String,
}

impl OutcomeFilter {
    const OUTCOMES: [(&'static str, &'static str); 8] = [
        ("", "any outcome"),
        ("fail", "fail"),
        ("error", "error"),
        ("pass", "pass"),
        ("not_applicable", "not applicable"),
        ("missing", "missing"),
        ("stale", "stale"),
        ("excepted", "excepted"),
    ];

    const SEVERITIES: [(&'static str, &'static str); 6] = [
        ("", "any severity"),
        ("critical", "critical"),
        ("high", "high"),
        ("medium", "medium"),
        ("low", "low"),
        ("info", "info"),
    ];

    /// What of the filter is no word that can be chosen, as a sentence: an empty list would look as if all were well.
    #[must_use]
    pub fn unknown(&self) -> Option<String> {
        let known =
            |choices: &[(&str, &str)], word: &str| choices.iter().any(|(known, _)| *known == word);
        let expected = |name: &str, choices: &[(&str, &str)]| {
            let words: Vec<&str> = choices.iter().skip(1).map(|(word, _)| *word).collect();
            format!("{name}: expected one of {}.", words.join(", "))
        };
        if !known(&Self::OUTCOMES, &self.outcome) {
            return Some(expected("outcome", &Self::OUTCOMES));
        }
        (!known(&Self::SEVERITIES, &self.severity)).then(|| expected("severity", &Self::SEVERITIES))
    }

    fn is_set(&self) -> bool {
        self.proposals
            || !(self.text.is_empty() && self.outcome.is_empty() && self.severity.is_empty())
    }
}

impl Chain {
    /// Whether the chain is whole, as a sentence.
    pub fn words(&self) -> String {
        if self.rounds == 0 {
            return "No round of this host is in the ledger yet.".to_owned();
        }
        let faults = match (self.gaps, self.forks) {
            (0, 0) => "no gap, no fork".to_owned(),
            (gaps, 0) => format!("{}, no fork", counted(gaps, "signed gap")),
            (0, forks) => format!("no gap, {}", counted(forks, "fork")),
            (gaps, forks) => format!(
                "{}, {}",
                counted(gaps, "signed gap"),
                counted(forks, "fork")
            ),
        };
        format!(
            "{} in one chain up to sequence {}: {faults}; clock {} from the collector's.",
            counted(self.rounds, "round"),
            count(self.sequence),
            self.skew
        )
    }

    fn mark(&self) -> Mark {
        let (tone, word) = match (self.forks, self.rounds, self.silent) {
            (1.., _, _) => ("fail", "forked"),
            (_, 0, _) => ("gap", "not begun"),
            (_, _, true) => ("gap", "silent"),
            _ if self.gaps > 0 => ("warn", "whole, with signed gaps"),
            _ => ("pass", "whole"),
        };
        Mark { tone, word }
    }
}

impl Topic {
    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for row in &self.rows {
            tally.add(row.standing);
        }
        tally
    }
}

impl OutcomeRow {
    /// What of it waits for approval, in words.
    fn waits(&self) -> Option<String> {
        self.proposed.map(|number| match number {
            0 => "to approve: that there is none".to_owned(),
            some => format!("{} to approve", counted(some, "value")),
        })
    }
}

impl HostPage {
    /// How much waits for approval, in a sentence; empty if nothing does.
    fn waiting(&self) -> String {
        match self.proposals {
            0 => String::new(),
            1 => "1 proposal of this host waits for approval".to_owned(),
            some => format!("{} proposals of this host wait for approval", count(some)),
        }
    }

    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        let tally = &self.tally;
        if tally.total() == 0 {
            return format!("Nothing is known about {} yet.", self.name);
        }
        let mut text = match tally.fail {
            0 => format!("No check fails on {}", self.name),
            some => format!(
                "{} of {} {} on {}",
                count(some),
                counted(tally.total(), "check"),
                if some == 1 { "fails" } else { "fail" },
                self.name
            ),
        };
        let unknown = tally.error + tally.unobserved;
        if unknown > 0 {
            text.push_str(&format!("; {} could not be established", count(unknown)));
        }
        text.push('.');
        text
    }

    fn empty(&self) -> Empty {
        match self.filter.is_set() {
            true => Empty {
                why: "No outcome matches this filter.".to_owned(),
                next: "Remove a word or choose any outcome to see more.".to_owned(),
                command: None,
            },
            false => Empty {
                why: "This host has not reported yet.".to_owned(),
                next: "Look at the agent's log on the host.".to_owned(),
                command: Some("journalctl -u assay-agent -n 50".to_owned()),
            },
        }
    }
}
