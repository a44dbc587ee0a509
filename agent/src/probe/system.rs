//! What kind of host this is: distribution, container, virtual machine.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::{Host, HostError};

/// Files that mark a container; each can be planted, so none counts without a namespace that is not the initial one.
const MARKERS: [&str; 4] = [
    "/run/systemd/container",
    "/run/host/container-manager",
    "/run/.containerenv",
    "/.dockerenv",
];

/// Inodes of the initial PID and cgroup namespaces (include/linux/proc_ns.h).
const INITIAL_NAMESPACES: [(&str, &str); 2] = [
    ("/proc/self/ns/pid", "pid:[4026531836]"),
    ("/proc/self/ns/cgroup", "cgroup:[4026531835]"),
];

/// The probe `system`.
pub struct System;

/// Facts of the host as a whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SystemFacts {
    /// A running host, as opposed to an unpacked root.
    live: bool,
    /// The agent looks at a container from inside it: a marker and a namespace that is not the initial one.
    container: bool,
    /// Container markers found.
    markers: Vec<String>,
    /// `ID` of os-release(5), for example `debian`; `linux` if it says none.
    id: String,
    /// `ID_LIKE` of os-release(5).
    like: Vec<String>,
    /// `VERSION_ID` of os-release(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// `VERSION_CODENAME` of os-release(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    codename: Option<String>,
    /// `PRETTY_NAME` of os-release(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `SUPPORT_END` of os-release(5), as written (`2028-06-30`).
    #[serde(skip_serializing_if = "Option::is_none")]
    support_end: Option<String>,
    /// Family by package manager and layout.
    family: Family,
    /// Runs systemd as PID 1, or would after boot.
    systemd: bool,
}

/// Distribution family, by `ID` and `ID_LIKE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Family {
    Debian,
    Redhat,
    Suse,
    Alpine,
    Arch,
    Other,
}

impl Probe for System {
    const ID: &'static str = "system";
    type Facts = SystemFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SystemFacts, Unobservable> {
        let release = OsRelease::read(observation)?;
        let markers = if observation.is_live() {
            markers(observation)?
        } else {
            Vec::new()
        };
        let container = inside_container(&markers, observation.host())?;
        let id = release.get("ID").unwrap_or_else(|| "linux".to_owned());
        let like: Vec<String> = release
            .get("ID_LIKE")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        Ok(SystemFacts {
            live: observation.is_live(),
            container,
            markers,
            family: family(&id, &like),
            version: release.get("VERSION_ID"),
            codename: release.get("VERSION_CODENAME"),
            name: release.get("PRETTY_NAME"),
            support_end: release.get("SUPPORT_END"),
            systemd: runs_systemd(observation)?,
            id,
            like,
        })
    }
}

fn family(id: &str, like: &[String]) -> Family {
    let names = std::iter::once(id).chain(like.iter().map(String::as_str));
    names
        .filter_map(|name| match name {
            "debian" | "ubuntu" => Some(Family::Debian),
            "rhel" | "fedora" | "centos" | "amzn" => Some(Family::Redhat),
            "suse" | "opensuse" | "sles" | "sled" => Some(Family::Suse),
            "alpine" => Some(Family::Alpine),
            "arch" | "archlinux" => Some(Family::Arch),
            _ => None,
        })
        .next()
        .unwrap_or(Family::Other)
}

/// Whether the agent looks at a container from inside it: what only the host's kernel can tell is not to be asked there.
pub(super) fn is_container(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let markers = markers(observation)?;
    inside_container(&markers, observation.host())
}

fn inside_container(markers: &[String], host: &dyn Host) -> Result<bool, Unobservable> {
    Ok(!markers.is_empty() && outside_initial_namespace(host)?)
}

fn markers(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let mut found = Vec::new();
    for marker in MARKERS {
        if observation.stat(marker)?.is_some() {
            found.push(marker.to_owned());
        }
    }
    Ok(found)
}

fn outside_initial_namespace(host: &dyn Host) -> Result<bool, Unobservable> {
    for (link, initial) in INITIAL_NAMESPACES {
        match host.read_link(link) {
            Ok(namespace) if namespace != initial => return Ok(true),
            Ok(_) | Err(HostError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Whether systemd is PID 1, or would be after boot.
pub(super) fn runs_systemd(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    if observation.is_live() {
        return Ok(observation.stat("/run/systemd/system")?.is_some());
    }
    let init = observation
        .host()
        .read_link("/sbin/init")
        .unwrap_or_default();
    Ok(init.ends_with("systemd/systemd"))
}

/// The assignments of os-release(5).
pub(super) struct OsRelease(Vec<(String, String)>);

impl OsRelease {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<OsRelease, Unobservable> {
        let text = match observation.text("/etc/os-release")? {
            Some(text) => text,
            None => observation.text("/usr/lib/os-release")?.unwrap_or_default(),
        };
        let assignments = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .filter_map(|line| line.split_once('='));
        Ok(OsRelease(
            assignments
                .map(|(name, value)| (name.trim().to_owned(), unquote(value.trim())))
                .collect(),
        ))
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    }
}

fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner
                .replace("\\\"", "\"")
                .replace("\\$", "$")
                .replace("\\\\", "\\");
        }
    }
    value.to_owned()
}
