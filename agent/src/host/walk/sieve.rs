//! What of all that a walk sees is worth keeping. The same for every kind of host.

use super::super::FileKind;
use super::names::{escaped, push};
use super::{
    Explained, MAX_PATHS_OF_STRANGER, MAX_PRIVILEGED, MAX_STRANGERS, MAX_UNREAD, MAX_WRITABLE,
    Privileged, Stranger, WalkPlan, WalkRoot, Walked, Writable,
};

const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_ENTER: u32 = 0o001;
const EXECUTE: u32 = 0o111;
/// Character devices that keep nothing: null, zero, full, random, urandom, tty and ptmx are open to all by design.
const HARMLESS: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];

/// Status of one file or directory, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct Looked {
    pub kind: FileKind,
    /// A character device rather than a FIFO or socket, if `kind` is `Other`.
    pub character_device: bool,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Numbers of the device that it is.
    pub rdev: (u32, u32),
}

/// What holds of everything in a directory because of the directories above it.
#[derive(Debug, Clone, Copy)]
pub(in crate::host) struct Surroundings {
    /// Every directory down to this one lets every user through.
    pub reachable: bool,
    /// In the store of a container runtime.
    store: Store,
    persistent: bool,
    read_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    No,
    System,
    /// Of a user without privileges: a file of root's in it was not put there by a runtime.
    User,
}

/// Keeps what is remarkable.
pub(in crate::host) struct Sieve<'p> {
    plan: &'p WalkPlan,
    pub walked: Walked,
}

impl<'p> Sieve<'p> {
    pub(in crate::host) fn new(plan: &'p WalkPlan, walked: Walked) -> Sieve<'p> {
        Sieve { plan, walked }
    }

    /// What holds in the directory that is mounted.
    pub(in crate::host) fn mounted(&self, root: &WalkRoot, directory: &Looked) -> Surroundings {
        let outside = Surroundings {
            reachable: true,
            store: Store::No,
            persistent: root.persistent,
            read_only: root.read_only,
        };
        self.inside(&outside, &root.path, directory)
    }

    /// What holds in a directory at `path` below others.
    pub(in crate::host) fn inside(
        &self,
        above: &Surroundings,
        path: &[u8],
        directory: &Looked,
    ) -> Surroundings {
        let is = |store: &&str| path == store.as_bytes();
        let ends = |store: &&str| path.ends_with(store.as_bytes());
        let store = match above.store {
            Store::No if self.plan.stores.iter().any(is) => Store::System,
            Store::No if self.plan.user_stores.iter().any(ends) => Store::User,
            other => other,
        };
        Surroundings {
            reachable: above.reachable && directory.mode & OTHERS_ENTER != 0,
            store,
            ..*above
        }
    }

    /// Looks at a file or directory called `name` (or at the directory itself, if that is empty) in `directory`.
    ///
    /// `capability` is asked only of regular files that somebody may execute: the kernel heeds it on no other.
    pub(in crate::host) fn look(
        &mut self,
        around: &Surroundings,
        directory: &[u8],
        name: &[u8],
        file: &Looked,
        capability: impl FnOnce() -> Result<Option<Vec<u8>>, String>,
    ) {
        let path = || {
            let mut path = directory.to_vec();
            if !name.is_empty() {
                push(&mut path, name);
            }
            path
        };
        self.walked.looked_at += 1;
        if file.kind == FileKind::Regular {
            self.privileges(around, &path, file, capability);
        }
        if file.mode & OTHERS_WRITE != 0 {
            self.writable(around, &path, file);
        }
        if around.persistent && !around.read_only {
            if !self.plan.users.contains(&file.uid) {
                self.stranger(around, &path, false, file.uid);
            }
            if !self.plan.groups.contains(&file.gid) {
                self.stranger(around, &path, true, file.gid);
            }
        }
    }

    fn privileges(
        &mut self,
        around: &Surroundings,
        path: &impl Fn() -> Vec<u8>,
        file: &Looked,
        capability: impl FnOnce() -> Result<Option<Vec<u8>>, String>,
    ) {
        let capability = if file.mode & EXECUTE == 0 {
            None
        } else {
            match capability() {
                Ok(capability) => capability,
                Err(problem) => {
                    self.unread(&path(), &problem);
                    None
                }
            }
        };
        if file.mode & SET_ID == 0 && capability.is_none() {
            return;
        }
        // Root's own program in a user's store runs as root on the host, whatever else lies there.
        let stored = match around.store {
            Store::No => false,
            Store::System => !around.reachable,
            Store::User => file.uid != 0 && capability.is_none(),
        };
        self.walked.privileged.add(MAX_PRIVILEGED, || Privileged {
            path: escaped(&path()),
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
            capability: capability.map(hex::encode),
            stored,
        });
    }

    fn writable(&mut self, around: &Surroundings, path: &impl Fn() -> Vec<u8>, file: &Looked) {
        let counts = match file.kind {
            FileKind::Regular | FileKind::Block => true,
            FileKind::Directory => file.mode & STICKY == 0,
            FileKind::Other => file.character_device && !HARMLESS.contains(&file.rdev),
            FileKind::Link => false,
        };
        let stored = around.store != Store::No && !around.reachable;
        if counts && around.persistent && !around.read_only && !stored {
            self.walked.writable.add(MAX_WRITABLE, || Writable {
                path: escaped(&path()),
                kind: file.kind,
                mode: file.mode,
                reachable: around.reachable,
            });
        }
    }

    fn stranger(
        &mut self,
        around: &Surroundings,
        path: &impl Fn() -> Vec<u8>,
        group: bool,
        id: u32,
    ) {
        // Rootful runtimes keep their images' files under the numbers that these have inside.
        if around.store == Store::System {
            return;
        }
        let path = path();
        let explains = |explained: &Explained| {
            (explained.first..=explained.last).contains(&id)
                && ((explained.in_stores && around.store != Store::No)
                    || explained.below.iter().any(|below| path.starts_with(below)))
        };
        if self.plan.explained.iter().any(explains) {
            return;
        }
        let strangers = &mut self.walked.strangers;
        let known = strangers
            .first
            .iter_mut()
            .find(|known| known.group == group && known.id == id);
        match known {
            Some(known) => {
                known.files += 1;
                if known.first.len() < MAX_PATHS_OF_STRANGER {
                    known.first.push(escaped(&path));
                }
            }
            None => strangers.add(MAX_STRANGERS, || Stranger {
                group,
                id,
                files: 1,
                first: vec![escaped(&path)],
            }),
        }
    }

    /// Counts a path that the agent may not look at.
    pub(in crate::host) fn denied(&mut self, path: &[u8]) {
        self.walked.denied.add(MAX_UNREAD, || escaped(path));
    }

    /// Counts a path that could not be looked at.
    pub(in crate::host) fn unread(&mut self, path: &[u8], problem: &str) {
        self.walked
            .unread
            .add(MAX_UNREAD, || format!("{}: {problem}", escaped(path)));
    }
}
