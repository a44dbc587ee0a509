//! Postfix and Dovecot.

use super::{TlsSite, files, text};
use crate::probe::{Observation, Unobservable};

const POSTFIX: &str = "/etc/postfix/main.cf";
const DOVECOT: &str = "/etc/dovecot/dovecot.conf";
const MAX_DEPTH: usize = 8;

/// The mail services that offer TLS.
pub(super) fn sites(observation: &mut Observation<'_>) -> Result<Vec<TlsSite>, Unobservable> {
    let mut found = Vec::new();
    if let Some(text) = text(observation, POSTFIX)? {
        found.extend(postfix(&text));
    }
    let mut settings = Vec::new();
    if observation.stat(DOVECOT)?.is_some() {
        dovecot(observation, DOVECOT, 0, &mut 0, &mut settings)?;
        found.extend(of_dovecot(&settings));
    }
    Ok(found)
}

/// Parameters of main.cf (postconf(5)): the last assignment counts, lines that begin with a space go on.
fn postfix(text: &str) -> Option<TlsSite> {
    let mut joined: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match joined.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => joined.push(line.trim().to_owned()),
        }
    }
    let value = |name: &str| {
        joined
            .iter()
            .rev()
            .filter_map(|line| line.split_once('='))
            .find(|(known, _)| known.trim() == name)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let level = value("smtpd_tls_security_level").unwrap_or_default();
    let used = value("smtpd_use_tls").as_deref() == Some("yes");
    if (level.is_empty() && !used) || level == "none" {
        return None;
    }
    let chains = value("smtpd_tls_chain_files").map(|value| {
        value
            .split([',', ' ', '\t'])
            .filter(|path| !path.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let certificates = chains.unwrap_or_else(|| {
        value("smtpd_tls_cert_file")
            .into_iter()
            .filter(|path| path != "none")
            .collect()
    });
    Some(TlsSite {
        service: "postfix",
        configured_in: POSTFIX.to_owned(),
        names: Vec::new(),
        open: certificates.iter().any(|path| path.contains('$')),
        certificates: certificates
            .into_iter()
            .filter(|path| !path.contains('$'))
            .collect(),
    })
}

fn dovecot(
    observation: &mut Observation<'_>,
    path: &str,
    depth: usize,
    read: &mut usize,
    settings: &mut Vec<(String, String, String)>,
) -> Result<(), Unobservable> {
    *read += 1;
    if depth > MAX_DEPTH || *read > super::MAX_FILES {
        return Err(Unobservable::unparsable(path, "includes too many files"));
    }
    let Some(text) = text(observation, path)? else {
        return Ok(());
    };
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.starts_with('#') {
            continue;
        }
        let included = line
            .strip_prefix("!include_try ")
            .or_else(|| line.strip_prefix("!include "));
        if let Some(pattern) = included {
            let pattern = pattern.trim();
            let pattern = if pattern.starts_with('/') {
                pattern.to_owned()
            } else {
                format!("/etc/dovecot/{pattern}")
            };
            for file in files(observation, &pattern)? {
                dovecot(observation, &file, depth + 1, read, settings)?;
            }
        } else if let Some((name, value)) = line.split_once('=') {
            settings.push((
                name.trim().to_owned(),
                value.trim().to_owned(),
                path.to_owned(),
            ));
        }
    }
    Ok(())
}

fn of_dovecot(settings: &[(String, String, String)]) -> Option<TlsSite> {
    let last = |name: &str| {
        settings
            .iter()
            .rev()
            .find(|(known, _, _)| known == name)
            .map(|(_, value, path)| (value.clone(), path.clone()))
    };
    if last("ssl").is_some_and(|(value, _)| value == "no") {
        return None;
    }
    // `<path` is the content of a file; from 2.4 on the setting is the path itself.
    let (path, configured_in) = last("ssl_cert")
        .map(|(value, from)| (value.trim_start_matches('<').trim().to_owned(), from))
        .or_else(|| last("ssl_server_cert_file"))?;
    Some(TlsSite {
        service: "dovecot",
        configured_in,
        names: Vec::new(),
        open: !path.starts_with('/'),
        certificates: std::iter::once(path)
            .filter(|path| path.starts_with('/'))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postfix_offers_tls_only_with_a_level() {
        let text = "smtpd_tls_cert_file=/a.pem\n# smtpd_tls_cert_file=/b.pem\nsmtpd_tls_security_level=may\n";
        assert_eq!(postfix(text).unwrap().certificates, ["/a.pem"]);
        assert!(postfix(&text.replace("may", "none")).is_none());
        let chains = format!("{text}smtpd_tls_chain_files =\n  /k.pem,\n  /c.pem\n");
        assert_eq!(postfix(&chains).unwrap().certificates, ["/k.pem", "/c.pem"]);
        assert!(postfix("").is_none());
    }
}
