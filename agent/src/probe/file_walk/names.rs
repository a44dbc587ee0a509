//! Which user and group numbers have a name, and which need none.

use std::collections::{BTreeMap, BTreeSet};

use evidence::outcome::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use super::{NameKind, Nameless, number};
use crate::host::walk::{Explained, Stranger};
use crate::host::{Program, Walked};
use crate::probe::nss;
use crate::probe::{Observation, Unobservable};

const GETENT: &str = "/usr/bin/getent";
/// Services of nsswitch.conf(5) that read files of their own on this host.
const LOCAL: [&str; 6] = ["files", "compat", "systemd", "altfiles", "extrausers", "db"];
/// systemd's dynamic users (systemd.exec(5), uids-gids of systemd), and where their files stay when the service stops.
const DYNAMIC: (u32, u32) = (61184, 65519);
const DYNAMIC_BELOW: [&str; 4] = [
    "/var/lib/private/",
    "/var/cache/private/",
    "/var/log/private/",
    "/var/tmp/systemd-private-",
];
/// Numbers that systemd gives to containers.
const CONTAINERS: (u32, u32) = (524_288, 1_879_048_191);

/// Whether a directory service answers for names beyond the local files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Directory {
    /// None is asked.
    None,
    /// Asked, and not needed: every number has a name in the local files.
    Unasked,
    /// It knew a number.
    Answers,
    /// It knew none of the numbers it was asked for: it may be out of reach.
    Silent,
}

pub(super) struct Names {
    pub users: BTreeMap<u32, String>,
    pub groups: BTreeMap<u32, String>,
    pub explained: Vec<Explained>,
    services: BTreeSet<String>,
}

impl Names {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Names, Unobservable> {
        let mut services: BTreeSet<String> = BTreeSet::new();
        services.extend(nss::services(observation, "passwd")?);
        services.extend(nss::services(observation, "group")?);
        let accounts = nss::accounts(observation)?.entries;
        let groups = nss::groups(observation)?.entries;
        let mut explained = vec![
            Explained {
                first: DYNAMIC.0,
                last: DYNAMIC.1,
                below: DYNAMIC_BELOW.map(|path| path.as_bytes().to_vec()).to_vec(),
                in_stores: false,
            },
            Explained {
                first: CONTAINERS.0,
                last: CONTAINERS.1,
                below: Vec::new(),
                in_stores: true,
            },
        ];
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = observation.secret_text(file)?.unwrap_or_default();
            explained.extend(text.lines().filter_map(|line| {
                let (owner, first, last) = range(line)?;
                let home = accounts
                    .iter()
                    .find(|account| account.name == owner || account.uid.to_string() == owner)
                    .map(|account| account.home.trim_end_matches('/'))
                    .filter(|home| home.len() > 1);
                Some(Explained {
                    first,
                    last,
                    below: home
                        .map(|home| format!("{home}/").into_bytes())
                        .into_iter()
                        .collect(),
                    in_stores: true,
                })
            }));
        }
        let mut names = Names {
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            explained,
            services,
        };
        for account in accounts {
            names.users.entry(account.uid).or_insert(account.name);
        }
        for group in groups {
            names.groups.entry(group.gid).or_insert(group.name);
        }
        Ok(names)
    }

    /// The name, or the number of one without name.
    pub(super) fn user(&self, id: u32) -> String {
        self.users
            .get(&id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }

    pub(super) fn group(&self, id: u32) -> String {
        self.groups
            .get(&id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }

    /// The numbers that no service of this host has a name for.
    pub(super) fn nameless(
        &self,
        observation: &mut Observation<'_>,
        walked: &Walked,
    ) -> Result<(Vec<Nameless>, Directory), Unobservable> {
        let strangers = &walked.strangers.first;
        let has_directory = self
            .services
            .iter()
            .any(|name| !LOCAL.contains(&name.as_str()));
        let only_files = self
            .services
            .iter()
            .all(|name| name == "files" || name == "compat");
        let mut answered = BTreeSet::new();
        if !only_files && !strangers.is_empty() {
            if has_directory {
                observation.require_live("which numbers the directory service has names for")?;
            }
            if observation.is_live() {
                answered.extend(ask(observation, "passwd", false, strangers, has_directory)?);
                answered.extend(ask(observation, "group", true, strangers, has_directory)?);
            }
        }
        let mut nameless: Vec<Nameless> = strangers
            .iter()
            .filter(|stranger| !answered.contains(&(stranger.group, stranger.id)))
            .map(|stranger| Nameless {
                kind: if stranger.group {
                    NameKind::Group
                } else {
                    NameKind::User
                },
                id: stranger.id.into(),
                files: number(stranger.files),
                first: stranger.first.clone(),
            })
            .collect();
        nameless.sort();
        let directory = match () {
            () if !has_directory => Directory::None,
            () if strangers.is_empty() => Directory::Unasked,
            () if answered.is_empty() => Directory::Silent,
            () => Directory::Answers,
        };
        Ok((nameless, directory))
    }
}

/// Asks every service for the numbers of one kind; those that have a name.
fn ask(
    observation: &mut Observation<'_>,
    database: &str,
    group: bool,
    strangers: &[Stranger],
    needed: bool,
) -> Result<BTreeSet<(bool, u32)>, Unobservable> {
    let mut ids: Vec<String> = strangers
        .iter()
        .filter(|stranger| stranger.group == group)
        .map(|stranger| stranger.id.to_string())
        .collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    ids.sort();
    let mut arguments = vec![database];
    arguments.extend(ids.iter().map(String::as_str));
    let Some(output) = observation.run(&Program::new(GETENT, &arguments))? else {
        if needed {
            return Err(Unobservable::new(
                Reason::ToolMissing,
                format!("{GETENT} is needed to ask the directory service for names"),
            ));
        }
        return Ok(BTreeSet::new());
    };
    let numbers = output.text();
    let numbers = numbers
        .lines()
        .filter_map(|line| line.split(':').nth(2)?.parse().ok());
    Ok(numbers.map(|id| (group, id)).collect())
}

/// A line of subuid(5).
fn range(line: &str) -> Option<(&str, u32, u32)> {
    let mut fields = line.trim().splitn(3, ':');
    let owner = fields
        .next()
        .filter(|owner| !owner.is_empty() && !owner.starts_with('#'))?;
    let first: u32 = fields.next()?.parse().ok()?;
    let count: u32 = fields.next()?.parse().ok()?;
    let last = first.checked_add(count.checked_sub(1)?)?;
    Some((owner, first, last))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_range_is_three_fields() {
        assert_eq!(range("ada:100000:65536"), Some(("ada", 100_000, 165_535)));
        for line in [
            "",
            "ada",
            "ada:1",
            "ada:1:0",
            "#ada:1:2",
            "ada:-1:2",
            "a:4294967295:2",
            ":1:2",
        ] {
            assert_eq!(range(line), None, "{line}");
        }
    }
}
