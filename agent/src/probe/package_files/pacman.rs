//! The files of pacman's packages, from the `mtree` (mtree(5)) that each has in the local database.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _};

use super::digest::Expected;
use super::listing::{Item, Listing, is_program};
use crate::host::{FileKind, Host, HostError};
use crate::probe::packages::pacman::LOCAL;
use crate::probe::packages::{compression, glob};
use crate::probe::{Observation, Unobservable, package_sources};

/// Most bytes of one description of files, after decompression.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The database of a host.
pub(super) struct Database {
    /// Directories of packages.
    packages: Vec<String>,
    /// Patterns of files that pacman was told to leave out.
    left_out: Vec<String>,
}

impl Database {
    pub(super) fn open(
        observation: &mut Observation<'_>,
    ) -> Result<Option<Database>, Unobservable> {
        let Some(entries) = observation.list(LOCAL)? else {
            return Ok(None);
        };
        let directories = entries
            .into_iter()
            .filter(|entry| entry.kind == FileKind::Directory);
        Ok(Some(Database {
            packages: directories.map(|entry| entry.name).collect(),
            left_out: package_sources::pacman_settings(observation)?.left_out,
        }))
    }

    pub(super) fn visit(
        &self,
        host: &dyn Host,
        wanted: Option<&BTreeSet<String>>,
        each: &mut dyn FnMut(Listing) -> Result<(), Unobservable>,
    ) -> Result<(), Unobservable> {
        for package in &self.packages {
            if wanted.is_none_or(|wanted| wanted.contains(package)) {
                each(self.listing(host, package)?)?;
            }
        }
        Ok(())
    }

    fn listing(&self, host: &dyn Host, package: &str) -> Result<Listing, Unobservable> {
        let desc = format!("{LOCAL}/{package}/desc");
        let stat = host.stat(&desc)?;
        let mut listing = Listing {
            package: package.to_owned(),
            version: format!("{} {}", stat.size, stat.mtime.unix_ms()),
            unpacked: Some(stat.mtime),
            ..Listing::default()
        };
        let path = format!("{LOCAL}/{package}/mtree");
        match host.stat(&path) {
            Ok(_) => self.described(host, &path, &mut listing)?,
            // The package was built without one: what it names has no digest.
            Err(HostError::NotFound(_)) => listing.unlisted = named(host, package)?,
            Err(error) => return Err(error.into()),
        }
        Ok(listing)
    }

    fn described(
        &self,
        host: &dyn Host,
        path: &str,
        listing: &mut Listing,
    ) -> Result<(), Unobservable> {
        let mut usual: BTreeMap<String, String> = BTreeMap::new();
        for line in lines(host, path)? {
            let wrong = || Unobservable::unparsable(path, format!("no line of mtree: {line:?}"));
            let mut words = line.split_ascii_whitespace();
            let Some(first) = words.next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            let values = words.filter_map(|word| word.split_once('='));
            let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
            match first {
                "/set" => usual.extend(values),
                "/unset" => return Err(wrong()),
                _ => {
                    let file = first.strip_prefix("./").ok_or_else(wrong)?;
                    let mut known = usual.clone();
                    known.extend(values);
                    let file = unescaped(file).ok_or_else(wrong)?;
                    // Files of the package that are not installed begin with a dot at the top.
                    if !file.starts_with('.') {
                        self.add(&file, &known, listing).ok_or_else(wrong)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn add(
        &self,
        file: &str,
        values: &BTreeMap<String, String>,
        listing: &mut Listing,
    ) -> Option<()> {
        let path = format!("/{file}");
        if values.get("type").map(String::as_str) != Some("file") || !is_program(&path) {
            return Some(());
        }
        let digest = values
            .get("sha256digest")
            .or_else(|| values.get("md5digest"));
        let Some(digest) = digest else {
            listing.unlisted.push(path);
            return Some(());
        };
        let seconds = values.get("time").map(|time| {
            let whole = time.split('.').next().unwrap_or_default();
            whole.parse::<i64>().ok()
        });
        listing.items.push(Item {
            path,
            digest: Expected::parse(digest)?,
            mode: values
                .get("mode")
                .map(|mode| u32::from_str_radix(mode, 8))
                .transpose()
                .ok()?,
            mtime: match seconds {
                Some(seconds) => Some(seconds?),
                None => None,
            },
            diverted: false,
            may_be_missing: self.is_left_out(file),
            may_be_link: false,
        });
        Some(())
    }

    /// Patterns of `NoExtract`: the last that matches counts, and one after `!` takes it back.
    fn is_left_out(&self, file: &str) -> bool {
        let mut left_out = false;
        for pattern in &self.left_out {
            match pattern.strip_prefix('!') {
                Some(pattern) if glob(pattern, file) => left_out = false,
                None if glob(pattern, file) => left_out = true,
                _ => {}
            }
        }
        left_out
    }
}

/// Programs and libraries that a package names in `files`.
fn named(host: &dyn Host, package: &str) -> Result<Vec<String>, Unobservable> {
    let path = format!("{LOCAL}/{package}/files");
    let files = lines(host, &path)?
        .into_iter()
        .skip_while(|line| line != "%FILES%")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.ends_with('/'))
        .map(|line| format!("/{line}"));
    Ok(files.filter(|path| is_program(path)).collect())
}

fn lines(host: &dyn Host, path: &str) -> Result<Vec<String>, Unobservable> {
    let mut reader = BufReader::new(compression::open(host, path)?.take(MAX_BYTES));
    let mut lines = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader
            .read_until(b'\n', &mut line)
            .map_err(|error| Unobservable::unparsable(path, error))?;
        if length == 0 {
            return Ok(lines);
        }
        let text = String::from_utf8_lossy(&line);
        lines.push(text.trim_end_matches('\n').to_owned());
    }
}

/// A path with `\ooo` for bytes that would end it.
fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'\\' {
            let digits = std::str::from_utf8(after.get(..3)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 8).ok()?);
            rest = after.get(3..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FileSystemHost;

    fn read(text: &str) -> Result<Listing, Unobservable> {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("var/lib/pacman/local/hello-1.0-1");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("desc"), "").unwrap();
        std::fs::write(place.join("mtree"), text).unwrap();
        let host = FileSystemHost::offline(root.path()).unwrap();
        let database = Database {
            packages: vec!["hello-1.0-1".into()],
            left_out: vec!["usr/lib/*".into(), "!usr/lib/kept".into()],
        };
        database.listing(&host, "hello-1.0-1")
    }

    const SUM: &str = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4";

    #[test]
    fn files_have_digests_modes_and_times() {
        let listing = read(&format!("#mtree\n/set type=file uid=0 gid=0 mode=644\n./.PKGINFO time=1.0 sha256digest={SUM}\n./usr time=2.0 mode=755 type=dir\n./usr/bin/hel\\040lo time=1795532358.322969308 mode=755 size=3 sha256digest={SUM}\n./usr/lib/x sha256digest={SUM}\n./usr/lib/kept sha256digest={SUM}\n./usr/lib/y type=link link=x\n./usr/lib/z size=1\n")).unwrap();
        let paths: Vec<&str> = listing
            .items
            .iter()
            .map(|item| item.path.as_str())
            .collect();
        assert_eq!(paths, ["/usr/bin/hel lo", "/usr/lib/x", "/usr/lib/kept"]);
        assert_eq!(listing.items[0].mode, Some(0o755));
        assert_eq!(listing.items[0].mtime, Some(1_795_532_358));
        assert_eq!(listing.items[1].mode, Some(0o644));
        assert!(listing.items[1].may_be_missing && !listing.items[2].may_be_missing);
        assert_eq!(listing.unlisted, ["/usr/lib/z"]);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for text in ["hello\n", "./usr/bin/x\\9 type=file\n", "/unset mode\n"] {
            assert!(read(text).is_err(), "{text}");
        }
        let short = format!("./usr/bin/x type=file sha256digest={}\n", &SUM[1..]);
        assert!(read(&short).is_err());
    }
}
