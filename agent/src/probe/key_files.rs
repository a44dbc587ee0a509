//! Which accounts can be reached by an SSH key: whether they have a key file, nothing of what is in it.

use schemars::JsonSchema;
use serde::Serialize;

use super::login_defs::LoginDefs;
use super::nss::{self, DEFAULT_UID_MIN};
use super::{Observation, Probe, Unobservable};
use crate::host::HostError;

/// sshd's default places below the home directory (`AuthorizedKeysFile` of sshd_config(5)).
const FILES: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];
/// Most bytes of one key file.
const MAX_BYTES: usize = 1024 * 1024;

/// The probe `key_files`.
pub struct KeyFiles;

/// Accounts that are not people's, and the key files in their home directories.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyFileFacts {
    /// Root and system accounts with at least one line that is no comment in a key file at sshd's default places.
    accounts: Vec<String>,
    /// Such accounts whose key file could not be looked into: a link, too large or not permitted.
    unclear: Vec<String>,
}

impl Probe for KeyFiles {
    const ID: &'static str = "key_files";
    type Facts = KeyFileFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<KeyFileFacts, Unobservable> {
        let uid_min = LoginDefs::read(observation)?
            .number("UID_MIN")
            .unwrap_or(DEFAULT_UID_MIN);
        let mut facts = KeyFileFacts {
            accounts: Vec::new(),
            unclear: Vec::new(),
        };
        for account in nss::accounts(observation)?.entries {
            if account.is_person(uid_min) || !account.home.starts_with('/') {
                continue;
            }
            match key_lines(observation, &account.home) {
                Ok(true) => facts.accounts.push(account.name),
                Ok(false) => {}
                Err(_) => facts.unclear.push(account.name),
            }
        }
        facts.accounts.sort();
        facts.unclear.sort();
        Ok(facts)
    }
}

/// Whether a key file below `home` has a line that could be a key. Its owner writes there, so no link is followed.
fn key_lines(observation: &mut Observation<'_>, home: &str) -> Result<bool, HostError> {
    for file in FILES {
        match observation.host().read_beneath(home, file, MAX_BYTES) {
            Ok(bytes) => {
                observation.note(&format!("{}/{file}", home.trim_end_matches('/')));
                let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
                if lines.any(|line| !line.is_empty() && !line.starts_with(b"#")) {
                    return Ok(true);
                }
            }
            Err(HostError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
