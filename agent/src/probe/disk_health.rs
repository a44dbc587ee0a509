//! Whether disks foresee their failure: SMART and NVMe health as smartctl(8) reports it, eMMC health from sysfs.
//!
//! Health is asked with ioctls that need a program of their own right to be safe, so this is one of the few probes that
//! runs one, a call a disk:
//!
//! ```text
//! /usr/sbin/smartctl --json=c --health --attributes /dev/sda
//! ```
//!
//! Its exit code is a mask of bits (smartctl(8), "Exit status"): with one of the lowest three the disk gave no full
//! answer, and a missing `smart_status` is no pass. Disks of virtual machines are simulated and not asked.

mod report;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::report::Report;
use super::{Observation, Probe, Unobservable, virtual_machine};
use crate::host::{Host, HostError, Program};

const DISKS: &str = "/sys/block";
/// Names of disks: SCSI, SATA and SAS, NVMe, old ATA, eMMC.
const NAMES: [&str; 4] = ["sd", "nvme", "hd", "mmcblk"];
/// Most disks asked.
const MAX_DISKS: usize = 128;

/// The probe `disk_health`.
pub struct DiskHealth;

/// Facts of the health of disks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiskHealthFacts {
    /// A virtual machine, whose disks are simulated: none was asked.
    virtual_machine: bool,
    /// Fixed disks, by name. Removable ones, and those on USB, are left out.
    disks: Vec<Disk>,
    /// smartctl is missing, and disks are there that only it can ask.
    tool_missing: bool,
}

/// One disk.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Disk {
    /// Its name, for example `sda`.
    name: String,
    /// Its model, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// What it says about itself; absent if it gave no full answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    /// Why there is no report.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Probe for DiskHealth {
    const ID: &'static str = "disk_health";
    type Facts = DiskHealthFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<DiskHealthFacts, Unobservable> {
        observation.require_live("the health of disks")?;
        let mut facts = DiskHealthFacts {
            virtual_machine: virtual_machine::is_virtual(observation)?,
            disks: Vec::new(),
            tool_missing: false,
        };
        if facts.virtual_machine {
            return Ok(facts);
        }
        let mut names = BTreeSet::new();
        for entry in observation.list(DISKS)?.unwrap_or_default() {
            if is_fixed(observation.host(), &entry.name)? {
                names.insert(entry.name);
            }
        }
        for name in names.into_iter().take(MAX_DISKS) {
            let answer = if name.starts_with("mmcblk") {
                emmc(observation.host(), &name)
            } else {
                match smart(observation, &name)? {
                    Some(answer) => answer,
                    None => {
                        facts.tool_missing = true;
                        Err("smartctl is not installed".to_owned())
                    }
                }
            };
            let (report, problem) = match answer {
                Ok(report) => (Some(report), None),
                Err(problem) => (None, Some(problem)),
            };
            facts.disks.push(Disk {
                model: text(observation.host(), &format!("{DISKS}/{name}/device/model")),
                name,
                report,
                problem,
            });
        }
        Ok(facts)
    }
}

/// A disk that is built in: hardware boot and replay areas of eMMC are no disks of their own.
fn is_fixed(host: &dyn Host, name: &str) -> Result<bool, Unobservable> {
    if !NAMES.iter().any(|start| name.starts_with(start)) || name.contains("boot") {
        return Ok(false);
    }
    let removable = text(host, &format!("{DISKS}/{name}/removable"));
    let path = match host.read_link(&format!("{DISKS}/{name}")) {
        Ok(path) => path,
        // What sysfs shows without a link was recorded so, or is gone.
        Err(HostError::NotRegular(_) | HostError::NotFound(_)) => String::new(),
        Err(error) => return Err(error.into()),
    };
    // Paths of NVMe over a network and of multipath members have no device of their own below.
    Ok(removable.as_deref() != Some("1") && !path.contains("/usb"))
}

fn smart(
    observation: &mut Observation<'_>,
    name: &str,
) -> Result<Option<Result<Report, String>>, Unobservable> {
    let device = format!("/dev/{name}");
    let program = Program::new(
        "/usr/sbin/smartctl",
        &["--json=c", "--health", "--attributes", &device],
    );
    match observation.run(&program) {
        Ok(output) => Ok(output.map(|output| Report::parse(&output.stdout, output.exit))),
        // A disk that hangs is no reason to say nothing about the others.
        Err(error) if error.reason == evidence::outcome::Reason::Timeout => {
            Ok(Some(Err(error.detail)))
        }
        Err(error) => Err(error),
    }
}

/// `pre_eol_info` of JEDEC eMMC 5.0: 1 normal, 2 eight of ten reserved blocks used, 3 nine of ten; `life_time` in tenths
/// of the life of two kinds of memory.
fn emmc(host: &dyn Host, name: &str) -> Result<Report, String> {
    let read = |file: &str| text(host, &format!("{DISKS}/{name}/device/{file}"));
    let number = |text: &str| u8::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let Some(end) = read("pre_eol_info").as_deref().and_then(number) else {
        return Err("tells nothing about its health (SD cards do not)".to_owned());
    };
    let tenths = read("life_time")
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(number)
        .max();
    match end {
        1..=3 => Ok(Report::of_emmc(end, tenths)),
        _ => Err(format!("pre_eol_info {end} is not defined")),
    }
}

fn text(host: &dyn Host, path: &str) -> Option<String> {
    let bytes = host.read(path, 4096).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}
