//! Who may read and change the log files below `/var/log`, and sudo's own wherever it is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::acl::{self, Entry};
use super::{Observation, Probe, Unobservable, sudo};
use crate::host::{FileKind, HostError, Stat};

/// The probe `log_files`.
pub struct LogFiles;

/// Directories below `/var/log` that are entered.
const MAX_DEPTH: usize = 3;
/// Most names looked at.
const MAX_NAMES: usize = 20_000;
/// Bits of a mode.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITE: u32 = 0o020;

/// Facts of the log files.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogFilesFacts {
    /// `/var/log` was walked to its bounds; false if there were more names than are looked at.
    complete: bool,
    /// Files and directories that hold what ordinary users must not read or change, by path.
    protected: Vec<Protected>,
    /// Anything else that every user may change.
    writable_by_others: Vec<String>,
}

/// A file or directory with who may do what.
#[derive(Debug, Serialize, JsonSchema)]
struct Protected {
    /// Its path; rotated copies stand for themselves.
    path: String,
    /// What it holds.
    holds: Holds,
    /// Owner.
    owner: String,
    /// Group.
    group: String,
    /// Permission bits in octal.
    mode: String,
    /// Every user may read it.
    others_read: bool,
    /// Every user may change it.
    others_write: bool,
    /// Its group may change it.
    group_write: bool,
    /// Access control entries beyond owner, group and others, as far as the mask lets them. That journald lets a user
    /// read the journal of their own processes is left out.
    acl: Vec<Entry>,
}

/// What a file or directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Holds {
    /// A directory of logs.
    Directory,
    /// Log-ons and use of privileges.
    Authentication,
    /// Records of the kernel's audit.
    Audit,
    /// Messages of the system.
    System,
    /// Failed log-ons, which hold passwords typed as names.
    FailedLogons,
    /// A journal file.
    Journal,
}

impl Probe for LogFiles {
    const ID: &'static str = "log_files";
    type Facts = LogFilesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<LogFilesFacts, Unobservable> {
        let mut walk = Walk {
            names: Names::read(observation)?,
            facts: LogFilesFacts {
                complete: true,
                protected: Vec::new(),
                writable_by_others: Vec::new(),
            },
            left: MAX_NAMES,
        };
        if let Some(stat) = observation.stat("/var/log")? {
            walk.look_at(observation, "/var/log", &stat)?;
            walk.directory(observation, "/var/log", 1)?;
        }
        for path in sudo::log_files(observation)? {
            walk.log_of_sudo(observation, &path)?;
        }
        walk.facts.protected.sort_by(|a, b| a.path.cmp(&b.path));
        walk.facts.writable_by_others.sort();
        Ok(walk.facts)
    }
}

struct Walk {
    names: Names,
    facts: LogFilesFacts,
    left: usize,
}

impl Walk {
    fn directory(
        &mut self,
        observation: &mut Observation<'_>,
        directory: &str,
        depth: usize,
    ) -> Result<(), Unobservable> {
        let entries = match observation.host().list(directory) {
            Ok(entries) => entries,
            Err(HostError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        observation.note(directory);
        for entry in entries {
            if self.left == 0 {
                self.facts.complete = false;
                return Ok(());
            }
            self.left -= 1;
            let path = format!("{directory}/{}", entry.name);
            // A link says nothing; what the name of a log file or of a directory of logs leads to does.
            let found = if entry.kind == FileKind::Link {
                let kinds = [FileKind::Regular, FileKind::Directory];
                if kinds.iter().all(|kind| holds(&path, *kind).is_none()) {
                    continue;
                }
                observation.host().stat(&path)
            } else {
                observation.host().lstat(&path)
            };
            let stat = match found {
                Ok(stat) => stat,
                // Rotated away since the directory was listed, or a link to nothing.
                Err(HostError::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            self.look_at(observation, &path, &stat)?;
            if stat.kind == FileKind::Directory && depth < MAX_DEPTH {
                self.directory(observation, &path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A log that sudo's settings name, its rotated copies, and their directory: whoever may write there can put another
    /// file in its place.
    fn log_of_sudo(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
    ) -> Result<(), Unobservable> {
        let Some((directory, name)) = path.rsplit_once('/') else {
            return Ok(());
        };
        let directory = if directory.is_empty() { "/" } else { directory };
        let entries = match observation.host().list(directory) {
            Ok(entries) => entries,
            Err(HostError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.protect(observation, directory, Holds::Directory)?;
        for entry in entries {
            let rest = entry.name.strip_prefix(name);
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-'])) {
                continue;
            }
            if self.left == 0 {
                self.facts.complete = false;
                return Ok(());
            }
            self.left -= 1;
            let path = format!("{}/{}", directory.trim_end_matches('/'), entry.name);
            self.protect(observation, &path, Holds::Authentication)?;
        }
        Ok(())
    }

    /// Adds what `path` leads to, unless it is there already.
    fn protect(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
        holds: Holds,
    ) -> Result<(), Unobservable> {
        if self.facts.protected.iter().any(|known| known.path == path) {
            return Ok(());
        }
        match observation.stat(path)? {
            Some(stat) => self.add(observation, path, &stat, holds),
            None => Ok(()),
        }
    }

    fn look_at(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
        stat: &Stat,
    ) -> Result<(), Unobservable> {
        let others_write = stat.mode & OTHERS_WRITE != 0;
        let Some(holds) = holds(path, stat.kind) else {
            if others_write && matches!(stat.kind, FileKind::Regular | FileKind::Directory) {
                self.facts.writable_by_others.push(path.to_owned());
            }
            return Ok(());
        };
        self.add(observation, path, stat, holds)
    }

    fn add(
        &mut self,
        observation: &mut Observation<'_>,
        path: &str,
        stat: &Stat,
        holds: Holds,
    ) -> Result<(), Unobservable> {
        let bytes = match observation.host().xattr(path, acl::ATTRIBUTE) {
            Ok(bytes) => bytes,
            Err(HostError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let entries = bytes
            .map(|bytes| acl::parse(&bytes))
            .transpose()
            .map_err(|problem| Unobservable::unparsable(path, problem))?
            .unwrap_or_default();
        self.facts.protected.push(Protected {
            path: path.to_owned(),
            holds,
            owner: self.names.user(stat.uid),
            group: self.names.group(stat.gid),
            mode: format!("{:04o}", stat.mode),
            others_read: stat.mode & OTHERS_READ != 0,
            others_write: stat.mode & OTHERS_WRITE != 0,
            group_write: stat.mode & GROUP_WRITE != 0,
            acl: entries
                .into_iter()
                .filter(|entry| !entry.is_reader_of_own_journal(path))
                .map(|entry| entry.named(|id| self.names.user(id), |id| self.names.group(id)))
                .collect(),
        });
        Ok(())
    }
}

/// What a path below `/var/log` holds, if it is to be protected.
fn holds(path: &str, kind: FileKind) -> Option<Holds> {
    if kind == FileKind::Directory {
        let of_logs = matches!(path, "/var/log" | "/var/log/audit" | "/var/log/journal")
            || path.starts_with("/var/log/journal/")
            || path.starts_with("/var/log/sudo-io");
        return of_logs.then_some(Holds::Directory);
    }
    let rest = path.strip_prefix("/var/log/")?;
    if rest.starts_with("audit/") {
        return Some(Holds::Audit);
    }
    if rest.starts_with("journal/") {
        return Some(Holds::Journal);
    }
    if rest.starts_with("sudo-io/") {
        return Some(Holds::Authentication);
    }
    let begins = |name: &str| {
        rest.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    };
    match () {
        () if rest.contains('/') => None,
        () if begins("auth.log") || begins("secure") || begins("sudo.log") => {
            Some(Holds::Authentication)
        }
        () if begins("syslog") || begins("messages") => Some(Holds::System),
        () if begins("btmp") => Some(Holds::FailedLogons),
        () => None,
    }
}

/// Names of users and groups by number.
struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    fn read(observation: &mut Observation<'_>) -> Result<Names, Unobservable> {
        let users = observation.secret_text("/etc/passwd")?.unwrap_or_default();
        let groups = observation.secret_text("/etc/group")?.unwrap_or_default();
        Ok(Names {
            users: by_number(&users),
            groups: by_number(&groups),
        })
    }

    /// The name, or the number of one without name.
    fn user(&self, id: u32) -> String {
        name(&self.users, id)
    }

    fn group(&self, id: u32) -> String {
        name(&self.groups, id)
    }
}

fn name(names: &BTreeMap<u32, String>, id: u32) -> String {
    names.get(&id).cloned().unwrap_or_else(|| id.to_string())
}

/// The first name of each number, as getpwuid(3) answers.
fn by_number(text: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
            && let Ok(id) = id.parse()
        {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_goes_by_its_name() {
        let file = |path: &str| holds(path, FileKind::Regular);
        assert_eq!(file("/var/log/auth.log.2.gz"), Some(Holds::Authentication));
        assert_eq!(
            file("/var/log/secure-20261101"),
            Some(Holds::Authentication)
        );
        assert_eq!(file("/var/log/audit/audit.log"), Some(Holds::Audit));
        assert_eq!(file("/var/log/syslog"), Some(Holds::System));
        assert_eq!(file("/var/log/btmp.1"), Some(Holds::FailedLogons));
        assert_eq!(file("/var/log/securely"), None);
        assert_eq!(file("/var/log/app/syslog"), None);
        assert_eq!(holds("/var/log/nginx", FileKind::Directory), None);
    }

    #[test]
    fn a_number_without_name_is_itself() {
        let names = by_number("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbad\n:x:y\n");
        assert_eq!(name(&names, 0), "root");
        assert_eq!(name(&names, 7), "7");
    }
}
