//! What the kernel was told at boot, and what the boot loader will tell it the next time.
//!
//! A command line may hold secrets (`systemd.set_credential=`, keys of network disks), so the value of a parameter is kept
//! only if its name is one of those that switch protections; of all others the name alone is.
//!
//! The next boot is read from GRUB's menu (`grub.cfg` and `grubenv`), entries after the Boot Loader Specification (Fedora,
//! RHEL, systemd-boot), extlinux and the `cmdline.txt` of Raspberry Pi: of a menu only what starts if nobody chooses. A
//! unified kernel image holds its command line inside, which is not read; such a host has no entries here.

mod entry;
mod grub;
mod word;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::word::Word;
use super::{Observation, Probe, Unobservable};

const RUNNING: &str = "/proc/cmdline";

/// The probe `kernel_cmdline`.
pub struct KernelCmdline;

/// Facts of kernel command lines.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KernelCmdlineFacts {
    /// The running kernel's line first, then those of the next boot; equal ones once.
    lines: Vec<Line>,
    /// Names of parameters whose value is not kept.
    hidden: BTreeSet<String>,
    /// A boot loader's entry was found for the next boot.
    next_boot: bool,
}

/// One command line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// When it counts.
    at: At,
    /// Where it was read.
    source: String,
    /// Its parameters, by name.
    words: Vec<Word>,
    /// Security modules that `lsm=` asks for, or `security=` without it; absent if neither is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<Vec<String>>,
}

/// When a command line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum At {
    /// Now.
    Running,
    /// After the next boot.
    NextBoot,
}

impl Probe for KernelCmdline {
    const ID: &'static str = "kernel_cmdline";
    type Facts = KernelCmdlineFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<KernelCmdlineFacts, Unobservable> {
        let mut facts = KernelCmdlineFacts {
            lines: Vec::new(),
            hidden: BTreeSet::new(),
            next_boot: false,
        };
        if observation.is_live() {
            let text = observation.required_text(RUNNING)?;
            facts.add(At::Running, RUNNING.to_owned(), &text);
        }
        for entry in entry::next_boot(observation)? {
            facts.next_boot = true;
            facts.add(At::NextBoot, entry.source, &entry.options);
        }
        Ok(facts)
    }
}

impl KernelCmdlineFacts {
    fn add(&mut self, at: At, source: String, text: &str) {
        let (words, hidden) = word::of_line(text);
        self.hidden.extend(hidden);
        if self
            .lines
            .iter()
            .any(|line| line.at == at && line.words == words)
        {
            return;
        }
        self.lines.push(Line {
            at,
            source,
            modules: word::modules(&words),
            words,
        });
    }
}
