//! Redundant storage. What the kernel shows in sysfs is read there; LVM, ZFS and multipath need their own tools.

use super::{Group, attribute, names};
use crate::host::Program;
use crate::probe::{Observation, Unobservable};

/// Levels of md that survive the loss of a disk.
const REDUNDANT: [&str; 5] = ["raid1", "raid4", "raid5", "raid6", "raid10"];
/// Drivers of controllers that keep redundancy to themselves.
const CONTROLLERS: [&str; 7] = [
    "megaraid_sas",
    "aacraid",
    "arcmsr",
    "hpsa",
    "smartpqi",
    "3w-9xxx",
    "3w-sas",
];
const DMSETUP: [&str; 2] = ["/usr/sbin/dmsetup", "/sbin/dmsetup"];
const ZPOOL: [&str; 3] = ["/usr/sbin/zpool", "/sbin/zpool", "/usr/bin/zpool"];
const MULTIPATHD: [&str; 2] = ["/usr/sbin/multipathd", "/sbin/multipathd"];
const MAX_GROUPS: usize = 512;

/// Arrays of md(4).
pub(super) fn md(observation: &mut Observation<'_>) -> Result<Vec<Group>, Unobservable> {
    let mut found = Vec::new();
    for name in names(observation, "/sys/block")? {
        let directory = format!("/sys/block/{name}/md");
        let Some(level) = attribute(observation, &format!("{directory}/level"))? else {
            continue;
        };
        if !REDUNDANT.contains(&level.as_str()) || found.len() == MAX_GROUPS {
            continue;
        }
        observation.note(&directory);
        let read = |file: &str| attribute(observation, &format!("{directory}/{file}"));
        let mut faults = Vec::new();
        let degraded = read("degraded")?.unwrap_or_default();
        if degraded != "0" {
            faults.push(format!(
                "{degraded} of {} members missing",
                read("raid_disks")?.unwrap_or_default()
            ));
        }
        let state = read("array_state")?.unwrap_or_default();
        if ["clear", "inactive", "suspended", "broken", "readonly"].contains(&state.as_str()) {
            faults.push(state);
        }
        for member in names(observation, &directory)? {
            let state = attribute(observation, &format!("{directory}/{member}/state"))?;
            if member.starts_with("dev-") && state.is_some_and(|state| state.contains("faulty")) {
                faults.push(format!("{} faulty", member.trim_start_matches("dev-")));
            }
        }
        let action = read("sync_action")?.unwrap_or_default();
        found.push(Group {
            name,
            level,
            faults,
            rebuilding: ["resync", "recover", "reshape", "check", "repair"]
                .contains(&action.as_str()),
        });
    }
    Ok(found)
}

/// File systems of btrfs with a redundant profile, from `/sys/fs/btrfs/`.
pub(super) fn btrfs(observation: &mut Observation<'_>) -> Result<Vec<Group>, Unobservable> {
    let mut found = Vec::new();
    for id in names(observation, "/sys/fs/btrfs")? {
        let directory = format!("/sys/fs/btrfs/{id}");
        let profiles = names(observation, &format!("{directory}/allocation/data"))?;
        let Some(level) = profiles
            .into_iter()
            .find(|name| name.starts_with("raid") && name != "raid0")
        else {
            continue;
        };
        observation.note(&directory);
        let mut faults = Vec::new();
        for device in names(observation, &format!("{directory}/devinfo"))? {
            let read = |file: &str| {
                attribute(observation, &format!("{directory}/devinfo/{device}/{file}"))
            };
            if read("missing")?.as_deref() == Some("1") {
                faults.push(format!("device {device} missing"));
            }
            let errors = read("error_stats")?.unwrap_or_default();
            let has_errors = errors
                .lines()
                .filter_map(|line| line.split_whitespace().nth(1))
                .any(|count| count != "0");
            if has_errors {
                faults.push(format!("device {device} counts errors"));
            }
        }
        let label = attribute(observation, &format!("{directory}/label"))?
            .filter(|label| !label.is_empty());
        found.push(Group {
            name: format!("btrfs {}", label.unwrap_or(id)),
            level,
            faults,
            rebuilding: false,
        });
    }
    Ok(found)
}

/// Logical volumes of raid types: device-mapper nodes with hidden images, asked through dmsetup(8).
pub(super) fn lvm(
    observation: &mut Observation<'_>,
    problems: &mut Vec<String>,
) -> Result<Vec<Group>, Unobservable> {
    let mut has_images = false;
    for name in names(observation, "/sys/block")? {
        let label = attribute(observation, &format!("/sys/block/{name}/dm/name"))?;
        has_images |= label.is_some_and(|label| label.contains("_rimage_"));
    }
    if !has_images {
        return Ok(Vec::new());
    }
    let Some(text) = ask(observation, &DMSETUP, &["status", "--target", "raid"])? else {
        problems.push("lvm: dmsetup did not answer".to_owned());
        return Ok(Vec::new());
    };
    Ok(text.lines().filter_map(lvm_line).collect())
}

/// `vg-root: 0 204800 raid raid1 2 AA 204800/204800 idle 0 0 -` (Documentation/admin-guide/device-mapper/dm-raid.rst).
fn lvm_line(line: &str) -> Option<Group> {
    let (name, rest) = line.split_once(": ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.get(2) != Some(&"raid") {
        return None;
    }
    let health = fields.get(5)?;
    let dead = health.chars().filter(|c| *c == 'D').count();
    let action = fields.get(7).copied().unwrap_or_default();
    Some(Group {
        name: format!("lvm {name}"),
        level: (*fields.get(3)?).to_owned(),
        faults: if dead > 0 {
            vec![format!("{dead} of {} images dead", health.len())]
        } else {
            Vec::new()
        },
        rebuilding: action != "idle" || health.contains('a'),
    })
}

/// Pools of ZFS, if its module is loaded.
pub(super) fn zfs(
    observation: &mut Observation<'_>,
    problems: &mut Vec<String>,
) -> Result<Vec<Group>, Unobservable> {
    if observation.stat("/proc/spl/kstat/zfs")?.is_none() {
        return Ok(Vec::new());
    }
    let Some(text) = ask(observation, &ZPOOL, &["list", "-H", "-o", "name,health"])? else {
        problems.push("zfs: zpool did not answer".to_owned());
        return Ok(Vec::new());
    };
    Ok(text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, health)| Group {
            name: format!("zpool {name}"),
            level: "pool".to_owned(),
            faults: if health.trim() == "ONLINE" {
                Vec::new()
            } else {
                vec![health.trim().to_lowercase()]
            },
            rebuilding: false,
        })
        .collect())
}

/// Paths to disks, if multipathd runs.
pub(super) fn multipath(
    observation: &mut Observation<'_>,
    problems: &mut Vec<String>,
) -> Result<Vec<Group>, Unobservable> {
    let mut has_maps = false;
    for name in names(observation, "/sys/block")? {
        let id = attribute(observation, &format!("/sys/block/{name}/dm/uuid"))?;
        has_maps |= id.is_some_and(|id| id.starts_with("mpath-"));
    }
    if !has_maps {
        return Ok(Vec::new());
    }
    let answer = ask(observation, &MULTIPATHD, &["show", "maps", "json"])?;
    let groups = answer.and_then(|text| multipath_maps(&text));
    if groups.is_none() {
        problems.push("multipath: multipathd did not answer".to_owned());
    }
    Ok(groups.unwrap_or_default())
}

fn multipath_maps(text: &str) -> Option<Vec<Group>> {
    let answer: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut found = Vec::new();
    for map in answer.get("maps")?.as_array()? {
        let paths: Vec<&serde_json::Value> = map
            .get("path_groups")?
            .as_array()?
            .iter()
            .filter_map(|group| group.get("paths")?.as_array())
            .flatten()
            .collect();
        let failed = paths
            .iter()
            .filter(|path| path.get("dm_st").and_then(|state| state.as_str()) != Some("active"))
            .filter_map(|path| path.get("dev")?.as_str())
            .map(|device| format!("{device} does not work"));
        let mut wrong: Vec<String> = failed.collect();
        if paths.len() < 2 {
            wrong.push(format!("{} path", paths.len()));
        }
        found.push(Group {
            name: format!("multipath {}", map.get("name")?.as_str()?),
            level: "multipath".to_owned(),
            faults: wrong,
            rebuilding: false,
        });
    }
    Some(found)
}

/// What the first of these programs that is installed says, if it ends well.
fn ask(
    observation: &mut Observation<'_>,
    programs: &[&'static str],
    args: &[&str],
) -> Result<Option<String>, Unobservable> {
    for path in programs {
        if let Some(output) = observation.run(&Program::new(path, args))? {
            return Ok((output.exit == 0).then(|| output.text()));
        }
    }
    Ok(None)
}

/// Drivers of hardware RAID controllers that are in use.
pub(super) fn controllers(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let mut found = std::collections::BTreeSet::new();
    for host in names(observation, "/sys/class/scsi_host")? {
        let driver = attribute(
            observation,
            &format!("/sys/class/scsi_host/{host}/proc_name"),
        )?;
        if let Some(driver) = driver.filter(|driver| CONTROLLERS.contains(&driver.as_str())) {
            found.insert(driver);
        }
    }
    observation.note("/sys/class/scsi_host");
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_a_volume_are_counted() {
        let whole = lvm_line("vg-root: 0 204800 raid raid1 2 AA 204800/204800 idle 0 0 -").unwrap();
        assert!(whole.faults.is_empty() && !whole.rebuilding);
        let dead = lvm_line("vg-root: 0 204800 raid raid1 2 AD 204800/204800 idle 0 0 -").unwrap();
        assert_eq!(dead.faults, ["1 of 2 images dead"]);
        let fresh = lvm_line("vg-root: 0 204800 raid raid1 2 Aa 1/204800 recover 0 0 -").unwrap();
        assert!(fresh.rebuilding);
        for wrong in ["", "a: 0 1 linear", "a: 0 1 raid", ": : :"] {
            assert_eq!(lvm_line(wrong), None);
        }
    }

    #[test]
    fn multipath_needs_two_paths_that_work() {
        let text = r#"{"maps": [{"name": "mpatha", "path_faults": 3, "path_groups": [{"paths": [{"dev": "sda", "dm_st": "active"}]}, {"paths": [{"dev": "sdb", "dm_st": "failed"}]}]}]}"#;
        assert_eq!(
            multipath_maps(text).unwrap()[0].faults,
            ["sdb does not work"]
        );
        assert!(
            multipath_maps(&text.replace("failed", "active")).unwrap()[0]
                .faults
                .is_empty()
        );
        assert_eq!(multipath_maps("{}"), None);
        assert_eq!(multipath_maps("["), None);
    }
}
