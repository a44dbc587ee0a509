//! A person approves what a host proposes: the list goes into a new bundle for the host's group, signed by the policy key
//! and put in force by a decision in the person's name.

use std::collections::BTreeSet;

use evidence::baseline;
use evidence::bundle::{Bundle, BundleError};
use evidence::check::{APPROVED, Check};
use evidence::id::CheckId;
use serde_json::Value;
use store::StoreError;
use wire::decision::Actor;

use super::derive::{WITH_LISTS, is_kept_up, with_lists_of};
use crate::app::App;
use crate::ingest::refusal::Refusal;
use crate::ingest::sequencer::{Accepted, ActivateCommand, Command};
use crate::queries::outcome::{self, ProposedItem};
use crate::queries::{QueryError, assigned_bundle};
use crate::service::sign_bundle;

/// Why nothing was approved.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// There is no such host or check, or the database failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The host proposes nothing for this check, or not this any more.
    #[error("the host does not propose {0}; look at its present facts")]
    NotProposed(String),
    /// The policy key is kept elsewhere.
    #[error(
        "the policy key is not kept here, so nothing can be signed; sign a bundle where it is and put it in force with `assay-collector bundle activate`"
    )]
    NoKey,
    /// The new bundle does not fit, for example a list longer than a bundle may be.
    #[error("the bundle with what was approved cannot be used")]
    Bundle(#[from] BundleError),
    /// Somebody decided in between, or the log takes nothing now.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<StoreError> for ApprovalError {
    fn from(error: StoreError) -> ApprovalError {
        ApprovalError::Query(error.into())
    }
}

/// What a person approved.
#[derive(Debug, Clone)]
pub struct Approval {
    /// The host that proposes it: its agent's id, as hexadecimal text.
    pub host: String,
    /// The check.
    pub check: String,
    /// The items; the others that the host proposes are not approved.
    pub items: Vec<ProposedItem>,
    /// Who approves.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// Puts what was approved in force for the host's group.
///
/// # Errors
/// [`ApprovalError`]; nothing was approved then.
pub async fn approve(app: &App, approval: Approval) -> Result<Accepted, ApprovalError> {
    let policy = app.policy().ok_or(ApprovalError::NoKey)?;
    let answer = outcome::outcome(
        &app.store,
        &app.library,
        &app.published.checkpoint(),
        &approval.host,
        &approval.check,
        app.clock.now(),
    )
    .await?;
    let proposal = answer
        .proposal
        .ok_or_else(|| ApprovalError::NotProposed("anything for this check".to_owned()))?;
    if let Some(item) = approval
        .items
        .iter()
        .find(|item| !proposal.items.contains(item))
    {
        return Err(ApprovalError::NotProposed(format!(
            "{} for {}",
            item.value, item.parameter
        )));
    }
    let current = assigned_bundle(&app.store, &app.library, &proposal.group).await?;
    let mut bundle = with_items(
        &baseline::bundle()?,
        &current,
        &answer.check,
        &approval.items,
    );
    let versions = app.store.bundles().await?;
    bundle.version = versions
        .iter()
        .map(|(version, _)| version + 1)
        .max()
        .unwrap_or(1);
    bundle.check_types(&baseline::schemas()?)?;
    let command = ActivateCommand {
        envelope: sign_bundle(&bundle, policy)?,
        groups: vec![proposal.group],
        by: approval.by,
        reason: format!(
            "approved for {} as proposed by agent {}: {}",
            answer.check, answer.host, approval.reason
        ),
    };
    Ok(app
        .submit(|answer| Command::Activate(Box::new(command), answer))
        .await?)
}

/// The bundle of a group with more items approved. Where the group is on the program's own checks, it takes their present
/// texts and rules over as well.
fn with_items(built_in: &Bundle, current: &Bundle, id: &CheckId, items: &[ProposedItem]) -> Bundle {
    let mut bundle = if is_kept_up(current) {
        let mut kept = with_lists_of(built_in, current);
        kept.name = Some(WITH_LISTS.to_owned());
        kept
    } else {
        current.clone()
    };
    if let Some(check) = bundle.checks.get_mut(id) {
        add(check, items);
    }
    bundle
}

fn add(check: &mut Check, items: &[ProposedItem]) {
    for item in items {
        let Some(value) = check.params.get_mut(&item.parameter) else {
            continue;
        };
        match value.as_array_mut() {
            Some(list) if list.contains(&item.value) => {}
            Some(list) => list.push(item.value.clone()),
            None => value.clone_from(&item.value),
        }
    }
    let touched: BTreeSet<&str> = items.iter().map(|item| item.parameter.as_str()).collect();
    for parameter in touched {
        if let Some(Value::Array(list)) = check.params.get_mut(parameter) {
            list.sort_by_cached_key(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            });
        }
    }
    if let Some(approved) = check.params.get_mut(APPROVED) {
        *approved = Value::Bool(true);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: &str) -> ProposedItem {
        ProposedItem {
            parameter: "approved".to_owned(),
            value: json!(value),
        }
    }

    #[test]
    fn items_are_added_to_what_is_approved_and_nothing_else_changes() {
        let built_in = baseline::bundle().unwrap();
        let id: CheckId = "account.local.approved".parse().unwrap();
        let once = with_items(&built_in, &built_in, &id, &[item("zoe"), item("bob")]);
        let twice = with_items(&built_in, &once, &id, &[item("amy"), item("bob")]);
        assert_eq!(
            twice.checks[&id].params["approved"],
            json!(["amy", "bob", "zoe"])
        );
        assert_eq!(twice.checks[&id].params[APPROVED], json!(true));
        assert_eq!(twice.name.as_deref(), Some(WITH_LISTS));
        let mut others = twice.clone();
        others
            .checks
            .insert(id.clone(), built_in.checks[&id].clone());
        assert_eq!(others.checks, built_in.checks);

        let own = Bundle {
            name: Some("own".to_owned()),
            ..once
        };
        assert_eq!(with_items(&built_in, &own, &id, &[]), own);
        let none = with_items(&built_in, &built_in, &id, &[]);
        assert_eq!(none.checks[&id].params["approved"], json!([]));
        assert_eq!(none.checks[&id].params[APPROVED], json!(true));
    }
}
