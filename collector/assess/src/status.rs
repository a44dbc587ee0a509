//! The status of a control over a period, with every number that led to it.

use catalogue::Class;
use evidence::outcome::Severity;
use serde::{Deserialize, Serialize};

use crate::deviation::{self, Deviation};
use crate::figure::Share;
use crate::record::{CheckNo, Records};
use crate::rollup::{self, HostTime};
use crate::rules::Rules;

/// How a control did over a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The operating rate is below the floor, or a critical deviation is open at the end.
    NotOperating,
    /// The operating rate is below the target, or a deviation lasted longer than its severity allows.
    OperatingWithDeviations,
    /// Too much was not observed, no primary check reaches a host, or the period is shorter than a cadence.
    InsufficientEvidence,
    /// It operated.
    Operating,
    /// Manual control: a valid document is there.
    Documented,
    /// Manual control: no valid document is there.
    EvidenceMissing,
}

impl Verdict {
    /// The word used in formats.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::NotOperating => "not_operating",
            Verdict::OperatingWithDeviations => "operating_with_deviations",
            Verdict::InsufficientEvidence => "insufficient_evidence",
            Verdict::Operating => "operating",
            Verdict::Documented => "documented",
            Verdict::EvidenceMissing => "evidence_missing",
        }
    }
}

/// The status of a control that host evidence says something about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlStatus {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether it speaks of the host part only, because the control is partial: an overall statement also needs valid
    /// manual evidence.
    pub host_part_only: bool,
    /// The host-time it rests on.
    pub time: HostTime,
    /// The operating rate with each check's host-time weighted by severity; shown beside the rate, never instead.
    pub weighted: Share,
    /// The deviations of the primary checks that touch the period, longest first.
    pub deviations: Vec<Deviation>,
}

impl ControlStatus {
    /// Deviations that lasted longer than their severity allows.
    pub fn beyond_limit(&self) -> impl Iterator<Item = &Deviation> {
        self.deviations.iter().filter(|found| found.beyond_ms > 0)
    }

    /// Critical deviations that are open at the end of the period.
    pub fn critical_open(&self) -> impl Iterator<Item = &Deviation> {
        self.deviations
            .iter()
            .filter(|found| found.severity == Severity::Critical && found.to.is_none())
    }
}

/// The status of a control of this class, carried by these primary checks.
///
/// For a manual control see [`of_documents`]; checks never turn it.
#[must_use]
pub fn of_control(
    records: &Records,
    class: Class,
    primary: &[CheckNo],
    rules: &Rules,
) -> ControlStatus {
    let mut deviations: Vec<Deviation> = primary
        .iter()
        .flat_map(|check| deviation::of_check(records, *check, rules))
        .collect();
    deviations.sort_by_key(|found| std::cmp::Reverse(found.lasted_ms));
    let mut status = ControlStatus {
        verdict: Verdict::InsufficientEvidence,
        host_part_only: class == Class::Partial,
        time: rollup::host_time(records, primary),
        weighted: weighted(records, primary, rules),
        deviations,
    };
    status.verdict = verdict(records, primary, rules, &status);
    status
}

/// The status of a manual control: whether a document that is valid now was attached.
#[must_use]
pub const fn of_documents(valid: bool) -> Verdict {
    if valid {
        Verdict::Documented
    } else {
        Verdict::EvidenceMissing
    }
}

fn verdict(
    records: &Records,
    primary: &[CheckNo],
    rules: &Rules,
    status: &ControlStatus,
) -> Verdict {
    let (operating, unobserved) = (status.time.operating(), status.time.unobserved());
    let cadence = primary
        .iter()
        .map(|check| records.checks[check.0 as usize].cadence_ms)
        .max();
    let too_short = cadence
        .is_some_and(|cadence| records.period.length_ms() < u64::try_from(cadence).unwrap_or(0));
    // A whole of zero says that no primary check concerned any host at any time.
    let reaches_no_host = unobserved.whole == 0;
    if reaches_no_host || too_short || unobserved.is_above(rules.unobserved_max_per_mille) {
        Verdict::InsufficientEvidence
    } else if operating.is_below(rules.floor_per_mille) || status.critical_open().next().is_some() {
        Verdict::NotOperating
    } else if operating.is_below(rules.target_per_mille) || status.beyond_limit().next().is_some() {
        Verdict::OperatingWithDeviations
    } else {
        Verdict::Operating
    }
}

fn weighted(records: &Records, primary: &[CheckNo], rules: &Rules) -> Share {
    let mut share = Share::default();
    for check in primary {
        let weight = rules.weight(records.checks[check.0 as usize].severity);
        let time = rollup::host_time(records, &[*check]);
        share.of += weight * time.pass_ms;
        share.whole += weight * (time.pass_ms + time.fail_ms);
    }
    share
}
