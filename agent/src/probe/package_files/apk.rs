//! The files of apk's packages, from its database: below the line of each directory (`F:`) its files (`R:`), each with the
//! owner and mode (`a:`) where these are not the usual ones, and the digest (`Z:`).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::digest::Expected;
use super::listing::{Item, Listing, is_program};
use crate::host::Host;
use crate::probe::packages::apk;
use crate::probe::{Observation, Unobservable};

/// Mode of a file for which the database names none.
const USUAL_MODE: u32 = 0o644;
/// Longest line: a list of dependencies stays far below.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// The database of a host.
pub(super) struct Database(&'static str);

impl Database {
    pub(super) fn open(
        observation: &mut Observation<'_>,
    ) -> Result<Option<Database>, Unobservable> {
        Ok(apk::locate(observation)?.map(Database))
    }

    pub(super) fn visit(
        &self,
        host: &dyn Host,
        wanted: Option<&BTreeSet<String>>,
        each: &mut dyn FnMut(Listing) -> Result<(), Unobservable>,
    ) -> Result<(), Unobservable> {
        let mut reader = BufReader::new(host.open(self.0)?);
        let mut stanza = Stanza::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = (&mut reader)
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(|error| Unobservable::unparsable(self.0, error))?;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            if text.is_empty() {
                let listing = std::mem::take(&mut stanza).end();
                if !listing.package.is_empty()
                    && wanted.is_none_or(|wanted| wanted.contains(&listing.package))
                {
                    each(listing)?;
                }
                if length == 0 {
                    return Ok(());
                }
                continue;
            }
            stanza
                .line(text)
                .ok_or_else(|| Unobservable::unparsable(self.0, format!("no field: {text:?}")))?;
        }
    }
}

/// A package as far as it was read.
#[derive(Default)]
struct Stanza {
    listing: Listing,
    directory: String,
    file: Option<File>,
}

struct File {
    path: String,
    mode: u32,
    digest: Option<Expected>,
}

impl Stanza {
    fn line(&mut self, line: &str) -> Option<()> {
        let (field, value) = line.split_once(':')?;
        match field {
            "P" => value.clone_into(&mut self.listing.package),
            // Of the package as a whole: another build has another.
            "C" | "V" => {
                self.listing.version.push_str(value);
                self.listing.version.push(' ');
            }
            "F" => {
                self.take_file();
                value.clone_into(&mut self.directory);
            }
            "R" => {
                self.take_file();
                let slash = if self.directory.is_empty() { "" } else { "/" };
                self.file = Some(File {
                    path: format!("/{}{slash}{value}", self.directory),
                    mode: USUAL_MODE,
                    digest: None,
                });
            }
            // OWNER:GROUP:MODE, with the digest of extended attributes after it.
            "a" => {
                let mode = value.split(':').nth(2)?;
                self.file.as_mut()?.mode = u32::from_str_radix(mode, 8).ok()?;
            }
            "Z" => self.file.as_mut()?.digest = Some(digest(value)?),
            _ => {}
        }
        Some(())
    }

    fn take_file(&mut self) {
        let Some(file) = self.file.take() else {
            return;
        };
        if !is_program(&file.path) {
            return;
        }
        match file.digest {
            Some(digest) => self.listing.items.push(Item {
                path: file.path,
                digest,
                mode: Some(file.mode),
                mtime: None,
                diverted: false,
                may_be_missing: false,
                may_be_link: true,
            }),
            None => self.listing.unlisted.push(file.path),
        }
    }

    fn end(mut self) -> Listing {
        self.take_file();
        self.listing
    }
}

/// `Q1` and a SHA-1 sum, or `Q2` and a SHA-256 sum, in Base64.
fn digest(text: &str) -> Option<Expected> {
    let (kind, length) = match text.get(..2)? {
        "Q1" => (text.get(2..)?, 20),
        "Q2" => (text.get(2..)?, 32),
        _ => return None,
    };
    let bytes = STANDARD.decode(kind).ok()?;
    (bytes.len() == length)
        .then(|| Expected::parse(&hex::encode(bytes)))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Listing> {
        let mut stanza = Stanza::default();
        for line in text.lines() {
            stanza.line(line)?;
        }
        Some(stanza.end())
    }

    #[test]
    fn files_have_digests_and_modes() {
        let listing = read("C:Q1aa=\nP:busybox\nV:1.37.0-r18\nF:bin\nR:busybox\na:0:0:755\nZ:Q1qvTGHdzF6KLavt4PO0gs2a6pQ00=\nF:etc\nR:securetty\nZ:Q1mB95Hq2NUTZ599RDiSsj9w5FrOU=\nF:usr/lib\nR:x\nF:\nR:none\n").unwrap();
        assert_eq!(listing.package, "busybox");
        assert_eq!(listing.items.len(), 1);
        assert_eq!(listing.items[0].path, "/bin/busybox");
        assert_eq!(listing.items[0].mode, Some(0o755));
        assert_eq!(
            listing.items[0].digest,
            Expected::Sha1("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d".into())
        );
        assert_eq!(listing.unlisted, ["/usr/lib/x"]);
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for text in [
            "nothing",
            "Z:Q1qvTGHdzF6KLavt4PO0gs2a6pQ00=",
            "R:x\nZ:Q3aa",
            "R:x\nZ:Q1aa",
            "R:x\na:0:0:9",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
