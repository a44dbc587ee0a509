//! Whether the conditions of a unit will hold at the next boot, systemd.unit(5) "Conditions and Asserts".
//!
//! The host is taken for a machine, not a container, and its root file system for what is there at boot. What only that
//! boot will show (files below `/run`, the kernel's features, the time of day) cannot be told.

use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable, kernel_cmdline};

/// What is made at boot, or belongs to the kernel.
const NOT_ON_DISK: [&str; 5] = ["/run", "/proc", "/sys", "/dev", "/tmp"];

/// What conditions come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They hold.
    Met,
    /// This one does not.
    Unmet(String),
    /// This one cannot be told from files.
    Unknown(String),
}

/// The verdict on the `[Unit]` section of a unit with its drop-ins. Of conditions with `|` one must hold, of others all.
pub(super) fn verdict(
    observation: &mut Observation<'_>,
    section: &[(String, String)],
) -> Result<Verdict, Unobservable> {
    let mut unknown = None;
    let mut of_several: Option<Vec<Option<bool>>> = None;
    for (key, value) in in_effect(section) {
        let (alternative, value) = match value.strip_prefix('|') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, value),
        };
        let (negated, wanted) = match value.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, value),
        };
        let kind = key
            .trim_start_matches("Condition")
            .trim_start_matches("Assert");
        let holds = holds(observation, kind, wanted)?.map(|holds| holds != negated);
        if alternative {
            of_several.get_or_insert_default().push(holds);
            continue;
        }
        match holds {
            Some(true) => {}
            Some(false) => return Ok(Verdict::Unmet(format!("{key}={value}"))),
            None => unknown = Some(format!("{key}={value}")),
        }
    }
    if let Some(several) = of_several
        && !several.contains(&Some(true))
    {
        let what = "one of the conditions with |".to_owned();
        return Ok(if several.contains(&None) {
            Verdict::Unknown(what)
        } else {
            Verdict::Unmet(what)
        });
    }
    Ok(unknown.map_or(Verdict::Met, Verdict::Unknown))
}

/// Conditions and assertions, those that an empty one takes back left out: it takes back all of its sort.
fn in_effect(section: &[(String, String)]) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (key, value) in section {
        for sort in ["Condition", "Assert"] {
            if !key.starts_with(sort) {
                continue;
            }
            if value.is_empty() {
                found.retain(|(known, _)| !known.starts_with(sort));
            } else {
                found.push((key, value));
            }
        }
    }
    found
}

/// Whether a condition holds, before `!` is looked at; `None` if that cannot be told.
fn holds(
    observation: &mut Observation<'_>,
    kind: &str,
    value: &str,
) -> Result<Option<bool>, Unobservable> {
    if kind.starts_with("Path") || kind.starts_with("File") || kind.starts_with("Directory") {
        return on_disk(observation, kind, value);
    }
    Ok(match kind {
        "Capability" => Some(value.starts_with("CAP_")),
        "Virtualization" if value == "container" || value == "private-users" => Some(false),
        "KernelCommandLine" => on_every_command_line(observation, value)?,
        _ => None,
    })
}

fn on_disk(
    observation: &mut Observation<'_>,
    kind: &str,
    path: &str,
) -> Result<Option<bool>, Unobservable> {
    let elsewhere = NOT_ON_DISK.iter().any(|root| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if elsewhere || !path.starts_with('/') || path.contains('%') {
        return Ok(None);
    }
    if kind == "PathIsSymbolicLink" {
        return match observation.host().lstat(path) {
            Ok(stat) => Ok(Some(stat.kind == FileKind::Link)),
            Err(HostError::NotFound(_)) => Ok(Some(false)),
            Err(error) => Err(error.into()),
        };
    }
    let stat = observation.stat(path)?;
    let file = stat.filter(|stat| stat.kind == FileKind::Regular);
    Ok(match kind {
        "PathExists" => Some(stat.is_some()),
        "PathIsDirectory" => Some(stat.is_some_and(|stat| stat.kind == FileKind::Directory)),
        "FileNotEmpty" => Some(file.is_some_and(|file| file.size > 0)),
        "FileIsExecutable" => Some(file.is_some_and(|file| file.mode & 0o111 != 0)),
        "DirectoryNotEmpty" => Some(
            stat.is_some_and(|stat| stat.kind == FileKind::Directory)
                && observation
                    .list(path)?
                    .is_some_and(|entries| !entries.is_empty()),
        ),
        _ => None,
    })
}

/// Whether a word, or an assignment of it, stands on the kernel's command line; `None` if entries of the menu differ.
fn on_every_command_line(
    observation: &mut Observation<'_>,
    wanted: &str,
) -> Result<Option<bool>, Unobservable> {
    let stands = |line: &str| {
        line.split_whitespace().any(|word| {
            word == wanted
                || word
                    .strip_prefix(wanted)
                    .is_some_and(|rest| !wanted.contains('=') && rest.starts_with('='))
        })
    };
    let lines = kernel_cmdline::at_next_boot(observation)?;
    let on: Vec<bool> = lines.iter().map(|line| stands(line)).collect();
    Ok(match (on.contains(&true), on.contains(&false)) {
        (true, true) => None,
        (on, _) => Some(on),
    })
}

#[cfg(test)]
mod tests {
    use evidence::time::Timestamp;

    use super::*;
    use crate::host::RecordedHost;
    use crate::probe::VolatileMemory;
    use crate::probe::systemd_config::of_section;

    const ROOT: &str = r#"
live = false
[files."/usr/sbin/chronyd"]
text = "x"
mode = "0755"
[files."/etc/empty"]
text = ""
[files."/etc/folder"]
kind = "directory"
[files."/etc/link"]
link = "/etc/empty"
[files."/etc/default/grub"]
text = "GRUB_CMDLINE_LINUX=\"audit=0 quiet\"\n"
"#;

    fn judged(conditions: &str) -> Verdict {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        std::fs::write(&path, ROOT).unwrap();
        let host = RecordedHost::load(&path).unwrap();
        let mut memory = VolatileMemory::default();
        let mut observation =
            Observation::new(&host, &mut memory, "unit", Timestamp::from_unix_ms(0));
        let section = of_section(&format!("[Unit]\n{conditions}"), "Unit");
        verdict(&mut observation, &section).unwrap()
    }

    #[test]
    fn conditions_are_those_of_a_machine_that_boots_this_root() {
        for met in [
            "",
            "ConditionVirtualization=!container\nConditionCapability=CAP_SYS_TIME\n",
            "ConditionFileIsExecutable=/usr/sbin/chronyd\nConditionPathExists=!/etc/none\n",
            "ConditionPathIsDirectory=/etc/folder\nConditionDirectoryNotEmpty=!/etc/folder\nConditionPathIsSymbolicLink=/etc/link\n",
            "ConditionFileNotEmpty=!/etc/empty\nConditionKernelCommandLine=quiet\nConditionKernelCommandLine=audit\n",
            "ConditionPathExists=/etc/none\nConditionVirtualization=\n",
            "ConditionPathExists=|/etc/none\nConditionPathExists=|/etc/empty\n",
        ] {
            assert_eq!(judged(met), Verdict::Met, "{met}");
        }
        for unmet in [
            "ConditionFileIsExecutable=!/usr/sbin/chronyd\n",
            "ConditionKernelCommandLine=!audit=0\n",
            "ConditionVirtualization=container\n",
            "AssertPathExists=/etc/none\n",
            "AssertPathExists=/etc/none\nConditionPathExists=\n",
            "ConditionPathExists=|/etc/none\nConditionFileNotEmpty=|/etc/empty\n",
            "ConditionPathExists=/run/x\nConditionPathExists=/etc/none\n",
        ] {
            assert!(matches!(judged(unmet), Verdict::Unmet(_)), "{unmet}");
        }
        for unknown in [
            "ConditionPathExists=/run/x\n",
            "ConditionVirtualization=kvm\n",
            "ConditionSecurity=audit\n",
            "ConditionPathExists=|/run/x\nConditionPathExists=|/etc/none\n",
        ] {
            assert!(matches!(judged(unknown), Verdict::Unknown(_)), "{unknown}");
        }
    }
}
