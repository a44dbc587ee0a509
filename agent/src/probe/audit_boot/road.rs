//! By which way rules get into the kernel at boot.

use crate::probe::systemd_config::of_section;
use crate::probe::unit::boot::{self, AtBoot};
use crate::probe::unit::text;
use crate::probe::{Observation, Unobservable, sshd};

/// The service of audit 4 that loads the rules before auditd starts.
const LOADER: &str = "audit-rules.service";
const SCRIPT: &str = "/etc/init.d/auditd";
/// What augenrules writes and auditctl reads.
pub(super) const FILE: &str = "/etc/audit/audit.rules";

/// What loads rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loading {
    /// `augenrules --load`: what lies in rules.d, merged.
    Merged,
    /// `auditctl -R FILE`.
    File(String),
}

/// What is done at boot to load rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Road {
    /// In order; each comes on top of what those before it loaded.
    pub steps: Vec<Loading>,
    /// For people: what does it.
    pub by: Option<String>,
    /// What cannot be followed.
    pub unknown: Option<String>,
}

/// The loader's unit of audit 4, and what auditd's own unit does after the daemon started.
pub(super) fn of_systemd(
    observation: &mut Observation<'_>,
    daemon: &AtBoot,
) -> Result<Road, Unobservable> {
    let mut road = Road::default();
    let wanted = daemon.starts && is_wanted(observation, daemon)?;
    if let Some(loader) = boot::at_boot(observation, LOADER, wanted)? {
        if loader.starts {
            road.follow(
                &loader.text,
                &["ExecStartPre", "ExecStart", "ExecStartPost"],
                LOADER,
            );
        }
        road.unknown = road.unknown.or(loader.unknown);
    }
    if daemon.starts {
        road.follow(&daemon.text, &["ExecStartPost"], "auditd.service");
    }
    Ok(road)
}

/// Whether auditd's unit, or a link beside it, wants the loader.
fn is_wanted(observation: &mut Observation<'_>, daemon: &AtBoot) -> Result<bool, Unobservable> {
    for setting in ["Wants", "Requires", "BindsTo", "Upholds"] {
        if daemon.named(setting).iter().any(|name| name == LOADER) {
            return Ok(true);
        }
    }
    for directory in [
        "/etc/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ] {
        for kind in ["wants", "requires"] {
            let link = format!("{directory}/auditd.service.{kind}/{LOADER}");
            if observation.host().lstat(&link).is_ok() {
                observation.note(&link);
                return Ok(text(observation, LOADER)?.is_some());
            }
        }
    }
    Ok(false)
}

impl Road {
    fn follow(&mut self, unit: &str, settings: &[&str], name: &str) {
        let assignments = of_section(unit, "Service");
        for setting in settings {
            let mut lines: Vec<&str> = Vec::new();
            for (_, value) in assignments.iter().filter(|(key, _)| key == setting) {
                if value.is_empty() {
                    lines.clear();
                } else {
                    lines.push(value);
                }
            }
            for line in lines {
                self.step(line, name);
            }
        }
    }

    fn step(&mut self, line: &str, by: &str) {
        let words = sshd::words(line.trim_start_matches(['@', '-', ':', '+', '!', '|']));
        let words = words.unwrap_or_default();
        let (program, arguments) = match words.split_first() {
            Some((program, arguments)) => (program.as_str(), arguments),
            None => ("", &[] as &[String]),
        };
        let argument = |wanted: &str| arguments.iter().position(|word| word == wanted);
        let step = match program.rsplit('/').next().unwrap_or_default() {
            "augenrules" if argument("--check").is_some() => None,
            "augenrules" => argument("--load").map(|_| Loading::Merged),
            "auditctl" => match argument("-R").and_then(|at| arguments.get(at + 1)) {
                Some(file) if arguments.len() == 2 => Some(Loading::File(file.clone())),
                _ => {
                    self.unknown = Some(format!("what {line} of {by} does"));
                    None
                }
            },
            "echo" | "true" | "logger" | "sleep" | "rm" | "mkdir" | "install" | "restorecon" => {
                None
            }
            _ => {
                self.unknown = Some(format!("what {line} of {by} does"));
                None
            }
        };
        if let Some(step) = step {
            let text = match &step {
                Loading::Merged => format!("augenrules --load, {by}"),
                Loading::File(file) => format!("auditctl -R {file}, {by}"),
            };
            self.by = Some(text);
            self.steps.push(step);
        }
    }
}

/// What the start script of OpenRC does, as far as its words tell: it names augenrules or the file.
pub(super) fn of_openrc(
    observation: &mut Observation<'_>,
    starts: bool,
) -> Result<Road, Unobservable> {
    let mut road = Road::default();
    if !starts {
        return Ok(road);
    }
    let script = observation.text(SCRIPT)?.unwrap_or_default();
    let code: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .collect();
    let says = |what: &str| code.iter().any(|line| line.contains(what));
    let loading = match (says("augenrules"), says(FILE)) {
        (true, false) => Loading::Merged,
        (false, true) => Loading::File(FILE.to_owned()),
        (false, false) if !says("auditctl") => return Ok(road),
        _ => {
            road.unknown = Some(format!("which rules {SCRIPT} loads"));
            return Ok(road);
        }
    };
    road.by = Some(SCRIPT.to_owned());
    road.steps.push(loading);
    Ok(road)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn road(unit: &str) -> Road {
        let mut road = Road::default();
        road.follow(&format!("[Service]\n{unit}"), &["ExecStartPost"], "x");
        road
    }

    #[test]
    fn the_unit_says_which_rules_are_loaded() {
        let merged = road(
            "ExecStartPost=-/sbin/augenrules --load\n#ExecStartPost=-/sbin/auditctl -R /etc/audit/audit.rules\n",
        );
        assert_eq!(merged.steps, [Loading::Merged]);
        let file = road(
            "ExecStartPost=-/sbin/augenrules --load\nExecStartPost=\nExecStartPost=-/sbin/auditctl -R /etc/audit/audit.rules\n",
        );
        assert_eq!(file.steps, [Loading::File(FILE.to_owned())]);
        assert_eq!(road("").steps, []);
        assert_eq!(road("ExecStartPost=-/sbin/augenrules --check\n").steps, []);
        for other in [
            "/opt/rules.sh",
            "/sbin/auditctl -e 0",
            "/bin/sh -c 'auditctl -D'",
        ] {
            let road = road(&format!("ExecStartPost=-{other}\n"));
            assert!(road.unknown.is_some() && road.steps.is_empty(), "{other}");
        }
    }
}
