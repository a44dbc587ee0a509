//! Control files as a stream (deb822(5)): stanzas of `Field: value`, parted by empty lines.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line; a package with thousands of dependencies stays far below.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
/// Most bytes of one stream after decompression.
const MAX_STREAM_BYTES: u64 = 512 * 1024 * 1024;
/// Most bytes kept of one field.
const MAX_VALUE_BYTES: usize = 256 * 1024;

/// A reader of stanzas that keeps only the fields it was asked for.
pub struct Stanzas<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    wanted: &'static [&'static str],
    read: u64,
}

/// The wanted fields of one stanza.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza(Vec<(&'static str, String)>);

impl Stanza {
    /// A field's value without surrounding white space; lines of a folded value are parted by `\n`.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(field))
            .map(|(_, value)| value.trim())
    }

    /// A field's words; none if the field is absent.
    pub fn words(&self, field: &str) -> impl Iterator<Item = &str> {
        self.get(field).unwrap_or_default().split_whitespace()
    }
}

impl<R: Read> Stanzas<R> {
    /// Reads `source`, keeping the fields named.
    pub fn new(source: R, wanted: &'static [&'static str]) -> Stanzas<R> {
        Stanzas {
            reader: BufReader::with_capacity(32 * 1024, source),
            line: Vec::new(),
            wanted,
            read: 0,
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next stanza that has any line, or `None` at the end.
    ///
    /// # Errors
    /// What the stream says, a line without a colon, or a broken bound.
    pub fn next_stanza(&mut self) -> io::Result<Option<Stanza>> {
        let mut stanza = Stanza::default();
        let mut lines = 0;
        // The field that a folded line continues: its place in the stanza if it was wanted.
        let mut field: Option<usize> = None;
        while self.next_line()? {
            let line = self.line.trim_ascii_end();
            if line.is_empty() {
                if lines > 0 {
                    return Ok(Some(stanza));
                }
                continue;
            }
            if line.first() == Some(&b'#') {
                continue;
            }
            lines += 1;
            if matches!(line.first(), Some(b' ' | b'\t')) {
                if let Some((_, value)) = field.and_then(|at| stanza.0.get_mut(at)) {
                    if value.len() + line.len() > MAX_VALUE_BYTES {
                        return Err(invalid("a field is too long"));
                    }
                    value.push('\n');
                    value.push_str(&String::from_utf8_lossy(line.trim_ascii()));
                }
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                return Err(invalid("a line without a colon"));
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let known = self
                .wanted
                .iter()
                .find(|wanted| wanted.as_bytes().eq_ignore_ascii_case(name));
            field = known.map(|known| {
                stanza
                    .0
                    .push((known, String::from_utf8_lossy(value).into_owned()));
                stanza.0.len() - 1
            });
        }
        Ok((lines > 0).then_some(stanza))
    }

    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let length = (&mut self.reader)
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut self.line)? as u64;
        self.read += length;
        if length > MAX_LINE_BYTES || self.read > MAX_STREAM_BYTES {
            return Err(invalid("longer than any control file"));
        }
        Ok(length > 0)
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> io::Result<Vec<Stanza>> {
        let mut reader = Stanzas::new(text, &["Package", "Suites"]);
        let mut found = Vec::new();
        while let Some(stanza) = reader.next_stanza()? {
            found.push(stanza);
        }
        Ok(found)
    }

    #[test]
    fn folded_values_comments_and_case() {
        let found = all(
            b"\n\npackage: a\nOther: x\n y\n# Package: no\n\n\nSuites:\n one\n two\nPackage: b",
        )
        .unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("Package"), Some("a"));
        assert_eq!(found[1].words("suites").collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(found[1].get("Package"), Some("b"));
    }

    #[test]
    fn hostile_bytes_are_errors_not_panics() {
        assert!(all(b"no colon here\n").is_err());
        assert!(all(&vec![b'a'; 2 * 1024 * 1024]).is_err());
        assert_eq!(all(b" folded into nothing\n").unwrap().len(), 1);
        assert!(all(b"").unwrap().is_empty());
        assert!(
            all(b"\xff\xfe: \xff\n:\n").unwrap()[0]
                .get("Package")
                .is_none()
        );
    }
}
