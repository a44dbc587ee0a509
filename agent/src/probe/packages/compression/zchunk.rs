//! The zchunk form in which Fedora and EPEL publish metadata, and dnf keeps them.
//!
//! Form (zchunk's `zchunk_format.txt`; numbers are of seven bits a byte, the least significant first, and the last byte has
//! its highest bit set): a lead (`\0ZCK1`, kind of checksum, length of the rest of the header, its checksum); a preface
//! (checksum of the data, flags, compression); an index (its length, kind of checksum, count, and for the dictionary and each
//! chunk a checksum, its length and its length after decompression); signatures. Then the dictionary and the chunks.

use std::collections::VecDeque;
use std::io::{self, Read};

use crypto::DigestStream;

const MAGIC: &[u8; 5] = b"\0ZCK1";
/// Longest header: an index of some hundred thousand chunks.
const MAX_HEADER_BYTES: u64 = 16 * 1024 * 1024;
/// Longest chunk, before and after decompression.
const MAX_CHUNK_BYTES: u64 = 32 * 1024 * 1024;
/// Most chunks.
const MAX_CHUNKS: usize = 500_000;
/// Bits of the flags.
const STREAMS: u64 = 1;
const OPTIONAL: u64 = 2;
const UNCOMPRESSED_SUMS: u64 = 4;
const ZSTD: u64 = 2;
const SHA256: u64 = 1;

/// A reader of what the file holds.
pub(super) struct Zchunk<R> {
    source: R,
    chunks: VecDeque<(u64, u64)>,
    dictionary: Vec<u8>,
    compressed: bool,
    /// What was decompressed, and how much of it was read.
    current: io::Cursor<Vec<u8>>,
    /// The checksum of the data, where it is SHA-256, and what was read of them so far.
    expected: Option<(Vec<u8>, DigestStream)>,
}

impl<R: Read> Zchunk<R> {
    pub(super) fn new(mut source: R) -> io::Result<Zchunk<R>> {
        let mut magic = [0; MAGIC.len()];
        source.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(wrong("no zchunk file"));
        }
        let kind = number(&mut source)?;
        let length = number(&mut source)?;
        let sum = checksum_length(kind)?;
        bytes(&mut source, sum, MAX_HEADER_BYTES)?;
        let header = bytes(&mut source, length, MAX_HEADER_BYTES)?;
        let mut rest = header.as_slice();
        let expected = bytes(&mut rest, sum, MAX_HEADER_BYTES)?;
        let flags = number(&mut rest)?;
        if flags & !(STREAMS | OPTIONAL | UNCOMPRESSED_SUMS) != 0 || flags & STREAMS != 0 {
            return Err(wrong("a zchunk file with options that are not read"));
        }
        let compression = number(&mut rest)?;
        if compression != 0 && compression != ZSTD {
            return Err(wrong("a zchunk file in another compression than zstd"));
        }
        if flags & OPTIONAL != 0 {
            for _ in 0..number(&mut rest)?.min(MAX_HEADER_BYTES) {
                number(&mut rest)?;
                let length = number(&mut rest)?;
                bytes(&mut rest, length, MAX_HEADER_BYTES)?;
            }
        }
        let index_length = number(&mut rest)?;
        let index = bytes(&mut rest, index_length, MAX_HEADER_BYTES)?;
        let mut chunks = index_of(&index, flags & UNCOMPRESSED_SUMS != 0)?;
        let mut zchunk = Zchunk {
            source,
            dictionary: Vec::new(),
            compressed: compression == ZSTD,
            current: io::Cursor::new(Vec::new()),
            // With sums of what was not compressed, that of the data is left out.
            expected: (kind == SHA256 && flags & UNCOMPRESSED_SUMS == 0)
                .then(|| (expected, DigestStream::new())),
            chunks: VecDeque::new(),
        };
        // The dictionary is compressed as any chunk, without one.
        if let Some(dictionary) = chunks.pop_front() {
            zchunk.dictionary = zchunk.chunk(dictionary)?;
        }
        zchunk.chunks = chunks;
        Ok(zchunk)
    }

    fn chunk(&mut self, (length, unpacked): (u64, u64)) -> io::Result<Vec<u8>> {
        let packed = bytes(&mut self.source, length, MAX_CHUNK_BYTES)?;
        if let Some((_, sum)) = &mut self.expected {
            sum.update(&packed);
        }
        if !self.compressed || packed.is_empty() {
            return Ok(packed);
        }
        let size = usize::try_from(unpacked.min(MAX_CHUNK_BYTES)).unwrap_or(0);
        let chunk = zstd::bulk::Decompressor::with_dictionary(&self.dictionary)?
            .decompress(&packed, size)?;
        if chunk.len() as u64 == unpacked {
            Ok(chunk)
        } else {
            Err(wrong("a chunk of another length than the index says"))
        }
    }
}

impl<R: Read> Read for Zchunk<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(chunk) = self.chunks.pop_front() else {
                let end = self.expected.take();
                return match end.map(|(expected, sum)| (hex::encode(expected), sum.finish())) {
                    Some((expected, found)) if found.to_hex() != expected => {
                        Err(wrong("the data do not have the checksum of the header"))
                    }
                    _ => Ok(0),
                };
            };
            self.current = io::Cursor::new(self.chunk(chunk)?);
        }
    }
}

/// Lengths of the dictionary and the chunks, packed and unpacked.
fn index_of(mut index: &[u8], two_sums: bool) -> io::Result<VecDeque<(u64, u64)>> {
    let sum = checksum_length(number(&mut index)?)?;
    number(&mut index)?;
    let mut chunks = VecDeque::new();
    while !index.is_empty() {
        if chunks.len() == MAX_CHUNKS {
            return Err(wrong("too many chunks"));
        }
        bytes(&mut index, sum, MAX_HEADER_BYTES)?;
        if two_sums {
            bytes(&mut index, sum, MAX_HEADER_BYTES)?;
        }
        let packed = number(&mut index)?;
        chunks.push_back((packed, number(&mut index)?));
    }
    Ok(chunks)
}

fn wrong(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// SHA-1, SHA-256, SHA-512, and SHA-512 cut to 128 bits.
fn checksum_length(kind: u64) -> io::Result<u64> {
    match kind {
        0 => Ok(20),
        1 => Ok(32),
        2 => Ok(64),
        3 => Ok(16),
        _ => Err(wrong("an unknown kind of checksum")),
    }
}

fn number(source: &mut impl Read) -> io::Result<u64> {
    let mut value: u64 = 0;
    for place in 0..9 {
        let mut byte = [0];
        source.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << (7 * place);
        if byte[0] & 0x80 != 0 {
            return Ok(value);
        }
    }
    Err(wrong("a number that is too long"))
}

fn bytes(source: &mut impl Read, length: u64, limit: u64) -> io::Result<Vec<u8>> {
    if length > limit {
        return Err(wrong("a part that is too long"));
    }
    let mut found = Vec::new();
    let mut left = length;
    let mut part = [0; 4096];
    // Step by step: the length is only what the file says.
    while left > 0 {
        let wanted = usize::try_from(left).map_or(part.len(), |left| left.min(part.len()));
        let part = part.get_mut(..wanted).unwrap_or_default();
        source.read_exact(part)?;
        found.extend_from_slice(part);
        left -= wanted as u64;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A text as zchunk's own program packs it, and as its counterpart unpacks that: splitting at a string, `zck` 1.2.3
    /// loses a byte here and there.
    fn packed(text: &str, options: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        std::fs::write(place.join("in"), text).unwrap();
        std::fs::write(place.join("dictionary"), &text[..text.len().min(2000)]).unwrap();
        let status = Command::new("/usr/bin/zck")
            .args(["-o", "out.zck"])
            .args(options)
            .arg("in")
            .current_dir(place)
            .status()
            .expect("zck is missing: install the package zchunk");
        assert!(status.success());
        let unpacked = Command::new("/usr/bin/unzck")
            .args(["-c", "out.zck"])
            .current_dir(place)
            .output()
            .unwrap();
        assert!(unpacked.status.success());
        let packed = std::fs::read(place.join("out.zck")).unwrap();
        (packed, unpacked.stdout)
    }

    fn read(file: &[u8]) -> io::Result<Vec<u8>> {
        let mut zchunk = Zchunk::new(file)?;
        let mut found = Vec::new();
        let mut part = [0; 1000];
        loop {
            match zchunk.read(&mut part)? {
                0 => return Ok(found),
                n => found.extend_from_slice(&part[..n]),
            }
        }
    }

    fn advisories(count: usize) -> String {
        let update = |number: usize| {
            format!("<update type=\"security\"><id>FEDORA-{number}</id></update>\n")
        };
        (0..count).map(update).collect()
    }

    #[test]
    fn files_of_zck_are_read() {
        for count in [0, 1, 20_000] {
            let text = advisories(count);
            for options in [
                [].as_slice(),
                &["-s", "<update ", "-m"],
                &["-D", "dictionary"],
                &["-u"],
            ] {
                let (packed, unpacked) = packed(&text, options);
                assert!(unpacked.len() + 10 > text.len());
                assert!(read(&packed).unwrap() == unpacked, "{count} {options:?}");
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let (whole, _) = packed(&advisories(50), &[]);
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0xff;
            let _ = read(&bad);
        }
        let mut bad = whole.clone();
        *bad.last_mut().unwrap() ^= 1;
        assert!(read(&bad).is_err(), "the checksum does not fit");
    }
}
