//! Lines of shadow(5).

use super::number::{optional, required};
use super::{BLANKS, Password, Record};

/// An entry of `/etc/shadow`, without its hash.
#[derive(Debug)]
pub(in crate::probe) struct ShadowEntry {
    /// Name of the account.
    pub(in crate::probe) name: String,
    /// What kind of password it holds.
    pub(in crate::probe) password: Password,
    /// Last change, days since 1970-01-01; 0 asks for a change at the next log-on.
    pub(in crate::probe) last_change: Option<u32>,
    /// Fewest days between changes.
    pub(in crate::probe) min_days: Option<u32>,
    /// Most days between changes.
    pub(in crate::probe) max_days: Option<u32>,
    /// Days of warning before.
    pub(in crate::probe) warn_days: Option<u32>,
    /// Days after expiry of the password until the account is closed.
    pub(in crate::probe) inactive_days: Option<u32>,
    /// Day on which the account expires, days since 1970-01-01.
    pub(in crate::probe) expires: Option<u32>,
}

impl Record for ShadowEntry {
    fn parse(line: &str) -> Option<ShadowEntry> {
        let (name, line) = line.split_once(':')?;
        let (password, mut line) = line.split_once(':')?;
        let last_change = optional(&mut line)?;
        let min_days = optional(&mut line)?;
        let max_days = optional(&mut line)?;
        let mut entry = ShadowEntry {
            name: name.to_owned(),
            password: Password::classify(password),
            last_change,
            min_days,
            max_days,
            warn_days: None,
            inactive_days: None,
            expires: None,
        };
        line = line.trim_start_matches(BLANKS);
        // The form of before 1992 ends here.
        if line.is_empty() {
            return Some(entry);
        }
        entry.warn_days = optional(&mut line)?;
        entry.inactive_days = optional(&mut line)?;
        entry.expires = optional(&mut line)?;
        (line.is_empty() || required(line).is_some()).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    /// Each line was given to `getent -s files shadow` of glibc 2.36.
    #[test]
    fn lines_are_taken_and_skipped_as_by_the_c_library() {
        let text = "a0::1\na1:\na2::\na3:::::\na4:x:1:2:3\na5:x:1:2:3:\na6:x:1:2:3:4:5:6\na7:x:1:2:3:4:5:6:\na8:x:1:2:3:4:5:6:7\na9:x:-1:2:3:4:5:6:\nb0:x:abc:2:3:4:5:6:\nb1:x: 1:2:3:4:5:6:\nb2::1::::::\nb3:x:99999999999999:2:3:4:5:6:\n  b4:x::::::: \nb5:x:::::::x\n";
        let table = Table::<ShadowEntry>::parse(text);
        let names: Vec<_> = table
            .entries
            .iter()
            .map(|entry| entry.name.as_str())
            .collect();
        assert_eq!(names, ["a3", "a4", "a5", "a6", "a7", "a8", "b1", "b2"]);
        assert_eq!(table.ignored, 8);
        let full = &table.entries[5];
        assert_eq!(
            (
                full.last_change,
                full.min_days,
                full.max_days,
                full.warn_days,
                full.inactive_days,
                full.expires
            ),
            (Some(1), Some(2), Some(3), Some(4), Some(5), Some(6))
        );
    }
}
