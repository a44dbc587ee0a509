//! What can go wrong in the database, by what the caller must do.

use std::path::PathBuf;

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the schema of {} up to date; it may be of a newer version", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the database refused to {question}")]
    Sql {
        /// What was asked of it.
        question: &'static str,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// The head is not the one that a batch was made for: another process writes to this database.
    #[error(
        "the log has {found} entries where {expected} were expected: is another collector using this folder?"
    )]
    HeadMoved {
        /// Size expected.
        expected: u64,
        /// Size found.
        found: u64,
    },
    /// A row that cannot mean anything.
    #[error("table {table}: {problem}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// What is wrong with which row.
        problem: String,
    },
    /// A file beside the database could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    pub(crate) fn sql(question: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        move |source| StoreError::Sql { question, source }
    }

    pub(crate) fn inconsistent(table: &'static str, problem: impl Into<String>) -> StoreError {
        StoreError::Inconsistent {
            table,
            problem: problem.into(),
        }
    }

    /// Whether the disk is full or the folder read-only (SQLITE_FULL 13, SQLITE_READONLY 8, SQLITE_IOERR 10,
    /// SQLITE_CANTOPEN 14): signing stops until a person acts, and nothing is lost.
    #[must_use]
    pub fn is_storage_exhausted(&self) -> bool {
        let (StoreError::Sql { source, .. } | StoreError::Open { source, .. }) = self else {
            return matches!(self, StoreError::File { .. });
        };
        let code = source
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<u32>().ok());
        code.is_some_and(|code| matches!(code & 0xff, 8 | 10 | 13 | 14))
    }
}
