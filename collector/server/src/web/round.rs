//! Rounds to take away: all files of an export as one archive, or one of them.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::asking::{Part, Reader};
use super::failure::Failure;
use crate::app::App;
use crate::export;

/// The archive's name at the end of its address.
const ARCHIVE: &str = "round.tar";

/// The route of an export and its files.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/ledger/{index}/{*file}", get(file))
}

async fn file(
    reader: Reader,
    Part((index, file)): Part<(u64, String)>,
) -> Result<Response, Failure> {
    if file == ARCHIVE {
        return archive(&reader, index).await;
    }
    let files = files(&reader, index).await?;
    let found = files.into_iter().find(|(path, _)| *path == file);
    let (path, bytes) = found.ok_or_else(|| Failure::not_found(&reader.path))?;
    // Every file is text: DSSE in JSON, tlog-proof, PEM, disclosures in JSON.
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(attachment(bytes, "text/plain; charset=utf-8", name))
}

/// The exported round of an entry as one tar.
///
/// # Errors
/// [`Failure`] if the entry is no round or a part of it is missing.
pub async fn archive(reader: &Reader, index: u64) -> Result<Response, Failure> {
    let files = files(reader, index).await?;
    let name = format!("round-{index}");
    let tar = export::tar(&name, files).map_err(|error| {
        tracing::error!(%error, index, "an export could not be packed");
        Failure::internal(&reader.path)
    })?;
    Ok(attachment(tar, "application/x-tar", &format!("{name}.tar")))
}

async fn files(reader: &Reader, index: u64) -> Result<export::Files, Failure> {
    let checkpoint = reader.app.published.checkpoint();
    if index >= checkpoint.checkpoint().size {
        return Err(Failure::not_found(&reader.path));
    }
    let files = export::round(reader.store(), &checkpoint, index).await;
    let files = files.map_err(|error| Failure::export(&reader.path, error))?;
    tracing::info!(account = %reader.person.account, index, "a round was exported");
    Ok(files)
}

fn attachment(bytes: Vec<u8>, media_type: &'static str, name: &str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, media_type)], bytes).into_response();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii() && plain(*c as u8))
        .collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
