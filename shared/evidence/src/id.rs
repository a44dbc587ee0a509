//! Typed ids. None can collide by case or Unicode form, none crosses a function boundary as a bare string.

use std::fmt;
use std::str::FromStr;

use crypto::Digest;
use serde::{Deserialize, Serialize};

/// A text that is no id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {kind}: expected {expected}")]
pub struct IdError {
    kind: &'static str,
    expected: &'static str,
    found: String,
}

/// Longest id accepted, in bytes; ids become file names and tar paths of at most 100 bytes.
pub const MAX_ID_BYTES: usize = 80;

/// Words that CEL reserves, which a probe cannot be called because `facts.<probe>` must be an expression.
const CEL_RESERVED: [&str; 23] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
    "has",
    "all",
];

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<$name, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if !text.is_empty() && text.len() <= MAX_ID_BYTES && valid(text) {
                    return Ok($name(text.to_owned()));
                }
                let found = text.chars().take(MAX_ID_BYTES).collect();
                Err(IdError { kind: $kind, expected: $expected, found })
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<$name, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(is_word_byte)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

text_id!(
    /// A check: `[a-z][a-z0-9_]*(\.[a-z0-9_]+)+`, for example `sshd.root`.
    CheckId, "check id", "words of a-z, 0-9 and _ joined by dots, such as sshd.root",
    |text| text.contains('.') && is_word(text.split('.').next().unwrap_or_default())
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(is_word_byte))
);

text_id!(
    /// A probe: `[a-z][a-z0-9_]*` and no word that CEL reserves, so that `facts.<probe>` is an expression.
    ProbeId, "probe id", "a word of a-z, 0-9 and _ that CEL does not reserve, such as sshd",
    |text| is_word(text) && !CEL_RESERVED.contains(&text)
);

text_id!(
    /// A host group, the stratum of sampling and of staged bundles: `[a-z0-9][a-z0-9_-]*`.
    GroupId, "group", "a-z, 0-9, _ and -, starting with a letter or digit, such as web-prod",
    |text| !text.starts_with(['-', '_']) && text.bytes().all(|b| is_word_byte(b) || b == b'-')
);

text_id!(
    /// A control with the edition as part of the id, for example `27001:2022/A.8.2`, so that the 2013 and the 2022
    /// numbers can never be mixed.
    ControlId, "control id", "an edition, a slash and a control number, such as 27001:2022/A.8.2",
    |text| text.split_once('/').is_some_and(|(edition, number)| {
        !edition.is_empty() && !number.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b":./-_".contains(&b))
    })
);

impl ControlId {
    /// The edition, for example `27001:2022`.
    #[must_use]
    pub fn edition(&self) -> &str {
        self.0.split_once('/').map_or("", |(edition, _)| edition)
    }

    /// The number within its edition, for example `A.8.2`.
    #[must_use]
    pub fn number(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, number)| number)
    }
}

/// An agent, for ever: the key id of the first key it enrolled with. Host names live in the inventory, not here.
pub type AgentId = Digest;

/// The position of an entry in the log, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeafIndex(pub u64);

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_accept_their_own_form_only() {
        for good in [
            "sshd.root",
            "disk.encryption.root",
            "account.uid0.unique",
            "a.0",
        ] {
            assert!(good.parse::<CheckId>().is_ok(), "{good}");
        }
        for bad in [
            "sshd",
            "Sshd.root",
            "sshd..root",
            ".root",
            "sshd.",
            "0a.b",
            "sshd.rööt",
            "a.b/../c",
        ] {
            assert!(bad.parse::<CheckId>().is_err(), "{bad}");
        }
        assert!("sshd".parse::<ProbeId>().is_ok());
        assert!(
            "in".parse::<ProbeId>().is_err(),
            "facts.in is no expression"
        );
        assert!("web-prod".parse::<GroupId>().is_ok());
        assert!("-web".parse::<GroupId>().is_err());
    }

    #[test]
    fn a_control_keeps_its_edition() {
        let control: ControlId = "27001:2022/A.8.2".parse().unwrap();
        assert_eq!(
            (control.edition(), control.number()),
            ("27001:2022", "A.8.2")
        );
        assert!("A.8.2".parse::<ControlId>().is_err());
    }
}
