//! Powerful programs and development tools that are on the host, and who may execute them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::nss;
use super::{Observation, Probe, Unobservable};
use crate::host::{FileKind, HostError};

/// Directories that programs are found in; one that is a link to another is looked at once.
const DIRECTORIES: [&str; 6] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/bin",
    "/sbin",
];
const CAPABILITIES: &str = "security.capability";
const ACL: &str = "system.posix_acl_access";
/// Length of an access control list for owner, group, mask and others alone: a version and four entries.
const PLAIN_ACL_BYTES: usize = 4 + 4 * 8;

/// Programs looked for, by kind.
const KNOWN: [(Kind, &[&str]); 9] = [
    (
        Kind::Debugger,
        &[
            "gdb",
            "gdbserver",
            "lldb",
            "strace",
            "ltrace",
            "perf",
            "bpftrace",
            "radare2",
            "valgrind",
            "gcore",
        ],
    ),
    (
        Kind::Capture,
        &[
            "tcpdump",
            "tshark",
            "wireshark",
            "dumpcap",
            "ngrep",
            "ettercap",
            "bettercap",
            "snort",
            "dsniff",
        ],
    ),
    (
        Kind::Scanner,
        &[
            "nmap",
            "masscan",
            "zmap",
            "nikto",
            "sqlmap",
            "hping3",
            "arp-scan",
            "netdiscover",
        ],
    ),
    (
        Kind::Password,
        &[
            "john",
            "hashcat",
            "hydra",
            "medusa",
            "ophcrack",
            "chntpw",
            "fcrackzip",
            "pdfcrack",
            "aircrack-ng",
            "mimipenguin",
        ],
    ),
    (
        Kind::Hypervisor,
        &[
            "virsh",
            "qemu-system-x86_64",
            "qemu-system-aarch64",
            "VBoxManage",
            "virt-install",
        ],
    ),
    (
        Kind::Kernel,
        &["kexec", "crash", "drgn", "insmod", "modprobe"],
    ),
    (
        Kind::Disk,
        &[
            "debugfs",
            "parted",
            "gparted",
            "fdisk",
            "sfdisk",
            "gdisk",
            "testdisk",
            "hdparm",
            "dmsetup",
            "nbd-client",
        ],
    ),
    (
        Kind::Compiler,
        &[
            "gcc", "cc", "g++", "c++", "clang", "tcc", "rustc", "go", "gccgo", "javac", "ld", "as",
            "nasm", "fpc", "ghc",
        ],
    ),
    (
        Kind::Build,
        &[
            "make",
            "gmake",
            "cmake",
            "ninja",
            "cargo",
            "npm",
            "yarn",
            "pnpm",
            "mvn",
            "gradle",
            "code-server",
            "jupyter",
            "jupyter-lab",
        ],
    ),
];

/// The probe `utilities`.
pub struct Utilities;

/// Facts of powerful programs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UtilitiesFacts {
    /// Those that are there, by path.
    programs: Vec<Program>,
    /// Every directory was looked at, and there is one.
    complete: bool,
}

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Looks into other processes, or changes them.
    Debugger,
    /// Records what passes on the network.
    Capture,
    /// Searches other hosts for what can be attacked.
    Scanner,
    /// Finds out or resets passwords.
    Password,
    /// Runs virtual machines.
    Hypervisor,
    /// Replaces or changes the running kernel.
    Kernel,
    /// Reads or changes disks beneath the file system.
    Disk,
    /// Makes programs from source code.
    Compiler,
    /// Steers the making of programs, or edits them in a browser.
    Build,
}

/// One program.
#[derive(Debug, Serialize, JsonSchema)]
struct Program {
    /// Its name.
    name: String,
    /// Where it is.
    path: String,
    /// What it is for.
    kind: Kind,
    /// Permission bits, set-id bits included, as octal digits.
    mode: String,
    /// User id of the owner.
    uid: u32,
    /// Group, or its number if it has no name.
    group: String,
    /// Every user may execute it.
    by_everyone: bool,
    /// The group may execute it.
    by_group: bool,
    /// An access control list names further users or groups.
    by_list: bool,
    /// It runs with more rights than its caller: set-user-id, set-group-id or file capabilities.
    raises: bool,
}

impl Probe for Utilities {
    const ID: &'static str = "utilities";
    type Facts = UtilitiesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<UtilitiesFacts, Unobservable> {
        let groups: BTreeMap<u32, String> = nss::more_groups(observation, "/etc/group")?
            .into_iter()
            .map(|group| (group.gid, group.name))
            .collect();
        let mut programs = Vec::new();
        let mut complete = false;
        for directory in DIRECTORIES {
            let is_directory = match observation.host().lstat(directory) {
                Ok(stat) => stat.kind == FileKind::Directory,
                Err(HostError::NotFound(_)) => false,
                Err(error) => return Err(error.into()),
            };
            if !is_directory {
                continue;
            }
            observation.note(directory);
            complete = true;
            for (kind, names) in KNOWN {
                for name in names {
                    let path = format!("{directory}/{name}");
                    programs.extend(program(observation, kind, name, path, &groups)?);
                }
            }
        }
        programs.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(UtilitiesFacts { programs, complete })
    }
}

fn program(
    observation: &Observation<'_>,
    kind: Kind,
    name: &str,
    path: String,
    groups: &BTreeMap<u32, String>,
) -> Result<Option<Program>, Unobservable> {
    let host = observation.host();
    let stat = match host.stat(&path) {
        Ok(stat) if stat.kind == FileKind::Regular => stat,
        Ok(_) | Err(HostError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if stat.mode & 0o111 == 0 {
        return Ok(None);
    }
    let list = host.xattr(&path, ACL)?;
    let capable = host.xattr(&path, CAPABILITIES)?.is_some();
    Ok(Some(Program {
        name: name.to_owned(),
        path,
        kind,
        mode: format!("{:04o}", stat.mode),
        uid: stat.uid,
        group: groups
            .get(&stat.gid)
            .cloned()
            .unwrap_or_else(|| stat.gid.to_string()),
        by_everyone: stat.mode & 0o001 != 0,
        by_group: stat.mode & 0o010 != 0,
        by_list: list.is_some_and(|list| list.len() > PLAIN_ACL_BYTES),
        raises: stat.mode & 0o6000 != 0 || capable,
    }))
}
