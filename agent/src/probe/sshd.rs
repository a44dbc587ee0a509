//! The SSH daemon's effective configuration, for every kind of connection its `Match` blocks tell apart.
//!
//! Our own reader resolves the files as sshd does, so that an unpacked root can be judged and no program need be trusted;
//! on a live host `sshd -T` is asked about the main cases too, and a disagreement is reported, never settled silently.

mod accounts;
mod algorithm;
mod cases;
mod config;
mod context;
mod criteria;
mod cross_check;
mod daemon;
#[cfg(test)]
mod differential;
mod evaluate;
mod key_sources;
mod keyword;
mod load;
mod others;
mod package;
mod pattern;
mod process;
mod public_key;
mod start;
mod syntax;

use crypto::Digest;
use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::Serialize;

pub(in crate::probe) use self::accounts::{Account, Accounts};
use self::cases::Case;
use self::config::Configuration;
pub use self::context::Context;
pub use self::cross_check::Reading;
use self::daemon::CommandLine;
pub(in crate::probe) use self::daemon::{Daemon, State};
use self::evaluate::Settings;
pub(in crate::probe) use self::key_sources::KeySources;
pub use self::load::SshdLoad;
use self::package::Version;
pub(in crate::probe) use self::package::package_version;
pub(in crate::probe) use self::public_key::PublicKey;
pub(in crate::probe) use self::start::{Environment, assignments, command_line, value};
pub(in crate::probe) use self::syntax::words;
use super::{Observation, Probe, Unobservable};

/// Where host keys are looked for unless `HostKey` says otherwise.
const DEFAULT_HOST_KEYS: [&str; 3] = [
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
];

/// The probe `sshd`.
pub struct Sshd;

/// Facts of the SSH daemon.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SshdFacts {
    /// `/usr/sbin/sshd` exists.
    installed: bool,
    /// Whether it can be reached.
    state: State,
    /// Upstream version, for example `9.2p1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Options of the running daemon, else those it is started with.
    options: Vec<String>,
    /// Options it is started with at boot, if the running daemon has others.
    #[serde(skip_serializing_if = "Option::is_none")]
    options_at_boot: Option<Vec<String>>,
    /// Listening daemons beside the service, by their options; their settings are among the contexts.
    other_daemons: u64,
    /// How far `sshd -T` confirms what follows.
    reading: Reading,
    /// What the two readings say differently, or why there is one only.
    remarks: Vec<String>,
    /// No combination of criteria was left out.
    complete: bool,
    /// Every distinct result that a connection can get; anyone and root first.
    contexts: Vec<Context>,
    /// The host keys that sshd loads.
    host_keys: Vec<HostKey>,
    /// Host keys whose public half is missing, so that their kind is not known.
    unknown_host_keys: Vec<String>,
}

/// A host key, as its public half describes it.
#[derive(Debug, Serialize, JsonSchema)]
struct HostKey {
    /// Path of the private half.
    path: String,
    /// Its type, for example `ssh-ed25519`.
    kind: String,
    /// Its size in bits.
    bits: u32,
}

impl Probe for Sshd {
    const ID: &'static str = "sshd";
    type Facts = SshdFacts;

    fn units() -> Vec<&'static str> {
        Daemon::units()
    }

    fn observe(observation: &mut Observation<'_>) -> Result<SshdFacts, Unobservable> {
        let Some(version) = package::installed(observation)? else {
            return Ok(SshdFacts::absent());
        };
        let daemon = Daemon::observe(observation)?;
        let now = daemon
            .running
            .clone()
            .unwrap_or_else(|| daemon.boot.clone());
        let accounts = Accounts::read(observation)?;
        let effective = Effective::read(observation, &now, &accounts, &version)?;
        let mut facts = SshdFacts {
            installed: true,
            state: daemon.state,
            version: Some(version.upstream.clone()),
            options: now.words.clone(),
            options_at_boot: None,
            other_daemons: 0,
            reading: effective.comparison.reading,
            remarks: effective.comparison.remarks.clone(),
            complete: effective.complete,
            contexts: effective.contexts(""),
            host_keys: Vec::new(),
            unknown_host_keys: Vec::new(),
        };
        facts.add_host_keys(observation, &effective.global)?;
        if daemon.boot != now {
            let boot = Effective::read(observation, &daemon.boot, &accounts, &version)?;
            facts.complete &= boot.complete;
            facts.contexts.extend(boot.contexts("after a restart: "));
            facts.options_at_boot = Some(daemon.boot.words);
        }
        let others = others::find(observation, daemon.pid)?;
        facts.complete &= others.complete;
        facts.other_daemons = others.lines.len() as u64;
        for line in others.lines {
            let other = Effective::read(observation, &line, &accounts, &version)?;
            facts.complete &= other.complete;
            facts.contexts.extend(other.contexts("another daemon: "));
        }
        Ok(facts)
    }
}

impl SshdFacts {
    fn absent() -> SshdFacts {
        SshdFacts {
            installed: false,
            state: State::Off,
            version: None,
            options: Vec::new(),
            options_at_boot: None,
            other_daemons: 0,
            reading: Reading::OwnReader,
            remarks: Vec::new(),
            complete: true,
            contexts: Vec::new(),
            host_keys: Vec::new(),
            unknown_host_keys: Vec::new(),
        }
    }

    fn add_host_keys(
        &mut self,
        observation: &mut Observation<'_>,
        global: &Settings,
    ) -> Result<(), Unobservable> {
        let default = || DEFAULT_HOST_KEYS.map(str::to_owned).to_vec();
        let mut paths = global.get("hostkey").cloned().unwrap_or_else(default);
        paths.sort();
        paths.dedup();
        for path in paths {
            if path.eq_ignore_ascii_case("none") || observation.stat(&path)?.is_none() {
                continue;
            }
            let public = observation.text(&format!("{path}.pub"))?;
            let key = public
                .as_deref()
                .and_then(|text| text.split_whitespace().nth(1))
                .and_then(PublicKey::decode);
            match key {
                Some(key) => self.host_keys.push(HostKey {
                    path,
                    kind: key.kind,
                    bits: key.bits,
                }),
                None => self.unknown_host_keys.push(path),
            }
        }
        Ok(())
    }
}

/// The configuration as one set of options makes it.
struct Effective {
    global: Settings,
    cases: Vec<Case>,
    complete: bool,
    comparison: cross_check::Comparison,
}

impl Effective {
    fn read(
        observation: &mut Observation<'_>,
        options: &CommandLine,
        accounts: &Accounts,
        version: &Version,
    ) -> Result<Effective, Unobservable> {
        let configuration = Configuration::load(observation, options.file())?;
        let given = options.given()?;
        let global = evaluate::global(&configuration, &given, version)?;
        let (cases, complete) = cases::cases(&configuration, &global, accounts, version)?;
        let inputs = serde_json::to_vec(&(
            cases.iter().map(|case| &case.context).collect::<Vec<_>>(),
            &options.words,
            &version.package,
            &version.upstream,
        ))
        .map_err(|error| Unobservable::new(Reason::Unparsable, error.to_string()))?;
        let files: Vec<String> = configuration
            .files
            .iter()
            .map(|file| format!("{} {}", file.path, file.digest))
            .collect();
        let digest = Digest::of_parts(&[&inputs, files.join("\n").as_bytes()]);
        let comparison = cross_check::compare(observation, &cases, options, digest)?;
        Ok(Effective {
            global,
            cases,
            complete,
            comparison,
        })
    }

    fn contexts(&self, prefix: &str) -> Vec<Context> {
        let renamed = |case: &Case| {
            let mut context = case.context.clone();
            context.name = format!("{prefix}{}", context.name);
            context
        };
        self.cases.iter().map(renamed).collect()
    }
}
