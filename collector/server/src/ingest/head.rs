//! The newest checkpoint, kept outside the database, so that a restored backup is noticed before anything is signed.
//!
//! The file is written (to a temporary name, synced, renamed, the folder synced) after the commit of a batch and before
//! anyone is answered. Lost: the next start finds nothing to compare with and says so. Torn: impossible by the rename.
//! Older than the database: the process died between commit and write; the log goes on. Newer than the database, or of
//! another history: the database was put back, and the collector refuses to sign a fork.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ledger::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use ledger::hash::leaf_hash;
use ledger::key::{Skey, Vkey};
use ledger::tile::FULL_WIDTH;
use store::{Head, Store, StoreError};

use super::proofs::{ProofsError, Tiles};

/// Largest checkpoint file.
const MAX_FILE_BYTES: u64 = 128 * 1024;

/// Why the collector will not sign.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The file cannot be read or written.
    #[error("cannot keep the checkpoint in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no checkpoint of this log.
    #[error("{} is no checkpoint of this log", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: CheckpointError,
    },
    /// The database is behind the checkpoint: an old backup was put back.
    #[error("the database has {database} entries, but a checkpoint of {checkpoint} was signed and kept in {}: an older database was put back. Signing now would fork the log. Put the newer database back; if it is lost for ever, start a new log", path.display())]
    Behind {
        /// Entries in the database.
        database: u64,
        /// Entries of the checkpoint.
        checkpoint: u64,
        /// The file.
        path: PathBuf,
    },
    /// The database has another history than the checkpoint.
    #[error("the database's first {size} entries are not those of the checkpoint kept in {}: this is another log, or its history was changed. Nothing will be signed", path.display())]
    Fork {
        /// Size compared.
        size: u64,
        /// The file.
        path: PathBuf,
    },
    /// The tiles in the database do not make the head's root.
    #[error("the tiles in the database do not make the root it names; restore it from a backup")]
    Damaged,
    /// Entries are missing, or there are more than the head names.
    #[error(
        "the database holds {found} entries, but its head names {size}: rows of the log were taken out or put in. Nothing will be signed; restore the database from a backup"
    )]
    Entries {
        /// Rows found.
        found: u64,
        /// Size that the head names.
        size: u64,
    },
    /// An entry is not the one that the tiles were made of.
    #[error(
        "entry {0} in the database is missing or not the one that was signed. Nothing will be signed; restore the database from a backup"
    )]
    Entry(u64),
    /// Tiles could not be read.
    #[error(transparent)]
    Proofs(#[from] ProofsError),
    /// Entries could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The checkpoint file.
#[derive(Debug, Clone)]
pub struct HeadFile {
    path: PathBuf,
}

impl HeadFile {
    /// The file at `path`.
    #[must_use]
    pub fn at(path: PathBuf) -> HeadFile {
        HeadFile { path }
    }

    /// Keeps a checkpoint durably.
    ///
    /// # Errors
    /// [`HeadError::File`]; the old one is then still there.
    pub fn keep(&self, checkpoint: &[u8]) -> Result<(), HeadError> {
        write_durably(&self.path, checkpoint).map_err(|source| HeadError::File {
            path: self.path.clone(),
            source,
        })
    }

    /// The checkpoint kept; `None` if there never was one.
    ///
    /// # Errors
    /// [`HeadError`] if the file is no checkpoint of this log.
    pub fn kept(&self, log_key: &Vkey) -> Result<Option<SignedCheckpoint>, HeadError> {
        let file = |source| HeadError::File {
            path: self.path.clone(),
            source,
        };
        let size = match std::fs::metadata(&self.path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file(error)),
        };
        if size > MAX_FILE_BYTES {
            return Err(file(std::io::Error::other("larger than any checkpoint")));
        }
        let bytes = std::fs::read(&self.path).map_err(file)?;
        SignedCheckpoint::open(&bytes, log_key, &[])
            .map(Some)
            .map_err(|source| HeadError::Checkpoint {
                path: self.path.clone(),
                source,
            })
    }

    /// Holds the database's head against its own tiles and newest entries and against the checkpoint kept outside, and
    /// signs it.
    ///
    /// # Errors
    /// [`HeadError`] if anything would make the signature a fork.
    pub async fn verify_and_sign(
        &self,
        store: &Store,
        tiles: &mut Tiles,
        head: Head,
        key: &Skey,
    ) -> Result<SignedCheckpoint, HeadError> {
        if tiles.root(store, head.size, head.size).await? != head.root {
            return Err(HeadError::Damaged);
        }
        newest_entries(store, head.size).await?;
        match self.kept(&key.vkey())? {
            None if head.size > 0 => {
                tracing::warn!(path = %self.path.display(), "no checkpoint was kept outside the database; a restored backup cannot be told from the log")
            }
            None => {}
            Some(kept) => self.compare(store, tiles, head, kept.checkpoint()).await?,
        }
        let checkpoint = Checkpoint {
            origin: key.name().clone(),
            size: head.size,
            root: head.root,
        };
        checkpoint
            .sign(key)
            .map_err(|source| HeadError::Checkpoint {
                path: self.path.clone(),
                source,
            })
    }

    async fn compare(
        &self,
        store: &Store,
        tiles: &mut Tiles,
        head: Head,
        kept: &Checkpoint,
    ) -> Result<(), HeadError> {
        if kept.size > head.size {
            return Err(HeadError::Behind {
                database: head.size,
                checkpoint: kept.size,
                path: self.path.clone(),
            });
        }
        if tiles.root(store, kept.size, head.size).await? != kept.root {
            return Err(HeadError::Fork {
                size: kept.size,
                path: self.path.clone(),
            });
        }
        Ok(())
    }
}

/// Holds the number of entries against the head, and the last entry bundle against the tile over it: what a verifier is
/// served next. Older bundles are what the auditor's program goes through.
async fn newest_entries(store: &Store, size: u64) -> Result<(), HeadError> {
    let found = store.count_entries().await?;
    if found != size {
        return Err(HeadError::Entries { found, size });
    }
    let Some(last) = size.checked_sub(1) else {
        return Ok(());
    };
    let width = u64::from(FULL_WIDTH);
    let tile = last / width;
    let tiles = store.tiles(&[(0, tile)]).await?;
    let hashes = tiles.get(&(0, tile)).map(Vec::as_slice);
    let entries = store.entries(tile * width, u32::from(FULL_WIDTH)).await?;
    let mut entries = entries.iter();
    for (index, hash) in (tile * width..size).zip(hashes.unwrap_or_default()) {
        let entry = entries.next().filter(|entry| entry.idx == index);
        if entry.is_none_or(|entry| leaf_hash(&entry.bytes) != *hash) {
            return Err(HeadError::Entry(index));
        }
    }
    Ok(())
}

/// Writes a file so that after a crash it is the old or the new one, whole.
///
/// # Errors
/// What the system said; the old file is then still there.
pub fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}
