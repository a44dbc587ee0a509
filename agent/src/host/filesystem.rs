//! A live host, or an unpacked root file system: both are a directory that paths are resolved inside of.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evidence::time::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::{
    AllowedFile, AuditStatus, ClockState, Conversation, Detached, DirEntry, FileKind, Host,
    HostError, Program, ProgramOutput, Running, Space, Stat, WalkPlan, Walked, audit, connection,
    program, units,
};

/// Most names taken from one directory.
const MAX_ENTRIES: usize = 100_000;

/// Flags of every open that may read: neither a FIFO nor a lease of another process (fcntl(2)) is waited for, and no
/// terminal becomes ours.
const QUIET: OFlags = OFlags::CLOEXEC
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

const REGULAR: [FileType; 1] = [FileType::RegularFile];

/// How often a path is looked up again that changed under the look-up: somebody who renames without end gets an error.
const MAX_RETRIES: usize = 100;

/// A directory taken as the root of a host.
#[derive(Debug, Clone)]
pub struct FileSystemHost {
    root: Arc<OwnedFd>,
    live: bool,
    connects: bool,
    pub(super) settings: Vec<AllowedFile>,
    running: Running,
    units: units::Answers,
    /// Nothing is answered any more after this time.
    until: Option<Instant>,
}

impl FileSystemHost {
    /// The machine the agent runs on.
    ///
    /// # Errors
    /// [`HostError`] if `/` cannot be opened.
    pub fn live() -> Result<FileSystemHost, HostError> {
        FileSystemHost::open("/", true)
    }

    /// An unpacked root file system, judged as it would be after boot.
    ///
    /// # Errors
    /// [`HostError`] if `directory` cannot be opened as a directory.
    pub fn offline(directory: &Path) -> Result<FileSystemHost, HostError> {
        FileSystemHost::open(&directory.to_string_lossy(), false)
    }

    /// The same host, whose own listeners may be asked ([`Host::converse`]) if `allowed`.
    #[must_use]
    pub fn with_own_listeners(mut self, allowed: bool) -> FileSystemHost {
        self.connects = allowed && self.live;
        self
    }

    fn open(directory: &str, live: bool) -> Result<FileSystemHost, HostError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|errno| error(directory, errno))?;
        Ok(FileSystemHost {
            root: Arc::new(root),
            live,
            connects: false,
            settings: Vec::new(),
            running: Running::default(),
            units: units::Answers::default(),
            until: None,
        })
    }

    /// Opens `path` inside the root. O_NONBLOCK keeps a FIFO from holding the agent up before its type is known.
    fn open_inside(&self, path: &str, flags: OFlags) -> Result<OwnedFd, HostError> {
        self.in_time(path)?;
        // openat2(2) refuses flags that mean nothing together with O_PATH.
        let quiet = if flags.contains(OFlags::PATH) {
            OFlags::CLOEXEC
        } else {
            QUIET
        };
        let flags = flags | quiet;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match open_resolved(&self.root, path, flags, resolve) {
            // Kernels before 5.6 have no openat2(2); on a live host the root is / and resolution is the same.
            Err(Errno::NOSYS) if self.live => {
                rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| error(path, errno))
            }
            other => other.map_err(|errno| error(path, errno)),
        }
    }

    /// Opens a file of one of these types. The type is looked at through O_PATH first, since opening some devices has
    /// effects, and what is then opened is what was looked at: nobody can put something else in its place meanwhile.
    fn open_file(&self, path: &str, kinds: &[FileType]) -> Result<OwnedFd, HostError> {
        let found = self.open_inside(path, OFlags::PATH)?;
        self.require(&found, path, kinds)?;
        match reopen(&found) {
            // Without /proc the path is all there is.
            Err(Errno::NOENT) => {
                let file = self.open_inside(path, OFlags::RDONLY)?;
                self.require(&file, path, kinds)?;
                Ok(file)
            }
            other => other.map_err(|errno| error(path, errno)),
        }
    }

    fn in_time(&self, what: &str) -> Result<(), HostError> {
        match self.until {
            Some(until) if Instant::now() >= until => {
                Err(HostError::Timeout(what.to_owned(), Duration::ZERO))
            }
            _ => Ok(()),
        }
    }

    fn require(&self, file: &OwnedFd, path: &str, kinds: &[FileType]) -> Result<(), HostError> {
        let stat = rustix::fs::fstat(file).map_err(|errno| error(path, errno))?;
        if kinds.contains(&FileType::from_raw_mode(stat.st_mode)) {
            Ok(())
        } else {
            Err(HostError::NotRegular(path.to_owned()))
        }
    }

    fn status(&self, path: &str, flags: OFlags) -> Result<Stat, HostError> {
        let file = self.open_inside(path, OFlags::PATH | flags)?;
        let statx = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
            .map_err(|errno| error(path, errno))?;
        Ok(Stat {
            kind: kind(FileType::from_raw_mode(statx.stx_mode.into())),
            mode: u32::from(statx.stx_mode) & 0o7777,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            size: statx.stx_size,
            mtime: time(&statx.stx_mtime),
            ctime: time(&statx.stx_ctime),
            device: (statx.stx_dev_major, statx.stx_dev_minor),
        })
    }

    fn require_live(&self, what: &str) -> Result<(), HostError> {
        if self.live {
            Ok(())
        } else {
            Err(HostError::OfflineRoot(what.to_owned()))
        }
    }
}

impl Host for FileSystemHost {
    fn is_live(&self) -> bool {
        self.live
    }

    fn detached(&self, until: Instant) -> Option<Detached> {
        let mut host = self.clone();
        host.until = Some(until);
        Some(Detached {
            host: Box::new(host),
            running: self.running.clone(),
        })
    }

    fn allowed_settings(&self) -> &[AllowedFile] {
        &self.settings
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        read_all(&self.open_file(path, &REGULAR)?, path, limit)
    }

    fn read_beneath(
        &self,
        directory: &str,
        path: &str,
        limit: usize,
    ) -> Result<Vec<u8>, HostError> {
        let shown = format!("{}/{path}", directory.trim_end_matches('/'));
        let base = self.open_inside(directory, OFlags::PATH | OFlags::DIRECTORY)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let looked_at = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let failed = |errno| match errno {
            Errno::LOOP | Errno::XDEV => HostError::NotRegular(shown.clone()),
            errno => error(&shown, errno),
        };
        let found = open_resolved(&base, path, looked_at, resolve).map_err(failed)?;
        self.require(&found, &shown, &REGULAR)?;
        let file = match reopen(&found) {
            Err(Errno::NOENT) => {
                let flags = OFlags::RDONLY | QUIET | OFlags::NOFOLLOW;
                let file = open_resolved(&base, path, flags, resolve).map_err(failed)?;
                self.require(&file, &shown, &REGULAR)?;
                file
            }
            other => other.map_err(failed)?,
        };
        read_all(&file, &shown, limit)
    }

    fn read_tail(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let file = self.open_file(path, &REGULAR)?;
        let size = rustix::fs::fstat(&file)
            .map_err(|errno| error(path, errno))?
            .st_size;
        let start = u64::try_from(size)
            .unwrap_or_default()
            .saturating_sub(limit as u64);
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(start))
            .map_err(|errno| error(path, errno))?;
        read_some(&file, path, limit)
    }

    fn read_head(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let kinds = [FileType::RegularFile, FileType::BlockDevice];
        read_some(&self.open_file(path, &kinds)?, path, limit)
    }

    fn read_at(&self, path: &str, offset: u64, limit: usize) -> Result<Vec<u8>, HostError> {
        let file = self.open_file(path, &REGULAR)?;
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(offset))
            .map_err(|errno| error(path, errno))?;
        read_some(&file, path, limit)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + '_>, HostError> {
        Ok(Box::new(std::fs::File::from(
            self.open_file(path, &REGULAR)?,
        )))
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, HostError> {
        let directory = self.open_inside(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).map_err(|errno| error(path, errno))? {
            let entry = entry.map_err(|errno| error(path, errno))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == MAX_ENTRIES {
                return Err(HostError::TooLarge(path.to_owned(), MAX_ENTRIES));
            }
            let mut file_type = entry.file_type();
            if file_type == FileType::Unknown {
                let stat = rustix::fs::statat(
                    directory.as_fd(),
                    entry.file_name(),
                    AtFlags::SYMLINK_NOFOLLOW,
                );
                file_type = stat.map_or(FileType::Unknown, |stat| {
                    FileType::from_raw_mode(stat.st_mode)
                });
            }
            entries.push(DirEntry {
                name,
                kind: kind(file_type),
            });
        }
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(entries)
    }

    fn stat(&self, path: &str) -> Result<Stat, HostError> {
        self.status(path, OFlags::empty())
    }

    fn lstat(&self, path: &str) -> Result<Stat, HostError> {
        self.status(path, OFlags::NOFOLLOW)
    }

    fn read_link(&self, path: &str) -> Result<String, HostError> {
        let link = self.open_inside(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        match rustix::fs::readlinkat(&link, "", Vec::new()) {
            Ok(target) => Ok(target.to_string_lossy().into_owned()),
            Err(Errno::INVAL | Errno::NOENT) => Err(HostError::NotRegular(path.to_owned())),
            Err(errno) => Err(error(path, errno)),
        }
    }

    fn xattr(&self, path: &str, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        let file = match self.open_inside(path, OFlags::RDONLY) {
            Err(HostError::NotRegular(_)) => return Ok(None),
            other => other?,
        };
        let name = CString::new(name)
            .map_err(|error| HostError::Io(path.to_owned(), error.to_string()))?;
        let mut value = vec![0; 64 * 1024];
        match rustix::fs::fgetxattr(&file, name.as_c_str(), value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(error(path, errno)),
        }
    }

    fn run(&self, program: &Program) -> Result<ProgramOutput, HostError> {
        self.require_live(program.path)?;
        self.in_time(program.path)?;
        program::run(program)
    }

    fn expect_units(&self, names: &[&str]) {
        self.units.begin(names);
    }

    fn show_units(&self, names: &[&str]) -> Result<ProgramOutput, HostError> {
        self.units
            .answer(names, |names| self.run(&units::query(names)))
    }

    fn space(&self, path: &str) -> Result<Space, HostError> {
        self.require_live("the room on a file system")?;
        let file = self.open_inside(path, OFlags::PATH)?;
        let failed = |errno| error(path, errno);
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        let room = rustix::fs::fstatvfs(&file).map_err(failed)?;
        Ok(Space {
            device: (
                rustix::fs::major(stat.st_dev),
                rustix::fs::minor(stat.st_dev),
            ),
            bytes: room.f_blocks.saturating_mul(room.f_frsize),
            available_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            inodes: room.f_files,
            available_inodes: room.f_favail,
        })
    }

    fn may_connect(&self) -> bool {
        self.connects
    }

    fn converse(&self, conversation: &Conversation) -> Result<Vec<u8>, HostError> {
        if !self.connects {
            return Err(HostError::Permission(conversation.label()));
        }
        connection::hold(conversation)
    }

    fn clock_state(&self) -> Result<ClockState, HostError> {
        self.require_live("the clock discipline")?;
        super::clock::state()
    }

    fn walk(&self, plan: &WalkPlan, before: Walked) -> Result<Walked, HostError> {
        super::walk::walk_live(&self.root, plan, before)
    }

    fn audit_status(&self) -> Result<AuditStatus, HostError> {
        self.require_live("the audit status")?;
        audit::status()
    }

    fn audit_rules(&self) -> Result<Vec<String>, HostError> {
        self.require_live("the audit rules")?;
        audit::rules()
    }
}

/// openat2(2). On a path with `..`, which many links have, it says EAGAIN if anything was renamed or mounted anywhere
/// meanwhile, since it could not be sure to have stayed inside: on a busy host that is common, and asking again settles it.
fn open_resolved(
    directory: &OwnedFd,
    path: &str,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let open = || rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve);
    let mut found = open();
    for _ in 0..MAX_RETRIES {
        if !matches!(found, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
        found = open();
    }
    found
}

/// Opens for reading what `found` leads to, by the kernel's own link to it (proc(5)).
fn reopen(found: &OwnedFd) -> Result<OwnedFd, Errno> {
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    rustix::fs::open(link, OFlags::RDONLY | QUIET, Mode::empty())
}

fn read_all(file: &OwnedFd, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
    let bytes = read_some(file, path, limit + 1)?;
    if bytes.len() > limit {
        Err(HostError::TooLarge(path.to_owned(), limit))
    } else {
        Ok(bytes)
    }
}

/// Reads up to `limit` bytes. Kernel files report a size of 0, so the buffer grows with what comes.
fn read_some(file: &OwnedFd, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while bytes.len() < limit {
        let wanted = chunk.len().min(limit - bytes.len());
        match rustix::io::read(file, &mut chunk[..wanted]) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(error(path, errno)),
        }
    }
    Ok(bytes)
}

fn error(path: &str, errno: Errno) -> HostError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => HostError::NotFound(path.to_owned()),
        Errno::ACCESS | Errno::PERM => HostError::Permission(path.to_owned()),
        Errno::ISDIR | Errno::LOOP | Errno::NXIO => HostError::NotRegular(path.to_owned()),
        other => HostError::Io(path.to_owned(), other.to_string()),
    }
}

fn kind(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Link,
        FileType::BlockDevice => FileKind::Block,
        _ => FileKind::Other,
    }
}

fn time(stamp: &rustix::fs::StatxTimestamp) -> Timestamp {
    Timestamp::from_unix_ms(
        stamp
            .tv_sec
            .saturating_mul(1000)
            .saturating_add(i64::from(stamp.tv_nsec / 1_000_000)),
    )
}

#[cfg(test)]
mod tests;
