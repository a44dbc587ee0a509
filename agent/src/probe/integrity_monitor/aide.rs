//! AIDE: configuration, database, what starts it, and when a run last came to its end.

use std::collections::BTreeMap;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::host::{FileKind, HostError, Stat};
use crate::probe::crontab::{Naming, OF_ROOT};
use crate::probe::job_access::timer;
use crate::probe::unit::units;
use crate::probe::{Observation, Unobservable, system};

const PROGRAMS: [&str; 3] = ["/usr/bin/aide", "/usr/sbin/aide", "/usr/local/bin/aide"];
const CONFIGURATIONS: [&str; 2] = ["/etc/aide/aide.conf", "/etc/aide.conf"];
const DEFAULT_DATABASE: &str = "/var/lib/aide/aide.db";
const LOGS: [&str; 2] = ["/var/log/aide/aide.log", "/var/log/aide.log"];
/// Timers and their services: Debian's, that of the usual hardening guides, Arch's and SUSE's.
const NAMES: [&str; 4] = ["dailyaidecheck", "aidecheck", "aide-check", "aide"];
const MAX_BYTES: usize = 256 * 1024;
/// Exit codes of `aide --check` from here on are faults; below, they say what differs (aide(1)).
const FAULT: i64 = 8;

/// AIDE.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Aide {
    /// The database that it compares with, by its configuration.
    database: String,
    /// When that was last written; absent if there is none: then it compares with nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_written: Option<Timestamp>,
    /// What starts it: timers that are active (or enabled, on an unpacked root), and tables or scripts of cron.
    scheduled_by: Vec<String>,
    /// When a run last came to its end, whatever it found.
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<Timestamp>,
    /// That run found differences, by its log.
    differences: bool,
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Option<Aide>, Unobservable> {
    let mut installed = false;
    for program in PROGRAMS {
        installed |= observation.stat(program)?.is_some();
    }
    if !installed {
        return Ok(None);
    }
    let mut database = DEFAULT_DATABASE.to_owned();
    for path in CONFIGURATIONS {
        if let Some(text) = observation.text(path)? {
            database = database_of(&text).unwrap_or(database);
            break;
        }
    }
    let written = observation
        .stat(&database)?
        .filter(|stat| stat.kind == FileKind::Regular && stat.size > 0)
        .map(|stat| stat.mtime);
    let mut scheduled_by = Vec::new();
    let mut completed = by_units(observation, &mut scheduled_by)?;
    by_cron(observation, &mut scheduled_by)?;
    let mut differences = false;
    for path in LOGS {
        let text = match observation.host().read_tail(path, MAX_BYTES) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(HostError::NotFound(_) | HostError::NotRegular(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        observation.note(path);
        let ended = last_end(&text);
        if ended.is_some() && ended >= completed {
            completed = ended;
        }
        differences |= text.contains("found differences between database and filesystem");
    }
    Ok(Some(Aide {
        database,
        database_written: written,
        scheduled_by,
        completed,
        differences,
    }))
}

/// The path of `database_in` (since 0.17) or `database`, with the names that `@@define` gave.
fn database_of(text: &str) -> Option<String> {
    let mut defined: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("@@define") {
            let mut words = rest.split_whitespace();
            if let (Some(name), Some(value)) = (words.next(), words.next()) {
                defined.insert(name, value);
            }
        }
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        if matches!(name.trim(), "database" | "database_in") {
            found = value.trim().strip_prefix("file:").map(str::to_owned);
        }
    }
    let mut path = found?;
    for (name, value) in defined {
        path = path.replace(&format!("@@{{{name}}}"), value);
    }
    let path = path.replacen("//", "/", 1);
    path.starts_with('/').then_some(path)
}

/// Timers that are on, and the end of their service's last run, if that was no fault.
fn by_units(
    observation: &mut Observation<'_>,
    scheduled_by: &mut Vec<String>,
) -> Result<Option<Timestamp>, Unobservable> {
    let mut timers: Vec<String> = NAMES.map(|name| format!("{name}.timer")).into();
    let mut services: Vec<String> = NAMES.map(|name| format!("{name}.service")).into();
    for job in timer::of_root(observation)?.0 {
        if timers.contains(&job.timer) || !job.paths.iter().any(|path| runs_aide(path)) {
            continue;
        }
        timers.push(job.timer);
        if !services.contains(&job.service) {
            services.push(job.service);
        }
    }
    let names: Vec<&str> = timers.iter().chain(&services).map(String::as_str).collect();
    let states = units(observation, &names)?;
    for timer in &timers {
        let on = states.get(timer.as_str()).is_some_and(|unit| {
            let on = if observation.is_live() {
                unit.active
            } else {
                unit.enabled
            };
            on && !unit.masked
        });
        if on {
            scheduled_by.push(timer.clone());
        }
    }
    let ends = services.iter().filter_map(|service| {
        let unit = states.get(service.as_str())?;
        let fine = unit
            .exit_status
            .is_some_and(|status| (0..FAULT).contains(&status));
        unit.exited.filter(|_| fine)
    });
    Ok(ends.max())
}

/// Tables and scripts that name AIDE. Debian's script leaves the work to the timer where systemd runs.
fn by_cron(
    observation: &mut Observation<'_>,
    scheduled_by: &mut Vec<String>,
) -> Result<(), Unobservable> {
    let systemd = if observation.is_live() {
        observation.stat("/run/systemd/system")?.is_some()
    } else {
        system::runs_systemd(observation)?
    };
    let naming = Naming::read(observation)?;
    for path in OF_ROOT {
        let files = match observation.host().list(path) {
            Ok(entries) => entries
                .into_iter()
                .filter(|entry| naming.takes(path, &entry.name))
                .map(|entry| format!("{path}/{}", entry.name))
                .collect(),
            Err(_) => vec![path.to_owned()],
        };
        for file in files {
            // A script without the permission to run is passed over.
            let is_script = path.starts_with("/etc/cron.") && path != "/etc/cron.d"
                || path.starts_with("/etc/periodic/");
            let runs = |stat: Stat| stat.mode & 0o111 != 0;
            if is_script && !observation.host().stat(&file).is_ok_and(runs) {
                continue;
            }
            let text = match observation.host().read(&file, MAX_BYTES) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(
                    HostError::NotFound(_) | HostError::NotRegular(_) | HostError::TooLarge(..),
                ) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let left_to_timer = systemd && text.contains("/run/systemd/system");
            let mut lines = text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'));
            if !left_to_timer && lines.any(runs_aide) {
                observation.note(&file);
                scheduled_by.push(file);
            }
        }
    }
    Ok(())
}

fn runs_aide(line: &str) -> bool {
    line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')' | '"'))
        .filter_map(|word| word.rsplit('/').next())
        .any(|name| matches!(name, "aide" | "aide.wrapper" | "dailyaidecheck"))
}

/// `End timestamp: 2026-11-24 03:10:22 +0000 (run time: 0m 40s)`
fn last_end(text: &str) -> Option<Timestamp> {
    text.lines().rev().find_map(|line| {
        let rest = line.trim().strip_prefix("End timestamp:")?;
        let mut words = rest.split_whitespace();
        let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
        let at = jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S %z", format!("{date} {time} {zone}"));
        let at = at.ok()?.to_timestamp().ok()?;
        Some(Timestamp::from_unix_ms(at.as_millisecond()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_found_through_definitions() {
        let rhel = "@@define DBDIR /var/lib/aide\n#database=file:/no\ndatabase_in=file:@@{DBDIR}/aide.db.gz\ndatabase_out=file:@@{DBDIR}/aide.db.new.gz\n";
        assert_eq!(database_of(rhel).unwrap(), "/var/lib/aide/aide.db.gz");
        assert_eq!(
            database_of("database=file:/var/lib/aide/aide.db\n").unwrap(),
            "/var/lib/aide/aide.db"
        );
        assert_eq!(database_of("database=stdin\n"), None);
    }

    #[test]
    fn the_end_of_the_last_run_is_read() {
        let text = "Start timestamp: 2026-11-24 03:09:42 +0100 (AIDE 0.18.3)\nEnd timestamp: 2026-11-24 03:10:22 +0100 (run time: 0m 40s)\n";
        assert_eq!(
            last_end(text).unwrap().to_string(),
            "2026-11-24T02:10:22.000Z"
        );
        for text in [
            "",
            "End timestamp:",
            "End timestamp: x y z",
            "End timestamp: 2026-13-24 03:10:22 +0100",
        ] {
            assert_eq!(last_end(text), None);
        }
        assert!(runs_aide("5 4 * * * root nice /usr/sbin/aide --check"));
        assert!(!runs_aide("5 4 * * * root /usr/bin/brigade"));
    }
}
