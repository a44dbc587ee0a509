//! Updates of repositories that do not say which of them fix weaknesses: pacman's and apk's. Every newer version counts.
//!
//! Nor do they say since when a version has been offered. What is certain lies between two times. A version was offered
//! no later than a database that has it was published or fetched, or than the longest time for which versions wait
//! between being built and being offered. And it was offered no earlier than it was built, or than an earlier look that
//! did not find it.

use std::cmp::Ordering;

use evidence::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FileState, MAX_PENDING, Pending, SecurityUpdatesFacts, keep_first_sight, settled};
use crate::probe::packages::Package;
use crate::probe::{Observation, Unobservable};

/// What an earlier look found, with all that it depended on.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Found {
    files: Vec<FileState>,
    settings: Vec<String>,
    /// Time of the newest database that was looked into.
    as_of: Option<Timestamp>,
    installed: u64,
    pending: Vec<Pending>,
}

/// What there is to look at.
pub(super) struct Look {
    /// Files whose state changes with what is installed and with what is offered.
    pub(super) files: Vec<FileState>,
    /// Settings that what is found depends on.
    pub(super) settings: Vec<String>,
    /// Names of the repositories.
    pub(super) archives: Vec<String>,
    /// Time of the newest database.
    pub(super) as_of: Option<Timestamp>,
    /// Every repository has a database.
    pub(super) complete: bool,
    /// The manager's order of versions.
    pub(super) compare: fn(&str, &str) -> Ordering,
    /// Longest time for which versions wait between being built and being offered.
    pub(super) staging_ms: i64,
}

/// A newer version of an installed package.
pub(super) struct Newer<'a> {
    pub(super) package: &'a Package,
    pub(super) version: String,
    pub(super) archive: &'a str,
    /// Time of the database that has it.
    pub(super) listed: Timestamp,
    pub(super) built: Option<Timestamp>,
    pub(super) held: bool,
    pub(super) pinned: bool,
}

/// What `search` finds among the installed packages, or found earlier in the same files; with their number.
pub(super) fn observe(
    observation: &mut Observation<'_>,
    look: Look,
    packages: impl Fn(&mut Observation<'_>) -> Result<Vec<Package>, Unobservable>,
    search: impl for<'p> Fn(
        &mut Observation<'_>,
        &'p [Package],
        &mut dyn FnMut(Newer<'_>),
    ) -> Result<(), Unobservable>,
) -> Result<SecurityUpdatesFacts, Unobservable> {
    let earlier: Found = observation.recall("found unmarked").unwrap_or_default();
    let same = earlier.files == look.files && earlier.settings == look.settings;
    let known = if same && !look.files.is_empty() {
        earlier
    } else {
        let now = observation.now();
        let installed = packages(observation)?;
        let mut pending = Vec::new();
        search(observation, &installed, &mut |newer| {
            let already = earlier.as_of.filter(|as_of| {
                newer
                    .package
                    .installed
                    .is_none_or(|installed| installed <= *as_of)
            });
            pending.push(dated(&newer, look.staging_ms, already, now));
        })?;
        keep_first_sight(&mut pending, &earlier.pending, look.compare);
        pending.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
        let found = Found {
            files: if settled(&look.files, now) {
                look.files
            } else {
                Vec::new()
            },
            settings: look.settings,
            as_of: look.as_of,
            installed: installed.len() as u64,
            pending,
        };
        observation.remember("found unmarked", &found);
        found
    };
    Ok(SecurityUpdatesFacts {
        archives: look.archives,
        installed: known.installed,
        complete: look.complete && known.pending.len() <= MAX_PENDING,
        pending: known.pending.into_iter().take(MAX_PENDING).collect(),
    })
}

/// An update with the two times between which it began to be offered.
fn dated(newer: &Newer<'_>, staging_ms: i64, looked: Option<Timestamp>, now: Timestamp) -> Pending {
    let offered = newer.built.map(|built| built.plus_ms(staging_ms));
    let latest = offered.map_or(newer.listed, |offered| offered.min(newer.listed));
    let first_seen = latest.min(now);
    let earliest = newer.built.into_iter().chain(looked).max();
    Pending {
        name: newer.package.name.clone(),
        architecture: newer.package.architecture.clone(),
        installed: newer.package.version.clone(),
        available: newer.version.clone(),
        fixed_by: newer.version.clone(),
        archive: newer.archive.to_owned(),
        first_seen,
        not_before: earliest.filter(|earliest| *earliest < first_seen),
        held: newer.held,
        pinned: newer.pinned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_began_between_two_times() {
        let at = |day: i64| Timestamp::from_unix_seconds(1_790_000_000 + day * 86_400);
        let package = Package::default();
        let newer = |built: Option<i64>, listed: i64| Newer {
            package: &package,
            version: "2".into(),
            archive: "core",
            listed: at(listed),
            built: built.map(at),
            held: false,
            pinned: false,
        };
        let staging = 30 * 86_400_000;
        let times = |newer: &Newer<'_>, looked: Option<i64>| {
            let pending = dated(newer, staging, looked.map(at), at(100));
            (pending.first_seen, pending.not_before)
        };
        // Built weeks ago, and nobody looked since: it may have come at any time.
        assert_eq!(times(&newer(Some(80), 99), None), (at(99), Some(at(80))));
        // Yesterday it was not there.
        assert_eq!(
            times(&newer(Some(80), 99), Some(98)),
            (at(99), Some(at(98)))
        );
        // Longer ago than anything waits.
        assert_eq!(times(&newer(Some(10), 99), None), (at(40), Some(at(10))));
        // A clock that runs ahead, and a database that says nothing.
        assert_eq!(times(&newer(Some(200), 300), None), (at(100), None));
        assert_eq!(times(&newer(None, 99), None), (at(99), None));
    }
}
