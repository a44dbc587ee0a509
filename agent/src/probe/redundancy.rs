//! Redundancy of disks and network links as the kernel has it: md, LVM raid, btrfs, ZFS, multipath and bonding.

mod network;
mod storage;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};

/// The probe `redundancy`.
pub struct Redundancy;

/// Facts of redundancy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RedundancyFacts {
    /// Everything that is kept more than once, by name.
    groups: Vec<Group>,
    /// Hardware RAID controllers by their driver; the state of their disks cannot be seen here.
    controllers: Vec<String>,
    /// What was found and could not be asked, as `name: why`.
    problems: Vec<String>,
}

/// One thing that is kept more than once.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Group {
    /// Its name: `md0`, `btrfs <label or id>`, `zpool tank`, `lvm vg-root`, `bond0`, `multipath mpatha`.
    name: String,
    /// Its level or mode: `raid1`, `active-backup`.
    level: String,
    /// Members or paths that do not work, or what is wrong as a whole.
    faults: Vec<String>,
    /// It is being rebuilt or checked now.
    rebuilding: bool,
}

impl Probe for Redundancy {
    const ID: &'static str = "redundancy";
    type Facts = RedundancyFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<RedundancyFacts, Unobservable> {
        observation.require_live("the state of disks and network links")?;
        let mut problems = Vec::new();
        let mut groups = storage::md(observation)?;
        groups.extend(storage::btrfs(observation)?);
        groups.extend(storage::lvm(observation, &mut problems)?);
        groups.extend(storage::zfs(observation, &mut problems)?);
        groups.extend(storage::multipath(observation, &mut problems)?);
        groups.extend(network::bonds(observation)?);
        groups.sort();
        problems.sort();
        Ok(RedundancyFacts {
            groups,
            controllers: storage::controllers(observation)?,
            problems,
        })
    }
}

/// The trimmed text of a small kernel file; `None` if it is not there.
fn attribute(observation: &Observation<'_>, path: &str) -> Result<Option<String>, Unobservable> {
    match observation.host().read(path, 64 * 1024) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(crate::host::HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Names in a kernel directory; none if it is not there.
fn names(observation: &Observation<'_>, path: &str) -> Result<Vec<String>, Unobservable> {
    match observation.host().list(path) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(crate::host::HostError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
