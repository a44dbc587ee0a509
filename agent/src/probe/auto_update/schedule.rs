//! What starts apt's periodic job: two systemd timers, or cron where systemd does not run.

use schemars::JsonSchema;
use serde::Serialize;

use super::timer::{self, Effect};
use crate::probe::unit::{Unit, units};
use crate::probe::{Observation, Unobservable};

/// Stem of the timer that refreshes the lists.
const REFRESH: &str = "apt-daily";
/// Of the one that installs.
const UPGRADE: &str = "apt-daily-upgrade";
/// Their timers.
pub(super) const TIMERS: [&str; 2] = ["apt-daily.timer", "apt-daily-upgrade.timer"];
/// What both start.
const JOB: &str = "apt.systemd.daily";
/// The same from cron; ends at once where systemd runs.
const COMPATIBLE: &str = "/etc/cron.daily/apt-compat";
/// Programs that run daily jobs.
const CRONS: [&str; 3] = ["/usr/sbin/cron", "/usr/sbin/anacron", "/usr/sbin/crond"];

/// What starts the periodic job.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Schedule {
    /// State of apt-daily.timer, which refreshes the lists.
    refresh: TimerState,
    /// State of apt-daily-upgrade.timer, which installs.
    upgrade: TimerState,
    /// Seconds between two runs of apt-daily.timer at the most; absent if it is as shipped or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_every: Option<i64>,
    /// The same for apt-daily-upgrade.timer.
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade_every: Option<i64>,
    /// /etc/cron.daily/apt-compat can be executed and a cron is installed; counts only without systemd.
    cron: bool,
}

/// State of a timer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::probe) enum TimerState {
    /// Starts at boot and, on a live host, waits for its time now.
    On,
    /// Would start at boot, but has been stopped.
    Stopped,
    /// Does not start at boot.
    Disabled,
    /// Cannot be started at all, or what it starts cannot.
    Masked,
    /// It is on, but what it starts was changed to something else, or it never comes.
    Disarmed,
    /// There is none.
    #[default]
    Absent,
}

impl Schedule {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Schedule, Unobservable> {
        let job: &[&str] = &[JOB];
        let mut found = timers(observation, &[(REFRESH, job), (UPGRADE, job)])?.into_iter();
        let (refresh, refresh_every) = found.next().unwrap_or((TimerState::Absent, None));
        let (upgrade, upgrade_every) = found.next().unwrap_or((TimerState::Absent, None));
        let job = observation.stat(COMPATIBLE)?;
        let cron =
            job.is_some_and(|stat| stat.mode & 0o111 != 0) && is_some_cron_installed(observation)?;
        Ok(Schedule {
            refresh,
            upgrade,
            refresh_every,
            upgrade_every,
            cron,
        })
    }
}

/// Whether a program is installed that runs daily jobs.
pub(super) fn is_some_cron_installed(
    observation: &mut Observation<'_>,
) -> Result<bool, Unobservable> {
    let mut found = false;
    for path in CRONS {
        found |= observation.stat(path)?.is_some();
    }
    Ok(found)
}

/// The state of timers by their stems, each of which is to start one of its jobs by the service of the same stem; with the
/// longest time between two runs, if any file says when.
pub(super) fn timers(
    observation: &mut Observation<'_>,
    stems: &[(&str, &[&str])],
) -> Result<Vec<(TimerState, Option<i64>)>, Unobservable> {
    let live = observation.is_live();
    let names: Vec<String> = stems
        .iter()
        .map(|(stem, _)| format!("{stem}.timer"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let units = units(observation, &names)?;
    let mut found = Vec::new();
    for ((stem, jobs), name) in stems.iter().zip(names) {
        let masked = is_masked(observation, &format!("{stem}.service"));
        let state = match units.get(name) {
            Some(unit) if unit.exists && masked => TimerState::Masked,
            Some(unit) => timer(unit, live),
            None => TimerState::Absent,
        };
        found.push(if state == TimerState::On {
            match timer::effect(observation, stem, jobs)? {
                Effect::Runs(every) => (state, every),
                Effect::Disarmed => (TimerState::Disarmed, None),
            }
        } else {
            (state, None)
        });
    }
    Ok(found)
}

/// Whether a unit is masked by a link to nothing, systemctl(1) `mask`, for good or until the next boot.
fn is_masked(observation: &mut Observation<'_>, unit: &str) -> bool {
    ["/etc/systemd/system", "/run/systemd/system"]
        .iter()
        .any(|directory| {
            let target = observation.host().read_link(&format!("{directory}/{unit}"));
            target.is_ok_and(|target| target == "/dev/null")
        })
}

fn timer(unit: &Unit, live: bool) -> TimerState {
    match unit {
        Unit { masked: true, .. } => TimerState::Masked,
        Unit { exists: false, .. } => TimerState::Absent,
        Unit { enabled: false, .. } => TimerState::Disabled,
        Unit { active: false, .. } if live => TimerState::Stopped,
        _ => TimerState::On,
    }
}
