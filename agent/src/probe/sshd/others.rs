//! Listening daemons beside the service: started by hand, or by a unit of another name, for a port of their own.

use std::collections::BTreeSet;

use super::daemon::{CommandLine, SERVICES};
use super::process;
use super::start::{self, Start};
use crate::host::{FileKind, HostError};
use crate::probe::unit::{self, units};
use crate::probe::{Observation, Unobservable};

/// Where administrators put units of their own.
const OWN_UNITS: [&str; 2] = ["/etc/systemd/system", "/usr/local/lib/systemd/system"];
/// Most of them that are looked at.
const MAX_UNITS: usize = 300;

/// Most bytes of a process title.
const MAX_TITLE: usize = 256 * 1024;

/// What was found beside the service's own process.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Options of each, none twice.
    pub(super) lines: Vec<CommandLine>,
    /// Whether the options of all of them are known.
    pub(super) complete: bool,
}

/// What a boot of an unpacked root would start: enabled services of the administrator's own that run sshd.
fn at_boot(observation: &mut Observation<'_>, others: &mut Others) -> Result<(), Unobservable> {
    let mut names = BTreeSet::new();
    for directory in OWN_UNITS {
        for entry in observation.list(directory)?.unwrap_or_default() {
            let is_unit = entry.kind != FileKind::Directory && entry.name.ends_with(".service");
            if is_unit && !entry.name.contains('@') && !SERVICES.contains(&entry.name.as_str()) {
                names.insert(entry.name);
            }
        }
    }
    others.complete &= names.len() <= MAX_UNITS;
    let names: Vec<&str> = names.iter().take(MAX_UNITS).map(String::as_str).collect();
    for (name, unit) in units(observation, &names)? {
        if !unit.enabled {
            continue;
        }
        let text = unit::text(observation, &name)?.unwrap_or_default();
        match start::of_unit(observation, &name, &text)? {
            Start::Sshd(words) => {
                let line = CommandLine::new(words);
                if !others.lines.contains(&line) {
                    others.lines.push(line);
                }
            }
            Start::Other(_) | Start::Nothing => {}
        }
    }
    Ok(())
}

/// Listening processes of sshd other than `known`. A container's daemon is not this host's: its processes are in another
/// PID namespace.
///
/// # Errors
/// [`Unobservable`] if /proc cannot be listed.
pub(super) fn find(
    observation: &mut Observation<'_>,
    known: Option<u32>,
) -> Result<Others, Unobservable> {
    let mut others = Others {
        lines: Vec::new(),
        complete: true,
    };
    if !observation.is_live() {
        at_boot(observation, &mut others)?;
        return Ok(others);
    }
    let host = observation.host();
    let entries = match host.list("/proc") {
        Ok(entries) => entries,
        Err(HostError::NotFound(_)) => return Ok(others),
        Err(error) => return Err(error.into()),
    };
    let own = host.read_link("/proc/self/ns/pid");
    let pids = entries
        .iter()
        .filter(|entry| entry.kind == FileKind::Directory)
        .filter_map(|entry| entry.name.parse::<u32>().ok())
        .filter(|pid| Some(*pid) != known);
    for pid in pids {
        // A process that ends meanwhile listens no more.
        if !process::is_daemon(host, pid) {
            continue;
        }
        let Ok(title) = host.read(&format!("/proc/{pid}/cmdline"), MAX_TITLE) else {
            continue;
        };
        let title = String::from_utf8_lossy(&title);
        if !title.contains(" [listener]") {
            continue;
        }
        match (host.read_link(&format!("/proc/{pid}/ns/pid")), &own) {
            (Ok(its), Ok(own)) if its != *own => continue,
            (Err(HostError::NotFound(_)), _) => continue,
            (Ok(_), Ok(_)) => {}
            _ => others.complete = false,
        }
        match CommandLine::of_process(&title) {
            Some(line) if !others.lines.contains(&line) => others.lines.push(line),
            Some(_) => {}
            None => others.complete = false,
        }
    }
    Ok(others)
}
