//! Security fixes that the archives offer and that are not installed.

mod apk;
mod pacman;
mod publication;
mod rpm;
mod unmarked;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debian::archive::{Archive, Archives};
use super::debian::list::{ListFile, index_path};
use super::debian::package::{Package, STATUS};
use super::debian::preference::{self, Pin};
use super::debian::stanza::Stanzas;
use super::debian::version::compare;
use super::packages::{self, Manager};
use super::{Observation, Probe, Unobservable};
use crate::host::HostError;

/// Most pending updates listed.
const MAX_PENDING: usize = 2_000;

/// The probe `security_updates`.
pub struct SecurityUpdates;

/// Facts of pending security updates.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SecurityUpdatesFacts {
    /// Archives with security fixes of this release whose indexes were compared; under pacman and apk, which do not tell
    /// fixes from other updates, every repository.
    archives: Vec<String>,
    /// Installed packages that were compared.
    installed: u64,
    /// Packages for which a security archive has a newer version, by name and architecture. Holds and pins do not
    /// hide them.
    pending: Vec<Pending>,
    /// Every index of every security archive was read to its end, for all architectures of which packages are installed.
    complete: bool,
}

/// One pending update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct Pending {
    /// The package.
    name: String,
    /// Its architecture.
    architecture: String,
    /// The version that is installed.
    installed: String,
    /// The newest version with security fixes.
    available: String,
    /// The oldest listed version that is newer than the installed one: since when that one has been public, the
    /// package is late.
    fixed_by: String,
    /// The archive that has it.
    archive: String,
    /// Since when a fix is known to be available: when the agent first saw one, or when a list that has it was
    /// published, whichever is earlier.
    first_seen: Timestamp,
    /// The time before which it cannot have been available, where that is not the same: when it was built, or when a look
    /// did not find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    /// The package is on hold (`apt-mark hold`; pacman's `IgnorePkg` and `IgnoreGroup`).
    held: bool,
    /// apt's preferences, a version asked for by apk's world, or the `Usage` of pacman's repository keep this version from
    /// being chosen.
    pinned: bool,
}

/// What an earlier round found, with the state of the files that it was found in.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    files: Vec<FileState>,
    pending: Vec<Pending>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileState {
    path: String,
    size: u64,
    changed: Timestamp,
}

/// One index to read.
struct Index<'a> {
    archive: &'a Archive,
    file: ListFile,
    length: Option<u64>,
}

impl Probe for SecurityUpdates {
    const ID: &'static str = "security_updates";
    type Facts = SecurityUpdatesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SecurityUpdatesFacts, Unobservable> {
        match packages::chief(observation)? {
            Some(Manager::Rpm) => {
                if let Some(database) = packages::rpm::locate(observation)? {
                    return rpm::observe(observation, &database);
                }
            }
            Some(Manager::Pacman) => return pacman::observe(observation),
            Some(Manager::Apk) => return apk::observe(observation),
            Some(Manager::Dpkg) | None => {}
        }
        let archives = Archives::read(observation)?;
        let (indexes, complete) = indexes(observation, &archives)?;
        let paths = indexes.iter().map(|index| index.file.path.clone());
        let files = std::iter::once(STATUS.to_owned())
            .chain(paths)
            .map(|path| state(observation, path))
            .collect::<Result<Vec<_>, _>>()?;
        let earlier: Remembered = observation.recall("found").unwrap_or_default();
        let mut pending = if earlier.files == files {
            earlier.pending
        } else {
            let mut found = compare_all(observation, &archives.packages, &indexes)?;
            keep_first_sight(&mut found, &earlier.pending, compare);
            publication::date(observation, &archives, &mut found)?;
            observation.remember(
                "found",
                &Remembered {
                    files: if settled(&files, observation.now()) {
                        files
                    } else {
                        Vec::new()
                    },
                    pending: found.clone(),
                },
            );
            found
        };
        let pins = preference::read(observation)?;
        mark_pinned(&mut pending, &archives, &pins);
        Ok(SecurityUpdatesFacts {
            archives: archives.security().map(Archive::name).collect(),
            installed: archives.packages.len() as u64,
            complete: complete && pending.len() <= MAX_PENDING,
            pending: pending.into_iter().take(MAX_PENDING).collect(),
        })
    }
}

/// The indexes of the security archives that are on disk, and whether those are all for the architectures of which
/// packages are installed.
fn indexes<'a>(
    observation: &Observation<'_>,
    archives: &'a Archives,
) -> Result<(Vec<Index<'a>>, bool), Unobservable> {
    let architectures: BTreeSet<&str> = archives
        .packages
        .iter()
        .map(|package| package.architecture.as_str())
        .filter(|name| *name != "all")
        .collect();
    let mut indexes = Vec::new();
    let mut complete = true;
    for archive in archives.security() {
        let wanted = &archive.source.architectures;
        complete &= architectures
            .iter()
            .all(|name| wanted.iter().any(|wanted| wanted == name));
        for (path, length) in archive.indexes() {
            let at = index_path(&archive.source, &path);
            if let Some(file) = ListFile::find(observation.host(), &at)? {
                indexes.push(Index {
                    archive,
                    file,
                    length,
                });
            } else {
                complete &= !architectures
                    .iter()
                    .any(|name| path.ends_with(&format!("/binary-{name}/Packages")));
            }
        }
    }
    Ok((indexes, complete))
}

fn state(observation: &mut Observation<'_>, path: String) -> Result<FileState, Unobservable> {
    let stat = observation
        .stat(&path)?
        .ok_or_else(|| HostError::NotFound(path.clone()))?;
    Ok(FileState {
        path,
        size: stat.size,
        changed: stat.ctime,
    })
}

/// Whether a later change of any of these files must show in its times. One within the same tick of the file system's
/// clock (FAT's takes two seconds) as the last would not, so what was read right after a change is read once more.
fn settled(files: &[FileState], now: Timestamp) -> bool {
    const TICK_MS: i64 = 2_000;
    files.iter().all(|file| file.changed.plus_ms(TICK_MS) < now)
}

type Found = BTreeMap<(String, String), Pending>;

fn compare_all(
    observation: &Observation<'_>,
    packages: &[Package],
    indexes: &[Index<'_>],
) -> Result<Vec<Pending>, Unobservable> {
    let mut installed: HashMap<&str, Vec<&Package>> = HashMap::new();
    for package in packages {
        installed.entry(&package.name).or_default().push(package);
    }
    let mut found = Found::new();
    for index in indexes {
        compare_index(observation, &installed, index, &mut found)?;
    }
    Ok(found.into_values().collect())
}

fn compare_index(
    observation: &Observation<'_>,
    installed: &HashMap<&str, Vec<&Package>>,
    index: &Index<'_>,
    found: &mut Found,
) -> Result<(), Unobservable> {
    let path = &index.file.path;
    let published = [
        index
            .archive
            .release
            .as_ref()
            .and_then(|release| release.date),
        Some(observation.host().stat(path)?.mtime),
        Some(observation.now()),
    ];
    let known_since = published
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(observation.now());
    let stream = index.file.open(observation.host())?;
    let mut stanzas = Stanzas::new(stream, &["Package", "Version", "Architecture"]);
    let wrong = |problem: String| Unobservable::unparsable(path, problem);
    while let Some(stanza) = stanzas
        .next_stanza()
        .map_err(|error| wrong(error.to_string()))?
    {
        let (Some(name), Some(version)) = (stanza.get("Package"), stanza.get("Version")) else {
            return Err(wrong("an entry without Package or Version".to_owned()));
        };
        let offered = stanza.get("Architecture").unwrap_or("all");
        for package in installed.get(name).into_iter().flatten() {
            if is_for(offered, &package.architecture)
                && compare(version, &package.version) == Ordering::Greater
            {
                add(found, package, version, index.archive, known_since);
            }
        }
    }
    match index.length {
        Some(length) if length != stanzas.bytes_read() => Err(wrong(format!(
            "has {} bytes where the release file announces {length}; run apt-get update",
            stanzas.bytes_read()
        ))),
        _ => Ok(()),
    }
}

/// A package may change between `all` and a real architecture from one version to the next.
fn is_for(offered: &str, installed: &str) -> bool {
    offered == installed || offered == "all" || installed == "all"
}

fn add(found: &mut Found, package: &Package, version: &str, archive: &Archive, since: Timestamp) {
    let key = (package.name.clone(), package.architecture.clone());
    let pending = found.entry(key).or_insert_with(|| Pending {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        installed: package.version.clone(),
        available: version.to_owned(),
        fixed_by: version.to_owned(),
        archive: archive.name(),
        first_seen: since,
        not_before: None,
        held: package.held,
        pinned: false,
    });
    if compare(version, &pending.available) == Ordering::Greater {
        version.clone_into(&mut pending.available);
        pending.archive = archive.name();
    }
    if compare(version, &pending.fixed_by) == Ordering::Less {
        version.clone_into(&mut pending.fixed_by);
    }
    pending.first_seen = pending.first_seen.min(since);
}

/// A package stays pending from the first fix that was not installed, even if a newer fix has replaced it since.
fn keep_first_sight(
    found: &mut [Pending],
    earlier: &[Pending],
    compare: fn(&str, &str) -> Ordering,
) {
    for pending in found {
        let known = earlier.iter().find(|known| {
            known.name == pending.name
                && known.architecture == pending.architecture
                && compare(&known.available, &pending.installed) == Ordering::Greater
        });
        if let Some(known) = known {
            pending.first_seen = pending.first_seen.min(known.first_seen);
            pending.not_before = known.not_before.filter(|time| *time < pending.first_seen);
        }
    }
}

fn mark_pinned(pending: &mut [Pending], archives: &Archives, pins: &[Pin]) {
    for update in pending {
        let archive = archives
            .security()
            .find(|archive| archive.name() == update.archive);
        let from = archive.and_then(|archive| Some((archive.release.as_ref()?, archive.site())));
        update.pinned = from.is_some_and(|(release, site)| {
            preference::keeps_back(pins, &update.name, (release, &site), &update.available)
        });
    }
}

#[cfg(test)]
mod tests;
