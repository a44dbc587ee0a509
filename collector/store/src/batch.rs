//! One batch of entries with everything that is committed beside them.

use crypto::{Digest, KeyId, VerifyingKey};
use evidence::id::{AgentId, CheckId, GroupId, ProbeId};
use evidence::outcome::{Judgement, Outcome};
use ledger::edge::HashTile;
use ledger::tile::{TileKind, encode_hashes};
use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};
use wire::leaf::Kind;

use crate::{Store, StoreError};

/// The log's size and root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
}

/// An entry to append.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Its index.
    pub idx: u64,
    /// Its kind.
    pub kind: Kind,
    /// Row of the agent concerned.
    pub agent: Option<i64>,
    /// Sequence number of a statement.
    pub seq: Option<u64>,
    /// Digest of its envelope.
    pub pae: Digest,
    /// Reception, Unix milliseconds.
    pub rx: i64,
    /// The entry's bytes.
    pub leaf: Vec<u8>,
}

/// A payload to keep, compressed.
#[derive(Debug, Clone)]
pub struct NewPayload {
    /// The entry it belongs to.
    pub idx: u64,
    /// The entry whose payload is the dictionary.
    pub base: Option<u64>,
    /// zstd.
    pub body: Vec<u8>,
}

/// Whether an agent's key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// Its statements are accepted.
    Active,
    /// Its key was revoked.
    Revoked,
    /// Its host ended.
    Retired,
    /// Two statements for one number: it must enrol again.
    Forked,
}

impl AgentState {
    /// The word in the database and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AgentState::Active => "active",
            AgentState::Revoked => "revoked",
            AgentState::Retired => "retired",
            AgentState::Forked => "forked",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<AgentState> {
        [
            AgentState::Active,
            AgentState::Revoked,
            AgentState::Retired,
            AgentState::Forked,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

/// Where an agent's chain stands, as the log says.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Row in the database.
    pub row: i64,
    /// The agent.
    pub agent: AgentId,
    /// Epoch of its key.
    pub epoch: u64,
    /// Key id of its key.
    pub key: KeyId,
    /// Its key.
    pub spki: VerifyingKey,
    /// Its group.
    pub group: GroupId,
    /// Whether the key is valid.
    pub state: AgentState,
    /// Number of its next statement.
    pub next_seq: u64,
    /// Digest of its last statement.
    pub prev: Digest,
    /// Key events so far.
    pub ev: u64,
    /// The entry that enrolled it first.
    pub enrolled_idx: u64,
    /// When.
    pub enrolled_ms: i64,
    /// When its key or host ended.
    pub ended_ms: Option<i64>,
    /// Its last statement.
    pub last_idx: Option<u64>,
    /// When that was received.
    pub last_rx: Option<i64>,
    /// What the host's clock said at its end.
    pub last_end: Option<i64>,
    /// Version of the agent program.
    pub version: Option<String>,
    /// The bundle of its last round.
    pub bundle: Option<(Digest, u64)>,
    /// Number of gaps so far.
    pub gaps: u64,
    /// Size of the last checkpoint it says it has seen.
    pub seen_size: u64,
}

/// A change of an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntervalChange {
    /// The open interval of this check ends.
    Close {
        /// Agent row.
        agent: i64,
        /// The check.
        check: CheckId,
        /// Its end, Unix milliseconds.
        to_ms: i64,
    },
    /// A new one starts.
    Open {
        /// Agent row.
        agent: i64,
        /// The check.
        check: CheckId,
        /// Its start, Unix milliseconds.
        from_ms: i64,
        /// What was concluded.
        judgement: Judgement,
        /// The round that concluded it.
        first_idx: u64,
    },
}

/// When the checks of one cadence were last judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Agent row.
    pub agent: i64,
    /// The cadence, a cron line.
    pub cadence: String,
    /// Observation time, Unix milliseconds.
    pub last_ms: i64,
    /// The round.
    pub last_idx: u64,
}

/// The facts of a probe changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgentFact {
    /// Agent row.
    pub agent: i64,
    /// The probe.
    pub probe: ProbeId,
    /// Digest of the disclosure.
    pub digest: Digest,
    /// The round.
    pub since_idx: u64,
}

/// A bundle that an entry activates.
#[derive(Debug, Clone)]
pub struct BundleRow {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its version.
    pub version: u64,
    /// The DSSE file.
    pub envelope: Vec<u8>,
    /// The entry.
    pub activated_idx: u64,
}

/// Everything that one commit writes.
#[derive(Debug, Default)]
pub struct Batch {
    /// Entries in order; the first has the index that is the expected size.
    pub entries: Vec<NewEntry>,
    /// Tiles that change.
    pub tiles: Vec<HashTile>,
    /// Payloads of the entries.
    pub payloads: Vec<NewPayload>,
    /// Digest, probe and zstd body of disclosures; those already there are left alone.
    pub disclosures: Vec<(Digest, ProbeId, Vec<u8>)>,
    /// Envelopes that are not in the log but proven by an entry, by digest.
    pub others: Vec<(Digest, Vec<u8>)>,
    /// Bundles.
    pub bundles: Vec<BundleRow>,
    /// Agents whose standing changed.
    pub agents: Vec<Standing>,
    /// Hints for people about agents that enrolled.
    pub hints: Vec<(AgentId, wire::enrolment::Hints)>,
    /// Enrolment tokens of which one use is spent.
    pub spent_tokens: Vec<String>,
    /// Interval changes in order.
    pub intervals: Vec<IntervalChange>,
    /// Latest judgement times.
    pub judged: Vec<Judged>,
    /// Changed facts.
    pub facts: Vec<NewAgentFact>,
    /// Keys that agents got: key id, agent row, epoch, entry.
    pub keys: Vec<(KeyId, i64, u64, u64)>,
}

/// What a commit asks of the database, in errors.
const COMMIT: &str = "commit a batch of entries";

type Tx<'t> = Transaction<'t, Sqlite>;

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

async fn write_ledger(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    for entry in &batch.entries {
        sqlx::query("INSERT INTO entry (idx, kind, agent, seq, pae, rx, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(entry.idx.cast_signed())
            .bind(entry.kind.as_str())
            .bind(entry.agent)
            .bind(entry.seq.map(u64::cast_signed))
            .bind(entry.pae.as_bytes().as_slice())
            .bind(entry.rx)
            .bind(&entry.leaf)
            .execute(&mut **tx)
            .await?;
    }
    for tile in &batch.tiles {
        let TileKind::Hashes(level) = tile.path.kind() else {
            continue;
        };
        sqlx::query("INSERT INTO tile (level, n, hashes) VALUES ($1, $2, $3) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes")
            .bind(i64::from(level))
            .bind(tile.path.index().cast_signed())
            .bind(encode_hashes(&tile.hashes))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn write_bodies(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    for payload in &batch.payloads {
        sqlx::query("INSERT INTO payload (idx, base, body) VALUES ($1, $2, $3)")
            .bind(payload.idx.cast_signed())
            .bind(payload.base.map(u64::cast_signed))
            .bind(&payload.body)
            .execute(&mut **tx)
            .await?;
    }
    for (digest, probe, body) in &batch.disclosures {
        sqlx::query("INSERT INTO disclosure (digest, probe, body) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING")
            .bind(digest.as_bytes().as_slice())
            .bind(probe.as_str())
            .bind(body)
            .execute(&mut **tx)
            .await?;
    }
    for (pae, envelope) in &batch.others {
        sqlx::query("INSERT INTO other_envelope (pae, envelope) VALUES ($1, $2) ON CONFLICT (pae) DO NOTHING")
            .bind(pae.as_bytes().as_slice())
            .bind(envelope)
            .execute(&mut **tx)
            .await?;
    }
    for bundle in &batch.bundles {
        sqlx::query("INSERT INTO bundle (digest, version, envelope, activated_idx) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING")
            .bind(bundle.digest.as_bytes().as_slice())
            .bind(bundle.version.cast_signed())
            .bind(&bundle.envelope)
            .bind(bundle.activated_idx.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn write_agents(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    for agent in &batch.agents {
        write_standing(tx, agent).await?;
    }
    for (key, agent, epoch, idx) in &batch.keys {
        sqlx::query("INSERT INTO agent_key (key, agent, epoch, idx) VALUES ($1, $2, $3, $4)")
            .bind(key.as_bytes().as_slice())
            .bind(agent)
            .bind(epoch.cast_signed())
            .bind(idx.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    for (agent, hints) in &batch.hints {
        sqlx::query("INSERT INTO host_hint (agent, hostname, os, machine) VALUES ($1, $2, $3, $4) ON CONFLICT (agent) DO UPDATE SET hostname = excluded.hostname, os = excluded.os, machine = excluded.machine")
            .bind(agent.as_bytes().as_slice())
            .bind(&hints.hostname)
            .bind(&hints.os)
            .bind(hints.machine.map(|machine| machine.as_bytes().to_vec()))
            .execute(&mut **tx)
            .await?;
    }
    for token in &batch.spent_tokens {
        sqlx::query("UPDATE enrolment_token SET uses = uses - 1 WHERE id = $1")
            .bind(token)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn write_standing(tx: &mut Tx<'_>, agent: &Standing) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO agent (id, agent, epoch, key, spki, grp, state, next_seq, prev, ev, enrolled_idx, enrolled_ms, ended_ms,
             last_idx, last_rx, last_end, skew_ms, version, bundle, bundle_version, gaps, seen_size)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
         ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, key = excluded.key, spki = excluded.spki, grp = excluded.grp,
             state = excluded.state, next_seq = excluded.next_seq, prev = excluded.prev, ev = excluded.ev,
             ended_ms = excluded.ended_ms, last_idx = excluded.last_idx, last_rx = excluded.last_rx,
             last_end = excluded.last_end, skew_ms = excluded.skew_ms, version = excluded.version, bundle = excluded.bundle,
             bundle_version = excluded.bundle_version, gaps = excluded.gaps, seen_size = excluded.seen_size",
    )
    .bind(agent.row)
    .bind(agent.agent.as_bytes().as_slice())
    .bind(agent.epoch.cast_signed())
    .bind(agent.key.as_bytes().as_slice())
    .bind(agent.spki.to_spki())
    .bind(agent.group.as_str())
    .bind(agent.state.as_str())
    .bind(agent.next_seq.cast_signed())
    .bind(agent.prev.as_bytes().as_slice())
    .bind(agent.ev.cast_signed())
    .bind(agent.enrolled_idx.cast_signed())
    .bind(agent.enrolled_ms)
    .bind(agent.ended_ms)
    .bind(agent.last_idx.map(u64::cast_signed))
    .bind(agent.last_rx)
    .bind(agent.last_end)
    .bind(agent.last_end.zip(agent.last_rx).map(|(end, rx)| end - rx))
    .bind(&agent.version)
    .bind(agent.bundle.map(|(digest, _)| digest.as_bytes().to_vec()))
    .bind(agent.bundle.map(|(_, version)| version.cast_signed()))
    .bind(agent.gaps.cast_signed())
    .bind(agent.seen_size.cast_signed())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_projections(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), sqlx::Error> {
    for change in &batch.intervals {
        write_interval(tx, change).await?;
    }
    for judged in &batch.judged {
        sqlx::query("INSERT INTO judged (agent, cadence, last_ms, last_idx) VALUES ($1, $2, $3, $4) ON CONFLICT (agent, cadence) DO UPDATE SET last_ms = excluded.last_ms, last_idx = excluded.last_idx")
            .bind(judged.agent)
            .bind(&judged.cadence)
            .bind(judged.last_ms)
            .bind(judged.last_idx.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    for fact in &batch.facts {
        sqlx::query("INSERT INTO agent_fact (agent, probe, digest, since_idx) VALUES ($1, $2, $3, $4) ON CONFLICT (agent, probe) DO UPDATE SET digest = excluded.digest, since_idx = excluded.since_idx")
            .bind(fact.agent)
            .bind(fact.probe.as_str())
            .bind(fact.digest.as_bytes().as_slice())
            .bind(fact.since_idx.cast_signed())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn write_interval(tx: &mut Tx<'_>, change: &IntervalChange) -> Result<(), sqlx::Error> {
    match change {
        IntervalChange::Close {
            agent,
            check,
            to_ms,
        } => {
            sqlx::query("UPDATE interval SET to_ms = max($1, from_ms) WHERE agent = $2 AND check_id = $3 AND to_ms IS NULL")
                .bind(to_ms)
                .bind(agent)
                .bind(check.as_str())
                .execute(&mut **tx)
                .await?;
        }
        IntervalChange::Open {
            agent,
            check,
            from_ms,
            judgement,
            first_idx,
        } => {
            sqlx::query("INSERT INTO interval (agent, check_id, from_ms, outcome, reason, first_idx) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (agent, check_id, from_ms) DO UPDATE SET to_ms = NULL, outcome = excluded.outcome, reason = excluded.reason, first_idx = excluded.first_idx")
                .bind(agent)
                .bind(check.as_str())
                .bind(from_ms)
                .bind(Outcome::as_str(judgement.outcome))
                .bind(judgement.reason.map(evidence::outcome::Reason::as_str))
                .bind(first_idx.cast_signed())
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}
