//! One file of PEM: the certificate (RFC 5280), and the chain that follows it.

use crypto::Digest;
use evidence::time::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;

use super::Chain;
use super::trust::Roots;

/// Most certificates of one file.
const MAX_CHAIN: usize = 16;
/// Smallest sizes of keys that are not weak, in bits.
const MIN_RSA_BITS: usize = 2048;
const MIN_EC_BITS: usize = 256;
/// Signature algorithms over hashes that collide: MD2, MD5 and SHA-1 with RSA, SHA-1 with ECDSA and DSA.
const WEAK_SIGNATURES: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
];

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub subject: String,
    /// Names of hosts that it is for.
    pub names: Vec<String>,
    pub key: String,
    pub weak: Vec<String>,
    pub chain: Chain,
    pub last_issuer: String,
    pub sha256: String,
}

/// What matters of a certificate that a server shows.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::probe) struct Served {
    pub subject: String,
    pub not_after: Timestamp,
    pub sha256: String,
}

/// A certificate in DER; `None` if it cannot be understood.
pub(super) fn served(der: &[u8]) -> Option<Served> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(Served {
        subject: shortened(&certificate.subject().to_string()),
        not_after: Timestamp::from_unix_seconds(certificate.validity().not_after.timestamp()),
        sha256: Digest::of(der).to_hex(),
    })
}

/// The first certificate of a file, with the chain after it; `None` if there is none or one cannot be understood.
pub(super) fn parse(bytes: &[u8], roots: &Roots) -> Option<Parsed> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(bytes)
        .filter_map(Result::ok)
        .filter(|pem| pem.label == "CERTIFICATE" || pem.label == "TRUSTED CERTIFICATE")
        .take(MAX_CHAIN)
        .collect();
    let certificates: Vec<X509Certificate<'_>> = blocks
        .iter()
        .map(|pem| pem.parse_x509().ok())
        .collect::<Option<_>>()?;
    let leaf = certificates.first()?;
    let seconds = |time: i64| Timestamp::from_unix_seconds(time);
    Some(Parsed {
        not_before: seconds(leaf.validity().not_before.timestamp()),
        not_after: seconds(leaf.validity().not_after.timestamp()),
        subject: shortened(&leaf.subject().to_string()),
        names: names(leaf),
        key: key(leaf).0,
        weak: certificates
            .iter()
            .enumerate()
            .flat_map(|(at, one)| weak(at, one))
            .collect(),
        chain: chain(&certificates, roots),
        last_issuer: shortened(&certificates.last()?.issuer().to_string()),
        sha256: Digest::of(&blocks.first()?.contents).to_hex(),
    })
}

fn shortened(name: &str) -> String {
    name.chars().take(300).collect()
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let alternative = leaf.subject_alternative_name().ok().flatten();
    alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Whether a name of a certificate covers a host: equal, or a wildcard for its first label (RFC 6125, 6.4.3).
pub(super) fn covers(known: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    known == host
        || known.strip_prefix("*.").is_some_and(|rest| {
            host.split_once('.')
                .is_some_and(|(label, domain)| !label.is_empty() && domain == rest)
        })
}

/// Kind and size of the key, and whether it is too small.
fn key(certificate: &X509Certificate<'_>) -> (String, bool) {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => {
            let bits = key.key_size();
            (format!("rsa {bits}"), bits < MIN_RSA_BITS)
        }
        Ok(PublicKey::EC(point)) => {
            let bits = point.key_size();
            (format!("ec {bits}"), bits < MIN_EC_BITS)
        }
        Ok(PublicKey::DSA(_)) => ("dsa".to_owned(), true),
        _ => {
            let algorithm = certificate.public_key().algorithm.algorithm.to_id_string();
            match algorithm.as_str() {
                "1.3.101.112" => ("ed25519".to_owned(), false),
                "1.3.101.113" => ("ed448".to_owned(), false),
                other => (other.to_owned(), false),
            }
        }
    }
}

fn weak(at: usize, certificate: &X509Certificate<'_>) -> Vec<String> {
    let which = if at == 0 {
        "certificate".to_owned()
    } else {
        format!("certificate {} of the chain", at + 1)
    };
    let mut found = Vec::new();
    let (key, is_small) = key(certificate);
    if is_small {
        found.push(format!("{which}: key {key}"));
    }
    let signature = certificate.signature_algorithm.algorithm.to_id_string();
    let hash = WEAK_SIGNATURES.iter().find(|(oid, _)| *oid == signature);
    // Nobody relies on the signature of a certificate over itself.
    let is_own = certificate.issuer().as_raw() == certificate.subject().as_raw();
    if let (Some((_, hash)), false) = (hash, is_own) {
        found.push(format!("{which}: signature over {hash}"));
    }
    found
}

fn chain(certificates: &[X509Certificate<'_>], roots: &Roots) -> Chain {
    let issued_by_next = certificates
        .windows(2)
        .all(|pair| pair[0].issuer().as_raw() == pair[1].subject().as_raw());
    let Some(last) = certificates.last() else {
        return Chain::Broken;
    };
    if !issued_by_next {
        return Chain::Broken;
    }
    if certificates.len() == 1 && last.issuer().as_raw() == last.subject().as_raw() {
        return if roots.contain(last.subject().as_raw()) {
            Chain::Trusted
        } else {
            Chain::SelfSigned
        };
    }
    if roots.is_empty() {
        Chain::NoRoots
    } else if roots.contain(last.issuer().as_raw()) {
        Chain::Trusted
    } else {
        Chain::Untrusted
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    #[test]
    fn a_chain_leads_to_a_root_or_not() {
        let named = |name: &str, is_ca: bool| {
            let mut params = CertificateParams::new(vec!["web.example".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            if is_ca {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            params
        };
        let root = CertifiedIssuer::self_signed(named("root", true), KeyPair::generate().unwrap())
            .unwrap();
        let middle =
            CertifiedIssuer::signed_by(named("middle", true), KeyPair::generate().unwrap(), &root)
                .unwrap();
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = named("leaf", false).signed_by(&leaf_key, &middle).unwrap();
        let roots = Roots::parse(root.pem().as_bytes());
        let whole = format!("{}{}{}", leaf_key.serialize_pem(), leaf.pem(), middle.pem());
        let parsed = parse(whole.as_bytes(), &roots).unwrap();
        assert_eq!(
            (parsed.chain, parsed.key.as_str()),
            (Chain::Trusted, "ec 256")
        );
        assert_eq!(parsed.names, ["web.example"]);
        assert!(parsed.weak.is_empty());
        let of = |text: String| parse(text.as_bytes(), &roots).unwrap().chain;
        assert_eq!(
            of(leaf.pem()),
            Chain::Untrusted,
            "the intermediate is missing"
        );
        assert_eq!(of(leaf.pem() + &root.pem()), Chain::Broken);
        assert_eq!(
            of(named("alone", false).self_signed(&leaf_key).unwrap().pem()),
            Chain::SelfSigned
        );
        assert_eq!(
            parse(whole.as_bytes(), &Roots::default()).unwrap().chain,
            Chain::NoRoots
        );
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let roots = Roots::default();
        for bytes in [
            &b""[..],
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----\n",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            b"\xff\x00\x30\x82",
        ] {
            assert_eq!(parse(bytes, &roots), None);
        }
    }

    #[test]
    fn wildcards_cover_one_label() {
        assert!(covers("*.example.org", "a.example.org"));
        assert!(!covers("*.example.org", "a.b.example.org"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(covers("example.org", "EXAMPLE.org"));
    }
}
