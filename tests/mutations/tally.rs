//! What was detected and what was a false alarm, counted for each check.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use evidence::evaluate::Outcomes;

use super::plan::Mutation;
use super::root::words;

/// The count of one check.
#[derive(Debug, Default)]
struct Count {
    deviations: usize,
    detected: usize,
    traps: usize,
    false_alarms: usize,
}

/// The counts of one family.
#[derive(Debug)]
pub struct Tally {
    family: String,
    checks: BTreeMap<String, Count>,
    mutations: usize,
    problems: Vec<String>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(family: &str) -> Tally {
        Tally {
            family: family.to_owned(),
            checks: BTreeMap::new(),
            mutations: 0,
            problems: Vec::new(),
        }
    }

    /// Counts one mutation: what the host concluded without and with it.
    pub fn count(&mut self, mutation: &Mutation, untouched: &Outcomes, found: &Outcomes) {
        self.mutations += 1;
        for check in &mutation.tempts {
            self.checks.entry(check.clone()).or_default().traps += 1;
            if !untouched.keys().any(|id| id.as_str() == check) {
                self.wrong(mutation, &format!("no check {check}"));
            }
        }
        for (check, expected) in &mutation.turns {
            let outcome = |outcomes: &Outcomes| {
                outcomes
                    .iter()
                    .find(|(id, _)| id.as_str() == check)
                    .map_or_else(
                        || "no such check".to_owned(),
                        |(_, judgement)| words(judgement),
                    )
            };
            let (before, after) = (outcome(untouched), outcome(found));
            let count = self.checks.entry(check.clone()).or_default();
            count.deviations += 1;
            if after == *expected && before != *expected {
                count.detected += 1;
            } else {
                self.wrong(
                    mutation,
                    &format!(
                        "MISSED: {check} should turn from {before} to {expected}, found {after}"
                    ),
                );
            }
        }
        for (id, after) in found {
            let Some(before) = untouched.get(id) else {
                continue;
            };
            if before != after && !mutation.turns.contains_key(id.as_str()) {
                self.checks
                    .entry(id.as_str().to_owned())
                    .or_default()
                    .false_alarms += 1;
                let (before, after) = (words(before), words(after));
                self.wrong(
                    mutation,
                    &format!("FALSE ALARM: {id} turned from {before} to {after}"),
                );
            }
        }
    }

    /// A mutation that could not be applied, which is a failure of the suite.
    pub fn unusable(&mut self, mutation: &Mutation, problem: &str) {
        self.wrong(mutation, problem);
    }

    fn wrong(&mut self, mutation: &Mutation, problem: &str) {
        self.problems
            .push(format!("{}: {problem} ({})", mutation.id, mutation.says));
    }

    /// Whether all was as the mutations say.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// What was not, a line each.
    pub fn problems(&self) -> String {
        format!("{}\n{}", self.family, self.problems.join("\n"))
    }

    /// Prints the table.
    pub fn show(&self, took: Duration) {
        let sum = |of: fn(&Count) -> usize| self.checks.values().map(of).sum::<usize>();
        let mut table = format!(
            "\n{}: {} mutations in {} s\n{:<34} {:>10} {:>9} {:>6} {:>12}\n",
            self.family,
            self.mutations,
            took.as_secs(),
            "check",
            "deviations",
            "detected",
            "traps",
            "false alarms"
        );
        let mut line = |name: &str, count: &Count| {
            let _ = writeln!(
                table,
                "{name:<34} {:>10} {:>9} {:>6} {:>12}",
                count.deviations,
                rate(count.detected, count.deviations),
                count.traps,
                count.false_alarms
            );
        };
        for (check, count) in &self.checks {
            line(check, count);
        }
        line(
            "all",
            &Count {
                deviations: sum(|count| count.deviations),
                detected: sum(|count| count.detected),
                traps: sum(|count| count.traps),
                false_alarms: sum(|count| count.false_alarms),
            },
        );
        // Past what the test runner captures: the table is for readers of a green run as well.
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(table.as_bytes()) {
            eprintln!("{error}");
        }
    }
}

fn rate(part: usize, whole: usize) -> String {
    match (part * 100).checked_div(whole) {
        Some(percent) => format!("{percent} %"),
        None => "-".to_owned(),
    }
}
