//! When unattended-upgrades last ran, and how that went.

mod log;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::debian;
use super::unit::{Unit, units};
use super::{Observation, Probe, Unobservable};
use log::{LastRun, Verdict};

/// Touched by apt's periodic job after unattended-upgrades ended with 0.
const JOB_STAMP: &str = "/var/lib/apt/periodic/upgrade-stamp";
/// Touched by unattended-upgrades itself after it came to its end.
const OWN_STAMP: &str = "/var/lib/apt/periodic/unattended-upgrades-stamp";
/// The service that the upgrade timer starts.
const SERVICE: &str = "apt-daily-upgrade.service";

/// The probe `auto_update_run`.
pub struct AutoUpdateRun;

/// Facts of the last run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AutoUpdateRunFacts {
    /// The newest stamp that a run left at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<Timestamp>,
    /// When the log was last written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<Timestamp>,
    /// What the log says of the last run in it.
    verdict: Verdict,
    /// The line that the verdict rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    /// The last run of apt-daily-upgrade.service since boot; absent if it has not ended once, whatever systemd says
    /// of its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceRun>,
}

/// How a service ended.
#[derive(Debug, Serialize, JsonSchema)]
struct ServiceRun {
    /// When.
    exited: Timestamp,
    /// `Result` is `success` and the exit status 0.
    success: bool,
}

impl Probe for AutoUpdateRun {
    const ID: &'static str = "auto_update_run";
    type Facts = AutoUpdateRunFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AutoUpdateRunFacts, Unobservable> {
        debian::require(observation)?;
        let stamps = [observation.stat(JOB_STAMP)?, observation.stat(OWN_STAMP)?];
        let run = LastRun::read(observation)?;
        let service = units(observation, &[SERVICE])?.remove(SERVICE);
        Ok(AutoUpdateRunFacts {
            finished: stamps.into_iter().flatten().map(|stat| stat.mtime).max(),
            logged: run.logged,
            verdict: run.verdict,
            line: run.line,
            service: service.as_ref().and_then(ended),
        })
    }
}

fn ended(unit: &Unit) -> Option<ServiceRun> {
    Some(ServiceRun {
        exited: unit.exited?,
        success: unit.result.as_deref() == Some("success") && unit.exit_status == Some(0),
    })
}
