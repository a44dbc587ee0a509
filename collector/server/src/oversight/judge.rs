//! The rules of the checks that the collector judges, compiled.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::check::Check;
use evidence::evaluate::Evaluator;
use evidence::fact::FactSet;
use evidence::id::CheckId;
use evidence::outcome::{Judgement, Reason};
use evidence::time::Timestamp;
use serde_json::Value;

/// Outcomes remembered by facts: hosts that are alike share them. Beyond it all are forgotten and found again.
const REMEMBERED: usize = 16_384;

/// The checks of one bundle that the collector judges.
pub struct Overseer {
    checks: BTreeMap<CheckId, Check>,
    evaluator: Evaluator,
    remembered: Mutex<HashMap<Digest, Judgement>>,
}

impl std::fmt::Debug for Overseer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Overseer")
            .field(&self.checks.keys())
            .finish()
    }
}

impl Overseer {
    /// Takes what of a bundle is the collector's.
    #[must_use]
    pub fn new(bundle: &Bundle) -> Overseer {
        let own = bundle.for_collector();
        Overseer {
            evaluator: Evaluator::new(&own),
            checks: own.checks,
            remembered: Mutex::default(),
        }
    }

    /// The checks, by id.
    #[must_use]
    pub fn checks(&self) -> &BTreeMap<CheckId, Check> {
        &self.checks
    }

    /// Judges a check by facts. The same facts always give the same outcome: the rules know no time, and of a time among
    /// the facts only that it is there.
    #[must_use]
    pub fn judge(&self, check: &CheckId, facts: &FactSet) -> Judgement {
        let timeless = timeless(facts);
        let mut bytes = check.as_str().as_bytes().to_vec();
        bytes.extend(serde_json::to_vec(&timeless).unwrap_or_default());
        let key = Digest::of(&bytes);
        if let Some(known) = self.remembered().get(&key) {
            return *known;
        }
        let now = Timestamp::from_unix_ms(0);
        let judged = self.evaluator.judge([check], &timeless, now);
        let judged = judged.inspect_err(|error| {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "a check that the collector judges is an error: its rule does not compile"
            );
        });
        let judged = judged.ok().and_then(|mut all| all.remove(check));
        let judgement = judged.unwrap_or(Judgement::error(Reason::Evaluation));
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, judgement);
        judgement
    }

    /// What was found, as the check says it.
    #[must_use]
    pub fn observe(&self, check: &CheckId, facts: &FactSet) -> Option<Value> {
        let observed = self
            .evaluator
            .observe([check], facts, Timestamp::from_unix_ms(0));
        observed.ok()?.remove(check)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Judgement>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Facts whose times all read alike.
fn timeless(facts: &FactSet) -> FactSet {
    let mut facts = facts.clone();
    for facts in facts.values_mut() {
        let mut members = facts.members().clone();
        if let Some(received) = members.get_mut("received") {
            *received = Value::String(Timestamp::from_unix_ms(0).to_string());
        }
        *facts = evidence::fact::Facts::new(members);
    }
    facts
}
