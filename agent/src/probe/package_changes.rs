//! When packages were installed or updated.
//!
//! Each package's own trace is read: under dpkg the time of its list of files, in rpm's and pacman's databases the time
//! of installation. These are absolute, while the logs of dpkg and apt are in local time and rotate away. Removals leave
//! no such trace.

mod apt_history;

use std::collections::BTreeMap;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::packages::{self, Manager};
use super::{Observation, Probe, Unobservable};
use apt_history::AutomaticRuns;

const INFO: &str = "/var/lib/dpkg/info";
const HOUR_MS: i64 = 3_600_000;
/// Most hours listed, the newest.
const MAX_HOURS: usize = 200;
/// Most packages named for an hour.
const MAX_NAMES: usize = 10;

/// The probe `package_changes`.
pub struct PackageChanges;

/// Facts of the changes of packages.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PackageChangesFacts {
    /// Package databases whose changes are dated.
    managers: Vec<Manager>,
    /// Package databases on this host whose changes are not.
    undated: Vec<Manager>,
    /// Hours in which packages were installed or updated, the newest first, at most 200.
    hours: Vec<Hour>,
    /// There were more before these.
    more: bool,
}

/// One hour with changes.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Hour {
    /// Its beginning.
    from: Timestamp,
    /// Packages installed or updated in it, as far as no later change covers it.
    packages: u64,
    /// Their names, the first 10.
    names: Vec<String>,
    /// All of them by unattended-upgrades, as apt's history says.
    automatic: bool,
}

impl Probe for PackageChanges {
    const ID: &'static str = "package_changes";
    type Facts = PackageChangesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<PackageChangesFacts, Unobservable> {
        let present = packages::present(observation)?;
        let mut changes: Vec<(Timestamp, String)> = Vec::new();
        if present.contains(&Manager::Dpkg) {
            changes.extend(dpkg(observation)?);
        }
        for manager in [Manager::Pacman, Manager::Rpm] {
            if !present.contains(&manager) {
                continue;
            }
            for package in packages::of(observation, manager)? {
                let at = package.installed.ok_or_else(|| {
                    Unobservable::unparsable(
                        &package.name,
                        "a package without a time of installation",
                    )
                })?;
                changes.push((at, package.name));
            }
        }
        let runs = AutomaticRuns::read(observation)?;
        let dated = |manager: &Manager| *manager != Manager::Apk;
        let (managers, undated) = present.into_iter().partition(dated);
        let mut hours = hours(changes, &runs);
        let more = hours.len() > MAX_HOURS;
        hours.truncate(MAX_HOURS);
        Ok(PackageChangesFacts {
            managers,
            undated,
            hours,
            more,
        })
    }
}

/// A package's list of files is written when it is unpacked, and at no other time.
fn dpkg(observation: &mut Observation<'_>) -> Result<Vec<(Timestamp, String)>, Unobservable> {
    let host = observation.host();
    let mut changes = Vec::new();
    for entry in observation.list(INFO)?.unwrap_or_default() {
        if let Some(name) = entry.name.strip_suffix(".list") {
            let stat = host.stat(&format!("{INFO}/{}", entry.name))?;
            changes.push((stat.mtime, name.to_owned()));
        }
    }
    Ok(changes)
}

fn hours(changes: Vec<(Timestamp, String)>, runs: &AutomaticRuns) -> Vec<Hour> {
    let mut by_hour: BTreeMap<i64, Vec<(Timestamp, String)>> = BTreeMap::new();
    for (at, name) in changes {
        by_hour
            .entry(at.unix_ms().div_euclid(HOUR_MS))
            .or_default()
            .push((at, name));
    }
    by_hour
        .into_iter()
        .rev()
        .map(|(hour, mut changes)| {
            changes.sort_by(|a, b| a.1.cmp(&b.1));
            Hour {
                from: Timestamp::from_unix_ms(hour * HOUR_MS),
                packages: changes.len() as u64,
                automatic: changes.iter().all(|(at, _)| runs.contain(*at)),
                names: changes
                    .into_iter()
                    .map(|(_, name)| name)
                    .take(MAX_NAMES)
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_gathered_by_hour() {
        let at = |seconds: i64| Timestamp::from_unix_seconds(seconds);
        let changes = vec![
            (at(7200), "b".to_owned()),
            (at(7201), "a".to_owned()),
            (at(3599), "c".to_owned()),
        ];
        let found = hours(changes, &AutomaticRuns::default());
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].from, at(7200));
        assert_eq!(found[0].names, ["a", "b"]);
        assert!(!found[0].automatic);
    }
}
