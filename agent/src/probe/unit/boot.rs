//! What systemd does with a service at the next boot, as files and links say it.

use super::condition::{self, Verdict};
use super::{command, persisted, text};
use crate::host::FileKind;
use crate::probe::systemd_config::of_section;
use crate::probe::{Observation, Unobservable};

/// A service that is enabled or not, and what becomes of it.
#[derive(Debug, Clone, Default)]
pub(in crate::probe) struct AtBoot {
    /// Something wants it, and nothing that can be told keeps it from starting.
    pub starts: bool,
    /// Why it does not start, though it is there.
    pub hindrance: Option<String>,
    /// What decides and cannot be told from files; `starts` is then false.
    pub unknown: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its unit with drop-ins.
    pub text: String,
}

impl AtBoot {
    fn not(hindrance: &str) -> AtBoot {
        AtBoot {
            hindrance: Some(hindrance.to_owned()),
            ..AtBoot::default()
        }
    }

    /// The units that a list setting of `[Unit]` names, such as `Conflicts=`.
    pub fn named(&self, setting: &str) -> Vec<String> {
        named(&self.text, setting)
    }
}

fn named(text: &str, setting: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in of_section(text, "Unit") {
        if key == setting {
            names.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    names
}

/// What becomes of a service that its own links enable, or another unit wants; `None` if there is none of that name.
///
/// # Errors
/// [`Unobservable`] if units or what their conditions name cannot be read.
pub(in crate::probe) fn at_boot(
    observation: &mut Observation<'_>,
    name: &str,
    wanted_by_another: bool,
) -> Result<Option<AtBoot>, Unobservable> {
    let units = persisted(observation, &[name])?;
    let Some(unit) = units.get(name).filter(|unit| unit.exists) else {
        return Ok(None);
    };
    if unit.masked {
        return Ok(Some(AtBoot::not("masked")));
    }
    let Some(text) = text(observation, name)? else {
        return Ok(Some(AtBoot {
            unknown: unit
                .enabled
                .then(|| "started by a script of System V's init".to_owned()),
            hindrance: (!unit.enabled).then(|| "not enabled".to_owned()),
            ..AtBoot::default()
        }));
    };
    let mut found = AtBoot {
        text,
        ..AtBoot::default()
    };
    if !unit.enabled && !wanted_by_another {
        found.hindrance = Some("not enabled".to_owned());
        return Ok(Some(found));
    }
    match obstacle(observation, &found.text)? {
        None => {}
        Some(Obstacle::Hinders(why)) => {
            found.hindrance = Some(why);
            return Ok(Some(found));
        }
        Some(Obstacle::Unknown(what)) => {
            found.unknown = Some(what);
            return Ok(Some(found));
        }
    }
    found.command = command::of_service(observation, name, &found.text)?.unwrap_or_default();
    let program = found.command.first().cloned().unwrap_or_default();
    if is_executable(observation, &program)? {
        found.starts = true;
    } else {
        found.hindrance = Some(match program.as_str() {
            "" => "it has no ExecStart".to_owned(),
            program => format!("{program} is not there to be run"),
        });
    }
    Ok(Some(found))
}

/// What stands between a unit that is wanted and its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) enum Obstacle {
    /// It does not start, for this reason.
    Hinders(String),
    /// Whether it starts hangs on this, which files do not tell.
    Unknown(String),
}

/// Conditions of a unit that do not hold, and units it requires that are masked, from its text with drop-ins.
///
/// # Errors
/// [`Unobservable`] if what they name cannot be read.
pub(in crate::probe) fn obstacle(
    observation: &mut Observation<'_>,
    text: &str,
) -> Result<Option<Obstacle>, Unobservable> {
    let condition = match condition::verdict(observation, &of_section(text, "Unit"))? {
        Verdict::Unmet(condition) => {
            let why = format!("{condition} does not hold");
            return Ok(Some(Obstacle::Hinders(why)));
        }
        Verdict::Unknown(condition) => {
            Some(Obstacle::Unknown(format!("whether {condition} holds")))
        }
        Verdict::Met => None,
    };
    let masked = masked_requirement(observation, text)?
        .map(|unit| Obstacle::Hinders(format!("{unit}, which it requires, is masked")));
    Ok(masked.or(condition))
}

/// A service that must start with this one and cannot.
fn masked_requirement(
    observation: &mut Observation<'_>,
    text: &str,
) -> Result<Option<String>, Unobservable> {
    let mut required = named(text, "Requires");
    required.extend(named(text, "BindsTo"));
    let names: Vec<&str> = required.iter().map(String::as_str).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let units = persisted(observation, &names)?;
    Ok(units
        .into_iter()
        .find_map(|(name, unit)| unit.masked.then_some(name)))
}

/// Whether a program is there and may be run.
pub(in crate::probe) fn is_executable(
    observation: &mut Observation<'_>,
    program: &str,
) -> Result<bool, Unobservable> {
    Ok(program.starts_with('/')
        && observation
            .stat(program)?
            .is_some_and(|stat| stat.kind == FileKind::Regular && stat.mode & 0o111 != 0))
}
