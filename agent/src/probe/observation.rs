//! One probe's view of a host: reads through the port, and remembers where it read.

use std::collections::BTreeMap;

use crypto::Digest;
use evidence::fact::Source;
use evidence::outcome::Reason;
use evidence::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Unobservable;
use crate::host::{DirEntry, Host, HostError, MAX_FILE_BYTES, Program, ProgramOutput, Stat, units};

/// Most sources kept for one probe; the rest is counted in a last line.
const MAX_SOURCES: usize = 64;

/// What a probe must remember from one round to the next, such as when an update was first seen pending.
pub trait Memory {
    /// What was remembered under `key`.
    fn recall(&self, key: &str) -> Option<Value>;
    /// Remembers `value` under `key` in place of what was there.
    fn remember(&mut self, key: &str, value: Value);
    /// Whether a next look goes on where this one stops, so that work may be left for it.
    fn goes_on(&self) -> bool {
        false
    }
}

/// A memory that ends with the process.
#[derive(Debug, Default)]
pub struct VolatileMemory(BTreeMap<String, Value>);

impl Memory for VolatileMemory {
    fn recall(&self, key: &str) -> Option<Value> {
        self.0.get(key).cloned()
    }

    fn remember(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }
}

/// A probe's view of a host during one round.
pub struct Observation<'h> {
    host: &'h dyn Host,
    memory: &'h mut dyn Memory,
    probe: &'static str,
    now: Timestamp,
    sources: Vec<Source>,
    more_sources: usize,
}

impl<'h> Observation<'h> {
    /// A view of `host` for the probe named.
    pub fn new(
        host: &'h dyn Host,
        memory: &'h mut dyn Memory,
        probe: &'static str,
        now: Timestamp,
    ) -> Observation<'h> {
        Observation {
            host,
            memory,
            probe,
            now,
            sources: Vec::new(),
            more_sources: 0,
        }
    }

    /// The host itself, for reads that are no source of their own (a walk over `/proc`); see [`Observation::note`].
    #[must_use]
    pub fn host(&self) -> &'h dyn Host {
        self.host
    }

    /// Whether kernel and services can be asked.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.host.is_live()
    }

    /// The round's wall clock: only to stamp what was first seen now. Facts hold no ages.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What only a running kernel can tell: an error of reason `offline_root` on an unpacked root.
    ///
    /// # Errors
    /// [`Unobservable`] on an unpacked root.
    pub fn require_live(&self, what: &str) -> Result<(), Unobservable> {
        if self.is_live() {
            Ok(())
        } else {
            Err(HostError::OfflineRoot(what.to_owned()).into())
        }
    }

    /// The content of a file as text, with its time and digest as source; `None` if it does not exist. In tables of the
    /// kernel, which hold names that users chose, bytes outside UTF-8 are replaced: no name makes a table unreadable.
    ///
    /// # Errors
    /// [`Unobservable`] if it exists but cannot be read, is larger than [`MAX_FILE_BYTES`] or is no UTF-8.
    pub fn text(&mut self, path: &str) -> Result<Option<String>, Unobservable> {
        let Some(bytes) = self.bytes(path, MAX_FILE_BYTES)? else {
            return Ok(None);
        };
        if is_kernel_path(path) {
            return Ok(Some(replacing(bytes)));
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Unobservable::unparsable(path, "not UTF-8"))
    }

    /// As [`Observation::text`] for a file that must exist.
    ///
    /// # Errors
    /// [`Unobservable`] also if it does not exist, with reason `missing`.
    pub fn required_text(&mut self, path: &str) -> Result<String, Unobservable> {
        self.text(path)?
            .ok_or_else(|| Unobservable::new(Reason::Missing, format!("{path} does not exist")))
    }

    /// The content of a file with its time and digest as source; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Unobservable`] if it exists but cannot be read or is larger than `limit`.
    pub fn bytes(&mut self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Unobservable> {
        let found = absent_is_none(self.host.read(path, limit))?;
        let digest = found
            .as_ref()
            .filter(|_| !is_kernel_path(path))
            .map(|bytes| Digest::of(bytes).to_hex());
        self.add_file(path, digest, found.is_some());
        Ok(found)
    }

    /// As [`Observation::text`], but no digest of the content is kept: for secrets and personal data. Bytes outside UTF-8
    /// are replaced: every user may write them into /etc/passwd with chfn(1).
    ///
    /// # Errors
    /// [`Unobservable`] if it exists but cannot be read or is larger than [`MAX_FILE_BYTES`].
    pub fn secret_text(&mut self, path: &str) -> Result<Option<String>, Unobservable> {
        let found = absent_is_none(self.host.read_secret(path, MAX_FILE_BYTES))?;
        self.add_file(path, None, found.is_some());
        Ok(found.map(replacing))
    }

    /// As [`Observation::bytes`], but no digest is kept and the content is wiped when it is dropped: for password files.
    ///
    /// # Errors
    /// As [`Observation::bytes`].
    pub fn secret_bytes(
        &mut self,
        path: &str,
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Unobservable> {
        let found = absent_is_none(self.host.read_secret(path, limit))?;
        self.add_file(path, None, found.is_some());
        Ok(found.map(Zeroizing::new))
    }

    /// Names in a directory in byte order; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Unobservable`] if it exists but cannot be listed.
    pub fn list(&mut self, path: &str) -> Result<Option<Vec<DirEntry>>, Unobservable> {
        let found = absent_is_none(self.host.list(path))?;
        self.add_file(path, None, found.is_some());
        Ok(found)
    }

    /// Status of what `path` leads to; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Unobservable`] if the agent may not look.
    pub fn stat(&mut self, path: &str) -> Result<Option<Stat>, Unobservable> {
        let found = absent_is_none(self.host.stat(path))?;
        self.add_file(path, None, found.is_some());
        Ok(found)
    }

    /// Runs a program, with its command line as source; `None` if it is not installed.
    ///
    /// # Errors
    /// [`Unobservable`] on an unpacked root, after a time-out or for too much output.
    pub fn run(&mut self, program: &Program) -> Result<Option<ProgramOutput>, Unobservable> {
        let found = self.host.run(program);
        self.told(program, found)
    }

    fn told(
        &mut self,
        program: &Program,
        found: Result<ProgramOutput, HostError>,
    ) -> Result<Option<ProgramOutput>, Unobservable> {
        match found {
            Ok(output) => {
                self.note(&program.line());
                Ok(Some(output))
            }
            Err(HostError::ToolMissing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Observation::run`] of the program that answers for these units of systemd.
    ///
    /// # Errors
    /// As [`Observation::run`].
    pub fn show_units(&mut self, names: &[&str]) -> Result<Option<ProgramOutput>, Unobservable> {
        let found = self.host.show_units(names);
        self.told(&units::query(names), found)
    }

    /// Names a source that was read through [`Observation::host`].
    pub fn note(&mut self, at: &str) {
        self.add(Source {
            at: at.to_owned(),
            mtime: None,
            sha256: None,
        });
    }

    /// Whether work may be left for the next round: nobody waits for this one to be complete.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.memory.goes_on()
    }

    /// What this probe remembered under `key`, if it still has that form.
    #[must_use]
    pub fn recall<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.memory.recall(&format!("{}/{key}", self.probe))?).ok()
    }

    /// Remembers `value` for the next round of this probe.
    pub fn remember<T: Serialize>(&mut self, key: &str, value: &T) {
        if let Ok(value) = serde_json::to_value(value) {
            self.memory
                .remember(&format!("{}/{key}", self.probe), value);
        }
    }

    fn add_file(&mut self, path: &str, sha256: Option<String>, exists: bool) {
        let stat = if exists && !is_kernel_path(path) {
            self.host.stat(path).ok()
        } else {
            None
        };
        let at = if exists {
            path.to_owned()
        } else {
            format!("{path} (absent)")
        };
        self.add(Source {
            at,
            mtime: stat.map(|stat| stat.mtime),
            sha256,
        });
    }

    fn add(&mut self, source: Source) {
        if self.sources.iter().any(|known| known.at == source.at) {
            return;
        }
        if self.sources.len() < MAX_SOURCES {
            self.sources.push(source);
        } else {
            self.more_sources += 1;
        }
    }

    pub(super) fn take_sources(&mut self) -> Vec<Source> {
        let mut sources = std::mem::take(&mut self.sources);
        if self.more_sources > 0 {
            sources.push(Source {
                at: format!("and {} more", self.more_sources),
                mtime: None,
                sha256: None,
            });
        }
        sources
    }
}

/// Kernel interfaces have no times or digests worth keeping: they would differ at each reading.
fn is_kernel_path(path: &str) -> bool {
    path.starts_with("/proc/") || path.starts_with("/sys/")
}

fn replacing(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn absent_is_none<T>(found: Result<T, HostError>) -> Result<Option<T>, Unobservable> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
