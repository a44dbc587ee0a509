//! dpkg's database; also that of images which were put together from packages without dpkg in them.

use super::{Database, MAX_PACKAGES, Manager, Package, too_many};
use crate::probe::debian::package::{self, STATUS, State};
use crate::probe::debian::stanza::{Stanza, Stanzas};
use crate::probe::{Observation, Unobservable};

/// One control file a package, without a state: what is there is installed (distroless images).
const STATUS_PARTS: &str = "/var/lib/dpkg/status.d";

pub(super) fn is_present(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    Ok(has_status(observation)? || observation.stat(STATUS_PARTS)?.is_some())
}

/// An image of parts may hold an empty status file beside them.
fn has_status(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    Ok(observation.stat(STATUS)?.is_some_and(|stat| stat.size > 0))
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Database>, Unobservable> {
    let whole = has_status(observation)?;
    let parts = observation.stat(STATUS_PARTS)?.is_some();
    if !whole && !parts {
        return Ok(None);
    }
    let packages = (|| {
        let mut packages = Vec::new();
        if whole {
            let known = package::installed(observation)?;
            packages.extend(known.into_iter().map(|package| Package {
                source: package.source.filter(|source| *source != package.name),
                name: package.name,
                version: package.version,
                architecture: package.architecture,
                installed: None,
                unfinished: package.state == State::Unfinished,
            }));
        }
        if parts {
            packages.extend(read_parts(observation)?);
        }
        if packages.len() > MAX_PACKAGES {
            return Err(too_many(STATUS));
        }
        Ok(packages)
    })();
    Ok(Some(Database {
        manager: Manager::Dpkg,
        path: if whole { STATUS } else { STATUS_PARTS }.to_owned(),
        packages,
    }))
}

fn read_parts(observation: &mut Observation<'_>) -> Result<Vec<Package>, Unobservable> {
    let mut packages = Vec::new();
    for entry in observation.list(STATUS_PARTS)?.unwrap_or_default() {
        if entry.name.ends_with(".md5sums") {
            continue;
        }
        let path = format!("{STATUS_PARTS}/{}", entry.name);
        let mut stanzas = Stanzas::new(
            observation.host().open(&path)?,
            &["Package", "Architecture", "Version", "Source"],
        );
        let stanza = stanzas
            .next_stanza()
            .map_err(|error| Unobservable::unparsable(&path, error))?;
        let package = stanza.as_ref().and_then(of_part);
        packages
            .push(package.ok_or_else(|| Unobservable::unparsable(&path, "no name or version"))?);
    }
    Ok(packages)
}

fn of_part(stanza: &Stanza) -> Option<Package> {
    let name = stanza.get("Package")?;
    Some(Package {
        name: name.to_owned(),
        version: stanza.get("Version")?.to_owned(),
        architecture: stanza.get("Architecture").unwrap_or("all").to_owned(),
        source: stanza
            .words("Source")
            .next()
            .filter(|source| *source != name)
            .map(str::to_owned),
        ..Package::default()
    })
}
