//! From a file system to the devices that hold it: one device, the members of btrfs or ZFS, the layers of an overlay.

use super::device;
use super::mount::Mount;
use super::stack::{MAX_DEPTH, Obstacle, Walk, Way};

impl<'g> Walk<'g> {
    pub(super) fn follow_mount(&mut self, mount: &Mount, way: &Way) {
        let way = &Way {
            depth: way.depth + 1,
            ..way.clone()
        };
        if way.depth > MAX_DEPTH {
            return self.obstacle(way, &mount.point, Obstacle::Incomplete);
        }
        match mount.kind.as_str() {
            _ if mount.is_memory() => self.memory = true,
            _ if mount.is_network() => self.network = true,
            "btrfs" => self.follow_btrfs(mount, way),
            "zfs" => self.follow_dataset(&mount.source, way),
            "overlay" => self.follow_overlay(mount, way),
            // bcachefs can encrypt on its own, and no stable interface says whether it does.
            kind if mount.device.0 == 0 => {
                self.obstacle(
                    way,
                    &format!("file system {kind} at {}", mount.point),
                    Obstacle::Driver,
                );
            }
            _ => {
                self.follow_numbers(mount.device, way);
                // XFS may keep its log and its real-time data on devices of their own.
                for device in ["logdev", "rtdev"]
                    .iter()
                    .filter_map(|name| mount.option(name))
                {
                    match self.ground.devices.named(self.ground.host, device) {
                        Some(path) => self.follow(&path, way),
                        None => self.obstacle(way, device, Obstacle::Incomplete),
                    }
                }
            }
        }
    }

    /// A path may lie on a mount that another hides: the file's own device number must be that of the mount.
    pub(super) fn follow_file(&mut self, path: &str, way: &Way) {
        let holds = |mount: &&Mount| {
            let point = mount.point.trim_end_matches('/');
            path.strip_prefix(point)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // Of equally long ones the last lies on top.
        let mounts = self.ground.mounts;
        let mount = mounts
            .iter()
            .filter(holds)
            .max_by_key(|mount| mount.point.len());
        let stat = match self.ground.host.stat(path) {
            Ok(stat) => stat,
            Err(error) => return self.failed(way, &error),
        };
        match mount {
            // btrfs and others without a device number give each part of theirs its own.
            Some(mount) if mount.device.0 == 0 || mount.device == stat.device => {
                self.push(format!("{path} on {}", mount.point));
                self.follow_mount(mount, way);
            }
            _ => self.obstacle(
                way,
                &format!("the mount that holds {path}"),
                Obstacle::Incomplete,
            ),
        }
    }

    /// mountinfo shows an anonymous device number; the members are listed by the file system's UUID.
    fn follow_btrfs(&mut self, mount: &Mount, way: &Way) {
        let host = self.ground.host;
        let Some(member) = self.ground.devices.named(host, &mount.source) else {
            return self.obstacle(
                way,
                &format!("btrfs member {}", mount.source),
                Obstacle::Incomplete,
            );
        };
        let systems = match host.list("/sys/fs/btrfs") {
            Ok(systems) => systems,
            Err(error) => return self.failed(way, &error),
        };
        for system in systems {
            let directory = format!("/sys/fs/btrfs/{}/devices", system.name);
            let Ok(members) = host.list(&directory) else {
                continue;
            };
            let own = device::name(&member);
            if !members.iter().any(|other| other.name == own) {
                continue;
            }
            for other in members {
                match device::canonical(host, &format!("{directory}/{}", other.name)) {
                    Ok(Some(device)) => self.follow(&device, way),
                    Ok(None) => self.obstacle(way, &other.name, Obstacle::Incomplete),
                    Err(error) => self.failed(way, &error),
                }
            }
            return;
        }
        self.obstacle(
            way,
            &format!("members of btrfs at {}", mount.point),
            Obstacle::Incomplete,
        );
    }

    /// Each layer lies on another mount. Layers that were set up in a file system since hidden cannot be found again.
    fn follow_overlay(&mut self, mount: &Mount, way: &Way) {
        let upper = mount.option("upperdir");
        let lower = mount.option("lowerdir").unwrap_or_default().split(':');
        let layers: Vec<String> = upper
            .into_iter()
            .chain(lower)
            .filter(|layer| layer.starts_with('/'))
            .map(str::to_owned)
            .collect();
        if layers.is_empty() {
            return self.obstacle(
                way,
                &format!("layers of overlay at {}", mount.point),
                Obstacle::Incomplete,
            );
        }
        let mut live = false;
        for (index, layer) in layers.iter().enumerate() {
            let Some(other) = self.layer_mount(mount, layer) else {
                self.obstacle(way, &format!("overlay layer {layer}"), Obstacle::Incomplete);
                continue;
            };
            self.push(format!("{layer} on {}", other.point));
            live |= index == 0 && upper.is_some() && other.is_memory();
            // A live system is booted from an image that anybody may have, and writes to memory.
            if !(live && other.is_image()) {
                self.follow_mount(other, way);
            }
        }
    }

    fn layer_mount(&self, overlay: &Mount, layer: &str) -> Option<&'g Mount> {
        let others = self.ground.mounts.iter();
        others
            .filter(|other| other.point != "/" && other.device != overlay.device)
            .filter(|other| {
                layer
                    .strip_prefix(other.point.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|other| other.point.len())
    }

    pub(super) fn follow_dataset(&mut self, dataset: &str, way: &Way) {
        let Some(found) = self.ground.pools.dataset(dataset) else {
            let why = if self.ground.pools.asked() {
                Obstacle::Incomplete
            } else {
                Obstacle::Tool
            };
            return self.obstacle(way, &format!("ZFS dataset {dataset}"), why);
        };
        self.push(format!(
            "ZFS dataset {dataset} (encryption {})",
            found.encryption
        ));
        if found.is_encrypted() {
            self.encrypted = true;
            return;
        }
        let pools = self.ground.pools;
        let members = pools.members(dataset);
        if members.is_empty() {
            return self.obstacle(
                way,
                &format!("members of the pool of {dataset}"),
                Obstacle::Incomplete,
            );
        }
        for member in members {
            match self.ground.devices.named(self.ground.host, member) {
                Some(device) => self.follow(&device, way),
                None => self.obstacle(way, member, Obstacle::Incomplete),
            }
        }
    }
}
