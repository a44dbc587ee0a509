//! Whether the kernel's audit is on and which process consumes it; on an unpacked root, what the next boot makes of both.

use schemars::JsonSchema;
use serde::Serialize;

use super::audit_boot::{self, StateAtBoot};
use super::unit::{Unit, units};
use super::{Observation, Probe, Unobservable, system};
use crate::host::{AuditStatus, HostError};

/// What starts the daemon, and what brings the kernel's messages to the journal.
const DAEMON: &str = "auditd.service";
const JOURNAL: &str = "systemd-journald-audit.socket";

/// The probe `audit`.
pub struct Audit;

/// Facts of the kernel's audit and its consumer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditFacts {
    /// The kernel's audit; absent where its kernel cannot be asked: inside a container and on an unpacked root.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<KernelAudit>,
    /// `audit=` of the kernel command line, the last one counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_parameter: Option<String>,
    /// The process that the kernel sends its events to.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<Consumer>,
    /// `auditd.service` is there.
    auditd_installed: bool,
    /// `auditd.service` starts at boot.
    auditd_enabled: bool,
    /// `systemd-journald-audit.socket` is active: journald reads the multicast group and never shows as consumer.
    journald_listens: bool,
    /// An unpacked root: what takes effect when it boots. Absent on a live host, whose kernel tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_boot: Option<AtBoot>,
}

/// The audit after the boot of an unpacked root, from what is on disk.
#[derive(Debug, Serialize, JsonSchema)]
struct AtBoot {
    /// Whether events will be recorded.
    state: StateAtBoot,
    /// auditd starts and takes the kernel's events.
    daemon: bool,
    /// Why one of both is not so.
    #[serde(skip_serializing_if = "Option::is_none")]
    hindrance: Option<String>,
    /// What decides and cannot be told from files.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

/// The kernel's audit status as far as it does not change with every event.
#[derive(Debug, Serialize, JsonSchema)]
struct KernelAudit {
    /// Whether events are recorded.
    state: State,
    /// What the kernel does when it cannot deliver an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_failure: Option<OnFailure>,
    /// Events a second allowed; 0 is unlimited.
    rate_limit: u32,
}

/// Whether events are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Built without audit, or switched off for this boot by `audit=0`.
    Unavailable,
    /// Off.
    Off,
    /// On.
    On,
    /// On, and locked until the next boot.
    Locked,
}

/// `failure` of the audit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnFailure {
    Silent,
    Printk,
    Panic,
}

/// A process that consumes audit events.
#[derive(Debug, Serialize, JsonSchema)]
struct Consumer {
    /// Its name, `comm` of proc(5); empty if it is gone.
    name: String,
    /// What it does.
    state: ProcessState,
}

/// The state of a process, from stat of proc(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ProcessState {
    /// Running, or waiting for events.
    Alive,
    /// Stopped by a signal or a tracer: events pile up.
    Stopped,
    /// Ended and not yet reaped.
    Zombie,
    /// Not there.
    Gone,
}

impl Probe for Audit {
    const ID: &'static str = "audit";
    type Facts = AuditFacts;

    fn units() -> Vec<&'static str> {
        vec![DAEMON, JOURNAL]
    }

    fn observe(observation: &mut Observation<'_>) -> Result<AuditFacts, Unobservable> {
        let reachable = is_reachable(observation)?;
        let boot_parameter = if observation.is_live() {
            boot_parameter(observation)?
        } else {
            None
        };
        let status = if reachable {
            Some(status(observation, boot_parameter.as_deref())?)
        } else {
            None
        };
        let consumer = match status.flatten().filter(|status| status.pid != 0) {
            Some(status) => Some(consumer(observation, status.pid)?),
            None => None,
        };
        let units = units(observation, &[DAEMON, JOURNAL])?;
        let auditd = units.get(DAEMON);
        let socket = units.get(JOURNAL);
        let at_boot = if observation.is_live() {
            None
        } else {
            let found = audit_boot::read(observation)?;
            Some(AtBoot {
                state: found.state,
                daemon: found.daemon,
                hindrance: found.hindrance,
                unknown: found.unknown,
            })
        };
        Ok(AuditFacts {
            kernel: status.map(kernel),
            boot_parameter,
            consumer,
            auditd_installed: auditd.is_some_and(|unit| unit.exists),
            auditd_enabled: auditd.is_some_and(starts_at_boot),
            journald_listens: socket.is_some_and(|unit| unit.active),
            at_boot,
        })
    }
}

fn starts_at_boot(unit: &Unit) -> bool {
    unit.exists && unit.enabled && !unit.masked
}

/// Whether the kernel that records this host's events can be asked.
pub(super) fn is_reachable(observation: &mut Observation<'_>) -> Result<bool, Unobservable> {
    Ok(observation.is_live() && !system::is_container(observation)?)
}

/// The kernel's answer; `None` if it has no audit in this boot, which is a fact and no failure to ask.
fn status(
    observation: &mut Observation<'_>,
    boot_parameter: Option<&str>,
) -> Result<Option<AuditStatus>, Unobservable> {
    observation.note("netlink: AUDIT_GET");
    match observation.host().audit_status() {
        Ok(status) => Ok(Some(status)),
        Err(HostError::ToolMissing(_)) => Ok(None),
        // Switched off by the boot parameter, the kernel refuses the connection as it does without the capability.
        Err(HostError::Permission(_)) if matches!(boot_parameter, Some("0" | "off")) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn kernel(status: Option<AuditStatus>) -> KernelAudit {
    KernelAudit {
        state: match status.map(|status| status.enabled) {
            None => State::Unavailable,
            Some(0) => State::Off,
            Some(1) => State::On,
            Some(_) => State::Locked,
        },
        on_failure: status.and_then(|status| match status.failure {
            0 => Some(OnFailure::Silent),
            1 => Some(OnFailure::Printk),
            2 => Some(OnFailure::Panic),
            _ => None,
        }),
        rate_limit: status.map_or(0, |status| status.rate_limit),
    }
}

fn boot_parameter(observation: &mut Observation<'_>) -> Result<Option<String>, Unobservable> {
    let line = observation.text("/proc/cmdline")?.unwrap_or_default();
    Ok(line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("audit="))
        .next_back()
        .map(str::to_owned))
}

fn consumer(observation: &mut Observation<'_>, pid: u32) -> Result<Consumer, Unobservable> {
    let gone = Consumer {
        name: String::new(),
        state: ProcessState::Gone,
    };
    let host = observation.host();
    let stat = match host.read(&format!("/proc/{pid}/stat"), 4096) {
        Ok(stat) => String::from_utf8_lossy(&stat).into_owned(),
        Err(HostError::NotFound(_)) => return Ok(gone),
        Err(error) => return Err(error.into()),
    };
    // The PID would change the source at every restart of the daemon, so the source names the kind of file.
    observation.note("/proc/PID/stat of the audit consumer");
    // The name is in parentheses and may hold anything, so the last one ends it.
    let (name, rest) = stat
        .split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(')'))
        .ok_or_else(|| Unobservable::unparsable(&format!("/proc/{pid}/stat"), "no process name"))?;
    let state = match rest.trim_start().chars().next() {
        Some('T' | 't') => ProcessState::Stopped,
        Some('Z' | 'X') => ProcessState::Zombie,
        Some('R' | 'S' | 'D' | 'I') => ProcessState::Alive,
        other => {
            return Err(Unobservable::unparsable(
                &format!("/proc/{pid}/stat"),
                format!("state {other:?} is not known"),
            ));
        }
    };
    Ok(Consumer {
        name: name.to_owned(),
        state,
    })
}
