//! Whether what judges this host is what was installed: the agent's program, its configuration, its key and its bundle.

use std::io::Read as _;

use crypto::{DigestStream, VerifyingKey};
use evidence::bundle::Bundle;
use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wire::envelope::{BUNDLE_TYPE, Envelope, MAX_ENVELOPE_BYTES};

mod road;

use super::agent_process;
use super::{Observation, Probe, Unobservable};
use crate::host::{HostError, Stat};
use crate::identity::Enrolment;

/// The probe `agent_integrity`.
pub struct AgentIntegrity;

/// Facts of the agent's own integrity.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AgentIntegrityFacts {
    /// The program that runs.
    program: ProgramFile,
    /// The configuration of the service; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<Protected>,
    /// The certificate authority of the collector, as the configuration names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<Protected>,
    /// The state folder of an enrolled agent; absent if this host was never enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

/// The program.
#[derive(Debug, Serialize, JsonSchema)]
struct ProgramFile {
    /// Where it lies.
    path: String,
    /// Its version.
    version: String,
    /// The file was replaced or removed while this process runs on.
    replaced: bool,
    /// SHA-256 of the file; absent if it was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// It has a set-user-id or set-group-id bit.
    set_id: bool,
    /// Only the superuser can change the file or put another one in its place.
    protected: bool,
}

/// A file that the agent believes.
#[derive(Debug, Serialize, JsonSchema)]
struct Protected {
    /// Where it lies.
    path: String,
    /// It is there.
    exists: bool,
    /// Only the superuser can change it or put another one in its place.
    protected: bool,
}

/// The state folder.
#[derive(Debug, Serialize, JsonSchema)]
struct State {
    /// Where it lies.
    path: String,
    /// Only the agent's user can enter it, and nobody else can put another one in its place.
    private: bool,
    /// The key's file.
    key: Key,
    /// The bundle that the agent judges by.
    bundle: BundleState,
    /// The bundle's version, if its signature holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle_version: Option<i64>,
    /// Statements that were found damaged and set aside for a person to look at.
    quarantined: i64,
}

/// The file of the agent's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Key {
    /// Only the agent's user can read it.
    Private,
    /// Others can read or change it.
    Open,
    /// It is not there.
    Missing,
}

/// The stored bundle, held against the policy key that was pinned at enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BundleState {
    /// Its signature holds.
    Verified,
    /// Its signature does not hold, or it is no bundle.
    Refused,
    /// There is none yet.
    Missing,
}

/// Where the configuration lies unless the service was started with another one.
const CONFIGURATION: &str = "/etc/assay/agent.toml";
const MAX_PROGRAM_BYTES: u64 = 512 * 1024 * 1024;
const MAX_STATE_FILE: usize = 64 * 1024;
const SET_ID: u32 = 0o6000;

/// What the probe reads of the agent's configuration.
#[derive(Deserialize)]
struct Configuration {
    ca: String,
    state: String,
}

/// The digest of a program, kept as long as its file is the same.
#[derive(Serialize, Deserialize)]
struct Remembered {
    path: String,
    size: u64,
    changed: Timestamp,
    sha256: String,
}

impl Probe for AgentIntegrity {
    const ID: &'static str = "agent_integrity";
    type Facts = AgentIntegrityFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AgentIntegrityFacts, Unobservable> {
        observation.require_live("the agent's own process")?;
        let service = agent_process::service(observation)?;
        let proc = service
            .as_ref()
            .map_or("/proc/self", |service| service.proc.as_str());
        let path = service
            .as_ref()
            .and_then(|service| service.configuration())
            .unwrap_or(CONFIGURATION);
        let program = program(observation, proc)?;
        let Some(text) = observation.text(path)? else {
            return Ok(AgentIntegrityFacts {
                program,
                configuration: None,
                authority: None,
                state: None,
            });
        };
        let configuration: Configuration = toml::from_str(&text)
            .map_err(|error| Unobservable::unparsable(path, error.message()))?;
        Ok(AgentIntegrityFacts {
            program,
            configuration: Some(protected(observation, path)?),
            authority: Some(protected(observation, &configuration.ca)?),
            state: state(observation, &configuration.state)?,
        })
    }
}

fn program(observation: &mut Observation<'_>, proc: &str) -> Result<ProgramFile, Unobservable> {
    let link = observation.host().read_link(&format!("{proc}/exe"))?;
    let (path, replaced) = match link.strip_suffix(" (deleted)") {
        Some(path) => (path.to_owned(), true),
        None => (link, false),
    };
    let stat = if replaced {
        None
    } else {
        observation.stat(&path)?
    };
    let sha256 = match &stat {
        Some(stat) => Some(digest(observation, &path, stat)?),
        None => None,
    };
    Ok(ProgramFile {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        replaced: replaced || stat.is_none(),
        sha256,
        set_id: stat.is_some_and(|stat| stat.mode & SET_ID != 0),
        protected: is_protected(observation, &path)?,
        path,
    })
}

fn digest(
    observation: &mut Observation<'_>,
    path: &str,
    stat: &Stat,
) -> Result<String, Unobservable> {
    let known = observation.recall::<Remembered>("program");
    if let Some(known) = known.filter(|known| {
        known.path == path && known.size == stat.size && known.changed == stat.ctime
    }) {
        return Ok(known.sha256);
    }
    let failed = |error: std::io::Error| HostError::Io(path.to_owned(), error.to_string());
    let mut file = observation.host().open(path)?.take(MAX_PROGRAM_BYTES);
    let mut digest = DigestStream::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk).map_err(failed)? {
            0 => break,
            read => digest.update(chunk.get(..read).unwrap_or_default()),
        }
    }
    let sha256 = digest.finish().to_hex();
    observation.remember(
        "program",
        &Remembered {
            path: path.to_owned(),
            size: stat.size,
            changed: stat.ctime,
            sha256: sha256.clone(),
        },
    );
    Ok(sha256)
}

fn protected(observation: &mut Observation<'_>, path: &str) -> Result<Protected, Unobservable> {
    Ok(Protected {
        path: path.to_owned(),
        exists: observation.stat(path)?.is_some(),
        protected: is_protected(observation, path)?,
    })
}

/// Whether the file, if it is there, and every directory on the way to it are the superuser's alone to change.
fn is_protected(observation: &mut Observation<'_>, path: &str) -> Result<bool, Unobservable> {
    Ok(road::is_protected(observation.host(), path, 0)?)
}

fn state(observation: &mut Observation<'_>, path: &str) -> Result<Option<State>, Unobservable> {
    let path = path.trim_end_matches('/');
    let Some(folder) = observation.stat(path)? else {
        return Ok(None);
    };
    let Some(enrolment) = observation.bytes(&format!("{path}/enrolment.json"), MAX_STATE_FILE)?
    else {
        return Ok(None);
    };
    let enrolment: Enrolment = evidence::json::parse(&enrolment)
        .map_err(|error| Unobservable::unparsable(&format!("{path}/enrolment.json"), error))?;
    let key = match observation.stat(&format!("{path}/key.pem"))? {
        None => Key::Missing,
        Some(stat) if stat.mode & 0o077 == 0 && stat.uid == folder.uid => Key::Private,
        Some(_) => Key::Open,
    };
    let bundle = observation.bytes(&format!("{path}/bundle.dsse.json"), MAX_ENVELOPE_BYTES)?;
    let version = bundle
        .as_deref()
        .map(|bytes| bundle_version(bytes, &enrolment.policy_key));
    let quarantined = observation
        .list(&format!("{path}/quarantine"))?
        .unwrap_or_default()
        .len();
    Ok(Some(State {
        private: folder.mode & 0o077 == 0
            && road::is_protected(observation.host(), path, folder.uid)?,
        key,
        bundle: match version {
            None => BundleState::Missing,
            Some(None) => BundleState::Refused,
            Some(Some(_)) => BundleState::Verified,
        },
        bundle_version: version.flatten(),
        quarantined: i64::try_from(quarantined).unwrap_or(i64::MAX),
        path: path.to_owned(),
    }))
}

/// The version of a bundle that is signed by the policy key; `None` if it is not, or is no bundle.
fn bundle_version(bytes: &[u8], policy: &VerifyingKey) -> Option<i64> {
    let envelope = Envelope::parse_file(bytes).ok()?;
    envelope.verify(BUNDLE_TYPE, &[policy]).ok()?;
    i64::try_from(Bundle::parse(&envelope.payload).ok()?.version).ok()
}

#[cfg(test)]
mod tests {
    use crypto::{SeededRandom, SigningKey};

    use super::*;

    const CHECK: &str = r#"
id = "demo.systemd"
title = "t"
topic = "t"
severity = "low"
cadence = "*/15 * * * *"
profile = "all"
probes = ["system"]
rules = [ { if = "facts.system.systemd", then = "pass" } ]
else = { then = "fail", reason = "missing" }
expected = "e"
observed = "facts.system.systemd"
reads = "r"
decides = "d"
shows = "s"
does_not_show = "n"
remediation = "m"
[controls."27001:2022"]
primary = ["A.8.9"]
"#;

    #[test]
    fn a_bundle_counts_only_under_the_pinned_key() {
        let file = evidence::check::CheckFile::parse("demo.systemd.toml", CHECK).unwrap();
        let schemas = evidence::baseline::schemas().unwrap();
        let bundle = Bundle::from_files(7, "test", &[file], &schemas).unwrap();
        let key = SigningKey::generate(&mut SeededRandom::new(1));
        let stranger = SigningKey::generate(&mut SeededRandom::new(2));
        let mut signed = Envelope::sign(BUNDLE_TYPE, bundle.to_bytes().unwrap(), &[&key])
            .to_file()
            .unwrap();
        assert_eq!(bundle_version(&signed, &key.verifying_key()), Some(7));
        assert_eq!(bundle_version(&signed, &stranger.verifying_key()), None);
        signed[20] ^= 1;
        assert_eq!(bundle_version(&signed, &key.verifying_key()), None);
        assert_eq!(bundle_version(b"", &key.verifying_key()), None);
    }
}
