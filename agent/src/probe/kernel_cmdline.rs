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
use super::unit::command;
use super::{Observation, Probe, Unobservable};
use crate::host::FileKind;

const RUNNING: &str = "/proc/cmdline";
/// What kernel-install(8) puts on the command line of each kernel; the first wins.
const KERNEL_INSTALL: [&str; 2] = ["/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"];
/// What update-grub(8) makes GRUB's menu from.
const GRUB_SETTINGS: &str = "/etc/default/grub";
const GRUB_DROP_INS: &str = "/etc/default/grub.d";

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

/// The command lines that the next boot may have, for probes that ask for one parameter. Where no boot loader has a menu yet
/// (an image that gets it when it is written to disk), those that the settings for such a menu ask for.
pub(super) fn at_next_boot(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let entries = entry::next_boot(observation)?;
    if !entries.is_empty() {
        return Ok(entries.into_iter().map(|entry| entry.options).collect());
    }
    let mut lines = Vec::new();
    for file in KERNEL_INSTALL {
        if let Some(text) = observation.text(file)? {
            lines.push(text);
            break;
        }
    }
    let mut settings = observation.text(GRUB_SETTINGS)?.unwrap_or_default();
    for entry in observation.list(GRUB_DROP_INS)?.unwrap_or_default() {
        if entry.name.ends_with(".cfg") && entry.kind == FileKind::Regular {
            let path = format!("{GRUB_DROP_INS}/{}", entry.name);
            settings.push('\n');
            settings.push_str(&observation.text(&path)?.unwrap_or_default());
        }
    }
    lines.extend(of_grub_settings(&settings));
    Ok(lines)
}

/// Units that a command line masks for that boot (systemd-debug-generator(8)); a name without a type is a service's.
pub(super) fn masks(line: &str) -> BTreeSet<String> {
    word::values(line, "systemd.mask")
        .into_iter()
        .map(|name| match name.contains('.') {
            true => name,
            false => format!("{name}.service"),
        })
        .collect()
}

/// The command line that settings of GRUB ask for. A later file often adds to what an earlier one set.
fn of_grub_settings(text: &str) -> Option<String> {
    let mut line: Option<String> = None;
    for name in ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"] {
        let mut current: Option<String> = None;
        for (_, value) in command::assignments(text)
            .into_iter()
            .filter(|(known, _)| known == name)
        {
            let before = current.unwrap_or_default();
            current = Some(
                value
                    .replace(&format!("${{{name}}}"), &before)
                    .replace(&format!("${name}"), &before),
            );
        }
        if let Some(current) = current {
            let line = line.get_or_insert_default();
            line.push_str(&current);
            line.push(' ');
        }
    }
    line
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_grub_add_up() {
        let text = "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"audit=0\"\n#GRUB_CMDLINE_LINUX=\"x\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT console=ttyS0\"\n";
        assert_eq!(
            of_grub_settings(text).as_deref(),
            Some("audit=0 quiet console=ttyS0 ")
        );
        assert_eq!(of_grub_settings("GRUB_TIMEOUT=5\n"), None);
    }
}
