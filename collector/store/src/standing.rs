//! Where every agent stands: what the sequencer loads at start.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Digest, VerifyingKey};
use evidence::id::{CheckId, ProbeId};
use evidence::outcome::{Judgement, Outcome, Reason};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::ledger_read::digest;
use crate::{AgentState, Standing, Store, StoreError};

/// What the projections hold about one agent's latest rounds.
#[derive(Debug, Clone, Default)]
pub struct Latest {
    /// The open interval of each check: what was concluded.
    pub open: BTreeMap<CheckId, Judgement>,
    /// Of the checks that the collector judges, likewise, with their start in Unix milliseconds: apart from the others once
    /// they are told apart by [`Store::overseen`].
    pub overseen: BTreeMap<CheckId, (Judgement, i64)>,
    /// When the checks of each cadence were last judged, Unix milliseconds.
    pub judged: BTreeMap<String, i64>,
    /// Digest of each probe's latest facts.
    pub facts: BTreeMap<ProbeId, Digest>,
}

impl Store {
    /// Every agent.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn standings(&self) -> Result<Vec<Standing>, StoreError> {
        let rows = sqlx::query("SELECT * FROM agent ORDER BY id")
            .fetch_all(self.readers())
            .await
            .map_err(StoreError::sql("read the agents"))?;
        rows.iter().map(standing).collect()
    }

    /// Every key ever enrolled or rotated to, with the row of its agent.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn agent_keys(&self) -> Result<BTreeMap<Digest, i64>, StoreError> {
        let rows = sqlx::query("SELECT key, agent FROM agent_key")
            .fetch_all(self.readers())
            .await;
        let rows = rows.map_err(StoreError::sql("read the agents' keys"))?;
        rows.iter()
            .map(|row| Ok((digest("agent_key", row.get("key"))?, row.get("agent"))))
            .collect()
    }

    /// The latest of every agent, by its row.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn latest(&self) -> Result<BTreeMap<i64, Latest>, StoreError> {
        let failed = StoreError::sql("read the latest outcomes");
        let mut latest: BTreeMap<i64, Latest> = BTreeMap::new();
        let rows = sqlx::query(
            "SELECT agent, check_id, outcome, reason FROM interval WHERE to_ms IS NULL",
        )
        .fetch_all(self.readers())
        .await
        .map_err(&failed)?;
        for row in &rows {
            let (agent, check, judgement) = open_interval(row)?;
            latest
                .entry(agent)
                .or_default()
                .open
                .insert(check, judgement);
        }
        let rows = sqlx::query("SELECT agent, cadence, last_ms FROM judged")
            .fetch_all(self.readers())
            .await
            .map_err(&failed)?;
        for row in &rows {
            latest
                .entry(row.get("agent"))
                .or_default()
                .judged
                .insert(row.get("cadence"), row.get("last_ms"));
        }
        let rows = sqlx::query("SELECT agent, probe, digest FROM agent_fact")
            .fetch_all(self.readers())
            .await
            .map_err(&failed)?;
        for row in &rows {
            let probe: ProbeId = parse("agent_fact", row.get("probe"))?;
            latest
                .entry(row.get("agent"))
                .or_default()
                .facts
                .insert(probe, digest("agent_fact", row.get("digest"))?);
        }
        Ok(latest)
    }
}

impl Store {
    /// The open intervals of these checks, by agent row, with their start in Unix milliseconds.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn overseen(
        &self,
        checks: &BTreeSet<CheckId>,
    ) -> Result<Vec<(i64, CheckId, Judgement, i64)>, StoreError> {
        let failed = StoreError::sql("read the outcomes that the collector judges");
        let mut found = Vec::new();
        for check in checks {
            let rows = sqlx::query(
                "SELECT agent, check_id, outcome, reason, from_ms FROM interval
                 WHERE check_id = $1 AND to_ms IS NULL",
            )
            .bind(check.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(&failed)?;
            for row in &rows {
                let (agent, check, judgement) = open_interval(row)?;
                found.push((agent, check, judgement, row.get("from_ms")));
            }
        }
        Ok(found)
    }
}

pub(crate) fn open_interval(row: &SqliteRow) -> Result<(i64, CheckId, Judgement), StoreError> {
    let check: CheckId = parse("interval", row.get("check_id"))?;
    let outcome: Outcome = parse("interval", row.get("outcome"))?;
    let reason: Option<String> = row.get("reason");
    let reason: Option<Reason> = reason.map(|reason| parse("interval", reason)).transpose()?;
    Ok((row.get("agent"), check, Judgement { outcome, reason }))
}

pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    table: &'static str,
    text: String,
) -> Result<T, StoreError> {
    text.parse()
        .map_err(|error| StoreError::inconsistent(table, format!("{error}")))
}

fn standing(row: &SqliteRow) -> Result<Standing, StoreError> {
    let number = |name: &str| row.get::<i64, _>(name).cast_unsigned();
    let optional = |name: &str| row.get::<Option<i64>, _>(name).map(i64::cast_unsigned);
    let wrong = |problem: &str| {
        StoreError::inconsistent(
            "agent",
            format!("row {}: {problem}", row.get::<i64, _>("id")),
        )
    };
    let bundle: Option<Vec<u8>> = row.get("bundle");
    let bundle = bundle
        .map(|bytes| digest("agent", bytes))
        .transpose()?
        .zip(optional("bundle_version"));
    Ok(Standing {
        row: row.get("id"),
        agent: digest("agent", row.get("agent"))?,
        epoch: number("epoch"),
        key: digest("agent", row.get("key"))?,
        spki: VerifyingKey::from_spki(&row.get::<Vec<u8>, _>("spki"))
            .map_err(|error| wrong(&error.to_string()))?,
        group: parse("agent", row.get("grp"))?,
        state: AgentState::from_word(&row.get::<String, _>("state"))
            .ok_or_else(|| wrong("no such state"))?,
        next_seq: number("next_seq"),
        prev: digest("agent", row.get("prev"))?,
        ev: number("ev"),
        enrolled_idx: number("enrolled_idx"),
        enrolled_ms: row.get("enrolled_ms"),
        ended_ms: row.get("ended_ms"),
        last_idx: optional("last_idx"),
        last_rx: row.get("last_rx"),
        last_end: row.get("last_end"),
        version: row.get("version"),
        bundle,
        gaps: number("gaps"),
        seen_size: number("seen_size"),
    })
}
