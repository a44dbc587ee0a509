//! Where services of this host speak TLS, by their own configuration: nginx, Apache httpd, HAProxy, Postfix, Dovecot.
//!
//! Only what the main file includes counts, as the service reads it; a file in a directory that nothing includes is no
//! configuration. What stands in a variable is not guessed: such a site is marked open.

mod apache;
mod block;
mod mail;
mod nginx;
mod proxy;

use std::collections::BTreeSet;

use super::{Observation, Unobservable};
use crate::host::{FileKind, HostError};

/// A place where TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TlsSite {
    /// The service.
    pub service: &'static str,
    /// The file that configures it.
    pub configured_in: String,
    /// Its names, as a client asks for them; none for a service with one certificate.
    pub names: Vec<String>,
    /// Files with the certificate and its chain.
    pub certificates: Vec<String>,
    /// A value stands in a variable, so that not everything could be made out.
    pub open: bool,
}

/// Most files of configuration, and most bytes of one.
const MAX_FILES: usize = 2000;
const MAX_BYTES: usize = 1024 * 1024;

/// The sites of every service known.
pub(super) fn sites(observation: &mut Observation<'_>) -> Result<Vec<TlsSite>, Unobservable> {
    let mut found = nginx::sites(observation)?;
    found.extend(apache::sites(observation)?);
    found.extend(proxy::sites(observation)?);
    found.extend(mail::sites(observation)?);
    found.sort();
    found.dedup();
    Ok(found)
}

/// A configuration file; `None` if it is not there.
fn text(observation: &mut Observation<'_>, path: &str) -> Result<Option<String>, Unobservable> {
    match observation.host().read(path, MAX_BYTES) {
        Ok(bytes) => {
            observation.note(path);
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The files that a pattern stands for, in order of their names; a pattern without wildcards stands for itself.
fn files(observation: &Observation<'_>, pattern: &str) -> Result<Vec<String>, Unobservable> {
    let mut paths = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = BTreeSet::new();
        for path in &paths {
            if !part.contains(['*', '?', '[']) {
                next.insert(format!("{path}/{part}"));
                continue;
            }
            let directory = if path.is_empty() { "/" } else { path };
            let entries = match observation.host().list(directory) {
                Ok(entries) => entries,
                Err(HostError::NotFound(_) | HostError::NotRegular(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            for entry in entries {
                if (part.starts_with('.') || !entry.name.starts_with('.'))
                    && matches(part, &entry.name)
                {
                    next.insert(format!("{path}/{}", entry.name));
                }
            }
        }
        if next.len() > MAX_FILES {
            return Err(Unobservable::unparsable(
                pattern,
                format!("stands for more than {MAX_FILES} files"),
            ));
        }
        paths = next.into_iter().collect();
    }
    Ok(paths)
}

/// Files of a directory, with those of the directories in it.
fn files_below(
    observation: &Observation<'_>,
    directory: &str,
    depth: usize,
) -> Result<Vec<String>, Unobservable> {
    let mut found = Vec::new();
    for entry in observation.host().list(directory)? {
        let path = format!("{}/{}", directory.trim_end_matches('/'), entry.name);
        let is_directory = entry.kind == FileKind::Directory
            || (entry.kind == FileKind::Link
                && observation
                    .host()
                    .stat(&path)
                    .is_ok_and(|stat| stat.kind == FileKind::Directory));
        if !is_directory {
            found.push(path);
        } else if depth > 0 {
            found.extend(files_below(observation, &path, depth - 1)?);
        }
        if found.len() > MAX_FILES {
            return Err(Unobservable::unparsable(
                directory,
                format!("more than {MAX_FILES} files"),
            ));
        }
    }
    Ok(found)
}

/// Whether a name fits a pattern of `*`, `?` and plain characters; a class `[…]` fits any one character.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => pattern[at..]
                .iter()
                .position(|c| *c == ']')
                .map(|end| end + 1),
            Some(c) if Some(c) == name.get(in_name) => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => {
                at += step;
                in_name += 1;
            }
            (None, Some((star_at, star_in_name))) => {
                at = star_at + 1;
                in_name = star_in_name + 1;
                star = Some((star_at, star_in_name + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("[0-9]*", "1x", true),
            ("?", "", false),
            ("", "", true),
            ("[", "[", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
