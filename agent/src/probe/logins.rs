//! When each account was last used, by every record of log-ons that the host keeps.
//!
//! Key log-ons without a terminal (scp, rsync, automation) reach neither lastlog nor wtmp, only the journal or auth.log:
//! all sources are read, and the newest counts. Databases that the agent cannot read (lastlog2, wtmpdb) are said to be
//! unreadable, so that nobody is called dormant for the lack of a reader.

mod auth_log;
mod database;
mod journal;

use std::collections::BTreeMap;

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::login_defs::LoginDefs;
use super::nss::{self, DEFAULT_UID_MIN, LocalAccount};
use super::{Observation, Probe, Unobservable};
use crate::host::{FileKind, HostError};

/// Most accounts whose log-ons are looked for.
const MAX_ACCOUNTS: usize = 200;

/// The probe `logins`.
pub struct Logins;

/// Records of log-ons, and what they say of each account.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoginFacts {
    /// The records, and how far they reach back.
    records: Vec<Record>,
    /// Root and the accounts of people that have a log-on shell, by name.
    accounts: BTreeMap<String, Seen>,
    /// Every such account was looked for.
    complete: bool,
}

/// One kind of record.
#[derive(Debug, Serialize, JsonSchema)]
struct Record {
    /// Which.
    kind: Kind,
    /// Whether it could be read.
    state: State,
    /// Its oldest entry, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

/// A record of log-ons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// `/var/log/lastlog`: the last log-on with a terminal of each uid, kept for ever.
    Lastlog,
    /// `/var/lib/lastlog/lastlog2.db`.
    Lastlog2,
    /// `/var/log/wtmp` and its predecessor: log-ons with a terminal.
    Wtmp,
    /// `/var/lib/wtmpdb/wtmp.db`.
    Wtmpdb,
    /// `/var/log/auth.log` or `/var/log/secure` and its predecessor: every log-on.
    AuthLog,
    /// The journal: every log-on.
    Journal,
}

/// Whether a record could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Read.
    Read,
    /// Not kept on this host.
    Absent,
    /// Kept, but not readable here: what it would say is unknown.
    Unreadable,
}

/// What the records say of one account.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Seen {
    /// The newest log-on over all records.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    /// The record that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Kind>,
    /// Last change of the home directory itself, for accounts whose age nothing else tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    home_changed: Option<Timestamp>,
}

/// The newest log-on of each account looked for, while records are read.
struct Newest(BTreeMap<String, Seen>);

impl Newest {
    fn add(&mut self, name: &str, at: Timestamp, by: Kind) {
        if let Some(seen) = self.0.get_mut(name)
            && seen.last.is_none_or(|last| last < at)
        {
            seen.last = Some(at);
            seen.by = Some(by);
        }
    }
}

impl Probe for Logins {
    const ID: &'static str = "logins";
    type Facts = LoginFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<LoginFacts, Unobservable> {
        let uid_min = LoginDefs::read(observation)?
            .number("UID_MIN")
            .unwrap_or(DEFAULT_UID_MIN);
        let mut wanted: Vec<LocalAccount> = nss::accounts(observation)?.entries;
        wanted.retain(|account| {
            account.uid == 0 || account.is_person(uid_min) && account.has_login_shell()
        });
        let complete = wanted.len() <= MAX_ACCOUNTS;
        wanted.truncate(MAX_ACCOUNTS);
        let mut newest = Newest(
            wanted
                .iter()
                .map(|account| (account.name.clone(), Seen::default()))
                .collect(),
        );
        let records = vec![
            database::lastlog(observation, &wanted, &mut newest)?,
            present(observation, Kind::Lastlog2, "/var/lib/lastlog/lastlog2.db")?,
            database::wtmp(observation, &mut newest)?,
            present(observation, Kind::Wtmpdb, "/var/lib/wtmpdb/wtmp.db")?,
            auth_log::read(observation, &mut newest)?,
            journal::read(observation, &wanted, &mut newest)?,
        ];
        let mut accounts = newest.0;
        for account in &wanted {
            if let Some(seen) = accounts.get_mut(&account.name) {
                seen.home_changed = home_changed(observation, &account.home)?;
            }
        }
        Ok(LoginFacts {
            records,
            accounts,
            complete,
        })
    }
}

/// A database that is there cannot be read; one that is not there keeps nothing back.
fn present(
    observation: &mut Observation<'_>,
    kind: Kind,
    path: &str,
) -> Result<Record, Unobservable> {
    let state = match observation.stat(path)? {
        Some(_) => State::Unreadable,
        None => State::Absent,
    };
    Ok(Record {
        kind,
        state,
        since: None,
    })
}

fn home_changed(
    observation: &mut Observation<'_>,
    home: &str,
) -> Result<Option<Timestamp>, Unobservable> {
    if !home.starts_with('/') {
        return Ok(None);
    }
    match observation.host().lstat(home) {
        Ok(stat) if stat.kind == FileKind::Directory => Ok(Some(stat.ctime)),
        Ok(_) | Err(HostError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
