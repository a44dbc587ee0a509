//! Listening daemons beside the service: started by hand, or by a unit of another name, for a port of their own.

use super::daemon::CommandLine;
use super::process;
use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable};

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
