//! What starts apt's periodic job: two systemd timers, or cron where systemd does not run.

use schemars::JsonSchema;
use serde::Serialize;

use super::timer::{self, Effect};
use crate::probe::unit::{Unit, units};
use crate::probe::{Observation, Unobservable};

/// Refreshes the lists.
const REFRESH: &str = "apt-daily.timer";
/// Installs.
const UPGRADE: &str = "apt-daily-upgrade.timer";
/// What both start.
const JOB: &str = "apt.systemd.daily";
/// The same from cron; ends at once where systemd runs.
const COMPATIBLE: &str = "/etc/cron.daily/apt-compat";
/// Programs that run daily jobs.
const CRONS: [&str; 3] = ["/usr/sbin/cron", "/usr/sbin/anacron", "/usr/sbin/crond"];

/// What starts the periodic job.
#[derive(Debug, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TimerState {
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
    Absent,
}

impl Schedule {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Schedule, Unobservable> {
        let live = observation.is_live();
        let found = units(observation, &[REFRESH, UPGRADE])?;
        let state = |name: &str, masked: bool| match found.get(name) {
            Some(unit) if unit.exists && masked => TimerState::Masked,
            Some(unit) => timer(unit, live),
            None => TimerState::Absent,
        };
        let mut refresh = state(REFRESH, is_masked(observation, "apt-daily.service"));
        let mut upgrade = state(UPGRADE, is_masked(observation, "apt-daily-upgrade.service"));
        let mut effect = |state: &mut TimerState, stem: &str| {
            if *state != TimerState::On {
                return Ok(None);
            }
            match timer::effect(observation, stem, JOB)? {
                Effect::Runs(every) => return Ok(every),
                Effect::Disarmed => *state = TimerState::Disarmed,
            }
            Ok::<_, Unobservable>(None)
        };
        let refresh_every = effect(&mut refresh, "apt-daily")?;
        let upgrade_every = effect(&mut upgrade, "apt-daily-upgrade")?;
        let job = observation.stat(COMPATIBLE)?;
        let mut cron = false;
        if job.is_some_and(|stat| stat.mode & 0o111 != 0) {
            for path in CRONS {
                cron |= observation.stat(path)?.is_some();
            }
        }
        Ok(Schedule {
            refresh,
            upgrade,
            refresh_every,
            upgrade_every,
            cron,
        })
    }
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
