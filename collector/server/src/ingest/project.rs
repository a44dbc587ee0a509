//! From a round to intervals: what pages and periods are asked of. Pure.
//!
//! Intervals are built in the order of reception, at the host's observation time held between the last one and the
//! reception: a clock that runs ahead or steps back moves no interval into the future or the past. An outcome holds
//! until the next round that judges its check, at most twice the cadence; a longer silence closes the interval there.

use std::collections::{BTreeMap, HashMap};

use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::cadence::Cadence;
use evidence::check::Check;
use evidence::id::CheckId;
use store::standing::Latest;
use store::{IntervalChange, Judged, NewAgentFact};
use wire::statement::Round;

use crate::oversight::Overseer;

/// What ingest needs to know of a bundle.
#[derive(Debug)]
pub struct BundleInfo {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its version.
    pub version: u64,
    /// The bundle.
    pub bundle: Bundle,
    /// Longest gap between two judgements, milliseconds, by cadence line.
    pub periods: HashMap<String, i64>,
    /// How many checks that hosts judge have that cadence; lines of the collector's alone are not among them.
    pub counts: HashMap<String, usize>,
    /// How many checks hosts judge.
    pub for_hosts: usize,
    /// The checks that the collector judges.
    pub overseer: Overseer,
}

impl BundleInfo {
    /// Reads what is needed of a bundle.
    #[must_use]
    pub fn new(digest: Digest, bundle: Bundle) -> BundleInfo {
        let mut periods = HashMap::new();
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut for_hosts = 0;
        for check in bundle.checks.values() {
            if check.judged_by.is_host() {
                *counts.entry(check.cadence.clone()).or_default() += 1;
                for_hosts += 1;
            }
            if !periods.contains_key(&check.cadence) {
                let gap = check
                    .cadence
                    .parse::<Cadence>()
                    .map_or(0, |cadence| cadence.longest_gap_ms());
                periods.insert(check.cadence.clone(), gap);
            }
        }
        BundleInfo {
            digest,
            version: bundle.version,
            overseer: Overseer::new(&bundle),
            bundle,
            periods,
            counts,
            for_hosts,
        }
    }

    /// The cadence line of a check that hosts judge, and the longest time between two judgements of it.
    fn cadence(&self, check: &CheckId) -> Option<(&str, i64)> {
        let check = self.bundle.checks.get(check)?;
        let own = check.judged_by.is_host().then_some(&check.cadence)?;
        Some((own.as_str(), self.periods.get(own).copied()?))
    }

    /// The checks that hosts judge.
    pub fn host_checks(&self) -> impl Iterator<Item = (&CheckId, &Check)> {
        let all = self.bundle.checks.iter();
        all.filter(|(_, check)| check.judged_by.is_host())
    }

    /// The cadences of the checks that hosts judge, with the longest time between two judgements.
    pub fn host_lines(&self) -> impl Iterator<Item = (&String, &i64)> {
        let all = self.periods.iter();
        all.filter(|(line, _)| self.counts.contains_key(*line))
    }

    /// The longest time between two judgements of a check, in milliseconds; zero if there is no such check.
    #[must_use]
    pub fn period_ms(&self, check: &CheckId) -> i64 {
        let line = self.bundle.checks.get(check).map(|check| &check.cadence);
        line.and_then(|line| self.periods.get(line).copied())
            .unwrap_or(0)
    }

    /// The shortest time between two rounds that the cadences explain, in milliseconds.
    #[must_use]
    pub fn shortest_ms(&self) -> Option<i64> {
        self.host_lines().map(|(_, period)| *period).min()
    }
}

/// What a round changes in the projections.
#[derive(Debug, Default)]
pub struct Projected {
    /// Intervals closed and opened, in order.
    pub intervals: Vec<IntervalChange>,
    /// New last judgements.
    pub judged: Vec<Judged>,
    /// Changed facts.
    pub facts: Vec<NewAgentFact>,
}

/// Projects a round and moves `latest` on. `before` is the bundle of the agent's round before, if it was another.
pub fn round(
    latest: &mut Latest,
    agent: i64,
    idx: u64,
    rx: i64,
    round: &Round,
    bundle: &BundleInfo,
    before: Option<&BundleInfo>,
) -> Projected {
    let mut projected = Projected::default();
    let last = latest.judged.values().copied().max().unwrap_or(i64::MIN);
    let observed = round.common.time.end.unix_ms().min(rx).max(last);
    if let Some(before) = before {
        drop_unassigned(&mut projected, latest, agent, observed, bundle, before);
    }
    let mut judged: BTreeMap<&str, usize> = BTreeMap::new();
    for (check, judgement) in &round.outcomes {
        let Some((cadence, period)) = bundle.cadence(check) else {
            continue;
        };
        *judged.entry(cadence).or_default() += 1;
        let holds_until = latest
            .judged
            .get(cadence)
            .map(|last| last.saturating_add(2 * period));
        let known = latest.open.get(check);
        let lapsed = known.is_some() && holds_until.is_some_and(|until| until < observed);
        if known == Some(judgement) && !lapsed {
            continue;
        }
        if known.is_some() {
            let to_ms = holds_until.filter(|_| lapsed).unwrap_or(observed);
            projected.intervals.push(IntervalChange::Close {
                agent,
                check: check.clone(),
                to_ms,
            });
        }
        projected.intervals.push(IntervalChange::Open {
            agent,
            check: check.clone(),
            from_ms: observed,
            judgement: *judgement,
            first_idx: idx,
        });
        latest.open.insert(check.clone(), *judgement);
    }
    for (cadence, count) in judged {
        // A round of a few checks only, as a change on the host triggers, says nothing about the rest of its cadence.
        if bundle.counts.get(cadence) == Some(&count) {
            latest.judged.insert(cadence.to_owned(), observed);
            projected.judged.push(Judged {
                agent,
                cadence: cadence.to_owned(),
                last_ms: observed,
                last_idx: idx,
            });
        }
    }
    for (probe, digest) in &round.facts {
        if latest.facts.get(probe) != Some(digest.digest()) {
            latest.facts.insert(probe.clone(), *digest.digest());
            projected.facts.push(NewAgentFact {
                agent,
                probe: probe.clone(),
                digest: *digest.digest(),
                since_idx: idx,
            });
        }
    }
    projected
}

/// Checks that the new bundle does not have are no longer assigned: their intervals end.
fn drop_unassigned(
    projected: &mut Projected,
    latest: &mut Latest,
    agent: i64,
    observed: i64,
    bundle: &BundleInfo,
    before: &BundleInfo,
) {
    let gone: Vec<CheckId> = latest
        .open
        .keys()
        .filter(|check| !bundle.bundle.checks.contains_key(*check))
        .cloned()
        .collect();
    for check in gone {
        let to_ms =
            held_until(latest, &check, before).map_or(observed, |until| until.min(observed));
        latest.open.remove(&check);
        projected.intervals.push(IntervalChange::Close {
            agent,
            check,
            to_ms,
        });
    }
}

fn held_until(latest: &Latest, check: &CheckId, bundle: &BundleInfo) -> Option<i64> {
    let (cadence, period) = bundle.cadence(check)?;
    latest
        .judged
        .get(cadence)
        .map(|last| last.saturating_add(2 * period))
}

/// The end of an agent: every open interval ends where its last outcome stopped holding, at the latest now.
pub fn end(
    latest: &mut Latest,
    agent: i64,
    rx: i64,
    bundle: Option<&BundleInfo>,
) -> Vec<IntervalChange> {
    let checks: Vec<CheckId> = latest.open.keys().cloned().collect();
    let close = |check: CheckId| {
        let until = bundle.and_then(|bundle| held_until(latest, &check, bundle));
        IntervalChange::Close {
            agent,
            check,
            to_ms: until.map_or(rx, |until| until.min(rx)),
        }
    };
    let changes = checks.into_iter().map(close).collect();
    latest.open.clear();
    latest.judged.clear();
    changes
}
