//! Updates that pacman's repositories offer.

use std::collections::{BTreeMap, HashMap, HashSet};

use evidence::outcome::Reason;

use super::unmarked::{self, Look, Newer};
use super::{SecurityUpdatesFacts, state};
use crate::probe::packages::pacman::{LOCAL, version::compare};
use crate::probe::packages::{self, Manager, Package, glob};
use crate::probe::pacman_repository::{self, Offer, Repository};
use crate::probe::{Observation, Unobservable, package_sources};

/// Packages wait in testing repositories: for days as a rule, with large rebuilds for weeks.
const STAGING_MS: i64 = 30 * 86_400_000;

pub(super) fn observe(
    observation: &mut Observation<'_>,
) -> Result<SecurityUpdatesFacts, Unobservable> {
    let settings = package_sources::pacman_settings(observation)?;
    let repositories = pacman_repository::enabled(observation)?;
    let fetched: Vec<Repository> = repositories
        .iter()
        .filter(|repository| repository.published.is_some())
        .cloned()
        .collect();
    let mut files = vec![state(observation, LOCAL.to_owned())?];
    for repository in &fetched {
        files.push(state(observation, repository.path.clone())?);
    }
    let look = Look {
        files,
        settings: vec![format!("{settings:?}")],
        archives: fetched
            .iter()
            .map(|repository| repository.name.clone())
            .collect(),
        as_of: fetched
            .iter()
            .filter_map(|repository| repository.published)
            .max(),
        complete: fetched.len() == repositories.len(),
        compare,
        staging_ms: STAGING_MS,
    };
    let ignores = |offer: &Offer| {
        let matches =
            |patterns: &[String], name: &str| patterns.iter().any(|pattern| glob(pattern, name));
        matches(&settings.ignored, &offer.name)
            || offer
                .groups
                .iter()
                .any(|group| matches(&settings.ignored_groups, group))
    };
    let installed = |observation: &mut Observation<'_>| packages::of(observation, Manager::Pacman);
    unmarked::observe(
        observation,
        look,
        installed,
        |observation, packages, found| search(observation, &fetched, packages, &ignores, found),
    )
}

/// The first repository that has a package, or one that takes its place, says what it is upgraded to.
fn search(
    observation: &Observation<'_>,
    repositories: &[Repository],
    packages: &[Package],
    ignores: &dyn Fn(&Offer) -> bool,
    found: &mut dyn FnMut(Newer<'_>),
) -> Result<(), Unobservable> {
    let mut open: BTreeMap<&str, &Package> = packages
        .iter()
        .map(|package| (package.name.as_str(), package))
        .collect();
    for repository in repositories {
        let Some(listed) = repository.published else {
            continue;
        };
        let mut same: HashMap<String, Offer> = HashMap::new();
        let mut instead: Vec<Offer> = Vec::new();
        let wanted = |name: &str| open.contains_key(name);
        pacman_repository::offers(observation, repository, &wanted, &mut |offer| {
            if !offer.replaces.is_empty() {
                instead.push(Offer {
                    name: offer.name.clone(),
                    version: offer.version.clone(),
                    architecture: offer.architecture.clone(),
                    built: offer.built,
                    groups: offer.groups.clone(),
                    replaces: offer.replaces.clone(),
                });
            }
            same.insert(offer.name.clone(), offer);
        })?;
        let mut settled: HashSet<&str> = HashSet::new();
        for (name, package) in &open {
            let replacement = || {
                instead.iter().find(|offer| {
                    let mut replaced = offer.replaces.iter();
                    replaced.any(|condition| {
                        pacman_repository::names(condition, name, &package.version)
                    })
                })
            };
            let (offer, version) = match same.get(*name) {
                Some(offer) => (offer, offer.version.clone()),
                None => match replacement() {
                    Some(offer) => (offer, format!("{} {}", offer.name, offer.version)),
                    None => continue,
                },
            };
            settled.insert(name);
            let newer = offer.name != **name || compare(&offer.version, &package.version).is_gt();
            if newer {
                found(Newer {
                    package,
                    version,
                    archive: &repository.name,
                    listed,
                    built: offer.built,
                    held: ignores(offer),
                    pinned: !repository.upgrades,
                });
            }
        }
        open.retain(|name, _| !settled.contains(name));
    }
    if repositories.is_empty() || open.len() < packages.len() {
        return Ok(());
    }
    Err(Unobservable::new(
        Reason::Conflict,
        "no installed package is in any of pacman's databases: they are those of another system",
    ))
}
