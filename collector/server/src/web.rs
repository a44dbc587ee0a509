//! What people and their programs see: pages and `/api/v1`.

pub mod assets;
pub mod failure;

use std::sync::Arc;

use axum::Router;

use crate::app::App;
use crate::auth::sign_in;

/// Every route of pages and API.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .merge(assets::router())
        .merge(sign_in::router())
}
