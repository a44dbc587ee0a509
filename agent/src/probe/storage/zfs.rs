//! ZFS datasets and pools, from zfs(8) and zpool(8).

use std::collections::BTreeMap;

use super::mount::Mount;
use crate::host::{Program, ProgramOutput};
use crate::probe::{Observation, Unobservable};

/// Encryption of one dataset.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Dataset {
    /// `off` or a cipher.
    pub encryption: String,
    /// `available` once the key is loaded.
    pub keystatus: String,
}

impl Dataset {
    pub(super) fn is_encrypted(&self) -> bool {
        !matches!(self.encryption.as_str(), "" | "off" | "-") && self.keystatus == "available"
    }
}

/// What ZFS says about its datasets.
#[derive(Debug, Default)]
pub(super) struct Pools {
    asked: bool,
    datasets: BTreeMap<String, Dataset>,
    members: BTreeMap<String, Vec<String>>,
}

impl Pools {
    /// Whether the tools were there to ask.
    pub(super) fn asked(&self) -> bool {
        self.asked
    }

    pub(super) fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.datasets
            .get(name)
            .filter(|found| !found.encryption.is_empty())
    }

    /// Device files of the pool that a dataset is in.
    pub(super) fn members(&self, dataset: &str) -> &[String] {
        let pool = dataset.split('/').next().unwrap_or_default();
        self.members.get(pool).map_or(&[], Vec::as_slice)
    }
}

/// Asks, if anything of that type is mounted.
pub(super) fn pools(
    observation: &mut Observation<'_>,
    mounts: &[Mount],
) -> Result<Pools, Unobservable> {
    if !mounts.iter().any(|mount| mount.kind == "zfs") {
        return Ok(Pools::default());
    }
    let get = [
        "get",
        "-H",
        "-t",
        "filesystem",
        "-o",
        "name,property,value",
        "encryption,keystatus",
    ];
    let datasets = ask(observation, ["/usr/sbin/zfs", "/sbin/zfs"], &get)?;
    let list = ["list", "-H", "-v", "-P", "-L"];
    let members = ask(observation, ["/usr/sbin/zpool", "/sbin/zpool"], &list)?;
    Ok(Pools {
        asked: datasets.is_some(),
        datasets: parse_datasets(&datasets.unwrap_or_default()),
        members: parse_members(&members.unwrap_or_default()),
    })
}

fn ask(
    observation: &mut Observation<'_>,
    paths: [&'static str; 2],
    args: &[&str],
) -> Result<Option<String>, Unobservable> {
    for path in paths {
        if let Some(output) = observation.run(&Program::new(path, args))? {
            return Ok(Some(output)
                .filter(|output| output.exit == 0)
                .as_ref()
                .map(ProgramOutput::text));
        }
    }
    Ok(None)
}

/// `rpool/ROOT<TAB>encryption<TAB>aes-256-gcm`
fn parse_datasets(text: &str) -> BTreeMap<String, Dataset> {
    let mut datasets: BTreeMap<String, Dataset> = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(property), Some(value)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let dataset = datasets.entry(name.to_owned()).or_default();
        match property {
            "encryption" => dataset.encryption = value.to_owned(),
            "keystatus" => dataset.keystatus = value.to_owned(),
            _ => {}
        }
    }
    datasets
}

/// A line of a pool begins with its name, lines of its members with a tab.
fn parse_members(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut pool = None;
    for line in text.lines() {
        if line.starts_with(char::is_whitespace) {
            let member = line
                .split_whitespace()
                .next()
                .filter(|word| word.starts_with('/'));
            if let (Some(pool), Some(member)) = (&pool, member) {
                members
                    .entry(String::clone(pool))
                    .or_default()
                    .push(member.to_owned());
            }
        } else if let Some(name) = line.split('\t').next() {
            pool = Some(name.to_owned());
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_is_encrypted_only_with_its_key_loaded() {
        let datasets = parse_datasets(
            "rpool\tencryption\toff\nrpool\tkeystatus\t-\nrpool/a\tencryption\taes-256-gcm\nrpool/a\tkeystatus\tavailable\nrpool/b\tencryption\taes-256-gcm\nrpool/b\tkeystatus\tunavailable\nbroken\n",
        );
        assert!(!datasets["rpool"].is_encrypted());
        assert!(datasets["rpool/a"].is_encrypted());
        assert!(!datasets["rpool/b"].is_encrypted());
        assert!(!Dataset::default().is_encrypted());
    }

    #[test]
    fn members_belong_to_the_pool_above_them() {
        let members = parse_members(
            "\t/dev/lost\nrpool\t9G\t1G\n\tmirror-0\t9G\n\t/dev/dm-0\t9G\n\t/dev/sdb3\t9G\ntank\t9G\n\t/dev/sdc\t9G\n",
        );
        assert_eq!(members["rpool"], ["/dev/dm-0", "/dev/sdb3"]);
        assert_eq!(members["tank"], ["/dev/sdc"]);
    }
}
