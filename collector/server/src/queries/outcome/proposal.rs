//! What a host proposes for approval: what its facts hold and the list in force for its group does not.

use std::collections::BTreeMap;

use ::store::reading::RegisteredHost;
use ::store::{Store, StoreError};
use evidence::check::{APPROVED, Check};
use evidence::fact::FactSet;
use evidence::id::{CheckId, GroupId};
use evidence::learn::{Learnt, NotLearnt};
use evidence::outcome::Outcome;
use evidence::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::queries::QueryError;
use crate::queries::fleet::{self, Fleet};

/// What a host would have approved for its group. It changes no outcome before a person has approved it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProposalAnswer {
    /// The group whose hosts would all be judged by it.
    #[schema(value_type = String)]
    pub group: GroupId,
    /// How many hosts that are.
    pub hosts: u64,
    /// Whether the group has an approved list already, to which this would be added.
    pub has_list: bool,
    /// What is not approved yet; empty where the host has nothing to list and that itself is to be approved.
    pub items: Vec<ProposedItem>,
    /// What the check would say of the same facts then.
    #[schema(value_type = String)]
    pub then: Outcome,
}

/// One value for a parameter: of a list an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProposedItem {
    /// The parameter.
    pub parameter: String,
    /// The value, or the item of its list.
    pub value: Value,
}

/// The proposal of a host for a check, from the facts of its last round; none if there is nothing to approve.
///
/// # Errors
/// What the database says, or a bundle that cannot be used.
pub(super) async fn proposal(
    store: &Store,
    fleet: &Fleet,
    host: &RegisteredHost,
    id: &CheckId,
    facts: &FactSet,
    now: Timestamp,
) -> Result<Option<ProposalAnswer>, QueryError> {
    let Some(known) = fleet.in_force(&host.group) else {
        return Ok(None);
    };
    let Some(check) = known.info.bundle.checks.get(id) else {
        return Ok(None);
    };
    if check.learns.is_empty() || !check.probes.iter().all(|probe| facts.contains_key(probe)) {
        return Ok(None);
    }
    let learnt = known.evaluator.learn([id], facts, now);
    let learnt = learnt.map_err(|source| QueryError::Bundle {
        digest: known.info.digest,
        source,
    })?;
    let Some(Ok(learnt)) = learnt.into_values().next() else {
        return Ok(None);
    };
    let then = learnt.judgement.outcome;
    let Some(items) = to_approve(check, learnt) else {
        return Ok(None);
    };
    Ok(Some(ProposalAnswer {
        group: host.group.clone(),
        hosts: hosts_of(store, &host.group).await?,
        has_list: has_list(check),
        items,
        then,
    }))
}

/// How many values a host proposes for each check of which something waits for approval, by its latest facts. None at all
/// where the host has nothing to list, and that is to be approved.
///
/// # Errors
/// What the database says, or a bundle that cannot be used.
pub(in crate::queries) async fn waiting(
    store: &Store,
    fleet: &Fleet,
    host: &RegisteredHost,
) -> Result<BTreeMap<CheckId, u64>, QueryError> {
    let Some(known) = fleet.in_force(&host.group) else {
        return Ok(BTreeMap::new());
    };
    let checks = &known.info.bundle.checks;
    let mut learning: BTreeMap<&CheckId, &Check> = checks
        .iter()
        .filter(|(_, check)| !check.learns.is_empty())
        .collect();
    let probes = learning.values().flat_map(|check| &check.probes).collect();
    let facts = fleet::held(store, host, &probes).await?;
    learning.retain(|_, check| check.probes.iter().all(|probe| facts.contains_key(probe)));
    let now = host.last_rx.unwrap_or(fleet.as_of.at);
    let learnt = known.evaluator.learn(learning.keys().copied(), &facts, now);
    let learnt = learnt.map_err(|source| QueryError::Bundle {
        digest: known.info.digest,
        source,
    })?;
    let waits = |(id, learnt): (CheckId, Result<Learnt, NotLearnt>)| {
        let items = to_approve(learning.get(&id)?, learnt.ok()?)?;
        Some((id, items.len() as u64))
    };
    Ok(learnt.into_iter().filter_map(waits).collect())
}

fn has_list(check: &Check) -> bool {
    check.params.get(APPROVED) == Some(&Value::Bool(true))
}

/// What of a proposal is not approved yet; none if approving would say or change nothing.
fn to_approve(check: &Check, learnt: Learnt) -> Option<Vec<ProposedItem>> {
    let changes = learnt.current != learnt.judgement;
    let mut items = Vec::new();
    for (parameter, value) in learnt.params {
        let approved = check.params.get(&parameter);
        if parameter != APPROVED {
            items.extend(new_items(&parameter, value, approved));
        }
    }
    let says = !items.is_empty() || (changes && !has_list(check));
    says.then_some(items)
}

/// What of a learnt value is not approved yet.
fn new_items(parameter: &str, learnt: Value, approved: Option<&Value>) -> Vec<ProposedItem> {
    let item = |value| ProposedItem {
        parameter: parameter.to_owned(),
        value,
    };
    match learnt {
        Value::Array(items) => {
            let known = approved.and_then(Value::as_array);
            let is_new = |value: &Value| known.is_none_or(|known| !known.contains(value));
            items.into_iter().filter(is_new).map(item).collect()
        }
        value if approved == Some(&value) => Vec::new(),
        value => vec![item(value)],
    }
}

async fn hosts_of(store: &Store, group: &GroupId) -> Result<u64, StoreError> {
    let hosts = store.registered_hosts().await?;
    let of_group = hosts
        .iter()
        .filter(|host| host.group == *group && fleet::is_in_scope(host));
    Ok(of_group.count() as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_not_approved_is_proposed() {
        let new = |learnt: Value, approved: Option<&Value>| -> Vec<Value> {
            let items = new_items("p", learnt, approved);
            items.into_iter().map(|item| item.value).collect()
        };
        let list = json!(["a"]);
        assert_eq!(new(json!(["a", "b"]), Some(&list)), [json!("b")]);
        assert_eq!(new(json!(["a", "b"]), None), [json!("a"), json!("b")]);
        assert!(new(json!([]), Some(&list)).is_empty());
        assert_eq!(new(json!(3), Some(&json!(2))), [json!(3)]);
        assert!(new(json!(3), Some(&json!(3))).is_empty());
    }
}
