//! State of systemd units, for probes that ask whether something runs, would run at boot, or ran.
//!
//! Live, one program answers for all units named: [`units::query`] gives its command line, which is also the key under
//! `[programs]` in a recording, for example for two units (one line):
//!
//! ```text
//! /usr/bin/env TZ=UTC /usr/bin/systemctl show --property=Id,LoadState,ActiveState,UnitFileState,WantedBy,RequiredBy,
//! Result,ExecMainStatus,ExecMainStartTimestamp,ExecMainExitTimestamp,ActiveEnterTimestamp,MainPID ssh.service ssh.socket
//! ```
//!
//! (without the line break and the space after it). Names are asked in the order given, so that the line is stable; the
//! answer holds one block a unit in that order, parted by empty lines. `TZ=UTC` through env(1) makes times plain to read
//! on every version: `--timestamp=unix` is younger than releases that still get updates.
//!
//! A host where systemd is not PID 1 (`/run/systemd/system` is absent, sd_booted(3)) has no units: all are
//! `exists: false`, and that path stands among the sources as absent. `facts.system.systemd` tells such hosts apart.
//!
//! An unpacked root is read as systemd.unit(5) would at boot: unit files, aliases, masks and `.wants`/`.requires` links of
//! the persistent directories, and SysV scripts with a start link. Presets of a first boot are not foreseen.

pub(super) mod boot;
pub(super) mod command;
mod condition;
mod offline;
mod show;
mod text;

use std::collections::BTreeMap;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Unobservable};
use crate::host::{HostError, units};
pub(super) use text::{drop_in_text, text};

/// One unit, however it came to be known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unit {
    /// There is a unit of that name (or alias), even if only a mask.
    pub exists: bool,
    /// Running now, or for a timer or socket: waiting. Always false on an unpacked root.
    pub active: bool,
    /// Would start at boot: a target wants or requires it by a link that outlasts a reboot, a unit file or a generator.
    pub enabled: bool,
    /// Masked: cannot be started at all.
    pub masked: bool,
    /// `Result` of the last run, `success` also for a unit that never ran: count it only together with `exited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Exit code or signal of the last run's main process, 0 also for a unit that never ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i64>,
    /// When the last run's main process ended; absent if it never ran since boot or still runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exited: Option<Timestamp>,
    /// When the main process was started, or a unit without one became active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The main process of a running service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main_pid: Option<u32>,
}

/// The state of the units named, one entry a name.
///
/// # Errors
/// [`Unobservable`] if systemd runs but does not answer for every unit, or a unit directory cannot be read.
pub fn units(
    observation: &mut Observation<'_>,
    names: &[&str],
) -> Result<BTreeMap<String, Unit>, Unobservable> {
    if !observation.is_live() {
        return offline::units(observation, names);
    }
    if names.is_empty() || observation.stat("/run/systemd/system")?.is_none() {
        return Ok(names
            .iter()
            .map(|name| ((*name).to_owned(), Unit::default()))
            .collect());
    }
    let output = observation
        .show_units(names)?
        .ok_or_else(|| HostError::ToolMissing("/usr/bin/env".to_owned()))?;
    show::parse(names, &output)
        .map_err(|problem| Unobservable::unparsable(&units::query(names).line(), problem))
}

/// What files and links say about the units named, on a live host too: what systemd would do at the next boot, without
/// running a program. Generators and links below `/run` do not count.
///
/// # Errors
/// [`Unobservable`] if a unit directory cannot be read.
pub(super) fn persisted(
    observation: &mut Observation<'_>,
    names: &[&str],
) -> Result<BTreeMap<String, Unit>, Unobservable> {
    offline::units(observation, names)
}

/// Targets that a host passes through on its way up; others (rescue, shutdown, sleep) start nothing at boot.
fn is_boot_target(name: &str) -> bool {
    const NOT_AT_BOOT: [&str; 15] = [
        "rescue",
        "emergency",
        "shutdown",
        "reboot",
        "poweroff",
        "halt",
        "kexec",
        "suspend",
        "hibernate",
        "hybrid-sleep",
        "suspend-then-hibernate",
        "sleep",
        "umount",
        "final",
        "soft-reboot",
    ];
    name.strip_suffix(".target")
        .is_some_and(|stem| !NOT_AT_BOOT.contains(&stem))
}
