//! Release files of archives (`InRelease`, or `Release` beside `Release.gpg`), as apt has verified and kept them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use evidence::time::Timestamp;

/// Most bytes of a release file; Debian's own has 150 KB.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Most package indexes remembered.
const MAX_INDEXES: usize = 10_000;

/// What a release file says about its archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// `Origin`, for example `Debian`.
    pub origin: String,
    /// `Label`, for example `Debian-Security`.
    pub label: String,
    /// `Suite`, for example `oldstable-security`.
    pub suite: String,
    /// `Codename`, for example `bookworm-security`.
    pub codename: String,
    /// `Date`: when it was published.
    pub date: Option<Timestamp>,
    /// `Valid-Until`: when it must no longer be believed.
    pub valid_until: Option<Timestamp>,
    /// Every `…/Packages` by its path below the release file without the ending of a compression; its length where the
    /// archive says it.
    pub indexes: BTreeMap<String, Option<u64>>,
}

impl Release {
    /// Reads a release file; what follows the signed text is ignored.
    ///
    /// # Errors
    /// What the stream says, a date that is none, or a broken bound.
    pub fn read(source: impl Read) -> io::Result<Release> {
        let mut release = Release::default();
        let mut reader = BufReader::new(source.take(MAX_BYTES + 1));
        let mut line = Vec::new();
        let mut total = 0;
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            total += length as u64;
            if total > MAX_BYTES {
                return Err(invalid("longer than any release file".to_owned()));
            }
            let text = String::from_utf8_lossy(&line);
            if length == 0 || text.starts_with("-----BEGIN PGP SIGNATURE-----") {
                return Ok(release);
            }
            if text.starts_with([' ', '\t']) {
                release.add_index(&text)?;
            } else if let Some((field, value)) = text.split_once(':') {
                release.add_field(field, value.trim())?;
            }
        }
    }

    fn add_index(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split_whitespace().skip(1);
        let (Some(size), Some(path)) = (words.next(), words.next()) else {
            return Ok(());
        };
        let (index, plain) = match path.rsplit_once('.') {
            Some((index, "xz" | "gz" | "bz2" | "lzma" | "zst" | "lz4")) => (index, false),
            _ => (path, true),
        };
        if index != "Packages" && !index.ends_with("/Packages") {
            return Ok(());
        }
        if self.indexes.len() >= MAX_INDEXES {
            return Err(invalid("too many package indexes".to_owned()));
        }
        let known = self.indexes.entry(index.to_owned()).or_default();
        if plain {
            *known = size.parse().ok();
        }
        Ok(())
    }

    fn add_field(&mut self, field: &str, value: &str) -> io::Result<()> {
        match field.to_ascii_lowercase().as_str() {
            "origin" => self.origin = value.to_owned(),
            "label" => self.label = value.to_owned(),
            "suite" => self.suite = value.to_owned(),
            "codename" => self.codename = value.to_owned(),
            "date" => self.date = Some(moment(value)?),
            "valid-until" => self.valid_until = Some(moment(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// A date such as `Sat, 21 Nov 2026 00:53:02 UTC`.
fn moment(text: &str) -> io::Result<Timestamp> {
    let wrong = || {
        invalid(format!(
            "{:?} is no date",
            text.chars().take(60).collect::<String>()
        ))
    };
    let zoned = ["UTC", "GMT", "Z"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone))
        .map_or_else(|| text.to_owned(), |rest| format!("{}+0000", rest));
    let date = jiff::fmt::rfc2822::parse(zoned.trim()).map_err(|_| wrong())?;
    Ok(Timestamp::from_unix_seconds(date.timestamp().as_second()))
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECURITY: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nVersion: 12\nCodename: bookworm-security\nDate: Sat, 21 Nov 2026 00:53:02 UTC\nValid-Until: Sat, 28 Nov 2026 00:53:02 UTC\nSHA256:\n eb51 2523192 main/binary-amd64/Packages\n 1 2 main/binary-amd64/Packages.xz\n-----BEGIN PGP SIGNATURE-----\nOrigin: forged\n";

    #[test]
    fn header_and_lengths_are_read_and_the_signature_ends_it() {
        let release = Release::read(SECURITY.as_bytes()).unwrap();
        assert_eq!(release.origin, "Debian");
        assert_eq!(release.suite, "oldstable-security");
        assert_eq!(release.codename, "bookworm-security");
        assert_eq!(
            release.date.unwrap().to_string(),
            "2026-11-21T00:53:02.000Z"
        );
        assert_eq!(
            release.valid_until.unwrap().to_string(),
            "2026-11-28T00:53:02.000Z"
        );
        assert_eq!(release.indexes.len(), 1);
        assert_eq!(
            release.indexes["main/binary-amd64/Packages"],
            Some(2_523_192)
        );
    }

    #[test]
    fn hostile_release_files_are_errors_or_empty() {
        assert!(Release::read(b"Date: yesterday\n".as_slice()).is_err());
        assert!(Release::read(b"Valid-Until: Sat, 99 Nov 2026 00:53:02 UTC\n".as_slice()).is_err());
        assert_eq!(
            Release::read(b"\xff\xff\n \n  a\n".as_slice()).unwrap(),
            Release::default()
        );
        assert!(Release::read(io::repeat(b'a')).is_err());
        assert!(Release::read(b"Date: Sat, 1 Nov 2025 00:53:02 UTC\n".as_slice()).is_ok());
    }
}
