//! When a host was set up: what is younger than a period asked for cannot have a history that long.

use evidence::time::Timestamp;

use super::{Observation, Unobservable};

/// Files written once when a host is made, not when it is updated.
const TRACES: [&str; 5] = [
    "/etc/machine-id",
    "/etc/hostname",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/ssh/ssh_host_rsa_key.pub",
    "/var/log/installer",
];

/// The oldest trace of the set-up; the oldest, so that touching one file does not make a host young.
pub(super) fn host_since(
    observation: &mut Observation<'_>,
) -> Result<Option<Timestamp>, Unobservable> {
    let mut oldest: Option<Timestamp> = None;
    for path in TRACES {
        if let Some(stat) = observation.stat(path)? {
            oldest = Some(oldest.map_or(stat.mtime, |time| time.min(stat.mtime)));
        }
    }
    Ok(oldest)
}
