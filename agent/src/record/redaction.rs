//! What is taken out of a recording before anything is written.
//!
//! Two layers. A file that is read as a secret is kept as a password file without passwords. And whatever file it stands
//! in: hashes of crypt(3) and GRUB, private keys in PEM, user information in addresses, and values of settings whose name
//! ends like a secret's. Each replacement keeps what judgements rest on (scheme and cost of a hash, kind and encryption of
//! a key, that a setting is set) and nothing else.

use regex::bytes::{Captures, Regex};

use crate::probe::redacted_password;

/// What stands in the place of a secret.
const REDACTED: &str = "redacted";

/// Takes secrets out of the content of any file and the output of any program.
#[derive(Debug)]
pub struct Redaction {
    hash: Regex,
    grub: Regex,
    key: Regex,
    address: Regex,
    setting: Regex,
    machine: Option<(String, String)>,
}

/// The machine id of every recording.
const MACHINE: &str = "00000000000000000000000000000001";

impl Redaction {
    /// A redaction for the machine with this id, which is replaced wherever it stands.
    ///
    /// # Errors
    /// Never: a test compiles the patterns.
    pub fn new(machine: Option<&str>) -> Result<Redaction, regex::Error> {
        let machine = machine
            .map(str::trim)
            .filter(|id| id.len() == MACHINE.len() && id.bytes().all(|b| b.is_ascii_hexdigit()));
        Ok(Redaction {
            hash: Regex::new(r#"\$(?:y|gy|7|6|5|2[abxy]|1|md5[^$\s]*|sha1|3)\$[^\s:'"\x00,;]*"#)?,
            grub: Regex::new(r"(grub\.pbkdf2\.sha512\.[0-9]+)\.[0-9A-Fa-f]+\.[0-9A-Fa-f]+")?,
            key: Regex::new(
                r"(?s)-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----(.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
            )?,
            address: Regex::new(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]*):[^\s/@]+@")?,
            setting: Regex::new(
                r#"(?i)((?:passwd|password|passphrase|secret|token|authtok|psk|api_?key|secret_access_key|account_key)["']?[ \t]*=[ \t]*|passphrase["']?[ \t]*:[ \t]*)[^\s\x00&]+"#,
            )?,
            machine: machine.map(|id| (id.to_owned(), MACHINE.to_owned())),
        })
    }

    /// The content of a file without what must not leave its host.
    #[must_use]
    pub fn file(&self, path: &str, secret: bool, content: Vec<u8>) -> Vec<u8> {
        if secret || is_password_file(path) {
            self.machine(password_file(&content))
        } else {
            self.content(content)
        }
    }

    /// Text or bytes of any origin.
    #[must_use]
    pub fn content(&self, content: Vec<u8>) -> Vec<u8> {
        let hash = |found: &Captures<'_>| {
            redacted_password(&String::from_utf8_lossy(&found[0])).into_bytes()
        };
        let content = self.hash.replace_all(&content, hash);
        let content = self.grub.replace_all(&content, &b"$1.redacted"[..]);
        let content = self.key.replace_all(&content, key);
        let content = self.address.replace_all(&content, &b"$1:redacted@"[..]);
        let content = self.setting.replace_all(&content, &b"${1}redacted"[..]);
        self.machine(content.into_owned())
    }

    /// A path or line of text.
    #[must_use]
    pub fn line(&self, line: &str) -> String {
        match &self.machine {
            Some((id, other)) => line.replace(id.as_str(), other),
            None => line.to_owned(),
        }
    }

    fn machine(&self, content: Vec<u8>) -> Vec<u8> {
        match (&self.machine, String::from_utf8(content)) {
            (Some((id, other)), Ok(text)) if text.contains(id.as_str()) => {
                text.replace(id.as_str(), other).into_bytes()
            }
            (_, Ok(text)) => text.into_bytes(),
            (_, Err(error)) => error.into_bytes(),
        }
    }
}

fn is_password_file(path: &str) -> bool {
    const NAMES: [&str; 7] = [
        "shadow", "gshadow", "shadow-", "gshadow-", "passwd-", "group-", "opasswd",
    ];
    let name = path.rsplit('/').next().unwrap_or_default();
    path.starts_with("/etc/") && NAMES.contains(&name)
}

/// Every line with its second field replaced. A comment keeps nothing, a line without fields only that it is one.
fn password_file(content: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let lines: Vec<String> = text.split('\n').map(password_line).collect();
    lines.join("\n").into_bytes()
}

fn password_line(line: &str) -> String {
    let start = line.trim_start();
    if start.is_empty() {
        return String::new();
    }
    if start.starts_with('#') {
        return "#".to_owned();
    }
    let Some((name, rest)) = line.split_once(':') else {
        let mark = start.chars().next().filter(|mark| "+-".contains(*mark));
        return mark.map_or(REDACTED.to_owned(), |mark| format!("{mark}{REDACTED}"));
    };
    match rest.split_once(':') {
        Some((field, rest)) => format!("{name}:{}:{rest}", redacted_password(field)),
        None => format!("{name}:{}", redacted_password(rest)),
    }
}

/// A private key keeps its kind and, in OpenSSH's form, the line that says by what it is encrypted; no key is in it.
fn key(found: &Captures<'_>) -> Vec<u8> {
    let kind = String::from_utf8_lossy(&found[1]).into_owned();
    let body = String::from_utf8_lossy(&found[2]).into_owned();
    let keeps = |line: &&str| line.starts_with("Proc-Type:");
    let head = body.lines().find(keeps).map(str::to_owned).or_else(|| {
        let first = body.lines().map(str::trim).find(|line| !line.is_empty())?;
        // "openssh-key-v1", cipher, key derivation with its salt: 44 characters end before any key.
        let openssh = kind == "OPENSSH PRIVATE KEY" && first.starts_with("b3BlbnNzaC1rZXktdjEA");
        openssh
            .then(|| first.get(..44).map(str::to_owned))
            .flatten()
    });
    let head = head.map_or(String::new(), |head| format!("{head}\n"));
    format!("-----BEGIN {kind}-----\n{head}{REDACTED}\n-----END {kind}-----").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        let redaction = Redaction::new(Some("0123456789abcdef0123456789abcdef\n")).unwrap();
        String::from_utf8(redaction.content(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn secrets_go_wherever_they_stand() {
        for (text, expected) in [
            (
                "rootpw $6$rounds=9000$saltsalt$abcdefghijk/. --iscrypted",
                "rootpw $6$rounds=9000$redacted$redacted --iscrypted",
            ),
            (
                "password_pbkdf2 root grub.pbkdf2.sha512.10000.AB12.CD34\n",
                "password_pbkdf2 root grub.pbkdf2.sha512.10000.redacted\n",
            ),
            (
                "deb https://me:hunter2@repo.example/debian x main",
                "deb https://me:redacted@repo.example/debian x main",
            ),
            (
                "ldap_default_authtok = hunter2\n",
                "ldap_default_authtok = redacted\n",
            ),
            ("--db-password=hunter2\0--x", "--db-password=redacted\0--x"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nhunter2\n-----END RSA PRIVATE KEY-----\n",
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nredacted\n-----END RSA PRIVATE KEY-----\n",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nhunter2",
                "-----BEGIN PRIVATE KEY-----\nredacted\n-----END PRIVATE KEY-----",
            ),
            (
                "/var/log/journal/0123456789abcdef0123456789abcdef",
                "/var/log/journal/00000000000000000000000000000001",
            ),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn settings_that_only_sound_like_secrets_stay() {
        for text in [
            "passwd:         files systemd\n",
            "password\trequisite\tpam_pwquality.so retry=3\n",
            "PasswordAuthentication no\nPermitEmptyPasswords no\n",
            "Defaults passwd_timeout=1\n",
            "https://repo.example:8443/debian",
            "echo $1 $HOME",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn a_password_file_keeps_all_but_its_passwords() {
        let redaction = Redaction::new(None).unwrap();
        let content = "root:$y$j9T$salt$hunter2:19000:0:::::\n# hunter2\nhunter2\nbin:*:1::::::\n+hunter2\nx:hunter2";
        let kept = redaction.file("/etc/shadow", false, content.as_bytes().to_vec());
        assert_eq!(
            String::from_utf8(kept).unwrap(),
            "root:$y$j9T$redacted$redacted:19000:0:::::\n#\nredacted\nbin:*:1::::::\n+redacted\nx:no-hash"
        );
    }
}
