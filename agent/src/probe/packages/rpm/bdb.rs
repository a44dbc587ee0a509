//! The Berkeley DB form of rpm up to 4.15 (RHEL 8, Amazon Linux 2): `Packages`, a hash whose data are the headers.
//!
//! Form (Berkeley DB's `dbinc/db_page.h`, versions 8 to 10 of its hashes, numbers in the byte order of the machine that
//! made it; the reader takes the least significant byte first): pages of one size, each with a head of 26 bytes. Page 0 says
//! how many buckets there are and where those of each doubling begin. A bucket is a chain of pages; a page has offsets after
//! its head and pairs of key and data at its end. What is too long for a page lies on a chain of pages of its own.

use std::collections::HashSet;

use super::MAX_HEADER_BYTES;
use super::integer::{le16, le32};
use crate::host::Host;
use crate::probe::Unobservable;

const MAGIC: u32 = 0x0006_1561;
const VERSIONS: std::ops::RangeInclusive<u32> = 8..=10;
const META_BYTES: usize = 512;
const HEAD_BYTES: usize = 26;
/// Most buckets: many more than there may be packages.
const MAX_BUCKETS: u32 = 1 << 20;
/// Pages of one long value that are read at once.
const RUN: usize = 16;

/// Types of pages.
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH_META: u8 = 8;
const HASH: u8 = 13;
/// Types of items.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

/// Visits the headers until `take` says no.
pub(super) fn headers(
    host: &dyn Host,
    path: &str,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), Unobservable> {
    let table = Table::open(host, path)?;
    let mut seen = HashSet::new();
    for bucket in 0..=table.last_bucket {
        let mut number = table
            .first_page(bucket)
            .ok_or_else(|| table.wrong("a bucket without a place"))?;
        while number != 0 {
            if !seen.insert(number) {
                return Err(table.wrong("a page that is in two places"));
            }
            let page = table.page(number)?;
            for pair in table.pairs(&page)? {
                if !take(&pair) {
                    return Ok(());
                }
            }
            number = page.next;
        }
    }
    Ok(())
}

struct Table<'h> {
    host: &'h dyn Host,
    path: &'h str,
    page_bytes: usize,
    last_page: u32,
    last_bucket: u32,
    /// What is added to a bucket's number for its page, by doubling.
    spares: Vec<u32>,
}

struct Page {
    bytes: Vec<u8>,
    next: u32,
    entries: u16,
    /// On a page of a long value, the length of its part.
    offset: u16,
    kind: u8,
}

impl<'h> Table<'h> {
    fn open(host: &'h dyn Host, path: &'h str) -> Result<Table<'h>, Unobservable> {
        let wrong = |problem: &str| Unobservable::unparsable(path, problem);
        let meta = host.read_at(path, 0, META_BYTES)?;
        let number = |at: usize| le32(&meta, at).ok_or_else(|| wrong("the file is cut"));
        if number(12)? != MAGIC || meta.get(25) != Some(&HASH_META) {
            return Err(wrong("no hash of Berkeley DB in this machine's byte order"));
        }
        let (version, page_bytes) = (number(16)?, number(20)?);
        let (encryption, flags) = (meta.get(24), meta.get(26));
        if !VERSIONS.contains(&version) || encryption != Some(&0) || flags != Some(&0) {
            return Err(wrong(
                "a Berkeley DB of a version or with options that rpm does not use",
            ));
        }
        if !page_bytes.is_power_of_two() || !(512..=65_536).contains(&page_bytes) {
            return Err(wrong("a Berkeley DB with pages of an impossible size"));
        }
        let last_bucket = number(72)?;
        if last_bucket >= MAX_BUCKETS {
            return Err(wrong("too many buckets"));
        }
        let spares = (0..32).map(|at| number(96 + 4 * at));
        Ok(Table {
            host,
            path,
            page_bytes: page_bytes as usize,
            last_page: number(32)?,
            last_bucket,
            spares: spares.collect::<Result<_, _>>()?,
        })
    }

    fn wrong(&self, problem: &str) -> Unobservable {
        Unobservable::unparsable(self.path, problem)
    }

    /// Buckets come in doublings, each in one piece.
    fn first_page(&self, bucket: u32) -> Option<u32> {
        let doubling = (bucket + 1).next_power_of_two().trailing_zeros() as usize;
        bucket.checked_add(*self.spares.get(doubling)?)
    }

    fn page(&self, number: u32) -> Result<Page, Unobservable> {
        let mut run = self.run(number, 1)?;
        run.pop().ok_or_else(|| self.wrong("the file is cut"))
    }

    /// Pages in one piece, as many as the file has.
    fn run(&self, first: u32, pages: usize) -> Result<Vec<Page>, Unobservable> {
        let size = self.page_bytes;
        let there = (u64::from(self.last_page) + 1).saturating_sub(first.into());
        let pages = usize::try_from(there).map_or(pages, |there| pages.min(there));
        let bytes = self
            .host
            .read_at(self.path, u64::from(first) * size as u64, pages * size)?;
        let mut run = Vec::new();
        for (number, bytes) in (first..).zip(bytes.chunks_exact(size)) {
            let page =
                Page::parse(bytes, number).ok_or_else(|| self.wrong("a page that is none"))?;
            run.push(page);
        }
        Ok(run)
    }

    /// The data of the pairs on a page of a bucket, but that of key 0, which counts packages.
    fn pairs(&self, page: &Page) -> Result<Vec<Vec<u8>>, Unobservable> {
        // A bucket that was never used is a page of zeros.
        if page.kind == 0 && page.entries == 0 {
            return Ok(Vec::new());
        }
        if !matches!(page.kind, HASH | HASH_UNSORTED) || !page.entries.is_multiple_of(2) {
            return Err(self.wrong("a page of a bucket that is none"));
        }
        let damaged = || self.wrong("a damaged pair");
        let mut found = Vec::new();
        for pair in 0..page.entries / 2 {
            let key = self.value(page.item(2 * pair).ok_or_else(damaged)?, 4)?;
            let data = page.item(2 * pair + 1).ok_or_else(damaged)?;
            if key.len() != 4 {
                return Err(damaged());
            }
            if key != [0; 4] {
                found.push(self.value(data, MAX_HEADER_BYTES)?);
            }
        }
        Ok(found)
    }

    fn value(&self, item: &[u8], limit: usize) -> Result<Vec<u8>, Unobservable> {
        match item.split_first() {
            Some((&KEY_DATA, rest)) => Ok(rest.to_vec()),
            Some((&OFF_PAGE, _)) => {
                let (Some(first), Some(length)) = (le32(item, 4), le32(item, 8)) else {
                    return Err(self.wrong("a damaged reference"));
                };
                let length = usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= limit)
                    .ok_or_else(|| self.wrong("a header that is too large"))?;
                self.long_value(first, length)
            }
            _ => Err(self.wrong("an item of a kind that rpm does not use")),
        }
    }

    /// A value on pages of its own, which mostly lie one after the other.
    fn long_value(&self, first: u32, length: usize) -> Result<Vec<u8>, Unobservable> {
        let mut value = Vec::new();
        let mut next = first;
        while value.len() < length && next != 0 {
            let wanted = (length - value.len()).div_ceil(self.page_bytes - HEAD_BYTES);
            let run = self.run(next, wanted.min(RUN))?;
            if run.is_empty() {
                break;
            }
            for (number, page) in (next..).zip(run) {
                if number != next {
                    break;
                }
                let part = page
                    .bytes
                    .get(HEAD_BYTES..HEAD_BYTES + usize::from(page.offset))
                    .filter(|part| page.kind == OVERFLOW && !part.is_empty())
                    .ok_or_else(|| self.wrong("a page of a header that is none"))?;
                value.extend_from_slice(part);
                next = page.next;
            }
        }
        if value.len() == length && next == 0 {
            Ok(value)
        } else {
            Err(self.wrong("a header that is cut"))
        }
    }
}

impl Page {
    fn parse(bytes: &[u8], number: u32) -> Option<Page> {
        let page = Page {
            next: le32(bytes, 16)?,
            entries: le16(bytes, 20)?,
            offset: le16(bytes, 22)?,
            kind: *bytes.get(25)?,
            bytes: bytes.to_vec(),
        };
        // Unused pages of a doubling are zeros, number included.
        (le32(bytes, 8)? == number || page.kind == 0).then_some(page)
    }

    /// Items lie from the end of the page, each up to the one before it.
    fn item(&self, at: u16) -> Option<&[u8]> {
        let start = |at: u16| le16(&self.bytes, HEAD_BYTES + 2 * usize::from(at)).map(usize::from);
        let end = match at.checked_sub(1) {
            Some(before) => start(before)?,
            None => self.bytes.len(),
        };
        self.bytes.get(start(at)?..end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::host::FileSystemHost;
    use crate::probe::packages::rpm::header::{self, Header, tag};

    /// A database that Berkeley DB itself makes: short headers and long ones, in many buckets.
    fn database(directory: &std::path::Path, packages: u32) -> Vec<u8> {
        let file = directory.join("Packages");
        let mut dump =
            "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n".to_owned();
        let mut pair = |key: u32, data: &[u8]| {
            let (key, data) = (hex::encode(key.to_le_bytes()), hex::encode(data));
            dump.push_str(&format!(" {key}\n {data}\n"));
        };
        pair(0, &packages.to_le_bytes());
        for number in 1..=packages {
            let name = format!("package-{number}");
            let filler = "x".repeat(number as usize % 50 * 700);
            let strings = [(tag::NAME, name.as_str()), (tag::ARCH, filler.as_str())];
            pair(number, &header::tests::header(&strings, &[]));
        }
        dump.push_str("DATA=END\n");
        let mut load = Command::new("/usr/bin/db5.3_load")
            .args(["-t", "hash"])
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()
            .expect("db5.3_load is missing: install the package db5.3-util");
        load.stdin
            .take()
            .unwrap()
            .write_all(dump.as_bytes())
            .unwrap();
        assert!(load.wait().unwrap().success());
        std::fs::read(file).unwrap()
    }

    fn names(database: &[u8]) -> Result<BTreeSet<String>, Unobservable> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("db"), database).unwrap();
        let host = FileSystemHost::offline(directory.path()).unwrap();
        let mut names = BTreeSet::new();
        headers(&host, "/db", &mut |blob| {
            let name = Header::parse(blob).and_then(|header| header.string(tag::NAME));
            assert!(names.insert(name.unwrap_or_default()));
            true
        })?;
        Ok(names)
    }

    #[test]
    fn every_package_of_a_genuine_database_is_found() {
        let directory = tempfile::tempdir().unwrap();
        for packages in [0, 1, 700] {
            let place = directory.path().join(packages.to_string());
            std::fs::create_dir(&place).unwrap();
            let found = names(&database(&place, packages)).unwrap();
            let expected: BTreeSet<String> = (1..=packages)
                .map(|number| format!("package-{number}"))
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let directory = tempfile::tempdir().unwrap();
        let whole = database(directory.path(), 30);
        for cut in (0..whole.len()).step_by(2048) {
            assert!(names(&whole[..cut]).is_err(), "{cut}");
        }
        let mut loop_of_pages = whole.clone();
        let first = (1..whole.len() / 4096)
            .find(|page| whole[page * 4096 + 25] == HASH)
            .unwrap();
        loop_of_pages[first * 4096 + 16..first * 4096 + 20]
            .copy_from_slice(&u32::try_from(first).unwrap().to_le_bytes());
        assert!(names(&loop_of_pages).is_err());
        for at in (0..whole.len()).step_by(whole.len() / 400) {
            let mut bad = whole.clone();
            bad[at] = 0xff;
            let _ = names(&bad);
        }
        for at in 0..200 {
            let mut bad = whole.clone();
            bad[at] ^= 0xff;
            let _ = names(&bad);
        }
    }
}
