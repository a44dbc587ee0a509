//! Whether logs are rotated, and which large ones are not.

mod config;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use self::config::Patterns;
use super::auto_update::timer::{self, Effect};
use super::unit::units;
use super::{Observation, Probe, Unobservable, installation};
use crate::host::{FileKind, HostError};

const SERVICE: &str = "logrotate.service";
const TIMER: &str = "logrotate.timer";

/// The probe `logrotate`.
pub struct Logrotate;

/// Facts of log rotation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogrotateFacts {
    /// The program and `/etc/logrotate.conf` are there: a package that was removed leaves its configuration behind.
    installed: bool,
    /// Files and patterns that rules are for.
    patterns: u64,
    /// `logrotate.timer` is active; always false on an unpacked root.
    timer_active: bool,
    /// `logrotate.timer` starts at boot, comes at some time, and what it starts is logrotate.
    timer_enabled: bool,
    /// Seconds between two of its runs at the most; absent if no file says when.
    #[serde(skip_serializing_if = "Option::is_none")]
    timer_every: Option<i64>,
    /// What `/etc/cron.daily/logrotate` does.
    cron: Cron,
    /// The last change of the state file, which every run writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_run: Option<Timestamp>,
    /// `Result` of `logrotate.service` if it ran since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_result: Option<String>,
    /// `/var/log` was walked to its bounds.
    complete: bool,
    /// Log files of 10 MiB and more that grow, by path.
    large: Vec<Large>,
    /// A syslog daemon writes traditional files.
    syslog_files: bool,
    /// The oldest trace of the host's set-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_since: Option<Timestamp>,
}

/// What the daily script of cron does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Cron {
    /// It is not there, or not executable.
    Absent,
    /// It ends at once where systemd runs.
    LeavesItToSystemd,
    /// It rotates.
    Rotates,
}

/// A large log file.
#[derive(Debug, Serialize, JsonSchema)]
struct Large {
    /// Its path.
    path: String,
    /// Its size in MiB, rounded down.
    size_mib: u64,
    /// A rule is for it.
    rotated: bool,
}

const PROGRAM: &str = "/usr/sbin/logrotate";
const LARGE_BYTES: u64 = 10 * 1024 * 1024;
const MAX_DEPTH: usize = 3;
const MAX_NAMES: usize = 20_000;
const STATE_FILES: [&str; 3] = [
    "/var/lib/logrotate/status",
    "/var/lib/logrotate/logrotate.status",
    "/var/lib/logrotate.status",
];
/// Kept in bounds by who writes them, or sparse.
const OWN_BOUNDS: [&str; 6] = [
    "/var/log/journal",
    "/var/log/audit",
    "/var/log/lastlog",
    "/var/log/faillog",
    "/var/log/tallylog",
    "/var/log/wtmp.db",
];

impl Probe for Logrotate {
    const ID: &'static str = "logrotate";
    type Facts = LogrotateFacts;

    fn units() -> Vec<&'static str> {
        vec![SERVICE, TIMER]
    }

    fn observe(observation: &mut Observation<'_>) -> Result<LogrotateFacts, Unobservable> {
        let patterns = Patterns::read(observation)?;
        let mut walk = Walk {
            patterns: patterns.as_ref(),
            large: Vec::new(),
            complete: true,
            left: MAX_NAMES,
        };
        walk.directory(observation, "/var/log", 1)?;
        walk.large.sort_by(|a, b| a.path.cmp(&b.path));
        let (large, complete) = (walk.large, walk.complete);
        let mut last_run = None;
        for path in STATE_FILES {
            last_run = last_run.max(observation.stat(path)?.map(|stat| stat.mtime));
        }
        let units = units(observation, &[SERVICE, TIMER])?;
        let clock = units.get(TIMER);
        let service = units.get(SERVICE);
        let on = clock.is_some_and(|unit| unit.enabled && !unit.masked)
            && service.is_none_or(|unit| !unit.masked);
        let effect = if on {
            timer::effect(observation, "logrotate", &["logrotate"])?
        } else {
            Effect::Disarmed
        };
        Ok(LogrotateFacts {
            installed: patterns.is_some() && observation.stat(PROGRAM)?.is_some(),
            patterns: patterns.map_or(0, |patterns| patterns.len() as u64),
            timer_active: clock.is_some_and(|unit| unit.active),
            timer_enabled: effect != Effect::Disarmed,
            timer_every: match effect {
                Effect::Runs(every) => every,
                Effect::Disarmed => None,
            },
            cron: cron(observation)?,
            last_run,
            last_result: service
                .filter(|unit| unit.exited.is_some())
                .and_then(|unit| unit.result.clone()),
            complete,
            large,
            syslog_files: ["/var/log/syslog", "/var/log/messages"]
                .iter()
                .map(|path| observation.stat(path))
                .collect::<Result<Vec<_>, _>>()?
                .iter()
                .any(Option::is_some),
            host_since: installation::host_since(observation)?,
        })
    }
}

fn cron(observation: &mut Observation<'_>) -> Result<Cron, Unobservable> {
    const SCRIPT: &str = "/etc/cron.daily/logrotate";
    const EXECUTABLE: u32 = 0o111;
    let executable = observation
        .stat(SCRIPT)?
        .is_some_and(|stat| stat.mode & EXECUTABLE != 0);
    Ok(match observation.text(SCRIPT)?.filter(|_| executable) {
        None => Cron::Absent,
        Some(text) if text.contains("/run/systemd/system") => Cron::LeavesItToSystemd,
        Some(_) => Cron::Rotates,
    })
}

struct Walk<'p> {
    patterns: Option<&'p Patterns>,
    large: Vec<Large>,
    complete: bool,
    left: usize,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        observation: &mut Observation<'_>,
        directory: &str,
        depth: usize,
    ) -> Result<(), Unobservable> {
        let entries = match observation.host().list(directory) {
            Ok(entries) => entries,
            Err(HostError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if depth == 1 {
            observation.note(directory);
        }
        for entry in entries {
            if self.left == 0 {
                self.complete = false;
                return Ok(());
            }
            self.left -= 1;
            let path = format!("{directory}/{}", entry.name);
            if OWN_BOUNDS.contains(&path.as_str()) {
                continue;
            }
            match entry.kind {
                FileKind::Directory if depth < MAX_DEPTH => {
                    self.directory(observation, &path, depth + 1)?;
                }
                FileKind::Regular => self.file(observation, path)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, observation: &Observation<'_>, path: String) -> Result<(), Unobservable> {
        let size = match observation.host().lstat(&path) {
            Ok(stat) => stat.size,
            Err(HostError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if size >= LARGE_BYTES {
            self.large.push(Large {
                rotated: self.patterns.is_some_and(|patterns| patterns.cover(&path)),
                size_mib: size / (1024 * 1024),
                path,
            });
        }
        Ok(())
    }
}
