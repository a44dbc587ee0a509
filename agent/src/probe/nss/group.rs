//! Lines of group(5) and gshadow(5).

use super::number::required;
use super::{BLANKS, Password, Record};

/// A group of `/etc/group`.
#[derive(Debug)]
pub(in crate::probe) struct LocalGroup {
    /// Name.
    pub(in crate::probe) name: String,
    /// What the second field says; `None` if it refers to `/etc/gshadow`.
    pub(in crate::probe) password: Option<Password>,
    /// Group id.
    pub(in crate::probe) gid: u32,
    /// Members listed.
    pub(in crate::probe) members: Vec<String>,
}

/// A group of `/etc/gshadow`.
#[derive(Debug)]
pub(in crate::probe) struct GroupShadow {
    /// Name.
    pub(in crate::probe) name: String,
    /// What kind of password it holds: whoever knows it may join.
    pub(in crate::probe) password: Password,
    /// Who may change members and password.
    pub(in crate::probe) administrators: Vec<String>,
    /// Members listed; newgrp(1) and sg(1) take them as members whatever `/etc/group` says.
    pub(in crate::probe) members: Vec<String>,
}

impl Record for LocalGroup {
    fn parse(line: &str) -> Option<LocalGroup> {
        let mut fields = line.splitn(4, ':');
        let name = fields.next()?.to_owned();
        let password = fields.next()?;
        let gid = required(fields.next()?)?;
        Some(LocalGroup {
            name,
            password: (password != "x").then(|| Password::classify(password)),
            gid,
            members: list(fields.next().unwrap_or_default()),
        })
    }
}

impl Record for GroupShadow {
    fn parse(line: &str) -> Option<GroupShadow> {
        let mut fields = line.splitn(4, ':');
        Some(GroupShadow {
            name: fields.next()?.to_owned(),
            password: Password::classify(fields.next()?),
            administrators: list(fields.next().unwrap_or_default()),
            members: list(fields.next().unwrap_or_default()),
        })
    }
}

/// Names between commas; blanks before a name do not count, blanks after it are part of it.
fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(|name| name.trim_start_matches(BLANKS))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    /// Each line was given to `getent -s files group` of glibc 2.36.
    #[test]
    fn lines_are_taken_and_skipped_as_by_the_c_library() {
        let text = "root:x:0:a,b\ng1:x:01:a , b,\ng2:x:1\n g4:x:5: c\ng5::7:x:y\ng6:x::a\ng7:x:8:,,a\n+:x:1:a\n";
        let table = Table::<LocalGroup>::parse(text);
        let found: Vec<_> = table
            .entries
            .iter()
            .map(|group| (group.name.as_str(), group.gid, group.members.join("|")))
            .collect();
        let expected = [
            ("root", 0, "a|b"),
            ("g1", 1, "a |b"),
            ("g2", 1, ""),
            ("g4", 5, "c"),
            ("g5", 7, "x:y"),
            ("g7", 8, "a"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, gid, members)| (name, gid, members.to_owned()))
        );
        assert_eq!((table.ignored, table.compat.len()), (1, 1));
    }
}
