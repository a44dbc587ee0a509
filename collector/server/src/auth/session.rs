//! Sessions: a random cookie, of which the database knows the digest.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::Digest;
use store::StoreError;
use store::people::Account;

use super::permission::Role;
use crate::app::App;

/// The cookie's name. The prefix makes browsers insist on Secure, this host and the whole site.
pub const COOKIE: &str = "__Host-assay";
/// How long a session lasts, milliseconds: a working day.
const SESSION_MS: i64 = 12 * 3_600_000;

/// The signed-in person of a request, put there by the guard.
#[derive(Debug, Clone)]
pub struct Person {
    /// Account id: what decisions name.
    pub account: String,
    /// Name to show.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Opens a session and returns the cookie to set.
///
/// # Errors
/// What the database says.
pub async fn open(app: &App, account: &Account) -> Result<HeaderValue, StoreError> {
    let secret = URL_SAFE_NO_PAD.encode(app.random32());
    let now = app.clock.now();
    app.store
        .open_session(
            &Digest::of(secret.as_bytes()),
            &account.id,
            now,
            now.plus_ms(SESSION_MS),
        )
        .await?;
    let cookie = format!(
        "{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}",
        SESSION_MS / 1000
    );
    Ok(HeaderValue::from_str(&cookie).unwrap_or_else(|_| ended()))
}

/// The cookie that ends a session in the browser.
#[must_use]
pub fn ended() -> HeaderValue {
    HeaderValue::from_static("__Host-assay=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The digest of a request's session cookie, if it has one.
#[must_use]
pub fn token(headers: &HeaderMap) -> Option<Digest> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let secret = pairs
        .into_iter()
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, secret)| secret)?;
    (!secret.is_empty() && secret.len() <= 64).then(|| Digest::of(secret.as_bytes()))
}

/// The person of a request's session; `None` without a valid one, or if the role is none.
///
/// # Errors
/// What the database says.
pub async fn person(app: &App, headers: &HeaderMap) -> Result<Option<Person>, StoreError> {
    let Some(token) = token(headers) else {
        return Ok(None);
    };
    let account = app
        .store
        .account_of_session(&token, app.clock.now())
        .await?;
    Ok(account.and_then(|account| {
        Some(Person {
            role: account.role.parse().ok()?,
            account: account.id,
            name: account.name,
        })
    }))
}
