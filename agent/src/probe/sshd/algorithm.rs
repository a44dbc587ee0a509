//! Algorithm lists: what each version of sshd offers by default (myproposal.h) and how `+`, `-` and `^` change it.

use super::package::Version;
use super::pattern;

const CIPHERS_BEFORE_10: &str = "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr";
const MACS: &str = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1";

const CURVES: &str = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521";
const GROUPS: &str = "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";

const SIGNATURES: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";
const SIGNATURES_10_3: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";
const SIGNATURES_BEFORE_8_5: &str = "ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-ed25519-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,ssh-ed25519,sk-ssh-ed25519@openssh.com,rsa-sha2-512,rsa-sha2-256,ssh-rsa";

/// Algorithms that some version knows beyond its defaults: what `+` and patterns can reach.
const MORE_CIPHERS: &str = "3des-cbc,aes128-cbc,aes192-cbc,aes256-cbc,rijndael-cbc@lysator.liu.se";
const MORE_MACS: &str = "hmac-sha1-96,hmac-md5,hmac-md5-96,hmac-sha1-96-etm@openssh.com,hmac-md5-etm@openssh.com,hmac-md5-96-etm@openssh.com";
const MORE_KEX: &str = "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1,sntrup761x25519-sha512@openssh.com";
const MORE_SIGNATURES: &str = "ssh-rsa,ssh-dss,ssh-rsa-cert-v01@openssh.com,ssh-dss-cert-v01@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com";

/// The lists there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Ciphers,
    Macs,
    Kex,
    Signatures,
}

impl List {
    fn defaults(self, version: &Version) -> Vec<String> {
        let text = match self {
            List::Ciphers if version.at_least(10, 0) => CIPHERS.to_owned(),
            List::Ciphers => CIPHERS_BEFORE_10.to_owned(),
            List::Macs => MACS.to_owned(),
            List::Kex => kex(version),
            List::Signatures => signatures(version),
        };
        split(&text)
    }

    fn known(self, version: &Version) -> Vec<String> {
        let mut known = self.defaults(version);
        let more = match self {
            List::Ciphers => split(MORE_CIPHERS),
            List::Macs => split(MORE_MACS),
            List::Kex => split(&format!("{GROUPS},{MORE_KEX}")),
            List::Signatures => split(MORE_SIGNATURES),
        };
        for name in more {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        known
    }

    /// The list in effect for what a configuration says, or the default without it. Names that no pattern of a version's
    /// algorithms meets are kept as written, so that nothing unknown hides.
    pub(super) fn resolve(self, written: Option<&str>, version: &Version) -> Vec<String> {
        let defaults = self.defaults(version);
        let Some(written) = written else {
            return defaults;
        };
        if let Some(removed) = written.strip_prefix('-') {
            return defaults
                .into_iter()
                .filter(|name| pattern::list(name, removed) == pattern::Matched::No)
                .collect();
        }
        let names = if let Some(added) = written.strip_prefix('+') {
            [defaults, split(added)].concat()
        } else if let Some(first) = written.strip_prefix('^') {
            [split(first), defaults].concat()
        } else {
            split(written)
        };
        let known = self.known(version);
        let mut resolved = Vec::new();
        for name in names {
            let met: Vec<String> = if name.contains(['*', '?']) {
                known
                    .iter()
                    .filter(|known| pattern::matches(known, &name))
                    .cloned()
                    .collect()
            } else {
                vec![name]
            };
            for name in met {
                if !resolved.contains(&name) {
                    resolved.push(name);
                }
            }
        }
        resolved
    }
}

fn kex(version: &Version) -> String {
    let sntrup = if version.at_least(9, 9) || version.has_unsuffixed_sntrup() {
        "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com"
    } else {
        "sntrup761x25519-sha512@openssh.com"
    };
    if version.at_least(10, 0) {
        format!("mlkem768x25519-sha256,{sntrup},{CURVES}")
    } else if version.at_least(9, 9) {
        format!("{sntrup},mlkem768x25519-sha256,{CURVES},{GROUPS}")
    } else if version.at_least(9, 0) {
        format!("{sntrup},{CURVES},{GROUPS}")
    } else if version.at_least(8, 9) {
        format!("{CURVES},{sntrup},{GROUPS}")
    } else if version.at_least(8, 2) {
        format!("{CURVES},{GROUPS}")
    } else {
        format!("{CURVES},{GROUPS},diffie-hellman-group14-sha1")
    }
}

fn signatures(version: &Version) -> String {
    if version.at_least(10, 3) {
        SIGNATURES_10_3.to_owned()
    } else if version.at_least(8, 8) {
        SIGNATURES.to_owned()
    } else if version.at_least(8, 5) {
        SIGNATURES.replace(
            "rsa-sha2-256-cert-v01@openssh.com",
            "rsa-sha2-256-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com",
        ) + ",ssh-rsa"
    } else if version.at_least(8, 2) {
        SIGNATURES_BEFORE_8_5.to_owned()
    } else {
        split(SIGNATURES_BEFORE_8_5)
            .into_iter()
            .filter(|name| !name.starts_with("sk-"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

fn split(list: &str) -> Vec<String> {
    list.split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_change_the_defaults_of_the_version() {
        let bookworm: Version = "1:9.2p1-2+deb12u10".parse().unwrap();
        assert_eq!(
            List::Macs
                .resolve(Some("-*sha1*,umac-*"), &bookworm)
                .join(","),
            "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
        );
        assert!(
            List::Ciphers
                .resolve(Some("+aes*-cbc"), &bookworm)
                .contains(&"aes192-cbc".to_owned())
        );
        assert_eq!(
            List::Ciphers.resolve(Some("^aes256-ctr"), &bookworm)[0],
            "aes256-ctr"
        );
        assert_eq!(
            List::Ciphers.resolve(Some("made-up"), &bookworm),
            ["made-up"]
        );
        let trixie: Version = "1:10.0p1-7".parse().unwrap();
        let kex = List::Kex.resolve(None, &trixie);
        assert_eq!(kex[0], "mlkem768x25519-sha256");
        assert!(!kex.iter().any(|name| name.starts_with("diffie")));
    }
}
