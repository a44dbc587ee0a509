//! One round: what is due is observed, judged and signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crypto::{Digest, Random};
use evidence::bundle::BundleError;
use evidence::fact::FactSet;
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

/// What was seen last of each probe, apart from where it was read.
pub type Seen = BTreeMap<ProbeId, Digest>;

/// What a round is made of.
pub struct Wanted<'a> {
    /// The host.
    pub host: &'a dyn Host,
    /// The bundle.
    pub in_force: &'a InForce,
    /// Its checks.
    pub checks: &'a BTreeSet<CheckId>,
    /// No round if every probe sees what it saw last: the outcomes are those that are known.
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
    let now_seen = digests(&facts);
    let unchanged = |(probe, digest): (&ProbeId, &Digest)| seen.get(probe) == Some(digest);
    if wanted.only_if_changed && now_seen.iter().all(unchanged) {
        return Ok(Made {
            summary: None,
            start,
            reads,
        });
    }
    let outcomes = in_force.evaluator.judge(checks, &facts, observed.end)?;
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

/// A file that was only touched has another time among the sources, and says nothing else.
fn digests(facts: &FactSet) -> Seen {
    let digest = |facts: &evidence::fact::Facts| {
        let members = facts.members().iter();
        let told: BTreeMap<_, _> = members.filter(|(name, _)| *name != "sources").collect();
        Digest::of(&serde_json::to_vec(&told).unwrap_or_default())
    };
    facts
        .iter()
        .map(|(probe, facts)| (probe.clone(), digest(facts)))
        .collect()
}
