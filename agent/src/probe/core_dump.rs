//! Where memory images of crashed programs go: the kernel's settings, limits of log-ons and services, systemd-coredump.
//!
//! A handler named by a pipe in `core_pattern` runs even where the hard limit is 0 (core(5)), so limits prove nothing
//! then: what counts is what the handler does with the image.

mod limits;

use schemars::JsonSchema;
use serde::Serialize;

use super::sysctl::{self, Boot};
use super::{Observation, Probe, Unobservable, systemd_config};
use crate::host::{FileKind, HostError};
use evidence::outcome::Reason;

/// Where systemd-coredump(8) keeps images.
const STORE: &str = "/var/lib/systemd/coredump";
/// Most images looked at.
const MAX_IMAGES: usize = 2000;

/// The probe `core_dump`.
pub struct CoreDump;

/// Facts of core dumps.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CoreDumpFacts {
    /// `fs.suid_dumpable`: 0 no images of programs that changed their rights, 1 as of others, 2 for the superuser alone.
    suid_dumpable: i64,
    /// `kernel.core_pattern`.
    pattern: String,
    /// Who takes an image, by the pattern.
    handler: Handler,
    /// The hard limit of log-ons is 0: limits.conf(5) says so for everybody, and PAM applies it.
    log_ons_limited: bool,
    /// Whom limits.conf(5) allows larger images all the same.
    exceptions: Vec<String>,
    /// The hard limit of services is 0: `DefaultLimitCORE` of systemd-system.conf(5).
    services_limited: bool,
    /// What systemd-coredump does with an image: `Storage` of coredump.conf(5).
    storage: Storage,
    /// Others than the superuser can read images kept by systemd-coredump, or write to their directory.
    store_open: bool,
}

/// Who takes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Handler {
    /// Nobody: the kernel writes a file, if limits let it.
    File,
    /// A program that throws it away (`false`, `true`).
    Discard,
    /// systemd-coredump.
    SystemdCoredump,
    /// Another program.
    Other,
}

/// `Storage` of coredump.conf(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Storage {
    /// Logs the crash and keeps no image.
    None,
    /// Keeps it in a directory of its own, within bounds of size.
    External,
    /// Keeps it in the journal, which others may read.
    Journal,
}

impl Probe for CoreDump {
    const ID: &'static str = "core_dump";
    type Facts = CoreDumpFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<CoreDumpFacts, Unobservable> {
        let (pattern, suid_dumpable) = kernel(observation)?;
        let limits = limits::read(observation)?;
        Ok(CoreDumpFacts {
            suid_dumpable: suid_dumpable.parse().map_err(|_| {
                Unobservable::unparsable("fs.suid_dumpable", format!("{suid_dumpable:.40}"))
            })?,
            handler: handler(&pattern),
            pattern,
            log_ons_limited: limits.everybody && limits.applied,
            exceptions: limits.exceptions,
            services_limited: services_limited(observation)?,
            storage: storage(observation)?,
            store_open: store_open(observation)?,
        })
    }
}

/// The pattern and `suid_dumpable`: the running kernel's, or what an unpacked root's boot would set.
fn kernel(observation: &mut Observation<'_>) -> Result<(String, String), Unobservable> {
    const KEYS: [(&str, &str); 2] = [("kernel/core_pattern", "core"), ("fs/suid_dumpable", "0")];
    let [pattern, dumpable] = KEYS;
    if observation.is_live() {
        let mut now = |(key, _): (&str, &str)| {
            observation.note(&format!("/proc/sys/{key}"));
            sysctl::value(observation.host(), key)?.ok_or_else(|| {
                Unobservable::new(Reason::Missing, format!("/proc/sys/{key} does not exist"))
            })
        };
        return Ok((now(pattern)?, now(dumpable)?));
    }
    let (_, boot) = Boot::read(observation)?;
    let later = |(key, start): (&str, &str)| {
        boot.get(key)
            .map_or(start, |assigned| assigned.value.as_str())
            .to_owned()
    };
    Ok((later(pattern), later(dumpable)))
}

fn handler(pattern: &str) -> Handler {
    let Some(command) = pattern.trim_start().strip_prefix('|') else {
        return Handler::File;
    };
    let program = command.split_whitespace().next().unwrap_or_default();
    match program.rsplit('/').next() {
        Some("systemd-coredump") => Handler::SystemdCoredump,
        Some("false" | "true") => Handler::Discard,
        _ => Handler::Other,
    }
}

/// `DefaultLimitCORE=0`, or `soft:hard` with a hard limit of 0; empty is the default again, which is infinity.
fn services_limited(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let settings = systemd_config::assignments(observation, "system.conf", "Manager")?;
    Ok(settings
        .iter()
        .rev()
        .find(|(name, _)| name == "DefaultLimitCORE")
        .is_some_and(|(_, value)| value.rsplit(':').next().map(str::trim) == Some("0")))
}

fn storage(observation: &mut Observation<'_>) -> Result<Storage, Unobservable> {
    let settings = systemd_config::assignments(observation, "coredump.conf", "Coredump")?;
    let known = settings
        .iter()
        .rev()
        .filter(|(name, _)| name == "Storage")
        .find_map(|(_, value)| match value.as_str() {
            "none" => Some(Storage::None),
            "external" => Some(Storage::External),
            "journal" => Some(Storage::Journal),
            _ => None,
        });
    Ok(known.unwrap_or(Storage::External))
}

fn store_open(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let Some(directory) = observation.stat(STORE)? else {
        return Ok(false);
    };
    if directory.uid != 0 || directory.mode & 0o022 != 0 {
        return Ok(true);
    }
    let images = observation.list(STORE)?.unwrap_or_default();
    for image in images
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Regular)
        .take(MAX_IMAGES)
    {
        match observation.host().lstat(&format!("{STORE}/{}", image.name)) {
            Ok(stat) if stat.uid != 0 || stat.mode & 0o007 != 0 => return Ok(true),
            Ok(_) | Err(HostError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_names_the_handler() {
        for (pattern, expected) in [
            ("core", Handler::File),
            ("/var/crash/core.%p", Handler::File),
            ("", Handler::File),
            (
                "|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h",
                Handler::SystemdCoredump,
            ),
            ("|/bin/false", Handler::Discard),
            ("|/usr/share/apport/apport -p%p -s%s", Handler::Other),
            ("|", Handler::Other),
        ] {
            assert_eq!(handler(pattern), expected, "{pattern}");
        }
    }
}
