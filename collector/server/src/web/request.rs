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
    told(routes.layer(CatchPanicLayer::custom(panicked))).layer(from_fn_with_state(app, identify))
}

/// Every request of these routes gets a log line.
fn told<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(answered)
        .on_failure(());
    routes.layer(trace)
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::told;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_names_the_route_and_never_the_secret_in_the_address() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let routes: Router = told(Router::new().route("/sign-in/{secret}", get(async || "in")));
        let request = Request::get("/sign-in/hunter2?next=hunter3");
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(routes.oneshot(request).await.unwrap().status(), 200);
        drop(guard);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        for told in ["method=GET", "/sign-in/{secret}", "status=200", "ms="] {
            assert!(text.contains(told), "{told}: {text}");
        }
        assert!(!text.contains("hunter"), "{text}");
    }
}
