//! Who may do what with one file or directory: owner, group, permission bits one by one, and access control list.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::acl::{self, Entry};
use super::nss;
use super::{Observation, Unobservable};
use crate::host::{FileKind, HostError, Stat};

/// The bits of a mode, each as chmod(1) writes it; `s` and `t` stand for the set-id and sticky bits.
const BITS: [(u32, &str); 12] = [
    (0o4000, "u+s"),
    (0o2000, "g+s"),
    (0o1000, "+t"),
    (0o0400, "u+r"),
    (0o0200, "u+w"),
    (0o0100, "u+x"),
    (0o0040, "g+r"),
    (0o0020, "g+w"),
    (0o0010, "g+x"),
    (0o0004, "o+r"),
    (0o0002, "o+w"),
    (0o0001, "o+x"),
];

/// A file or directory with who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Guarded {
    /// Its path, as it is looked for; what a link leads to is looked at in place of the link.
    pub(super) path: String,
    /// It is a directory.
    pub(super) directory: bool,
    /// Owner.
    pub(super) owner: String,
    /// Group.
    pub(super) group: String,
    /// Mode in octal.
    pub(super) mode: String,
    /// Each bit that is set, as chmod(1) writes it: `u+r`, `g+w`, `o+x`, `u+s`, `+t`, …
    pub(super) permissions: Vec<String>,
    /// Access control entries of further users and groups, as far as the mask lets them.
    pub(super) acl: Vec<Entry>,
}

/// Names of users and groups by number.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Owners {
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<Owners, Unobservable> {
        let mut owners = Owners::default();
        for account in nss::accounts(observation)?.entries {
            owners.users.entry(account.uid).or_insert(account.name);
        }
        for group in nss::groups(observation)?.entries {
            owners.groups.entry(group.gid).or_insert(group.name);
        }
        Ok(owners)
    }

    /// The first name of a user's number, or the number of one without name.
    pub(super) fn user(&self, id: u32) -> String {
        self.users
            .get(&id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }

    /// As [`Owners::user`] for groups.
    pub(super) fn group(&self, id: u32) -> String {
        self.groups
            .get(&id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }

    /// Looks at `path`; `None` if there is nothing of that name.
    pub(super) fn look(
        &self,
        observation: &mut Observation<'_>,
        path: &str,
    ) -> Result<Option<Guarded>, Unobservable> {
        let Some(stat) = observation.stat(path)? else {
            return Ok(None);
        };
        self.with_status(observation, path, &stat).map(Some)
    }

    fn with_status(
        &self,
        observation: &mut Observation<'_>,
        path: &str,
        stat: &Stat,
    ) -> Result<Guarded, Unobservable> {
        let listed = matches!(stat.kind, FileKind::Regular | FileKind::Directory);
        let bytes = match listed.then(|| observation.host().xattr(path, acl::ATTRIBUTE)) {
            None | Some(Err(HostError::NotFound(_))) => None,
            Some(found) => found?,
        };
        let entries = bytes
            .map(|bytes| acl::parse(&bytes))
            .transpose()
            .map_err(|problem| Unobservable::unparsable(path, problem))?
            .unwrap_or_default();
        Ok(Guarded {
            path: path.to_owned(),
            directory: stat.kind == FileKind::Directory,
            owner: self.user(stat.uid),
            group: self.group(stat.gid),
            mode: format!("{:04o}", stat.mode),
            permissions: permissions(stat.mode),
            acl: entries
                .into_iter()
                .map(|entry| entry.named(|id| self.user(id), |id| self.group(id)))
                .collect(),
        })
    }

    /// The directories above these paths, each once.
    pub(super) fn above<'p>(
        &self,
        observation: &mut Observation<'_>,
        paths: impl Iterator<Item = &'p str>,
    ) -> Result<Vec<Guarded>, Unobservable> {
        let mut parents: BTreeMap<String, Option<Guarded>> = BTreeMap::new();
        for path in paths {
            let mut path = path;
            while let Some((above, _)) = path.rsplit_once('/') {
                let shown = if above.is_empty() { "/" } else { above };
                if parents.contains_key(shown) {
                    break;
                }
                parents.insert(shown.to_owned(), self.look(observation, shown)?);
                path = above;
            }
        }
        Ok(parents.into_values().flatten().collect())
    }
}

fn permissions(mode: u32) -> Vec<String> {
    BITS.iter()
        .filter(|(bit, _)| mode & bit != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::permissions;

    #[test]
    fn a_mode_is_told_bit_by_bit() {
        assert_eq!(permissions(0o640), ["u+r", "u+w", "g+r"]);
        assert_eq!(permissions(0o604), ["u+r", "u+w", "o+r"]);
        assert_eq!(permissions(0o7000), ["u+s", "g+s", "+t"]);
        assert!(permissions(0).is_empty());
    }
}
