//! How long auditd keeps its log, and what it does when space ends.

use std::str::FromStr;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::quoted::quoted;
use super::{Observation, Probe, Unobservable, installation};
use crate::host::FileKind;

/// The probe `audit_log`.
pub struct AuditLog;

const CONFIGURATION: &str = "/etc/audit/auditd.conf";

/// Facts of auditd's log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditLogFacts {
    /// The settings of auditd.conf(5); absent if the file is.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Settings>,
    /// Files of the log.
    files: u64,
    /// The oldest record in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
    /// The oldest trace of the host's set-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_since: Option<Timestamp>,
}

/// Settings of auditd.conf(5) that decide what is kept; what the file leaves out has the daemon's own default.
#[derive(Debug, Serialize, JsonSchema)]
struct Settings {
    /// Events are written to disk at all.
    write_logs: bool,
    /// Where.
    log_file: String,
    /// Size of a file in megabytes at which `max_log_file_action` is taken.
    max_log_file: u64,
    /// Files kept by rotation.
    num_logs: u64,
    /// What happens to a full file.
    max_log_file_action: Action,
    /// What happens when space grows short.
    space_left_action: Action,
    /// What happens when space is almost gone.
    admin_space_left_action: Action,
    /// What happens when the disk is full.
    disk_full_action: Action,
    /// What happens when the disk fails.
    disk_error_action: Action,
}

/// An action of auditd.conf(5); the words are read in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Ignore,
    Syslog,
    Rotate,
    KeepLogs,
    Email,
    Exec,
    Suspend,
    Single,
    Halt,
}

impl FromStr for Action {
    type Err = String;
    fn from_str(text: &str) -> Result<Action, String> {
        // `exec /path/to/script` has the script behind it.
        let word = text.split_whitespace().next().unwrap_or_default();
        Ok(match word.to_ascii_lowercase().as_str() {
            "ignore" => Action::Ignore,
            "syslog" => Action::Syslog,
            "rotate" => Action::Rotate,
            "keep_logs" => Action::KeepLogs,
            "email" => Action::Email,
            "exec" => Action::Exec,
            "suspend" => Action::Suspend,
            "single" => Action::Single,
            "halt" => Action::Halt,
            other => return Err(format!("action {} is not known", quoted(other))),
        })
    }
}

impl Probe for AuditLog {
    const ID: &'static str = "audit_log";
    type Facts = AuditLogFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AuditLogFacts, Unobservable> {
        let settings = observation
            .text(CONFIGURATION)?
            .map(|text| Settings::parse(&text))
            .transpose()
            .map_err(|problem| Unobservable::unparsable(CONFIGURATION, problem))?;
        let log_file = settings
            .as_ref()
            .map_or("/var/log/audit/audit.log", |settings| &settings.log_file)
            .to_owned();
        let (files, oldest) = records(observation, &log_file)?;
        Ok(AuditLogFacts {
            settings,
            files,
            oldest,
            host_since: installation::host_since(observation)?,
        })
    }
}

impl Settings {
    /// `name = value` lines; a line that is none, or a value that is none, is what auditd refuses to start with.
    fn parse(text: &str) -> Result<Settings, String> {
        let mut settings = Settings {
            write_logs: true,
            log_file: "/var/log/audit/audit.log".to_owned(),
            max_log_file: 0,
            num_logs: 0,
            max_log_file_action: Action::Ignore,
            space_left_action: Action::Ignore,
            admin_space_left_action: Action::Ignore,
            disk_full_action: Action::Ignore,
            disk_error_action: Action::Syslog,
        };
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| format!("line {number} is no setting"))?;
            let value = value.trim();
            let amount = || {
                value
                    .parse::<u64>()
                    .map_err(|error| format!("line {number}: {error}"))
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "write_logs" => settings.write_logs = value.eq_ignore_ascii_case("yes"),
                // The older way to say write_logs = no, which the daemon still takes.
                "log_format" if value.eq_ignore_ascii_case("nolog") => settings.write_logs = false,
                "log_file" => value.clone_into(&mut settings.log_file),
                "max_log_file" => settings.max_log_file = amount()?,
                "num_logs" => settings.num_logs = amount()?,
                "max_log_file_action" => settings.max_log_file_action = value.parse()?,
                "space_left_action" => settings.space_left_action = value.parse()?,
                "admin_space_left_action" => settings.admin_space_left_action = value.parse()?,
                "disk_full_action" => settings.disk_full_action = value.parse()?,
                "disk_error_action" => settings.disk_error_action = value.parse()?,
                _ => {}
            }
        }
        Ok(settings)
    }
}

/// How many files the log has, and the oldest record in them.
fn records(
    observation: &mut Observation<'_>,
    log_file: &str,
) -> Result<(u64, Option<Timestamp>), Unobservable> {
    const HEAD_BYTES: usize = 4096;
    let Some((directory, name)) = log_file
        .rsplit_once('/')
        .filter(|_| log_file.starts_with('/'))
    else {
        return Err(Unobservable::unparsable(
            CONFIGURATION,
            format!("log_file {log_file:?} is no absolute path"),
        ));
    };
    let mut files = 0;
    let mut oldest: Option<Timestamp> = None;
    for entry in observation.list(directory)?.unwrap_or_default() {
        if !entry.name.starts_with(name) || entry.kind != FileKind::Regular {
            continue;
        }
        files += 1;
        let path = format!("{directory}/{}", entry.name);
        let head = observation.host().read_head(&path, HEAD_BYTES)?;
        // A file that something else compressed shows no time; its last change is no earlier than its first record.
        let first = match record_time(&String::from_utf8_lossy(&head)) {
            Some(time) => time,
            None if head.is_empty() => continue,
            None => observation.host().stat(&path)?.mtime,
        };
        oldest = Some(oldest.map_or(first, |known| known.min(first)));
    }
    Ok((files, oldest))
}

/// The time of the first record, `msg=audit(1795503600.123:42):`.
fn record_time(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("msg=audit(")?;
    let (seconds, rest) = rest.split_once('.')?;
    let milliseconds = rest.get(..3)?;
    let seconds: i64 = seconds.parse().ok()?;
    let milliseconds: i64 = milliseconds.parse().ok()?;
    Some(Timestamp::from_unix_seconds(seconds).plus_ms(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_auditd_does() {
        let settings = Settings::parse(
            "# comment\nSpace_Left_Action = EXEC /usr/local/bin/alert\nnum_logs=5\nwrite_logs = No\n",
        )
        .unwrap();
        assert_eq!(settings.space_left_action, Action::Exec);
        assert_eq!((settings.num_logs, settings.write_logs), (5, false));
        assert_eq!(
            settings.disk_full_action,
            Action::Ignore,
            "left out, the daemon does nothing"
        );
        for text in ["nonsense", "num_logs = many", "disk_full_action = pray"] {
            assert!(Settings::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_record_has_its_time() {
        let line = "node=web1 type=DAEMON_START msg=audit(1795503600.120:4711): op=start";
        assert_eq!(
            record_time(line).unwrap().to_string(),
            "2026-11-24T07:00:00.120Z"
        );
        for text in ["", "msg=audit(", "msg=audit(1.é", "msg=audit(x.123:"] {
            assert_eq!(record_time(text), None, "{text}");
        }
    }
}
