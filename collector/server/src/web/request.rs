//! One line of log per request, and an id by which a person's problem is found in it.
//!
//! The line names the route, never the address: an address may hold a secret (a sign-in link), a route cannot.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

use super::failure::Failure;
use crate::app::App;

/// Response header with the request's id.
pub const ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static REQUEST: Identity;
}

/// A request as its answer and its log line name it.
#[derive(Debug, Clone)]
struct Identity {
    id: String,
    path: String,
}

/// Id of the request that is being answered; empty outside of one.
#[must_use]
pub fn id() -> String {
    REQUEST
        .try_with(|request| request.id.clone())
        .unwrap_or_default()
}

/// Every request of these routes gets an id and a log line, and a panic becomes a problem.
pub fn observed(routes: Router<Arc<App>>, app: Arc<App>) -> Router<Arc<App>> {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(answered)
        .on_failure(());
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(trace)
        .layer(from_fn_with_state(app, identify))
}

async fn identify(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let identity = Identity {
        id: hex::encode(&app.random32()[..8]),
        path: request.uri().path().to_owned(),
    };
    request.extensions_mut().insert(identity.clone());
    let header = HeaderValue::from_str(&identity.id);
    let mut response = REQUEST.scope(identity, next.run(request)).await;
    if let Ok(id) = header {
        response.headers_mut().insert(ID_HEADER, id);
    }
    response
}

fn span(request: &Request) -> Span {
    let extensions = request.extensions();
    let route = extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let id = extensions
        .get::<Identity>()
        .map(|identity| identity.id.as_str());
    tracing::info_span!(
        "request",
        method = %request.method(),
        route = route.unwrap_or("none"),
        id = id.unwrap_or_default(),
    )
}

fn answered<B>(response: &axum::http::Response<B>, took: Duration, _: &Span) {
    let status = response.status().as_u16();
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match status {
        500.. => tracing::error!(status, ms, "answered"),
        _ => tracing::info!(status, ms, "answered"),
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(said = said.unwrap_or("nothing"), "a request panicked");
    let path = REQUEST.try_with(|request| request.path.clone());
    Failure::internal(&path.unwrap_or_default()).into_response()
}
