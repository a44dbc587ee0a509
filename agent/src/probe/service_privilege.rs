//! What services that other hosts can reach may do on this host: the privileges of the processes, not of the unit file.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::process_status::ProcessStatus;
use super::sockets;
use super::stale_process::proc::Process;
use super::{Observation, Probe, Unobservable};
use crate::host::{HostError, Program};

/// The probe `service_privilege`.
pub struct ServicePrivilege;

/// Facts of exposed services.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServicePrivilegeFacts {
    /// Programs that hold sockets which other hosts can reach, by path and unit.
    services: Vec<ExposedService>,
    /// What could not be told.
    problems: Vec<String>,
}

/// A program with all its processes that hold such a socket.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct ExposedService {
    /// The program.
    program: String,
    /// The unit of its processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// Where it can be reached: `tcp/443`.
    endpoints: Vec<String>,
    /// One of its processes is the superuser's and has every capability that there is.
    unrestricted: bool,
    /// One of its processes is the superuser's.
    superuser: bool,
    /// None of its processes gains privileges through set-user-id programs.
    no_new_privileges: bool,
    /// All of its processes have a filter of system calls.
    system_call_filter: bool,
    /// Exposure of the unit by `systemd-analyze security`, in tenths (0 to 100); only asked for unrestricted services.
    #[serde(skip_serializing_if = "Option::is_none")]
    exposure: Option<i64>,
}

/// Must be the superuser by its nature: not asked about.
const SSHD: &str = "/usr/sbin/sshd";
const MAX_BYTES: usize = 64 * 1024;
const MAX_PROBLEMS: usize = 20;

impl Probe for ServicePrivilege {
    const ID: &'static str = "service_privilege";
    type Facts = ServicePrivilegeFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<ServicePrivilegeFacts, Unobservable> {
        observation.require_live("the privileges of running services")?;
        let served = sockets::served(observation)?;
        let mut problems = served.problems;
        let every = every_capability(observation)?;
        let mut by_process: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for (pid, endpoint) in served.holders {
            by_process.entry(pid).or_default().insert(endpoint);
        }
        // What systemd holds for a unit to come is also held by the process that it was handed to.
        let init = by_process.remove(&1).unwrap_or_default();
        let taken: BTreeSet<&String> = by_process.values().flatten().collect();
        let waiting: BTreeSet<String> = init
            .into_iter()
            .filter(|endpoint| !taken.contains(endpoint))
            .collect();
        if !waiting.is_empty() {
            by_process.insert(1, waiting);
        }
        let mut services: BTreeMap<(String, Option<String>), ExposedService> = BTreeMap::new();
        for (pid, endpoints) in by_process {
            add(observation, pid, endpoints, every, &mut services)?;
        }
        let mut services: Vec<ExposedService> = services.into_values().collect();
        rate(observation, &mut services)?;
        problems.truncate(MAX_PROBLEMS);
        Ok(ServicePrivilegeFacts { services, problems })
    }
}

/// A bit for each capability that the kernel knows.
fn every_capability(observation: &mut Observation<'_>) -> Result<u64, Unobservable> {
    const PATH: &str = "/proc/sys/kernel/cap_last_cap";
    let text = observation.required_text(PATH)?;
    let last: u32 = text
        .trim()
        .parse()
        .map_err(|error| Unobservable::unparsable(PATH, error))?;
    Ok(u64::MAX >> (63 - last.min(63)))
}

fn add(
    observation: &Observation<'_>,
    pid: u32,
    endpoints: BTreeSet<String>,
    every: u64,
    services: &mut BTreeMap<(String, Option<String>), ExposedService>,
) -> Result<(), Unobservable> {
    let path = format!("/proc/{pid}/status");
    let text = match observation.host().read(&path, MAX_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // It has ended meanwhile.
        Err(HostError::NotFound(_) | HostError::Io(..)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let status = ProcessStatus::parse(&text)
        .map_err(|field| Unobservable::unparsable(&path, format!("no usable field {field}")))?;
    let process = Process::new(observation.host(), pid);
    let program = process
        .program()?
        .unwrap_or_else(|| format!("({})", process.command()));
    let unit = process.unit();
    let service = services
        .entry((program.clone(), unit.clone()))
        .or_insert_with(|| ExposedService {
            program,
            unit,
            endpoints: Vec::new(),
            unrestricted: false,
            superuser: false,
            no_new_privileges: true,
            system_call_filter: true,
            exposure: None,
        });
    let known: BTreeSet<String> = service.endpoints.drain(..).chain(endpoints).collect();
    service.endpoints = known.into_iter().collect();
    service.superuser |= status.uid == 0;
    service.unrestricted |= status.uid == 0 && status.effective & every == every;
    service.no_new_privileges &= status.no_new_privileges;
    service.system_call_filter &= status.is_filtered();
    Ok(())
}

/// Asks systemd how exposed the units of unrestricted services are, if there are any but sshd's.
fn rate(
    observation: &mut Observation<'_>,
    services: &mut [ExposedService],
) -> Result<(), Unobservable> {
    let is_open = |service: &ExposedService| {
        service.unrestricted && service.unit.is_some() && service.program != SSHD
    };
    if !services.iter().any(is_open) || observation.stat("/run/systemd/system")?.is_none() {
        return Ok(());
    }
    let program = Program::new(
        "/usr/bin/systemd-analyze",
        &["security", "--json=short", "--no-pager"],
    );
    let Some(output) = observation.run(&program)? else {
        return Ok(());
    };
    // Versions before 250 know no JSON: the exposure stays unknown then.
    let rated = exposures(&output.stdout);
    for service in services.iter_mut().filter(|service| is_open(service)) {
        service.exposure = service
            .unit
            .as_ref()
            .and_then(|unit| rated.get(unit).copied());
    }
    Ok(())
}

/// `[{"unit": "nginx.service", "exposure": "9.6", …}]`, in tenths.
fn exposures(json: &[u8]) -> BTreeMap<String, i64> {
    let answer: Value = serde_json::from_slice(json).unwrap_or_default();
    answer
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let unit = entry.get("unit")?.as_str()?.to_owned();
            let (whole, tenths) = entry.get("exposure")?.as_str()?.split_once('.')?;
            let tenths: i64 = tenths.get(..1)?.parse().ok()?;
            Some((unit, whole.parse::<i64>().ok()?.checked_mul(10)? + tenths))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposures_are_tenths() {
        let json = r#"[{"unit":"nginx.service","exposure":"9.6","predicate":"UNSAFE"},{"unit":"x.service","exposure":"n/a"},{"unit":"chrony.service","exposure":"3.5"}]"#;
        let found = exposures(json.as_bytes());
        assert_eq!(found.len(), 2);
        assert_eq!(found["nginx.service"], 96);
        assert!(exposures(b"UNIT EXPOSURE\n").is_empty());
        assert!(exposures(b"{}").is_empty());
    }
}
