//! Units of an unpacked root, from files and links alone (systemd.unit(5), "Unit File Load Path").

use std::collections::{BTreeMap, BTreeSet};

use super::{Unit, is_boot_target};
use crate::host::{FileKind, Host, HostError};
use crate::probe::kernel_cmdline::{self, masks};
use crate::probe::{Observation, Unobservable};

/// Where unit files that outlast a reboot lie, first match wins.
const DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Longest chain of aliases followed.
const MAX_ALIASES: usize = 8;

pub(super) fn units(
    observation: &mut Observation<'_>,
    names: &[&str],
) -> Result<BTreeMap<String, Unit>, Unobservable> {
    for directory in DIRECTORIES {
        observation.note(directory);
    }
    let masked = masked_by_boot_entry(observation, names)?;
    let host = observation.host();
    let wanted = wanted(host)?;
    names
        .iter()
        .map(|name| {
            let mut unit = unit(host, name, &wanted)?;
            // The generator's link to /dev/null goes before all of these directories.
            if masked.contains(*name) {
                unit.exists = true;
                unit.enabled = false;
                unit.masked = true;
            }
            Ok(((*name).to_owned(), unit))
        })
        .collect()
}

/// Units of these that the kernel's command line will mask. Entries of the menu of which one masks such a unit and another
/// does not leave it open what a boot does.
fn masked_by_boot_entry(
    observation: &mut Observation<'_>,
    names: &[&str],
) -> Result<BTreeSet<String>, Unobservable> {
    let lines = kernel_cmdline::at_next_boot(observation)?;
    let of_lines: Vec<BTreeSet<String>> = lines.iter().map(|line| masks(line)).collect();
    let mut masked = BTreeSet::new();
    for name in names {
        let by = of_lines
            .iter()
            .filter(|masks| masks.contains(*name))
            .count();
        if by == 0 {
            continue;
        }
        if by < of_lines.len() {
            return Err(Unobservable::unparsable(
                "the boot loader's menu",
                format!("one of its entries masks {name} and another does not"),
            ));
        }
        masked.insert((*name).to_owned());
    }
    Ok(masked)
}

fn unit(host: &dyn Host, name: &str, wanted: &BTreeSet<String>) -> Result<Unit, HostError> {
    let mut known = BTreeSet::from([name.to_owned()]);
    let mut current = name.to_owned();
    for _ in 0..MAX_ALIASES {
        match find(host, &current)? {
            Found::Nothing if current == name => return sysv(host, name),
            Found::Nothing => return Ok(Unit::default()),
            Found::Masked => {
                return Ok(Unit {
                    exists: true,
                    masked: true,
                    ..Unit::default()
                });
            }
            Found::File => {
                return Ok(Unit {
                    exists: true,
                    enabled: known.iter().any(|name| wanted.contains(name)),
                    ..Unit::default()
                });
            }
            Found::Alias(other) => {
                known.insert(other.clone());
                current = other;
            }
        }
    }
    Err(HostError::NotRegular(format!(
        "the unit {name}, a circle of aliases,"
    )))
}

enum Found {
    Nothing,
    Masked,
    File,
    Alias(String),
}

/// The first file of that name, or of its template.
fn find(host: &dyn Host, name: &str) -> Result<Found, HostError> {
    let template = name
        .split_once('@')
        .and_then(|(stem, rest)| Some(format!("{stem}@.{}", rest.rsplit_once('.')?.1)));
    for file in std::iter::once(name.to_owned()).chain(template) {
        for directory in DIRECTORIES {
            let path = format!("{directory}/{file}");
            let stat = match host.lstat(&path) {
                Ok(stat) => stat,
                Err(HostError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            if stat.kind != FileKind::Link {
                // An empty file masks like a link to /dev/null.
                return Ok(if stat.size == 0 {
                    Found::Masked
                } else {
                    Found::File
                });
            }
            let target = host.read_link(&path)?;
            if leads_to_null(directory, &target) {
                return Ok(Found::Masked);
            }
            let base = target.rsplit('/').next().unwrap_or_default().to_owned();
            return Ok(if base == file {
                Found::File
            } else {
                Found::Alias(base)
            });
        }
    }
    Ok(Found::Nothing)
}

/// Names that targets of the boot want or require. A link of a stronger directory hides its namesake of a weaker one.
fn wanted(host: &dyn Host) -> Result<BTreeSet<String>, HostError> {
    let mut links: BTreeMap<(String, String), bool> = BTreeMap::new();
    for directory in DIRECTORIES {
        for entry in listed(host, directory)? {
            let by = entry
                .strip_suffix(".wants")
                .or_else(|| entry.strip_suffix(".requires"));
            if !by.is_some_and(is_boot_target) {
                continue;
            }
            for name in listed(host, &format!("{directory}/{entry}"))? {
                let path = format!("{directory}/{entry}/{name}");
                let off = host
                    .read_link(&path)
                    .is_ok_and(|target| leads_to_null(&format!("{directory}/{entry}"), &target));
                links.entry((entry.clone(), name)).or_insert(!off);
            }
        }
    }
    Ok(links
        .into_iter()
        .filter_map(|((_, name), on)| on.then_some(name))
        .collect())
}

/// Whether a link in `directory` leads to `/dev/null`, written from the root or from where the link lies.
pub(super) fn leads_to_null(directory: &str, target: &str) -> bool {
    let whole = match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("{directory}/{target}"),
    };
    let mut path = Vec::new();
    for part in whole.split('/').filter(|part| !["", "."].contains(part)) {
        if part == ".." {
            path.pop();
        } else {
            path.push(part);
        }
    }
    path == ["dev", "null"]
}

fn listed(host: &dyn Host, path: &str) -> Result<Vec<String>, HostError> {
    match host.list(path) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(HostError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A SysV script that systemd-sysv-generator(8) makes a unit of.
fn sysv(host: &dyn Host, name: &str) -> Result<Unit, HostError> {
    let Some(script) = name.strip_suffix(".service") else {
        return Ok(Unit::default());
    };
    match host.stat(&format!("/etc/init.d/{script}")) {
        Ok(stat) if stat.kind == FileKind::Regular && stat.mode & 0o111 != 0 => {}
        Ok(_) | Err(HostError::NotFound(_)) => return Ok(Unit::default()),
        Err(error) => return Err(error),
    }
    let mut enabled = false;
    for level in ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"] {
        enabled |= listed(host, level)?.iter().any(|link| {
            link.strip_prefix('S')
                .and_then(|rest| rest.get(2..))
                .is_some_and(|rest| rest == script)
        });
    }
    Ok(Unit {
        exists: true,
        enabled,
        ..Unit::default()
    })
}

#[cfg(test)]
mod tests {
    use evidence::time::Timestamp;

    use super::*;
    use crate::host::RecordedHost;
    use crate::probe::VolatileMemory;

    fn judged(recording: &str, names: &[&str]) -> BTreeMap<String, Unit> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        std::fs::write(&path, format!("live = false\n{recording}")).unwrap();
        let host = RecordedHost::load(&path).unwrap();
        let mut memory = VolatileMemory::default();
        let mut observation =
            Observation::new(&host, &mut memory, "unit", Timestamp::from_unix_ms(0));
        super::super::units(&mut observation, names).unwrap()
    }

    const ROOT: &str = r#"
[files."/lib/systemd/system/ssh.service"]
text = "[Unit]\n"
[files."/etc/systemd/system/multi-user.target.wants/ssh.service"]
link = "/lib/systemd/system/ssh.service"
[files."/etc/systemd/system/sshd.service"]
link = "/lib/systemd/system/ssh.service"
[files."/lib/systemd/system/cron.service"]
text = "[Unit]\n"
[files."/lib/systemd/system/rescue.target.wants/cron.service"]
link = "../cron.service"
[files."/lib/systemd/system/apt-daily.timer"]
text = "[Timer]\n"
[files."/etc/systemd/system/timers.target.wants/apt-daily.timer"]
link = "/lib/systemd/system/apt-daily.timer"
[files."/etc/systemd/system/apt-daily.timer"]
link = "/dev/null"
[files."/lib/systemd/system/timers.target.wants/fstrim.timer"]
link = "../fstrim.timer"
[files."/lib/systemd/system/fstrim.timer"]
text = "[Timer]\n"
[files."/etc/systemd/system/timers.target.wants/fstrim.timer"]
link = "/dev/null"
[files."/lib/systemd/system/getty@.service"]
text = "[Unit]\n"
[files."/etc/systemd/system/getty.target.wants/getty@tty1.service"]
link = "/lib/systemd/system/getty@.service"
[files."/etc/init.d/old"]
text = "\#!/bin/sh\n"
mode = "0755"
[files."/etc/rc2.d/S01old"]
link = "../init.d/old"
[files."/etc/systemd/system/a.service"]
link = "b.service"
[files."/lib/systemd/system/relative.service"]
text = "[Unit]\n"
[files."/etc/systemd/system/relative.service"]
link = "../../../dev/null"
"#;

    #[test]
    fn a_root_is_read_as_systemd_would_at_boot() {
        let root = ROOT.replace("\\#", "#");
        let units = judged(
            &root,
            &[
                "ssh.service",
                "sshd.service",
                "cron.service",
                "apt-daily.timer",
                "fstrim.timer",
                "getty@tty1.service",
                "old.service",
                "a.service",
                "relative.service",
                "none.service",
            ],
        );
        let state = |name: &str| (units[name].exists, units[name].enabled, units[name].masked);
        assert_eq!(state("ssh.service"), (true, true, false));
        assert_eq!(state("sshd.service"), (true, true, false), "an alias");
        assert_eq!(
            state("cron.service"),
            (true, false, false),
            "wanted by the rescue target only"
        );
        assert_eq!(
            state("apt-daily.timer"),
            (true, false, true),
            "masked over a link that wants it"
        );
        assert_eq!(
            state("fstrim.timer"),
            (true, false, false),
            "the vendor's link is hidden"
        );
        assert_eq!(
            state("getty@tty1.service"),
            (true, true, false),
            "an instance"
        );
        assert_eq!(state("old.service"), (true, true, false), "a SysV script");
        assert_eq!(
            state("a.service"),
            (false, false, false),
            "an alias of nothing"
        );
        assert_eq!(state("relative.service"), (true, false, true));
        assert_eq!(state("none.service"), (false, false, false));
    }

    #[test]
    fn a_mask_on_the_command_line_of_the_boot_entry_counts() {
        let entry = |options: &str| {
            format!("[files.\"/boot/extlinux/extlinux.conf\"]\ntext = {options:?}\n")
        };
        let root = ROOT.replace("\\#", "#");
        let all = ["ssh.service", "cron.service", "old.service"];
        let masked = root.clone()
            + &entry("label a\n append quiet systemd.mask=ssh -- systemd.mask=old.service\n");
        let units = judged(&masked, &all);
        let state = |name: &str| (units[name].enabled, units[name].masked);
        assert_eq!(state("ssh.service"), (false, true), "a name without a type");
        assert_eq!(state("old.service"), (false, true), "behind two dashes");
        assert_eq!(state("cron.service"), (false, false));
        let initrd = root + &entry("label a\n append rd.systemd.mask=ssh\n");
        assert!(
            judged(&initrd, &all)["ssh.service"].enabled,
            "the initrd's own"
        );
    }

    #[test]
    fn entries_that_mask_or_not_leave_it_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        std::fs::write(&path, "live = false\n[files.\"/boot/extlinux/extlinux.conf\"]\ntext = \"label a\\n append systemd.mask=ssh\\nlabel b\\n append quiet\\n\"\n").unwrap();
        let host = RecordedHost::load(&path).unwrap();
        let mut memory = VolatileMemory::default();
        let mut observation =
            Observation::new(&host, &mut memory, "unit", Timestamp::from_unix_ms(0));
        assert!(units(&mut observation, &["ssh.service"]).is_err());
        assert!(units(&mut observation, &["cron.service"]).is_ok());
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        std::fs::write(&path, "live = false\n[files.\"/etc/systemd/system/a.service\"]\nlink = \"b.service\"\n[files.\"/etc/systemd/system/b.service\"]\nlink = \"a.service\"\n").unwrap();
        let host = RecordedHost::load(&path).unwrap();
        assert!(unit(&host, "a.service", &BTreeSet::new()).is_err());
    }
}
