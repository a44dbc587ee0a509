//! HAProxy: `bind` lines with `ssl` and the certificates that `crt` names.

use super::{TlsSite, files_below, text};
use crate::host::FileKind;
use crate::probe::{Observation, Unobservable};

const MAIN: &str = "/etc/haproxy/haproxy.cfg";
/// Files beside a certificate that hold no certificate.
const COMPANIONS: [&str; 5] = [".key", ".ocsp", ".issuer", ".sctl", ".dh"];

/// The sites that HAProxy serves with TLS.
pub(super) fn sites(observation: &mut Observation<'_>) -> Result<Vec<TlsSite>, Unobservable> {
    let Some(text) = text(observation, MAIN)? else {
        return Ok(Vec::new());
    };
    let mut base = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["crt-base", path, ..] => base = (*path).trim_end_matches('/').to_owned(),
            ["bind", values @ ..] if values.contains(&"ssl") => {
                let mut certificates = Vec::new();
                let mut open = false;
                for pair in values.windows(2) {
                    let ["crt", path] = pair else { continue };
                    open |= path.contains('$');
                    let path = if path.starts_with('/') || base.is_empty() {
                        (*path).to_owned()
                    } else {
                        format!("{base}/{path}")
                    };
                    certificates.extend(expand(observation, &path)?);
                }
                open |= values.contains(&"crt-list");
                found.push(TlsSite {
                    service: "haproxy",
                    configured_in: MAIN.to_owned(),
                    names: Vec::new(),
                    certificates,
                    open,
                });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The file, or the certificates of the directory.
fn expand(observation: &mut Observation<'_>, path: &str) -> Result<Vec<String>, Unobservable> {
    let kind = observation.stat(path)?.map(|stat| stat.kind);
    if kind != Some(FileKind::Directory) {
        return Ok(vec![path.to_owned()]);
    }
    Ok(files_below(observation, path, 0)?
        .into_iter()
        .filter(|file| !COMPANIONS.iter().any(|ending| file.ends_with(ending)))
        .collect())
}
