//! Who is in which local group, by every file that says so.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::nss::{self, GroupShadow, LocalAccount, LocalGroup, State};
use super::passwd::repeated;
use super::system::OsRelease;
use super::{Observation, Probe, Unobservable};

/// The probe `group`.
pub struct Groups;

/// Local groups and their members.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GroupFacts {
    /// Groups by name.
    groups: Vec<Group>,
    /// Every group id there is, in order.
    gids: Vec<i64>,
    /// Who is in a group, by name.
    memberships: Vec<Membership>,
    /// Groups that anyone who knows a password may join.
    open: Vec<String>,
    /// Names that more than one line has.
    duplicate_names: Vec<String>,
    /// Group ids that more than one name has.
    duplicate_gids: Vec<i64>,
    /// Names of `+` and `-` lines of the old `compat` service.
    compat: Vec<String>,
    /// Services that nsswitch.conf(5) asks for groups; only `files` is what this probe reads.
    services: Vec<String>,
}

/// One local group.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Group {
    /// Name.
    name: String,
    /// Group id.
    gid: i64,
}

/// The groups of one name.
#[derive(Debug, Serialize, JsonSchema)]
struct Membership {
    /// Name of the member, whether or not an account has it.
    name: String,
    /// Groups it is in: by `/etc/group`, by `/etc/gshadow` (also as administrator) or as primary group.
    groups: Vec<String>,
    /// Those of them that only `/etc/gshadow` tells of.
    only_in_gshadow: Vec<String>,
    /// Those of them that the distributor's own files give to this account of the system, as long as it has the number,
    /// primary group and shell of those files, which lets nobody in.
    by_vendor: Vec<String>,
}

/// The groups of every name while they are collected.
#[derive(Default)]
struct Members {
    groups: BTreeMap<String, BTreeSet<String>>,
    only_in_gshadow: BTreeMap<String, BTreeSet<String>>,
}

impl Members {
    /// Members listed, and accounts by their primary group. Every name of the gid counts: with two groups of one id,
    /// both are that group to the kernel, and sudo asks for the name of the id.
    fn add(&mut self, accounts: &[LocalAccount], groups: &[LocalGroup]) {
        let mut names: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for group in groups {
            names.entry(group.gid).or_default().push(&group.name);
        }
        let listed = groups
            .iter()
            .flat_map(|group| group.members.iter().map(|member| (member, group.gid)));
        let primary = accounts.iter().map(|account| (&account.name, account.gid));
        for (member, gid) in listed.chain(primary) {
            for name in names.get(&gid).into_iter().flatten() {
                let known = self.groups.entry(member.clone()).or_default();
                known.insert((*name).to_owned());
            }
        }
    }

    fn add_shadow(&mut self, groups: &[GroupShadow]) {
        for group in groups {
            for member in group.members.iter().chain(&group.administrators) {
                let known = self.groups.entry(member.clone()).or_default();
                if known.insert(group.name.clone()) {
                    let only = self.only_in_gshadow.entry(member.clone()).or_default();
                    only.insert(group.name.clone());
                }
            }
        }
    }

    fn finish(mut self, vendor: &[Given]) -> Vec<Membership> {
        self.groups
            .into_iter()
            .map(|(name, groups)| Membership {
                by_vendor: vendor
                    .iter()
                    .filter(|given| given.account == name && groups.contains(given.group))
                    .map(|given| given.group.to_owned())
                    .collect(),
                groups: groups.into_iter().collect(),
                only_in_gshadow: self
                    .only_in_gshadow
                    .remove(&name)
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
                name,
            })
            .collect()
    }
}

/// A membership that a distributor's files come with.
#[derive(Debug, Clone, Copy)]
struct Given {
    group: &'static str,
    account: &'static str,
    uid: u32,
    gid: u32,
}

/// Red Hat's package `setup` (its `uidgid` and `passwd`), and Alpine's `alpine-baselayout-data`, in order.
const RED_HAT: [Given; 5] = [
    Given {
        group: "adm",
        account: "adm",
        uid: 3,
        gid: 4,
    },
    Given {
        group: "root",
        account: "halt",
        uid: 7,
        gid: 0,
    },
    Given {
        group: "root",
        account: "operator",
        uid: 11,
        gid: 0,
    },
    Given {
        group: "root",
        account: "shutdown",
        uid: 6,
        gid: 0,
    },
    Given {
        group: "root",
        account: "sync",
        uid: 5,
        gid: 0,
    },
];
const ALPINE: [Given; 7] = [
    Given {
        group: "adm",
        account: "adm",
        uid: 3,
        gid: 4,
    },
    Given {
        group: "adm",
        account: "daemon",
        uid: 2,
        gid: 2,
    },
    Given {
        group: "disk",
        account: "adm",
        uid: 3,
        gid: 4,
    },
    Given {
        group: "root",
        account: "halt",
        uid: 7,
        gid: 0,
    },
    Given {
        group: "root",
        account: "operator",
        uid: 11,
        gid: 0,
    },
    Given {
        group: "root",
        account: "shutdown",
        uid: 6,
        gid: 0,
    },
    Given {
        group: "root",
        account: "sync",
        uid: 5,
        gid: 0,
    },
];
/// Programs that these accounts have for a shell; none lets anybody in.
const SHELLS: [&str; 4] = ["halt", "nologin", "shutdown", "sync"];
const PROGRAMS: [&str; 4] = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"];

/// The memberships that this distribution gives, as far as their accounts are as it made them.
fn given(
    observation: &mut Observation<'_>,
    accounts: &[LocalAccount],
) -> Result<Vec<Given>, Unobservable> {
    let release = OsRelease::read(observation)?;
    let words = ["ID", "ID_LIKE"].map(|name| release.get(name).unwrap_or_default());
    let is_like = |name: &str| {
        let mut words = words.iter().flat_map(|words| words.split_whitespace());
        words.any(|word| word == name)
    };
    let table: &[Given] = if is_like("alpine") {
        &ALPINE
    } else if is_like("fedora") || is_like("rhel") {
        &RED_HAT
    } else {
        &[]
    };
    let is_as_made = |given: &&Given| {
        let mut named = accounts
            .iter()
            .filter(|account| account.name == given.account);
        named.next().is_some_and(|account| {
            let program = PROGRAMS
                .iter()
                .find_map(|folder| account.shell.strip_prefix(folder));
            account.uid == given.uid
                && account.gid == given.gid
                && program.is_some_and(|program| SHELLS.contains(&program))
        }) && named.next().is_none()
    };
    Ok(table.iter().filter(is_as_made).copied().collect())
}

impl Probe for Groups {
    const ID: &'static str = "group";
    type Facts = GroupFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<GroupFacts, Unobservable> {
        let accounts = nss::accounts(observation)?;
        let table = nss::groups(observation)?;
        let shadow = nss::group_shadow(observation)?.unwrap_or_default();
        let mut members = Members::default();
        members.add(&accounts.entries, &table.entries);
        members.add_shadow(&shadow.entries);

        let mut groups: Vec<Group> = table
            .entries
            .iter()
            .map(|group| Group {
                name: group.name.clone(),
                gid: group.gid.into(),
            })
            .collect();
        groups.sort();
        let gids: BTreeSet<i64> = groups.iter().map(|group| group.gid).collect();
        let names_of_gids: BTreeSet<(i64, &str)> = groups
            .iter()
            .map(|group| (group.gid, group.name.as_str()))
            .collect();
        let mut compat = table.compat;
        compat.sort();
        Ok(GroupFacts {
            gids: gids.into_iter().collect(),
            memberships: members.finish(&given(observation, &accounts.entries)?),
            open: open(&table.entries, &shadow.entries),
            duplicate_names: repeated(groups.iter().map(|group| group.name.clone())),
            duplicate_gids: repeated(names_of_gids.into_iter().map(|(gid, _)| gid)),
            compat,
            services: nss::services(observation, "group")?,
            groups,
        })
    }
}

/// A group password in either file: newgrp(1) takes that of gshadow, and that of group where gshadow has no such group.
fn open(groups: &[LocalGroup], shadow: &[GroupShadow]) -> Vec<String> {
    let in_group = groups
        .iter()
        .filter(|group| {
            group
                .password
                .is_some_and(|password| password.state == State::Hash)
        })
        .map(|group| group.name.clone());
    let in_shadow = shadow
        .iter()
        .filter(|group| group.password.state == State::Hash)
        .map(|group| group.name.clone());
    let names: BTreeSet<String> = in_group.chain(in_shadow).collect();
    names.into_iter().collect()
}
