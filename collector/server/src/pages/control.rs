//! Control: how one control of Annex A did, on what evidence, and what hosts cannot show.

use askama::Template;

use super::frame::Frame;
use super::overview::PeriodChoice;
use super::part::{
    Class, HostTimeUnit, Pair, Severity, Share, ShareStrip, Standing, Tally, Verdict, When, count,
    counted,
};

/// The page of one control.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "control.html")]
pub struct ControlPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Its id: `A.8.5`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its theme and attributes, as the standard gives them.
    pub attributes: Vec<Pair>,
    /// What host evidence can say about it.
    pub class: Class,
    /// How much of it host evidence shows: `strong`, `medium`, `weak`; empty for automated and manual.
    pub strength: String,
    /// What host evidence covers, as a phrase; empty for manual.
    pub covers: String,
    /// What remains manual and an auditor asks for, one phrase each.
    pub manual: Vec<String>,
    /// How it did over the period.
    pub verdict: Verdict,
    /// The period in words: `the last 30 days`.
    pub period: String,
    /// Other periods to choose from.
    pub periods: Vec<PeriodChoice>,
    /// What led to the verdict; none for a control without primary checks.
    pub basis: Option<Basis>,
    /// The period drawn over all hosts in scope; none without primary checks.
    pub strip: Option<ShareStrip>,
    /// Checks that test what the control is about.
    pub primary: Vec<ControlCheck>,
    /// Checks that support it, and never turn it.
    pub supporting: Vec<ControlCheck>,
    /// Checks that the map names and the bundle in force does not hold.
    pub not_in_bundle: Vec<String>,
    /// The longest deviations of the period, longest first.
    pub longest: Vec<Deviation>,
}

/// The numbers that led to a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Passing host-time in passing and failing host-time, in milliseconds.
    pub operating: Share,
    /// Unobserved host-time in all host-time, in milliseconds.
    pub unobserved: Share,
    /// The rate to reach, in words: `98 %`.
    pub target: String,
    /// Hosts in scope at the period's end.
    pub hosts: u64,
    /// Hosts on which a primary check fails now.
    pub hosts_failing: u64,
    /// Deviations of the period, open and closed.
    pub deviations: u64,
    /// Those that lasted longer than their severity allows.
    pub beyond_limit: u64,
    /// Critical ones that are open at the period's end without an exception.
    pub critical_open: u64,
    /// The newest round that counted.
    pub as_of: Option<When>,
}

/// A check as one of those that carry or support a control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlCheck {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How much a failure weighs.
    pub severity: Severity,
    /// Hosts by how it stands on them now.
    pub hosts: Tally,
    /// The first few hosts on which it fails.
    pub failing: Vec<FailingHost>,
    /// Address of its page.
    pub href: String,
}

/// A host on which a check fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingHost {
    /// Its name.
    pub name: String,
    /// Address of the outcome.
    pub href: String,
    /// Since when.
    pub since: When,
}

/// A stretch of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The host's name.
    pub host: String,
    /// Title of the check.
    pub check_title: String,
    /// How much it weighs.
    pub severity: Severity,
    /// First seen failing.
    pub from: When,
    /// First seen passing again; none while it is open.
    pub to: Option<When>,
    /// How long it lasted, in words.
    pub lasted: String,
    /// How much longer than its severity allows, in words; empty when within the limit.
    pub beyond: String,
    /// Address of the outcome.
    pub href: String,
}

impl ControlCheck {
    /// Failing hosts that are not listed.
    fn more_failing(&self) -> u64 {
        self.hosts.fail.saturating_sub(self.failing.len() as u64)
    }
}

impl ControlPage {
    /// The answer in one sentence.
    pub fn answer(&self) -> String {
        let period = &self.period;
        match self.verdict {
            Verdict::DocumentsOnly => {
                "No host check can show this control; it rests on documents.".to_owned()
            }
            Verdict::Operating => format!("This control operated in {period}{}.", self.host_part()),
            Verdict::OperatingWithDeviations => {
                format!(
                    "This control operated with deviations in {period}{}.",
                    self.host_part()
                )
            }
            Verdict::NotOperating => {
                format!(
                    "This control did not operate in {period}{}.",
                    self.host_part()
                )
            }
            Verdict::InsufficientEvidence => {
                format!(
                    "There is not enough evidence to say whether this control operated in {period}."
                )
            }
        }
    }

    fn host_part(&self) -> &'static str {
        match self.class {
            Class::Partial => ", host part only",
            Class::Automated | Class::Manual => "",
        }
    }

    /// Why the verdict is what it is, with every number that led to it, one clause each.
    pub fn because(&self) -> Vec<String> {
        let Some(basis) = &self.basis else {
            return match self.class {
                Class::Manual => Vec::new(),
                _ => vec!["No primary check of this control is in the bundle in force.".to_owned()],
            };
        };
        let unit = HostTimeUnit::for_whole(basis.unobserved.whole);
        let mut clauses = vec![
            match basis.operating.whole {
                0 => "Nothing was observed on any host in scope.".to_owned(),
                _ => format!(
                    "Operating rate {} ({}, observed), target {}.",
                    basis.operating.percent(),
                    unit.ratio(basis.operating),
                    basis.target
                ),
            },
            format!(
                "Not observed {} ({}); more than 10 % would be too little evidence.",
                basis.unobserved.percent(),
                unit.ratio(basis.unobserved)
            ),
            format!(
                "A primary check fails on {} of {} in scope now.",
                count(basis.hosts_failing),
                counted(basis.hosts, "host")
            ),
        ];
        clauses.push(match (basis.deviations, basis.beyond_limit) {
            (0, _) => "No deviation in the period.".to_owned(),
            (some, 0) => format!(
                "{}, none for longer than its severity allows.",
                counted(some, "deviation")
            ),
            (some, beyond) => format!(
                "{}, {} of them for longer than their severity allows.",
                counted(some, "deviation"),
                count(beyond)
            ),
        });
        if basis.critical_open > 0 {
            clauses.push(format!(
                "{} open without an exception.",
                counted(basis.critical_open, "critical deviation")
            ));
        }
        clauses
    }
}
