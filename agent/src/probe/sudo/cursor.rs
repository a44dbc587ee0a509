//! A position in a line of sudoers(5), and the words, lists and commands that can stand there.

use super::grammar::{CommandSpec, Member};
use crate::probe::quoted::quoted;

/// Tags that may stand before a command.
const TAGS: [&str; 16] = [
    "EXEC",
    "NOEXEC",
    "PASSWD",
    "NOPASSWD",
    "SETENV",
    "NOSETENV",
    "LOG_INPUT",
    "NOLOG_INPUT",
    "LOG_OUTPUT",
    "NOLOG_OUTPUT",
    "FOLLOW",
    "NOFOLLOW",
    "MAIL",
    "NOMAIL",
    "INTERCEPT",
    "NOINTERCEPT",
];
/// Options that may stand before a command, `NAME=value`.
const OPTIONS: [&str; 10] = [
    "ROLE",
    "TYPE",
    "PRIVS",
    "LIMITPRIVS",
    "CWD",
    "CHROOT",
    "TIMEOUT",
    "NOTBEFORE",
    "NOTAFTER",
    "APPARMOR_PROFILE",
];
const DIGESTS: [&str; 4] = ["sha224", "sha256", "sha384", "sha512"];

/// A position in a line.
pub(super) struct Cursor {
    chars: Vec<char>,
    at: usize,
}

impl Cursor {
    pub(super) fn new(text: &str) -> Cursor {
        Cursor {
            chars: text.chars().collect(),
            at: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn after(&mut self, n: usize) -> &mut Cursor {
        self.at += n;
        self
    }

    pub(super) fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    pub(super) fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r')) {
            self.at += 1;
        }
    }

    pub(super) fn negations(&mut self) -> bool {
        let mut negated = false;
        loop {
            self.blanks();
            if !self.eat('!') {
                return negated;
            }
            negated = !negated;
        }
    }

    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        self.chars
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .collect()
    }

    /// Whether a comment starts here: `#` not followed by a number.
    fn at_comment(&self) -> bool {
        let next = |n: usize| self.chars.get(self.at + n).copied();
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        self.peek() == Some('#') && !digit(next(1)) && !(next(1) == Some('-') && digit(next(2)))
    }

    /// Nothing but a comment may follow.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.blanks();
        if self.peek().is_none() || self.at_comment() {
            return Ok(());
        }
        let rest: String = self.chars.iter().skip(self.at).take(20).collect();
        Err(format!("unexpected {}", quoted(&rest)))
    }

    /// A word up to one of `stops`, with quotes and backslashes undone.
    pub(super) fn word(&mut self, stops: &str) -> Option<String> {
        let mut word = String::new();
        let start = self.at;
        let mut quoted = false;
        while let Some(c) = self.peek() {
            match c {
                '"' => quoted = !quoted,
                '\\' => {
                    self.at += 1;
                    word.push(self.peek()?);
                }
                c if !quoted && stops.contains(c) => break,
                c => word.push(c),
            }
            self.at += 1;
        }
        (self.at > start && !quoted).then_some(word)
    }

    pub(super) fn members(&mut self) -> Result<Vec<Member>, String> {
        let mut members = Vec::new();
        loop {
            let negated = self.negations();
            if self.at_comment() {
                return Err("a name is missing".to_owned());
            }
            // # and : belong to a word only as #uid, %#gid and %:group; an IPv6 address holds colons.
            let mut prefix = String::new();
            if self.eat('%') {
                prefix.push('%');
                if self.eat(':') {
                    prefix.push(':');
                }
            }
            if self.eat('#') {
                prefix.push('#');
            }
            let address = self.take_ipv6();
            let name = match address {
                Some(address) => address,
                None => self.word(",=:()!# \t\r").ok_or("a name is missing")?,
            };
            members.push(Member {
                name: prefix + &name,
                negated,
            });
            self.blanks();
            if !self.eat(',') {
                return Ok(members);
            }
        }
    }

    fn take_ipv6(&mut self) -> Option<String> {
        let start = self.at;
        let text = self.take_while(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '/'));
        let address = text.split('/').next().unwrap_or_default();
        if address.matches(':').count() >= 2 && address.parse::<std::net::Ipv6Addr>().is_ok() {
            return Some(text);
        }
        self.at = start;
        None
    }

    /// The commands of `Defaults!`: without arguments, so a blank ends them.
    pub(super) fn plain_commands(&mut self) -> Result<Vec<Member>, String> {
        let mut members = Vec::new();
        loop {
            let negated = self.negations();
            let name = self.word(",=:# \t\r").ok_or("a command is missing")?;
            members.push(Member { name, negated });
            self.blanks();
            if !self.eat(',') {
                return Ok(members);
            }
        }
    }

    pub(super) fn commands(&mut self) -> Result<Vec<Member>, String> {
        let mut members = Vec::new();
        loop {
            members.push(self.command()?);
            self.blanks();
            if !self.eat(',') {
                return Ok(members);
            }
        }
    }

    pub(super) fn command_specs(&mut self) -> Result<Vec<CommandSpec>, String> {
        let mut specs: Vec<CommandSpec> = Vec::new();
        loop {
            let previous = specs.last();
            let mut users = previous.and_then(|spec| spec.run_as_users.clone());
            let mut groups = previous.and_then(|spec| spec.run_as_groups.clone());
            let mut authenticate = previous.and_then(|spec| spec.authenticate);
            self.blanks();
            if self.eat('(') {
                (users, groups) = self.run_as()?;
            }
            self.options_and_tags(&mut authenticate)?;
            specs.push(CommandSpec {
                run_as_users: users,
                run_as_groups: groups,
                authenticate,
                command: self.command()?,
            });
            self.blanks();
            if !self.eat(',') {
                return Ok(specs);
            }
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the two halves of a run-as list, each of which may be left out"
    )]
    fn run_as(&mut self) -> Result<(Option<Vec<Member>>, Option<Vec<Member>>), String> {
        self.blanks();
        let users = match self.peek() {
            Some(':' | ')') => Some(Vec::new()),
            _ => Some(self.members()?),
        };
        self.blanks();
        let groups = if self.eat(':') {
            self.blanks();
            match self.peek() {
                Some(')') => None,
                _ => Some(self.members()?),
            }
        } else {
            None
        };
        self.blanks();
        if self.eat(')') {
            Ok((users, groups))
        } else {
            Err("a run-as list is not closed".to_owned())
        }
    }

    fn options_and_tags(&mut self, authenticate: &mut Option<bool>) -> Result<(), String> {
        loop {
            self.blanks();
            let start = self.at;
            let word = self.take_while(|c| c.is_ascii_uppercase() || c == '_');
            self.blanks();
            if TAGS.contains(&word.as_str()) && self.eat(':') {
                match word.as_str() {
                    "NOPASSWD" => *authenticate = Some(false),
                    "PASSWD" => *authenticate = Some(true),
                    _ => {}
                }
            } else if OPTIONS.contains(&word.as_str()) && self.eat('=') {
                self.blanks();
                self.word(" \t,").ok_or("an option lacks its value")?;
            } else {
                self.at = start;
                return Ok(());
            }
        }
    }

    fn command(&mut self) -> Result<Member, String> {
        let negated = self.negations();
        self.digests()?;
        let negated = negated != self.negations();
        self.blanks();
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                // Escaped separators lose their backslash; escaped wildcards keep it, for they are matched literally.
                match self.chars.get(self.at + 1) {
                    Some(c @ (':' | ',' | '=' | ' ' | '\t' | '#' | '"')) => name.push(*c),
                    Some(c) => {
                        name.push('\\');
                        name.push(*c);
                    }
                    None => return Err("a backslash at the end".to_owned()),
                }
                self.at += 2;
                continue;
            }
            if matches!(c, ',' | ':' | '=' | '#') {
                break;
            }
            if matches!(c, ' ' | '\t') {
                // Arguments are parted by one space however they are written.
                self.blanks();
                name.push(' ');
                continue;
            }
            name.push(c);
            self.at += 1;
        }
        let name = name.trim_end().to_owned();
        let first = name.split([' ', '\t']).next().unwrap_or_default();
        let is_alias = !first.is_empty()
            && first == name
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if is_alias || first.starts_with(['/', '^', '\\']) || matches!(first, "sudoedit" | "list") {
            Ok(Member { name, negated })
        } else {
            Err(format!("{} is no absolute path", quoted(first)))
        }
    }

    fn digests(&mut self) -> Result<(), String> {
        loop {
            self.blanks();
            let start = self.at;
            let word = self.take_while(|c| c.is_ascii_alphanumeric());
            self.blanks();
            if !DIGESTS.contains(&word.as_str()) || !self.eat(':') {
                self.at = start;
                return Ok(());
            }
            self.blanks();
            let digest =
                self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
            if digest.is_empty() {
                return Err("a digest is missing".to_owned());
            }
            self.blanks();
            self.eat(',');
        }
    }
}
