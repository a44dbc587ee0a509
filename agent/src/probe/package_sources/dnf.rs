//! Repositories of dnf and yum (dnf.conf(5), dnf5.conf(5)): `*.repo` files over the section `main`.

use super::ini::{Section, sections};
use super::{PackageSourcesFacts, SourceFacts, Tool, shown};
use crate::probe::packages::glob;
use crate::probe::{Observation, Unobservable};

/// The main file: the first that is there.
const MAIN: [&str; 2] = ["/etc/dnf/dnf.conf", "/etc/yum.conf"];
/// Parts of dnf5 that come before the main file; a name in the first directory hides its namesake in the second.
const PARTS: [&str; 2] = ["/etc/dnf/libdnf5.conf.d", "/usr/share/dnf5/libdnf.conf.d"];
/// Where repositories are described unless `reposdir` says otherwise.
const REPOSITORIES: [&str; 4] = [
    "/etc/yum.repos.d",
    "/etc/distro.repos.d",
    "/etc/yum/repos.d",
    "/usr/share/dnf5/repos.d",
];
/// Changes to repositories (dnf5), the first directory before the second as above.
const OVERRIDES: [&str; 2] = [
    "/etc/dnf/repos.override.d",
    "/usr/share/dnf5/repos.override.d",
];

pub(super) fn read(
    observation: &mut Observation<'_>,
    facts: &mut PackageSourcesFacts,
) -> Result<(), Unobservable> {
    let mut main = Section::default();
    for path in files(observation, &PARTS, ".conf")? {
        take_main(observation, &path, &mut main)?;
    }
    let mut found = false;
    for path in MAIN {
        if observation.stat(path)?.is_some() {
            take_main(observation, path, &mut main)?;
            found = true;
            break;
        }
    }
    if !found && observation.stat(REPOSITORIES[0])?.is_none() {
        return Ok(());
    }
    facts.tools.push(Tool::Dnf);
    let configured: Vec<String> = main
        .get("reposdir")
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|path| path.starts_with('/'))
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect();
    let directories = if configured.is_empty() {
        REPOSITORIES.map(str::to_owned).to_vec()
    } else {
        configured
    };
    let mut overrides = Vec::new();
    for path in files(observation, &OVERRIDES, ".repo")? {
        let text = observation.required_text(&path)?;
        overrides.extend(sections(&text).into_iter().skip(1));
    }
    for directory in directories {
        for path in files(observation, &[directory.as_str()], ".repo")? {
            let text = observation.required_text(&path)?;
            for repository in sections(&text).into_iter().skip(1) {
                let of_repository = repository.name != "main";
                if let (true, Some(source)) =
                    (of_repository, source(repository, &overrides, &main, &path))
                {
                    facts.repositories.push(source);
                }
            }
        }
    }
    Ok(())
}

fn take_main(
    observation: &mut Observation<'_>,
    path: &str,
    main: &mut Section,
) -> Result<(), Unobservable> {
    let text = observation.required_text(path)?;
    for section in sections(&text) {
        if section.name == "main" {
            main.extend(section);
        }
    }
    Ok(())
}

/// The files of directories with an ending, in the order of their names; of two with one name the first counts.
fn files(
    observation: &mut Observation<'_>,
    directories: &[&str],
    ending: &str,
) -> Result<Vec<String>, Unobservable> {
    let mut found: Vec<(String, String)> = Vec::new();
    for directory in directories {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if entry.name.ends_with(ending) && !found.iter().any(|(name, _)| *name == entry.name) {
                let path = format!("{directory}/{}", entry.name);
                found.push((entry.name, path));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// A repository, if it is enabled.
fn source(
    mut repository: Section,
    overrides: &[Section],
    main: &Section,
    file: &str,
) -> Option<SourceFacts> {
    let id = repository.name.clone();
    for other in overrides.iter().filter(|other| glob(&other.name, &id)) {
        for (name, value) in other.entries() {
            repository.set(name, value);
        }
    }
    if repository.truth("enabled") == Some(false) {
        return None;
    }
    // Off is the default of every version; distributions switch it on in their main file. dnf5 has a second name for it.
    let check = ["pkg_gpgcheck", "gpgcheck"]
        .into_iter()
        .find_map(|name| Some((name, repository.get(name)?)))
        .or_else(|| {
            ["pkg_gpgcheck", "gpgcheck"]
                .into_iter()
                .find_map(|name| Some((name, main.get(name)?)))
        });
    let verified = check.and_then(|(_, value)| super::ini::truth(value)) == Some(true);
    let weakened = match check {
        _ if verified => Vec::new(),
        Some((name, value)) => vec![format!("{name}={value}")],
        None => vec!["gpgcheck is set nowhere, which is off".to_owned()],
    };
    let url = ["baseurl", "metalink", "mirrorlist"]
        .into_iter()
        .find_map(|name| repository.get(name).filter(|value| !value.is_empty()))
        .unwrap_or_default();
    let urls: Vec<String> = url
        .split([' ', ','])
        .filter(|url| !url.is_empty())
        .map(shown)
        .collect();
    Some(SourceFacts {
        tool: Tool::Dnf,
        name: format!("{id} {}", urls.join(" ")).trim_end().to_owned(),
        file: file.to_owned(),
        verified,
        weakened,
        replay: Vec::new(),
        signed_by: repository
            .get("gpgkey")
            .filter(|key| !key.is_empty())
            .map(|keys| {
                keys.split([' ', ','])
                    .filter(|key| !key.is_empty())
                    .map(shown)
                    .collect::<Vec<_>>()
                    .join(" ")
            }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_come_from_the_repository_then_from_main() {
        let one = |repository: &str, main: &str| {
            let repository = sections(repository).remove(1);
            let main = sections(main).remove(1);
            source(repository, &[], &main, "f").map(|source| source.verified)
        };
        assert_eq!(one("[a]\nbaseurl=x", "[main]\ngpgcheck=1"), Some(true));
        assert_eq!(one("[a]\nbaseurl=x", "[main]\nbest=1"), Some(false));
        assert_eq!(one("[a]\ngpgcheck=0", "[main]\ngpgcheck=1"), Some(false));
        assert_eq!(one("[a]\ngpgcheck=1", "[main]\ngpgcheck=0"), Some(true));
        assert_eq!(one("[a]\nenabled=0", "[main]\ngpgcheck=0"), None);
        assert_eq!(
            one("[a]\ngpgcheck=perhaps", "[main]\ngpgcheck=1"),
            Some(false)
        );
    }
}
