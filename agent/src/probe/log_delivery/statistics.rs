//! What rsyslog counts of its own forwarding: the samples that its module impstats writes to a file.
//!
//! A sample is a line an object: `DATE: NAME: origin=core.action processed=5 failed=0 …`, or the same as JSON. Dates are
//! local time without a zone and are left alone; the order of lines and the file's own time say what is needed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::log_forwarding::StatisticsFile;
use super::super::{Observation, Unobservable};

/// Forwarding as the daemon counts it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Statistics {
    /// The file.
    file: String,
    /// It was written within the last three of the daemon's intervals.
    current: bool,
    /// The actions that forward.
    actions: Vec<Action>,
}

/// One action, over the last samples.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Action {
    /// Its name.
    name: String,
    /// Messages were handed to it, and not all of them failed.
    used: bool,
    /// For how many of the last intervals without a break messages failed; at most 3.
    failing: u64,
    /// For how many of the last intervals without a break its queue, or the main one, grew; at most 3.
    growing: u64,
    /// Messages were thrown away because a queue was full.
    discards: bool,
}

/// Most bytes of samples, the newest.
const MAX_TAIL_BYTES: usize = 128 * 1024;
/// Samples that are looked at, for three intervals.
const SAMPLES: usize = 4;
const MAIN_QUEUE: &str = "main Q";
/// Names that the daemon gives to forwarding actions without one: `action-3-builtin:omfwd`.
const FORWARDING: [&str; 2] = ["-builtin:omfwd", "-omrelp"];

pub(super) fn read(
    observation: &mut Observation<'_>,
    configured: &StatisticsFile,
    names: &[String],
) -> Result<Option<Statistics>, Unobservable> {
    let Some(stat) = observation.stat(&configured.path)? else {
        return Ok(None);
    };
    if stat.mode & 0o022 != 0 {
        return Err(Unobservable::unparsable(
            &configured.path,
            "others than its owner may write it, so that it proves nothing; chmod go-w",
        ));
    }
    let tail = observation
        .host()
        .read_tail(&configured.path, MAX_TAIL_BYTES)?;
    let intervals_ms = i64::from(configured.interval_s) * 3_000;
    Ok(Some(Statistics {
        file: configured.path.clone(),
        current: stat.mtime.plus_ms(intervals_ms) >= observation.now(),
        actions: actions(
            &samples(&String::from_utf8_lossy(&tail)),
            names,
            configured.resets,
        ),
    }))
}

type Counters = BTreeMap<String, u64>;

/// The last samples of each object, oldest first.
fn samples(text: &str) -> BTreeMap<String, Vec<Counters>> {
    let mut found: BTreeMap<String, Vec<Counters>> = BTreeMap::new();
    for (name, counters) in text.lines().filter_map(sample) {
        let samples = found.entry(name).or_default();
        if samples.len() == SAMPLES {
            samples.remove(0);
        }
        samples.push(counters);
    }
    found
}

/// Name and counters of a line; `None` for what is no whole sample, as the first line of a tail may be.
fn sample(line: &str) -> Option<(String, Counters)> {
    // "Tue Nov 24 11:42:17 2026: "
    let (_, rest) = line.split_at_checked("Tue Nov 24 11:42:17 2026: ".len())?;
    let rest = rest.strip_prefix("@cee:").unwrap_or(rest).trim();
    if rest.starts_with('{') {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(rest).ok()?;
        let name = object.get("name")?.as_str()?.to_owned();
        let numbers = object.into_iter();
        let counters = numbers.filter_map(|(key, value)| Some((plain(&key), value.as_u64()?)));
        return Some((name, counters.collect()));
    }
    let (name, values) = rest.split_once(": origin=")?;
    let pairs = values.split_whitespace().filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((plain(key), value.parse().ok()?))
    });
    Some((name.to_owned(), pairs.collect()))
}

/// json-elasticsearch writes `!` where the other forms write `.`.
fn plain(key: &str) -> String {
    key.replace('!', ".")
}

fn actions(
    samples: &BTreeMap<String, Vec<Counters>>,
    names: &[String],
    resets: bool,
) -> Vec<Action> {
    let none = Vec::new();
    let main = samples.get(MAIN_QUEUE).unwrap_or(&none);
    let forwards = |name: &str| {
        names.iter().any(|known| known == name)
            || (name.starts_with("action-") && FORWARDING.iter().any(|end| name.ends_with(end)))
    };
    let actions = samples.iter().filter(|(name, _)| forwards(name));
    actions
        .map(|(name, counted)| {
            let own = samples.get(&format!("{name} queue")).unwrap_or(&none);
            let queues = [main, own];
            let last = |key| counted.last().and_then(|last| last.get(key)).copied();
            Action {
                name: name.clone(),
                used: last("processed") > last("failed"),
                failing: streak(counted, |old, new| {
                    let failed = |at: &Counters| at.get("failed").copied().unwrap_or(0);
                    if resets || failed(new) < failed(old) {
                        failed(new) > 0
                    } else {
                        failed(new) > failed(old)
                    }
                }),
                growing: queues
                    .iter()
                    .map(|queue| streak(queue, |old, new| new.get("size") > old.get("size")))
                    .max()
                    .unwrap_or(0),
                discards: queues.iter().any(|queue| discards(queue, resets)),
            }
        })
        .collect()
}

/// For how many of the last intervals without a break this held.
fn streak(samples: &[Counters], holds: impl Fn(&Counters, &Counters) -> bool) -> u64 {
    let pairs = samples.windows(2).rev();
    pairs
        .take_while(|pair| matches!(pair, [old, new] if holds(old, new)))
        .count() as u64
}

fn discards(samples: &[Counters], resets: bool) -> bool {
    ["discarded.full", "discarded.nf"].iter().any(|key| {
        let values = samples.iter().filter_map(|at| at.get(*key));
        let (least, most) = values.fold((u64::MAX, 0), |(least, most), value| {
            (least.min(*value), most.max(*value))
        });
        most > 0 && (resets || most > least)
    })
}

#[cfg(test)]
mod tests;
