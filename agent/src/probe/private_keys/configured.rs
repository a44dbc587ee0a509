//! Keys that the configuration of a TLS service names: nginx, Apache httpd, HAProxy, Postfix, Dovecot, PostgreSQL.
//!
//! Every file of a service's usual folders is searched for the words that are followed by a key's path, whether the
//! service includes it or not: a key that is named is a key.

use std::collections::BTreeMap;

use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable};

/// Files, and directories of them, to search.
const FILES: [&str; 17] = [
    "/etc/nginx/nginx.conf",
    "/etc/nginx/conf.d",
    "/etc/nginx/sites-enabled",
    "/etc/nginx/snippets",
    "/etc/nginx/http.d",
    "/etc/apache2/apache2.conf",
    "/etc/apache2/sites-enabled",
    "/etc/apache2/conf-enabled",
    "/etc/apache2/vhosts.d",
    "/etc/httpd/conf/httpd.conf",
    "/etc/httpd/conf.d",
    "/etc/haproxy/haproxy.cfg",
    "/etc/haproxy/conf.d",
    "/etc/postfix/main.cf",
    "/etc/postfix/master.cf",
    "/etc/dovecot/dovecot.conf",
    "/etc/dovecot/conf.d",
];
/// Words that a key's path follows, after blanks, `=` or `=<`.
const WORDS: [&str; 9] = [
    "ssl_certificate_key",
    "SSLCertificateKeyFile",
    "smtpd_tls_key_file",
    "smtpd_tls_eckey_file",
    "smtp_tls_key_file",
    "smtpd_tls_chain_files",
    "ssl_key",
    "ssl_server_key_file",
    "crt",
];
const MAX_FILES: usize = 1_000;
const MAX_BYTES: usize = 1024 * 1024;

/// What was found.
pub(super) struct Configured {
    /// Path of the key, with the file that names it.
    pub keys: BTreeMap<String, String>,
    /// Every file was searched.
    pub complete: bool,
}

pub(super) fn keys(observation: &mut Observation<'_>) -> Result<Configured, Unobservable> {
    let mut found = Configured {
        keys: BTreeMap::new(),
        complete: true,
    };
    let mut left = MAX_FILES;
    for path in FILES {
        let mut files = vec![path.to_owned()];
        if let Ok(entries) = observation.host().list(path) {
            files = entries
                .into_iter()
                .filter(|entry| entry.kind != FileKind::Directory && !entry.name.starts_with('.'))
                .map(|entry| format!("{path}/{}", entry.name))
                .collect();
        }
        for file in files {
            if left == 0 {
                found.complete = false;
                break;
            }
            left -= 1;
            let text = match observation.host().read(&file, MAX_BYTES) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(HostError::NotFound(_) | HostError::NotRegular(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            observation.note(&file);
            for key in named(&text) {
                // HAProxy takes a directory of certificates with their keys.
                for path in members(observation, &key)? {
                    found.keys.insert(path, file.clone());
                }
            }
        }
    }
    Ok(found)
}

fn members(observation: &Observation<'_>, path: &str) -> Result<Vec<String>, Unobservable> {
    let is_directory = observation
        .host()
        .stat(path)
        .is_ok_and(|stat| stat.kind == FileKind::Directory);
    if !is_directory {
        return Ok(vec![path.to_owned()]);
    }
    let entries = observation.host().list(path)?;
    let files = entries
        .into_iter()
        .filter(|entry| entry.kind != FileKind::Directory && !entry.name.starts_with('.'))
        .filter(|entry| {
            ![".ocsp", ".issuer", ".sctl", ".dh"]
                .iter()
                .any(|end| entry.name.ends_with(end))
        })
        .map(|entry| format!("{}/{}", path.trim_end_matches('/'), entry.name));
    Ok(files.take(MAX_FILES).collect())
}

/// Absolute paths after one of the words. What stands in a variable, an engine or in the file itself names no file.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line
            .split(|c: char| c.is_whitespace() || matches!(c, '=' | '<' | ';' | ',' | '"' | '\''))
            .filter(|word| !word.is_empty());
        let Some(word) = words.find(|word| WORDS.contains(word)) else {
            continue;
        };
        // On Postfix's chain lines and HAProxy's bind lines there may be several.
        let several = matches!(word, "crt" | "smtpd_tls_chain_files");
        let paths = words.filter(|word| word.starts_with('/') && !word.contains('$'));
        found.extend(
            paths
                .take(if several { usize::MAX } else { 1 })
                .map(|path| path.to_owned()),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn keys_are_found_in_every_services_words() {
        let text = "server { listen 443 ssl; ssl_certificate_key /etc/k/a.key; }\n  SSLCertificateKeyFile \"/etc/k/b.key\"\nsmtpd_tls_key_file=/etc/k/c.key\nssl_key = </etc/k/d.key\n bind :443 ssl crt /etc/k/e.pem crt /etc/k/f.pem\n# ssl_certificate_key /no;\nssl_certificate_key $variable;\nssl_certificate_key data:$x;\nssl_certificate /etc/k/cert.pem;\n";
        assert_eq!(
            named(text),
            [
                "/etc/k/a.key",
                "/etc/k/b.key",
                "/etc/k/c.key",
                "/etc/k/d.key",
                "/etc/k/e.pem",
                "/etc/k/f.pem"
            ]
        );
        assert!(named("ssl_key").is_empty() && named("\u{0}crt").is_empty());
    }
}
