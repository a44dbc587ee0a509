//! ntpd of NTP, NTPsec and busybox, and OpenNTPD: ntp.conf(5), ntpd.conf(5), and the options of each.

use super::{Settings, options, program};
use crate::probe::time_sources::{SourceKind, TimeSource, read_ntp_conf};
use crate::probe::unit::command;
use crate::probe::{Observation, Unobservable, sshd};

/// Debian's wrapper, which takes its options from here.
const NTPSEC_DEFAULTS: &str = "/etc/default/ntpsec";
const WRAPPER: &str = "ntp-systemd-wrapper";

pub(super) fn settings(
    observation: &mut Observation<'_>,
    service: &str,
    command: &[String],
) -> Result<Result<Settings, String>, Unobservable> {
    let mut words = command.to_vec();
    let ntpsec =
        service.starts_with("ntpsec") || observation.stat("/etc/ntpsec/ntp.conf")?.is_some();
    match program(command) {
        "ntpd" => {}
        WRAPPER => {
            let text = observation.text(NTPSEC_DEFAULTS)?.unwrap_or_default();
            let settings = command::assignments(&text);
            let own = command::value(&settings, "NTPD_OPTS").and_then(sshd::words);
            words.extend(own.unwrap_or_default());
        }
        _ => return Ok(Err(format!("what {} does to the clock", command.join(" ")))),
    }
    if is_busybox(observation, &words) {
        return of_busybox(observation, &words);
    }
    let (options, _) = options(&words, "cfijklpPrsStTuUvV");
    let idle = options
        .iter()
        .any(|(option, _)| matches!(option, 'q' | 'W'))
        .then(|| "ntpd -q sets the clock once".to_owned());
    let file = options
        .iter()
        .rfind(|(option, _)| *option == 'c')
        .map(|(_, file)| file.clone());
    let default = if ntpsec {
        "/etc/ntpsec/ntp.conf"
    } else {
        "/etc/ntp.conf"
    };
    let file = file.unwrap_or_else(|| default.to_owned());
    let Some(text) = observation.text(&file)? else {
        return Ok(Ok(Settings {
            sources: Vec::new(),
            idle: Some(format!("{file}, its configuration, does not exist")),
        }));
    };
    let mut sources = Vec::new();
    let read = read_ntp_conf(observation, &text, 0, &mut 0, &mut sources)?;
    let watches_only = text.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.first() == Some(&"disable") && words.contains(&"ntp")
    });
    let idle = idle.or_else(|| watches_only.then(|| format!("disable ntp in {file}")));
    Ok(read.map(|()| Settings { sources, idle }))
}

fn is_busybox(observation: &Observation<'_>, command: &[String]) -> bool {
    command.first().is_some_and(|path| {
        let target = observation.host().read_link(path).unwrap_or_default();
        target.ends_with("busybox")
    })
}

/// Its peers are options; without one, the servers of /etc/ntp.conf.
fn of_busybox(
    observation: &mut Observation<'_>,
    command: &[String],
) -> Result<Result<Settings, String>, Unobservable> {
    let given = options(command, "pSIk").0;
    let given = if given.is_empty() {
        // What Alpine's start script says where /etc/conf.d/ntpd says nothing.
        vec![('p', "pool.ntp.org".to_owned())]
    } else {
        given
    };
    let idle = given
        .iter()
        .any(|(option, _)| matches!(option, 'q' | 'w'))
        .then(|| "busybox ntpd does not go on setting the clock (-q, -w)".to_owned());
    let mut sources: Vec<TimeSource> = given
        .iter()
        .filter(|(option, _)| *option == 'p')
        .map(|(_, name)| server(name, is_pool(name)))
        .collect();
    if sources.is_empty() {
        let text = observation.text("/etc/ntp.conf")?.unwrap_or_default();
        let names = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("server"));
        sources.extend(
            names
                .filter_map(|rest| rest.split_whitespace().next())
                .map(|name| server(name, false)),
        );
    }
    Ok(Ok(Settings { sources, idle }))
}

/// busybox follows every address of a name; the names of the public pool stand for several servers.
fn is_pool(name: &str) -> bool {
    name == "pool.ntp.org" || name.ends_with(".pool.ntp.org")
}

fn server(name: &str, pool: bool) -> TimeSource {
    TimeSource {
        name: name.to_owned(),
        kind: if pool {
            SourceKind::Pool
        } else {
            SourceKind::Server
        },
        nts: false,
    }
}

pub(super) fn of_openntpd(
    observation: &mut Observation<'_>,
    command: &[String],
) -> Result<Result<Settings, String>, Unobservable> {
    if !matches!(program(command), "ntpd" | "openntpd") {
        return Ok(Err(format!("what {} does to the clock", command.join(" "))));
    }
    let (options, _) = options(command, "fp");
    let file = options
        .iter()
        .rfind(|(option, _)| *option == 'f')
        .map_or("/etc/ntpd.conf", |(_, file)| file.as_str());
    let idle = options
        .iter()
        .any(|(option, _)| *option == 'n')
        .then(|| "ntpd -n only reads its configuration".to_owned());
    let Some(text) = observation.text(file)? else {
        return Ok(Ok(Settings {
            sources: Vec::new(),
            idle: Some(format!("{file}, its configuration, does not exist")),
        }));
    };
    let mut sources = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(keyword), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        match keyword {
            "server" => sources.push(server(name, false)),
            "servers" => sources.push(server(name, true)),
            "sensor" => sources.push(TimeSource {
                name: name.to_owned(),
                kind: SourceKind::Refclock,
                nts: false,
            }),
            _ => {}
        }
    }
    Ok(Ok(Settings { sources, idle }))
}
