//! What an input of the fuzzer is: one line that names the place where bytes are read, then the bytes. A line that begins
//! with `grow N` has them repeated N times, with a running number in the place of each `#`: long answers, kept short.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The first word of the line for places that are no host's.
const READER: &str = "reader";
/// The first word of the line for bytes that are repeated.
const GROW: &str = "grow ";
/// Most bytes that repetition makes.
pub const MAX_GROWN_BYTES: usize = 1 << 20;

/// Where hostile bytes are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// One answer of a host to one probe.
    Host {
        /// The recording that gives every other answer: its path below `tests/fixtures/hosts` without `.toml`.
        recording: String,
        /// The probe that asks.
        probe: String,
        /// What it asks.
        question: Question,
    },
    /// A reader of what is signed, sent or kept, by its name in [`crate::readers`].
    Reader(String),
}

/// Something that a probe asks a host, whose answer is bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// The content of a file.
    Content(String),
    /// The names in a directory: one a line, with `/` behind a directory, `@` behind a link, `|` behind anything else
    /// that is no regular file.
    Names(String),
    /// The target of a link.
    Link(String),
    /// An extended attribute: its name, then the path.
    Attribute(String, String),
    /// The standard output of a program, by its command line.
    Output(String),
    /// What an own listener says, by address and question.
    Reply(String),
    /// The kernel's audit rules, one a line.
    AuditRules,
}

/// A line that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no place: \"RECORDING PROBE WHAT NAME\" or \"reader NAME\" is expected")]
pub struct NoPlace(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host {
                recording,
                probe,
                question,
            } => write!(f, "{recording} {probe} {question}"),
            Place::Reader(name) => write!(f, "{READER} {name}"),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Content(path) => write!(f, "content {path}"),
            Question::Names(path) => write!(f, "names {path}"),
            Question::Link(path) => write!(f, "link {path}"),
            Question::Attribute(name, path) => write!(f, "attribute {name} {path}"),
            Question::Output(line) => write!(f, "output {line}"),
            Question::Reply(label) => write!(f, "reply {label}"),
            Question::AuditRules => write!(f, "audit_rules"),
        }
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(line: &str) -> Result<Place, NoPlace> {
        let place = match line.split_once(' ') {
            Some((READER, name)) => Some(Place::Reader(name.to_owned())),
            Some((recording, rest)) => rest.split_once(' ').and_then(|(probe, question)| {
                Some(Place::Host {
                    recording: recording.to_owned(),
                    probe: probe.to_owned(),
                    question: Question::parse(question)?,
                })
            }),
            None => None,
        };
        place.ok_or_else(|| NoPlace(line.to_owned()))
    }
}

impl Question {
    fn parse(text: &str) -> Option<Question> {
        let (what, name) = text.split_once(' ').unwrap_or((text, ""));
        let owned = name.to_owned();
        Some(match what {
            "content" => Question::Content(owned),
            "names" => Question::Names(owned),
            "link" => Question::Link(owned),
            "attribute" => {
                let (attribute, path) = name.split_once(' ')?;
                Question::Attribute(attribute.to_owned(), path.to_owned())
            }
            "output" => Question::Output(owned),
            "reply" => Question::Reply(owned),
            "audit_rules" => Question::AuditRules,
            _ => return None,
        })
    }
}

/// The place an input names and the bytes to be read there; `None` if its first line names no place.
#[must_use]
pub fn split(input: &[u8]) -> Option<(Place, Cow<'_, [u8]>)> {
    let length = line_length(input)?;
    let (line, rest) = input.split_at_checked(length)?;
    let (line, bytes) = (std::str::from_utf8(line).ok()?, rest.get(1..)?);
    match line.strip_prefix(GROW) {
        Some(rest) => {
            let (times, place) = rest.split_once(' ')?;
            let bytes = grown(bytes, times.parse().ok()?);
            Some((place.parse().ok()?, Cow::Owned(bytes)))
        }
        None => Some((line.parse().ok()?, Cow::Borrowed(bytes))),
    }
}

fn grown(bytes: &[u8], times: usize) -> Vec<u8> {
    let mut grown = Vec::new();
    for number in 0..times {
        let mut parts = bytes.split(|byte| *byte == b'#');
        grown.extend_from_slice(parts.next().unwrap_or_default());
        for part in parts {
            grown.extend_from_slice(number.to_string().as_bytes());
            grown.extend_from_slice(part);
        }
        if grown.len() >= MAX_GROWN_BYTES || bytes.is_empty() {
            break;
        }
    }
    grown.truncate(MAX_GROWN_BYTES);
    grown
}

/// An input whose bytes are repeated, with `#` for a running number.
#[must_use]
pub fn join_grown(times: usize, place: &Place, bytes: &[u8]) -> Vec<u8> {
    let mut input = format!("{GROW}{times} {place}\n").into_bytes();
    input.extend_from_slice(bytes);
    input
}

/// The length of the line that names the place, without its end.
#[must_use]
pub fn line_length(input: &[u8]) -> Option<usize> {
    input.iter().position(|byte| *byte == b'\n')
}

/// An input from its parts.
#[must_use]
pub fn join(place: &Place, bytes: &[u8]) -> Vec<u8> {
    let mut input = format!("{place}\n").into_bytes();
    input.extend_from_slice(bytes);
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back() {
        for line in [
            "ssh/base sshd content /etc/ssh/sshd_config",
            "a/b packages output /usr/bin/rpm -qa --qf x y",
            "a/b file_walk attribute security.capability /usr/bin/ping",
            "a/b audit_rules audit_rules",
            "reader wire.envelope",
        ] {
            let input = [line.as_bytes(), b"\nby\ntes"].concat();
            let (place, bytes) = split(&input).unwrap();
            assert_eq!(place.to_string(), line);
            assert_eq!(bytes.as_ref(), b"by\ntes");
            assert_eq!(join(&place, &bytes), input);
        }
        assert!(split(b"a/b sshd contents /x\n").is_none());
        assert!(split(b"reader wire.envelope").is_none());
    }

    #[test]
    fn repeated_bytes_are_numbered() {
        let (place, bytes) = split(b"grow 3 reader wire.leaf\na#:#\n").unwrap();
        assert_eq!(place, Place::Reader("wire.leaf".to_owned()));
        assert_eq!(bytes.as_ref(), b"a0:0\na1:1\na2:2\n");
        let endless = format!("grow {} reader wire.leaf\n[", u64::MAX);
        assert_eq!(split(endless.as_bytes()).unwrap().1.len(), MAX_GROWN_BYTES);
        assert!(split(b"grow 99 reader wire.leaf\n").unwrap().1.is_empty());
    }
}
