//! Signed rounds to take away.

use std::sync::Arc;

use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusals;
use crate::app::App;
use crate::web::asking::{Part, Reader};
use crate::web::failure::Failure;
use crate::web::round;

/// The operation.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get_round))
}

/// One round with its proof, key, bundle and facts, as `assay-verify round` reads them: a tar archive of one folder.
#[utoipa::path(get, path = "/api/v1/entries/{index}/round.tar", tag = "Ledger",
    params(("index" = u64, Path, description = "Its place in the ledger, from zero")),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>), Refusals))]
async fn get_round(reader: Reader, Part(index): Part<u64>) -> Result<Response, Failure> {
    round::archive(&reader, index).await
}
