//! Lines of passwd(5).

use super::number::required;
use super::{Password, Record};

/// An account of `/etc/passwd`.
#[derive(Debug)]
pub(in crate::probe) struct LocalAccount {
    /// Name.
    pub(in crate::probe) name: String,
    /// What the second field says; `None` if it refers to `/etc/shadow`.
    pub(in crate::probe) password: Option<Password>,
    /// User id.
    pub(in crate::probe) uid: u32,
    /// Id of the primary group.
    pub(in crate::probe) gid: u32,
    /// Home directory.
    pub(in crate::probe) home: String,
    /// Shell as written; blank means `/bin/sh`.
    pub(in crate::probe) shell: String,
}

impl Record for LocalAccount {
    fn parse(line: &str) -> Option<LocalAccount> {
        let mut fields = line.splitn(7, ':');
        let name = fields.next()?.to_owned();
        let password = fields.next()?;
        let uid = required(fields.next()?)?;
        let gid = required(fields.next()?)?;
        let home = fields.nth(1).unwrap_or_default().to_owned();
        let shell = fields.next().unwrap_or_default().to_owned();
        // pam_unix and glibc take `x` and `##name` as a reference to the shadow file.
        let shadowed = password == "x" || password.starts_with("##");
        Some(LocalAccount {
            name,
            password: (!shadowed).then(|| Password::classify(password)),
            uid,
            gid,
            home,
            shell,
        })
    }
}

/// First uid that useradd(8) gives to people unless `UID_MIN` of login.defs(5) says otherwise.
pub(in crate::probe) const DEFAULT_UID_MIN: i64 = 1000;
/// The uid of `nobody`, which belongs to no person.
const NOBODY: u32 = 65534;
/// Programs in the shell field that end a log-on at once.
const NO_LOGIN: [&str; 8] = [
    "/usr/sbin/nologin",
    "/sbin/nologin",
    "/usr/bin/nologin",
    "/bin/nologin",
    "/bin/false",
    "/usr/bin/false",
    "/usr/sbin/false",
    "/sbin/false",
];

impl LocalAccount {
    /// Whether the shell lets someone in. Only the system's own `nologin` and `false` do not: a program of that name
    /// elsewhere can be anything.
    pub(in crate::probe) fn has_login_shell(&self) -> bool {
        !NO_LOGIN.contains(&self.shell.as_str())
    }

    /// Whether it is meant for a person, by its uid.
    pub(in crate::probe) fn is_person(&self, uid_min: i64) -> bool {
        self.uid != 0 && self.uid != NOBODY && i64::from(self.uid) >= uid_min
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    /// Each line was given to `getent -s files passwd` of glibc 2.36.
    #[test]
    fn lines_are_taken_and_skipped_as_by_the_c_library() {
        let text = "  b0:x:5:1::/:/bin/sh\n#b1:x:0:1::/:/bin/sh\n:x:0:1::/:/bin/sh\nb3:x:0\nb4:x:0:1\nb5:x:0:1:g\nb7:x:0:1:g:/h:/bin/sh:more\nb8:x:0 :1:g:/h:\n+:x:0:1:g:/h:\n+b\n-c:x:::::\nb9:x:\t0:1:g:/h:\nc0::0:0\nc1\nc6:x:5:-5:::\n";
        let table = Table::<LocalAccount>::parse(text);
        let names: Vec<_> = table
            .entries
            .iter()
            .map(|a| (a.name.as_str(), a.uid))
            .collect();
        assert_eq!(
            names,
            [
                ("b0", 5),
                ("", 0),
                ("b4", 0),
                ("b5", 0),
                ("b7", 0),
                ("b9", 0),
                ("c0", 0)
            ]
        );
        assert_eq!(table.compat, ["+", "+b", "-c"]);
        assert_eq!(table.ignored, 4);
        assert_eq!(table.entries[4].shell, "/bin/sh:more");
        assert!(table.entries[2].password.is_none());
        assert!(table.entries[6].password.is_some());
    }

    #[test]
    fn a_nologin_of_ones_own_is_a_shell() {
        let account = |shell: &str| {
            LocalAccount::parse(&format!("a:x:5:5::/:{shell}"))
                .unwrap()
                .has_login_shell()
        };
        assert!(
            account("") && account("/bin/bash") && account("/tmp/nologin") && account("nologin")
        );
        assert!(!account("/usr/sbin/nologin") && !account("/bin/false"));
    }
}
