//! The effective configuration of a systemd service that has a file of its own, such as journald.conf(5).
//!
//! The main file is the first found in the directories, then every drop-in of `<name>.d`, whatever directory it
//! lies in, in the order of the names; of two with one name the directory that comes first counts, and a link to
//! `/dev/null` takes a name out. The last assignment wins; a value that the service cannot use is ignored, as it does.

use std::collections::BTreeMap;

use super::{Observation, Unobservable, unit};
use crate::host::FileKind;

const RUN: &str = "/run/systemd";
/// Directories in order of precedence.
const DIRECTORIES: [&str; 4] = [
    "/etc/systemd",
    RUN,
    "/usr/local/lib/systemd",
    "/usr/lib/systemd",
];

/// The assignments of one section of the file `name`, in the order that the service reads them.
pub(super) fn assignments(
    observation: &mut Observation<'_>,
    name: &str,
    section: &str,
) -> Result<Vec<(String, String)>, Unobservable> {
    let mut found = Vec::new();
    let live = observation.is_live();
    // What lies below /run is gone after a boot.
    let directories = || DIRECTORIES.iter().filter(move |one| live || **one != RUN);
    for directory in directories() {
        if let Some(text) = observation.text(&format!("{directory}/{name}"))? {
            found.extend(of_section(&text, section));
            break;
        }
    }
    let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
    for directory in directories() {
        let directory = format!("{directory}/{name}.d");
        for entry in observation.list(&directory)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") && entry.kind != FileKind::Directory {
                let path = format!("{directory}/{}", entry.name);
                drop_ins.entry(entry.name).or_insert(path);
            }
        }
    }
    for path in drop_ins.values() {
        let target = observation.host().read_link(path).unwrap_or_default();
        if target == "/dev/null" {
            continue;
        }
        if let Some(text) = observation.text(path)? {
            found.extend(of_section(&text, section));
        }
    }
    Ok(found)
}

/// The assignments of one section of a unit with its drop-ins; none if there is no such unit or it is masked.
pub(super) fn of_unit(
    observation: &mut Observation<'_>,
    name: &str,
    section: &str,
) -> Result<Vec<(String, String)>, Unobservable> {
    let text = unit::text(observation, name)?.unwrap_or_default();
    Ok(of_section(&text, section))
}

/// The assignments of a section; a backslash at the end of a line joins it with the next one.
pub(super) fn of_section(text: &str, section: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut joined = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(start) = line.strip_suffix('\\') {
            joined.push_str(start);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        if whole.starts_with('[') {
            inside = whole
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'))
                == Some(section);
        } else if let (true, Some((name, value))) = (inside, whole.split_once('=')) {
            found.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_asked_for_counts() {
        let text = "Storage=none\n[Journal]\n#Storage=volatile\n;Storage=volatile\nStorage = persistent \nSystemMax\\\nUse=1G\n[Upload]\nStorage=volatile\n";
        let found = of_section(text, "Journal");
        assert_eq!(found[0], ("Storage".to_owned(), "persistent".to_owned()));
        assert_eq!(found.len(), 2);
        assert!(of_section("\\\n\\\n\\", "Journal").is_empty());
    }
}
