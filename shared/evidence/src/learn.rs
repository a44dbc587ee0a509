//! What a host would learn on first sight: values for the parameters of a check, taken from its facts.
//!
//! Learning is data like judging: a check's `learns` holds one expression for each parameter. What comes out is a proposal
//! and no more. Until a person has approved it and it stands in the parameters, the check says `error` with reason
//! `no_baseline`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::{APPROVED, Check};
use crate::expression::{Expression, Inputs, to_json};
use crate::json::check_signable;
use crate::outcome::{Judgement, Reason};

/// Most items of a list that is learnt: nobody reviews more.
pub const MAX_LEARNT_ITEMS: usize = 5000;

/// What a check learnt from the facts of one host.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// The parameters to approve, by name: lists sorted and without doubles, and `baseline = true`.
    pub params: BTreeMap<String, Value>,
    /// What the check says with the parameters that it has.
    pub current: Judgement,
    /// What it would say of the same facts with these parameters.
    pub judgement: Judgement,
}

/// Why a check learnt nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLearnt {
    /// A probe could not establish its facts.
    #[error("what it reads could not be established: {0}")]
    Unobservable(Reason),
    /// The question does not arise on this host.
    #[error("does not apply to this host: {0}")]
    NotApplicable(Reason),
    /// The expression failed on these facts, or its value cannot be a parameter.
    #[error("learns.{param}: {problem}")]
    Evaluation {
        /// The parameter.
        param: String,
        /// What is wrong.
        problem: String,
    },
}

/// The values of a check's `learns`. Call on a big stack.
pub(crate) fn values(check: &Check, inputs: &Inputs) -> Result<BTreeMap<String, Value>, NotLearnt> {
    let mut params = BTreeMap::new();
    for (param, source) in &check.learns {
        let value = value(source, inputs).map_err(|problem| NotLearnt::Evaluation {
            param: param.clone(),
            problem,
        })?;
        params.insert(param.clone(), value);
    }
    params.insert(APPROVED.to_owned(), Value::Bool(true));
    Ok(params)
}

fn value(source: &str, inputs: &Inputs) -> Result<Value, String> {
    let expression = Expression::compile(source).map_err(|error| error.to_string())?;
    let found = to_json(&expression.evaluate(inputs)?).ok_or("yields no JSON value")?;
    let value = settle(found);
    let items = value.as_array().map_or(0, Vec::len);
    if items > MAX_LEARNT_ITEMS {
        return Err(format!(
            "{items} items are more than anybody reviews; at most {MAX_LEARNT_ITEMS}"
        ));
    }
    check_signable(&value).map_err(|problem| problem.to_string())?;
    Ok(value)
}

/// A list as a set: lists within it laid end to end (CEL has no function for that), sorted, each item once, so that the
/// order in which a host lists things changes no digest.
fn settle(value: Value) -> Value {
    let Value::Array(items) = value else {
        return value;
    };
    let mut items: Vec<Value> = items
        .into_iter()
        .flat_map(|item| match item {
            Value::Array(inner) => inner,
            other => vec![other],
        })
        .collect();
    items.sort_by_cached_key(|item| {
        item.as_str()
            .map_or_else(|| item.to_string(), str::to_owned)
    });
    items.dedup();
    Value::Array(items)
}
