//! What OpenRC starts on the way up: the services linked in the folders of the runlevels that a host passes, openrc(8)
//! and rc-update(8). A folder in one of them that has the name of another runlevel stands for all services of that one.

use super::{Observation, Unobservable, system};
use crate::host::FileKind;

/// The runlevels passed at boot, openrc(8).
const AT_BOOT: [&str; 3] = ["sysinit", "boot", "default"];
const RUNLEVELS: &str = "/etc/runlevels";
/// Most runlevels looked into, those that stand in others included.
const MAX_RUNLEVELS: usize = 32;

/// Whether OpenRC brings this host up: not systemd, and there are runlevels.
pub(super) fn brings_up(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    Ok(!system::runs_systemd(observation)? && observation.stat(RUNLEVELS)?.is_some())
}

/// Whether OpenRC starts `service` at boot. A link without its script, or to one that may not be run, starts nothing.
pub(super) fn starts(
    observation: &mut Observation<'_>,
    service: &str,
) -> Result<bool, Unobservable> {
    if !brings_up(observation)? {
        return Ok(false);
    }
    let mut levels: Vec<String> = AT_BOOT.map(str::to_owned).to_vec();
    let mut at = 0;
    while let Some(level) = levels.get(at).cloned() {
        let link = format!("{RUNLEVELS}/{level}/{service}");
        let script = observation.stat(&link)?;
        if script.is_some_and(|script| script.kind == FileKind::Regular && script.mode & 0o111 != 0)
        {
            return Ok(true);
        }
        for entry in observation
            .list(&format!("{RUNLEVELS}/{level}"))?
            .unwrap_or_default()
        {
            let stacked = entry.kind == FileKind::Directory && !levels.contains(&entry.name);
            if stacked && levels.len() < MAX_RUNLEVELS {
                levels.push(entry.name);
            }
        }
        at += 1;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use evidence::time::Timestamp;

    use super::*;
    use crate::host::RecordedHost;
    use crate::probe::VolatileMemory;

    fn started(recording: &str, service: &str) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        std::fs::write(&path, format!("live = false\n{recording}")).unwrap();
        let host = RecordedHost::load(&path).unwrap();
        let mut memory = VolatileMemory::default();
        let mut observation =
            Observation::new(&host, &mut memory, "openrc", Timestamp::from_unix_ms(0));
        starts(&mut observation, service).unwrap()
    }

    const ROOT: &str = r#"
[files."/etc/init.d/sshd"]
text = "x"
mode = "0755"
[files."/etc/init.d/plain"]
text = "x"
mode = "0644"
[files."/etc/runlevels/default/sshd"]
link = "/etc/init.d/sshd"
[files."/etc/runlevels/default/plain"]
link = "/etc/init.d/plain"
[files."/etc/runlevels/default/gone"]
link = "/etc/init.d/gone"
[files."/etc/runlevels/shutdown/late"]
link = "/etc/init.d/sshd"
[files."/etc/runlevels/default/office"]
kind = "directory"
[files."/etc/runlevels/office/stacked"]
link = "/etc/init.d/sshd"
[files."/etc/runlevels/office/default"]
kind = "directory"
"#;

    #[test]
    fn what_the_runlevels_of_the_boot_link_is_started() {
        assert!(started(ROOT, "sshd"));
        assert!(started(ROOT, "stacked"), "through a stacked runlevel");
        for service in ["plain", "gone", "late", "office", "none"] {
            assert!(!started(ROOT, service), "{service}");
        }
    }

    #[test]
    fn under_systemd_runlevels_mean_nothing() {
        let root = format!("{ROOT}[files.\"/sbin/init\"]\nlink = \"/lib/systemd/systemd\"\n");
        assert!(!started(&root, "sshd"));
    }
}
