//! Which mounts are walked: each local file system once.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::walk::WalkRoot;
use crate::host::{HostError, MAX_FILE_BYTES};
use crate::probe::storage::mount::{Mount, parse_mountinfo, unescaped};
use crate::probe::{Observation, Unobservable, storage};

/// Mounts of the agent's own namespace, which is where it walks: a sandboxed agent may have more of them than PID 1.
const OWN: &str = "/proc/self/mountinfo";
/// File systems that the kernel makes up, or that only lead to others.
const KERNEL: [&str; 25] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "securityfs",
    "debugfs",
    "tracefs",
    "configfs",
    "bpf",
    "pstore",
    "efivarfs",
    "mqueue",
    "hugetlbfs",
    "fusectl",
    "binfmt_misc",
    "rpc_pipefs",
    "nsfs",
    "selinuxfs",
    "smackfs",
    "autofs",
    "nfsd",
    "binder",
    "resctrl",
];
/// File systems whose files lie on other mounts.
const LAYERS: [&str; 3] = ["overlay", "aufs", "unionfs"];
/// What an unpacked root has no files of its own in once it is booted.
const MOUNTED_AT_BOOT: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];
/// Old states of the file system they are in, which only root reaches: snapper(8) keeps them there.
const SNAPSHOTS: &str = "/.snapshots";
/// Most mounts that are held against each other.
const MAX_CANDIDATES: usize = 1_000;
/// Most mounts that are walked.
const MAX_ROOTS: usize = 1_000;
/// Most mounts named that are not.
const MAX_LEFT_OUT: usize = 50;

/// A mounted file system that is not walked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(super) struct LeftOut {
    /// Where it is mounted.
    path: String,
    /// Its type.
    kind: String,
    /// Why.
    why: Why,
}

/// Why a file system is not walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Why {
    /// It is on a server, or with the host of a virtual machine.
    Network,
    /// A process answers for it.
    Fuse,
    /// Its files lie on other mounts.
    Layers,
    /// Its type is not known.
    Unknown,
    /// Old states of a file system that is walked.
    Snapshots,
}

/// The mount points of a table, byte for byte.
fn points(table: &[u8]) -> BTreeSet<Vec<u8>> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(unescaped)
        .collect()
}

/// What is mounted.
pub(super) struct Mounts {
    pub roots: Vec<WalkRoot>,
    pub points: BTreeSet<Vec<u8>>,
    pub left_out: Vec<LeftOut>,
    /// All local file systems are among the roots.
    pub complete: bool,
    own: Vec<Mount>,
    first: Vec<Mount>,
}

impl Mounts {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Mounts, Unobservable> {
        if !observation.is_live() {
            return Ok(Mounts::unpacked());
        }
        let table = observation
            .bytes(OWN, MAX_FILE_BYTES)?
            .ok_or_else(|| HostError::NotFound(OWN.to_owned()))?;
        let own = parse_mountinfo(&String::from_utf8_lossy(&table))
            .map_err(|problem| Unobservable::unparsable(OWN, problem))?;
        let first = storage::mounts(observation)?;
        let mut mounts = Mounts::choose(own, first);
        // As bytes: a user's mount point of a strange name must neither stop the walk nor keep it out of a directory.
        mounts.points = points(&table);
        Ok(mounts)
    }

    fn unpacked() -> Mounts {
        Mounts {
            roots: vec![WalkRoot {
                path: b"/".to_vec(),
                mount: None,
                persistent: true,
                read_only: false,
            }],
            points: MOUNTED_AT_BOOT
                .iter()
                .map(|path| path.as_bytes().to_vec())
                .collect(),
            left_out: Vec::new(),
            complete: true,
            own: Vec::new(),
            first: Vec::new(),
        }
    }

    fn choose(own: Vec<Mount>, first: Vec<Mount>) -> Mounts {
        let points: BTreeSet<Vec<u8>> = own
            .iter()
            .map(|mount| mount.point.clone().into_bytes())
            .collect();
        let mut candidates = Vec::new();
        let mut left_out = BTreeSet::new();
        for mount in &own {
            match verdict(mount) {
                Verdict::Walk => candidates.push(mount),
                Verdict::Kernel => {}
                Verdict::LeaveOut(why) => {
                    left_out.insert(LeftOut {
                        path: mount.point.clone(),
                        kind: mount.kind.clone(),
                        why,
                    });
                }
            }
        }
        // The widest part of each file system first: it holds what is also mounted elsewhere.
        candidates.sort_by(|a, b| (&a.root.len(), &a.point).cmp(&(&b.root.len(), &b.point)));
        let mut few = candidates.len() <= MAX_CANDIDATES;
        candidates.truncate(MAX_CANDIDATES);
        let mut walked: Vec<&Mount> = Vec::new();
        let mut roots = Vec::new();
        for mount in candidates {
            if roots.len() > 10 * MAX_ROOTS {
                few = false;
                break;
            }
            match walked
                .iter()
                .find_map(|wide| seen_through(wide, mount, &own))
            {
                // What other mounts hide there shows here.
                Some(seen) => roots.extend(
                    own.iter()
                        .filter_map(|other| beneath(&other.point, &seen).filter(|r| !r.is_empty()))
                        .map(|rest| join(&mount.point, rest))
                        .filter(|stub| !points.contains(stub.as_bytes()))
                        .map(|stub| root(mount, stub)),
                ),
                None => {
                    roots.push(root(mount, mount.point.clone()));
                    walked.push(mount);
                }
            }
        }
        roots.sort_by(|a: &WalkRoot, b| a.path.cmp(&b.path));
        roots.dedup();
        let root_is_walked = roots.first().is_some_and(|root| root.path == b"/");
        // A path that is no text cannot be walked to, and is not passed over in silence.
        let reached = walked.iter().all(|mount| !mount.point.contains('\u{fffd}'));
        let known = !left_out.iter().any(|left| left.why == Why::Unknown);
        let bounded = roots.len() <= MAX_ROOTS;
        roots.truncate(MAX_ROOTS);
        Mounts {
            roots,
            points,
            left_out: left_out.into_iter().take(MAX_LEFT_OUT).collect(),
            complete: root_is_walked && known && reached && bounded && few,
            own,
            first,
        }
    }

    /// Whether the kernel heeds neither set-id bits nor capabilities of a file, wherever its file system is mounted.
    pub(super) fn ignores_privileges(&self, path: &str) -> bool {
        let holds = |mount: &&Mount| beneath(path, &mount.point).is_some();
        let Some(mount) = self
            .own
            .iter()
            .filter(holds)
            .max_by_key(|mount| mount.point.len())
        else {
            return false;
        };
        let mut same = self
            .own
            .iter()
            .chain(&self.first)
            .filter(|other| other.device == mount.device);
        same.all(|other| other.flags.iter().any(|flag| flag == "nosuid"))
    }
}

enum Verdict {
    Walk,
    Kernel,
    LeaveOut(Why),
}

fn verdict(mount: &Mount) -> Verdict {
    let kind = mount.kind.as_str();
    if kind.starts_with("fuse") && kind != "fusectl" {
        Verdict::LeaveOut(Why::Fuse)
    } else if mount.is_network() {
        Verdict::LeaveOut(Why::Network)
    } else if KERNEL.contains(&kind) {
        Verdict::Kernel
    } else if LAYERS.contains(&kind) {
        if mount.point == "/" {
            Verdict::Walk
        } else {
            Verdict::LeaveOut(Why::Layers)
        }
    } else if mount.point == SNAPSHOTS {
        Verdict::LeaveOut(Why::Snapshots)
    } else if mount.is_memory() || mount.keeps_data() {
        Verdict::Walk
    } else {
        Verdict::LeaveOut(Why::Unknown)
    }
}

fn root(mount: &Mount, path: String) -> WalkRoot {
    WalkRoot {
        persistent: !mount.is_memory() || mount.point == "/",
        read_only: mount.read_only,
        mount: Some(mount.id),
        path: path.into_bytes(),
    }
}

/// Where `wide`, which is walked, shows what is mounted as `mount`, if no other mount lies on the way.
fn seen_through(wide: &Mount, mount: &Mount, all: &[Mount]) -> Option<String> {
    if wide.device != mount.device {
        return None;
    }
    let seen = join(&wide.point, beneath(&mount.root, &wide.root)?);
    let hides = |other: &Mount| {
        beneath(&other.point, &wide.point).is_some_and(|rest| !rest.is_empty())
            && beneath(&seen, &other.point).is_some()
    };
    (!all.iter().any(hides)).then_some(seen)
}

/// What follows in `path` after `above`, if it is below or the same.
fn beneath<'p>(path: &'p str, above: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(above.trim_end_matches('/'))?;
    let rest = if rest == "/" { "" } else { rest };
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn join(above: &str, rest: &str) -> String {
    let path = format!("{}{rest}", above.trim_end_matches('/'));
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}
