//! Signing in and out. No answer tells whether an account exists.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use crypto::Digest;
use serde::Deserialize;
use store::people::Account;
use zeroize::Zeroizing;

use super::{password, session};
use crate::app::App;
use crate::pages::route;
use crate::pages::signin::{Notice, SignInPage};
use crate::web::failure::{Failure, page};

/// Longest name and password looked at, in bytes.
const MAX_FIELD_BYTES: usize = 1024;

/// The routes of sign-in and sign-out.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/sign-in", get(form).post(submit))
        .route("/sign-in/{secret}", get(link))
        .route("/sign-out", post(sign_out))
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: Zeroizing<String>,
    #[serde(default)]
    next: String,
}

async fn form(Query(query): Query<Next>) -> Result<Response, Failure> {
    page(&SignInPage {
        notice: Notice::None,
        next: local(&query.next).to_owned(),
    })
}

async fn submit(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Form(form): Form<Credentials>,
) -> Result<Response, Failure> {
    let next = local(&form.next).to_owned();
    if form.name.len() > MAX_FIELD_BYTES || form.password.len() > MAX_FIELD_BYTES {
        return refused(Notice::Refused, next);
    }
    let by_name = format!("name:{}", form.name);
    let keys = [format!("address:{}", peer.ip()), by_name.clone()];
    if let Err(seconds) = app.throttle.attempt(&keys, app.clock.now()) {
        metrics::counter!("assay_sign_in_throttled_total").increment(1);
        return refused(Notice::Wait(seconds), next);
    }
    let account = app
        .store
        .account_by_name(&form.name)
        .await
        .map_err(|error| Failure::store(route::SIGN_IN, error))?;
    let account = account.filter(|account| !account.disabled);
    let hash = account
        .as_ref()
        .and_then(|account| account.password.clone());
    // argon2 takes 19 MB and tens of milliseconds: never more than a few at once, never on the runtime's threads.
    let permit = app
        .sign_ins
        .acquire()
        .await
        .map_err(|_| Failure::forbidden(route::SIGN_IN))?;
    let verified =
        tokio::task::spawn_blocking(move || password::verify(&form.password, hash.as_deref()))
            .await
            .unwrap_or(false);
    drop(permit);
    match account.filter(|_| verified) {
        Some(account) => {
            app.throttle.succeed(&by_name);
            enter(&app, &account, &next).await
        }
        None => {
            metrics::counter!("assay_sign_in_refused_total").increment(1);
            refused(Notice::Refused, next)
        }
    }
}

/// A link that signs its account in once.
async fn link(
    State(app): State<Arc<App>>,
    Path(secret): Path<String>,
) -> Result<Response, Failure> {
    let spent = app
        .store
        .spend_sign_in_link(&Digest::of(secret.as_bytes()), app.clock.now())
        .await;
    match spent.map_err(|error| Failure::store(route::SIGN_IN, error))? {
        Some(account) => enter(&app, &account, "").await,
        None => refused(Notice::Expired, String::new()),
    }
}

async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Failure> {
    if let Some(token) = session::token(&headers) {
        app.store
            .close_session(&token)
            .await
            .map_err(|error| Failure::store(route::SIGN_OUT, error))?;
    }
    let mut response = page(&SignInPage {
        notice: Notice::SignedOut,
        next: String::new(),
    })?;
    response
        .headers_mut()
        .insert(header::SET_COOKIE, session::ended());
    Ok(response)
}

async fn enter(app: &App, account: &Account, next: &str) -> Result<Response, Failure> {
    let cookie = session::open(app, account)
        .await
        .map_err(|error| Failure::store(route::SIGN_IN, error))?;
    tracing::info!(account = %account.id, "signed in");
    let to = if next.is_empty() {
        route::OVERVIEW
    } else {
        next
    };
    let mut response = Redirect::to(to).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        axum::http::HeaderValue::from_static("no-store"),
    );
    Ok(response)
}

fn refused(notice: Notice, next: String) -> Result<Response, Failure> {
    let mut response = page(&SignInPage { notice, next })?;
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    if let Notice::Wait(seconds) = notice {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// A path of this site, or nothing: `next` comes from strangers.
fn local(next: &str) -> &str {
    let inside = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control)
        && next.len() <= MAX_FIELD_BYTES;
    if inside { next } else { "" }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn next_stays_on_this_site() {
        assert_eq!(local("/hosts?q=a"), "/hosts?q=a");
        for outside in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "evil",
            "/a\r\nb",
            "",
        ] {
            assert_eq!(local(outside), "", "{outside}");
        }
    }
}
