//! Sockets in the file system that take commands, and who may write to them.

use schemars::JsonSchema;
use serde::Serialize;

use super::{ContainerDaemonFacts, Runtime};
use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable, nss, systemd_config};

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

/// The socket that a unit of this text will make: its place, mode and group (systemd.socket(5)). The mode is 0666 unless the
/// unit says otherwise, the group root's.
pub(super) fn of_unit(runtime: Runtime, text: &str) -> Option<ApiSocket> {
    let settings = systemd_config::of_section(text, "Socket");
    let last = |name: &str| {
        let found = settings.iter().rfind(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let path = last("ListenStream").filter(|path| path.starts_with('/'))?;
    let mode = last("SocketMode")
        .and_then(|mode| u32::from_str_radix(mode, 8).ok())
        .unwrap_or(0o666);
    Some(ApiSocket {
        runtime,
        path: path.to_owned(),
        rootless: false,
        group: (mode & 0o020 != 0).then(|| last("SocketGroup").unwrap_or("root").to_owned()),
        everybody: mode & 0o002 != 0,
        acl: false,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_says_who_may_write_to_its_socket() {
        let unit = "[Socket]\nListenStream=/run/docker.sock\nSocketMode=0660\nSocketGroup=docker\n";
        let socket = of_unit(Runtime::Docker, unit).unwrap();
        assert_eq!(
            (socket.group.as_deref(), socket.everybody),
            (Some("docker"), false)
        );
        let open = of_unit(
            Runtime::Docker,
            &format!("{unit}[Socket]\nSocketMode=0666\n"),
        )
        .unwrap();
        assert!(open.everybody);
        assert!(
            of_unit(Runtime::Docker, "[Socket]\nListenStream=/run/x\n")
                .unwrap()
                .everybody
        );
        assert_eq!(
            of_unit(Runtime::Docker, "[Socket]\nListenStream=2375\n"),
            None
        );
    }
}
