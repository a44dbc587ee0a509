//! Receipts: inclusion of an entry and consistency with what its agent saw, from tiles.

use std::collections::HashMap;

use crypto::Digest;
use ledger::checkpoint::SignedCheckpoint;
use ledger::edge::HashTile;
use ledger::frontier::Frontier;
use ledger::plan::{PlanError, ProofPlan};
use ledger::tile::{TileKind, TilePath};
use ledger::tlog_proof::TlogProof;
use store::{Store, StoreError};
use wire::receipt::Receipt;

/// Most tiles kept in memory: 4,096 of 8 KB are 32 MB, enough for the proofs of a fleet that is up to date.
const MAX_TILES: usize = 4096;

/// A proof that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProofsError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tile is missing or too narrow: the database is damaged.
    #[error("the tiles of the log are damaged; restore them from a backup")]
    Plan(#[from] PlanError),
    /// The hashes do not make a frontier.
    #[error("the tiles of the log do not make a tree of {0} entries")]
    Frontier(u64),
    /// A proof is not text.
    #[error("a proof is not text")]
    Text,
}

/// Tiles in memory, filled by the sequencer and from the database.
#[derive(Debug, Default)]
pub struct Tiles {
    held: HashMap<(u8, u64), Vec<Digest>>,
}

impl Tiles {
    /// Takes over what a batch changed.
    pub fn update(&mut self, changed: &[HashTile]) {
        if self.held.len() > MAX_TILES {
            self.held.clear();
        }
        for tile in changed {
            if let TileKind::Hashes(level) = tile.path.kind() {
                self.held
                    .insert((level, tile.path.index()), tile.hashes.clone());
            }
        }
    }

    /// The hashes of a plan.
    ///
    /// # Errors
    /// [`ProofsError`] if tiles cannot be read or are damaged.
    pub async fn hashes(
        &mut self,
        store: &Store,
        plan: &ProofPlan,
    ) -> Result<Vec<Digest>, ProofsError> {
        let wanted: Vec<(u8, u64)> = plan
            .tiles()
            .iter()
            .filter_map(|path| self.missing(path))
            .collect();
        if !wanted.is_empty() {
            if self.held.len() > MAX_TILES {
                self.held.clear();
            }
            let all: Vec<(u8, u64)> = plan.tiles().iter().filter_map(key).collect();
            self.held.extend(store.tiles(&all).await?);
        }
        Ok(plan.assemble(|path| self.held.get(&key(path)?).map(Vec::as_slice))?)
    }

    fn missing(&self, path: &TilePath) -> Option<(u8, u64)> {
        let key = key(path)?;
        let held = self
            .held
            .get(&key)
            .is_some_and(|hashes| hashes.len() >= usize::from(path.width()));
        (!held).then_some(key)
    }

    /// The root of the first `size` entries of a log of `log_size`.
    ///
    /// # Errors
    /// As [`Tiles::hashes`].
    pub async fn root(
        &mut self,
        store: &Store,
        size: u64,
        log_size: u64,
    ) -> Result<Digest, ProofsError> {
        let hashes = self
            .hashes(store, &ProofPlan::frontier(size, log_size)?)
            .await?;
        let frontier =
            Frontier::from_parts(size, hashes).map_err(|_| ProofsError::Frontier(size))?;
        Ok(frontier.root())
    }

    /// The receipt of the entry at `index` under a signed checkpoint, for a reader that has seen `seen` entries.
    ///
    /// # Errors
    /// As [`Tiles::hashes`].
    pub async fn receipt(
        &mut self,
        store: &Store,
        checkpoint: &SignedCheckpoint,
        index: u64,
        entry: &[u8],
        seen: u64,
    ) -> Result<Receipt, ProofsError> {
        let proof = self.proof(store, checkpoint, index, Some(entry)).await?;
        let consistency = self
            .hashes(
                store,
                &ProofPlan::consistency(seen, checkpoint.checkpoint().size)?,
            )
            .await?;
        Ok(Receipt {
            proof: String::from_utf8(proof.to_bytes()).map_err(|_| ProofsError::Text)?,
            consistency: consistency.iter().map(Digest::to_base64).collect(),
        })
    }

    /// The tlog-proof of the entry at `index` under a signed checkpoint.
    ///
    /// # Errors
    /// As [`Tiles::hashes`].
    pub async fn proof(
        &mut self,
        store: &Store,
        checkpoint: &SignedCheckpoint,
        index: u64,
        entry: Option<&[u8]>,
    ) -> Result<TlogProof, ProofsError> {
        let hashes = self
            .hashes(
                store,
                &ProofPlan::inclusion(index, checkpoint.checkpoint().size)?,
            )
            .await?;
        Ok(TlogProof {
            extra: entry.map(<[u8]>::to_vec),
            index,
            hashes,
            checkpoint: checkpoint.to_bytes(),
        })
    }
}

fn key(path: &TilePath) -> Option<(u8, u64)> {
    match path.kind() {
        TileKind::Hashes(level) => Some((level, path.index())),
        TileKind::Entries => None,
    }
}
