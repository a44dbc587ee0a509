//! Block devices as sysfs shows them. A device is known by its canonical path below `/sys/devices`.

use std::collections::BTreeMap;

use crate::host::{Host, HostError};

/// Most bytes of one attribute.
const MAX_ATTRIBUTE_BYTES: usize = 64 * 1024;

/// The device-mapper nodes there are.
pub(super) struct Devices {
    /// Canonical path by device-mapper name.
    mapped: BTreeMap<String, String>,
}

impl Devices {
    pub(super) fn read(host: &dyn Host) -> Result<Devices, HostError> {
        let mut mapped = BTreeMap::new();
        let entries = match host.list("/sys/class/block") {
            Ok(entries) => entries,
            Err(HostError::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        for entry in entries.iter().filter(|entry| entry.name.starts_with("dm-")) {
            let Some(path) = canonical(host, &format!("/sys/class/block/{}", entry.name))? else {
                continue;
            };
            if let Some(name) = attribute(host, &path, "dm/name")? {
                mapped.insert(name, path);
            }
        }
        Ok(Devices { mapped })
    }

    /// Device-mapper names with their canonical paths.
    pub(super) fn mapped(&self) -> &BTreeMap<String, String> {
        &self.mapped
    }

    /// The canonical path of what `name` means as a source or on the kernel's command line: a path below `/dev` or
    /// `UUID=`, `LABEL=`, `PARTUUID=`, `PARTLABEL=`.
    pub(super) fn named(&self, host: &dyn Host, name: &str) -> Option<String> {
        const TAGS: [(&str, &str); 4] = [
            ("UUID=", "by-uuid"),
            ("LABEL=", "by-label"),
            ("PARTUUID=", "by-partuuid"),
            ("PARTLABEL=", "by-partlabel"),
        ];
        let mut path = TAGS
            .iter()
            .find_map(|(tag, directory)| {
                let value = name.strip_prefix(tag)?.trim_matches('"');
                Some(format!("/dev/disk/{directory}/{value}"))
            })
            .unwrap_or_else(|| name.to_owned());
        for _ in 0..8 {
            match host.read_link(&path) {
                Ok(target) => path = join(&path, &target),
                Err(_) => break,
            }
        }
        if let Some(mapped) = path.strip_prefix("/dev/mapper/") {
            return self.mapped.get(mapped).cloned();
        }
        // `/` in a device's name is `!` in sysfs.
        let node = path.strip_prefix("/dev/")?.replace('/', "!");
        canonical(host, &format!("/sys/class/block/{node}"))
            .ok()
            .flatten()
    }
}

/// Where a link of sysfs leads; `None` if there is no such device.
pub(super) fn canonical(host: &dyn Host, link: &str) -> Result<Option<String>, HostError> {
    match host.read_link(link) {
        Ok(target) => Ok(Some(join(link, &target))),
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An attribute without its line end; `None` if the device has none of that name.
pub(super) fn attribute(
    host: &dyn Host,
    device: &str,
    name: &str,
) -> Result<Option<String>, HostError> {
    match host.read(&format!("{device}/{name}"), MAX_ATTRIBUTE_BYTES) {
        Ok(bytes) => Ok(Some(
            String::from_utf8_lossy(&bytes)
                .trim_end_matches('\n')
                .to_owned(),
        )),
        Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The devices that `device` is made of.
pub(super) fn slaves(host: &dyn Host, device: &str) -> Result<Vec<String>, HostError> {
    let entries = match host.list(&format!("{device}/slaves")) {
        Ok(entries) => entries,
        Err(HostError::NotFound(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries
        .iter()
        .map(|entry| {
            let link = format!("{device}/slaves/{}", entry.name);
            canonical(host, &link)?.ok_or(HostError::NotFound(link))
        })
        .collect()
}

/// The kernel's name of a device: `dm-0`, `sda2`.
pub(super) fn name(device: &str) -> &str {
    device.rsplit('/').next().unwrap_or(device)
}

/// Its file below `/dev`.
pub(super) fn file(device: &str) -> String {
    format!("/dev/{}", name(device).replace('!', "/"))
}

/// The directory above: for a partition, its disk.
pub(super) fn parent(device: &str) -> &str {
    device.rsplit_once('/').map_or(device, |(above, _)| above)
}

/// Taken out by hand: on USB, an SD card, or a drive that says so. Unreadable counts as not.
pub(super) fn is_removable(host: &dyn Host, disk: &str) -> bool {
    let on_usb = disk.split('/').any(|part| {
        part.strip_prefix("usb")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    let says = |name: &str, value: &str| {
        attribute(host, disk, name).is_ok_and(|found| found.as_deref() == Some(value))
    };
    on_usb || says("removable", "1") || says("device/type", "SD")
}

/// A link's target, made absolute.
fn join(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = if target.starts_with('/') {
        Vec::new()
    } else {
        parent(link)
            .split('/')
            .filter(|part| !part.is_empty())
            .collect()
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
