//! What agents ask: a challenge, a place, a receipt, a bundle.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use crypto::Digest;
use evidence::json;
use wire::decision::{Actor, Enrolled, Next};
use wire::enrolment::{Challenge, EnrolAnswer, EnrolRequest, MAX_ENROLMENT_BYTES, possession};
use wire::problem::PROBLEM_TYPE;
use wire::receipt::RECEIPT_TYPE;
use wire::submission::{BUNDLE_HEADER, DICTIONARY_HEADER, MAX_BODY_BYTES, SUBMISSION_TYPE};

use crate::app::App;
use crate::ingest::admit;
use crate::ingest::body_budget::Room;
use crate::ingest::refusal::Refusal;
use crate::ingest::sequencer::{Command, EnrolCommand};

/// Longest hint kept of a host, in characters.
const MAX_HINT_CHARS: usize = 200;
/// What a sender is told to wait when the queue is full, seconds.
const RETRY_AFTER_SECONDS: &str = "5";

/// The routes under `/agent/v1`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/agent/v1/challenge", post(challenge))
        .route("/agent/v1/enrol", post(enrol))
        .route("/agent/v1/statements", post(statement))
        .route("/agent/v1/bundles/{sha256}", get(bundle))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.problem();
        metrics::counter!("assay_http_refusals_total", "code" => self.code().0).increment(1);
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json::canonical(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_TYPE)], body).into_response();
        if matches!(problem.status, 429 | 503) {
            response.headers_mut().insert(
                header::RETRY_AFTER,
                HeaderValue::from_static(RETRY_AFTER_SECONDS),
            );
        }
        response
    }
}

async fn challenge(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let answer = Challenge {
        origin: app.log_key.name().to_string(),
        nonce: app.give_nonce(),
    };
    answer_json("application/json", &answer)
}

async fn enrol(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let (_room, body) = read_body(&app, request, MAX_ENROLMENT_BYTES).await?;
    let request: EnrolRequest =
        json::parse(&body).map_err(|error| Refusal::Enrolment(error.to_string()))?;
    let key = request.spki.key_id();
    app.take_nonce(&request.nonce)?;
    let proven = possession(app.log_key.name().as_str(), &key, &request.nonce);
    request
        .spki
        .verify(&proven, &request.pop)
        .map_err(|_| Refusal::Possession)?;
    let token = app
        .store
        .enrolment_token(&Digest::of(request.token.as_bytes()))
        .await
        .map_err(Refusal::Store)?;
    let token = token
        .filter(|token| !token.revoked && token.expires > app.clock.now())
        .ok_or(Refusal::Token)?;
    let known = app
        .store
        .index_of_key(&key)
        .await
        .map_err(Refusal::Store)?
        .is_some();
    if token.uses == 0 && !known {
        return Err(Refusal::Token);
    }
    let hints = wire::enrolment::Hints {
        hostname: printable(&request.hints.hostname),
        os: printable(&request.hints.os),
        agent_version: printable(&request.hints.agent_version),
        machine: request.hints.machine,
    };
    let enrolled = Enrolled {
        agent: request.agent.unwrap_or(key),
        epoch: 0,
        spki: request.spki,
        grp: token.group.clone(),
        how: format!("token {}", token.id),
        nonce: request.nonce,
        pop: request.pop,
        next: Next::FIRST,
    };
    let command = EnrolCommand {
        enrolled,
        by: Actor {
            user: token.by.clone(),
            role: "operator".to_owned(),
        },
        token: token.id.clone(),
        hints,
    };
    let accepted = app
        .submit(|answer| Command::Enrol(Box::new(command), answer))
        .await?;
    let payload = app
        .store
        .payload(accepted.index)
        .await
        .map_err(Refusal::Store)?
        .unwrap_or_default();
    let entry = wire::decision::Decision::<Enrolled>::parse(&payload)
        .map_err(|error| Refusal::Stopped(error.to_string()))?;
    tracing::info!(agent = %entry.content.agent, group = %entry.content.grp, index = accepted.index, "an agent was enrolled");
    let answer = EnrolAnswer {
        agent: entry.content.agent,
        epoch: entry.content.epoch,
        group: entry.content.grp,
        log_key: app.log_key.to_string(),
        policy_key: app.policy_key,
        next: entry.content.next,
        receipt: accepted.receipt,
        bundle: accepted
            .bundle
            .ok_or_else(|| Refusal::Stopped("no bundle is in force for this group".to_owned()))?,
    };
    answer_json("application/json", &answer)
}

async fn statement(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let headers = request.headers();
    if headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value != SUBMISSION_TYPE)
    {
        return Err(Refusal::MediaType);
    }
    let dictionary = dictionary(headers)?;
    let (mut room, body) = read_body(&app, request, MAX_BODY_BYTES).await?;
    let verified = admit::open(&app.keyring, &body, dictionary.as_ref(), &mut room)?;
    // A task of its own: a sender that goes away does not free the room of what still waits for the sequencer.
    let waiting = tokio::spawn(async move {
        let _room = room;
        app.submit(|answer| Command::Statement(Box::new(verified), answer))
            .await
    });
    let accepted = waiting
        .await
        .map_err(|_| Refusal::Stopped("it is stopping".to_owned()))??;
    let mut response = answer_json(RECEIPT_TYPE, &accepted.receipt)?;
    if let Some(bundle) = accepted
        .bundle
        .and_then(|bundle| HeaderValue::from_str(&bundle.to_hex()).ok())
    {
        response.headers_mut().insert(BUNDLE_HEADER, bundle);
    }
    Ok(response)
}

async fn bundle(
    State(app): State<Arc<App>>,
    Path(sha256): Path<String>,
) -> Result<Response, Refusal> {
    let digest = Digest::from_hex(&sha256).map_err(|_| Refusal::BundleNotInForce)?;
    let file = app
        .store
        .bundle(&digest)
        .await
        .map_err(Refusal::Store)?
        .ok_or(Refusal::BundleNotInForce)?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        // It names accounts that people approved: a cache that others share keeps none.
        (
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ),
    ];
    Ok((headers, file).into_response())
}

fn dictionary(headers: &HeaderMap) -> Result<Option<Digest>, Refusal> {
    let Some(value) = headers.get(DICTIONARY_HEADER) else {
        return Ok(None);
    };
    let digest = value
        .to_str()
        .ok()
        .and_then(|hex| Digest::from_hex(hex).ok());
    digest.map(Some).ok_or(Refusal::DictionaryUnknown)
}

/// Reads a body of at most `limit` bytes, within what all bodies together may take.
async fn read_body(app: &App, request: Request, limit: usize) -> Result<(Room, Bytes), Refusal> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge);
    }
    let mut room = app.bodies.room();
    let bytes = room.read(request.into_body(), limit).await?;
    Ok((room, bytes))
}

/// What a stranger wrote, without control characters and not too long.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_HINT_CHARS)
        .collect()
}

fn answer_json<T: serde::Serialize>(
    media_type: &'static str,
    answer: &T,
) -> Result<Response, Refusal> {
    let body = json::canonical(answer).map_err(|error| Refusal::Stopped(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, media_type)], body).into_response())
}
