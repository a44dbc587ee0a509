//! The write-ahead log (file format, section 4): pages of committed transactions that are not in the database file yet.

use std::collections::BTreeMap;
use std::io::Read;

use super::super::integer::be32;
use super::SqliteError;
use crate::host::{Host, HostError};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Most frames read: rpm folds its log in at the end of each transaction.
const MAX_FRAMES: usize = 100_000;

/// What the log holds.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Offset of the newest committed image, by page.
    pub(super) frames: BTreeMap<u32, u64>,
    /// Pages of the database after the last commit.
    pub(super) pages: Option<u32>,
}

/// Reads the log up to its last commit. A log that is absent, empty, or of another generation holds nothing.
pub(super) fn read(host: &dyn Host, path: &str, page_size: usize) -> Result<Log, SqliteError> {
    let mut log = Log::default();
    let mut file = match host.open(path) {
        Ok(file) => file,
        Err(HostError::NotFound(_)) => return Ok(log),
        Err(error) => return Err(error.into()),
    };
    let io = |error: std::io::Error| HostError::Io(path.to_owned(), error.to_string());
    let mut header = [0; HEADER_BYTES];
    if fill(&mut file, &mut header).map_err(io)? < HEADER_BYTES {
        return Ok(log);
    }
    let Some(mut sum) = Checksum::of_header(&header, page_size) else {
        return Ok(log);
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_size];
    let mut since_commit: Vec<(u32, u64)> = Vec::new();
    let mut offset = HEADER_BYTES as u64;
    for _ in 0..MAX_FRAMES {
        if fill(&mut file, &mut frame).map_err(io)? < frame.len() {
            return Ok(log);
        }
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        if head.get(8..16) != header.get(16..24) {
            return Ok(log);
        }
        sum.add(&head[..8]);
        sum.add(page);
        if (be32(head, 16), be32(head, 20)) != (Some(sum.first), Some(sum.second)) {
            return Ok(log);
        }
        let (number, pages) = (be32(head, 0).unwrap_or(0), be32(head, 4).unwrap_or(0));
        since_commit.push((number, offset + FRAME_HEADER_BYTES as u64));
        offset += frame.len() as u64;
        if pages != 0 {
            log.frames.extend(since_commit.drain(..));
            log.pages = Some(pages);
        }
    }
    Err(SqliteError::Damaged("a write-ahead log without end"))
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..])? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

/// The running checksum of header and frames.
struct Checksum {
    big_endian: bool,
    first: u32,
    second: u32,
}

impl Checksum {
    /// `None` if the header is not one, is of another page size, or is damaged.
    fn of_header(header: &[u8; HEADER_BYTES], page_size: usize) -> Option<Checksum> {
        let big_endian = match be32(header, 0)? {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        if be32(header, 4)? != 3_007_000 || usize::try_from(be32(header, 8)?).ok()? != page_size {
            return None;
        }
        let mut sum = Checksum {
            big_endian,
            first: 0,
            second: 0,
        };
        sum.add(&header[..24]);
        ((be32(header, 24)?, be32(header, 28)?) == (sum.first, sum.second)).then_some(sum)
    }

    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *pair;
            let (x, y) = if self.big_endian {
                (
                    u32::from_be_bytes([a, b, c, d]),
                    u32::from_be_bytes([e, f, g, h]),
                )
            } else {
                (
                    u32::from_le_bytes([a, b, c, d]),
                    u32::from_le_bytes([e, f, g, h]),
                )
            };
            self.first = self.first.wrapping_add(x).wrapping_add(self.second);
            self.second = self.second.wrapping_add(y).wrapping_add(self.first);
        }
    }
}
