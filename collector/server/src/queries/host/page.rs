//! A host's answer as a page.

use std::collections::BTreeMap;

use assess::current::Standing;

use super::{ChainAnswer, HostAnswer, HostOutcome};
use crate::pages::frame::Section;
use crate::pages::host::{Chain, OutcomeFilter, OutcomeRow, Topic};
use crate::pages::part::{Observed, Pager, Pair, span};
use crate::pages::{HostPage, route};
use crate::queries::answer::{AsOf, Paper, Viewer};
use crate::queries::stretch;
use crate::queries::words::reason_code;

/// Characters of an observed value in a list.
const OBSERVED_CHARS: usize = 160;

impl From<(Viewer, HostAnswer, OutcomeFilter)> for HostPage {
    fn from((viewer, answer, filter): (Viewer, HostAnswer, OutcomeFilter)) -> HostPage {
        let rows: Vec<(&HostOutcome, OutcomeRow)> = answer
            .outcomes
            .iter()
            .enumerate()
            .map(|(place, outcome)| (outcome, row(&answer, outcome, place)))
            .filter(|(outcome, row)| admits(&filter, outcome, row))
            .collect();
        let pager = Pager {
            shown: rows.len() as u64,
            total: answer.outcomes.len() as u64,
            noun: "outcome".to_owned(),
            previous: None,
            next: None,
            export: None,
        };
        let paper = Paper {
            scope: answer.name.clone(),
            period: None,
            parameters: parameters(&filter),
            rows: pager.words(),
        };
        HostPage {
            frame: answer
                .as_of
                .frame(viewer, &answer.name, Section::Hosts, paper),
            href: route::host(&answer.id),
            key_id: answer.key.clone(),
            identity: identity(&answer),
            chain: chain(&answer.as_of, &answer.chain),
            tally: answer.counts.into(),
            proposals: answer.proposals,
            topics: topics(rows),
            pager,
            filter,
            name: answer.name,
        }
    }
}

fn parameters(filter: &OutcomeFilter) -> String {
    let mut set: Vec<&str> = [&filter.text, &filter.outcome, &filter.severity]
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(String::as_str)
        .collect();
    if filter.proposals {
        set.push("what waits for approval");
    }
    match set.is_empty() {
        true => "no filter".to_owned(),
        false => set.join(", "),
    }
}

fn admits(filter: &OutcomeFilter, outcome: &HostOutcome, row: &OutcomeRow) -> bool {
    let is = |wanted: &str, word: &str| wanted.is_empty() || wanted == word;
    let told = format!("{} {} {}", row.title, row.check, row.observed).to_lowercase();
    let words = filter.text.to_lowercase();
    is(&filter.outcome, outcome.standing.as_str())
        && is(&filter.severity, outcome.severity.as_str())
        && (!filter.proposals || outcome.proposed.is_some())
        && words.split_whitespace().all(|word| told.contains(word))
}

fn row(answer: &HostAnswer, outcome: &HostOutcome, place: usize) -> OutcomeRow {
    OutcomeRow {
        check: outcome.check.to_string(),
        title: outcome.title.clone(),
        standing: outcome.standing.into(),
        reason: match outcome.standing {
            Standing::Missing => String::new(),
            _ => reason_code(outcome.reason).to_owned(),
        },
        severity: outcome.severity.into(),
        observed: match &outcome.observed {
            Some(value) => Observed::line(value, OBSERVED_CHARS),
            None if outcome.standing == Standing::Missing => "nothing received".to_owned(),
            None => "facts not held".to_owned(),
        },
        proposed: outcome.proposed,
        since: answer.as_of.when(outcome.since),
        strip: stretch::strip(
            format!("s{place}"),
            format!("{} on {}", outcome.check, answer.name),
            &outcome.stretches,
            answer.enrolled,
            answer.as_of.at,
        ),
        href: route::outcome(&answer.id, outcome.check.as_str()),
    }
}

/// Rows by topic, worst first in each, topics with the worst first.
fn topics(rows: Vec<(&HostOutcome, OutcomeRow)>) -> Vec<Topic> {
    let mut topics: BTreeMap<&str, Vec<OutcomeRow>> = BTreeMap::new();
    for (outcome, row) in rows {
        topics.entry(&outcome.topic).or_default().push(row);
    }
    let mut topics: Vec<Topic> = topics
        .into_iter()
        .map(|(name, mut rows)| {
            rows.sort_by(|left, right| {
                let key = |row: &OutcomeRow| (row.standing, row.severity);
                key(left)
                    .cmp(&key(right))
                    .then_with(|| left.check.cmp(&right.check))
            });
            Topic {
                name: name.to_owned(),
                rows,
            }
        })
        .collect();
    let worst = |topic: &Topic| topic.rows.first().map(|row| (row.standing, row.severity));
    topics.sort_by_key(worst);
    topics
}

fn identity(answer: &HostAnswer) -> Vec<Pair> {
    let enrolled = answer.as_of.when(answer.enrolled).absolute();
    let by = answer
        .enrolled_by
        .as_ref()
        .map_or_else(String::new, |how| format!(" by {how}"));
    let mut pairs = vec![
        Pair::new("Id", answer.id.clone()),
        Pair::new("Group", answer.group.clone()),
        Pair::new("State", answer.state.replace('-', " ")),
        Pair::new(
            "Enrolled",
            format!("{enrolled}{by}, entry {}", answer.enrolled_index),
        ),
        Pair::new("Key epoch", answer.epoch.to_string()),
    ];
    let ended = answer
        .ended
        .map(|ended| answer.as_of.when(ended).absolute());
    for (name, value) in [
        ("System", answer.system.clone()),
        ("Agent", answer.agent.clone()),
        ("Bundle", answer.bundle.clone()),
        (
            "Bundle version",
            answer.bundle_version.map(|version| version.to_string()),
        ),
        ("Ended", ended),
    ] {
        pairs.extend(
            value
                .filter(|value| !value.is_empty())
                .map(|value| Pair::new(name, value)),
        );
    }
    pairs
}

fn chain(as_of: &AsOf, chain: &ChainAnswer) -> Chain {
    Chain {
        rounds: chain.rounds,
        sequence: chain.sequence,
        gaps: chain.gaps,
        forks: chain.forks,
        skew: chain
            .skew_ms
            .map_or_else(|| "an unknown time".to_owned(), skew_words),
        last: chain.last.map(|last| as_of.when(last)),
        silent: chain.silent,
    }
}

/// `+0.4 s`, `-3 d 4 h`: how far the host's clock was ahead of reception.
pub(in crate::queries) fn skew_words(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    let size = ms.unsigned_abs();
    match size {
        0..100 => "less than 0.1 s".to_owned(),
        100..60_000 => format!("{sign}{}.{} s", size / 1000, size % 1000 / 100),
        _ => format!("{sign}{}", span(i64::try_from(size).unwrap_or(i64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_right_has_no_sign() {
        for (ms, words) in [
            (-40, "less than 0.1 s"),
            (0, "less than 0.1 s"),
            (-100, "-0.1 s"),
            (59_999, "+59.9 s"),
        ] {
            assert_eq!(skew_words(ms), words);
        }
    }
}
