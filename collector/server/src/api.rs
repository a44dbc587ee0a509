//! The same answers for programs: `/api/v1`, described by an OpenAPI document that is made from the handlers.
//!
//! Programs authenticate as people do, by the session cookie of `POST /sign-in`. Errors are problem documents (RFC 9457).

mod agents;
mod answers;
mod problem;
mod rounds;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::auth::session;

/// Most bytes of a request's body.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Name of the way to authenticate in the document.
const SECURITY: &str = "session";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Assay",
        description = "Evidence for ISO/IEC 27001:2022, Annex A: how the hosts stand against each control, on what signed and logged observations.\n\nSign in with `POST /sign-in` (form fields `name` and `password`) and send the cookie along. Refusals are problem documents (RFC 9457) with a stable `code`. Times are UTC.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("session" = [])),
    components(schemas(problem::ProblemDocument))
)]
struct Document;

/// Every route of the API.
pub fn router() -> Router<Arc<App>> {
    let (routes, _) = described().split_for_parts();
    routes
        .route("/api/v1/openapi.json", get(openapi))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// The OpenAPI document of the API.
#[must_use]
pub fn document() -> OpenApi {
    let mut document = described().into_openapi();
    let cookie = ApiKey::Cookie(ApiKeyValue::new(session::COOKIE));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(SECURITY, SecurityScheme::ApiKey(cookie));
    document
}

fn described() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(answers::router())
        .merge(rounds::router())
        .merge(agents::router())
}

async fn openapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::document;
    use crate::auth::permission::{Access, ROUTES};

    fn checked_in() -> PathBuf {
        let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
        root.join("../../configs/openapi.json")
    }

    #[test]
    fn the_document_that_is_checked_in_is_the_one_of_this_build() {
        let made = document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("ASSAY_UPDATE").is_some() {
            std::fs::write(checked_in(), &made).unwrap();
        }
        let kept = std::fs::read_to_string(checked_in()).unwrap_or_default();
        assert!(
            made == kept,
            "configs/openapi.json is not what the handlers say; rewrite it with \
             ASSAY_UPDATE=1 cargo test -p assay-collector document_that_is_checked_in"
        );
    }

    #[test]
    fn every_route_of_the_api_is_described() {
        let described = serde_json::to_value(document()).unwrap();
        for route in ROUTES
            .iter()
            .filter(|route| route.path.starts_with("/api/") && route.path != "/api/v1/openapi.json")
        {
            let method = route.method.as_str().to_lowercase();
            let operation = &described["paths"][route.path][&method];
            assert!(operation.is_object(), "{} {}", route.method, route.path);
            assert!(matches!(route.access, Access::Person(_)), "{}", route.path);
            let refused = &operation["responses"]["4XX"]["content"]["application/problem+json"];
            assert!(refused.is_object(), "{method} {}", route.path);
        }
        let paths = described["paths"].as_object().unwrap();
        for path in paths.keys() {
            let known = ROUTES.iter().any(|route| route.path == path);
            assert!(known, "{path} is described and not in the table");
        }
    }
}
