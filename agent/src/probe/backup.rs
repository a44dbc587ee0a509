//! Which jobs back this host up: their paths, what they leave out, where they write to and what starts them.
//!
//! Read are borgmatic's and rsnapshot's configuration, and command lines of restic and borg in units, cron tables and
//! scripts. Agents whose jobs are kept on a server (Bareos, Veeam, …) are only known to be there. Of environment files
//! nothing is kept but where a repository is; passwords are never looked at.

mod command;
mod configuration;
mod place;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};

/// The probe `backup`.
pub struct Backup;

/// Facts of backup jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BackupFacts {
    /// The jobs, by where they are configured.
    jobs: Vec<JobFacts>,
    /// Every path that a job saves, with what holds for its job.
    paths: Vec<SavedPath>,
    /// Absolute paths that a job leaves out and no other job saves.
    excluded: Vec<String>,
    /// Mounted file systems below saved paths that no job saves, because it does not cross to other file systems.
    skipped: Vec<String>,
    /// Agents of backup servers that are installed; their jobs cannot be seen here.
    agents: Vec<String>,
}

/// One job.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct JobFacts {
    /// Where it is configured.
    configured_in: String,
    /// The tool.
    tool: Tool,
    /// A timer or cron table starts it.
    scheduled: bool,
    /// Its paths could be made out; not where a script puts them together.
    resolved: bool,
    /// What it writes is encrypted; absent if that cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<bool>,
    /// Where it writes to.
    destination: Destination,
}

/// A path that a job saves.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct SavedPath {
    /// The path.
    path: String,
    /// A timer or cron table starts the job.
    scheduled: bool,
    /// What the job writes is encrypted; absent if that cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<bool>,
    /// Where the job writes to.
    destination: Destination,
}

/// A backup tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Tool {
    Borg,
    Borgmatic,
    Restic,
    Rsnapshot,
}

/// Where a job writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Destination {
    /// Another host or a storage service.
    Remote,
    /// A path of this host.
    Local,
    /// It cannot be made out.
    Unknown,
}

/// A job as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    configured_in: String,
    tool: Tool,
    scheduled: bool,
    /// `None` if they cannot be made out.
    paths: Option<Vec<String>>,
    excludes: Vec<String>,
    one_file_system: bool,
    encrypted: Option<bool>,
    repositories: Vec<String>,
}

/// Agents of backup servers: name and a file that is there if it is installed.
const AGENTS: [(&str, &str); 8] = [
    ("bacula", "/etc/bacula/bacula-fd.conf"),
    ("bareos", "/etc/bareos/bareos-fd.d"),
    ("commvault", "/opt/commvault"),
    ("kopia", "/root/.config/kopia/repository.config"),
    ("netbackup", "/usr/openv/netbackup"),
    ("urbackup", "/usr/local/sbin/urbackupclientbackend"),
    ("veeam", "/usr/sbin/veeamservice"),
    ("tsm", "/opt/tivoli/tsm/client/ba/bin/dsm.sys"),
];

/// File systems that keep data of their own on this host.
const LOCAL: [&str; 8] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs",
];
/// File systems of other hosts.
const NETWORK: [&str; 6] = ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph"];

impl Probe for Backup {
    const ID: &'static str = "backup";
    type Facts = BackupFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<BackupFacts, Unobservable> {
        let mut jobs = configuration::jobs(observation)?;
        jobs.extend(place::jobs(observation)?);
        let mounts = mounts(observation)?;
        let mut agents = Vec::new();
        for (name, path) in AGENTS {
            if observation.stat(path)?.is_some() {
                agents.push(name.to_owned());
            }
        }
        Ok(facts(&jobs, &mounts, agents))
    }
}

/// Mount points with their types: those that are there, on an unpacked root those that fstab(5) mounts at boot.
fn mounts(observation: &mut Observation<'_>) -> Result<Vec<(String, String)>, Unobservable> {
    let path = if observation.is_live() {
        "/proc/self/mounts"
    } else {
        "/etc/fstab"
    };
    let text = observation.text(path)?.unwrap_or_default();
    Ok(text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let point = fields.next()?.replace("\\040", " ");
            Some((point, fields.next()?.to_owned()))
        })
        .collect())
}

fn facts(jobs: &[Job], mounts: &[(String, String)], agents: Vec<String>) -> BackupFacts {
    let mut found: Vec<JobFacts> = Vec::new();
    let mut paths = BTreeSet::new();
    for job in jobs {
        let destination = destination(&job.repositories, mounts);
        found.push(JobFacts {
            configured_in: job.configured_in.clone(),
            tool: job.tool,
            scheduled: job.scheduled,
            resolved: job.paths.is_some(),
            encrypted: job.encrypted,
            destination,
        });
        for path in job.paths.iter().flatten() {
            paths.insert(SavedPath {
                path: path.clone(),
                scheduled: job.scheduled,
                encrypted: job.encrypted,
                destination,
            });
        }
    }
    found.sort();
    found.dedup();
    BackupFacts {
        jobs: found,
        paths: paths.into_iter().collect(),
        excluded: excluded(jobs),
        skipped: skipped(jobs, mounts),
        agents,
    }
}

/// Whether `path` is `above` or lies below it.
fn is_beneath(path: &str, above: &str) -> bool {
    above == "/"
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn saves(job: &Job, path: &str) -> bool {
    job.paths.iter().flatten().any(|top| is_beneath(path, top))
        && !job.excludes.iter().any(|hole| is_beneath(path, hole))
}

fn excluded(jobs: &[Job]) -> Vec<String> {
    let holes: BTreeSet<String> = jobs
        .iter()
        .filter(|job| job.paths.is_some())
        .flat_map(|job| job.excludes.iter().cloned())
        .filter(|hole| !jobs.iter().any(|job| saves(job, hole)))
        .collect();
    holes.into_iter().collect()
}

/// Local file systems that are mounted below a saved path and saved by no job: none names a path on them, and none that
/// crosses to other file systems names a path above them.
fn skipped(jobs: &[Job], mounts: &[(String, String)]) -> Vec<String> {
    let local: BTreeSet<&str> = mounts
        .iter()
        .filter(|(_, kind)| LOCAL.contains(&kind.as_str()))
        .map(|(point, _)| point.as_str())
        .collect();
    let mount_of = |path: &str| {
        local
            .iter()
            .filter(|point| is_beneath(path, point))
            .max_by_key(|point| point.len())
            .copied()
    };
    local
        .iter()
        .filter(|point| {
            let below_a_saved_path = jobs
                .iter()
                .flat_map(|job| job.paths.iter().flatten())
                .any(|path| is_beneath(point, path));
            let is_saved = jobs.iter().any(|job| {
                job.paths.iter().flatten().any(|path| {
                    mount_of(path) == Some(**point)
                        || (is_beneath(point, path) && !job.one_file_system)
                })
            });
            below_a_saved_path && !is_saved
        })
        .map(|point| (*point).to_owned())
        .collect()
}

/// Remote if one of the repositories is, since one copy away from the host is what counts.
fn destination(repositories: &[String], mounts: &[(String, String)]) -> Destination {
    let kinds: Vec<Destination> = repositories
        .iter()
        .map(|repository| place_of(repository, mounts))
        .collect();
    for kind in [Destination::Remote, Destination::Unknown] {
        if kinds.contains(&kind) {
            return kind;
        }
    }
    if kinds.is_empty() {
        Destination::Unknown
    } else {
        Destination::Local
    }
}

fn place_of(repository: &str, mounts: &[(String, String)]) -> Destination {
    const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
    let path = repository
        .strip_prefix("file://")
        .or_else(|| repository.strip_prefix("local:"))
        .unwrap_or(repository);
    if path.contains('$') || path.is_empty() {
        return Destination::Unknown;
    }
    if path.starts_with('/') {
        let mount = mounts
            .iter()
            .filter(|(point, _)| is_beneath(path, point))
            .max_by_key(|(point, _)| point.len());
        return match mount {
            Some((_, kind)) if NETWORK.contains(&kind.as_str()) => Destination::Remote,
            _ => Destination::Local,
        };
    }
    let host = path
        .rsplit_once("://")
        .map_or(path, |(_, rest)| rest)
        .trim_start_matches("sftp:");
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if LOOPBACK.iter().any(|own| {
        host.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    }) {
        return Destination::Local;
    }
    if path.contains(':') {
        Destination::Remote
    } else {
        Destination::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(paths: &[&str], excludes: &[&str], one_file_system: bool) -> Job {
        Job {
            configured_in: "/x".to_owned(),
            tool: Tool::Restic,
            scheduled: true,
            paths: Some(paths.iter().map(|path| (*path).to_owned()).collect()),
            excludes: excludes.iter().map(|path| (*path).to_owned()).collect(),
            one_file_system,
            encrypted: Some(true),
            repositories: Vec::new(),
        }
    }

    fn mounts() -> Vec<(String, String)> {
        [
            ("/", "ext4"),
            ("/home", "xfs"),
            ("/proc", "proc"),
            ("/mnt/nas", "nfs4"),
            ("/srv/db", "ext4"),
        ]
        .iter()
        .map(|(point, kind)| ((*point).to_owned(), (*kind).to_owned()))
        .collect()
    }

    #[test]
    fn what_is_mounted_below_is_skipped_on_one_file_system() {
        assert_eq!(
            skipped(&[job(&["/"], &[], true)], &mounts()),
            ["/home", "/srv/db"]
        );
        assert!(skipped(&[job(&["/"], &[], false)], &mounts()).is_empty());
        assert_eq!(
            skipped(&[job(&["/", "/home/a"], &[], true)], &mounts()),
            ["/srv/db"]
        );
        assert!(skipped(&[job(&["/etc"], &[], true)], &mounts()).is_empty());
    }

    #[test]
    fn what_another_job_saves_is_not_left_out() {
        let first = job(&["/"], &["/var/lib/db", "/tmp"], false);
        assert_eq!(
            excluded(std::slice::from_ref(&first)),
            ["/tmp", "/var/lib/db"]
        );
        assert_eq!(
            excluded(&[first, job(&["/var/lib/db"], &[], false)]),
            ["/tmp"]
        );
    }

    #[test]
    fn a_copy_elsewhere_is_remote() {
        for (repository, expected) in [
            ("s3:https://s3.example/backup", Destination::Remote),
            ("sftp:user@host:/srv/repo", Destination::Remote),
            ("user@host:repo", Destination::Remote),
            ("ssh://borg@host:22/./repo", Destination::Remote),
            ("ssh://borg@localhost/./repo", Destination::Local),
            ("/srv/backup", Destination::Local),
            ("/mnt/nas/backup", Destination::Remote),
            ("file:///srv/backup", Destination::Local),
            ("$REPOSITORY", Destination::Unknown),
            ("backup", Destination::Unknown),
        ] {
            assert_eq!(place_of(repository, &mounts()), expected, "{repository}");
        }
        assert_eq!(destination(&[], &[]), Destination::Unknown);
    }
}
