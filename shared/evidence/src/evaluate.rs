//! Judging: `(bundle, facts, now) → outcomes`, pure, the same anywhere.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bundle::{Bundle, BundleError};
use crate::check::Check;
use crate::expression::{Expression, Inputs, on_big_stack, to_cel, to_json};
use crate::fact::FactSet;
use crate::id::{CheckId, ProbeId};
use crate::learn::{self, Learnt, NotLearnt};
use crate::outcome::{Judgement, Outcome, Reason};
use crate::time::Timestamp;

/// The outcomes of a round, by check.
pub type Outcomes = BTreeMap<CheckId, Judgement>;

/// A bundle whose expressions are compiled, ready to judge.
pub struct Evaluator {
    checks: BTreeMap<CheckId, Compiled>,
}

struct Compiled {
    check: Check,
    params: Value,
    rules: Vec<(Expression, Judgement)>,
    observed: Option<Expression>,
}

impl Evaluator {
    /// Compiles every rule of `bundle`.
    ///
    /// # Errors
    /// [`BundleError`] naming check and rule of the first expression that does not compile.
    pub fn new(bundle: &Bundle) -> Result<Evaluator, BundleError> {
        on_big_stack(|| {
            let checks = bundle
                .checks
                .iter()
                .map(|(id, check)| Ok((id.clone(), Compiled::new(id, check)?)))
                .collect::<Result<_, BundleError>>()?;
            Ok(Evaluator { checks })
        })
        .map_err(BundleError::Engine)?
    }

    /// Judges the checks named, over the facts of a round. A check whose probe has no facts is an error, never skipped.
    ///
    /// # Errors
    /// [`BundleError::Engine`] if the engine could not run at all.
    pub fn judge<'c>(
        &self,
        checks: impl IntoIterator<Item = &'c CheckId>,
        facts: &FactSet,
        now: Timestamp,
    ) -> Result<Outcomes, BundleError> {
        let wanted: Vec<&CheckId> = checks.into_iter().collect();
        on_big_stack(|| {
            let converted = convert(facts);
            let judge = |id: &&CheckId| {
                (
                    (*id).clone(),
                    self.checks
                        .get(*id)
                        .map_or(Judgement::error(Reason::Missing), |check| {
                            check.judge(facts, &converted, now)
                        }),
                )
            };
            wanted.iter().map(judge).collect()
        })
        .map_err(BundleError::Engine)
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
            let converted = convert(facts);
            let observe = |id: &&CheckId| {
                self.checks
                    .get(*id)
                    .map(|check| ((*id).clone(), check.observe(facts, &converted, now)))
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
    /// [`BundleError::Engine`] if the engine could not run at all.
    pub fn learn<'c>(
        &self,
        checks: impl IntoIterator<Item = &'c CheckId>,
        facts: &FactSet,
        now: Timestamp,
    ) -> Result<BTreeMap<CheckId, Result<Learnt, NotLearnt>>, BundleError> {
        let wanted: Vec<&CheckId> = checks.into_iter().collect();
        on_big_stack(|| {
            let converted = convert(facts);
            wanted
                .iter()
                .filter_map(|id| Some((*id, self.checks.get(*id)?)))
                .filter(|(_, check)| !check.check.learns.is_empty())
                .map(|(id, check)| (id.clone(), check.learn(facts, &converted, now)))
                .collect()
        })
        .map_err(BundleError::Engine)
    }
}

type Converted = BTreeMap<ProbeId, cel::Value>;

fn convert(facts: &FactSet) -> Converted {
    facts
        .iter()
        .map(|(probe, facts)| (probe.clone(), to_cel(&facts.to_value())))
        .collect()
}

impl Compiled {
    fn new(id: &CheckId, check: &Check) -> Result<Compiled, BundleError> {
        let compile = |number: usize, source: &str| {
            Expression::compile(source).map_err(|source| BundleError::Rule {
                check: id.clone(),
                rule: number,
                source,
            })
        };
        let rules = check
            .rules
            .iter()
            .enumerate()
            .map(|(i, rule)| Ok((compile(i + 1, &rule.condition)?, rule.judgement())))
            .collect::<Result<_, BundleError>>()?;
        // What is shown must not keep a bundle from judging: another version may use an extension we lack.
        let observed = Expression::compile(&check.observed).ok();
        let params = Value::Object(check.params.clone().into_iter().collect());
        Ok(Compiled {
            check: check.clone(),
            params,
            rules,
            observed,
        })
    }

    fn inputs(&self, facts: &Converted, now: Timestamp) -> Inputs {
        self.inputs_with(&self.params, facts, now)
    }

    fn inputs_with(&self, params: &Value, facts: &Converted, now: Timestamp) -> Inputs {
        let own = self
            .check
            .probes
            .iter()
            .filter_map(|probe| Some((probe.to_string(), facts.get(probe)?.clone())))
            .collect();
        Inputs::new(own, params, now)
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

    fn judge(&self, facts: &FactSet, converted: &Converted, now: Timestamp) -> Judgement {
        if let Some(reason) = self.probe_error(facts) {
            return Judgement::error(reason);
        }
        self.decide(&self.inputs(converted, now))
    }

    /// What the rules say, the facts of every probe being there.
    fn decide(&self, inputs: &Inputs) -> Judgement {
        for (condition, judgement) in &self.rules {
            match condition.evaluate(inputs) {
                Ok(cel::Value::Bool(true)) => return *judgement,
                Ok(cel::Value::Bool(false)) => {}
                Ok(_) | Err(_) => return Judgement::error(Reason::Evaluation),
            }
        }
        self.check.otherwise.judgement()
    }

    fn learn(
        &self,
        facts: &FactSet,
        converted: &Converted,
        now: Timestamp,
    ) -> Result<Learnt, NotLearnt> {
        if let Some(reason) = self.probe_error(facts) {
            return Err(NotLearnt::Unobservable(reason));
        }
        let inputs = self.inputs(converted, now);
        let current = self.decide(&inputs);
        if current.outcome == Outcome::NotApplicable {
            return Err(NotLearnt::NotApplicable(
                current.reason.unwrap_or(Reason::Absent),
            ));
        }
        let params = learn::values(&self.check, &inputs)?;
        let mut all = self.check.params.clone();
        all.extend(params.clone());
        let all = Value::Object(all.into_iter().collect());
        Ok(Learnt {
            current,
            judgement: self.decide(&self.inputs_with(&all, converted, now)),
            params,
        })
    }

    fn observe(&self, facts: &FactSet, converted: &Converted, now: Timestamp) -> Value {
        let failed = self
            .check
            .probes
            .iter()
            .filter_map(|probe| facts.get(probe))
            .find(|facts| facts.is_error());
        if let Some(failed) = failed {
            return Value::String(
                failed
                    .detail()
                    .unwrap_or("could not be established")
                    .to_owned(),
            );
        }
        match self
            .observed
            .as_ref()
            .map(|expression| expression.evaluate(&self.inputs(converted, now)))
        {
            Some(Ok(found)) => to_json(&found).unwrap_or(Value::Null),
            Some(Err(problem)) => Value::String(problem),
            None => Value::Null,
        }
    }
}
