//! Probes: each observes one thing and returns typed facts; none judges.
//!
//! A probe is one file with a facts type and an `observe` function, and a line in [`registry`]. Its facts hold what was
//! read (absolute times, sizes, states), never an age or the time of reading: unchanged facts keep their digest and cost
//! nothing to ship. Where they were read is recorded by [`Observation`] and becomes the member `sources`.

mod acl;
mod agent_integrity;
mod agent_privilege;
mod agent_process;
mod apk_repository;
mod asset;
mod audit;
mod audit_boot;
mod audit_log;
mod audit_loss;
mod audit_rules;
mod auth_events;
mod auto_update;
mod auto_update_run;
mod backup;
mod backup_record;
mod bundles;
mod capability;
mod certificates;
mod cleanup;
mod cleartext;
mod clock;
mod container_daemon;
mod container_isolation;
mod core_dump;
mod cpu_vulnerability;
mod critical_files;
mod crontab;
mod crypto_policy;
mod daemon_process;
mod deadline;
mod debian;
mod disk_health;
mod file_walk;
mod filesystem_space;
mod firewall;
mod firmware;
mod firmware_update;
mod getopt;
mod group;
mod guarded;
mod installation;
mod integrity_monitor;
mod job_access;
mod journal;
mod kernel_cmdline;
mod kernel_module;
mod kernel_package;
mod key_files;
mod lockdown;
mod log_delivery;
mod log_files;
mod log_forwarding;
mod login_defs;
mod logins;
mod logrotate;
mod mac;
mod malware;
mod malware_exclusions;
mod malware_signatures;
mod monitoring_agent;
mod mount_options;
mod nss;
mod observation;
mod openrc;
mod package_changes;
mod package_files;
mod package_index;
mod package_sources;
mod packages;
mod pacman_repository;
mod pam;
mod passwd;
mod private_keys;
mod process_status;
mod quoted;
mod redundancy;
mod release;
mod resolvers;
mod routing;
mod rpm_repository;
mod screen_lock;
mod security_updates;
mod service_privilege;
mod settings;
mod shadow;
mod sockets;
mod software;
mod ssh_keys;
mod sshd;
mod stale_process;
mod storage;
mod sudo;
mod sysctl;
mod syslog_line;
mod system;
mod systemd_config;
mod time_boot;
mod time_sources;
mod tls_listeners;
mod tls_site;
pub mod unit;
mod usb_storage;
mod utilities;
mod virtual_machine;
mod vpn;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::fact::{FactSet, Facts};
use evidence::id::ProbeId;
use evidence::outcome::Reason;
use evidence::schema::{FactType, Field};
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use deadline::Bench;
pub(crate) use nss::redacted_password;
pub use observation::{Memory, Observation, VolatileMemory};

use crate::host::{Host, HostError};
use crate::watch::Reads;

/// Facts that could not be established: the probe's checks become errors with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Unobservable {
    /// The stable reason.
    pub reason: Reason,
    /// What happened and what to install or grant, for people.
    pub detail: String,
}

impl Unobservable {
    /// An unobservable fact with its explanation.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Unobservable {
        Unobservable {
            reason,
            detail: detail.into(),
        }
    }

    /// A source whose form the probe does not understand.
    pub fn unparsable(path: &str, problem: impl std::fmt::Display) -> Unobservable {
        Unobservable::new(Reason::Unparsable, format!("{path}: {problem}"))
    }
}

impl From<HostError> for Unobservable {
    fn from(error: HostError) -> Unobservable {
        Unobservable {
            reason: error.reason(),
            detail: error.to_string(),
        }
    }
}

/// A probe.
pub trait Probe {
    /// Its id, the name of its facts in expressions: `facts.<id>`.
    const ID: &'static str;
    /// Its facts. No floats; optional members are `Option` with `skip_serializing_if`; closed words are enums.
    type Facts: Serialize + JsonSchema;
    /// How long it may take on a live host or an unpacked root before it is given up.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Units of systemd that it asks for on most hosts, so that one program answers for all probes of a look.
    #[must_use]
    fn units() -> Vec<&'static str> {
        Vec::new()
    }

    /// Observes.
    ///
    /// # Errors
    /// [`Unobservable`] if the truth could not be established. Absence that was established is a fact, not an error.
    fn observe(observation: &mut Observation<'_>) -> Result<Self::Facts, Unobservable>;
}

/// A probe as the registry holds it.
#[derive(Clone, Copy)]
pub struct Registered {
    id: &'static str,
    observe: fn(&mut Observation<'_>) -> Result<Value, Unobservable>,
    schema: fn() -> Value,
    units: fn() -> Vec<&'static str>,
    deadline: Duration,
}

impl Registered {
    const fn of<P: Probe>() -> Registered {
        Registered {
            id: P::ID,
            observe: observe::<P>,
            schema: schema::<P>,
            units: P::units,
            deadline: P::DEADLINE,
        }
    }

    /// The probe's id.
    ///
    /// # Panics
    /// Never: a test parses every id of the registry.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Observes a host and adds where the facts were read.
    pub fn facts(&self, observation: &mut Observation<'_>) -> Facts {
        let found = (self.observe)(observation);
        let sources = observation.take_sources();
        match found {
            Ok(Value::Object(mut members)) => {
                members.values_mut().for_each(quoted::withhold);
                members.insert("sources".to_owned(), serde_json::json!(sources));
                match evidence::json::check_signable(&Value::Object(members.clone())) {
                    Ok(()) => Facts::new(members),
                    Err(problem) => Facts::unobservable(
                        Reason::Unparsable,
                        &format!("probe {}: {problem}", self.id),
                        &sources,
                    ),
                }
            }
            Ok(_) => Facts::unobservable(
                Reason::Unparsable,
                &format!("probe {}: facts are no object", self.id),
                &sources,
            ),
            Err(error) => {
                let clean = quoted::without_hashes(&error.detail);
                let detail = clean.as_ref().unwrap_or(&error.detail);
                Facts::unobservable(error.reason, detail, &sources)
            }
        }
    }

    /// The JSON Schema of the probe's facts.
    #[must_use]
    pub fn schema(&self) -> Value {
        (self.schema)()
    }
}

fn observe<P: Probe>(observation: &mut Observation<'_>) -> Result<Value, Unobservable> {
    let facts = P::observe(observation)?;
    serde_json::to_value(&facts).map_err(|error| Unobservable::unparsable(P::ID, error))
}

fn schema<P: Probe>() -> Value {
    schemars::schema_for!(P::Facts).to_value()
}

/// Every probe there is, by id.
#[must_use]
pub fn registry() -> Vec<Registered> {
    let mut probes = vec![
        Registered::of::<agent_integrity::AgentIntegrity>(),
        Registered::of::<agent_privilege::AgentPrivilege>(),
        Registered::of::<asset::Asset>(),
        Registered::of::<audit::Audit>(),
        Registered::of::<audit_log::AuditLog>(),
        Registered::of::<audit_loss::AuditLoss>(),
        Registered::of::<audit_rules::AuditRules>(),
        Registered::of::<auth_events::AuthEvents>(),
        Registered::of::<auto_update::AutoUpdate>(),
        Registered::of::<auto_update_run::AutoUpdateRun>(),
        Registered::of::<backup::Backup>(),
        Registered::of::<backup_record::BackupRecord>(),
        Registered::of::<certificates::Certificates>(),
        Registered::of::<cleanup::Cleanup>(),
        Registered::of::<clock::Clock>(),
        Registered::of::<core_dump::CoreDump>(),
        Registered::of::<critical_files::CriticalFiles>(),
        Registered::of::<crypto_policy::CryptoPolicy>(),
        Registered::of::<cpu_vulnerability::CpuVulnerability>(),
        Registered::of::<disk_health::DiskHealth>(),
        Registered::of::<file_walk::FileWalk>(),
        Registered::of::<filesystem_space::FilesystemSpace>(),
        Registered::of::<firmware::Firmware>(),
        Registered::of::<firmware_update::FirmwareUpdate>(),
        Registered::of::<cleartext::Cleartext>(),
        Registered::of::<container_daemon::ContainerDaemon>(),
        Registered::of::<container_isolation::ContainerIsolation>(),
        Registered::of::<firewall::Firewall>(),
        Registered::of::<group::Groups>(),
        Registered::of::<integrity_monitor::IntegrityMonitor>(),
        Registered::of::<job_access::JobAccess>(),
        Registered::of::<journal::Journal>(),
        Registered::of::<kernel_cmdline::KernelCmdline>(),
        Registered::of::<kernel_module::KernelModule>(),
        Registered::of::<kernel_package::KernelPackage>(),
        Registered::of::<key_files::KeyFiles>(),
        Registered::of::<lockdown::Lockdown>(),
        Registered::of::<log_delivery::LogDelivery>(),
        Registered::of::<log_files::LogFiles>(),
        Registered::of::<log_forwarding::LogForwarding>(),
        Registered::of::<logins::Logins>(),
        Registered::of::<logrotate::Logrotate>(),
        Registered::of::<malware::Malware>(),
        Registered::of::<malware_exclusions::MalwareExclusions>(),
        Registered::of::<malware_signatures::MalwareSignatures>(),
        Registered::of::<monitoring_agent::MonitoringAgent>(),
        Registered::of::<mac::Mac>(),
        Registered::of::<bundles::Bundles>(),
        Registered::of::<package_changes::PackageChanges>(),
        Registered::of::<package_files::PackageFiles>(),
        Registered::of::<mount_options::MountOptions>(),
        Registered::of::<package_index::PackageIndex>(),
        Registered::of::<package_sources::PackageSources>(),
        Registered::of::<pam::Pam>(),
        Registered::of::<passwd::Passwd>(),
        Registered::of::<redundancy::Redundancy>(),
        Registered::of::<private_keys::PrivateKeys>(),
        Registered::of::<release::DistributionRelease>(),
        Registered::of::<screen_lock::ScreenLock>(),
        Registered::of::<resolvers::Resolvers>(),
        Registered::of::<routing::Routing>(),
        Registered::of::<security_updates::SecurityUpdates>(),
        Registered::of::<service_privilege::ServicePrivilege>(),
        Registered::of::<settings::NamedSettings>(),
        Registered::of::<shadow::Shadow>(),
        Registered::of::<software::Software>(),
        Registered::of::<sockets::Sockets>(),
        Registered::of::<ssh_keys::SshKeys>(),
        Registered::of::<sshd::Sshd>(),
        Registered::of::<sshd::SshdLoad>(),
        Registered::of::<stale_process::StaleProcess>(),
        Registered::of::<storage::Storage>(),
        Registered::of::<sudo::Sudo>(),
        Registered::of::<sysctl::Sysctl>(),
        Registered::of::<system::System>(),
        Registered::of::<time_sources::TimeSources>(),
        Registered::of::<usb_storage::UsbStorage>(),
        Registered::of::<vpn::Vpn>(),
        Registered::of::<utilities::Utilities>(),
        Registered::of::<watch::Watching>(),
        Registered::of::<tls_listeners::TlsListeners>(),
    ];
    probes.sort_by_key(|probe| probe.id);
    probes
}

/// Observes with the probes named and returns their facts. A probe that does not exist is a fact that is missing.
pub fn observe_all<'p>(
    host: &dyn Host,
    memory: &mut dyn Memory,
    now: Timestamp,
    wanted: impl IntoIterator<Item = &'p ProbeId>,
) -> FactSet {
    observe_each(host, memory, now, wanted, &mut |_| {}).0
}

/// As [`observe_all`], with the places where each probe read. `begun` is told each probe before it is asked.
pub fn observe_each<'p>(
    host: &dyn Host,
    memory: &mut dyn Memory,
    now: Timestamp,
    wanted: impl IntoIterator<Item = &'p ProbeId>,
    begun: &mut dyn FnMut(&ProbeId),
) -> (FactSet, BTreeMap<ProbeId, Reads>) {
    let known: BTreeMap<&str, Registered> = registry()
        .into_iter()
        .map(|probe| (probe.id, probe))
        .collect();
    let mut facts = FactSet::new();
    let mut places = BTreeMap::new();
    let mut bench = Bench::default();
    let wanted: Vec<_> = wanted
        .into_iter()
        .filter_map(|id| Some((id, known.get(id.as_str())?)))
        .collect();
    let units: BTreeSet<&str> = wanted
        .iter()
        .flat_map(|(_, probe)| (probe.units)())
        .collect();
    host.expect_units(&Vec::from_iter(units));
    for (id, probe) in wanted {
        if facts.contains_key(id) {
            continue;
        }
        begun(id);
        let (found, reads) = bench.observe(*probe, host, memory, now);
        facts.insert(id.clone(), found);
        places.insert(id.clone(), reads);
    }
    (facts, places)
}

/// The published document of fact schemas: `{"<probe>": <JSON Schema>}`.
#[must_use]
pub fn schema_document() -> Value {
    let schemas: Map<String, Value> = registry()
        .into_iter()
        .map(|probe| (probe.id.to_owned(), probe.schema()))
        .chain(evidence::oversight::schemas())
        .collect();
    Value::Object(schemas)
}

/// Whether facts have a type: used by tests to hold what probes return against what they publish.
#[must_use]
pub fn conforms(value: &Value, kind: &FactType) -> bool {
    match (value, kind) {
        (_, FactType::Unknown)
        | (Value::Bool(_), FactType::Bool)
        | (Value::Number(_), FactType::Int)
        | (Value::Null, FactType::Null) => true,
        (Value::String(word), FactType::String(words)) => {
            words.as_ref().is_none_or(|words| words.contains(word))
        }
        (Value::Array(items), FactType::List(kind)) => {
            items.iter().all(|item| conforms(item, kind))
        }
        (Value::Object(members), FactType::Map(kind)) => {
            members.values().all(|value| conforms(value, kind))
        }
        (Value::Object(members), FactType::Object(fields)) => {
            let typed = |(name, value): (&String, &Value)| {
                fields
                    .get(name)
                    .is_some_and(|field| conforms(value, &field.kind))
            };
            let required =
                |(name, field): (&String, &Field)| !field.required || members.contains_key(name);
            members.iter().all(typed) && fields.iter().all(required)
        }
        _ => false,
    }
}
