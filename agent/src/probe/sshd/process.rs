//! Which process is a daemon of the superuser. Every user can give a process any name and any title, so neither says
//! whose options they are, nor may a title that anybody wrote lead the agent to a file to read.

use crate::host::{Host, HostError};

/// Most bytes of a process' status.
const MAX_STATUS: usize = 64 * 1024;

/// Whether this process is an sshd that the superuser started: it executes a file of that name, with all its user ids 0
/// (a program that is set-user-ID root keeps the real one of its caller, sudo(8) is called otherwise). `false` if it has
/// ended.
pub(super) fn is_daemon(host: &dyn Host, pid: u32) -> bool {
    let name = host.read(&format!("/proc/{pid}/comm"), 64);
    if !name.is_ok_and(|name| name.trim_ascii_end() == b"sshd") {
        return false;
    }
    let status = host.read(&format!("/proc/{pid}/status"), MAX_STATUS);
    let status = status.map(|status| String::from_utf8_lossy(&status).into_owned());
    let of_superuser = status.is_ok_and(|status| {
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        ids.is_some_and(|ids| ids.split_whitespace().all(|id| id == "0"))
    });
    if !of_superuser {
        return false;
    }
    match host.read_link(&format!("/proc/{pid}/exe")) {
        Ok(program) => {
            let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
            program.rsplit('/').next() == Some("sshd")
        }
        // An agent without privileges does not see it, and has none to lend.
        Err(HostError::Permission(_)) => true,
        Err(_) => false,
    }
}
