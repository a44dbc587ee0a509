//! Ed25519 cosignatures: a witness's word on a checkpoint (C2SP tlog-cosignature v1.0.1, signature type 0x04).
//!
//! The signed message is `cosignature/v1\ntime <unix seconds>\n` followed by the checkpoint's whole note text with its
//! final newline. The signature in the note is `u64 big-endian time ‖ 64 bytes`. It says: as of this time, this is the
//! largest tree that I have seen for this origin, and it is consistent with those before it.
//!
//! The message does not name the witness, so a witness's key must serve one name only. Bound: a time is at most 2^63 − 1.
//! Not here: the note around it ([`crate::note`]), the witness protocol, and ML-DSA cosignatures (0x06).

use crypto::{Signature, SigningKey, VerifyingKey};

/// Length of a cosignature: the time and an Ed25519 signature.
pub const COSIGNATURE_BYTES: usize = 8 + 64;
/// The latest time that may be signed, in seconds since 1970.
pub const MAX_TIME_S: u64 = i64::MAX as u64;

/// Why a cosignature is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// Not a time and a signature.
    #[error("a cosignature has {COSIGNATURE_BYTES} bytes, found {0}")]
    Length(usize),
    /// A time that does not fit a signed 64-bit number.
    #[error("the cosignature's time {0} is above 2^63 − 1 seconds")]
    Time(u64),
    /// Not this witness's signature over this text and time.
    #[error("the cosignature does not verify")]
    Invalid(#[source] crypto::SignatureError),
}

/// The bytes that a witness signs.
#[must_use]
pub fn message(time_s: u64, note_text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_s}\n{note_text}").into_bytes()
}

/// The cosignature of this key over a note text, at a time in seconds since 1970.
///
/// # Errors
/// [`CosignatureError::Time`] above [`MAX_TIME_S`].
pub fn sign(
    key: &SigningKey,
    time_s: u64,
    note_text: &str,
) -> Result<[u8; COSIGNATURE_BYTES], CosignatureError> {
    if time_s > MAX_TIME_S {
        return Err(CosignatureError::Time(time_s));
    }
    let mut cosignature = [0; COSIGNATURE_BYTES];
    cosignature[..8].copy_from_slice(&time_s.to_be_bytes());
    cosignature[8..].copy_from_slice(key.sign(&message(time_s, note_text)).as_bytes());
    Ok(cosignature)
}

/// Checks a cosignature and returns its time in seconds since 1970.
///
/// # Errors
/// [`CosignatureError`] if it is not this key's over exactly this text and its own time.
pub fn verify(
    key: &VerifyingKey,
    note_text: &str,
    cosignature: &[u8],
) -> Result<u64, CosignatureError> {
    let wrong_length = CosignatureError::Length(cosignature.len());
    let (time, signature) = cosignature.split_first_chunk::<8>().ok_or(wrong_length)?;
    let signature: [u8; 64] = signature.try_into().map_err(|_| wrong_length)?;
    let time_s = u64::from_be_bytes(*time);
    if time_s > MAX_TIME_S {
        return Err(CosignatureError::Time(time_s));
    }
    key.verify(
        &message(time_s, note_text),
        &Signature::from_bytes(signature),
    )
    .map_err(CosignatureError::Invalid)?;
    Ok(time_s)
}
