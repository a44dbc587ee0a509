//! The header of an installed package as rpm keeps it in its database: an index of tags and a store of their data.
//!
//! Form (rpm.org, "RPM V4 package format", headers without their magic): two 32-bit numbers in network order, the count
//! of index entries and the length of the store; the entries of 16 bytes (tag, type, offset into the store, count); the
//! store. What rpm adds at installation stands after the signed region and counts before an entry of the same tag in it.

use super::integer::be32;

/// Most entries and most bytes of a store, as rpm itself bounds them.
const MAX_ENTRIES: usize = 0xffff;
const MAX_STORE_BYTES: usize = 256 * 1024 * 1024;
/// Most values of one tag.
const MAX_VALUES: usize = 1_000_000;

const ENTRY_BYTES: usize = 16;

/// Tags (rpmtag.h) that are read here.
pub mod tag {
    /// Name.
    pub const NAME: u32 = 1000;
    /// Version.
    pub const VERSION: u32 = 1001;
    /// Release.
    pub const RELEASE: u32 = 1002;
    /// Epoch; absent is 0.
    pub const EPOCH: u32 = 1003;
    /// Seconds since 1970 of the installation.
    pub const INSTALL_TIME: u32 = 1008;
    /// Architecture.
    pub const ARCH: u32 = 1022;
    /// Lists of files: their digests, modes, times, flags, and what is to be verified of each.
    pub const FILE_MODES: u32 = 1030;
    /// See [`FILE_MODES`].
    pub const FILE_TIMES: u32 = 1034;
    /// See [`FILE_MODES`].
    pub const FILE_DIGESTS: u32 = 1035;
    /// See [`FILE_MODES`].
    pub const FILE_FLAGS: u32 = 1037;
    /// See [`FILE_MODES`].
    pub const FILE_VERIFY_FLAGS: u32 = 1045;
    /// Whether each file was installed.
    pub const FILE_STATES: u32 = 1029;
    /// The directory of each file, as a place in the list of directories.
    pub const DIR_INDEXES: u32 = 1116;
    /// The names of the files.
    pub const BASE_NAMES: u32 = 1117;
    /// Their directories.
    pub const DIR_NAMES: u32 = 1118;
    /// File name of the source package; absent for keys.
    pub const SOURCE_RPM: u32 = 1044;
}

const CHAR: u32 = 1;
const INT8: u32 = 2;
const INT16: u32 = 3;
const INT32: u32 = 4;
const STRING: u32 = 6;
const BINARY: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// A header in memory.
#[derive(Debug, Clone, Copy)]
pub struct Header<'b> {
    index: &'b [u8],
    store: &'b [u8],
}

impl<'b> Header<'b> {
    /// A header from its bytes, if index and store take up just those bytes.
    #[must_use]
    pub fn parse(blob: &'b [u8]) -> Option<Header<'b>> {
        let entries = usize::try_from(be32(blob, 0)?).ok()?;
        let length = usize::try_from(be32(blob, 4)?).ok()?;
        if entries == 0 || entries > MAX_ENTRIES || length > MAX_STORE_BYTES {
            return None;
        }
        let start = 8 + entries * ENTRY_BYTES;
        let (index, store) = (blob.get(8..start)?, blob.get(start..)?);
        (store.len() == length).then_some(Header { index, store })
    }

    /// The string of a tag.
    #[must_use]
    pub fn string(&self, tag: u32) -> Option<String> {
        let (kind, data, _) = self.find(tag)?;
        if !matches!(kind, STRING | STRING_ARRAY | I18N_STRING) {
            return None;
        }
        let end = data.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&data[..end]).into_owned())
    }

    /// The 32-bit numbers of a tag.
    #[must_use]
    pub fn numbers(&self, tag: u32) -> Option<Vec<u32>> {
        let (kind, data, count) = self.find(tag)?;
        let bytes = data.get(..count.checked_mul(4)?)?;
        (kind == INT32).then(|| {
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|four| u32::from_be_bytes(*four))
                .collect()
        })
    }

    /// The strings of a tag.
    #[must_use]
    pub fn strings(&self, tag: u32) -> Option<Vec<String>> {
        let (kind, mut data, count) = self.find(tag)?;
        if !matches!(kind, STRING | STRING_ARRAY | I18N_STRING) {
            return None;
        }
        let mut strings = Vec::new();
        for _ in 0..count {
            let end = data.iter().position(|byte| *byte == 0)?;
            strings.push(String::from_utf8_lossy(&data[..end]).into_owned());
            data = data.get(end + 1..)?;
        }
        Some(strings)
    }

    /// The 16-bit numbers of a tag.
    #[must_use]
    pub fn shorts(&self, tag: u32) -> Option<Vec<u16>> {
        let (kind, data, count) = self.find(tag)?;
        let bytes = data.get(..count.checked_mul(2)?)?;
        (kind == INT16).then(|| {
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|two| u16::from_be_bytes(*two))
                .collect()
        })
    }

    /// The bytes of a tag.
    #[must_use]
    pub fn bytes(&self, tag: u32) -> Option<&'b [u8]> {
        let (kind, data, count) = self.find(tag)?;
        matches!(kind, CHAR | INT8 | BINARY).then(|| data.get(..count))?
    }

    /// The first number of a tag.
    #[must_use]
    pub fn number(&self, tag: u32) -> Option<u32> {
        self.numbers(tag)?.first().copied()
    }

    /// Type, data from its start on, and count of the last entry of a tag.
    fn find(&self, tag: u32) -> Option<(u32, &'b [u8], usize)> {
        let entry = self
            .index
            .chunks_exact(ENTRY_BYTES)
            .rfind(|entry| be32(entry, 0) == Some(tag))?;
        let offset = usize::try_from(be32(entry, 8)?).ok()?;
        let count = usize::try_from(be32(entry, 12)?).ok()?;
        (count <= MAX_VALUES).then_some((be32(entry, 4)?, self.store.get(offset..)?, count))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header with string and number tags, as rpm would keep it.
    pub fn header(strings: &[(u32, &str)], numbers: &[(u32, u32)]) -> Vec<u8> {
        let mut index = Vec::new();
        let mut store = Vec::new();
        let mut entry = |tag: u32, kind: u32, offset: usize| {
            for word in [tag, kind, u32::try_from(offset).unwrap(), 1] {
                index.extend_from_slice(&word.to_be_bytes());
            }
        };
        for (tag, number) in numbers {
            entry(*tag, INT32, store.len());
            store.extend_from_slice(&number.to_be_bytes());
        }
        for (tag, text) in strings {
            entry(*tag, STRING, store.len());
            store.extend_from_slice(text.as_bytes());
            store.push(0);
        }
        let count = u32::try_from(strings.len() + numbers.len()).unwrap();
        let mut blob = count.to_be_bytes().to_vec();
        blob.extend_from_slice(&u32::try_from(store.len()).unwrap().to_be_bytes());
        blob.extend_from_slice(&index);
        blob.extend_from_slice(&store);
        blob
    }

    #[test]
    fn tags_are_found_and_the_last_one_counts() {
        let blob = header(
            &[(tag::NAME, "bash"), (tag::NAME, "later")],
            &[(tag::EPOCH, 2)],
        );
        let header = Header::parse(&blob).unwrap();
        assert_eq!(header.string(tag::NAME).as_deref(), Some("later"));
        assert_eq!(header.number(tag::EPOCH), Some(2));
        assert_eq!(header.string(tag::EPOCH), None, "a number is no string");
        assert_eq!(header.number(tag::NAME), None, "a string is no number");
        assert_eq!(header.string(tag::ARCH), None);
    }

    #[test]
    fn bytes_that_are_no_header_are_refused_and_never_panic() {
        let blob = header(&[(tag::NAME, "bash")], &[(tag::EPOCH, 2)]);
        for cut in 0..blob.len() {
            assert!(Header::parse(&blob[..cut]).is_none(), "{cut}");
        }
        for at in 0..blob.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = blob.clone();
                bad[at] = value;
                if let Some(header) = Header::parse(&bad) {
                    for tag in [tag::NAME, tag::EPOCH] {
                        let _ = (header.string(tag), header.numbers(tag));
                    }
                }
            }
        }
    }
}
