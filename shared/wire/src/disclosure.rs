//! Disclosures: the salted facts of one probe, beside the envelope that commits to them (the encoding of SD-JWT,
//! RFC 9901).
//!
//! A disclosure is base64url of the UTF-8 JSON array `[salt, probe, facts]`; its digest is base64url of the SHA-256 of
//! that text. The salt stays while the facts stay, so that an unchanged probe keeps its digest; no salt serves twice.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::Digest;
use evidence::fact::Facts;
use evidence::id::ProbeId;
use evidence::json::{self, JsonError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Largest disclosure accepted, in characters of its text.
pub const MAX_DISCLOSURE_BYTES: usize = 1024 * 1024;

/// Why a text is no disclosure.
#[derive(Debug, thiserror::Error)]
pub enum DisclosureError {
    /// Longer than [`MAX_DISCLOSURE_BYTES`].
    #[error("the disclosure is {0} bytes long; at most {MAX_DISCLOSURE_BYTES} are accepted")]
    TooLarge(usize),
    /// Not base64url without padding.
    #[error("not base64url")]
    Base64,
    /// Not the JSON array `[salt, probe, facts]`.
    #[error("not the array of salt, probe and facts")]
    Form(#[source] JsonError),
    /// A salt that is not 128 bits.
    #[error("the salt is not 128 bits of base64url")]
    Salt,
}

/// SHA-256 of a disclosure's text; base64url without padding in JSON, and as the name of its file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisclosureDigest(Digest);

impl DisclosureDigest {
    /// The digest of a disclosure's text.
    #[must_use]
    pub fn of(text: &str) -> DisclosureDigest {
        DisclosureDigest(Digest::of(text.as_bytes()))
    }

    /// A digest kept as 32 bytes.
    #[must_use]
    pub const fn from_digest(digest: Digest) -> DisclosureDigest {
        DisclosureDigest(digest)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for DisclosureDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for DisclosureDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DisclosureDigest {
    type Err = DisclosureError;
    fn from_str(text: &str) -> Result<DisclosureDigest, DisclosureError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| DisclosureError::Base64)?;
        Ok(DisclosureDigest(Digest::from_bytes(
            bytes.try_into().map_err(|_| DisclosureError::Base64)?,
        )))
    }
}

impl TryFrom<String> for DisclosureDigest {
    type Error = DisclosureError;
    fn try_from(text: String) -> Result<DisclosureDigest, DisclosureError> {
        text.parse()
    }
}

impl From<DisclosureDigest> for String {
    fn from(digest: DisclosureDigest) -> String {
        digest.to_string()
    }
}

/// 128 random bits that keep facts from being guessed by their digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Salt([u8; 16]);

impl Salt {
    /// A salt from random bytes.
    #[must_use]
    pub const fn from_random(bytes: [u8; 16]) -> Salt {
        Salt(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

/// The facts of one probe with their salt and the text that stands for both.
#[derive(Debug, Clone, PartialEq)]
pub struct Disclosure {
    salt: Salt,
    probe: ProbeId,
    facts: Facts,
    text: String,
}

impl Disclosure {
    /// A disclosure of these facts.
    ///
    /// # Errors
    /// [`DisclosureError`] if they are too large.
    pub fn new(salt: Salt, probe: ProbeId, facts: Facts) -> Result<Disclosure, DisclosureError> {
        let array = json!([URL_SAFE_NO_PAD.encode(salt.0), probe, facts]);
        let text = URL_SAFE_NO_PAD.encode(json::canonical(&array).map_err(DisclosureError::Form)?);
        if text.len() > MAX_DISCLOSURE_BYTES {
            return Err(DisclosureError::TooLarge(text.len()));
        }
        Ok(Disclosure {
            salt,
            probe,
            facts,
            text,
        })
    }

    /// Reads the text of a disclosure.
    ///
    /// # Errors
    /// [`DisclosureError`] if it is none.
    pub fn parse(text: &str) -> Result<Disclosure, DisclosureError> {
        if text.len() > MAX_DISCLOSURE_BYTES {
            return Err(DisclosureError::TooLarge(text.len()));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| DisclosureError::Base64)?;
        let (salt, probe, facts): (String, ProbeId, Map<String, Value>) =
            json::parse(&bytes).map_err(DisclosureError::Form)?;
        let salt = URL_SAFE_NO_PAD
            .decode(salt)
            .map_err(|_| DisclosureError::Salt)?;
        let salt = Salt(salt.try_into().map_err(|_| DisclosureError::Salt)?);
        Ok(Disclosure {
            salt,
            probe,
            facts: Facts::new(facts),
            text: text.to_owned(),
        })
    }

    /// The base64url text: what is hashed, sent and kept.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The digest that a round lists.
    #[must_use]
    pub fn digest(&self) -> DisclosureDigest {
        DisclosureDigest::of(&self.text)
    }

    /// The probe.
    #[must_use]
    pub fn probe(&self) -> &ProbeId {
        &self.probe
    }

    /// Its facts.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its salt, to show that none serves twice.
    #[must_use]
    pub fn salt(&self) -> Salt {
        self.salt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_sd_jwt() {
        let text =
            URL_SAFE_NO_PAD.encode(r#"["_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius"]"#);
        assert_eq!(
            DisclosureDigest::of(&text).to_string(),
            "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"
        );
    }

    #[test]
    fn a_disclosure_survives_its_text() {
        let facts = Facts::new(json!({"installed": true}).as_object().unwrap().clone());
        let made = Disclosure::new(Salt([7; 16]), "sshd".parse().unwrap(), facts).unwrap();
        assert_eq!(Disclosure::parse(made.text()).unwrap(), made);
        for bad in [
            r#"["AAAA","sshd",{}]"#,
            r#"["BwcHBwcHBwcHBwcHBwcHBw","sshd",{},1]"#,
            r#"["BwcHBwcHBwcHBwcHBwcHBw","Sshd",{}]"#,
            r#"["BwcHBwcHBwcHBwcHBwcHBw","sshd",[]]"#,
        ] {
            assert!(
                Disclosure::parse(&URL_SAFE_NO_PAD.encode(bad)).is_err(),
                "{bad}"
            );
        }
    }
}
