//! GNOME's settings as dconf(7) resolves them.
//!
//! The profile names databases in order; the first that has a key gives its value, the user's own usually first. If a
//! database further down locks the key, those before it do not count. What no database has is the schema's default, which
//! a vendor's override may change.

use std::collections::{BTreeMap, BTreeSet};

use super::Setting;
use super::desktop::Kind;
use super::gvdb::{self, Database, Value};
use crate::host::FileKind;
use crate::probe::{Observation, Unobservable};

/// A user's own database, beneath the home directory.
pub(super) const USER_FILE: &str = ".config/dconf/user";
/// Where the profile `user` may lie, the first counts.
const PROFILES: [&str; 3] = [
    "/etc/dconf/profile/user",
    "/usr/local/share/dconf/profile/user",
    "/usr/share/dconf/profile/user",
];
const OTHER_PROFILES: [&str; 2] = ["/etc/dconf/profile", "/usr/share/dconf/profile"];
const DATABASES: &str = "/etc/dconf/db";
const OVERRIDES: &str = "/usr/share/glib-2.0/schemas";
/// Most files of one kind read.
const MAX_FILES: usize = 500;

const IDLE: &str = "/org/gnome/desktop/session/idle-delay";
const ENABLED: &str = "/org/gnome/desktop/screensaver/lock-enabled";
const DELAY: &str = "/org/gnome/desktop/screensaver/lock-delay";
const DISABLED: &str = "/org/gnome/desktop/lockdown/disable-lock-screen";

/// The keys with the defaults of their schemas.
const KEYS: [(&str, Value); 4] = [
    (IDLE, Value::Number(300)),
    (ENABLED, Value::Bool(true)),
    (DELAY, Value::Number(0)),
    (DISABLED, Value::Bool(false)),
];

/// What the administrator and the distribution set.
#[derive(Debug)]
pub(super) struct System {
    /// Databases in the profile's order; `None` stands for the user's own.
    sources: Vec<Option<(String, Database)>>,
    /// Defaults of the schemas with the vendor's overrides.
    defaults: BTreeMap<&'static str, Value>,
}

impl System {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<System, Unobservable> {
        let mut profile = None;
        for path in PROFILES {
            if let Some(text) = observation.text(path)? {
                profile = Some(text);
                break;
            }
        }
        let mut sources = Vec::new();
        for line in profile.as_deref().unwrap_or("user-db:user").lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.split_once(':') {
                Some(("user-db" | "service-db", _)) => sources.push(None),
                Some(("system-db", name)) => {
                    let path = format!("{DATABASES}/{name}");
                    sources.push(Some((name.to_owned(), database(observation, &path)?)));
                }
                Some(("file-db", path)) => {
                    sources.push(Some((path.to_owned(), database(observation, path)?)));
                }
                _ => {}
            }
        }
        Ok(System {
            sources,
            defaults: defaults(observation)?,
        })
    }

    /// What takes effect for a user with these own settings. Settings that are no database are as good as none to dconf.
    pub(super) fn setting(&self, user: Option<&str>, own: Option<&[u8]>) -> Setting {
        let own = own.and_then(gvdb::parse).unwrap_or_default();
        let number = |key| match self.value(key, &own) {
            Some(Value::Number(number)) => number,
            _ => 0,
        };
        let is_on = |key| self.value(key, &own) == Some(Value::Bool(true));
        Setting {
            desktop: Kind::Gnome,
            user: user.map(str::to_owned),
            enabled: is_on(ENABLED) && !is_on(DISABLED),
            idle_seconds: number(IDLE),
            grace_seconds: number(DELAY),
            enforced: KEYS
                .iter()
                .all(|(key, _)| *key == DISABLED || self.locking(key).is_some()),
        }
    }

    /// The last source that locks a key; the first of a profile cannot.
    fn locking(&self, key: &str) -> Option<usize> {
        (1..self.sources.len()).rev().find(|at| {
            self.sources
                .get(*at)
                .and_then(Option::as_ref)
                .is_some_and(|(_, database)| database.locks.contains(key))
        })
    }

    fn value(&self, key: &str, own: &Database) -> Option<Value> {
        let from = self.locking(key).unwrap_or(0);
        self.sources
            .iter()
            .skip(from)
            .map(|source| source.as_ref().map_or(own, |(_, database)| database))
            .find_map(|database| database.values.get(key))
            .or_else(|| self.defaults.get(key))
            .copied()
    }

    /// Key files and locks that are not, or not so, in a database of the profile.
    pub(super) fn without_effect(
        &self,
        observation: &mut Observation<'_>,
    ) -> Result<Vec<String>, Unobservable> {
        let mut found = Vec::new();
        let elsewhere = named_by_other_profiles(observation)?;
        for entry in observation.list(DATABASES)?.unwrap_or_default() {
            let Some(name) = entry.name.strip_suffix(".d") else {
                continue;
            };
            let (values, locks) = key_files(observation, name)?;
            let source = self
                .sources
                .iter()
                .flatten()
                .find(|(known, _)| known == name);
            let directory = format!("{DATABASES}/{name}.d");
            match source {
                None if elsewhere.contains(name) => {}
                None if values.is_empty() && locks.is_empty() => {}
                None => found.push(format!("{directory}: no profile of users names it")),
                Some((_, database)) => {
                    let values = values
                        .into_iter()
                        .filter(|(key, value)| database.values.get(*key) != Some(value))
                        .map(|(key, _)| format!("{directory}: {key} is not compiled"));
                    let locks = locks
                        .into_iter()
                        .filter(|key| !database.locks.contains(*key))
                        .map(|key| format!("{directory}: the lock of {key} is not compiled"));
                    found.extend(values.chain(locks));
                }
            }
        }
        Ok(found)
    }
}

/// A database of the administrator; one that does not exist has nothing.
fn database(observation: &mut Observation<'_>, path: &str) -> Result<Database, Unobservable> {
    match observation.bytes(path, crate::host::MAX_FILE_BYTES)? {
        None => Ok(Database::default()),
        Some(bytes) => {
            gvdb::parse(&bytes).ok_or_else(|| Unobservable::unparsable(path, "no dconf database"))
        }
    }
}

/// Databases that profiles of others use, such as the one of the login screen.
fn named_by_other_profiles(
    observation: &mut Observation<'_>,
) -> Result<BTreeSet<String>, Unobservable> {
    let mut found = BTreeSet::new();
    for directory in OTHER_PROFILES {
        let entries = observation.list(directory)?.unwrap_or_default();
        for entry in entries.into_iter().take(MAX_FILES) {
            if entry.name == "user" || entry.kind == FileKind::Directory {
                continue;
            }
            let text = observation.text(&format!("{directory}/{}", entry.name))?;
            found.extend(text.unwrap_or_default().lines().filter_map(|line| {
                let name = line.trim().strip_prefix("system-db:")?;
                Some(name.trim().to_owned())
            }));
        }
    }
    Ok(found)
}

type KeyFiles = (BTreeMap<&'static str, Value>, BTreeSet<&'static str>);

/// Values and locks of the key files of a database; of two files that set a key the last by name counts.
fn key_files(observation: &mut Observation<'_>, name: &str) -> Result<KeyFiles, Unobservable> {
    let directory = format!("{DATABASES}/{name}.d");
    let mut values = BTreeMap::new();
    for path in files(observation, &directory)? {
        let text = observation.text(&path)?.unwrap_or_default();
        values.extend(assignments(&text, |section| format!("/{section}/")));
    }
    let mut locks = BTreeSet::new();
    for path in files(observation, &format!("{directory}/locks"))? {
        let text = observation.text(&path)?.unwrap_or_default();
        for line in text.lines() {
            locks.extend(known(line.trim()));
        }
    }
    Ok((values, locks))
}

fn files(observation: &mut Observation<'_>, directory: &str) -> Result<Vec<String>, Unobservable> {
    let entries = observation.list(directory)?.unwrap_or_default();
    Ok(entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Regular && !entry.name.starts_with('.'))
        .take(MAX_FILES)
        .map(|entry| format!("{directory}/{}", entry.name))
        .collect())
}

fn known(path: &str) -> Option<&'static str> {
    KEYS.iter().map(|(key, _)| *key).find(|key| *key == path)
}

/// Assignments of known keys in a file with sections; `place` gives the path that a section stands for.
fn assignments(text: &str, place: impl Fn(&str) -> String) -> Vec<(&'static str, Value)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = place(name.trim_end_matches(']'));
        } else if let Some((name, value)) = line.split_once('=')
            && let Some(key) = known(&format!("{section}{}", name.trim()))
            && let Some(value) = Value::of_text(value)
        {
            found.push((key, value));
        }
    }
    found
}

/// Defaults of the schemas, then overrides in the order of their names: first those for all, then those for GNOME.
fn defaults(
    observation: &mut Observation<'_>,
) -> Result<BTreeMap<&'static str, Value>, Unobservable> {
    let mut defaults: BTreeMap<&'static str, Value> = KEYS.into_iter().collect();
    let mut narrow = Vec::new();
    let overrides = files(observation, OVERRIDES)?;
    for path in overrides
        .iter()
        .filter(|path| path.ends_with(".gschema.override"))
    {
        let text = observation.text(path)?.unwrap_or_default();
        let wide = assignments(&text, |schema| format!("/{}/", schema.replace('.', "/")));
        defaults.extend(wide);
        narrow.extend(assignments(&text, |schema| match schema.split_once(':') {
            Some((schema, desktop))
                if ["gnome", "ubuntu"].contains(&desktop.to_ascii_lowercase().as_str()) =>
            {
                format!("/{}/", schema.replace('.', "/"))
            }
            _ => String::new(),
        }));
    }
    defaults.extend(narrow);
    Ok(defaults)
}
