//! One look at a host: which probes the wanted checks need, what those saw, when, and what the checks say of it.
//!
//! [`observe`] is the same for a single `check` and for a signed round, so that both say the same of the same host.
//! [`examine`] is the look that a service asks for ([`crate::examiner`]): question in, finding out, nothing kept.

use std::collections::{BTreeMap, BTreeSet};

use crypto::Digest;
use evidence::bundle::{Bundle, BundleError};
use evidence::cadence::Cadence;
use evidence::evaluate::{Evaluator, Outcomes};
use evidence::fact::{FactSet, Facts};
use evidence::id::{CheckId, ProbeId};
use evidence::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::disclosed;
use crate::host::Host;
use crate::probe::{self, Memory};
use crate::remembered::Remembered;
use crate::watch::{Reads, WatchState};

/// Where the probe `watch` looks for what is watched.
const WATCH_STATE: &str = "watch/state";

/// What the probes saw, judged by nobody yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Before the first probe.
    pub start: Timestamp,
    /// After the last probe: `now` of every expression. Never before `start`, even if the wall clock was set back.
    pub end: Timestamp,
    /// The facts of exactly the probes that the checks read.
    pub facts: FactSet,
    /// Where each probe read.
    pub reads: BTreeMap<ProbeId, Reads>,
}

/// The probes that these checks read. A check that the bundle does not have reads none.
#[must_use]
pub fn probes_of(bundle: &Bundle, checks: &BTreeSet<CheckId>) -> BTreeSet<ProbeId> {
    checks
        .iter()
        .filter_map(|id| bundle.checks.get(id))
        .flat_map(|check| check.probes.iter().cloned())
        .collect()
}

/// Observes what these checks read, each probe once.
pub fn observe(
    host: &dyn Host,
    bundle: &Bundle,
    checks: &BTreeSet<CheckId>,
    memory: &mut dyn Memory,
    clock: &dyn Clock,
) -> Observed {
    observe_probes(host, probes_of(bundle, checks), memory, clock, &mut |_| {})
}

fn observe_probes(
    host: &dyn Host,
    probes: BTreeSet<ProbeId>,
    memory: &mut dyn Memory,
    clock: &dyn Clock,
    begun: &mut dyn FnMut(&ProbeId),
) -> Observed {
    let start = clock.now();
    let (facts, reads) = probe::observe_each(host, memory, start, &probes, begun);
    Observed {
        start,
        end: clock.now().max(start),
        facts,
        reads,
    }
}

/// What a service must know of a bundle without judging by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the bundle.
    pub version: u64,
    /// Its checks.
    pub checks: BTreeMap<CheckId, Planned>,
}

/// A check as a service sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When it is due, as [`Cadence`] reads it.
    pub cadence: String,
    /// The probes that it reads.
    pub probes: Vec<ProbeId>,
}

/// Why a bundle cannot be used with this program.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Its content cannot be used with this program's probes.
    #[error(transparent)]
    Content(#[from] BundleError),
    /// A check with a cadence that is none.
    #[error("check {check}: {problem}")]
    Cadence {
        /// The check.
        check: CheckId,
        /// What is wrong.
        problem: String,
    },
}

/// Holds a bundle (its JCS bytes) against this program: form, every expression against the facts of the probes, cadences.
///
/// # Errors
/// [`Unfit`] naming the check.
pub fn plan(bundle: &[u8]) -> Result<Plan, Unfit> {
    let bundle = Bundle::parse(bundle)?;
    bundle.check_types(&evidence::baseline::schemas()?)?;
    let planned = |(id, check): (CheckId, evidence::check::Check)| {
        let cadence = check.cadence.parse::<Cadence>();
        cadence.map_err(|error| Unfit::Cadence {
            check: id.clone(),
            problem: error.to_string(),
        })?;
        let (cadence, probes) = (check.cadence, check.probes);
        Ok((id, Planned { cadence, probes }))
    };
    Ok(Plan {
        version: bundle.version,
        checks: bundle
            .for_hosts()
            .checks
            .into_iter()
            .map(planned)
            .collect::<Result<_, Unfit>>()?,
    })
}

/// By check, a digest of the facts that it was last judged by, apart from where they were read.
pub type Seen = BTreeMap<CheckId, Digest>;

/// What is asked of a look that may become a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The checks.
    pub checks: BTreeSet<CheckId>,
    /// If given, nothing is found when every check would be judged by the facts that it was last judged by.
    pub unless_as: Option<Seen>,
    /// What there is to say about watching.
    pub watching: WatchState,
    /// Probes that are not asked again, and what stands for their facts.
    pub given_up: FactSet,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Before the first probe.
    pub start: Timestamp,
    /// After the last probe.
    pub end: Timestamp,
    /// Where each probe read.
    pub reads: BTreeMap<ProbeId, Reads>,
    /// What the checks asked for were judged by.
    pub seen: Seen,
    /// The outcomes; `None` if nothing had changed.
    pub outcomes: Option<Outcomes>,
    /// The facts they rest on, bounded; none if nothing had changed.
    pub facts: FactSet,
}

/// Observes and judges. `begun` is told each probe before it is asked.
///
/// # Errors
/// [`BundleError`] if nothing can be judged by the bundle.
pub fn examine(
    question: Question,
    bundle: &Bundle,
    memory: &mut Remembered,
    host: &dyn Host,
    clock: &dyn Clock,
    begun: &mut dyn FnMut(&ProbeId),
) -> Result<Finding, BundleError> {
    if let Ok(watching) = serde_json::to_value(&question.watching) {
        memory.remember(WATCH_STATE, watching);
    }
    let checks = &question.checks;
    let mut probes = probes_of(bundle, checks);
    probes.retain(|probe| !question.given_up.contains_key(probe));
    let observed = observe_probes(host, probes, memory, clock, begun);
    let mut facts = observed.facts;
    facts.extend(question.given_up);
    let facts = disclosed::bounded(facts);
    let mut finding = Finding {
        start: observed.start,
        end: observed.end,
        reads: observed.reads,
        seen: digests(bundle, checks, &facts),
        outcomes: None,
        facts: FactSet::new(),
    };
    let as_before = |before: &Seen| {
        finding
            .seen
            .iter()
            .all(|(id, now)| before.get(id) == Some(now))
    };
    if !question.unless_as.as_ref().is_some_and(as_before) {
        let judged = Evaluator::of(bundle, checks).judge(checks, &facts, finding.end)?;
        finding.outcomes = Some(judged);
        finding.facts = facts;
    }
    Ok(finding)
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
