//! Private keys of services and who may read them. What is a key is told by its place, its name or the configuration that
//! names it: the content is never read.

mod configured;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::guarded::{Guarded, Owners};
use super::login_defs::LoginDefs;
use super::nss::{self, DEFAULT_UID_MIN};
use super::{Observation, Probe, Unobservable};
use crate::host::{DirEntry, FileKind, HostError};

/// The probe `private_keys`.
pub struct PrivateKeys;

/// Directories that hold nothing but keys.
const KEY_DIRECTORIES: [&str; 6] = [
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/dovecot/private",
    "/etc/ipsec.d/private",
    "/etc/swanctl/private",
    "/etc/letsencrypt/keys",
];
/// Whether a file of that name is a key.
type NameTest = fn(&str) -> bool;

/// Directories that hold keys among other things, with how deep they are looked through and how a key is called there.
const PLACES: [(&str, usize, NameTest); 14] = [
    ("/etc/ssh", 1, is_host_key),
    ("/etc/wireguard", 1, is_wireguard),
    ("/etc/letsencrypt/archive", 2, is_key_file),
    ("/etc/letsencrypt/accounts", 5, is_account_key),
    ("/etc/ssl", 2, is_key_file),
    ("/etc/pki", 3, is_key_file),
    ("/etc/nginx", 2, is_key_file),
    ("/etc/apache2", 2, is_key_file),
    ("/etc/httpd", 2, is_key_file),
    ("/etc/postfix", 2, is_key_file),
    ("/etc/haproxy", 2, is_key_file),
    ("/etc/openvpn", 3, is_key_file),
    ("/etc/kubernetes/pki", 2, is_key_file),
    ("/var/lib/assay-agent", 1, is_key_file),
];
/// Most names looked at.
const MAX_NAMES: usize = 20_000;
/// Most keys.
const MAX_KEYS: usize = 500;

/// Private keys and who may read them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PrivateKeysFacts {
    /// Every place was looked through to its end.
    complete: bool,
    /// The keys, by path.
    keys: Vec<Key>,
    /// The directories above them, by path.
    parents: Vec<Guarded>,
    /// Files that a configuration names as key and that are not there, with the configuration.
    absent: Vec<String>,
}

/// One private key.
#[derive(Debug, Serialize, JsonSchema)]
struct Key {
    /// The configuration that names it, if it was found that way.
    #[serde(skip_serializing_if = "Option::is_none")]
    configured_in: Option<String>,
    /// Its owner is a person rather than root or a service.
    of_a_person: bool,
    /// People who are in its group.
    people_in_group: Vec<String>,
    /// A directory above it lets in nobody but root, or a group that no person is in: the bits for others give nothing.
    closed: bool,
    /// Who may do what with it.
    #[serde(flatten)]
    access: Guarded,
}

impl Probe for PrivateKeys {
    const ID: &'static str = "private_keys";
    type Facts = PrivateKeysFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<PrivateKeysFacts, Unobservable> {
        let mut search = Search {
            found: BTreeMap::new(),
            left: MAX_NAMES,
        };
        for directory in KEY_DIRECTORIES {
            search.directory(observation, directory, 2, is_no_public_half)?;
        }
        for (directory, depth, is_key) in PLACES {
            search.directory(observation, directory, depth, is_key)?;
        }
        let configured = configured::keys(observation)?;
        let mut complete = search.left > 0 && configured.complete;
        for (path, by) in configured.keys {
            search.found.insert(path, Some(by));
        }
        let owners = Owners::read(observation)?;
        let people = People::read(observation)?;
        let mut keys = Vec::new();
        let mut absent = Vec::new();
        complete &= search.found.len() <= MAX_KEYS;
        let parents = owners.above(observation, search.found.keys().map(String::as_str))?;
        for (path, configured_in) in search.found.into_iter().take(MAX_KEYS) {
            match owners.look(observation, &path)? {
                Some(access) if !access.directory => keys.push(Key {
                    of_a_person: people.names.contains(&access.owner),
                    people_in_group: people.of_group(&access.group),
                    closed: parents
                        .iter()
                        .filter(|parent| is_above(&parent.path, &path))
                        .any(|parent| people.keeps_out(parent)),
                    configured_in,
                    access,
                }),
                Some(_) => {}
                None => absent.extend(configured_in.map(|by| format!("{path} ({by})"))),
            }
        }
        Ok(PrivateKeysFacts {
            complete,
            keys,
            parents,
            absent,
        })
    }
}

fn is_above(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory.trim_end_matches('/'))
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Keys by name and place.
struct Search {
    /// Path, with the configuration that names it.
    found: BTreeMap<String, Option<String>>,
    left: usize,
}

impl Search {
    fn directory(
        &mut self,
        observation: &mut Observation<'_>,
        directory: &str,
        depth: usize,
        is_key: NameTest,
    ) -> Result<(), Unobservable> {
        let entries: Vec<DirEntry> = match observation.host().list(directory) {
            Ok(entries) => entries,
            Err(HostError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        observation.note(directory);
        for entry in entries {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            let path = format!("{directory}/{}", entry.name);
            match entry.kind {
                FileKind::Directory if depth > 1 => {
                    self.directory(observation, &path, depth - 1, is_key)?;
                }
                FileKind::Regular | FileKind::Link if is_key(&entry.name) => {
                    self.found.entry(path).or_insert(None);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_host_key(name: &str) -> bool {
    name.starts_with("ssh_host_") && name.ends_with("_key")
}

fn is_wireguard(name: &str) -> bool {
    name.ends_with(".conf") || name.ends_with(".key") || name.starts_with("private")
}

fn is_account_key(name: &str) -> bool {
    name == "private_key.json"
}

/// Names that keys have by custom: `server.key`, `server.key.pem`, `privkey3.pem`, `key.pem`, `server-key.pem`.
fn is_key_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let stem = name.strip_suffix(".pem").unwrap_or(&name);
    let public = stem.starts_with("pub") || stem.contains("public");
    let stores = [".p12", ".pfx", ".jks", ".keystore"];
    let by_ending = stem.ends_with(".key")
        || name.ends_with(".key")
        || stores.iter().any(|end| name.ends_with(end));
    let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let by_name = name.ends_with(".pem")
        && (stem == "key" || stem == "privkey" || stem.ends_with("-key") || stem.ends_with("_key"));
    !public && (by_ending || by_name)
}

/// In a directory of keys, everything but certificates, requests and notes is one.
fn is_no_public_half(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let public = [".crt", ".cer", ".csr", ".pub", ".txt", ".cnf", ".conf"];
    !public.iter().any(|ending| name.ends_with(ending)) && !name.starts_with("readme")
}

/// Accounts of people, and the groups they are in.
struct People {
    names: BTreeSet<String>,
    by_group: BTreeMap<String, BTreeSet<String>>,
}

impl People {
    fn read(observation: &mut Observation<'_>) -> Result<People, Unobservable> {
        let uid_min = LoginDefs::read(observation)?
            .number("UID_MIN")
            .unwrap_or(DEFAULT_UID_MIN);
        let accounts = nss::accounts(observation)?.entries;
        let groups = nss::groups(observation)?.entries;
        let people: Vec<_> = accounts
            .iter()
            .filter(|account| account.is_person(uid_min))
            .collect();
        let names: BTreeSet<String> = people.iter().map(|account| account.name.clone()).collect();
        let mut by_group: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for group in groups {
            let listed = group.members.iter().filter(|name| names.contains(*name));
            let primary = people
                .iter()
                .filter(|account| account.gid == group.gid)
                .map(|account| &account.name);
            let members = listed.chain(primary).cloned().collect::<Vec<_>>();
            by_group.entry(group.name).or_default().extend(members);
        }
        Ok(People { names, by_group })
    }

    fn of_group(&self, group: &str) -> Vec<String> {
        self.by_group
            .get(group)
            .map(|names| names.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether a directory lets in nobody but root and services.
    fn keeps_out(&self, directory: &Guarded) -> bool {
        let has = |bit: &str| directory.permissions.iter().any(|known| known == bit);
        let group_enters = has("g+x") && !self.of_group(&directory.group).is_empty();
        !has("o+x")
            && !group_enters
            && directory.acl.is_empty()
            && !self.names.contains(&directory.owner)
    }
}

#[cfg(test)]
mod tests {
    use super::{is_key_file, is_no_public_half};

    #[test]
    fn keys_are_known_by_their_names() {
        for key in [
            "server.key",
            "a.key.pem",
            "privkey12.pem",
            "key.pem",
            "web-key.pem",
            "X.KEY",
            "app.p12",
            "server.jks",
        ] {
            assert!(is_key_file(key), "{key}");
        }
        for other in [
            "server.crt",
            "fullchain.pem",
            "public.key",
            "pubring.pem",
            "keys.txt",
            "keyring",
        ] {
            assert!(!is_key_file(other), "{other}");
        }
        assert!(is_no_public_half("ssl-cert-snakeoil.key") && is_no_public_half("web.pem"));
        assert!(!is_no_public_half("web.crt") && !is_no_public_half("README"));
    }
}
