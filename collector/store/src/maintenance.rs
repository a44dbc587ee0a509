//! Backup and rebuilding.

use std::path::Path;

use sqlx::AssertSqlSafe;

use crate::{Store, StoreError};

/// Tables that `rebuild` empties: all that is computed from entries.
const PROJECTIONS: [&str; 5] = ["interval", "judged", "agent_fact", "agent_key", "agent"];

impl Store {
    /// Writes a consistent copy of the database to `target` while readers and writer go on (`VACUUM INTO`).
    ///
    /// # Errors
    /// [`StoreError`] if the target exists or cannot be written.
    pub async fn backup(&self, target: &Path) -> Result<(), StoreError> {
        let path = target.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO $1")
            .bind(path)
            .execute(self.readers())
            .await
            .map_err(StoreError::sql("write a backup"))?;
        let file = std::fs::File::open(target).and_then(|file| file.sync_all());
        file.map_err(|source| StoreError::File {
            path: target.to_owned(),
            source,
        })
    }

    /// Empties every projection. The caller recomputes them from the entries before anyone else writes.
    ///
    /// # Errors
    /// What the database says.
    pub async fn clear_projections(&self) -> Result<(), StoreError> {
        let failed = StoreError::sql("empty the projections");
        let mut tx = self
            .writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(&failed)?;
        for table in PROJECTIONS {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}")))
                .execute(&mut *tx)
                .await
                .map_err(&failed)?;
        }
        tx.commit().await.map_err(&failed)
    }

    /// Every row of every projection as text, in order: two rebuilds, or a rebuild and what was there, must be equal.
    ///
    /// # Errors
    /// What the database says.
    pub async fn dump_projections(&self) -> Result<Vec<String>, StoreError> {
        let failed = StoreError::sql("read the projections");
        let mut lines = Vec::new();
        for (table, columns) in [
            (
                "agent",
                "id, hex(agent), epoch, hex(key), grp, state, next_seq, hex(prev), ev, enrolled_idx, enrolled_ms, ended_ms, last_idx, last_rx, last_end, skew_ms, version, hex(bundle), bundle_version, gaps, seen_size",
            ),
            (
                "interval",
                "agent, check_id, from_ms, to_ms, outcome, reason, first_idx",
            ),
            ("judged", "agent, cadence, last_ms, last_idx"),
            ("agent_fact", "agent, probe, hex(digest), since_idx"),
        ] {
            let query = format!("SELECT json_array({columns}) FROM {table} ORDER BY 1");
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query))
                .fetch_all(self.readers())
                .await
                .map_err(&failed)?;
            lines.extend(rows.into_iter().map(|row| format!("{table} {row}")));
        }
        Ok(lines)
    }

    /// Bytes that the database takes: main file and write-ahead log.
    ///
    /// # Errors
    /// [`StoreError::File`] if the file cannot be looked at.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        let main = std::fs::metadata(&self.path)
            .map_err(|source| StoreError::File {
                path: self.path.clone(),
                source,
            })?
            .len();
        let wal =
            std::fs::metadata(format!("{}-wal", self.path.display())).map_or(0, |meta| meta.len());
        Ok(main + wal)
    }
}
