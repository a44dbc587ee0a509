//! Whether the forwarding daemon holds a session with its destination: what the host itself can see of delivery.

mod statistics;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::unit::units;
use super::{Observation, Probe, Unobservable, log_forwarding};
use crate::host::HostError;

/// The probe `log_delivery`.
pub struct LogDelivery;

/// Sessions of the forwarding daemons.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogDeliveryFacts {
    /// The running daemons that were looked at; empty on an unpacked root.
    daemons: Vec<Sessions>,
    /// What rsyslog counts itself; absent if it does not run or its module impstats writes no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<statistics::Statistics>,
}

/// TCP sessions of one daemon, by the port at the other side.
#[derive(Debug, Serialize, JsonSchema)]
struct Sessions {
    /// Its unit.
    unit: String,
    /// Ports with an established session.
    established: Vec<String>,
    /// Ports that a connection is being tried to without an answer.
    unanswered: Vec<String>,
}

const UNITS: [&str; 2] = [log_forwarding::RSYSLOG, log_forwarding::UPLOAD];
/// Most descriptors of a daemon.
const MAX_SOCKETS: usize = 16_384;
/// Most bytes of a table of sockets.
const MAX_TABLE_BYTES: usize = 4 * 1024 * 1024;
/// States of linux/tcp_states.h.
const ESTABLISHED: &str = "01";
const SYN_SENT: &str = "02";

impl Probe for LogDelivery {
    const ID: &'static str = "log_delivery";
    type Facts = LogDeliveryFacts;

    fn units() -> Vec<&'static str> {
        UNITS.to_vec()
    }

    fn observe(observation: &mut Observation<'_>) -> Result<LogDeliveryFacts, Unobservable> {
        let mut daemons = Vec::new();
        if observation.is_live() {
            let units = units(observation, &UNITS)?;
            for name in UNITS {
                let running = units.get(name).filter(|unit| unit.active);
                if let Some(pid) = running.and_then(|unit| unit.main_pid) {
                    daemons.push(sessions(observation, name, pid)?);
                }
            }
        }
        let is_rsyslog = |daemon: &Sessions| daemon.unit == log_forwarding::RSYSLOG;
        let statistics = if daemons.iter().any(is_rsyslog) {
            counted(observation)?
        } else {
            None
        };
        Ok(LogDeliveryFacts {
            daemons,
            statistics,
        })
    }
}

fn counted(
    observation: &mut Observation<'_>,
) -> Result<Option<statistics::Statistics>, Unobservable> {
    let Some(sources) = log_forwarding::statistics(observation)? else {
        return Ok(None);
    };
    statistics::read(observation, &sources.file, &sources.actions)
}

fn sessions(
    observation: &mut Observation<'_>,
    unit: &str,
    pid: u32,
) -> Result<Sessions, Unobservable> {
    let sockets = sockets(observation, pid)?;
    let mut established = BTreeSet::new();
    let mut unanswered = BTreeSet::new();
    // The tables of the daemon's own network namespace.
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        let text = match observation.host().read(&path, MAX_TABLE_BYTES) {
            Ok(text) => text,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        for (port, state) in connections(&String::from_utf8_lossy(&text), &sockets) {
            match state {
                ESTABLISHED => established.insert(port.to_string()),
                SYN_SENT => unanswered.insert(port.to_string()),
                _ => false,
            };
        }
    }
    observation.note(&format!("/proc/PID/net/tcp and tcp6 of {unit}"));
    Ok(Sessions {
        unit: unit.to_owned(),
        established: established.into_iter().collect(),
        unanswered: unanswered.into_iter().collect(),
    })
}

/// Inodes of the sockets that a process holds.
fn sockets(observation: &mut Observation<'_>, pid: u32) -> Result<BTreeSet<String>, Unobservable> {
    let directory = format!("/proc/{pid}/fd");
    let host = observation.host();
    let entries = host.list(&directory)?;
    let mut found = BTreeSet::new();
    for entry in entries.into_iter().take(MAX_SOCKETS) {
        let target = match host.read_link(&format!("{directory}/{}", entry.name)) {
            Ok(target) => target,
            // Closed since the directory was listed.
            Err(HostError::NotFound(_) | HostError::NotRegular(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let inode = target
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'));
        found.extend(inode.map(str::to_owned));
    }
    Ok(found)
}

/// Remote port and state of the connections among these sockets; a listening socket has remote port 0.
fn connections<'t>(table: &'t str, sockets: &BTreeSet<String>) -> Vec<(u16, &'t str)> {
    let lines = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter_map(|fields| {
            let (remote, state, inode) = (fields.get(2)?, fields.get(3)?, fields.get(9)?);
            let port = u16::from_str_radix(remote.rsplit_once(':')?.1, 16).ok()?;
            (port != 0 && sockets.contains(*inode)).then_some((port, *state))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_connections_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1\n   1: 0A00000A:C350 0B00000A:1972 01 00000000:00000000 00:00000000 00000000     0        0 12 1\n   2: 0A00000A:C351 0B00000A:1972 02 00000000:00000000 00:00000000 00000000     0        0 13 1\nbroken\n";
        let own = BTreeSet::from(["11".to_owned(), "12".to_owned()]);
        assert_eq!(connections(table, &own), [(6514, ESTABLISHED)]);
    }
}
