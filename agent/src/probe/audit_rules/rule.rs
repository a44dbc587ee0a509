//! One loaded audit rule, read from the form that `auditctl -l` writes.

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// `exit`, `task`, `user`, `exclude`, `filesystem`, `io_uring`.
    pub(super) list: String,
    /// `-a never,…`: what matches is not recorded.
    pub(super) never: bool,
    /// The system calls it is for.
    pub(super) calls: Calls,
    /// Every condition must hold.
    pub(super) conditions: Vec<Condition>,
    /// As listed.
    pub(super) text: String,
}

/// System calls of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Calls {
    /// Every one.
    All,
    /// Those named or numbered.
    Some(Vec<String>),
}

/// `-F field op value` or `-C field op field`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) field: String,
    pub(super) operator: String,
    pub(super) value: String,
}

impl Condition {
    pub(super) fn is(&self, field: &str, operator: &str, value: &str) -> bool {
        self.field == field && self.operator == operator && self.value == value
    }
}

impl Rule {
    /// Reads a line; `Err` with what is not understood.
    pub(super) fn parse(line: &str) -> Result<Rule, String> {
        let mut words = line.split_whitespace();
        let mut rule = Rule {
            list: "exit".to_owned(),
            never: false,
            calls: Calls::All,
            conditions: Vec::new(),
            text: line.to_owned(),
        };
        let mut named = Vec::new();
        while let Some(option) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{option} without a value"))?;
            match option {
                "-a" | "-A" => rule.action(value)?,
                "-w" => rule
                    .conditions
                    .push(equal("path", value.trim_end_matches('/'))),
                "-p" => rule.conditions.push(equal("perm", value)),
                "-k" => rule.conditions.push(equal("key", value)),
                "-F" | "-C" => rule.conditions.push(condition(value)?),
                "-S" => named.extend(value.split(',').map(str::to_owned)),
                other => return Err(format!("{other} is not known")),
            }
        }
        if !named.is_empty() && !named.iter().any(|call| call == "all") {
            rule.calls = Calls::Some(named);
        }
        Ok(rule)
    }

    /// `always,exit` or `exit,always`.
    fn action(&mut self, value: &str) -> Result<(), String> {
        let mut list = None;
        for word in value.split(',') {
            match word {
                "always" => {}
                "never" => self.never = true,
                "exit" | "task" | "user" | "exclude" | "filesystem" | "io_uring" => {
                    list = Some(word.to_owned());
                }
                other => return Err(format!("list or action {other} is not known")),
            }
        }
        self.list = list.ok_or_else(|| format!("{value} names no list"))?;
        Ok(())
    }

    /// The only value of a field compared with `=`.
    pub(super) fn value(&self, field: &str) -> Option<&str> {
        self.conditions
            .iter()
            .find(|condition| condition.field == field && condition.operator == "=")
            .map(|condition| condition.value.as_str())
    }

    pub(super) fn has_call(&self, call: &str) -> bool {
        match &self.calls {
            Calls::All => true,
            Calls::Some(calls) => calls.iter().any(|known| known == call),
        }
    }
}

fn equal(field: &str, value: &str) -> Condition {
    Condition {
        field: field.to_owned(),
        operator: "=".to_owned(),
        value: value.to_owned(),
    }
}

/// `auid>=1000`; `unset` and `4294967295` are -1, `loginuid` is `auid`.
fn condition(text: &str) -> Result<Condition, String> {
    let start = text
        .find(['=', '!', '<', '>', '&'])
        .ok_or_else(|| format!("{text} has no operator"))?;
    let (field, rest) = text.split_at(start);
    let length = if rest.get(1..2) == Some("=") { 2 } else { 1 };
    let (operator, value) = rest.split_at_checked(length).unwrap_or((rest, ""));
    let value = match (field, value) {
        (_, "unset" | "4294967295") => "-1",
        ("path" | "dir", path) if path.len() > 1 => path.trim_end_matches('/'),
        ("exit", "EACCES" | "-13") => "-EACCES",
        ("exit", "EPERM" | "-1") => "-EPERM",
        ("a0" | "a1" | "a2" | "a3", "0") => "0x0",
        (_, value) => value,
    };
    Ok(Condition {
        field: if field == "loginuid" { "auid" } else { field }.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_a_watch_mean_the_same() {
        let watch = Rule::parse("-w /etc/passwd -p wa -k identity").unwrap();
        let field =
            Rule::parse("-a always,exit -S all -F path=/etc/passwd -F perm=wa -F key=identity")
                .unwrap();
        assert_eq!(watch.conditions, field.conditions);
        assert_eq!(watch.calls, field.calls);
        assert!(!watch.never && watch.list == "exit");
    }

    #[test]
    fn unset_has_one_form() {
        for text in [
            "auid!=unset",
            "auid!=4294967295",
            "auid!=-1",
            "loginuid!=-1",
        ] {
            assert!(condition(text).unwrap().is("auid", "!=", "-1"), "{text}");
        }
        assert!(condition("auid>=1000").unwrap().is("auid", ">=", "1000"));
    }

    #[test]
    fn what_is_not_known_is_said() {
        for line in [
            "-a sometimes,exit",
            "-a always",
            "-Z x",
            "-F auid",
            "-S",
            "-F é",
            "-w",
        ] {
            assert!(Rule::parse(line).is_err(), "{line}");
        }
        assert_eq!(Rule::parse("").unwrap().calls, Calls::All);
    }
}
