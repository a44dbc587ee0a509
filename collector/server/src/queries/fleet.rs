//! The hosts with what each is to judge: the ground of every question about the fleet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ::store::reading::{Judgings, RegisteredHost, StoredInterval};
use ::store::{AgentState, Store};
use assess::current::Standing;
use assess::record::{
    Check, CheckNo, GroupNo, Host, HostNo, Interval, Period, Records, holds_until,
};
use assess::rules::Rules;
use crypto::Digest;
use evidence::check::Role;
use evidence::fact::FactSet;
use evidence::id::{CheckId, ControlId, GroupId, ProbeId};
use evidence::time::Timestamp;
use serde_json::Value;
use wire::disclosure::Disclosure;

use super::answer::AsOf;
use super::library::{Assigned, Known};
use super::{Library, QueryError};

mod overseen;

/// The fleet at one moment.
pub(crate) struct Fleet {
    pub(crate) as_of: AsOf,
    pub(crate) hosts: Vec<RegisteredHost>,
    pub(crate) groups: BTreeMap<GroupId, Assigned>,
    pub(crate) judgings: Judgings,
    /// Every check that any group is to judge, by id.
    pub(crate) checks: Vec<CheckId>,
    bundles: HashMap<Digest, Arc<Known>>,
}

/// How a check stands on a host now.
pub(crate) struct Current<'f> {
    pub(crate) host: &'f RegisteredHost,
    pub(crate) check: &'f CheckId,
    pub(crate) standing: Standing,
    /// The interval that goes on; none if nothing was ever received.
    pub(crate) interval: Option<&'f StoredInterval>,
}

impl Fleet {
    /// Loads the fleet, or the part of it that is one host.
    pub(crate) async fn load(
        store: &Store,
        library: &Library,
        only: Option<RegisteredHost>,
        now: Timestamp,
    ) -> Result<Fleet, QueryError> {
        let head = store.head().await?;
        let groups = library.assigned(store).await?;
        let row = only.as_ref().map(|host| host.row);
        let all = store.registered_hosts().await?;
        let last_round = all.iter().filter_map(|host| host.last_rx).max();
        let hosts = only.map_or(all, |host| vec![host]);
        let judgings = store.judgings(row).await?;
        let mut bundles = HashMap::new();
        for (digest, _) in hosts.iter().filter_map(|host| host.bundle) {
            if !bundles.contains_key(&digest)
                && let Some(known) = library.bundle(store, &digest).await?
            {
                bundles.insert(digest, known);
            }
        }
        let mut checks: Vec<CheckId> = groups
            .values()
            .flat_map(|assigned| assigned.since.keys().cloned())
            .collect();
        checks.sort();
        checks.dedup();
        let newest = newest(&groups);
        let patience = newest.as_ref().and_then(|known| known.shortest_ms());
        Ok(Fleet {
            as_of: AsOf {
                at: now,
                entries: head.size,
                root: head.root.to_hex(),
                last_round,
                stale: last_round
                    .zip(patience)
                    .is_some_and(|(last, patience)| holds_until(last, patience) < now),
                bundle: newest.map(|known| known.info.digest.to_hex()),
            },
            hosts,
            groups,
            judgings,
            checks,
            bundles,
        })
    }

    /// Hosts that count now: enrolled and not retired.
    pub(crate) fn in_scope(&self) -> impl Iterator<Item = &RegisteredHost> {
        self.hosts.iter().filter(|host| is_in_scope(host))
    }

    /// When the first host that counts in a period ending now came into scope.
    pub(crate) fn first_enrolled(&self) -> Option<Timestamp> {
        self.hosts.iter().map(|host| host.enrolled).min()
    }

    /// The definition of a check: of the newest bundle in force that holds it.
    pub(crate) fn definition(&self, check: &CheckId) -> Option<&evidence::check::Check> {
        self.groups
            .values()
            .filter(|assigned| assigned.since.contains_key(check))
            .max_by_key(|assigned| assigned.bundle.info.version)
            .and_then(|assigned| assigned.bundle.info.bundle.checks.get(check))
    }

    /// The bundle that a host judged by last, or is to judge by if it never did.
    pub(crate) fn bundle_of(&self, host: &RegisteredHost) -> Option<&Arc<Known>> {
        let last = host
            .bundle
            .and_then(|(digest, _)| self.bundles.get(&digest));
        last.or_else(|| {
            self.groups
                .get(&host.group)
                .map(|assigned| &assigned.bundle)
        })
    }

    /// The bundle in force for a group, which its hosts may not have judged by yet.
    pub(crate) fn in_force(&self, group: &GroupId) -> Option<&Arc<Known>> {
        self.groups.get(group).map(|assigned| &assigned.bundle)
    }

    /// Whether a host was heard, and longer ago than its cadences explain.
    pub(crate) fn is_silent(&self, host: &RegisteredHost) -> bool {
        let patience = self.bundle_of(host).and_then(|known| known.shortest_ms());
        host.last_rx
            .zip(patience)
            .is_some_and(|(last, patience)| holds_until(last, patience) < self.as_of.at)
    }

    /// When the outcome of an interval that goes on was last judged, and the longest time to the next judgement. What the
    /// collector judges is judged by every look.
    fn last_judged(&self, host: &RegisteredHost, interval: &StoredInterval) -> (Timestamp, i64) {
        if self.is_overseen(host, &interval.check) {
            return (self.as_of.at, 0);
        }
        let cadence = self
            .bundle_of(host)
            .and_then(|known| known.cadence(&interval.check));
        let Some((line, cadence_ms)) = cadence else {
            return (interval.from, 0);
        };
        let last = self.judgings.last(host.row, line);
        let last = last.map_or(interval.from, |(last, _)| last.max(interval.from));
        (last, cadence_ms)
    }

    /// Where an interval stops holding, at the latest now.
    pub(crate) fn end(&self, host: &RegisteredHost, interval: &StoredInterval) -> Timestamp {
        interval.to.unwrap_or_else(|| {
            let (last, cadence_ms) = self.last_judged(host, interval);
            holds_until(last, cadence_ms).min(self.as_of.at)
        })
    }

    /// When and in which round the outcome of an interval that goes on was last judged.
    pub(crate) fn judged(
        &self,
        host: &RegisteredHost,
        interval: &StoredInterval,
    ) -> (Timestamp, u64) {
        if self.is_overseen(host, &interval.check) {
            return (self.as_of.at, newest_entry(host));
        }
        let known = self.bundle_of(host);
        let cadence = known.and_then(|known| known.cadence(&interval.check));
        let last = cadence.and_then(|(line, _)| self.judgings.last(host.row, line));
        last.filter(|(time, _)| *time >= interval.from)
            .unwrap_or((interval.from, interval.first_idx))
    }

    /// Since when a check stands as it does: its outcome, the end of its hold, or the enrolment.
    pub(crate) fn since(&self, current: &Current<'_>) -> Timestamp {
        match (current.interval, current.standing) {
            (None, _) => current.host.enrolled,
            (Some(interval), Standing::Stale) => self.end(current.host, interval),
            (Some(interval), _) => interval.from,
        }
    }

    /// How a check stands now whose interval goes on; none if nothing was ever received or it ended.
    pub(crate) fn standing(
        &self,
        host: &RegisteredHost,
        interval: Option<&StoredInterval>,
    ) -> Standing {
        let Some(interval) = interval else {
            return Standing::Missing;
        };
        let (last, cadence_ms) = self.last_judged(host, interval);
        let latest = Some((interval.judgement.outcome, last));
        Standing::of(latest, cadence_ms, self.as_of.at)
    }

    /// How every assigned check stands on every host in scope. `open` are the intervals that go on.
    pub(crate) fn standings<'f>(&'f self, open: &'f [StoredInterval]) -> Vec<Current<'f>> {
        let mut latest: HashMap<(i64, &CheckId), &StoredInterval> =
            HashMap::with_capacity(open.len());
        for interval in open.iter().filter(|interval| interval.to.is_none()) {
            latest.insert((interval.row, &interval.check), interval);
        }
        let mut standings = Vec::with_capacity(open.len());
        for host in self.in_scope() {
            let Some(assigned) = self.groups.get(&host.group) else {
                continue;
            };
            for check in assigned.since.keys() {
                let interval = latest.get(&(host.row, check)).copied();
                let standing = self.standing(host, interval);
                standings.push(Current {
                    host,
                    check,
                    standing,
                    interval,
                });
            }
        }
        standings
    }

    /// The records of a period, for assessing.
    pub(crate) fn records(&self, period: Period, intervals: &[StoredInterval]) -> Records {
        let groups: Vec<&GroupId> = self.groups.keys().collect();
        let hosts: HashMap<i64, u32> = self.hosts.iter().map(|host| host.row).zip(0..).collect();
        let checks: HashMap<&CheckId, u32> = self.checks.iter().zip(0..).collect();
        let known = intervals.iter().filter_map(|interval| {
            let host = *hosts.get(&interval.row)?;
            Some(Interval {
                host: HostNo(host),
                check: CheckNo(*checks.get(&interval.check)?),
                outcome: interval.judgement.outcome,
                reason: interval.judgement.reason,
                from: interval.from,
                to: self.end(&self.hosts[host as usize], interval),
            })
        });
        let group_no = |group: &GroupId| {
            let place = groups.binary_search(&group).unwrap_or(usize::MAX);
            GroupNo(u32::try_from(place).unwrap_or(u32::MAX))
        };
        let registered = self.hosts.iter().map(|host| Host {
            group: group_no(&host.group),
            enrolled: host.enrolled,
            ended: host.ended.filter(|_| !is_in_scope(host)),
        });
        let listed = self.checks.iter().map(|check| self.listed(check));
        Records::new(
            period,
            registered.collect(),
            listed.collect(),
            known.collect(),
        )
    }

    /// The longest time between two judgements of a check in any group, in milliseconds.
    pub(crate) fn cadence_ms(&self, check: &CheckId) -> i64 {
        let cadence = |assigned: &Assigned| assigned.bundle.cadence(check).map(|(_, ms)| ms);
        self.groups.values().filter_map(cadence).max().unwrap_or(0)
    }

    fn listed(&self, check: &CheckId) -> Check {
        Check {
            severity: self
                .definition(check)
                .map_or(evidence::outcome::Severity::Info, |check| check.severity),
            cadence_ms: self.cadence_ms(check),
            assigned: self
                .groups
                .values()
                .map(|assigned| assigned.since.get(check).copied())
                .collect(),
        }
    }

    /// The checks that have this role for a control, by number.
    pub(crate) fn checks_of(&self, control: &ControlId, role: Role) -> Vec<CheckNo> {
        let has_role = |check: &CheckId| {
            let links = self.definition(check).map(|check| check.control_links());
            links.is_some_and(|links| links.contains(&(control.clone(), role)))
        };
        (0..)
            .zip(&self.checks)
            .filter(|(_, check)| has_role(check))
            .map(|(place, _)| CheckNo(place))
            .collect()
    }

    /// What was observed on a host, check by check, from its latest facts. Facts that were erased are left out.
    pub(crate) async fn observed(
        &self,
        store: &Store,
        host: &RegisteredHost,
        checks: &[&CheckId],
    ) -> Result<BTreeMap<CheckId, Value>, QueryError> {
        let (overseen, checks): (Vec<&CheckId>, Vec<&CheckId>) = checks
            .iter()
            .copied()
            .partition(|check| self.is_overseen(host, check));
        let mut found = self.observed_from_outside(store, host, &overseen).await?;
        let Some(known) = self.bundle_of(host) else {
            return Ok(found);
        };
        let definitions = checks
            .iter()
            .filter_map(|check| known.info.bundle.checks.get(*check));
        let probes: BTreeSet<&ProbeId> = definitions.flat_map(|check| &check.probes).collect();
        let facts = held(store, host, &probes).await?;
        let mut moments: BTreeMap<Timestamp, Vec<&CheckId>> = BTreeMap::new();
        for check in checks {
            let Some(definition) = known.info.bundle.checks.get(check) else {
                continue;
            };
            if definition
                .probes
                .iter()
                .all(|probe| facts.contains_key(probe))
            {
                let last = self.judgings.last(host.row, &definition.cadence);
                let now = last.map_or(self.as_of.at, |(last, _)| last);
                moments.entry(now).or_default().push(check);
            }
        }
        for (now, checks) in moments {
            let observed = known.evaluator.observe(checks, &facts, now);
            let digest = known.info.digest;
            found.extend(observed.map_err(|source| QueryError::Bundle { digest, source })?);
        }
        Ok(found)
    }
}

/// The entry that a host's latest facts rest on: its last statement, or its enrolment.
pub(crate) fn newest_entry(host: &RegisteredHost) -> u64 {
    host.last_idx.unwrap_or(host.enrolled_idx)
}

/// A host's latest facts of these probes, without those that were erased.
pub(crate) async fn held(
    store: &Store,
    host: &RegisteredHost,
    probes: &BTreeSet<&ProbeId>,
) -> Result<FactSet, QueryError> {
    let mut current = store.current_facts(host.row).await?;
    current.retain(|fact| probes.contains(&fact.probe));
    let digests: Vec<Digest> = current.iter().map(|fact| fact.digest).collect();
    let disclosed = disclosures(store, &digests).await?.into_iter();
    let facts = current
        .into_iter()
        .zip(disclosed)
        .filter_map(|(fact, found)| Some((fact.probe, found?.facts().clone())));
    Ok(facts.collect())
}

/// Disclosures by their digests, in the order asked; none where one was erased.
pub(crate) async fn disclosures(
    store: &Store,
    digests: &[Digest],
) -> Result<Vec<Option<Disclosure>>, QueryError> {
    let texts = store.disclosures(digests).await?;
    let parsed = digests.iter().zip(texts).map(|(digest, text)| {
        let disclosure = text.map(|text| Disclosure::parse(&text)).transpose();
        disclosure.map_err(|error| ::store::StoreError::Inconsistent {
            table: "disclosure",
            problem: format!("{digest}: {error}"),
        })
    });
    Ok(parsed.collect::<Result<_, _>>()?)
}

/// The newest bundle in force anywhere.
fn newest(groups: &BTreeMap<GroupId, Assigned>) -> Option<Arc<Known>> {
    groups
        .values()
        .map(|assigned| assigned.bundle.clone())
        .max_by_key(|known| known.info.version)
}

/// Only retirement takes a host out of scope: one whose key was revoked or forked is a host that is not observed.
pub(crate) fn is_in_scope(host: &RegisteredHost) -> bool {
    host.state != AgentState::Retired
}

/// A host's name for people: what it calls itself, or the start of its id.
pub(crate) fn name(host: &RegisteredHost) -> String {
    match host.hostname.as_deref() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => host.agent.to_hex().chars().take(12).collect(),
    }
}

/// From where on a period's records must be read for each deviation to be as old as it is.
pub(crate) fn fails_from(from: Timestamp, rules: &Rules) -> Timestamp {
    let reach = i64::try_from(rules.longest_limit_ms()).unwrap_or(i64::MAX);
    from.plus_ms(reach.saturating_neg())
}
