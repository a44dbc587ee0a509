//! Checkpoints: the signed head of a log (C2SP tlog-checkpoint v1.0.0).
//!
//! ```text
//! <origin>
//! <size, decimal>
//! <base64 of the root>
//! [extension lines]
//! ```
//! as the text of a signed note. We write no extension line, for nobody can audit one. On reading they are tolerated, as
//! the specification wants: they must not be empty, they are signed with the rest and stay in the note, and nothing here
//! looks at them.
//!
//! Stricter than the specification: the log's key has the origin as its name and is an Ed25519 key (0x01), a size is at
//! most [`MAX_SIZE`], and size 0 goes with the empty root. Bounds: [`MAX_NOTE_BYTES`] for the note. Not here: whether two
//! checkpoints are consistent ([`crate::proof`]), and how many witnesses suffice (tlog-policy).

use crypto::Digest;

use crate::MAX_SIZE;
use crate::hash::EMPTY_ROOT;
use crate::key::{KeyName, SignatureType, Skey, Vkey};
use crate::note::{MAX_NOTE_BYTES, Note, NoteError};

/// Why a text is no checkpoint, or a checkpoint is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Fewer than three lines, an empty line, or no final newline.
    #[error("a checkpoint is an origin, a size and a root, each on a line of its own")]
    Form,
    /// Not a decimal number without leading zero, or too large.
    #[error("{0:?} is not a tree size: a decimal number without leading zero, at most {MAX_SIZE}")]
    Size(String),
    /// Not the base64 of 32 bytes.
    #[error("the root is not the base64 of 32 bytes")]
    Root(#[source] crypto::DigestError),
    /// Size 0 with another root than the empty one.
    #[error("a tree of size 0 has the root of the empty tree")]
    EmptyRoot,
    /// A checkpoint of another log.
    #[error("the checkpoint is of {found}, the key belongs to {expected}")]
    Origin {
        /// The name of the log's key.
        expected: KeyName,
        /// The origin in the checkpoint.
        found: String,
    },
    /// A log is verified by its own key, not by a witness's.
    #[error("{0} is a witness's key (0x04); a log's key is of type 0x01")]
    NotALogKey(KeyName),
    /// Witnesses signed it but the log did not.
    #[error("{0} did not sign this checkpoint")]
    NotSignedByLog(KeyName),
    /// Not a note, or its signatures do not hold.
    #[error("the signed checkpoint cannot be believed")]
    Note(#[source] NoteError),
}

/// The head of a log: which log, how many entries, and the root over them. Anyone can make one; it is believed only
/// inside a [`SignedCheckpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log, the same as its key's name.
    pub origin: KeyName,
    /// The number of entries.
    pub size: u64,
    /// The root hash at that size.
    pub root: Digest,
}

impl Checkpoint {
    /// The note text: three lines.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            self.root.to_base64()
        )
    }

    /// Reads a note text. Extension lines are allowed and left out of the result.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not a well-formed checkpoint.
    pub fn parse(text: &str) -> Result<Checkpoint, CheckpointError> {
        let body = text.strip_suffix('\n').ok_or(CheckpointError::Form)?;
        let lines: Vec<&str> = body.split('\n').collect();
        let [origin, size, root, ..] = lines.as_slice() else {
            return Err(CheckpointError::Form);
        };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Form);
        }
        let size = parse_size(size)
            .ok_or_else(|| CheckpointError::Size(size.chars().take(40).collect()))?;
        let root = Digest::from_base64(root).map_err(CheckpointError::Root)?;
        if size == 0 && root != EMPTY_ROOT {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Checkpoint {
            origin: origin.parse().map_err(|_| CheckpointError::Form)?,
            size,
            root,
        })
    }

    /// Signs it with the log's key. The caller must never sign two checkpoints of which neither extends the other.
    ///
    /// # Errors
    /// [`CheckpointError`] if the key is another log's, or this is no checkpoint that could be read again.
    pub fn sign(&self, key: &Skey) -> Result<SignedCheckpoint, CheckpointError> {
        if *key.name() != self.origin {
            return Err(CheckpointError::Origin {
                expected: key.name().clone(),
                found: self.origin.to_string(),
            });
        }
        let text = self.to_text();
        let checkpoint = Checkpoint::parse(&text)?;
        let mut note = Note::new(text).map_err(CheckpointError::Note)?;
        note.sign(key);
        Ok(SignedCheckpoint {
            checkpoint,
            note,
            cosignatures: Vec::new(),
        })
    }
}

/// A valid cosignature by a known witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness.
    pub witness: Vkey,
    /// When it signed, in seconds since 1970.
    pub time_s: u64,
}

/// A checkpoint that the log signed: the signature was made or verified here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    cosignatures: Vec<Cosigned>,
}

impl SignedCheckpoint {
    /// Verifies a signed checkpoint by the log's key and the witnesses that are known (none is fine). Other signatures in
    /// it are ignored; a failing one of a known key is not.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not a checkpoint of the key's log, signed by that key.
    pub fn open(
        bytes: &[u8],
        log_key: &Vkey,
        witnesses: &[Vkey],
    ) -> Result<SignedCheckpoint, CheckpointError> {
        if log_key.kind() != SignatureType::Ed25519 {
            return Err(CheckpointError::NotALogKey(log_key.name().clone()));
        }
        let note = Note::parse(bytes, MAX_NOTE_BYTES).map_err(CheckpointError::Note)?;
        let known: Vec<Vkey> = [log_key].into_iter().chain(witnesses).cloned().collect();
        let valid = note.verify(&known).map_err(CheckpointError::Note)?;
        if !valid.iter().any(|signed| signed.key == log_key) {
            return Err(CheckpointError::NotSignedByLog(log_key.name().clone()));
        }
        let cosignatures = valid
            .iter()
            .filter_map(|signed| {
                Some(Cosigned {
                    witness: signed.key.clone(),
                    time_s: signed.time_s?,
                })
            })
            .collect();
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != *log_key.name() {
            return Err(CheckpointError::Origin {
                expected: log_key.name().clone(),
                found: checkpoint.origin.to_string(),
            });
        }
        Ok(SignedCheckpoint {
            checkpoint,
            note,
            cosignatures,
        })
    }

    /// What the log signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note with all its signature lines.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The valid cosignatures by known witnesses, in the note's order.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosigned] {
        &self.cosignatures
    }

    /// The file: the bytes that were opened, or those just signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.note.to_bytes()
    }
}

/// A decimal number without sign or leading zero, at most [`MAX_SIZE`].
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let size: u64 = text.parse().ok()?;
    (size <= MAX_SIZE && size.to_string() == text).then_some(size)
}
