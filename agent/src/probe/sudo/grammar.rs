//! The grammar of sudoers(5), one logical line at a time.

use super::cursor::Cursor;

/// A name of a list, perhaps negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// The name without quotes and escapes: `root`, `%sudo`, `#1000`, `+netgroup`, `ALL`, an alias, a command.
    pub name: String,
    /// An odd number of `!` stands before it.
    pub negated: bool,
}

/// One command of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandSpec {
    /// Users it may be run as; `None` if the rule names none, which is root.
    pub run_as_users: Option<Vec<Member>>,
    /// Groups it may be run with.
    pub run_as_groups: Option<Vec<Member>>,
    /// `Some(false)` after `NOPASSWD:`, `Some(true)` after `PASSWD:`.
    pub authenticate: Option<bool>,
    /// The command with its arguments.
    pub command: Member,
}

/// Which kind of alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AliasKind {
    User,
    RunAs,
    Host,
    Command,
}

/// What a `Defaults` line applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    Global,
    User(Vec<Member>),
    Host(Vec<Member>),
    RunAs(Vec<Member>),
    Command(Vec<Member>),
}

/// One setting of a `Defaults` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub name: String,
    /// Absent for flags.
    pub value: Option<String>,
    pub negated: bool,
}

/// A logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Include(String),
    IncludeDir(String),
    Defaults(Scope, Vec<Setting>),
    Alias(AliasKind, Vec<(String, Vec<Member>)>),
    /// Users, and for each list of hosts its commands.
    Rule(Vec<Member>, Vec<(Vec<Member>, Vec<CommandSpec>)>),
}

/// Joins continued lines; each result has the number of its first line.
pub(super) fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (i, raw) in text.lines().enumerate() {
        let (part, continues) = match raw.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (raw, false),
        };
        match lines.last_mut() {
            Some((_, line)) if open => {
                line.push(' ');
                line.push_str(part.trim_start());
            }
            _ => lines.push((i + 1, part.to_owned())),
        }
        // A comment ends with its line: a backslash at its end continues nothing.
        open = continues && lines.last().is_some_and(|(_, line)| !is_comment(line));
    }
    lines
}

/// `#` before a digit is a uid, and `#include` is a directive.
fn is_comment(line: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix('#') else {
        return false;
    };
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    !digits.starts_with(|c: char| c.is_ascii_digit()) && directive(line).is_none()
}

fn directive(line: &str) -> Option<Entry> {
    let rest = line.trim_start().strip_prefix(['#', '@'])?;
    let (is_directory, rest) = match rest.strip_prefix("includedir") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("include")?),
    };
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let mut cursor = Cursor::new(rest);
    cursor.blanks();
    let path = cursor.word(" \t\n")?;
    Some(if is_directory {
        Entry::IncludeDir(path)
    } else {
        Entry::Include(path)
    })
}

/// Reads a logical line; `None` for an empty one or a comment.
///
/// # Errors
/// A sentence about what does not fit the grammar; sudo then leaves the line out and says so.
pub(super) fn entry(line: &str) -> Result<Option<Entry>, String> {
    if let Some(found) = directive(line) {
        return Ok(Some(found));
    }
    if line.trim().is_empty() || is_comment(line) {
        return Ok(None);
    }
    let text = line.trim_start();
    if let Some(rest) = text.strip_prefix("Defaults")
        && rest.starts_with([' ', '\t', '@', ':', '!', '>'])
    {
        return defaults(rest).map(Some);
    }
    let aliases = [
        ("User_Alias", AliasKind::User),
        ("Runas_Alias", AliasKind::RunAs),
        ("Host_Alias", AliasKind::Host),
        ("Cmnd_Alias", AliasKind::Command),
        ("Cmd_Alias", AliasKind::Command),
    ];
    for (word, kind) in aliases {
        if let Some(rest) = text.strip_prefix(word)
            && rest.starts_with([' ', '\t'])
        {
            return alias(kind, rest).map(Some);
        }
    }
    rule(text).map(Some)
}

fn defaults(rest: &str) -> Result<Entry, String> {
    let mut cursor = Cursor::new(rest);
    let scope = match cursor.peek() {
        Some('@') => Scope::Host(cursor.after(1).members()?),
        Some(':') => Scope::User(cursor.after(1).members()?),
        Some('>') => Scope::RunAs(cursor.after(1).members()?),
        Some('!') => Scope::Command(cursor.after(1).plain_commands()?),
        _ => Scope::Global,
    };
    let mut settings = Vec::new();
    loop {
        cursor.blanks();
        let negated = cursor.negations();
        let name = cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() {
            return Err("a setting without a name".to_owned());
        }
        cursor.blanks();
        let _ = cursor.eat('+') || cursor.eat('-');
        let value = if cursor.eat('=') {
            cursor.blanks();
            Some(cursor.word(",#\n \t").unwrap_or_default())
        } else {
            None
        };
        settings.push(Setting {
            name,
            value,
            negated,
        });
        cursor.blanks();
        if !cursor.eat(',') {
            break;
        }
    }
    cursor.end()?;
    Ok(Entry::Defaults(scope, settings))
}

fn alias(kind: AliasKind, rest: &str) -> Result<Entry, String> {
    let mut cursor = Cursor::new(rest);
    let mut aliases = Vec::new();
    loop {
        cursor.blanks();
        let name = cursor.take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if name.is_empty() {
            return Err("an alias without a name in capitals".to_owned());
        }
        cursor.blanks();
        if !cursor.eat('=') {
            return Err(format!("no = behind alias {name}"));
        }
        let members = if kind == AliasKind::Command {
            cursor.commands()?
        } else {
            cursor.members()?
        };
        aliases.push((name, members));
        cursor.blanks();
        if !cursor.eat(':') {
            break;
        }
    }
    cursor.end()?;
    Ok(Entry::Alias(kind, aliases))
}

fn rule(text: &str) -> Result<Entry, String> {
    let mut cursor = Cursor::new(text);
    let users = cursor.members()?;
    let mut privileges = Vec::new();
    loop {
        let hosts = cursor.members()?;
        cursor.blanks();
        if !cursor.eat('=') {
            return Err("no = behind the hosts".to_owned());
        }
        privileges.push((hosts, cursor.command_specs()?));
        cursor.blanks();
        if !cursor.eat(':') {
            break;
        }
    }
    cursor.end()?;
    Ok(Entry::Rule(users, privileges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_sign_before_digits_is_no_comment() {
        assert!(
            matches!(entry("#1000 ALL=(ALL) NOPASSWD: ALL"), Ok(Some(Entry::Rule(users, _))) if users[0].name == "#1000")
        );
        assert!(
            matches!(entry("%#27 ALL=ALL # why"), Ok(Some(Entry::Rule(users, _))) if users[0].name == "%#27")
        );
        assert_eq!(entry("# 1000 ALL=ALL"), Ok(None));
        assert_eq!(
            entry("#includedir /etc/sudoers.d"),
            Ok(Some(Entry::IncludeDir("/etc/sudoers.d".to_owned())))
        );
        assert_eq!(
            entry("@include \"/a b\""),
            Ok(Some(Entry::Include("/a b".to_owned())))
        );
    }

    #[test]
    fn options_may_stand_between_tags() {
        let Ok(Some(Entry::Rule(_, privileges))) =
            entry("anna ALL=CWD=/tmp NOPASSWD: /bin/a, TIMEOUT=5 /bin/b")
        else {
            panic!("a rule")
        };
        let specs = &privileges[0].1;
        assert_eq!(specs[1].command.name, "/bin/b");
        assert!(specs.iter().all(|spec| spec.authenticate == Some(false)));
    }

    #[test]
    fn nothing_makes_the_parser_panic() {
        let line = "Defaults!A,/b  !x=\"y\\\" z\", w : a,!%:g\\ h ALL,!b = (c,#1:d) NOPASSWD : CWD=/x sha256:ab==, sha512:cd /bin/x \\, y, !ALL : i=j # k";
        for start in 0..line.len() {
            for end in start..line.len() {
                let _ = entry(&line[start..end]);
            }
        }
        assert_eq!(
            logical_lines("a \\\n  b\\\nc\n# d \\\ne"),
            [
                (1, "a  b c".to_owned()),
                (4, "# d ".to_owned()),
                (5, "e".to_owned())
            ]
        );
    }
}
