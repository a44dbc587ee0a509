//! Log-ons in the text file that syslog keeps: `/var/log/auth.log` (Debian) or `/var/log/secure` (Red Hat).

use super::super::{Observation, Unobservable, syslog_line};
use super::{Kind, Newest, Record, State};

/// The files, the predecessors that logrotate(8) leaves uncompressed first.
const FILES: [&str; 4] = [
    "/var/log/auth.log.1",
    "/var/log/auth.log",
    "/var/log/secure.1",
    "/var/log/secure",
];
/// Most bytes of one file that are read: its newest lines.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Services whose PAM sessions are log-ons; cron, sudo and su are none.
const SESSIONS: [&str; 6] = [
    "(sshd:session): session opened for user ",
    "(login:session): session opened for user ",
    "(gdm-password:session): session opened for user ",
    "(gdm-autologin:session): session opened for user ",
    "(lightdm:session): session opened for user ",
    "(sddm:session): session opened for user ",
];
/// Reads the newest part of each file.
pub(super) fn read(
    observation: &mut Observation<'_>,
    newest: &mut Newest,
) -> Result<Record, Unobservable> {
    let mut record = Record {
        kind: Kind::AuthLog,
        state: State::Absent,
        since: None,
    };
    for path in FILES {
        let Some(stat) = observation.stat(path)? else {
            continue;
        };
        let bytes = observation.host().read_tail(path, MAX_BYTES)?;
        record.state = State::Read;
        for line in String::from_utf8_lossy(&bytes).lines() {
            // Lines without a year are from the year before the file's last change at most.
            let Some(at) = syslog_line::time(line, stat.mtime) else {
                continue;
            };
            if record.since.is_none_or(|since| at < since) {
                record.since = Some(at);
            }
            if let Some(user) = user(line) {
                newest.add(user, at, Kind::AuthLog);
            }
        }
    }
    Ok(record)
}

/// The account that a line says has logged on.
fn user(line: &str) -> Option<&str> {
    if let Some((before, rest)) = line.split_once(": Accepted ") {
        let daemon = before.rsplit(' ').next()?;
        let is_sshd = daemon.starts_with("sshd[") || daemon.starts_with("sshd-session[");
        let (_, rest) = rest.split_once(" for ")?;
        return is_sshd.then(|| rest.split(' ').next()).flatten();
    }
    let (_, rest) = SESSIONS
        .iter()
        .find_map(|session| line.split_once(session))?;
    rest.split([' ', '(']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_log_ons_count() {
        assert_eq!(
            user(
                "host sshd[12]: Accepted publickey for alice from 192.0.2.1 port 5 ssh2: ED25519 SHA256:x"
            ),
            Some("alice")
        );
        assert_eq!(
            user("host sshd-session[12]: Accepted publickey for alice from 192.0.2.1"),
            Some("alice")
        );
        assert_eq!(
            user(
                "host login[9]: pam_unix(login:session): session opened for user bob(uid=1001) by LOGIN(uid=0)"
            ),
            Some("bob")
        );
        for line in [
            "host sudo: pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)",
            "host CRON[9]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
            "host sshd[12]: Failed password for alice from 192.0.2.1",
            "host evil: x: Accepted publickey for alice from 192.0.2.1",
        ] {
            assert_eq!(user(line), None, "{line}");
        }
    }
}
