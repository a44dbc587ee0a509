//! How places that many may write to are mounted: their own file system or not, and with which options.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::storage::{self, mount::Mount};
use super::{Observation, Probe, Unobservable, system, systemd_config};
use crate::host::FileKind;

/// The probe `mount_options`.
pub struct MountOptions;

/// Places that every user may write to, or where users' files are.
const PLACES: [&str; 4] = ["/dev/shm", "/home", "/tmp", "/var/tmp"];
/// Where desktops mount what is plugged in.
const MEDIA: [&str; 2] = ["/media/", "/run/media/"];
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

/// What fstab(5), or else a mount unit that local-fs.target wants, would mount. systemd itself mounts /dev/shm, and so
/// does the script `devfs` of OpenRC.
fn at_boot(observation: &mut Observation<'_>) -> Result<Vec<Reached>, Unobservable> {
    let table = observation.text(FSTAB)?.unwrap_or_default();
    let mut found = Vec::new();
    let init_mounts_shm =
        system::runs_systemd(observation)? || observation.stat(OPENRC_DEVFS)?.is_some();
    for path in PLACES {
        let options = match in_table(&table, path) {
            Some(options) => Some(options),
            None if path == "/dev/shm" => init_mounts_shm.then(|| "nosuid,nodev".to_owned()),
            None => by_unit(observation, path)?,
        };
        found.extend(options.map(|options| Reached {
            place: path.to_owned(),
            path: path.to_owned(),
            removable: false,
            limits: limits(options.split(',')),
        }));
    }
    Ok(found)
}

/// The options of the last line for this mount point that is mounted at boot. `user` and `users` bring limits, and what
/// comes after them may take these back (mount(8)).
fn in_table(table: &str, path: &str) -> Option<String> {
    let lines = table
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let mut fields = lines.filter_map(|line| {
        let mut fields = line.split_whitespace();
        let point = fields.nth(1)?;
        let options = fields.nth(1).unwrap_or("defaults");
        (point.trim_end_matches('/') == path).then_some(options)
    });
    let options = fields.rfind(|options| !options.split(',').any(|option| option == "noauto"))?;
    let mut set: BTreeSet<&str> = BTreeSet::new();
    for option in options.split(',') {
        match option {
            "user" | "users" => set.extend(["nosuid", "nodev", "noexec"]),
            "owner" | "group" => set.extend(["nosuid", "nodev"]),
            "suid" => drop(set.remove("nosuid")),
            "dev" => drop(set.remove("nodev")),
            "exec" => drop(set.remove("noexec")),
            "rw" => drop(set.remove("ro")),
            "defaults" => set.clear(),
            other => drop(set.insert(other)),
        }
    }
    Some(set.into_iter().collect::<Vec<_>>().join(","))
}

/// A mount unit for the path, if it is wanted at boot and not masked.
fn by_unit(observation: &mut Observation<'_>, path: &str) -> Result<Option<String>, Unobservable> {
    let name = format!("{}.mount", path.trim_start_matches('/').replace('/', "-"));
    let directories = [
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ];
    let mut wanted = false;
    for directory in directories {
        let wants = format!("{directory}/local-fs.target.wants");
        let entries = observation.list(&wants)?.unwrap_or_default();
        wanted |= entries
            .iter()
            .any(|entry| entry.name == name && entry.kind != FileKind::Directory);
    }
    for directory in directories {
        let file = format!("{directory}/{name}");
        if observation
            .host()
            .read_link(&file)
            .is_ok_and(|target| target == "/dev/null")
        {
            return Ok(None);
        }
        let Some(text) = observation.text(&file)? else {
            continue;
        };
        let mut settings = systemd_config::of_section(&text, "Mount");
        for directory in directories.iter().rev() {
            let drop_ins = format!("{directory}/{name}.d");
            for entry in observation.list(&drop_ins)?.unwrap_or_default() {
                let path = format!("{drop_ins}/{}", entry.name);
                if let Some(text) = observation.text(&path)? {
                    settings.extend(systemd_config::of_section(&text, "Mount"));
                }
            }
        }
        let options = settings
            .into_iter()
            .rev()
            .find(|(name, _)| name == "Options");
        return Ok(wanted.then(|| options.map(|(_, value)| value).unwrap_or_default()));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::in_table;

    #[test]
    fn the_last_line_of_a_mount_point_counts() {
        let table = "# /dev/x /tmp ext4 nosuid 0 0\n/dev/a /tmp ext4 nosuid,nodev 0 0\n/dev/b /tmp/ ext4 rw,noexec\n/dev/c /home ext4\nshort\n/dev/d /var/tmp ext4 noauto,nosuid\n/dev/e /mnt ext4 users,exec,suid\n";
        assert_eq!(in_table(table, "/tmp").unwrap(), "noexec");
        assert_eq!(in_table(table, "/home").unwrap(), "");
        assert_eq!(in_table(table, "/var/tmp"), None);
        assert_eq!(in_table(table, "/mnt").unwrap(), "nodev");
    }
}
