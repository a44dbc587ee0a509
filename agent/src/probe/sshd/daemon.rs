//! Whether sshd runs or would, and with which options: they come before every file.

use std::collections::BTreeMap;

use super::config::{self, ConfigError};
use super::evaluate::Given;
use super::keyword;
use super::process;
use super::start;
use super::syntax;
use crate::host::HostError;
use crate::probe::unit::{self, Unit, units};
use crate::probe::{Observation, Unobservable, getopt, openrc};

pub(super) const SERVICES: [&str; 2] = ["ssh.service", "sshd.service"];
/// What a socket starts for each connection.
const TEMPLATES: [&str; 2] = ["ssh@.service", "sshd@.service"];
const SOCKETS: [&str; 4] = [
    "ssh.socket",
    "sshd.socket",
    // systemd 256 and later make these by a generator wherever sshd is installed.
    "sshd-unix-local.socket",
    "sshd-vsock.socket",
];
/// A unit whose condition is that this file is absent.
const NOT_TO_BE_RUN: &str = "/etc/ssh/sshd_not_to_be_run";
const PID_FILE: &str = "/run/sshd.pid";
/// Options of sshd(8) that take an argument.
const WITH_ARGUMENT: &str = "CEbcfghkopu";

/// Whether anybody can reach sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::probe) enum State {
    /// A daemon runs.
    Running,
    /// systemd listens and starts it for the first connection.
    Socket,
    /// Neither now, but it would start at boot.
    Boot,
    /// Installed, neither running nor started at boot.
    Off,
}

/// The daemon as it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct Daemon {
    /// Whether it can be reached.
    pub state: State,
    /// The listening process.
    pub pid: Option<u32>,
    /// Options of the running process, where they could be read.
    pub running: Option<CommandLine>,
    /// Options it is started with at boot.
    pub boot: CommandLine,
}

/// sshd's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::probe) struct CommandLine {
    /// Options with their arguments, as given.
    pub words: Vec<String>,
    /// The main configuration file if not the usual one.
    file: Option<String>,
}

impl CommandLine {
    pub(super) fn new(words: Vec<String>) -> CommandLine {
        let mut line = CommandLine { words, file: None };
        line.file = line
            .options()
            .filter(|(option, _)| *option == 'f')
            .map(|(_, argument)| argument)
            .last();
        line
    }

    /// Options out of a process title; `None` if it was cut off.
    pub(super) fn of_process(title: &str) -> Option<CommandLine> {
        from_process(title).map(CommandLine::new)
    }

    /// The main configuration file.
    pub(in crate::probe) fn file(&self) -> &str {
        self.file.as_deref().unwrap_or("/etc/ssh/sshd_config")
    }

    /// Options one by one as getopt(3) sees them.
    fn options(&self) -> impl Iterator<Item = (char, String)> {
        let mut found = Vec::new();
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            let Some(flags) = word.strip_prefix('-') else {
                break;
            };
            found.extend(getopt::of_word(flags, WITH_ARGUMENT, &mut words));
        }
        found.into_iter()
    }

    /// What the options set.
    ///
    /// # Errors
    /// [`ConfigError`] where sshd refuses to start.
    pub(super) fn given(&self) -> Result<Vec<Given>, ConfigError> {
        let mut given = Vec::new();
        for (option, argument) in self.options() {
            match option {
                'o' => {
                    if let Some(line) = syntax::line("option -o of sshd", 0, &argument)? {
                        given.push(config::set("option -o of sshd", &line)?);
                    }
                }
                'h' => given.extend(keyword::find("hostkey").map(|k| (k, vec![argument]))),
                'p' => given.extend(keyword::find("port").map(|k| (k, vec![argument]))),
                _ => {}
            }
        }
        Ok(given)
    }

    /// The options that matter for `sshd -T`: file, settings and host keys.
    pub(super) fn for_test(&self) -> Vec<String> {
        self.options()
            .filter(|(option, _)| matches!(option, 'f' | 'o' | 'h' | 'p'))
            .flat_map(|(option, argument)| [format!("-{option}"), argument])
            .collect()
    }
}

impl Daemon {
    /// The units that may start it.
    pub(in crate::probe) fn units() -> Vec<&'static str> {
        [SERVICES.as_slice(), SOCKETS.as_slice()].concat()
    }

    /// Looks at units, the running process and the files that hold its options.
    ///
    /// # Errors
    /// [`Unobservable`] if units or files cannot be read.
    pub(in crate::probe) fn observe(
        observation: &mut Observation<'_>,
    ) -> Result<Daemon, Unobservable> {
        let units = units(observation, &Daemon::units())?;
        let any = |names: &[&str], what: fn(&Unit) -> bool| {
            names.iter().any(|name| units.get(*name).is_some_and(what))
        };
        let mut pid = SERVICES
            .iter()
            .filter_map(|name| units.get(*name))
            .filter(|unit| unit.active)
            .find_map(|unit| unit.main_pid);
        if pid.is_none() && observation.is_live() {
            pid = by_pid_file(observation)?;
        }
        let enabled = any(&SERVICES, |unit| unit.enabled)
            || any(&SOCKETS, |unit| unit.enabled)
            || (observation.is_live() && !any(&SERVICES, |unit| unit.exists) && sysv(observation)?);
        // The file that keeps Debian's units and scripts from starting it is none of OpenRC's.
        let at_boot = (enabled && observation.stat(NOT_TO_BE_RUN)?.is_none())
            || openrc::starts(observation, "sshd")?;
        let state = if pid.is_some() {
            State::Running
        } else if any(&SOCKETS, |unit| unit.active) {
            State::Socket
        } else if at_boot {
            State::Boot
        } else {
            State::Off
        };
        let by_socket = !matches!(state, State::Running)
            && !any(&SERVICES, |unit| unit.enabled)
            && each_connection_has_its_own(observation, &units)?;
        let running = match pid {
            Some(pid) => running_options(observation, pid)?,
            None => None,
        };
        Ok(Daemon {
            state,
            pid,
            running,
            boot: start::options(observation, if by_socket { &TEMPLATES } else { &SERVICES })?,
        })
    }
}

/// The process of sshd's PID file, if it still is one.
fn by_pid_file(observation: &mut Observation<'_>) -> Result<Option<u32>, Unobservable> {
    let pid = observation
        .text(PID_FILE)?
        .and_then(|text| text.trim().parse::<u32>().ok());
    let Some(pid) = pid else { return Ok(None) };
    Ok(process::is_daemon(observation.host(), pid).then_some(pid))
}

/// Whether a start link of System V's init names it.
fn sysv(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let links = observation.list("/etc/rc2.d")?.unwrap_or_default();
    Ok(links.iter().any(|link| {
        link.name.starts_with('S') && (link.name.ends_with("ssh") || link.name.ends_with("sshd"))
    }))
}

fn running_options(
    observation: &mut Observation<'_>,
    pid: u32,
) -> Result<Option<CommandLine>, Unobservable> {
    let bytes = match observation
        .host()
        .read(&format!("/proc/{pid}/cmdline"), 256 * 1024)
    {
        Ok(bytes) => bytes,
        Err(HostError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    observation.note("/proc/PID/cmdline of sshd");
    Ok(CommandLine::of_process(&String::from_utf8_lossy(&bytes)))
}

/// Options out of a process title. A listening sshd replaces its arguments by one text,
/// `sshd: /usr/sbin/sshd -D -o X=y [listener] 0 of 10-100 startups`, in which an argument with spaces is seen by the
/// next one's dash only. `None` if the title was cut off.
fn from_process(title: &str) -> Option<Vec<String>> {
    let Some(text) = title.strip_prefix("sshd: ") else {
        let words = title.trim_end_matches('\0').split('\0').skip(1);
        return Some(words.map(str::to_owned).collect());
    };
    let (text, _) = text.split_once(" [listener]")?;
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split(' ').skip(1) {
        if word.starts_with('-') {
            // An attached argument (-oX=y) leaves nothing to wait for.
            let flags = word.trim_start_matches('-');
            open = flags.find(|flag| WITH_ARGUMENT.contains(flag))
                == Some(flags.len() - flags.len().min(1))
                && !flags.is_empty();
            words.push(word.to_owned());
        } else if open {
            words.push(word.to_owned());
            open = false;
        } else if let Some(last) = words.last_mut() {
            last.push(' ');
            last.push_str(word);
        }
    }
    Some(words)
}

/// Whether a socket that listens or will (`Accept=yes`) starts an instance of the template unit for every connection.
fn each_connection_has_its_own(
    observation: &mut Observation<'_>,
    units: &BTreeMap<String, Unit>,
) -> Result<bool, Unobservable> {
    const YES: [&str; 4] = ["yes", "true", "on", "1"];
    for name in SOCKETS {
        let used = units
            .get(name)
            .is_some_and(|unit| unit.active || unit.enabled);
        if !used {
            continue;
        }
        let text = unit::text(observation, name)?.unwrap_or_default();
        let accept = text
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .filter(|(key, _)| key.trim() == "Accept")
            .map(|(_, value)| value.trim().to_ascii_lowercase())
            .next_back();
        if accept.is_some_and(|value| YES.contains(&value.as_str())) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
