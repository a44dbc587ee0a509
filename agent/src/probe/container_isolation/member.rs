//! One process of a container, and what it can do to the host.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::{Host, HostError};
use crate::probe::capability;
use crate::probe::storage::mount::{Mount, parse_mountinfo};

/// Most bytes of a file of a process.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Namespaces that a container should have of its own.
const NAMESPACES: [&str; 4] = ["ipc", "net", "pid", "uts"];
/// File systems that show the kernel, not the host's files.
const OF_KERNEL: [&str; 7] = [
    "cgroup",
    "cgroup2",
    "devpts",
    "mqueue",
    "proc",
    "sysfs",
    "securityfs",
];
/// Where runtimes keep what belongs to a container: its root, its volumes, its generated files.
const OF_RUNTIMES: [&str; 12] = [
    "/var/lib/docker/",
    "/var/lib/containers/",
    "/var/lib/containerd/",
    "/run/containers/",
    "/run/containerd/",
    "/run/docker/",
    "/run/netns/",
    "/run/crio/",
    "/run/secrets",
    "/run/user/",
    "/var/lib/kubelet/pods/",
    "/var/lib/lxc/",
];

/// What AppArmor or SELinux makes of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Confinement {
    /// A profile or a type of its own holds it.
    Confined,
    /// This kernel enforces neither.
    Unavailable,
    /// It may do what any process of the host may.
    Unconfined,
}

/// A process of a container, or all of them together at their weakest.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) command: String,
    pub(super) own_users: bool,
    pub(super) superuser: bool,
    pub(super) capabilities: BTreeSet<String>,
    pub(super) host_namespaces: BTreeSet<String>,
    pub(super) host_paths: BTreeSet<String>,
    pub(super) writable_host_paths: BTreeSet<String>,
    pub(super) seccomp: bool,
    pub(super) confinement: Confinement,
    pub(super) read_only_root: bool,
}

/// What the host itself looks like, to compare with.
pub(super) struct Views<'m> {
    namespaces: BTreeMap<&'static str, String>,
    users: Option<String>,
    mounts: &'m [Mount],
    apparmor: bool,
    selinux: bool,
}

impl<'m> Views<'m> {
    pub(super) fn of_host(host: &dyn Host, mounts: &'m [Mount]) -> Views<'m> {
        let own = |name: &str| host.read_link(&format!("/proc/self/ns/{name}")).ok();
        let apparmor = host
            .read("/sys/module/apparmor/parameters/enabled", 16)
            .is_ok_and(|bytes| bytes.starts_with(b"Y"));
        Views {
            namespaces: NAMESPACES
                .into_iter()
                .filter_map(|name| Some((name, own(name)?)))
                .collect(),
            users: own("user"),
            mounts,
            apparmor,
            selinux: host.stat("/sys/fs/selinux/enforce").is_ok(),
        }
    }

    /// The host's name of what is mounted, if a mount of the host shows the same.
    fn host_path(&self, mount: &Mount) -> Option<String> {
        let same = self.mounts.iter().filter(|own| own.device == mount.device);
        same.filter_map(|own| {
            let below = if own.root == "/" {
                mount.root.as_str()
            } else {
                let rest = mount.root.strip_prefix(own.root.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then_some(rest)?
            };
            let path = format!(
                "{}/{}",
                own.point.trim_end_matches('/'),
                below.trim_start_matches('/')
            );
            Some(if path.len() > 1 {
                path.trim_end_matches('/').to_owned()
            } else {
                path
            })
        })
        .min_by_key(String::len)
    }
}

impl Member {
    /// # Errors
    /// [`HostError`] if it has ended, or may not be looked at.
    pub(super) fn read(host: &dyn Host, pid: u32, views: &Views<'_>) -> Result<Member, HostError> {
        let path = |name: &str| format!("/proc/{pid}/{name}");
        let text = |name: &str| -> Result<String, HostError> {
            Ok(String::from_utf8_lossy(&host.read(&path(name), MAX_BYTES)?).into_owned())
        };
        let status = text("status")?;
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        let missing = |name: &str| HostError::Io(path("status"), format!("has no {name}"));
        let mut capabilities = BTreeSet::new();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd"] {
            let mask = field(set)
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                .ok_or_else(|| missing(set))?;
            capabilities.extend(capability::names(mask));
        }
        let users = field("Uid").ok_or_else(|| missing("Uid"))?;
        let own_users = Some(host.read_link(&path("ns/user"))?) != views.users;
        let mut host_namespaces = BTreeSet::new();
        for (name, of_host) in &views.namespaces {
            if host.read_link(&path(&format!("ns/{name}")))? == *of_host {
                host_namespaces.insert((*name).to_owned());
            }
        }
        let mounts = parse_mountinfo(&text("mountinfo")?)
            .map_err(|problem| HostError::Io(path("mountinfo"), problem))?;
        let mut member =
            Member {
                command: field("Name").unwrap_or_default().to_owned(),
                own_users,
                superuser: !own_users && users.split_whitespace().any(|user| user == "0"),
                capabilities,
                host_namespaces,
                host_paths: BTreeSet::new(),
                writable_host_paths: BTreeSet::new(),
                // A kernel without seccomp has no such line.
                seccomp: field("Seccomp").is_some_and(|mode| mode != "0"),
                confinement: confinement(host, pid, views)?,
                read_only_root: mounts.iter().rfind(|mount| mount.point == "/").is_some_and(
                    |mount| mount.read_only || mount.flags.iter().any(|flag| flag == "ro"),
                ),
            };
        for mount in mounts
            .iter()
            .filter(|mount| !OF_KERNEL.contains(&mount.kind.as_str()))
        {
            let Some(path) = views.host_path(mount) else {
                continue;
            };
            let kept =
                OF_RUNTIMES.iter().any(|start| path.starts_with(start)) && !path.ends_with(".sock");
            if kept || mount.point == "/" && path != "/" {
                continue;
            }
            if !mount.read_only && !mount.flags.iter().any(|flag| flag == "ro") {
                member.writable_host_paths.insert(path.clone());
            }
            member.host_paths.insert(path);
        }
        Ok(member)
    }

    /// Both together: what one can do, the container can.
    pub(super) fn with(mut self, other: Member) -> Member {
        self.own_users &= other.own_users;
        self.superuser |= other.superuser;
        self.capabilities.extend(other.capabilities);
        self.host_namespaces.extend(other.host_namespaces);
        self.host_paths.extend(other.host_paths);
        self.writable_host_paths.extend(other.writable_host_paths);
        self.seccomp &= other.seccomp;
        self.confinement = self.confinement.max(other.confinement);
        self.read_only_root &= other.read_only_root;
        self
    }
}

/// `docker-default (enforce)`, `unconfined`, `system_u:system_r:container_t:s0:c1,c2`.
fn confinement(host: &dyn Host, pid: u32, views: &Views<'_>) -> Result<Confinement, HostError> {
    if !views.apparmor && !views.selinux {
        return Ok(Confinement::Unavailable);
    }
    let bytes = host.read(&format!("/proc/{pid}/attr/current"), 4096)?;
    let label = String::from_utf8_lossy(&bytes);
    let label = label.trim_end_matches(['\0', '\n']);
    const FREE: [&str; 6] = [
        "spc_t",
        "unconfined_t",
        "unconfined_service_t",
        "container_runtime_t",
        "initrc_t",
        "init_t",
    ];
    let confined = if views.selinux {
        label
            .split(':')
            .nth(2)
            .is_some_and(|kind| !FREE.contains(&kind))
    } else {
        label.ends_with("(enforce)")
    };
    Ok(if confined {
        Confinement::Confined
    } else {
        Confinement::Unconfined
    })
}
