//! Repositories of zypper (zypper(8), zypp.conf): `/etc/zypp/repos.d/*.repo` over the section `main` of zypp.conf.

use super::ini::{Section, sections};
use super::{PackageSourcesFacts, SourceFacts, Tool, shown};
use crate::probe::{Observation, Unobservable};

/// The main file: the administrator's takes the place of the vendor's.
const MAIN: [&str; 2] = ["/etc/zypp/zypp.conf", "/usr/etc/zypp/zypp.conf"];
/// Parts that come after it.
const PARTS: [&str; 2] = ["/usr/etc/zypp/zypp.conf.d", "/etc/zypp/zypp.conf.d"];
const REPOSITORIES: &str = "/etc/zypp/repos.d";

pub(super) fn read(
    observation: &mut Observation<'_>,
    facts: &mut PackageSourcesFacts,
) -> Result<(), Unobservable> {
    let Some(entries) = observation.list(REPOSITORIES)? else {
        return Ok(());
    };
    facts.tools.push(Tool::Zypper);
    let main = main(observation)?;
    for entry in entries.iter().filter(|entry| entry.name.ends_with(".repo")) {
        let path = format!("{REPOSITORIES}/{}", entry.name);
        let text = observation.required_text(&path)?;
        let repositories = sections(&text).into_iter().skip(1);
        facts
            .repositories
            .extend(repositories.filter_map(|repository| source(&repository, &main, &path)));
    }
    Ok(())
}

fn main(observation: &mut Observation<'_>) -> Result<Section, Unobservable> {
    let mut main = Section::default();
    let mut take = |text: &str| {
        for section in sections(text) {
            if section.name == "main" {
                main.extend(section);
            }
        }
    };
    for path in MAIN {
        if let Some(text) = observation.text(path)? {
            take(&text);
            break;
        }
    }
    for directory in PARTS {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") {
                take(&observation.required_text(&format!("{directory}/{}", entry.name))?);
            }
        }
    }
    Ok(main)
}

/// A repository, if it is enabled. `gpgcheck` asks for a signed index, or else for signed packages; the other two
/// settings narrow that down to one of them.
fn source(repository: &Section, main: &Section, file: &str) -> Option<SourceFacts> {
    if repository.truth("enabled") == Some(false) {
        return None;
    }
    let check = |name: &str| repository.truth(name).or_else(|| main.truth(name));
    let weakened: Vec<String> = if check("gpgcheck") == Some(false) {
        vec!["gpgcheck=0".to_owned()]
    } else if check("repo_gpgcheck") == Some(false) && check("pkg_gpgcheck") == Some(false) {
        vec!["repo_gpgcheck=0".to_owned(), "pkg_gpgcheck=0".to_owned()]
    } else {
        Vec::new()
    };
    let url = ["baseurl", "mirrorlist"]
        .into_iter()
        .find_map(|name| repository.get(name).filter(|value| !value.is_empty()))
        .unwrap_or_default();
    let urls: Vec<String> = url.split_whitespace().map(shown).collect();
    Some(SourceFacts {
        tool: Tool::Zypper,
        name: format!("{} {}", repository.name, urls.join(" "))
            .trim_end()
            .to_owned(),
        file: file.to_owned(),
        verified: weakened.is_empty(),
        weakened,
        replay: Vec::new(),
        signed_by: repository
            .get("gpgkey")
            .filter(|key| !key.is_empty())
            .map(shown),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_needed_unless_it_is_switched_off() {
        let one = |repository: &str, main: &str| {
            source(
                &sections(repository).remove(1),
                &sections(main).remove(1),
                "f",
            )
            .map(|source| source.verified)
        };
        assert_eq!(one("[a]\nenabled=1", "[main]\n"), Some(true));
        assert_eq!(one("[a]\ngpgcheck=0", "[main]\n"), Some(false));
        assert_eq!(one("[a]\n", "[main]\ngpgcheck=off"), Some(false));
        assert_eq!(one("[a]\ngpgcheck=1", "[main]\ngpgcheck=off"), Some(true));
        assert_eq!(one("[a]\nrepo_gpgcheck=0", "[main]\n"), Some(true));
        assert_eq!(
            one("[a]\nrepo_gpgcheck=0\npkg_gpgcheck=0", "[main]\n"),
            Some(false)
        );
        assert_eq!(one("[a]\nenabled=0\ngpgcheck=0", "[main]\n"), None);
    }
}
