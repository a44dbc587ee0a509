//! SSH public keys in the one-line form of sshd(8): type, size and fingerprint, never the comment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Digest;

/// Longest encoded key that is looked at.
const MAX_ENCODED: usize = 32 * 1024;

/// What is kept of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct PublicKey {
    /// The key type as it is encoded, for example `ssh-ed25519`.
    pub kind: String,
    /// Bits of the modulus (RSA, DSA) or of the curve.
    pub bits: u32,
    /// `SHA256:` and the unpadded base64 digest, as ssh-keygen prints it.
    pub fingerprint: String,
}

impl PublicKey {
    /// Reads the base64 field of a public key; `None` if it is no key.
    pub(in crate::probe) fn decode(encoded: &str) -> Option<PublicKey> {
        if encoded.len() > MAX_ENCODED {
            return None;
        }
        let blob = STANDARD.decode(encoded).ok()?;
        let mut fields = Fields(&blob);
        let kind = String::from_utf8(fields.next()?.to_vec()).ok()?;
        let bits = bits(&kind, &mut fields)?;
        let digest = Digest::of(&blob).to_base64();
        Some(PublicKey {
            kind,
            bits,
            fingerprint: format!("SHA256:{}", digest.trim_end_matches('=')),
        })
    }
}

fn bits(kind: &str, fields: &mut Fields<'_>) -> Option<u32> {
    let certificate = kind.ends_with("-cert-v01@openssh.com");
    if certificate {
        fields.next()?;
    }
    match kind.trim_end_matches("-cert-v01@openssh.com") {
        "ssh-rsa" => {
            fields.next()?;
            integer_bits(fields.next()?)
        }
        "ssh-dss" => integer_bits(fields.next()?),
        "ssh-ed25519" | "sk-ssh-ed25519" | "sk-ssh-ed25519@openssh.com" => Some(256),
        "ssh-ed448" => Some(448),
        "ssh-mldsa44-ed25519@openssh.com" => Some(256),
        other => match fields.next()? {
            b"nistp256" if other.contains("ecdsa-sha2-nistp256") => Some(256),
            b"nistp384" if other == "ecdsa-sha2-nistp384" => Some(384),
            b"nistp521" if other == "ecdsa-sha2-nistp521" => Some(521),
            _ => None,
        },
    }
}

/// Bits of a multiple-precision integer.
fn integer_bits(number: &[u8]) -> Option<u32> {
    let start = number.iter().position(|byte| *byte != 0)?;
    let significant = number.get(start..)?;
    let first = significant.first()?;
    u32::try_from(significant.len() * 8)
        .ok()?
        .checked_sub(first.leading_zeros())
}

/// The length-prefixed fields of a key blob.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn next(&mut self) -> Option<&'b [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        self.0 = rest;
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_measured_and_named_as_ssh_keygen_does() {
        let ed25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIEb9ZqGUnpHwXoeY6LkBqYdTCa4dkyUkSf3UMqMgYT2P";
        let key = PublicKey::decode(ed25519).unwrap();
        assert_eq!((key.kind.as_str(), key.bits), ("ssh-ed25519", 256));
        assert!(key.fingerprint.starts_with("SHA256:") && key.fingerprint.len() == 50);
        for cut in 0..ed25519.len() {
            let _ = PublicKey::decode(&ed25519[..cut]);
        }
        assert_eq!(PublicKey::decode("AAAA"), None);
        assert_eq!(PublicKey::decode("/////w=="), None);
        assert_eq!(integer_bits(&[0, 0x80, 0]), Some(16));
        assert_eq!(integer_bits(&[1]), Some(1));
        assert_eq!(integer_bits(&[0]), None);
    }
}
