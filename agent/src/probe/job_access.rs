//! Who may have jobs run at set times, and whether ordinary users can change what root's jobs run.

mod command;
pub(super) mod timer;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::crontab::Naming;
use super::guarded::{Guarded, Owners};
use super::{Observation, Probe, Unobservable};
use crate::host::{FileKind, HostError};

/// The probe `job_access`.
pub struct JobAccess;

/// Programs that bring cron.
const CRONS: [&str; 6] = [
    "/usr/sbin/cron",
    "/usr/sbin/crond",
    "/usr/bin/crond",
    "/usr/sbin/fcron",
    "/usr/lib/systemd/system-generators/systemd-crontab-generator",
    "/usr/bin/crontab",
];
const CRONTAB: &str = "/usr/bin/crontab";
const AT: &str = "/usr/bin/at";
/// Tables and folders of the system's jobs.
const SYSTEM: [&str; 13] = [
    "/etc/crontab",
    "/etc/anacrontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/cron.yearly",
    // busybox crond runs these on Alpine, by its /etc/crontabs/root.
    "/etc/periodic/15min",
    "/etc/periodic/hourly",
    "/etc/periodic/daily",
    "/etc/periodic/weekly",
    "/etc/periodic/monthly",
];
/// Folders with one table a user.
const SPOOLS: [&str; 4] = [
    "/var/spool/cron",
    "/var/spool/cron/crontabs",
    "/var/spool/cron/tabs",
    "/etc/crontabs",
];
/// Most files of one folder.
const MAX_FILES: usize = 1_000;
const MAX_BYTES: usize = 1024 * 1024;

/// Who may have jobs run, and what root's jobs run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobAccessFacts {
    /// Everything was read to its end.
    complete: bool,
    /// cron is installed.
    cron: bool,
    /// Who may use crontab(1), whatever the lists say.
    crontab: Crontab,
    /// at is installed.
    at: bool,
    /// `/etc/cron.allow`, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    cron_allow: Option<Guarded>,
    /// `/etc/cron.deny`, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    cron_deny: Option<Guarded>,
    /// `/etc/at.allow`, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_allow: Option<Guarded>,
    /// `/etc/at.deny`, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_deny: Option<Guarded>,
    /// Tables and folders of jobs.
    places: Vec<Place>,
    /// What root's jobs run and others than root may change.
    exposed: Vec<Exposed>,
    /// How many files root's jobs name.
    named: i64,
}

/// Who may use crontab(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Crontab {
    /// It is not installed, or has no privileges of its own: root alone.
    RootAlone,
    /// `cron.allow` and `cron.deny` decide.
    Lists,
    /// Everybody: this one asks no list (BusyBox).
    Everybody,
}

/// A table or folder of jobs.
#[derive(Debug, Serialize, JsonSchema)]
struct Place {
    /// What it is.
    kind: PlaceKind,
    /// Who may do what with it.
    #[serde(flatten)]
    access: Guarded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PlaceKind {
    /// A table of the system's jobs.
    Table,
    /// A folder of the system's jobs.
    Folder,
    /// A job, or a table, in such a folder.
    Job,
    /// A folder with one table a user.
    Spool,
}

/// Something that a job of root's runs and that others may change.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Exposed {
    /// The table, script or unit that names it.
    job: String,
    /// The file or directory that others may change.
    path: String,
    /// Its mode, owner and group.
    access: String,
}

impl Probe for JobAccess {
    const ID: &'static str = "job_access";
    type Facts = JobAccessFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<JobAccessFacts, Unobservable> {
        let owners = Owners::read(observation)?;
        let mut jobs = Jobs::default();
        let mut places = Vec::new();
        jobs.system(observation, &owners, &mut places)?;
        jobs.spools(observation, &owners, &mut places)?;
        let (timers, complete) = timer::of_root(observation)?;
        jobs.complete &= complete;
        for timer in timers {
            let commands = jobs.commands.entry(timer.service).or_default();
            commands.extend(timer.paths);
        }
        let mut cron = false;
        for path in CRONS {
            cron |= observation.stat(path)?.is_some();
        }
        let named = jobs.commands.values().map(BTreeSet::len).sum::<usize>();
        Ok(JobAccessFacts {
            complete: jobs.complete,
            cron,
            crontab: crontab(observation)?,
            at: observation.stat(AT)?.is_some(),
            cron_allow: owners.look(observation, "/etc/cron.allow")?,
            cron_deny: owners.look(observation, "/etc/cron.deny")?,
            at_allow: owners.look(observation, "/etc/at.allow")?,
            at_deny: owners.look(observation, "/etc/at.deny")?,
            exposed: exposed(observation, &owners, &jobs.commands)?,
            named: i64::try_from(named).unwrap_or(i64::MAX),
            places,
        })
    }
}

fn crontab(observation: &mut Observation<'_>) -> Result<Crontab, Unobservable> {
    let Some(stat) = observation.stat(CRONTAB)? else {
        return Ok(Crontab::RootAlone);
    };
    let target = observation.host().read_link(CRONTAB).unwrap_or_default();
    let busybox = target.ends_with("busybox") || target.ends_with("bbsuid");
    Ok(match stat.mode & 0o6000 {
        0 => Crontab::RootAlone,
        _ if busybox => Crontab::Everybody,
        _ => Crontab::Lists,
    })
}

/// What root's jobs run, by the file that says so.
#[derive(Default)]
struct Jobs {
    commands: BTreeMap<String, BTreeSet<String>>,
    complete: bool,
}

impl Jobs {
    /// `/etc/crontab`, `/etc/cron.d` with a user in each line, and folders of scripts that root runs.
    fn system(
        &mut self,
        observation: &mut Observation<'_>,
        owners: &Owners,
        places: &mut Vec<Place>,
    ) -> Result<(), Unobservable> {
        self.complete = true;
        for path in SYSTEM {
            let Some(access) = owners.look(observation, path)? else {
                continue;
            };
            let kind = if access.directory {
                PlaceKind::Folder
            } else {
                PlaceKind::Table
            };
            places.push(Place { kind, access });
            if kind == PlaceKind::Table {
                self.table(observation, path, true)?;
                continue;
            }
            for file in self.files(observation, path)? {
                if let Some(access) = owners.look(observation, &file)? {
                    let kind = PlaceKind::Job;
                    places.push(Place { kind, access });
                }
                if path == "/etc/cron.d" {
                    self.table(observation, &file, true)?;
                } else {
                    let commands = self.commands.entry(file.clone()).or_default();
                    commands.insert(file);
                }
            }
        }
        Ok(())
    }

    /// Tables of users; root's is read.
    fn spools(
        &mut self,
        observation: &mut Observation<'_>,
        owners: &Owners,
        places: &mut Vec<Place>,
    ) -> Result<(), Unobservable> {
        for path in SPOOLS {
            let Some(access) = owners.look(observation, path)? else {
                continue;
            };
            if !access.directory {
                continue;
            }
            let kind = PlaceKind::Spool;
            places.push(Place { kind, access });
            self.table(observation, &format!("{path}/root"), false)?;
        }
        Ok(())
    }

    fn files(
        &mut self,
        observation: &mut Observation<'_>,
        folder: &str,
    ) -> Result<Vec<String>, Unobservable> {
        let naming = Naming::read(observation)?;
        let entries = observation.list(folder)?.unwrap_or_default();
        self.complete &= entries.len() <= MAX_FILES;
        Ok(entries
            .iter()
            .take(MAX_FILES)
            .filter(|entry| entry.kind != FileKind::Directory && entry.name != ".placeholder")
            .filter(|entry| naming.takes(folder, &entry.name))
            .map(|entry| format!("{folder}/{}", entry.name))
            .collect())
    }

    fn table(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
        with_user: bool,
    ) -> Result<(), Unobservable> {
        let text = match observation.host().read(path, MAX_BYTES) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(HostError::NotFound(_) | HostError::NotRegular(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        observation.note(path);
        let commands = self.commands.entry(path.to_owned()).or_default();
        let named = command::of_table(&text, with_user);
        commands.extend(named.paths);
        self.complete &= !named.relative;
        Ok(())
    }
}

/// Whatever of these paths, or of the directories above them, others than root may change.
fn exposed(
    observation: &mut Observation<'_>,
    owners: &Owners,
    commands: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Vec<Exposed>, Unobservable> {
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (job, paths) in commands {
        for path in paths {
            let mut path = path.as_str();
            while !path.is_empty() {
                if !known.contains_key(path) {
                    let access = owners.look(observation, path)?;
                    known.insert(path.to_owned(), access.and_then(|found| who_else(&found)));
                }
                if let Some(Some(access)) = known.get(path) {
                    found.insert(Exposed {
                        job: job.clone(),
                        path: path.to_owned(),
                        access: access.clone(),
                    });
                }
                path = path.rsplit_once('/').map_or("", |(above, _)| above);
            }
        }
    }
    Ok(found.into_iter().take(MAX_FILES).collect())
}

/// Mode, owner and group, if somebody but root may change it. What stands in a directory with sticky bit cannot be
/// replaced by others; devices and sockets run nothing.
fn who_else(found: &Guarded) -> Option<String> {
    let has = |bit: &str| found.permissions.iter().any(|known| known == bit);
    let sticky = found.directory && has("+t");
    let others = has("o+w") && !sticky;
    let group = has("g+w") && found.group != "root" && !sticky;
    let acl = found.acl.iter().any(super::acl::Entry::writes);
    (found.owner != "root" || others || group || acl)
        .then(|| format!("{} {}:{}", found.mode, found.owner, found.group))
}
