//! The one transaction of a batch.
//!
//! Rows of a table go in many at a time: a statement costs a visit to SQLite's thread, a row hardly anything.

use evidence::outcome::Reason;
use ledger::tile::{TileKind, encode_hashes};
use sqlx::query_builder::Separated;
use sqlx::{Connection as _, QueryBuilder, Sqlite, SqliteConnection, Transaction};

use crate::batch::{Batch, Head, IntervalChange, Standing};
use crate::{Store, StoreError};

/// What a commit asks of the database, in errors.
const COMMIT: &str = "commit a batch of entries";
/// Rows of one statement, the most first. A few fixed numbers, so that every statement is prepared once.
const ROWS: [usize; 3] = [64, 8, 1];

type Tx<'t> = Transaction<'t, Sqlite>;
type Values<'v> = Separated<'v, Sqlite, &'static str>;

impl Store {
    /// Commits a batch if the log's size is still `expected`.
    ///
    /// # Errors
    /// [`StoreError::HeadMoved`] if it is not; otherwise what the database says. Nothing of the batch happened then.
    pub async fn commit(&self, expected: u64, head: Head, batch: &Batch) -> Result<(), StoreError> {
        let acquired = self.writer.acquire().await;
        let mut writer = acquired.map_err(StoreError::sql(COMMIT))?;
        let written = write(&mut writer, expected, head, batch).await;
        if written.is_err() {
            // On a full or failing disk SQLite ends the transaction by itself. The driver still counts it as open and would
            // refuse every later one, so the next batch gets a new connection.
            writer.close_on_drop();
        }
        written
    }

    /// Writes only the projections of a batch: for `rebuild`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn project(&self, batch: &Batch) -> Result<(), StoreError> {
        let failed = StoreError::sql("write projections");
        let mut tx = self
            .writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(&failed)?;
        write_agents(&mut tx, batch).await.map_err(&failed)?;
        write_projections(&mut tx, batch).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }
}

async fn write(
    writer: &mut SqliteConnection,
    expected: u64,
    head: Head,
    batch: &Batch,
) -> Result<(), StoreError> {
    let failed = StoreError::sql(COMMIT);
    let begun = writer.begin_with("BEGIN IMMEDIATE").await;
    let mut tx = begun.map_err(&failed)?;
    move_head(&mut tx, expected, head).await?;
    write_ledger(&mut tx, batch).await.map_err(&failed)?;
    write_bodies(&mut tx, batch).await.map_err(&failed)?;
    write_agents(&mut tx, batch).await.map_err(&failed)?;
    write_projections(&mut tx, batch).await.map_err(&failed)?;
    tx.commit().await.map_err(&failed)
}

async fn move_head(tx: &mut Tx<'_>, expected: u64, head: Head) -> Result<(), StoreError> {
    let failed = StoreError::sql("move the head");
    let found: Option<i64> = sqlx::query_scalar("SELECT size FROM head WHERE id = 1")
        .fetch_optional(&mut **tx)
        .await
        .map_err(&failed)?;
    let found = found.unwrap_or(0).cast_unsigned();
    if found != expected {
        return Err(StoreError::HeadMoved { expected, found });
    }
    sqlx::query("INSERT INTO head (id, size, root) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET size = excluded.size, root = excluded.root")
        .bind(head.size.cast_signed())
        .bind(head.root.as_bytes().as_slice())
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(())
}

/// Inserts rows: `into` is the statement up to `VALUES`, `conflict` what follows the values.
async fn insert<T>(
    tx: &mut Tx<'_>,
    into: &'static str,
    rows: &[T],
    conflict: &'static str,
    bind: impl Fn(&mut Values<'_>, &T),
) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    for size in ROWS {
        while rest.len() >= size {
            let (now, later) = rest.split_at(size);
            let mut statement = QueryBuilder::new(into);
            statement.push_values(now, |mut values, row| bind(&mut values, row));
            statement.push(conflict);
            statement.build().execute(&mut **tx).await?;
            rest = later;
        }
    }
    Ok(())
}

async fn write_ledger(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO entry (idx, kind, agent, seq, pae, rx, leaf) ";
    insert(tx, into, &batch.entries, "", |values, entry| {
        values
            .push_bind(entry.idx.cast_signed())
            .push_bind(entry.kind.as_str())
            .push_bind(entry.agent)
            .push_bind(entry.seq.map(u64::cast_signed))
            .push_bind(entry.pae.as_bytes().as_slice())
            .push_bind(entry.rx)
            .push_bind(&entry.leaf);
    })
    .await?;
    let tiles = batch.tiles.iter().filter_map(|tile| {
        let TileKind::Hashes(level) = tile.path.kind() else {
            return None;
        };
        Some((level, tile.path.index(), encode_hashes(&tile.hashes)))
    });
    let tiles: Vec<(u8, u64, Vec<u8>)> = tiles.collect();
    let into = "INSERT INTO tile (level, n, hashes) ";
    let conflict = " ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes";
    insert(tx, into, &tiles, conflict, |values, (level, n, hashes)| {
        values
            .push_bind(i64::from(*level))
            .push_bind(n.cast_signed())
            .push_bind(hashes);
    })
    .await
}

async fn write_bodies(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO payload (idx, base, body) ";
    insert(tx, into, &batch.payloads, "", |values, payload| {
        values
            .push_bind(payload.idx.cast_signed())
            .push_bind(payload.base.map(u64::cast_signed))
            .push_bind(&payload.body);
    })
    .await?;
    let into = "INSERT INTO disclosure (digest, probe, body) ";
    let known = " ON CONFLICT (digest) DO NOTHING";
    insert(
        tx,
        into,
        &batch.disclosures,
        known,
        |values, (digest, probe, body)| {
            values
                .push_bind(digest.as_bytes().as_slice())
                .push_bind(probe.as_str())
                .push_bind(body);
        },
    )
    .await?;
    let into = "INSERT INTO other_envelope (pae, envelope) ";
    let known = " ON CONFLICT (pae) DO NOTHING";
    insert(tx, into, &batch.others, known, |values, (pae, envelope)| {
        values
            .push_bind(pae.as_bytes().as_slice())
            .push_bind(envelope);
    })
    .await?;
    let into = "INSERT INTO bundle (digest, version, envelope, activated_idx) ";
    let known = " ON CONFLICT (digest) DO NOTHING";
    insert(tx, into, &batch.bundles, known, |values, bundle| {
        values
            .push_bind(bundle.digest.as_bytes().as_slice())
            .push_bind(bundle.version.cast_signed())
            .push_bind(&bundle.envelope)
            .push_bind(bundle.activated_idx.cast_signed());
    })
    .await
}

async fn write_agents(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    write_standings(tx, &batch.agents).await?;
    let into = "INSERT INTO agent_key (key, agent, epoch, idx) ";
    insert(
        tx,
        into,
        &batch.keys,
        "",
        |values, (key, agent, epoch, idx)| {
            values
                .push_bind(key.as_bytes().as_slice())
                .push_bind(agent)
                .push_bind(epoch.cast_signed())
                .push_bind(idx.cast_signed());
        },
    )
    .await?;
    let into = "INSERT INTO host_hint (agent, hostname, os, machine) ";
    let conflict = " ON CONFLICT (agent) DO UPDATE SET hostname = excluded.hostname, os = excluded.os, machine = excluded.machine";
    insert(
        tx,
        into,
        &batch.hints,
        conflict,
        |values, (agent, hints)| {
            values
                .push_bind(agent.as_bytes().as_slice())
                .push_bind(&hints.hostname)
                .push_bind(&hints.os)
                .push_bind(hints.machine.map(|machine| machine.as_bytes().to_vec()));
        },
    )
    .await?;
    for token in &batch.spent_tokens {
        sqlx::query("UPDATE enrolment_token SET uses = uses - 1 WHERE id = $1")
            .bind(token)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn write_standings(tx: &mut Tx<'_>, agents: &[Standing]) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO agent (id, agent, epoch, key, spki, grp, state, next_seq, prev, ev, enrolled_idx, enrolled_ms, ended_ms,
             last_idx, last_rx, last_end, skew_ms, version, bundle, bundle_version, gaps, seen_size) ";
    let conflict = " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, key = excluded.key, spki = excluded.spki, grp = excluded.grp,
             state = excluded.state, next_seq = excluded.next_seq, prev = excluded.prev, ev = excluded.ev,
             ended_ms = excluded.ended_ms, last_idx = excluded.last_idx, last_rx = excluded.last_rx,
             last_end = excluded.last_end, skew_ms = excluded.skew_ms, version = excluded.version, bundle = excluded.bundle,
             bundle_version = excluded.bundle_version, gaps = excluded.gaps, seen_size = excluded.seen_size";
    insert(tx, into, agents, conflict, |values, agent| {
        let skew = agent.last_end.zip(agent.last_rx).map(|(end, rx)| end - rx);
        values
            .push_bind(agent.row)
            .push_bind(agent.agent.as_bytes().as_slice())
            .push_bind(agent.epoch.cast_signed())
            .push_bind(agent.key.as_bytes().as_slice())
            .push_bind(agent.spki.to_spki())
            .push_bind(agent.group.as_str())
            .push_bind(agent.state.as_str())
            .push_bind(agent.next_seq.cast_signed())
            .push_bind(agent.prev.as_bytes().as_slice())
            .push_bind(agent.ev.cast_signed())
            .push_bind(agent.enrolled_idx.cast_signed())
            .push_bind(agent.enrolled_ms)
            .push_bind(agent.ended_ms)
            .push_bind(agent.last_idx.map(u64::cast_signed))
            .push_bind(agent.last_rx)
            .push_bind(agent.last_end)
            .push_bind(skew)
            .push_bind(&agent.version)
            .push_bind(agent.bundle.map(|(digest, _)| digest.as_bytes().to_vec()))
            .push_bind(agent.bundle.map(|(_, version)| version.cast_signed()))
            .push_bind(agent.gaps.cast_signed())
            .push_bind(agent.seen_size.cast_signed());
    })
    .await
}

async fn write_projections(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    write_intervals(tx, &batch.intervals).await?;
    let into = "INSERT INTO judged (agent, cadence, last_ms, last_idx) ";
    let conflict = " ON CONFLICT (agent, cadence) DO UPDATE SET last_ms = excluded.last_ms, last_idx = excluded.last_idx";
    insert(tx, into, &batch.judged, conflict, |values, judged| {
        values
            .push_bind(judged.agent)
            .push_bind(&judged.cadence)
            .push_bind(judged.last_ms)
            .push_bind(judged.last_idx.cast_signed());
    })
    .await?;
    let into = "INSERT INTO agent_fact (agent, probe, digest, since_idx) ";
    let conflict = " ON CONFLICT (agent, probe) DO UPDATE SET digest = excluded.digest, since_idx = excluded.since_idx";
    insert(tx, into, &batch.facts, conflict, |values, fact| {
        values
            .push_bind(fact.agent)
            .push_bind(fact.probe.as_str())
            .push_bind(fact.digest.as_bytes().as_slice())
            .push_bind(fact.since_idx.cast_signed());
    })
    .await
}

/// In their order: the end of a stretch comes before the next one of its check, and openings that follow each other go in
/// together.
async fn write_intervals(tx: &mut Tx<'_>, changes: &[IntervalChange]) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO interval (agent, check_id, from_ms, outcome, reason, first_idx) ";
    let conflict = " ON CONFLICT (agent, check_id, from_ms) DO UPDATE SET to_ms = NULL, outcome = excluded.outcome, reason = excluded.reason, first_idx = excluded.first_idx";
    let both_open = |a: &IntervalChange, b: &IntervalChange| {
        matches!(
            (a, b),
            (IntervalChange::Open { .. }, IntervalChange::Open { .. })
        )
    };
    for run in changes.chunk_by(both_open) {
        if let [
            IntervalChange::Close {
                agent,
                check,
                to_ms,
            },
        ] = run
        {
            sqlx::query("UPDATE interval SET to_ms = max($1, from_ms) WHERE agent = $2 AND check_id = $3 AND to_ms IS NULL")
                .bind(to_ms)
                .bind(agent)
                .bind(check.as_str())
                .execute(&mut **tx)
                .await?;
            continue;
        }
        insert(tx, into, run, conflict, |values, change| {
            if let IntervalChange::Open {
                agent,
                check,
                from_ms,
                judgement,
                first_idx,
            } = change
            {
                values
                    .push_bind(agent)
                    .push_bind(check.as_str())
                    .push_bind(from_ms)
                    .push_bind(judgement.outcome.as_str())
                    .push_bind(judgement.reason.map(Reason::as_str))
                    .push_bind(first_idx.cast_signed());
            }
        })
        .await?;
    }
    Ok(())
}
