//! login.defs(5): defaults of the account tools.

use super::{Observation, Unobservable};

/// Assignments of `/etc/login.defs`.
pub(super) struct LoginDefs(Vec<(String, String)>);

impl LoginDefs {
    /// Reads the file; where there is none, its vendor copy (openSUSE).
    pub(super) fn read(observation: &mut Observation<'_>) -> Result<LoginDefs, Unobservable> {
        let text = match observation.text("/etc/login.defs")? {
            Some(text) => text,
            None => observation.text("/usr/etc/login.defs")?.unwrap_or_default(),
        };
        Ok(LoginDefs::parse(&text))
    }

    fn parse(text: &str) -> LoginDefs {
        let assignment = |line: &str| {
            let line = line.trim();
            let (name, value) = line.split_once([' ', '\t', '='])?;
            // As shadow's tools cut it: quotes may stand around it, and what follows them does not count.
            let value = value.trim_start_matches([' ', '\t', '"']);
            let value = value.split('"').next().unwrap_or_default();
            (!line.starts_with('#')).then(|| (name.to_owned(), value.to_owned()))
        };
        LoginDefs(text.lines().filter_map(assignment).collect())
    }

    /// The value of `name`; the last assignment counts.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of `name`; `None` without a line, or for one that is no number, which the tools complain of and then do
    /// as without it. A remark behind a number makes it none.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        number(self.get(name)?)
    }
}

/// A number as strtol(3) with base 0 reads it: `0x` is hexadecimal, a leading 0 octal.
fn number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    value.ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::LoginDefs;

    #[test]
    fn comments_are_none_and_the_last_assignment_counts() {
        let defs = LoginDefs::parse(
            "#UID_MIN 5\nUID_MIN\t\t 1000\nPASS_MAX_DAYS 99999\nPASS_MAX_DAYS 0x5a\nX\nSYS \"a b\"\nBAD ten\n",
        );
        assert_eq!(defs.number("UID_MIN"), Some(1000));
        assert_eq!(defs.number("PASS_MAX_DAYS"), Some(90));
        assert_eq!(defs.number("NONE"), None);
        assert_eq!(defs.number("BAD"), None);
        assert_eq!(defs.get("SYS"), Some("a b"));
        let defs = LoginDefs::parse("A \"300\"  # why\nB 300 # why\nC \"300\nD\t300   \n");
        assert_eq!(defs.number("A"), Some(300));
        assert_eq!(defs.number("B"), None);
        assert_eq!(defs.number("C"), Some(300));
        assert_eq!(defs.number("D"), Some(300));
    }
}
