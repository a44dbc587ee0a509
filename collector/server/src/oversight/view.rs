//! What the log says of one host at a moment.

use std::collections::BTreeMap;

use evidence::check::Check;
use evidence::fact::{FactSet, Facts};
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome};
use evidence::oversight::{COVERAGE, Coverage, Instead, KeyState, REPORTING, Reporting, Unjudged};
use evidence::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use store::AgentState;

use super::Assignment;
use crate::ingest::project::BundleInfo;

/// One host after its newest entry. Times are Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// Whether its key is valid.
    pub key: AgentState,
    /// When it was enrolled first.
    pub enrolled: i64,
    /// When its last statement was received.
    pub received: Option<i64>,
    /// When its key or it ended.
    pub ended: Option<i64>,
    /// Signed gaps.
    pub gaps: u64,
    /// The bundle that it judged by last.
    pub used: Option<&'v BundleInfo>,
    /// What it is to judge.
    pub assigned: &'v Assignment,
    /// What its rounds concluded last, check by check; none if the caller knows that nothing about coverage has changed by
    /// time alone.
    pub open: Option<&'v BTreeMap<CheckId, Judgement>>,
    /// When the checks of each cadence were judged last.
    pub judged: &'v BTreeMap<String, i64>,
}

/// How one assigned check stands, and until when by time alone.
struct Standing {
    found: Found,
    /// The next moment at which time alone makes something else of it.
    until: Option<i64>,
}

#[derive(Clone, Copy)]
enum Found {
    NotDue,
    Judged,
    Not(Instead),
}

impl View<'_> {
    /// The facts that a check reads, at a moment that is not before the newest entry.
    #[must_use]
    pub fn facts(&self, check: &Check, at: i64) -> FactSet {
        let made = check.probes.iter().map(|probe| {
            let facts = match probe.as_str() {
                REPORTING => facts(&self.reporting(at)),
                COVERAGE => facts(&self.coverage(at)),
                _ => Facts::new(serde_json::Map::new()),
            };
            (probe.clone(), facts)
        });
        made.collect()
    }

    /// How a check of the collector's stands then; none if it is not assigned.
    #[must_use]
    pub fn judge(&self, id: &CheckId, at: i64) -> Option<Judgement> {
        let overseer = &self.assigned.bundle.overseer;
        let check = overseer.checks().get(id)?;
        Some(overseer.judge(id, &self.facts(check, at)))
    }

    /// What time alone made of a check that stood as `before` at `after`, up to `to`: each moment with what it was from
    /// then on.
    ///
    /// A longer silence makes nothing better, so the moment of a change is found by halving.
    #[must_use]
    pub fn turned(
        &self,
        id: &CheckId,
        before: Judgement,
        after: i64,
        to: i64,
    ) -> Vec<(i64, Judgement)> {
        let after = after.max(self.newest());
        let Some(check) = self.assigned.bundle.overseer.checks().get(id) else {
            return Vec::new();
        };
        let moments = self.moments(check, after, to);
        let mut moments = moments.as_slice();
        let mut current = before;
        let mut turned = Vec::new();
        while let Some(last) = moments.last()
            && self.judge(id, *last).is_some_and(|end| end != current)
        {
            let same = |moment: &i64| self.judge(id, *moment) == Some(current);
            let place = moments.partition_point(same).min(moments.len() - 1);
            let Some(next) = self.judge(id, moments[place]) else {
                break;
            };
            turned.push((moments[place], next));
            current = next;
            moments = &moments[place + 1..];
        }
        turned
    }

    /// Whether nothing about coverage changes by time alone before `to`, told without looking at every check.
    #[must_use]
    pub fn is_settled(&self, to: i64) -> bool {
        let Some(open) = self.open else {
            return true;
        };
        let Some(used) = self.used else {
            return false;
        };
        let holds = |(line, period): (&String, &i64)| {
            let last = self.judged.get(line);
            last.is_some_and(|last| last.saturating_add(2 * period) > to)
        };
        used.digest == self.assigned.bundle.digest
            && open.len() == used.for_hosts
            && used.host_lines().all(holds)
    }

    /// Whether less than one cadence has passed at `at` since the host was heard.
    #[must_use]
    pub fn is_on_time(&self, at: i64) -> bool {
        let since = self.received.unwrap_or(self.enrolled);
        at.saturating_sub(since) < self.cadence_ms()
    }

    /// When the facts were last made anew by an entry of the log.
    fn newest(&self) -> i64 {
        let events = [self.received, self.ended, Some(self.assigned.at)];
        events.into_iter().flatten().fold(self.enrolled, i64::max)
    }

    fn cadence_ms(&self) -> i64 {
        let used = self.used.unwrap_or(&self.assigned.bundle);
        used.shortest_ms().unwrap_or(0).max(1000)
    }

    fn reporting(&self, at: i64) -> Reporting {
        let cadence = self.cadence_ms();
        let since = self.received.unwrap_or(self.enrolled);
        Reporting {
            key: match self.key {
                AgentState::Active => KeyState::Active,
                AgentState::Revoked => KeyState::Revoked,
                AgentState::Retired => KeyState::Retired,
                AgentState::Forked => KeyState::Forked,
            },
            received: self.received.map(Timestamp::from_unix_ms),
            cadence_seconds: cadence / 1000,
            cadences_silent: at.saturating_sub(since).max(0) / cadence,
            gaps: i64::try_from(self.gaps).unwrap_or(i64::MAX),
        }
    }

    fn coverage(&self, at: i64) -> Coverage {
        let mut coverage = Coverage::default();
        for (id, check) in self.assigned.bundle.host_checks() {
            let found = self.standing(id, check, at).found;
            coverage.due += i64::from(!matches!(found, Found::NotDue));
            if let Found::Not(instead) = found {
                coverage.unjudged.push(Unjudged {
                    check: id.clone(),
                    severity: check.severity,
                    found: instead,
                    reason: self
                        .concluded(id)
                        .and_then(|judgement| judgement.reason)
                        .filter(|_| instead == Instead::Error),
                });
            }
        }
        coverage
    }

    fn concluded(&self, id: &CheckId) -> Option<&Judgement> {
        self.open?.get(id)
    }

    fn standing(&self, id: &CheckId, check: &Check, at: i64) -> Standing {
        let period = self.assigned.bundle.period_ms(id);
        let from =
            |times: &BTreeMap<CheckId, i64>| times.get(id).copied().unwrap_or(self.assigned.at);
        let due = from(&self.assigned.since)
            .max(self.enrolled)
            .saturating_add(2 * period);
        let used = self.used.and_then(|used| {
            let judged_by = used.bundle.checks.get(id)?;
            Some((used, judged_by, self.concluded(id)?))
        });
        let Some((used, judged_by, judgement)) = used else {
            return match at < due {
                true => Standing::until(Found::NotDue, due),
                false => Standing::lasting(Instead::Missing),
            };
        };
        let last = self.judged.get(&judged_by.cadence).copied();
        let stale = last.map_or(due, |last| last.saturating_add(2 * used.period_ms(id)));
        if at >= stale {
            return Standing::lasting(Instead::Stale);
        }
        let outdated = match judged_by == check {
            true => i64::MAX,
            false => from(&self.assigned.defined).saturating_add(2 * period),
        };
        if at >= outdated {
            return Standing::until(Found::Not(Instead::Outdated), stale);
        }
        let found = match judgement.outcome {
            Outcome::Error => Found::Not(Instead::Error),
            Outcome::Pass | Outcome::Fail | Outcome::NotApplicable => Found::Judged,
        };
        Standing::until(found, stale.min(outdated))
    }

    /// The moments in `(after, to]` at which the facts of a check change by time alone, in order.
    fn moments(&self, check: &Check, after: i64, to: i64) -> Vec<i64> {
        let mut moments = Vec::new();
        for probe in &check.probes {
            match probe.as_str() {
                REPORTING => moments.extend(self.late(after, to)),
                COVERAGE if !self.is_settled(to) => self.lapses(after, to, &mut moments),
                _ => {}
            }
        }
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    fn late(&self, after: i64, to: i64) -> impl Iterator<Item = i64> + use<> {
        let cadence = self.cadence_ms();
        let since = self.received.unwrap_or(self.enrolled);
        let first = (after.saturating_sub(since).max(0)) / cadence + 1;
        (first..)
            .map(move |count| since.saturating_add(count.saturating_mul(cadence)))
            .take_while(move |moment| *moment <= to)
    }

    fn lapses(&self, after: i64, to: i64, moments: &mut Vec<i64>) {
        for (id, check) in self.assigned.bundle.host_checks() {
            let mut at = after;
            while let Some(next) = self.standing(id, check, at).until
                && next <= to
            {
                moments.push(next);
                at = next;
            }
        }
    }
}

impl Standing {
    fn until(found: Found, until: i64) -> Standing {
        Standing {
            found,
            until: Some(until),
        }
    }

    fn lasting(instead: Instead) -> Standing {
        Standing {
            found: Found::Not(instead),
            until: None,
        }
    }
}

fn facts(of: &impl Serialize) -> Facts {
    match serde_json::to_value(of) {
        Ok(Value::Object(members)) => Facts::new(members),
        _ => Facts::new(serde_json::Map::new()),
    }
}
