//! Who may enrol agents, and the end of an agent's key.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use crypto::Digest;
use evidence::id::GroupId;
use evidence::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::decision::Actor;
use wire::leaf::Kind;

use super::problem::Refusals;
use crate::app::App;
use crate::ingest::refusal::Refusal;
use crate::ingest::sequencer::{Command, EndCommand};
use crate::web::asking::{Part, Reader};
use crate::web::failure::Failure;

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 500;

/// The operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(get_tokens))
        .routes(routes!(revoke_agent))
        .routes(routes!(retire_agent))
}

/// The enrolment tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Tokens {
    /// Every token that was made, newest last.
    tokens: Vec<Token>,
}

/// An enrolment token, without its secret, which nobody but its holder knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Token {
    /// Its id.
    id: String,
    /// The group that agents enter with it.
    #[schema(value_type = String)]
    group: GroupId,
    /// How many more agents may enrol with it.
    uses: u32,
    /// Until when it works.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// Who made it.
    by: String,
    /// Whether it was revoked.
    revoked: bool,
}

/// Why an agent's key ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndRequest {
    /// The reason, which the ledger keeps for ever: no personal data.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// The entry that ended an agent's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Ended {
    /// Its place in the ledger, from zero.
    index: u64,
}

/// The enrolment tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "Agents",
    responses((status = 200, body = Tokens), Refusals))]
async fn get_tokens(reader: Reader) -> Result<Json<Tokens>, Failure> {
    let tokens = reader.store().enrolment_tokens().await;
    let tokens = tokens.map_err(|error| Failure::store(&reader.path, error))?;
    let told = tokens.into_iter().map(|token| Token {
        id: token.id,
        group: token.group,
        uses: token.uses,
        expires: token.expires,
        created: token.created,
        by: token.by,
        revoked: token.revoked,
    });
    Ok(Json(Tokens {
        tokens: told.collect(),
    }))
}

/// Ends an agent's key because it cannot be trusted any more. The host stays in scope, as one that is not observed.
#[utoipa::path(post, path = "/api/v1/agents/{key}/revoke", tag = "Agents", request_body = EndRequest,
    params(("key" = String, Path, description = "The agent's id: 64 hexadecimal digits")),
    responses((status = 200, body = Ended), Refusals))]
async fn revoke_agent(
    reader: Reader,
    Part(key): Part<String>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Failure> {
    end(&reader, &key, &headers, body, Kind::Revoke).await
}

/// Ends an agent because its host is gone. The host leaves the scope.
#[utoipa::path(post, path = "/api/v1/agents/{key}/retire", tag = "Agents", request_body = EndRequest,
    params(("key" = String, Path, description = "The agent's id: 64 hexadecimal digits")),
    responses((status = 200, body = Ended), Refusals))]
async fn retire_agent(
    reader: Reader,
    Part(key): Part<String>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Failure> {
    end(&reader, &key, &headers, body, Kind::Retire).await
}

async fn end(
    reader: &Reader,
    key: &str,
    headers: &HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
    kind: Kind,
) -> Result<Response, Failure> {
    let agent = Digest::from_hex(key).map_err(|_| Failure::not_found(&reader.path))?;
    let command = EndCommand {
        agent,
        kind,
        by: Actor {
            user: reader.person.account.clone(),
            role: reader.person.role.as_str().to_owned(),
        },
        reason: reason(&reader.path, headers, body)?,
    };
    let ended = reader
        .app
        .submit(|answer| Command::End(command, answer))
        .await;
    match ended {
        Ok(accepted) => {
            tracing::info!(%agent, kind = kind.as_str(), index = accepted.index, by = %reader.person.account, "an agent was ended");
            let index = accepted.index;
            Ok(Json(Ended { index }).into_response())
        }
        Err(Refusal::UnknownAgent) => Err(Failure::not_found(&reader.path)),
        Err(refusal @ Refusal::KeyEnded(_)) => {
            Err(Failure::conflict(&reader.path, &refusal.to_string()))
        }
        Err(refusal) => Ok(refusal.into_response()),
    }
}

/// The reason in a body that says it is JSON; a form of another site cannot say that.
fn reason(
    path: &str,
    headers: &HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<String, Failure> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    if media_type.map(str::trim) != Some("application/json") {
        return Err(Failure::media_type(path, "application/json"));
    }
    let body = body.map_err(|error| Failure::bad_request(path, &error.body_text()))?;
    let request: EndRequest = serde_json::from_slice(&body).map_err(|error| {
        Failure::bad_request(path, &format!("Expected {{\"reason\": …}}: {error}."))
    })?;
    let reason = request.reason.trim().to_owned();
    let length = reason.chars().count();
    if length == 0 || length > MAX_REASON_CHARS || reason.chars().any(char::is_control) {
        return Err(Failure::bad_request(
            path,
            &format!(
                "A reason has 1 to {MAX_REASON_CHARS} characters, none of them a control character."
            ),
        ));
    }
    Ok(reason)
}
