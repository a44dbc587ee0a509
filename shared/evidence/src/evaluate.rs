//! Judging: `(bundle, facts, now) → outcomes`, pure, the same anywhere.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::bundle::{Bundle, BundleError};
use crate::check::Check;
use crate::expression::{Expression, ExpressionError, Inputs, on_big_stack, to_cel, to_json};
use crate::fact::FactSet;
use crate::id::{CheckId, ProbeId};
use crate::learn::{self, Learnt, NotLearnt};
use crate::outcome::{Judgement, Outcome, Reason};
use crate::time::Timestamp;

/// The outcomes of a round, by check.
pub type Outcomes = BTreeMap<CheckId, Judgement>;

/// A bundle, ready to judge. An expression is compiled when it is first asked for: the rule that decides is mostly the
/// first, and who judges a few checks of many pays for these.
pub struct Evaluator {
    checks: BTreeMap<CheckId, Prepared>,
}

struct Prepared {
    check: Check,
    params: Value,
    rules: Vec<Lazy>,
    observed: Lazy,
}

/// An expression that is compiled once, by whoever evaluates it first.
#[derive(Default)]
struct Lazy(OnceLock<Result<Expression, ExpressionError>>);

impl Lazy {
    fn compiled(&self, source: &str) -> Result<&Expression, ExpressionError> {
        self.0
            .get_or_init(|| Expression::compile(source))
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl Evaluator {
    /// Prepares every check of `bundle`.
    #[must_use]
    pub fn new(bundle: &Bundle) -> Evaluator {
        Evaluator::of(bundle, bundle.checks.keys())
    }

    /// Prepares the checks named; one that the bundle does not have is judged `error` with reason `missing`.
    #[must_use]
    pub fn of<'c>(bundle: &Bundle, checks: impl IntoIterator<Item = &'c CheckId>) -> Evaluator {
        let prepared = |id: &CheckId| Some((id.clone(), Prepared::new(bundle.checks.get(id)?)));
        Evaluator {
            checks: checks.into_iter().filter_map(prepared).collect(),
        }
    }

    /// Judges the checks named, over the facts of a round. A check whose probe has no facts is an error, never skipped.
    ///
    /// # Errors
    /// [`BundleError::Engine`] if the engine could not run at all, [`BundleError::Rule`] naming check and rule if an
    /// expression that had to decide does not compile: such a bundle judges nothing.
    pub fn judge<'c>(
        &self,
        checks: impl IntoIterator<Item = &'c CheckId>,
        facts: &FactSet,
        now: Timestamp,
    ) -> Result<Outcomes, BundleError> {
        let wanted: Vec<&CheckId> = checks.into_iter().collect();
        on_big_stack(|| {
            let judge = |id: &&CheckId| {
                let judgement = match self.checks.get(*id) {
                    Some(check) => check
                        .judge(facts, now)
                        .map_err(|wrong| wrong.in_check(id))?,
                    None => Judgement::error(Reason::Missing),
                };
                Ok(((*id).clone(), judgement))
            };
            wanted.iter().map(judge).collect()
        })
        .map_err(BundleError::Engine)?
    }

    /// Judges the checks named and says what was found for each, as [`Evaluator::judge`] and [`Evaluator::observe`] do one
    /// after the other.
    ///
    /// # Errors
    /// As [`Evaluator::judge`].
    pub fn report<'c>(
        &self,
        checks: impl IntoIterator<Item = &'c CheckId>,
        facts: &FactSet,
        now: Timestamp,
    ) -> Result<BTreeMap<CheckId, (Judgement, Value)>, BundleError> {
        let wanted: Vec<&CheckId> = checks.into_iter().collect();
        on_big_stack(|| {
            let report = |id: &&CheckId| {
                let found = match self.checks.get(*id) {
                    Some(check) => check
                        .report(facts, now)
                        .map_err(|wrong| wrong.in_check(id))?,
                    None => (Judgement::error(Reason::Missing), Value::Null),
                };
                Ok(((*id).clone(), found))
            };
            wanted.iter().map(report).collect()
        })
        .map_err(BundleError::Engine)?
    }

    /// What was found, check by check, for showing beside what is expected: the check's `observed` over the facts, or
    /// what the failed probe said.
    ///
    /// # Errors
    /// [`BundleError::Engine`] if the engine could not run at all.
    pub fn observe<'c>(
        &self,
        checks: impl IntoIterator<Item = &'c CheckId>,
        facts: &FactSet,
        now: Timestamp,
    ) -> Result<BTreeMap<CheckId, Value>, BundleError> {
        let wanted: Vec<&CheckId> = checks.into_iter().collect();
        on_big_stack(|| {
            let observe = |id: &&CheckId| {
                self.checks
                    .get(*id)
                    .map(|check| ((*id).clone(), check.observe(facts, now)))
            };
            wanted.iter().filter_map(observe).collect()
        })
        .map_err(BundleError::Engine)
    }
}

impl Evaluator {
    /// What these checks would learn from the facts of a round, by the expressions of their `learns`; nothing for a check
    /// without them. What is learnt is a proposal: it holds once a person has set it as parameter.
    ///
    /// # Errors
    /// As [`Evaluator::judge`].
    pub fn learn<'c>(
        &self,
        checks: impl IntoIterator<Item = &'c CheckId>,
        facts: &FactSet,
        now: Timestamp,
    ) -> Result<BTreeMap<CheckId, Result<Learnt, NotLearnt>>, BundleError> {
        let wanted: Vec<&CheckId> = checks.into_iter().collect();
        on_big_stack(|| {
            wanted
                .iter()
                .filter_map(|id| Some((*id, self.checks.get(*id)?)))
                .filter(|(_, check)| !check.check.learns.is_empty())
                .map(|(id, check)| {
                    let learnt = check
                        .learn(facts, now)
                        .map_err(|wrong| wrong.in_check(id))?;
                    Ok((id.clone(), learnt))
                })
                .collect()
        })
        .map_err(BundleError::Engine)?
    }
}

/// A rule that does not compile, by its number from 1.
struct WrongRule(usize, ExpressionError);

impl WrongRule {
    fn in_check(self, id: &CheckId) -> BundleError {
        BundleError::Rule {
            check: id.clone(),
            rule: self.0,
            source: self.1,
        }
    }
}

impl Prepared {
    fn new(check: &Check) -> Prepared {
        Prepared {
            check: check.clone(),
            params: Value::Object(check.params.clone().into_iter().collect()),
            rules: check.rules.iter().map(|_| Lazy::default()).collect(),
            observed: Lazy::default(),
        }
    }

    fn inputs(&self, facts: &FactSet, now: Timestamp) -> Inputs {
        let own = self
            .check
            .probes
            .iter()
            .filter_map(|probe| Some((probe.to_string(), to_cel(&facts.get(probe)?.to_value()))))
            .collect();
        Inputs::new(own, &self.params, now)
    }

    /// The first failed probe, by id, decides before any rule does.
    fn probe_error(&self, facts: &FactSet) -> Option<Reason> {
        let mut probes: Vec<&ProbeId> = self.check.probes.iter().collect();
        probes.sort();
        probes.into_iter().find_map(|probe| {
            facts
                .get(probe)
                .map_or(Some(Reason::Missing), |facts| facts.error())
        })
    }

    fn judge(&self, facts: &FactSet, now: Timestamp) -> Result<Judgement, WrongRule> {
        match self.probe_error(facts) {
            Some(reason) => Ok(Judgement::error(reason)),
            None => self.decide(&self.inputs(facts, now)),
        }
    }

    /// What the rules say, the facts of every probe being there.
    fn decide(&self, inputs: &Inputs) -> Result<Judgement, WrongRule> {
        for (number, (rule, condition)) in self.check.rules.iter().zip(&self.rules).enumerate() {
            let condition = condition
                .compiled(&rule.condition)
                .map_err(|wrong| WrongRule(number + 1, wrong))?;
            match condition.evaluate(inputs) {
                Ok(cel::Value::Bool(true)) => return Ok(rule.judgement()),
                Ok(cel::Value::Bool(false)) => {}
                Ok(_) | Err(_) => return Ok(Judgement::error(Reason::Evaluation)),
            }
        }
        Ok(self.check.otherwise.judgement())
    }

    fn learn(
        &self,
        facts: &FactSet,
        now: Timestamp,
    ) -> Result<Result<Learnt, NotLearnt>, WrongRule> {
        if let Some(reason) = self.probe_error(facts) {
            return Ok(Err(NotLearnt::Unobservable(reason)));
        }
        let inputs = self.inputs(facts, now);
        let current = self.decide(&inputs)?;
        if current.outcome == Outcome::NotApplicable {
            let reason = current.reason.unwrap_or(Reason::Absent);
            return Ok(Err(NotLearnt::NotApplicable(reason)));
        }
        let params = match learn::values(&self.check, &inputs) {
            Ok(params) => params,
            Err(error) => return Ok(Err(error)),
        };
        let mut all = self.check.params.clone();
        all.extend(params.clone());
        let all = Value::Object(all.into_iter().collect());
        Ok(Ok(Learnt {
            current,
            judgement: self.decide(&inputs.with_params(&all))?,
            params,
        }))
    }

    fn report(&self, facts: &FactSet, now: Timestamp) -> Result<(Judgement, Value), WrongRule> {
        match self.probe_error(facts) {
            Some(reason) => Ok((Judgement::error(reason), self.observe(facts, now))),
            None => {
                let inputs = self.inputs(facts, now);
                Ok((self.decide(&inputs)?, self.show(&inputs)))
            }
        }
    }

    fn observe(&self, facts: &FactSet, now: Timestamp) -> Value {
        let failed = self
            .check
            .probes
            .iter()
            .filter_map(|probe| facts.get(probe))
            .find(|facts| facts.is_error());
        match failed {
            Some(failed) => Value::String(
                failed
                    .detail()
                    .unwrap_or("could not be established")
                    .to_owned(),
            ),
            None => self.show(&self.inputs(facts, now)),
        }
    }

    fn show(&self, inputs: &Inputs) -> Value {
        // What is shown must not keep a bundle from judging: another version may use an extension we lack.
        let Ok(observed) = self.observed.compiled(&self.check.observed) else {
            return Value::Null;
        };
        match observed.evaluate(inputs) {
            Ok(found) => to_json(&found).unwrap_or(Value::Null),
            Err(problem) => Value::String(problem),
        }
    }
}
