//! Where the clock gets its time from: the sources of each time daemon that runs, as its configuration names them.
//!
//! chronyd tells its own list (`/usr/bin/chronyc -N -c sources`, and `authdata` for NTS), systemd-timesyncd the servers
//! of its configuration, of the network (DHCP) or of its build (see the probe `clock` for the call). ntpd lists addresses
//! only, so its configuration is read: `/etc/ntpsec/ntp.conf`, `/etc/ntp.conf`, with `includefile`. On an unpacked root the
//! configuration of each service that its boot would start is read (see [`time_boot`]).

use schemars::JsonSchema;
use serde::Serialize;

use super::clock::{DaemonKind, chrony, running, timesyncd};
use super::{Observation, Probe, Unobservable, time_boot};

/// Deepest `includefile` of ntp.conf followed.
const MAX_INCLUDES: usize = 8;
/// Most files, each counted as often as it is included.
const MAX_FILES: usize = 100;

/// The probe `time_sources`.
pub struct TimeSources;

/// Facts about time sources.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TimeSourcesFacts {
    /// Time daemons that run on this host, or on an unpacked root would at its boot.
    daemons: Vec<DaemonKind>,
    /// Every daemon told its sources.
    complete: bool,
    /// What was missing.
    problems: Vec<String>,
    /// The sources; a pool of several servers may stand for each of them.
    references: Vec<TimeSource>,
}

/// One time source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct TimeSource {
    /// Name or address, as configured.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: SourceKind,
    /// Authenticated by Network Time Security (RFC 8915).
    pub(super) nts: bool,
}

/// What a time source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// One server or peer.
    Server,
    /// A name that stands for several servers.
    Pool,
    /// A clock at this host: radio, satellite, PTP hardware.
    Refclock,
}

impl Probe for TimeSources {
    const ID: &'static str = "time_sources";
    type Facts = TimeSourcesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<TimeSourcesFacts, Unobservable> {
        if !observation.is_live() {
            return at_boot(observation);
        }
        let daemons = running(observation)?;
        let mut sources = Vec::new();
        let mut problems = Vec::new();
        for daemon in &daemons {
            let found = match daemon {
                DaemonKind::Chrony => of_chrony(observation)?,
                DaemonKind::Timesyncd => timesyncd::servers(observation)?.map(|names| {
                    let server = |name| TimeSource {
                        name,
                        kind: SourceKind::Server,
                        nts: false,
                    };
                    names.into_iter().map(server).collect()
                }),
                DaemonKind::Ntpd => of_ntpd(observation)?,
                DaemonKind::Ptp4l => Ok(vec![TimeSource {
                    name: "PTP".to_owned(),
                    kind: SourceKind::Refclock,
                    nts: false,
                }]),
            };
            match found {
                Ok(found) => sources.extend(found),
                Err(problem) => problems.push(problem),
            }
        }
        sources.sort();
        Ok(TimeSourcesFacts {
            daemons: daemons.into_iter().collect(),
            complete: problems.is_empty(),
            problems,
            references: sources,
        })
    }
}

/// The sources of what the boot of an unpacked root would start.
fn at_boot(observation: &mut Observation<'_>) -> Result<TimeSourcesFacts, Unobservable> {
    let mut facts = TimeSourcesFacts {
        daemons: Vec::new(),
        complete: true,
        problems: Vec::new(),
        references: Vec::new(),
    };
    for service in time_boot::services(observation)? {
        if let Some(unknown) = service.unknown {
            facts.complete = false;
            facts
                .problems
                .push(format!("{}: cannot tell {unknown}", service.name));
        }
        if service.starts {
            facts.daemons.push(service.kind);
            facts.references.extend(service.sources);
        }
    }
    facts.references.sort();
    facts.references.dedup();
    Ok(facts)
}

fn of_chrony(
    observation: &mut Observation<'_>,
) -> Result<Result<Vec<TimeSource>, String>, Unobservable> {
    let sources = match chrony::sources(observation)? {
        Ok(sources) => sources,
        Err(problem) => return Ok(Err(problem)),
    };
    // Only a policy that asks for NTS needs to know; without the right to ask, no source counts as authenticated.
    let nts = chrony::nts_names(observation)?.unwrap_or_default();
    Ok(Ok(sources
        .into_iter()
        .map(|source| TimeSource {
            kind: if source.local {
                SourceKind::Refclock
            } else {
                SourceKind::Server
            },
            nts: nts.contains(&source.name),
            name: source.name,
        })
        .collect()))
}

fn of_ntpd(
    observation: &mut Observation<'_>,
) -> Result<Result<Vec<TimeSource>, String>, Unobservable> {
    for path in ["/etc/ntpsec/ntp.conf", "/etc/ntp.conf"] {
        if let Some(text) = observation.text(path)? {
            let mut sources = Vec::new();
            return Ok(
                read_ntp_conf(observation, &text, 0, &mut 0, &mut sources)?.map(|()| sources)
            );
        }
    }
    Ok(Err("no ntp.conf of the ntpd that runs".to_owned()))
}

/// `server NAME [options]`, `pool`, `peer`, `refclock TYPE`; a server `127.127.t.u` is a reference clock.
pub(super) fn read_ntp_conf(
    observation: &mut Observation<'_>,
    text: &str,
    depth: usize,
    files: &mut usize,
    sources: &mut Vec<TimeSource>,
) -> Result<Result<(), String>, Unobservable> {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(keyword), Some(name)) = (
            words.next(),
            words.find(|word| !matches!(*word, "-4" | "-6")),
        ) else {
            continue;
        };
        let kind = match keyword {
            "server" | "peer" if name.starts_with("127.127.") => SourceKind::Refclock,
            "refclock" => SourceKind::Refclock,
            "server" | "peer" => SourceKind::Server,
            "pool" => SourceKind::Pool,
            "includefile" => {
                let path = name.trim_matches('"');
                *files += 1;
                if depth == MAX_INCLUDES || *files > MAX_FILES || !path.starts_with('/') {
                    return Ok(Err(format!(
                        "ntp.conf: includefile {path} was not followed"
                    )));
                }
                let Some(text) = observation.text(path)? else {
                    return Ok(Err(format!("ntp.conf: {path} does not exist")));
                };
                let read = read_ntp_conf(observation, &text, depth + 1, files, sources)?;
                if let Err(problem) = read {
                    return Ok(Err(problem));
                }
                continue;
            }
            _ => continue,
        };
        let options: Vec<&str> = words.collect();
        // Watched, never followed.
        if options.contains(&"noselect") {
            continue;
        }
        sources.push(TimeSource {
            name: name.to_owned(),
            kind,
            nts: options.contains(&"nts"),
        });
    }
    Ok(Ok(()))
}
