//! Receipts: why an agent may forget its copy of a statement.
//!
//! A receipt holds the tlog-proof of the statement's leaf (with the leaf itself as `extra`, which the inclusion then
//! authenticates) and the consistency proof from the checkpoint that the statement says it has seen.

use crypto::{Digest, DigestError};
use evidence::id::AgentId;
use ledger::checkpoint::Checkpoint;
use ledger::key::Vkey;
use ledger::proof::{MAX_PROOF_HASHES, ProofError, verify_growth};
use ledger::tlog_proof::{TlogProof, TlogProofError};
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::leaf::{Leaf, LeafError};
use crate::statement::Seen;

/// Media type of a receipt.
pub const RECEIPT_TYPE: &str = "application/vnd.assay.receipt+json";
/// Largest receipt: two proofs of 64 hashes, a leaf and a checkpoint with cosignatures.
pub const MAX_RECEIPT_BYTES: usize = 256 * 1024;

/// A receipt as received, verified by nobody yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// A tlog-proof with the leaf as `extra`.
    pub proof: String,
    /// Consistency from `seen` to the proof's checkpoint, base64; empty if equal or if nothing was seen.
    pub consistency: Vec<String>,
}

/// Why a receipt does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The proof does not hold: form, checkpoint signature or inclusion.
    #[error("the receipt's proof does not hold")]
    Proof(#[from] TlogProofError),
    /// What is included is no leaf.
    #[error("the receipt's entry is no leaf")]
    Leaf(#[from] LeafError),
    /// The leaf is of another statement: the member named differs.
    #[error("the receipt is for another statement: its {0} differs")]
    OtherStatement(&'static str),
    /// A consistency hash that is none, or too many.
    #[error("the consistency proof is malformed")]
    Form(#[source] Option<DigestError>),
    /// The log does not extend what was seen before: history was rewritten.
    #[error(
        "the log does not extend the checkpoint seen before (size {size}); keep this evidence and tell the auditor"
    )]
    Inconsistent {
        /// Size of the checkpoint seen.
        size: u64,
        /// What failed.
        #[source]
        source: ProofError,
    },
}

/// What a verified receipt shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The entry's index.
    pub index: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// The checkpoint that includes it: the next `seen`.
    pub checkpoint: Checkpoint,
}

/// Whose statement a receipt must be for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'s> {
    /// The agent.
    pub agent: &'s AgentId,
    /// Its epoch.
    pub epoch: u64,
    /// The statement's number.
    pub seq: u64,
    /// The envelope as it was sent.
    pub envelope: &'s Envelope,
}

impl Receipt {
    /// Verifies the receipt of a statement against the pinned log key and the checkpoint seen before.
    ///
    /// # Errors
    /// [`ReceiptError`] naming what does not hold; the statement must then be kept.
    pub fn verify(
        &self,
        subject: Subject<'_>,
        log_key: &Vkey,
        seen: &Seen,
    ) -> Result<Verified, ReceiptError> {
        let verified = self.verify_entry(log_key, seen)?;
        let leaf = &verified.leaf;
        let signature = subject.envelope.signatures.first();
        for (name, same) in [
            ("digest", leaf.pae == subject.envelope.digest()),
            ("agent", leaf.agent.as_ref() == Some(subject.agent)),
            ("epoch", leaf.epoch == Some(subject.epoch)),
            ("sequence number", leaf.seq == Some(subject.seq)),
            (
                "signature",
                signature.is_some_and(|one| one.signature == leaf.sig && one.key == Some(leaf.key)),
            ),
        ] {
            if !same {
                return Err(ReceiptError::OtherStatement(name));
            }
        }
        Ok(verified)
    }

    /// Verifies that the receipt's entry is in the log, and that the log extends what was seen before.
    ///
    /// # Errors
    /// [`ReceiptError`] naming what does not hold.
    pub fn verify_entry(&self, log_key: &Vkey, seen: &Seen) -> Result<Verified, ReceiptError> {
        let proof = TlogProof::parse(self.proof.as_bytes())?;
        let (entry, signed) = proof.verify_extra(log_key, &[])?;
        let leaf = Leaf::parse(entry)?;
        let checkpoint = signed.checkpoint().clone();
        self.check_growth(&checkpoint, seen)?;
        Ok(Verified {
            index: proof.index,
            leaf,
            checkpoint,
        })
    }

    fn check_growth(&self, checkpoint: &Checkpoint, seen: &Seen) -> Result<(), ReceiptError> {
        if self.consistency.len() > MAX_PROOF_HASHES {
            return Err(ReceiptError::Form(None));
        }
        let hashes = self
            .consistency
            .iter()
            .map(|line| Digest::from_base64(line))
            .collect::<Result<Vec<_>, _>>();
        let hashes = hashes.map_err(|error| ReceiptError::Form(Some(error)))?;
        let root =
            Digest::from_base64(&seen.root).map_err(|error| ReceiptError::Form(Some(error)))?;
        verify_growth(seen.size, checkpoint.size, &root, &checkpoint.root, &hashes).map_err(
            |source| ReceiptError::Inconsistent {
                size: seen.size,
                source,
            },
        )
    }
}
