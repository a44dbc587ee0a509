//! The kept answers as a document and its side files.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::evaluate::Outcomes;
use evidence::time::Timestamp;

use super::kept::{Kept, MAX_FILE_BYTES, Node};
use super::redaction::Redaction;
use super::{RecordError, Summary};
use crate::host::recorded::{FileRecord, Kernel, ProgramRecord, Recording};
use crate::host::{FileKind, ProgramOutput, Stat};

/// The document's name in its folder.
const DOCUMENT: &str = "host.toml";
/// Longer text, and bytes longer than an eighth of it, lie compressed beside the document.
const MAX_INLINE_BYTES: usize = 16 * 1024;
/// Package lists of fifty megabytes are packed in a second or two.
const ZSTD_LEVEL: i32 = 6;
/// The device that a recording means when it names none.
const DEVICE: (u32, u32) = (8, 1);

/// A folder that a recording is written into.
struct Folder {
    path: PathBuf,
    side_files: usize,
    bytes: u64,
}

impl Folder {
    /// A new folder, or an empty one, that only its owner may enter.
    fn create(path: &Path) -> Result<Folder, RecordError> {
        let failed = |source| RecordError::Write {
            path: path.to_owned(),
            source,
        };
        let made = DirBuilder::new().mode(0o700).create(path);
        match made {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                if std::fs::read_dir(path).map_err(failed)?.next().is_some() {
                    return Err(failed(std::io::Error::other("the folder is not empty")));
                }
            }
            other => other.map_err(failed)?,
        }
        Ok(Folder {
            path: path.to_owned(),
            side_files: 0,
            bytes: 0,
        })
    }

    fn write(&mut self, name: &str, content: &[u8]) -> Result<PathBuf, RecordError> {
        let path = self.path.join(name);
        let write = || -> std::io::Result<()> {
            let mut options = File::options();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(content)
        };
        write().map_err(|source| RecordError::Write {
            path: path.clone(),
            source,
        })?;
        self.bytes += content.len() as u64;
        Ok(path)
    }

    /// Writes a side file and returns its name.
    fn side(&mut self, content: &[u8]) -> Result<String, RecordError> {
        self.side_files += 1;
        let name = format!("{:04}.zst", self.side_files);
        let packed =
            zstd::bulk::compress(content, ZSTD_LEVEL).map_err(|source| RecordError::Write {
                path: self.path.join(&name),
                source,
            })?;
        self.write(&name, &packed)?;
        Ok(name)
    }
}

/// Writes everything kept into a new folder; the outcomes become what the recording expects.
pub(super) fn write(
    kept: Kept<'_>,
    now: Timestamp,
    outcomes: &Outcomes,
    folder: &Path,
) -> Result<Summary, RecordError> {
    let mut folder = Folder::create(folder)?;
    let machine = kept.nodes.get("/etc/machine-id").and_then(|node| {
        let (_, bytes) = node.pieces.first()?;
        String::from_utf8(bytes.clone()).ok()
    });
    let redaction = Redaction::new(machine.as_deref()).map_err(|error| RecordError::Write {
        path: folder.path.clone(),
        source: std::io::Error::other(error),
    })?;
    let mut left_out = kept.left_out;
    let mut files = BTreeMap::new();
    for (path, node) in kept.nodes {
        if let Some(record) = file(&path, node, &redaction, &mut folder, &mut left_out)? {
            files.insert(redaction.line(&path), record);
        }
    }
    let programs: BTreeMap<String, ProgramRecord> = kept
        .programs
        .into_iter()
        .map(|(line, output)| (redaction.line(&line), program(output, &redaction)))
        .collect();
    let recording = Recording {
        note: "Recorded by `assay-agent record`; secrets are taken out.".to_owned(),
        live: Some(kept.live),
        now: Some(now),
        kernel: Kernel {
            clock: kept.clock,
            audit: kept.audit,
            audit_rules: kept.audit_rules,
            space: kept.space,
        },
        expect: expected(outcomes),
        walked: kept.walked,
        files,
        programs,
        connections: None,
        ..Recording::default()
    };
    let text = toml::to_string_pretty(&recording)?;
    let path = folder.write(DOCUMENT, text.as_bytes())?;
    left_out.sort();
    left_out.dedup();
    Ok(Summary {
        path,
        paths: recording.files.len(),
        programs: recording.programs.len(),
        bytes: folder.bytes,
        left_out,
        differing: BTreeMap::new(),
        differing_facts: Vec::new(),
    })
}

fn expected(outcomes: &Outcomes) -> BTreeMap<String, String> {
    let said = outcomes.iter().map(|(id, judgement)| {
        let text = match judgement.reason {
            Some(reason) => format!("{} {reason}", judgement.outcome),
            None => judgement.outcome.to_string(),
        };
        (id.to_string(), text)
    });
    said.collect()
}

fn program(output: ProgramOutput, redaction: &Redaction) -> ProgramRecord {
    let text = |bytes| String::from_utf8_lossy(&redaction.content(bytes)).into_owned();
    ProgramRecord {
        exit: output.exit,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        absent: false,
    }
}

/// A path's record; `None` if all that was found out is that it is not there.
fn file(
    path: &str,
    mut node: Node,
    redaction: &Redaction,
    folder: &mut Folder,
    left_out: &mut Vec<String>,
) -> Result<Option<FileRecord>, RecordError> {
    let known = node.stat.is_some() || node.target.is_some() || !node.pieces.is_empty();
    let told = known || node.denied || node.longer_than.is_some();
    if !told && (node.absent || node.kind.is_none()) {
        return Ok(None);
    }
    let mut record = FileRecord {
        link: node.target.take(),
        denied: node.denied,
        ..FileRecord::default()
    };
    if record.link.is_none() {
        record.kind = node.kind.filter(|kind| *kind != FileKind::Regular);
    }
    let content = match assemble(&node) {
        Some(content) => content,
        None => {
            left_out.push(format!(
                "{path}: larger than {MAX_FILE_BYTES} bytes, recorded as not permitted"
            ));
            record.denied = true;
            Vec::new()
        }
    };
    let whole = content.len() as u64;
    if let Some(stat) = &node.stat {
        status(&mut record, stat, redaction);
        record.size = (stat.size > whole && stat.kind != FileKind::Directory).then_some(stat.size);
    }
    if let Some(limit) = node.longer_than {
        record.size = record.size.max(Some(limit as u64 + 1));
    }
    let content = redaction.file(path, node.secret, content);
    if !content.is_empty() {
        place(&mut record, content, folder)?;
    }
    record.xattrs = node
        .xattrs
        .into_iter()
        .map(|(name, value)| (name, STANDARD.encode(value)))
        .collect();
    Ok(Some(record))
}

fn status(record: &mut FileRecord, stat: &Stat, redaction: &Redaction) {
    let usual = if stat.kind == FileKind::Directory {
        0o755
    } else {
        0o644
    };
    record.mode = (stat.mode != usual).then(|| format!("{:04o}", stat.mode));
    record.uid = (stat.uid != 0).then_some(stat.uid);
    record.gid = (stat.gid != 0).then_some(stat.gid);
    record.mtime = Some(stat.mtime);
    record.ctime = (stat.ctime != stat.mtime).then_some(stat.ctime);
    record.device = (stat.device != DEVICE).then_some(stat.device);
    if let Some(link) = &mut record.link {
        *link = redaction.line(link);
    }
}

fn place(
    record: &mut FileRecord,
    content: Vec<u8>,
    folder: &mut Folder,
) -> Result<(), RecordError> {
    let limit = match std::str::from_utf8(&content) {
        Ok(_) => MAX_INLINE_BYTES,
        Err(_) => MAX_INLINE_BYTES / 8,
    };
    if content.len() > limit {
        record.zstd = Some(folder.side(&content)?);
        return Ok(());
    }
    match String::from_utf8(content) {
        Ok(text) => record.text = Some(text),
        Err(error) => record.base64 = Some(STANDARD.encode(error.into_bytes())),
    }
    Ok(())
}

/// The content in one piece, with zeros where nothing was read; `None` if it is longer than a recording holds.
fn assemble(node: &Node) -> Option<Vec<u8>> {
    if node.tail_only {
        let longest = node.pieces.iter().max_by_key(|(_, bytes)| bytes.len())?;
        return Some(longest.1.clone());
    }
    let mut content = Vec::new();
    for (at, bytes) in &node.pieces {
        let start = usize::try_from(*at).ok()?;
        let end = start.checked_add(bytes.len())?;
        if end > MAX_FILE_BYTES {
            return None;
        }
        if content.len() < end {
            content.resize(end, 0);
        }
        content.get_mut(start..end)?.copy_from_slice(bytes);
    }
    Some(content)
}
