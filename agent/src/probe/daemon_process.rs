//! Running daemons by the file they execute. A name can be given to any process by any user; the link to its program
//! cannot, so a daemon is a process that executes a known file and belongs to a system account.

use std::collections::BTreeSet;

use evidence::outcome::Reason;
use evidence::time::Timestamp;

use super::{Observation, Unobservable};
use crate::host::{FileKind, HostError};

/// A process of a system account that executes a file asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaemonProcess {
    /// Its id.
    pub pid: u32,
    /// The file it executes.
    pub program: String,
}

/// First user id that belongs to people on every distribution: who owns a namespace can name a file at will in it.
const PEOPLE: u32 = 1000;
const MAX_BYTES: usize = 64 * 1024;
const MAX_TABLE_BYTES: usize = 4 * 1024 * 1024;
const MAX_DESCRIPTORS: usize = 16_384;
/// Ticks a second of process times (USER_HZ).
const TICKS: i64 = 100;
/// TCP_ESTABLISHED of linux/tcp_states.h.
const ESTABLISHED: &str = "01";

/// The processes that execute one of `wanted`: paths of files, or of directories with a slash at their end.
pub(super) fn daemons(
    observation: &mut Observation<'_>,
    wanted: &[&str],
) -> Result<Vec<DaemonProcess>, Unobservable> {
    let host = observation.host();
    observation.note("/proc/*/exe");
    let entries = host.list("/proc")?;
    if !entries.iter().any(|entry| entry.name == "1") {
        return Err(Unobservable::new(
            Reason::PermissionDenied,
            "/proc hides the processes of other users (hidepid); run the agent as root",
        ));
    }
    let mut found = Vec::new();
    let mut denied = 0_usize;
    for entry in entries {
        let (FileKind::Directory, Ok(pid)) = (entry.kind, entry.name.parse::<u32>()) else {
            continue;
        };
        let program = match host.read_link(&format!("/proc/{pid}/exe")) {
            Ok(program) => program,
            // Kernel threads execute nothing, and a process may have ended meanwhile.
            Err(HostError::NotFound(_) | HostError::Io(..) | HostError::NotRegular(_)) => continue,
            Err(HostError::Permission(_)) => {
                denied += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
        let is_wanted = wanted
            .iter()
            .any(|path| program == *path || (path.ends_with('/') && program.starts_with(path)));
        if is_wanted && user(observation, pid)?.is_some_and(|uid| uid < PEOPLE) {
            found.push(DaemonProcess {
                pid,
                program: program.to_owned(),
            });
        }
    }
    if found.is_empty() && denied > 0 {
        return Err(Unobservable::new(
            Reason::PermissionDenied,
            format!("what {denied} processes execute may not be seen; run the agent as root"),
        ));
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// The real user of a process; `None` if it has ended.
fn user(observation: &Observation<'_>, pid: u32) -> Result<Option<u32>, Unobservable> {
    match observation
        .host()
        .read(&format!("/proc/{pid}/status"), MAX_BYTES)
    {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().next()?.parse().ok())),
        Err(HostError::NotFound(_) | HostError::Io(..)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a process is told by the kernel of file accesses (fanotify(7)): its descriptors say so.
pub(super) fn hears_of_file_access(
    observation: &Observation<'_>,
    pid: u32,
) -> Result<bool, Unobservable> {
    let directory = format!("/proc/{pid}/fdinfo");
    for name in descriptors(observation, &directory)? {
        if let Ok(bytes) = observation
            .host()
            .read(&format!("{directory}/{name}"), MAX_BYTES)
            && String::from_utf8_lossy(&bytes)
                .lines()
                .any(|line| line.starts_with("fanotify "))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a process holds an established TCP connection to another host.
pub(super) fn is_connected(observation: &Observation<'_>, pid: u32) -> Result<bool, Unobservable> {
    let directory = format!("/proc/{pid}/fd");
    let own: BTreeSet<String> = descriptors(observation, &directory)?
        .into_iter()
        .filter_map(|name| {
            observation
                .host()
                .read_link(&format!("{directory}/{name}"))
                .ok()
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        let bytes = match observation.host().read(&path, MAX_TABLE_BYTES) {
            Ok(bytes) => bytes,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let text = String::from_utf8_lossy(&bytes);
        if text.lines().skip(1).any(|line| leads_away(line, &own)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When a process was started, by its start since boot and the time of boot; `None` if it has ended.
pub(super) fn started(
    observation: &Observation<'_>,
    pid: u32,
) -> Result<Option<Timestamp>, Unobservable> {
    let read = |path: &str| match observation.host().read(path, MAX_TABLE_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(HostError::NotFound(_) | HostError::Io(..)) => Ok(None),
        Err(error) => Err(Unobservable::from(error)),
    };
    let (Some(stat), Some(boot)) = (read(&format!("/proc/{pid}/stat"))?, read("/proc/stat")?)
    else {
        return Ok(None);
    };
    // The name in parentheses may hold anything, so fields are counted from its end; the start is the 22nd.
    let ticks = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse::<i64>().ok());
    let boot = boot
        .lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|seconds| seconds.trim().parse::<i64>().ok());
    Ok(match (ticks, boot) {
        (Some(ticks), Some(boot)) => boot
            .checked_add(ticks / TICKS)
            .map(Timestamp::from_unix_seconds),
        _ => None,
    })
}

fn descriptors(
    observation: &Observation<'_>,
    directory: &str,
) -> Result<Vec<String>, Unobservable> {
    match observation.host().list(directory) {
        Ok(entries) => Ok(entries
            .into_iter()
            .take(MAX_DESCRIPTORS)
            .map(|entry| entry.name)
            .collect()),
        Err(HostError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a line of /proc/net/tcp is one of these sockets, established to another host.
fn leads_away(line: &str, own: &BTreeSet<String>) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (Some(remote), Some(state), Some(inode)) = (fields.get(2), fields.get(3), fields.get(9))
    else {
        return false;
    };
    let Some((address, port)) = remote.split_once(':') else {
        return false;
    };
    // Addresses stand in host order: 127.0.0.0/8 ends with 7F, also behind the prefix of mapped addresses.
    let is_loopback = match address.len() {
        8 => address.ends_with("7F"),
        _ => {
            address == "00000000000000000000000001000000"
                || (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"))
        }
    };
    *state == ESTABLISHED && port != "0000" && !is_loopback && own.contains(*inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_connections_to_other_hosts_count() {
        let own = BTreeSet::from(["7".to_owned()]);
        let line = |remote: &str, state: &str, inode: &str| {
            format!("0: 0A00000A:C350 {remote} {state} 0:0 0:0 0 0 0 {inode} 1")
        };
        assert!(leads_away(&line("0B00000A:01BB", "01", "7"), &own));
        assert!(!leads_away(&line("0B00000A:01BB", "02", "7"), &own));
        assert!(!leads_away(&line("0B00000A:01BB", "01", "8"), &own));
        assert!(!leads_away(&line("0100007F:01BB", "01", "7"), &own));
        let mapped = "0000000000000000FFFF00000100007F:01BB";
        assert!(!leads_away(&line(mapped, "01", "7"), &own));
        assert!(!leads_away("", &own));
        assert!(!leads_away("a b c d e f g h i j", &own));
    }
}
