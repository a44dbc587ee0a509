//! Where the system's log is kept, since when, and until when it was written to.

pub(super) mod header;
mod rotated;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use self::rotated::SyslogFile;
use super::unit::{persisted, units};
use super::{Observation, Probe, Unobservable, installation, systemd_config};
use crate::host::FileKind;

/// The probe `journal`.
pub struct Journal;

/// Facts of journald and of the traditional log files.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JournalFacts {
    /// The effective `Storage=` of journald.conf(5).
    storage: Storage,
    /// `/var/log/journal` is there, which makes `auto` persistent.
    directory: bool,
    /// What journald does with this: it keeps the journal on disk.
    persistent: bool,
    /// Units of journald that are masked. Without its service nothing is kept and nothing is handed on to a syslog daemon,
    /// without its sockets it does not start or gets nothing of what programs send to syslog(3).
    masked: Vec<String>,
    /// The effective `ForwardToSyslog=`, as written; absent is the version's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_to_syslog: Option<String>,
    /// The effective `SystemMaxUse=`, as written; absent is a tenth of the file system, 4 GB at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_max_use: Option<String>,
    /// The effective `MaxRetentionSec=`, as written; absent is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_retention: Option<String>,
    /// `systemd-journald.service` is active.
    journald_active: bool,
    /// Journal files of this machine on disk.
    files: u64,
    /// Journal files whose header is not understood.
    damaged: Vec<String>,
    /// The first entry on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Timestamp>,
    /// The newest entry on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    /// The syslog daemon that is installed, and whether it runs.
    syslog_daemons: Vec<SyslogDaemon>,
    /// Traditional log files with their rotated predecessors.
    syslog: Vec<SyslogFile>,
    /// When the kernel was booted; absent on an unpacked root.
    #[serde(skip_serializing_if = "Option::is_none")]
    booted: Option<Timestamp>,
    /// The oldest trace of the host's set-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_since: Option<Timestamp>,
}

/// `Storage=` of journald.conf(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Storage {
    /// On disk if `/var/log/journal` is there.
    Auto,
    /// On disk.
    Persistent,
    /// In memory.
    Volatile,
    /// Nowhere.
    None,
}

/// A syslog daemon.
#[derive(Debug, Serialize, JsonSchema)]
struct SyslogDaemon {
    /// Its unit.
    unit: String,
    /// Running now.
    active: bool,
    /// Starts at boot.
    enabled: bool,
}

const UNITS: [&str; 3] = [
    "rsyslog.service",
    "syslog-ng.service",
    "systemd-journald.service",
];

/// What systemd-journald.service(8) is started with.
const SOCKETS: [&str; 2] = ["systemd-journald.socket", "systemd-journald-dev-log.socket"];

impl Probe for Journal {
    const ID: &'static str = "journal";
    type Facts = JournalFacts;

    fn units() -> Vec<&'static str> {
        UNITS.to_vec()
    }

    fn observe(observation: &mut Observation<'_>) -> Result<JournalFacts, Unobservable> {
        let assignments = systemd_config::assignments(observation, "journald.conf", "Journal")?;
        let last_value = |name: &str| {
            let of_name = assignments.iter().rev().find(|(known, _)| known == name);
            of_name
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        };
        let storage = assignments
            .iter()
            .rev()
            .filter(|(name, _)| name == "Storage")
            .find_map(|(_, value)| storage(value))
            .unwrap_or(Storage::Auto);
        let directory = observation
            .stat("/var/log/journal")?
            .is_some_and(|stat| stat.kind == FileKind::Directory);
        let files = Files::read(observation)?;
        let units = units(observation, &UNITS)?;
        let sockets = persisted(observation, &SOCKETS)?;
        let masked: Vec<String> = units
            .iter()
            .filter(|(name, _)| *name == "systemd-journald.service")
            .chain(&sockets)
            .filter(|(_, unit)| unit.masked)
            .map(|(name, _)| name.clone())
            .collect();
        let daemons = UNITS
            .iter()
            .filter(|name| **name != "systemd-journald.service");
        Ok(JournalFacts {
            storage,
            directory,
            persistent: masked.is_empty()
                && (storage == Storage::Persistent || storage == Storage::Auto && directory),
            masked,
            forward_to_syslog: last_value("ForwardToSyslog"),
            system_max_use: last_value("SystemMaxUse"),
            max_retention: last_value("MaxRetentionSec"),
            journald_active: units
                .get("systemd-journald.service")
                .is_some_and(|unit| unit.active),
            files: files.count,
            damaged: files.damaged,
            first: files.first,
            last: files.last,
            syslog_daemons: daemons
                .filter_map(|name| Some((name, units.get(*name)?)))
                .filter(|(_, unit)| unit.exists)
                .map(|(name, unit)| SyslogDaemon {
                    unit: (*name).to_owned(),
                    active: unit.active,
                    enabled: unit.enabled && !unit.masked,
                })
                .collect(),
            syslog: rotated::files(observation)?,
            booted: booted(observation)?,
            host_since: installation::host_since(observation)?,
        })
    }
}

fn storage(value: &str) -> Option<Storage> {
    match value {
        "auto" => Some(Storage::Auto),
        "persistent" => Some(Storage::Persistent),
        "volatile" => Some(Storage::Volatile),
        "none" => Some(Storage::None),
        _ => None,
    }
}

/// `btime` of `/proc/stat`, proc(5).
fn booted(observation: &mut Observation<'_>) -> Result<Option<Timestamp>, Unobservable> {
    if !observation.is_live() {
        return Ok(None);
    }
    let text = observation.text("/proc/stat")?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix("btime "))
        .filter_map(|seconds| seconds.trim().parse().ok())
        .map(Timestamp::from_unix_seconds)
        .next())
}

/// Journal files of this machine.
#[derive(Default)]
struct Files {
    count: u64,
    damaged: Vec<String>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Files {
    fn read(observation: &mut Observation<'_>) -> Result<Files, Unobservable> {
        let mut files = Files::default();
        let id = observation.text("/etc/machine-id")?.unwrap_or_default();
        let id = id.trim();
        // Only letters and digits: the text becomes part of a path.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(files);
        }
        let directory = format!("/var/log/journal/{id}");
        for entry in observation.list(&directory)?.unwrap_or_default() {
            let is_journal = entry.name.ends_with(".journal") || entry.name.ends_with(".journal~");
            if entry.kind != FileKind::Regular || !is_journal {
                continue;
            }
            files.count += 1;
            let path = format!("{directory}/{}", entry.name);
            let bytes = observation.host().read_head(&path, header::HEADER_BYTES)?;
            match header::parse(&bytes) {
                Some(header) => files.add(header),
                None => files.damaged.push(entry.name),
            }
        }
        Ok(files)
    }

    fn add(&mut self, header: header::Header) {
        if let Some((first, last)) = header.span {
            self.first = Some(self.first.map_or(first, |known| known.min(first)));
            self.last = Some(self.last.map_or(last, |known| known.max(last)));
        }
    }
}
