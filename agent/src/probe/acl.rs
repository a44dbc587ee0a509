//! POSIX access control lists as the kernel stores them, acl(5): version 2, then entries of tag, permissions and id.

use schemars::JsonSchema;
use serde::Serialize;

/// The extended attribute that holds them.
pub(super) const ATTRIBUTE: &str = "system.posix_acl_access";

const VERSION: u32 = 2;
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

/// What one named user or group may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Entry {
    /// Whether it is for a user or a group.
    kind: Kind,
    /// Name, or number of one without name.
    name: String,
    /// It may read, the mask considered.
    read: bool,
    /// It may write, the mask considered.
    write: bool,
    #[serde(skip)]
    id: u32,
}

/// Whom an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    User,
    Group,
}

impl Entry {
    /// journald splits the journal by user (`user-1000.journal`) and lets each read their own.
    pub(super) fn is_reader_of_own_journal(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        let rest = name.strip_prefix(&format!("user-{}", self.id));
        path.starts_with("/var/log/journal/")
            && self.kind == Kind::User
            && !self.write
            && rest.is_some_and(|rest| rest.starts_with(['.', '@']))
    }

    /// Whether it lets its user or group change the file.
    pub(super) fn writes(&self) -> bool {
        self.write
    }

    /// With the name in place of the number.
    pub(super) fn named(
        mut self,
        user: impl Fn(u32) -> String,
        group: impl Fn(u32) -> String,
    ) -> Entry {
        self.name = match self.kind {
            Kind::User => user(self.id),
            Kind::Group => group(self.id),
        };
        self
    }
}

/// The entries for named users and groups.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let wrong = || "an access control list of unknown form".to_owned();
    let (version, entries) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    let (entries, rest) = entries.as_chunks::<8>();
    if u32::from_le_bytes(*version) != VERSION || !rest.is_empty() {
        return Err(wrong());
    }
    let tag = |entry: &[u8; 8]| u16::from_le_bytes([entry[0], entry[1]]);
    let bits = |entry: &[u8; 8]| u16::from_le_bytes([entry[2], entry[3]]);
    let mask = entries
        .iter()
        .find(|entry| tag(entry) == MASK)
        .map_or(0o7, bits);
    let named = entries.iter().filter_map(|entry| {
        let kind = match tag(entry) {
            USER => Kind::User,
            GROUP => Kind::Group,
            _ => return None,
        };
        let effective = bits(entry) & mask;
        Some(Entry {
            kind,
            name: String::new(),
            read: effective & 0o4 != 0,
            write: effective & 0o2 != 0,
            id: u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]),
        })
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&bits.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_mask_bounds_what_is_granted() {
        let bytes = list(&[
            (1, 6, 0),
            (USER, 6, 1000),
            (4, 4, 0),
            (GROUP, 4, 4),
            (MASK, 4, 0),
            (0x20, 0, 0),
        ]);
        let entries = parse(&bytes).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(entries[0].read && !entries[0].write);
        assert!(entries[0].is_reader_of_own_journal("/var/log/journal/ab/user-1000.journal"));
        assert!(!entries[0].is_reader_of_own_journal("/var/log/journal/ab/user-10001.journal"));
        assert!(!entries[0].is_reader_of_own_journal("/var/log/auth.log"));
        let named = entries[1].clone().named(|_| "u".into(), |_| "adm".into());
        assert_eq!((named.kind, named.name.as_str()), (Kind::Group, "adm"));
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = list(&[(1, 6, 0)]);
        for length in (0..bytes.len()).filter(|length| *length != 4) {
            assert!(parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(parse(&[1, 0, 0, 0]).is_err());
    }
}
