//! The walk from a file system or swap area down to the devices that hold it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::crypt::{Targets, Verdict, Volume, verdict};
use super::device::{self, Devices};
use super::mount::{Mount, numbers};
use super::zfs::Pools;
use crate::host::{Host, HostError};

/// Most devices visited for one file system.
const MAX_VISITS: usize = 1024;
/// Deepest stack followed.
pub(super) const MAX_DEPTH: usize = 32;

/// What is under a file system or swap area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Backing {
    /// What holds for it as a whole.
    protection: Protection,
    /// Every layer crossed, from the top.
    stack: Vec<String>,
    /// Devices reached without crossing encryption, and volumes whose data are clear under an encrypted name.
    clear: Vec<String>,
    /// What could not be followed.
    unknown: Vec<Unknown>,
}

/// What holds for data at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Every path to a device crosses encryption.
    Encrypted,
    /// A path reaches a device in clear.
    Clear,
    /// Held in memory alone.
    Memory,
    /// Held by a server or by the host of this virtual machine.
    Network,
    /// A part could not be followed, and nothing clear was found.
    Unknown,
}

/// Something the walk could not see through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Unknown {
    /// What and where.
    what: String,
    /// Why.
    why: Obstacle,
}

/// Why a walk ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// A driver or file system that is not known here.
    Driver,
    /// A program that could tell is not installed.
    Tool,
    /// The agent may not look.
    Permission,
    /// Something that should be there was not found, or has an unexpected form.
    Incomplete,
}

/// What walks stand on: read once a round.
pub(super) struct Ground<'g> {
    pub host: &'g dyn Host,
    pub devices: &'g Devices,
    pub mounts: &'g [Mount],
    pub targets: Option<&'g Targets>,
    pub volumes: &'g [Volume],
    pub pools: &'g Pools,
}

/// One walk.
pub(super) struct Walk<'g> {
    pub(super) ground: &'g Ground<'g>,
    visited: BTreeSet<(String, bool)>,
    stack: Vec<String>,
    clear: BTreeSet<String>,
    unknown: BTreeSet<Unknown>,
    disks: BTreeSet<String>,
    pub(super) encrypted: bool,
    pub(super) memory: bool,
    pub(super) network: bool,
}

/// Where on the way down: whether encryption was crossed, how deep, and the name to show for a device in clear.
#[derive(Clone)]
pub(super) struct Way {
    pub encrypted: bool,
    pub depth: usize,
    pub shown: Option<String>,
}

const TOP: Way = Way {
    encrypted: false,
    depth: 0,
    shown: None,
};

impl<'g> Walk<'g> {
    pub(super) fn new(ground: &'g Ground<'g>) -> Walk<'g> {
        Walk {
            ground,
            visited: BTreeSet::new(),
            stack: Vec::new(),
            clear: BTreeSet::new(),
            unknown: BTreeSet::new(),
            disks: BTreeSet::new(),
            encrypted: false,
            memory: false,
            network: false,
        }
    }

    /// The disks reached, by canonical path.
    pub(super) fn disks(&self) -> &BTreeSet<String> {
        &self.disks
    }

    /// What the walk came to.
    pub(super) fn backing(&self) -> Backing {
        let protection = if !self.clear.is_empty() {
            Protection::Clear
        } else if !self.unknown.is_empty() {
            Protection::Unknown
        } else if self.encrypted {
            Protection::Encrypted
        } else if self.network {
            Protection::Network
        } else if self.memory {
            Protection::Memory
        } else {
            Protection::Unknown
        };
        Backing {
            protection,
            stack: self.stack.clone(),
            clear: self.clear.iter().cloned().collect(),
            unknown: self.unknown.iter().cloned().collect(),
        }
    }

    /// Follows a mounted file system.
    pub(super) fn filesystem(&mut self, mount: &Mount) {
        self.follow_mount(mount, &TOP);
    }

    /// Follows the file system that holds `path`.
    pub(super) fn file(&mut self, path: &str) {
        self.follow_file(path, &TOP);
    }

    /// Follows the device with a file below `/dev`.
    pub(super) fn device_file(&mut self, path: &str) {
        match self.ground.devices.named(self.ground.host, path) {
            Some(device) => self.device(&device),
            None => self.obstacle(&TOP, path, Obstacle::Incomplete),
        }
    }

    /// Follows a device by its numbers, `major:minor`.
    pub(super) fn device_numbers(&mut self, text: &str) {
        match numbers(text) {
            Some(numbers) => self.follow_numbers(numbers, &TOP),
            None => self.obstacle(&TOP, text, Obstacle::Incomplete),
        }
    }

    /// Follows a device by its canonical path.
    pub(super) fn device(&mut self, device: &str) {
        self.follow(device, &TOP);
    }

    pub(super) fn follow_numbers(&mut self, (major, minor): (u32, u32), way: &Way) {
        let link = format!("/sys/dev/block/{major}:{minor}");
        match device::canonical(self.ground.host, &link) {
            Ok(Some(device)) => self.follow(&device, way),
            Ok(None) => self.obstacle(way, &link, Obstacle::Incomplete),
            Err(error) => self.failed(way, &error),
        }
    }

    pub(super) fn follow(&mut self, device: &str, way: &Way) {
        if !self.visited.insert((device.to_owned(), way.encrypted)) {
            return;
        }
        if way.depth > MAX_DEPTH || self.visited.len() > MAX_VISITS {
            return self.obstacle(way, &device::file(device), Obstacle::Incomplete);
        }
        let way = Way {
            depth: way.depth + 1,
            ..way.clone()
        };
        if let Err(error) = self.layer(device, way.clone()) {
            self.failed(&way, &error);
        }
    }

    /// One device: what it is decides where its data go on to.
    fn layer(&mut self, device: &str, way: Way) -> Result<(), HostError> {
        let host = self.ground.host;
        let name = device::name(device).to_owned();
        let read = |attribute: &str| device::attribute(host, device, attribute);
        if read("dev")?.is_none() {
            self.obstacle(&way, &device::file(device), Obstacle::Incomplete);
            return Ok(());
        }
        if let Some(uuid) = read("dm/uuid")? {
            let mapped = read("dm/name")?.unwrap_or_default();
            return self.mapped(device, &mapped, &uuid, way);
        }
        if read("partition")?.is_some() {
            let shown = Some(device::file(device));
            self.push(device::file(device));
            // Not `follow`: a second partition of a disk already seen is to be named as well.
            return self.layer(device::parent(device), Way { shown, ..way });
        }
        if let Some(level) = read("md/level")? {
            self.push(format!("/dev/{name} (md {level})"));
            return self.below(device, way);
        }
        if let Some(file) = read("loop/backing_file")? {
            self.push(format!("/dev/{name} (loop)"));
            if file.ends_with(" (deleted)") {
                self.obstacle(
                    &way,
                    &format!("the deleted file under /dev/{name}"),
                    Obstacle::Incomplete,
                );
            } else {
                self.follow_file(&file, &Way { shown: None, ..way });
            }
            return Ok(());
        }
        let is_virtual = device.starts_with("/sys/devices/virtual/");
        if is_virtual && name.starts_with("zram") {
            self.push(format!("/dev/{name} (memory)"));
            self.memory = true;
            if let Some(disk) =
                read("backing_dev")?.filter(|disk| !matches!(disk.as_str(), "" | "none"))
            {
                match self.ground.devices.named(host, &disk) {
                    Some(disk) => self.follow(&disk, &Way { shown: None, ..way }),
                    None => self.obstacle(
                        &way,
                        &format!("{disk} under /dev/{name}"),
                        Obstacle::Incomplete,
                    ),
                }
            }
            return Ok(());
        }
        if is_virtual
            && name
                .strip_prefix("ram")
                .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
        {
            self.push(format!("/dev/{name} (memory)"));
            self.memory = true;
            return Ok(());
        }
        // NVMe disks with several paths hang below a virtual subsystem.
        if is_virtual && !name.starts_with("nvme") || !device::slaves(host, device)?.is_empty() {
            let driver = name.trim_end_matches(|c: char| c.is_ascii_digit());
            self.obstacle(
                &way,
                &format!("driver {driver} of /dev/{name}"),
                Obstacle::Driver,
            );
            return Ok(());
        }
        self.leaf(device, &way);
        Ok(())
    }

    fn mapped(
        &mut self,
        device: &str,
        mapped: &str,
        uuid: &str,
        way: Way,
    ) -> Result<(), HostError> {
        let volume = self
            .ground
            .volumes
            .iter()
            .find(|volume| volume.name() == mapped);
        let said = volume.map(Volume::summary).unwrap_or_else(|| driver(uuid));
        self.push(format!("/dev/mapper/{mapped} ({said})"));
        let mut way = Way { shown: None, ..way };
        match volume.map(verdict) {
            Some(Verdict::Encrypts) => {
                self.encrypted = true;
                way.encrypted = true;
            }
            // Said here once: the devices below add nothing to it.
            Some(Verdict::Clear(why)) => {
                if !way.encrypted {
                    self.clear.insert(format!("/dev/mapper/{mapped}: {why}"));
                }
                way.encrypted = true;
            }
            Some(Verdict::Unknown(what, why)) => {
                self.obstacle(&way, &what, why);
                way.encrypted = true;
            }
            None => {}
        }
        let nothing_stored = self
            .ground
            .targets
            .and_then(|targets| targets.get(mapped))
            .is_some_and(|kinds| {
                kinds
                    .iter()
                    .all(|kind| matches!(kind.as_str(), "zero" | "error"))
            });
        if nothing_stored {
            self.memory = true;
            return Ok(());
        }
        self.below(device, way)
    }

    fn below(&mut self, device: &str, way: Way) -> Result<(), HostError> {
        let slaves = device::slaves(self.ground.host, device)?;
        if slaves.is_empty() {
            self.obstacle(
                &way,
                &format!("what {} is made of", device::file(device)),
                Obstacle::Incomplete,
            );
        }
        for slave in slaves {
            self.follow(
                &slave,
                &Way {
                    shown: None,
                    ..way.clone()
                },
            );
        }
        Ok(())
    }

    fn leaf(&mut self, disk: &str, way: &Way) {
        self.disks.insert(disk.to_owned());
        if way.shown.is_none() {
            self.push(device::file(disk));
        }
        if !way.encrypted {
            self.clear
                .insert(way.shown.clone().unwrap_or_else(|| device::file(disk)));
        }
    }

    pub(super) fn push(&mut self, layer: String) {
        if !self.stack.contains(&layer) {
            self.stack.push(layer);
        }
    }

    /// Below encryption nothing can make data clear again, so what cannot be followed there does not matter.
    pub(super) fn obstacle(&mut self, way: &Way, what: &str, why: Obstacle) {
        if !way.encrypted {
            self.unknown.insert(Unknown {
                what: what.to_owned(),
                why,
            });
        }
    }

    pub(super) fn failed(&mut self, way: &Way, error: &HostError) {
        let why = match error {
            HostError::Permission(_) => Obstacle::Permission,
            HostError::ToolMissing(_) => Obstacle::Tool,
            _ => Obstacle::Incomplete,
        };
        self.obstacle(way, &error.to_string(), why);
    }
}

/// Who made a device-mapper node, by the prefix of its UUID: `LVM`, `mpath`, `CRYPT-VERITY`.
fn driver(uuid: &str) -> String {
    let parts = if uuid.starts_with("CRYPT-") { 2 } else { 1 };
    let prefix: Vec<&str> = uuid.split('-').take(parts).collect();
    match prefix.join("-") {
        none if none.is_empty() => "device mapper".to_owned(),
        prefix => prefix,
    }
}
