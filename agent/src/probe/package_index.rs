//! How current the lists are from which pending updates are computed.

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::debian::archive::{Archive, Archives};
use super::packages::{self, Manager};
use super::{Observation, Probe, Unobservable, apk_repository, pacman_repository, rpm_repository};

/// Touched by apt's periodic job after `apt-get update` ended with 0, even if every download had failed.
const ATTEMPT: &str = "/var/lib/apt/periodic/update-stamp";
/// Touched after an update in which not everything failed; only where update-notifier-common is installed.
const SUCCESS: &str = "/var/lib/apt/periodic/update-success-stamp";
/// Used by every download.
const PARTIAL: &str = "/var/lib/apt/lists/partial";

/// The probe `package_index`.
pub struct PackageIndex;

/// Facts of the lists of apt, or of the repositories of dnf or zypper.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PackageIndexFacts {
    /// When a refresh was last tried, whether or not anything arrived: the newest trace that apt leaves. pacman leaves none,
    /// so there it is when the newest database was published, which was fetched no earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<Timestamp>,
    /// When a refresh last succeeded, on hosts that keep this apart; under dnf, zypper and apk, of the repository that was
    /// confirmed longest ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<Timestamp>,
    /// Every enabled archive, in apt's order; under other managers every enabled repository.
    archives: Vec<ArchiveFacts>,
    /// All sources were read to the end.
    complete: bool,
}

/// One enabled archive.
#[derive(Debug, Serialize, JsonSchema)]
struct ArchiveFacts {
    /// Host, path and suite, without credentials.
    name: String,
    /// Carries the security fixes of this release; under dnf and zypper, has advisories; under pacman, one of the
    /// distribution's main repositories; under apk, any on another host.
    security: bool,
    /// Its release file is on disk.
    fetched: bool,
    /// Package indexes that the archive has for the enabled components and the native architecture, and that are not on
    /// disk.
    missing: Vec<String>,
    /// When the archive was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Timestamp>,
    /// When the release file ceases to be valid; many archives set none.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<Timestamp>,
}

impl Probe for PackageIndex {
    const ID: &'static str = "package_index";
    type Facts = PackageIndexFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<PackageIndexFacts, Unobservable> {
        match packages::chief(observation)? {
            Some(Manager::Rpm) => return of_rpm(observation),
            Some(Manager::Pacman) => return of_pacman(observation),
            Some(Manager::Apk) => return of_apk(observation),
            Some(Manager::Dpkg) | None => {}
        }
        let archives = Archives::read(observation)?;
        let success = modified(observation, SUCCESS)?;
        let attempts = [
            modified(observation, ATTEMPT)?,
            modified(observation, PARTIAL)?,
            success,
        ];
        let archives = archives
            .archives
            .iter()
            .map(|archive| facts(observation, archive))
            .collect::<Result<_, _>>()?;
        Ok(PackageIndexFacts {
            attempt: attempts.into_iter().flatten().max(),
            success,
            archives,
            complete: true,
        })
    }
}

/// Repositories of dnf and zypper. The one that was confirmed longest ago says how current all are.
fn of_rpm(observation: &mut Observation<'_>) -> Result<PackageIndexFacts, Unobservable> {
    let repositories = rpm_repository::enabled(observation)?;
    let refreshed = || repositories.iter().map(|repository| repository.refreshed);
    let oldest = refreshed().min().flatten();
    let archives = repositories.iter().map(|repository| ArchiveFacts {
        name: repository.id.clone(),
        security: repository.has_advisories,
        fetched: repository.refreshed.is_some(),
        missing: if repository.has_advisories && !repository.on_disk {
            vec!["updateinfo".to_owned()]
        } else {
            Vec::new()
        },
        date: None,
        valid_until: None,
    });
    Ok(PackageIndexFacts {
        attempt: refreshed().flatten().max(),
        success: oldest,
        archives: archives.collect(),
        complete: true,
    })
}

/// The main repositories of Arch, which change every day.
const PACMAN_MAIN: [&str; 2] = ["core", "extra"];

/// pacman's repositories: their databases have the times at which they were published.
fn of_pacman(observation: &mut Observation<'_>) -> Result<PackageIndexFacts, Unobservable> {
    let repositories = pacman_repository::enabled(observation)?;
    let is_main = |name: &str| PACMAN_MAIN.contains(&name);
    let has_main = repositories.iter().any(|found| is_main(&found.name));
    let archives = repositories.iter().map(|repository| ArchiveFacts {
        name: repository.name.clone(),
        security: !has_main || is_main(&repository.name),
        fetched: repository.published.is_some(),
        missing: Vec::new(),
        date: repository.published,
        valid_until: None,
    });
    Ok(PackageIndexFacts {
        attempt: repositories
            .iter()
            .filter_map(|repository| repository.published)
            .max(),
        success: None,
        archives: archives.collect(),
        complete: true,
    })
}

/// apk's repositories on other hosts: their indexes have the times at which they were fetched or confirmed.
fn of_apk(observation: &mut Observation<'_>) -> Result<PackageIndexFacts, Unobservable> {
    let mut repositories = apk_repository::enabled(observation)?;
    repositories.retain(|repository| repository.remote);
    let confirmed = || {
        repositories
            .iter()
            .map(|repository| repository.index.as_ref().map(|(_, time)| *time))
    };
    let archives = repositories.iter().map(|repository| ArchiveFacts {
        name: repository.name.clone(),
        security: true,
        fetched: repository.index.is_some(),
        missing: Vec::new(),
        date: None,
        valid_until: None,
    });
    Ok(PackageIndexFacts {
        attempt: confirmed().flatten().max(),
        success: confirmed().min().flatten(),
        archives: archives.collect(),
        complete: true,
    })
}

fn facts(observation: &Observation<'_>, archive: &Archive) -> Result<ArchiveFacts, Unobservable> {
    Ok(ArchiveFacts {
        name: archive.name(),
        security: archive.security,
        fetched: archive.release.is_some(),
        missing: archive.missing(observation)?,
        date: archive.release.as_ref().and_then(|release| release.date),
        valid_until: archive
            .release
            .as_ref()
            .and_then(|release| release.valid_until),
    })
}

fn modified(
    observation: &mut Observation<'_>,
    path: &str,
) -> Result<Option<Timestamp>, Unobservable> {
    Ok(observation.stat(path)?.map(|stat| stat.mtime))
}
