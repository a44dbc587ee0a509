//! Security fixes of rpm repositories: what their advisories name and what is installed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    FileState, MAX_PENDING, Pending, SecurityUpdatesFacts, keep_first_sight, settled, state,
};
use crate::probe::packages::rpm::Location;
use crate::probe::packages::{self, Manager, Package};
use crate::probe::rpm_repository::version::compare;
use crate::probe::rpm_repository::{self, Repository, advisory, module};
use crate::probe::{Observation, Unobservable};

/// What an earlier round found, with the state of the files that it was found in.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    files: Vec<FileState>,
    modules: Vec<String>,
    installed: u64,
    pending: Vec<Pending>,
}

pub(super) fn observe(
    observation: &mut Observation<'_>,
    database: &Location,
) -> Result<SecurityUpdatesFacts, Unobservable> {
    let repositories = rpm_repository::enabled(observation)?;
    let with_advisories: Vec<&Repository> = repositories
        .iter()
        .filter(|repository| repository.has_advisories)
        .collect();
    let modules = module::enabled(observation)?;
    let mut files = Vec::new();
    for path in database.files() {
        if observation.stat(&path)?.is_some() {
            files.push(state(observation, path)?);
        }
    }
    for repository in &with_advisories {
        match &repository.advisories {
            Some(file) => files.push(state(observation, file.path.clone())?),
            None if repository.on_disk => {
                let problem = "advisories under a name or in a compression that is not read";
                return Err(Unobservable::unparsable(&repository.id, problem));
            }
            None => {}
        }
    }
    let names: Vec<String> = modules.iter().cloned().collect();
    let earlier: Remembered = observation.recall("found rpm").unwrap_or_default();
    let known = if earlier.files == files && earlier.modules == names {
        earlier
    } else {
        let installed = packages::of(observation, Manager::Rpm)?;
        let newest = newest(&installed);
        let mut found = BTreeMap::new();
        for repository in &with_advisories {
            let Some(file) = &repository.advisories else {
                continue;
            };
            let document = file.open(observation.host())?;
            advisory::fixes(document, &modules, &mut |fix| {
                if let Some(package) = newest.get(&(fix.name.as_str(), fix.architecture.as_str()))
                    && compare(&fix.version, &package.version) == Ordering::Greater
                {
                    add(&mut found, package, &fix, repository, observation);
                }
            })
            .map_err(|error| Unobservable::unparsable(&file.path, error))?;
        }
        let mut pending: Vec<Pending> = found.into_values().collect();
        keep_first_sight(&mut pending, &earlier.pending, compare);
        let remembered = Remembered {
            files: if settled(&files, observation.now()) {
                files
            } else {
                Vec::new()
            },
            modules: names,
            installed: installed.len() as u64,
            pending,
        };
        observation.remember("found rpm", &remembered);
        remembered
    };
    Ok(SecurityUpdatesFacts {
        archives: with_advisories
            .iter()
            .map(|repository| repository.id.clone())
            .collect(),
        installed: known.installed,
        complete: with_advisories
            .iter()
            .all(|repository| repository.advisories.is_some())
            && known.pending.len() <= MAX_PENDING,
        pending: known.pending.into_iter().take(MAX_PENDING).collect(),
    })
}

/// The newest installed version by name and architecture: of kernels several are installed.
fn newest(packages: &[Package]) -> HashMap<(&str, &str), &Package> {
    let mut newest: HashMap<(&str, &str), &Package> = HashMap::new();
    for package in packages {
        let known = newest
            .entry((&package.name, &package.architecture))
            .or_insert(package);
        if compare(&package.version, &known.version) == Ordering::Greater {
            *known = package;
        }
    }
    newest
}

type Found = BTreeMap<(String, String), Pending>;

fn add(
    found: &mut Found,
    package: &Package,
    fix: &advisory::Fix,
    repository: &Repository,
    observation: &Observation<'_>,
) {
    let now = observation.now();
    let since = fix.issued.map_or(now, |issued| issued.min(now));
    let key = (package.name.clone(), package.architecture.clone());
    let pending = found.entry(key).or_insert_with(|| Pending {
        name: package.name.clone(),
        architecture: package.architecture.clone(),
        installed: package.version.clone(),
        available: fix.version.clone(),
        fixed_by: fix.version.clone(),
        archive: repository.id.clone(),
        first_seen: since,
        not_before: None,
        held: false,
        pinned: false,
    });
    if compare(&fix.version, &pending.available) == Ordering::Greater {
        pending.available.clone_from(&fix.version);
        pending.archive.clone_from(&repository.id);
    }
    if compare(&fix.version, &pending.fixed_by) == Ordering::Less {
        pending.fixed_by.clone_from(&fix.version);
    }
    pending.first_seen = pending.first_seen.min(since);
}
