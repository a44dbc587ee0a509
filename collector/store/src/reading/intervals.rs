//! Stretches of outcomes, and when they were last judged.

use std::collections::{BTreeMap, HashMap};

use evidence::id::CheckId;
use evidence::outcome::{Judgement, Outcome};
use evidence::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::standing::open_interval;
use crate::{Store, StoreError};

/// A stretch of one outcome of one check on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInterval {
    /// Row of the host's agent.
    pub row: i64,
    /// The check.
    pub check: CheckId,
    /// The first judgement of it.
    pub from: Timestamp,
    /// Its end; none while it goes on.
    pub to: Option<Timestamp>,
    /// What was concluded.
    pub judgement: Judgement,
    /// The round that opened it.
    pub first_idx: u64,
}

/// When the checks of a cadence were last judged: time and round, by host row and cadence line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgings(HashMap<i64, HashMap<String, (Timestamp, u64)>>);

impl Judgings {
    /// The last judgement of a cadence on a host.
    #[must_use]
    pub fn last(&self, row: i64, cadence: &str) -> Option<(Timestamp, u64)> {
        self.0.get(&row)?.get(cadence).copied()
    }

    /// The last judgements of a host, Unix milliseconds by cadence.
    #[must_use]
    pub fn of(&self, row: i64) -> BTreeMap<String, i64> {
        let of_host = self.0.get(&row).into_iter().flatten();
        of_host
            .map(|(cadence, (last, _))| (cadence.clone(), last.unix_ms()))
            .collect()
    }
}

/// A way in which an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It fails now and did not before.
    Failing,
    /// It passes now and failed before.
    Fixed,
}

const COLUMNS: &str = "i.agent, i.check_id, i.from_ms, i.to_ms, i.outcome, i.reason, i.first_idx";

impl Store {
    /// The intervals that go on or ended after `from`, and failures that ended after `fails_from`, of these checks on
    /// every host; of all checks if none are named.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn intervals_since(
        &self,
        from: Timestamp,
        fails_from: Timestamp,
        checks: Option<&[CheckId]>,
    ) -> Result<Vec<StoredInterval>, StoreError> {
        const SINCE: &str =
            "(i.to_ms IS NULL OR i.to_ms > $1 OR (i.outcome = 'fail' AND i.to_ms > $2))";
        let source = match checks {
            None => format!("interval i WHERE {SINCE}"),
            // By host and check, since that is the order the rows are kept in.
            Some(_) => format!(
                "agent a CROSS JOIN json_each($3) c CROSS JOIN interval i
                 WHERE i.agent = a.id AND i.check_id = c.value AND {SINCE}"
            ),
        };
        let names: Vec<String> = checks
            .unwrap_or_default()
            .iter()
            .map(|check| format!("\"{check}\""))
            .collect();
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM {source}"
        )))
        .bind(from.unix_ms())
        .bind(fails_from.unix_ms())
        .bind(format!("[{}]", names.join(",")))
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("read the intervals of a period"))?;
        rows.iter().map(stored).collect()
    }

    /// The intervals of one host that go on or ended after `from`, in order; of one check if it is named.
    ///
    /// # Errors
    /// As [`Store::intervals_since`].
    pub async fn intervals_of_host(
        &self,
        row: i64,
        check: Option<&CheckId>,
        from: Timestamp,
    ) -> Result<Vec<StoredInterval>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM interval i WHERE i.agent = $1 AND ($2 IS NULL OR i.check_id = $2)
             AND (i.to_ms IS NULL OR i.to_ms > $3) ORDER BY i.check_id, i.from_ms"
        )))
        .bind(row)
        .bind(check.map(CheckId::as_str))
        .bind(from.unix_ms())
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("read the intervals of a host"))?;
        rows.iter().map(stored).collect()
    }

    /// The intervals that go on, on every host; of one check if it is named.
    ///
    /// # Errors
    /// As [`Store::intervals_since`].
    pub async fn open_intervals(
        &self,
        check: Option<&CheckId>,
    ) -> Result<Vec<StoredInterval>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM interval i WHERE i.to_ms IS NULL AND ($1 IS NULL OR i.check_id = $1)"
        )))
        .bind(check.map(CheckId::as_str))
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("read the latest outcomes"))?;
        rows.iter().map(stored).collect()
    }

    /// Intervals that go on and began with such a change since `since`, newest first, at most `limit`.
    ///
    /// # Errors
    /// As [`Store::intervals_since`].
    pub async fn changes_since(
        &self,
        change: Change,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredInterval>, StoreError> {
        const BEFORE: &str =
            "(SELECT p.outcome FROM interval p WHERE p.agent = i.agent AND p.check_id = i.check_id
             AND p.from_ms < i.from_ms ORDER BY p.from_ms DESC LIMIT 1)";
        let (outcome, before) = match change {
            Change::Failing => (Outcome::Fail, "IS NOT 'fail'"),
            Change::Fixed => (Outcome::Pass, "= 'fail'"),
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM interval i WHERE i.from_ms >= $1 AND i.to_ms IS NULL AND i.outcome = $2
             AND {BEFORE} {before} ORDER BY i.from_ms DESC, i.agent, i.check_id LIMIT $3"
        )))
        .bind(since.unix_ms())
        .bind(outcome.as_str())
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("read what changed lately"))?;
        rows.iter().map(stored).collect()
    }

    /// When the checks of each cadence were last judged; on one host if its row is given.
    ///
    /// # Errors
    /// What the database says.
    pub async fn judgings(&self, row: Option<i64>) -> Result<Judgings, StoreError> {
        let rows = sqlx::query(
            "SELECT agent, cadence, last_ms, last_idx FROM judged WHERE $1 IS NULL OR agent = $1",
        )
        .bind(row)
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("read when checks were judged"))?;
        let mut judgings = Judgings::default();
        for row in &rows {
            let last = (
                Timestamp::from_unix_ms(row.get("last_ms")),
                row.get::<i64, _>("last_idx").cast_unsigned(),
            );
            let of_host = judgings.0.entry(row.get("agent")).or_default();
            of_host.insert(row.get("cadence"), last);
        }
        Ok(judgings)
    }
}

fn stored(row: &SqliteRow) -> Result<StoredInterval, StoreError> {
    let (agent, check, judgement) = open_interval(row)?;
    if !judgement.is_well_formed() {
        let problem = format!("agent {agent}, check {check}: an outcome without its reason");
        return Err(StoreError::inconsistent("interval", problem));
    }
    Ok(StoredInterval {
        row: agent,
        check,
        from: Timestamp::from_unix_ms(row.get("from_ms")),
        to: row
            .get::<Option<i64>, _>("to_ms")
            .map(Timestamp::from_unix_ms),
        judgement,
        first_idx: row.get::<i64, _>("first_idx").cast_unsigned(),
    })
}
