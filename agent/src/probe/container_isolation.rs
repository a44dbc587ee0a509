//! Running containers as the kernel isolates them: capabilities, namespaces, mounts of the host, seccomp and confinement
//! of their processes, whoever started them. No runtime is asked: what its answer leaves out (`--cap-add ALL` is not
//! `Privileged`, containers of users are not in root's list) is in /proc.
//!
//! A process belongs to a container if its control group carries the container's id, or if a shim (`conmon`,
//! `containerd-shim`) is its parent.

mod image;
mod member;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::stale_process::proc;
use super::storage;
use super::{Observation, Probe, Unobservable};
use crate::host::HostError;
use member::{Confinement, Member};

/// Most processes looked at.
const MAX_PROCESSES: usize = 20_000;
/// Most containers listed.
const MAX_CONTAINERS: usize = 1000;

/// The probe `container_isolation`.
pub struct ContainerIsolation;

/// Facts about running containers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IsolationFacts {
    /// The containers; several that are alike in everything are one entry.
    containers: BTreeSet<Container>,
    /// Every process was looked at.
    complete: bool,
    /// What was not.
    problems: BTreeSet<String>,
}

/// A running container, or several that are alike.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Container {
    /// Image and name as the runtime keeps them, or the name of its first command.
    name: String,
    /// The image's digest or id, where the runtime keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// It has a user namespace of its own: its root is nobody on the host.
    own_users: bool,
    /// A process is the host's superuser.
    superuser: bool,
    /// Capabilities that a process has or can get (capabilities(7)), in lower case without `cap_`.
    capabilities: BTreeSet<String>,
    /// Namespaces that it shares with the host: `pid`, `net`, `ipc`, `uts`.
    host_namespaces: BTreeSet<String>,
    /// Directories and sockets of the host that are mounted into it, without those that the runtime keeps for it.
    host_paths: BTreeSet<String>,
    /// Of these, those that it can write to.
    writable_host_paths: BTreeSet<String>,
    /// A filter of system calls (seccomp) holds for every process.
    seccomp: bool,
    /// What AppArmor or SELinux makes of it.
    confinement: Confinement,
    /// Its root file system cannot be written to.
    read_only_root: bool,
}

impl Probe for ContainerIsolation {
    const ID: &'static str = "container_isolation";
    type Facts = IsolationFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<IsolationFacts, Unobservable> {
        observation.require_live("running containers")?;
        observation.note("/proc/*/{stat,cgroup,status,ns,mountinfo,attr/current}");
        let mut problems = BTreeSet::new();
        let groups = members(observation, &mut problems)?;
        if groups.len() > MAX_CONTAINERS {
            problems.insert(format!("{} containers, more than are listed", groups.len()));
        }
        let mut containers = BTreeSet::new();
        if !groups.is_empty() {
            let host_mounts = storage::mounts(observation)?;
            let views = member::Views::of_host(observation.host(), &host_mounts);
            let names = image::Names::read(observation)?;
            for (id, pids) in groups.iter().take(MAX_CONTAINERS) {
                let mut found: Option<Member> = None;
                for pid in pids {
                    match Member::read(observation.host(), *pid, &views) {
                        Ok(member) => {
                            found = Some(match found {
                                Some(other) => other.with(member),
                                None => member,
                            });
                        }
                        Err(HostError::NotFound(_)) => {}
                        Err(error) => {
                            problems.insert(error.to_string());
                        }
                    }
                }
                if let Some(member) = found {
                    containers.insert(container(id, member, &names));
                }
            }
        }
        Ok(IsolationFacts {
            containers,
            complete: problems.is_empty(),
            problems,
        })
    }
}

fn container(id: &str, member: Member, names: &image::Names) -> Container {
    let known = names.get(id);
    Container {
        name: known.map_or(member.command, |known| known.name.clone()),
        digest: known.and_then(|known| known.digest.clone()),
        own_users: member.own_users,
        superuser: member.superuser,
        capabilities: member.capabilities,
        host_namespaces: member.host_namespaces,
        host_paths: member.host_paths,
        writable_host_paths: member.writable_host_paths,
        seccomp: member.seccomp,
        confinement: member.confinement,
        read_only_root: member.read_only_root,
    }
}

/// The processes of each container, by its id.
fn members(
    observation: &Observation<'_>,
    problems: &mut BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<u32>>, Unobservable> {
    let host = observation.host();
    let pids = proc::pids(host)?;
    if pids.len() > MAX_PROCESSES {
        problems.insert(format!("{} processes, more than are looked at", pids.len()));
    }
    let mut shims = BTreeSet::new();
    let mut parents = Vec::new();
    let mut groups: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for pid in pids.into_iter().take(MAX_PROCESSES) {
        let read = |name: &str| host.read(&format!("/proc/{pid}/{name}"), 64 * 1024);
        let (Ok(stat), Ok(cgroup)) = (read("stat"), read("cgroup")) else {
            if host.stat(&format!("/proc/{pid}")).is_ok() {
                problems.insert(format!("process {pid} may not be looked at"));
            }
            continue;
        };
        let stat = String::from_utf8_lossy(&stat).into_owned();
        // The name in parentheses may hold anything, so fields are counted from its end.
        let (before, after) = stat.rsplit_once(')').unwrap_or_default();
        let command = before.split_once('(').map_or("", |(_, name)| name);
        if command == "conmon" || command.starts_with("containerd-shim") {
            shims.insert(pid);
        }
        if let Some(id) = container_of(&String::from_utf8_lossy(&cgroup)) {
            groups.entry(id).or_default().push(pid);
        } else if !command.starts_with("runc") && !command.starts_with("crun") {
            let parent = after
                .split_whitespace()
                .nth(1)
                .and_then(|field| field.parse::<u32>().ok());
            parents.extend(parent.map(|parent| (pid, parent)));
        }
    }
    for (pid, parent) in parents {
        if shims.contains(&parent) && !shims.contains(&pid) {
            groups
                .entry(format!("child {pid} of a shim"))
                .or_default()
                .push(pid);
        }
    }
    Ok(groups)
}

/// The container's id in a process' control groups.
fn container_of(cgroup: &str) -> Option<String> {
    const BEFORE: [&str; 5] = ["docker-", "libpod-", "cri-containerd-", "crio-", "nerdctl-"];
    for line in cgroup.lines() {
        let path = line.splitn(3, ':').nth(2).unwrap_or_default();
        for part in path.split('/') {
            let bare = part.strip_suffix(".scope").unwrap_or(part);
            let id = BEFORE
                .iter()
                .find_map(|prefix| bare.strip_prefix(prefix))
                .unwrap_or(bare);
            if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Some(id.to_owned());
            }
            if part.starts_with("lxc.payload.") || part.starts_with("systemd-nspawn@") {
                return Some(part.to_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_control_group() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for (path, found) in [
            (format!("0::/system.slice/docker-{id}.scope"), true),
            (
                format!(
                    "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container"
                ),
                true,
            ),
            (
                format!("12:pids:/kubepods/burstable/pod0a1b/{id}\n0::/"),
                true,
            ),
            (format!("0::/system.slice/libpod-conmon-{id}.scope"), false),
            ("0::/lxc.payload.web/init.scope".to_owned(), true),
            ("0::/system.slice/ssh.service".to_owned(), false),
            ("0::/".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(container_of(&path).is_some(), found, "{path}");
        }
    }
}
