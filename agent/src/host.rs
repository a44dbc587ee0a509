//! The port between probes and the machine: a live host, an unpacked root file system, or a recording of a host.
//!
//! Contract, the same for every implementation:
//! - Paths are absolute and resolved inside the host's root: no link of an unpacked root leads out of it.
//! - Reads are bounded; a FIFO, socket or device is refused, never opened for blocking.
//! - Programs are named by absolute path and run with an empty environment, no input, a deadline and an output cap.
//! - Nothing is written.

mod audit;
mod audit_rule;
mod clock;
mod connection;
mod detached;
pub mod filesystem;
mod program;
pub mod recorded;
mod settings;
pub mod traced;
pub mod units;
pub mod walk;

use std::io::Read;
use std::time::{Duration, Instant};

use evidence::outcome::Reason;
use evidence::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use connection::{Conversation, Step};
pub use detached::{Begun, Detached, Running};
pub use filesystem::FileSystemHost;
pub use program::{Program, ProgramOutput};
pub use recorded::RecordedHost;
pub use settings::{AllowedFile, MAX_FILES, SettingsFormat};
pub use walk::{WalkPlan, Walked};

/// Most bytes of one configuration or state file; anything larger is not what a probe means to read.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;
/// Longest a program of the host may run unless a probe says otherwise.
pub const PROGRAM_DEADLINE: Duration = Duration::from_secs(20);

/// What a probe can ask of a host.
pub trait Host: Sync {
    /// Whether kernel and services can be asked: false for an unpacked root, whose persisted state alone counts.
    fn is_live(&self) -> bool;

    /// The same host for a thread that may outlive its caller, if it can keep anyone waiting: after `until` it refuses
    /// every answer with [`HostError::Timeout`]. `None` of a host that always answers at once.
    fn detached(&self, until: Instant) -> Option<Detached> {
        let _ = until;
        None
    }

    /// The files whose named settings the agent's own configuration allows to be read; none by default.
    fn allowed_settings(&self) -> &[AllowedFile] {
        &[]
    }

    /// The content of a regular or kernel file of at most `limit` bytes; links are followed inside the root.
    ///
    /// # Errors
    /// [`HostError`] by what happened; a longer file is [`HostError::TooLarge`], never cut.
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError>;

    /// As [`Host::read`], for a file whose content is secret: a recording of the host keeps none of it.
    ///
    /// # Errors
    /// As [`Host::read`].
    fn read_secret(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        self.read(path, limit)
    }

    /// As [`Host::read`], but neither `path` (relative to `directory`) nor any part of it may be a link or lead out of
    /// `directory`: for directories that ordinary users write to.
    ///
    /// # Errors
    /// As [`Host::read`]; a link is [`HostError::NotRegular`].
    fn read_beneath(&self, directory: &str, path: &str, limit: usize)
    -> Result<Vec<u8>, HostError>;

    /// The last `limit` bytes of a file that may be larger.
    ///
    /// # Errors
    /// As [`Host::read`].
    fn read_tail(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError>;

    /// The first `limit` bytes of a regular file or block device that may be larger, for headers.
    ///
    /// # Errors
    /// As [`Host::read`].
    fn read_head(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError>;

    /// Up to `limit` bytes of a regular file from `offset` on, fewer at its end: for records of large, sparse files.
    ///
    /// # Errors
    /// As [`Host::read`].
    fn read_at(&self, path: &str, offset: u64, limit: usize) -> Result<Vec<u8>, HostError>;

    /// A regular file of any length as a stream; links are followed inside the root. The reader bounds what it keeps.
    ///
    /// # Errors
    /// As [`Host::read`], but never [`HostError::TooLarge`].
    fn open(&self, path: &str) -> Result<Box<dyn Read + '_>, HostError>;

    /// The names in a directory with their types, in byte order, without `.` and `..`.
    ///
    /// # Errors
    /// [`HostError`] by what happened.
    fn list(&self, path: &str) -> Result<Vec<DirEntry>, HostError>;

    /// Status of what `path` leads to.
    ///
    /// # Errors
    /// [`HostError`] by what happened.
    fn stat(&self, path: &str) -> Result<Stat, HostError>;

    /// Status of `path` itself, if it is a link.
    ///
    /// # Errors
    /// [`HostError`] by what happened.
    fn lstat(&self, path: &str) -> Result<Stat, HostError>;

    /// The target of a link, as written.
    ///
    /// # Errors
    /// [`HostError`] by what happened; `NotRegular` if it is no link.
    fn read_link(&self, path: &str) -> Result<String, HostError>;

    /// An extended attribute; `None` if the file has none of that name or the file system none at all.
    ///
    /// # Errors
    /// [`HostError`] by what happened.
    fn xattr(&self, path: &str, name: &str) -> Result<Option<Vec<u8>>, HostError>;

    /// Runs a program of the host.
    ///
    /// # Errors
    /// [`HostError::OfflineRoot`] on an unpacked root, [`HostError::ToolMissing`] if it is not there,
    /// [`HostError::Timeout`], [`HostError::TooLarge`]. An exit code other than 0 is no error here.
    fn run(&self, program: &Program) -> Result<ProgramOutput, HostError>;

    /// Begins a look whose probes will ask for these units of systemd, see [`Host::show_units`].
    fn expect_units(&self, names: &[&str]) {
        let _ = names;
    }

    /// Runs [`units::query`] for these units of systemd.
    ///
    /// # Errors
    /// As [`Host::run`].
    fn show_units(&self, names: &[&str]) -> Result<ProgramOutput, HostError> {
        self.run(&units::query(names))
    }

    /// Walks local file systems and keeps what is remarkable; goes on from where `before` stopped.
    ///
    /// # Errors
    /// [`HostError::Timeout`] if a file system does not answer. What could not be seen is in what it brings back.
    fn walk(&self, plan: &WalkPlan, before: Walked) -> Result<Walked, HostError>;

    /// How much room the file system that `path` lies on has (statvfs(3)).
    ///
    /// # Errors
    /// [`HostError::OfflineRoot`] on an unpacked root, whose file system is that of the machine it was unpacked on.
    fn space(&self, path: &str) -> Result<Space, HostError>;

    /// Whether [`Host::converse`] is allowed: by the agent's own configuration, never by a bundle.
    fn may_connect(&self) -> bool;

    /// Holds a conversation with a TCP listener of this very host and returns its last answer, empty if it said nothing.
    ///
    /// # Errors
    /// [`HostError::Permission`] unless [`Host::may_connect`]; [`HostError::Io`] if nothing listens there, or if the
    /// address is not one of this host.
    fn converse(&self, conversation: &Conversation) -> Result<Vec<u8>, HostError>;

    /// The kernel's clock discipline (adjtimex(2) with no modes set).
    ///
    /// # Errors
    /// [`HostError::OfflineRoot`] on an unpacked root.
    fn clock_state(&self) -> Result<ClockState, HostError>;

    /// The kernel's audit status (AUDIT_GET over netlink(7)).
    ///
    /// # Errors
    /// [`HostError::Permission`] without CAP_AUDIT_CONTROL, [`HostError::OfflineRoot`] on an unpacked root.
    fn audit_status(&self) -> Result<AuditStatus, HostError>;

    /// The loaded audit rules in the text form of `auditctl -l`, in order; a watch of a directory is `-F dir=`.
    ///
    /// # Errors
    /// As [`Host::audit_status`].
    fn audit_rules(&self) -> Result<Vec<String>, HostError>;
}

/// Why a host did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing has that name: a positive fact.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The agent may not.
    #[error("no permission for {0}; run the agent as root or grant the capability")]
    Permission(String),
    /// A link, FIFO, socket, device or directory where a file was expected.
    #[error("{0} is not a regular file")]
    NotRegular(String),
    /// Longer than the bound.
    #[error("{0} is larger than {1} bytes")]
    TooLarge(String, usize),
    /// A program did not end in time.
    #[error("{0} did not end within {1:?}")]
    Timeout(String, Duration),
    /// A program is not installed.
    #[error("{0} is not installed")]
    ToolMissing(String),
    /// Only a running kernel could tell.
    #[error("{0} can only be asked on a running host")]
    OfflineRoot(String),
    /// Anything else the system said.
    #[error("{0}: {1}")]
    Io(String, String),
}

impl HostError {
    /// The reason an outcome gets from it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            HostError::NotFound(_) => Reason::Missing,
            HostError::Permission(_) => Reason::PermissionDenied,
            HostError::NotRegular(_) | HostError::TooLarge(..) | HostError::Io(..) => {
                Reason::Unparsable
            }
            HostError::Timeout(..) => Reason::Timeout,
            HostError::ToolMissing(_) => Reason::ToolMissing,
            HostError::OfflineRoot(_) => Reason::OfflineRoot,
        }
    }
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name; bytes that are no UTF-8 are replaced, and such a name can then not be opened.
    pub name: String,
    /// Its own type.
    pub kind: FileKind,
}

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A block device.
    Block,
    /// A character device, FIFO, socket or anything else.
    Other,
}

/// Status of a file (stat(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its type.
    pub kind: FileKind,
    /// Permission bits, set-id and sticky bits: the lower 12 bits of the mode.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last change of content, owner, mode or name.
    pub ctime: Timestamp,
    /// Device numbers (major, minor) of the file system it is on.
    pub device: (u32, u32),
}

/// Room on a file system (statvfs(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Device numbers (major, minor) of its files.
    pub device: (u32, u32),
    /// Bytes altogether.
    pub bytes: u64,
    /// Bytes that users may still fill: without what is kept back for the superuser.
    pub available_bytes: u64,
    /// Inodes altogether; 0 if their number is not fixed.
    pub inodes: u64,
    /// Inodes that users may still take.
    pub available_inodes: u64,
}

/// The kernel's clock discipline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockState {
    /// STA_UNSYNC is set.
    pub unsynchronised: bool,
    /// Maximum error, microseconds; 16 s means never or no longer synchronised.
    pub max_error_us: i64,
    /// Estimated error, microseconds.
    pub estimated_error_us: i64,
}

/// The kernel's audit status (struct audit_status of linux/audit.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditStatus {
    /// 0 off, 1 on, 2 on and locked until the next boot.
    pub enabled: u32,
    /// 0 silent, 1 printk, 2 panic on failure.
    pub failure: u32,
    /// Process that receives the events; 0 is none.
    pub pid: u32,
    /// Events a second allowed; 0 is unlimited.
    pub rate_limit: u32,
    /// Events that may wait.
    pub backlog_limit: u32,
    /// Events lost since boot.
    pub lost: u32,
    /// Events waiting.
    pub backlog: u32,
    /// Jiffies that processes were held up for want of room.
    pub backlog_wait_time_actual: u32,
}
