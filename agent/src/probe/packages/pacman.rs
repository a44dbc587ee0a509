//! pacman's local database: a directory a package with its `desc`, whose values stand below `%FIELD%` lines.

pub mod version;

use evidence::time::Timestamp;

use super::{Database, MAX_PACKAGES, Manager, Package, too_many};
use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable};

/// The database; its format is named by the file beside the directories.
pub const LOCAL: &str = "/var/lib/pacman/local";
const FORMAT: &str = "ALPM_DB_VERSION";
/// The only format since pacman 4.2.
const KNOWN_FORMAT: &str = "9";
/// Largest description.
const MAX_DESC_BYTES: usize = 1024 * 1024;

pub(super) fn is_present(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    Ok(observation.stat(LOCAL)?.is_some())
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Database>, Unobservable> {
    if !is_present(observation)? {
        return Ok(None);
    }
    Ok(Some(Database {
        manager: Manager::Pacman,
        path: LOCAL.to_owned(),
        packages: packages(observation),
    }))
}

fn packages(observation: &mut Observation<'_>) -> Result<Vec<Package>, Unobservable> {
    let format = format!("{LOCAL}/{FORMAT}");
    let found = observation.required_text(&format)?;
    if found.trim() != KNOWN_FORMAT {
        let problem = format!(
            "is {:?}, and only format {KNOWN_FORMAT} is known",
            found.trim()
        );
        return Err(Unobservable::unparsable(&format, problem));
    }
    let mut packages = Vec::new();
    for entry in observation.list(LOCAL)?.unwrap_or_default() {
        if entry.kind != FileKind::Directory {
            continue;
        }
        let path = format!("{LOCAL}/{}/desc", entry.name);
        let desc = match observation.host().read(&path, MAX_DESC_BYTES) {
            Ok(desc) => desc,
            // A directory without a description is what an interrupted removal leaves; pacman calls it invalid.
            Err(HostError::NotFound(_)) => {
                return Err(Unobservable::unparsable(&path, "is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        let package = parse(&String::from_utf8_lossy(&desc))
            .ok_or_else(|| Unobservable::unparsable(&path, "no name or version"))?;
        if packages.len() == MAX_PACKAGES {
            return Err(too_many(LOCAL));
        }
        packages.push(package);
    }
    Ok(packages)
}

fn parse(desc: &str) -> Option<Package> {
    let value = |field: &str| {
        let mut lines = desc.lines();
        lines.find(|line| *line == field)?;
        lines
            .next()
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    let name = value("%NAME%")?;
    Some(Package {
        name: name.to_owned(),
        version: value("%VERSION%")?.to_owned(),
        architecture: value("%ARCH%").unwrap_or("any").to_owned(),
        source: value("%BASE%")
            .filter(|base| *base != name)
            .map(str::to_owned),
        installed: value("%INSTALLDATE%")
            .and_then(|seconds| seconds.parse().ok())
            .map(Timestamp::from_unix_seconds),
        unfinished: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_name() {
        let desc = "%NAME%\nopenssl\n\n%VERSION%\n3.4.0-1\n\n%BASE%\nopenssl\n\n%DESC%\n%ARCH%\n\n%ARCH%\nx86_64\n\n%INSTALLDATE%\n1730000000\n";
        let package = parse(desc).unwrap();
        assert_eq!(package.name, "openssl");
        assert_eq!(package.source, None);
        assert_eq!(
            package.installed,
            Some(Timestamp::from_unix_seconds(1_730_000_000))
        );
        assert!(parse("%NAME%\n\n%VERSION%\n1\n").is_none());
        assert!(parse("%NAME%").is_none());
        assert!(parse("").is_none());
    }
}
