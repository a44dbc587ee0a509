//! When which check is due: pure.
//!
//! Every check has its cadence in the bundle, a cron line in UTC. Each host adds a splay of its own, derived from its key,
//! so that no two hosts of a fleet are in step and one host always is with itself: all its checks move by the same time,
//! and checks due together are one round. What was missed while the host slept is due once, on wake.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Digest, KeyId};
use evidence::cadence::Cadence;
use evidence::id::CheckId;
use evidence::time::Timestamp;

use crate::examine::Plan;

/// The splay is below this: the shortest cadence of the default checks. Milliseconds.
const SPLAY_MS: u64 = 15 * 60 * 1000;

/// When the checks of a bundle are due on one host.
#[derive(Debug)]
pub struct Schedule {
    cadences: BTreeMap<CheckId, Cadence>,
    /// When each check was last judged, by the wall clock.
    judged: BTreeMap<CheckId, Timestamp>,
    splay_ms: i64,
}

/// The time by which all rounds of the host with this key move.
#[must_use]
pub fn splay_ms(key: &KeyId) -> i64 {
    let digest = Digest::of_parts(&[b"assay-splay/v1\n", key.as_bytes()]);
    let number = digest
        .as_bytes()
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    i64::try_from(number % SPLAY_MS).unwrap_or_default()
}

impl Schedule {
    /// The schedule of a bundle on the host with this key. A check that was never judged is due at once.
    #[must_use]
    pub fn new(plan: &Plan, key: &KeyId) -> Schedule {
        let cadences = plan
            .checks
            .iter()
            .filter_map(|(id, check)| Some((id.clone(), check.cadence.parse().ok()?)))
            .collect();
        Schedule {
            cadences,
            judged: BTreeMap::new(),
            splay_ms: splay_ms(key),
        }
    }

    /// Remembers that these checks were judged. A clock that was set back counts from its new time.
    pub fn judged(&mut self, checks: &BTreeSet<CheckId>, at: Timestamp) {
        for check in checks {
            self.judged.insert(check.clone(), at);
        }
    }

    /// The checks that are due.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> BTreeSet<CheckId> {
        self.cadences
            .keys()
            .filter(|check| self.due_at(check, now).is_some_and(|due| due <= now))
            .cloned()
            .collect()
    }

    /// When the next check is due; `None` if there is no check.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.cadences
            .keys()
            .filter_map(|check| self.due_at(check, now))
            .min()
    }

    /// The occurrences of a line are moved by the splay; the next one after the last judgement is due.
    fn due_at(&self, check: &CheckId, now: Timestamp) -> Option<Timestamp> {
        let Some(judged) = self.judged.get(check) else {
            return Some(now);
        };
        let from = (*judged).min(now).plus_ms(-self.splay_ms);
        let next = self.cadences.get(check)?.next_after(from)?;
        Some(next.plus_ms(self.splay_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(lines: &[(&str, &str)], splay_ms: i64) -> Schedule {
        Schedule {
            cadences: lines
                .iter()
                .map(|(id, line)| (id.parse().unwrap(), line.parse().unwrap()))
                .collect(),
            judged: BTreeMap::new(),
            splay_ms,
        }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-24T{text}.000Z").parse().unwrap()
    }

    fn names(checks: &BTreeSet<CheckId>) -> Vec<&str> {
        checks.iter().map(CheckId::as_str).collect()
    }

    #[test]
    fn everything_is_due_at_first_and_then_by_its_line() {
        let mut schedule = schedule(
            &[("a.quarter", "*/15 * * * *"), ("b.hour", "7 * * * *")],
            60_000,
        );
        let all = schedule.due(at("10:03:00"));
        assert_eq!(names(&all), ["a.quarter", "b.hour"]);
        schedule.judged(&all, at("10:03:00"));
        assert_eq!(schedule.next(at("10:03:01")), Some(at("10:08:00")));
        assert!(schedule.due(at("10:07:59")).is_empty());
        assert_eq!(names(&schedule.due(at("10:08:00"))), ["b.hour"]);
        assert_eq!(
            names(&schedule.due(at("10:16:00"))),
            ["a.quarter", "b.hour"]
        );
    }

    #[test]
    fn what_was_missed_is_due_once() {
        let mut schedule = schedule(&[("a.quarter", "*/15 * * * *")], 0);
        let all = schedule.due(at("10:00:00"));
        schedule.judged(&all, at("10:00:00"));
        assert_eq!(schedule.due(at("18:01:00")).len(), 1);
        schedule.judged(&all, at("18:01:00"));
        assert!(schedule.due(at("18:14:59")).is_empty());
    }

    #[test]
    fn a_clock_set_back_does_not_silence_the_host() {
        let mut schedule = schedule(&[("a.quarter", "*/15 * * * *")], 0);
        let all = schedule.due(at("18:00:00"));
        schedule.judged(&all, at("18:00:00"));
        let next = schedule.next(at("10:05:00")).unwrap();
        assert_eq!(next, at("10:15:00"));
    }

    #[test]
    fn hosts_are_spread_over_the_whole_window() {
        let mut seen = BTreeSet::new();
        for host in 0..1000_u32 {
            let splay = splay_ms(&Digest::of(&host.to_be_bytes()));
            assert!((0..900_000).contains(&splay));
            seen.insert(splay / 60_000);
        }
        assert_eq!(seen.len(), 15, "{seen:?}");
    }
}
