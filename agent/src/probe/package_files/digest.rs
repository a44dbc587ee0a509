//! Digests as package databases keep them.

use std::io::Read as _;

use crypto::DigestStream;
use md5::{Digest as _, Md5};

use crate::host::{Host, HostError};

/// The digest that a file should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// MD5 in hexadecimal digits: what dpkg and old rpm packages have. It tells accidents and careless changes.
    Md5(String),
    /// SHA-256 in hexadecimal digits.
    Sha256(String),
}

impl Expected {
    /// A digest of either kind, by its length.
    pub(super) fn parse(text: &str) -> Option<Expected> {
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let text = text.to_ascii_lowercase();
        match text.len() {
            32 => Some(Expected::Md5(text)),
            64 => Some(Expected::Sha256(text)),
            _ => None,
        }
    }
}

/// Whether a file has the digest.
pub(super) fn of_file(host: &dyn Host, path: &str, expected: &Expected) -> Result<bool, HostError> {
    let mut file = host.open(path)?;
    let mut chunk = vec![0; 64 * 1024];
    let mut md5 = Md5::new();
    let mut sha256 = DigestStream::new();
    loop {
        let n = file
            .read(&mut chunk)
            .map_err(|error| HostError::Io(path.to_owned(), error.to_string()))?;
        if n == 0 {
            break;
        }
        match expected {
            Expected::Md5(_) => md5.update(&chunk[..n]),
            Expected::Sha256(_) => sha256.update(&chunk[..n]),
        }
    }
    Ok(match expected {
        Expected::Md5(text) => hex::encode(md5.finalize()) == *text,
        Expected::Sha256(text) => sha256.finish().to_hex() == *text,
    })
}
