//! One look at a host: which probes the wanted checks need, what those saw, and when.
//!
//! The same for a single `check` and for a signed round, so that both say the same of the same host.

use std::collections::{BTreeMap, BTreeSet};

use evidence::bundle::Bundle;
use evidence::fact::FactSet;
use evidence::id::{CheckId, ProbeId};
use evidence::time::{Clock, Timestamp};

use crate::host::Host;
use crate::probe::{self, Memory};
use crate::watch::Reads;

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
    let start = clock.now();
    let (facts, reads) = probe::observe_each(host, memory, start, &probes_of(bundle, checks));
    Observed {
        start,
        end: clock.now().max(start),
        facts,
        reads,
    }
}
