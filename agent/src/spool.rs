//! Statements that have no receipt yet, one file each.
//!
//! **The file of number n is the commit of number n.** It is written under a temporary name, synced, renamed and its
//! folder synced before anyone may send it; a number is used again only if its file never came to be. A name is
//! `<number, 20 digits>-<SHA-256 of the content>.statement`: names sort by number, and damage shows without a key. The
//! content is a submission (`wire::submission`): signatures, payload, and the facts that travel with it.
//!
//! **Bounded in bytes and in age.** The chain fixes what may be given up: a gap takes the number after the last one it
//! declares lost and names the statement before the first, so what is given up is always a run up to the newest. And the
//! oldest statement is never given up: its answer may have been lost on the way, and a gap over a statement that is in
//! the log would be a fork. Hence the one rule ([`room`]): if a new statement does not fit, the older half of the bound
//! is kept and everything newer is dropped under a signed gap; if what is second oldest is older than the bound on age,
//! everything but the oldest is dropped. A collector that comes back thus finds the beginning of its absence, a gap that
//! says what is missing, and the newest. Where even that does not fit, nothing is signed, which shows as missing rounds.
//!
//! **What a kill leaves behind.** A temporary file: removed at the next start, its number was never used. A gap beside
//! what it declares lost (the gap is written first): the rest of the dropping is done at the next start. A statement that
//! was acknowledged but not removed: removed at the next start. A damaged or missing file: everything from there on is
//! declared lost by a gap of reason `damaged` ([`Spool::damage`]), files that are there go to `quarantine/` for a person.
//! One loss cannot be told from here: a damaged oldest statement that was delivered, but whose answer was lost. The
//! collector then refuses the gap, and the agent holds everything and says so.

mod room;

use std::collections::BTreeMap;
use std::fs;

use crypto::Digest;
use evidence::time::Timestamp;
use wire::statement::{AgentStatement, StatementError};
use wire::submission::{MAX_SUBMISSION_BYTES, Submission, SubmissionError};

use crate::state::{StateDir, StateError, TEMPORARY};

pub use room::{Bounds, Kept, Room, room};

const ENDING: &str = ".statement";
const SPOOL: &str = "spool";
const QUARANTINE: &str = "quarantine";

/// Why the spool did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file.
    #[error(transparent)]
    State(#[from] StateError),
    /// A statement whose file is not what was written.
    #[error("statement {seq} in the spool is damaged")]
    Damaged {
        /// Its number.
        seq: u64,
    },
    /// A statement could neither be made durable nor taken back.
    #[error("the spool could not sync its folder; start the agent again once the disk is well")]
    Unsure,
}

/// Why a file holds no statement of its number.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("not the content that its name says")]
    Digest,
    #[error(transparent)]
    Submission(#[from] SubmissionError),
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error("another number than its name says")]
    Number,
}

/// A file of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    bytes: u64,
    made: Timestamp,
    /// First number it stands for: its own, or that of the gap it declares.
    first: u64,
    /// Digest of its pre-authentication encoding.
    pae: Digest,
}

/// A statement as it lies in the spool.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its number.
    pub seq: u64,
    /// What it says.
    pub statement: AgentStatement,
    /// What is sent.
    pub submission: Submission,
    /// The same as bytes.
    pub bytes: Vec<u8>,
}

/// Numbers that cannot be delivered any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// First.
    pub from: u64,
    /// Last.
    pub to: u64,
}

/// The statements without receipt, oldest first.
#[derive(Debug)]
pub struct Spool {
    folder: StateDir,
    quarantine: StateDir,
    bounds: Bounds,
    entries: BTreeMap<u64, Entry>,
    /// Names found damaged at start, by number; they are moved once a gap covers them.
    damaged: BTreeMap<u64, String>,
    unsure: bool,
}

impl Spool {
    /// The spool of a state folder, without what is acknowledged through number `acknowledged`.
    ///
    /// # Errors
    /// [`SpoolError::State`] if the folder cannot be read or cleaned.
    pub fn open(state: &StateDir, bounds: Bounds, acknowledged: u64) -> Result<Spool, SpoolError> {
        let folder = state.folder(SPOOL)?;
        let quarantine = folder.folder(QUARANTINE)?;
        let mut spool = Spool {
            folder,
            quarantine,
            bounds,
            entries: BTreeMap::new(),
            damaged: BTreeMap::new(),
            unsure: false,
        };
        let mut gaps = Vec::new();
        for name in spool.folder.names()? {
            if name.ends_with(TEMPORARY) {
                spool.folder.remove(&name)?;
            } else if let Some(seq) = number(&name) {
                if seq <= acknowledged {
                    spool.folder.remove(&name)?;
                } else {
                    gaps.extend(spool.take_in(seq, name)?);
                }
            }
        }
        for (from, to) in gaps {
            spool.remove(from, to)?;
        }
        Ok(spool)
    }

    /// Number of statements above number `acknowledged`, their bytes, and when the oldest was made, for people: changes
    /// nothing, and may run beside an agent.
    ///
    /// # Errors
    /// [`SpoolError::State`] if the folder cannot be read.
    pub fn look(
        state: &StateDir,
        acknowledged: u64,
    ) -> Result<(usize, u64, Option<Timestamp>), SpoolError> {
        let folder = state.folder(SPOOL)?;
        let (mut statements, mut bytes, mut oldest) = (0, 0, None);
        for name in folder.names()? {
            if number(&name).is_some_and(|seq| seq > acknowledged) {
                statements += 1;
                bytes += fs::metadata(folder.file(&name)).map_or(0, |file| file.len());
                oldest = oldest.or_else(|| Some(made(&folder, &name)));
            }
        }
        Ok((statements, bytes, oldest))
    }

    /// Takes a file found at start into the index; returns the range if it is a gap.
    fn take_in(&mut self, seq: u64, name: String) -> Result<Option<(u64, u64)>, SpoolError> {
        let bytes = self.folder.read(&name, MAX_SUBMISSION_BYTES as u64);
        let stored = match bytes {
            Ok(bytes) => decode(seq, &name, bytes.unwrap_or_default()),
            Err(StateError::TooLarge { .. }) => Err(Unreadable::Digest),
            Err(error) => return Err(error.into()),
        };
        let twice = self.entries.contains_key(&seq) || self.damaged.contains_key(&seq);
        match stored {
            Ok(stored) if !twice => {
                let made = made(&self.folder, &name);
                self.entries.insert(seq, entry(name, &stored, made));
                Ok(match stored.statement {
                    AgentStatement::Gap(gap) => Some((gap.gap.from, gap.gap.to)),
                    _ => None,
                })
            }
            found => {
                let problem = found.err().map(|error| error.to_string());
                tracing::error!(
                    seq,
                    problem,
                    "a statement in the spool is damaged; it will be declared lost"
                );
                self.entries.remove(&seq);
                self.damaged.insert(seq, name);
                Ok(None)
            }
        }
    }

    /// The first break in the run that should follow number `acknowledged`, through the newest number.
    #[must_use]
    pub fn damage(&self, acknowledged: u64) -> Option<Damage> {
        let to = self.last()?;
        let mut next = acknowledged + 1;
        for (seq, entry) in &self.entries {
            if entry.first != next || self.damaged.range(next..=*seq).next().is_some() {
                return Some(Damage { from: next, to });
            }
            next = seq + 1;
        }
        (next <= to).then_some(Damage { from: next, to })
    }

    /// The newest number, damaged ones included.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        let damaged = self.damaged.keys().next_back();
        self.entries.keys().next_back().max(damaged).copied()
    }

    /// Number and digest of the newest statement below `seq`.
    #[must_use]
    pub fn before(&self, seq: u64) -> Option<(u64, Digest)> {
        self.entries
            .range(..seq)
            .next_back()
            .map(|(seq, entry)| (*seq, entry.pae))
    }

    /// Number of statements, their bytes, and when the oldest was made.
    #[must_use]
    pub fn load(&self) -> (usize, u64, Option<Timestamp>) {
        let bytes = self.entries.values().map(|entry| entry.bytes).sum();
        let oldest = self.entries.values().next().map(|entry| entry.made);
        (self.entries.len(), bytes, oldest)
    }

    /// Whether a statement of `needed` bytes has room, and what to give up if not.
    #[must_use]
    pub fn room(&self, needed: u64, now: Timestamp) -> Room {
        let kept: Vec<Kept> = self
            .entries
            .values()
            .map(|entry| Kept {
                first: entry.first,
                bytes: entry.bytes,
                made: entry.made,
            })
            .collect();
        room(&kept, needed, self.bounds, now)
    }

    /// Puts a statement in, durably, before it returns. Its number is used from then on.
    ///
    /// # Errors
    /// [`SpoolError`]; the statement is then not in the spool and its number not used.
    pub fn push(&mut self, stored: &Stored, now: Timestamp) -> Result<(), SpoolError> {
        if self.unsure {
            return Err(SpoolError::Unsure);
        }
        let digest = Digest::of(&stored.bytes);
        let name = format!("{:020}-{digest}{ENDING}", stored.seq);
        if let Err(error) = self.folder.write(&name, &stored.bytes) {
            // The name may be there but not durable: a number must not be half used.
            self.unsure = self.folder.remove(&name).is_err() || self.folder.sync().is_err();
            return Err(error.into());
        }
        self.entries.insert(stored.seq, entry(name, stored, now));
        Ok(())
    }

    /// The oldest statement.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] if its file is not what was written.
    pub fn oldest(&self) -> Result<Option<Stored>, SpoolError> {
        let Some((seq, entry)) = self.entries.iter().next() else {
            return Ok(None);
        };
        let bytes = self.folder.read(&entry.name, MAX_SUBMISSION_BYTES as u64)?;
        decode(*seq, &entry.name, bytes.unwrap_or_default())
            .map(Some)
            .map_err(|_| SpoolError::Damaged { seq: *seq })
    }

    /// Remembers that a file turned out damaged after the start.
    pub fn mark_damaged(&mut self, seq: u64) {
        if let Some(entry) = self.entries.remove(&seq) {
            self.damaged.insert(seq, entry.name);
        }
    }

    /// Removes the statements from `from` through `to`, whose receipts or whose gap are safe on disk.
    ///
    /// # Errors
    /// [`SpoolError::State`] if a file stays; the next start tries again.
    pub fn remove(&mut self, from: u64, to: u64) -> Result<(), SpoolError> {
        while let Some((seq, name)) = self.first_in(from, to) {
            self.folder.remove(&name)?;
            self.forget(seq);
        }
        Ok(())
    }

    /// Sets the statements from `from` through `to` aside for a person; a gap declares them lost.
    ///
    /// # Errors
    /// [`SpoolError::State`] if a file stays; the next start removes it.
    pub fn set_aside(&mut self, from: u64, to: u64) -> Result<(), SpoolError> {
        while let Some((seq, name)) = self.first_in(from, to) {
            let (old, new) = (self.folder.file(&name), self.quarantine.file(&name));
            if let Err(error) = fs::rename(&old, &new)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(StateError::io("set aside", &old)(error).into());
            }
            self.forget(seq);
        }
        self.bound_quarantine()
    }

    fn first_in(&self, from: u64, to: u64) -> Option<(u64, String)> {
        let good = self.entries.range(from..=to).next();
        let good = good.map(|(seq, entry)| (*seq, entry.name.clone()));
        let bad = self.damaged.range(from..=to).next();
        good.or_else(|| bad.map(|(seq, name)| (*seq, name.clone())))
    }

    fn forget(&mut self, seq: u64) {
        self.entries.remove(&seq);
        self.damaged.remove(&seq);
    }

    /// The quarantine takes a quarter of the bound at most; the oldest in it go first, and are told of.
    fn bound_quarantine(&self) -> Result<(), SpoolError> {
        let mut total = 0;
        for name in self.quarantine.names()?.iter().rev() {
            let size = fs::metadata(self.quarantine.file(name)).map_or(0, |file| file.len());
            total += size;
            if total > self.bounds.max_bytes / 4 {
                tracing::warn!(
                    file = name.as_str(),
                    "removed from the quarantine, which is full"
                );
                self.quarantine.remove(name)?;
            }
        }
        Ok(())
    }
}

fn entry(name: String, stored: &Stored, made: Timestamp) -> Entry {
    Entry {
        name,
        bytes: stored.bytes.len() as u64,
        made,
        first: match &stored.statement {
            AgentStatement::Gap(gap) => gap.gap.from,
            _ => stored.seq,
        },
        pae: stored.submission.envelope.digest(),
    }
}

/// When a file found at start was made; a time that cannot be told is the epoch, so that the bound on age still holds.
fn made(folder: &StateDir, name: &str) -> Timestamp {
    use std::os::unix::fs::MetadataExt as _;
    let seconds = fs::metadata(folder.file(name)).map_or(0, |file| file.mtime());
    Timestamp::from_unix_seconds(seconds)
}

fn number(name: &str) -> Option<u64> {
    let (number, digest) = name.strip_suffix(ENDING)?.split_once('-')?;
    let shaped = number.len() == 20 && digest.len() == 64;
    shaped
        .then(|| number.parse().ok())
        .flatten()
        .filter(|n| *n > 0 && *n < u64::MAX)
}

fn decode(seq: u64, name: &str, bytes: Vec<u8>) -> Result<Stored, Unreadable> {
    let digest = name
        .strip_suffix(ENDING)
        .and_then(|name| name.split_once('-'))
        .map_or("", |(_, digest)| digest);
    if Digest::of(&bytes).to_hex() != digest {
        return Err(Unreadable::Digest);
    }
    let submission = Submission::parse(&bytes)?;
    let statement = AgentStatement::parse(&submission.envelope.payload)?;
    if statement.common().chain.seq != seq {
        return Err(Unreadable::Number);
    }
    Ok(Stored {
        seq,
        statement,
        submission,
        bytes,
    })
}
