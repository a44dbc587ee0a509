//! One round: what is due is observed, judged and signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crypto::Random;
use evidence::fact::FactSet;
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::Outcome;
use evidence::time::{Clock, Timestamp};
use wire::statement::Times;

use crate::chain::{Chain, ChainError, Draft};
use crate::examine::{Question, Seen};
use crate::examiner::{Examined, Examiner, ExaminerError};
use crate::in_force::InForce;
use crate::remembered;
use crate::state::{StateDir, StateError};
use crate::watch::{Reads, WatchState};

/// Why there was no round.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The host could not be examined at all.
    #[error("this host could not be examined")]
    Examining(#[from] ExaminerError),
    /// What probes remember could not be read or kept.
    #[error(transparent)]
    State(#[from] StateError),
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

/// What a round is made of.
pub struct Wanted<'a> {
    /// Who observes and judges.
    pub examiner: &'a dyn Examiner,
    /// The bundle.
    pub in_force: &'a InForce,
    /// Its checks.
    pub checks: &'a BTreeSet<CheckId>,
    /// No round if every check would be judged by the facts it was last judged by: its outcome is known.
    pub only_if_changed: bool,
    /// What there is to say about watching.
    pub watching: WatchState,
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
/// [`RoundError`]; no number was then used, or the round stands and only what probes learnt is not kept.
pub fn make(
    wanted: &Wanted<'_>,
    state: &StateDir,
    seen: &mut Seen,
    chain: &Mutex<Chain>,
    clock: &dyn Clock,
    random: &mut dyn Random,
) -> Result<Made, RoundError> {
    let question = Question {
        checks: wanted.checks.clone(),
        unless_as: wanted.only_if_changed.then(|| seen.clone()),
        watching: wanted.watching.clone(),
        given_up: FactSet::new(),
    };
    let memory = remembered::load(state)?;
    let in_force = wanted.in_force;
    let Examined { finding, memory } =
        wanted
            .examiner
            .examine(&question, &in_force.bundle, &memory)?;
    let summary = match finding.outcomes {
        None => None,
        Some(outcomes) => {
            let mut counts = BTreeMap::new();
            for judgement in outcomes.values() {
                *counts.entry(judgement.outcome).or_default() += 1;
            }
            let draft = Draft {
                time: Times {
                    start: finding.start,
                    end: finding.end,
                },
                bundle: in_force.reference,
                outcomes,
                facts: finding.facts,
            };
            let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
            Some(Summary {
                seq: chain.append_round(&draft, clock, random)?,
                counts,
                observed_ms: finding.end.ms_since(finding.start),
            })
        }
    };
    seen.extend(finding.seen);
    if let Some(memory) = memory {
        remembered::save(state, &memory)?;
    }
    Ok(Made {
        summary,
        start: finding.start,
        reads: finding.reads,
    })
}
