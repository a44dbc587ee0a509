//! Sockets that wait for packets: listening TCP, bound UDP, SCTP, and who holds them, in every network namespace.
//!
//! A socket is joined to its process by its inode in /proc/PID/fd. What systemd holds for a unit to come belongs to the
//! socket unit (one call, only if systemd holds one: `/usr/bin/systemctl show --property=Id,Listen *.socket`). A socket
//! that no process holds is the kernel's own, such as those of NFS and WireGuard.
//!
//! UDP sockets on a port of the range for outgoing traffic may be anybody's question to a name server: such a socket is
//! told by its port only if it was there at the reading before, and left out if it was not; at the first reading it
//! counts.

mod confinement;
mod table;
mod unit;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::stale_process::proc::{self, Process};
use super::{Observation, Probe, Unobservable};
use crate::host::{Host, HostError};
use confinement::Confinement;
use table::Waiting;

/// Most processes looked at.
const MAX_PROCESSES: usize = 20_000;
/// Most listeners listed.
const MAX_LISTENERS: usize = 2000;
/// Most namespaces looked at.
const MAX_NAMESPACES: usize = 512;
/// Most problems listed.
const MAX_PROBLEMS: usize = 20;
/// What the range for outgoing traffic is unless the kernel says otherwise.
const OUTGOING: (u16, u16) = (32_768, 60_999);

/// The probe `sockets`.
pub struct Sockets;

/// Facts about waiting sockets.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SocketFacts {
    /// The sockets, one entry for those that differ in their address only.
    listeners: Vec<Listener>,
    /// All namespaces were looked at, and every socket's holder is known.
    complete: bool,
    /// What was not.
    problems: Vec<String>,
}

/// A waiting socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Listener {
    /// Protocol and port: `tcp/22`.
    endpoint: String,
    /// The endpoint and who holds it, for lists of what is approved: `tcp/22 /usr/sbin/sshd`.
    name: String,
    /// From where it can be reached.
    reach: Reach,
    /// In which network namespace it waits.
    namespace: Namespace,
    /// Who holds it: the program, the socket unit, or `kernel`; several are parted by a comma.
    holder: String,
    /// The systemd unit of the holding process.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// How mandatory access control holds the process, of several the one held least; absent for the kernel's own
    /// sockets, and without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    confinement: Option<Confinement>,
    /// The profile or type that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
}

/// From where a socket can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reach {
    /// From this host only, or from a namespace without a way out.
    Loopback,
    /// From other hosts.
    Network,
    /// From the hypervisor and other virtual machines (vsock).
    Hypervisor,
}

/// Whose network namespace it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Namespace {
    /// The agent's, which is the host's.
    Host,
    /// Another one: a container, or a service with a network of its own.
    Other,
}

impl Probe for Sockets {
    const ID: &'static str = "sockets";
    type Facts = SocketFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SocketFacts, Unobservable> {
        observation.require_live("waiting sockets")?;
        let seen: Option<BTreeSet<String>> = observation.recall("outgoing");
        let mut reading = Reading::new(observation.host());
        reading.processes()?;
        observation.note("/proc/net/tcp, tcp6, udp, udp6, udplite, udplite6, sctp/eps");
        observation.note("/proc/*/fd, /proc/*/ns/net");
        let found = reading.sockets(seen.as_ref())?;
        observation.remember("outgoing", &found.outgoing);
        let units = if found.of_systemd {
            unit::of_sockets(observation)?
        } else {
            BTreeMap::new()
        };
        let mut listeners: BTreeSet<Listener> = found
            .sockets
            .iter()
            .map(|socket| reading.listener(socket, &units))
            .collect();
        listeners.extend(vsock(observation)?);
        let mut problems = reading.problems;
        if listeners.len() > MAX_LISTENERS {
            problems.push(format!(
                "{} listeners, more than are listed",
                listeners.len()
            ));
        }
        let complete = problems.is_empty();
        problems.truncate(MAX_PROBLEMS);
        Ok(SocketFacts {
            listeners: listeners.into_iter().take(MAX_LISTENERS).collect(),
            complete,
            problems,
        })
    }
}

/// Who serves other hosts.
pub(super) struct Served {
    /// Processes that hold sockets of the host's own namespace which other hosts can reach, each with an endpoint.
    pub holders: Vec<(u32, String)>,
    /// What could not be told.
    pub problems: Vec<String>,
}

/// Who holds sockets that other hosts can reach. Those on ports for outgoing traffic are left out.
pub(super) fn served(observation: &mut Observation<'_>) -> Result<Served, Unobservable> {
    let mut reading = Reading::new(observation.host());
    reading.processes()?;
    observation.note("/proc/net/tcp, tcp6, udp, udp6, udplite, udplite6, sctp/eps");
    observation.note("/proc/*/fd");
    let found = reading.sockets(Some(&BTreeSet::new()))?;
    let mut holders = Vec::new();
    for (socket, reach, namespace) in &found.sockets {
        if *reach == Reach::Network && *namespace == Namespace::Host {
            let endpoint = format!("{}/{}", socket.protocol, socket.port);
            for pid in reading.holders.get(&socket.inode).into_iter().flatten() {
                holders.push((*pid, endpoint.clone()));
            }
        }
    }
    Ok(Served {
        holders,
        problems: reading.problems,
    })
}

/// A process that holds sockets.
#[derive(Debug, Clone)]
struct Holder {
    program: String,
    unit: Option<String>,
}

/// A namespace by the directory that its tables lie in.
struct Network {
    directory: String,
    namespace: Namespace,
}

/// Sockets with the namespace they were found in.
struct Found {
    sockets: Vec<(Waiting, Reach, Namespace)>,
    /// Inodes of UDP sockets on ports for outgoing traffic.
    outgoing: BTreeSet<String>,
    /// systemd holds one of them.
    of_systemd: bool,
}

/// One reading of the host.
struct Reading<'h> {
    host: &'h dyn Host,
    holders: BTreeMap<String, Vec<u32>>,
    networks: Vec<Network>,
    problems: Vec<String>,
    /// Processes whose files may not be looked at.
    denied: usize,
}

impl<'h> Reading<'h> {
    fn new(host: &'h dyn Host) -> Reading<'h> {
        Reading {
            host,
            holders: BTreeMap::new(),
            networks: vec![Network {
                directory: "/proc/net".to_owned(),
                namespace: Namespace::Host,
            }],
            problems: Vec::new(),
            denied: 0,
        }
    }

    /// Which process holds which socket, and which network namespaces there are.
    fn processes(&mut self) -> Result<(), Unobservable> {
        let mut known: BTreeSet<String> = self
            .host
            .read_link("/proc/self/ns/net")
            .into_iter()
            .collect();
        let pids = proc::pids(self.host)?;
        if pids.len() > MAX_PROCESSES {
            self.problems
                .push(format!("{} processes, more than are looked at", pids.len()));
        }
        for pid in pids.into_iter().take(MAX_PROCESSES) {
            let process = Process::new(self.host, pid);
            match process.sockets() {
                Ok(sockets) => {
                    for inode in sockets {
                        self.holders.entry(inode).or_default().push(pid);
                    }
                }
                Err(HostError::Permission(_)) => self.denied += 1,
                Err(_) if process.is_gone() => continue,
                Err(error) => self.problems.push(error.to_string()),
            }
            if let Some(network) = process.network()
                && known.insert(network)
            {
                self.networks.push(Network {
                    directory: process.path("net"),
                    namespace: Namespace::Other,
                });
            }
        }
        self.mounted_namespaces(&known);
        if self.networks.len() > MAX_NAMESPACES {
            self.problems.push(format!(
                "{} network namespaces, more than are looked at",
                self.networks.len()
            ));
            self.networks.truncate(MAX_NAMESPACES);
        }
        Ok(())
    }

    /// Namespaces that no process lives in stay alive by a mount; what waits in them cannot be read from outside.
    fn mounted_namespaces(&mut self, known: &BTreeSet<String>) {
        let mounts = self
            .host
            .read("/proc/self/mountinfo", crate::host::MAX_FILE_BYTES);
        let mounts = mounts.unwrap_or_default();
        for line in String::from_utf8_lossy(&mounts).lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(root), Some(at)) = (fields.get(3), fields.get(4)) else {
                continue;
            };
            if root.starts_with("net:[") && !known.contains(*root) {
                self.problems.push(format!(
                    "no process lives in the network namespace {at}: what waits there is not known"
                ));
            }
        }
    }

    fn sockets(&mut self, seen: Option<&BTreeSet<String>>) -> Result<Found, Unobservable> {
        let outgoing = self.outgoing_ports();
        let mut found = Found {
            sockets: Vec::new(),
            outgoing: BTreeSet::new(),
            of_systemd: false,
        };
        for network in &self.networks {
            let waiting = match table::waiting(self.host, &network.directory) {
                Ok(waiting) => waiting,
                // Its last process has ended meanwhile.
                Err(HostError::NotFound(_)) if network.namespace == Namespace::Other => continue,
                Err(error) if network.namespace == Namespace::Other => {
                    self.problems.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let isolated = network.namespace == Namespace::Other && self.is_isolated(network);
            for socket in waiting {
                let reach = if isolated || socket.is_loopback() {
                    Reach::Loopback
                } else {
                    Reach::Network
                };
                if socket.protocol == "udp" && (outgoing.0..=outgoing.1).contains(&socket.port) {
                    found.outgoing.insert(socket.inode.clone());
                    if seen.is_some_and(|seen| !seen.contains(&socket.inode)) {
                        continue;
                    }
                }
                let holders = self.holders.get(&socket.inode);
                if holders.is_none() && self.denied > 0 {
                    self.problems.push(format!(
                        "who holds {}/{} is not known: {} processes may not be looked at, run the agent as root",
                        socket.protocol, socket.port, self.denied
                    ));
                }
                found.of_systemd |= holders.is_some_and(|pids| pids.contains(&1));
                found.sockets.push((socket, reach, network.namespace));
            }
        }
        Ok(found)
    }

    /// Whether a namespace has loopback only, as `PrivateNetwork=` of systemd makes it.
    fn is_isolated(&self, network: &Network) -> bool {
        let table = self
            .host
            .read(&format!("{}/dev", network.directory), 1024 * 1024);
        table.is_ok_and(|table| {
            String::from_utf8_lossy(&table)
                .lines()
                .skip(2)
                .filter_map(|line| line.split_once(':'))
                .all(|(name, _)| name.trim() == "lo")
        })
    }

    fn outgoing_ports(&self) -> (u16, u16) {
        let text = self
            .host
            .read("/proc/sys/net/ipv4/ip_local_port_range", 100);
        let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let numbers: Vec<u16> = text
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        match numbers.as_slice() {
            [first, last] => (*first, *last),
            _ => OUTGOING,
        }
    }

    fn listener(
        &self,
        (socket, reach, namespace): &(Waiting, Reach, Namespace),
        units: &BTreeMap<String, BTreeSet<String>>,
    ) -> Listener {
        let endpoint = format!("{}/{}", socket.protocol, socket.port);
        let pids = self.holders.get(&socket.inode).cloned().unwrap_or_default();
        // What a process got from systemd is held by both; it is the process that answers.
        let holders: Vec<Holder> = pids
            .iter()
            .filter(|pid| **pid != 1)
            .map(|pid| self.holder(*pid))
            .collect();
        let (holder, unit) = if !holders.is_empty() {
            let programs: BTreeSet<&str> = holders
                .iter()
                .map(|holder| holder.program.as_str())
                .collect();
            let programs: Vec<&str> = programs.into_iter().collect();
            (programs.join(", "), holders[0].unit.clone())
        } else if pids.is_empty() {
            ("kernel".to_owned(), None)
        } else {
            match units.get(&endpoint) {
                Some(names) => (names.iter().cloned().collect::<Vec<_>>().join(", "), None),
                None => (self.holder(1).program, None),
            }
        };
        let others: Vec<u32> = pids.iter().copied().filter(|pid| *pid != 1).collect();
        let (confinement, profile) = self
            .least_confined(if others.is_empty() { &pids } else { &others })
            .unzip();
        Listener {
            confinement,
            profile,
            name: format!("{endpoint} {holder}"),
            endpoint,
            reach: *reach,
            namespace: *namespace,
            holder,
            unit,
        }
    }

    /// Of processes that hold one socket, the one that mandatory access control holds least.
    fn least_confined(&self, pids: &[u32]) -> Option<(Confinement, String)> {
        pids.iter()
            .filter_map(|pid| confinement::of(self.host, *pid))
            .max()
    }

    fn holder(&self, pid: u32) -> Holder {
        let process = Process::new(self.host, pid);
        let program = process.program().ok().flatten();
        Holder {
            program: program.unwrap_or_else(|| format!("({})", process.command())),
            unit: process.unit(),
        }
    }
}

/// In a virtual machine systemd may wait for SSH on a vsock, which no table of /proc shows (systemd-ssh-generator(8)).
fn vsock(observation: &mut Observation<'_>) -> Result<Option<Listener>, Unobservable> {
    const UNIT: &str = "/run/systemd/generator/sshd-vsock.socket";
    if observation.stat(UNIT)?.is_none() || observation.stat("/dev/vsock")?.is_none() {
        return Ok(None);
    }
    Ok(Some(Listener {
        endpoint: "vsock/22".to_owned(),
        name: "vsock/22 sshd-vsock.socket".to_owned(),
        reach: Reach::Hypervisor,
        namespace: Namespace::Host,
        holder: "sshd-vsock.socket".to_owned(),
        unit: None,
        confinement: None,
        profile: None,
    }))
}
