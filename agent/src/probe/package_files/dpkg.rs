//! dpkg's lists: `info/PACKAGE.list` names the files of a package, `info/PACKAGE.md5sums` has the digests of all that are
//! no configuration, `diversions` says which of them lie elsewhere, and `path-exclude` which were left out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};

use super::digest::Expected;
use super::listing::{Item, Listing, is_program};
use crate::host::{FileKind, Host, HostError};
use crate::probe::packages::glob;
use crate::probe::{Observation, Unobservable};

const INFO: &str = "/var/lib/dpkg/info";
/// Lists of images without dpkg.
const PARTS: &str = "/var/lib/dpkg/status.d";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
const CONFIGURATION: &str = "/etc/dpkg/dpkg.cfg";
const CONFIGURATION_PARTS: &str = "/etc/dpkg/dpkg.cfg.d";
/// Largest list of one package.
const MAX_LIST_BYTES: u64 = 64 * 1024 * 1024;
const SUMS: &str = ".md5sums";

/// The lists of a host.
pub(super) struct Database {
    directory: &'static str,
    /// Packages by the stem of their files, with what there is.
    packages: BTreeMap<String, Files>,
    /// Where a path was diverted to, and the package that diverted it; none is a local diversion.
    diversions: BTreeMap<String, (String, Option<String>)>,
    excludes: Vec<(bool, String)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Files {
    list: bool,
    sums: bool,
}

impl Database {
    pub(super) fn open(
        observation: &mut Observation<'_>,
    ) -> Result<Option<Database>, Unobservable> {
        for directory in [INFO, PARTS] {
            let Some(entries) = observation.list(directory)? else {
                continue;
            };
            let mut packages: BTreeMap<String, Files> = BTreeMap::new();
            for entry in entries {
                if let Some(stem) = entry.name.strip_suffix(SUMS) {
                    packages.entry(stem.to_owned()).or_default().sums = true;
                } else if let Some(stem) = entry.name.strip_suffix(".list") {
                    packages.entry(stem.to_owned()).or_default().list = true;
                }
            }
            if !packages.is_empty() {
                return Ok(Some(Database {
                    directory,
                    packages,
                    diversions: diversions(observation)?,
                    excludes: excludes(observation)?,
                }));
            }
        }
        Ok(None)
    }

    pub(super) fn visit(
        &self,
        host: &dyn Host,
        wanted: Option<&BTreeSet<String>>,
        each: &mut dyn FnMut(Listing) -> Result<(), Unobservable>,
    ) -> Result<(), Unobservable> {
        for (stem, files) in &self.packages {
            if wanted.is_none_or(|wanted| wanted.contains(stem)) {
                each(self.listing(host, stem, *files, wanted.is_some())?)?;
            }
        }
        Ok(())
    }

    /// What a package says; files without a digest are only looked for if all is wanted, for that takes a look at each.
    fn listing(
        &self,
        host: &dyn Host,
        stem: &str,
        files: Files,
        all: bool,
    ) -> Result<Listing, Unobservable> {
        let mut listing = Listing {
            package: stem.to_owned(),
            ..Listing::default()
        };
        let list = format!("{}/{stem}.list", self.directory);
        if files.list {
            let stat = host.stat(&list)?;
            listing.unpacked = Some(stat.mtime);
            listing.version = format!("{} {}", stat.size, stat.mtime.unix_ms());
        }
        if files.sums {
            let path = format!("{}/{stem}{SUMS}", self.directory);
            let stat = host.stat(&path)?;
            listing
                .version
                .push_str(&format!(" {} {}", stat.size, stat.mtime.unix_ms()));
            for line in lines(host, &path)? {
                if let Some(item) = self
                    .item(&line, stem)
                    .map_err(|()| Unobservable::unparsable(&path, "a line without a digest"))?
                {
                    listing.items.push(item);
                }
            }
        }
        // Without a digest nothing is surveyed, but the package must not be passed over.
        if files.list && (all || listing.items.is_empty()) {
            listing.unlisted = self.unlisted(host, stem, &list, &listing.items)?;
        }
        Ok(listing)
    }

    /// `DIGEST  path/without/leading/slash`.
    fn item(&self, line: &str, stem: &str) -> Result<Option<Item>, ()> {
        if line.is_empty() {
            return Ok(None);
        }
        let (digest, path) = line.split_once(' ').ok_or(())?;
        let path = path.trim_start_matches([' ', '*']).trim_start_matches("./");
        let path = format!("/{}", path.trim_start_matches('/'));
        if !is_program(&path) {
            return Ok(None);
        }
        let digest = Expected::parse(digest).ok_or(())?;
        let may_be_missing = self.is_excluded(&path);
        let owner = stem.split(':').next().unwrap_or_default();
        let (path, diverted) = match self.diversions.get(&path) {
            // dpkg itself goes on to update the file where it was put; what stands in its place came from elsewhere.
            Some((_, None)) => (path, true),
            Some((to, Some(by))) if by != owner => (to.clone(), false),
            _ => (path, false),
        };
        Ok(Some(Item {
            path,
            digest,
            mode: None,
            mtime: None,
            diverted,
            may_be_missing,
            may_be_link: false,
        }))
    }

    /// Regular files that are programs and have no digest.
    fn unlisted(
        &self,
        host: &dyn Host,
        stem: &str,
        list: &str,
        items: &[Item],
    ) -> Result<Vec<String>, Unobservable> {
        let known: BTreeSet<&str> = items.iter().map(|item| item.path.as_str()).collect();
        let configuration = self.configuration(host, stem)?;
        let mut found = Vec::new();
        for path in lines(host, list)? {
            let known = known.contains(path.as_str())
                || self.diversions.contains_key(&path)
                || configuration.contains(&path);
            if known || !is_program(&path) {
                continue;
            }
            match host.lstat(&path) {
                Ok(stat) if stat.kind == FileKind::Regular => found.push(path),
                Ok(_) | Err(HostError::NotFound(_) | HostError::Permission(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// Configuration files have no digest there: they are meant to be changed.
    fn configuration(&self, host: &dyn Host, stem: &str) -> Result<BTreeSet<String>, Unobservable> {
        match lines(host, &format!("{}/{stem}.conffiles", self.directory)) {
            Ok(lines) => Ok(lines.into_iter().collect()),
            Err(HostError::NotFound(_)) => Ok(BTreeSet::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_excluded(&self, path: &str) -> bool {
        self.excludes
            .iter()
            .rev()
            .find(|(_, pattern)| glob(pattern, path))
            .is_some_and(|(exclude, _)| *exclude)
    }
}

fn lines(host: &dyn Host, path: &str) -> Result<Vec<String>, HostError> {
    let file = BufReader::new(host.open(path)?.take(MAX_LIST_BYTES));
    let mut lines = Vec::new();
    for line in file.split(b'\n') {
        let line = line.map_err(|error| HostError::Io(path.to_owned(), error.to_string()))?;
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
    Ok(lines)
}

/// Three lines each: the path, where it was put, and the package that did it or `:`.
fn diversions(
    observation: &mut Observation<'_>,
) -> Result<BTreeMap<String, (String, Option<String>)>, Unobservable> {
    let text = observation.text(DIVERSIONS)?.unwrap_or_default();
    let mut lines = text.lines();
    let mut found = BTreeMap::new();
    while let (Some(from), Some(to), Some(by)) = (lines.next(), lines.next(), lines.next()) {
        let by = Some(by.to_owned()).filter(|by| by != ":");
        found.insert(from.to_owned(), (to.to_owned(), by));
    }
    Ok(found)
}

/// `path-exclude` and `path-include`, in dpkg's order; the last that matches a path counts.
fn excludes(observation: &mut Observation<'_>) -> Result<Vec<(bool, String)>, Unobservable> {
    let mut paths = Vec::new();
    for entry in observation.list(CONFIGURATION_PARTS)?.unwrap_or_default() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if entry.name.chars().all(is_name) {
            paths.push(format!("{CONFIGURATION_PARTS}/{}", entry.name));
        }
    }
    paths.push(CONFIGURATION.to_owned());
    let mut found = Vec::new();
    for path in paths {
        let text = observation.text(&path)?.unwrap_or_default();
        for line in text.lines() {
            let (name, value) = line.split_once(['=', ' ']).unwrap_or((line, ""));
            let exclude = match name.trim() {
                "path-exclude" => true,
                "path-include" => false,
                _ => continue,
            };
            let pattern = value.trim().trim_matches(['"', '\'']);
            found.push((exclude, pattern.to_owned()));
        }
    }
    Ok(found)
}
