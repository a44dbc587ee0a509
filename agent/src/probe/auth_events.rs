//! When a log-on, a failed one or a use of privileges was last recorded, and when one last took place.
//!
//! Lines and messages are looked at for what they are about; the time and the name of the program are all that is kept.

mod records;

use std::time::Duration;

use evidence::outcome::Reason;
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Observation, Probe, Unobservable, syslog_line};
use crate::host::{HostError, Program};

/// The probe `auth_events`.
pub struct AuthEvents;

/// Facts of authentication events.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuthEventsFacts {
    /// The journal or a traditional log file of log-ons could be read.
    log_read: bool,
    /// The newest event in any log.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<Event>,
    /// Why journalctl(1) did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_problem: Option<String>,
    /// The newest log-on that anything but a log tells of: a session of logind, wtmp or lastlog.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity: Option<Timestamp>,
    /// The newest log-on of wtmp(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    wtmp: Option<Timestamp>,
    /// The last change of the database that took the place of wtmp.
    #[serde(skip_serializing_if = "Option::is_none")]
    wtmpdb_changed: Option<Timestamp>,
    /// The begin of the newest session of logind.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Timestamp>,
}

/// A recorded event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Event {
    /// When.
    time: Timestamp,
    /// By which program.
    program: String,
    /// `journal`, or the path of the file.
    log: String,
}

/// Programs through which people come in or gain privileges; since OpenSSH 9.8 log-ons come from `sshd-session`.
const PROGRAMS: [&str; 12] = [
    "doas",
    "gdm",
    "gdm-launch-environment",
    "gdm-password",
    "lightdm",
    "login",
    "sddm",
    "sshd",
    "sshd-auth",
    "sshd-session",
    "su",
    "sudo",
];

/// Words of messages about a log-on, a failure or a use of privileges, as OpenSSH, PAM, sudo, su and login write them.
const WORDS: [&str; 11] = [
    "Accepted ",
    "Failed ",
    "Invalid user",
    "authentication failure",
    "session opened",
    "COMMAND=",
    "command not allowed",
    "authenticating user",
    "FAILED ",
    "LOGIN ON",
    "(to ",
];

/// The end of a log file that is looked through.
const TAIL_BYTES: usize = 256 * 1024;
/// Messages of the journal that are looked through.
const MESSAGES: &str = "200";
/// What journalctl(1) says to whom it may show nothing.
const DENIED: &str = "insufficient permissions";

impl Probe for AuthEvents {
    const ID: &'static str = "auth_events";
    type Facts = AuthEventsFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AuthEventsFacts, Unobservable> {
        let (mut newest, mut log_read) = files(observation)?;
        let mut journal_problem = None;
        if observation.is_live() {
            match journal(observation)? {
                Answer::Events(found) => {
                    log_read |= journal_exists(observation)?;
                    newest = later(newest, found);
                }
                Answer::Denied(said) if !log_read => {
                    let detail =
                        format!("{said} Run the agent as root or in the group systemd-journal");
                    return Err(Unobservable::new(Reason::PermissionDenied, detail));
                }
                Answer::Denied(said) | Answer::Problem(said) => journal_problem = Some(said),
                Answer::NoJournal => {}
            }
        }
        let wtmp = records::wtmp(observation)?;
        let session = records::session(observation)?;
        let lastlog = records::changed(
            observation,
            &["/var/log/lastlog", "/var/lib/lastlog/lastlog2.db"],
        )?;
        Ok(AuthEventsFacts {
            log_read,
            newest,
            journal_problem,
            activity: wtmp.max(session).max(lastlog),
            wtmp,
            wtmpdb_changed: records::changed(observation, &["/var/lib/wtmpdb/wtmp.db"])?,
            session,
        })
    }
}

fn later(known: Option<Event>, found: Option<Event>) -> Option<Event> {
    match (known, found) {
        (Some(known), Some(found)) if known.time >= found.time => Some(known),
        (known, found) => found.or(known),
    }
}

fn is_event(program: &str, message: &str) -> bool {
    PROGRAMS.contains(&program.trim_end_matches(']'))
        && WORDS.iter().any(|word| message.contains(word))
}

/// The newest event of the log-on files, and whether there is such a file. The file before the last rotation is looked at
/// too: just after it, the new one is empty.
fn files(observation: &mut Observation<'_>) -> Result<(Option<Event>, bool), Unobservable> {
    let entries = observation.list("/var/log")?.unwrap_or_default();
    let mut names = vec![
        "auth.log".to_owned(),
        "auth.log.1".to_owned(),
        "secure".to_owned(),
    ];
    let dated = entries
        .iter()
        .filter(|entry| entry.name.starts_with("secure-"));
    names.extend(dated.map(|entry| entry.name.clone()).max());
    let (mut newest, mut there) = (None, false);
    for name in names {
        let path = format!("/var/log/{name}");
        let tail = match observation.host().read_tail(&path, TAIL_BYTES) {
            Ok(tail) => tail,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        observation.note(&path);
        there = true;
        let text = String::from_utf8_lossy(&tail);
        let latest = observation.now();
        let found = text.lines().rev().find_map(|line| {
            let program = syslog_line::program(line)?;
            let time = syslog_line::time(line, latest)?;
            is_event(program, line).then(|| Event {
                time,
                program: program.trim_end_matches(']').to_owned(),
                log: path.clone(),
            })
        });
        newest = later(newest, found);
    }
    Ok((newest, there))
}

/// Without a file, journalctl(1) answers with nothing as if there were nothing to tell.
fn journal_exists(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let id = observation.text("/etc/machine-id")?.unwrap_or_default();
    for directory in ["/var/log/journal", "/run/log/journal"] {
        let files = observation.list(&format!("{directory}/{}", id.trim()))?;
        if files.is_some_and(|files| files.iter().any(|file| file.name.ends_with(".journal"))) {
            return Ok(true);
        }
    }
    Ok(false)
}

enum Answer {
    Events(Option<Event>),
    Problem(String),
    Denied(String),
    NoJournal,
}

/// One entry as `journalctl -o json` writes it.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    time: String,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    program: Option<String>,
    /// A list of bytes if it is no UTF-8.
    #[serde(rename = "MESSAGE")]
    message: Option<serde_json::Value>,
}

/// The journal's index and compression are a library's work, so its own reader is asked, for few entries of few programs.
pub(super) fn query() -> Program {
    let mut args = vec![
        "-q",
        "--no-pager",
        "--system",
        "-o",
        "json",
        "--output-fields=SYSLOG_IDENTIFIER,MESSAGE",
        "--since=-31days",
        "-r",
        "-n",
        MESSAGES,
    ];
    for program in PROGRAMS {
        args.extend(["-t", program]);
    }
    Program {
        deadline: Duration::from_secs(15),
        ..Program::new("/usr/bin/journalctl", &args)
    }
}

fn journal(observation: &mut Observation<'_>) -> Result<Answer, Unobservable> {
    let Some(output) = observation.run(&query())? else {
        return Ok(Answer::NoJournal);
    };
    if output.exit != 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or_default();
        return Ok(if first.contains(DENIED) {
            Answer::Denied(first.to_owned())
        } else {
            Answer::Problem(format!("exit {}: {first}", output.exit))
        });
    }
    for line in output.text().lines() {
        let entry: Entry = serde_json::from_str(line)
            .map_err(|error| Unobservable::unparsable("/usr/bin/journalctl", error))?;
        let program = entry.program.unwrap_or_default();
        let message = match &entry.message {
            Some(serde_json::Value::String(message)) => message.as_str(),
            _ => "",
        };
        if is_event(&program, message) {
            let microseconds: i64 = entry
                .time
                .parse()
                .map_err(|error| Unobservable::unparsable("/usr/bin/journalctl", error))?;
            return Ok(Answer::Events(Some(Event {
                time: Timestamp::from_unix_ms(microseconds / 1000),
                program,
                log: "journal".to_owned(),
            })));
        }
    }
    Ok(Answer::Events(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_an_event_only_if_it_is_about_one() {
        assert!(is_event("sshd-session", "Accepted publickey for x from y"));
        assert!(is_event(
            "gdm-password]",
            "pam_unix(gdm-password:session): session opened for user x"
        ));
        assert!(!is_event("sshd", "Server listening on 0.0.0.0 port 22."));
        assert!(!is_event(
            "CRON",
            "pam_unix(cron:session): session opened for user root"
        ));
    }

    #[test]
    fn the_later_event_counts() {
        let event = |seconds| {
            Some(Event {
                time: Timestamp::from_unix_seconds(seconds),
                program: "sshd".to_owned(),
                log: "journal".to_owned(),
            })
        };
        assert_eq!(later(event(5), event(3)), event(5));
        assert_eq!(later(event(3), event(5)), event(5));
        assert_eq!(later(None, event(3)), event(3));
        assert_eq!(later(event(3), None), event(3));
    }
}
