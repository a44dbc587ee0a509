//! The collector's database: an append-only ledger, what it commits to, and projections for questions.
//!
//! SQLite (WAL, `synchronous = FULL`) in one folder. Contract:
//! - **One writer.** [`Store::commit`] is called by the sequencer alone. Entries, tiles, head, bodies and projections of a
//!   batch are one transaction, which fails without effect if the head is not the one expected (compare and swap).
//! - **Durability.** When `commit` returns, the batch survives the loss of power. When it fails, nothing of it happened.
//! - **Readers never wait for the writer** and see whole batches.
//! - What a row cannot mean is [`StoreError::Inconsistent`], naming table and row.
//!
//! A second implementation (PostgreSQL) would stand beside this one behind the same questions; until there is one, there
//! is no trait.

mod batch;
mod commit;
mod error;
mod ledger_read;
mod maintenance;
pub mod people;
pub mod reading;
pub mod standing;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use batch::{
    AgentState, Batch, BundleRow, Head, IntervalChange, Judged, NewAgentFact, NewEntry, NewPayload,
    Standing,
};
pub use error::StoreError;
pub use ledger_read::{EntryRow, MAX_PAYLOAD_CHAIN, compress};

/// Name of the database in the data folder.
pub const DATABASE_FILE: &str = "assay.sqlite";
/// Connections that read at once.
const READERS: u32 = 4;

/// The database, open.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    path: PathBuf,
}

impl Store {
    /// Opens the database in `folder`, creating it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`] if the folder cannot be written, the file is no database of ours, or its schema is newer.
    pub async fn open(folder: &Path) -> Result<Store, StoreError> {
        let path = folder.join(DATABASE_FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-16000");
        let open = |source| StoreError::Open {
            path: path.clone(),
            source,
        };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        sqlx::migrate!("./migrations")
            .run(&writer)
            .await
            .map_err(|source| StoreError::Migrate {
                path: path.clone(),
                source,
            })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(open)?;
        Ok(Store {
            writer,
            readers,
            path,
        })
    }

    /// The pool of readers, for the questions asked by pages and API.
    #[must_use]
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes every connection, so that the file may be moved.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_connection_writes_ahead_and_syncs_each_commit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        for pool in [&store.writer, &store.readers] {
            let mut held = Vec::new();
            for _ in 0..pool.options().get_max_connections() {
                held.push(pool.acquire().await.unwrap());
            }
            for connection in &mut held {
                let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
                    .fetch_one(&mut **connection)
                    .await
                    .unwrap();
                let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
                    .fetch_one(&mut **connection)
                    .await
                    .unwrap();
                assert_eq!((journal.as_str(), synchronous), ("wal", 2));
            }
        }
    }
}
