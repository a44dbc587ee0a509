//! Questions by GET: the answers of `queries`, as they are.

use std::sync::Arc;

use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Refusals;
use crate::app::App;
use crate::queries::check::CheckAnswer;
use crate::queries::control::ControlAnswer;
use crate::queries::controls::Controls;
use crate::queries::host::HostAnswer;
use crate::queries::hosts::Hosts;
use crate::queries::ledger::LedgerAnswer;
use crate::queries::outcome::OutcomeAnswer;
use crate::queries::overview::Overview;
use crate::queries::{check, control, controls, host, overview};
use crate::web::asking::{After, Asked, Days, Part, Reader};
use crate::web::failure::Failure;
use crate::web::hosts::{self, HostsQuery};
use crate::web::ledger::{self, EntriesQuery};

type Answer<T> = Result<Json<T>, Failure>;

/// The operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(get_overview))
        .routes(routes!(get_controls))
        .routes(routes!(get_control))
        .routes(routes!(get_check))
        .routes(routes!(get_hosts))
        .routes(routes!(get_host))
        .routes(routes!(get_outcome))
        .routes(routes!(get_ledger))
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

/// One check: what it reads and decides, and how it stands on the hosts.
#[utoipa::path(get, path = "/api/v1/checks/{check}", tag = "Controls",
    params(("check" = String, Path, description = "Its id", example = "sshd.root"), After),
    responses((status = 200, body = CheckAnswer), Refusals))]
async fn get_check(
    reader: Reader,
    Part(id): Part<String>,
    Asked(after): Asked<After>,
) -> Answer<CheckAnswer> {
    let (store, library) = (reader.store(), reader.library());
    let answer = check::check(store, library, &id, after.number(), reader.now()).await;
    answer.map(Json).map_err(|error| reader.failed(error))
}

/// The log: its signed head, who has seen it, and its entries, newest first.
#[utoipa::path(get, path = "/api/v1/ledger", tag = "Ledger", params(EntriesQuery),
    responses((status = 200, body = LedgerAnswer), Refusals))]
async fn get_ledger(reader: Reader, Asked(query): Asked<EntriesQuery>) -> Answer<LedgerAnswer> {
    ledger::answer(&reader, &query).await.map(Json)
}

/// The hosts under a filter: who reports, how lately, and what fails on them.
#[utoipa::path(get, path = "/api/v1/hosts", tag = "Hosts", params(HostsQuery),
    responses((status = 200, body = Hosts), Refusals))]
async fn get_hosts(reader: Reader, Asked(query): Asked<HostsQuery>) -> Answer<Hosts> {
    hosts::list(&reader, &query.filter(), query.after())
        .await
        .map(Json)
}

/// One host: who it is, whether its chain of rounds is whole, and every outcome on it.
#[utoipa::path(get, path = "/api/v1/hosts/{key}", tag = "Hosts",
    params(("key" = String, Path, description = "The host's id: 64 hexadecimal digits")),
    responses((status = 200, body = HostAnswer), Refusals))]
async fn get_host(reader: Reader, Part(key): Part<String>) -> Answer<HostAnswer> {
    let (store, library) = (reader.store(), reader.library());
    let answer = host::host(store, library, &key, reader.now()).await;
    answer.map(Json).map_err(|error| reader.failed(error))
}

/// One check on one host: expected beside observed, the facts and where they were read, and the proof.
#[utoipa::path(get, path = "/api/v1/hosts/{key}/outcomes/{check}", tag = "Hosts",
    params(
        ("key" = String, Path, description = "The host's id: 64 hexadecimal digits"),
        ("check" = String, Path, description = "The check's id", example = "sshd.root")),
    responses((status = 200, body = OutcomeAnswer), Refusals))]
async fn get_outcome(
    reader: Reader,
    Part((key, check)): Part<(String, String)>,
) -> Answer<OutcomeAnswer> {
    hosts::one_outcome(&reader, &key, &check).await.map(Json)
}
