//! The data folder: keys, database, checkpoint; and the lock that keeps a second collector out.
//!
//! Trust and loss of each file: `keys/log.skey` signs checkpoints (a thief can sign a fork, which witnesses and agents
//! notice; lost, the log ends); `keys/decision.pem` signs decisions; `keys/policy.pem` signs bundles and may be moved
//! offline; `keys/ca.key` and `keys/ca.pem` certify the server to agents. Keys are mode 0600, all in a folder of mode 0700.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crypto::{Random, SigningKey, VerifyingKey};
use ledger::key::{KeyName, Skey};
use zeroize::Zeroizing;

use crate::ingest::sequencer::SigningKeys;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others may read a secret.
    #[error("{} has mode {mode:04o}: others must not read it; run chmod go= on it", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A key file that is none.
    #[error("{} is no key of the kind expected: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another process uses the folder.
    #[error("another collector is using {}; stop it first", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

/// The data folder.
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
}

/// Held while a process writes to the folder.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl DataFolder {
    /// The folder at `path`, made if it is not there.
    ///
    /// # Errors
    /// [`FolderError`] if it cannot be made, or if others may enter it.
    pub fn open(path: &Path) -> Result<DataFolder, FolderError> {
        make_private(path)?;
        make_private(&path.join("keys"))?;
        Ok(DataFolder {
            path: path.to_owned(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file among the keys.
    #[must_use]
    pub fn key_file(&self, name: &str) -> PathBuf {
        self.path.join("keys").join(name)
    }

    /// Keeps other writers out until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// [`FolderError::Locked`] if another process has it.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.path.join("lock");
        let failed = |source| FolderError::File {
            path: path.clone(),
            source,
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(FolderError::Locked {
                path: self.path.clone(),
            }),
            Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The keys that the collector signs with, made at first start.
    ///
    /// # Errors
    /// [`FolderError`] if a key file is unreadable, too open or none.
    pub fn signing_keys(
        &self,
        origin: &str,
        random: &mut dyn Random,
    ) -> Result<SigningKeys, FolderError> {
        let path = self.key_file("log.skey");
        let wrong = |problem: String| FolderError::Key {
            path: path.clone(),
            problem,
        };
        let log = match read_secret(&path)? {
            Some(text) => {
                Skey::from_secret_text(text.trim_end()).map_err(|error| wrong(error.to_string()))?
            }
            None => {
                let name: KeyName = origin
                    .parse()
                    .map_err(|error| wrong(format!("origin {origin}: {error}")))?;
                let key = Skey::new(name, SigningKey::generate(random));
                write_secret(&path, format!("{}\n", *key.to_secret_text()).as_bytes())?;
                key
            }
        };
        if log.name().as_str() != origin {
            return Err(wrong(format!(
                "it is of the log {}, but the configuration says origin {origin}; the origin of a log cannot be changed",
                log.name()
            )));
        }
        write_public(
            &self.path.join("log.vkey"),
            format!("{}\n", log.vkey()).as_bytes(),
        )?;
        Ok(SigningKeys {
            log,
            decision: self.pem_key("decision.pem", random)?,
        })
    }

    /// The key that signs bundles, if it is kept here.
    ///
    /// # Errors
    /// As [`DataFolder::signing_keys`].
    pub fn policy_key(
        &self,
        random: &mut dyn Random,
    ) -> Result<(VerifyingKey, Option<SigningKey>), FolderError> {
        let public = self.key_file("policy.pub.pem");
        if !self.key_file("policy.pem").exists() && public.exists() {
            let text = std::fs::read_to_string(&public).map_err(|source| FolderError::File {
                path: public.clone(),
                source,
            })?;
            let key = VerifyingKey::from_pem(&text).map_err(|error| FolderError::Key {
                path: public.clone(),
                problem: error.to_string(),
            })?;
            return Ok((key, None));
        }
        let key = self.pem_key("policy.pem", random)?;
        write_public(&public, key.verifying_key().to_pem().as_bytes())?;
        Ok((key.verifying_key(), Some(key)))
    }

    fn pem_key(&self, name: &str, random: &mut dyn Random) -> Result<SigningKey, FolderError> {
        let path = self.key_file(name);
        match read_secret(&path)? {
            Some(text) => SigningKey::from_pem(&text).map_err(|error| FolderError::Key {
                path,
                problem: error.to_string(),
            }),
            None => {
                let key = SigningKey::generate(random);
                write_secret(&path, key.to_pem().as_bytes())?;
                Ok(key)
            }
        }
    }
}

fn make_private(path: &Path) -> Result<(), FolderError> {
    let failed = |source| FolderError::File {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    let mode = std::fs::metadata(path)
        .map_err(failed)?
        .permissions()
        .mode()
        & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FolderError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Reads a secret that only its owner may read; `None` if it is not there.
///
/// # Errors
/// [`FolderError::Mode`] if others may read it.
pub fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>, FolderError> {
    let failed = |source| FolderError::File {
        path: path.to_owned(),
        source,
    };
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FolderError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    std::fs::read_to_string(path)
        .map(|text| Some(Zeroizing::new(text)))
        .map_err(failed)
}

/// Writes a secret that did not exist: whole or not at all, readable by its owner alone.
///
/// # Errors
/// [`FolderError::File`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    write_file(path, bytes, 0o600)
}

/// Reads a file that may be handed out; `None` if it is not there.
///
/// # Errors
/// [`FolderError::File`].
pub fn read_public(path: &Path) -> Result<Option<String>, FolderError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes a file that may be handed out: whole or not at all.
///
/// # Errors
/// [`FolderError::File`].
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    write_file(path, bytes, 0o644)
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FolderError> {
    let failed = |source| FolderError::File {
        path: path.to_owned(),
        source,
    };
    let temporary = path.with_extension("tmp");
    let _ = std::fs::remove_file(&temporary);
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use crypto::SeededRandom;

    use super::*;

    #[test]
    fn keys_are_made_once_and_for_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(&directory.path().join("data")).unwrap();
        let first = folder
            .signing_keys("log.example", &mut SeededRandom::new(1))
            .unwrap();
        let again = folder
            .signing_keys("log.example", &mut SeededRandom::new(2))
            .unwrap();
        assert_eq!(first.log.vkey(), again.log.vkey());
        assert_eq!(
            first.decision.verifying_key(),
            again.decision.verifying_key()
        );
        let path = folder.key_file("log.skey");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(
            folder
                .signing_keys("other.example", &mut SeededRandom::new(3))
                .is_err(),
            "an origin is for ever"
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            folder.signing_keys("log.example", &mut SeededRandom::new(4)),
            Err(FolderError::Mode { .. })
        ));
    }

    #[test]
    fn a_second_collector_stays_out() {
        let directory = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(&directory.path().join("data")).unwrap();
        let held = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(FolderError::Locked { .. })));
        drop(held);
        assert!(folder.lock().is_ok());
    }
}
