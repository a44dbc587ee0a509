//! From what was read to what is watched: pairs of a directory and a name in it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use evidence::id::ProbeId;
use evidence::time::Timestamp;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::io::Errno;

use super::Fallback;
use super::reads::{Reads, Source};

/// Any name of a directory.
pub(super) const ANY: &str = "";
/// Most links on the way to one path, as the kernel allows.
const MAX_LINKS: usize = 40;
/// Most directories watched: each holds about a kilobyte of kernel memory.
const MAX_WATCHES: usize = 4_096;

/// Names that come, go, or get other content, owner or mode. Content counts when its writer closes the file: logs, which
/// are written without end, do not.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);

/// Where PID 1 keeps a link `invocation:UNIT` for each unit that runs (`unit_export_invocation_id` in systemd).
const RUNNING_UNITS: &str = "/run/systemd/units";
/// Made anew by each daemon-reload (systemd.generator(7)).
const GENERATED: [&str; 3] = [
    "/run/systemd/generator",
    "/run/systemd/generator.early",
    "/run/systemd/generator.late",
];
/// Unit directories that change while a host runs (systemd.unit(5)).
const UNIT_DIRECTORIES: [&str; 6] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/transient",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A name in a watched directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) watch: i32,
    /// [`ANY`] for every name.
    pub(super) name: String,
    /// It tells of a unit, whose state settles later.
    pub(super) unit: bool,
}

/// What is to be watched for one probe.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) places: BTreeSet<Place>,
    pub(super) sources: BTreeSet<Source>,
    pub(super) fallback: Option<Fallback>,
    /// Something changed since the probe read it and before it was watched.
    pub(super) changed: bool,
}

enum Found {
    Nothing,
    Link(String),
    Directory,
    Other,
}

/// What is to be watched, with the watches already set.
pub struct Plan {
    inotify: Option<Arc<OwnedFd>>,
    since: Timestamp,
    looked_at: BTreeMap<String, (bool, std::rc::Rc<Found>)>,
    watches: BTreeMap<String, Result<i32, Errno>>,
    pub(super) probes: BTreeMap<ProbeId, Planned>,
}

impl Plan {
    /// A plan for probes that began at `since`.
    pub(super) fn new(inotify: Option<Arc<OwnedFd>>, since: Timestamp) -> Plan {
        Plan {
            inotify,
            since,
            looked_at: BTreeMap::new(),
            watches: BTreeMap::new(),
            probes: BTreeMap::new(),
        }
    }

    /// The probe keeps its cadence.
    pub(super) fn leave(&mut self, probe: &ProbeId, fallback: Fallback) {
        self.probes.insert(
            probe.clone(),
            Planned {
                fallback: Some(fallback),
                ..Planned::default()
            },
        );
    }

    /// Watches what the probe read.
    pub(super) fn add(&mut self, probe: &ProbeId, reads: &Reads) {
        if reads.walked {
            return self.leave(probe, Fallback::Walk);
        }
        if reads.too_many {
            return self.leave(probe, Fallback::TooManyPlaces);
        }
        let mut planned = Planned {
            sources: reads.sources.clone(),
            ..Planned::default()
        };
        for (path, there) in &reads.paths {
            let real = self.way(&mut planned, path, false);
            let listed = reads.listed.contains(path);
            match real {
                None => planned.changed |= there,
                Some(real) if listed => {
                    planned.changed |= self.look_at(&real).0;
                    self.watch(&mut planned, &real, ANY, false);
                }
                Some(_) => {}
            }
        }
        if !reads.units.is_empty() {
            self.units(&mut planned, &reads.units);
        }
        if planned.places.is_empty() && planned.sources.is_empty() {
            planned.fallback.get_or_insert(Fallback::NotWatchable);
        }
        self.probes.insert(probe.clone(), planned);
    }

    /// The way to `path`, name by name; returns where it leads if that is there.
    fn way(&mut self, planned: &mut Planned, path: &str, unit: bool) -> Option<String> {
        let mut done: Vec<String> = Vec::new();
        let mut left: Vec<String> = parts(path);
        left.reverse();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let parent = format!("/{}", done.join("/"));
            self.watch(planned, &parent, &part, unit);
            done.push(part);
            let (changed, found) = self.look_at(&format!("/{}", done.join("/")));
            // That a name came into a directory on the way, or into one that was not listed, is no change of it.
            planned.changed |= changed && !matches!(*found, Found::Directory);
            match &*found {
                Found::Nothing => return None,
                Found::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    done.pop();
                    if target.starts_with('/') {
                        done.clear();
                    }
                    left.extend(parts(target).into_iter().rev());
                }
                Found::Directory => {}
                Found::Other if left.is_empty() => {}
                Found::Other => return None,
            }
        }
        Some(format!("/{}", done.join("/")))
    }

    /// What is there, and whether it changed since the probe began. Each path is looked at once for all probes.
    fn look_at(&mut self, path: &str) -> (bool, std::rc::Rc<Found>) {
        if let Some(known) = self.looked_at.get(path) {
            return known.clone();
        }
        let entry = match std::fs::symlink_metadata(path) {
            Err(_) => (false, Found::Nothing),
            Ok(metadata) => {
                let changed = metadata
                    .ctime()
                    .saturating_mul(1000)
                    .saturating_add(metadata.ctime_nsec() / 1_000_000);
                // The kernel stamps files with the time of the last tick, which is up to 10 ms ago.
                let later = changed + 10 >= self.since.unix_ms();
                let found = if metadata.is_symlink() {
                    std::fs::read_link(path).map_or(Found::Nothing, |target| {
                        Found::Link(target.to_string_lossy().into_owned())
                    })
                } else if metadata.is_dir() {
                    Found::Directory
                } else {
                    Found::Other
                };
                (later, found)
            }
        };
        let entry = (entry.0, std::rc::Rc::new(entry.1));
        self.looked_at.insert(path.to_owned(), entry.clone());
        entry
    }

    fn watch(&mut self, planned: &mut Planned, directory: &str, name: &str, unit: bool) {
        let Some(inotify) = &self.inotify else {
            planned.fallback = Some(Fallback::WatchLimit);
            return;
        };
        let full = self.watches.len() >= MAX_WATCHES;
        let watch = match self.watches.get(directory) {
            Some(known) => *known,
            None if full => Err(Errno::NOSPC),
            None => {
                let added = inotify::add_watch(inotify, Path::new(directory), EVENTS);
                self.watches.insert(directory.to_owned(), added);
                added
            }
        };
        match watch {
            Ok(watch) => {
                planned.places.insert(Place {
                    watch,
                    name: name.to_owned(),
                    unit,
                });
            }
            Err(Errno::NOSPC | Errno::NOMEM) => planned.fallback = Some(Fallback::WatchLimit),
            // It went away or became something else just now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => planned.changed = true,
            Err(_) => {
                planned.fallback.get_or_insert(Fallback::NotWatchable);
            }
        }
    }

    fn units(&mut self, planned: &mut Planned, units: &BTreeSet<String>) {
        for directory in GENERATED {
            self.way(planned, directory, true);
        }
        for unit in units {
            self.way(planned, &format!("{RUNNING_UNITS}/invocation:{unit}"), true);
        }
        for directory in UNIT_DIRECTORIES {
            let Some(real) = self.way(planned, directory, true) else {
                continue;
            };
            for unit in units {
                self.watch(planned, &real, unit, true);
                self.watch(planned, &real, &format!("{unit}.d"), true);
            }
            if real.starts_with("/etc/") {
                self.links_of_targets(planned, &real, units);
            }
        }
    }

    /// `systemctl enable` makes links in the `.wants` and `.requires` folders of targets.
    fn links_of_targets(
        &mut self,
        planned: &mut Planned,
        directory: &str,
        units: &BTreeSet<String>,
    ) {
        const MAX_FOLDERS: usize = 64;
        let Ok(entries) = std::fs::read_dir(directory) else {
            return;
        };
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let folders: Vec<String> = names
            .filter(|name| name.ends_with(".wants") || name.ends_with(".requires"))
            .take(MAX_FOLDERS)
            .collect();
        for folder in folders {
            let folder = format!("{directory}/{folder}");
            for unit in units {
                self.watch(planned, &folder, unit, true);
            }
        }
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .collect()
}
