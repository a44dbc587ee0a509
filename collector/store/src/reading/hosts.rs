//! The register of hosts.

use crypto::Digest;
use evidence::id::{AgentId, GroupId};
use evidence::time::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::ledger_read::digest;
use crate::standing::parse;
use crate::{AgentState, Store, StoreError};

/// A host as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredHost {
    /// Row of its agent.
    pub row: i64,
    /// Its agent.
    pub agent: AgentId,
    /// Its name, as it gave it when it enrolled; none if it gave none.
    pub hostname: Option<String>,
    /// Its operating system, likewise.
    pub os: Option<String>,
    /// Its group.
    pub group: GroupId,
    /// Whether its key is valid.
    pub state: AgentState,
    /// Which of its keys is in force, from 1.
    pub epoch: u64,
    /// Key id of that key.
    pub key: Digest,
    /// The entry that enrolled it first.
    pub enrolled_idx: u64,
    /// When that was.
    pub enrolled: Timestamp,
    /// When its key or host ended.
    pub ended: Option<Timestamp>,
    /// The entry of its last statement.
    pub last_idx: Option<u64>,
    /// When that was received.
    pub last_rx: Option<Timestamp>,
    /// How far its clock was ahead of reception then, in milliseconds.
    pub skew_ms: Option<i64>,
    /// Version of its agent program.
    pub version: Option<String>,
    /// Digest and version of the bundle of its last round.
    pub bundle: Option<(Digest, u64)>,
    /// Signed gaps so far.
    pub gaps: u64,
    /// Number of its next statement.
    pub next_seq: u64,
    /// Size of the last checkpoint that it says it verified.
    pub seen_size: u64,
}

const QUESTION: &str = "SELECT a.id, a.agent, a.grp, a.state, a.epoch, a.key, a.enrolled_idx, a.enrolled_ms, a.ended_ms, a.last_idx,
     a.last_rx, a.skew_ms, a.version, a.bundle, a.bundle_version, a.gaps, a.next_seq, a.seen_size, h.hostname, h.os
     FROM agent a LEFT JOIN host_hint h ON h.agent = a.agent";

impl Store {
    /// Every host ever enrolled, in the order of enrolment.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn registered_hosts(&self) -> Result<Vec<RegisteredHost>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{QUESTION} ORDER BY a.id")))
            .fetch_all(self.readers())
            .await
            .map_err(StoreError::sql("list the hosts"))?;
        rows.iter().map(registered).collect()
    }

    /// One host.
    ///
    /// # Errors
    /// As [`Store::registered_hosts`].
    pub async fn registered_host(
        &self,
        agent: &AgentId,
    ) -> Result<Option<RegisteredHost>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{QUESTION} WHERE a.agent = $1"
        )))
        .bind(agent.as_bytes().as_slice())
        .fetch_optional(self.readers())
        .await
        .map_err(StoreError::sql("look a host up"))?;
        row.as_ref().map(registered).transpose()
    }
}

fn registered(row: &SqliteRow) -> Result<RegisteredHost, StoreError> {
    let number = |name: &str| row.get::<i64, _>(name).cast_unsigned();
    let optional = |name: &str| row.get::<Option<i64>, _>(name).map(i64::cast_unsigned);
    let time = |name: &str| row.get::<Option<i64>, _>(name).map(Timestamp::from_unix_ms);
    let state: String = row.get("state");
    let state = AgentState::from_word(&state).ok_or_else(|| {
        let problem = format!("row {}: no state is called {state}", number("id"));
        StoreError::inconsistent("agent", problem)
    })?;
    let bundle: Option<Vec<u8>> = row.get("bundle");
    Ok(RegisteredHost {
        row: row.get("id"),
        agent: digest("agent", row.get("agent"))?,
        hostname: row.get("hostname"),
        os: row.get("os"),
        group: parse("agent", row.get("grp"))?,
        state,
        epoch: number("epoch"),
        key: digest("agent", row.get("key"))?,
        enrolled_idx: number("enrolled_idx"),
        enrolled: Timestamp::from_unix_ms(row.get("enrolled_ms")),
        ended: time("ended_ms"),
        last_idx: optional("last_idx"),
        last_rx: time("last_rx"),
        skew_ms: row.get("skew_ms"),
        version: row.get("version"),
        bundle: bundle
            .map(|bytes| digest("agent", bytes))
            .transpose()?
            .zip(optional("bundle_version")),
        gaps: number("gaps"),
        next_seq: number("next_seq"),
        seen_size: number("seen_size"),
    })
}
