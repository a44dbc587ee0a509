//! Where packages are installed from, and whether what comes from there is verified first.

mod apk;
mod apt;
mod dnf;
mod flatpak;
mod ini;
mod pacman;
mod zypp;

pub(super) use pacman::PacmanSettings;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};

/// Most sources of one host.
const MAX_SOURCES: usize = 5_000;

/// The probe `package_sources`.
pub struct PackageSources;

/// Facts of the enabled sources of packages.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct PackageSourcesFacts {
    /// Programs that install packages here, by their configuration: `apt`, `dnf`, `zypper`, `pacman`, `apk`, `flatpak`.
    tools: Vec<Tool>,
    /// Every enabled source.
    repositories: Vec<SourceFacts>,
    /// Settings for all sources of a tool that take away from verification.
    settings: Vec<Setting>,
    /// Every configuration of every tool found was read.
    complete: bool,
}

/// A program that installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tool {
    Apt,
    Dnf,
    Zypper,
    Pacman,
    Apk,
    Flatpak,
}

/// One enabled source.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct SourceFacts {
    /// The program that uses it.
    tool: Tool,
    /// What stands for it in a list of approved sources: what is fetched from where, in the tool's words, without
    /// credentials and queries.
    name: String,
    /// The file that enables it.
    file: String,
    /// Signatures of indexes or packages are required before anything is installed from it.
    verified: bool,
    /// Why not, or what else takes away from it.
    weakened: Vec<String>,
    /// Guards against the replay of old indexes that it switches off.
    replay: Vec<String>,
    /// The keys that alone count for it; absent if every key that the tool trusts does.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
}

/// A setting for all sources.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Setting {
    /// The program.
    tool: Tool,
    /// The setting with its value.
    text: String,
    /// What it takes away.
    effect: Effect,
}

/// What a setting takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Effect {
    /// The need of a valid signature.
    Verification,
    /// A guard against the replay of old indexes.
    ReplayGuard,
}

impl Probe for PackageSources {
    const ID: &'static str = "package_sources";
    type Facts = PackageSourcesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<PackageSourcesFacts, Unobservable> {
        let mut facts = PackageSourcesFacts::default();
        for read in [
            apt::read,
            dnf::read,
            zypp::read,
            pacman::read,
            apk::read,
            flatpak::read,
        ] {
            read(observation, &mut facts)?;
        }
        facts.complete = facts.repositories.len() <= MAX_SOURCES;
        facts.repositories.truncate(MAX_SOURCES);
        facts
            .repositories
            .sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
        Ok(facts)
    }
}

/// The enabled repositories of dnf and zypper, by their ids.
///
/// # Errors
/// [`Unobservable`] if their configuration cannot be read.
pub(super) fn rpm_repositories(
    observation: &mut Observation<'_>,
) -> Result<Vec<(Tool, String)>, Unobservable> {
    let mut facts = PackageSourcesFacts::default();
    zypp::read(observation, &mut facts)?;
    // Where zypper is used, dnf may be installed beside it, with repositories of its own that nobody refreshes.
    if facts.repositories.is_empty() {
        dnf::read(observation, &mut facts)?;
    }
    let id = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
    Ok(facts
        .repositories
        .iter()
        .map(|source| (source.tool, id(&source.name)))
        .collect())
}

/// What pacman is told of its repositories.
///
/// # Errors
/// [`Unobservable`] if its configuration cannot be read.
pub(super) fn pacman_settings(
    observation: &mut Observation<'_>,
) -> Result<PacmanSettings, Unobservable> {
    pacman::settings(observation)
}

/// The lines that name apk's repositories, each with its file.
///
/// # Errors
/// [`Unobservable`] if they cannot be read.
pub(super) fn apk_lines(
    observation: &mut Observation<'_>,
) -> Result<Vec<(String, String)>, Unobservable> {
    apk::lines(observation)
}

/// The value of a setting in a configuration that has sections; the section without a name comes first.
pub(super) fn setting(text: &str, section: &str, name: &str) -> Option<String> {
    let found = ini::sections(text);
    let mut named = found.iter().rev().filter(|known| known.name == section);
    named.find_map(|section| section.get(name).map(str::to_owned))
}

/// A URL as people compare it: without credentials, query and the slash at its end.
pub(super) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let url = url.trim_end_matches('/');
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            let slash = if path.is_empty() { "" } else { "/" };
            format!("{scheme}://{host}{slash}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_secrets() {
        for (url, expected) in [
            ("https://u:p@h/p/?token=x", "https://h/p"),
            (
                "http://deb.debian.org/debian/",
                "http://deb.debian.org/debian",
            ),
            ("http://h", "http://h"),
            ("file:/srv/packages", "file:/srv/packages"),
            ("https://h/a@b/c", "https://h/a@b/c"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
