//! A host from a recording: what probes read, as one TOML document, so that judgements can be repeated anywhere.
//!
//! A recording may build on another (`base`, a path relative to its own) and change single files of it, which keeps a
//! deviation as small as it is. What a recording does not hold does not exist on that host; a program it does not hold is
//! not installed.

mod recording;
mod walk;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::time::Timestamp;
use serde_json::Value;

use super::{
    AllowedFile, AuditStatus, ClockState, Conversation, DirEntry, FileKind, Host, HostError,
    Program, ProgramOutput, Space, Stat, WalkPlan, Walked,
};

pub(crate) use recording::{FileRecord, Kernel, ProgramRecord, Recording};

use recording::Node;

/// In the place of a listener's answer: nothing listens there, though the base says so.
const REFUSED: &str = "refused";

/// A host that answers from memory.
#[derive(Debug, Clone)]
pub struct RecordedHost {
    live: bool,
    now: Timestamp,
    files: BTreeMap<String, Node>,
    programs: BTreeMap<String, ProgramOutput>,
    /// Answers of own listeners; `None` if the agent may not connect.
    connections: Option<BTreeMap<String, Vec<u8>>>,
    kernel: Kernel,
    walked: Option<Walked>,
    settings: Vec<AllowedFile>,
    /// What the recording says its checks must conclude, `"<check>" = "<outcome> <reason>"`.
    pub expect: BTreeMap<String, String>,
    /// Policy of this host's group: parameters in place of those of the default bundle, by check.
    pub params: BTreeMap<String, BTreeMap<String, Value>>,
    /// What is special about this host, for people.
    pub note: String,
}

/// A recording that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("recording {path}: {problem}")]
pub struct RecordingError {
    path: String,
    problem: String,
}

impl RecordedHost {
    /// Reads a recording and what it builds on.
    ///
    /// # Errors
    /// [`RecordingError`] naming the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<RecordedHost, RecordingError> {
        let wrong = |problem: String| RecordingError {
            path: path.display().to_string(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let mut recording: Recording =
            toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for (name, file) in &mut recording.files {
            file.unpack(folder)
                .map_err(|problem| wrong(format!("{name}: {problem}")))?;
        }
        let mut host = match &recording.base {
            Some(base) => RecordedHost::load(&folder.join(base))?,
            None => RecordedHost::empty(),
        };
        host.apply(recording).map_err(wrong)?;
        Ok(host)
    }

    /// A host with nothing on it, live, at 2026-11-24T07:00:00Z.
    #[must_use]
    pub fn empty() -> RecordedHost {
        RecordedHost {
            live: true,
            now: Timestamp::from_unix_seconds(1_795_503_600),
            files: BTreeMap::new(),
            programs: BTreeMap::new(),
            connections: None,
            kernel: Kernel::default(),
            walked: None,
            settings: Vec::new(),
            expect: BTreeMap::new(),
            params: BTreeMap::new(),
            note: String::new(),
        }
    }

    /// The time of the recorded round.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    fn apply(&mut self, recording: Recording) -> Result<(), String> {
        self.live = recording.live.unwrap_or(self.live);
        self.now = recording.now.unwrap_or(self.now);
        self.note = recording.note;
        if !recording.settings.is_empty() {
            self.settings = recording.settings;
        }
        self.expect = recording.expect;
        self.walked = recording.walked.or(self.walked.take());
        for (check, params) in recording.params {
            self.params.entry(check).or_default().extend(params);
        }
        for (path, record) in recording.files {
            if !path.starts_with('/') || (path.len() > 1 && path.ends_with('/')) {
                return Err(format!("{path:?} is no absolute path"));
            }
            if record.absent {
                let below = format!("{path}/");
                self.files
                    .retain(|other, _| *other != path && !other.starts_with(&below));
                continue;
            }
            let base = self.files.remove(&path);
            let node = record
                .node(base, self.now)
                .map_err(|problem| format!("{path}: {problem}"))?;
            self.files.insert(path.clone(), node);
            self.add_parents(&path);
        }
        for (label, answer) in recording.connections.into_iter().flatten() {
            let answers = self.connections.get_or_insert_default();
            if answer == REFUSED {
                answers.remove(&label);
            } else {
                let answer = STANDARD
                    .decode(answer.split_whitespace().collect::<String>())
                    .map_err(|error| format!("{label}: {error}"))?;
                answers.insert(label, answer);
            }
        }
        for (line, record) in recording.programs {
            if record.absent {
                self.programs.remove(&line);
            } else {
                self.programs.insert(
                    line,
                    ProgramOutput {
                        exit: record.exit,
                        stdout: record.stdout.into_bytes(),
                        stderr: record.stderr.into_bytes(),
                    },
                );
            }
        }
        self.kernel.clock = recording.kernel.clock.or(self.kernel.clock);
        self.kernel.audit = recording.kernel.audit.or(self.kernel.audit);
        self.kernel.space.extend(recording.kernel.space);
        self.kernel.audit_rules = recording
            .kernel
            .audit_rules
            .or(self.kernel.audit_rules.take());
        Ok(())
    }

    fn add_parents(&mut self, path: &str) {
        let mut parent = path;
        while let Some((above, _)) = parent.rsplit_once('/') {
            let above = if above.is_empty() { "/" } else { above };
            let directory = FileRecord {
                kind: Some(FileKind::Directory),
                ..FileRecord::default()
            };
            if !self.files.contains_key(above)
                && let Ok(node) = directory.node(None, self.now)
            {
                self.files.insert(above.to_owned(), node);
            }
            if above == "/" {
                break;
            }
            parent = above;
        }
    }

    /// Follows links (all, or all but the last) to a path that is there.
    fn resolve(&self, path: &str, follow_last: bool) -> Result<String, HostError> {
        let mut done: Vec<String> = Vec::new();
        let mut left: Vec<String> = parts(path);
        left.reverse();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            done.push(part);
            let here = format!("/{}", done.join("/"));
            let target = self.files.get(&here).and_then(|node| node.target.as_ref());
            if let Some(target) = target
                && (follow_last || !left.is_empty())
            {
                links += 1;
                if links > 40 {
                    return Err(HostError::NotRegular(path.to_owned()));
                }
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                left.extend(parts(target).into_iter().rev());
            }
        }
        let real = format!("/{}", done.join("/"));
        if self.files.contains_key(&real) {
            Ok(real)
        } else {
            Err(HostError::NotFound(path.to_owned()))
        }
    }

    fn node(&self, path: &str, follow: bool) -> Result<&Node, HostError> {
        let real = self.resolve(path, follow)?;
        self.files
            .get(&real)
            .ok_or_else(|| HostError::NotFound(path.to_owned()))
    }

    fn content(&self, path: &str, kinds: &[FileKind]) -> Result<&[u8], HostError> {
        let node = self.node(path, true)?;
        if node.denied {
            return Err(HostError::Permission(path.to_owned()));
        }
        if kinds.contains(&node.stat.kind) {
            Ok(&node.content)
        } else {
            Err(HostError::NotRegular(path.to_owned()))
        }
    }

    fn require_live(&self, what: &str) -> Result<(), HostError> {
        if self.live {
            Ok(())
        } else {
            Err(HostError::OfflineRoot(what.to_owned()))
        }
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .collect()
}

impl Host for RecordedHost {
    fn is_live(&self) -> bool {
        self.live
    }

    fn allowed_settings(&self) -> &[AllowedFile] {
        &self.settings
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let content = self.content(path, &[FileKind::Regular])?;
        // A recording holds nothing of a file that was longer than its reader takes, but its size.
        let size = match content.len() {
            0 => usize::try_from(self.stat(path)?.size).unwrap_or(usize::MAX),
            length => length,
        };
        if size > limit {
            Err(HostError::TooLarge(path.to_owned(), limit))
        } else {
            Ok(content.to_vec())
        }
    }

    fn read_beneath(
        &self,
        directory: &str,
        path: &str,
        limit: usize,
    ) -> Result<Vec<u8>, HostError> {
        let base = self.resolve(directory, true)?;
        let full = format!("{}/{path}", base.trim_end_matches('/'));
        let mut at = base.trim_end_matches('/').to_owned();
        for part in path.split('/') {
            at = format!("{at}/{part}");
            if part == ".."
                || self
                    .files
                    .get(&at)
                    .is_some_and(|node| node.target.is_some())
            {
                return Err(HostError::NotRegular(full));
            }
        }
        self.read(&full, limit)
    }

    fn read_tail(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let content = self.content(path, &[FileKind::Regular])?;
        Ok(content[content.len().saturating_sub(limit)..].to_vec())
    }

    fn read_head(&self, path: &str, limit: usize) -> Result<Vec<u8>, HostError> {
        let content = self.content(path, &[FileKind::Regular, FileKind::Block])?;
        let size = usize::try_from(self.stat(path)?.size).unwrap_or(usize::MAX);
        let mut head = content[..content.len().min(limit)].to_vec();
        // What a recording leaves off the end of its content is zeros, as in a sparse file.
        head.resize(limit.min(size.max(head.len())), 0);
        Ok(head)
    }

    fn read_at(&self, path: &str, offset: u64, limit: usize) -> Result<Vec<u8>, HostError> {
        let content = self.content(path, &[FileKind::Regular])?;
        let start = usize::try_from(offset).map_or(content.len(), |at| at.min(content.len()));
        let end = start.saturating_add(limit).min(content.len());
        Ok(content[start..end].to_vec())
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + '_>, HostError> {
        Ok(Box::new(self.content(path, &[FileKind::Regular])?))
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, HostError> {
        let real = self.resolve(path, true)?;
        let node = self.node(path, true)?;
        if node.denied {
            return Err(HostError::Permission(path.to_owned()));
        }
        if node.stat.kind != FileKind::Directory {
            return Err(HostError::NotFound(path.to_owned()));
        }
        let below = if real == "/" {
            real
        } else {
            format!("{real}/")
        };
        let inside = self
            .files
            .range(below.clone()..)
            .take_while(|(path, _)| path.starts_with(&below));
        let direct = inside.filter_map(|(path, node)| Some((path.strip_prefix(&below)?, node)));
        let mut entries: Vec<DirEntry> = direct
            .filter(|(name, _)| !name.is_empty() && !name.contains('/'))
            .map(|(name, node)| DirEntry {
                name: name.to_owned(),
                kind: node.stat.kind,
            })
            .collect();
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(entries)
    }

    fn stat(&self, path: &str) -> Result<Stat, HostError> {
        Ok(self.node(path, true)?.stat)
    }

    fn lstat(&self, path: &str) -> Result<Stat, HostError> {
        Ok(self.node(path, false)?.stat)
    }

    fn read_link(&self, path: &str) -> Result<String, HostError> {
        let node = self.node(path, false)?;
        if node.denied && node.target.is_none() {
            return Err(HostError::Permission(path.to_owned()));
        }
        node.target
            .clone()
            .ok_or_else(|| HostError::NotRegular(path.to_owned()))
    }

    fn xattr(&self, path: &str, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(self.node(path, true)?.xattrs.get(name).cloned())
    }

    fn run(&self, program: &Program) -> Result<ProgramOutput, HostError> {
        self.require_live(program.path)?;
        self.programs
            .get(&program.line())
            .cloned()
            .ok_or_else(|| HostError::ToolMissing(program.path.to_owned()))
    }

    fn walk(&self, plan: &WalkPlan, before: Walked) -> Result<Walked, HostError> {
        Ok(match &self.walked {
            Some(walked) => walked.clone(),
            None => walk::walk(&self.files, plan, before),
        })
    }

    fn space(&self, path: &str) -> Result<Space, HostError> {
        self.require_live("the room on a file system")?;
        let found = self.kernel.space.get(path).copied();
        found.ok_or_else(|| HostError::NotFound(path.to_owned()))
    }

    fn may_connect(&self) -> bool {
        self.connections.is_some()
    }

    fn converse(&self, conversation: &Conversation) -> Result<Vec<u8>, HostError> {
        let label = conversation.label();
        let Some(answers) = &self.connections else {
            return Err(HostError::Permission(label));
        };
        answers
            .get(&label)
            .cloned()
            .ok_or_else(|| HostError::Io(label, "connection refused".to_owned()))
    }

    fn clock_state(&self) -> Result<ClockState, HostError> {
        self.require_live("the clock discipline")?;
        self.kernel
            .clock
            .ok_or_else(|| HostError::Permission("the clock discipline".to_owned()))
    }

    fn audit_status(&self) -> Result<AuditStatus, HostError> {
        self.require_live("the audit status")?;
        self.kernel
            .audit
            .ok_or_else(|| HostError::Permission("the audit status".to_owned()))
    }

    fn audit_rules(&self) -> Result<Vec<String>, HostError> {
        self.require_live("the audit rules")?;
        self.kernel
            .audit_rules
            .clone()
            .ok_or_else(|| HostError::Permission("the audit rules".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_changes_its_base() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("base.toml"), "[files.\"/etc/ssh/sshd_config\"]\ntext = \"PermitRootLogin no\\n\"\n[files.\"/etc/link\"]\nlink = \"ssh\"\n[programs.\"/usr/bin/id -u\"]\nstdout = \"0\\n\"\n").unwrap();
        std::fs::write(directory.path().join("deviation.toml"), "base = \"base.toml\"\n[files.\"/etc/ssh/sshd_config\"]\nreplace = [[\"no\", \"yes\"]]\nmode = \"0600\"\n").unwrap();
        let host = RecordedHost::load(&directory.path().join("deviation.toml")).unwrap();
        assert_eq!(
            host.read("/etc/link/sshd_config", 100).unwrap(),
            b"PermitRootLogin yes\n"
        );
        assert_eq!(host.stat("/etc/ssh/sshd_config").unwrap().mode, 0o600);
        assert_eq!(host.list("/etc").unwrap().len(), 2);
        assert_eq!(
            host.run(&Program::new("/usr/bin/id", &["-u"]))
                .unwrap()
                .text(),
            "0\n"
        );
        assert!(matches!(
            host.run(&Program::new("/usr/bin/id", &[])),
            Err(HostError::ToolMissing(_))
        ));
        assert!(matches!(
            host.read_beneath("/etc", "link/sshd_config", 100),
            Err(HostError::NotRegular(_))
        ));
        assert!(matches!(
            host.read("/etc/shadow", 100),
            Err(HostError::NotFound(_))
        ));
    }

    #[test]
    fn a_replacement_that_fits_nothing_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(
            directory.path().join("a.toml"),
            "[files.\"/a\"]\ntext = \"x\"\n",
        )
        .unwrap();
        std::fs::write(
            directory.path().join("b.toml"),
            "base = \"a.toml\"\n[files.\"/a\"]\nreplace = [[\"y\", \"z\"]]\n",
        )
        .unwrap();
        assert!(RecordedHost::load(&directory.path().join("b.toml")).is_err());
    }
}
