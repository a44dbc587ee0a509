//! Which process is the agent's service: this one, or the one that a single `check` finds running beside it.

use super::{Observation, Unobservable};
use crate::examiner::COMMAND;
use crate::host::HostError;

/// Name of the service's control group.
const UNIT: &str = "assay-agent.service";
/// Where the service's processes are listed, by version of control groups.
const MEMBERS: [&str; 2] = [
    "/sys/fs/cgroup/system.slice/assay-agent.service/cgroup.procs",
    "/sys/fs/cgroup/systemd/system.slice/assay-agent.service/cgroup.procs",
];
const MAX_BYTES: usize = 64 * 1024;

/// The process of the agent's service.
pub(super) struct AgentProcess {
    /// Its folder of proc(5).
    pub proc: String,
    /// The folder of its control group, where the unified hierarchy is mounted.
    pub control_group: Option<String>,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The agent's service; `None` if this process is a single look and no service runs.
pub(super) fn service(
    observation: &mut Observation<'_>,
) -> Result<Option<AgentProcess>, Unobservable> {
    let mut own = at(observation, "/proc/self")?;
    if own.arguments.get(1).is_some_and(|word| word == COMMAND) {
        own = at(observation, &format!("/proc/{}", parent(observation)?))?;
    }
    let is_unit = own
        .control_group
        .as_deref()
        .is_some_and(|group| group.ends_with(UNIT));
    if is_unit || own.arguments.iter().skip(1).any(|word| word == "run") {
        return Ok(Some(own));
    }
    for members in MEMBERS {
        let Ok(bytes) = observation.host().read(members, MAX_BYTES) else {
            continue;
        };
        let first = String::from_utf8_lossy(&bytes)
            .lines()
            .next()
            .and_then(|line| line.trim().parse::<u32>().ok());
        if let Some(pid) = first {
            observation.note(members);
            return at(observation, &format!("/proc/{pid}")).map(Some);
        }
    }
    Ok(None)
}

/// The service that asked this process to examine.
fn parent(observation: &Observation<'_>) -> Result<u32, Unobservable> {
    const STATUS: &str = "/proc/self/status";
    let status = observation.host().read(STATUS, MAX_BYTES)?;
    String::from_utf8_lossy(&status)
        .lines()
        .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
        .ok_or_else(|| Unobservable::unparsable(STATUS, "no PPid"))
}

fn at(observation: &Observation<'_>, proc: &str) -> Result<AgentProcess, Unobservable> {
    let read = |name: &str| -> Result<String, Unobservable> {
        match observation
            .host()
            .read(&format!("{proc}/{name}"), MAX_BYTES)
        {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(HostError::NotFound(_)) => Ok(String::new()),
            Err(error) => Err(error.into()),
        }
    };
    let group = read("cgroup")?;
    Ok(AgentProcess {
        proc: proc.to_owned(),
        control_group: group
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .filter(|path| path.len() > 1)
            .map(|path| format!("/sys/fs/cgroup{path}")),
        arguments: read("cmdline")?
            .split('\0')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

impl AgentProcess {
    /// The configuration file that it was started with.
    pub(super) fn configuration(&self) -> Option<&str> {
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            if word == "--config" {
                return words.next().map(String::as_str);
            }
            if let Some(path) = word.strip_prefix("--config=") {
                return Some(path);
            }
        }
        None
    }
}
