//! What pacman has fetched of its enabled repositories: their databases, which name every package that they offer.
//!
//! A database is an archive of tar with a `desc` for each package. pacman gives it the time that the server gives it, so
//! its time says when the mirror published it, not when this host last asked: a refresh that brought it in was no earlier.

use std::cmp::Ordering;

use evidence::time::Timestamp;

use super::package_sources;
use super::packages::compression;
use super::packages::pacman::version::compare;
use super::packages::tar::Members;
use super::{Observation, Unobservable};

/// Where pacman keeps what it fetched, unless `DBPath` says otherwise.
const SYNC: &str = "/var/lib/pacman/sync";
/// Largest description of one package.
const MAX_DESC_BYTES: u64 = 1024 * 1024;

/// One enabled repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// Where its database lies.
    pub path: String,
    /// When the server published it; `None` if it was never fetched.
    pub published: Option<Timestamp>,
    /// Packages are upgraded from it (`Usage`).
    pub upgrades: bool,
}

/// A package that a repository offers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `any`.
    pub architecture: String,
    /// When it was built.
    pub built: Option<Timestamp>,
    /// Groups that it belongs to.
    pub groups: Vec<String>,
    /// Packages that it takes the place of.
    pub replaces: Vec<String>,
}

/// The enabled repositories, in the order in which pacman looks into them.
///
/// # Errors
/// [`Unobservable`] if they cannot be told.
pub fn enabled(observation: &mut Observation<'_>) -> Result<Vec<Repository>, Unobservable> {
    let settings = package_sources::pacman_settings(observation)?;
    let mut found: Vec<Repository> = Vec::new();
    for (name, upgrades) in settings.repositories {
        let path = format!("{SYNC}/{name}.db");
        let stat = observation.stat(&path)?;
        found.push(Repository {
            published: stat.map(|stat| stat.mtime),
            name,
            path,
            upgrades,
        });
    }
    Ok(found)
}

/// Visits the packages that a repository offers: those that are `wanted` by name, and those that take the place of others.
///
/// # Errors
/// [`Unobservable`] if the database cannot be read to its end.
pub fn offers(
    observation: &Observation<'_>,
    repository: &Repository,
    wanted: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(Offer),
) -> Result<(), Unobservable> {
    let path = repository.path.as_str();
    let wrong = |problem: &dyn std::fmt::Display| Unobservable::unparsable(path, problem);
    let mut members = Members::new(compression::open(observation.host(), path)?);
    while let Some(member) = members.next_member().map_err(|error| wrong(&error))? {
        let Some(directory) = member.path.strip_suffix("/desc") else {
            continue;
        };
        let name = package_name(directory)
            .ok_or_else(|| wrong(&format!("{directory:?} is no package with a version")))?;
        let desc = members
            .content(MAX_DESC_BYTES)
            .map_err(|error| wrong(&error))?;
        let desc = String::from_utf8_lossy(&desc);
        if !wanted(name) && !desc.contains("%REPLACES%") {
            continue;
        }
        let offer = parse(&desc)
            .filter(|offer| offer.name == name)
            .ok_or_else(|| wrong(&format!("the description of {directory:?} is damaged")))?;
        visit(offer);
    }
    Ok(())
}

/// `hello` of `hello-1.0-1`.
fn package_name(directory: &str) -> Option<&str> {
    let (rest, _release) = directory.rsplit_once('-')?;
    let (name, _version) = rest.rsplit_once('-')?;
    Some(name.trim_start_matches("./")).filter(|name| !name.is_empty())
}

fn parse(desc: &str) -> Option<Offer> {
    let values = |field: &str| {
        let lines = desc.lines().skip_while(|line| *line != field).skip(1);
        let values = lines.take_while(|line| !line.is_empty());
        values.map(str::to_owned).collect::<Vec<String>>()
    };
    let value = |field: &str| values(field).into_iter().next();
    Some(Offer {
        name: value("%NAME%")?,
        version: value("%VERSION%")?,
        architecture: value("%ARCH%").unwrap_or_else(|| "any".to_owned()),
        built: value("%BUILDDATE%")
            .and_then(|seconds| seconds.parse().ok())
            .map(Timestamp::from_unix_seconds),
        groups: values("%GROUPS%"),
        replaces: values("%REPLACES%"),
    })
}

/// Whether a condition such as `hello` or `hello<2` names this package in this version.
#[must_use]
pub fn names(condition: &str, name: &str, version: &str) -> bool {
    let end = condition.find(['<', '>', '=']).unwrap_or(condition.len());
    let (named, rest) = condition.split_at_checked(end).unwrap_or((condition, ""));
    if named != name {
        return false;
    }
    let operator = rest.trim_start_matches(['<', '>', '=']);
    let (operator, wanted) = (rest.strip_suffix(operator).unwrap_or(rest), operator);
    let order = compare(version, wanted);
    match operator {
        "" => true,
        "=" => order == Ordering::Equal,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_name_packages() {
        for (condition, expected) in [
            ("hello", true),
            ("hell", false),
            ("hello<2", true),
            ("hello<1.5", false),
            ("hello<=1.5", true),
            ("hello=1.5-1", true),
            ("hello>1", true),
            ("hello>=1.6", false),
            ("", false),
        ] {
            assert_eq!(names(condition, "hello", "1.5-1"), expected, "{condition}");
        }
    }

    #[test]
    fn descriptions_are_offers() {
        let offer = parse("%FILENAME%\nx\n\n%NAME%\nhello\n\n%VERSION%\n1:2.0-1\n\n%GROUPS%\na\nb\n\n%BUILDDATE%\n1763000000\n\n%REPLACES%\nhallo<2\n").unwrap();
        assert_eq!(offer.version, "1:2.0-1");
        assert_eq!(offer.groups, ["a", "b"]);
        assert_eq!(offer.replaces, ["hallo<2"]);
        assert_eq!(
            offer.built,
            Some(Timestamp::from_unix_seconds(1_763_000_000))
        );
        assert!(parse("%NAME%\n").is_none());
        assert_eq!(package_name("gcc-libs-14.2.1-1"), Some("gcc-libs"));
        assert_eq!(package_name("hello-1"), None);
    }
}
