//! The form of a recording: what its TOML document may say.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::Walked;
use crate::host::{AllowedFile, AuditStatus, ClockState, FileKind, Space, Stat};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    pub(crate) base: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) note: String,
    pub(crate) live: Option<bool>,
    pub(crate) now: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) files: BTreeMap<String, FileRecord>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) programs: BTreeMap<String, ProgramRecord>,
    /// Answers of the host's own TLS listeners, base64, by address and question: `127.0.0.1:443 tls1_2 web.example`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) connections: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) kernel: Kernel,
    /// What a walk of the file systems brought back; without it, the files of the recording are walked.
    pub(crate) walked: Option<Walked>,
    /// What the agent's configuration on that host allows to be read as settings.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) settings: Vec<AllowedFile>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) params: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) expect: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    pub(crate) text: Option<String>,
    pub(crate) base64: Option<String>,
    /// Content in a file beside the recording, compressed with zstd: its name in the same folder.
    pub(crate) zstd: Option<String>,
    #[serde(skip)]
    pub(crate) unpacked: Option<Vec<u8>>,
    /// Pairs of old and new text, applied to the base's content; each old text must be there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) replace: Vec<(String, String)>,
    pub(crate) append: Option<String>,
    /// Zero bytes before the content, as in the sparse files that are indexed by user id; at most 64 MiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) hole: u32,
    /// A symbolic link to this target.
    pub(crate) link: Option<String>,
    /// `directory`, `block` or `other`.
    pub(crate) kind: Option<FileKind>,
    /// Octal, for example `"0640"`.
    pub(crate) mode: Option<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) mtime: Option<Timestamp>,
    pub(crate) ctime: Option<Timestamp>,
    /// A size larger than the content: for files whose content does not matter, and devices that are zeros from there on.
    pub(crate) size: Option<u64>,
    pub(crate) device: Option<(u32, u32)>,
    /// Numbers of the device that a character device (kind `other`) is.
    pub(crate) rdev: Option<(u32, u32)>,
    /// Extended attributes, base64.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) xattrs: BTreeMap<String, String>,
    /// Not there, though the base has it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) absent: bool,
    /// There, but the agent may not read it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) denied: bool,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgramRecord {
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) exit: i32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) stdout: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) stderr: String,
    /// Not there, though the base has it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) absent: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    pub(crate) clock: Option<ClockState>,
    pub(crate) audit: Option<AuditStatus>,
    pub(crate) audit_rules: Option<Vec<String>>,
    /// Room on the file system of a path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) space: BTreeMap<String, Space>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) stat: Stat,
    pub(crate) content: Vec<u8>,
    pub(crate) target: Option<String>,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    pub(crate) denied: bool,
    pub(crate) rdev: Option<(u32, u32)>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Most bytes of a file beside the recording, unpacked.
const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

impl FileRecord {
    /// Reads the file beside the recording in `folder`, if its content is there.
    pub(crate) fn unpack(&mut self, folder: &Path) -> Result<(), String> {
        let Some(name) = &self.zstd else {
            return Ok(());
        };
        if name.contains('/') || name.starts_with('.') {
            return Err(format!("{name:?} is no name of a file in the same folder"));
        }
        let packed =
            std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let unpacked = zstd::bulk::decompress(&packed, MAX_UNPACKED_BYTES)
            .map_err(|error| format!("{name}: {error}"))?;
        self.unpacked = Some(unpacked);
        Ok(())
    }

    /// The file as it stands on the host, built on what the base has under its name.
    pub(crate) fn node(self, base: Option<Node>, now: Timestamp) -> Result<Node, String> {
        let mut content = match (self.text, self.base64, self.unpacked) {
            (Some(text), None, None) => text.into_bytes(),
            (None, None, Some(content)) => content,
            (None, Some(text), None) => STANDARD
                .decode(text.split_whitespace().collect::<String>())
                .map_err(|error| error.to_string())?,
            (None, None, None) => base
                .as_ref()
                .map(|node| node.content.clone())
                .unwrap_or_default(),
            _ => return Err("more than one of text, base64 and zstd".to_owned()),
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
        let rdev = self.rdev.or(base.as_ref().and_then(|node| node.rdev));
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
            rdev,
        })
    }
}
