//! One round: what is due is observed, judged and signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crypto::Random;
use evidence::bundle::BundleError;
use evidence::id::CheckId;
use evidence::outcome::Outcome;
use evidence::time::Clock;
use wire::statement::Times;

use crate::chain::{Chain, ChainError, Draft};
use crate::disclosed;
use crate::examine;
use crate::host::Host;
use crate::in_force::InForce;
use crate::probe::Memory;

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

/// Makes a round of these checks. The chain is held only while signing, so that shipping goes on meanwhile.
///
/// # Errors
/// [`RoundError`]; no number was then used.
pub fn make(
    host: &dyn Host,
    in_force: &InForce,
    checks: &BTreeSet<CheckId>,
    memory: &mut dyn Memory,
    chain: &Mutex<Chain>,
    clock: &dyn Clock,
    random: &mut dyn Random,
) -> Result<Summary, RoundError> {
    let observed = examine::observe(host, &in_force.bundle, checks, memory, clock);
    let facts = disclosed::bounded(observed.facts);
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
    Ok(Summary {
        seq,
        counts,
        observed_ms: observed.end.ms_since(observed.start),
    })
}
