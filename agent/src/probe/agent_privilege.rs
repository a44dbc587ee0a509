//! What the agent itself may do on this host, and what it costs: the sandbox as the kernel holds it, not as a unit file
//! asks for it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::agent_process::{self, AgentProcess};
use super::process_status::ProcessStatus;
use super::{Observation, Probe, Unobservable, capability};

/// The probe `agent_privilege`.
pub struct AgentPrivilege;

/// Facts of the agent's own privileges and cost.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AgentPrivilegeFacts {
    /// The agent's service; absent if none runs and this is a single look.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
}

/// The process of the service.
#[derive(Debug, Serialize, JsonSchema)]
struct Service {
    /// Effective user.
    uid: i64,
    /// Capabilities it has now, without the prefix `CAP_`, in lower case.
    capabilities: Vec<String>,
    /// Capabilities that it, or a program it starts, could ever get.
    bounding: Vec<String>,
    /// no_new_privs: no set-user-id program gives it more.
    no_new_privileges: bool,
    /// A seccomp filter limits its system calls.
    system_call_filter: bool,
    /// Mounts it could write to, without `/dev`, `/proc` and `/sys`; `/` if it sees the host's files as everybody does.
    writable: Vec<String>,
    /// Largest resident memory so far in MiB, rounded up to a multiple of 8 so that facts keep still.
    peak_mib: i64,
    /// Processor time, its programs included, in thousandths of one core since it started, rounded up to 1, 2, 5, 10, 20
    /// …; absent in its first hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_permille: Option<i64>,
    /// Memory limit of its control group in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit_mib: Option<i64>,
    /// Weight of its control group when processors are short; 100 is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_weight: Option<i64>,
}

/// Ticks of process times a second: USER_HZ is 100 on every architecture that distributions build for.
const TICKS: i64 = 100;
const HOUR: i64 = 3600;
const PEAK_STEP_MIB: i64 = 8;

impl Probe for AgentPrivilege {
    const ID: &'static str = "agent_privilege";
    type Facts = AgentPrivilegeFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AgentPrivilegeFacts, Unobservable> {
        observation.require_live("the agent's own process")?;
        let service = match agent_process::service(observation)? {
            Some(process) => Some(look(observation, &process)?),
            None => None,
        };
        Ok(AgentPrivilegeFacts { service })
    }
}

fn look(
    observation: &mut Observation<'_>,
    process: &AgentProcess,
) -> Result<Service, Unobservable> {
    let path = format!("{}/status", process.proc);
    let text = observation.required_text(&path)?;
    let status = ProcessStatus::parse(&text)
        .map_err(|field| Unobservable::unparsable(&path, format!("no usable field {field}")))?;
    let mounts = observation.required_text(&format!("{}/mountinfo", process.proc))?;
    let stat = observation.required_text(&format!("{}/stat", process.proc))?;
    let uptime = observation.required_text("/proc/uptime")?;
    let limit = |observation: &mut Observation<'_>, name: &str| match &process.control_group {
        Some(group) => {
            let text = observation.text(&format!("{group}/{name}"))?;
            Ok(text.and_then(|text| text.trim().parse::<i64>().ok()))
        }
        None => Ok::<_, Unobservable>(None),
    };
    Ok(Service {
        uid: status.uid,
        capabilities: capability::names(status.effective),
        bounding: capability::names(status.bounding),
        no_new_privileges: status.no_new_privileges,
        system_call_filter: status.is_filtered(),
        writable: writable(&mounts),
        peak_mib: (status.peak_kib / 1024 / PEAK_STEP_MIB + 1) * PEAK_STEP_MIB,
        cpu_permille: cpu_permille(&stat, &uptime),
        memory_limit_mib: limit(observation, "memory.max")?.map(|bytes| bytes / 1024 / 1024),
        cpu_weight: limit(observation, "cpu.weight")?,
    })
}

/// Mount points that are not read-only; a later mount on the same point hides the earlier one.
fn writable(mountinfo: &str) -> Vec<String> {
    let mut points: BTreeMap<&str, bool> = BTreeMap::new();
    for line in mountinfo.lines() {
        let Some((place, source)) = line.split_once(" - ") else {
            continue;
        };
        let mut place = place.split(' ').skip(4);
        let (Some(point), Some(options)) = (place.next(), place.next()) else {
            continue;
        };
        let superblock = source.split(' ').nth(2).unwrap_or_default();
        let read_only = [options, superblock]
            .iter()
            .any(|options| options.split(',').any(|option| option == "ro"));
        points.insert(point, read_only);
    }
    let kernel = ["/dev", "/proc", "/sys"];
    let is_kernel = |point: &str| {
        kernel.iter().any(|top| {
            point
                .strip_prefix(top)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    points
        .into_iter()
        .filter(|(point, read_only)| !read_only && !is_kernel(point))
        .map(|(point, _)| point.to_owned())
        .collect()
}

/// Share of one core since the process started, from /proc/PID/stat and /proc/uptime.
fn cpu_permille(stat: &str, uptime: &str) -> Option<i64> {
    // The name in parentheses may hold anything, so fields are counted from its end, which closes the second.
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<i64> = after
        .split_whitespace()
        .map(|word| word.parse().unwrap_or_default())
        .collect();
    let used: i64 = fields.get(11..15)?.iter().sum();
    let started = fields.get(19)?;
    let uptime: i64 = uptime.split(['.', ' ']).next()?.parse().ok()?;
    let age = uptime.checked_sub(started / TICKS)?;
    if age < HOUR {
        return None;
    }
    let permille = used.checked_mul(1000)? / TICKS / age;
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    Some(
        steps
            .into_iter()
            .find(|step| permille < *step)
            .unwrap_or(permille),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uppermost_mount_counts() {
        let text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw\n3 2 8:1 /v /var/lib/assay-agent rw - ext4 /dev/sda1 rw\n4 2 0:5 / /dev rw - devtmpfs udev rw\n5 2 0:5 / /devices rw - ext4 x ro\n6 2 0:9 / /sys/fs/x rw - x x rw\nnonsense\n";
        assert_eq!(writable(text), ["/var/lib/assay-agent"]);
        assert_eq!(writable("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"), ["/"]);
    }

    #[test]
    fn cost_is_a_share_of_the_time_since_the_start() {
        let stat = |used: u64, start: u64| {
            format!("7 (a) b) S 1 7 7 0 -1 4 0 0 0 0 {used} 0 0 0 20 0 1 0 {start} 5 5")
        };
        // 36 s in an hour are a hundredth of a core.
        assert_eq!(cpu_permille(&stat(3_600, 100), "3601.50 1"), Some(20));
        assert_eq!(cpu_permille(&stat(0, 100), "3601.50 1"), Some(1));
        assert_eq!(cpu_permille(&stat(0, 100), "3600.00 1"), None);
        assert_eq!(cpu_permille("7 (a", "1"), None);
        assert_eq!(cpu_permille("7 (a) S 1", "1"), None);
    }
}
