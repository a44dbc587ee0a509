//! What installs updates by itself on hosts of dnf, yum, zypper and rpm-ostree.

use schemars::JsonSchema;
use serde::Serialize;

use super::schedule::{TimerState, is_some_cron_installed, timers};
use crate::probe::package_sources::setting;
use crate::probe::systemd_config::of_unit;
use crate::probe::unit::units;
use crate::probe::{Observation, Unobservable};

const DAY: i64 = 86_400;

/// One mechanism that this host has.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::probe) struct Mechanism {
    /// Its timer or service, without the ending.
    pub(in crate::probe) name: String,
    /// Whether it is started by itself.
    pub(in crate::probe) timer: TimerState,
    /// Seconds between two runs at the most; absent if that is as shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::probe) every: Option<i64>,
    /// It installs what it finds, and does not only fetch or tell it.
    pub(in crate::probe) installs: bool,
    /// Fixes of weaknesses are among what it installs.
    pub(in crate::probe) security: bool,
    /// Patterns of packages that it leaves out.
    pub(in crate::probe) excluded: Vec<String>,
}

/// A mechanism that a timer starts: stem of timer and service, programs that the service may start, how it is set up.
type Timed = (
    &'static str,
    &'static [&'static str],
    fn(&mut Observation<'_>, &[String]) -> Result<Effect, Unobservable>,
);

const TIMED: [Timed; 7] = [
    ("dnf-automatic", &["dnf-automatic", "dnf5"], dnf),
    ("dnf-automatic-install", &["dnf-automatic", "dnf5"], dnf),
    ("dnf5-automatic", &["dnf5"], dnf),
    ("dnf5-automatic-install", &["dnf5"], dnf),
    ("os-update", &["os-update"], os_update),
    ("rpm-ostreed-automatic", &["rpm-ostree"], rpm_ostree),
    (
        "transactional-update",
        &["transactional-update"],
        transactional,
    ),
];

/// What a run does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Effect {
    installs: bool,
    security: bool,
    excluded: Vec<String>,
}

/// The mechanisms that this host has, whether or not they run.
pub(in crate::probe) fn mechanisms(
    observation: &mut Observation<'_>,
) -> Result<Vec<Mechanism>, Unobservable> {
    let stems: Vec<(&str, &[&str])> = TIMED.iter().map(|(stem, jobs, _)| (*stem, *jobs)).collect();
    let mut found = Vec::new();
    for ((stem, _, effect), (timer, every)) in TIMED.iter().zip(timers(observation, &stems)?) {
        if timer == TimerState::Absent {
            continue;
        }
        let arguments = arguments(observation, stem)?;
        let effect = effect(observation, &arguments)?;
        found.push(Mechanism {
            name: (*stem).to_owned(),
            timer,
            every,
            installs: effect.installs,
            security: effect.security,
            excluded: effect.excluded,
        });
    }
    found.extend(yum_cron(observation)?);
    found.extend(online_update(observation)?);
    Ok(found)
}

/// The command line of a service, program first; of several the last.
fn arguments(observation: &mut Observation<'_>, stem: &str) -> Result<Vec<String>, Unobservable> {
    let settings = of_unit(observation, &format!("{stem}.service"), "Service")?;
    let starts = settings.iter().filter(|(name, _)| name == "ExecStart");
    let last = starts.map(|(_, line)| line.as_str()).next_back();
    let words = last.unwrap_or_default().split_whitespace();
    Ok(words.map(str::to_owned).collect())
}

/// dnf-automatic(8), and dnf5-automatic(8), which has the distributor's settings beneath those of the host.
fn dnf(observation: &mut Observation<'_>, arguments: &[String]) -> Result<Effect, Unobservable> {
    const SHIPPED: &str = "/usr/share/dnf5/dnf5-plugins/automatic.conf";
    const OWN: &str = "/etc/dnf/automatic.conf";
    let named = arguments
        .iter()
        .skip(1)
        .find(|word| word.starts_with('/') && word.ends_with(".conf"));
    let own = named.map_or(OWN, String::as_str).to_owned();
    let mut installs = false;
    let mut kind = "default".to_owned();
    for path in [SHIPPED.to_owned(), own.clone()] {
        let text = observation.text(&path)?.unwrap_or_default();
        if let Some(value) = setting(&text, "commands", "apply_updates") {
            installs = truth(&value, &path)?;
        }
        if let Some(value) = setting(&text, "commands", "upgrade_type") {
            kind = value;
        }
    }
    for word in arguments {
        match word.as_str() {
            "--installupdates" => installs = true,
            "--no-installupdates" => installs = false,
            _ => {}
        }
    }
    if !["default", "security"].contains(&kind.as_str()) {
        let problem = format!("upgrade_type is {kind:?}, which is not known");
        return Err(Unobservable::unparsable(&own, problem));
    }
    let mut excluded = Vec::new();
    for (path, section) in [("/etc/dnf/dnf.conf", "main"), (own.as_str(), "base")] {
        let text = observation.text(path)?.unwrap_or_default();
        for name in ["exclude", "excludepkgs"] {
            let value = setting(&text, section, name).unwrap_or_default();
            let words = value.split([',', ' ', '\t']);
            excluded.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    Ok(Effect {
        installs,
        security: true,
        excluded,
    })
}

fn truth(value: &str, path: &str) -> Result<bool, Unobservable> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => Err(Unobservable::unparsable(
            path,
            format!("{value:?} is neither yes nor no"),
        )),
    }
}

/// SUSE's transactional-update(8): its service names what it does.
fn transactional(
    observation: &mut Observation<'_>,
    arguments: &[String],
) -> Result<Effect, Unobservable> {
    const CONFIGURATION: &str = "/etc/transactional-update.conf";
    let text = observation.text(CONFIGURATION)?.unwrap_or_default();
    let method = setting(&text, "", "UPDATE_METHOD").unwrap_or_else(|| "dup".to_owned());
    let mut words = arguments.iter().map(|word| {
        if word.contains("UPDATE_METHOD") {
            method.trim_matches('"')
        } else {
            word.as_str()
        }
    });
    let installs = words.any(|word| ["dup", "up", "patch"].contains(&word));
    Ok(Effect {
        installs,
        security: true,
        ..Effect::default()
    })
}

/// SUSE's os-update(8).
fn os_update(observation: &mut Observation<'_>, _: &[String]) -> Result<Effect, Unobservable> {
    let mut command = "auto".to_owned();
    for path in ["/usr/etc/os-update.conf", "/etc/os-update.conf"] {
        let text = observation.text(path)?.unwrap_or_default();
        if let Some(value) = setting(&text, "", "UPDATE_CMD") {
            command = value.trim_matches('"').to_owned();
        }
    }
    Ok(Effect {
        installs: ["auto", "security", "up", "dup"].contains(&command.as_str()),
        security: true,
        ..Effect::default()
    })
}

/// rpm-ostreed.conf(5): an image that is staged is booted next time.
fn rpm_ostree(observation: &mut Observation<'_>, _: &[String]) -> Result<Effect, Unobservable> {
    let text = observation
        .text("/etc/rpm-ostreed.conf")?
        .unwrap_or_default();
    let policy = setting(&text, "Daemon", "AutomaticUpdatePolicy").unwrap_or_default();
    Ok(Effect {
        installs: ["stage", "ex-stage", "apply"].contains(&policy.as_str()),
        security: true,
        ..Effect::default()
    })
}

/// yum-cron(8) of yum 3: a daily job of cron, which its service lets run.
fn yum_cron(observation: &mut Observation<'_>) -> Result<Option<Mechanism>, Unobservable> {
    const CONFIGURATION: &str = "/etc/yum/yum-cron.conf";
    let Some(text) = observation.text(CONFIGURATION)? else {
        return Ok(None);
    };
    let service = units(observation, &["yum-cron.service"])?.remove("yum-cron.service");
    let on = service.is_some_and(|service| service.enabled && !service.masked)
        && is_executable(observation, "/etc/cron.daily/0yum-daily.cron")?
        && is_some_cron_installed(observation)?;
    let value = |name: &str| setting(&text, "commands", name);
    let command = value("update_cmd").unwrap_or_else(|| "default".to_owned());
    let installs = match value("apply_updates") {
        Some(value) => truth(&value, CONFIGURATION)?,
        None => false,
    };
    let known = ["default", "security", "minimal", "minimal-security"];
    Ok(Some(Mechanism {
        name: "yum-cron".to_owned(),
        timer: if on {
            TimerState::On
        } else {
            TimerState::Disabled
        },
        every: Some(DAY),
        installs,
        security: known.contains(&command.as_str()),
        excluded: Vec::new(),
    }))
}

/// YaST's online update: a job of cron, and what it takes.
fn online_update(observation: &mut Observation<'_>) -> Result<Option<Mechanism>, Unobservable> {
    let Some(text) = observation.text("/etc/sysconfig/automatic_online_update")? else {
        return Ok(None);
    };
    let value = |name: &str| {
        let value = setting(&text, "", name).unwrap_or_default();
        value.trim_matches('"').to_owned()
    };
    let mut every = None;
    for (period, days) in [("daily", 1), ("weekly", 7), ("monthly", 31)] {
        let job = format!("/etc/cron.{period}/opensuse.org-online_update");
        if every.is_none() && is_executable(observation, &job)? {
            every = Some(days * DAY);
        }
    }
    let on = every.is_some()
        && value("AOU_ENABLE_CRONJOB") == "true"
        && is_some_cron_installed(observation)?;
    let categories = value("AOU_PATCH_CATEGORIES");
    Ok(Some(Mechanism {
        name: "online_update".to_owned(),
        timer: if on {
            TimerState::On
        } else {
            TimerState::Disabled
        },
        every,
        installs: true,
        security: categories.is_empty()
            || categories.split_whitespace().any(|word| word == "security"),
        excluded: Vec::new(),
    }))
}

fn is_executable(observation: &mut Observation<'_>, path: &str) -> Result<bool, Unobservable> {
    let stat = observation.stat(path)?;
    Ok(stat.is_some_and(|stat| stat.mode & 0o111 != 0))
}
