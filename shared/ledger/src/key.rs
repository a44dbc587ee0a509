//! Keys of signed notes and their texts (C2SP signed-note v1.0.0, "Verifier keys").
//!
//! A vkey is `<name>+<8 hex digits of the key id>+<base64(type ‖ public key)>`, split at its first two `+`. The key id is
//! `SHA256(name ‖ 0x0A ‖ type ‖ public key)[:4]`; the pair (name, key id) says which key a signature claims. An skey, Go's
//! convention for a private key, is `PRIVATE+KEY+<name>+<key id>+<base64(0x01 ‖ 32-byte seed)>`.
//!
//! Types: 0x01, an Ed25519 signature, and 0x04, an Ed25519 timestamped cosignature. Signatures of other types can stand in
//! a note; they are those of unknown keys and are ignored. Bounds: a name of at most [`MAX_NAME_BYTES`], a key text of at
//! most [`MAX_KEY_BYTES`]. Not here: PEM and SPKI (crate `crypto`), files and their modes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::{Digest, Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::cosignature::{self, CosignatureError};

/// The longest key name: as long as a name that an ML-DSA cosignature can carry (`name<1..255>`).
pub const MAX_NAME_BYTES: usize = 255;
/// The longest vkey or skey text of an Ed25519 key with a name of that length.
pub const MAX_KEY_BYTES: usize = 512;

const SKEY_PREFIX: &str = "PRIVATE+KEY+";

/// Why a text or a name is no key of a note.
#[derive(Debug, thiserror::Error)]
pub enum KeyTextError {
    /// Not a name: empty, too long, or with a space, a `+` or a control character in it.
    #[error(
        "{0:?} is no key name: it needs 1 to {MAX_NAME_BYTES} bytes without space, + or control character"
    )]
    Name(String),
    /// Not `<name>+<key id>+<base64>` with the right prefix.
    #[error("not of the form {0}")]
    Form(&'static str),
    /// The key id is not the one that name, type and key give.
    #[error("the key id of {name} should be {expected}, found {found}")]
    KeyId {
        /// The name of the key.
        name: KeyName,
        /// The computed id.
        expected: NoteKeyId,
        /// The id in the text.
        found: NoteKeyId,
    },
    /// A signature type that is neither 0x01 nor 0x04.
    #[error("signature type 0x{0:02x} is not supported: use an Ed25519 key (0x01 or 0x04)")]
    Type(u8),
    /// Bytes that are no good public key.
    #[error("the public key of {name} is not usable")]
    Key {
        /// The name of the key.
        name: KeyName,
        /// What is wrong with it.
        #[source]
        source: crypto::KeyError,
    },
}

/// The name of a signer, such as `example.com/log42`: not empty, without Unicode space, `+` or control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyTextError;

    fn from_str(name: &str) -> Result<KeyName, KeyTextError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(bad) {
            return Err(KeyTextError::Name(name.chars().take(80).collect()));
        }
        Ok(KeyName(name.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The short id of a note key, 4 bytes: with the name it says which key is meant. Too short to be trusted for more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteKeyId([u8; 4]);

impl NoteKeyId {
    /// The id that stands in a signature.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> NoteKeyId {
        NoteKeyId(bytes)
    }

    /// The id of a key: `SHA256(name ‖ 0x0A ‖ type ‖ public key)[:4]`.
    #[must_use]
    pub fn of(name: &KeyName, kind: SignatureType, key: &VerifyingKey) -> NoteKeyId {
        let digest = Digest::of_parts(&[
            name.as_str().as_bytes(),
            b"\n",
            &[kind.byte()],
            key.as_raw(),
        ]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        NoteKeyId([a, b, c, d])
    }

    /// The 4 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    fn from_hex(text: &str) -> Option<NoteKeyId> {
        let mut bytes = [0; 4];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        (hex::encode(bytes) == text).then_some(NoteKeyId(bytes))
    }
}

impl fmt::Display for NoteKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for NoteKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteKeyId({self})")
    }
}

/// How a key signs notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureType {
    /// 0x01: Ed25519 over the note text. The log signs like this.
    Ed25519,
    /// 0x04: Ed25519 over time and note text. Witnesses sign like this.
    Cosignature,
}

impl SignatureType {
    /// The byte assigned by the specification.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            SignatureType::Ed25519 => 0x01,
            SignatureType::Cosignature => 0x04,
        }
    }
}

/// A public key by which notes are verified. Shown and parsed as its vkey text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vkey {
    name: KeyName,
    id: NoteKeyId,
    kind: SignatureType,
    key: VerifyingKey,
}

/// Why a signature in a note is not a known key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteSignatureError {
    /// An Ed25519 signature has 64 bytes.
    #[error("an Ed25519 signature has 64 bytes, found {0}")]
    Length(usize),
    /// It does not verify.
    #[error("the signature does not verify")]
    Ed25519(#[source] crypto::SignatureError),
    /// The cosignature does not verify.
    #[error("the cosignature is not valid")]
    Cosignature(#[source] CosignatureError),
}

impl Vkey {
    /// The vkey of a public key under a name.
    #[must_use]
    pub fn new(name: KeyName, kind: SignatureType, key: VerifyingKey) -> Vkey {
        let id = NoteKeyId::of(&name, kind, &key);
        Vkey {
            name,
            id,
            kind,
            key,
        }
    }

    /// The signer's name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key id that its signatures carry.
    #[must_use]
    pub fn id(&self) -> NoteKeyId {
        self.id
    }

    /// How it signs.
    #[must_use]
    pub fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The public key itself.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Checks the signature (without the key id before it) over a note text. The time of a cosignature, in seconds since
    /// 1970, is returned; an Ed25519 signature has none.
    ///
    /// # Errors
    /// [`NoteSignatureError`] if it is not this key's.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NoteSignatureError> {
        match self.kind {
            SignatureType::Ed25519 => {
                let bytes = signature
                    .try_into()
                    .map_err(|_| NoteSignatureError::Length(signature.len()))?;
                self.key
                    .verify(text.as_bytes(), &Signature::from_bytes(bytes))
                    .map_err(NoteSignatureError::Ed25519)?;
                Ok(None)
            }
            SignatureType::Cosignature => cosignature::verify(&self.key, text, signature)
                .map(Some)
                .map_err(NoteSignatureError::Cosignature),
        }
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[self.kind.byte()], self.key.as_raw().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(material))
    }
}

impl FromStr for Vkey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Vkey, KeyTextError> {
        const FORM: KeyTextError = KeyTextError::Form("<name>+<8 hex digits>+<base64>");
        if text.starts_with(SKEY_PREFIX) {
            return Err(KeyTextError::Form(
                "a vkey: this is a private key, keep it to yourself",
            ));
        }
        let (name, id, material) = split_key(text).ok_or(FORM)?;
        let name: KeyName = name.parse()?;
        let found = NoteKeyId::from_hex(id).ok_or(FORM)?;
        let material = STANDARD.decode(material).map_err(|_| FORM)?;
        let (kind, raw) = material.split_first().ok_or(FORM)?;
        let kind = match kind {
            0x01 => SignatureType::Ed25519,
            0x04 => SignatureType::Cosignature,
            other => return Err(KeyTextError::Type(*other)),
        };
        let raw: &[u8; 32] = raw.try_into().map_err(|_| FORM)?;
        let key = VerifyingKey::from_raw(raw).map_err(|source| KeyTextError::Key {
            name: name.clone(),
            source,
        })?;
        let vkey = Vkey::new(name, kind, key);
        if vkey.id != found {
            return Err(KeyTextError::KeyId {
                name: vkey.name,
                expected: vkey.id,
                found,
            });
        }
        Ok(vkey)
    }
}

/// A log's private key: signs notes as type 0x01. It has no `Display`; [`Skey::to_secret_text`] is the one way out.
pub struct Skey {
    name: KeyName,
    key: SigningKey,
}

impl fmt::Debug for Skey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Skey({}+{})", self.name, self.vkey().id())
    }
}

impl Skey {
    /// This private key under a name.
    #[must_use]
    pub fn new(name: KeyName, key: SigningKey) -> Skey {
        Skey { name, key }
    }

    /// Reads an skey, one line without its newline.
    ///
    /// # Errors
    /// [`KeyTextError`], which never shows the secret.
    pub fn from_secret_text(text: &str) -> Result<Skey, KeyTextError> {
        const FORM: KeyTextError = KeyTextError::Form("PRIVATE+KEY+<name>+<8 hex digits>+<base64>");
        let (name, id, material) = text
            .strip_prefix(SKEY_PREFIX)
            .and_then(split_key)
            .ok_or(FORM)?;
        // A misplaced secret must not come back in the error about the name.
        let name: KeyName = name.parse().map_err(|_| FORM)?;
        let found = NoteKeyId::from_hex(id).ok_or(FORM)?;
        let material = Zeroizing::new(STANDARD.decode(material).map_err(|_| FORM)?);
        let (kind, seed) = material.split_first().ok_or(FORM)?;
        if *kind != SignatureType::Ed25519.byte() {
            return Err(KeyTextError::Type(*kind));
        }
        let seed: &[u8; 32] = seed.try_into().map_err(|_| FORM)?;
        let skey = Skey::new(name, SigningKey::from_seed(seed));
        let expected = skey.vkey().id();
        if expected != found {
            return Err(KeyTextError::KeyId {
                name: skey.name,
                expected,
                found,
            });
        }
        Ok(skey)
    }

    /// The skey line, without a newline, to be written to a file of mode 0600 and nowhere else.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut material = Zeroizing::new(vec![SignatureType::Ed25519.byte()]);
        material.extend_from_slice(self.key.seed().as_slice());
        let encoded = Zeroizing::new(STANDARD.encode(&material));
        Zeroizing::new(format!(
            "{SKEY_PREFIX}{}+{}+{}",
            self.name,
            self.vkey().id(),
            encoded.as_str()
        ))
    }

    /// The signer's name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The public half.
    #[must_use]
    pub fn vkey(&self) -> Vkey {
        Vkey::new(
            self.name.clone(),
            SignatureType::Ed25519,
            self.key.verifying_key(),
        )
    }

    /// The Ed25519 signature over a note text, without the key id.
    #[must_use]
    pub fn sign(&self, text: &str) -> Signature {
        self.key.sign(text.as_bytes())
    }
}

/// A witness's private key: signs checkpoints as type 0x04. One key serves one name.
pub struct Cosigner {
    name: KeyName,
    key: SigningKey,
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({}+{})", self.name, self.vkey().id())
    }
}

impl Cosigner {
    /// This private key under a name, which must be the only one it serves.
    #[must_use]
    pub fn new(name: KeyName, key: SigningKey) -> Cosigner {
        Cosigner { name, key }
    }

    /// The public half.
    #[must_use]
    pub fn vkey(&self) -> Vkey {
        Vkey::new(
            self.name.clone(),
            SignatureType::Cosignature,
            self.key.verifying_key(),
        )
    }

    /// The cosignature over a note text at a time in seconds since 1970, without the key id.
    ///
    /// # Errors
    /// [`CosignatureError::Time`] for a time above 2^63 − 1.
    pub fn cosign(&self, time_s: u64, text: &str) -> Result<Vec<u8>, CosignatureError> {
        cosignature::sign(&self.key, time_s, text).map(Vec::from)
    }
}

/// Splits at the first two `+`, for base64 contains `+` too.
fn split_key(text: &str) -> Option<(&str, &str, &str)> {
    if text.len() > MAX_KEY_BYTES {
        return None;
    }
    let (name, rest) = text.split_once('+')?;
    let (id, material) = rest.split_once('+')?;
    Some((name, id, material))
}
