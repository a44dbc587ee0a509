//! The checks that the collector judges, up to now: what is stored, and what time alone has made of it since.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ::store::Store;
use ::store::reading::{Change, RegisteredHost, StoredInterval};
use evidence::fact::FactSet;
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome};
use evidence::time::Timestamp;
use serde_json::Value;

use super::{Fleet, newest_entry};
use crate::oversight::View;
use crate::queries::QueryError;

/// The latest outcomes of a host's own rounds.
type Open = BTreeMap<CheckId, Judgement>;

/// Hosts whose outcomes are read one by one; of more all are read at once.
const FEW: usize = 64;

impl Fleet {
    /// Whether the collector judges a check of this host, by the bundle in force for its group.
    pub(crate) fn is_overseen(&self, host: &RegisteredHost, check: &CheckId) -> bool {
        let known = self.in_force(&host.group);
        known.is_some_and(|known| known.info.overseer.checks().contains_key(check))
    }

    /// When the bundle in force for a host's group came into force.
    pub(crate) fn in_force_since(&self, host: &RegisteredHost) -> Option<Timestamp> {
        let assigned = self.groups.get(&host.group)?;
        Some(Timestamp::from_unix_ms(assigned.assignment.at))
    }

    /// These intervals with what time alone has made since of those that go on.
    pub(crate) async fn up_to_now(
        &self,
        store: &Store,
        mut intervals: Vec<StoredInterval>,
    ) -> Result<Vec<StoredInterval>, QueryError> {
        let hosts: HashMap<i64, &RegisteredHost> =
            self.hosts.iter().map(|host| (host.row, host)).collect();
        let mut going_on = Vec::new();
        for (place, interval) in intervals.iter().enumerate() {
            if let Some(host) = hosts.get(&interval.row)
                && interval.to.is_none()
                && self.is_overseen(host, &interval.check)
            {
                going_on.push((place, *host));
            }
        }
        let concerned: BTreeMap<i64, &RegisteredHost> =
            going_on.iter().map(|(_, host)| (host.row, *host)).collect();
        let unsettled: Vec<&RegisteredHost> = concerned
            .into_values()
            .filter(|host| !self.is_settled(host))
            .collect();
        let open = self.own_outcomes(store, &unsettled).await?;
        let mut later = Vec::new();
        for (place, host) in going_on {
            let interval = &mut intervals[place];
            let turned = self.with_view(host, open.get(&host.row), |view| {
                view.turned(
                    &interval.check,
                    interval.judgement,
                    interval.from.unix_ms(),
                    self.as_of.at.unix_ms(),
                )
            });
            let mut turned = turned.unwrap_or_default().into_iter().peekable();
            if let Some((first, _)) = turned.peek() {
                interval.to = Some(Timestamp::from_unix_ms(*first));
            }
            while let Some((from, judgement)) = turned.next() {
                later.push(StoredInterval {
                    row: host.row,
                    check: interval.check.clone(),
                    from: Timestamp::from_unix_ms(from),
                    to: turned.peek().map(|(to, _)| Timestamp::from_unix_ms(*to)),
                    judgement,
                    first_idx: newest_entry(host),
                });
            }
        }
        intervals.extend(later);
        Ok(intervals)
    }

    /// Puts what changed lately of the checks that the collector judges, up to now, in the place of what is stored of it.
    /// Newest first.
    pub(crate) fn set_overseen_changes(
        &self,
        changed: &mut Vec<StoredInterval>,
        intervals: &[StoredInterval],
        change: Change,
        since: Timestamp,
    ) {
        let hosts: HashMap<i64, &RegisteredHost> =
            self.hosts.iter().map(|host| (host.row, host)).collect();
        let overseen = |interval: &StoredInterval| {
            let host = hosts.get(&interval.row);
            host.is_some_and(|host| self.is_overseen(host, &interval.check))
        };
        changed.retain(|interval| !overseen(interval));
        let mut own: BTreeMap<(i64, &CheckId), Vec<&StoredInterval>> = BTreeMap::new();
        for interval in intervals.iter().filter(|interval| overseen(interval)) {
            own.entry((interval.row, &interval.check))
                .or_default()
                .push(interval);
        }
        for of_check in own.values_mut() {
            of_check.sort_by_key(|interval| interval.from);
            let mut latest = of_check.iter().rev();
            let (Some(now), before) = (latest.next(), latest.next()) else {
                continue;
            };
            let failed = before.is_some_and(|before| before.judgement.outcome == Outcome::Fail);
            let is_change = match change {
                Change::Failing => now.judgement.outcome == Outcome::Fail && !failed,
                Change::Fixed => now.judgement.outcome == Outcome::Pass && failed,
            };
            if is_change && now.to.is_none() && now.from >= since {
                changed.push((*now).clone());
            }
        }
        changed.sort_by_key(|interval| std::cmp::Reverse(interval.from));
    }

    /// What the collector finds of a host now, by check.
    pub(super) async fn observed_from_outside(
        &self,
        store: &Store,
        host: &RegisteredHost,
        checks: &[&CheckId],
    ) -> Result<BTreeMap<CheckId, Value>, QueryError> {
        let mut found = BTreeMap::new();
        for check in checks {
            let facts = self.facts_from_outside(store, host, check).await?;
            let known = self.in_force(&host.group);
            let observed = known.and_then(|known| known.info.overseer.observe(check, &facts));
            found.extend(observed.map(|observed| ((*check).clone(), observed)));
        }
        Ok(found)
    }

    /// The facts that the collector makes now for a check of a host.
    pub(crate) async fn facts_from_outside(
        &self,
        store: &Store,
        host: &RegisteredHost,
        check: &CheckId,
    ) -> Result<FactSet, QueryError> {
        let open = self.own_outcomes(store, &[host]).await?;
        let facts = self.with_view(host, open.get(&host.row), |view| {
            let definition = view.assigned.bundle.overseer.checks().get(check)?;
            Some(view.facts(definition, self.as_of.at.unix_ms()))
        });
        Ok(facts.flatten().unwrap_or_default())
    }

    /// Whether nothing about the coverage of a host changed by time alone since it was heard, as far as that can be told
    /// without its outcomes: no cadence has lapsed, no newer bundle is in force, and no check has become due.
    fn is_settled(&self, host: &RegisteredHost) -> bool {
        let Some(assigned) = self.groups.get(&host.group) else {
            return false;
        };
        let info = &assigned.bundle.info;
        let heard = host.last_rx.unwrap_or(host.enrolled);
        let holds = |(line, period): (&String, &i64)| {
            let last = self.judgings.last(host.row, line);
            last.is_some_and(|(last, _)| last.plus_ms(2 * period) > self.as_of.at)
        };
        let becomes_due = |(check, since): (&CheckId, &Timestamp)| {
            let since = (*since).max(host.enrolled);
            let due = since.plus_ms(2 * info.period_ms(check));
            due > heard && due <= self.as_of.at
        };
        host.bundle.map(|(digest, _)| digest) == Some(info.digest)
            && info.host_lines().all(holds)
            && !assigned.since.iter().any(becomes_due)
    }

    async fn own_outcomes(
        &self,
        store: &Store,
        hosts: &[&RegisteredHost],
    ) -> Result<HashMap<i64, Open>, QueryError> {
        let mut open: HashMap<i64, Open> =
            hosts.iter().map(|host| (host.row, Open::new())).collect();
        let overseen: HashSet<&CheckId> = self
            .groups
            .values()
            .flat_map(|assigned| assigned.bundle.info.overseer.checks().keys())
            .collect();
        let mut found = Vec::new();
        if hosts.len() > FEW {
            found = store.open_intervals(None).await?;
        } else {
            for host in hosts {
                let own = store
                    .intervals_of_host(host.row, None, self.as_of.at)
                    .await?;
                found.extend(own);
            }
        }
        for interval in found {
            if interval.to.is_none()
                && !overseen.contains(&interval.check)
                && let Some(open) = open.get_mut(&interval.row)
            {
                open.insert(interval.check, interval.judgement);
            }
        }
        Ok(open)
    }

    /// What the log says of a host; `open` is left out where nothing about coverage can have changed by time alone.
    fn with_view<T>(
        &self,
        host: &RegisteredHost,
        open: Option<&Open>,
        ask: impl FnOnce(&View<'_>) -> T,
    ) -> Option<T> {
        let assigned = &self.groups.get(&host.group)?.assignment;
        let used = host
            .bundle
            .and_then(|(digest, _)| self.bundles.get(&digest));
        let judged = self.judgings.of(host.row);
        Some(ask(&View {
            key: host.state,
            enrolled: host.enrolled.unix_ms(),
            received: host.last_rx.map(Timestamp::unix_ms),
            ended: host.ended.map(Timestamp::unix_ms),
            gaps: host.gaps,
            used: used.map(|known| Arc::as_ref(&known.info)),
            assigned,
            open,
            judged: &judged,
        }))
    }
}
