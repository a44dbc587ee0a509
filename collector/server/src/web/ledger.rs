//! The pages about the log: its head and entries, one entry.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use utoipa::IntoParams;

use super::asking::{self, Asked, Part, Reader};
use super::failure::{Failure, page};
use crate::app::App;
use crate::pages::{EntryPage, LedgerPage};
use crate::queries::ledger::{Address, LedgerAnswer, LedgerFilter};
use crate::queries::{entry, ledger};

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/ledger", get(ledger_page))
        .route("/ledger/{index}", get(entry_page))
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EntriesQuery {
    /// Only entries before this index.
    before: Option<u64>,
    /// Only entries of this kind, for example `round` or `enrol`.
    kind: Option<String>,
}

/// The log's head and the entries that are asked for.
///
/// # Errors
/// [`Failure`] for a kind that there is not, and if the database fails.
pub async fn answer(reader: &Reader, query: &EntriesQuery) -> Result<LedgerAnswer, Failure> {
    let word = query.kind.as_deref().filter(|word| !word.is_empty());
    let kind = word.map(LedgerFilter::kind_of_word);
    if kind == Some(None) {
        let detail = "There is no such kind of entry.";
        return Err(Failure::bad_request(&reader.path, detail));
    }
    let filter = LedgerFilter {
        kind: kind.flatten(),
        before: query.before,
    };
    let (store, library) = (reader.store(), reader.library());
    let checkpoint = reader.app.published.checkpoint();
    let key = &reader.app.log_key;
    let answer = ledger::ledger(store, library, &checkpoint, key, filter, reader.now()).await;
    answer.map_err(|error| reader.failed(error))
}

async fn ledger_page(
    reader: Reader,
    Asked(query): Asked<EntriesQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let answer = answer(&reader, &query).await?;
    let address = own_address(&headers, &uri);
    page(&LedgerPage::from((reader.viewer(""), answer, address)))
}

async fn entry_page(
    reader: Reader,
    Part(index): Part<u64>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let (store, library) = (reader.store(), reader.library());
    let checkpoint = reader.app.published.checkpoint();
    let answer = entry::entry(store, library, &checkpoint, index, reader.now()).await;
    let answer = answer.map_err(|error| reader.failed(error))?;
    let address = own_address(&headers, &uri);
    page(&EntryPage::from((reader.viewer(""), answer, address)))
}

/// The address by which the reader reached this server, for commands to copy.
pub(super) fn own_address(headers: &HeaderMap, uri: &Uri) -> Address {
    let host = asking::host(headers, uri).filter(|host| {
        let plain = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
        };
        host.bytes().all(plain)
    });
    Address(format!("https://{}", host.unwrap_or("COLLECTOR")))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Uri, header};

    use super::own_address;

    #[test]
    fn a_command_to_copy_holds_no_shell_syntax_of_a_stranger() {
        let of = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            own_address(&headers, &Uri::from_static("/ledger")).0
        };
        assert_eq!(of("[::1]:8443"), "https://[::1]:8443");
        assert_eq!(of("a;rm -rf /"), "https://COLLECTOR");
        assert_eq!(of("a$(id)"), "https://COLLECTOR");
        let second = Uri::from_static("https://assay.example:8443/ledger");
        let found = own_address(&HeaderMap::new(), &second).0;
        assert_eq!(found, "https://assay.example:8443");
    }
}
