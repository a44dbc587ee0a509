//! Which local accounts there are.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::login_defs::LoginDefs;
use super::nss::{self, DEFAULT_UID_MIN, LocalAccount};
use super::{Observation, Probe, Unobservable};

/// The probe `passwd`.
pub struct Passwd;

/// The accounts of `/etc/passwd` as the C library reads them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PasswdFacts {
    /// Accounts by name.
    accounts: Vec<Account>,
    /// Names that more than one line has.
    duplicate_names: Vec<String>,
    /// User ids that more than one name has.
    duplicate_uids: Vec<i64>,
    /// Names of `+` and `-` lines of the old `compat` service.
    compat: Vec<String>,
    /// Lines that the C library skips.
    ignored_lines: i64,
    /// First uid that belongs to people (`UID_MIN` of login.defs(5), 1000 without it).
    uid_min: i64,
    /// Services that nsswitch.conf(5) asks for accounts; only `files` is what this probe reads.
    services: Vec<String>,
}

/// One local account.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Account {
    /// Name.
    name: String,
    /// User id.
    uid: i64,
    /// Id of the primary group.
    gid: i64,
    /// Whom it is for, by its uid.
    kind: Kind,
    /// Shell as written; blank means `/bin/sh`.
    shell: String,
    /// The shell lets someone in: it is not the system's `nologin` or `false`.
    login_shell: bool,
    /// Home directory.
    home: String,
}

/// Whom an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Uid 0.
    Superuser,
    /// Below `UID_MIN`, or `nobody`.
    System,
    /// From `UID_MIN` on.
    Person,
}

impl Account {
    fn new(account: &LocalAccount, uid_min: i64) -> Account {
        let kind = match account.uid {
            0 => Kind::Superuser,
            _ if account.is_person(uid_min) => Kind::Person,
            _ => Kind::System,
        };
        Account {
            name: account.name.clone(),
            uid: account.uid.into(),
            gid: account.gid.into(),
            kind,
            shell: account.shell.clone(),
            login_shell: account.has_login_shell(),
            home: account.home.clone(),
        }
    }
}

impl Probe for Passwd {
    const ID: &'static str = "passwd";
    type Facts = PasswdFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<PasswdFacts, Unobservable> {
        let table = nss::accounts(observation)?;
        let uid_min = LoginDefs::read(observation)?
            .number("UID_MIN")
            .unwrap_or(DEFAULT_UID_MIN);
        let mut accounts: Vec<Account> = table
            .entries
            .iter()
            .map(|account| Account::new(account, uid_min))
            .collect();
        accounts.sort();
        let duplicate_names = repeated(accounts.iter().map(|account| account.name.clone()));
        let mut names: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for account in &accounts {
            names.entry(account.uid).or_default().insert(&account.name);
        }
        let duplicate_uids = names
            .into_iter()
            .filter(|(_, names)| names.len() > 1)
            .map(|(uid, _)| uid)
            .collect();
        let mut compat = table.compat;
        compat.sort();
        Ok(PasswdFacts {
            accounts,
            duplicate_names,
            duplicate_uids,
            compat,
            ignored_lines: table.ignored,
            uid_min,
            services: nss::services(observation, "passwd")?,
        })
    }
}

/// What occurs more than once, in order.
pub(super) fn repeated<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(item, _)| item)
        .collect()
}
