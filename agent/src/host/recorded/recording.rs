//! The form of a recording: what its TOML document may say.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::host::{AuditStatus, ClockState, FileKind, Stat};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    pub(super) base: Option<String>,
    #[serde(default)]
    pub(super) note: String,
    pub(super) live: Option<bool>,
    pub(super) now: Option<Timestamp>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, FileRecord>,
    #[serde(default)]
    pub(super) programs: BTreeMap<String, ProgramRecord>,
    #[serde(default)]
    pub(super) kernel: Kernel,
    #[serde(default)]
    pub(super) params: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    pub(super) expect: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRecord {
    pub(super) text: Option<String>,
    pub(super) base64: Option<String>,
    /// Pairs of old and new text, applied to the base's content; each old text must be there.
    #[serde(default)]
    pub(super) replace: Vec<(String, String)>,
    pub(super) append: Option<String>,
    /// Zero bytes before the content, as in the sparse files that are indexed by user id; at most 64 MiB.
    #[serde(default)]
    pub(super) hole: u32,
    /// A symbolic link to this target.
    pub(super) link: Option<String>,
    /// `directory`, `block` or `other`.
    pub(super) kind: Option<FileKind>,
    /// Octal, for example `"0640"`.
    pub(super) mode: Option<String>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) ctime: Option<Timestamp>,
    /// A size larger than the content: for files whose content does not matter, and devices that are zeros from there on.
    pub(super) size: Option<u64>,
    pub(super) device: Option<(u32, u32)>,
    /// Extended attributes, base64.
    #[serde(default)]
    pub(super) xattrs: BTreeMap<String, String>,
    /// Not there, though the base has it.
    #[serde(default)]
    pub(super) absent: bool,
    /// There, but the agent may not read it.
    #[serde(default)]
    pub(super) denied: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramRecord {
    #[serde(default)]
    pub(super) exit: i32,
    #[serde(default)]
    pub(super) stdout: String,
    #[serde(default)]
    pub(super) stderr: String,
    /// Not there, though the base has it.
    #[serde(default)]
    pub(super) absent: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kernel {
    pub(super) clock: Option<ClockState>,
    pub(super) audit: Option<AuditStatus>,
    pub(super) audit_rules: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) stat: Stat,
    pub(super) content: Vec<u8>,
    pub(super) target: Option<String>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) denied: bool,
}

impl FileRecord {
    /// The file as it stands on the host, built on what the base has under its name.
    pub(super) fn node(self, base: Option<Node>, now: Timestamp) -> Result<Node, String> {
        let mut content = match (self.text, self.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD
                .decode(text.split_whitespace().collect::<String>())
                .map_err(|error| error.to_string())?,
            (None, None) => base
                .as_ref()
                .map(|node| node.content.clone())
                .unwrap_or_default(),
            (Some(_), Some(_)) => return Err("text and base64 at once".to_owned()),
        };
        for (old, new) in &self.replace {
            let text = String::from_utf8(content).map_err(|error| error.to_string())?;
            if !text.contains(old) {
                return Err(format!("the base does not contain {old:?}"));
            }
            content = text.replacen(old, new, 1).into_bytes();
        }
        content.extend_from_slice(self.append.unwrap_or_default().as_bytes());
        if self.hole > 64 << 20 {
            return Err("a hole of more than 64 MiB".to_owned());
        }
        if self.hole > 0 {
            let mut sparse = vec![0; self.hole as usize];
            sparse.append(&mut content);
            content = sparse;
        }
        let old = base.as_ref().map(|node| node.stat);
        let kind = match (&self.link, self.kind) {
            (Some(_), _) => FileKind::Link,
            (None, Some(kind)) => kind,
            (None, None) => old.map_or(FileKind::Regular, |stat| stat.kind),
        };
        let mode = match self.mode {
            Some(octal) => u32::from_str_radix(&octal, 8)
                .map_err(|error| format!("mode {octal:?}: {error}"))?,
            None => old.map_or(
                if kind == FileKind::Directory {
                    0o755
                } else {
                    0o644
                },
                |stat| stat.mode,
            ),
        };
        // A file lies quietly for a day before the round unless the recording says otherwise.
        let mtime = self
            .mtime
            .or(old.map(|stat| stat.mtime))
            .unwrap_or_else(|| now.plus_ms(-86_400_000));
        let stat = Stat {
            kind,
            mode,
            uid: self.uid.or(old.map(|stat| stat.uid)).unwrap_or(0),
            gid: self.gid.or(old.map(|stat| stat.gid)).unwrap_or(0),
            size: self.size.unwrap_or(content.len() as u64),
            mtime,
            ctime: self.ctime.unwrap_or(mtime),
            device: self
                .device
                .or(old.map(|stat| stat.device))
                .unwrap_or((8, 1)),
        };
        let mut xattrs = base.map(|node| node.xattrs).unwrap_or_default();
        for (name, value) in self.xattrs {
            xattrs.insert(
                name,
                STANDARD.decode(value).map_err(|error| error.to_string())?,
            );
        }
        Ok(Node {
            stat,
            content,
            target: self.link,
            xattrs,
            denied: self.denied,
        })
    }
}
