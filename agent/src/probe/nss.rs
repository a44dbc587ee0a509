//! The local name service files, read line by line as the C library's `files` service reads them (nss/nss_files in glibc):
//! a second superuser spelt `+00` is one, a line it would skip grants nothing. Records of systemd's user database count where
//! nsswitch.conf(5) names the service `systemd`.

mod group;
mod number;
mod passwd;
mod password;
mod shadow;
mod switch;
mod userdb;

pub(super) use group::{GroupShadow, LocalGroup};
pub(super) use passwd::{DEFAULT_UID_MIN, LocalAccount};
pub(crate) use password::redacted_password;
pub(super) use password::{Password, Scheme, State};
pub(super) use shadow::ShadowEntry;
pub(super) use switch::services;

use std::collections::BTreeSet;

use super::{Observation, Unobservable};
use crate::host::{HostError, MAX_FILE_BYTES};

/// Characters that isspace(3) skips in the C locale.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];

impl Table<LocalAccount> {
    /// Adds the accounts whose names it has not.
    fn add_new(&mut self, more: Vec<LocalAccount>) {
        let known: BTreeSet<String> = self.entries.iter().map(|a| a.name.clone()).collect();
        let new = more.into_iter().filter(|more| !known.contains(&more.name));
        self.entries.extend(new);
    }
}

impl Table<LocalGroup> {
    /// Adds groups, and members to those that it has.
    fn add_all(&mut self, more: Vec<LocalGroup>) {
        for more in more {
            let known = self.entries.iter_mut();
            match known.into_iter().find(|known| known.name == more.name) {
                Some(known) => known.members.extend(more.members),
                None => self.entries.push(more),
            }
        }
    }
}

/// What one file holds.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// Entries in file order.
    pub(super) entries: Vec<T>,
    /// Names of `+` and `-` lines, which only the old `compat` service acts on.
    pub(super) compat: Vec<String>,
    /// Lines that are neither blank nor a comment and that the C library skips.
    pub(super) ignored: i64,
}

/// A line of such a file.
pub(super) trait Record: Sized {
    /// The entry that the C library makes of a line, or `None` if it skips it.
    fn parse(line: &str) -> Option<Self>;
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            entries: Vec::new(),
            compat: Vec::new(),
            ignored: 0,
        }
    }
}

impl<T: Record> Table<T> {
    fn parse(text: &str) -> Table<T> {
        let mut table = Table::default();
        for line in text.split('\n') {
            let line = line.trim_start_matches(BLANKS);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with(['+', '-']) {
                let name = line.split(':').next().unwrap_or_default();
                table.compat.push(name.to_owned());
                continue;
            }
            match T::parse(line) {
                Some(entry) => table.entries.push(entry),
                None => table.ignored += 1,
            }
        }
        table
    }
}

/// Services that hold further names on this host's disks, in files of the same form: nss_altfiles of ostree and
/// nss_extrausers of Debian and Ubuntu Core.
const ELSEWHERE: [(&str, &str); 2] = [
    ("altfiles", "/usr/lib"),
    ("extrausers", "/var/lib/extrausers"),
];

/// Folders of [`ELSEWHERE`] that nsswitch.conf names for `database`.
fn elsewhere(
    observation: &mut Observation<'_>,
    database: &str,
) -> Result<Vec<&'static str>, Unobservable> {
    let services = services(observation, database)?;
    let named = ELSEWHERE
        .iter()
        .filter(|(service, _)| services.iter().any(|known| known == service));
    Ok(named.map(|(_, folder)| *folder).collect())
}

/// `/etc/passwd`, which every host has, and what other local services add to it: names that it has not.
pub(super) fn accounts(
    observation: &mut Observation<'_>,
) -> Result<Table<LocalAccount>, Unobservable> {
    let mut table: Table<LocalAccount> =
        read(observation, "/etc/passwd")?.ok_or_else(|| missing("/etc/passwd"))?;
    for folder in elsewhere(observation, "passwd")? {
        let path = format!("{folder}/passwd");
        let more: Table<LocalAccount> = read(observation, &path)?.unwrap_or_default();
        table.add_new(more.entries);
    }
    table.add_new(userdb::read(observation, &["passwd"])?.accounts);
    Ok(table)
}

/// Groups of another file of that form; none if it does not exist.
pub(super) fn more_groups(
    observation: &mut Observation<'_>,
    path: &str,
) -> Result<Vec<LocalGroup>, Unobservable> {
    Ok(read(observation, path)?.unwrap_or_default().entries)
}

/// `/etc/shadow` with what other local services add to it; `None` on a host without any.
pub(super) fn shadow(
    observation: &mut Observation<'_>,
) -> Result<Option<Table<ShadowEntry>>, Unobservable> {
    let mut table: Option<Table<ShadowEntry>> = read(observation, "/etc/shadow")?;
    for folder in elsewhere(observation, "shadow")? {
        if let Some(more) = read(observation, &format!("{folder}/shadow"))? {
            table.get_or_insert_default().entries.extend(more.entries);
        }
    }
    Ok(table)
}

/// `/etc/group`, which every host has, and what other local services add to it: groups, and members of those it has.
pub(super) fn groups(observation: &mut Observation<'_>) -> Result<Table<LocalGroup>, Unobservable> {
    let mut table: Table<LocalGroup> =
        read(observation, "/etc/group")?.ok_or_else(|| missing("/etc/group"))?;
    for folder in elsewhere(observation, "group")? {
        table.add_all(more_groups(observation, &format!("{folder}/group"))?);
    }
    // initgroups(3) asks the services of `initgroups`, where that line is there.
    let userdb = userdb::read(observation, &["group", "initgroups"])?;
    table.add_all(userdb.groups);
    for (user, group) in userdb.memberships {
        let mut of_name = table.entries.iter_mut();
        if let Some(known) = of_name.find(|known| known.name == group) {
            known.members.push(user);
        }
    }
    Ok(table)
}

/// `/etc/gshadow`; `None` on a host without one.
pub(super) fn group_shadow(
    observation: &mut Observation<'_>,
) -> Result<Option<Table<GroupShadow>>, Unobservable> {
    read(observation, "/etc/gshadow")
}

fn missing(path: &str) -> Unobservable {
    HostError::NotFound(path.to_owned()).into()
}

/// Names outside UTF-8 are read with replacement characters: such an account is an account. No digest of the content is
/// kept, for it would let passwords and names be guessed; the bytes are wiped after reading.
fn read<T: Record>(
    observation: &mut Observation<'_>,
    path: &str,
) -> Result<Option<Table<T>>, Unobservable> {
    let Some(bytes) = observation.secret_bytes(path, MAX_FILE_BYTES)? else {
        return Ok(None);
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => std::borrow::Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(&bytes),
    };
    Ok(Some(Table::parse(&text)))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn getent(database: &str) -> String {
        let output = Command::new("/usr/bin/getent")
            .args(["-s", "files", database])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// This machine's own files, as the C library enumerates them.
    #[test]
    fn accounts_and_groups_are_those_that_getent_lists() {
        let text = std::fs::read_to_string("/etc/passwd").unwrap();
        let ours: Vec<String> = Table::<LocalAccount>::parse(&text)
            .entries
            .iter()
            .map(|a| format!("{} {} {} {} {}", a.name, a.uid, a.gid, a.home, a.shell))
            .collect();
        let theirs: Vec<String> = getent("passwd")
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .map(|f| format!("{} {} {} {} {}", f[0], f[2], f[3], f[5], f[6]))
            .collect();
        assert!(!theirs.is_empty());
        assert_eq!(ours, theirs);

        let text = std::fs::read_to_string("/etc/group").unwrap();
        let ours: Vec<String> = Table::<LocalGroup>::parse(&text)
            .entries
            .iter()
            .map(|g| format!("{} {} {}", g.name, g.gid, g.members.join(",")))
            .collect();
        let theirs: Vec<String> = getent("group")
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .map(|f| format!("{} {} {}", f[0], f[2], f[3]))
            .collect();
        assert!(!theirs.is_empty());
        assert_eq!(ours, theirs);
    }
}
