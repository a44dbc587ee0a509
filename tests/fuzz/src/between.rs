//! A host between a probe and a recorded host: it either notes what was asked and answered, or gives a hostile answer to
//! one question and leaves all others to the recording.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use agent::host::{
    AllowedFile, AuditStatus, ClockState, Conversation, DirEntry, FileKind, Host, HostError,
    Program, ProgramOutput, RecordedHost, Space, Stat, WalkPlan, Walked,
};

use crate::place::Question;

/// Most bytes of one answer that are noted: longer ones are cut, which is hostile enough.
pub const MAX_NOTED_BYTES: usize = 64 * 1024;

/// What was asked, with the answers; `None` where the recording has none.
pub type Asked = BTreeMap<Question, Option<Vec<u8>>>;

enum Part<'h> {
    Note(Mutex<Asked>),
    Say {
        question: &'h Question,
        bytes: &'h [u8],
        asked: AtomicBool,
    },
}

/// A recorded host with somebody in between.
pub struct Between<'h> {
    host: &'h RecordedHost,
    part: Part<'h>,
}

impl<'h> Between<'h> {
    /// Notes what is asked.
    #[must_use]
    pub fn noting(host: &'h RecordedHost) -> Between<'h> {
        let part = Part::Note(Mutex::default());
        Between { host, part }
    }

    /// Answers `question` with `bytes`.
    #[must_use]
    pub fn saying(host: &'h RecordedHost, question: &'h Question, bytes: &'h [u8]) -> Between<'h> {
        let asked = AtomicBool::new(false);
        let part = Part::Say {
            question,
            bytes,
            asked,
        };
        Between { host, part }
    }

    /// What was asked, if it was noted.
    #[must_use]
    pub fn asked(self) -> Asked {
        match self.part {
            Part::Note(asked) => asked.into_inner().unwrap_or_else(PoisonError::into_inner),
            Part::Say { .. } => Asked::new(),
        }
    }

    /// Whether the hostile answer was given at all.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        match &self.part {
            Part::Note(_) => false,
            Part::Say { asked, .. } => asked.load(Ordering::Relaxed),
        }
    }

    /// The hostile answer, if this is its question.
    fn instead(&self, asked: Question, real: impl FnOnce() -> Option<Vec<u8>>) -> Option<&'h [u8]> {
        match &self.part {
            Part::Say {
                question,
                bytes,
                asked: flag,
            } if **question == asked => {
                flag.store(true, Ordering::Relaxed);
                Some(bytes)
            }
            Part::Say { .. } => None,
            Part::Note(noted) => {
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.entry(asked).or_insert_with(real);
                None
            }
        }
    }

    fn content(&self, path: &str) -> Option<&'h [u8]> {
        let real = || self.host.read_head(path, MAX_NOTED_BYTES).ok();
        self.instead(Question::Content(path.to_owned()), real)
    }

    /// Status of a file whose content is the hostile one: as recorded, but as long as that content.
    fn status(&self, path: &str, found: Result<Stat, HostError>) -> Result<Stat, HostError> {
        let Part::Say {
            question: Question::Content(said),
            bytes,
            ..
        } = &self.part
        else {
            return found;
        };
        if said != path {
            return found;
        }
        let size = bytes.len() as u64;
        match found {
            Ok(stat) if stat.kind == FileKind::Regular => Ok(Stat { size, ..stat }),
            Err(HostError::NotFound(_)) => Ok(Stat {
                kind: FileKind::Regular,
                mode: 0o644,
                uid: 0,
                gid: 0,
                size,
                mtime: self.host.now(),
                ctime: self.host.now(),
                device: (8, 1),
            }),
            found => found,
        }
    }
}

fn whole(path: &str, bytes: &[u8], limit: usize) -> Result<Vec<u8>, HostError> {
    if bytes.len() > limit {
        Err(HostError::TooLarge(path.to_owned(), limit))
    } else {
        Ok(bytes.to_vec())
    }
}

/// Names as a kernel can give them: in order, no name twice, neither `.` nor `..`, no slash.
fn entries(bytes: &[u8]) -> Vec<DirEntry> {
    let mut entries: BTreeMap<String, FileKind> = BTreeMap::new();
    for line in String::from_utf8_lossy(bytes).split('\n') {
        let (name, kind) = match line.char_indices().next_back() {
            Some((at, '/')) => (line.get(..at), FileKind::Directory),
            Some((at, '@')) => (line.get(..at), FileKind::Link),
            Some((at, '|')) => (line.get(..at), FileKind::Other),
            _ => (Some(line), FileKind::Regular),
        };
        let name = name.unwrap_or_default().replace(['/', '\0'], "_");
        if !matches!(name.as_str(), "" | "." | "..") && name.len() <= 255 {
            entries.insert(name, kind);
        }
    }
    entries
        .into_iter()
        .map(|(name, kind)| DirEntry { name, kind })
        .collect()
}

fn listing(entries: &[DirEntry]) -> Vec<u8> {
    let line = |entry: &DirEntry| {
        let mark = match entry.kind {
            FileKind::Regular | FileKind::Block => "",
            FileKind::Directory => "/",
            FileKind::Link => "@",
            FileKind::Other => "|",
        };
        format!("{}{mark}", entry.name)
    };
    let lines: Vec<String> = entries.iter().map(line).collect();
    lines.join("\n").into_bytes()
}

impl Host for Between<'_> {
    fn is_live(&self) -> bool {
        self.host.is_live()
    }

    fn allowed_settings(&self) -> &[AllowedFile] {
        self.host.allowed_settings()
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        match self.content(path) {
            Some(bytes) => whole(path, bytes, limit),
            None => self.host.read(path, limit),
        }
    }

    fn read_beneath(
        &self,
        directory: &str,
        path: &str,
        limit: usize,
    ) -> Result<Vec<u8>, HostError> {
        let full = format!("{}/{path}", directory.trim_end_matches('/'));
        match self.content(&full) {
            Some(bytes) => whole(&full, bytes, limit),
            None => self.host.read_beneath(directory, path, limit),
        }
    }

    fn read_tail(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        match self.content(path) {
            Some(bytes) => {
                let start = bytes.len().saturating_sub(limit);
                Ok(bytes.get(start..).unwrap_or_default().to_vec())
            }
            None => self.host.read_tail(path, limit),
        }
    }

    fn read_head(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        match self.content(path) {
            Some(bytes) => Ok(bytes.get(..limit).unwrap_or(bytes).to_vec()),
            None => self.host.read_head(path, limit),
        }
    }

    fn read_at(&self, path: &str, offset: u64, limit: usize) -> Result<Vec<u8>, HostError> {
        match self.content(path) {
            Some(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                Ok(rest.get(..limit).unwrap_or(rest).to_vec())
            }
            None => self.host.read_at(path, offset, limit),
        }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + '_>, HostError> {
        match self.content(path) {
            Some(bytes) => Ok(Box::new(bytes)),
            None => self.host.open(path),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, HostError> {
        let question = Question::Names(path.to_owned());
        let real = || self.host.list(path).ok().map(|found| listing(&found));
        match self.instead(question, real) {
            Some(bytes) => Ok(entries(bytes)),
            None => self.host.list(path),
        }
    }

    fn stat(&self, path: &str) -> Result<Stat, HostError> {
        self.status(path, self.host.stat(path))
    }

    fn lstat(&self, path: &str) -> Result<Stat, HostError> {
        self.status(path, self.host.lstat(path))
    }

    fn read_link(&self, path: &str) -> Result<String, HostError> {
        let question = Question::Link(path.to_owned());
        let real = || self.host.read_link(path).ok().map(String::into_bytes);
        match self.instead(question, real) {
            Some(bytes) => {
                let target = String::from_utf8_lossy(bytes).replace('\0', "_");
                Ok(target.chars().take(1023).collect())
            }
            None => self.host.read_link(path),
        }
    }

    fn xattr(&self, path: &str, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        let question = Question::Attribute(name.to_owned(), path.to_owned());
        let real = || self.host.xattr(path, name).ok().flatten();
        match self.instead(question, real) {
            Some(bytes) => Ok(Some(bytes.to_vec())),
            None => self.host.xattr(path, name),
        }
    }

    fn run(&self, program: &Program) -> Result<ProgramOutput, HostError> {
        let real = || self.host.run(program).ok().map(|output| output.stdout);
        match self.instead(Question::Output(program.line()), real) {
            Some(bytes) => Ok(ProgramOutput {
                stdout: bytes.to_vec(),
                ..self.host.run(program).unwrap_or_default()
            }),
            None => self.host.run(program),
        }
    }

    fn walk(&self, plan: &WalkPlan, before: Walked) -> Result<Walked, HostError> {
        self.host.walk(plan, before)
    }

    fn space(&self, path: &str) -> Result<Space, HostError> {
        self.host.space(path)
    }

    fn may_connect(&self) -> bool {
        self.host.may_connect()
    }

    fn converse(&self, conversation: &Conversation) -> Result<Vec<u8>, HostError> {
        let real = || self.host.converse(conversation).ok();
        match self.instead(Question::Reply(conversation.label()), real) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => self.host.converse(conversation),
        }
    }

    fn clock_state(&self) -> Result<ClockState, HostError> {
        self.host.clock_state()
    }

    fn audit_status(&self) -> Result<AuditStatus, HostError> {
        self.host.audit_status()
    }

    fn audit_rules(&self) -> Result<Vec<String>, HostError> {
        let real = || Some(self.host.audit_rules().ok()?.join("\n").into_bytes());
        match self.instead(Question::AuditRules, real) {
            Some(bytes) => Ok(String::from_utf8_lossy(bytes)
                .lines()
                .map(str::to_owned)
                .collect()),
            None => self.host.audit_rules(),
        }
    }
}
