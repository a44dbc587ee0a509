//! Signed notes (C2SP signed-note v1.0.0).
//!
//! ```text
//! <text, one or more lines, each with its newline>
//!
//! — <name> <base64(4-byte key id ‖ signature)>
//! ```
//! The text and the signatures part at the **last** empty line; the dash is U+2014. What is signed is the text with its
//! final newline, as received, never a rendering of what was parsed. UTF-8, no control character but the newline.
//!
//! A signature whose pair of name and key id is not known is ignored; one of a known key that fails makes the whole note
//! fail; and a note that no known key signed is refused. Bounds: the caller's on bytes (at most
//! [`MAX_NOTE_BYTES`]), [`MAX_SIGNATURES`]. Not here: what the text says ([`crate::checkpoint`]).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cosignature::CosignatureError;
use crate::key::{Cosigner, KeyName, NoteKeyId, NoteSignatureError, Skey, Vkey};

/// Most signatures that are read in a note; the specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 32;
/// The longest note that is read: a short text and [`MAX_SIGNATURES`] ML-DSA-44 lines of 3.6 kB.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;

const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// Why bytes are no note, or a note is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// Longer than the caller allows.
    #[error("the note has {found} bytes, at most {max} are read")]
    TooLong {
        /// Its length.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// Not UTF-8, or with a control character in it.
    #[error("a note is UTF-8 without control characters")]
    Characters,
    /// No text, no empty line before the signatures, or no final newline.
    #[error("a note is a text, an empty line and signature lines, each ending in a newline")]
    Form,
    /// A line among the signatures that is none.
    #[error("signature line {0} is not “— <name> <base64>”")]
    SignatureLine(usize),
    /// More signatures than are read.
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A known key's signature does not verify: the note is forged or damaged.
    #[error("the signature of {name} ({id}) is not valid")]
    BadSignature {
        /// The signer.
        name: KeyName,
        /// Its key.
        id: NoteKeyId,
        /// What is wrong with it.
        #[source]
        source: NoteSignatureError,
    },
    /// No signature is by a known key.
    #[error("no known key signed this note")]
    NotSigned,
    /// A cosignature could not be made.
    #[error("the note cannot be cosigned")]
    Cosign(#[source] CosignatureError),
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The signer's name, as the line claims.
    pub name: KeyName,
    /// The key id, as the line claims.
    pub id: NoteKeyId,
    /// The signature without the key id; what it holds depends on the key's type.
    pub signature: Vec<u8>,
}

/// A valid signature by a known key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key.
    pub key: &'k Vkey,
    /// A cosignature's time, in seconds since 1970.
    pub time_s: Option<u64>,
}

/// A text with signatures that nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note without signatures.
    ///
    /// # Errors
    /// [`NoteError`] if the text does not end in a newline or has a control character in it.
    pub fn new(text: String) -> Result<Note, NoteError> {
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::Form);
        }
        Ok(Note {
            text,
            signatures: Vec::new(),
        })
    }

    /// Reads a note of at most `max_bytes` (and never more than [`MAX_NOTE_BYTES`]). Says nothing about its signatures.
    ///
    /// # Errors
    /// [`NoteError`] if it is not a well-formed note.
    pub fn parse(bytes: &[u8], max_bytes: usize) -> Result<Note, NoteError> {
        let max = max_bytes.min(MAX_NOTE_BYTES);
        if bytes.len() > max {
            return Err(NoteError::TooLong {
                found: bytes.len(),
                max,
            });
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
        check_characters(note)?;
        let split = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let mut signatures = Vec::new();
        for (at, line) in lines.split('\n').enumerate() {
            if at == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(parse_signature(line).ok_or(NoteError::SignatureLine(at + 1))?);
        }
        Ok(Note {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text with its final newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, checked by nobody.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The note's bytes; those of a parsed note are the bytes that were parsed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut note = format!("{}\n", self.text);
        for line in &self.signatures {
            let bytes = [line.id.as_bytes().as_slice(), &line.signature].concat();
            note.push_str(&format!(
                "{SIGNATURE_PREFIX}{} {}\n",
                line.name,
                STANDARD.encode(bytes)
            ));
        }
        note.into_bytes()
    }

    /// Adds the signature of a log's key.
    pub fn sign(&mut self, key: &Skey) {
        let signature = key.sign(&self.text).as_bytes().to_vec();
        let vkey = key.vkey();
        self.signatures.push(NoteSignature {
            name: vkey.name().clone(),
            id: vkey.id(),
            signature,
        });
    }

    /// Adds the cosignature of a witness at a time in seconds since 1970.
    ///
    /// # Errors
    /// [`NoteError::Cosign`] for a time above 2^63 − 1.
    pub fn cosign(&mut self, witness: &Cosigner, time_s: u64) -> Result<(), NoteError> {
        let signature = witness
            .cosign(time_s, &self.text)
            .map_err(NoteError::Cosign)?;
        let vkey = witness.vkey();
        self.signatures.push(NoteSignature {
            name: vkey.name().clone(),
            id: vkey.id(),
            signature,
        });
        Ok(())
    }

    /// Checks every signature by a known key and returns them in the note's order.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if one of a known key fails, [`NoteError::NotSigned`] if there is none.
    pub fn verify<'k>(&self, known: &'k [Vkey]) -> Result<Vec<Signed<'k>>, NoteError> {
        let mut valid = Vec::new();
        for line in &self.signatures {
            let claimed = known
                .iter()
                .filter(|key| *key.name() == line.name && key.id() == line.id);
            for key in claimed {
                let time_s = key.verify(&self.text, &line.signature).map_err(|source| {
                    NoteError::BadSignature {
                        name: line.name.clone(),
                        id: line.id,
                        source,
                    }
                })?;
                valid.push(Signed { key, time_s });
            }
        }
        if valid.is_empty() {
            return Err(NoteError::NotSigned);
        }
        Ok(valid)
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.bytes().any(|b| b < 0x20 && b != b'\n') {
        return Err(NoteError::Characters);
    }
    Ok(())
}

fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
    let name: KeyName = name.parse().ok()?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    if signature.is_empty() {
        return None;
    }
    Some(NoteSignature {
        name,
        id: NoteKeyId::from_bytes(*id),
        signature: signature.to_vec(),
    })
}
