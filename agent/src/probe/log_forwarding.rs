//! What sends this host's logs elsewhere, and how well the road is protected.

mod filter;
mod input;
mod rsyslog;
mod selector;
mod syntax;

use schemars::JsonSchema;
use serde::Serialize;

use super::unit::units;
use super::{Observation, Probe, Unobservable, systemd_config};

/// The probe `log_forwarding`.
pub struct LogForwarding;

/// Facts of log forwarding.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogForwardingFacts {
    /// Daemons whose configuration is read, as far as they are installed.
    daemons: Vec<Daemon>,
    /// Every destination on another host, in the order of the configuration.
    forwarders: Vec<Forwarder>,
    /// rsyslog gets the messages of local programs: it reads the journal, or the socket that journald hands them on to.
    /// False if rsyslog neither runs nor would.
    local_messages: bool,
    /// Filters by which messages are dropped that are not about authentication.
    discards: Vec<String>,
    /// Units of agents that ship logs by a configuration of their own, as far as they are installed.
    agents: Vec<Agent>,
    /// syslog-ng is installed and would run: its configuration is not read.
    syslog_ng: bool,
}

/// A daemon that forwards.
#[derive(Debug, Serialize, JsonSchema)]
struct Daemon {
    /// Which.
    name: Program,
    /// Running now.
    active: bool,
    /// Starts at boot.
    enabled: bool,
}

/// A destination on another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Forwarder {
    /// What sends.
    by: Program,
    /// File and line.
    at: String,
    /// Name or address.
    target: String,
    /// Port, as written.
    port: String,
    /// How.
    protocol: Protocol,
    /// Encrypted by TLS.
    encrypted: bool,
    /// How the other side is checked, in lower case, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_mode: Option<String>,
    /// The other side is named in the configuration, or must have the name that is connected to.
    peer_named: bool,
    /// Facilities of which all but debug messages are sent.
    facilities: Vec<String>,
    /// Sent only under a condition that is not understood.
    conditional: bool,
}

/// A program whose configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Program {
    /// rsyslogd(8).
    Rsyslog,
    /// systemd-journal-upload(8).
    JournalUpload,
}

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    /// Syslog over UDP.
    Udp,
    /// Syslog over TCP, RFC 6587 and RFC 5425.
    Tcp,
    /// RELP.
    Relp,
    /// HTTP, journal export format.
    Http,
    /// An output of rsyslog whose protection is not known.
    Other,
}

/// An agent that ships logs.
#[derive(Debug, Serialize, JsonSchema)]
struct Agent {
    /// Its unit, without `.service`.
    name: String,
    /// Running now.
    active: bool,
    /// Starts at boot.
    enabled: bool,
}

pub(super) const RSYSLOG: &str = "rsyslog.service";
pub(super) const UPLOAD: &str = "systemd-journal-upload.service";
const SYSLOG_NG: &str = "syslog-ng.service";
/// Where rsyslog counts what it does: its module impstats with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatisticsFile {
    /// Absolute path.
    pub(super) path: String,
    /// Seconds between two samples.
    pub(super) interval_s: u32,
    /// Each sample counts from nought.
    pub(super) resets: bool,
}

/// The statistics of rsyslog, and what its forwarding actions are called there.
pub(super) struct StatisticsSource {
    /// The file.
    pub(super) file: StatisticsFile,
    /// Names given by the configuration; an action without one has a name by its place.
    pub(super) actions: Vec<String>,
}

/// Where the statistics of rsyslog's configuration are; `None` if there are none.
///
/// # Errors
/// [`Unobservable`] if the configuration cannot be read or understood.
pub(super) fn statistics(
    observation: &mut Observation<'_>,
) -> Result<Option<StatisticsSource>, Unobservable> {
    let found = rsyslog::read(observation)?.unwrap_or_default();
    let actions = found.names;
    let file = found.statistics;
    Ok(file.map(|file| StatisticsSource { file, actions }))
}

const AGENTS: [&str; 18] = [
    "alloy.service",
    "amazon-cloudwatch-agent.service",
    "auditbeat.service",
    "azuremonitoragent.service",
    "datadog-agent.service",
    "elastic-agent.service",
    "filebeat.service",
    "fluent-bit.service",
    "fluentd.service",
    "google-cloud-ops-agent-fluent-bit.service",
    "nxlog.service",
    "otelcol.service",
    "otelcol-contrib.service",
    "promtail.service",
    "SplunkForwarder.service",
    "td-agent.service",
    "vector.service",
    "wazuh-agent.service",
];

impl Probe for LogForwarding {
    const ID: &'static str = "log_forwarding";
    type Facts = LogForwardingFacts;

    fn units() -> Vec<&'static str> {
        [RSYSLOG, SYSLOG_NG, UPLOAD]
            .into_iter()
            .chain(AGENTS)
            .collect()
    }

    fn observe(observation: &mut Observation<'_>) -> Result<LogForwardingFacts, Unobservable> {
        let units = units(observation, &Self::units())?;
        let there = |name: &str| units.get(name).filter(|unit| unit.exists);
        let daemon = |name: Program, unit: &str| {
            there(unit).map(|unit| Daemon {
                name,
                active: unit.active,
                enabled: unit.enabled && !unit.masked,
            })
        };
        let daemons: Vec<Daemon> = [
            daemon(Program::Rsyslog, RSYSLOG),
            daemon(Program::JournalUpload, UPLOAD),
        ]
        .into_iter()
        .flatten()
        .collect();
        let has = |name: Program| {
            daemons
                .iter()
                .any(|daemon| daemon.name == name && (daemon.active || daemon.enabled))
        };
        // A configuration that nothing runs forwards nothing, and one left behind may have any form.
        let rsyslog = if has(Program::Rsyslog) {
            rsyslog::read(observation)?.unwrap_or_default()
        } else {
            rsyslog::Found::default()
        };
        let mut forwarders = rsyslog.forwarders;
        if has(Program::JournalUpload) {
            forwarders.extend(journal_upload(observation)?);
        }
        Ok(LogForwardingFacts {
            daemons,
            forwarders,
            local_messages: rsyslog.local_messages,
            discards: rsyslog.discards,
            agents: AGENTS
                .iter()
                .filter_map(|service| Some((service.strip_suffix(".service")?, there(service)?)))
                .map(|(name, unit)| Agent {
                    name: name.to_owned(),
                    active: unit.active,
                    enabled: unit.enabled && !unit.masked,
                })
                .collect(),
            syslog_ng: there(SYSLOG_NG).is_some_and(|unit| unit.active || unit.enabled),
        })
    }
}

/// journal-upload.conf(5): the whole journal over HTTP; certificates are checked unless trust is switched off.
fn journal_upload(observation: &mut Observation<'_>) -> Result<Option<Forwarder>, Unobservable> {
    const PORT: &str = "19532";
    let service = systemd_config::of_unit(observation, UPLOAD, "Service")?;
    let start = service.iter().rfind(|(name, _)| name == "ExecStart");
    // Options of the command line come over the file.
    let overrules = |word: &str| {
        ["-u", "--url", "--trust"]
            .iter()
            .any(|o| word.starts_with(o))
    };
    if start.is_some_and(|(_, line)| line.split_whitespace().any(overrules)) {
        return Err(Unobservable::unparsable(
            UPLOAD,
            "its command line says where to, or whom to trust, which is not followed",
        ));
    }
    let assignments = systemd_config::assignments(observation, "journal-upload.conf", "Upload")?;
    let value = |name: &str| {
        let of_name = assignments.iter().rev().find(|(known, _)| known == name);
        of_name
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let Some(url) = value("URL") else {
        return Ok(None);
    };
    // Without a scheme, https is meant.
    let (encrypted, rest) = match url.strip_prefix("http://") {
        Some(rest) => (false, rest),
        None => (true, url.strip_prefix("https://").unwrap_or(url)),
    };
    let place = rest.split('/').next().unwrap_or_default();
    let (target, port) = match place.rsplit_once(':') {
        Some((target, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (target, port),
        _ => (place, PORT),
    };
    let trusts_all = matches!(value("TrustedCertificateFile"), Some("all" | "-"));
    let checked = encrypted && !trusts_all;
    let everything = selector::Messages::ALL;
    Ok(Some(Forwarder {
        by: Program::JournalUpload,
        at: "/etc/systemd/journal-upload.conf".to_owned(),
        target: target.to_owned(),
        port: port.to_owned(),
        protocol: Protocol::Http,
        encrypted,
        auth_mode: checked.then(|| "x509/name".to_owned()),
        peer_named: checked,
        facilities: everything.facilities(),
        conditional: false,
    }))
}
