//! LUKS headers: format, ciphers, key derivation and tokens. Key material and salts are never kept, and the area of the
//! key slots is never read.
//!
//! LUKS1 On-Disk Format 1.2.3; LUKS2 On-Disk Format 1.1.0, §2.1 (binary header) and §3 (JSON area).

use std::collections::BTreeMap;

use crypto::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::{Host, HostError};

const MAGIC: &[u8] = b"LUKS\xba\xbe";
/// The binary header of LUKS2; key material of LUKS1 begins no earlier than here.
const FIRST_BYTES: usize = 4096;
/// The largest header area of LUKS2 (§2.1).
const MAX_HEADER_BYTES: u64 = 4 * 1024 * 1024;
/// Place of the header's checksum, zero while it is computed.
const CHECKSUM: std::ops::Range<usize> = 448..512;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Header {
    /// LUKS version, 1 or 2.
    version: i64,
    /// Ciphers of its data segments.
    ciphers: Vec<String>,
    /// Key size of its key slots in bits, smallest; absent without key slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_bits: Option<i64>,
    /// Key slots in use, by number.
    keyslots: Vec<Keyslot>,
    /// Kinds of token, for example `systemd-tpm2`.
    tokens: Vec<String>,
    /// Mandatory requirements, for example `online-reencrypt-v2`.
    requirements: Vec<String>,
    /// A data segment is stored in clear: encryption has begun and is not finished.
    linear: bool,
}

/// One key slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Keyslot {
    /// Its number.
    number: i64,
    /// Key derivation: `pbkdf2`, `argon2i`, `argon2id`.
    kdf: String,
    /// Iterations of pbkdf2, or passes of argon2.
    cost: i64,
    /// Memory of argon2 in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_kib: Option<i64>,
    /// The token that opens it; a slot without one is opened by a passphrase or key file.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Header {
    pub(super) fn ciphers(&self) -> Vec<&str> {
        self.ciphers.iter().map(String::as_str).collect()
    }

    /// All data are encrypted, and are being moved to another key.
    pub(super) fn is_changing_key(&self) -> bool {
        !self.linear
            && self
                .requirements
                .iter()
                .any(|name| name.starts_with("online-reencrypt"))
    }
}

/// Why there is no header to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum LuksError {
    /// Not there: it may be detached.
    #[error("{0} has no LUKS header; is it detached?")]
    Absent(String),
    /// There, but not as the format says.
    #[error("{0}: {1}")]
    Malformed(String, String),
    /// Not readable.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Reads the header of `device`.
pub(super) fn read(host: &dyn Host, device: &str) -> Result<Header, LuksError> {
    let first = host.read_head(device, FIRST_BYTES)?;
    let malformed = |problem: String| LuksError::Malformed(device.to_owned(), problem);
    match (first.starts_with(MAGIC), number::<2>(&first, 6)) {
        (true, Some(1)) => luks1(&first).map_err(malformed),
        (true, Some(2)) => {
            let size = number::<8>(&first, 8)
                .filter(|size| (FIRST_BYTES as u64..=MAX_HEADER_BYTES).contains(size))
                .and_then(|size| usize::try_from(size).ok())
                .ok_or_else(|| malformed("impossible size of the header".to_owned()))?;
            let whole = host.read_head(device, size)?;
            luks2(&whole, size).map_err(malformed)
        }
        (true, version) => Err(malformed(format!("LUKS version {version:?}"))),
        (false, _) => Err(LuksError::Absent(device.to_owned())),
    }
}

/// A big-endian number of N bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(N)?)?;
    Some(
        field
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

/// Text up to the first zero byte.
fn text(bytes: &[u8], at: usize, length: usize) -> Option<String> {
    let field = bytes.get(at..at + length)?;
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
    let word = std::str::from_utf8(field.get(..end)?).ok()?;
    word.chars()
        .all(|c| c.is_ascii_graphic())
        .then(|| word.to_owned())
}

fn luks1(bytes: &[u8]) -> Result<Header, String> {
    const SLOTS_AT: usize = 208;
    const SLOT_BYTES: usize = 48;
    const ACTIVE: u64 = 0x00ac_71f3;
    let cut = || "cut or not text".to_owned();
    let cipher = text(bytes, 8, 32).ok_or_else(cut)?;
    let mode = text(bytes, 40, 32).ok_or_else(cut)?;
    let key_bytes = number::<4>(bytes, 108).ok_or_else(cut)?;
    let mut keyslots = Vec::new();
    for slot in 0..8 {
        let at = SLOTS_AT + slot * SLOT_BYTES;
        if number::<4>(bytes, at).ok_or_else(cut)? == ACTIVE {
            keyslots.push(Keyslot {
                number: slot as i64,
                kdf: "pbkdf2".to_owned(),
                cost: number::<4>(bytes, at + 4).ok_or_else(cut)? as i64,
                memory_kib: None,
                token: None,
            });
        }
    }
    Ok(Header {
        version: 1,
        ciphers: vec![format!("{cipher}-{mode}")],
        key_bits: Some(i64::try_from(key_bytes).unwrap_or(0).saturating_mul(8)),
        keyslots,
        tokens: Vec::new(),
        requirements: Vec::new(),
        linear: false,
    })
}

#[derive(Deserialize)]
struct Metadata {
    keyslots: BTreeMap<String, SlotJson>,
    #[serde(default)]
    tokens: BTreeMap<String, TokenJson>,
    segments: BTreeMap<String, SegmentJson>,
    #[serde(default)]
    config: ConfigJson,
}

#[derive(Deserialize)]
struct SlotJson {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    key_size: i64,
    kdf: Option<KdfJson>,
}

#[derive(Deserialize)]
struct KdfJson {
    #[serde(rename = "type")]
    kind: String,
    iterations: Option<i64>,
    time: Option<i64>,
    memory: Option<i64>,
}

#[derive(Deserialize)]
struct TokenJson {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    keyslots: Vec<String>,
}

#[derive(Deserialize)]
struct SegmentJson {
    #[serde(rename = "type")]
    kind: String,
    encryption: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
}

#[derive(Default, Deserialize)]
struct ConfigJson {
    #[serde(default)]
    requirements: RequirementsJson,
}

#[derive(Default, Deserialize)]
struct RequirementsJson {
    #[serde(default)]
    mandatory: Vec<String>,
}

fn luks2(bytes: &[u8], size: usize) -> Result<Header, String> {
    if bytes.len() < size {
        return Err(format!("{} of {size} header bytes", bytes.len()));
    }
    check(bytes)?;
    let area = bytes.get(FIRST_BYTES..).unwrap_or_default();
    let end = area
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(area.len());
    let metadata: Metadata = serde_json::from_slice(area.get(..end).unwrap_or_default())
        .map_err(|error| format!("metadata: {error}"))?;
    let opened_by = |slot: &str| {
        let mut tokens = metadata.tokens.values();
        let token = tokens.find(|token| token.keyslots.iter().any(|other| other == slot));
        token.map(|token| token.kind.clone())
    };
    let slots = || {
        metadata
            .keyslots
            .iter()
            .filter(|(_, slot)| slot.kind == "luks2")
    };
    let mut keyslots = Vec::new();
    for (number, slot) in slots() {
        let kdf = slot
            .kdf
            .as_ref()
            .ok_or_else(|| format!("key slot {number} without kdf"))?;
        keyslots.push(Keyslot {
            number: number.parse().map_err(|_| format!("key slot {number:?}"))?,
            kdf: kdf.kind.clone(),
            cost: kdf.iterations.or(kdf.time).unwrap_or(0),
            memory_kib: kdf.memory,
            token: opened_by(number),
        });
    }
    keyslots.sort_by_key(|slot| slot.number);
    // Segments flagged as backup describe the state before or after a re-encryption.
    let current = || {
        let is_backup = |flag: &String| flag.starts_with("backup-");
        metadata
            .segments
            .values()
            .filter(move |segment| !segment.flags.iter().any(is_backup))
    };
    let mut ciphers: Vec<String> = current()
        .filter_map(|segment| segment.encryption.clone())
        .collect();
    let mut tokens: Vec<String> = metadata
        .tokens
        .values()
        .map(|token| token.kind.clone())
        .collect();
    for list in [&mut ciphers, &mut tokens] {
        list.sort();
        list.dedup();
    }
    Ok(Header {
        version: 2,
        ciphers,
        key_bits: slots()
            .map(|(_, slot)| slot.key_size.saturating_mul(8))
            .min(),
        keyslots,
        tokens,
        linear: current().any(|segment| segment.kind != "crypt"),
        requirements: metadata.config.requirements.mandatory,
    })
}

/// The header's own checksum: a header that is being written must not be taken for the truth.
fn check(bytes: &[u8]) -> Result<(), String> {
    let algorithm = text(bytes, 72, 32).ok_or("no checksum algorithm")?;
    if algorithm != "sha256" {
        return Err(format!("checksum algorithm {algorithm:?}"));
    }
    let mut zeroed = bytes.to_vec();
    let stored = match zeroed.get_mut(CHECKSUM) {
        Some(field) => {
            let stored: Vec<u8> = field.iter().copied().take(32).collect();
            field.fill(0);
            stored
        }
        None => return Err("no checksum".to_owned()),
    };
    if Digest::of(&zeroed).to_hex() == hex::encode(stored) {
        Ok(())
    } else {
        Err("the checksum of the header does not fit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::RecordedHost;

    /// Headers as cryptsetup(8) made them.
    fn recorded(name: &str, device: &str) -> Vec<u8> {
        let hosts = Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/hosts/encryption"
        ));
        let host = RecordedHost::load(&hosts.join(name)).unwrap();
        host.read_head(device, 16384).unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Header, LuksError> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("disk"), bytes).unwrap();
        let host = crate::host::FileSystemHost::offline(directory.path()).unwrap();
        read(&host, "/disk")
    }

    #[test]
    fn a_header_tells_cipher_and_key_derivation() {
        let header = read_bytes(&recorded("encrypted-lvm.toml", "/dev/sda5")).unwrap();
        assert_eq!(header.version, 2);
        assert_eq!(header.ciphers, ["aes-xts-plain64"]);
        assert_eq!(header.key_bits, Some(512));
        assert_eq!(header.keyslots.len(), 1);
        assert_eq!(header.keyslots[0].kdf, "argon2id");
        assert_eq!(header.keyslots[0].memory_kib, Some(262_144));
        assert!(!header.linear && !header.is_changing_key());
        let header = read_bytes(&recorded("luks1.toml", "/dev/sda2")).unwrap();
        assert_eq!(
            (header.version, header.ciphers[0].as_str()),
            (1, "aes-xts-plain64")
        );
        assert_eq!(header.keyslots[0].cost, 1_500_000);
        let header = read_bytes(&recorded("no-recovery-key.toml", "/dev/sda2")).unwrap();
        assert_eq!(header.keyslots[0].token.as_deref(), Some("systemd-tpm2"));
    }

    #[test]
    fn encryption_that_was_begun_leaves_linear_segments() {
        let header = read_bytes(&recorded("encryption-begun.toml", "/dev/sda2")).unwrap();
        assert!(header.linear && !header.is_changing_key());
        assert!(
            header.keyslots.len() == 1,
            "the slot of the re-encryption itself is no way in"
        );
    }

    #[test]
    fn no_bytes_are_too_strange() {
        let whole = recorded("encrypted-lvm.toml", "/dev/sda5");
        for length in (0..whole.len()).step_by(61) {
            assert!(read_bytes(&whole[..length]).is_err(), "{length}");
        }
        // The checksum field is longer than a SHA-256; its rest is not covered.
        for at in (0..5000).step_by(13).filter(|at| !(480..512).contains(at)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            assert!(
                read_bytes(&damaged).is_err(),
                "byte {at} is part of the checksum or says what this is"
            );
        }
        let mut huge = whole.clone();
        huge[8..16].fill(0xff);
        assert!(read_bytes(&huge).is_err());
        for version in [1u8, 2, 3] {
            let mut noise = vec![0xa5; 20_000];
            noise[..6].copy_from_slice(MAGIC);
            noise[6..8].copy_from_slice(&[0, version]);
            assert!(read_bytes(&noise).is_err(), "{version}");
        }
    }
}
