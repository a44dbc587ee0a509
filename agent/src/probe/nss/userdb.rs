//! Records of systemd's user database on this host's disks, as nss-systemd(8) answers with them: JSON user and group
//! records (<https://systemd.io/USER_RECORD>, <https://systemd.io/GROUP_RECORD>) and memberships, which are file names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::{LocalAccount, LocalGroup, Password, services};
use crate::host::{FileKind, HostError, MAX_FILE_BYTES};
use crate::probe::{Observation, Unobservable};

/// Folders of records, the first that has a file name wins (userdbctl(1)).
const FOLDERS: [&str; 6] = [
    "/etc/userdb",
    "/run/userdb",
    "/run/host/userdb",
    "/usr/local/lib/userdb",
    "/usr/lib/userdb",
    "/lib/userdb",
];
/// Accounts that systemd-homed.service(8) keeps.
const HOMES: &str = "/var/lib/systemd/home";
/// Most names in these folders.
const MAX_NAMES: usize = 5000;
/// Shells of records that name none: of people, and of all others.
const SHELL: &str = "/bin/bash";
const NO_SHELL: &str = "/usr/sbin/nologin";
/// Members of a record that may say otherwise for one machine, of those that are read here.
const READ: [&str; 8] = [
    "administrators",
    "disposition",
    "gid",
    "homeDirectory",
    "memberOf",
    "members",
    "shell",
    "uid",
];

/// A password of a record: classified when it is read, and not kept.
struct Hash(Password);

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        Ok(Hash(Password::classify(&text)))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Privileged {
    hashed_password: Vec<Hash>,
}

/// What a record says for all machines or, in `binding`, for the one whose machine id is the key.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    user_name: Option<String>,
    group_name: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    disposition: Option<String>,
    shell: Option<String>,
    home_directory: Option<String>,
    #[serde(default)]
    member_of: Vec<String>,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    administrators: Vec<String>,
    #[serde(default)]
    privileged: Privileged,
    #[serde(default)]
    binding: BTreeMap<String, Binding>,
    #[serde(default)]
    per_machine: Vec<BTreeMap<String, serde_json::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Binding {
    uid: Option<u32>,
    gid: Option<u32>,
    home_directory: Option<String>,
}

/// What the records say together.
#[derive(Default)]
pub(super) struct Userdb {
    pub(super) accounts: Vec<LocalAccount>,
    pub(super) groups: Vec<LocalGroup>,
    /// User and group.
    pub(super) memberships: BTreeSet<(String, String)>,
}

/// The records, if nsswitch.conf has the service `systemd` asked for one of `databases`.
///
/// # Errors
/// [`Unobservable`] if a record cannot be read or understood: nobody could say then who is let in.
pub(super) fn read(
    observation: &mut Observation<'_>,
    databases: &[&str],
) -> Result<Userdb, Unobservable> {
    let mut userdb = Userdb::default();
    let mut asked = false;
    for database in databases {
        asked |= services(observation, database)?
            .iter()
            .any(|name| name == "systemd");
    }
    if !asked {
        return Ok(userdb);
    }
    let files = files(observation)?;
    if files.is_empty() {
        return Ok(userdb);
    }
    let id = observation.text("/etc/machine-id")?.unwrap_or_default();
    for (name, folder) in &files {
        let path = format!("{folder}/{name}");
        if let Some((user, group)) = membership(name) {
            if !is_masked(observation, &path) {
                userdb.memberships.insert((user, group));
            }
        } else if let Some((stem, kind)) = name.rsplit_once('.')
            && let Some(mut written) = record(observation, &path)?
        {
            written.bind(id.trim());
            let wrong = |problem| Unobservable::unparsable(&path, problem);
            written.is_for_all().map_err(wrong)?;
            match kind {
                "group" => userdb.add_group(stem, written).map_err(wrong)?,
                _ => {
                    let apart = format!("{name}-privileged");
                    if let Some(folder) = files.get(&apart) {
                        let apart: Option<Privileged> =
                            json(observation, &format!("{folder}/{apart}"))?;
                        written.privileged = apart.unwrap_or_default();
                    }
                    userdb.add_account(stem, written).map_err(wrong)?;
                }
            }
        }
    }
    Ok(userdb)
}

/// File names with the folder that counts.
fn files(
    observation: &mut Observation<'_>,
) -> Result<BTreeMap<String, &'static str>, Unobservable> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS.into_iter().chain([HOMES]) {
        // What lies below /run does not outlast a boot.
        if folder.starts_with("/run/") && !observation.is_live() {
            continue;
        }
        let entries = match observation.host().list(folder) {
            Ok(entries) => entries,
            Err(HostError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        observation.note(folder);
        let endings: &[&str] = match folder {
            HOMES => &[".identity"],
            _ => &[".user", ".user-privileged", ".group", ".membership"],
        };
        for entry in entries {
            if entry.kind != FileKind::Directory
                && endings.iter().any(|ending| entry.name.ends_with(ending))
            {
                files.entry(entry.name).or_insert(folder);
            }
            if files.len() > MAX_NAMES {
                return Err(Unobservable::unparsable(
                    folder,
                    "more records than are read",
                ));
            }
        }
    }
    Ok(files)
}

/// `USER:GROUP.membership`.
fn membership(name: &str) -> Option<(String, String)> {
    let (user, group) = name.strip_suffix(".membership")?.split_once(':')?;
    Some((user.to_owned(), group.to_owned()))
}

fn is_masked(observation: &Observation<'_>, path: &str) -> bool {
    observation.host().read_link(path).as_deref() == Ok("/dev/null")
}

/// A record; `None` for a file of another kind, and for one that is masked.
fn record(observation: &mut Observation<'_>, path: &str) -> Result<Option<Written>, Unobservable> {
    let kinds = [".user", ".group", ".identity"];
    if !kinds.iter().any(|kind| path.ends_with(kind)) {
        return Ok(None);
    }
    json(observation, path)
}

fn json<T: for<'de> Deserialize<'de>>(
    observation: &mut Observation<'_>,
    path: &str,
) -> Result<Option<T>, Unobservable> {
    if is_masked(observation, path) {
        return Ok(None);
    }
    let bytes = observation.secret_bytes(path, MAX_FILE_BYTES)?;
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    // Only where it went wrong is told: the message of the parser may quote what it read.
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let problem = format!("no record, see line {}", error.line());
        Unobservable::unparsable(path, problem)
    })
}

impl Written {
    /// What holds on the machine of this id comes over what holds everywhere.
    fn bind(&mut self, machine: &str) {
        let Some(binding) = self.binding.remove(machine) else {
            return;
        };
        self.uid = binding.uid.or(self.uid);
        self.gid = binding.gid.or(self.gid);
        if binding.home_directory.is_some() {
            self.home_directory = binding.home_directory;
        }
    }

    fn is_for_all(&self) -> Result<(), &'static str> {
        let mut members = self.per_machine.iter().flat_map(BTreeMap::keys);
        if members.any(|name| READ.contains(&name.as_str())) {
            return Err("perMachine says otherwise for some machines, which is not followed");
        }
        Ok(())
    }

    fn password(&self) -> Password {
        let first = self.privileged.hashed_password.first();
        first.map_or_else(|| Password::classify("!*"), |hash| hash.0)
    }

    /// `disposition` is `regular`, or the id is one of people where it is not said.
    fn is_regular(&self, uid: u32) -> bool {
        match self.disposition.as_deref() {
            Some(word) => word == "regular",
            None => (1000..=60_513).contains(&uid),
        }
    }
}

impl Userdb {
    /// The record in the file of this name. One that bears another's name or id is passed over, as by systemd.
    fn add_account(&mut self, stem: &str, written: Written) -> Result<(), &'static str> {
        let uid = written.uid.ok_or("a user without uid")?;
        let password = written.password();
        let regular = written.is_regular(uid);
        let name = written.user_name.ok_or("a user without userName")?;
        let known = self.accounts.iter().any(|account| account.name == name);
        if known || !(stem == name || stem.parse() == Ok(uid)) {
            return Ok(());
        }
        for group in written.member_of {
            self.memberships.insert((name.clone(), group));
        }
        let shell = match (uid, regular) {
            (0, _) | (_, true) => SHELL,
            _ => NO_SHELL,
        };
        let home = if regular {
            format!("/home/{name}")
        } else {
            "/".to_owned()
        };
        self.accounts.push(LocalAccount {
            password: Some(password),
            uid,
            gid: written.gid.unwrap_or(uid),
            home: written.home_directory.unwrap_or(home),
            shell: written.shell.unwrap_or_else(|| shell.to_owned()),
            name,
        });
        Ok(())
    }

    fn add_group(&mut self, stem: &str, written: Written) -> Result<(), &'static str> {
        let gid = written.gid.ok_or("a group without gid")?;
        let password = written.password();
        let name = written.group_name.ok_or("a group without groupName")?;
        let known = self.groups.iter().any(|group| group.name == name);
        if known || !(stem == name || stem.parse() == Ok(gid)) {
            return Ok(());
        }
        let mut members = written.members;
        members.extend(written.administrators);
        self.groups.push(LocalGroup {
            name,
            password: Some(password),
            gid,
            members,
        });
        Ok(())
    }
}
