//! Whether security updates are set to install themselves: apt's periodic job and unattended-upgrades.

pub(super) mod mechanism;
pub(super) mod schedule;
pub(super) mod timer;

use evidence::outcome::Reason;
use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use super::debian::archive::{Archive, Archives};
use super::debian::configuration::Configuration;
use super::debian::origin::{self, Pattern};
use super::debian::package::Package;
use super::debian::preference;
use super::packages::{self, Manager};
use super::{Observation, Probe, Unobservable};
use mechanism::Mechanism;
use schedule::Schedule;

/// Most excluded packages listed by name.
const MAX_NAMES: usize = 50;
/// What unattended-upgrades takes for a day; anything else never comes.
const DAYS: [&str; 21] = [
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
];

/// The probe `auto_update`.
pub struct AutoUpdate;

/// Facts of the configuration.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct AutoUpdateFacts {
    /// On hosts of other package managers than apt: what could install updates by itself. All other members are about apt
    /// then, and empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    mechanisms: Option<Vec<Mechanism>>,
    /// The package unattended-upgrades is installed.
    installed: bool,
    /// `APT::Periodic::Enable`: false switches the whole periodic job off, whatever else is set.
    periodic: bool,
    /// Seconds between refreshes of the lists (`APT::Periodic::Update-Package-Lists`), 0 for every run; absent if off.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_seconds: Option<i64>,
    /// Seconds between runs of unattended-upgrades (`APT::Periodic::Unattended-Upgrade`), 0 for every run; absent if
    /// off.
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade_seconds: Option<i64>,
    /// What starts the periodic job.
    schedule: Schedule,
    /// `Origins-Pattern` and `Allowed-Origins` with their variables filled in.
    patterns: Vec<String>,
    /// Archives on disk with security fixes of this release.
    security: Vec<String>,
    /// Those of them that no pattern matches in any enabled component.
    uncovered: Vec<String>,
    /// Security archives that pins (apt_preferences(5)) for every package keep from being installed from.
    pinned_away: Vec<String>,
    /// Enabled archives without a release file on disk: no pattern can be compared with them.
    unfetched: Vec<String>,
    /// `Package-Blacklist`: expressions whose packages are never upgraded.
    blacklist: Vec<String>,
    /// `Package-Whitelist`: if not empty, only these are upgraded.
    whitelist: Vec<String>,
    /// Installed packages that the two lists leave out.
    excluded: u64,
    /// Their names, the first 50.
    excluded_names: Vec<String>,
    /// All installed packages.
    packages: u64,
    /// `Update-Days`: if not empty, the only days of the week.
    update_days: Vec<String>,
    /// None of the update days is one.
    no_update_day: bool,
    /// `InstallOnShutdown`: updates wait for a shutdown.
    only_at_shutdown: bool,
}

impl Probe for AutoUpdate {
    const ID: &'static str = "auto_update";
    type Facts = AutoUpdateFacts;

    fn units() -> Vec<&'static str> {
        schedule::TIMERS.to_vec()
    }

    fn observe(observation: &mut Observation<'_>) -> Result<AutoUpdateFacts, Unobservable> {
        if packages::chief(observation)? == Some(Manager::Rpm) {
            return Ok(AutoUpdateFacts {
                mechanisms: Some(mechanism::mechanisms(observation)?),
                ..AutoUpdateFacts::default()
            });
        }
        let archives = Archives::read(observation)?;
        let configuration = &archives.configuration;
        let patterns = origin::patterns(configuration, &archives.distribution)
            .map_err(|error| Unobservable::new(Reason::Unparsable, error.to_string()))?;
        let list = |name: &str| owned(&configuration.list(&format!("Unattended-Upgrade::{name}")));
        let (blacklist, whitelist) = (list("Package-Blacklist"), list("Package-Whitelist"));
        let excluded = excluded(&archives.packages, &blacklist, &whitelist)?;
        let update_days = list("Update-Days");
        let security: Vec<&Archive> = archives.security().collect();
        let uncovered = security
            .iter()
            .filter(|archive| !is_covered(archive, &patterns));
        let pins = preference::read(observation)?;
        let pinned_away = security.iter().filter(|archive| {
            let release = archive.release.as_ref();
            release.is_some_and(|release| preference::keeps_out(&pins, release, &archive.site()))
        });
        let unfetched = archives
            .archives
            .iter()
            .filter(|archive| archive.release.is_none());
        Ok(AutoUpdateFacts {
            mechanisms: None,
            installed: is_installed(observation, &archives.packages)?,
            periodic: is_periodic(configuration),
            refresh_seconds: interval(configuration, "Update-Package-Lists")?,
            upgrade_seconds: interval(configuration, "Unattended-Upgrade")?,
            schedule: Schedule::read(observation)?,
            patterns: patterns
                .iter()
                .map(|pattern| pattern.text().to_owned())
                .collect(),
            uncovered: uncovered.map(|archive| archive.name()).collect(),
            pinned_away: pinned_away.map(|archive| archive.name()).collect(),
            unfetched: unfetched.map(Archive::name).collect(),
            security: security.iter().map(|archive| archive.name()).collect(),
            excluded: excluded.len() as u64,
            excluded_names: excluded.into_iter().take(MAX_NAMES).collect(),
            packages: archives.packages.len() as u64,
            no_update_day: !update_days.is_empty()
                && !update_days
                    .iter()
                    .any(|day| DAYS.contains(&day.to_lowercase().as_str())),
            only_at_shutdown: configuration.flag("Unattended-Upgrade::InstallOnShutdown", false),
            blacklist,
            whitelist,
            update_days,
        })
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn is_installed(
    observation: &mut Observation<'_>,
    packages: &[Package],
) -> Result<bool, Unobservable> {
    let registered = packages
        .iter()
        .any(|package| package.name == "unattended-upgrades");
    Ok(registered && observation.stat("/usr/bin/unattended-upgrade")?.is_some())
}

/// The job stops only for a number that is zero.
fn is_periodic(configuration: &Configuration) -> bool {
    configuration
        .value("APT::Periodic::Enable")
        .is_none_or(|value| value.trim().parse::<i64>() != Ok(0))
}

/// An interval as the periodic job reads it: days without a unit; `None` for off.
fn interval(configuration: &Configuration, name: &str) -> Result<Option<i64>, Unobservable> {
    let name = format!("APT::Periodic::{name}");
    let value = configuration.value(&name).unwrap_or_default().trim();
    if value.is_empty() {
        return Ok(None);
    }
    seconds(value).ok_or_else(|| {
        Unobservable::new(
            Reason::Unparsable,
            format!("{name} is {value:?}, which is no interval"),
        )
    })
}

fn seconds(value: &str) -> Option<Option<i64>> {
    if value == "always" {
        return Some(Some(0));
    }
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let (number, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(*suffix)?, *unit)))
        .unwrap_or((value, 86_400));
    let seconds = number
        .parse::<u32>()
        .ok()
        .map(i64::from)?
        .checked_mul(unit)?;
    // `0` is off; `0d` is an interval that has always passed.
    Some(Some(seconds).filter(|_| value != "0"))
}

fn is_covered(archive: &Archive, patterns: &[Pattern]) -> bool {
    let Some(release) = &archive.release else {
        return false;
    };
    let site = archive.site();
    patterns.iter().any(|pattern| {
        archive
            .source
            .components
            .iter()
            .any(|component| pattern.matches(release, &site, component))
    })
}

/// Names of installed packages that are never upgraded: expressions are matched from the start of the name.
fn excluded(
    packages: &[Package],
    blacklist: &[String],
    whitelist: &[String],
) -> Result<Vec<String>, Unobservable> {
    let compile = |list: &[String]| {
        list.iter()
            .map(|expression| {
                Regex::new(&format!("^(?:{expression})")).map_err(|_| {
                    Unobservable::new(
                        Reason::Unparsable,
                        format!("unattended-upgrades' package expression {expression:?} is not understood"),
                    )
                })
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let (never, only) = (compile(blacklist)?, compile(whitelist)?);
    let matches = |list: &[Regex], name: &str| list.iter().any(|one| one.is_match(name));
    let mut names: Vec<String> = packages
        .iter()
        .map(|package| package.name.as_str())
        .filter(|name| matches(&never, name) || !(only.is_empty() || matches(&only, name)))
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_as_the_periodic_job_reads_them() {
        for (value, expected) in [
            ("0", Some(None)),
            ("1", Some(Some(86_400))),
            ("7d", Some(Some(604_800))),
            ("12h", Some(Some(43_200))),
            ("30m", Some(Some(1_800))),
            ("always", Some(Some(0))),
            ("true", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            assert_eq!(seconds(value), expected, "{value}");
        }
    }

    #[test]
    fn lists_leave_packages_out() {
        let package = |name: &str| Package {
            name: name.into(),
            architecture: "amd64".into(),
            version: "1".into(),
            ..Package::default()
        };
        let packages = [
            package("linux-image-amd64"),
            package("libc6"),
            package("libc6-dev"),
        ];
        let list = |text: &str| vec![text.to_owned()];
        assert_eq!(
            excluded(&packages, &list("linux-"), &[]).unwrap(),
            ["linux-image-amd64"]
        );
        assert_eq!(
            excluded(&packages, &list("libc6$"), &[]).unwrap(),
            ["libc6"]
        );
        assert_eq!(excluded(&packages, &list(""), &[]).unwrap().len(), 3);
        assert_eq!(
            excluded(&packages, &[], &list("libc6")).unwrap(),
            ["linux-image-amd64"]
        );
        assert!(excluded(&packages, &list("("), &[]).is_err());
    }
}
