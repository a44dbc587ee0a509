//! apk's database (apk-package(5) index form): stanzas of `X:value` lines, parted by empty lines.

pub mod version;

use std::io::{BufRead, BufReader, Read};

use evidence::time::Timestamp;

use super::{Database, MAX_PACKAGES, Manager, Package, too_many};
use crate::probe::{Observation, Unobservable};

/// apk 3 of a merged /usr keeps it in the first place; the other is then a link to it.
const PATHS: [&str; 2] = ["/usr/lib/apk/db/installed", "/lib/apk/db/installed"];
/// Longest line: a list of dependencies stays far below.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// Where the database lies.
///
/// # Errors
/// [`Unobservable`] if the agent may not look.
pub fn locate(observation: &mut Observation<'_>) -> Result<Option<&'static str>, Unobservable> {
    for path in PATHS {
        if observation.stat(path)?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Database>, Unobservable> {
    let Some(path) = locate(observation)? else {
        return Ok(None);
    };
    let packages = observation
        .host()
        .open(path)
        .map_err(Unobservable::from)
        .and_then(|file| parse(file, path));
    Ok(Some(Database {
        manager: Manager::Apk,
        path: path.to_owned(),
        packages,
    }))
}

/// A package of a database or an index.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The package.
    pub package: Package,
    /// When it was built.
    pub built: Option<Timestamp>,
}

/// Visits the packages of a database or an index.
///
/// # Errors
/// [`Unobservable`] if it cannot be read to its end.
pub fn entries(
    mut reader: impl BufRead,
    path: &str,
    visit: &mut dyn FnMut(Entry),
) -> Result<(), Unobservable> {
    let mut line = Vec::new();
    let mut entry = Entry::default();
    let mut left = MAX_PACKAGES;
    loop {
        line.clear();
        let length = (&mut reader)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|error| Unobservable::unparsable(path, error))?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            let done = std::mem::take(&mut entry);
            if done != Entry::default() {
                if done.package.name.is_empty() || done.package.version.is_empty() {
                    let problem =
                        format!("a package without name or version: {}", done.package.name);
                    return Err(Unobservable::unparsable(path, problem));
                }
                left = left.checked_sub(1).ok_or_else(|| too_many(path))?;
                visit(done);
            }
            if length == 0 {
                return Ok(());
            }
            continue;
        }
        let Some((field, value)) = text.split_once(':') else {
            return Err(Unobservable::unparsable(path, "a line that is no field"));
        };
        let package = &mut entry.package;
        match field {
            "P" => value.clone_into(&mut package.name),
            "V" => value.clone_into(&mut package.version),
            "A" => value.clone_into(&mut package.architecture),
            "o" => package.source = Some(value.to_owned()).filter(|origin| *origin != package.name),
            "t" => entry.built = value.parse().ok().map(Timestamp::from_unix_seconds),
            _ => {}
        }
    }
}

fn parse(file: impl Read, path: &str) -> Result<Vec<Package>, Unobservable> {
    let mut packages = Vec::new();
    entries(BufReader::new(file), path, &mut |entry| {
        packages.push(entry.package);
    })?;
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_packages() {
        let text = "C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:1\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1x=\n\nP:libssl3\nV:3.3.2-r1\nA:x86_64\no:openssl\n";
        let found = parse(text.as_bytes(), "db").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].source, None);
        assert_eq!(found[1].source.as_deref(), Some("openssl"));
        assert_eq!(found[1].version, "3.3.2-r1");
    }

    #[test]
    fn what_is_no_database_is_refused() {
        assert!(parse(b"P:musl\n\n".as_slice(), "db").is_err());
        assert!(parse(b"\x7fELF\n".as_slice(), "db").is_err());
        assert!(parse(b"".as_slice(), "db").unwrap().is_empty());
        assert!(parse(vec![b'a'; 3 << 20].as_slice(), "db").is_err());
    }
}
