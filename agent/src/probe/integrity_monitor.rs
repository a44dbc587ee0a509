//! Whether something compares files with what they should be: AIDE with its database, schedule and last run; Wazuh's
//! syscheck; a root file system that the kernel itself verifies.

mod aide;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use self::aide::Aide;
use super::daemon_process::daemons;
use super::{Observation, Probe, Unobservable, storage};

/// The probe `integrity_monitor`.
pub struct IntegrityMonitor;

const WAZUH_CONFIGURATION: &str = "/var/ossec/etc/ossec.conf";
const WAZUH_DATABASE: &str = "/var/ossec/queue/fim/db/fim.db";
const WAZUH_DAEMON: &str = "/var/ossec/bin/wazuh-syscheckd";
/// Monitors whose state is not read, by a file that is there if they are installed.
const OTHERS: [(&str, &str); 6] = [
    ("tripwire", "/usr/sbin/tripwire"),
    ("samhain", "/usr/sbin/samhain"),
    ("osquery", "/opt/osquery/bin/osqueryd"),
    ("auditbeat", "/usr/share/auditbeat"),
    ("Elastic Agent", "/opt/Elastic/Agent"),
    ("CrowdStrike Falcon", "/opt/CrowdStrike"),
];

/// What watches over the content of files.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IntegrityMonitorFacts {
    /// AIDE, if it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    aide: Option<Aide>,
    /// Wazuh's syscheck, if Wazuh's agent is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    wazuh: Option<Wazuh>,
    /// The kernel verifies each block of `/` against a signed or configured digest (dm-verity, composefs).
    verified_root: bool,
    /// Other monitors that are installed and whose state this probe does not read.
    others: Vec<String>,
}

/// Wazuh's syscheck.
#[derive(Debug, Serialize, JsonSchema)]
struct Wazuh {
    /// Its configuration does not switch syscheck off.
    configured: bool,
    /// Its daemon runs; false on an unpacked root.
    active: bool,
    /// When its database was last written to, to the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_written: Option<Timestamp>,
}

impl Probe for IntegrityMonitor {
    const ID: &'static str = "integrity_monitor";
    type Facts = IntegrityMonitorFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<IntegrityMonitorFacts, Unobservable> {
        let mut others = Vec::new();
        for (name, path) in OTHERS {
            if observation.stat(path)?.is_some() {
                others.push(name.to_owned());
            }
        }
        Ok(IntegrityMonitorFacts {
            aide: aide::read(observation)?,
            wazuh: wazuh(observation)?,
            verified_root: observation.is_live() && verified_root(observation)?,
            others,
        })
    }
}

fn wazuh(observation: &mut Observation<'_>) -> Result<Option<Wazuh>, Unobservable> {
    let Some(text) = observation.secret_text(WAZUH_CONFIGURATION)? else {
        return Ok(None);
    };
    let syscheck = text
        .split_once("<syscheck>")
        .and_then(|(_, rest)| rest.split_once("</syscheck>"))
        .map(|(inside, _)| inside.replace(char::is_whitespace, ""));
    let active = observation.is_live() && !daemons(observation, &[WAZUH_DAEMON])?.is_empty();
    let written = observation.stat(WAZUH_DATABASE)?.map(|stat| stat.mtime);
    Ok(Some(Wazuh {
        configured: syscheck.is_some_and(|text| !text.contains("<disabled>yes</disabled>")),
        active,
        database_written: written.map(to_the_hour),
    }))
}

/// The database is written to all the time; by the minute the facts would differ in every round.
fn to_the_hour(at: Timestamp) -> Timestamp {
    const HOUR_MS: i64 = 3_600_000;
    Timestamp::from_unix_ms(at.unix_ms() - at.unix_ms().rem_euclid(HOUR_MS))
}

/// `/` is composefs, or lies on a device-mapper node of target verity: its uuid begins so.
fn verified_root(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let mounts = storage::mounts(observation)?;
    let Some(root) = mounts.iter().rfind(|mount| mount.point == "/") else {
        return Ok(false);
    };
    if root.kind == "overlay" && root.source == "composefs" {
        return Ok(root.options.iter().any(|option| option == "verity=require"));
    }
    let (major, minor) = root.device;
    let uuid = observation.text(&format!("/sys/dev/block/{major}:{minor}/dm/uuid"))?;
    Ok(root.read_only && uuid.is_some_and(|uuid| uuid.starts_with("CRYPT-VERITY-")))
}
