//! Remotes of flatpak's system installation (flatpak-remote(5)).

use super::ini::sections;
use super::{PackageSourcesFacts, SourceFacts, Tool, shown};
use crate::probe::{Observation, Unobservable};

const CONFIGURATION: &str = "/var/lib/flatpak/repo/config";

pub(super) fn read(
    observation: &mut Observation<'_>,
    facts: &mut PackageSourcesFacts,
) -> Result<(), Unobservable> {
    let Some(text) = observation.text(CONFIGURATION)? else {
        return Ok(());
    };
    facts.tools.push(Tool::Flatpak);
    for section in sections(&text) {
        let name = section.name.strip_prefix("remote \"");
        let Some(name) = name.and_then(|name| name.strip_suffix('"')) else {
            continue;
        };
        if section.truth("xa.disable") == Some(true) {
            continue;
        }
        // ostree verifies unless it is told not to.
        let verified = section.truth("gpg-verify") != Some(false);
        facts.repositories.push(SourceFacts {
            tool: Tool::Flatpak,
            name: format!("{name} {}", shown(section.get("url").unwrap_or_default())),
            file: CONFIGURATION.to_owned(),
            verified,
            weakened: if verified {
                Vec::new()
            } else {
                vec!["gpg-verify=false".to_owned()]
            },
            replay: Vec::new(),
            signed_by: None,
        });
    }
    Ok(())
}
