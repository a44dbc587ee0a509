//! What one walk of the local file systems found: programs with privileges of their own, what every user may change, and
//! files whose owner has no name.
//!
//! Every mounted local file system is walked once, however often it is mounted; servers, FUSE, automounters and layers of
//! other mounts are left out and named. The walk reads names and status, never content. If a large host outlasts its
//! bounds, the next round goes on from there.

mod capability;
mod mounts;
mod names;

use std::time::Duration;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::mounts::{LeftOut, Mounts};
use self::names::{Directory, Names};
use super::{Observation, Probe, Unobservable};
use crate::host::walk::{Privileged, Tally, WalkBounds, Writable};
use crate::host::{FileKind, WalkPlan, Walked};

/// The probe `file_walk`.
pub struct FileWalk;

const BOUNDS: WalkBounds = WalkBounds {
    wall: Duration::from_secs(60),
    cpu: Duration::from_secs(10),
    depth: 256,
    entries: 5_000_000,
};
/// A walk that was begun longer ago than this begins anew: what it saw first has become old.
const MAX_AGE_MS: i64 = 30 * 24 * 3_600_000;
const PROGRESS: &str = "progress";

/// Where container runtimes and virtual machine managers keep the file systems of their guests.
const STORES: [&str; 14] = [
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/containerd",
    "/var/lib/buildkit",
    "/var/lib/machines",
    "/var/lib/portables",
    "/var/lib/lxc",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/snap/lxd/common/lxd",
    "/var/lib/rancher",
    "/var/lib/kubelet",
    "/var/lib/flatpak",
    "/.snapshots",
];
/// The same in a home directory.
const USER_STORES: [&str; 3] = [
    "/.local/share/containers",
    "/.local/share/docker",
    "/.local/share/lxc",
];

/// What the walk found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileWalkFacts {
    /// Every local file system was walked to its end, and every program with privileges and every number without a name
    /// is told apart.
    complete: bool,
    /// The walk ran out of its bounds and goes on in the next round.
    unfinished: bool,
    /// Names looked at until then, if it is unfinished.
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_at: Option<i64>,
    /// How many files and directories the agent may not look at.
    denied: i64,
    /// The first of them.
    denied_first: Vec<String>,
    /// How many could not be looked at for another reason.
    unread: i64,
    /// The first of them with the reason.
    unread_first: Vec<String>,
    /// Mounted file systems that are not walked, by path; those of the kernel itself are not named.
    left_out: Vec<LeftOut>,
    /// Regular files with set-user-id, set-group-id or capabilities, by path.
    privileged: Vec<Program>,
    /// How many there are.
    privileged_count: i64,
    /// Regular files and devices that every user may change and directories without sticky bit that every user may change,
    /// on file systems that outlive the next boot and can be written to; the first ones by path. Devices that keep nothing
    /// (null, zero, random, tty) are left out.
    writable: Vec<Place>,
    /// How many there are.
    writable_count: i64,
    /// User and group numbers that own something and have no name, unless they need none there: services with dynamic
    /// users, ranges of subuid(5), containers.
    nameless: Vec<Nameless>,
    /// Whether a directory service answers for names beyond the local files.
    directory: Directory,
}

/// A program with privileges of its own.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Program {
    /// Path; bytes that cannot be shown as `\xNN`.
    path: String,
    /// Mode in octal, with the set-id bits.
    mode: String,
    /// Owner.
    owner: String,
    /// Group.
    group: String,
    /// Capabilities as setcap(8) takes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<String>,
    /// All of it as one line, as an approved list holds it: mode, owner and group, path, capabilities.
    entry: String,
    /// It gives no privilege: every mount of its file system is `nosuid`, or its capabilities are those of another user
    /// namespace and it has no set-id bit.
    inert: bool,
    /// It belongs to a container's or guest's file system that ordinary users cannot reach.
    stored: bool,
}

/// A place that every user may change.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Place {
    /// Path; bytes that cannot be shown as `\xNN`.
    path: String,
    /// Its type; a character device is `other`.
    kind: Kind,
    /// Mode in octal.
    mode: String,
    /// No directory above it keeps ordinary users out.
    reachable: bool,
}

/// Type of such a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    File,
    Directory,
    BlockDevice,
    Other,
}

/// A number without a name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Nameless {
    /// A user's or a group's.
    kind: NameKind,
    /// The number.
    id: i64,
    /// How many files and directories it owns.
    files: i64,
    /// The first of them.
    first: Vec<String>,
}

/// Whose number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NameKind {
    User,
    Group,
}

/// A walk that has not come to its end.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    began: Timestamp,
    /// The mounts it walks: with others it would be another walk.
    roots: Vec<String>,
    walked: Walked,
}

impl Probe for FileWalk {
    const ID: &'static str = "file_walk";
    type Facts = FileWalkFacts;
    /// The walk has bounds of its own, and gives up by itself.
    const DEADLINE: Duration = Duration::from_secs(200);

    fn observe(observation: &mut Observation<'_>) -> Result<FileWalkFacts, Unobservable> {
        let mounts = Mounts::read(observation)?;
        let names = Names::read(observation)?;
        let plan = WalkPlan {
            roots: mounts.roots.clone(),
            mount_points: mounts.points.clone(),
            users: names.users.keys().copied().collect(),
            groups: names.groups.keys().copied().collect(),
            explained: names.explained.clone(),
            stores: STORES.to_vec(),
            user_stores: USER_STORES.to_vec(),
            bounds: BOUNDS,
        };
        let walked = go_on(observation, &plan)?;
        for root in &plan.roots {
            observation.note(&crate::host::walk::escaped(&root.path));
        }
        let (nameless, directory) = names.nameless(observation, &walked)?;
        let mut privileged: Vec<Program> = walked
            .privileged
            .first
            .iter()
            .map(|file| program(file, &names, &mounts))
            .collect::<Result<_, _>>()?;
        privileged.sort();
        let mut writable: Vec<Place> = walked.writable.first.iter().map(place).collect();
        writable.sort();
        Ok(FileWalkFacts {
            complete: walked.is_complete() && mounts.complete,
            unfinished: walked.stopped_at.is_some(),
            looked_at: walked.stopped_at.as_ref().map(|_| number(walked.looked_at)),
            denied: number(walked.denied.count),
            denied_first: sorted(&walked.denied),
            unread: number(walked.unread.count),
            unread_first: sorted(&walked.unread),
            left_out: mounts.left_out,
            privileged,
            privileged_count: number(walked.privileged.count),
            writable,
            writable_count: number(walked.writable.count),
            nameless,
            directory,
        })
    }
}

/// Walks, from where the last round's walk stopped if there is such a place.
fn go_on(observation: &mut Observation<'_>, plan: &WalkPlan) -> Result<Walked, Unobservable> {
    let roots: Vec<String> = plan
        .roots
        .iter()
        .map(|root| crate::host::walk::escaped(&root.path))
        .collect();
    let before = observation
        .recall::<Option<Progress>>(PROGRESS)
        .flatten()
        .filter(|progress| progress.roots == roots)
        .filter(|progress| (0..MAX_AGE_MS).contains(&observation.now().ms_since(progress.began)));
    let (began, before) = match before {
        Some(progress) => (progress.began, progress.walked),
        None => (observation.now(), Walked::default()),
    };
    let walked = observation.host().walk(plan, before)?;
    let progress = walked.stopped_at.is_some().then(|| Progress {
        began,
        roots,
        walked: walked.clone(),
    });
    observation.remember(PROGRESS, &progress);
    Ok(walked)
}

fn program(file: &Privileged, names: &Names, mounts: &Mounts) -> Result<Program, Unobservable> {
    let capability = file
        .capability
        .as_deref()
        .map(|hex| capability::parse(&hex::decode(hex).unwrap_or_default()))
        .transpose()
        .map_err(|problem| Unobservable::unparsable(&file.path, problem))?;
    let set_id = file.mode & 0o6000 != 0;
    let of_this_host = capability.as_ref().is_some_and(|found| found.root == 0);
    let mode = format!("{:04o}", file.mode);
    let owner = names.user(file.uid);
    let group = names.group(file.gid);
    let capabilities = capability.map(|found| found.text);
    let mut entry = format!("{mode} {owner}:{group} {}", file.path);
    if let Some(text) = &capabilities {
        entry = format!("{entry} {text}");
    }
    Ok(Program {
        entry,
        inert: mounts.ignores_privileges(&file.path) || !(set_id || of_this_host),
        stored: file.stored,
        path: file.path.clone(),
        mode,
        owner,
        group,
        capabilities,
    })
}

fn place(found: &Writable) -> Place {
    Place {
        path: found.path.clone(),
        kind: match found.kind {
            FileKind::Regular => Kind::File,
            FileKind::Directory => Kind::Directory,
            FileKind::Block => Kind::BlockDevice,
            FileKind::Link | FileKind::Other => Kind::Other,
        },
        mode: format!("{:04o}", found.mode),
        reachable: found.reachable,
    }
}

fn sorted(tally: &Tally<String>) -> Vec<String> {
    let mut items = tally.first.clone();
    items.sort();
    items
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
