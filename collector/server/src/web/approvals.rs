//! The form by which a person approves what a host proposes.

use std::sync::Arc;

use axum::extract::Form;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Router, http};
use serde_json::Value;
use wire::decision::Actor;

use super::asking::{Part, Reader};
use super::failure::Failure;
use crate::app::App;
use crate::bundles::approval::{Approval, ApprovalError, approve};
use crate::ingest::refusal::Refusal;
use crate::pages::route;
use crate::queries::outcome::ProposedItem;

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 300;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/hosts/{key}/{check}/approve", post(submit))
}

type Fields = Vec<(String, String)>;

async fn submit(
    reader: Reader,
    Part((key, check)): Part<(String, String)>,
    form: Result<Form<Fields>, FormRejection>,
) -> Result<Response, Failure> {
    let Form(fields) = form.map_err(|rejection| match rejection.status() {
        http::StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Failure::media_type(&reader.path, "application/x-www-form-urlencoded")
        }
        _ => Failure::bad_request(&reader.path, &rejection.body_text()),
    })?;
    let (items, reason) =
        read(fields).map_err(|problem| Failure::bad_request(&reader.path, &problem))?;
    let approval = Approval {
        host: key.clone(),
        check: check.clone(),
        items,
        by: Actor {
            user: reader.person.account.clone(),
            role: reader.person.role.as_str().to_owned(),
        },
        reason,
    };
    let accepted = match approve(&reader.app, approval).await {
        Ok(accepted) => accepted,
        Err(error) => return refused(&reader, error),
    };
    tracing::info!(%check, host = %key, index = accepted.index, by = %reader.person.account, "a proposal was approved");
    Ok(Redirect::to(&route::outcome(&key, &check)).into_response())
}

fn refused(reader: &Reader, error: ApprovalError) -> Result<Response, Failure> {
    match error {
        ApprovalError::Query(error) => Err(reader.failed(error)),
        ApprovalError::NotProposed(_) | ApprovalError::NoKey | ApprovalError::Bundle(_) => {
            Err(Failure::conflict(&reader.path, &error.to_string()))
        }
        // Another bundle took the version in between.
        ApprovalError::Refused(refusal @ Refusal::RoundContent(_)) => {
            Err(Failure::conflict(&reader.path, &refusal.to_string()))
        }
        ApprovalError::Refused(refusal) => Ok(refusal.into_response()),
    }
}

/// The ticked items and the reason.
fn read(fields: Fields) -> Result<(Vec<ProposedItem>, String), String> {
    let mut items = Vec::new();
    let mut reason = String::new();
    for (name, value) in fields {
        match name.as_str() {
            "item" => {
                let (parameter, value): (String, Value) = serde_json::from_str(&value)
                    .map_err(|_| "An item is a JSON array of parameter and value.".to_owned())?;
                items.push(ProposedItem { parameter, value });
            }
            "reason" => value.trim().clone_into(&mut reason),
            _ => return Err(format!("There is no field {name:?}.")),
        }
    }
    let length = reason.chars().count();
    if length == 0 || length > MAX_REASON_CHARS || reason.chars().any(char::is_control) {
        return Err(format!(
            "A reason has 1 to {MAX_REASON_CHARS} characters, none of them a control character."
        ));
    }
    Ok((items, reason))
}
