//! The log as any reader of C2SP tlog-tiles expects it, and the signs of life.
//!
//! Public: leaves hold key ids and digests, no names and no facts. `GET /log/checkpoint`, `/log/tile/<L>/<N>[.p/<W>]`,
//! `/log/tile/entries/<N>[.p/<W>]`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger::tile::TilePath;

use crate::app::App;
use crate::ingest::refusal::Refusal;
use crate::web::failure::Failure;

/// The routes of the log, and `/healthz`, `/readyz`, `/metrics`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/log/checkpoint", get(checkpoint))
        .route("/log/tile/{*path}", get(tile))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn checkpoint(State(app): State<Arc<App>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, app.published.checkpoint().to_bytes()).into_response()
}

async fn tile(
    State(app): State<Arc<App>>,
    uri: Uri,
    Path(path): Path<String>,
) -> Result<Response, Refusal> {
    let missing = || Ok(Failure::not_found(uri.path()).into_response());
    let Ok(path) = format!("tile/{path}").parse::<TilePath>() else {
        return missing();
    };
    // What the signed checkpoint does not cover yet is not served.
    let size = app.published.checkpoint().checkpoint().size;
    let covered = TilePath::at_size(path.kind(), path.index(), size)
        .is_some_and(|now| path.width() <= now.width());
    if !covered {
        return missing();
    }
    let Some(file) = app.store.tile_file(&path).await.map_err(Refusal::Store)? else {
        return missing();
    };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, file).into_response())
}

/// Ready while the database answers and the sequencer takes commands.
async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.store.head().await {
        Ok(head)
            if !app.queue.is_closed()
                && app.published.checkpoint().checkpoint().size == head.size =>
        {
            "ready\n".into_response()
        }
        Ok(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the newest entries are not signed yet\n",
        )
            .into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n",
            )
                .into_response()
        }
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.metrics.render(),
    )
        .into_response()
}
