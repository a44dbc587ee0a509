//! modprobe.d(5): what happens when usb-storage is to be loaded.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::FileKind;
use crate::probe::debian::origin::matches_glob;
use crate::probe::{Observation, Unobservable};

/// In order of precedence: a file hides those of its name in later directories.
const DIRECTORIES: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];
const MODULE: &str = "usb_storage";
/// Commands that load nothing.
const NOTHING: [&str; 10] = [
    "/bin/false",
    "/bin/true",
    "/usr/bin/false",
    "/usr/bin/true",
    "/sbin/false",
    "/sbin/true",
    "/usr/sbin/false",
    "/usr/sbin/true",
    "false",
    "true",
];

/// What modprobe does when the module is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Install {
    /// It loads it.
    Loads,
    /// It runs `true` or `false` in its place.
    Nothing,
    /// It runs a command that may load it.
    Command,
}

pub(super) struct Configuration {
    pub install: Install,
    pub install_in: Option<String>,
    pub blacklisted: bool,
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Configuration, Unobservable> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for directory in DIRECTORIES {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") {
                let path = format!("{directory}/{}", entry.name);
                files.entry(entry.name).or_insert(path);
            }
        }
    }
    let mut found = Configuration {
        install: Install::Loads,
        install_in: None,
        blacklisted: false,
    };
    for path in files.into_values() {
        // A link to /dev/null only takes the name out.
        let is_file = observation
            .stat(&path)?
            .is_some_and(|stat| stat.kind == FileKind::Regular);
        if !is_file {
            continue;
        }
        let text = observation.text(&path)?.unwrap_or_default();
        for line in text.replace("\\\n", " ").lines() {
            let mut words = line.split_whitespace();
            let (keyword, module) = (words.next(), words.next());
            // libkmod matches an `install` line by fnmatch(3), a `blacklist` line by its letters.
            let meant = module.is_some_and(|module| match keyword {
                Some("install") => matches_glob(&underscored(module), MODULE),
                _ => same(module, MODULE),
            });
            if !meant {
                continue;
            }
            match keyword {
                Some("blacklist") => found.blacklisted = true,
                // The first line of all counts.
                Some("install") if found.install_in.is_none() => {
                    let command: Vec<&str> = words.collect();
                    found.install = if does_nothing(&command) {
                        Install::Nothing
                    } else {
                        Install::Command
                    };
                    found.install_in = Some(path.clone());
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Whether a command, which sh(1) runs, loads nothing: `true` or `false`, with words that it does not look at or a comment
/// behind it, but no second command.
fn does_nothing(command: &[&str]) -> bool {
    let Some((program, rest)) = command.split_first() else {
        return false;
    };
    let words: Vec<&&str> = rest
        .iter()
        .take_while(|word| !word.starts_with('#'))
        .collect();
    let plain = |word: &&&str| !word.contains([';', '&', '|', '`', '(', '<', '>', '\n']);
    NOTHING.contains(program) && words.iter().all(plain)
}

/// A pattern with every dash outside brackets as an underscore, as libkmod reads names.
fn underscored(pattern: &str) -> String {
    let mut inside = false;
    pattern
        .chars()
        .map(|letter| {
            inside = (inside || letter == '[') && letter != ']';
            if letter == '-' && !inside {
                '_'
            } else {
                letter
            }
        })
        .collect()
}

/// Module names know no difference between `-` and `_`.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.replace('-', "_") == b.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_loads_nothing() {
        let nothing = |command: &str| {
            let words: Vec<&str> = command.split_whitespace().collect();
            does_nothing(&words)
        };
        for command in [
            "/bin/true",
            "/bin/false # no sticks; none",
            "/bin/false $CMDLINE_OPTS",
        ] {
            assert!(nothing(command), "{command}");
        }
        for command in [
            "",
            "/bin/true; /sbin/insmod x",
            "/bin/true && x",
            "/sbin/modprobe --ignore-install x",
            "true|x",
        ] {
            assert!(!nothing(command), "{command}");
        }
    }

    #[test]
    fn names_are_patterns() {
        assert_eq!(underscored("usb[-_]stor-*"), "usb[-_]stor_*");
        assert!(matches_glob(&underscored("usb[-_]stor*"), MODULE));
        assert!(!matches_glob(&underscored("usb-serial*"), MODULE));
    }
}
