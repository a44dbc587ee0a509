//! Who a host is and whose: the id of its installation, its firmware's serial number, its name and its tags.

use std::collections::BTreeMap;

use crypto::Digest;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Observation, Probe, Unobservable};
use crate::host::HostError;

/// The probe `asset`.
pub struct Asset;

/// Facts that tell a host from others and say who answers for it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AssetFacts {
    /// What machine-id(5) holds.
    machine_id: MachineId,
    /// Digest of the machine id, which is itself a secret of the host; the same as in the agent's signed rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    /// The host's name as it is set for the next boot, or on a running host without that file as the kernel has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    /// Maker of the machine (SMBIOS), or of its hypervisor.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    /// Model (SMBIOS).
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// Serial number (SMBIOS), unless it is one of the words that makers leave in place of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    /// Tags of `/etc/assay/tags.toml`, by name.
    tags: Vec<Tag>,
}

/// What machine-id(5) holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum MachineId {
    /// An id.
    Set,
    /// Nothing yet, or `uninitialized`: the first boot of this image makes one.
    Unset,
    /// Something that is no id: not 32 hexadecimal digits, or all of them zero.
    Invalid,
}

/// One tag.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Tag {
    /// Its name, for example `owner`.
    name: String,
    /// Its value, for example `payments-team`.
    value: String,
}

const TAGS: &str = "/etc/assay/tags.toml";
/// dbus(1) keeps its own where systemd does not run.
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// Most tags, and most bytes of one.
const MAX_TAGS: usize = 64;
const MAX_TAG_BYTES: usize = 256;

impl Probe for Asset {
    const ID: &'static str = "asset";
    type Facts = AssetFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AssetFacts, Unobservable> {
        let (machine_id, machine) = machine(observation)?;
        let hostname = match observation.text("/etc/hostname")? {
            None if observation.is_live() => observation.text("/proc/sys/kernel/hostname")?,
            other => other,
        };
        let hostname = hostname.as_deref().and_then(first_name);
        Ok(AssetFacts {
            machine_id,
            machine,
            hostname,
            vendor: firmware(observation, "sys_vendor")?,
            product: firmware(observation, "product_name")?,
            serial: firmware(observation, "product_serial")?,
            tags: match observation.text(TAGS)? {
                Some(text) => {
                    tags(&text).map_err(|problem| Unobservable::unparsable(TAGS, problem))?
                }
                None => Vec::new(),
            },
        })
    }
}

fn machine(observation: &mut Observation<'_>) -> Result<(MachineId, Option<String>), Unobservable> {
    let mut found = MachineId::Unset;
    for path in MACHINE_IDS {
        let Some(text) = observation.secret_text(path)? else {
            continue;
        };
        let id = text.trim();
        if id.is_empty() || id == "uninitialized" {
            continue;
        }
        let is_id = id.len() == 32
            && id.bytes().all(|byte| byte.is_ascii_hexdigit())
            && id.bytes().any(|byte| byte != b'0');
        if is_id {
            let digest = Digest::of_parts(&[b"assay-machine/v1\n", id.as_bytes()]);
            return Ok((MachineId::Set, Some(digest.to_hex())));
        }
        found = MachineId::Invalid;
        break;
    }
    Ok((found, None))
}

/// The first line of hostname(5) that is no comment.
fn first_name(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.chars().take(253).collect())
}

/// A field of the firmware's table (SMBIOS type 1 through sysfs); machines without one have no such directory.
fn firmware(
    observation: &mut Observation<'_>,
    field: &str,
) -> Result<Option<String>, Unobservable> {
    if !observation.is_live() {
        return Ok(None);
    }
    let path = format!("/sys/class/dmi/id/{field}");
    match observation.host().read(&path, 4096) {
        Ok(bytes) => {
            observation.note(&path);
            Ok(meaningful(&String::from_utf8_lossy(&bytes)))
        }
        // Only the superuser may read serial numbers; who else asks goes without.
        Err(HostError::NotFound(_) | HostError::Permission(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn meaningful(text: &str) -> Option<String> {
    const FILLERS: [&str; 11] = [
        "",
        "0",
        "none",
        "n/a",
        "unknown",
        "default string",
        "not specified",
        "not available",
        "system serial number",
        "to be filled by o.e.m.",
        "invalid",
    ];
    let text: String = text.trim().chars().take(128).collect();
    (!FILLERS.contains(&text.to_ascii_lowercase().as_str())).then_some(text)
}

/// The tags of the file: one table of texts.
fn tags(text: &str) -> Result<Vec<Tag>, String> {
    let table: BTreeMap<String, String> =
        toml::from_str(text).map_err(|error| error.message().to_owned())?;
    if table.len() > MAX_TAGS {
        return Err(format!("more than {MAX_TAGS} tags"));
    }
    if let Some(name) = table
        .iter()
        .find(|(name, value)| name.len().max(value.len()) > MAX_TAG_BYTES)
        .map(|(name, _)| name.chars().take(40).collect::<String>())
    {
        return Err(format!("tag {name:?} is longer than {MAX_TAG_BYTES} bytes"));
    }
    Ok(table
        .into_iter()
        .map(|(name, value)| Tag {
            name,
            value: value.trim().to_owned(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_texts() {
        let found = tags("owner = \" web-team \"\nenvironment = \"production\"\n").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].value, "web-team");
        for wrong in [
            "owner = 5",
            "[owner]\na = \"b\"",
            "owner",
            "owner = \"a\"\nowner = \"b\"",
            "\u{0}",
        ] {
            assert!(tags(wrong).is_err(), "{wrong:?}");
        }
        assert!(tags(&format!("owner = \"{}\"", "x".repeat(300))).is_err());
        let many: String = (0..70).map(|n| format!("t{n} = \"x\"\n")).collect();
        assert!(tags(&many).is_err());
    }

    #[test]
    fn fillers_are_no_serial_numbers() {
        assert_eq!(meaningful("To Be Filled By O.E.M.\n"), None);
        assert_eq!(meaningful("\n"), None);
        assert_eq!(meaningful("CZ12345678\n").as_deref(), Some("CZ12345678"));
        assert_eq!(first_name("# x\n\nweb1\n").as_deref(), Some("web1"));
        assert_eq!(first_name(""), None);
    }
}
