//! The hard limit on core files for log-ons: limits.conf(5), and whether PAM applies it.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::FileKind;
use crate::probe::{Observation, Unobservable};

/// pam_limits reads the first, then the files of the directory in the order of their names.
const FILE: &str = "/etc/security/limits.conf";
const DIRECTORY: &str = "/etc/security/limits.d";
/// Where SUSE keeps what distributions set, if the administrator has no file of that name.
const VENDOR_FILE: &str = "/usr/etc/security/limits.conf";
/// Services that let people in; each that exists must apply limits.
const SERVICES: [&str; 2] = ["login", "sshd"];
/// Where stacks lie, first match wins.
const STACKS: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];
/// Deepest chain of included stacks.
const MAX_DEPTH: usize = 5;

/// What limits.conf(5) says about core files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// The hard limit of everybody (`*`) is 0.
    pub(super) everybody: bool,
    /// Domains with another hard limit.
    pub(super) exceptions: Vec<String>,
    /// pam_limits is in the session stacks of log-ons.
    pub(super) applied: bool,
}

pub(super) fn read(observation: &mut Observation<'_>) -> Result<Limits, Unobservable> {
    let mut text = match observation.text(FILE)? {
        Some(text) => text,
        None => observation.text(VENDOR_FILE)?.unwrap_or_default(),
    };
    for entry in observation.list(DIRECTORY)?.unwrap_or_default() {
        if entry.name.ends_with(".conf") && entry.kind != FileKind::Directory {
            let path = format!("{DIRECTORY}/{}", entry.name);
            text.push('\n');
            text.push_str(&observation.text(&path)?.unwrap_or_default());
        }
    }
    let hard = hard_limits(&text);
    Ok(Limits {
        everybody: hard.get("*").is_some_and(|value| value == "0"),
        exceptions: hard
            .iter()
            .filter(|(domain, value)| *domain != "*" && *value != "0")
            .map(|(domain, _)| domain.clone())
            .collect(),
        applied: is_applied(observation)?,
    })
}

/// Hard limits on core files by domain; of several lines the last counts. A dash sets both limits.
fn hard_limits(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [domain, "hard" | "-", "core", value] = fields.as_slice() {
            found.insert((*domain).to_owned(), (*value).to_owned());
        }
    }
    found
}

fn is_applied(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    let mut any = false;
    for service in SERVICES {
        if stack(observation, service)?.is_none() {
            continue;
        }
        any = true;
        if !has_limits(observation, service)? {
            return Ok(false);
        }
    }
    Ok(any)
}

fn stack(observation: &mut Observation<'_>, name: &str) -> Result<Option<String>, Unobservable> {
    for directory in STACKS {
        if let Some(text) = observation.text(&format!("{directory}/{name}"))? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Whether a session line of the stack, or of one it includes, calls pam_limits.
fn has_limits(observation: &mut Observation<'_>, service: &str) -> Result<bool, Unobservable> {
    let mut seen = BTreeSet::new();
    let mut level = vec![service.to_owned()];
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for name in std::mem::take(&mut level) {
            if name.contains('/') || !seen.insert(name.clone()) {
                continue;
            }
            let text = stack(observation, &name)?.unwrap_or_default();
            for line in text.lines() {
                let fields: Vec<&str> = line.split_whitespace().collect();
                match fields.as_slice() {
                    ["session" | "-session", rest @ ..]
                        if rest.iter().any(|field| field.ends_with("pam_limits.so")) =>
                    {
                        return Ok(true);
                    }
                    ["@include", name] | ["session" | "-session", "include" | "substack", name] => {
                        next.push((*name).to_owned());
                    }
                    _ => {}
                }
            }
        }
        level = next;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hard_limit_of_a_domain_counts() {
        let text = "#* hard core 0\n*  soft  core  0\n* hard core unlimited\n* hard core 0 # all\n@dev - core unlimited\nroot hard core 0\n* hard nofile 0\nx hard core\n";
        let found = hard_limits(text);
        assert_eq!(found.get("*").map(String::as_str), Some("0"));
        assert_eq!(found.get("@dev").map(String::as_str), Some("unlimited"));
        assert_eq!(found.len(), 3);
    }
}
