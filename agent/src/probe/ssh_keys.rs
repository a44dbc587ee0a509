//! The keys that let somebody in by SSH: type, size, fingerprint and conditions, never the key nor its comment.

use evidence::time::Timestamp;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;

use super::sshd::{Account, Accounts, KeySources, PublicKey, State};
use super::{Observation, Probe, Unobservable};
use crate::host::{HostError, Stat};

/// Most bytes of one file of keys.
const MAX_BYTES: usize = 1024 * 1024;
/// Most keys that are kept.
const MAX_KEYS: usize = 2000;

/// The probe `ssh_keys`.
pub struct SshKeys;

/// Facts of the keys that sshd accepts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SshKeysFacts {
    /// `/usr/sbin/sshd` exists.
    installed: bool,
    /// Whether it can be reached.
    state: State,
    /// Keys of every account, in the order of accounts and files.
    keys: Vec<Key>,
    /// Files whose keys sshd refuses, or that others can change, as `path: problem`.
    bad_files: Vec<String>,
    /// Files that could not be read, as `path: problem`.
    unreadable: Vec<String>,
    /// Programs that give sshd more keys (`AuthorizedKeysCommand`).
    commands: Vec<String>,
    /// Files of authorities whose certificates let users in (`TrustedUserCAKeys`).
    authorities: Vec<String>,
    /// No key was left out.
    complete: bool,
}

/// One accepted key.
#[derive(Debug, Serialize, JsonSchema)]
struct Key {
    /// The account it opens.
    user: String,
    /// The file it stands in.
    file: String,
    /// Its type, for example `ssh-ed25519`.
    kind: String,
    /// Its size in bits.
    bits: u32,
    /// `SHA256:…`, as ssh-keygen -l prints it.
    fingerprint: String,
    /// Names of the options before it, for example `from`, `command`, `restrict`; what they hold is left out.
    options: Vec<String>,
    /// Certificates signed with it let somebody in, not the key itself.
    authority: bool,
    /// The key is of no use from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    /// False if sshd refuses the file for its owner or mode.
    usable: bool,
}

impl Probe for SshKeys {
    const ID: &'static str = "ssh_keys";
    type Facts = SshKeysFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SshKeysFacts, Unobservable> {
        let mut facts = SshKeysFacts {
            installed: false,
            state: State::Off,
            keys: Vec::new(),
            bad_files: Vec::new(),
            unreadable: Vec::new(),
            commands: Vec::new(),
            authorities: Vec::new(),
            complete: true,
        };
        let accounts = Accounts::read(observation)?;
        let Some(sources) = KeySources::read(observation, &accounts)? else {
            return Ok(facts);
        };
        facts.installed = true;
        facts.state = sources.state;
        facts.complete = sources.complete;
        facts.commands.clone_from(&sources.commands);
        facts.authorities.clone_from(&sources.authorities);
        for account in &accounts.all {
            for pattern in &sources.files {
                facts.add_file(
                    observation,
                    &accounts,
                    account,
                    pattern,
                    sources.strict_modes,
                );
            }
        }
        Ok(facts)
    }
}

impl SshKeysFacts {
    fn add_file(
        &mut self,
        observation: &mut Observation<'_>,
        accounts: &Accounts,
        account: &Account,
        pattern: &str,
        strict: bool,
    ) {
        let path = expand(pattern, account);
        let home = account.home.trim_end_matches('/');
        let inside = path
            .strip_prefix(&format!("{home}/"))
            .filter(|_| !home.is_empty());
        // Users write in their homes: a link there could lead the agent anywhere.
        let read = match inside {
            Some(inside) => observation.host().read_beneath(home, inside, MAX_BYTES),
            None => observation.host().read(&path, MAX_BYTES),
        };
        let text = match read {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(HostError::NotFound(_)) => return,
            Err(error) => {
                self.unreadable.push(format!("{path}: {error}"));
                return;
            }
        };
        observation.note(&path);
        let problem = match unsafe_part(observation, accounts, account, &path, home) {
            Ok(problem) => problem,
            Err(error) => {
                self.unreadable.push(format!("{path}: {error}"));
                return;
            }
        };
        let usable = problem.is_none() || !strict;
        if let Some(problem) = problem {
            self.bad_files.push(format!("{path}: {problem}"));
        }
        for line in text.lines() {
            let Some(mut key) = key(line, &account.name, &path) else {
                continue;
            };
            if self.keys.len() == MAX_KEYS {
                self.complete = false;
                return;
            }
            key.usable = usable;
            self.keys.push(key);
        }
    }
}

/// `%h`, `%u`, `%U` and `%%`; a path that is not absolute begins in the home.
fn expand(pattern: &str, account: &Account) -> String {
    let mut path = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (_, false) => path.push(c),
            _ => match chars.next() {
                Some('h') => path.push_str(&account.home),
                Some('u') => path.push_str(&account.name),
                Some('U') => path.push_str(&account.uid.to_string()),
                Some('%') => path.push('%'),
                Some(other) => path.extend(['%', other]),
                None => path.push('%'),
            },
        }
    }
    if path.starts_with('/') {
        path
    } else {
        format!("{}/{path}", account.home.trim_end_matches('/'))
    }
}

/// The first of file and directories, up to the home or the root, that somebody else may change (safe_path of sshd).
fn unsafe_part(
    observation: &Observation<'_>,
    accounts: &Accounts,
    account: &Account,
    path: &str,
    home: &str,
) -> Result<Option<String>, HostError> {
    let mut at = path.to_owned();
    loop {
        let stat = observation.host().stat(&at)?;
        if let Some(problem) = judge(&stat, accounts, account) {
            return Ok(Some(format!("{at} {problem}")));
        }
        if at == home || at == "/" {
            return Ok(None);
        }
        at = match at.rsplit_once('/') {
            Some(("", _)) | None => "/".to_owned(),
            Some((parent, _)) => parent.to_owned(),
        };
    }
}

fn judge(stat: &Stat, accounts: &Accounts, account: &Account) -> Option<&'static str> {
    if stat.uid != 0 && stat.uid != account.uid {
        return Some("belongs to another account");
    }
    if stat.mode & 0o002 != 0 {
        return Some("may be written by everybody");
    }
    // Debian's sshd accepts a group that nobody else is in.
    if stat.mode & 0o020 != 0 && !accounts.is_private_group(stat.gid, &account.name) {
        return Some("may be written by a group");
    }
    None
}

/// The key of a line; `None` for a comment and for what sshd cannot read either.
fn key(line: &str, user: &str, file: &str) -> Option<Key> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (options, found) = match encoded(line) {
        Some(found) => ("", found),
        None => {
            let (options, rest) = split_options(line)?;
            (options, encoded(rest.trim_start())?)
        }
    };
    let options = option_list(options);
    let expires = options
        .iter()
        .find(|(name, _)| name == "expiry-time")
        .and_then(|(_, value)| expiry(value));
    Some(Key {
        user: user.to_owned(),
        file: file.to_owned(),
        kind: found.kind,
        bits: found.bits,
        fingerprint: found.fingerprint,
        authority: options.iter().any(|(name, _)| name == "cert-authority"),
        options: options.into_iter().map(|(name, _)| name).collect(),
        expires,
        usable: true,
    })
}

/// A key type followed by a key of that type.
fn encoded(text: &str) -> Option<PublicKey> {
    let mut words = text.split_whitespace();
    let kind = words.next()?;
    PublicKey::decode(words.next()?).filter(|key| key.kind == kind)
}

/// Options end at the first blank outside quotes.
fn split_options(line: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return line.split_at_checked(at),
            _ => {}
        }
        escaped = false;
    }
    None
}

/// Names in lower case, with their values without quotes.
fn option_list(options: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut item = String::new();
    let mut quoted = false;
    for c in options.chars().chain([',']) {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                let (name, value) = item.split_once('=').unwrap_or((&item, ""));
                if !name.is_empty() {
                    found.push((name.to_ascii_lowercase(), value.to_owned()));
                }
                item.clear();
            }
            c => item.push(c),
        }
    }
    found
}

/// `YYYYMMDD[HHMM[SS]][Z]`, taken as UTC.
fn expiry(text: &str) -> Option<Timestamp> {
    let digits = text.trim_end_matches('Z');
    let format = match digits.len() {
        8 => "%Y%m%d%H%M%S",
        12 | 14 => "%Y%m%d%H%M%S",
        _ => return None,
    };
    let whole = format!("{digits:0<14}");
    let civil = DateTime::strptime(format, whole).ok()?;
    let instant = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(Timestamp::from_unix_ms(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEb9ZqGUnpHwXoeY6LkBqYdTCa4dkyUkSf3UMqMgYT2P";

    #[test]
    fn options_are_named_and_comments_dropped() {
        let line = format!(
            "from=\"10.0.0.0/8, !10.1.1.1\",command=\"echo \\\"a b\\\"\",expiry-time=\"20261101\",cert-authority {ED25519} anna@home"
        );
        let found = key(&line, "anna", "f").unwrap();
        assert_eq!(
            found.options,
            ["from", "command", "expiry-time", "cert-authority"]
        );
        assert!(found.authority);
        assert_eq!(
            found.expires.unwrap().to_string(),
            "2026-11-01T00:00:00.000Z"
        );
        assert!(!serde_json::to_string(&found).unwrap().contains("home"));
        assert!(key(ED25519, "a", "f").is_some());
        for bad in [
            "",
            "# x",
            "ssh-rsa",
            "ssh-rsa AAAA",
            &ED25519.replace("ssh-ed25519", "ssh-rsa"),
            "from=\"x",
        ] {
            assert!(key(bad, "a", "f").is_none(), "{bad}");
        }
    }

    #[test]
    fn paths_are_those_of_sshd() {
        let accounts = Accounts::parse("anna:x:1000:1000::/home/anna:/bin/sh\n", "");
        let anna = &accounts.all[0];
        assert_eq!(
            expand(".ssh/authorized_keys", anna),
            "/home/anna/.ssh/authorized_keys"
        );
        assert_eq!(
            expand("/keys/%u/%U%%%h", anna),
            "/keys/anna/1000%/home/anna"
        );
        assert_eq!(expand("%", anna), "/home/anna/%");
    }
}
