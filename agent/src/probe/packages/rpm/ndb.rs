//! The ndb form of SUSE: `Packages.db`, pages of slots that say where the header of each package lies.
//!
//! Form (rpm's lib/backend/ndb, numbers with the least significant byte first): a head of 32 bytes (magic `RpmP`, version
//! 0, generation, pages of slots, next index); slots of 16 bytes up to the end of these pages of 4096 bytes (magic `Slot`,
//! package index, first block, blocks; first block 0 is free); blocks of 16 bytes. A blob begins with `BlbS`, package
//! index, time and length, and ends with its Adler-32 sum, the length again and `BlbE`.

use super::MAX_HEADER_BYTES;
use super::integer::le32;
use crate::host::Host;
use crate::probe::Unobservable;

const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: u64 = 16;
const HEAD_BYTES: usize = 16;
const TAIL_BYTES: usize = 12;
/// Most pages of slots: half a million packages.
const MAX_SLOT_PAGES: usize = 2048;

/// Visits the headers until `take` says no.
pub(super) fn headers(
    host: &dyn Host,
    path: &str,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), Unobservable> {
    let wrong = |problem: &str| Unobservable::unparsable(path, problem);
    let head = host.read_at(path, 0, 2 * SLOT_BYTES)?;
    if !head.starts_with(b"RpmP") || le32(&head, 4) != Some(0) {
        return Err(wrong("no ndb database of version 0"));
    }
    let pages = le32(&head, 12)
        .and_then(|pages| usize::try_from(pages).ok())
        .filter(|pages| (1..=MAX_SLOT_PAGES).contains(pages))
        .ok_or_else(|| wrong("too many packages"))?;
    for page in 0..pages {
        let slots = host.read_at(path, (page * PAGE_BYTES) as u64, PAGE_BYTES)?;
        if slots.len() < PAGE_BYTES {
            return Err(wrong("the file ends among its slots"));
        }
        // The head takes the place of the first two slots.
        let first = if page == 0 { 2 } else { 0 };
        for slot in slots.chunks_exact(SLOT_BYTES).skip(first) {
            let number = |at: usize| le32(slot, at).unwrap_or(0);
            if !slot.starts_with(b"Slot") {
                return Err(wrong("a slot that is none"));
            }
            let (index, offset, blocks) = (number(4), number(8), number(12));
            if offset == 0 {
                continue;
            }
            let blob = blob(host, path, index, offset, blocks)?
                .ok_or_else(|| wrong("a package whose header is damaged"))?;
            if !take(&blob) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The header of one package; `None` if what lies there is not its blob.
fn blob(
    host: &dyn Host,
    path: &str,
    index: u32,
    offset: u32,
    blocks: u32,
) -> Result<Option<Vec<u8>>, Unobservable> {
    let Some(size) = usize::try_from(u64::from(blocks) * BLOCK_BYTES)
        .ok()
        .filter(|size| (HEAD_BYTES + TAIL_BYTES..=MAX_HEADER_BYTES).contains(size))
    else {
        return Ok(None);
    };
    let bytes = host.read_at(path, u64::from(offset) * BLOCK_BYTES, size)?;
    Ok(whole(&bytes, index, size))
}

fn whole(bytes: &[u8], index: u32, size: usize) -> Option<Vec<u8>> {
    let length = usize::try_from(le32(bytes, 12)?).ok()?;
    let tail = size.checked_sub(TAIL_BYTES)?;
    let fits = bytes.starts_with(b"BlbS")
        && le32(bytes, 4)? == index
        && length <= tail.checked_sub(HEAD_BYTES)?
        && usize::try_from(le32(bytes, tail + 4)?).ok()? == length
        && bytes.get(tail + 8..size)? == b"BlbE";
    // The sum covers all up to itself: head, header and the zeros that fill the last block.
    let sum = adler32(bytes.get(..tail)?);
    (fits && sum == le32(bytes, tail)?).then(|| {
        bytes
            .get(HEAD_BYTES..HEAD_BYTES + length)
            .map(<[u8]>::to_vec)
    })?
}

/// RFC 1950, section 9.
fn adler32(bytes: &[u8]) -> u32 {
    let (mut first, mut second) = (1_u32, 0_u32);
    // The longest run for which the sums cannot overflow.
    for run in bytes.chunks(5552) {
        for byte in run {
            first += u32::from(*byte);
            second += first;
        }
        first %= 65_521;
        second %= 65_521;
    }
    second << 16 | first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FileSystemHost;
    use crate::probe::packages::rpm::header::{Header, tag};

    /// Made by hand after rpm's own code, from headers that rpm made.
    const DATABASE: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/packages/Packages.db"
    ));

    fn names(database: &[u8]) -> Result<Vec<String>, Unobservable> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("db"), database).unwrap();
        let host = FileSystemHost::offline(directory.path()).unwrap();
        let mut names = Vec::new();
        headers(&host, "/db", &mut |blob| {
            let name = Header::parse(blob).and_then(|header| header.string(tag::NAME));
            names.push(name.unwrap_or_default());
            true
        })?;
        Ok(names)
    }

    #[test]
    fn packages_are_found_by_their_slots() {
        assert_eq!(names(DATABASE).unwrap(), ["openssl-libs", "hello"]);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        for cut in (0..DATABASE.len()).step_by(64) {
            assert!(names(&DATABASE[..cut]).is_err(), "{cut}");
        }
        let mut bad = DATABASE.to_vec();
        bad[5000] ^= 1;
        assert!(names(&bad).is_err(), "the sum does not fit");
        for at in (0..5000).step_by(3) {
            let mut bad = DATABASE.to_vec();
            bad[at] = 0xff;
            let _ = names(&bad);
        }
    }
}
