//! What becomes of the audit at the next boot, from what is on disk: the kernel's command line, auditd's unit or OpenRC
//! service, and the rules that are loaded beside it (see [`rules`]).
//!
//! auditd switches the audit on when it starts unless its option `-s` says otherwise, auditd(8); `-e 0` among the rules
//! switches it off again.

mod merged;
mod road;
mod rules;

use schemars::JsonSchema;
use serde::Serialize;

use self::road::Road;
pub(super) use self::rules::RulesAtBoot;
use super::unit::boot::{self, AtBoot, is_executable};
use super::unit::command;
use super::{Observation, Unobservable, kernel_cmdline, openrc, sshd};

const DAEMON: &str = "auditd.service";
const CONFIG: &str = "/etc/audit/auditd.conf";

/// Whether events will be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateAtBoot {
    /// Switched off, or by nothing switched on.
    Off,
    /// On.
    On,
    /// On, and locked until the boot after.
    Locked,
}

/// The audit after the next boot.
#[derive(Debug, Clone)]
pub(super) struct AuditAtBoot {
    /// Whether events will be recorded.
    pub state: StateAtBoot,
    /// auditd starts and takes the kernel's events.
    pub daemon: bool,
    /// Why one of both is not so.
    pub hindrance: Option<String>,
    /// What decides and cannot be told from files.
    pub unknown: Option<String>,
    /// The rules that are loaded.
    pub rules: RulesAtBoot,
}

/// Reads what decides about the audit at the next boot.
///
/// # Errors
/// [`Unobservable`] if something of it is there and cannot be read.
pub(super) fn read(observation: &mut Observation<'_>) -> Result<AuditAtBoot, Unobservable> {
    let (daemon, road) = if openrc::brings_up(observation)? {
        let daemon = by_openrc(observation)?;
        let road = road::of_openrc(observation, daemon.starts)?;
        (daemon, road)
    } else {
        let daemon = boot::at_boot(observation, DAEMON, false)?
            .unwrap_or_else(|| absent("auditd is not installed"));
        let road = road::of_systemd(observation, &daemon)?;
        (daemon, road)
    };
    let rules = rules::at_boot(observation, &road)?;
    conclude(observation, daemon, road, rules)
}

fn absent(hindrance: &str) -> AtBoot {
    AtBoot {
        hindrance: Some(hindrance.to_owned()),
        ..AtBoot::default()
    }
}

fn by_openrc(observation: &mut Observation<'_>) -> Result<AtBoot, Unobservable> {
    if !openrc::starts(observation, "auditd")? {
        return Ok(absent("no runlevel of the boot starts auditd"));
    }
    let settings = observation.text("/etc/conf.d/auditd")?.unwrap_or_default();
    let settings = command::assignments(&settings);
    let mut found = AtBoot::default();
    for program in ["/sbin/auditd", "/usr/sbin/auditd"] {
        if is_executable(observation, program)? {
            found.starts = true;
            found.command = vec![program.to_owned()];
            let options = command::value(&settings, "EXTRAOPTIONS").and_then(sshd::words);
            found.command.extend(options.unwrap_or_default());
            return Ok(found);
        }
    }
    Ok(absent("/sbin/auditd is not there to be run"))
}

fn conclude(
    observation: &mut Observation<'_>,
    daemon: AtBoot,
    road: Road,
    rules: RulesAtBoot,
) -> Result<AuditAtBoot, Unobservable> {
    let parameters = parameters(observation)?;
    let switched_off = parameters.iter().any(|value| is_off(value));
    let at_start = parameters
        .iter()
        .any(|value| matches!(value.as_str(), "1" | "on"));
    let own_program = daemon
        .command
        .first()
        .is_some_and(|program| program.ends_with("/auditd"));
    let enables = daemon.starts && own_program && enables(&daemon.command);
    let takes_events = takes_events(observation)?;
    let state = match rules.enable {
        _ if switched_off => StateAtBoot::Off,
        Some(0) => StateAtBoot::Off,
        Some(2) => StateAtBoot::Locked,
        Some(_) => StateAtBoot::On,
        None if enables || at_start => StateAtBoot::On,
        None => StateAtBoot::Off,
    };
    let hindrance = if switched_off {
        Some("audit=0 on the kernel's command line".to_owned())
    } else if rules.enable == Some(0) {
        Some("-e 0 among the rules".to_owned())
    } else if daemon.starts && !takes_events {
        Some(format!("local_events = no in {CONFIG}"))
    } else if daemon.starts && !enables && state == StateAtBoot::Off {
        Some("auditd is told to leave the audit as it is (option -s)".to_owned())
    } else {
        daemon.hindrance.clone()
    };
    let stranger = (daemon.starts && !own_program)
        .then(|| format!("{} is started in place of auditd", daemon.command.join(" ")));
    Ok(AuditAtBoot {
        state,
        daemon: daemon.starts && own_program && takes_events,
        hindrance,
        unknown: daemon.unknown.or(stranger).or(road.unknown),
        rules,
    })
}

/// The last `audit=` of each command line that the next boot may have.
fn parameters(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let lines = kernel_cmdline::at_next_boot(observation)?;
    Ok(lines
        .iter()
        .filter_map(|line| {
            line.split_whitespace()
                .filter_map(|word| word.strip_prefix("audit="))
                .next_back()
        })
        .map(str::to_owned)
        .collect())
}

fn is_off(value: &str) -> bool {
    matches!(value, "0" | "off")
}

/// `-s disable` and `-s nochange` keep auditd from switching the audit on.
fn enables(command: &[String]) -> bool {
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        let state = match word.strip_prefix("-s") {
            Some("") => words.next().map(String::as_str),
            Some(state) => Some(state.trim_start_matches('=')),
            None => None,
        };
        if state.is_some_and(|state| state != "enable") {
            return false;
        }
    }
    true
}

/// auditd takes what the kernel records unless it only collects what other hosts send, auditd.conf(5).
fn takes_events(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let text = observation.text(CONFIG)?.unwrap_or_default();
    let last = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .rfind(|(key, _)| key.trim().eq_ignore_ascii_case("local_events"));
    Ok(last.is_none_or(|(_, value)| !value.trim().eq_ignore_ascii_case("no")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_option_keeps_auditd_from_switching_audit_on() {
        let command = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in [
            "/sbin/auditd",
            "/sbin/auditd -n -s enable",
            "/sbin/auditd -f -l",
        ] {
            assert!(enables(&command(line)), "{line}");
        }
        for line in ["/sbin/auditd -s nochange", "/sbin/auditd -n -sdisable"] {
            assert!(!enables(&command(line)), "{line}");
        }
    }
}
