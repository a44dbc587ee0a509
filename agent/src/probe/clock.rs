//! Whether something keeps the clock right, and how far off it is.
//!
//! The kernel's maximum error comes from adjtimex(2) through [`Host::clock_state`](crate::host::Host::clock_state): 16 s
//! means never or no longer synchronised, and between corrections it grows by 500 parts in a million. Its flag
//! STA_UNSYNC alone misleads: chronyd without `rtcsync` leaves it set, and it stays clear after a daemon died or somebody
//! set the clock by hand. So the daemons that run are asked as well, each in its own way:
//!
//! ```text
//! /usr/bin/chronyc -n -c tracking     /usr/bin/chronyc -n -c sources
//! /usr/bin/busctl --system --json=short call org.freedesktop.timesync1 /org/freedesktop/timesync1
//!     org.freedesktop.DBus.Properties GetAll s org.freedesktop.timesync1.Manager        (systemd-timesyncd, one line)
//! /usr/bin/ntpq -pn                                                                      (ntpd of NTP and NTPsec)
//! /usr/sbin/pmc -u -b 0 GET TIME_STATUS_NP                                               (ptp4l)
//! ```
//!
//! Daemons are found by their processes, which works without systemd too; one in a container is not counted. Errors and
//! offsets are rounded up to the series 1, 2, 5, 10 …, so that facts change only when something changed.
//!
//! An unpacked root has no clock to ask: which services its boot would start, and with how many sources, stands in its place.

pub(super) mod chrony;
mod daemon;
mod ntp;
mod ptp;
mod quantity;
pub(super) mod timesyncd;

use schemars::JsonSchema;
use serde::Serialize;

pub(super) use daemon::{DaemonKind, running};

use super::{Observation, Probe, Unobservable, time_boot, virtual_machine};
use crate::host::HostError;

/// The kernel lets the maximum error grow no further (NTP_PHASE_LIMIT).
const NEVER_US: i64 = 16_000_000;

/// The probe `clock`.
pub struct Clock;

/// Facts about the clock.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClockFacts {
    /// The kernel's clock discipline; absent if the agent may not ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<Discipline>,
    /// A virtual machine.
    hypervisor: bool,
    /// Time daemons that run on this host, by kind.
    daemons: Vec<Daemon>,
    /// An unpacked root: its time services, and what its boot would make of them. Absent on a live host.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_boot: Option<Vec<BootService>>,
}

/// A time service of an unpacked root.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BootService {
    /// Its unit, or its script of OpenRC.
    name: String,
    /// What it runs.
    kind: DaemonKind,
    /// It starts at boot.
    starts: bool,
    /// It goes on setting the clock.
    disciplines: bool,
    /// The sources that its configuration names.
    sources: u64,
    /// Why it does not start or does not set the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    hindrance: Option<String>,
    /// What decides and cannot be told from files.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

/// The kernel's clock discipline.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Discipline {
    /// STA_UNSYNC is set.
    unsynchronised: bool,
    /// The maximum error is at most this many microseconds.
    max_error_us: i64,
}

/// One time daemon.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Daemon {
    /// Which.
    kind: DaemonKind,
    /// It told its state.
    answered: bool,
    /// It follows a source that answers.
    selected: bool,
    /// The clock is at most this many microseconds off that source, either way; absent without a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset_us: Option<i64>,
    /// Why it did not tell its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What a daemon told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Told {
    selected: bool,
    offset_us: Option<i64>,
}

impl Probe for Clock {
    const ID: &'static str = "clock";
    type Facts = ClockFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<ClockFacts, Unobservable> {
        if !observation.is_live() {
            return at_boot(observation);
        }
        let kernel = match observation.host().clock_state() {
            Ok(state) => {
                observation.note("adjtimex(2)");
                Some(Discipline {
                    unsynchronised: state.unsynchronised,
                    max_error_us: quantity::rounded_up(state.max_error_us).min(NEVER_US),
                })
            }
            Err(HostError::Permission(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let mut daemons = Vec::new();
        for kind in running(observation)? {
            let told = match kind {
                DaemonKind::Chrony => chrony::ask(observation),
                DaemonKind::Timesyncd => timesyncd::ask(observation),
                DaemonKind::Ntpd => ntp::ask(observation),
                DaemonKind::Ptp4l => ptp::ask(observation),
            }?;
            daemons.push(Daemon::new(kind, told));
        }
        Ok(ClockFacts {
            kernel,
            hypervisor: virtual_machine::is_virtual(observation)?,
            daemons,
            at_boot: None,
        })
    }
}

fn at_boot(observation: &mut Observation<'_>) -> Result<ClockFacts, Unobservable> {
    let services = time_boot::services(observation)?;
    let services = services.into_iter().map(|service| BootService {
        name: service.name,
        kind: service.kind,
        starts: service.starts,
        disciplines: service.disciplines,
        sources: service.sources.len() as u64,
        hindrance: service.hindrance,
        unknown: service.unknown,
    });
    Ok(ClockFacts {
        kernel: None,
        hypervisor: false,
        daemons: Vec::new(),
        at_boot: Some(services.collect()),
    })
}

impl Daemon {
    fn new(kind: DaemonKind, told: Result<Told, String>) -> Daemon {
        let (told, problem) = match told {
            Ok(told) => (told, None),
            Err(problem) => (Told::default(), Some(problem)),
        };
        Daemon {
            kind,
            answered: problem.is_none(),
            selected: told.selected,
            // Without a source the number says nothing: it would be 0.
            offset_us: told
                .offset_us
                .filter(|_| told.selected)
                .map(|offset| quantity::rounded_up(offset.saturating_abs())),
            problem,
        }
    }
}
