//! SQLite database files, read-only: enough of the file format (sqlite.org/fileformat2.html) to visit the rows of a table.
//!
//! No page is written, no lock is taken, no query is run. A write-ahead log that has not been folded in yet counts, as it
//! does for SQLite itself. Every number of the file is hostile: lengths are bounded, no page is visited twice.

mod pages;
mod record;
mod wal;

use crate::host::{Host, HostError};

pub use record::Value;

use super::integer::{be16, be32};
use pages::Pages;
use record::varint;

/// Most bytes of one row: the header of a package with a hundred thousand files stays below.
const MAX_ROW_BYTES: usize = 32 * 1024 * 1024;
/// Deepest tree: more levels than any file of 2^32 pages needs.
const MAX_DEPTH: usize = 24;

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// The host did not give the file.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The file is no such database, or damaged.
    #[error("no readable SQLite database: {0}")]
    Damaged(&'static str),
    /// A transaction was interrupted, or runs: only its program can undo it.
    #[error(
        "a rollback journal waits to be played back; run the program that owns the database once"
    )]
    Unfinished,
    /// There is no such table.
    #[error("no table {0}")]
    NoTable(String),
}

/// An open database.
pub struct Database<'h> {
    pages: Pages<'h>,
}

impl<'h> Database<'h> {
    /// Opens the database at `path` with its write-ahead log.
    ///
    /// # Errors
    /// [`SqliteError`] if it is not there, or is no database.
    pub fn open(host: &'h dyn Host, path: &str) -> Result<Database<'h>, SqliteError> {
        Ok(Database {
            pages: Pages::open(host, path)?,
        })
    }

    /// Visits the rows of a table in the order of their row ids, until `visit` says stop.
    ///
    /// # Errors
    /// [`SqliteError`] if there is no such table, or the file is damaged.
    pub fn rows(
        &mut self,
        table: &str,
        visit: &mut dyn FnMut(i64, Vec<Value>) -> Next,
    ) -> Result<(), SqliteError> {
        let mut root = None;
        // sqlite_schema(type, name, tbl_name, rootpage, sql) has its root on page 1.
        self.walk(1, &mut |_, row| {
            let text = |at: usize| row.get(at).and_then(Value::text);
            if text(0) == Some("table") && text(1) == Some(table) {
                root = row.get(3).and_then(Value::integer);
                return Next::Stop;
            }
            Next::Go
        })?;
        let root = root.ok_or_else(|| SqliteError::NoTable(table.to_owned()))?;
        let root = u32::try_from(root).map_err(|_| SqliteError::Damaged("a root page"))?;
        self.walk(root, visit)
    }

    /// Visits the rows below a page, depth first.
    fn walk(
        &mut self,
        root: u32,
        visit: &mut dyn FnMut(i64, Vec<Value>) -> Next,
    ) -> Result<(), SqliteError> {
        let mut budget = Budget(self.pages.count());
        let mut open: Vec<std::vec::IntoIter<u32>> = vec![vec![root].into_iter()];
        while let Some(level) = open.last_mut() {
            let Some(number) = level.next() else {
                open.pop();
                continue;
            };
            budget.take()?;
            let page = self.pages.page(number)?;
            let node = Node::parse(&page, number)?;
            if !node.leaf {
                if open.len() == MAX_DEPTH {
                    return Err(SqliteError::Damaged("a tree without end"));
                }
                open.push(node.children(&page)?.into_iter());
                continue;
            }
            for cell in &node.cells {
                let (row, payload) = self.payload(&page, *cell, &mut budget)?;
                let values = record::values(&payload)
                    .ok_or(SqliteError::Damaged("a row of no known form"))?;
                if visit(row, values) == Next::Stop {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The row id and the whole payload of a leaf's cell, overflow pages included.
    fn payload(
        &mut self,
        page: &[u8],
        cell: usize,
        budget: &mut Budget,
    ) -> Result<(i64, Vec<u8>), SqliteError> {
        const CUT: SqliteError = SqliteError::Damaged("a cell that leaves its page");
        let rest = page.get(cell..).ok_or(CUT)?;
        let (length, n) = varint(rest).ok_or(CUT)?;
        let (row, m) = varint(rest.get(n..).unwrap_or_default()).ok_or(CUT)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_ROW_BYTES)
            .ok_or(SqliteError::Damaged("a row larger than any package"))?;
        let usable = self.pages.usable();
        let local = local_bytes(length, usable);
        let start = cell + n + m;
        let mut payload = page.get(start..start + local).ok_or(CUT)?.to_vec();
        if local == length {
            return Ok((row, payload));
        }
        payload.reserve_exact(length - local);
        let mut next = be32(page, start + local).ok_or(CUT)?;
        while payload.len() < length {
            budget.take()?;
            let page = self.pages.page(next)?;
            let wanted = (length - payload.len()).min(usable - 4);
            payload.extend_from_slice(page.get(4..4 + wanted).ok_or(CUT)?);
            next = be32(&page, 0).ok_or(CUT)?;
        }
        Ok((row, payload))
    }
}

/// Whether a visit goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To the next row.
    Go,
    /// Nowhere.
    Stop,
}

/// How much of a payload lies on the leaf itself (file format, section 1.6).
fn local_bytes(length: usize, usable: usize) -> usize {
    let most = usable - 35;
    if length <= most {
        return length;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let wanted = least + (length - least) % (usable - 4);
    if wanted <= most { wanted } else { least }
}

/// Pages that may still be read: each page belongs to one place, so a walk that wants more goes in circles.
struct Budget(u32);

impl Budget {
    fn take(&mut self) -> Result<(), SqliteError> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or(SqliteError::Damaged("pages that lead in circles"))?;
        Ok(())
    }
}

/// A page of a table's tree.
struct Node {
    leaf: bool,
    cells: Vec<usize>,
    /// The last child of an inner page.
    right: u32,
}

impl Node {
    fn parse(page: &[u8], number: u32) -> Result<Node, SqliteError> {
        const BAD: SqliteError = SqliteError::Damaged("a page of another kind in a table");
        let start = if number == 1 { 100 } else { 0 };
        let leaf = match page.get(start) {
            Some(0x0d) => true,
            Some(0x05) => false,
            _ => return Err(BAD),
        };
        let count = usize::from(be16(page, start + 3).ok_or(BAD)?);
        let first = start + if leaf { 8 } else { 12 };
        let cells = (0..count)
            .map(|i| be16(page, first + 2 * i).map(usize::from))
            .collect::<Option<Vec<usize>>>()
            .ok_or(BAD)?;
        Ok(Node {
            leaf,
            cells,
            right: be32(page, start + 8).ok_or(BAD)?,
        })
    }

    fn children(&self, page: &[u8]) -> Result<Vec<u32>, SqliteError> {
        let left = self.cells.iter().map(|cell| be32(page, *cell));
        left.chain([Some(self.right)])
            .collect::<Option<Vec<u32>>>()
            .ok_or(SqliteError::Damaged("a cell that leaves its page"))
    }
}

#[cfg(test)]
mod tests;
