//! The walk over a real directory tree that others change while it runs.
//!
//! Every directory is held open while it and what is below it are looked at, and everything is reached from it by one
//! name: a directory that is moved or replaced by a link under the walk leads it nowhere else. A mount point is never
//! crossed, whether it was known before (its path is left alone) or appeared since (`RESOLVE_NO_XDEV` refuses it). Files
//! are never opened.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::super::{FileKind, HostError};
use super::names::{in_walk_order, is_below, parts, push};
use super::{Looked, Sieve, Surroundings, WalkPlan, WalkRoot, Walked};

/// Bytes of names read at once.
const BUFFER: usize = 32 * 1024;
/// Most bytes of names of directories that wait to be entered.
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// Names looked at between two looks at the clock.
const CLOCK_EVERY: u64 = 4096;
/// What is asked of a file.
const WANTED: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::UID)
    .union(StatxFlags::GID);
const CAPABILITY: &CStr = c"security.capability";

/// Walks on a thread of its own, so that neither its low priority nor a file system that never answers stays with the
/// agent: after twice its time the walk is given up.
pub(in crate::host) fn walk(
    root: &OwnedFd,
    plan: &WalkPlan,
    before: Walked,
) -> Result<Walked, HostError> {
    let failed = |error: std::io::Error| HostError::Io("walk".to_owned(), error.to_string());
    let root = root.try_clone().map_err(failed)?;
    let patience = plan.bounds.wall * 2 + Duration::from_secs(10);
    let plan = plan.clone();
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("file-walk".to_owned())
        .stack_size(256 * 1024)
        .spawn(move || {
            // On Linux this is the priority of the calling thread, and its I/O priority follows (ioprio_get(2)). Not
            // being nice is no reason not to walk.
            let _ = rustix::process::setpriority_process(None, 19);
            let mut walker = Walker::new(&root, &plan, before);
            walker.run();
            // The receiver may have given up.
            let _ = sender.send(walker.sieve.walked);
        })
        .map_err(failed)?;
    receiver
        .recv_timeout(patience)
        .map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                HostError::Timeout("the walk of local file systems".to_owned(), patience)
            }
            RecvTimeoutError::Disconnected => {
                HostError::Io("walk".to_owned(), "it ended without a result".to_owned())
            }
        })
}

struct Walker<'p> {
    root: &'p OwnedFd,
    plan: &'p WalkPlan,
    sieve: Sieve<'p>,
    /// Names of mount points by the directory they are in.
    points: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// The directory whose names are being looked at.
    path: Vec<u8>,
    levels: Vec<Level>,
    /// Names of directories that wait, one after the other.
    names: Vec<u8>,
    /// Where each of them is in `names`, those of each level in falling order.
    waiting: Vec<(usize, usize)>,
    /// Names down to where the walk stopped before, if it has not come there again.
    target: Option<Vec<Vec<u8>>>,
    buffer: Vec<MaybeUninit<u8>>,
    began: Instant,
    /// Directories looked at in this walk.
    entered: u64,
    /// The kernel has openat2(2).
    openat2: bool,
}

/// A directory whose own directories are being walked.
struct Level {
    directory: OwnedFd,
    device: (u32, u32),
    around: Surroundings,
    path: usize,
    names: usize,
    waiting: usize,
}

impl<'p> Walker<'p> {
    fn new(root: &'p OwnedFd, plan: &'p WalkPlan, before: Walked) -> Walker<'p> {
        let mut points: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for point in &plan.mount_points {
            if let Some(at) = point.iter().rposition(|byte| *byte == b'/') {
                let (above, name) = point.split_at(at);
                let above = if above.is_empty() { b"/" } else { above };
                let names = points.entry(above.to_vec()).or_default();
                names.insert(name.iter().skip(1).copied().collect());
            }
        }
        Walker {
            root,
            plan,
            sieve: Sieve::new(plan, before),
            points,
            path: Vec::new(),
            levels: Vec::new(),
            names: Vec::new(),
            waiting: Vec::new(),
            target: None,
            buffer: vec![MaybeUninit::uninit(); BUFFER],
            began: Instant::now(),
            entered: 0,
            openat2: true,
        }
    }

    fn run(&mut self) {
        let stop = self.sieve.walked.stopped_at.take();
        let stop: Option<(Vec<u8>, Vec<u8>)> = stop.as_deref().and_then(stop_from_text);
        let plan = self.plan;
        for root in &plan.roots {
            self.target = None;
            if let Some((of, at)) = &stop {
                match in_walk_order(&root.path, of) {
                    Ordering::Less => continue,
                    Ordering::Equal => {
                        let below = at.get(of.len()..).unwrap_or_default();
                        self.target = Some(parts(below).map(<[u8]>::to_vec).collect());
                    }
                    Ordering::Greater => {}
                }
            }
            self.path.clear();
            self.path.extend_from_slice(&root.path);
            if self.out_of_time() {
                return self.stop(root);
            }
            self.mounted(root);
            if self.sieve.walked.stopped_at.is_some() {
                return;
            }
        }
    }

    fn stop(&mut self, root: &WalkRoot) {
        self.sieve.walked.stopped_at = Some(stop_to_text(&root.path, &self.path));
    }

    /// Each walk gets at least one directory further, whatever its bounds.
    fn out_of_time(&self) -> bool {
        let bounds = &self.plan.bounds;
        if self.entered == 0 {
            return false;
        }
        if self.began.elapsed() >= bounds.wall {
            return true;
        }
        if !self.entered.is_multiple_of(64) {
            return false;
        }
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let whole = u64::try_from(spent.tv_sec).unwrap_or_default();
        let rest = u64::try_from(spent.tv_nsec).unwrap_or_default();
        Duration::from_secs(whole) + Duration::from_nanos(rest) >= bounds.cpu
    }

    /// Walks what is mounted at one place.
    fn mounted(&mut self, root: &WalkRoot) {
        let opened = self.open_root(&root.path);
        let opened = opened.and_then(|directory| Ok((status_of(&directory)?, directory)));
        let (status, directory) = match opened {
            Ok(opened) => opened,
            // Unmounted since.
            Err(Errno::NOENT | Errno::NOTDIR) => return,
            Err(errno) => return self.failed(&root.path, errno),
        };
        let has_number = status.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        if has_number && root.mount.is_some_and(|mount| mount != status.stx_mnt_id) {
            // Another mount lies over this one: nobody reaches it by this path.
            return;
        }
        let looked = looked(&status);
        let around = self.sieve.mounted(root, &looked);
        self.arrive(directory, &status, around, &looked);
        while let Some(name) = self.next() {
            push(&mut self.path, &name);
            if self.out_of_time() {
                self.stop(root);
                break;
            }
            self.go_down(&name);
        }
        self.levels.clear();
        self.names.clear();
        self.waiting.clear();
    }

    fn open_root(&mut self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(self.root, path, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => {
                self.openat2 = false;
                let below = path.strip_prefix(b"/").filter(|rest| !rest.is_empty());
                rustix::fs::openat(self.root, below.unwrap_or(b"."), flags, Mode::empty())
            }
            other => other,
        }
    }

    /// The next directory that waits, of the innermost level that has one; `path` is then the directory it is in.
    fn next(&mut self) -> Option<Vec<u8>> {
        while let Some(level) = self.levels.last() {
            if self.waiting.len() > level.waiting {
                self.path.truncate(level.path);
                let (at, length) = self.waiting.pop()?;
                return self.names.get(at..at + length).map(<[u8]>::to_vec);
            }
            self.names.truncate(level.names);
            self.levels.pop();
        }
        None
    }

    /// Enters the directory `name` of the innermost level; `path` leads to it already.
    fn go_down(&mut self, name: &[u8]) {
        let Some(level) = self.levels.last() else {
            return;
        };
        let Ok(name) = CString::new(name) else {
            return;
        };
        let above = level.around;
        let opened = open_below(level, &name, &mut self.openat2);
        let opened = opened.and_then(|directory| Ok((status_of(&directory)?, directory)));
        match opened {
            Ok((status, directory)) => {
                let looked = looked(&status);
                let around = self.sieve.inside(&above, &self.path, &looked);
                self.arrive(directory, &status, around, &looked);
            }
            Err(Errno::NOENT) => self.target = None,
            // It was a directory when its name was read.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                self.target = None;
                self.path.truncate(level.path);
                let at = level.directory.try_clone();
                match at.map(|at| self.look_at(&at, &above, &name)) {
                    Ok(false) => {}
                    _ => self
                        .sieve
                        .unread(&self.path, "changed while it was looked at"),
                }
            }
            Err(errno) => {
                self.target = None;
                let path = self.path.clone();
                self.failed(&path, errno);
            }
        }
    }

    /// Looks at a directory and the names in it, unless the walk was here before, and lets its directories wait.
    fn arrive(
        &mut self,
        directory: OwnedFd,
        status: &Statx,
        around: Surroundings,
        looked: &Looked,
    ) {
        let depth = self.levels.len();
        // What was looked at before is on the way to where the walk stopped.
        let on_the_way = self
            .target
            .as_ref()
            .and_then(|target| target.get(depth))
            .cloned();
        if on_the_way.is_none() {
            self.target = None;
            self.entered += 1;
            self.sieve
                .look(&around, &self.path, b"", looked, || Ok(None));
        }
        if depth >= self.plan.bounds.depth {
            return self.sieve.unread(&self.path, "too deep");
        }
        let level = Level {
            directory,
            device: (status.stx_dev_major, status.stx_dev_minor),
            around,
            path: self.path.len(),
            names: self.names.len(),
            waiting: self.waiting.len(),
        };
        self.read(&level.directory, &around, on_the_way.as_deref());
        let names = &self.names;
        let name = |(at, length): (usize, usize)| names.get(at..at + length).unwrap_or_default();
        if let Some(waiting) = self.waiting.get_mut(level.waiting..) {
            waiting.sort_unstable_by(|a, b| name(*b).cmp(name(*a)));
            // Names before the one that leads to where the walk stopped were walked.
            if waiting.last().map(|next| name(*next)) != on_the_way.as_deref() {
                self.target = None;
            }
        }
        self.levels.push(level);
    }

    /// Looks at the names in a directory. On the way to where the walk stopped, only at directories from there on.
    fn read(&mut self, directory: &OwnedFd, around: &Surroundings, on_the_way: Option<&[u8]>) {
        let points = self.points.get(&self.path).cloned().unwrap_or_default();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut entries = RawDir::new(directory, &mut buffer);
        let mut seen = 0;
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    let path = self.path.clone();
                    self.failed(&path, errno);
                    break;
                }
            };
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") || points.contains(bytes) {
                continue;
            }
            seen += 1;
            if let Some(problem) = self.too_much(seen) {
                self.sieve.unread(&self.path, problem);
                break;
            }
            let is_directory = match entry.file_type() {
                FileType::Directory => true,
                FileType::Unknown => self.look_at(directory, around, name),
                _ if on_the_way.is_some() => false,
                _ => self.look_at(directory, around, name),
            };
            if is_directory && on_the_way.is_none_or(|next| bytes >= next) {
                self.waiting.push((self.names.len(), bytes.len()));
                self.names.extend_from_slice(bytes);
            }
        }
        self.buffer = buffer;
    }

    /// Why the rest of a directory is left after this many names.
    fn too_much(&self, seen: u64) -> Option<&'static str> {
        if seen > self.plan.bounds.entries {
            Some("too many names in it")
        } else if self.names.len() > MAX_WAITING {
            Some("too many directories in it")
        } else if seen.is_multiple_of(CLOCK_EVERY)
            && self.began.elapsed() > self.plan.bounds.wall * 2
        {
            Some("too many names in it for the time there is")
        } else {
            None
        }
    }

    /// Looks at one name; whether it is a directory, which is then looked at when it is entered.
    fn look_at(&mut self, directory: &OwnedFd, around: &Surroundings, name: &CStr) -> bool {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        match rustix::fs::statx(directory, name, flags, WANTED) {
            Ok(status) => {
                let looked = looked(&status);
                if looked.kind == FileKind::Directory {
                    return true;
                }
                self.sieve
                    .look(around, &self.path, name.to_bytes(), &looked, || {
                        capability(directory, name)
                    });
            }
            Err(Errno::NOENT) => {}
            Err(errno) => {
                let mut path = self.path.clone();
                push(&mut path, name.to_bytes());
                self.failed(&path, errno);
            }
        }
        false
    }

    fn failed(&mut self, path: &[u8], errno: Errno) {
        match errno {
            Errno::ACCESS | Errno::PERM => self.sieve.denied(path),
            Errno::XDEV => self
                .sieve
                .unread(path, "another file system is mounted there"),
            other => self.sieve.unread(path, &other.to_string()),
        }
    }
}

/// Opens a directory that lies on the same mount. O_NOATIME leaves the time of the last reading alone where the kernel
/// allows it: to owners.
fn open_below(level: &Level, name: &CStr, openat2: &mut bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if *openat2 {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let open =
            |flags| rustix::fs::openat2(&level.directory, name, flags, Mode::empty(), resolve);
        match open(flags | OFlags::NOATIME) {
            Err(Errno::PERM) => {}
            other => return other,
        }
        match open(flags) {
            // A sandbox may refuse the call itself.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
    }
    // Without openat2(2), mount points that appeared since are told by their device.
    let directory = rustix::fs::openat(&level.directory, name, flags, Mode::empty())?;
    *openat2 = false;
    let status = status_of(&directory)?;
    let device = (status.stx_dev_major, status.stx_dev_minor);
    if device != level.device && device.0 != 0 && level.device.0 != 0 {
        return Err(Errno::XDEV);
    }
    Ok(directory)
}

fn status_of(directory: &OwnedFd) -> Result<Statx, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(directory, c"", flags, WANTED | StatxFlags::MNT_ID)
}

fn looked(status: &Statx) -> Looked {
    let kind = FileType::from_raw_mode(status.stx_mode.into());
    Looked {
        kind: match kind {
            FileType::RegularFile => FileKind::Regular,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Link,
            FileType::BlockDevice => FileKind::Block,
            _ => FileKind::Other,
        },
        character_device: kind == FileType::CharacterDevice,
        mode: u32::from(status.stx_mode) & 0o7777,
        uid: status.stx_uid,
        gid: status.stx_gid,
        rdev: (status.stx_rdev_major, status.stx_rdev_minor),
    }
}

/// The capabilities of a file, which is not opened for it: the name is looked up in the directory that is held open.
fn capability(directory: &OwnedFd, name: &CStr) -> Result<Option<Vec<u8>>, String> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let mut value = [0; 64];
    match rustix::fs::lgetxattr(path.as_slice(), CAPABILITY, value.as_mut_slice()) {
        Ok(length) => Ok(value.get(..length).map(<[u8]>::to_vec)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        // Removed since, unless there is no /proc.
        Err(Errno::NOENT) => {
            match rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, WANTED) {
                Err(Errno::NOENT) => Ok(None),
                _ => Err("its capabilities cannot be read without /proc".to_owned()),
            }
        }
        Err(errno) => Err(format!("its capabilities: {errno}")),
    }
}

fn stop_to_text(root: &[u8], at: &[u8]) -> String {
    format!("{} {}", hex::encode(root), hex::encode(at))
}

fn stop_from_text(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (root, at) = text.split_once(' ')?;
    let (root, at) = (hex::decode(root).ok()?, hex::decode(at).ok()?);
    is_below(&at, &root).then_some((root, at))
}
