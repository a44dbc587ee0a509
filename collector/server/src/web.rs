//! What people and their programs see: pages and `/api/v1`.

use std::sync::Arc;

use axum::Router;

use crate::app::App;

/// Every route of pages and API.
pub fn router(_app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
}
