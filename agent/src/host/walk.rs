//! The one bounded walk of the local file systems: what it is asked, and what it brings back.
//!
//! A walk keeps only what a check can judge (programs with privileges of their own, what every user may change, files of
//! unknown owners) in bounded lists with counts. It has bounds of time, depth and memory; one that ran into the first of
//! them says where it stopped, and goes on from there when it is asked again with what it brought back.

mod live;
mod names;
mod sieve;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::FileKind;

pub(super) use live::walk as walk_live;
pub use names::escaped;
pub(super) use sieve::{Looked, Sieve, Surroundings};

/// Most programs with privileges that are kept.
pub const MAX_PRIVILEGED: usize = 2_000;
/// Most places that every user may change that are kept.
pub const MAX_WRITABLE: usize = 100;
/// Most numbers without a name that are kept.
pub const MAX_STRANGERS: usize = 64;
/// Most paths kept for one number without a name.
pub const MAX_PATHS_OF_STRANGER: usize = 3;
/// Most paths kept of what could not be read.
pub const MAX_UNREAD: usize = 20;

/// What to walk, what not to touch and what is remarkable.
#[derive(Debug, Clone)]
pub struct WalkPlan {
    /// Directories to begin at, in byte order; none is below another without a mount point between them.
    pub roots: Vec<WalkRoot>,
    /// Every mount point: the walk enters none but those that are roots, and does not even look at the others, so that
    /// no server, FUSE process or automounter is asked anything.
    pub mount_points: BTreeSet<Vec<u8>>,
    /// User ids that have a name.
    pub users: BTreeSet<u32>,
    /// Group ids that have a name.
    pub groups: BTreeSet<u32>,
    /// Numbers without a name that need none in certain places.
    pub explained: Vec<Explained>,
    /// Directories (absolute) that hold the file systems of containers and virtual machines.
    pub stores: Vec<&'static str>,
    /// The same of users without privileges, by the end of their path.
    pub user_stores: Vec<&'static str>,
    /// Its bounds.
    pub bounds: WalkBounds,
}

/// A mounted file system, or the part of one that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkRoot {
    /// Its mount point.
    pub path: Vec<u8>,
    /// The mount's number (first field of mountinfo): a mount that lies under another one has another number than what
    /// its path leads to, and is not walked.
    pub mount: Option<u64>,
    /// What is on it outlives the next boot.
    pub persistent: bool,
    /// It cannot be written to, by anyone.
    pub read_only: bool,
}

/// Numbers without a name that need none below certain directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// First number.
    pub first: u32,
    /// Last number.
    pub last: u32,
    /// Directories below which they need no name, each ending in `/` or in the first part of a name.
    pub below: Vec<Vec<u8>>,
    /// They need none in the store of a container runtime either.
    pub in_stores: bool,
}

/// How far one walk goes before it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkBounds {
    /// Time by the wall clock.
    pub wall: Duration,
    /// Time on the processor.
    pub cpu: Duration,
    /// Directories below a mount point that are entered; deeper ones are unread.
    pub depth: usize,
    /// Names looked at in one directory; the rest of it is unread.
    pub entries: u64,
}

/// What a walk brought back, and what it goes on with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walked {
    /// Where it stopped because of its bounds: the next directory to enter, hexadecimal. `None` at the end.
    pub stopped_at: Option<String>,
    /// Names looked at.
    pub looked_at: u64,
    /// Regular files that run with privileges of their own.
    pub privileged: Tally<Privileged>,
    /// Regular files and devices that every user may change, and directories that every user may rename files in.
    pub writable: Tally<Writable>,
    /// Numbers without a name that own something on a file system that outlives the next boot.
    pub strangers: Tally<Stranger>,
    /// Directories and files that the agent may not look at.
    pub denied: Tally<String>,
    /// Directories and files that could not be looked at for another reason, with the reason.
    pub unread: Tally<String>,
}

impl Walked {
    /// Whether everything was seen that was to be seen, and everything remarkable is told apart.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stopped_at.is_none()
            && self.denied.count == 0
            && self.unread.count == 0
            && self.privileged.is_whole()
            && self.strangers.is_whole()
    }
}

/// A bounded list with the count of all there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally<T> {
    /// The first ones.
    pub first: Vec<T>,
    /// How many there are.
    pub count: u64,
}

impl<T> Default for Tally<T> {
    fn default() -> Tally<T> {
        Tally {
            first: Vec::new(),
            count: 0,
        }
    }
}

impl<T> Tally<T> {
    /// Counts one more, and keeps it if there is room.
    pub fn add(&mut self, most: usize, item: impl FnOnce() -> T) {
        if self.first.len() < most {
            self.first.push(item());
        }
        self.count += 1;
    }

    /// Whether all are in the list.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.count == self.first.len() as u64
    }
}

/// A regular file that runs with privileges of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Privileged {
    /// Path; bytes outside UTF-8, control characters and backslashes as `\xNN`.
    pub path: String,
    /// The lower 12 bits of its mode.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The extended attribute `security.capability`, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// It lies in the store of a container runtime, where no ordinary user can reach it.
    #[serde(default)]
    pub stored: bool,
}

/// Something that every user may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writable {
    /// Path, written as in [`Privileged::path`].
    pub path: String,
    /// Its type.
    pub kind: FileKind,
    /// The lower 12 bits of its mode.
    pub mode: u32,
    /// Every directory above it lets every user through.
    pub reachable: bool,
}

/// A number without a name that owns something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stranger {
    /// A group's number rather than a user's.
    pub group: bool,
    /// The number.
    pub id: u32,
    /// How much it owns.
    pub files: u64,
    /// The first paths, written as in [`Privileged::path`].
    pub first: Vec<String>,
}
