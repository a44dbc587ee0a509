//! How places that many may write to are mounted: their own file system or not, and with which options.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::storage::{self, mount::Mount};
use super::{Observation, Probe, Unobservable, system, systemd_config, unit};

/// The probe `mount_options`.
pub struct MountOptions;

/// Places that every user may write to, or where users' files are.
const PLACES: [&str; 4] = ["/dev/shm", "/home", "/tmp", "/var/tmp"];
/// Where desktops mount what is plugged in.
const MEDIA: [&str; 2] = ["/media/", "/run/media/"];
/// Units of the host itself.
const OWN_UNITS: &str = "/etc/systemd/system";
const FSTAB: &str = "/etc/fstab";
const OPENRC_DEVFS: &str = "/etc/init.d/devfs";
/// Options that limit what files on a file system can do.
const LIMITS: [&str; 4] = ["nodev", "noexec", "nosuid", "ro"];

/// Options of shared and removable mounts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MountOptionsFacts {
    /// Which of `/dev/shm`, `/home`, `/tmp` and `/var/tmp` are no mounts of their own.
    shared: Vec<String>,
    /// Every mount through which the files of those that are, and of mounted removable storage, are reached.
    mounts: Vec<Reached>,
}

/// One mount.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Reached {
    /// The place whose files it leads to: one of these four, or the mount point of removable storage.
    place: String,
    /// Its own mount point: the place itself, or another where the same part of the same file system is mounted.
    path: String,
    /// The place is removable storage.
    removable: bool,
    /// Which of `nodev`, `noexec`, `nosuid` and `ro` it has; not those of the superblock, which bind no mount.
    limits: BTreeSet<String>,
}

impl Probe for MountOptions {
    const ID: &'static str = "mount_options";
    type Facts = MountOptionsFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<MountOptionsFacts, Unobservable> {
        let mut mounts = if observation.is_live() {
            mounted(observation)?
        } else {
            at_boot(observation)?
        };
        mounts.sort();
        let own = |place: &&str| mounts.iter().any(|mount| mount.place == **place);
        let shared = PLACES.iter().filter(|place| !own(place));
        Ok(MountOptionsFacts {
            shared: shared.map(|place| (*place).to_owned()).collect(),
            mounts,
        })
    }
}

fn mounted(observation: &mut Observation<'_>) -> Result<Vec<Reached>, Unobservable> {
    let mounts = storage::mounts(observation)?;
    let mut places: BTreeMap<&str, bool> = PLACES.iter().map(|path| (*path, false)).collect();
    for mount in &mounts {
        let by_place = MEDIA.iter().any(|media| mount.point.starts_with(media));
        if mount.keeps_data() && !mount.is_network() && (by_place || is_on_usb(observation, mount))
        {
            places.entry(&mount.point).or_insert(true);
        }
    }
    let mut found = Vec::new();
    for (place, removable) in places {
        // Of several mounts at one point the last lies on top.
        let Some(own) = mounts.iter().rfind(|mount| mount.point == place) else {
            continue;
        };
        let same = mounts.iter().filter(|other| {
            let overlaps = is_within(&other.root, &own.root) || is_within(&own.root, &other.root);
            let hidden = other.point == place && other.id != own.id;
            other.device == own.device && overlaps && !hidden
        });
        found.extend(same.map(|mount| Reached {
            place: place.to_owned(),
            path: mount.point.clone(),
            removable,
            limits: limits(mount.flags.iter().map(String::as_str)),
        }));
    }
    Ok(found)
}

fn is_on_usb(observation: &Observation<'_>, mount: &Mount) -> bool {
    let (major, minor) = mount.device;
    let link = format!("/sys/dev/block/{major}:{minor}");
    mount.point != "/"
        && observation
            .host()
            .read_link(&link)
            .is_ok_and(|target| target.contains("/usb"))
}

fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn limits<'o>(options: impl Iterator<Item = &'o str>) -> BTreeSet<String> {
    options
        .filter(|option| LIMITS.contains(option))
        .map(str::to_owned)
        .collect()
}

/// What a boot mounts, by fstab and mount units.
fn at_boot(observation: &mut Observation<'_>) -> Result<Vec<Reached>, Unobservable> {
    let text = observation.text(FSTAB)?.unwrap_or_default();
    let lines = table::lines(&text);
    let systemd = system::runs_systemd(observation)?;
    // Mounted by systemd itself, or by OpenRC's devfs.
    let init_mounts_shm = systemd || observation.stat(OPENRC_DEVFS)?.is_some();
    let mut found = Vec::new();
    for path in PLACES {
        let line = table::line(&lines, path, systemd).filter(|line| line.starts_at_boot());
        let limits = match line {
            None if path == "/dev/shm" => init_mounts_shm.then(|| table::limits_of("nosuid,nodev")),
            line => {
                let by_line = line.map(|line| line.limits(&lines, systemd));
                if path != "/dev/shm" {
                    by_unit(observation, path, by_line)?
                } else {
                    by_line
                }
            }
        };
        found.extend(limits.map(|limits| Reached {
            place: path.to_owned(),
            path: path.to_owned(),
            removable: false,
            limits,
        }));
    }
    let media = lines
        .iter()
        .filter(|line| MEDIA.iter().any(|media| line.point.starts_with(media)));
    found.extend(media.map(|line| Reached {
        place: line.point.clone(),
        path: line.point.clone(),
        removable: true,
        limits: line.limits(&lines, systemd),
    }));
    Ok(found)
}

/// The limits of a place with its mount unit taken into account: one in `/etc` goes before the line of fstab, which goes
/// before those of the distribution; drop-ins change either (systemd.unit(5), "Unit File Load Path").
fn by_unit(
    observation: &mut Observation<'_>,
    path: &str,
    by_line: Option<BTreeSet<String>>,
) -> Result<Option<BTreeSet<String>>, Unobservable> {
    let name = format!("{}.mount", path.trim_start_matches('/').replace('/', "-"));
    let state = unit::persisted(observation, &[&name])?
        .remove(&name)
        .unwrap_or_default();
    if state.masked || !(state.enabled || by_line.is_some()) {
        return Ok(None);
    }
    let own = observation.host().lstat(&format!("{OWN_UNITS}/{name}"));
    let (text, by_line) = if by_line.is_none() || own.is_ok() {
        (unit::text(observation, &name)?.unwrap_or_default(), None)
    } else {
        (unit::drop_in_text(observation, &name)?, by_line)
    };
    let options = systemd_config::of_section(&text, "Mount")
        .into_iter()
        .rfind(|(name, _)| name == "Options")
        .map(|(_, value)| table::limits_of(&value));
    Ok(Some(options.or(by_line).unwrap_or_default()))
}
