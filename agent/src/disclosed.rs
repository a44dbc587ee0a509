//! The last facts of each probe with their salt: what keeps an unchanged probe's digest the same, and its facts at home.
//!
//! A salt stays while the facts stay and serves no other facts. Facts travel with the first statement that commits to
//! them; `carried_by` names it. This file is written after that statement, so a kill between the two costs a new salt
//! and one more transport, never a salt used twice; a number beyond the chain's end therefore carries nothing.

use std::collections::BTreeMap;

use crypto::Random;
use evidence::fact::{FactSet, Facts};
use evidence::id::ProbeId;
use evidence::json;
use evidence::outcome::Reason;
use serde::{Deserialize, Serialize};
use wire::disclosure::{Disclosure, DisclosureDigest, DisclosureError, MAX_DISCLOSURE_BYTES, Salt};

use crate::state::{StateDir, StateError};

const FILE: &str = "disclosed.json";
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// Most bytes of facts as JSON of one probe: the bound of a disclosure, less salt and base64.
const MAX_FACTS_BYTES: usize = MAX_DISCLOSURE_BYTES / 4 * 3 - 1024;
/// Most bytes of all facts of a round as JSON: base64 and payload keep a submission below its bound.
const MAX_ALL_FACTS_BYTES: usize = 4 * 1024 * 1024;

/// The last disclosure of each probe.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Disclosed(BTreeMap<ProbeId, Last>);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried_by: Option<u64>,
}

/// What a round commits to.
#[derive(Debug)]
pub struct Commitment {
    /// Digest of every probe's disclosure.
    pub digests: BTreeMap<ProbeId, DisclosureDigest>,
    /// Those that have to travel with it.
    pub fresh: Vec<Disclosure>,
}

impl Disclosed {
    /// What was disclosed last; nothing if the file is not there or not readable, which costs new salts only.
    ///
    /// # Errors
    /// [`StateError`] if the folder cannot be read.
    pub fn load(state: &StateDir) -> Result<Disclosed, StateError> {
        let Some(bytes) = state.read(FILE, MAX_FILE_BYTES)? else {
            return Ok(Disclosed::default());
        };
        Ok(json::parse(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, file = FILE, "not readable; all facts get new salts and travel again");
            Disclosed::default()
        }))
    }

    /// Writes what was disclosed last.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be written.
    pub fn save(&self, state: &StateDir) -> Result<(), StateError> {
        let bytes =
            json::canonical(self).map_err(|error| StateError::damaged(&state.file(FILE), error))?;
        state.write(FILE, &bytes)
    }

    /// Commits to the facts of statement `seq`. Facts seen before keep their salt.
    ///
    /// # Errors
    /// [`DisclosureError`] for facts that [`bounded`] would not have let through.
    pub fn commit(
        &mut self,
        facts: &FactSet,
        seq: u64,
        random: &mut dyn Random,
    ) -> Result<Commitment, DisclosureError> {
        let mut commitment = Commitment {
            digests: BTreeMap::new(),
            fresh: Vec::new(),
        };
        for (probe, facts) in facts {
            let known = self.0.get(probe).and_then(|last| {
                let disclosure = Disclosure::parse(&last.text).ok()?;
                (disclosure.probe() == probe && disclosure.facts() == facts)
                    .then_some((disclosure, last.carried_by))
            });
            let (disclosure, carried_by) = match known {
                Some(known) => known,
                None => {
                    let salt = Salt::from_random(random.bytes16());
                    (Disclosure::new(salt, probe.clone(), facts.clone())?, None)
                }
            };
            commitment
                .digests
                .insert(probe.clone(), disclosure.digest());
            let carried_by = carried_by.filter(|carrier| *carrier < seq);
            let last = Last {
                text: disclosure.text().to_owned(),
                carried_by: Some(carried_by.unwrap_or(seq)),
            };
            self.0.insert(probe.clone(), last);
            if carried_by.is_none() {
                commitment.fresh.push(disclosure);
            }
        }
        Ok(commitment)
    }

    /// Forgets that statements from `seq` on carried anything: they will not arrive.
    pub fn forget_from(&mut self, seq: u64) {
        for last in self.0.values_mut() {
            last.carried_by = last.carried_by.filter(|carrier| *carrier < seq);
        }
    }

    /// The disclosures of these digests that are still known.
    #[must_use]
    pub fn find(&self, digests: &BTreeMap<ProbeId, DisclosureDigest>) -> Vec<Disclosure> {
        digests
            .iter()
            .filter_map(|(probe, digest)| {
                let disclosure = Disclosure::parse(&self.0.get(probe)?.text).ok()?;
                (disclosure.digest() == *digest).then_some(disclosure)
            })
            .collect()
    }
}

/// Facts that fit a submission: a probe that saw too much is an error that says so, before anything is judged.
#[must_use]
pub fn bounded(mut facts: FactSet) -> FactSet {
    let size = |facts: &Facts| json::canonical(facts).map_or(usize::MAX, |bytes| bytes.len());
    let mut sizes: BTreeMap<ProbeId, usize> = facts
        .iter()
        .map(|(probe, facts)| (probe.clone(), size(facts)))
        .collect();
    loop {
        let total = sizes
            .values()
            .fold(0_usize, |sum, size| sum.saturating_add(*size));
        let largest = sizes.iter().max_by_key(|(_, size)| **size);
        let Some((probe, size)) = largest.map(|(probe, size)| (probe.clone(), *size)) else {
            return facts;
        };
        if size <= MAX_FACTS_BYTES && total <= MAX_ALL_FACTS_BYTES {
            return facts;
        }
        let detail =
            format!("probe {probe}: {size} bytes of facts are more than a round can carry");
        sizes.insert(probe.clone(), 0);
        facts.insert(
            probe,
            Facts::unobservable(Reason::CoveragePartial, &detail, &[]),
        );
    }
}

#[cfg(test)]
mod tests {
    use crypto::SeededRandom;
    use serde_json::json;

    use super::*;

    fn facts(pairs: &[(&str, serde_json::Value)]) -> FactSet {
        pairs
            .iter()
            .map(|(probe, value)| {
                let members = json!({ "value": value }).as_object().unwrap().clone();
                (probe.parse().unwrap(), Facts::new(members))
            })
            .collect()
    }

    #[test]
    fn unchanged_facts_keep_their_digest_and_stay_home() {
        let mut random = SeededRandom::new(1);
        let mut disclosed = Disclosed::default();
        let before = facts(&[("a", json!(1)), ("b", json!(2))]);
        let first = disclosed.commit(&before, 1, &mut random).unwrap();
        assert_eq!(first.fresh.len(), 2);
        let after = facts(&[("a", json!(1)), ("b", json!(3))]);
        let second = disclosed.commit(&after, 2, &mut random).unwrap();
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_eq!(first.digests[&a], second.digests[&a]);
        assert_ne!(first.digests[&b], second.digests[&b]);
        assert_eq!(second.fresh.len(), 1);
        assert_ne!(first.fresh[1].salt(), second.fresh[0].salt());
    }

    #[test]
    fn facts_whose_carrier_is_lost_travel_again_under_the_same_salt() {
        let mut random = SeededRandom::new(1);
        let mut disclosed = Disclosed::default();
        let same = facts(&[("a", json!(1))]);
        let first = disclosed.commit(&same, 7, &mut random).unwrap();
        // Statement 7 was never written: its number comes again.
        let again = disclosed.commit(&same, 7, &mut random).unwrap();
        assert_eq!(again.fresh, first.fresh);
        assert!(
            disclosed
                .commit(&same, 8, &mut random)
                .unwrap()
                .fresh
                .is_empty()
        );
        disclosed.forget_from(5);
        let after = disclosed.commit(&same, 9, &mut random).unwrap();
        assert_eq!(after.fresh, first.fresh);
    }

    #[test]
    fn what_is_too_much_becomes_an_error() {
        let large = "x".repeat(MAX_FACTS_BYTES);
        let bounded = bounded(facts(&[("a", json!(large)), ("b", json!(1))]));
        assert_eq!(
            bounded[&"a".parse().unwrap()].error(),
            Some(Reason::CoveragePartial)
        );
        assert!(!bounded[&"b".parse().unwrap()].is_error());
        let many: Vec<(String, serde_json::Value)> = (0..20)
            .map(|i| (format!("p{i}"), json!("x".repeat(500_000))))
            .collect();
        let many: Vec<(&str, serde_json::Value)> =
            many.iter().map(|(p, v)| (p.as_str(), v.clone())).collect();
        let mut random = SeededRandom::new(1);
        let commitment = Disclosed::default()
            .commit(&super::bounded(facts(&many)), 1, &mut random)
            .unwrap();
        let travels: usize = commitment.fresh.iter().map(|one| one.text().len()).sum();
        assert!(travels < wire::submission::MAX_SUBMISSION_BYTES);
    }
}
