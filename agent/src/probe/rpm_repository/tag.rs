//! The tags of an XML document as a stream: enough for repository metadata, in which all that counts is in attributes.

use std::io::{self, BufRead, BufReader, Read};

/// Longest text up to the end of a tag: descriptions of advisories stay far below.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Most bytes of one document.
const MAX_DOCUMENT_BYTES: u64 = 1024 * 1024 * 1024;

/// A reader of tags.
pub(super) struct Tags<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
    read: u64,
}

/// What stands between `<` and `>`.
pub(super) struct Tag<'a>(&'a str);

impl<R: Read> Tags<R> {
    pub(super) fn new(source: R) -> Tags<R> {
        Tags {
            reader: BufReader::with_capacity(64 * 1024, source),
            buffer: Vec::new(),
            read: 0,
        }
    }

    /// The next tag; text, comments and declarations are passed over.
    pub(super) fn next_tag(&mut self) -> io::Result<Option<Tag<'_>>> {
        loop {
            self.buffer.clear();
            let length = (&mut self.reader)
                .take(MAX_BYTES)
                .read_until(b'>', &mut self.buffer)? as u64;
            self.read += length;
            if length == MAX_BYTES || self.read > MAX_DOCUMENT_BYTES {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "no end of a tag",
                ));
            }
            if self.buffer.last() != Some(&b'>') {
                return match self.buffer.trim_ascii() {
                    [] => Ok(None),
                    _ => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the document is cut",
                    )),
                };
            }
            let open = self.buffer.iter().rposition(|byte| *byte == b'<');
            let is_tag = open
                .and_then(|at| self.buffer.get(at + 1))
                .is_some_and(|byte| !b"!?".contains(byte));
            if is_tag {
                break;
            }
        }
        let open = self
            .buffer
            .iter()
            .rposition(|byte| *byte == b'<')
            .unwrap_or(0);
        let inside = &self.buffer[open + 1..self.buffer.len() - 1];
        let text = std::str::from_utf8(inside)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some(Tag(text)))
    }
}

impl Tag<'_> {
    /// The name, with a slash before it at an element's end.
    pub(super) fn name(&self) -> &str {
        self.0
            .split(|c: char| c.is_ascii_whitespace())
            .next()
            .unwrap_or_default()
            .trim_end_matches('/')
    }

    /// Whether the element ends with this tag: `<updates/>`.
    pub(super) fn is_closed(&self) -> bool {
        self.0.ends_with('/')
    }

    /// The value of an attribute, with the five entities of XML replaced.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.0.get(self.name().len()..)?;
        loop {
            let (key, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, after) = after.get(1..)?.split_once(quote)?;
            if key.trim() == name {
                return Some(unescaped(value));
            }
            rest = after;
        }
    }
}

fn unescaped(value: &str) -> String {
    if !value.contains('&') {
        return value.to_owned();
    }
    value
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> io::Result<Vec<(String, Option<String>)>> {
        let mut tags = Tags::new(text);
        let mut found = Vec::new();
        while let Some(tag) = tags.next_tag()? {
            found.push((tag.name().to_owned(), tag.attribute("a")));
        }
        Ok(found)
    }

    #[test]
    fn tags_and_attributes() {
        let text = b"<?xml version='1.0'?>\n<!-- x -->\n<u b=\"1\" a = 'x &amp; y'>text a=\"no\"<p a=\"2\"/></u>\n";
        let found = all(text).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], ("u".to_owned(), Some("x & y".to_owned())));
        assert_eq!(found[1], ("p".to_owned(), Some("2".to_owned())));
        assert_eq!(found[2], ("/u".to_owned(), None));
    }

    #[test]
    fn hostile_bytes_are_errors_not_panics() {
        assert!(all(b"<u a=\"1\"").is_err());
        assert!(all(b"<\xff>").is_err());
        assert!(all(b">>>").unwrap().is_empty());
        assert!(all(b"").unwrap().is_empty());
        assert_eq!(all(b"<>").unwrap()[0].0, "");
        assert!(all(&vec![b'a'; 5 << 20]).is_err());
        for text in ["<u a>", "<u a=>", "<u a=\"", "<u =\"1\" a=\"2\">"] {
            let _ = all(text.as_bytes());
        }
    }
}
