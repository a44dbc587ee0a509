//! Processes that still run code from files that an update has replaced.

pub(super) mod proc;

use std::collections::BTreeMap;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::{Host, HostError};
use proc::Process;

/// Most processes looked at.
const MAX_PROCESSES: usize = 20_000;
/// Most processes listed.
const MAX_LISTED: usize = 200;
/// Most files listed for a process.
const MAX_FILES: usize = 5;

/// The probe `stale_process`.
pub struct StaleProcess;

/// Facts of processes with replaced code.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StaleProcessFacts {
    /// Processes of the superuser, and processes with listening sockets, that execute files of the package manager's
    /// directories which are no longer there; by process id.
    processes: Vec<Stale>,
    /// Further processes with replaced code that neither belong to the superuser nor listen.
    others: u64,
    /// Processes that the agent may not look at.
    denied: u64,
    /// Every process that the agent may look at was looked at.
    complete: bool,
}

/// One process.
#[derive(Debug, Serialize, JsonSchema)]
struct Stale {
    /// Process id.
    pid: u32,
    /// Its command's name.
    command: String,
    /// The systemd unit it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// Runs with the superuser's rights.
    superuser: bool,
    /// Has a listening TCP or a bound UDP socket.
    listening: bool,
    /// Replaced files whose code it executes, the first 5.
    files: Vec<String>,
    /// Since when, at the latest: the time of the file that is now in the place of a replaced one, or when the agent
    /// first saw it.
    since: Timestamp,
}

impl Probe for StaleProcess {
    const ID: &'static str = "stale_process";
    type Facts = StaleProcessFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<StaleProcessFacts, Unobservable> {
        observation.require_live("running processes")?;
        observation.note("/proc/*/maps");
        let seen: BTreeMap<String, Timestamp> = observation.recall("seen").unwrap_or_default();
        let mut still = BTreeMap::new();
        let mut facts = StaleProcessFacts {
            processes: Vec::new(),
            others: 0,
            denied: 0,
            complete: true,
        };
        let pids = proc::pids(observation.host())?;
        facts.complete &= pids.len() <= MAX_PROCESSES;
        for pid in pids.into_iter().take(MAX_PROCESSES) {
            let process = Process::new(observation.host(), pid);
            let files = match process.replaced_code() {
                Ok(files) => files,
                Err(HostError::NotFound(_)) => continue,
                Err(HostError::Permission(_)) => {
                    facts.denied += 1;
                    continue;
                }
                Err(_) if process.is_gone() => continue,
                Err(_) => {
                    facts.complete = false;
                    continue;
                }
            };
            if files.is_empty() || process.is_in_container() {
                continue;
            }
            let key = process.identity();
            let first = seen.get(&key).copied().unwrap_or(observation.now());
            let since =
                replaced_since(observation.host(), &files).map_or(first, |time| time.min(first));
            still.insert(key, since);
            match stale(&process, files, since)? {
                Some(stale) if facts.processes.len() < MAX_LISTED => facts.processes.push(stale),
                Some(_) => facts.complete = false,
                None => facts.others += 1,
            }
        }
        observation.remember("seen", &still);
        Ok(facts)
    }
}

fn stale(
    process: &Process<'_>,
    files: Vec<String>,
    since: Timestamp,
) -> Result<Option<Stale>, Unobservable> {
    let superuser = process.is_superuser();
    let listening = process.is_listening()?;
    Ok((superuser || listening).then(|| Stale {
        pid: process.pid,
        command: process.command(),
        unit: process.unit(),
        superuser,
        listening,
        files: files.into_iter().take(MAX_FILES).collect(),
        since,
    }))
}

/// When the oldest of the files now in these places was put there.
fn replaced_since(host: &dyn Host, files: &[String]) -> Option<Timestamp> {
    files
        .iter()
        .filter_map(|path| host.stat(path).ok())
        .map(|stat| stat.ctime)
        .min()
}
