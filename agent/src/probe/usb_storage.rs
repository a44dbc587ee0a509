//! Whether USB mass storage can be used: what modprobe would do, what the kernel has loaded and was told, USBGuard, and
//! which storage is attached.

mod modprobe;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::modprobe::Install;
use super::unit::units;
use super::{Observation, Probe, Unobservable};

/// The probe `usb_storage`.
pub struct UsbStorage;

const USB: &str = "/sys/bus/usb/devices";
const DRIVERS: [&str; 2] = [
    "/sys/bus/usb/drivers/usb-storage",
    "/sys/bus/usb/drivers/uas",
];
const GUARD: &str = "usbguard.service";
const GUARD_CONFIGURATION: &str = "/etc/usbguard/usbguard-daemon.conf";
const CMDLINE: &str = "/proc/cmdline";
const MAX_DEVICES: usize = 100;

/// Whether USB mass storage can be used.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UsbStorageFacts {
    /// There is a USB controller; absent on an unpacked root.
    #[serde(skip_serializing_if = "Option::is_none")]
    usb: Option<bool>,
    /// What modprobe does when usb-storage is asked for.
    install: Install,
    /// The file of that line.
    #[serde(skip_serializing_if = "Option::is_none")]
    install_in: Option<String>,
    /// `blacklist usb-storage` is there, which keeps only aliases from loading it and stops nobody.
    blacklisted: bool,
    /// The module is in the kernel: loaded or built in. False on an unpacked root.
    loaded: bool,
    /// The module is part of the kernel itself, so that modprobe has no say; by `modules.builtin`.
    built_in: bool,
    /// `module_blacklist=` on the kernel's command line names it: the kernel refuses it whoever asks.
    refused_by_kernel: bool,
    /// USBGuard.
    guard: Guard,
    /// Storage on USB that a driver serves now, `vendor:product` with its serial number's presence left out.
    attached: Vec<String>,
}

/// USBGuard.
#[derive(Debug, Serialize, JsonSchema)]
struct Guard {
    /// It runs now, or starts at boot on an unpacked root.
    active: bool,
    /// What it does with a device that no rule names (`block`, `reject`, `allow`), if it is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    implicit_target: Option<String>,
    /// `PresentDevicePolicy`: what becomes of devices that are there when it starts; `apply-policy` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    present_devices: Option<String>,
    /// A rule of its own files allows every device, or every storage device.
    allows_storage: bool,
}

impl Probe for UsbStorage {
    const ID: &'static str = "usb_storage";
    type Facts = UsbStorageFacts;

    fn units() -> Vec<&'static str> {
        vec![GUARD]
    }

    fn observe(observation: &mut Observation<'_>) -> Result<UsbStorageFacts, Unobservable> {
        let configuration = modprobe::read(observation)?;
        let live = observation.is_live();
        let mut usb = None;
        if live {
            let entries = observation.list(USB)?.unwrap_or_default();
            usb = Some(entries.iter().any(|entry| entry.name.starts_with("usb")));
        }
        let loaded = live && observation.stat("/sys/module/usb_storage")?.is_some();
        Ok(UsbStorageFacts {
            usb,
            install: configuration.install,
            install_in: configuration.install_in,
            blacklisted: configuration.blacklisted,
            loaded,
            built_in: built_in(observation)?,
            refused_by_kernel: live && refused(observation)?,
            guard: guard(observation)?,
            attached: if live {
                attached(observation)?
            } else {
                Vec::new()
            },
        })
    }
}

/// `modules.builtin` of each kernel there is, kmod(8).
fn built_in(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    for directory in ["/usr/lib/modules", "/lib/modules"] {
        for entry in observation.list(directory)?.unwrap_or_default() {
            let path = format!("{directory}/{}/modules.builtin", entry.name);
            let text = observation.text(&path)?.unwrap_or_default();
            if text.lines().any(|line| line.ends_with("/usb-storage.ko")) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// `module_blacklist=usb_storage,uas` of the running kernel; each name as the module is called.
fn refused(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let line = observation.required_text(CMDLINE)?;
    Ok(line
        .split_whitespace()
        .take_while(|word| *word != "--")
        .filter_map(|word| word.strip_prefix("module_blacklist="))
        .last()
        .is_some_and(|names| {
            names
                .split(',')
                .any(|name| modprobe::same(name, "usb_storage"))
        }))
}

fn guard(observation: &mut Observation<'_>) -> Result<Guard, Unobservable> {
    let state = units(observation, &[GUARD])?
        .remove(GUARD)
        .unwrap_or_default();
    let text = observation.text(GUARD_CONFIGURATION)?.unwrap_or_default();
    let value = |name: &str| {
        text.lines().rev().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let mut files =
        vec![value("RuleFile").unwrap_or_else(|| "/etc/usbguard/rules.conf".to_owned())];
    if let Some(folder) = value("RuleFolder") {
        let folder = folder.trim_end_matches('/').to_owned();
        let entries = observation.list(&folder)?.unwrap_or_default();
        files.extend(
            entries
                .iter()
                .filter(|entry| entry.name.ends_with(".conf"))
                .map(|entry| format!("{folder}/{}", entry.name)),
        );
    }
    let mut allows_storage = false;
    for file in files {
        let text = observation.text(&file)?.unwrap_or_default();
        allows_storage |= text.lines().any(allows_any_storage);
    }
    let runs = if observation.is_live() {
        state.active
    } else {
        state.enabled
    };
    Ok(Guard {
        active: runs && !state.masked,
        implicit_target: value("ImplicitPolicyTarget"),
        present_devices: value("PresentDevicePolicy"),
        allows_storage,
    })
}

/// A rule that allows devices without saying which (no id, serial number or hash), with an interface of class 08 or any.
fn allows_any_storage(line: &str) -> bool {
    let mut words = line.split_whitespace();
    if words.next() != Some("allow") {
        return false;
    }
    let rest: Vec<&str> = words.collect();
    // The attributes that name one device, or one make of it; a pattern names none.
    let named = rest
        .iter()
        .position(|word| *word == "id")
        .and_then(|at| rest.get(at + 1))
        .or(rest.first())
        .is_some_and(|id| id.contains(':') && !id.contains('*') && !id.starts_with('"'));
    let of_one = named || rest.iter().any(|word| ["serial", "hash"].contains(word));
    let interfaces = rest.iter().position(|word| *word == "with-interface");
    let storage = match interfaces {
        None => true,
        Some(at) => rest
            .iter()
            .skip(at)
            .any(|word| word.starts_with("08:") || word.starts_with('*')),
    };
    !of_one && storage
}

/// The devices that the two drivers of mass storage serve.
fn attached(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let mut found = BTreeSet::new();
    for driver in DRIVERS {
        for entry in observation.list(driver)?.unwrap_or_default() {
            // Interfaces: `1-2:1.0`.
            let Some((device, _)) = entry.name.split_once(':') else {
                continue;
            };
            let mut id = |name: &str| -> Result<String, Unobservable> {
                let text = observation.text(&format!("{USB}/{device}/{name}"))?;
                Ok(text.unwrap_or_default().trim().to_owned())
            };
            let (vendor, product) = (id("idVendor")?, id("idProduct")?);
            found.insert(format!("{vendor}:{product}"));
        }
    }
    Ok(found.into_iter().take(MAX_DEVICES).collect())
}

#[cfg(test)]
mod tests {
    use super::allows_any_storage;

    #[test]
    fn a_rule_that_names_no_device_allows_all_of_its_kind() {
        for open in [
            "allow",
            "allow with-interface equals { 08:06:50 }",
            "allow with-interface one-of { 08:*:* 03:00:01 }",
            "allow *:* ",
            "allow id *:*",
            "allow id 0781:* with-interface 08:06:50",
            "allow name \"id card\" with-interface equals { 08:06:50 }",
        ] {
            assert!(allows_any_storage(open), "{open}");
        }
        for narrow in [
            "",
            "block",
            "allow id 0781:5567 serial \"1\"",
            "allow 0781:5567",
            "allow with-interface equals { 03:00:01 }",
            "reject with-interface one-of { 08:*:* }",
            "# allow",
        ] {
            assert!(!allows_any_storage(narrow), "{narrow}");
        }
    }
}
