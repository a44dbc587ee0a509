//! Which time services start at the boot of an unpacked root, and the sources that each would follow.
//!
//! Of two services that both would start, systemd starts the one whose `Conflicts=` names the other and stops that one,
//! systemd.unit(5). What the network hands out at run time (DHCP) is not on disk and not seen.

mod chrony;
mod ntp;
mod timesyncd;

use super::clock::DaemonKind;
use super::time_sources::TimeSource;
use super::unit::boot::{self, is_executable};
use super::unit::command;
use super::{Observation, Unobservable, getopt, openrc, sshd};

/// A service as systemd knows it.
const UNITS: [(&str, Software); 8] = [
    ("chrony.service", Software::Chrony),
    ("chronyd.service", Software::Chrony),
    ("ntp.service", Software::Ntp),
    ("ntpd.service", Software::Ntp),
    ("ntpsec.service", Software::Ntp),
    ("openntpd.service", Software::OpenNtp),
    ("ptp4l.service", Software::Ptp),
    ("systemd-timesyncd.service", Software::Timesyncd),
];
/// A service of OpenRC, its program, and the variable of /etc/conf.d that holds its options.
const SCRIPTS: [(&str, Software, &str, &str); 4] = [
    ("chronyd", Software::Chrony, "/usr/sbin/chronyd", "ARGS"),
    ("ntpd", Software::Ntp, "/usr/sbin/ntpd", "NTPD_OPTS"),
    ("ntpsec", Software::Ntp, "/usr/sbin/ntpd", "NTPD_OPTS"),
    ("openntpd", Software::OpenNtp, "/usr/sbin/ntpd", "NTPD_OPTS"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Software {
    Chrony,
    Timesyncd,
    Ntp,
    OpenNtp,
    Ptp,
}

impl Software {
    const fn kind(self) -> DaemonKind {
        match self {
            Software::Chrony => DaemonKind::Chrony,
            Software::Timesyncd => DaemonKind::Timesyncd,
            Software::Ntp | Software::OpenNtp => DaemonKind::Ntpd,
            Software::Ptp => DaemonKind::Ptp4l,
        }
    }
}

/// A time service of an unpacked root.
#[derive(Debug, Clone)]
pub(super) struct TimeService {
    /// Unit or script.
    pub name: String,
    /// What it runs.
    pub kind: DaemonKind,
    /// It starts at boot.
    pub starts: bool,
    /// Why it does not, or why it would not keep the clock right.
    pub hindrance: Option<String>,
    /// What decides and cannot be told from files.
    pub unknown: Option<String>,
    /// It sets the clock rather than only watching it.
    pub disciplines: bool,
    /// The sources it would follow.
    pub sources: Vec<TimeSource>,
}

/// What a configuration comes to.
#[derive(Debug, Default)]
struct Settings {
    sources: Vec<TimeSource>,
    /// Why the clock would not be set.
    idle: Option<String>,
}

/// The time services that are there. Of one under two names, the first counts.
///
/// # Errors
/// [`Unobservable`] if units or configuration are there and cannot be read.
pub(super) fn services(
    observation: &mut Observation<'_>,
) -> Result<Vec<TimeService>, Unobservable> {
    if openrc::brings_up(observation)? {
        return by_openrc(observation);
    }
    let mut found: Vec<(TimeService, Vec<String>)> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for (name, software) in UNITS {
        let Some(unit) = boot::at_boot(observation, name, false)? else {
            continue;
        };
        // chronyd.service is another name of Debian's chrony.service, ntp.service and ntpd.service of ntpsec.service.
        if !unit.text.is_empty() && texts.contains(&unit.text) {
            continue;
        }
        texts.push(unit.text.clone());
        let mut service = TimeService {
            name: name.to_owned(),
            kind: software.kind(),
            starts: unit.starts,
            hindrance: unit.hindrance.clone(),
            unknown: unit.unknown.clone(),
            disciplines: true,
            sources: Vec::new(),
        };
        if unit.starts {
            service.configure(observation, software, &unit.command)?;
        }
        found.push((service, unit.named("Conflicts")));
    }
    Ok(settled(found))
}

/// Of those that would start, the ones that others which start conflict with do not; if both name each other, it is open.
fn settled(found: Vec<(TimeService, Vec<String>)>) -> Vec<TimeService> {
    let starting: Vec<(String, Vec<String>)> = found
        .iter()
        .filter(|(service, _)| service.starts)
        .map(|(service, conflicts)| (service.name.clone(), conflicts.clone()))
        .collect();
    found
        .into_iter()
        .map(|(mut service, own)| {
            let stopped_by = starting
                .iter()
                .find(|(_, conflicts)| service.starts && conflicts.contains(&service.name));
            if let Some((other, _)) = stopped_by {
                if own.contains(other) {
                    service.unknown = Some(format!("whether it or {other} is started"));
                } else {
                    service.hindrance = Some(format!("{other} conflicts with it"));
                }
                service.starts = false;
            }
            service
        })
        .collect()
}

fn by_openrc(observation: &mut Observation<'_>) -> Result<Vec<TimeService>, Unobservable> {
    let mut found = Vec::new();
    for (name, software, program, variable) in SCRIPTS {
        if observation.stat(&format!("/etc/init.d/{name}"))?.is_none() {
            continue;
        }
        let mut service = TimeService {
            name: name.to_owned(),
            kind: software.kind(),
            starts: openrc::starts(observation, name)?,
            hindrance: None,
            unknown: None,
            disciplines: true,
            sources: Vec::new(),
        };
        if !service.starts {
            service.hindrance = Some("no runlevel of the boot has it".to_owned());
        } else if !is_executable(observation, program)? {
            service.starts = false;
            service.hindrance = Some(format!("{program} is not there to be run"));
        } else {
            let settings = observation
                .text(&format!("/etc/conf.d/{name}"))?
                .unwrap_or_default();
            let settings = command::assignments(&settings);
            let mut words = vec![program.to_owned()];
            if let Some(file) = command::value(&settings, "CFGFILE") {
                words.extend(["-f".to_owned(), file.to_owned()]);
            }
            let options = command::value(&settings, variable).and_then(sshd::words);
            words.extend(options.unwrap_or_default());
            service.configure(observation, software, &words)?;
        }
        found.push(service);
    }
    Ok(found)
}

impl TimeService {
    fn configure(
        &mut self,
        observation: &mut Observation<'_>,
        software: Software,
        command: &[String],
    ) -> Result<(), Unobservable> {
        let settings = match software {
            Software::Chrony => chrony::settings(observation, command)?,
            Software::Timesyncd => timesyncd::settings(observation, command)?,
            Software::Ntp => ntp::settings(observation, &self.name, command)?,
            Software::OpenNtp => ntp::of_openntpd(observation, command)?,
            Software::Ptp => Err("whether PTP reaches the system clock".to_owned()),
        };
        match settings {
            Ok(settings) => {
                self.sources = settings.sources;
                self.disciplines = settings.idle.is_none();
                self.hindrance = settings.idle;
            }
            Err(unknown) => {
                self.starts = false;
                self.unknown = Some(unknown);
            }
        }
        Ok(())
    }
}

/// Options of a program one by one as getopt(3) sees them, with their arguments, and what follows them.
fn options(command: &[String], with_argument: &str) -> (Vec<(char, String)>, Vec<String>) {
    let mut found = Vec::new();
    let mut rest = Vec::new();
    let mut words = command.iter().skip(1);
    while let Some(word) = words.next() {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            rest.push(word.clone());
            continue;
        };
        found.extend(getopt::of_word(flags, with_argument, &mut words));
    }
    (found, rest)
}

/// The program's name without its directory.
fn program(command: &[String]) -> &str {
    let path = command.first().map_or("", String::as_str);
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, conflicts: &[&str]) -> (TimeService, Vec<String>) {
        let service = TimeService {
            name: name.to_owned(),
            kind: DaemonKind::Ntpd,
            starts: true,
            hindrance: None,
            unknown: None,
            disciplines: true,
            sources: Vec::new(),
        };
        let conflicts = conflicts.iter().map(|name| (*name).to_owned()).collect();
        (service, conflicts)
    }

    #[test]
    fn the_one_that_names_the_other_is_started() {
        let both = settled(vec![service("a", &["b"]), service("b", &[])]);
        assert!(both[0].starts && !both[1].starts && both[1].hindrance.is_some());
        let mutual = settled(vec![service("a", &["b"]), service("b", &["a"])]);
        assert!(
            mutual
                .iter()
                .all(|one| !one.starts && one.unknown.is_some())
        );
        let apart = settled(vec![service("a", &["c"]), service("b", &[])]);
        assert!(apart.iter().all(|one| one.starts));
    }

    #[test]
    fn options_are_parted_as_getopt_does() {
        let words = ["x", "-F", "1", "-xf/etc/c", "server a"].map(str::to_owned);
        let (found, rest) = options(&words, "fF");
        assert_eq!(
            found,
            [
                ('F', "1".to_owned()),
                ('x', String::new()),
                ('f', "/etc/c".to_owned())
            ]
        );
        assert_eq!(rest, ["server a"]);
    }
}
