//! Where command lines of backups stand: units with their timers, cron tables, and scripts that cron runs.

use super::command::{parse, repository_variable};
use super::{Job, Tool};
use crate::host::{FileKind, HostError};
use crate::probe::crontab::Naming;
use crate::probe::unit::units;
use crate::probe::{Observation, Unobservable};

/// Directories of units that a person writes.
const UNITS: [&str; 2] = ["/etc/systemd/system", "/usr/local/lib/systemd/system"];
/// Cron tables.
const TABLES: [&str; 3] = [
    "/etc/crontab",
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/root",
];
/// Directories of cron tables and of scripts that cron runs.
const CRON: [&str; 8] = [
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/periodic/hourly",
    "/etc/periodic/daily",
    "/etc/periodic/weekly",
    "/etc/periodic/15min",
];
/// Scripts that units and cron tables commonly start.
const SCRIPTS: [&str; 3] = ["/usr/local/bin/", "/usr/local/sbin/", "/opt/"];
const MAX_FILES: usize = 1000;
const MAX_BYTES: usize = 128 * 1024;

pub(super) fn jobs(observation: &mut Observation<'_>) -> Result<Vec<Job>, Unobservable> {
    let mut found = of_units(observation)?;
    for path in cron_files(observation)? {
        let Some(text) = text(observation, &path)? else {
            continue;
        };
        for mut job in in_text(observation, &text, &path)? {
            job.scheduled = true;
            found.push(job);
        }
    }
    Ok(found)
}

/// Whether a cron table or a script that cron runs names this program outside of comments.
pub(super) fn is_named_by_cron(
    observation: &mut Observation<'_>,
    program: &str,
) -> Result<bool, Unobservable> {
    for path in cron_files(observation)? {
        let Some(text) = text(observation, &path)? else {
            continue;
        };
        let named = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .flat_map(|line| line.split(|c: char| c.is_whitespace() || c == ';' || c == '&'))
            .any(|word| word.rsplit('/').next() == Some(program));
        if named {
            observation.note(&path);
            return Ok(true);
        }
    }
    Ok(false)
}

fn cron_files(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let mut files: Vec<String> = TABLES.iter().map(|path| (*path).to_owned()).collect();
    let naming = Naming::read(observation)?;
    for directory in CRON {
        for entry in entries(observation, directory)? {
            if naming.takes(directory, &entry) {
                files.push(format!("{directory}/{entry}"));
            }
        }
    }
    if files.len() > MAX_FILES {
        return Err(Unobservable::unparsable(
            "/etc/cron.d",
            format!("more than {MAX_FILES} files"),
        ));
    }
    Ok(files)
}

fn of_units(observation: &mut Observation<'_>) -> Result<Vec<Job>, Unobservable> {
    let mut found: Vec<(String, Job)> = Vec::new();
    for directory in UNITS {
        for name in entries(observation, directory)? {
            let Some(stem) = name.strip_suffix(".service") else {
                continue;
            };
            let path = format!("{directory}/{name}");
            let Some(unit) = text(observation, &path)? else {
                continue;
            };
            let repository = repository(observation, &unit)?;
            for line in commands(&unit) {
                for mut job in in_text(observation, &line, &path)? {
                    if job.repositories.is_empty() {
                        job.repositories.extend(repository.clone());
                    }
                    found.push((format!("{stem}.timer"), job));
                }
            }
        }
    }
    let names: Vec<&str> = found.iter().map(|(timer, _)| timer.as_str()).collect();
    let timers = if names.is_empty() {
        std::collections::BTreeMap::new()
    } else {
        units(observation, &names)?
    };
    let is_live = observation.is_live();
    Ok(found
        .into_iter()
        .map(|(timer, mut job)| {
            job.scheduled = timers
                .get(&timer)
                .is_some_and(|unit| unit.enabled && !unit.masked && (unit.active || !is_live));
            job
        })
        .collect())
}

/// Backups that the lines of a text start, directly or through a script of this host.
fn in_text(
    observation: &mut Observation<'_>,
    text: &str,
    path: &str,
) -> Result<Vec<Job>, Unobservable> {
    let mut found = Vec::new();
    for line in joined_lines(text) {
        if let Some(job) = parse(&line, path) {
            observation.note(path);
            found.push(job);
            continue;
        }
        for script in scripts(&line) {
            let Some(script_text) = self::text(observation, &script)? else {
                continue;
            };
            for line in joined_lines(&script_text) {
                if let Some(mut job) = parse(&line, &script) {
                    observation.note(&script);
                    if job.repositories.is_empty() {
                        job.repositories.extend(exported(&script_text));
                    }
                    found.push(job);
                }
            }
        }
    }
    for job in &mut found {
        if job.repositories.is_empty() {
            job.repositories.extend(exported(text));
        }
        if job.tool == Tool::Borg
            && ["BORG_PASSPHRASE", "BORG_PASSCOMMAND"]
                .iter()
                .any(|name| text.contains(name))
        {
            job.encrypted = Some(true);
        }
    }
    Ok(found)
}

/// Lines without comments; a backslash at the end joins a line with the next.
fn joined_lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut joined = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(start) => joined.push_str(start),
            None => {
                joined.push_str(line);
                found.push(std::mem::take(&mut joined));
            }
        }
    }
    if !joined.is_empty() {
        found.push(joined);
    }
    found
}

/// Commands that a unit starts.
fn commands(unit: &str) -> Vec<String> {
    joined_lines(unit)
        .into_iter()
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            ["ExecStart", "ExecStartPre", "ExecStartPost"]
                .contains(&name.trim())
                .then(|| value.trim().to_owned())
        })
        .collect()
}

/// The repository that a unit's environment names; of its environment files nothing else is looked at.
fn repository(
    observation: &mut Observation<'_>,
    unit: &str,
) -> Result<Option<String>, Unobservable> {
    for line in joined_lines(unit) {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match name.trim() {
            "Environment" => {
                let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
                if let Some(found) = repository_variable(&words) {
                    return Ok(Some(found));
                }
            }
            "EnvironmentFile" => {
                let path = value.trim_start_matches('-');
                if let Some(text) = text(observation, path)?
                    && let Some(found) = exported(&text)
                {
                    return Ok(Some(found));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The repository that a line of a script or environment file sets.
fn exported(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim();
        repository_variable(&[line.to_owned()])
    })
}

/// Scripts of this host that a line names.
fn scripts(line: &str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| word.trim_matches(['"', '\'', ';']))
        .filter(|word| SCRIPTS.iter().any(|top| word.starts_with(top)) && !word.contains(".."))
        .map(str::to_owned)
        .collect()
}

fn entries(observation: &Observation<'_>, directory: &str) -> Result<Vec<String>, Unobservable> {
    match observation.host().list(directory) {
        Ok(entries) => Ok(entries
            .into_iter()
            .filter(|entry| entry.kind != FileKind::Directory)
            .map(|entry| entry.name)
            .collect()),
        Err(HostError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// A text file; `None` if it is not there, is no file, or is a program or too large for a script.
pub(super) fn text(
    observation: &Observation<'_>,
    path: &str,
) -> Result<Option<String>, Unobservable> {
    match observation.host().read(path, MAX_BYTES) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(HostError::NotFound(_) | HostError::NotRegular(_) | HostError::TooLarge(..)) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
