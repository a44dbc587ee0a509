//! When updates were last installed by themselves, and how that went: by unattended-upgrades, or on hosts of dnf and zypper
//! by the service of a timer.

mod log;

use evidence::outcome::Reason;
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auto_update::mechanism::mechanisms;
use super::auto_update::schedule::TimerState;
use super::packages::{self, Manager};
use super::unit::{Unit, units};
use super::{Observation, Probe, Unobservable, debian};
use log::{LastRun, Verdict};

/// Touched by apt's periodic job after unattended-upgrades ended with 0.
const JOB_STAMP: &str = "/var/lib/apt/periodic/upgrade-stamp";
/// Touched by unattended-upgrades itself after it came to its end.
const OWN_STAMP: &str = "/var/lib/apt/periodic/unattended-upgrades-stamp";
/// The service that the upgrade timer starts.
const SERVICE: &str = "apt-daily-upgrade.service";
/// Where systemd keeps when persistent timers last came.
const TIMERS: &str = "/var/lib/systemd/timers";
/// Mechanisms that cron starts.
const OF_CRON: [&str; 2] = ["online_update", "yum-cron"];

/// The probe `auto_update_run`.
pub struct AutoUpdateRun;

/// Facts of the last run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AutoUpdateRunFacts {
    /// The newest stamp that a run left at its end; under dnf and zypper when the service ended, or if nothing tells that,
    /// when its timer started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<Timestamp>,
    /// When the log was last written to; under dnf and zypper the same as `finished`.
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<Timestamp>,
    /// What the log says of the last run in it, or systemd of the service.
    verdict: Verdict,
    /// The line that the verdict rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<String>,
    /// The last run of apt-daily-upgrade.service, or of the mechanism's service, since boot (of the latter also before, if
    /// the agent saw it); absent if it has not ended once, whatever systemd says
    /// of its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceRun>,
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
struct ServiceRun {
    /// When.
    exited: Timestamp,
    /// `Result` is `success` and the exit status 0.
    success: bool,
}

impl Probe for AutoUpdateRun {
    const ID: &'static str = "auto_update_run";
    type Facts = AutoUpdateRunFacts;

    fn units() -> Vec<&'static str> {
        vec![SERVICE]
    }

    fn observe(observation: &mut Observation<'_>) -> Result<AutoUpdateRunFacts, Unobservable> {
        if packages::chief(observation)? == Some(Manager::Rpm) {
            return of_services(observation);
        }
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

/// The last run of the mechanisms that install fixes. systemd forgets at a shutdown how a service ended, so that is
/// remembered; what it keeps is when its timer last started it.
fn of_services(observation: &mut Observation<'_>) -> Result<AutoUpdateRunFacts, Unobservable> {
    let names: Vec<String> = mechanisms(observation)?
        .into_iter()
        .filter(|found| found.timer == TimerState::On && found.installs && found.security)
        .map(|found| found.name)
        .collect();
    if let Some(name) = names.iter().find(|name| OF_CRON.contains(&name.as_str())) {
        let detail = format!("cron starts {name}, and nothing tells how its runs ended");
        return Err(Unobservable::new(Reason::CoveragePartial, detail));
    }
    let services: Vec<String> = names.iter().map(|name| format!("{name}.service")).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let now = units(observation, &services)?;
    let earlier: Option<ServiceRun> = observation.recall("run");
    let known = now.values().filter_map(ended).chain(earlier);
    let service = known.max_by_key(|run| run.exited);
    if let Some(service) = &service {
        observation.remember("run", service);
    }
    let mut started: Option<Timestamp> = None;
    for name in &names {
        let stamp = observation.stat(&format!("{TIMERS}/stamp-{name}.timer"))?;
        started = started.max(stamp.map(|stamp| stamp.mtime));
    }
    // A timer's stamp is a moment older than the end of the run that it began.
    let is_newer = |run: &ServiceRun| started.is_none_or(|started| started <= run.exited);
    let (verdict, time) = match &service {
        Some(run) if is_newer(run) => {
            let verdict = if run.success {
                Verdict::Success
            } else {
                Verdict::Error
            };
            (verdict, Some(run.exited))
        }
        _ if started.is_some() => (Verdict::Unknown, started),
        _ => (Verdict::None, None),
    };
    Ok(AutoUpdateRunFacts {
        finished: time,
        logged: time,
        verdict,
        line: None,
        service: service.filter(is_newer),
    })
}

fn ended(unit: &Unit) -> Option<ServiceRun> {
    Some(ServiceRun {
        exited: unit.exited?,
        success: unit.result.as_deref() == Some("success") && unit.exit_status == Some(0),
    })
}
