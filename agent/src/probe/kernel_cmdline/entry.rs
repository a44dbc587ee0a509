//! Boot loaders' entries for the next boot.

use std::collections::BTreeMap;

use super::grub::{self, Menu};
use crate::host::FileKind;
use crate::probe::{Observation, Unobservable};

/// GRUB's menu and variables; the second place is that of Fedora, RHEL and SUSE.
const GRUB: [(&str, &str); 2] = [
    ("/boot/grub/grub.cfg", "/boot/grub/grubenv"),
    ("/boot/grub2/grub.cfg", "/boot/grub2/grubenv"),
];
/// Entries after the Boot Loader Specification.
const ENTRY_FILES: [&str; 3] = [
    "/boot/loader/entries",
    "/boot/efi/loader/entries",
    "/efi/loader/entries",
];
/// Menus of extlinux and syslinux.
const EXTLINUX: [&str; 3] = [
    "/boot/extlinux.conf",
    "/boot/extlinux/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
];
/// The one line of a Raspberry Pi.
const ONE_LINE: [&str; 2] = ["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"];
/// Most entry files read.
const MAX_ENTRY_FILES: usize = 200;

/// One entry.
#[derive(Debug)]
pub(super) struct BootEntry {
    /// File, and title if the file has several.
    pub(super) source: String,
    /// The kernel's command line.
    pub(super) options: String,
}

/// What starts if nobody chooses.
pub(super) fn next_boot(observation: &mut Observation<'_>) -> Result<Vec<BootEntry>, Unobservable> {
    let mut found = Vec::new();
    let mut menu = None;
    for (file, variables) in GRUB {
        let Some(mut text) = observation.text(file)? else {
            continue;
        };
        let own = file.replace("/grub.cfg", "/custom.cfg");
        if grub::includes_own_entries(&text)
            && let Some(entries) = observation.text(&own)?
        {
            text.push('\n');
            text.push_str(&entries);
        }
        let environment = observation
            .text(variables)?
            .map(|text| grub::environment(&text))
            .unwrap_or_default();
        let parsed = Menu::parse(&text, &environment);
        found.extend(
            parsed
                .default_lines()
                .into_iter()
                .map(|(title, options)| BootEntry {
                    source: format!("{file}: {title}"),
                    options,
                }),
        );
        menu = Some(parsed);
        break;
    }
    // Under GRUB such files count only if its menu asks for them; left behind by another loader they mean nothing.
    if menu.as_ref().is_none_or(|menu| menu.has_entry_files) {
        found.extend(entry_files(observation, menu.as_ref())?);
    }
    for file in EXTLINUX {
        if let Some(text) = observation.text(file)? {
            found.extend(extlinux(file, &text));
        }
    }
    for file in ONE_LINE {
        if let Some(options) = observation.text(file)? {
            found.push(BootEntry {
                source: file.to_owned(),
                options,
            });
        }
    }
    Ok(found)
}

/// Entry files, without those for rescue; if GRUB's default names one of them, that one alone.
fn entry_files(
    observation: &mut Observation<'_>,
    menu: Option<&Menu>,
) -> Result<Vec<BootEntry>, Unobservable> {
    let none = Menu::default();
    let menu = menu.unwrap_or(&none);
    let mut found: BTreeMap<String, BootEntry> = BTreeMap::new();
    for directory in ENTRY_FILES {
        let entries = observation.list(directory)?.unwrap_or_default();
        for entry in entries.into_iter().take(MAX_ENTRY_FILES) {
            let Some(id) = entry.name.strip_suffix(".conf") else {
                continue;
            };
            if entry.kind != FileKind::Regular || id.contains("rescue") {
                continue;
            }
            let source = format!("{directory}/{}", entry.name);
            let text = observation.text(&source)?.unwrap_or_default();
            // Other entries start other systems or programs of the firmware.
            if let Some(options) = specified(&text) {
                let options = menu.filled(&options);
                found.insert(id.to_owned(), BootEntry { source, options });
            }
        }
    }
    for default in menu.defaults() {
        if let Some(chosen) = found.remove(&default) {
            return Ok(vec![chosen]);
        }
    }
    Ok(found.into_values().collect())
}

/// The `options` of an entry that starts a Linux kernel; several are joined.
fn specified(text: &str) -> Option<String> {
    let mut linux = false;
    let mut options = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let (key, value) = line
            .split_once(|letter: char| letter.is_ascii_whitespace())
            .unwrap_or((line, ""));
        match key {
            "linux" => linux = true,
            "options" => options.push(value.trim()),
            _ => {}
        }
    }
    linux.then(|| options.join(" "))
}

/// `APPEND` lines, those of labels for rescue left out.
fn extlinux(file: &str, text: &str) -> Vec<BootEntry> {
    let mut label = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let Some((key, value)) = line.split_once(|letter: char| letter.is_ascii_whitespace())
        else {
            continue;
        };
        match key.to_ascii_lowercase().as_str() {
            "label" => label = value.trim().to_owned(),
            "append" if !is_rescue(&label) => {
                found.push(BootEntry {
                    source: format!("{file}: {label}"),
                    options: value.trim().to_owned(),
                });
            }
            _ => {}
        }
    }
    found
}

/// Debian's extlinux calls them `l0r`, `l1r` and so on.
fn is_rescue(label: &str) -> bool {
    let number = label
        .strip_prefix('l')
        .and_then(|rest| rest.strip_suffix('r'));
    label.contains("rescue")
        || number.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_specification_join_their_options() {
        let text = "title Fedora Linux\nversion 6.17\nlinux /vmlinuz-6.17\noptions root=UUID=1 ro $kernelopts\noptions quiet\n# options selinux=0\n";
        assert_eq!(
            specified(text).as_deref(),
            Some("root=UUID=1 ro $kernelopts quiet")
        );
        assert_eq!(specified("title Windows\nefi /EFI/x.efi\n"), None);
        assert_eq!(specified(""), None);
    }

    #[test]
    fn extlinux_has_a_line_a_label() {
        let text = "DEFAULT menu.c32\nLABEL lts\n  LINUX vmlinuz-lts\n  APPEND root=UUID=1 quiet\nlabel l0r\n append root=/dev/sda1 ro single\nappend\n";
        let found = extlinux("/boot/extlinux.conf", text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].options, "root=UUID=1 quiet");
    }
}
