//! What lies under mounted file systems, swap and the hibernation image, and which of it is encrypted.
//!
//! Every file system is followed from its mount down to the last device: through partitions, device-mapper nodes, md,
//! loop files, btrfs members, ZFS datasets and the layers of an overlay. It counts as encrypted if every path down to a
//! device crosses a node that encrypts *now*: a dm node whose live segments are all of target type `crypt` with a cipher
//! other than `cipher_null`, or a ZFS dataset with a loaded key. A driver that this walk does not know is named in
//! `unknown` and makes no statement.
//!
//! Segments come from `/usr/sbin/dmsetup status`, the live cipher from `/usr/sbin/cryptsetup status NAME`, formats and key
//! derivation from the LUKS header, of which only metadata is read: the area of the key slots never is. Live tables are
//! not asked for, as they can hold keys. Mounts are those of PID 1, since a sandboxed agent may see fewer.

mod crypt;
mod device;
mod filesystem;
mod luks;
pub(in crate::probe) mod mount;
mod stack;
mod zfs;

use std::collections::BTreeSet;

use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use self::crypt::Volume;
use self::device::Devices;
use self::mount::Mount;
use self::stack::{Backing, Ground, Walk};
use super::{Observation, Probe, Unobservable};
use crate::host::HostError;

/// Most file systems told apart.
const MAX_FILESYSTEMS: usize = 512;

/// The probe `storage`.
pub struct Storage;

/// Facts about file systems, swap, the hibernation image and encrypted volumes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StorageFacts {
    /// Mounted file systems that keep data on a device or a server, and whatever is mounted at `/`.
    filesystems: Vec<Filesystem>,
    /// Whether all mounted file systems are among them.
    complete: bool,
    /// Active swap areas.
    swaps: Vec<Swap>,
    /// The device a hibernation image would be resumed from, if one is set and exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<Swap>,
    /// Open volumes of dm-crypt.
    volumes: Vec<Volume>,
    /// The cloud provider whose virtual machine this is, by its firmware tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
}

/// One file system, however often it is mounted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Filesystem {
    /// Where it is mounted, shortest first; mounts of a mere part of it are left out if the whole is mounted too.
    mounts: Vec<String>,
    /// Type, as in mountinfo.
    kind: String,
    /// Source, as in mountinfo.
    source: String,
    /// Mounted at `/`.
    root: bool,
    /// Mounted read-only as a whole.
    read_only: bool,
    /// Lies on removable storage (USB, SD card, removable drive) that is not also the disk of `/`.
    removable: bool,
    /// What is under it.
    storage: Backing,
}

/// A place that memory pages are written to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Swap {
    /// Device or file.
    source: String,
    /// What is under it.
    storage: Backing,
}

/// A provider of virtual machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Provider {
    Aws,
    Azure,
    Google,
    Oracle,
    Digitalocean,
    Hetzner,
    Scaleway,
    Alibaba,
}

impl Probe for Storage {
    const ID: &'static str = "storage";
    type Facts = StorageFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<StorageFacts, Unobservable> {
        observation.require_live("the devices under the mounts")?;
        let mounts = mounts(observation)?;
        let devices = Devices::read(observation.host())?;
        observation.note("/sys/dev/block");
        let targets = crypt::targets(observation, &devices)?;
        let volumes = crypt::volumes(observation, &devices, targets.as_ref())?;
        let pools = zfs::pools(observation, &mounts)?;
        let host = observation.host();
        let ground = Ground {
            host,
            devices: &devices,
            mounts: &mounts,
            targets: targets.as_ref(),
            volumes: &volumes,
            pools: &pools,
        };
        let (filesystems, complete) = filesystems(&ground);
        let swaps = swaps(observation, &ground)?;
        let resume = resume(observation, &ground)?;
        Ok(StorageFacts {
            filesystems,
            complete,
            swaps,
            resume,
            provider: provider(observation)?,
            volumes,
        })
    }
}

/// The mounts of PID 1, or those of the agent where it may not see them.
pub(in crate::probe) fn mounts(
    observation: &mut Observation<'_>,
) -> Result<Vec<Mount>, Unobservable> {
    let first = match observation.text("/proc/1/mountinfo") {
        Err(error) if error.reason != Reason::PermissionDenied => return Err(error),
        other => other.ok().flatten().filter(|text| !text.is_empty()),
    };
    let (path, text) = match first {
        Some(text) => ("/proc/1/mountinfo", text),
        None => (
            "/proc/self/mountinfo",
            observation.required_text("/proc/self/mountinfo")?,
        ),
    };
    mount::parse_mountinfo(&text).map_err(|problem| Unobservable::unparsable(path, problem))
}

/// One entry a superblock, in the order of its shortest mount point.
fn filesystems(ground: &Ground<'_>) -> (Vec<Filesystem>, bool) {
    let top = ground.mounts.iter().rposition(|mount| mount.point == "/");
    let mut seen = BTreeSet::new();
    let mut found: Vec<(Filesystem, Walk<'_>)> = Vec::new();
    let mut complete = true;
    for (at, mount) in ground.mounts.iter().enumerate() {
        let is_root = Some(at) == top;
        let hidden = mount.point == "/" && !is_root;
        if hidden || !(is_root || mount.keeps_data()) || !seen.insert(mount.device) {
            continue;
        }
        if found.len() == MAX_FILESYSTEMS {
            complete = false;
            break;
        }
        let mut walk = Walk::new(ground);
        walk.filesystem(mount);
        let same: Vec<&Mount> = ground
            .mounts
            .iter()
            .filter(|other| other.device == mount.device)
            .collect();
        let root = top
            .and_then(|top| ground.mounts.get(top))
            .is_some_and(|top| top.device == mount.device);
        found.push((
            Filesystem {
                mounts: mount_points(&same),
                kind: mount.kind.clone(),
                source: mount.source.clone(),
                root,
                read_only: mount.read_only,
                removable: false,
                storage: walk.backing(),
            },
            walk,
        ));
    }
    let system_disks: BTreeSet<String> = found
        .iter()
        .filter(|(filesystem, _)| filesystem.root)
        .flat_map(|(_, walk)| walk.disks().iter().cloned())
        .collect();
    for (filesystem, walk) in &mut found {
        filesystem.removable = walk
            .disks()
            .difference(&system_disks)
            .any(|disk| device::is_removable(ground.host, disk));
    }
    let mut filesystems: Vec<Filesystem> = found
        .into_iter()
        .map(|(filesystem, _)| filesystem)
        .collect();
    filesystems.sort_by(|a, b| a.mounts.cmp(&b.mounts));
    (filesystems, complete)
}

/// Short-lived bind mounts of single directories would change the facts at every round.
fn mount_points(same: &[&Mount]) -> Vec<String> {
    let whole: Vec<&&Mount> = same.iter().filter(|mount| mount.root == "/").collect();
    let counted: Vec<&Mount> = if whole.is_empty() {
        same.to_vec()
    } else {
        whole.into_iter().copied().collect()
    };
    let mut points: Vec<String> = counted.iter().map(|mount| mount.point.clone()).collect();
    points.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    points.dedup();
    points
}

fn swaps(
    observation: &mut Observation<'_>,
    ground: &Ground<'_>,
) -> Result<Vec<Swap>, Unobservable> {
    // A kernel without swap support has no such file.
    let text = observation.text("/proc/swaps")?.unwrap_or_default();
    let areas = mount::parse_swaps(&text)
        .map_err(|problem| Unobservable::unparsable("/proc/swaps", problem))?;
    let mut swaps: Vec<Swap> = areas
        .into_iter()
        .map(|area| {
            let mut walk = Walk::new(ground);
            if area.file {
                walk.file(&area.path);
            } else {
                walk.device_file(&area.path);
            }
            Swap {
                source: area.path,
                storage: walk.backing(),
            }
        })
        .collect();
    swaps.sort_by(|a, b| a.source.cmp(&b.source));
    Ok(swaps)
}

fn resume(
    observation: &mut Observation<'_>,
    ground: &Ground<'_>,
) -> Result<Option<Swap>, Unobservable> {
    let numbers = observation.text("/sys/power/resume")?.unwrap_or_default();
    let mut walk = Walk::new(ground);
    if !matches!(numbers.trim(), "" | "0:0") {
        walk.device_numbers(numbers.trim());
        return Ok(Some(Swap {
            source: numbers.trim().to_owned(),
            storage: walk.backing(),
        }));
    }
    let line = observation.text("/proc/cmdline")?.unwrap_or_default();
    let named = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("resume="))
        .next_back();
    let Some(named) = named else { return Ok(None) };
    // What does not exist cannot be written to; a stale name on the command line is common.
    let Some(path) = ground.devices.named(ground.host, named) else {
        return Ok(None);
    };
    walk.device(&path);
    Ok(Some(Swap {
        source: named.to_owned(),
        storage: walk.backing(),
    }))
}

/// Vendors as the firmware of their virtual machines gives them (SMBIOS type 1 and 3 through sysfs).
fn provider(observation: &mut Observation<'_>) -> Result<Option<Provider>, Unobservable> {
    const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";
    let host = observation.host();
    let field = |name: &str| match host.read(&format!("/sys/class/dmi/id/{name}"), 4096) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
        Err(HostError::NotFound(_)) => Ok(String::new()),
        Err(error) => Err(Unobservable::from(error)),
    };
    let (vendor, product, tag) = (
        field("sys_vendor")?,
        field("product_name")?,
        field("chassis_asset_tag")?,
    );
    observation.note("/sys/class/dmi/id");
    Ok(match (vendor.as_str(), product.as_str(), tag.as_str()) {
        ("Amazon EC2", ..) => Some(Provider::Aws),
        ("Google", "Google Compute Engine", _) => Some(Provider::Google),
        (_, _, AZURE_TAG) => Some(Provider::Azure),
        (_, _, "OracleCloud.com") => Some(Provider::Oracle),
        ("DigitalOcean", ..) => Some(Provider::Digitalocean),
        ("Hetzner", "vServer", _) => Some(Provider::Hetzner),
        ("Scaleway", ..) => Some(Provider::Scaleway),
        ("Alibaba Cloud", ..) => Some(Provider::Alibaba),
        _ => None,
    })
}
