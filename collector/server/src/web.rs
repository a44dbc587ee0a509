//! What people see and fetch: pages, assets, exported rounds.

pub mod approvals;
pub mod asking;
pub mod assets;
pub mod controls;
pub mod failure;
pub mod hosts;
pub mod ledger;
pub mod request;
pub mod rest;
pub mod round;
pub mod search;

use std::sync::Arc;

use axum::Router;

use crate::app::App;
use crate::auth::sign_in;

/// Every route of the pages.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .merge(approvals::router())
        .merge(assets::router())
        .merge(sign_in::router())
        .merge(controls::router())
        .merge(hosts::router())
        .merge(ledger::router())
        .merge(round::router())
        .merge(search::router())
}
