//! What deletes old files from the places for temporary data, and how old the oldest file there is.
//!
//! Rules are those of tmpfiles.d(5) as `systemd-tmpfiles --clean` applies them; its timer and last run come from systemd.
//! Of each place the first level alone is looked at, files without following a link: what lies deeper is the rule's
//! matter. A file's time is the later of its last change of content and of status, so that an old file just copied or
//! unpacked is young.

mod cron;
mod rule;

use std::collections::BTreeSet;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use self::rule::Line;
use super::storage::{self, mount::Mount};
use super::unit::{Unit, units};
use super::{Observation, Probe, Unobservable};
use crate::host::{FileKind, HostError};

/// Places for temporary data, crash reports and memory images.
const PLACES: [&str; 4] = [
    "/tmp",
    "/var/tmp",
    "/var/crash",
    "/var/lib/systemd/coredump",
];
const TIMER: &str = "systemd-tmpfiles-clean.timer";
const SERVICE: &str = "systemd-tmpfiles-clean.service";
/// Most files of one place whose time is looked at.
const MAX_FILES: usize = 20_000;

/// The probe `cleanup`.
pub struct Cleanup;

/// Facts of the deletion of temporary data.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CleanupFacts {
    /// The places that exist, in a fixed order.
    places: Vec<Place>,
    /// `systemd-tmpfiles-clean.timer`.
    timer: Unit,
    /// `systemd-tmpfiles-clean.service`, which the timer starts. Some rules being wrong (exit code 65) is a success.
    service: Unit,
    /// Tables and scripts of cron that delete from these places too; how much they delete is not read.
    jobs: Vec<String>,
}

/// A place for temporary data.
#[derive(Debug, Serialize, JsonSchema)]
struct Place {
    /// Its path.
    path: String,
    /// It lies in memory, so that it is empty after each boot.
    memory: bool,
    /// The least age, in seconds, at which the rules delete; absent if none deletes by age.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_seconds: Option<i64>,
    /// The file of tmpfiles.d(5) with that rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// A rule empties it at boot (type `D`).
    emptied_at_boot: bool,
    /// A rule of type `x` or `X` takes all that lies in it out of the deletion by age.
    excluded: bool,
    /// The time of the oldest regular file at its first level, lock files of X displays apart; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
    /// Every file at the first level was looked at.
    complete: bool,
}

impl Probe for Cleanup {
    const ID: &'static str = "cleanup";
    type Facts = CleanupFacts;

    fn units() -> Vec<&'static str> {
        vec![TIMER, SERVICE]
    }

    fn observe(observation: &mut Observation<'_>) -> Result<CleanupFacts, Unobservable> {
        observation.require_live("the last deletion of temporary files")?;
        let mut found = units(observation, &[TIMER, SERVICE])?;
        let mounts = storage::mounts(observation)?;
        let lines = rule::read(observation)?;
        let mut places = Vec::new();
        for path in PLACES {
            places.extend(place(observation, path, &lines, &mounts)?);
        }
        Ok(CleanupFacts {
            places,
            timer: found.remove(TIMER).unwrap_or_default(),
            service: found.remove(SERVICE).unwrap_or_default(),
            jobs: cron::jobs(observation, &PLACES)?,
        })
    }
}

fn place(
    observation: &mut Observation<'_>,
    path: &str,
    lines: &[Line],
    mounts: &[Mount],
) -> Result<Option<Place>, Unobservable> {
    let linked = match observation.host().lstat(path) {
        Ok(stat) => stat.kind != FileKind::Directory,
        Err(HostError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (oldest, complete) = if linked {
        (None, false)
    } else {
        oldest(observation, path)
    };
    let rule = rule::cleaning(lines, path);
    Ok(Some(Place {
        path: path.to_owned(),
        memory: in_memory(mounts, path),
        keep_seconds: rule.and_then(|line| line.keep_seconds),
        rule: rule.map(|line| line.file.clone()),
        emptied_at_boot: rule::emptied_at_boot(lines, path),
        excluded: rule::excluded(lines, path),
        oldest,
        complete,
    }))
}

/// The oldest file at the first level, and whether all were looked at.
fn oldest(observation: &mut Observation<'_>, path: &str) -> (Option<Timestamp>, bool) {
    observation.note(path);
    let host = observation.host();
    let Ok(entries) = host.list(path) else {
        return (None, false);
    };
    let mut oldest: Option<Timestamp> = None;
    let mut complete = true;
    let files = entries
        .iter()
        .filter(|entry| entry.kind == FileKind::Regular && !is_display_lock(&entry.name));
    for (number, entry) in files.enumerate() {
        if number == MAX_FILES {
            return (oldest, false);
        }
        match host.lstat(&format!("{path}/{}", entry.name)) {
            Ok(stat) if stat.kind == FileKind::Regular => {
                let changed = stat.mtime.max(stat.ctime);
                oldest = Some(oldest.map_or(changed, |before| before.min(changed)));
            }
            // Something else took its name meanwhile, or it was deleted; a name that is no UTF-8 cannot be asked for.
            Ok(_) => {}
            Err(HostError::NotFound(_)) if !entry.name.contains('\u{fffd}') => {}
            Err(_) => complete = false,
        }
    }
    (oldest, complete)
}

/// `.X0-lock`: it says that a display is in use, for as long as it is.
fn is_display_lock(name: &str) -> bool {
    name.strip_prefix(".X")
        .and_then(|rest| rest.strip_suffix("-lock"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The mount that is uppermost at the path or nearest above it lies in memory.
fn in_memory(mounts: &[Mount], path: &str) -> bool {
    let above: BTreeSet<&str> = path
        .match_indices('/')
        .map(|(at, _)| if at == 0 { "/" } else { &path[..at] })
        .chain([path])
        .collect();
    mounts
        .iter()
        .filter(|mount| above.contains(mount.point.as_str()))
        .max_by_key(|mount| mount.point.len())
        .is_some_and(Mount::is_memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uppermost_mount_counts() {
        let root = "27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let tmp = "28 27 0:30 / /tmp rw - tmpfs tmpfs rw\n";
        let over = "29 28 254:1 / /tmp rw - ext4 /dev/vdb rw\n";
        let mounts = |text: &str| storage::mount::parse_mountinfo(text).unwrap();
        assert!(!in_memory(&mounts(root), "/tmp"));
        assert!(in_memory(&mounts(&format!("{root}{tmp}")), "/tmp"));
        assert!(!in_memory(&mounts(&format!("{root}{tmp}")), "/var/tmp"));
        assert!(!in_memory(&mounts(&format!("{root}{tmp}{over}")), "/tmp"));
    }

    #[test]
    fn only_locks_of_displays_are_left_out() {
        assert!(is_display_lock(".X0-lock") && is_display_lock(".X1024-lock"));
        assert!(!is_display_lock(".X-lock") && !is_display_lock(".Xdata-lock"));
        assert!(!is_display_lock("X0-lock"));
    }
}
