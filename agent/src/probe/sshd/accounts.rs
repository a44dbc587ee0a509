//! The local accounts and groups, for `Match Group` and for accounts that are root under another name.

use std::collections::BTreeSet;

use crate::probe::{Observation, Unobservable};

/// A local account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::probe) struct Account {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: u32,
    /// Its home directory.
    pub home: String,
    /// Its shell.
    pub shell: String,
    gid: u32,
}

/// What passwd(5) and group(5) say.
#[derive(Debug, Default)]
pub(in crate::probe) struct Accounts {
    /// Accounts in the order of the file.
    pub all: Vec<Account>,
    groups: Vec<(String, u32, Vec<String>)>,
}

impl Accounts {
    /// Reads both files.
    ///
    /// # Errors
    /// [`Unobservable`] if one cannot be read.
    pub(in crate::probe) fn read(
        observation: &mut Observation<'_>,
    ) -> Result<Accounts, Unobservable> {
        let passwd = observation.secret_text("/etc/passwd")?.unwrap_or_default();
        let group = observation.secret_text("/etc/group")?.unwrap_or_default();
        Ok(Accounts::parse(&passwd, &group))
    }

    pub(in crate::probe) fn parse(passwd: &str, group: &str) -> Accounts {
        let account = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = number(fields.nth(1)?)?;
            let gid = number(fields.next()?)?;
            let home = fields.nth(1).unwrap_or_default();
            let shell = fields.next().unwrap_or_default();
            Some(Account {
                name: name.to_owned(),
                uid,
                gid,
                home: home.to_owned(),
                shell: shell.to_owned(),
            })
        };
        let group_of = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let gid = number(fields.nth(1)?)?;
            let members = fields
                .next()
                .unwrap_or_default()
                .split(',')
                .filter(|member| !member.is_empty());
            Some((name, gid, members.map(str::to_owned).collect()))
        };
        Accounts {
            all: passwd.lines().filter_map(account).collect(),
            groups: group.lines().filter_map(group_of).collect(),
        }
    }

    /// The account of that name.
    pub(in crate::probe) fn get(&self, name: &str) -> Option<&Account> {
        self.all.iter().find(|account| account.name == name)
    }

    /// Whether nobody but that account is in the group.
    pub(in crate::probe) fn is_private_group(&self, gid: u32, name: &str) -> bool {
        let listed = self.groups.iter().filter(|(_, known, _)| *known == gid);
        let mut members = listed.flat_map(|(_, _, members)| members);
        self.get(name).is_some_and(|account| account.gid == gid)
            && members.all(|member| member == name)
            && self.all.iter().filter(|account| account.gid == gid).count() == 1
    }

    /// The groups of an account: its own and those that list it; none if there is no such account.
    pub(in crate::probe) fn groups_of(&self, name: &str) -> Vec<String> {
        let Some(account) = self.get(name) else {
            return Vec::new();
        };
        let names: BTreeSet<&String> = self
            .groups
            .iter()
            .filter(|(_, gid, members)| {
                *gid == account.gid || members.iter().any(|member| member == name)
            })
            .map(|(group, _, _)| group)
            .collect();
        names.into_iter().cloned().collect()
    }
}

/// A uid or gid as strtoul(3) reads it: `00` and `+0` are 0 too.
fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}
