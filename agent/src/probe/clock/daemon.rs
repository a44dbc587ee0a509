//! Time daemons by their processes.

use std::collections::BTreeSet;

use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use crate::host::{FileKind, HostError, Program};
use crate::probe::{Observation, Unobservable};

/// Most bytes of a process name; the kernel cuts it at 15 characters.
const MAX_NAME_BYTES: usize = 64;

/// A time daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DaemonKind {
    /// chronyd.
    Chrony,
    /// systemd-timesyncd.
    Timesyncd,
    /// ntpd of NTP, NTPsec or OpenNTPD.
    Ntpd,
    /// ptp4l of linuxptp.
    Ptp4l,
}

impl DaemonKind {
    fn of(name: &str) -> Option<DaemonKind> {
        Some(match name {
            "chronyd" => DaemonKind::Chrony,
            "systemd-timesyn" => DaemonKind::Timesyncd,
            "ntpd" => DaemonKind::Ntpd,
            "ptp4l" => DaemonKind::Ptp4l,
            _ => return None,
        })
    }
}

/// The kinds of daemon that run in the agent's own PID namespace.
pub(in crate::probe) fn running(
    observation: &mut Observation<'_>,
) -> Result<BTreeSet<DaemonKind>, Unobservable> {
    let host = observation.host();
    let own = host.read_link("/proc/self/ns/pid").ok();
    observation.note("/proc/*/comm");
    let mut found = BTreeSet::new();
    let entries = host.list("/proc")?;
    if !entries.iter().any(|entry| entry.name == "1") {
        return Err(Unobservable::new(
            Reason::PermissionDenied,
            "/proc hides the processes of other users (hidepid); run the agent as root",
        ));
    }
    for entry in entries {
        let is_process = entry.kind == FileKind::Directory
            && entry.name.bytes().all(|byte| byte.is_ascii_digit());
        if !is_process {
            continue;
        }
        let name = match host.read(&format!("/proc/{}/comm", entry.name), MAX_NAME_BYTES) {
            Ok(name) => name,
            // Ended meanwhile; the kernel says ESRCH if that happens between open and read.
            Err(HostError::NotFound(_) | HostError::Io(..)) => continue,
            Err(error) => return Err(error.into()),
        };
        let Some(kind) = DaemonKind::of(String::from_utf8_lossy(&name).trim_end()) else {
            continue;
        };
        let namespace = host.read_link(&format!("/proc/{}/ns/pid", entry.name)).ok();
        let elsewhere = matches!((&own, &namespace), (Some(own), Some(other)) if own != other);
        if !elsewhere {
            found.insert(kind);
        }
    }
    Ok(found)
}

/// What a program said on success, or why it did not, for people.
pub(super) fn said(
    observation: &mut Observation<'_>,
    program: &Program,
) -> Result<Result<String, String>, Unobservable> {
    let Some(output) = observation.run(program)? else {
        return Ok(Err(format!("{} is not installed", program.path)));
    };
    if output.exit == 0 {
        return Ok(Ok(output.text()));
    }
    let text = output.text() + &String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or_default();
    Ok(Err(format!(
        "{}: exit {}: {line:.200}",
        program.line(),
        output.exit
    )))
}
