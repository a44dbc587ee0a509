//! What the services of systemd's timers run as root.

use std::collections::BTreeSet;

use super::command;
use crate::host::FileKind;
use crate::probe::{Observation, Unobservable, systemd_config};

/// Where units are, in order of precedence.
const DIRECTORIES: [&str; 6] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator",
];
const MAX_UNITS: usize = 500;

/// A timer whose service runs as root.
#[derive(Debug)]
pub(in crate::probe) struct TimerJob {
    /// The timer, on or not.
    pub(in crate::probe) timer: String,
    /// What it starts.
    pub(in crate::probe) service: String,
    /// The files that the service runs.
    pub(in crate::probe) paths: BTreeSet<String>,
}

/// Timers whose service runs as root, and whether all that they run could be told.
///
/// # Errors
/// [`Unobservable`] if a unit is there and cannot be read.
pub(in crate::probe) fn of_root(
    observation: &mut Observation<'_>,
) -> Result<(Vec<TimerJob>, bool), Unobservable> {
    let mut found = Vec::new();
    let mut timers = BTreeSet::new();
    for directory in DIRECTORIES {
        for entry in observation.list(directory)?.unwrap_or_default() {
            if entry.name.ends_with(".timer") && entry.kind != FileKind::Directory {
                timers.insert(entry.name);
            }
        }
    }
    let mut complete = timers.len() <= MAX_UNITS;
    for timer in timers.iter().take(MAX_UNITS) {
        let own = timer.trim_end_matches(".timer");
        let Some(settings) = unit(observation, timer, "Timer")? else {
            continue;
        };
        let service =
            last(&settings, "Unit").map_or_else(|| format!("{own}.service"), str::to_owned);
        if !service.ends_with(".service") {
            continue;
        }
        let Some(settings) = unit(observation, &service, "Service")? else {
            continue;
        };
        let user = last(&settings, "User").unwrap_or("root");
        let dynamic = last(&settings, "DynamicUser").is_some_and(|value| {
            ["yes", "true", "on", "1"].contains(&value.to_ascii_lowercase().as_str())
        });
        if dynamic || !matches!(user, "root" | "0") {
            continue;
        }
        let mut paths = BTreeSet::new();
        for (_, value) in in_force(&settings) {
            // Prefixes of systemd.exec(5) stand before the path.
            let named = command::paths(value.trim_start_matches(['-', '@', ':', '+', '!']));
            paths.extend(named.paths);
            complete &= !named.relative;
        }
        found.push(TimerJob {
            timer: timer.clone(),
            service,
            paths,
        });
    }
    Ok((found, complete))
}

/// The commands; an empty assignment takes back those of its name (systemd.service(5)).
fn in_force(settings: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    settings.iter().enumerate().filter_map(|(at, setting)| {
        let (name, value) = setting;
        let taken_back = || {
            let mut later = settings.iter().skip(at + 1);
            later.any(|(other, value)| other == name && value.is_empty())
        };
        (name.starts_with("Exec") && !value.is_empty() && !taken_back()).then_some(setting)
    })
}

/// The last value of a setting, if it is not empty.
fn last<'s>(settings: &'s [(String, String)], name: &str) -> Option<&'s str> {
    settings
        .iter()
        .rev()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty())
}

/// The assignments of one section of a unit: of the first file of its name, then of its drop-ins. `None` for a unit that is
/// masked (systemctl(1)): its first file is a link to /dev/null, so nothing starts it.
fn unit(
    observation: &mut Observation<'_>,
    name: &str,
    section: &str,
) -> Result<Option<Vec<(String, String)>>, Unobservable> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        let path = format!("{directory}/{name}");
        if observation.host().read_link(&path).as_deref() == Ok("/dev/null") {
            observation.note(&path);
            return Ok(None);
        }
        if let Some(text) = observation.text(&path)? {
            found.extend(systemd_config::of_section(&text, section));
            break;
        }
    }
    for directory in DIRECTORIES {
        let directory = format!("{directory}/{name}.d");
        for entry in observation.host().list(&directory).unwrap_or_default() {
            let path = format!("{directory}/{}", entry.name);
            if entry.name.ends_with(".conf")
                && let Some(text) = observation.text(&path)?
            {
                found.extend(systemd_config::of_section(&text, section));
            }
        }
    }
    Ok(Some(found))
}
