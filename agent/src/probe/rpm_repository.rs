//! What dnf and zypper have fetched of the enabled repositories: the index of each, and its advisories.
//!
//! | Program | Cache |
//! |---|---|
//! | dnf 4 | `/var/cache/dnf/ID-HASH/repodata` |
//! | dnf 5 | `/var/cache/libdnf5/ID-HASH/repodata` |
//! | zypper | `/var/cache/zypp/raw/ID/repodata` |
//!
//! All three touch `repomd.xml` when the server says that it is still the newest, so its time is that of the last refresh
//! that succeeded.

pub mod advisory;
pub mod module;
mod tag;
pub mod version;

use evidence::outcome::Reason;
use evidence::time::Timestamp;

use super::debian::list::ListFile;
use super::package_sources::{self, Tool};
use super::{Observation, Unobservable};
use crate::host::{FileKind, HostError};
use tag::Tags;

const DNF_CACHES: [&str; 2] = ["/var/cache/libdnf5", "/var/cache/dnf"];
const ZYPPER_CACHE: &str = "/var/cache/zypp/raw";
/// Programs that keep these caches; yum 3 keeps others.
const DNF: [&str; 4] = [
    "/usr/bin/dnf5",
    "/usr/bin/dnf-3",
    "/usr/bin/dnf",
    "/usr/bin/microdnf",
];
/// What the index calls advisories, in their usual form and in that of zchunk.
const ADVISORIES: [&str; 2] = ["updateinfo", "updateinfo_zck"];
/// Most repositories of one host.
const MAX_REPOSITORIES: usize = 500;

/// One enabled repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its id.
    pub id: String,
    /// When its index was last fetched, or confirmed to be the newest; `None` if it never was.
    pub refreshed: Option<Timestamp>,
    /// It says that it has advisories.
    pub has_advisories: bool,
    /// The file with them, as far as its compression is read.
    pub advisories: Option<ListFile>,
    /// It has a file with them, in whatever form.
    pub on_disk: bool,
}

/// The enabled repositories with what is on disk of each.
///
/// # Errors
/// [`Unobservable`] if they cannot be told, or another program than dnf and zypper keeps them.
pub fn enabled(observation: &mut Observation<'_>) -> Result<Vec<Repository>, Unobservable> {
    let ids = package_sources::rpm_repositories(observation)?;
    if ids.len() > MAX_REPOSITORIES {
        return Err(Unobservable::new(
            Reason::CoveragePartial,
            "too many repositories",
        ));
    }
    if ids.iter().any(|(tool, _)| *tool == Tool::Dnf) {
        let mut known = false;
        for path in DNF {
            known |= observation.stat(path)?.is_some();
        }
        if !known {
            return Err(HostError::ToolMissing("dnf".to_owned()).into());
        }
    }
    let mut found = Vec::new();
    for (tool, id) in ids {
        let directory = match tool {
            Tool::Zypper => Some(format!("{ZYPPER_CACHE}/{id}/repodata")),
            _ => dnf_cache(observation, &id)?,
        };
        found.push(repository(observation, id, directory)?);
    }
    Ok(found)
}

/// The newest cache of a repository: another URL gets another hash.
fn dnf_cache(observation: &mut Observation<'_>, id: &str) -> Result<Option<String>, Unobservable> {
    let mut newest: Option<(Timestamp, String)> = None;
    for cache in DNF_CACHES {
        for entry in observation.list(cache)?.unwrap_or_default() {
            let hash = entry
                .name
                .strip_prefix(id)
                .and_then(|rest| rest.strip_prefix('-'));
            let is_hash = hash.is_some_and(|hash| {
                hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if entry.kind != FileKind::Directory || !is_hash {
                continue;
            }
            let directory = format!("{cache}/{}/repodata", entry.name);
            if let Some(stat) = observation.stat(&format!("{directory}/repomd.xml"))?
                && newest.as_ref().is_none_or(|(time, _)| stat.mtime > *time)
            {
                newest = Some((stat.mtime, directory));
            }
        }
    }
    Ok(newest.map(|(_, directory)| directory))
}

fn repository(
    observation: &mut Observation<'_>,
    id: String,
    directory: Option<String>,
) -> Result<Repository, Unobservable> {
    let mut repository = Repository {
        id,
        ..Repository::default()
    };
    let Some(directory) = directory else {
        return Ok(repository);
    };
    let index = format!("{directory}/repomd.xml");
    let Some(stat) = observation.stat(&index)? else {
        return Ok(repository);
    };
    repository.refreshed = Some(stat.mtime);
    let mut tags = Tags::new(observation.host().open(&index)?);
    let mut inside = false;
    while let Some(tag) = tags
        .next_tag()
        .map_err(|error| Unobservable::unparsable(&index, error))?
    {
        match tag.name() {
            "data" => {
                let kind = tag.attribute("type");
                inside = kind.is_some_and(|kind| ADVISORIES.contains(&kind.as_str()));
            }
            "/data" => inside = false,
            "location" if inside => {
                repository.has_advisories = true;
                let href = tag.attribute("href").unwrap_or_default();
                let name = href.rsplit('/').next().unwrap_or_default();
                let stem = [".gz", ".zst", ".zck", ".xz", ".bz2"]
                    .into_iter()
                    .find_map(|ending| name.strip_suffix(ending))
                    .unwrap_or(name);
                // Both forms may be offered; which of them is on disk is the program's choice.
                if !stem.is_empty() && repository.advisories.is_none() {
                    let path = format!("{directory}/{stem}");
                    repository.advisories = ListFile::find(observation.host(), &path)?;
                }
            }
            _ => {}
        }
    }
    repository.on_disk = repository.advisories.is_some()
        || observation
            .list(&directory)?
            .unwrap_or_default()
            .iter()
            .any(|entry| entry.name.contains("updateinfo"));
    Ok(repository)
}
