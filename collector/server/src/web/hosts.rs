//! The pages about hosts: list, one host, one outcome.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use utoipa::IntoParams;

use super::asking::{Asked, Part, Reader};
use super::failure::{Failure, page};
use super::ledger::own_address;
use crate::app::App;
use crate::auth::permission::Permission;
use crate::pages::host::OutcomeFilter;
use crate::pages::{HostPage, HostsPage, OutcomePage, route};
use crate::queries::hosts::{HostFilter, HostOrder, Hosts};
use crate::queries::outcome::OutcomeAnswer;
use crate::queries::{host, hosts, outcome};

/// Longest text of a filter, in characters.
const MAX_FILTER_CHARS: usize = 200;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/hosts", get(hosts_page))
        .route("/hosts/{key}", get(host_page))
        .route("/hosts/{key}/{check}", get(outcome_page))
}

/// Which hosts are asked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HostsQuery {
    /// Words of the name, or terms such as `os:debian`, `group:web`, `fail:sshd.` and `silent:>1h`.
    q: Option<String>,
    /// The order: `fails`, `name`, `group`, `system`, `last-round`, `observed` or `errors`.
    sort: Option<String>,
    /// How many hosts to skip.
    after: Option<u64>,
}

impl HostsQuery {
    /// The filter that is asked for.
    #[must_use]
    pub fn filter(&self) -> HostFilter {
        let text = self.q.as_deref().unwrap_or_default().trim();
        HostFilter {
            text: text.chars().take(MAX_FILTER_CHARS).collect(),
            order: HostOrder::from_word(self.sort.as_deref().unwrap_or_default()),
        }
    }

    /// How many hosts to skip.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after.unwrap_or(0)
    }
}

#[derive(Deserialize)]
struct OutcomesQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    proposals: String,
}

/// The hosts under a filter.
///
/// # Errors
/// [`Failure`] if the database fails.
pub async fn list(reader: &Reader, filter: &HostFilter, after: u64) -> Result<Hosts, Failure> {
    let (store, library) = (reader.store(), reader.library());
    let answer = hosts::hosts(store, library, filter, after, reader.now()).await;
    answer.map_err(|error| reader.failed(error))
}

/// One check on one host.
///
/// # Errors
/// [`Failure`] if there is no such host or check on it, and if the database fails.
pub async fn one_outcome(
    reader: &Reader,
    key: &str,
    check: &str,
) -> Result<OutcomeAnswer, Failure> {
    let (store, library) = (reader.store(), reader.library());
    let checkpoint = reader.app.published.checkpoint();
    let answer = outcome::outcome(store, library, &checkpoint, key, check, reader.now()).await;
    answer.map_err(|error| reader.failed(error))
}

async fn hosts_page(reader: Reader, Asked(query): Asked<HostsQuery>) -> Result<Response, Failure> {
    let filter = query.filter();
    let answer = list(&reader, &filter, query.after()).await?;
    page(&HostsPage::from((reader.viewer(""), answer, filter)))
}

async fn host_page(
    reader: Reader,
    Part(key): Part<String>,
    Asked(query): Asked<OutcomesQuery>,
) -> Result<Response, Failure> {
    let (store, library) = (reader.store(), reader.library());
    let answer = host::host(store, library, &key, reader.now()).await;
    let answer = answer.map_err(|error| reader.failed(error))?;
    let filter = OutcomeFilter {
        text: query.q.trim().chars().take(MAX_FILTER_CHARS).collect(),
        outcome: query.outcome,
        severity: query.severity,
        proposals: query.proposals == "waiting",
    };
    if let Some(detail) = filter.unknown() {
        return Err(Failure::bad_request(&reader.path, &detail));
    }
    page(&HostPage::from((reader.viewer(""), answer, filter)))
}

async fn outcome_page(
    reader: Reader,
    Part((key, check)): Part<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let answer = one_outcome(&reader, &key, &check).await?;
    let address = own_address(&headers, &uri);
    let mut shown = OutcomePage::from((reader.viewer(""), answer, address));
    if reader.person.role.may(Permission::ManagePolicy)
        && let Some(proposal) = &mut shown.proposal
    {
        proposal.action = Some(route::approve(&key, &check));
    }
    page(&shown)
}
