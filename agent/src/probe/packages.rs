//! Installed packages of every family, from the databases of their package managers.
//!
//! | Manager | Database |
//! |---|---|
//! | dpkg | `/var/lib/dpkg/status`; `/var/lib/dpkg/status.d/*` of images without dpkg itself |
//! | rpm | `/usr/lib/sysimage/rpm`, `/var/lib/rpm` or `/usr/share/rpm`: SQLite, ndb (SUSE) or Berkeley DB (RHEL 8 and older) |
//! | apk | `/usr/lib/apk/db/installed` or `/lib/apk/db/installed` |
//! | pacman | `/var/lib/pacman/local/*/desc` |
//!
//! All are read as files, by our own readers. `rpm -qa` would need a process of hundreds of milliseconds, cannot be asked
//! about an unpacked root, and trusts the root's own program. SQLite's library is a hundred times the code that visiting
//! one table takes, is C, and opens files by path behind the host port, so neither an unpacked root's links nor a
//! recording could be held to it. A database that has a form that is not known is an error, never an empty list.

pub mod apk;
pub mod compression;
mod dpkg;
mod glob;
pub mod pacman;
mod purl;
pub mod rpm;
pub mod tar;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::system::OsRelease;
use super::{Observation, Unobservable};

pub use glob::glob;
pub use purl::Namer;

/// Most packages of one database.
const MAX_PACKAGES: usize = 200_000;

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// Alpine's apk.
    Apk,
    /// Debian's dpkg.
    Dpkg,
    /// Arch's pacman.
    Pacman,
    /// rpm, under dnf, yum or zypper.
    Rpm,
}

/// One installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version as its manager orders it: with the release, and with the epoch if that is not 0.
    pub version: String,
    /// Its architecture, in its manager's words.
    pub architecture: String,
    /// Name of the source package, if it differs from the name.
    pub source: Option<String>,
    /// When it was installed, where the database says.
    pub installed: Option<Timestamp>,
    /// Unpacked, but not configured: an installation was interrupted.
    pub unfinished: bool,
}

/// What one manager's database holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Database {
    /// The manager.
    pub manager: Manager,
    /// Where the database lies.
    pub path: String,
    /// The packages, by name, architecture and version; or why they cannot be told.
    pub packages: Result<Vec<Package>, Unobservable>,
}

/// The databases that this host has, whatever its distribution is called.
///
/// # Errors
/// [`Unobservable`] if it cannot be told whether there is a database.
pub fn databases(observation: &mut Observation<'_>) -> Result<Vec<Database>, Unobservable> {
    let mut found = Vec::new();
    for read in [apk::read, dpkg::read, pacman::read, rpm::read] {
        if let Some(mut database) = read(observation)? {
            if let Ok(packages) = &mut database.packages {
                packages.sort_by(|a, b| {
                    (&a.name, &a.architecture, &a.version).cmp(&(
                        &b.name,
                        &b.architecture,
                        &b.version,
                    ))
                });
            }
            found.push(database);
        }
    }
    Ok(found)
}

/// The packages of one manager.
///
/// # Errors
/// [`Unobservable`] if its database cannot be read.
pub fn of(
    observation: &mut Observation<'_>,
    manager: Manager,
) -> Result<Vec<Package>, Unobservable> {
    let read = match manager {
        Manager::Apk => apk::read,
        Manager::Dpkg => dpkg::read,
        Manager::Pacman => pacman::read,
        Manager::Rpm => rpm::read,
    };
    read(observation)?.map_or(Ok(Vec::new()), |database| database.packages)
}

/// The managers that have a database on this host.
///
/// # Errors
/// [`Unobservable`] if it cannot be told whether there is one.
pub fn present(observation: &mut Observation<'_>) -> Result<Vec<Manager>, Unobservable> {
    let found = [
        (Manager::Apk, apk::locate(observation)?.is_some()),
        (Manager::Dpkg, dpkg::is_present(observation)?),
        (Manager::Pacman, pacman::is_present(observation)?),
        (Manager::Rpm, rpm::locate(observation)?.is_some()),
    ];
    Ok(found
        .into_iter()
        .filter_map(|(manager, present)| present.then_some(manager))
        .collect())
}

/// The manager that the distribution itself is made of: another may be installed beside it. `None` if none is found.
///
/// # Errors
/// [`Unobservable`] if it cannot be told which there are.
pub fn chief(observation: &mut Observation<'_>) -> Result<Option<Manager>, Unobservable> {
    if super::debian::distribution(observation)?.is_some() {
        return Ok(Some(Manager::Dpkg));
    }
    let present = present(observation)?;
    let by_rank = [Manager::Rpm, Manager::Pacman, Manager::Apk];
    Ok(by_rank
        .into_iter()
        .find(|manager| present.contains(manager)))
}

fn too_many(path: &str) -> Unobservable {
    Unobservable::unparsable(path, format!("more than {MAX_PACKAGES} packages"))
}
