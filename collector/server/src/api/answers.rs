//! Questions by GET: the answers of `queries`, as they are.

use std::sync::Arc;

use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusals;
use crate::app::App;
use crate::queries::control::ControlAnswer;
use crate::queries::controls::Controls;
use crate::queries::overview::Overview;
use crate::queries::{control, controls, overview};
use crate::web::asking::{Asked, Days, Part, Reader};
use crate::web::failure::Failure;

type Answer<T> = Result<Json<T>, Failure>;

/// The operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(get_overview))
        .routes(routes!(get_controls))
        .routes(routes!(get_control))
}

/// How the hosts stand against Annex A, and what changed.
#[utoipa::path(get, path = "/api/v1/overview", tag = "Controls", params(Days),
    responses((status = 200, body = Overview), Refusals))]
async fn get_overview(reader: Reader, Asked(days): Asked<Days>) -> Answer<Overview> {
    let (store, library) = (reader.store(), reader.library());
    let answer = overview::overview(store, library, days.number(), reader.now()).await;
    answer.map(Json).map_err(|error| reader.failed(error))
}

/// How each control of Annex A did over the period.
#[utoipa::path(get, path = "/api/v1/controls", tag = "Controls", params(Days),
    responses((status = 200, body = Controls), Refusals))]
async fn get_controls(reader: Reader, Asked(days): Asked<Days>) -> Answer<Controls> {
    let (store, library) = (reader.store(), reader.library());
    let answer = controls::controls(store, library, days.number(), reader.now()).await;
    answer.map(Json).map_err(|error| reader.failed(error))
}

/// One control over the period: verdict, what led to it, its checks, and what hosts cannot show.
#[utoipa::path(get, path = "/api/v1/controls/{number}", tag = "Controls",
    params(("number" = String, Path, description = "Its number in the standard", example = "A.8.5"), Days),
    responses((status = 200, body = ControlAnswer), Refusals))]
async fn get_control(
    reader: Reader,
    Part(number): Part<String>,
    Asked(days): Asked<Days>,
) -> Answer<ControlAnswer> {
    let (store, library) = (reader.store(), reader.library());
    let answer = control::control(store, library, &number, days.number(), reader.now()).await;
    answer.map(Json).map_err(|error| reader.failed(error))
}
