//! Which hosts report, how lately, and what fails on them?

mod filter;
mod page;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ::store::AgentState;
use ::store::Store;
use assess::current::Standing;
use assess::figure::Figures;
use evidence::id::CheckId;
use evidence::outcome::Severity;
use evidence::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

pub use filter::{HostFilter, HostOrder};

use super::answer::{AsOf, Portion};
use super::fleet::{self, Current, Fleet};
use super::{Library, QueryError};

/// Hosts of one page of the list.
pub const PAGE: u64 = 100;

/// The list of hosts under a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hosts {
    /// The state it was computed from.
    pub as_of: AsOf,
    /// Hosts that are enrolled and not retired, whatever the filter.
    pub enrolled: u64,
    /// Of them, hosts on which a check fails.
    pub failing: u64,
    /// Of them, hosts that were heard before and are silent for too long now.
    pub silent: u64,
    /// Of them, hosts that were never heard.
    pub never_seen: u64,
    /// Why the filter was not understood; none if it was. Then no host is listed.
    pub filter_problem: Option<String>,
    /// Hosts under the filter.
    pub matching: u64,
    /// How many of them come before the listed ones.
    pub offset: u64,
    /// The hosts listed.
    pub hosts: Vec<HostSummary>,
    /// Hosts under the filter by group.
    pub groups: BTreeMap<String, u64>,
    /// Hosts under the filter by operating system.
    pub systems: BTreeMap<String, u64>,
    /// Hosts under the filter by state: `on-time`, `silent`, `never`, `revoked`, `forked`.
    pub states: BTreeMap<String, u64>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HostSummary {
    /// Its id: key id of its first key.
    pub id: String,
    /// Its name, as it gave it, or the start of its id.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its operating system, as it gave it; empty if it gave none.
    pub system: String,
    /// `on-time`, `silent`, `never`, or why its key is not valid: `revoked`, `forked`.
    pub state: String,
    /// When its last statement was received.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_round: Option<Timestamp>,
    /// Checks that hold a judged outcome now, of those assigned.
    pub observed: Portion,
    /// Failing checks by severity.
    pub fails: Fails,
    /// Checks in error.
    pub errors: u64,
    /// Digest of the bundle of its last round.
    pub bundle: Option<String>,
    /// Version of its agent.
    pub agent: Option<String>,
    #[serde(skip)]
    failing: BTreeSet<CheckId>,
    #[serde(skip)]
    erring: BTreeSet<CheckId>,
}

/// Numbers of failing checks by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Fails {
    /// Critical ones.
    pub critical: u64,
    /// High ones.
    pub high: u64,
    /// Medium ones.
    pub medium: u64,
    /// Low ones.
    pub low: u64,
    /// Those for the record only.
    pub info: u64,
}

impl Fails {
    fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::High => self.high += 1,
            Severity::Medium => self.medium += 1,
            Severity::Low => self.low += 1,
            Severity::Info => self.info += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low + self.info
    }
}

/// Which hosts match the filter, from `offset` on?
///
/// # Errors
/// [`QueryError`] if the database or a bundle in it fails.
pub async fn hosts(
    store: &Store,
    library: &Library,
    filter: &HostFilter,
    offset: u64,
    now: Timestamp,
) -> Result<Hosts, QueryError> {
    let fleet = Fleet::load(store, library, None, now).await?;
    let open = store.open_intervals(None).await?;
    let open = fleet.up_to_now(store, open).await?;
    let all = summaries(&fleet, &fleet.standings(&open));
    let state = |word: &str| all.iter().filter(|host| host.state == word).count() as u64;
    let mut answer = Hosts {
        as_of: fleet.as_of.clone(),
        enrolled: all.len() as u64,
        failing: all.iter().filter(|host| host.fails.total() > 0).count() as u64,
        silent: state("silent"),
        never_seen: state("never"),
        filter_problem: None,
        matching: 0,
        offset,
        hosts: Vec::new(),
        groups: BTreeMap::new(),
        systems: BTreeMap::new(),
        states: BTreeMap::new(),
    };
    let terms = match filter.terms() {
        Ok(terms) => terms,
        Err(problem) => {
            answer.filter_problem = Some(problem);
            return Ok(answer);
        }
    };
    let mut matching: Vec<HostSummary> = all
        .into_iter()
        .filter(|host| terms.iter().all(|term| term.admits(host, now)))
        .collect();
    filter.order.sort(&mut matching);
    for host in &matching {
        for (counts, value) in [
            (&mut answer.groups, &host.group),
            (&mut answer.systems, &host.system),
            (&mut answer.states, &host.state),
        ] {
            *counts.entry(value.clone()).or_default() += 1;
        }
    }
    answer.matching = matching.len() as u64;
    let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
    let listed = matching.into_iter().skip(skipped);
    answer.hosts = listed.take(PAGE as usize).collect();
    Ok(answer)
}

fn summaries(fleet: &Fleet, standings: &[Current<'_>]) -> Vec<HostSummary> {
    let mut by_host: HashMap<i64, Vec<&Current<'_>>> = HashMap::new();
    for current in standings {
        by_host.entry(current.host.row).or_default().push(current);
    }
    fleet
        .in_scope()
        .map(|host| {
            let here = by_host.remove(&host.row).unwrap_or_default();
            let of = |standing: Standing| {
                let found = here
                    .iter()
                    .filter(move |current| current.standing == standing);
                found
                    .map(|current| current.check.clone())
                    .collect::<BTreeSet<CheckId>>()
            };
            let (failing, erring) = (of(Standing::Fail), of(Standing::Error));
            let mut fails = Fails::default();
            for check in failing.iter().filter_map(|check| fleet.definition(check)) {
                fails.add(check.severity);
            }
            HostSummary {
                id: host.agent.to_hex(),
                name: fleet::name(host),
                group: host.group.to_string(),
                system: host.os.clone().unwrap_or_default(),
                state: state(fleet, host).to_owned(),
                last_round: host.last_rx,
                observed: Figures::of(here.iter().map(|c| c.standing)).coverage.into(),
                fails,
                errors: erring.len() as u64,
                bundle: host.bundle.map(|(digest, _)| digest.to_hex()),
                agent: host.version.clone(),
                failing,
                erring,
            }
        })
        .collect()
}

/// A host's state in one word.
pub(super) fn state(fleet: &Fleet, host: &::store::reading::RegisteredHost) -> &'static str {
    match host.state {
        AgentState::Revoked | AgentState::Forked | AgentState::Retired => host.state.as_str(),
        AgentState::Active if host.last_rx.is_none() => "never",
        AgentState::Active if fleet.is_silent(host) => "silent",
        AgentState::Active => "on-time",
    }
}
