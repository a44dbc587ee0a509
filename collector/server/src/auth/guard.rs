//! What every request passes: the table of permissions, the session, and where unsafe requests come from.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::permission::{self, Access};
use super::session;
use crate::app::App;
use crate::pages::{self, route};
use crate::web::asking;
use crate::web::failure::Failure;

/// Lets a request through if the table says so. Whatever the answer is, it is hardened.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let access = request
        .extensions()
        .get::<MatchedPath>()
        .and_then(|matched| permission::access(request.method(), matched.as_str()));
    let mut response = judge(&app, request, next).await;
    // What anyone may read can be cached; what depends on who asks, or that it was refused, cannot.
    let anyones = access == Some(Access::Public) && response.status().is_success();
    harden(
        response.headers_mut(),
        !anyones && access != Some(Access::Agent),
    );
    response
}

async fn judge(app: &App, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let Some(matched) = request
        .extensions()
        .get::<MatchedPath>()
        .map(|matched| matched.as_str().to_owned())
    else {
        return Failure::not_found(&path).into_response();
    };
    let Some(access) = permission::access(request.method(), &matched) else {
        // Known path, other method: the router answers 405. A route that the table lacks must not answer at all.
        let allowed = permission::methods(&matched);
        return match HeaderValue::from_str(&allowed) {
            Ok(allowed) if !allowed.is_empty() => {
                ([(header::ALLOW, allowed)], Failure::method(&path)).into_response()
            }
            _ => Failure::forbidden(&path).into_response(),
        };
    };
    if access != Access::Agent
        && is_unsafe(request.method())
        && !comes_from_here(request.headers(), request.uri())
    {
        return Failure::cross_site(&path).into_response();
    }
    if let Access::Person(permission) = access {
        match session::person(app, request.headers()).await {
            Ok(Some(person)) if person.role.may(permission) => {
                request.extensions_mut().insert(person);
            }
            Ok(Some(_)) => return Failure::forbidden(&path).into_response(),
            Ok(None) => return unauthenticated(&request),
            Err(error) => return Failure::store(&path, error).into_response(),
        }
    }
    next.run(request).await
}

fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether an unsafe request was sent by a page of ours. Browsers say so by Fetch metadata, older ones by Origin; a
/// client that sends neither is no browser and carries no one's cookie against their will.
fn comes_from_here(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        return matches!(site, b"same-origin" | b"none");
    }
    match headers.get(header::ORIGIN) {
        None => true,
        Some(_) => {
            let origin = text(header::ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
            origin.is_some() && origin == asking::host(headers, uri)
        }
    }
}

/// Programs are told; people are sent to sign in and brought back.
fn unauthenticated(request: &Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return Failure::unauthenticated(path).into_response();
    }
    let next = request
        .uri()
        .path_and_query()
        .map_or(path, |all| all.as_str());
    Redirect::to(&route::with_query(
        route::SIGN_IN,
        &[("next", if next == "/" { "" } else { next })],
    ))
    .into_response()
}

fn harden(headers: &mut HeaderMap, private: bool) {
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            pages::CONTENT_SECURITY_POLICY,
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if private {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
