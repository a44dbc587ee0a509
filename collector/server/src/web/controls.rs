//! The pages about controls: overview, list, one control, one of its checks.

use std::sync::Arc;

use assess::status::Verdict;
use axum::Router;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use catalogue::{Class, Theme};
use serde::Deserialize;

use super::asking::{After, Asked, Days, Part, Reader};
use super::failure::{Failure, page};
use crate::app::App;
use crate::pages::{CheckPage, ControlPage, ControlsPage, OverviewPage, route};
use crate::queries::controls::ControlFilter;
use crate::queries::{check, control, controls, overview};

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(overview_page))
        .route("/controls", get(controls_page))
        .route("/controls/{number}", get(control_page))
        .route("/checks/{check}", get(check_page))
}

#[derive(Deserialize)]
struct ControlsQuery {
    days: Option<u32>,
    theme: Option<Theme>,
    class: Option<Class>,
    verdict: Option<Verdict>,
}

async fn overview_page(reader: Reader, Asked(days): Asked<Days>) -> Result<Response, Failure> {
    let (store, library) = (reader.store(), reader.library());
    let answer = overview::overview(store, library, days.number(), reader.now()).await;
    let answer = answer.map_err(|error| reader.failed(error))?;
    page(&OverviewPage::from((reader.viewer(""), answer)))
}

async fn controls_page(
    reader: Reader,
    Asked(query): Asked<ControlsQuery>,
) -> Result<Response, Failure> {
    let filter = ControlFilter {
        theme: query.theme.map(|theme| theme.as_str().to_owned()),
        class: query.class.map(|class| class.as_str().to_owned()),
        verdict: query.verdict.map(|verdict| verdict.as_str().to_owned()),
    };
    let days = query.days.unwrap_or(crate::queries::Period::DEFAULT_DAYS);
    let (store, library) = (reader.store(), reader.library());
    let answer = controls::controls(store, library, days, reader.now()).await;
    let answer = answer.map_err(|error| reader.failed(error))?;
    page(&ControlsPage::from((reader.viewer(""), answer, filter)))
}

async fn control_page(
    reader: Reader,
    Part(number): Part<String>,
    Asked(days): Asked<Days>,
) -> Result<Response, Failure> {
    // The standard's own way to write it, without the annex.
    if number.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(Redirect::permanent(&route::control(&format!("A.{number}"))).into_response());
    }
    let (store, library) = (reader.store(), reader.library());
    let answer = control::control(store, library, &number, days.number(), reader.now()).await;
    let answer = answer.map_err(|error| reader.failed(error))?;
    page(&ControlPage::from((reader.viewer(""), answer)))
}

async fn check_page(
    reader: Reader,
    Part(id): Part<String>,
    Asked(after): Asked<After>,
) -> Result<Response, Failure> {
    let (store, library) = (reader.store(), reader.library());
    let answer = check::check(store, library, &id, after.number(), reader.now()).await;
    let answer = answer.map_err(|error| reader.failed(error))?;
    page(&CheckPage::from((reader.viewer(""), answer)))
}
