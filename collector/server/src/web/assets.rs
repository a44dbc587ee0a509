//! Style, script and icon. Their addresses carry a digest of their content, so they are cached for ever.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::failure::Failure;
use crate::app::App;
use crate::pages::asset;

/// The route of the assets.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/assets/{file}", get(file))
}

async fn file(Path(file): Path<String>) -> Result<Response, Failure> {
    let path = format!("/assets/{file}");
    let found = asset::ALL
        .iter()
        .find(|asset| asset.path == path)
        .ok_or_else(|| Failure::not_found(&path))?;
    let headers = [
        (header::CONTENT_TYPE, found.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, found.body).into_response())
}
