//! The roll-up against a model that looks at every minute by itself.

use assess::deviation::of_check;
use assess::record::{
    Check, CheckNo, GroupNo, Host, HostNo, Interval, Period, Records, holds_until,
};
use assess::rollup::{HostTime, host_time, steps};
use assess::rules::Rules;
use evidence::outcome::{Outcome, Severity};
use evidence::time::Timestamp;
use proptest::prelude::*;

const MINUTE_MS: i64 = 60_000;
const START: i64 = 1_000;
const MINUTES: i64 = 300;

/// A run judges one check on one host.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: i64,
    outcome: Outcome,
}

#[derive(Debug, Clone)]
struct Fleet {
    /// Enrolled at, ended at.
    hosts: Vec<(i64, Option<i64>)>,
    /// Cadence, assigned at.
    checks: Vec<(i64, i64)>,
    /// By host and check, in order of time.
    runs: Vec<Vec<Vec<Run>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    NotApplicable,
    Pass,
    Unobserved,
    Fail,
}

fn minute(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE_MS)
}

impl Fleet {
    /// What is known of one check on one host in one minute: the last run's outcome, for twice the cadence.
    fn seen(&self, host: usize, check: usize, at: i64) -> Seen {
        let (enrolled, ended) = self.hosts[host];
        let (cadence, assigned) = self.checks[check];
        if at < enrolled || ended.is_some_and(|ended| at >= ended) || at < assigned {
            return Seen::Nothing;
        }
        let last = self.runs[host][check].iter().rfind(|run| run.at <= at);
        match last {
            Some(run) if at < run.at + 2 * cadence => match run.outcome {
                Outcome::Pass => Seen::Pass,
                Outcome::Fail => Seen::Fail,
                Outcome::NotApplicable => Seen::NotApplicable,
                Outcome::Error => Seen::Unobserved,
            },
            _ => Seen::Unobserved,
        }
    }

    /// The rule of the roll-up, word by word.
    fn control(&self, host: usize, checks: &[usize], at: i64) -> Seen {
        let seen: Vec<Seen> = checks
            .iter()
            .map(|check| self.seen(host, *check, at))
            .filter(|seen| *seen != Seen::Nothing)
            .collect();
        if seen.is_empty() {
            Seen::Nothing
        } else if seen.contains(&Seen::Fail) {
            Seen::Fail
        } else if seen.contains(&Seen::Unobserved) {
            Seen::Unobserved
        } else if seen.iter().all(|seen| *seen == Seen::NotApplicable) {
            Seen::NotApplicable
        } else {
            Seen::Pass
        }
    }

    fn time(&self, checks: &[usize], minutes: std::ops::Range<i64>) -> HostTime {
        let mut time = HostTime::default();
        let one = MINUTE_MS.unsigned_abs();
        for host in 0..self.hosts.len() {
            for at in minutes.clone() {
                match self.control(host, checks, at) {
                    Seen::Pass => time.pass_ms += one,
                    Seen::Fail => time.fail_ms += one,
                    Seen::Unobserved => time.unobserved_ms += one,
                    Seen::NotApplicable => time.not_applicable_ms += one,
                    Seen::Nothing => {}
                }
            }
        }
        time
    }

    /// First and last failing minute of each deviation, and whether it is open: it goes on until the check was seen
    /// not to fail.
    fn deviations(&self, host: usize, check: usize) -> Vec<(i64, i64, bool)> {
        let (cadence, _) = self.checks[check];
        let mut found: Vec<(i64, i64, bool)> = Vec::new();
        let mut running: Option<(i64, i64)> = None;
        for at in 0..START + MINUTES {
            if self.hosts[host].1.is_some_and(|ended| at >= ended) {
                break;
            }
            let last = self.runs[host][check].iter().rfind(|run| run.at <= at);
            match last.filter(|run| at < run.at + 2 * cadence) {
                Some(run) if run.outcome == Outcome::Fail => {
                    running = Some((running.map_or(at, |(from, _)| from), at));
                }
                Some(run) if run.outcome != Outcome::Error => {
                    found.extend(running.take().map(|(from, last)| (from, last, false)));
                }
                _ => {}
            }
        }
        found.extend(running.map(|(from, last)| (from, last, true)));
        found
    }

    fn records(&self) -> Records {
        let mut intervals = Vec::new();
        for (host, checks) in (0u32..).zip(&self.runs) {
            for (check, runs) in (0u32..).zip(checks) {
                let cadence_ms = self.checks[check as usize].0 * MINUTE_MS;
                for (place, run) in runs.iter().enumerate() {
                    let held = holds_until(minute(run.at), cadence_ms);
                    let next = runs.get(place + 1).map_or(held, |next| minute(next.at));
                    intervals.push(Interval {
                        host: HostNo(host),
                        check: CheckNo(check),
                        outcome: run.outcome,
                        reason: None,
                        from: minute(run.at),
                        to: held.min(next),
                    });
                }
            }
        }
        intervals.reverse();
        let hosts = self.hosts.iter().map(|(enrolled, ended)| Host {
            group: GroupNo(1),
            enrolled: minute(*enrolled),
            ended: ended.map(minute),
        });
        let checks = self.checks.iter().map(|(cadence, assigned)| Check {
            severity: Severity::High,
            cadence_ms: cadence * MINUTE_MS,
            assigned: vec![None, Some(minute(*assigned))],
        });
        let period = Period {
            from: minute(START),
            to: minute(START + MINUTES),
        };
        Records::new(period, hosts.collect(), checks.collect(), intervals)
    }
}

fn run() -> impl Strategy<Value = (i64, Outcome)> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Pass),
        3 => Just(Outcome::Fail),
        1 => Just(Outcome::NotApplicable),
        2 => Just(Outcome::Error),
    ];
    (START - 100..START + MINUTES, outcome)
}

/// Runs that all come after the enrolment and before the end, as the log guarantees.
fn runs_within(runs: Vec<(i64, Outcome)>, (enrolled, ended): (i64, Option<i64>)) -> Vec<Run> {
    let mut runs: Vec<Run> = runs
        .into_iter()
        .filter(|(at, _)| *at >= enrolled && ended.is_none_or(|ended| *at < ended))
        .map(|(at, outcome)| Run { at, outcome })
        .collect();
    runs.sort_by_key(|run| run.at);
    runs.dedup_by_key(|run| run.at);
    runs
}

fn fleet() -> impl Strategy<Value = Fleet> {
    let host = (
        START - 200..START + MINUTES,
        proptest::option::weighted(0.3, 1..400i64),
    );
    let hosts = proptest::collection::vec(
        host.prop_map(|(enrolled, lived)| (enrolled, lived.map(|lived| enrolled + lived))),
        1..4,
    );
    let check = (
        prop_oneof![Just(1i64), Just(5), Just(15), Just(60), Just(500)],
        prop_oneof![3 => Just(0i64), 1 => START - 50..START + MINUTES],
    );
    let checks = proptest::collection::vec(check, 1..4);
    let runs = proptest::collection::vec(
        proptest::collection::vec(proptest::collection::vec(run(), 0..25), 3),
        3,
    );
    (hosts, checks, runs).prop_map(|(hosts, checks, runs)| {
        let runs = hosts
            .iter()
            .zip(runs)
            .map(|(host, of_host)| {
                let of_checks = of_host.into_iter().take(checks.len());
                of_checks.map(|runs| runs_within(runs, *host)).collect()
            })
            .collect();
        Fleet {
            hosts,
            checks,
            runs,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn host_time_is_that_of_every_minute(fleet in fleet()) {
        let records = fleet.records();
        let all: Vec<usize> = (0..fleet.checks.len()).collect();
        for checks in [all.as_slice(), &all[..1]] {
            let numbers: Vec<CheckNo> = checks.iter().map(|c| CheckNo(u32::try_from(*c).unwrap())).collect();
            let expected = fleet.time(checks, START..START + MINUTES);
            prop_assert_eq!(host_time(&records, &numbers), expected);
            for (place, (period, time)) in (0i64..).zip(steps(&records, &numbers, 10)) {
                let from = START + place * MINUTES / 10;
                prop_assert_eq!(period.from, minute(from));
                prop_assert_eq!(time, fleet.time(checks, from..from + MINUTES / 10));
            }
        }
    }

    #[test]
    fn deviations_are_those_of_every_minute(fleet in fleet()) {
        let records = fleet.records();
        for check in 0..fleet.checks.len() {
            let number = CheckNo(u32::try_from(check).unwrap());
            let found = of_check(&records, number, &Rules::default());
            let mut expected = Vec::new();
            for host in 0..fleet.hosts.len() {
                let ended = fleet.hosts[host].1.filter(|ended| *ended < START + MINUTES);
                for (from, last, open) in fleet.deviations(host, check) {
                    let to = if open { ended } else { Some(last + 1) };
                    if to.is_none_or(|to| to > START) {
                        expected.push((host, minute(from), to.map(minute)));
                    }
                }
            }
            let found: Vec<_> = found.iter().map(|d| (d.host.0 as usize, d.from, d.to)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
