//! How current the lists are from which pending updates are computed.

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::debian::archive::{Archive, Archives};
use super::{Observation, Probe, Unobservable, debian, packages, rpm_repository};

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
    /// When a refresh was last tried, whether or not anything arrived: the newest trace that apt leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<Timestamp>,
    /// When a refresh last succeeded, on hosts that keep this apart; under dnf and zypper, of the repository that was
    /// confirmed longest ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<Timestamp>,
    /// Every enabled archive, in apt's order; under dnf and zypper every enabled repository.
    archives: Vec<ArchiveFacts>,
    /// All sources were read to the end.
    complete: bool,
}

/// One enabled archive.
#[derive(Debug, Serialize, JsonSchema)]
struct ArchiveFacts {
    /// Host, path and suite, without credentials.
    name: String,
    /// Carries the security fixes of this release; under dnf and zypper, has advisories.
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
        if debian::distribution(observation)?.is_none()
            && packages::rpm::locate(observation)?.is_some()
        {
            return repositories(observation);
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
fn repositories(observation: &mut Observation<'_>) -> Result<PackageIndexFacts, Unobservable> {
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
