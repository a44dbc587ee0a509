//! Module streams that are enabled (dnf4 modularity): advisories of other streams are for packages that are not offered.

use std::collections::BTreeSet;

use crate::probe::{Observation, Unobservable};

const DIRECTORY: &str = "/etc/dnf/modules.d";

/// The enabled streams as `NAME:STREAM`.
///
/// # Errors
/// [`Unobservable`] if they cannot be read.
pub fn enabled(observation: &mut Observation<'_>) -> Result<BTreeSet<String>, Unobservable> {
    let mut found = BTreeSet::new();
    for entry in observation.list(DIRECTORY)?.unwrap_or_default() {
        if !entry.name.ends_with(".module") {
            continue;
        }
        let text = observation.required_text(&format!("{DIRECTORY}/{}", entry.name))?;
        let value = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim())
        };
        if let (Some(name), Some(stream), Some("enabled")) =
            (value("name"), value("stream"), value("state"))
        {
            found.insert(format!("{name}:{stream}"));
        }
    }
    Ok(found)
}
