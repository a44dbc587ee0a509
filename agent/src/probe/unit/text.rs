//! The text of a unit with its drop-ins, for what `systemctl show` does not tell or an unpacked root must tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable};

/// systemd's directories for units, the first wins.
const UNIT_DIRECTORIES: [&str; 7] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The text of a unit with its drop-ins behind it, as systemd reads them; `None` if there is no such unit or it is masked
/// (its first file is a link to /dev/null), so that nothing starts it.
///
/// # Errors
/// [`Unobservable`] if a file is there and cannot be read.
pub(in crate::probe) fn text(
    observation: &mut Observation<'_>,
    name: &str,
) -> Result<Option<String>, Unobservable> {
    let mut text = None;
    for directory in UNIT_DIRECTORIES {
        let path = format!("{directory}/{name}");
        if is_masked(observation, &path) {
            return Ok(None);
        }
        if observation.host().stat(&path).is_ok() {
            text = observation.text(&path)?;
            break;
        }
    }
    let Some(text) = text else {
        return Ok(None);
    };
    Ok(Some(text + &drop_in_text(observation, name)?))
}

/// The text of a unit's drop-ins alone, each on lines of its own.
///
/// # Errors
/// [`Unobservable`] if a file is there and cannot be read.
pub(in crate::probe) fn drop_in_text(
    observation: &mut Observation<'_>,
    name: &str,
) -> Result<String, Unobservable> {
    let mut text = String::new();
    for path in drop_ins(observation, name)?.values() {
        if is_masked(observation, path) {
            continue;
        }
        text.push('\n');
        text.push_str(&observation.text(path)?.unwrap_or_default());
    }
    Ok(text)
}

fn is_masked(observation: &mut Observation<'_>, path: &str) -> bool {
    let masked = observation.host().read_link(path).as_deref() == Ok("/dev/null");
    if masked {
        observation.note(path);
    }
    masked
}

/// Drop-ins by file name: of two with one name the more particular one counts. Those of the unit's own name and of its
/// aliases come before those for names that begin alike (`a-.service.d` for `a-b.service`), and these before those for
/// every unit of the type (`service.d`).
fn drop_ins(
    observation: &mut Observation<'_>,
    name: &str,
) -> Result<BTreeMap<String, String>, Unobservable> {
    let mut names = vec![name.to_owned()];
    names.extend(aliases(observation.host(), name)?);
    let mut folders: Vec<String> = Vec::new();
    for name in &names {
        for directory in UNIT_DIRECTORIES {
            let of_name = beginnings(name).into_iter();
            folders.extend(of_name.map(|beginning| format!("{directory}/{beginning}.d")));
        }
    }
    if let Some((_, kind)) = name.rsplit_once('.') {
        let of_kind = UNIT_DIRECTORIES.iter();
        folders.extend(of_kind.map(|directory| format!("{directory}/{kind}.d")));
    }
    let mut found = BTreeMap::new();
    for folder in folders {
        if observation.host().stat(&folder).is_err() {
            continue;
        }
        for entry in observation.list(&folder)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") {
                let path = format!("{folder}/{}", entry.name);
                found.entry(entry.name).or_insert(path);
            }
        }
    }
    Ok(found)
}

/// Other names of a unit: links of the same type that lead to a file of its name.
fn aliases(host: &dyn crate::host::Host, name: &str) -> Result<BTreeSet<String>, HostError> {
    let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
    let mut found = BTreeSet::new();
    for directory in UNIT_DIRECTORIES {
        let entries = match host.list(directory) {
            Ok(entries) => entries,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let same_type = entry
                .name
                .rsplit_once('.')
                .is_some_and(|(_, of)| of == kind);
            if entry.kind != FileKind::Link || !same_type || entry.name == name {
                continue;
            }
            let target = host.read_link(&format!("{directory}/{}", entry.name));
            if target.is_ok_and(|target| target.rsplit('/').next() == Some(name)) {
                found.insert(entry.name);
            }
        }
    }
    Ok(found)
}

/// The name itself, and what it begins with up to each dash: `a-b-.service`, `a-.service` of `a-b-c.service`.
fn beginnings(name: &str) -> Vec<String> {
    let mut found = vec![name.to_owned()];
    if let Some((stem, kind)) = name.rsplit_once('.') {
        let dashes = stem.match_indices('-').rev();
        found.extend(dashes.filter_map(|(at, _)| Some(format!("{}-.{kind}", stem.get(..at)?))));
    }
    found
}

#[cfg(test)]
mod tests {
    use evidence::time::Timestamp;

    use super::*;
    use crate::host::RecordedHost;
    use crate::probe::VolatileMemory;

    #[test]
    fn drop_ins_of_every_name_and_of_the_type_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.toml");
        let recording = r#"
live = false
[files."/usr/lib/systemd/system/a-b.service"]
text = "unit"
[files."/etc/systemd/system/other.service"]
link = "/usr/lib/systemd/system/a-b.service"
[files."/etc/systemd/system/another.service"]
link = "/usr/lib/systemd/system/c.service"
[files."/etc/systemd/system/other.service.d/30.conf"]
text = "alias"
[files."/etc/systemd/system/another.service.d/31.conf"]
text = "no alias"
[files."/etc/systemd/system/a-.service.d/20.conf"]
text = "beginning"
[files."/etc/systemd/system/service.d/10.conf"]
text = "type"
[files."/etc/systemd/system/service.d/40.conf"]
text = "type, hidden"
[files."/etc/systemd/system.control/a-b.service.d/40.conf"]
text = "control"
[files."/etc/systemd/system/a-b.service.d/50.conf"]
link = "/dev/null"
[files."/usr/lib/systemd/system/a-b.service.d/50.conf"]
text = "masked"
"#;
        std::fs::write(&path, recording).unwrap();
        let host = RecordedHost::load(&path).unwrap();
        let mut memory = VolatileMemory::default();
        let mut observation =
            Observation::new(&host, &mut memory, "unit", Timestamp::from_unix_ms(0));
        let read = text(&mut observation, "a-b.service").unwrap().unwrap();
        let lines: Vec<&str> = read.lines().collect();
        assert_eq!(lines, ["unit", "type", "beginning", "alias", "control"]);
    }
}
