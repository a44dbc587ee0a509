//! Where sshd looks for the keys of an account: what the configuration says, for the probe of the keys themselves.

use std::collections::BTreeSet;

use super::accounts::Accounts;
use super::config::Configuration;
use super::daemon::{Daemon, State};
use super::{cases, evaluate, package};
use crate::probe::{Observation, Unobservable};

/// Everywhere that keys may come from, over all kinds of connection.
#[derive(Debug)]
pub(in crate::probe) struct KeySources {
    /// Whether sshd can be reached.
    pub state: State,
    /// `AuthorizedKeysFile`, every pattern once; each is held against every account.
    pub files: Vec<String>,
    /// `AuthorizedKeysCommand`.
    pub commands: Vec<String>,
    /// `TrustedUserCAKeys`.
    pub authorities: Vec<String>,
    /// `StrictModes` is on for every kind of connection.
    pub strict_modes: bool,
    /// No kind of connection was left out.
    pub complete: bool,
}

impl KeySources {
    /// Reads the configuration as the running daemon, or else the next one, does; `None` without sshd.
    ///
    /// # Errors
    /// [`Unobservable`] as for the probe `sshd`.
    pub(in crate::probe) fn read(
        observation: &mut Observation<'_>,
        accounts: &Accounts,
    ) -> Result<Option<KeySources>, Unobservable> {
        let Some(version) = package::installed(observation)? else {
            return Ok(None);
        };
        let daemon = Daemon::observe(observation)?;
        let options = daemon.running.as_ref().unwrap_or(&daemon.boot);
        let configuration = Configuration::load(observation, options.file())?;
        let global = evaluate::global(&configuration, &options.given()?, &version)?;
        let (cases, complete) = cases::cases(&configuration, &global, accounts, &version)?;
        let contexts = || {
            cases
                .iter()
                .map(|case| &case.context)
                .filter(|context| context.pubkey_authentication)
        };
        let unique = |items: BTreeSet<String>| items.into_iter().collect::<Vec<_>>();
        Ok(Some(KeySources {
            state: daemon.state,
            files: unique(
                contexts()
                    .flat_map(|c| c.authorized_keys_file.clone())
                    .collect(),
            ),
            commands: unique(
                contexts()
                    .filter_map(|c| c.authorized_keys_command.clone())
                    .collect(),
            ),
            authorities: unique(
                contexts()
                    .filter_map(|c| c.trusted_user_ca_keys.clone())
                    .collect(),
            ),
            strict_modes: contexts().all(|context| context.strict_modes),
            complete,
        }))
    }
}
