//! The words of a kernel command line (Documentation/admin-guide/kernel-parameters.rst).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

/// Parameters whose value is kept: those that switch protections of the kernel, or what it starts.
const KEPT: [&str; 47] = [
    "apparmor",
    "audit",
    "break",
    "clearcpuid",
    "enforcing",
    "gather_data_sampling",
    "hardened_usercopy",
    "indirect_target_selection",
    "init",
    "init_on_alloc",
    "init_on_free",
    "kpti",
    "kvm.nx_huge_pages",
    "l1tf",
    "lockdown",
    "lsm",
    "mds",
    "mitigations",
    "mmio_stale_data",
    "module.sig_enforce",
    "noexec",
    "pti",
    "randomize_kstack_offset",
    "rd.break",
    "rd.systemd.debug_shell",
    "rd.systemd.unit",
    "rd.systemd.wants",
    "rdinit",
    "reg_file_data_sampling",
    "retbleed",
    "rodata",
    "security",
    "selinux",
    "slab_nomerge",
    "spec_rstack_overflow",
    "spec_store_bypass_disable",
    "spectre_bhi",
    "spectre_v2",
    "spectre_v2_user",
    "srbds",
    "ssbd",
    "systemd.debug_shell",
    "systemd.unit",
    "systemd.wants",
    "tsa",
    "tsx_async_abort",
    "vmscape",
];
/// Parameters that name one more unit to start each time they stand there.
const WANTS: [&str; 2] = ["rd.systemd.wants", "systemd.wants"];
/// Switches that the kernel reads as a number in any base: `selinux=00` is `selinux=0`.
const NUMBERS: [&str; 4] = ["apparmor", "audit", "enforcing", "selinux"];
/// Words for init that may stand behind `--`, where the kernel's own parameters end.
const FOR_INIT: [&str; 8] = [
    "1",
    "S",
    "s",
    "single",
    "emergency",
    "rescue",
    "_b",
    "break",
];

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Word {
    /// Its name; dashes are underscores, as the kernel takes them.
    name: String,
    /// `name=value` if it has a value and concerns protection, else the name; of several settings of one name the last;
    /// numbers of switches in plain decimal.
    word: String,
}

/// The words that are kept, and the names of parameters whose value is not.
pub(super) fn of_line(text: &str) -> (Vec<Word>, BTreeSet<String>) {
    let mut bare = BTreeSet::new();
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let mut wanted = BTreeSet::new();
    let mut hidden = BTreeSet::new();
    let mut for_init = false;
    for word in split(text) {
        if word == "--" {
            for_init = true;
            continue;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        let name = name.replace('-', "_");
        let init_reads = name.starts_with("systemd.")
            || name.starts_with("rd.")
            || FOR_INIT.contains(&name.as_str());
        if for_init && !init_reads {
            continue;
        }
        match value {
            // Each one counts, not the last alone; a name without a type is a service's (kernel-command-line(7)).
            Some(value) if WANTS.contains(&name.as_str()) => {
                let service = if value.contains('.') { "" } else { ".service" };
                wanted.insert((name, format!("{value}{service}")));
            }
            Some(value) if KEPT.contains(&name.as_str()) => {
                let value = canonical(&name, value);
                set.insert(name, value);
            }
            Some(_) => {
                hidden.insert(name);
            }
            None => {
                bare.insert(name);
            }
        }
    }
    let names = bare.union(&hidden).map(|name| Word {
        name: name.clone(),
        word: name.clone(),
    });
    let mut words: BTreeSet<Word> = names.collect();
    words.extend(set.into_iter().chain(wanted).map(|(name, value)| Word {
        word: format!("{name}={value}"),
        name,
    }));
    (words.into_iter().collect(), hidden)
}

/// Every value that a line gives a parameter which not the kernel reads: behind `--` too.
pub(super) fn values(text: &str, name: &str) -> Vec<String> {
    split(text)
        .iter()
        .filter_map(|word| word.split_once('='))
        .filter(|(known, value)| known.replace('-', "_") == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
        .collect()
}

/// The security modules that a line asks for: `security=` counts only without `lsm=`.
pub(super) fn modules(words: &[Word]) -> Option<Vec<String>> {
    let value = |name: &str| {
        let word = words.iter().find(|word| word.name == name)?;
        word.word.split_once('=').map(|(_, value)| value)
    };
    let list = value("lsm").or_else(|| value("security"))?;
    Some(
        list.split(',')
            .filter(|module| !module.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

fn canonical(name: &str, value: &str) -> String {
    if !NUMBERS.contains(&name) {
        return value.to_owned();
    }
    let number = match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None if value.len() > 1 && value.starts_with('0') => u64::from_str_radix(value, 8),
        None => value.parse(),
    };
    number.map_or_else(|_| value.to_ascii_lowercase(), |number| number.to_string())
}

/// Words end at blanks outside of double quotes, which are taken off.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter.is_ascii_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        of_line(text).0.into_iter().map(|word| word.word).collect()
    }

    #[test]
    fn the_last_setting_of_a_name_counts() {
        assert_eq!(
            words("mitigations=off quiet mitigations=auto"),
            ["mitigations=auto", "quiet"]
        );
        assert_eq!(
            words("spec-store-bypass-disable=off"),
            ["spec_store_bypass_disable=off"]
        );
        assert_eq!(
            words("selinux=00 apparmor=0x0 audit=OFF"),
            ["apparmor=0", "audit=off", "selinux=0"]
        );
    }

    #[test]
    fn every_unit_that_is_wanted_counts() {
        assert_eq!(
            words("systemd.wants=debug-shell systemd.wants=a.socket"),
            [
                "systemd.wants=a.socket",
                "systemd.wants=debug-shell.service"
            ]
        );
    }

    #[test]
    fn values_of_other_parameters_are_not_kept() {
        let line = "root=UUID=1 systemd.set-credential=a:secret \"x=b secret\" ro";
        assert_eq!(words(line), ["ro", "root", "systemd.set_credential", "x"]);
        assert_eq!(of_line(line).1.len(), 3);
    }

    #[test]
    fn parameters_behind_two_dashes_are_inits() {
        assert_eq!(words("ro -- selinux=0 nokaslr single"), ["ro", "single"]);
        assert_eq!(
            words("ro -- systemd.debug-shell=1"),
            ["ro", "systemd.debug_shell=1"]
        );
    }

    #[test]
    fn lsm_goes_before_security() {
        let modules = |text: &str| modules(&of_line(text).0);
        assert_eq!(modules("ro quiet"), None);
        assert_eq!(modules("security=none").unwrap(), ["none"]);
        assert_eq!(
            modules("lsm=lockdown,yama security=apparmor").unwrap(),
            ["lockdown", "yama"]
        );
        assert!(modules("lsm=").unwrap().is_empty());
    }

    #[test]
    fn any_text_is_split() {
        for text in ["", "=", "\"", "a=\"b", "== --", "\u{0}\u{fffd}=", "-="] {
            let _ = of_line(text);
        }
        assert_eq!(words("lsm=\"lockdown,yama\""), ["lsm=lockdown,yama"]);
    }
}
