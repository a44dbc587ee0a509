//! DSSE envelopes (secure-systems-lab DSSE 1.0.2).
//!
//! What is signed is the pre-authentication encoding `DSSEv1 SP LEN(type) SP type SP LEN(body) SP body`. An envelope in
//! a file of ours has one form: JCS of `{payload, payloadType, signatures: [{keyid, sig}]}` in standard base64; on
//! reading, URL-safe base64 and unknown members are tolerated, as DSSE asks.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use crypto::{Digest, KeyId, Signature, SignatureError, SigningKey, VerifyingKey};
use evidence::json::{self, JsonError};
use serde::{Deserialize, Serialize};

/// payloadType of statements.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
/// payloadType of bundles.
pub const BUNDLE_TYPE: &str = "application/vnd.assay.bundle+json";
/// Largest payload, in bytes: a bundle of 2,000 checks fits, a round is below 100 kB.
pub const MAX_PAYLOAD_BYTES: usize = 4 * 1024 * 1024;
/// Largest envelope file: base64 of the payload and a few signatures.
pub const MAX_ENVELOPE_BYTES: usize = MAX_PAYLOAD_BYTES / 3 * 4 + 16 * 1024;
/// Most signatures of one envelope: old and new key of a rotation.
pub const MAX_SIGNATURES: usize = 2;

/// Why an envelope cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Longer than the bound.
    #[error("the envelope is {0} bytes long; at most {MAX_ENVELOPE_BYTES} are accepted")]
    TooLarge(usize),
    /// Not the JSON of an envelope.
    #[error("not a DSSE envelope")]
    Json(#[source] JsonError),
    /// A member that is not base64, or not of a signature's length.
    #[error("member {0} is not base64 of the right length")]
    Base64(&'static str),
    /// No signature, or more than [`MAX_SIGNATURES`].
    #[error("an envelope has one or two signatures, this one has {0}")]
    SignatureCount(usize),
    /// Another type of payload.
    #[error("payloadType is {found:?}, expected {expected:?}")]
    Type {
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A signature that does not verify under the key it must be of.
    #[error("signature {number} does not verify under key {key}")]
    Signature {
        /// Which signature, from 1.
        number: usize,
        /// The key it was held against.
        key: KeyId,
        /// What failed.
        #[source]
        source: SignatureError,
    },
}

/// A payload with its signatures, verified by nobody yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Type of the payload.
    pub payload_type: String,
    /// The signed bytes.
    pub payload: Vec<u8>,
    /// Signatures with the key they claim; the claim is a hint.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// The key it claims to be of: an unauthenticated hint.
    pub key: Option<KeyId>,
    /// The signature over the pre-authentication encoding.
    pub signature: Signature,
}

#[derive(Deserialize)]
struct EnvelopeJson {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Deserialize)]
struct SignatureJson {
    #[serde(default)]
    keyid: Option<String>,
    sig: String,
}

#[derive(Serialize)]
struct EnvelopeFile<'e> {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: &'e str,
    signatures: Vec<SignatureFile>,
}

#[derive(Serialize)]
struct SignatureFile {
    keyid: String,
    sig: String,
}

/// The bytes that a signature covers.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Signs a payload with one key after the other (two only for a rotation).
    #[must_use]
    pub fn sign(payload_type: &str, payload: Vec<u8>, keys: &[&SigningKey]) -> Envelope {
        let bytes = pae(payload_type, &payload);
        let signatures = keys
            .iter()
            .map(|key| EnvelopeSignature {
                key: Some(key.verifying_key().key_id()),
                signature: key.sign(&bytes),
            })
            .collect();
        Envelope {
            payload_type: payload_type.to_owned(),
            payload,
            signatures,
        }
    }

    /// Reads an envelope of at most [`MAX_ENVELOPE_BYTES`]. Says nothing about its truth.
    ///
    /// # Errors
    /// [`EnvelopeError`] if it is none.
    pub fn parse(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let read: EnvelopeJson = json::parse(bytes).map_err(EnvelopeError::Json)?;
        if read.signatures.is_empty() || read.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::SignatureCount(read.signatures.len()));
        }
        let payload = decode(&read.payload).ok_or(EnvelopeError::Base64("payload"))?;
        let signatures = read.signatures.iter().map(|one| {
            let bytes = decode(&one.sig).ok_or(EnvelopeError::Base64("sig"))?;
            let bytes: [u8; 64] = bytes.try_into().map_err(|_| EnvelopeError::Base64("sig"))?;
            let key = one.keyid.as_deref().and_then(|id| KeyId::from_hex(id).ok());
            Ok(EnvelopeSignature {
                key,
                signature: Signature::from_bytes(bytes),
            })
        });
        let signatures = signatures.collect::<Result<_, _>>()?;
        Ok(Envelope {
            payload_type: read.payload_type,
            payload,
            signatures,
        })
    }

    /// Reads an envelope in the one form that files of ours have.
    ///
    /// # Errors
    /// [`EnvelopeError`] also if the bytes are another form of the same envelope.
    pub fn parse_file(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
        let envelope = Envelope::parse(bytes)?;
        if envelope.to_file()? != bytes {
            return Err(EnvelopeError::Json(JsonError::NotCanonical));
        }
        Ok(envelope)
    }

    /// The one form of the envelope in a file.
    ///
    /// # Errors
    /// [`EnvelopeError::Json`] never happens for an envelope that was signed or parsed here.
    pub fn to_file(&self) -> Result<Vec<u8>, EnvelopeError> {
        let signatures = self
            .signatures
            .iter()
            .map(|one| SignatureFile {
                keyid: one.key.map(|key| key.to_hex()).unwrap_or_default(),
                sig: one.signature.to_base64(),
            })
            .collect();
        let file = EnvelopeFile {
            payload: STANDARD.encode(&self.payload),
            payload_type: &self.payload_type,
            signatures,
        };
        json::canonical(&file).map_err(EnvelopeError::Json)
    }

    /// SHA-256 of the pre-authentication encoding: the name of the envelope everywhere.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&pae(&self.payload_type, &self.payload))
    }

    /// Verifies that the envelope is of the type expected and signed by exactly these keys, in this order.
    ///
    /// # Errors
    /// [`EnvelopeError`] naming the signature that fails.
    pub fn verify(
        &self,
        payload_type: &'static str,
        keys: &[&VerifyingKey],
    ) -> Result<(), EnvelopeError> {
        if self.payload_type != payload_type {
            return Err(EnvelopeError::Type {
                found: self.payload_type.clone(),
                expected: payload_type,
            });
        }
        if self.signatures.len() != keys.len() {
            return Err(EnvelopeError::SignatureCount(self.signatures.len()));
        }
        let bytes = pae(&self.payload_type, &self.payload);
        for (i, (signature, key)) in self.signatures.iter().zip(keys).enumerate() {
            key.verify(&bytes, &signature.signature).map_err(|source| {
                EnvelopeError::Signature {
                    number: i + 1,
                    key: key.key_id(),
                    source,
                }
            })?;
        }
        Ok(())
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}

#[cfg(test)]
mod tests {
    use crypto::SeededRandom;

    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_file_has_one_form_and_every_flipped_byte_shows() {
        let key = SigningKey::generate(&mut SeededRandom::new(1));
        let envelope = Envelope::sign(STATEMENT_TYPE, b"{}".to_vec(), &[&key]);
        let file = envelope.to_file().unwrap();
        assert_eq!(Envelope::parse_file(&file).unwrap(), envelope);
        envelope
            .verify(STATEMENT_TYPE, &[&key.verifying_key()])
            .unwrap();
        assert!(
            envelope
                .verify(BUNDLE_TYPE, &[&key.verifying_key()])
                .is_err(),
            "one type never stands for another"
        );
        for i in 0..file.len() {
            let mut flipped = file.clone();
            flipped[i] ^= 1;
            let verified = Envelope::parse_file(&flipped).and_then(|e| {
                e.verify(STATEMENT_TYPE, &[&key.verifying_key()])
                    .map(|()| e)
            });
            assert!(
                verified.is_err()
                    || verified.unwrap().signatures[0].key != Some(key.verifying_key().key_id()),
                "byte {i}"
            );
        }
    }

    #[test]
    fn url_safe_base64_and_unknown_members_are_tolerated_on_the_wire() {
        let key = SigningKey::generate(&mut SeededRandom::new(2));
        let envelope = Envelope::sign(STATEMENT_TYPE, vec![0xfb, 0xff, 0xfe], &[&key]);
        let text = format!(
            r#"{{"payload":"{}","payloadType":"{STATEMENT_TYPE}","signatures":[{{"sig":"{}","x":1}}],"y":2}}"#,
            URL_SAFE.encode(&envelope.payload),
            URL_SAFE.encode(envelope.signatures[0].signature.as_bytes())
        );
        let read = Envelope::parse(text.as_bytes()).unwrap();
        read.verify(STATEMENT_TYPE, &[&key.verifying_key()])
            .unwrap();
        assert!(Envelope::parse_file(text.as_bytes()).is_err());
    }
}
