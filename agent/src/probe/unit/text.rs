//! The text of a unit with its drop-ins, for what `systemctl show` does not tell or an unpacked root must tell.

use std::collections::BTreeMap;

use crate::probe::{Observation, Unobservable};

/// systemd's directories for units, the first wins.
const UNIT_DIRECTORIES: [&str; 5] = [
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
        if observation.host().read_link(&path).as_deref() == Ok("/dev/null") {
            observation.note(&path);
            return Ok(None);
        }
        if observation.host().stat(&path).is_ok() {
            text = observation.text(&path)?;
            break;
        }
    }
    let Some(mut text) = text else {
        return Ok(None);
    };
    let mut dropins = BTreeMap::new();
    for directory in UNIT_DIRECTORIES.iter().rev() {
        let directory = format!("{directory}/{name}.d");
        if observation.host().stat(&directory).is_err() {
            continue;
        }
        for entry in observation.list(&directory)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") {
                dropins.insert(entry.name.clone(), format!("{directory}/{}", entry.name));
            }
        }
    }
    for path in dropins.values() {
        text.push('\n');
        text.push_str(&observation.text(path)?.unwrap_or_default());
    }
    Ok(Some(text))
}
