//! A host whose every answer is also shown to a witness: what a probe really read, without any probe listing it.
//!
//! Two witnesses exist: one keeps the places, so that the kernel can be asked to say when they change
//! ([`crate::watch`]), one keeps the answers, so that they can be given again ([`crate::record`]).

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::{
    AllowedFile, AuditStatus, ClockState, Conversation, DirEntry, Host, HostError, Program,
    ProgramOutput, Space, Stat, WalkPlan, Walked, units,
};

/// Which part of a file an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its end.
    Tail,
    /// From this byte on.
    From(u64),
}

/// One answer of a host.
#[derive(Debug)]
pub enum Answer<'a> {
    /// Content of a file. `secret` if its reader never lets the content, or a digest of it, leave the host.
    Content {
        /// Which part.
        part: Part,
        /// Read as a secret.
        secret: bool,
        /// The bytes.
        bytes: Result<&'a [u8], &'a HostError>,
    },
    /// A file was opened as a stream; what is read of it follows as content.
    Opened(Option<&'a HostError>),
    /// The names in a directory.
    Listed(Result<&'a [DirEntry], &'a HostError>),
    /// Status, of what a link leads to or of the link itself.
    Status {
        /// Links were followed to the end.
        follow: bool,
        /// The status.
        stat: Result<Stat, &'a HostError>,
    },
    /// The target of a link.
    Link(Result<&'a str, &'a HostError>),
    /// An extended attribute.
    Attribute {
        /// Its name.
        name: &'a str,
        /// Its value, if the file has it.
        value: Result<Option<&'a [u8]>, &'a HostError>,
    },
}

/// An answer of the kernel that has no path.
#[derive(Debug)]
pub enum KernelAnswer<'a> {
    /// The clock discipline.
    Clock(Result<ClockState, &'a HostError>),
    /// The audit status.
    Audit(Result<AuditStatus, &'a HostError>),
    /// The audit rules.
    AuditRules(Result<&'a [String], &'a HostError>),
    /// Room on the file system of a path.
    Space {
        /// The path.
        path: &'a str,
        /// The room.
        space: Result<Space, &'a HostError>,
    },
}

/// Whoever is shown the answers.
pub trait Witness: Send {
    /// The host answered about a path.
    fn path(&mut self, path: &str, answer: Answer<'_>);
    /// A program of the host ran, or did not.
    fn program(&mut self, program: &Program, output: Result<&ProgramOutput, &HostError>);
    /// File systems were walked.
    fn walked(&mut self, walked: Result<&Walked, &HostError>);
    /// The kernel answered.
    fn kernel(&mut self, answer: KernelAnswer<'_>);
}

/// A host with a witness.
pub struct Traced<'h> {
    inner: &'h dyn Host,
    witness: Mutex<&'h mut dyn Witness>,
}

impl<'h> Traced<'h> {
    /// Shows every answer of `inner` to `witness`.
    pub fn new(inner: &'h dyn Host, witness: &'h mut dyn Witness) -> Traced<'h> {
        Traced {
            inner,
            witness: Mutex::new(witness),
        }
    }

    fn tell(&self, path: &str, answer: Answer<'_>) {
        self.witness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .path(path, answer);
    }

    fn content(
        &self,
        path: &str,
        part: Part,
        secret: bool,
        found: Result<Vec<u8>, HostError>,
    ) -> Result<Vec<u8>, HostError> {
        let bytes = found.as_deref();
        self.tell(
            path,
            Answer::Content {
                part,
                secret,
                bytes,
            },
        );
        found
    }

    fn tell_kernel(&self, answer: KernelAnswer<'_>) {
        self.witness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .kernel(answer);
    }
}

/// A stream that shows what is read of it.
struct Tee<'t, 'h> {
    inner: Box<dyn Read + 't>,
    host: &'t Traced<'h>,
    path: String,
    at: u64,
}

impl Read for Tee<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let bytes = Ok(buffer.get(..length).unwrap_or_default());
        let part = Part::From(self.at);
        let secret = false;
        self.host.tell(
            &self.path,
            Answer::Content {
                part,
                secret,
                bytes,
            },
        );
        self.at += length as u64;
        Ok(length)
    }
}

impl Host for Traced<'_> {
    fn is_live(&self) -> bool {
        self.inner.is_live()
    }

    fn allowed_settings(&self) -> &[AllowedFile] {
        self.inner.allowed_settings()
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        self.content(path, Part::Whole, false, self.inner.read(path, limit))
    }

    fn read_secret(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        self.content(path, Part::Whole, true, self.inner.read_secret(path, limit))
    }

    fn read_beneath(
        &self,
        directory: &str,
        path: &str,
        limit: usize,
    ) -> Result<Vec<u8>, HostError> {
        let full = format!("{}/{path}", directory.trim_end_matches('/'));
        let found = self.inner.read_beneath(directory, path, limit);
        self.content(&full, Part::Whole, false, found)
    }

    fn read_tail(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        self.content(path, Part::Tail, false, self.inner.read_tail(path, limit))
    }

    fn read_head(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let found = self.inner.read_head(path, limit);
        self.content(path, Part::From(0), false, found)
    }

    fn read_at(&self, path: &str, offset: u64, limit: usize) -> Result<Vec<u8>, HostError> {
        let found = self.inner.read_at(path, offset, limit);
        self.content(path, Part::From(offset), false, found)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + '_>, HostError> {
        let found = self.inner.open(path);
        self.tell(path, Answer::Opened(found.as_ref().err()));
        Ok(Box::new(Tee {
            inner: found?,
            host: self,
            path: path.to_owned(),
            at: 0,
        }))
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, HostError> {
        let found = self.inner.list(path);
        self.tell(path, Answer::Listed(found.as_deref()));
        found
    }

    fn stat(&self, path: &str) -> Result<Stat, HostError> {
        let found = self.inner.stat(path);
        let stat = found.as_ref().copied();
        self.tell(path, Answer::Status { follow: true, stat });
        found
    }

    fn lstat(&self, path: &str) -> Result<Stat, HostError> {
        let found = self.inner.lstat(path);
        let stat = found.as_ref().copied();
        self.tell(
            path,
            Answer::Status {
                follow: false,
                stat,
            },
        );
        found
    }

    fn read_link(&self, path: &str) -> Result<String, HostError> {
        let found = self.inner.read_link(path);
        self.tell(path, Answer::Link(found.as_deref()));
        found
    }

    fn xattr(&self, path: &str, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        let found = self.inner.xattr(path, name);
        let value = found.as_ref().map(Option::as_deref);
        self.tell(path, Answer::Attribute { name, value });
        found
    }

    fn run(&self, program: &Program) -> Result<ProgramOutput, HostError> {
        let found = self.inner.run(program);
        self.witness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .program(program, found.as_ref());
        found
    }

    fn expect_units(&self, names: &[&str]) {
        self.inner.expect_units(names);
    }

    fn show_units(&self, names: &[&str]) -> Result<ProgramOutput, HostError> {
        let found = self.inner.show_units(names);
        self.witness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .program(&units::query(names), found.as_ref());
        found
    }

    fn walk(&self, plan: &WalkPlan, before: Walked) -> Result<Walked, HostError> {
        let found = self.inner.walk(plan, before);
        self.witness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .walked(found.as_ref());
        found
    }

    fn space(&self, path: &str) -> Result<Space, HostError> {
        let found = self.inner.space(path);
        let space = found.as_ref().copied();
        self.tell_kernel(KernelAnswer::Space { path, space });
        found
    }

    fn may_connect(&self) -> bool {
        self.inner.may_connect()
    }

    // No witness is told: what is watched are files, and a recording is made without connecting.
    fn converse(&self, conversation: &Conversation) -> Result<Vec<u8>, HostError> {
        self.inner.converse(conversation)
    }

    fn clock_state(&self) -> Result<ClockState, HostError> {
        let found = self.inner.clock_state();
        self.tell_kernel(KernelAnswer::Clock(found.as_ref().copied()));
        found
    }

    fn audit_status(&self) -> Result<AuditStatus, HostError> {
        let found = self.inner.audit_status();
        self.tell_kernel(KernelAnswer::Audit(found.as_ref().copied()));
        found
    }

    fn audit_rules(&self) -> Result<Vec<String>, HostError> {
        let found = self.inner.audit_rules();
        self.tell_kernel(KernelAnswer::AuditRules(found.as_deref()));
        found
    }
}
