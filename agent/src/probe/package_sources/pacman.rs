//! Repositories of pacman (pacman.conf(5)).

use super::ini::{Section, sections};
use super::{PackageSourcesFacts, SourceFacts, Tool, shown};
use crate::probe::{Observation, Unobservable};

const MAIN: &str = "/etc/pacman.conf";
/// Deepest nesting of `Include`.
const MAX_DEPTH: usize = 10;
/// Most files included.
const MAX_FILES: usize = 200;
/// Most sections of all of them.
const MAX_SECTIONS: usize = 1000;

pub(super) fn read(
    observation: &mut Observation<'_>,
    facts: &mut PackageSourcesFacts,
) -> Result<(), Unobservable> {
    if observation.stat(MAIN)?.is_none() {
        return Ok(());
    }
    facts.tools.push(Tool::Pacman);
    let found = configuration(observation)?;
    let mut general = Level::default();
    for (section, _) in found
        .iter()
        .filter(|(section, _)| section.name == "options")
    {
        general = general.changed(section);
    }
    for (section, file) in &found {
        if section.name.is_empty() || section.name == "options" {
            continue;
        }
        let level = general.changed(section);
        let verified = level == Level::Required;
        let server = section.get("Server").map(shown).unwrap_or_default();
        facts.repositories.push(SourceFacts {
            tool: Tool::Pacman,
            name: format!("{} {server}", section.name).trim_end().to_owned(),
            file: file.clone(),
            verified,
            weakened: if verified {
                Vec::new()
            } else {
                vec![format!("SigLevel: {}", level.word())]
            },
            replay: Vec::new(),
            signed_by: None,
        });
    }
    Ok(())
}

/// What pacman is told of its repositories and of packages that stay as they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::probe) struct PacmanSettings {
    /// The repositories in order, each with whether packages are upgraded from it.
    pub(in crate::probe) repositories: Vec<(String, bool)>,
    /// Patterns of packages that are not upgraded.
    pub(in crate::probe) ignored: Vec<String>,
    /// Patterns of groups whose packages are not.
    pub(in crate::probe) ignored_groups: Vec<String>,
    /// Patterns of files that are left out of packages.
    pub(in crate::probe) left_out: Vec<String>,
}

pub(super) fn settings(observation: &mut Observation<'_>) -> Result<PacmanSettings, Unobservable> {
    let mut settings = PacmanSettings::default();
    if observation.stat(MAIN)?.is_none() {
        return Ok(settings);
    }
    for (section, _) in configuration(observation)? {
        let words = |name: &str| -> Vec<String> {
            let named = section.entries().iter().filter(|(known, _)| known == name);
            let words = named.flat_map(|(_, value)| value.split_whitespace());
            words.map(str::to_owned).collect()
        };
        if section.name == "options" {
            settings.ignored.extend(words("IgnorePkg"));
            settings.ignored_groups.extend(words("IgnoreGroup"));
            settings.left_out.extend(words("NoExtract"));
            if let Some(place) = section.get("DBPath")
                && place.trim_end_matches('/') != "/var/lib/pacman"
            {
                let problem = format!("databases in another place, {place:?}, are not followed");
                return Err(Unobservable::unparsable(MAIN, problem));
            }
        } else if !section.name.is_empty() {
            let usage = words("Usage");
            let upgrades =
                usage.is_empty() || usage.iter().any(|word| word == "All" || word == "Upgrade");
            let known = settings
                .repositories
                .iter()
                .any(|(name, _)| *name == section.name);
            if !known {
                settings.repositories.push((section.name.clone(), upgrades));
            }
        }
    }
    Ok(settings)
}

/// All sections in order, each with its file.
fn configuration(
    observation: &mut Observation<'_>,
) -> Result<Vec<(Section, String)>, Unobservable> {
    let mut found: Vec<(Section, String)> = vec![(Section::default(), MAIN.to_owned())];
    let mut left = MAX_FILES;
    include(observation, MAIN, MAX_DEPTH, &mut left, &mut found)?;
    Ok(found)
}

/// Reads a file into sections; what an included file says belongs to the section that is open.
fn include(
    observation: &mut Observation<'_>,
    path: &str,
    depth: usize,
    left: &mut usize,
    found: &mut Vec<(Section, String)>,
) -> Result<(), Unobservable> {
    // White space before a line means nothing here.
    let text: Vec<String> = observation
        .required_text(path)?
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    let text = text.join("\n");
    *left = left
        .checked_sub(1)
        .ok_or_else(|| Unobservable::unparsable(path, "too many included files"))?;
    for (at, section) in sections(&text).into_iter().enumerate() {
        let includes: Vec<String> = section
            .entries()
            .iter()
            .filter(|(name, _)| name == "Include")
            .map(|(_, value)| value.clone())
            .collect();
        if found.len() > MAX_SECTIONS {
            return Err(Unobservable::unparsable(path, "too many sections"));
        }
        match found.last_mut() {
            Some((open, _)) if at == 0 => open.extend(section),
            _ => found.push((section, path.to_owned())),
        }
        for target in includes {
            if depth == 0 {
                return Err(Unobservable::unparsable(
                    path,
                    "files that include each other",
                ));
            }
            for file in expand(observation, &target)? {
                include(observation, &file, depth - 1, left, found)?;
            }
        }
    }
    Ok(())
}

/// The files that an `Include` names: one, or by a pattern in the last part of the path.
fn expand(observation: &mut Observation<'_>, target: &str) -> Result<Vec<String>, Unobservable> {
    let Some((directory, pattern)) = target.rsplit_once('/') else {
        return Err(Unobservable::unparsable(
            MAIN,
            format!("Include of {target:?}"),
        ));
    };
    if directory.contains(['*', '?', '[']) || pattern.contains(['?', '[']) {
        return Err(Unobservable::unparsable(
            MAIN,
            format!("the pattern {target:?}"),
        ));
    }
    let Some((start, end)) = pattern.split_once('*') else {
        return Ok(vec![target.to_owned()]);
    };
    if end.contains('*') {
        return Err(Unobservable::unparsable(
            MAIN,
            format!("the pattern {target:?}"),
        ));
    }
    let entries = observation.list(directory)?.unwrap_or_default();
    let matching = entries.into_iter().filter(|entry| {
        entry.name.len() >= start.len() + end.len()
            && entry.name.starts_with(start)
            && entry.name.ends_with(end)
    });
    Ok(matching
        .map(|entry| format!("{directory}/{}", entry.name))
        .collect())
}

/// How far packages must be signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Level {
    /// By a key that is trusted: what pacman does unless it is told otherwise.
    #[default]
    Required,
    /// By any key.
    TrustAll,
    /// Only checked if there is a signature.
    Optional,
    Never,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Required => "Required",
            Level::TrustAll => "TrustAll",
            Level::Optional => "Optional",
            Level::Never => "Never",
        }
    }

    /// The level after every `SigLevel` of a section: words without a prefix, or with `Package`, in order.
    fn changed(self, section: &Section) -> Level {
        let values = section
            .entries()
            .iter()
            .filter(|(name, _)| name == "SigLevel");
        let words = values.flat_map(|(_, value)| value.split_whitespace());
        words.fold(self, |level, word| {
            match word.strip_prefix("Package").unwrap_or(word) {
                "Never" => Level::Never,
                "Optional" => Level::Optional,
                "Required" if level == Level::TrustAll => level,
                "Required" => Level::Required,
                "TrustAll" if level == Level::Required => Level::TrustAll,
                "TrustedOnly" if level == Level::TrustAll => Level::Required,
                _ => level,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_the_level_in_order() {
        let level = |value: &str| {
            let text = format!("[x]\nSigLevel = {value}\n");
            Level::default().changed(&sections(&text)[1])
        };
        assert_eq!(level("Required DatabaseOptional"), Level::Required);
        assert_eq!(level("Optional TrustAll"), Level::Optional);
        assert_eq!(level("Never"), Level::Never);
        assert_eq!(level("Required TrustAll"), Level::TrustAll);
        assert_eq!(level("PackageNever PackageRequired"), Level::Required);
        assert_eq!(level("DatabaseNever"), Level::Required);
    }
}
