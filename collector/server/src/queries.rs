//! Answers: one question per file, asked of the store, assessed, and told the same way to pages and API.
//!
//! A question is `async fn(store, library, …, now) -> Result<Answer, QueryError>`. An answer serialises (the API sends it
//! as it is) and turns into a page by `From<(Viewer, Answer)>`, so both say the same. Decisions in words belong to the
//! pages, numbers and verdicts to `assess`; here they meet.

pub mod answer;
pub mod check;
pub mod control;
pub mod controls;
pub mod entry;
mod exported;
mod fleet;
pub mod host;
pub mod hosts;
pub mod ledger;
pub mod library;
pub mod outcome;
pub mod overview;
pub mod search;
pub mod stretch;
mod words;

pub use answer::{AsOf, Period, Portion, Viewer};
pub use library::Library;

use ::store::StoreError;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Entries could not be read back.
    #[error(transparent)]
    Replay(#[from] crate::ingest::replay::ReplayError),
    /// A bundle in the database cannot be used.
    #[error("bundle {digest} cannot be used")]
    Bundle {
        /// Its digest.
        digest: crypto::Digest,
        /// What is wrong.
        #[source]
        source: evidence::bundle::BundleError,
    },
    /// What was asked about does not exist.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its id as it was asked for.
        id: String,
    },
}

/// The bundle in force for a group of hosts.
///
/// # Errors
/// [`QueryError::NotFound`] if nothing was ever put in force for it; otherwise what the database says.
pub async fn assigned_bundle(
    store: &::store::Store,
    library: &Library,
    group: &evidence::id::GroupId,
) -> Result<evidence::bundle::Bundle, QueryError> {
    let mut groups = library.assigned(store).await?;
    let assigned = groups
        .remove(group)
        .ok_or_else(|| QueryError::not_found("group", group))?;
    Ok(assigned.bundle.info.bundle.clone())
}

impl QueryError {
    pub(crate) fn not_found(what: &'static str, id: impl ToString) -> QueryError {
        QueryError::NotFound {
            what,
            id: id.to_string(),
        }
    }
}
