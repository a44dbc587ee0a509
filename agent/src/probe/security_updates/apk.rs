//! Updates that apk's repositories offer.

use std::collections::{BTreeMap, HashMap};

use evidence::time::Timestamp;

use super::unmarked::{self, Look, Newer};
use super::{SecurityUpdatesFacts, state};
use crate::probe::apk_repository::{self, Repository, Wish};
use crate::probe::packages::apk::{self, version::compare};
use crate::probe::packages::{self, Manager, Package};
use crate::probe::{Observation, Unobservable};

/// Packages are published as soon as they are built; a day lets the mirrors follow.
const STAGING_MS: i64 = 86_400_000;

pub(super) fn observe(
    observation: &mut Observation<'_>,
) -> Result<SecurityUpdatesFacts, Unobservable> {
    let repositories = apk_repository::enabled(observation)?;
    let wishes = apk_repository::world(observation)?;
    let mut files = Vec::new();
    if let Some(database) = apk::locate(observation)? {
        files.push(state(observation, database.to_owned())?);
    }
    for repository in &repositories {
        if let Some((path, _)) = &repository.index {
            files.push(state(observation, path.clone())?);
        }
    }
    // A repository in a directory, as that of a boot medium, may be away; apk goes on without it.
    let fetched = repositories
        .iter()
        .filter(|repository| repository.index.is_some());
    let look = Look {
        files,
        settings: vec![format!("{repositories:?} {wishes:?}")],
        archives: fetched
            .clone()
            .map(|repository| repository.name.clone())
            .collect(),
        as_of: fetched
            .filter_map(|repository| repository.index.as_ref())
            .map(|(_, time)| *time)
            .max(),
        complete: repositories
            .iter()
            .all(|repository| repository.index.is_some() || !repository.remote),
        compare,
        staging_ms: STAGING_MS,
    };
    let installed = |observation: &mut Observation<'_>| packages::of(observation, Manager::Apk);
    unmarked::observe(
        observation,
        look,
        installed,
        |observation, packages, found| search(observation, &repositories, &wishes, packages, found),
    )
}

/// The newest version that any repository has, of those with a tag only what was asked for with it.
fn search(
    observation: &Observation<'_>,
    repositories: &[Repository],
    wishes: &[Wish],
    packages: &[Package],
    found: &mut dyn FnMut(Newer<'_>),
) -> Result<(), Unobservable> {
    let installed: HashMap<&str, &Package> = packages
        .iter()
        .map(|package| (package.name.as_str(), package))
        .collect();
    let mut best: BTreeMap<String, Best<'_>> = BTreeMap::new();
    for repository in repositories {
        let Some((path, listed)) = &repository.index else {
            continue;
        };
        apk_repository::offers(observation, path, &mut |entry| {
            let offered = entry.package;
            let asked = repository.tag.is_none()
                || wishes
                    .iter()
                    .any(|wish| wish.name == offered.name && wish.tag == repository.tag);
            let Some(package) = installed.get(offered.name.as_str()) else {
                return;
            };
            if !asked || compare(&offered.version, &package.version).is_le() {
                return;
            }
            let newer = Best {
                version: offered.version,
                archive: &repository.name,
                listed: *listed,
                built: entry.built,
            };
            match best.get_mut(&offered.name) {
                Some(known) if compare(&known.version, &newer.version).is_ge() => {}
                Some(known) => *known = newer,
                None => {
                    best.insert(offered.name, newer);
                }
            }
        })?;
    }
    for (name, best) in best {
        let Some(package) = installed.get(name.as_str()) else {
            continue;
        };
        found(Newer {
            package,
            version: best.version,
            archive: best.archive,
            listed: best.listed,
            built: best.built,
            held: false,
            pinned: wishes.iter().any(|wish| wish.name == name && wish.bound),
        });
    }
    Ok(())
}

struct Best<'a> {
    version: String,
    archive: &'a str,
    listed: Timestamp,
    built: Option<Timestamp>,
}
