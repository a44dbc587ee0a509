//! How much room local file systems have, and when they will be full if they go on filling as they did.
//!
//! Free bytes change with every write, and facts that change at every round would be shipped and signed anew each time. So
//! room is told in whole per cent, and a figure once told stays until the truth has left it by a whole point: it falls as
//! soon as the truth is below it and rises only when the truth is two points above. It never says more than is free, it is
//! less than two points below, and a file system that breathes around a mark does not change its facts at each breath.
//! The forecast comes from one sample a day, so it changes once a day at most, and only between wide steps.

mod forecast;

use std::collections::BTreeMap;

use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::forecast::History;
use super::storage::mount::Mount;
use super::storage::mounts;
use super::{Observation, Probe, Unobservable};
use crate::host::{HostError, Space};

/// Most file systems looked at.
const MAX_FILESYSTEMS: usize = 256;
/// Directories whose file system is told apart: a full one stops logging, auditing or kernel updates.
const VITAL: [&str; 5] = ["/", "/boot", "/var", "/var/log", "/var/log/audit"];
/// Where media of users are mounted.
const MEDIA: [&str; 2] = ["/media/", "/run/media/"];

/// The probe `filesystem_space`.
pub struct FilesystemSpace;

/// Facts of the room on local file systems.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FilesystemSpaceFacts {
    /// Local file systems that can fill up, by mount point.
    filesystems: Vec<Room>,
    /// Mount points whose room could not be read, with what happened.
    unread: Vec<String>,
}

/// One file system.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Room {
    /// Where it is mounted; of several places the shortest.
    mount: String,
    /// Type, as in mountinfo.
    kind: String,
    /// Those of `/`, `/boot`, `/var`, `/var/log` and `/var/log/audit` that lie on it.
    holds: Vec<String>,
    /// Bytes that users may still fill, in hundredths of all; less than two points more may be free.
    free_percent: u8,
    /// Inodes that users may still take, in the same way; absent if their number is not fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_inodes_percent: Option<u8>,
    /// Full in about as many days at the pace of up to 30 days: 0, 3, 7, 14, 30, 60 or 90, rounded down; absent if it
    /// does not fill, will last longer, or was seen for less than a week.
    #[serde(skip_serializing_if = "Option::is_none")]
    full_in_days: Option<u32>,
}

/// What is remembered of a file system.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    bytes: Option<u8>,
    inodes: Option<u8>,
    history: History,
}

impl Probe for FilesystemSpace {
    const ID: &'static str = "filesystem_space";
    type Facts = FilesystemSpaceFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<FilesystemSpaceFacts, Unobservable> {
        observation.require_live("the room on file systems")?;
        let mounts = mounts(observation)?;
        let mut filling = filling(&mounts);
        if filling.len() > MAX_FILESYSTEMS {
            return Err(Unobservable::new(
                Reason::CoveragePartial,
                format!("{} local file systems are mounted", filling.len()),
            ));
        }
        filling.sort_by(|a, b| a.point.cmp(&b.point));
        observation.note("statvfs(3)");
        let before: BTreeMap<String, Known> = observation.recall("known").unwrap_or_default();
        let mut after = BTreeMap::new();
        let mut facts = FilesystemSpaceFacts {
            filesystems: Vec::new(),
            unread: Vec::new(),
        };
        let day = observation.now().unix_ms().div_euclid(86_400_000);
        for mount in &filling {
            let space = match observation.host().space(&mount.point) {
                Ok(space) => space,
                Err(HostError::NotFound(_)) => {
                    facts
                        .unread
                        .push(format!("{}: not seen by the agent", mount.point));
                    continue;
                }
                Err(error) => {
                    facts.unread.push(error.to_string());
                    continue;
                }
            };
            // Another file system lies over this one, or the place is not the agent's: it says nothing about this one.
            if mount.device.0 != 0 && space.device != mount.device {
                continue;
            }
            let mut known = before.get(&mount.point).cloned().unwrap_or_default();
            if let Some(room) = room(mount, holds(&filling, mount), space, &mut known, day) {
                facts.filesystems.push(room);
                after.insert(mount.point.clone(), known);
            }
        }
        observation.remember("known", &after);
        Ok(facts)
    }
}

/// One mount a file system: local ones that are written to.
fn filling(mounts: &[Mount]) -> Vec<&Mount> {
    let mut found: BTreeMap<(u32, u32), &Mount> = BTreeMap::new();
    for mount in mounts {
        let local = mount.keeps_data() && !mount.is_network() && !mount.kind.starts_with("fuse");
        let medium = MEDIA.iter().any(|place| mount.point.starts_with(place));
        if !local || medium || mount.read_only {
            continue;
        }
        let place = found.entry(mount.device).or_insert(mount);
        if (mount.point.len(), &mount.point) < (place.point.len(), &place.point) {
            *place = mount;
        }
    }
    found.into_values().collect()
}

/// The vital directories that lie on a mount: those whose longest mount point above is this one's.
fn holds(filling: &[&Mount], mount: &Mount) -> Vec<String> {
    let is_above = |point: &str, path: &str| {
        point == "/"
            || path == point
            || path
                .strip_prefix(point)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    VITAL
        .iter()
        .filter(|path| {
            let above = filling
                .iter()
                .filter(|other| is_above(&other.point, path))
                .max_by_key(|other| other.point.len());
            above.is_some_and(|above| above.point == mount.point)
        })
        .map(|path| (*path).to_owned())
        .collect()
}

/// `None` for a file system without blocks of its own.
fn room(
    mount: &Mount,
    holds: Vec<String>,
    space: Space,
    known: &mut Known,
    day: i64,
) -> Option<Room> {
    let free = percent(space.available_bytes, space.bytes)?;
    known.bytes = Some(told(known.bytes, free));
    known.inodes =
        percent(space.available_inodes, space.inodes).map(|free| told(known.inodes, free));
    known.history.add(day, space.available_bytes);
    Some(Room {
        mount: mount.point.clone(),
        kind: mount.kind.clone(),
        holds,
        free_percent: known.bytes?,
        free_inodes_percent: known.inodes,
        full_in_days: known.history.full_in_days(),
    })
}

/// Whole hundredths, rounded down; `None` of nothing.
fn percent(part: u64, whole: u64) -> Option<u8> {
    let hundredths = u128::from(part) * 100 / u128::from(whole.max(1));
    (whole > 0).then(|| u8::try_from(hundredths.min(100)).unwrap_or(100))
}

/// The figure to tell: the one told before as long as the truth is not below it nor two points above.
fn told(before: Option<u8>, truth: u8) -> u8 {
    match before {
        Some(before) if before <= truth && truth < before.saturating_add(2) => before,
        _ => truth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::storage::mount::parse_mountinfo;

    #[test]
    fn a_figure_stays_until_the_truth_has_left_it() {
        assert_eq!(told(None, 17), 17);
        assert_eq!(told(Some(17), 18), 17);
        assert_eq!(told(Some(17), 17), 17);
        assert_eq!(told(Some(17), 19), 19);
        assert_eq!(told(Some(17), 16), 16, "never more than is free");
        assert_eq!(percent(0, 0), None);
        assert_eq!(percent(u64::MAX, u64::MAX), Some(100));
        assert_eq!(percent(159, 1000), Some(15));
    }

    #[test]
    fn a_few_bytes_more_or_less_change_no_fact() {
        let directory = tempfile::tempdir().unwrap();
        let mut memory = crate::probe::VolatileMemory::default();
        let mut observe = |available: u64, day: i64| {
            let path = directory.path().join("host.toml");
            let text = format!(
                "[files.\"/proc/1/mountinfo\"]\ntext = \"27 1 8:1 / / rw - ext4 /dev/sda1 rw\\n\"\n[kernel.space.\"/\"]\ndevice = [8, 1]\nbytes = 1000000\navailable_bytes = {available}\ninodes = 0\navailable_inodes = 0\n"
            );
            std::fs::write(&path, text).unwrap();
            let host = crate::host::RecordedHost::load(&path).unwrap();
            let now = evidence::time::Timestamp::from_unix_ms(day * 86_400_000);
            let mut observation = Observation::new(&host, &mut memory, "filesystem_space", now);
            let facts = FilesystemSpace::observe(&mut observation).unwrap();
            serde_json::to_value(&facts).unwrap()
        };
        let first = observe(400_000, 1);
        assert_eq!(first["filesystems"][0]["free_percent"], 40);
        for (available, day) in [(400_001, 1), (409_999, 2), (400_000, 3), (419_999, 4)] {
            assert_eq!(observe(available, day), first, "{available}");
        }
        assert_eq!(observe(399_999, 5)["filesystems"][0]["free_percent"], 39);
    }

    #[test]
    fn local_file_systems_that_are_written_to_count_once() {
        let text = "22 27 0:21 / /proc rw - proc proc rw\n27 1 8:1 / / rw - ext4 /dev/sda1 rw\n28 27 8:1 /srv /mnt rw - ext4 /dev/sda1 rw\n29 27 8:2 / /boot rw - ext4 /dev/sda2 rw\n30 27 7:0 / /snap/core ro - squashfs /dev/loop0 ro\n31 27 0:40 / /net rw - nfs4 a:/b rw\n32 27 0:41 / /tmp rw - tmpfs tmpfs rw\n33 27 8:17 / /media/user/stick rw - vfat /dev/sdb1 rw\n34 27 8:5 / /var/log rw - xfs /dev/sda5 rw\n35 27 8:6 / /ntfs rw - fuseblk /dev/sda6 rw\n";
        let mounts = parse_mountinfo(text).unwrap();
        let filling = filling(&mounts);
        let points: Vec<&str> = filling.iter().map(|mount| mount.point.as_str()).collect();
        assert_eq!(points, ["/", "/boot", "/var/log"]);
        assert_eq!(holds(&filling, filling[0]), ["/", "/var"]);
        assert_eq!(holds(&filling, filling[2]), ["/var/log", "/var/log/audit"]);
    }
}
