//! Which release of which distribution this is, and whether paid support is active on it.

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::debian::archive::Archives;
use super::debian::{self, package};
use super::system::OsRelease;
use super::{Observation, Probe, Unobservable};

/// What the Ubuntu Pro client last wrote about the host's subscription.
const PRO_STATUS: &str = "/var/lib/ubuntu-advantage/status.json";

/// The probe `release`.
pub struct DistributionRelease;

/// Facts that a table of support dates is looked up with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReleaseFacts {
    /// `ID` of os-release(5), for example `debian`; `linux` if it says none.
    id: String,
    /// The release as vendors date its support: `VERSION_ID` of os-release(5), but only the major number where minor
    /// releases share their support (Red Hat family), and two numbers for Alpine. Absent for a rolling release.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<String>,
    /// `SUPPORT_END` of os-release(5) if it is a date, for example `2028-06-30`.
    #[serde(skip_serializing_if = "Option::is_none")]
    support_end: Option<String>,
    /// Native architecture in dpkg's words, for example `amd64`: long-term support may not cover all.
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    /// Ubuntu Pro, where its client has written its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pro: Option<Pro>,
}

/// State of Ubuntu Pro.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Pro {
    /// The host is attached to a subscription.
    attached: bool,
    /// The service `esm-infra` is enabled, and its archive is among the enabled sources with its index on disk.
    infra: bool,
    /// When the contract ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

impl Probe for DistributionRelease {
    const ID: &'static str = "release";
    type Facts = ReleaseFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<ReleaseFacts, Unobservable> {
        let release = OsRelease::read(observation)?;
        let id = release.get("ID").unwrap_or_else(|| "linux".to_owned());
        let uses_dpkg = debian::distribution(observation)?.is_some()
            && observation.stat(package::STATUS)?.is_some();
        let architecture = if uses_dpkg {
            let packages = package::installed(observation)?;
            package::native_architecture(&packages).map(str::to_owned)
        } else {
            None
        };
        Ok(ReleaseFacts {
            series: release
                .get("VERSION_ID")
                .map(|version| series(&id, &version)),
            support_end: release.get("SUPPORT_END").filter(|date| is_date(date)),
            architecture,
            pro: pro(observation)?,
            id,
        })
    }
}

fn series(id: &str, version: &str) -> String {
    let numbers = match id {
        "rhel" | "centos" | "almalinux" | "rocky" | "ol" => 1,
        "alpine" => 2,
        _ => return version.to_owned(),
    };
    version
        .split('.')
        .take(numbers)
        .collect::<Vec<_>>()
        .join(".")
}

fn is_date(text: &str) -> bool {
    format!("{text}T00:00:00.000Z").parse::<Timestamp>().is_ok()
}

fn pro(observation: &mut Observation<'_>) -> Result<Option<Pro>, Unobservable> {
    let Some(text) = observation.text(PRO_STATUS)? else {
        return Ok(None);
    };
    let status: Value =
        serde_json::from_str(&text).map_err(|error| Unobservable::unparsable(PRO_STATUS, error))?;
    let attached = status.get("attached").and_then(Value::as_bool) == Some(true);
    let enabled = status
        .get("services")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|service| service.get("name").and_then(Value::as_str) == Some("esm-infra"))
        .any(|service| service.get("status").and_then(Value::as_str) == Some("enabled"));
    // The status file alone is what the client once said; the archive on disk is what apt installs from.
    let infra = attached && enabled && {
        let archives = Archives::read(observation)?;
        let mut releases = archives
            .security()
            .filter_map(|archive| archive.release.as_ref());
        releases.any(|release| release.origin == "UbuntuESM")
    };
    Ok(Some(Pro {
        attached,
        infra,
        expires: status
            .get("expires")
            .and_then(Value::as_str)
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(|time| Timestamp::from_unix_seconds(time.as_second())),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_what_vendors_date() {
        assert_eq!(series("rhel", "9.4"), "9");
        assert_eq!(series("alpine", "3.20.1"), "3.20");
        assert_eq!(series("ubuntu", "22.04"), "22.04");
        assert_eq!(series("debian", "12"), "12");
        assert!(is_date("2028-06-30") && !is_date("2028-6-30") && !is_date("soon"));
    }
}
