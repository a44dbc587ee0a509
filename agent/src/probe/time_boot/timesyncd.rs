//! timesyncd.conf(5) with its drop-ins, and the servers that systemd-timesyncd was built with.

use super::{Settings, program};
use crate::probe::systemd_config::assignments;
use crate::probe::time_sources::{SourceKind, TimeSource};
use crate::probe::{Observation, Unobservable};

const PROGRAMS: [&str; 2] = [
    "/usr/lib/systemd/systemd-timesyncd",
    "/lib/systemd/systemd-timesyncd",
];
const MAX_PROGRAM: usize = 4 * 1024 * 1024;
/// Ends of names by which a built-in list of servers is told from other texts of the program.
const TOP_LEVEL: [&str; 3] = [".org", ".com", ".net"];

pub(super) fn settings(
    observation: &mut Observation<'_>,
    command: &[String],
) -> Result<Result<Settings, String>, Unobservable> {
    if program(command) != "systemd-timesyncd" {
        return Ok(Err(format!("what {} does to the clock", command.join(" "))));
    }
    let (mut servers, mut fallback): (Vec<String>, Option<Vec<String>>) = (Vec::new(), None);
    for (key, value) in assignments(observation, "timesyncd.conf", "Time")? {
        let names = value.split_whitespace().map(str::to_owned);
        match key.as_str() {
            "NTP" | "Servers" if value.is_empty() => servers.clear(),
            "NTP" | "Servers" => servers.extend(names),
            "FallbackNTP" if value.is_empty() => fallback = Some(Vec::new()),
            "FallbackNTP" => fallback.get_or_insert_default().extend(names),
            _ => {}
        }
    }
    if servers.is_empty() {
        servers = match fallback {
            Some(fallback) => fallback,
            None => match built_in(observation)? {
                Some(built_in) => built_in,
                None => return Ok(Err("the servers that timesyncd was built with".to_owned())),
            },
        };
    }
    let sources = servers
        .into_iter()
        .map(|name| TimeSource {
            name,
            kind: SourceKind::Server,
            nts: false,
        })
        .collect();
    Ok(Ok(Settings {
        sources,
        idle: None,
    }))
}

/// The one text of the program that is a list of host names.
fn built_in(observation: &mut Observation<'_>) -> Result<Option<Vec<String>>, Unobservable> {
    for path in PROGRAMS {
        if let Some(bytes) = observation.bytes(path, MAX_PROGRAM)? {
            return Ok(servers_in(&bytes));
        }
    }
    Ok(None)
}

fn servers_in(program: &[u8]) -> Option<Vec<String>> {
    let mut found: Option<Vec<String>> = None;
    for text in program.split(|byte| *byte == 0) {
        let Ok(text) = std::str::from_utf8(text) else {
            continue;
        };
        let names: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let is_list = text.contains("ntp") || text.contains("time");
        if !is_list || text.len() > 500 || !names.iter().all(|name| is_server(name)) {
            continue;
        }
        if found.as_ref().is_some_and(|known| *known != names) {
            return None;
        }
        found = Some(names);
    }
    found
}

fn is_server(name: &str) -> bool {
    name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
    }) && TOP_LEVEL.iter().any(|end| name.ends_with(end))
        && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_build_is_told_from_other_texts() {
        let program = b"\x7fELF\0org.freedesktop.timesync1.Manager\0https://www.freedesktop.org/time\0ntp\x000.debian.pool.ntp.org 1.debian.pool.ntp.org\0/etc/systemd/timesyncd.conf\0";
        assert_eq!(
            servers_in(program).unwrap(),
            ["0.debian.pool.ntp.org", "1.debian.pool.ntp.org"]
        );
        assert_eq!(
            servers_in(b"\0ntp.ubuntu.com\0").unwrap(),
            ["ntp.ubuntu.com"]
        );
        assert_eq!(servers_in(b"\0ntp.a.org\0ntp.b.org\0"), None, "two lists");
        assert_eq!(servers_in(b"nothing"), None);
    }
}
