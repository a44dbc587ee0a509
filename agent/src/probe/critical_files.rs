//! Who may read and change the files that decide who is who and who may do what.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::guarded::{Guarded, Owners};
use super::{Observation, Probe, Unobservable};
use crate::host::FileKind;

/// The probe `critical_files`.
pub struct CriticalFiles;

/// Most files of one directory.
const MAX_FILES: usize = 1_000;
/// Files that every host has.
const REQUIRED: [&str; 3] = ["/etc/passwd", "/etc/group", "/etc/shadow"];
/// Files with what they hold.
const FILES: [(&str, Holds); 14] = [
    ("/etc/passwd", Holds::Accounts),
    ("/etc/passwd-", Holds::Accounts),
    ("/etc/group", Holds::Accounts),
    ("/etc/group-", Holds::Accounts),
    ("/etc/shadow", Holds::Passwords),
    ("/etc/shadow-", Holds::Passwords),
    ("/etc/gshadow", Holds::Passwords),
    ("/etc/gshadow-", Holds::Passwords),
    ("/etc/security/opasswd", Holds::OldPasswords),
    ("/etc/sudoers", Holds::Sudo),
    ("/usr/etc/sudoers", Holds::Sudo),
    ("/etc/crypttab", Holds::Configuration),
    ("/etc/ssh/sshd_config", Holds::Configuration),
    ("/var/lib/assay-agent/key.pem", Holds::Key),
];
/// Directories with what they are, and what the files in them hold.
const DIRECTORIES: [(&str, Holds, Option<Holds>); 10] = [
    ("/etc/sudoers.d", Holds::Directory, Some(Holds::SudoDropIn)),
    (
        "/usr/etc/sudoers.d",
        Holds::Directory,
        Some(Holds::SudoDropIn),
    ),
    ("/etc/pam.d", Holds::Directory, Some(Holds::Configuration)),
    (
        "/usr/etc/pam.d",
        Holds::Directory,
        Some(Holds::Configuration),
    ),
    (
        "/usr/lib/pam.d",
        Holds::Directory,
        Some(Holds::Configuration),
    ),
    (
        "/etc/ssh/sshd_config.d",
        Holds::Directory,
        Some(Holds::Configuration),
    ),
    ("/boot", Holds::Directory, None),
    ("/etc/ssl/private", Holds::KeyDirectory, None),
    ("/var/lib/assay-agent", Holds::StateDirectory, None),
    ("/etc/ssh", Holds::Directory, Some(Holds::HostKey)),
];

/// Files of identity and configuration with who may do what.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CriticalFilesFacts {
    /// Every directory was listed to its end.
    complete: bool,
    /// Files and directories that there are, by path.
    files: Vec<CriticalFile>,
    /// The directories above them, by path.
    parents: Vec<Guarded>,
    /// Files that every host must have and that are not there.
    missing: Vec<String>,
}

/// One of these files.
#[derive(Debug, Serialize, JsonSchema)]
struct CriticalFile {
    /// What it holds.
    holds: Holds,
    /// Who may do what with it.
    #[serde(flatten)]
    access: Guarded,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Holds {
    /// Names of users or groups.
    Accounts,
    /// Hashes of passwords.
    Passwords,
    /// Hashes of former passwords.
    OldPasswords,
    /// The main rules of sudo.
    Sudo,
    /// Further rules of sudo.
    SudoDropIn,
    /// The key by which sshd proves what host it is.
    HostKey,
    /// The key by which this agent signs.
    Key,
    /// Configuration that everybody may read.
    Configuration,
    /// A directory of such files.
    Directory,
    /// A directory of private keys.
    KeyDirectory,
    /// The state of this agent.
    StateDirectory,
}

impl Probe for CriticalFiles {
    const ID: &'static str = "critical_files";
    type Facts = CriticalFilesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<CriticalFilesFacts, Unobservable> {
        let owners = Owners::read(observation)?;
        let mut complete = true;
        let mut files = Vec::new();
        for (path, holds) in FILES {
            if let Some(access) = owners.look(observation, path)? {
                files.push(CriticalFile { holds, access });
            }
        }
        for (path, holds, content) in DIRECTORIES {
            let Some(access) = owners.look(observation, path)? else {
                continue;
            };
            files.push(CriticalFile { holds, access });
            let Some(content) = content else {
                continue;
            };
            let entries = observation.list(path)?.unwrap_or_default();
            complete &= entries.len() <= MAX_FILES;
            let of_interest = entries
                .iter()
                .filter(|entry| entry.kind != FileKind::Directory)
                .filter(|entry| content != Holds::HostKey || is_host_key(&entry.name));
            for entry in of_interest.take(MAX_FILES) {
                let path = format!("{path}/{}", entry.name);
                if let Some(access) = owners.look(observation, &path)? {
                    files.push(CriticalFile {
                        holds: content,
                        access,
                    });
                }
            }
        }
        files.sort_by(|a, b| a.access.path.cmp(&b.access.path));
        let there: BTreeSet<&str> = files.iter().map(|file| file.access.path.as_str()).collect();
        let parents = owners.above(observation, there.iter().copied())?;
        let missing = REQUIRED
            .into_iter()
            .filter(|path| !there.contains(path))
            .map(str::to_owned)
            .collect();
        Ok(CriticalFilesFacts {
            complete,
            files,
            parents,
            missing,
        })
    }
}

/// Private host keys as ssh-keygen(1) names them.
fn is_host_key(name: &str) -> bool {
    name.starts_with("ssh_host_") && name.ends_with("_key")
}
