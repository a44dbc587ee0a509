//! Sockets in the file system that take commands, and who may write to them.

use schemars::JsonSchema;
use serde::Serialize;

use super::{ContainerDaemonFacts, Runtime};
use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable, nss};

/// Where daemons of root have their sockets.
const OF_ROOT: [(Runtime, &str); 8] = [
    (Runtime::Containerd, "/run/containerd/containerd.sock"),
    (Runtime::Crio, "/run/crio/crio.sock"),
    (Runtime::Docker, "/run/docker.sock"),
    (Runtime::Docker, "/run/docker/docker.sock"),
    (Runtime::Incus, "/var/lib/incus/unix.socket"),
    (Runtime::Lxd, "/var/lib/lxd/unix.socket"),
    (Runtime::Lxd, "/var/snap/lxd/common/lxd/unix.socket"),
    (Runtime::Podman, "/run/podman/podman.sock"),
];
/// Where daemons of users have them, below `/run/user/UID`.
const OF_USERS: [(Runtime, &str); 2] = [
    (Runtime::Docker, "docker.sock"),
    (Runtime::Podman, "podman/podman.sock"),
];
/// Most users looked at.
const MAX_USERS: usize = 1000;
/// The extended attribute with an access control list.
const ACL: &str = "system.posix_acl_access";

/// A socket that takes commands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(super) struct ApiSocket {
    /// Whose.
    runtime: Runtime,
    /// Its place.
    path: String,
    /// The daemon runs without root: whoever commands it is that user, not root.
    rootless: bool,
    /// Its group, if the group may write to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Everybody may write to it.
    everybody: bool,
    /// An access control list names others who may.
    acl: bool,
}

/// Adds the sockets that are there.
pub(super) fn read(
    observation: &mut Observation<'_>,
    facts: &mut ContainerDaemonFacts,
) -> Result<(), Unobservable> {
    let groups = nss::groups(observation)?.entries;
    let host = observation.host();
    let mut places: Vec<(Runtime, String, bool)> = OF_ROOT
        .iter()
        .map(|(runtime, path)| (*runtime, (*path).to_owned(), false))
        .collect();
    let users = match host.list("/run/user") {
        Ok(users) => users,
        Err(HostError::NotFound(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    facts.complete &= users.len() <= MAX_USERS;
    for user in users
        .iter()
        .take(MAX_USERS)
        .filter(|user| user.kind == FileKind::Directory)
    {
        for (runtime, name) in OF_USERS {
            places.push((runtime, format!("/run/user/{}/{name}", user.name), true));
        }
    }
    for (runtime, path, rootless) in places {
        let stat = match host.lstat(&path) {
            Ok(stat) if stat.kind == FileKind::Other => stat,
            Ok(_) | Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let name = groups
            .iter()
            .find(|group| group.gid == stat.gid)
            .map_or_else(|| stat.gid.to_string(), |group| group.name.clone());
        facts.runtimes.insert(runtime);
        facts.sockets.insert(ApiSocket {
            runtime,
            rootless,
            group: (stat.mode & 0o020 != 0).then_some(name),
            everybody: stat.mode & 0o002 != 0,
            acl: host.xattr(&path, ACL)?.is_some(),
            path,
        });
    }
    observation.note("/run/docker.sock and the sockets of other runtimes");
    Ok(())
}
