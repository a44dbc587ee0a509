//! The state folder: what the agent must still know after it was killed.
//!
//! Every file is written whole: under a temporary name, synced, renamed over the old one, and the folder synced. A reader
//! therefore finds the old content or the new, never a part. The folder is the agent's alone (mode 0700, files 0600) and
//! locked while an agent runs on it, because two agents over one key would sign two statements for one number.
//!
//! | file | what | if it is lost, or older than the others |
//! |---|---|---|
//! | `key.pem` | the agent's key, made here | enrol again; nothing else can sign for this agent |
//! | `enrolment.json` | who the agent is, and the pinned keys; written last when enrolling | enrolling did not happen |
//! | `acknowledged.json` | last statement with a verified receipt, checkpoint seen | the spool's numbers still count; if both are gone the next number is refused as a fork, and the agent must be enrolled again |
//! | `spool/` | statements without a receipt, see [`crate::spool`] | those statements are lost, and a number may be signed twice: the collector calls it a fork |
//! | `disclosed.json` | last facts of each probe with their salt | new salts, and all facts travel once more |
//! | `memory.json` | what probes remember | dates of "first seen" start anew |
//! | `bundle.dsse.json` | the bundle in use, signed | fetched again; no round until then |
//! | `dictionary` | payload that the collector last acknowledged | one statement travels uncompressed |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Ending of files that are being written; what a kill leaves of them is removed at the next start.
pub(crate) const TEMPORARY: &str = ".tmp";
/// Name of the file that a running agent holds locked.
const LOCK: &str = "lock";

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Others may read or write it: the key in it would be no secret.
    #[error("{path} has mode {mode:04o}, which lets others in; run `chmod {expected:o} {path}`")]
    Open {
        /// The folder or file.
        path: String,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        expected: u32,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to uid {owner}, not to uid {uid} that the agent runs as")]
    Owner {
        /// The folder or file.
        path: String,
        /// Whose it is.
        owner: u32,
        /// Who the agent is.
        uid: u32,
    },
    /// Another agent runs on it.
    #[error("another agent is running on {0}; stop it first")]
    Locked(String),
    /// A file of it is longer than it can be.
    #[error("{path} is longer than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The bound.
        limit: u64,
    },
    /// A file of it does not hold what it should.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The file system said no.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StateError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
        let path = path.display().to_string();
        move |source| StateError::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn damaged(path: &Path, problem: impl std::fmt::Display) -> StateError {
        StateError::Damaged {
            path: path.display().to_string(),
            problem: problem.to_string(),
        }
    }
}

/// The state folder of one agent.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
}

/// Holds the state folder for one process; let go when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "held for its lock")] File);

impl StateDir {
    /// The folder at `path`, made with mode 0700 if it is not there.
    ///
    /// # Errors
    /// [`StateError`] if others may enter it, or it cannot be made.
    pub fn open(path: &Path) -> Result<StateDir, StateError> {
        make_folder(path)?;
        check_private(path, 0o700)?;
        Ok(StateDir {
            path: path.to_owned(),
        })
    }

    /// A folder inside this one, made if it is not there.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn folder(&self, name: &str) -> Result<StateDir, StateError> {
        StateDir::open(&self.path.join(name))
    }

    /// The path of a file of this folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// [`StateError::Locked`] if another process has it.
    pub fn lock(&self) -> Result<StateLock, StateError> {
        let path = self.file(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(StateError::io("open", &path))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StateError::Locked(self.path.display().to_string()))?;
        Ok(StateLock(file))
    }

    /// The content of a file of at most `limit` bytes; `None` if there is none.
    ///
    /// # Errors
    /// [`StateError`] if it is longer or cannot be read.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.file(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::io("open", &path)(error)),
        };
        let mut reader = file.take(limit + 1);
        let mut bytes = Vec::new();
        io::copy(&mut reader, &mut bytes).map_err(StateError::io("read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(StateError::TooLarge {
                path: path.display().to_string(),
                limit,
            });
        }
        Ok(Some(bytes))
    }

    /// Puts a file in place of what was there, durably, before it returns.
    ///
    /// # Errors
    /// [`StateError`]; the old content then stands.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let (temporary, path) = (self.file(&format!("{name}{TEMPORARY}")), self.file(name));
        if let Err(error) = write_synced(&temporary, bytes) {
            // What could be written of it is of no use; the error that matters is the first.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        fs::rename(&temporary, &path).map_err(StateError::io("rename", &temporary))?;
        self.sync()
    }

    /// Puts a file that must not be there yet in place, durably.
    ///
    /// # Errors
    /// [`StateError`] also if there is one of that name: nothing is then changed.
    pub fn create(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let (temporary, path) = (self.file(&format!("{name}{TEMPORARY}")), self.file(name));
        write_synced(&temporary, bytes)?;
        let linked = fs::hard_link(&temporary, &path).map_err(StateError::io("create", &path));
        fs::remove_file(&temporary).map_err(StateError::io("remove", &temporary))?;
        linked?;
        self.sync()
    }

    /// Removes a file; that there is none is fine.
    ///
    /// # Errors
    /// [`StateError`] if it is there and stays.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StateError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes names that were added or removed durable.
    ///
    /// # Errors
    /// [`StateError`] if the file system cannot.
    pub fn sync(&self) -> Result<(), StateError> {
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(StateError::io("sync", &self.path))
    }

    /// Names of the files, in byte order.
    ///
    /// # Errors
    /// [`StateError`] if the folder cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, StateError> {
        let failed = || StateError::io("list", &self.path);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            names.push(
                entry
                    .map_err(failed())?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort();
        Ok(names)
    }
}

fn make_folder(path: &Path) -> Result<(), StateError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StateError::io("create the folder", path)(error)),
        Ok(()) => path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .map_or(Ok(()), |parent| {
                File::open(parent)
                    .and_then(|folder| folder.sync_all())
                    .map_err(StateError::io("sync", parent))
            }),
    }
}

/// Refuses what is not this user's alone.
pub(crate) fn check_private(path: &Path, expected: u32) -> Result<(), StateError> {
    let metadata = fs::symlink_metadata(path).map_err(StateError::io("look at", path))?;
    let (owner, uid) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != uid {
        return Err(StateError::Owner {
            path: path.display().to_string(),
            owner,
            uid,
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateError::Open {
            path: path.display().to_string(),
            mode,
            expected,
        });
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(StateError::io("create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(StateError::io("write", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_written_is_private_and_whole() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        assert_eq!(mode(state.path()), 0o700);
        state.write("a", b"one").unwrap();
        state.write("a", b"two").unwrap();
        assert_eq!(mode(&state.file("a")), 0o600);
        assert_eq!(state.read("a", 3).unwrap().unwrap(), b"two");
        assert_eq!(state.read("b", 3).unwrap(), None);
        assert!(matches!(
            state.read("a", 2),
            Err(StateError::TooLarge { .. })
        ));
        assert_eq!(state.names().unwrap(), ["a"]);
    }

    #[test]
    fn a_file_that_must_be_new_never_replaces_one() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        state.create("key", b"first").unwrap();
        assert!(state.create("key", b"second").is_err());
        assert_eq!(state.read("key", 99).unwrap().unwrap(), b"first");
        assert_eq!(state.names().unwrap(), ["key"]);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        for open in [0o750, 0o701, 0o777] {
            let path = outer.path().join(format!("state{open:o}"));
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let error = StateDir::open(&path).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{open:04o}")),
                "{error}"
            );
        }
    }

    #[test]
    fn two_agents_never_share_a_folder() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        let lock = state.lock().unwrap();
        assert!(matches!(state.lock(), Err(StateError::Locked(_))));
        drop(lock);
        state.lock().unwrap();
    }
}
