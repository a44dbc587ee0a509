//! One round: what is due is observed, judged and signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crypto::{Digest, Random};
use evidence::bundle::{Bundle, BundleError};
use evidence::evaluate::Evaluator;
use evidence::fact::{FactSet, Facts};
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::Outcome;
use evidence::time::{Clock, Timestamp};
use wire::statement::Times;

use crate::chain::{Chain, ChainError, Draft};
use crate::disclosed;
use crate::examine;
use crate::host::Host;
use crate::in_force::InForce;
use crate::probe::Memory;
use crate::watch::Reads;

/// Why there was no round.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The checks could not be judged at all.
    #[error("the checks could not be judged")]
    Judging(#[from] BundleError),
    /// The round could not be signed or kept.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// What a round came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its number.
    pub seq: u64,
    /// How many checks came out how.
    pub counts: BTreeMap<Outcome, usize>,
    /// Milliseconds from the first probe to the last.
    pub observed_ms: i64,
}

impl Summary {
    /// How many checks came out like this.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.counts.get(&outcome).copied().unwrap_or_default()
    }
}

/// By check, a digest of the facts that it was last judged by, apart from where they were read.
pub type Seen = BTreeMap<CheckId, Digest>;

/// What a round is made of.
pub struct Wanted<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// The bundle.
    pub in_force: &'a InForce,
    /// Its checks.
    pub checks: &'a BTreeSet<CheckId>,
    /// No round if every check would be judged by the facts it was last judged by: its outcome is known.
    pub only_if_changed: bool,
}

/// What came of a look.
#[derive(Debug)]
pub struct Made {
    /// The round; `None` if nothing had changed.
    pub summary: Option<Summary>,
    /// When the first probe began.
    pub start: Timestamp,
    /// Where each probe read.
    pub reads: BTreeMap<ProbeId, Reads>,
}

/// Makes a round of these checks. The chain is held only while signing, so that shipping goes on meanwhile.
///
/// # Errors
/// [`RoundError`]; no number was then used.
pub fn make(
    wanted: &Wanted<'_>,
    memory: &mut dyn Memory,
    seen: &mut Seen,
    chain: &Mutex<Chain>,
    clock: &dyn Clock,
    random: &mut dyn Random,
) -> Result<Made, RoundError> {
    let (in_force, checks) = (wanted.in_force, wanted.checks);
    let observed = examine::observe(wanted.host, &in_force.bundle, checks, memory, clock);
    let (start, reads) = (observed.start, observed.reads);
    let facts = disclosed::bounded(observed.facts);
    let now_seen = digests(&in_force.bundle, checks, &facts);
    let unchanged = |(check, digest): (&CheckId, &Digest)| seen.get(check) == Some(digest);
    if wanted.only_if_changed && now_seen.iter().all(unchanged) {
        return Ok(Made {
            summary: None,
            start,
            reads,
        });
    }
    let outcomes = Evaluator::of(&in_force.bundle, checks).judge(checks, &facts, observed.end)?;
    let mut counts = BTreeMap::new();
    for judgement in outcomes.values() {
        *counts.entry(judgement.outcome).or_default() += 1;
    }
    let draft = Draft {
        time: Times {
            start: observed.start,
            end: observed.end,
        },
        bundle: in_force.reference,
        outcomes,
        facts,
    };
    let seq = chain
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .append_round(&draft, clock, random)?;
    seen.extend(now_seen);
    let summary = Summary {
        seq,
        counts,
        observed_ms: observed.end.ms_since(start),
    };
    Ok(Made {
        summary: Some(summary),
        start,
        reads,
    })
}

/// By check, what its probes saw. A file that was only touched has another time among the sources, and says nothing else.
fn digests(bundle: &Bundle, checks: &BTreeSet<CheckId>, facts: &FactSet) -> Seen {
    let told = |facts: &Facts| {
        let members = facts.members().iter();
        let told: BTreeMap<_, _> = members.filter(|(name, _)| *name != "sources").collect();
        Digest::of(&serde_json::to_vec(&told).unwrap_or_default())
    };
    let probes: BTreeMap<&ProbeId, Digest> = facts
        .iter()
        .map(|(probe, facts)| (probe, told(facts)))
        .collect();
    let of_check = |id: &CheckId| {
        let own = bundle.checks.get(id)?.probes.iter();
        let parts: Vec<&[u8]> = own
            .filter_map(|probe| probes.get(probe).map(|digest| &digest.as_bytes()[..]))
            .collect();
        Some((id.clone(), Digest::of_parts(&parts)))
    };
    checks.iter().filter_map(of_check).collect()
}

#[cfg(test)]
mod tests {
    use evidence::baseline;

    use super::*;

    fn facts(of: &[(&str, i64)]) -> FactSet {
        of.iter()
            .map(|(probe, value)| {
                let text =
                    format!("{{\"value\": {value}, \"sources\": [{{\"at\": \"/{value}\"}}]}}");
                let members: serde_json::Map<_, _> = serde_json::from_str(&text).unwrap();
                (probe.parse().unwrap(), Facts::new(members))
            })
            .collect()
    }

    /// Two checks share a probe, and a round judged one of them only: the other has not seen what the probe saw.
    #[test]
    fn what_one_check_was_judged_by_is_new_to_another() {
        let bundle = baseline::bundle().unwrap();
        let one: CheckId = "account.uid0.unique".parse().unwrap();
        let reads = |id: &CheckId| {
            bundle.checks[id]
                .probes
                .contains(&"passwd".parse().unwrap())
        };
        let other = bundle
            .checks
            .keys()
            .find(|id| **id != one && reads(id))
            .unwrap();
        let mut probes: Vec<(&str, i64)> = bundle.checks[other]
            .probes
            .iter()
            .map(|id| (id.as_str(), 1))
            .collect();
        let (ours, others) = ([one.clone()].into(), [other.clone()].into());
        let mut seen = digests(&bundle, &ours, &facts(&probes));
        seen.extend(digests(&bundle, &others, &facts(&probes)));
        probes.iter_mut().for_each(|(_, value)| *value = 2);
        let changed = facts(&probes);
        seen.extend(digests(&bundle, &others, &changed));
        let now = digests(&bundle, &ours, &changed);
        assert_ne!(seen.get(&one), now.get(&one));
        assert_eq!(
            seen.get(other),
            digests(&bundle, &others, &changed).get(other)
        );
    }
}
