//! Digests as package databases keep them.

use std::io::{self, Read};

use crypto::DigestStream;
use md5::{Digest as _, Md5};
use sha1::Sha1;

use crate::host::{Host, HostError};

/// The digest that a file should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// MD5 in hexadecimal digits: what dpkg and old rpm packages have. It tells accidents and careless changes.
    Md5(String),
    /// SHA-1 in hexadecimal digits: what apk has.
    Sha1(String),
    /// SHA-256 in hexadecimal digits.
    Sha256(String),
}

impl Expected {
    /// A digest of any kind, by its length.
    pub(super) fn parse(text: &str) -> Option<Expected> {
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let text = text.to_ascii_lowercase();
        match text.len() {
            32 => Some(Expected::Md5(text)),
            40 => Some(Expected::Sha1(text)),
            64 => Some(Expected::Sha256(text)),
            _ => None,
        }
    }
}

/// Whether a file has the digest.
pub(super) fn of_file(host: &dyn Host, path: &str, expected: &Expected) -> Result<bool, HostError> {
    is_of(&mut *host.open(path)?, expected)
        .map_err(|error| HostError::Io(path.to_owned(), error.to_string()))
}

/// Whether a text has the digest: where a link leads.
pub(super) fn of_text(text: &str, expected: &Expected) -> bool {
    is_of(&mut text.as_bytes(), expected).unwrap_or(false)
}

fn is_of(content: &mut dyn Read, expected: &Expected) -> io::Result<bool> {
    let mut chunk = vec![0; 64 * 1024];
    let (mut md5, mut sha1) = (Md5::new(), Sha1::new());
    let mut sha256 = DigestStream::new();
    loop {
        let n = content.read(&mut chunk)?;
        if n == 0 {
            break;
        }
        match expected {
            Expected::Md5(_) => md5.update(&chunk[..n]),
            Expected::Sha1(_) => sha1.update(&chunk[..n]),
            Expected::Sha256(_) => sha256.update(&chunk[..n]),
        }
    }
    Ok(match expected {
        Expected::Md5(text) => hex::encode(md5.finalize()) == *text,
        Expected::Sha1(text) => hex::encode(sha1.finalize()) == *text,
        Expected::Sha256(text) => sha256.finish().to_hex() == *text,
    })
}
