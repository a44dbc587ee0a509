//! Archives of tar as a stream (pax interchange format, POSIX.1-2008): package managers publish their databases so.

use std::io::{self, Read};

const BLOCK: usize = 512;
/// Longest extended header: it holds a path.
const MAX_EXTENDED_BYTES: u64 = 64 * 1024;
/// Most bytes of one archive after decompression; the largest database of a distribution has a third of it.
const MAX_ARCHIVE_BYTES: u64 = 256 * 1024 * 1024;

/// A reader of members. Reading from it gives the content of the member at hand.
pub struct Members<R> {
    source: R,
    /// Content of the member at hand that was not read.
    left: u64,
    /// Zeros after it.
    padding: u64,
    /// Bytes that may still come.
    budget: u64,
}

/// One member.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path as the archive has it.
    pub path: String,
    /// Length of its content.
    pub size: u64,
}

impl<R: Read> Members<R> {
    /// The members of an archive that was decompressed.
    pub fn new(source: R) -> Members<R> {
        Members {
            source,
            left: 0,
            padding: 0,
            budget: MAX_ARCHIVE_BYTES,
        }
    }

    /// The next member; `None` at the end of the archive, after the whole stream was read, so that its sums were checked.
    ///
    /// # Errors
    /// What the stream says, or an archive that is cut, damaged or too large.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut long = None;
        loop {
            self.pass_over()?;
            let mut head = [0; BLOCK];
            self.fill(&mut head)?;
            if head.iter().all(|byte| *byte == 0) {
                self.drain()?;
                return Ok(None);
            }
            let size = head_size(&head).ok_or_else(|| wrong("a damaged archive"))?;
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match head[156] {
                b'x' => {
                    let records = self.content(MAX_EXTENDED_BYTES)?;
                    let found = extended_path(&records);
                    long = found.ok_or_else(|| wrong("a damaged archive"))?.or(long);
                }
                b'L' => long = Some(text(&self.content(MAX_EXTENDED_BYTES)?)),
                b'g' => {}
                _ => {
                    let path = long.take().unwrap_or_else(|| head_path(&head));
                    return Ok(Some(Member { path, size }));
                }
            }
        }
    }

    /// The rest of the content of the member at hand.
    ///
    /// # Errors
    /// What the stream says, or content longer than `limit`.
    pub fn content(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        if self.left > limit {
            return Err(wrong("a member of the archive is too large"));
        }
        let length = usize::try_from(self.left).map_err(|_| wrong("a member is too large"))?;
        let mut content = vec![0; length];
        self.read_exact(&mut content)?;
        Ok(content)
    }

    fn pass_over(&mut self) -> io::Result<()> {
        let length = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        self.spend(length)?;
        let passed = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
        if passed == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn fill(&mut self, block: &mut [u8]) -> io::Result<()> {
        self.spend(block.len() as u64)?;
        self.source.read_exact(block)
    }

    fn drain(&mut self) -> io::Result<()> {
        let budget = self.budget;
        let read = io::copy(&mut self.source.by_ref().take(budget + 1), &mut io::sink())?;
        self.spend(read)
    }

    fn spend(&mut self, bytes: u64) -> io::Result<()> {
        self.budget = self
            .budget
            .checked_sub(bytes)
            .ok_or_else(|| wrong("the archive is too large"))?;
        Ok(())
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = match buffer.get_mut(..wanted) {
            Some(part) if !part.is_empty() => self.source.read(part)?,
            _ => return Ok(0),
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        self.spend(read as u64)?;
        Ok(read)
    }
}

fn wrong(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// The size that a header gives, if its sum is right.
fn head_size(head: &[u8; BLOCK]) -> Option<u64> {
    let sum: u64 = head
        .iter()
        .enumerate()
        // The sum counts itself as spaces.
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    (octal(head.get(148..156)?)? == sum)
        .then(|| octal(head.get(124..136)?))
        .flatten()
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = text(field);
    u64::from_str_radix(digits.trim(), 8).ok()
}

/// Text up to the first zero.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    let field = end.and_then(|end| field.get(..end)).unwrap_or(field);
    String::from_utf8_lossy(field).into_owned()
}

fn head_path(head: &[u8; BLOCK]) -> String {
    let name = head.get(..100).map(text).unwrap_or_default();
    let is_ustar = head.get(257..262) == Some(b"ustar");
    match head.get(345..500).map(text) {
        Some(prefix) if is_ustar && !prefix.is_empty() => format!("{prefix}/{name}"),
        _ => name,
    }
}

/// The path among records `LENGTH NAME=VALUE\n`; `None` if they are none.
fn extended_path(records: &[u8]) -> Option<Option<String>> {
    let mut rest = records;
    let mut found = None;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(rest.get(..space)?).ok()?.parse().ok()?;
        let record = rest.get(space + 1..length.checked_sub(1)?)?;
        if let Some(path) = record.strip_prefix(b"path=") {
            found = Some(String::from_utf8_lossy(path).into_owned());
        }
        if rest.get(length - 1) != Some(&b'\n') {
            return None;
        }
        rest = rest.get(length..)?;
    }
    Some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A member as bsdtar writes it.
    pub(crate) fn member(path: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut head = [0; BLOCK];
        head[..path.len()].copy_from_slice(path.as_bytes());
        head[100..108].copy_from_slice(b"000644 \0");
        head[124..136].copy_from_slice(format!("{:011o} ", content.len()).as_bytes());
        head[156] = kind;
        head[257..263].copy_from_slice(b"ustar\0");
        head[148..156].copy_from_slice(b"        ");
        let sum: u64 = head.iter().map(|byte| u64::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn all(archive: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut members = Members::new(archive);
        let mut found = Vec::new();
        while let Some(member) = members.next_member()? {
            found.push((member.path, members.content(1024)?));
        }
        Ok(found)
    }

    fn archive() -> Vec<u8> {
        let mut archive = member("hello-1.0-1/", b'5', b"");
        archive.extend(member("hello-1.0-1/desc", b'0', b"%NAME%\nhello\n"));
        archive.extend(member("x", b'x', b"20 path=long/er/desc\n12 mtime=99\n"));
        archive.extend(member("short", b'0', &[7; 512]));
        archive.extend([0; 2 * BLOCK]);
        archive
    }

    #[test]
    fn members_come_with_their_content() {
        let mut archive = archive();
        let found = all(&archive);
        assert!(found.is_err(), "the record's length is wrong: {found:?}");
        let at = 3 * BLOCK + BLOCK;
        archive[at..at + 2].copy_from_slice(b"21");
        let found = all(&archive).unwrap();
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["hello-1.0-1/", "hello-1.0-1/desc", "long/er/desc"]);
        assert_eq!(found[1].1, b"%NAME%\nhello\n");
        assert_eq!(found[2].1, [7; 512]);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let whole = archive();
        for cut in (0..whole.len() - BLOCK).step_by(64) {
            assert!(all(&whole[..cut]).is_err(), "{cut}");
        }
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] = 0xff;
            let _ = all(&bad);
        }
        let huge = member("x", b'0', &[0; 2048]);
        assert!(all(&huge).is_err(), "longer than its reader takes");
    }

    #[test]
    fn an_archive_that_never_ends_is_refused() {
        let mut endless = Members::new(io::repeat(0).take(MAX_ARCHIVE_BYTES + 2));
        assert!(endless.next_member().is_err());
    }
}
