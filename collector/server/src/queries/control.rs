//! How did one control do over the period, on what evidence, and what can hosts not show?

use std::collections::BTreeSet;

use ::store::Store;
use assess::current::Standing;
use assess::deviation::Deviation;
use assess::record::Records;
use assess::rollup::{self, HostTime};
use assess::rules::Rules;
use assess::status::{self, ControlStatus, Verdict};
use catalogue::{Class, Control, Strength, Theme};
use evidence::check::Role;
use evidence::id::CheckId;
use evidence::outcome::{Reason, Severity};
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{AsOf, Period, Portion};
use super::fleet::{self, Current, Fleet};
use super::{Library, QueryError};
use crate::pages::part::Tally;

mod page;

/// Steps of the period that are drawn.
const STEPS: u32 = 60;
/// Failing hosts named beside a check.
const FAILING: usize = 5;
/// Deviations listed.
const LONGEST: usize = 10;

/// One control over a period.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ControlAnswer {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// The period.
    pub period: Period,
    /// Its number in ISO/IEC 27001:2022.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its theme.
    #[schema(value_type = String)]
    pub theme: Theme,
    /// Attribute "control type".
    pub control_type: Vec<String>,
    /// Attribute "information security properties".
    pub properties: Vec<String>,
    /// Attribute "cybersecurity concepts".
    pub concepts: Vec<String>,
    /// What host evidence can say.
    #[schema(value_type = String)]
    pub class: Class,
    /// How strongly host evidence tests it; none unless partial.
    #[schema(value_type = Option<String>)]
    pub strength: Option<Strength>,
    /// What host evidence covers.
    pub covers: String,
    /// What remains manual and an auditor asks for.
    pub manual: Vec<String>,
    /// Its verdict.
    #[schema(value_type = String)]
    pub verdict: Verdict,
    /// Whether the verdict speaks of the host part only.
    pub host_part_only: bool,
    /// What led to the verdict; none without primary checks.
    pub basis: Option<ControlBasis>,
    /// Host-time over the period, in steps; empty without primary checks.
    pub steps: Vec<Step>,
    /// Checks that carry it.
    pub primary: Vec<CheckStanding>,
    /// Checks that support it and never turn it.
    pub supporting: Vec<CheckStanding>,
    /// Checks that the map of controls names and no bundle in force holds.
    pub not_in_bundle: Vec<String>,
    /// The longest deviations of the period.
    pub longest: Vec<ControlDeviation>,
}

/// The numbers that led to a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ControlBasis {
    /// Passing host-time in observed host-time, in milliseconds.
    pub operating: Portion,
    /// Unobserved host-time in all host-time, in milliseconds.
    pub unobserved: Portion,
    /// The operating rate with each check's host-time weighted by severity.
    pub weighted: Portion,
    /// The rate to reach, in tenths of a percent.
    pub target_per_mille: u32,
    /// Hosts in scope now.
    pub hosts: u64,
    /// Hosts on which a primary check fails now.
    pub hosts_failing: u64,
    /// Deviations of the period, open and closed.
    pub deviations: u64,
    /// Those that lasted longer than their severity allows.
    pub beyond_limit: u64,
    /// Critical ones that are open at the end.
    pub critical_open: u64,
}

/// Host-time of one step of the period, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// Its start.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its end.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Host-time that passed.
    pub pass_ms: u64,
    /// Host-time that failed.
    pub fail_ms: u64,
    /// Host-time that was not observed.
    pub unobserved_ms: u64,
}

/// How a check stands over the fleet now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckStanding {
    /// The check.
    #[schema(value_type = String)]
    pub id: CheckId,
    /// Its title.
    pub title: String,
    /// How much a failure weighs.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// Hosts by how it stands on them.
    pub hosts: StandingCounts,
    /// The first few hosts on which it fails, longest first.
    pub failing: Vec<FailingOn>,
}

/// Numbers by standing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StandingCounts {
    /// The expectation is met.
    pub pass: u64,
    /// It is not met.
    pub fail: u64,
    /// It could not be established.
    pub error: u64,
    /// Nothing was ever received.
    pub missing: u64,
    /// What was received is older than twice the cadence.
    pub stale: u64,
    /// The question does not arise.
    pub not_applicable: u64,
}

/// A host on which a check fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailingOn {
    /// The host's id.
    pub host: String,
    /// Its name.
    pub name: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A stretch of failure of a primary check on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ControlDeviation {
    /// The host's id.
    pub host: String,
    /// Its name.
    pub host_name: String,
    /// The check.
    #[schema(value_type = String)]
    pub check: CheckId,
    /// Its title.
    pub title: String,
    /// How much it weighs.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// Why it failed last.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// First seen failing.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its end; none while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
    /// How long it lasted so far, in milliseconds.
    pub lasted_ms: u64,
    /// How much longer than its severity allows, in milliseconds.
    pub beyond_ms: u64,
}

impl StandingCounts {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pass + self.fail + self.error + self.missing + self.stale + self.not_applicable
    }

    /// Counts one more.
    pub fn add(&mut self, standing: Standing) {
        match standing {
            Standing::Pass => self.pass += 1,
            Standing::Fail => self.fail += 1,
            Standing::Error => self.error += 1,
            Standing::Missing => self.missing += 1,
            Standing::Stale => self.stale += 1,
            Standing::NotApplicable => self.not_applicable += 1,
        }
    }
}

impl From<StandingCounts> for Tally {
    fn from(counts: StandingCounts) -> Tally {
        Tally {
            pass: counts.pass,
            fail: counts.fail,
            error: counts.error,
            unobserved: counts.missing + counts.stale,
            excepted: 0,
            not_applicable: counts.not_applicable,
        }
    }
}

/// How did the control of this number do over the last `days` days?
///
/// # Errors
/// [`QueryError::NotFound`] if there is no such control; otherwise what the database says.
pub async fn control(
    store: &Store,
    library: &Library,
    number: &str,
    days: u32,
    now: Timestamp,
) -> Result<ControlAnswer, QueryError> {
    let missing = || QueryError::not_found("control", number);
    let control = library.catalogue.by_number(number).ok_or_else(missing)?;
    let fleet = Fleet::load(store, library, None, now).await?;
    let rules = Rules::default();
    let period = Period::last_days(days, now, fleet.first_enrolled());
    let primary = fleet.checks_of(&control.id, Role::Primary);
    let supporting = fleet.checks_of(&control.id, Role::Supporting);
    let named = |numbers: &[assess::record::CheckNo]| -> Vec<CheckId> {
        let name = |check: &assess::record::CheckNo| fleet.checks[check.0 as usize].clone();
        numbers.iter().map(name).collect()
    };
    let (primary_ids, supporting_ids) = (named(&primary), named(&supporting));
    let wanted = [primary_ids.clone(), supporting_ids.clone()].concat();
    let reach = fleet::fails_from(period.from, &rules);
    let intervals = match wanted.is_empty() {
        true => Vec::new(),
        false => {
            let stored = store.intervals_since(period.from, reach, Some(&wanted));
            fleet.up_to_now(store, stored.await?).await?
        }
    };
    let records = fleet.records(period.record(), &intervals);
    let status = status::of_control(&records, control.class, &primary, &rules);
    let mut standings = fleet.standings(&intervals);
    standings.retain(|current| wanted.contains(current.check));
    let basis = basis(&fleet, &status, &standings, &primary_ids, &rules);
    let steps = rollup::steps(&records, &primary, STEPS);
    Ok(ControlAnswer {
        id: control.number().to_owned(),
        title: control.title.clone(),
        theme: control.theme,
        control_type: control.control_type.clone(),
        properties: control.properties.clone(),
        concepts: control.concepts.clone(),
        class: control.class,
        strength: control.strength,
        covers: control.covers.clone(),
        manual: control.manual.clone(),
        verdict: match control.class {
            Class::Manual => status::of_documents(false),
            Class::Automated | Class::Partial => status.verdict,
        },
        host_part_only: status.host_part_only,
        basis: (!primary.is_empty()).then_some(basis),
        steps: match primary.is_empty() {
            true => Vec::new(),
            false => steps.into_iter().map(Step::from).collect(),
        },
        primary: check_standings(&fleet, &standings, &primary_ids),
        supporting: check_standings(&fleet, &standings, &supporting_ids),
        not_in_bundle: not_in_bundle(control, &wanted),
        longest: longest(&fleet, &records, &status),
        as_of: fleet.as_of,
        period,
    })
}

fn basis(
    fleet: &Fleet,
    status: &ControlStatus,
    standings: &[Current<'_>],
    primary: &[CheckId],
    rules: &Rules,
) -> ControlBasis {
    let failing: BTreeSet<i64> = standings
        .iter()
        .filter(|c| c.standing == Standing::Fail && primary.contains(c.check))
        .map(|current| current.host.row)
        .collect();
    ControlBasis {
        operating: status.time.operating().into(),
        unobserved: status.time.unobserved().into(),
        weighted: status.weighted.into(),
        target_per_mille: rules.target_per_mille,
        hosts: fleet.in_scope().count() as u64,
        hosts_failing: failing.len() as u64,
        deviations: status.deviations.len() as u64,
        beyond_limit: status.beyond_limit().count() as u64,
        critical_open: status.critical_open().count() as u64,
    }
}

fn check_standings(
    fleet: &Fleet,
    standings: &[Current<'_>],
    checks: &[CheckId],
) -> Vec<CheckStanding> {
    let standing = |id: &CheckId| {
        let definition = fleet.definition(id)?;
        let here = || standings.iter().filter(|current| current.check == id);
        let mut hosts = StandingCounts::default();
        here().for_each(|current| hosts.add(current.standing));
        let mut failing: Vec<FailingOn> = here()
            .filter(|current| current.standing == Standing::Fail)
            .filter_map(|current| {
                Some(FailingOn {
                    host: current.host.agent.to_hex(),
                    name: fleet::name(current.host),
                    since: current.interval?.from,
                })
            })
            .collect();
        failing.sort_by_key(|host| host.since);
        failing.truncate(FAILING);
        Some(CheckStanding {
            id: id.clone(),
            title: definition.title.clone(),
            severity: definition.severity,
            hosts,
            failing,
        })
    };
    checks.iter().filter_map(standing).collect()
}

fn not_in_bundle(control: &Control, held: &[CheckId]) -> Vec<String> {
    let mapped = control.primary.iter().chain(&control.supporting);
    mapped
        .filter(|check| !held.contains(check))
        .map(ToString::to_string)
        .collect()
}

fn longest(fleet: &Fleet, records: &Records, status: &ControlStatus) -> Vec<ControlDeviation> {
    debug_assert_eq!(records.hosts.len(), fleet.hosts.len());
    let told = |found: &Deviation| {
        let host = &fleet.hosts[found.host.0 as usize];
        let check = &fleet.checks[found.check.0 as usize];
        ControlDeviation {
            host: host.agent.to_hex(),
            host_name: fleet::name(host),
            title: fleet
                .definition(check)
                .map_or_else(|| check.to_string(), |c| c.title.clone()),
            check: check.clone(),
            severity: found.severity,
            reason: found.reason,
            from: found.from,
            to: found.to,
            lasted_ms: found.lasted_ms,
            beyond_ms: found.beyond_ms,
        }
    };
    status.deviations.iter().take(LONGEST).map(told).collect()
}

impl From<(assess::record::Period, HostTime)> for Step {
    fn from((period, time): (assess::record::Period, HostTime)) -> Step {
        Step {
            from: period.from,
            to: period.to,
            pass_ms: time.pass_ms,
            fail_ms: time.fail_ms,
            unobserved_ms: time.unobserved_ms,
        }
    }
}
