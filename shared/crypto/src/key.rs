//! Ed25519 keys: identity of agents, of the log, of policy and of decisions.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signer as _, SigningKey as DalekSigning, VerifyingKey as DalekVerifying};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::{Digest, Random};

/// DER before the 32 key bytes in an Ed25519 SubjectPublicKeyInfo (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// The name of a key: SHA-256 of its SubjectPublicKeyInfo DER. An agent's id is the key id of its first key.
pub type KeyId = Digest;

/// Why bytes are no key of ours.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not the 44-byte DER SubjectPublicKeyInfo of an Ed25519 key (RFC 8410).
    #[error("not the SubjectPublicKeyInfo of an Ed25519 key (44 bytes of DER)")]
    NotEd25519,
    /// A point of small order or a non-canonical encoding, on which verifiers differ.
    #[error("a weak or non-canonical Ed25519 key")]
    Weak,
    /// Not PEM of the expected label.
    #[error("not a PEM block labelled {expected}")]
    Pem {
        /// The label that was looked for.
        expected: &'static str,
    },
}

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under this key")]
pub struct SignatureError;

/// An Ed25519 signature, 64 bytes; standard base64 in JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// A signature received from elsewhere; says nothing about its validity.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Signature {
        Signature(bytes)
    }

    /// The 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// Standard base64 with padding, 88 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Parses standard base64 with padding.
    ///
    /// # Errors
    /// [`SignatureError`] if it is not the base64 of 64 bytes.
    pub fn from_base64(text: &str) -> Result<Signature, SignatureError> {
        let bytes = STANDARD.decode(text).map_err(|_| SignatureError)?;
        Ok(Signature(bytes.try_into().map_err(|_| SignatureError)?))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_base64())
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        let text = String::deserialize(deserializer)?;
        Signature::from_base64(&text).map_err(de::Error::custom)
    }
}

/// A private Ed25519 key. It cannot be printed, cloned or serialised by accident and is wiped from memory when dropped.
pub struct SigningKey(DalekSigning);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying_key().key_id())
    }
}

impl SigningKey {
    /// A new key.
    pub fn generate(random: &mut dyn Random) -> SigningKey {
        SigningKey::from_seed(&Zeroizing::new(random.bytes32()))
    }

    /// The key of a 32-byte seed (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        SigningKey(DalekSigning::from_bytes(seed))
    }

    /// The 32-byte seed, for the skey line of the log key only.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Reads a PKCS#8 PEM block, `PRIVATE KEY`.
    ///
    /// # Errors
    /// [`KeyError::Pem`] if it is not one of an Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
        DalekSigning::from_pkcs8_pem(pem)
            .map(SigningKey)
            .map_err(|_| KeyError::Pem {
                expected: "PRIVATE KEY",
            })
    }

    /// The PKCS#8 PEM block, to be written to a file of mode 0600.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "encoding 32 bytes as PKCS#8 has no failing input"
    )]
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0
            .to_pkcs8_pem(LineEnding::LF)
            .expect("an Ed25519 key has a PKCS#8 form")
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs exactly these bytes (deterministic, RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

/// A public Ed25519 key that is neither weak nor non-canonical. Serialised as the base64 of its SPKI DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(DalekVerifying);

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.key_id())
    }
}

impl VerifyingKey {
    /// The key of 32 raw bytes.
    ///
    /// # Errors
    /// [`KeyError::Weak`] for a small-order, non-canonical or undecodable point.
    pub fn from_raw(raw: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
        let key = DalekVerifying::from_bytes(raw).map_err(|_| KeyError::Weak)?;
        // Decompression accepts y >= p and the other sign of x = 0; only the one canonical encoding is a key of ours.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != raw {
            return Err(KeyError::Weak);
        }
        Ok(VerifyingKey(key))
    }

    /// The 32 raw bytes.
    #[must_use]
    pub fn as_raw(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Parses exactly 44 bytes of SubjectPublicKeyInfo DER (RFC 8410 §4).
    ///
    /// # Errors
    /// [`KeyError::NotEd25519`] for another length or algorithm, [`KeyError::Weak`] for a bad point.
    pub fn from_spki(der: &[u8]) -> Result<VerifyingKey, KeyError> {
        let raw = der
            .strip_prefix(&SPKI_PREFIX[..])
            .ok_or(KeyError::NotEd25519)?;
        VerifyingKey::from_raw(raw.try_into().map_err(|_| KeyError::NotEd25519)?)
    }

    /// SubjectPublicKeyInfo DER, 44 bytes.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], self.as_raw()].concat()
    }

    /// Reads a `PUBLIC KEY` PEM block.
    ///
    /// # Errors
    /// [`KeyError`] if it is not one of an Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<VerifyingKey, KeyError> {
        let wrong = KeyError::Pem {
            expected: "PUBLIC KEY",
        };
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN PUBLIC KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"));
        let body: String = body.ok_or(wrong)?.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::Pem {
            expected: "PUBLIC KEY",
        })?;
        VerifyingKey::from_spki(&der)
    }

    /// A `PUBLIC KEY` PEM block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(self.to_spki())
        )
    }

    /// SHA-256 of the SubjectPublicKeyInfo DER.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        Digest::of(&self.to_spki())
    }

    /// Strict verification (RFC 8032 with the checks of `verify_strict`).
    ///
    /// # Errors
    /// [`SignatureError`] if the signature is not this key's over exactly these bytes.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0
            .verify_strict(message, &signature)
            .map_err(|_| SignatureError)
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.to_spki()))
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<VerifyingKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        let der = STANDARD.decode(&text).map_err(de::Error::custom)?;
        VerifyingKey::from_spki(&der).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    #[test]
    fn a_key_survives_its_pem_and_signs_what_it_signed() {
        let key = SigningKey::generate(&mut SeededRandom::new(1));
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        let public = VerifyingKey::from_pem(&key.verifying_key().to_pem()).unwrap();
        assert!(public.verify(b"seen", &again.sign(b"seen")).is_ok());
        assert!(public.verify(b"sEen", &again.sign(b"seen")).is_err());
        assert_eq!(public.to_spki().len(), 44);
    }

    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(VerifyingKey::from_raw(&identity).is_err(), "small order");
        let mut above_p = [0xff; 32];
        above_p[0] = 0xee; // p + 1, which decodes to y = 1
        above_p[31] = 0x7f;
        assert!(VerifyingKey::from_raw(&above_p).is_err(), "non-canonical");
        for tail in 0xed..=0xffu8 {
            let mut raw = [0xff; 32];
            raw[0] = tail;
            raw[31] = 0x7f;
            assert!(VerifyingKey::from_raw(&raw).is_err(), "y >= p: {tail:x}");
        }
    }

    #[test]
    fn a_private_key_does_not_show_itself() {
        let key = SigningKey::generate(&mut SeededRandom::new(2));
        let shown = format!("{key:?}");
        assert!(!shown.contains(&hex::encode(key.seed().as_slice())));
    }
}
