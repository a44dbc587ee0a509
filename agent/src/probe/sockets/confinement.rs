//! Under which policy of mandatory access control a process runs, from its label in /proc/PID/attr.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::host::{FileKind, Host};

/// Types of SELinux's targeted policy that nothing is denied.
const UNCONFINED_TYPES: [&str; 4] = [
    "initrc_t",
    "kernel_t",
    "unconfined_service_t",
    "unconfined_t",
];
/// Where SELinux keeps policies and their modules.
const STORE: &str = "/var/lib/selinux";
/// What semanage(8) calls the module that makes a type permissive.
const PERMISSIVE: &str = "permissive_";

/// How a process is held; the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Confinement {
    /// By a profile or type whose rules are enforced, if the module enforces at all.
    Enforced,
    /// By rules that are logged only: a profile in complain mode, a permissive type.
    Complaining,
    /// By no rules.
    Unconfined,
}

/// The confinement of a process with the name of its profile or type; `None` if it bears no label that can be read.
pub(super) fn of(host: &dyn Host, pid: u32) -> Option<(Confinement, String)> {
    // Where several modules stack, AppArmor's label has a place of its own.
    ["attr/apparmor/current", "attr/current"]
        .iter()
        .filter_map(|file| host.read(&format!("/proc/{pid}/{file}"), 4096).ok())
        .find_map(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            of_label(host, text.trim_end_matches(['\0', '\n']))
        })
}

fn of_label(host: &dyn Host, label: &str) -> Option<(Confinement, String)> {
    if label == "unconfined" {
        return Some((Confinement::Unconfined, label.to_owned()));
    }
    let parts = label
        .strip_suffix(')')
        .and_then(|label| label.rsplit_once(" ("));
    if let Some((profile, mode)) = parts {
        let confinement = match mode {
            "enforce" | "kill" => Confinement::Enforced,
            "complain" | "prompt" => Confinement::Complaining,
            "unconfined" => Confinement::Unconfined,
            _ => return None,
        };
        return Some((confinement, profile.to_owned()));
    }
    // user:role:type:level
    let kind = label.split(':').nth(2).filter(|kind| !kind.is_empty())?;
    let confinement = if UNCONFINED_TYPES.contains(&kind) {
        Confinement::Unconfined
    } else if permissive_types(host).contains(kind) {
        Confinement::Complaining
    } else {
        Confinement::Enforced
    };
    Some((confinement, kind.to_owned()))
}

/// Types that somebody made permissive. The kernel does not list them; the store of modules does.
fn permissive_types(host: &dyn Host) -> BTreeSet<String> {
    let names = |path: &str| -> Vec<String> {
        host.list(path)
            .unwrap_or_default()
            .into_iter()
            .filter(|entry| entry.kind == FileKind::Directory)
            .map(|entry| entry.name)
            .collect()
    };
    let mut found = BTreeSet::new();
    for policy in names(STORE) {
        let modules = format!("{STORE}/{policy}/active/modules");
        for priority in names(&modules) {
            for module in names(&format!("{modules}/{priority}")) {
                found.extend(module.strip_prefix(PERMISSIVE).map(str::to_owned));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RecordedHost;

    #[test]
    fn labels_of_both_modules_are_understood() {
        let host = RecordedHost::empty();
        let of = |label: &str| of_label(&host, label).map(|(confinement, _)| confinement);
        assert_eq!(of("unconfined"), Some(Confinement::Unconfined));
        assert_eq!(of("/usr/sbin/ntpd (enforce)"), Some(Confinement::Enforced));
        assert_eq!(of("sshd (complain)"), Some(Confinement::Complaining));
        assert_eq!(of("chrome (unconfined)"), Some(Confinement::Unconfined));
        assert_eq!(
            of("system_u:system_r:sshd_t:s0-s0:c0.c1023"),
            Some(Confinement::Enforced)
        );
        assert_eq!(
            of("system_u:system_r:unconfined_service_t:s0"),
            Some(Confinement::Unconfined)
        );
        for label in ["", "kernel", "a (b)", "::", ")"] {
            assert_eq!(of(label), None, "{label:?}");
        }
    }
}
