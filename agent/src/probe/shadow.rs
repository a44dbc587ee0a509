//! What each local account's password lets happen, and how long it lasts. No hash leaves this probe.

use std::collections::{BTreeMap, BTreeSet};

use evidence::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::login_defs::LoginDefs;
use super::nss::{self, LocalAccount, Password, Scheme, ShadowEntry, State};
use super::{Observation, Probe, Unobservable};

/// The probe `shadow`.
pub struct Shadow;

/// Passwords of the local accounts, by what `/etc/passwd` and `/etc/shadow` say together.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShadowFacts {
    /// Whether there is an `/etc/shadow`.
    present: bool,
    /// By account of `/etc/passwd`; of lines with one name the first counts, as for the C library.
    accounts: BTreeMap<String, Secret>,
    /// Names in either file whose password field is empty, with or without an account.
    empty: Vec<String>,
    /// Accounts whose hash stands in `/etc/passwd`, which everybody may read.
    unshadowed: Vec<String>,
    /// Names in `/etc/shadow` without an account.
    orphans: Vec<String>,
    /// Lines of `/etc/shadow` that the C library skips.
    ignored_lines: i64,
    /// Defaults for new accounts and passwords.
    defaults: Defaults,
}

/// One account's password, without the password.
#[derive(Debug, Serialize, JsonSchema)]
struct Secret {
    /// What it lets happen.
    password: PasswordState,
    /// Scheme of a hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<Scheme>,
    /// Rounds of SHA-crypt; 5000 where the hash names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    rounds: Option<i64>,
    /// Logarithm to base 2 of the rounds of bcrypt.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_rounds: Option<i64>,
    /// Memory that one guess at yescrypt or scrypt takes, KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_kib: Option<i64>,
    /// Day of the last change; absent if never, unknown or to be changed at the next log-on.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_change: Option<Timestamp>,
    /// Must be changed at the next log-on.
    must_change: bool,
    /// Fewest days between changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_days: Option<i64>,
    /// Most days until it must be changed; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_days: Option<i64>,
    /// Days of warning before.
    #[serde(skip_serializing_if = "Option::is_none")]
    warn_days: Option<i64>,
    /// Days after that until the account is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    inactive_days: Option<i64>,
    /// Day after whose end the account is closed; absent if there is none, or 0, which not every program honours.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// What an account's password lets happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PasswordState {
    /// `/etc/passwd` refers to an entry of `/etc/shadow` that is not there: no password fits.
    None,
    /// Empty: whoever asks is let in where PAM says `nullok`.
    Empty,
    /// Begins with `!` or `*`: no password fits.
    Locked,
    /// Text that no hashing method produces: no password fits.
    Unusable,
    /// A hash that a password can fit.
    Hash,
}

/// Defaults for new accounts and passwords.
#[derive(Debug, Serialize, JsonSchema)]
struct Defaults {
    /// `PASS_MAX_DAYS` of login.defs(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    max_days: Option<i64>,
    /// `PASS_WARN_AGE` of login.defs(5).
    #[serde(skip_serializing_if = "Option::is_none")]
    warn_days: Option<i64>,
    /// `INACTIVE` of useradd(8).
    #[serde(skip_serializing_if = "Option::is_none")]
    inactive_days: Option<i64>,
    /// `ENCRYPT_METHOD` of login.defs(5), in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
}

impl From<State> for PasswordState {
    fn from(state: State) -> PasswordState {
        match state {
            State::Empty => PasswordState::Empty,
            State::Locked => PasswordState::Locked,
            State::Unusable => PasswordState::Unusable,
            State::Hash => PasswordState::Hash,
        }
    }
}

impl Secret {
    fn new(account: &LocalAccount, shadow: Option<&ShadowEntry>) -> Secret {
        let password: Option<&Password> = account
            .password
            .as_ref()
            .or(shadow.map(|entry| &entry.password));
        let last_change = shadow.and_then(|entry| entry.last_change);
        let days = |value: Option<u32>| value.map(i64::from);
        Secret {
            password: password.map_or(PasswordState::None, |password| password.state.into()),
            scheme: password.and_then(|password| password.scheme),
            rounds: password.and_then(|password| password.rounds),
            log_rounds: password.and_then(|password| password.log_rounds),
            memory_kib: password.and_then(|password| password.memory_kib),
            last_change: last_change.filter(|day| *day > 0).map(day),
            must_change: last_change == Some(0),
            min_days: days(shadow.and_then(|entry| entry.min_days)),
            max_days: days(shadow.and_then(|entry| entry.max_days)),
            warn_days: days(shadow.and_then(|entry| entry.warn_days)),
            inactive_days: days(shadow.and_then(|entry| entry.inactive_days)),
            expires: shadow
                .and_then(|entry| entry.expires)
                .filter(|day| *day > 0)
                .map(day),
        }
    }
}

/// Midnight at the start of a day counted from 1970-01-01.
fn day(number: u32) -> Timestamp {
    Timestamp::from_unix_seconds(i64::from(number) * 86_400)
}

impl Probe for Shadow {
    const ID: &'static str = "shadow";
    type Facts = ShadowFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<ShadowFacts, Unobservable> {
        let passwd = nss::accounts(observation)?;
        let shadow = nss::shadow(observation)?;
        let present = shadow.is_some();
        let shadow = shadow.unwrap_or_default();
        let mut by_name: BTreeMap<&str, &ShadowEntry> = BTreeMap::new();
        for entry in &shadow.entries {
            by_name.entry(&entry.name).or_insert(entry);
        }
        let mut accounts = BTreeMap::new();
        for account in &passwd.entries {
            let entry = by_name.get(account.name.as_str()).copied();
            accounts
                .entry(account.name.clone())
                .or_insert_with(|| Secret::new(account, entry));
        }
        let in_passwd = |state: State| {
            let of_state = move |account: &&LocalAccount| {
                account
                    .password
                    .is_some_and(|password| password.state == state)
            };
            passwd
                .entries
                .iter()
                .filter(of_state)
                .map(|account| account.name.clone())
        };
        let in_shadow = shadow
            .entries
            .iter()
            .filter(|entry| entry.password.state == State::Empty);
        let empty: BTreeSet<String> = in_passwd(State::Empty)
            .chain(in_shadow.map(|entry| entry.name.clone()))
            .collect();
        let unshadowed: BTreeSet<String> = in_passwd(State::Hash).collect();
        let orphans = by_name.keys().filter(|name| !accounts.contains_key(**name));
        Ok(ShadowFacts {
            present,
            empty: empty.into_iter().collect(),
            unshadowed: unshadowed.into_iter().collect(),
            orphans: orphans.map(|name| (*name).to_owned()).collect(),
            accounts,
            ignored_lines: shadow.ignored,
            defaults: Defaults::read(observation)?,
        })
    }
}

impl Defaults {
    fn read(observation: &mut Observation<'_>) -> Result<Defaults, Unobservable> {
        let defs = LoginDefs::read(observation)?;
        let useradd = observation
            .text("/etc/default/useradd")?
            .unwrap_or_default();
        let inactive = useradd
            .lines()
            .rev()
            .find_map(|line| line.trim().strip_prefix("INACTIVE="))
            .and_then(|value| value.trim_matches('"').parse::<i64>().ok());
        Ok(Defaults {
            max_days: defs.number("PASS_MAX_DAYS"),
            warn_days: defs.number("PASS_WARN_AGE"),
            inactive_days: inactive.filter(|days| *days >= 0),
            scheme: defs.get("ENCRYPT_METHOD").map(str::to_lowercase),
        })
    }
}
