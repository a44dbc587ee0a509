//! The corpus to start from: every different answer that any probe gets from any recorded host. It is made when it is
//! needed, so that a new probe or recording is fuzzed without a line more.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;

use crate::growth;
use crate::hosts::{Hosts, HostsError};
use crate::place::{Place, Question, join};
use crate::readers::{self, READERS};

/// Most different answers to one question of one probe.
const MAX_ANSWERS: usize = 6;
/// Most bytes of a word of the dictionary.
const MAX_WORD_BYTES: usize = 40;
/// Most words of the dictionary.
const MAX_WORDS: usize = 600;

/// What to fuzz: everything, one probe, all readers or one reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every probe and reader.
    All,
    /// The same, with answers that are very long.
    Grown,
    /// One of them, by its id or name.
    One(String),
}

impl Target {
    /// `all`, `grown`, or the id of a probe or the name of a reader.
    #[must_use]
    pub fn named(name: &str) -> Target {
        match name {
            "all" => Target::All,
            "grown" => Target::Grown,
            one => Target::One(one.to_owned()),
        }
    }

    fn holds(&self, name: &str) -> bool {
        match self {
            Target::All | Target::Grown => true,
            Target::One(one) => one == name,
        }
    }
}

/// Every probe's id and reader's name.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let probes = agent::probe::registry().into_iter().map(|probe| probe.id());
    let readers = READERS.iter().map(|reader| reader.name);
    probes.chain(readers).collect()
}

/// The inputs to start from, each different.
///
/// # Errors
/// [`HostsError`] for a recording that cannot be used.
pub fn seeds(hosts: &Hosts, target: &Target) -> Result<Vec<Vec<u8>>, HostsError> {
    let mut seeds = Vec::new();
    for reader in READERS.iter().filter(|reader| target.holds(reader.name)) {
        let place = Place::Reader(reader.name.to_owned());
        seeds.extend(
            reader
                .seeds
                .iter()
                .map(|seed| join(&place, seed.as_bytes())),
        );
    }
    let mut known: BTreeMap<(&str, Question), BTreeSet<Digest>> = BTreeMap::new();
    let mut unanswered: BTreeMap<(&str, Question), String> = BTreeMap::new();
    let is_reader = matches!(target, Target::One(name) if readers::named(name).is_some());
    let recordings = if is_reader {
        Vec::new()
    } else {
        hosts.recordings()?
    };
    for recording in recordings {
        for (probe, asked) in hosts.asked(&recording, |probe| target.holds(probe))? {
            for (question, answer) in asked {
                let place = Place::Host {
                    recording: recording.clone(),
                    probe: probe.to_owned(),
                    question: question.clone(),
                };
                if place.to_string().contains('\n') {
                    continue;
                }
                let key = (probe, question);
                let Some(answer) = answer else {
                    unanswered.entry(key).or_insert(recording.clone());
                    continue;
                };
                let answers = known.entry(key).or_default();
                if answers.len() < MAX_ANSWERS && answers.insert(Digest::of(&answer)) {
                    seeds.push(join(&place, &answer));
                }
            }
        }
    }
    // What no recorded host has, a hostile one may have.
    for ((probe, question), recording) in unanswered {
        if !known.contains_key(&(probe, question.clone())) {
            let probe = probe.to_owned();
            let place = Place::Host {
                recording,
                probe,
                question,
            };
            seeds.push(join(&place, b"\n"));
        }
    }
    Ok(match target {
        Target::Grown => growth::grown(&seeds),
        Target::All | Target::One(_) => seeds,
    })
}

/// The words that stand in most of the seeds, in the form of libFuzzer's dictionaries.
#[must_use]
pub fn dictionary(seeds: &[Vec<u8>]) -> String {
    let mut frequent: BTreeMap<&[u8], usize> = BTreeMap::new();
    for seed in seeds {
        let mut words: BTreeSet<&[u8]> = BTreeSet::new();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(byte);
        words.extend(
            seed.split(|byte| !is_part(byte))
                .filter(|word| (2..=MAX_WORD_BYTES).contains(&word.len())),
        );
        for word in words {
            *frequent.entry(word).or_default() += 1;
        }
    }
    let mut words: Vec<(usize, &[u8])> = frequent.into_iter().map(|(word, n)| (n, word)).collect();
    words.sort_by(|a, b| b.cmp(a));
    let line = |(_, word): &(usize, &[u8])| format!("\"{}\"\n", String::from_utf8_lossy(word));
    words.iter().take(MAX_WORDS).map(line).collect()
}
