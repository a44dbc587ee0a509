//! The pages of a database, from its write-ahead log where that has a newer one.

use std::collections::{BTreeMap, VecDeque};

use super::super::integer::{be16, be32};
use super::{SqliteError, wal};
use crate::host::{Host, HostError};

/// Read at once: most chains of overflow pages lie one after another.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks kept.
const MAX_CHUNKS: usize = 24;
/// First bytes of a rollback journal that has to be played back.
const HOT_JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

pub(super) struct Pages<'h> {
    host: &'h dyn Host,
    path: String,
    size: usize,
    usable: usize,
    count: u32,
    /// Offset of the newest committed image in the write-ahead log, by page.
    newer: BTreeMap<u32, u64>,
    /// The chunks read last, the newest last: log or database, number of the chunk, content.
    chunks: VecDeque<(bool, u64, Vec<u8>)>,
}

impl<'h> Pages<'h> {
    pub(super) fn open(host: &'h dyn Host, path: &str) -> Result<Pages<'h>, SqliteError> {
        let head = host.read_at(path, 0, 100)?;
        if !head.starts_with(b"SQLite format 3\0") || head.len() < 100 {
            return Err(SqliteError::Damaged("no SQLite header"));
        }
        let size = match be16(&head, 16).map(usize::from) {
            Some(1) => 65_536,
            Some(size) if size >= 512 && size.is_power_of_two() => size,
            _ => return Err(SqliteError::Damaged("the size of pages")),
        };
        let reserved = head.get(20).copied().map_or(0, usize::from);
        let usable = size - reserved;
        if usable < 480 {
            return Err(SqliteError::Damaged("the reserved space of pages"));
        }
        if !matches!(be32(&head, 56), Some(0 | 1)) {
            return Err(SqliteError::Damaged("text that is not UTF-8"));
        }
        if is_hot(host, path)? {
            return Err(SqliteError::Unfinished);
        }
        let length = host.stat(path)?.size;
        let log = wal::read(host, &format!("{path}-wal"), size)?;
        let stored = u32::try_from(length / size as u64).unwrap_or(u32::MAX);
        Ok(Pages {
            host,
            path: path.to_owned(),
            size,
            usable,
            count: log.pages.unwrap_or(stored),
            newer: log.frames,
            chunks: VecDeque::new(),
        })
    }

    /// Bytes of a page that hold content.
    pub(super) fn usable(&self) -> usize {
        self.usable
    }

    /// Pages of the database.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// A page; the first is number 1.
    pub(super) fn page(&mut self, number: u32) -> Result<Vec<u8>, SqliteError> {
        if number == 0 || number > self.count {
            return Err(SqliteError::Damaged("a page that is not there"));
        }
        let (log, offset) = match self.newer.get(&number) {
            Some(offset) => (true, *offset),
            None => (false, u64::from(number - 1) * self.size as u64),
        };
        let size = self.size;
        let mut page = Vec::with_capacity(size);
        while page.len() < size {
            let at = offset + page.len() as u64;
            let chunk = self.chunk(log, at / CHUNK_BYTES as u64)?;
            let start = usize::try_from(at % CHUNK_BYTES as u64).unwrap_or(CHUNK_BYTES);
            let rest = chunk.get(start..).unwrap_or_default();
            let wanted = rest.len().min(size - page.len());
            if wanted == 0 {
                return Err(SqliteError::Damaged("the file ends in a page"));
            }
            page.extend_from_slice(&rest[..wanted]);
        }
        Ok(page)
    }

    fn chunk(&mut self, log: bool, number: u64) -> Result<&[u8], SqliteError> {
        let known = self
            .chunks
            .iter()
            .position(|chunk| (chunk.0, chunk.1) == (log, number));
        let chunk = match known.and_then(|at| self.chunks.remove(at)) {
            Some(chunk) => chunk,
            None => {
                let path = if log {
                    format!("{}-wal", self.path)
                } else {
                    self.path.clone()
                };
                if self.chunks.len() == MAX_CHUNKS {
                    self.chunks.pop_front();
                }
                let bytes = self
                    .host
                    .read_at(&path, number * CHUNK_BYTES as u64, CHUNK_BYTES)?;
                (log, number, bytes)
            }
        };
        self.chunks.push_back(chunk);
        Ok(self.chunks.back().map_or(&[], |chunk| chunk.2.as_slice()))
    }
}

fn is_hot(host: &dyn Host, path: &str) -> Result<bool, HostError> {
    match host.read_at(&format!("{path}-journal"), 0, HOT_JOURNAL.len()) {
        Ok(head) => Ok(head == HOT_JOURNAL),
        Err(HostError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
