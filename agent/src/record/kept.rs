//! The answers of a host, kept while its probes ask.

use std::collections::BTreeMap;

use crate::host::traced::{Answer, KernelAnswer, Part, Witness};
use crate::host::{
    AuditStatus, ClockState, DirEntry, FileKind, Host, HostError, Program, ProgramOutput, Space,
    Stat, Walked,
};

/// Most bytes of one file.
pub(super) const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of all files.
const MAX_BYTES: usize = 512 * 1024 * 1024;
/// Of the program that records only the begin is kept: it is no part of the host, and large.
const OWN_BYTES: usize = 4096;
/// Most links on the way to one path, as the kernel allows.
const MAX_LINKS: usize = 40;

/// What was answered about one real path.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) kind: Option<FileKind>,
    pub(super) stat: Option<Stat>,
    /// Content by where it begins.
    pub(super) pieces: Vec<(u64, Vec<u8>)>,
    /// Only the end was read, so it need not stand where it does.
    pub(super) tail_only: bool,
    pub(super) secret: bool,
    pub(super) denied: bool,
    /// The answer was that it is not there, whatever a listing said.
    pub(super) absent: bool,
    /// Longer than a reader would take.
    pub(super) longer_than: Option<usize>,
    pub(super) target: Option<String>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

/// Everything that a host answered.
pub(super) struct Kept<'h> {
    host: &'h dyn Host,
    pub(super) live: bool,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) programs: BTreeMap<String, ProgramOutput>,
    pub(super) clock: Option<ClockState>,
    pub(super) audit: Option<AuditStatus>,
    pub(super) audit_rules: Option<Vec<String>>,
    pub(super) space: BTreeMap<String, Space>,
    pub(super) walked: Option<Walked>,
    pub(super) left_out: Vec<String>,
    /// The target of what is a link, `None` for what is none.
    links: BTreeMap<String, Option<String>>,
    /// Where the program lies that records.
    own: Option<String>,
    bytes: usize,
}

impl<'h> Kept<'h> {
    pub(super) fn new(host: &'h dyn Host) -> Kept<'h> {
        Kept {
            host,
            live: host.is_live(),
            nodes: BTreeMap::new(),
            programs: BTreeMap::new(),
            clock: None,
            audit: None,
            audit_rules: None,
            space: BTreeMap::new(),
            walked: None,
            left_out: Vec::new(),
            links: BTreeMap::new(),
            own: host.read_link("/proc/self/exe").ok(),
            bytes: 0,
        }
    }

    /// Where a path leads inside the host's root. The links on the way become part of the recording.
    fn real(&mut self, path: &str, follow_last: bool) -> String {
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
            if left.is_empty() && !follow_last {
                break;
            }
            let here = format!("/{}", done.join("/"));
            if let Some(target) = self.link(&here)
                && links < MAX_LINKS
            {
                links += 1;
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                left.extend(parts(&target).into_iter().rev());
            }
        }
        format!("/{}", done.join("/"))
    }

    fn link(&mut self, path: &str) -> Option<String> {
        if let Some(known) = self.links.get(path) {
            return known.clone();
        }
        let is_link = self
            .host
            .lstat(path)
            .is_ok_and(|stat| stat.kind == FileKind::Link);
        let target = is_link.then(|| self.host.read_link(path).ok()).flatten();
        if let Some(target) = &target {
            let node = self.nodes.entry(path.to_owned()).or_default();
            node.kind = Some(FileKind::Link);
            node.target = Some(target.clone());
        }
        self.links.insert(path.to_owned(), target.clone());
        target
    }

    fn node(&mut self, path: &str, follow: bool) -> &mut Node {
        let real = self.real(path, follow);
        self.nodes.entry(real).or_default()
    }

    fn failed(&mut self, path: &str, follow: bool, error: &HostError) {
        let note = match error {
            HostError::NotFound(_) | HostError::NotRegular(_) | HostError::OfflineRoot(_) => None,
            HostError::Permission(_) | HostError::TooLarge(..) => None,
            HostError::Io(..) | HostError::Timeout(..) | HostError::ToolMissing(_) => {
                Some(format!("{error}: recorded as not permitted"))
            }
        };
        self.left_out.extend(note);
        let node = self.node(path, follow);
        match error {
            HostError::NotFound(_) => node.absent = true,
            HostError::NotRegular(_) => {
                node.kind.get_or_insert(FileKind::Other);
            }
            HostError::TooLarge(_, limit) => {
                node.longer_than = Some(node.longer_than.map_or(*limit, |known| known.max(*limit)));
            }
            _ => node.denied = true,
        }
    }

    fn content(&mut self, path: &str, part: Part, secret: bool, bytes: &[u8]) {
        if self.bytes.saturating_add(bytes.len()) > MAX_BYTES {
            self.left_out
                .push(format!("{path}: more than {MAX_BYTES} bytes in all"));
            self.node(path, true).denied = true;
            return;
        }
        let mut bytes = bytes;
        if self.own.as_deref() == Some(path) {
            if matches!(part, Part::From(at) if at > 0) {
                return;
            }
            bytes = bytes.get(..OWN_BYTES).unwrap_or(bytes);
        }
        let size = self.host.stat(path).map_or(0, |stat| stat.size);
        let node = self.node(path, true);
        let at = match part {
            // At or beyond the end there is nothing, and no zeros before it.
            _ if bytes.is_empty() => 0,
            Part::Whole => 0,
            Part::Tail => size.saturating_sub(bytes.len() as u64),
            Part::From(at) => at,
        };
        let first = node.pieces.is_empty();
        node.tail_only = part == Part::Tail && (first || node.tail_only);
        node.secret |= secret;
        let known = node
            .pieces
            .iter()
            .any(|(begin, known)| *begin == at && known.len() >= bytes.len());
        if !known {
            node.pieces.push((at, bytes.to_vec()));
            self.bytes += bytes.len();
        }
    }

    fn listed(&mut self, path: &str, entries: &[DirEntry]) {
        let real = self.real(path, true);
        self.nodes.entry(real.clone()).or_default().kind = Some(FileKind::Directory);
        for entry in entries {
            let child = format!("{}/{}", real.trim_end_matches('/'), entry.name);
            if entry.kind == FileKind::Link {
                self.link(&child);
            }
            let node = self.nodes.entry(child).or_default();
            node.kind.get_or_insert(entry.kind);
        }
    }
}

impl Witness for Kept<'_> {
    fn path(&mut self, path: &str, answer: Answer<'_>) {
        match answer {
            Answer::Content {
                part,
                secret,
                bytes: Ok(bytes),
            } => self.content(path, part, secret, bytes),
            Answer::Opened(None) => self.content(path, Part::From(0), false, &[]),
            Answer::Listed(Ok(entries)) => self.listed(path, entries),
            Answer::Status {
                follow,
                stat: Ok(stat),
            } => {
                let node = self.node(path, follow);
                node.kind = Some(stat.kind);
                node.stat = Some(stat);
            }
            Answer::Link(Ok(_)) => {
                let real = self.real(path, false);
                self.link(&real);
            }
            Answer::Attribute {
                name,
                value: Ok(Some(value)),
            } => {
                let (name, value) = (name.to_owned(), value.to_vec());
                self.node(path, true).xattrs.insert(name, value);
            }
            Answer::Attribute {
                value: Ok(None), ..
            } => {
                self.node(path, true);
            }
            Answer::Opened(Some(error))
            | Answer::Content {
                bytes: Err(error), ..
            }
            | Answer::Listed(Err(error))
            | Answer::Attribute {
                value: Err(error), ..
            }
            | Answer::Status {
                follow: true,
                stat: Err(error),
            } => self.failed(path, true, error),
            Answer::Status {
                stat: Err(error), ..
            } => self.failed(path, false, error),
            Answer::Link(Err(HostError::Permission(_))) => {
                let node = self.node(path, false);
                node.kind = Some(FileKind::Link);
                node.denied = true;
            }
            // That a path is no link is told by what else was asked about it.
            Answer::Link(Err(_)) => {
                let real = self.real(path, false);
                self.link(&real);
            }
        }
    }

    fn program(&mut self, program: &Program, output: Result<&ProgramOutput, &HostError>) {
        match output {
            Ok(output) => {
                self.programs.insert(program.line(), output.clone());
            }
            Err(HostError::ToolMissing(_) | HostError::OfflineRoot(_)) => {}
            Err(error) => self
                .left_out
                .push(format!("{error}: recorded as not installed")),
        }
    }

    fn walked(&mut self, walked: Result<&Walked, &HostError>) {
        match walked {
            Ok(walked) => self.walked = Some(walked.clone()),
            Err(error) => self.left_out.push(error.to_string()),
        }
    }

    fn kernel(&mut self, answer: KernelAnswer<'_>) {
        let mut failed = |error: &HostError| {
            if !matches!(error, HostError::Permission(_) | HostError::OfflineRoot(_)) {
                self.left_out
                    .push(format!("{error}: recorded as not permitted"));
            }
        };
        match answer {
            KernelAnswer::Clock(Ok(state)) => self.clock = Some(state),
            KernelAnswer::Audit(Ok(status)) => self.audit = Some(status),
            KernelAnswer::AuditRules(Ok(rules)) => self.audit_rules = Some(rules.to_vec()),
            KernelAnswer::Space { path, space } => {
                // One that is gone, or may not be looked at, is left out: it does not exist on the recorded host.
                if let Ok(space) = space {
                    self.space.insert(path.to_owned(), space);
                }
            }
            KernelAnswer::Clock(Err(error))
            | KernelAnswer::Audit(Err(error))
            | KernelAnswer::AuditRules(Err(error)) => failed(error),
        }
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .collect()
}
