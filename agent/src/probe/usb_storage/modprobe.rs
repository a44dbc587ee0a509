//! modprobe.d(5): what happens when usb-storage is to be loaded.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

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
const NOTHING: [&str; 8] = [
    "/bin/false",
    "/bin/true",
    "/usr/bin/false",
    "/usr/bin/true",
    "/sbin/false",
    "/usr/sbin/false",
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
        let text = observation.text(&path)?.unwrap_or_default();
        for line in text.replace("\\\n", " ").lines() {
            let mut words = line.split_whitespace();
            let (keyword, module) = (words.next(), words.next());
            if !module.is_some_and(|module| same(module, MODULE)) {
                continue;
            }
            match keyword {
                Some("blacklist") => found.blacklisted = true,
                // The first line of all counts.
                Some("install") if found.install_in.is_none() => {
                    let command: Vec<&str> = words.collect();
                    found.install = match command.as_slice() {
                        [program] if NOTHING.contains(program) => Install::Nothing,
                        _ => Install::Command,
                    };
                    found.install_in = Some(path.clone());
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Module names know no difference between `-` and `_`.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.replace('-', "_") == b.replace('-', "_")
}
