//! Traditional log files with their rotated predecessors: how far back they reach.

use std::io::Read as _;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::{Observation, Unobservable, syslog_line};
use crate::host::FileKind;

/// The files that distributions write the system's and the log-on messages to.
const NAMES: [&str; 4] = ["auth.log", "messages", "secure", "syslog"];
/// Enough for the first lines of a file.
const HEAD_BYTES: usize = 16 * 1024;
/// Lines tried for a time: a message may go on over several.
const MAX_LINES: usize = 50;

/// A log file and what rotation left of its past.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SyslogFile {
    /// Its path.
    path: String,
    /// When it was last written to; absent if only rotated files are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<Timestamp>,
    /// Rotated files.
    rotated: u64,
    /// The first entry of the oldest file that begins with a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Timestamp>,
    /// Rotated files of a form that is not read (xz, bzip2, zstd): their last change stands in for their first entry.
    unread: u64,
}

pub(super) fn files(observation: &mut Observation<'_>) -> Result<Vec<SyslogFile>, Unobservable> {
    let entries = observation.list("/var/log")?.unwrap_or_default();
    let mut found = Vec::new();
    for name in NAMES {
        let mut file = SyslogFile {
            path: format!("/var/log/{name}"),
            modified: None,
            rotated: 0,
            first: None,
            unread: 0,
        };
        let mut there = false;
        for entry in &entries {
            if !is_of(&entry.name, name) || entry.kind == FileKind::Directory {
                continue;
            }
            let path = format!("/var/log/{}", entry.name);
            let stat = observation.host().stat(&path)?;
            if stat.kind != FileKind::Regular {
                continue;
            }
            there = true;
            if entry.name == name {
                file.modified = Some(stat.mtime);
                observation.note(&path);
            } else {
                file.rotated += 1;
            }
            let first = if is_other_compression(&entry.name) {
                file.unread += 1;
                Some(stat.mtime)
            } else {
                let head = observation.host().read_head(&path, HEAD_BYTES)?;
                first_time(&entry.name, &head, stat.mtime)
            };
            file.first = match (file.first, first) {
                (Some(known), Some(first)) => Some(known.min(first)),
                (known, first) => known.or(first),
            };
        }
        if there {
            found.push(file);
        }
    }
    Ok(found)
}

/// `syslog`, `syslog.1`, `syslog.2.gz`, `syslog-20261124`, but not `syslog-ng`.
fn is_of(entry: &str, name: &str) -> bool {
    match entry.strip_prefix(name) {
        Some("") => true,
        Some(rest) => {
            let after = rest.strip_prefix(['.', '-']);
            after.is_some_and(|after| after.starts_with(|first: char| first.is_ascii_digit()))
        }
        None => false,
    }
}

fn is_other_compression(name: &str) -> bool {
    [".xz", ".bz2", ".zst", ".lzma"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn first_time(name: &str, head: &[u8], modified: Timestamp) -> Option<Timestamp> {
    let text = if name.ends_with(".gz") {
        decompressed(head)
    } else {
        head.to_vec()
    };
    String::from_utf8_lossy(&text)
        .lines()
        .take(MAX_LINES)
        .find_map(|line| syslog_line::time(line, modified))
}

/// What the beginning of a gzip stream holds; cut off behind it, the stream ends in an error after what is wanted.
fn decompressed(head: &[u8]) -> Vec<u8> {
    let mut stream = flate2::read::GzDecoder::new(head);
    let mut text = vec![0; HEAD_BYTES];
    let mut filled = 0;
    while let Some(room) = text.get_mut(filled..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) | Err(_) => break,
            Ok(read) => filled += read,
        }
    }
    text.truncate(filled);
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn rotated_names_belong_to_their_file() {
        for name in ["syslog", "syslog.1", "syslog.2.gz", "syslog-20261124"] {
            assert!(is_of(name, "syslog"), "{name}");
        }
        for name in ["syslog-ng", "syslog.conf", "sys", "auth.log"] {
            assert!(!is_of(name, "syslog"), "{name}");
        }
    }

    #[test]
    fn a_compressed_file_is_read_from_its_beginning() {
        let line = "2026-10-26T00:00:03.1+00:00 web1 systemd[1]: Starting\n";
        let mut stream = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..2000 {
            stream.write_all(line.as_bytes()).unwrap();
        }
        let bytes = stream.finish().unwrap();
        let modified = Timestamp::from_unix_seconds(1_795_503_600);
        for length in [bytes.len(), bytes.len() / 2] {
            let first = first_time("syslog.4.gz", &bytes[..length], modified).unwrap();
            assert_eq!(first.to_string(), "2026-10-26T00:00:03.100Z");
        }
        assert_eq!(first_time("syslog.4.gz", b"no gzip", modified), None);
        assert_eq!(first_time("syslog", b"", modified), None);
    }
}
