//! SHA-256 digests as a type.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, 32 bytes. Shown, parsed and serialised as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Debug, thiserror::Error)]
#[error("expected 64 lower-case hex digits, found {found:?}")]
pub struct DigestError {
    found: String,
}

impl Digest {
    /// All zero bits: the `prev` of an agent's first statement.
    pub const ZERO: Digest = Digest([0; 32]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest of the concatenation of `parts`.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Digest {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Digest(hasher.finalize().into())
    }

    /// A digest computed elsewhere, such as one read from a tile.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lower-case hex, 64 digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Parses exactly 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`DigestError`] for anything else, upper case included: one digest has one text.
    pub fn from_hex(text: &str) -> Result<Digest, DigestError> {
        let wrong = || DigestError {
            found: text.chars().take(80).collect(),
        };
        if text.len() != 64 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| wrong())?;
        Ok(Digest(bytes))
    }

    /// Standard base64 with padding (RFC 4648 §4), 44 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Parses standard base64 with padding and zero unused bits.
    ///
    /// # Errors
    /// [`DigestError`] for anything that is not the base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Digest, DigestError> {
        let wrong = || DigestError {
            found: text.chars().take(80).collect(),
        };
        let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
        Ok(Digest(bytes.try_into().map_err(|_| wrong())?))
    }
}

/// The digest of what comes in pieces, such as a file too large to hold.
#[derive(Debug, Clone, Default)]
pub struct DigestStream(Sha256);

impl DigestStream {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> DigestStream {
        DigestStream::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.to_hex())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::from_hex(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_string_has_its_well_known_digest() {
        assert_eq!(
            Digest::of(b"").to_base64(),
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
    }

    #[test]
    fn one_digest_has_one_text() {
        let hex = Digest::of(b"x").to_hex();
        assert!(Digest::from_hex(&hex).is_ok());
        assert!(Digest::from_hex(&hex.to_uppercase()).is_err());
        assert!(Digest::from_hex(&hex[1..]).is_err());
        assert!(
            Digest::from_base64("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=").is_err(),
            "unused bits are zero"
        );
    }
}
