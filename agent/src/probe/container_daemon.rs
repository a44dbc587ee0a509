//! Interfaces of container daemons: whoever reaches one is root on the host, unless the daemon runs without root.
//!
//! Live: command lines of running daemons, their files, and the sockets in the file system. On an unpacked root: the units
//! and files alone.

mod docker;
mod socket;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::stale_process::proc;
use super::{Observation, Probe, Unobservable, unit};
use crate::host::HostError;
use socket::ApiSocket;

/// Most bytes of a command line.
const MAX_LINE: usize = 256 * 1024;
/// Most processes looked at.
const MAX_PROCESSES: usize = 20_000;

/// The probe `container_daemon`.
pub struct ContainerDaemon;

/// Facts about the interfaces of container daemons.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ContainerDaemonFacts {
    /// Runtimes that are there: a daemon runs, a unit or a socket of it exists.
    runtimes: BTreeSet<Runtime>,
    /// Where daemons wait for commands over the network.
    endpoints: BTreeSet<Endpoint>,
    /// Sockets in the file system that take commands.
    sockets: BTreeSet<ApiSocket>,
    /// Every process was looked at.
    complete: bool,
}

/// A container runtime with a daemon or a service that takes commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Runtime {
    Docker,
    Containerd,
    Podman,
    Crio,
    Lxd,
    Incus,
}

/// A place on the network where a daemon takes commands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(super) struct Endpoint {
    runtime: Runtime,
    /// As configured, for example `tcp://0.0.0.0:2375`.
    address: String,
    /// Clients must show a certificate.
    mutual_tls: bool,
    /// Where that stands: a running process, a unit or a file.
    source: String,
}

impl Probe for ContainerDaemon {
    const ID: &'static str = "container_daemon";
    type Facts = ContainerDaemonFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<ContainerDaemonFacts, Unobservable> {
        let mut facts = ContainerDaemonFacts {
            runtimes: BTreeSet::new(),
            endpoints: BTreeSet::new(),
            sockets: BTreeSet::new(),
            complete: true,
        };
        docker::persisted(observation, &mut facts)?;
        podman_units(observation, &mut facts)?;
        containerd(observation, &mut facts)?;
        if observation.is_live() {
            running(observation, &mut facts)?;
            socket::read(observation, &mut facts)?;
        }
        Ok(facts)
    }
}

/// The command lines of running daemons.
fn running(
    observation: &mut Observation<'_>,
    facts: &mut ContainerDaemonFacts,
) -> Result<(), Unobservable> {
    observation.note("/proc/*/cmdline");
    let host = observation.host();
    let pids = proc::pids(host)?;
    facts.complete &= pids.len() <= MAX_PROCESSES;
    let mut lines = Vec::new();
    for pid in pids.into_iter().take(MAX_PROCESSES) {
        match host.read(&format!("/proc/{pid}/cmdline"), MAX_LINE) {
            Ok(bytes) => {
                let words: Vec<String> = bytes
                    .split(|byte| *byte == 0)
                    .map(|word| String::from_utf8_lossy(word).into_owned())
                    .filter(|word| !word.is_empty())
                    .collect();
                lines.push((pid, words));
            }
            // Ended meanwhile, or too long to be a daemon's.
            Err(HostError::NotFound(_) | HostError::TooLarge(..)) => {}
            Err(HostError::Permission(_)) => facts.complete = false,
            Err(_) => {}
        }
    }
    for (pid, words) in lines {
        let name = words
            .first()
            .and_then(|path| path.rsplit('/').next())
            .unwrap_or_default();
        let source = format!("the running {name}");
        let arguments = words.get(1..).unwrap_or_default();
        match name {
            "dockerd" | "docker-containerd" | "docker"
                if name != "docker" || words.iter().any(|word| word == "daemon") =>
            {
                facts.runtimes.insert(Runtime::Docker);
                docker::command(observation, arguments, &source, Some(pid), facts)?;
            }
            "containerd" => {
                facts.runtimes.insert(Runtime::Containerd);
            }
            "crio" => {
                facts.runtimes.insert(Runtime::Crio);
            }
            "lxd" => {
                facts.runtimes.insert(Runtime::Lxd);
            }
            "incusd" => {
                facts.runtimes.insert(Runtime::Incus);
            }
            "podman" => podman(arguments, &source, facts),
            _ => {}
        }
    }
    Ok(())
}

/// `podman system service [options] [URI]`: over TCP anybody who reaches it commands it; `--tls-client-ca` came late.
fn podman(arguments: &[String], source: &str, facts: &mut ContainerDaemonFacts) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(at) = words
        .windows(2)
        .position(|pair| pair == ["system", "service"])
    else {
        return;
    };
    facts.runtimes.insert(Runtime::Podman);
    let rest = &words[at + 2..];
    let mutual_tls = rest.iter().any(|word| word.starts_with("--tls-client-ca"));
    for address in rest.iter().filter(|word| word.starts_with("tcp:")) {
        facts.endpoints.insert(Endpoint {
            runtime: Runtime::Podman,
            address: (*address).to_owned(),
            mutual_tls,
            source: source.to_owned(),
        });
    }
}

fn podman_units(
    observation: &mut Observation<'_>,
    facts: &mut ContainerDaemonFacts,
) -> Result<(), Unobservable> {
    for name in ["podman.service", "podman.socket"] {
        let Some(text) = unit::text(observation, name)? else {
            continue;
        };
        facts.runtimes.insert(Runtime::Podman);
        for line in text.lines().map(str::trim) {
            if let Some(command) = line.strip_prefix("ExecStart=") {
                let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
                podman(&words, name, facts);
            }
        }
        facts
            .endpoints
            .extend(listening(&text, Runtime::Podman, false, name));
        if !observation.is_live() && name.ends_with(".socket") {
            facts
                .sockets
                .extend(socket::of_unit(Runtime::Podman, &text));
        }
    }
    Ok(())
}

/// What a socket unit waits for on the network: `ListenStream=` with anything but a path. An empty one starts anew.
fn listening(text: &str, runtime: Runtime, mutual_tls: bool, source: &str) -> Vec<Endpoint> {
    let mut addresses: Vec<&str> = Vec::new();
    for value in text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ListenStream="))
        .map(str::trim)
    {
        if value.is_empty() {
            addresses.clear();
        } else if !value.starts_with(['/', '%', '@']) && !value.starts_with("vsock") {
            addresses.push(value);
        }
    }
    addresses
        .into_iter()
        .map(|address| Endpoint {
            runtime,
            address: format!("tcp://{address}"),
            mutual_tls,
            source: source.to_owned(),
        })
        .collect()
}

/// containerd takes commands over the network only by `tcp_address` of its file.
fn containerd(
    observation: &mut Observation<'_>,
    facts: &mut ContainerDaemonFacts,
) -> Result<(), Unobservable> {
    const FILE: &str = "/etc/containerd/config.toml";
    let Some(text) = observation.text(FILE)? else {
        return Ok(());
    };
    facts.runtimes.insert(Runtime::Containerd);
    let table: toml::Table =
        toml::from_str(&text).map_err(|error| Unobservable::unparsable(FILE, error.message()))?;
    let grpc = table.get("grpc").and_then(toml::Value::as_table);
    let value = |name: &str| {
        grpc.and_then(|grpc| grpc.get(name))
            .and_then(toml::Value::as_str)
            .filter(|value| !value.is_empty())
    };
    if let Some(address) = value("tcp_address") {
        facts.endpoints.insert(Endpoint {
            runtime: Runtime::Containerd,
            address: format!("tcp://{address}"),
            mutual_tls: value("tcp_tls_ca").is_some(),
            source: FILE.to_owned(),
        });
    }
    Ok(())
}
