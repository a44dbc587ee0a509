//! Reading the ledger back: entries, tiles, head, bodies.

use std::collections::BTreeMap;

use crypto::Digest;
use evidence::id::ProbeId;
use ledger::tile::{TileKind, TilePath};
use sqlx::Row as _;
use wire::leaf::{Kind, Leaf};

use crate::{Head, Store, StoreError};

/// Longest chain of payloads, each compressed against the one before.
pub const MAX_PAYLOAD_CHAIN: u32 = 64;

/// An entry as stored.
#[derive(Debug, Clone)]
pub struct EntryRow {
    /// Its index.
    pub idx: u64,
    /// Row of the agent concerned.
    pub agent: Option<i64>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The bytes, read.
    pub leaf: Leaf,
}

impl Store {
    /// Size and root of the log; the empty log if nothing was ever committed.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn head(&self) -> Result<Head, StoreError> {
        let row = sqlx::query("SELECT size, root FROM head WHERE id = 1")
            .fetch_optional(&self.readers)
            .await
            .map_err(StoreError::sql("read the head"))?;
        let Some(row) = row else {
            return Ok(Head {
                size: 0,
                root: ledger::hash::EMPTY_ROOT,
            });
        };
        Ok(Head {
            size: row.get::<i64, _>("size").cast_unsigned(),
            root: digest("head", row.get("root"))?,
        })
    }

    /// The hashes of tiles, each as wide as it is now; those that are not there are left out.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn tiles(
        &self,
        wanted: &[(u8, u64)],
    ) -> Result<BTreeMap<(u8, u64), Vec<Digest>>, StoreError> {
        let mut tiles = BTreeMap::new();
        for (level, n) in wanted {
            let found: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT hashes FROM tile WHERE level = $1 AND n = $2")
                    .bind(i64::from(*level))
                    .bind(n.cast_signed())
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(StoreError::sql("read a tile"))?;
            if let Some(bytes) = found {
                tiles.insert((*level, *n), hashes(*level, *n, &bytes)?);
            }
        }
        Ok(tiles)
    }

    /// The bytes of a tile or entry bundle as tlog-tiles serves it, or `None` if the log is not that large.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn tile_file(&self, path: &TilePath) -> Result<Option<Vec<u8>>, StoreError> {
        let width = usize::from(path.width());
        match path.kind() {
            TileKind::Hashes(level) => {
                let tiles = self.tiles(&[(level, path.index())]).await?;
                let found = tiles
                    .get(&(level, path.index()))
                    .and_then(|hashes| hashes.get(..width));
                Ok(found.map(ledger::tile::encode_hashes))
            }
            TileKind::Entries => {
                let entries: Vec<Vec<u8>> = sqlx::query_scalar(
                    "SELECT leaf FROM entry WHERE idx >= $1 AND idx < $2 ORDER BY idx",
                )
                .bind(path.first().cast_signed())
                .bind((path.first() + u64::from(path.width())).cast_signed())
                .fetch_all(&self.readers)
                .await
                .map_err(StoreError::sql("read an entry bundle"))?;
                if entries.len() != width {
                    return Ok(None);
                }
                let file = ledger::bundle::encode(&entries)
                    .map_err(|error| StoreError::inconsistent("entry", error.to_string()))?;
                Ok(Some(file))
            }
        }
    }

    /// Entries from `from` on, at most `limit`.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`] for an entry that is no leaf.
    pub async fn entries(&self, from: u64, limit: u32) -> Result<Vec<EntryRow>, StoreError> {
        let rows =
            sqlx::query("SELECT idx, agent, leaf FROM entry WHERE idx >= $1 ORDER BY idx LIMIT $2")
                .bind(from.cast_signed())
                .bind(limit)
                .fetch_all(&self.readers)
                .await
                .map_err(StoreError::sql("read entries"))?;
        rows.iter().map(entry_row).collect()
    }

    /// How many entries are stored, whatever the head says.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_entries(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM entry")
            .fetch_one(&self.readers)
            .await
            .map_err(StoreError::sql("count the entries"))?;
        Ok(count.cast_unsigned())
    }

    /// One entry.
    ///
    /// # Errors
    /// As [`Store::entries`].
    pub async fn entry(&self, idx: u64) -> Result<Option<EntryRow>, StoreError> {
        Ok(self
            .entries(idx, 1)
            .await?
            .into_iter()
            .find(|entry| entry.idx == idx))
    }

    /// The index of the entry that commits to an envelope.
    ///
    /// # Errors
    /// What the database says.
    pub async fn index_of(&self, pae: &Digest) -> Result<Option<u64>, StoreError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT idx FROM entry WHERE pae = $1")
            .bind(pae.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(StoreError::sql("look an envelope up"))?;
        Ok(found.map(i64::cast_unsigned))
    }

    /// The entry that brought a key.
    ///
    /// # Errors
    /// What the database says.
    pub async fn index_of_key(&self, key: &Digest) -> Result<Option<u64>, StoreError> {
        let found: Option<i64> = sqlx::query_scalar("SELECT idx FROM agent_key WHERE key = $1")
            .bind(key.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(StoreError::sql("look a key up"))?;
        Ok(found.map(i64::cast_unsigned))
    }

    /// The entries of one kind, in order.
    ///
    /// # Errors
    /// What the database says.
    pub async fn indices_of_kind(&self, kind: Kind) -> Result<Vec<u64>, StoreError> {
        let found: Vec<i64> = sqlx::query_scalar(
            "SELECT idx FROM entry WHERE kind = $1 AND kind NOT IN ('round', 'gap') ORDER BY idx",
        )
        .bind(kind.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(StoreError::sql("list entries of a kind"))?;
        Ok(found.into_iter().map(i64::cast_unsigned).collect())
    }

    /// Number of rounds in the log.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_rounds(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM entry WHERE kind = 'round'")
            .fetch_one(&self.readers)
            .await
            .map_err(StoreError::sql("count rounds"))?;
        Ok(count.cast_unsigned())
    }

    /// Number of decisions in the log (formats: all kinds but rounds, gaps and the agents' key events).
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`] for a kind that is none.
    pub async fn count_decisions(&self) -> Result<u64, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT kind, count(*) FROM entry WHERE kind NOT IN ('round', 'gap') GROUP BY kind",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(StoreError::sql("count decisions"))?;
        let mut decisions = 0;
        for (name, count) in rows {
            let kind = Kind::ALL.iter().find(|kind| kind.as_str() == name);
            let kind = kind.ok_or_else(|| {
                StoreError::inconsistent("entry", format!("no kind is called {name}"))
            })?;
            decisions += if kind.is_decision() {
                count.cast_unsigned()
            } else {
                0
            };
        }
        Ok(decisions)
    }

    /// The digest of an agent's logged statement of that number.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn statement(&self, agent: i64, seq: u64) -> Result<Option<Digest>, StoreError> {
        let found: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT pae FROM entry WHERE agent = $1 AND seq = $2")
                .bind(agent)
                .bind(seq.cast_signed())
                .fetch_optional(&self.readers)
                .await
                .map_err(StoreError::sql("look a statement up"))?;
        found.map(|bytes| digest("entry", bytes)).transpose()
    }

    /// The payload that an entry commits to; `None` if it was erased.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`] for a chain of dictionaries that does not end.
    pub async fn payload(&self, idx: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut bodies = Vec::new();
        let mut next = Some(idx);
        while let Some(at) = next {
            let row = sqlx::query("SELECT base, body FROM payload WHERE idx = $1")
                .bind(at.cast_signed())
                .fetch_optional(&self.readers)
                .await
                .map_err(StoreError::sql("read a payload"))?;
            let Some(row) = row else { return Ok(None) };
            bodies.push(row.get::<Vec<u8>, _>("body"));
            next = row.get::<Option<i64>, _>("base").map(i64::cast_unsigned);
            if bodies.len() > MAX_PAYLOAD_CHAIN as usize {
                return Err(StoreError::inconsistent(
                    "payload",
                    format!("the dictionaries of entry {idx} do not end"),
                ));
            }
        }
        let mut payload = Vec::new();
        for body in bodies.iter().rev() {
            payload = decompress(body, &payload).map_err(|error| {
                StoreError::inconsistent("payload", format!("entry {idx}: {error}"))
            })?;
        }
        Ok(Some(payload))
    }

    /// The texts of disclosures, in the order asked; `None` where it was erased. Each is held against its digest, which
    /// is what a round is signed over.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`] also for a text of another digest.
    pub async fn disclosures(&self, wanted: &[Digest]) -> Result<Vec<Option<String>>, StoreError> {
        let mut texts = Vec::with_capacity(wanted.len());
        for digest in wanted {
            let body: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT body FROM disclosure WHERE digest = $1")
                    .bind(digest.as_bytes().as_slice())
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(StoreError::sql("read a disclosure"))?;
            let wrong = |problem: String| {
                StoreError::inconsistent("disclosure", format!("{digest}: {problem}"))
            };
            let text = body
                .map(|body| decompress(&body, &[]).map_err(|error| wrong(error.to_string())))
                .transpose()?;
            if text
                .as_ref()
                .is_some_and(|text| Digest::of(text) != *digest)
            {
                return Err(wrong("the text stored has another digest".to_owned()));
            }
            texts.push(
                text.map(|text| String::from_utf8(text).map_err(|error| wrong(error.to_string())))
                    .transpose()?,
            );
        }
        Ok(texts)
    }

    /// Which of these disclosures are held.
    ///
    /// # Errors
    /// What the database says.
    pub async fn holds_disclosures(
        &self,
        wanted: &[(ProbeId, Digest)],
    ) -> Result<Vec<ProbeId>, StoreError> {
        let mut missing = Vec::new();
        for (probe, digest) in wanted {
            let found: Option<i64> =
                sqlx::query_scalar("SELECT 1 FROM disclosure WHERE digest = $1")
                    .bind(digest.as_bytes().as_slice())
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(StoreError::sql("look a disclosure up"))?;
            if found.is_none() {
                missing.push(probe.clone());
            }
        }
        Ok(missing)
    }

    /// A bundle's DSSE file by the digest of its bytes.
    ///
    /// # Errors
    /// What the database says.
    pub async fn bundle(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT envelope FROM bundle WHERE digest = $1")
            .bind(digest.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(StoreError::sql("read a bundle"))
    }

    /// The digests of all bundles ever activated, by version.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Inconsistent`].
    pub async fn bundles(&self) -> Result<Vec<(u64, Digest)>, StoreError> {
        let rows = sqlx::query("SELECT version, digest FROM bundle ORDER BY version")
            .fetch_all(&self.readers)
            .await
            .map_err(StoreError::sql("list bundles"))?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.get::<i64, _>("version").cast_unsigned(),
                    digest("bundle", row.get("digest"))?,
                ))
            })
            .collect()
    }
}

pub(crate) fn entry_row(row: &sqlx::sqlite::SqliteRow) -> Result<EntryRow, StoreError> {
    let idx = row.get::<i64, _>("idx").cast_unsigned();
    let bytes: Vec<u8> = row.get("leaf");
    let leaf = Leaf::parse(&bytes)
        .map_err(|error| StoreError::inconsistent("entry", format!("{idx}: {error}")))?;
    Ok(EntryRow {
        idx,
        agent: row.get("agent"),
        bytes,
        leaf,
    })
}

pub(crate) fn digest(table: &'static str, bytes: Vec<u8>) -> Result<Digest, StoreError> {
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| StoreError::inconsistent(table, "a digest that is not 32 bytes"))?;
    Ok(Digest::from_bytes(bytes))
}

fn hashes(level: u8, n: u64, bytes: &[u8]) -> Result<Vec<Digest>, StoreError> {
    let wrong = || {
        StoreError::inconsistent(
            "tile",
            format!("level {level}, tile {n} is no list of hashes"),
        )
    };
    if bytes.is_empty() || !bytes.len().is_multiple_of(32) || bytes.len() > 256 * 32 {
        return Err(wrong());
    }
    bytes
        .chunks_exact(32)
        .map(|chunk| Ok(Digest::from_bytes(chunk.try_into().map_err(|_| wrong())?)))
        .collect()
}

/// Level of compression: 1, since a payload against the one before it is tiny at any level.
const ZSTD_LEVEL: i32 = 1;

/// Compresses a body against a dictionary (empty for none).
///
/// # Errors
/// What zstd says; never for bodies within our bounds.
pub fn compress(body: &[u8], dictionary: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, dictionary)?.compress(body)
}

fn decompress(body: &[u8], dictionary: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::Decompressor::with_dictionary(dictionary)?
        .decompress(body, wire::submission::MAX_SUBMISSION_BYTES)
}
