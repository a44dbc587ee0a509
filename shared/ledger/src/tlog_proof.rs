//! An entry's proof as a file that verifies offline (C2SP tlog-proof, draft at commit 5ba5ee8; extension `.tlog-proof`).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! [extra <base64>]
//! index <decimal>
//! <base64 of a hash>          as many as the proof has, the leaf's sibling first; none for a log of one entry
//!
//! <the signed checkpoint, verbatim>
//! ```
//! Nothing vouches for `extra`. In receipts and exported rounds it is the entry itself, and the inclusion proof then
//! vouches for it: [`TlogProof::verify_extra`]. Only one spelling is read, so that what is parsed writes itself again.
//!
//! Bounds: [`MAX_PROOF_BYTES`] in all, [`MAX_PROOF_HASHES`] hashes, an `extra` of at most [`MAX_ENTRY_BYTES`]. Not here:
//! how the entry is rebuilt when there is no `extra`, and how many witnesses suffice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Digest;

use crate::bundle::MAX_ENTRY_BYTES;
use crate::checkpoint::{CheckpointError, SignedCheckpoint, parse_size};
use crate::hash::leaf_hash;
use crate::key::Vkey;
use crate::note::MAX_NOTE_BYTES;
use crate::proof::{MAX_PROOF_HASHES, ProofError, verify_inclusion};

/// The longest file that is read: the longest entry in base64, the longest proof and the longest checkpoint.
pub const MAX_PROOF_BYTES: usize =
    4 * MAX_ENTRY_BYTES.div_ceil(3) + 45 * MAX_PROOF_HASHES + MAX_NOTE_BYTES + 128;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why a file is no proof, or proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum TlogProofError {
    /// Longer than is read.
    #[error("the proof has {0} bytes, at most {MAX_PROOF_BYTES} are read")]
    TooLong(usize),
    /// Not the header of this format and version.
    #[error("a proof begins with the line {HEADER}")]
    Header,
    /// Not UTF-8, no empty line before the checkpoint, or no checkpoint.
    #[error("a proof is its own lines, an empty line and a signed checkpoint")]
    Form,
    /// `extra` is not base64 of at most [`MAX_ENTRY_BYTES`].
    #[error("extra is not the base64 of at most {MAX_ENTRY_BYTES} bytes")]
    Extra,
    /// No index line where it should be.
    #[error("the line “index <decimal>” is missing or not a number without leading zero")]
    Index,
    /// A line that is not a hash.
    #[error("line {0} of the proof is not the base64 of a hash")]
    Hash(usize, #[source] crypto::DigestError),
    /// More hashes than any log needs.
    #[error("the proof has more than {MAX_PROOF_HASHES} hashes")]
    TooManyHashes,
    /// The entry was to be taken from `extra`, which is not there.
    #[error("the proof does not carry its entry (no extra line)")]
    NoExtra,
    /// The checkpoint is not to be believed.
    #[error("the checkpoint in the proof does not hold")]
    Checkpoint(#[source] CheckpointError),
    /// The entry is not in the log at that index.
    #[error("the entry is not in the log at index {index}")]
    NotIncluded {
        /// The index in the proof.
        index: u64,
        /// What is wrong.
        #[source]
        source: ProofError,
    },
}

/// A parsed proof, verified by nobody yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Application data that nothing vouches for; with us the entry's bytes, or nothing.
    pub extra: Option<Vec<u8>>,
    /// The entry's index in the log.
    pub index: u64,
    /// The inclusion proof.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint as the log gave it.
    pub checkpoint: Vec<u8>,
}

impl TlogProof {
    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut file = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            file.push_str(&format!("extra {}\n", STANDARD.encode(extra)));
        }
        file.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            file.push_str(&hash.to_base64());
            file.push('\n');
        }
        file.push('\n');
        let mut file = file.into_bytes();
        file.extend_from_slice(&self.checkpoint);
        file
    }

    /// Reads a proof of at most [`MAX_PROOF_BYTES`]. Says nothing about its truth.
    ///
    /// # Errors
    /// [`TlogProofError`] if it is not spelled as [`TlogProof::to_bytes`] spells it.
    pub fn parse(bytes: &[u8]) -> Result<TlogProof, TlogProofError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(TlogProofError::TooLong(bytes.len()));
        }
        let file = str::from_utf8(bytes).map_err(|_| TlogProofError::Form)?;
        let (head, checkpoint) = file.split_once("\n\n").ok_or(TlogProofError::Form)?;
        if checkpoint.is_empty() {
            return Err(TlogProofError::Form);
        }
        let mut lines = head.split('\n').enumerate().peekable();
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return Err(TlogProofError::Header);
        }
        let extra = lines
            .next_if(|(_, line)| line.starts_with("extra "))
            .map(|(_, line)| parse_extra(line))
            .transpose()?;
        let index = lines
            .next()
            .and_then(|(_, line)| parse_size(line.strip_prefix("index ")?))
            .ok_or(TlogProofError::Index)?;
        let mut hashes = Vec::new();
        for (at, line) in lines {
            if hashes.len() == MAX_PROOF_HASHES {
                return Err(TlogProofError::TooManyHashes);
            }
            let hash = Digest::from_base64(line);
            hashes.push(hash.map_err(|source| TlogProofError::Hash(at + 1, source))?);
        }
        Ok(TlogProof {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.as_bytes().to_vec(),
        })
    }

    /// Verifies that these bytes are the entry at [`TlogProof::index`] of the log that `log_key` signs for, and returns the
    /// checkpoint that says so. `extra` is not looked at. Cosignatures of known witnesses are in the checkpoint.
    ///
    /// # Errors
    /// [`TlogProofError`] if the checkpoint is not the log's, or the entry is not included in it.
    pub fn verify(
        &self,
        entry: &[u8],
        log_key: &Vkey,
        witnesses: &[Vkey],
    ) -> Result<SignedCheckpoint, TlogProofError> {
        let signed = SignedCheckpoint::open(&self.checkpoint, log_key, witnesses)
            .map_err(TlogProofError::Checkpoint)?;
        let head = signed.checkpoint();
        verify_inclusion(
            self.index,
            head.size,
            &leaf_hash(entry),
            &self.hashes,
            &head.root,
        )
        .map_err(|source| TlogProofError::NotIncluded {
            index: self.index,
            source,
        })?;
        Ok(signed)
    }

    /// [`TlogProof::verify`] for the entry in `extra`, which is thereby shown to be the log's.
    ///
    /// # Errors
    /// [`TlogProofError::NoExtra`] if there is none, otherwise as [`TlogProof::verify`].
    pub fn verify_extra(
        &self,
        log_key: &Vkey,
        witnesses: &[Vkey],
    ) -> Result<(&[u8], SignedCheckpoint), TlogProofError> {
        let entry = self.extra.as_deref().ok_or(TlogProofError::NoExtra)?;
        Ok((entry, self.verify(entry, log_key, witnesses)?))
    }
}

fn parse_extra(line: &str) -> Result<Vec<u8>, TlogProofError> {
    let encoded = line.strip_prefix("extra ").ok_or(TlogProofError::Extra)?;
    let extra = STANDARD
        .decode(encoded)
        .map_err(|_| TlogProofError::Extra)?;
    if extra.len() > MAX_ENTRY_BYTES {
        return Err(TlogProofError::Extra);
    }
    Ok(extra)
}
