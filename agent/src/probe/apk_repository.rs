//! What apk has fetched of its repositories: the index of each, which names every package that it offers.
//!
//! An index is kept as `APKINDEX.HASH.tar.gz`, whose hash is that of its URL: SHA-1 in apk 2, SHA-256 in apk 3. apk gives
//! it the time at which it was fetched, or confirmed by the server to be the newest.

use std::io::{BufReader, Read};

use crypto::Digest;
use evidence::time::Timestamp;
use sha1::{Digest as _, Sha1};

use super::packages::apk::{self, Entry};
use super::packages::tar::Members;
use super::packages::{Manager, compression};
use super::{Observation, Unobservable, package_sources, packages};

/// Where indexes are kept: the first, where it was set up, on systems that run from memory.
const CACHES: [&str; 2] = ["/etc/apk/cache", "/var/cache/apk"];
/// The architecture for which packages are fetched.
const ARCHITECTURE: &str = "/etc/apk/arch";
/// Hexadecimal digits of a hash in a name.
const HASH_DIGITS: usize = 8;
/// Most repositories of one host.
const MAX_REPOSITORIES: usize = 500;

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its URL or path, without credentials.
    pub name: String,
    /// The tag with which packages must be asked for from it.
    pub tag: Option<String>,
    /// On another host: a repository in a directory has nothing to fetch.
    pub remote: bool,
    /// Its index, with the time at which it was fetched or confirmed to be the newest.
    pub index: Option<(String, Timestamp)>,
}

/// The repositories.
///
/// # Errors
/// [`Unobservable`] if they cannot be told, or are written in a way that is not followed.
pub fn enabled(observation: &mut Observation<'_>) -> Result<Vec<Repository>, Unobservable> {
    let lines = package_sources::apk_lines(observation)?;
    if lines.len() > MAX_REPOSITORIES {
        return Err(Unobservable::unparsable(
            "/etc/apk/repositories",
            "too many repositories",
        ));
    }
    let architecture = architecture(observation)?;
    let cache = if observation.stat(CACHES[0])?.is_some() {
        CACHES[0]
    } else {
        CACHES[1]
    };
    let mut found = Vec::new();
    for (file, line) in lines {
        for (tag, url) in
            addresses(&line).map_err(|problem| Unobservable::unparsable(&file, problem))?
        {
            let at = format!("{url}/{architecture}/APKINDEX.tar.gz");
            let remote = !at.starts_with('/');
            let candidates = if remote {
                names(&at).map(|name| format!("{cache}/{name}")).to_vec()
            } else {
                vec![at]
            };
            found.push(Repository {
                name: package_sources::shown(&url),
                tag,
                remote,
                index: newest(observation, candidates)?,
            });
        }
    }
    Ok(found)
}

/// Visits the packages that a repository offers.
///
/// # Errors
/// [`Unobservable`] if the index cannot be read to its end.
pub fn offers(
    observation: &Observation<'_>,
    path: &str,
    visit: &mut dyn FnMut(Entry),
) -> Result<(), Unobservable> {
    let wrong = |problem: &dyn std::fmt::Display| Unobservable::unparsable(path, problem);
    let mut members = Members::new(compression::open(observation.host(), path)?);
    let mut seen = false;
    while let Some(member) = members.next_member().map_err(|error| wrong(&error))? {
        if member.path == "APKINDEX" {
            seen = true;
            apk::entries(BufReader::new(Read::by_ref(&mut members)), path, visit)?;
        }
    }
    if seen {
        Ok(())
    } else {
        Err(wrong(&"an index without APKINDEX"))
    }
}

/// Words of `/etc/apk/world`: what was asked for, with versions and tags.
///
/// # Errors
/// [`Unobservable`] if it cannot be read.
pub fn world(observation: &mut Observation<'_>) -> Result<Vec<Wish>, Unobservable> {
    let text = observation.text("/etc/apk/world")?.unwrap_or_default();
    Ok(text.split_whitespace().map(Wish::parse).collect())
}

/// What was asked for of one package.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    /// The package.
    pub name: String,
    /// The tag whose repositories it may come from.
    pub tag: Option<String>,
    /// Only some versions were asked for.
    pub bound: bool,
}

impl Wish {
    fn parse(word: &str) -> Wish {
        let (word, tag) = match word.split_once('@') {
            Some((word, tag)) => (word, Some(tag.to_owned())),
            None => (word, None),
        };
        let end = word.find(['<', '>', '=', '~']).unwrap_or(word.len());
        Wish {
            name: word.get(..end).unwrap_or(word).to_owned(),
            tag,
            bound: end < word.len(),
        }
    }
}

/// The addresses of one line, each with its tag: a URL; from apk 3 on a kind before it, and components after it.
fn addresses(line: &str) -> Result<Vec<(Option<String>, String)>, &'static str> {
    if line.contains('$') {
        return Err("variables are not followed");
    }
    let mut words = line.split_whitespace().peekable();
    match words.peek().copied() {
        Some("set" | "ndx" | "v3") => return Err("a kind of line that is not read"),
        Some("v2") => {
            words.next();
        }
        _ => {}
    }
    let tag = words
        .next_if(|word| word.starts_with('@'))
        .map(|word| word.trim_start_matches('@').to_owned());
    let url = words.next().unwrap_or_default().trim_end_matches('/');
    if !(url.starts_with('/') || url.contains("://"))
        || url.ends_with(".adb")
        || url.ends_with(".tar.gz")
    {
        return Err("no URL of a repository");
    }
    let components: Vec<&str> = words.collect();
    if components.is_empty() {
        return Ok(vec![(tag, url.to_owned())]);
    }
    let all = components.iter().map(|component| {
        let component = component.trim_matches('/');
        (tag.clone(), format!("{url}/{component}"))
    });
    Ok(all.collect())
}

/// The first architecture that packages are fetched for; without the file, that of what is installed.
fn architecture(observation: &mut Observation<'_>) -> Result<String, Unobservable> {
    let text = observation.text(ARCHITECTURE)?.unwrap_or_default();
    if let Some(first) = text.split_whitespace().next() {
        return Ok(first.to_owned());
    }
    let packages = packages::of(observation, Manager::Apk)?;
    let own = packages
        .into_iter()
        .map(|package| package.architecture)
        .find(|name| !name.is_empty() && name != "noarch");
    own.ok_or_else(|| Unobservable::unparsable(ARCHITECTURE, "no architecture is named"))
}

/// The names under which apk 2 and apk 3 keep the index of this URL.
fn names(url: &str) -> [String; 2] {
    let hashes = [
        hex::encode(Sha1::digest(url)),
        Digest::of(url.as_bytes()).to_hex(),
    ];
    hashes.map(|hash| {
        let hash = hash.get(..HASH_DIGITS).unwrap_or_default();
        format!("APKINDEX.{hash}.tar.gz")
    })
}

fn newest(
    observation: &mut Observation<'_>,
    candidates: Vec<String>,
) -> Result<Option<(String, Timestamp)>, Unobservable> {
    let mut newest: Option<(String, Timestamp)> = None;
    for path in candidates {
        if let Some(stat) = observation.stat(&path)?
            && newest.as_ref().is_none_or(|(_, time)| stat.mtime > *time)
        {
            newest = Some((path, stat.mtime));
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_repositories() {
        let plain = |line: &str| addresses(line).unwrap();
        assert_eq!(
            plain("https://h/alpine/v3.22/main/"),
            [(None, "https://h/alpine/v3.22/main".to_owned())]
        );
        assert_eq!(
            plain("@edge https://h/edge/main"),
            [(Some("edge".to_owned()), "https://h/edge/main".to_owned())]
        );
        assert_eq!(plain("v2 https://h/v3.23 main community").len(), 2);
        assert_eq!(plain("/media/cdrom/apks")[0].1, "/media/cdrom/apks");
        for line in [
            "set mirror=x",
            "v3 https://h/x",
            "https://${mirror}/x",
            "main",
            "",
        ] {
            assert!(addresses(line).is_err(), "{line}");
        }
    }

    /// What apk 2.14.4 and apk 3.0.5 look for in their caches for this URL.
    #[test]
    fn names_are_those_of_apk() {
        let names =
            names("https://dl-cdn.alpinelinux.org/alpine/v3.22/main/x86_64/APKINDEX.tar.gz");
        assert_eq!(
            names,
            ["APKINDEX.6c16d705.tar.gz", "APKINDEX.f1118258.tar.gz"]
        );
    }

    #[test]
    fn wishes_have_versions_and_tags() {
        assert_eq!(
            Wish::parse("nginx@edge"),
            Wish {
                name: "nginx".into(),
                tag: Some("edge".into()),
                bound: false
            }
        );
        for word in ["nginx=1.26.0-r0", "nginx<2", "nginx~1.26", "nginx>=1"] {
            let wish = Wish::parse(word);
            assert!(wish.bound && wish.name == "nginx", "{word}");
        }
    }
}
