//! Where a probe read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::Walked;
use crate::host::traced::{Answer, KernelAnswer, Witness};
use crate::host::{HostError, Program, ProgramOutput};

/// Most places of one probe that are remembered; beyond, watching it would cost more than its cadence.
const MAX_PLACES: usize = 1_000;

/// What else than files the kernel tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// The table of mounts.
    Mounts,
    /// Network devices, addresses, routes and rules.
    Network,
}

/// The places where one probe read in one round.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Files and directories asked about; `true` if what the path leads to was there.
    pub paths: BTreeMap<String, bool>,
    /// Directories whose names were asked for.
    pub listed: BTreeSet<String>,
    /// Units of systemd asked about.
    pub units: BTreeSet<String>,
    /// Interfaces of the kernel.
    pub sources: BTreeSet<Source>,
    /// There were more than are kept.
    pub too_many: bool,
    /// Whole file systems were walked.
    pub walked: bool,
    /// How long the probe took.
    pub took: Duration,
}

impl Reads {
    fn add(&mut self, path: &str, there: bool, listed: bool) {
        if let Some(source) = kernel_source(path) {
            self.sources.extend(source);
            return;
        }
        if self.paths.len() >= MAX_PLACES {
            self.too_many = true;
            return;
        }
        if listed {
            self.listed.insert(path.to_owned());
        }
        match self.paths.get_mut(path) {
            Some(known) => *known |= there,
            None => {
                self.paths.insert(path.to_owned(), there);
            }
        }
    }
}

/// `None` for a file system with files; for the kernel's own, what tells of a change, if anything does.
fn kernel_source(path: &str) -> Option<Option<Source>> {
    const NETWORK: [&str; 4] = [
        "/proc/net/",
        "/proc/self/net/",
        "/proc/sys/net/",
        "/sys/class/net",
    ];
    if !["/proc/", "/sys/", "/dev/"]
        .iter()
        .any(|top| path.starts_with(top))
    {
        return None;
    }
    let mounts = path.ends_with("/mountinfo") || path.ends_with("/mounts");
    Some(if mounts {
        Some(Source::Mounts)
    } else {
        let network = NETWORK.iter().any(|start| path.starts_with(start));
        network.then_some(Source::Network)
    })
}

impl Witness for Reads {
    fn path(&mut self, path: &str, answer: Answer<'_>) {
        let there = match &answer {
            Answer::Content { bytes, .. } => bytes.is_ok(),
            Answer::Listed(names) => names.is_ok(),
            Answer::Status { follow, stat } => *follow && stat.is_ok(),
            Answer::Opened(_) | Answer::Link(_) | Answer::Attribute { .. } => false,
        };
        self.add(path, there, matches!(answer, Answer::Listed(Ok(_))));
    }

    fn program(&mut self, program: &Program, output: Result<&ProgramOutput, &HostError>) {
        // A program that appears is a change too.
        self.add(program.path, output.is_ok(), false);
        let words = || program.args.iter().map(String::as_str);
        let shows =
            words().any(|word| word.ends_with("/systemctl")) && words().any(|word| word == "show");
        if output.is_ok() && (shows || program.path.ends_with("/systemctl")) {
            let units = words().filter(|word| !word.starts_with('-') && is_unit(word));
            self.units.extend(units.map(str::to_owned));
        }
    }

    fn walked(&mut self, _: Result<&Walked, &HostError>) {
        self.walked = true;
    }

    fn kernel(&mut self, _: KernelAnswer<'_>) {}
}

/// A unit's name (systemd.unit(5)) has one of a few endings.
fn is_unit(word: &str) -> bool {
    const KINDS: [&str; 5] = [".service", ".socket", ".timer", ".mount", ".target"];
    KINDS.iter().any(|kind| word.ends_with(kind)) && !word.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_tells_by_reading_what_concerns_it() {
        let mut reads = Reads::default();
        reads.path("/etc/ssh/sshd_config", Answer::Opened(None));
        reads.path("/etc/ssh/sshd_config.d", Answer::Listed(Ok(&[])));
        reads.path("/proc/self/mountinfo", Answer::Opened(None));
        reads.path("/proc/sys/net/ipv4/ip_forward", Answer::Opened(None));
        reads.path("/proc/17/maps", Answer::Opened(None));
        let show = [
            "TZ=UTC",
            "/usr/bin/systemctl",
            "show",
            "--property=Id",
            "ssh.service",
        ];
        let program = Program::new("/usr/bin/env", &show);
        reads.program(&program, Ok(&ProgramOutput::default()));
        assert_eq!(
            reads,
            Reads {
                paths: [
                    ("/etc/ssh/sshd_config".to_owned(), false),
                    ("/etc/ssh/sshd_config.d".to_owned(), true),
                    ("/usr/bin/env".to_owned(), true),
                ]
                .into(),
                listed: ["/etc/ssh/sshd_config.d".to_owned()].into(),
                units: ["ssh.service".to_owned()].into(),
                sources: [Source::Mounts, Source::Network].into(),
                ..Reads::default()
            }
        );
    }

    #[test]
    fn a_walk_of_the_disk_is_not_watched() {
        let mut reads = Reads::default();
        for number in 0..5_000 {
            reads.path(&format!("/srv/{number}"), Answer::Opened(None));
        }
        assert!(reads.too_many && reads.paths.len() == MAX_PLACES);
    }
}
