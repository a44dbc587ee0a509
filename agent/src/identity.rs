//! Who this agent is: a key made on this host, and the place in the log that it was given for it.
//!
//! The key never leaves the host, is made once (a second start finds it) and cannot be printed. The enrolment is written
//! last when enrolling: without it, enrolling did not happen and can be tried again with the same key.

use crypto::{KeyId, Random, SigningKey, VerifyingKey};
use evidence::id::{AgentId, GroupId};
use evidence::json;
use ledger::key::Vkey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::state::{StateDir, StateError, check_private};

const KEY: &str = "key.pem";
const ENROLMENT: &str = "enrolment.json";
const MAX_KEY_BYTES: u64 = 4096;
const MAX_ENROLMENT_BYTES: u64 = 64 * 1024;

/// The agent's place in the log and the keys pinned when it got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Form of this file, 1.
    pub v: u8,
    /// The agent, for ever.
    pub agent: AgentId,
    /// The epoch of its key.
    pub epoch: u64,
    /// The key.
    pub key: KeyId,
    /// The host group it was put in.
    pub group: GroupId,
    /// The log's name.
    pub origin: String,
    /// The log's verifier key.
    pub log_key: String,
    /// The key that signs bundles.
    pub policy_key: VerifyingKey,
    /// The bundle it was told to use first.
    pub bundle: crypto::Digest,
}

/// The key and the place.
#[derive(Debug)]
pub struct Identity {
    /// The key.
    pub key: SigningKey,
    /// The place.
    pub enrolment: Enrolment,
    /// The log's verifier key, parsed.
    pub log_key: Vkey,
}

/// Finds the agent's key, or makes it.
///
/// # Errors
/// [`StateError`] if the key's file is open to others or holds no key.
pub fn key(state: &StateDir, random: &mut dyn Random) -> Result<SigningKey, StateError> {
    if let Some(key) = read_key(state)? {
        return Ok(key);
    }
    let key = SigningKey::generate(random);
    state.create(KEY, key.to_pem().as_bytes())?;
    Ok(key)
}

fn read_key(state: &StateDir) -> Result<Option<SigningKey>, StateError> {
    let Some(bytes) = state.read(KEY, MAX_KEY_BYTES)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let path = state.file(KEY);
    check_private(&path, 0o600)?;
    let pem = str::from_utf8(&bytes).map_err(|_| StateError::damaged(&path, "not PEM"))?;
    SigningKey::from_pem(pem)
        .map(Some)
        .map_err(|error| StateError::damaged(&path, error))
}

impl Enrolment {
    /// The enrolment of this state folder; `None` if it was never enrolled.
    ///
    /// # Errors
    /// [`StateError`] if the file is damaged.
    pub fn load(state: &StateDir) -> Result<Option<Enrolment>, StateError> {
        let Some(bytes) = state.read(ENROLMENT, MAX_ENROLMENT_BYTES)? else {
            return Ok(None);
        };
        json::parse(&bytes)
            .map(Some)
            .map_err(|error| StateError::damaged(&state.file(ENROLMENT), error))
    }

    /// Writes the enrolment: from here on the agent is enrolled.
    ///
    /// # Errors
    /// [`StateError`] if there is one already.
    pub fn commit(&self, state: &StateDir) -> Result<(), StateError> {
        let bytes = json::canonical(self)
            .map_err(|error| StateError::damaged(&state.file(ENROLMENT), error))?;
        state.create(ENROLMENT, &bytes)
    }
}

impl Identity {
    /// The identity of this state folder; `None` if it was never enrolled.
    ///
    /// # Errors
    /// [`StateError`] if the key is gone, or is not the enrolled one.
    pub fn load(state: &StateDir) -> Result<Option<Identity>, StateError> {
        let Some(enrolment) = Enrolment::load(state)? else {
            return Ok(None);
        };
        let path = state.file(KEY);
        let key = read_key(state)?
            .ok_or_else(|| StateError::damaged(&path, "the enrolled key is gone; enrol again"))?;
        if key.verifying_key().key_id() != enrolment.key {
            return Err(StateError::damaged(&path, "not the key that was enrolled"));
        }
        let log_key = enrolment
            .log_key
            .parse()
            .map_err(|error| StateError::damaged(&state.file(ENROLMENT), error))?;
        Ok(Some(Identity {
            key,
            enrolment,
            log_key,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use crypto::SystemRandom;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_private() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        let made = key(&state, &mut SystemRandom).unwrap();
        let found = key(&state, &mut SystemRandom).unwrap();
        assert_eq!(
            made.verifying_key().key_id(),
            found.verifying_key().key_id()
        );
        let path = state.file(KEY);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = key(&state, &mut SystemRandom).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_torn_key_is_no_key_and_is_not_replaced() {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        state
            .write(KEY, b"-----BEGIN PRIVATE KEY-----\nMC4")
            .unwrap();
        assert!(key(&state, &mut SystemRandom).is_err());
        assert_eq!(state.names().unwrap(), [KEY]);
    }
}
