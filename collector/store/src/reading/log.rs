//! Entries by kind, newest first, and their counts without reading them all.

use std::collections::BTreeMap;

use sqlx::Row as _;
use wire::leaf::Kind;

use crate::ledger_read::entry_row;
use crate::{EntryRow, Store, StoreError};

impl Store {
    /// The entries before `before`, newest first, at most `limit`; of one kind if it is named.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`] for an entry that is no leaf.
    pub async fn entries_before(
        &self,
        before: u64,
        kind: Option<Kind>,
        limit: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT idx, agent, leaf FROM entry WHERE idx < $1 AND ($2 IS NULL OR kind = $2)
             ORDER BY idx DESC LIMIT $3",
        )
        .bind(before.cast_signed())
        .bind(kind.map(Kind::as_str))
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("list the newest entries"))?;
        rows.iter().map(entry_row).collect()
    }

    /// How many entries of each kind a log of `size` entries holds. Rounds, which are nearly all of them, are what is
    /// left when the others are taken away.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`] for a kind that is none or counts that exceed the size.
    pub async fn kinds(&self, size: u64) -> Result<BTreeMap<Kind, u64>, StoreError> {
        let failed = StoreError::sql("count the entries by kind");
        let rows = sqlx::query(
            "SELECT kind, count(*) AS number FROM entry
             WHERE kind NOT IN ('round', 'gap') AND idx < $1 GROUP BY kind",
        )
        .bind(size.cast_signed())
        .fetch_all(self.readers())
        .await
        .map_err(&failed)?;
        let mut kinds = BTreeMap::new();
        for row in &rows {
            let name: String = row.get("kind");
            let kind = Kind::ALL.iter().find(|kind| kind.as_str() == name);
            let kind = kind.ok_or_else(|| {
                StoreError::inconsistent("entry", format!("no kind is called {name}"))
            })?;
            kinds.insert(*kind, row.get::<i64, _>("number").cast_unsigned());
        }
        let gaps: i64 = sqlx::query_scalar("SELECT coalesce(sum(gaps), 0) FROM agent")
            .fetch_one(self.readers())
            .await
            .map_err(&failed)?;
        if gaps > 0 {
            kinds.insert(Kind::Gap, gaps.cast_unsigned());
        }
        let others: u64 = kinds.values().sum();
        let rounds = size.saturating_sub(others);
        if rounds > 0 {
            kinds.insert(Kind::Round, rounds);
        }
        Ok(kinds)
    }

    /// How many rounds of one host the log holds: its statements without gaps and rotations.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rounds_of_host(&self, row: i64, gaps: u64) -> Result<u64, StoreError> {
        let failed = StoreError::sql("count the rounds of a host");
        let statements: i64 =
            sqlx::query_scalar("SELECT count(*) FROM entry WHERE agent = $1 AND seq IS NOT NULL")
                .bind(row)
                .fetch_one(self.readers())
                .await
                .map_err(&failed)?;
        let rotations: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM entry WHERE kind = 'rotate' AND kind NOT IN ('round', 'gap') AND agent = $1",
        )
        .bind(row)
        .fetch_one(self.readers())
        .await
        .map_err(&failed)?;
        Ok((statements - rotations)
            .cast_unsigned()
            .saturating_sub(gaps))
    }

    /// How many forks of one host the log tells of.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forks_of_host(&self, row: i64) -> Result<u64, StoreError> {
        let forks: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM entry WHERE kind = 'fork' AND kind NOT IN ('round', 'gap') AND agent = $1",
        )
        .bind(row)
        .fetch_one(self.readers())
        .await
        .map_err(StoreError::sql("count the forks of a host"))?;
        Ok(forks.cast_unsigned())
    }
}
