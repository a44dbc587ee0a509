//! Firmware updates that fwupd knows of and that are not installed, over D-Bus through busctl(1):
//!
//! ```text
//! /usr/bin/busctl --system --json=short call org.freedesktop.fwupd / org.freedesktop.fwupd GetDevices
//! /usr/bin/busctl --system --json=short call org.freedesktop.fwupd / org.freedesktop.fwupd GetReleases s DEVICE
//! ```
//!
//! The second one is asked for each device that fwupd's metadata know, which lists all releases with a flag for those that
//! are newer than what is installed; the JSON of fwupdmgr(1) leaves the urgency out. Asking starts the daemon, which ends
//! by itself. What fwupd says is as fresh as the metadata it fetched: their time is among the facts.

mod answer;

use std::collections::BTreeMap;

use evidence::outcome::Reason;
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use self::answer::Device;
use super::{Observation, Probe, Unobservable, virtual_machine};
use crate::host::Program;

/// What D-Bus starts when fwupd is asked.
const SERVICE: &str = "/usr/share/dbus-1/system-services/org.freedesktop.fwupd.service";
/// Where metadata of remotes lie: since fwupd 1.9, and before.
const METADATA: [&str; 2] = ["/var/lib/fwupd/metadata", "/var/lib/fwupd/remotes.d"];
/// Most devices asked for their releases.
const MAX_DEVICES: usize = 32;

/// The probe `firmware_update`.
pub struct FirmwareUpdate;

/// Facts of firmware updates.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FirmwareUpdateFacts {
    /// A virtual machine, whose firmware is its hypervisor's: nothing was asked.
    virtual_machine: bool,
    /// fwupd is installed.
    fwupd: bool,
    /// When the newest metadata of a remote were fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Timestamp>,
    /// Devices whose firmware the metadata know, with the version installed.
    known: Vec<String>,
    /// Newer releases that are not installed.
    pending: Vec<Pending>,
    /// Version and date of the firmware that started the machine (SMBIOS).
    #[serde(skip_serializing_if = "Option::is_none")]
    bios: Option<String>,
}

/// A release that is not installed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Pending {
    /// The device.
    device: String,
    /// The version.
    version: String,
    /// How urgent its maker finds it.
    urgency: Urgency,
    /// When it was published; if its maker does not say, when the agent first saw it.
    since: Timestamp,
}

/// Urgency of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Urgency {
    Unknown,
    Low,
    Medium,
    High,
    Critical,
}

impl Probe for FirmwareUpdate {
    const ID: &'static str = "firmware_update";
    type Facts = FirmwareUpdateFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<FirmwareUpdateFacts, Unobservable> {
        observation.require_live("the devices of the machine")?;
        let mut facts = FirmwareUpdateFacts {
            virtual_machine: virtual_machine::is_virtual(observation)?,
            fwupd: observation.stat(SERVICE)?.is_some(),
            metadata: None,
            known: Vec::new(),
            pending: Vec::new(),
            bios: bios(observation)?,
        };
        if facts.virtual_machine || !facts.fwupd {
            return Ok(facts);
        }
        facts.metadata = newest_metadata(observation)?;
        let text = call(observation, &["GetDevices"])?;
        let devices = answer::devices(&text).map_err(no_answer)?;
        let known: Vec<Device> = devices.into_iter().filter(|device| device.known).collect();
        if known.len() > MAX_DEVICES {
            return Err(no_answer(format!("{} devices", known.len())));
        }
        facts.pending = pending(observation, &known)?;
        facts.known = known
            .into_iter()
            .map(|device| format!("{} {}", device.name, device.version))
            .collect();
        facts.known.sort();
        Ok(facts)
    }
}

fn no_answer(problem: String) -> Unobservable {
    Unobservable::new(Reason::Unparsable, format!("fwupd: {problem}"))
}

fn call(observation: &mut Observation<'_>, method: &[&str]) -> Result<String, Unobservable> {
    let mut args = vec![
        "--system",
        "--json=short",
        "call",
        "org.freedesktop.fwupd",
        "/",
        "org.freedesktop.fwupd",
    ];
    args.extend(method);
    let output = observation
        .run(&Program::new("/usr/bin/busctl", &args))?
        .ok_or_else(|| {
            Unobservable::new(
                Reason::ToolMissing,
                "/usr/bin/busctl is not installed, which asks fwupd",
            )
        })?;
    if output.exit != 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(no_answer(
            said.lines().next().unwrap_or_default().to_owned(),
        ));
    }
    Ok(output.text())
}

fn pending(
    observation: &mut Observation<'_>,
    known: &[Device],
) -> Result<Vec<Pending>, Unobservable> {
    let seen: BTreeMap<String, Timestamp> = observation.recall("seen").unwrap_or_default();
    let mut still = BTreeMap::new();
    let mut found = Vec::new();
    for device in known {
        let text = call(observation, &["GetReleases", "s", &device.id])?;
        for release in answer::releases(&text).map_err(no_answer)? {
            if !release.upgrade {
                continue;
            }
            let key = format!("{} {}", device.id, release.version);
            let first = seen.get(&key).copied().unwrap_or(observation.now());
            still.insert(key, first);
            found.push(Pending {
                device: device.name.clone(),
                version: release.version,
                urgency: release.urgency,
                since: release.published.unwrap_or(first),
            });
        }
    }
    observation.remember("seen", &still);
    found.sort();
    Ok(found)
}

/// The newest file of a remote's metadata: `<remote>/metadata.xml.zst` and its like.
fn newest_metadata(observation: &mut Observation<'_>) -> Result<Option<Timestamp>, Unobservable> {
    let mut newest = None;
    for directory in METADATA {
        for remote in observation.list(directory)?.unwrap_or_default() {
            let remote = format!("{directory}/{}", remote.name);
            let entries = match observation.host().list(&remote) {
                Ok(entries) => entries,
                Err(_) => continue,
            };
            for entry in entries {
                let is_metadata =
                    entry.name.starts_with("metadata.xml") && !entry.name.contains(".jcat");
                if is_metadata
                    && let Some(stat) = observation.stat(&format!("{remote}/{}", entry.name))?
                {
                    newest = newest.max(Some(stat.mtime));
                }
            }
        }
    }
    Ok(newest)
}

fn bios(observation: &mut Observation<'_>) -> Result<Option<String>, Unobservable> {
    let version = observation.text("/sys/class/dmi/id/bios_version")?;
    let date = observation.text("/sys/class/dmi/id/bios_date")?;
    Ok(version.map(|version| {
        format!("{} {}", version.trim(), date.unwrap_or_default().trim())
            .trim()
            .to_owned()
    }))
}
