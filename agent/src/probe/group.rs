//! Who is in which local group, by every file that says so.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::nss::{self, GroupShadow, LocalAccount, LocalGroup, State};
use super::passwd::repeated;
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

    fn finish(mut self) -> Vec<Membership> {
        self.groups
            .into_iter()
            .map(|(name, groups)| Membership {
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
            memberships: members.finish(),
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
