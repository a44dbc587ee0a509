//! The search over hosts, checks and controls.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::asking::{Asked, Reader};
use super::failure::{Failure, page};
use crate::app::App;
use crate::pages::SearchPage;
use crate::queries::search;

/// The route.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/search", get(search_page))
}

#[derive(Deserialize)]
struct SearchQuery {
    #[serde(default)]
    q: String,
}

async fn search_page(
    reader: Reader,
    Asked(query): Asked<SearchQuery>,
) -> Result<Response, Failure> {
    let (store, library) = (reader.store(), reader.library());
    let found = search::search(store, library, &query.q, reader.now()).await;
    let found = found.map_err(|error| reader.failed(error))?;
    page(&SearchPage::from((reader.viewer(query.q.trim()), found)))
}
