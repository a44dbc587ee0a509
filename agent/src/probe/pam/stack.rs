//! The stacks of pam.d(5) as libpam builds them: includes and substacks resolved, controls turned into actions.

use super::super::quoted::quoted;
use super::super::{Observation, Unobservable};

/// Where service files are, first that has one counts.
const DIRECTORIES: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// Deepest nesting of includes and substacks (PAM_SUBSTACK_MAX_LEVEL of libpam).
const MAX_DEPTH: usize = 16;
/// Most files of one service's stacks, each counted as often as it is included.
const MAX_FILES: usize = 500;
/// Most lines of one stack.
const MAX_LINES: usize = 500;
/// Where modules without a path are looked for, by distribution.
const MODULE_DIRECTORIES: [&str; 8] = [
    "/usr/lib/x86_64-linux-gnu/security",
    "/lib/x86_64-linux-gnu/security",
    "/usr/lib/aarch64-linux-gnu/security",
    "/lib/aarch64-linux-gnu/security",
    "/usr/lib64/security",
    "/lib64/security",
    "/usr/lib/security",
    "/lib/security",
];

/// Return values of modules by their names in controls, in the order of their numbers.
const RETURNS: [&str; 32] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];

/// A return value of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Code(u8);

impl Code {
    pub(super) const SUCCESS: Code = Code(0);
    pub(super) const PERM_DENIED: Code = Code(6);
    pub(super) const AUTH_ERR: Code = Code(7);
    pub(super) const AUTHTOK_ERR: Code = Code(20);
    pub(super) const IGNORE: Code = Code(25);

    /// The code of a name in controls.
    #[cfg(test)]
    pub(super) fn named(name: &str) -> Option<Code> {
        let at = RETURNS.iter().position(|known| *known == name)?;
        u8::try_from(at).ok().map(Code)
    }

    /// Everything a module may return when it authenticates or changes a password. `new_authtok_reqd` is for accounts
    /// only, `incomplete` interrupts the walk.
    pub(super) fn all() -> impl Iterator<Item = Code> {
        (0..31).filter(|number| *number != 12).map(Code)
    }
}

/// What libpam does after a return value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    Jump(usize),
}

/// The kind of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Auth,
    Account,
    Password,
    Session,
}

/// One line of a resolved stack.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The file it stands in.
    pub(super) file: String,
    /// The control as written.
    pub(super) control: String,
    /// The module's file name, without directory.
    pub(super) module: String,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Depth of substacks it is in.
    pub(super) level: usize,
    /// What it is.
    pub(super) role: Role,
    actions: [Action; 32],
}

/// What a line of a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A module.
    Module,
    /// The place where a substack begins; only jumps count it.
    Substack,
    /// A line that libpam cannot use and lets fail.
    Broken,
}

impl Line {
    /// What follows a return value.
    pub(super) fn action(&self, code: Code) -> Action {
        self.actions
            .get(usize::from(code.0))
            .copied()
            .unwrap_or(Action::Bad)
    }

    /// Whether the line calls the module `name`, written without `.so`.
    pub(super) fn is(&self, name: &str) -> bool {
        self.role == Role::Module && self.module.strip_suffix(".so").unwrap_or(&self.module) == name
    }

    /// Whether an argument is given as it stands.
    pub(super) fn has(&self, argument: &str) -> bool {
        self.args.iter().any(|known| known == argument)
    }

    /// The last value given to an argument.
    pub(super) fn value(&self, argument: &str) -> Option<&str> {
        self.args
            .iter()
            .rev()
            .find_map(|known| known.strip_prefix(argument)?.strip_prefix('='))
    }
}

/// The stacks of one service.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    /// Whether the service has a file of its own; without one `other` is used.
    pub(super) present: bool,
    pub(super) auth: Vec<Line>,
    pub(super) account: Vec<Line>,
    pub(super) password: Vec<Line>,
}

/// Resolves a service. Each kind of which it has no line is taken from the service `other`, as libpam does.
pub(super) fn resolve(
    observation: &mut Observation<'_>,
    service: &str,
) -> Result<Stacks, Unobservable> {
    let mut own = Resolver::new(observation);
    let present = own.file(service, None, 0, 0)?;
    let mut stacks = own.stacks;
    stacks.present = present;
    let mut other = Resolver::new(observation);
    other.file("other", None, 0, 0)?;
    let pairs = [
        (&mut stacks.auth, other.stacks.auth),
        (&mut stacks.account, other.stacks.account),
        (&mut stacks.password, other.stacks.password),
    ];
    for (mine, others) in pairs {
        if mine.is_empty() {
            *mine = others;
        }
    }
    Ok(stacks)
}

struct Resolver<'o, 'h> {
    observation: &'o mut Observation<'h>,
    stacks: Stacks,
    files: usize,
}

impl<'o, 'h> Resolver<'o, 'h> {
    fn new(observation: &'o mut Observation<'h>) -> Resolver<'o, 'h> {
        Resolver {
            observation,
            stacks: Stacks::default(),
            files: 0,
        }
    }

    /// Adds the lines of a file, of one kind or of all. Whether there is such a file.
    fn file(
        &mut self,
        name: &str,
        only: Option<Kind>,
        level: usize,
        depth: usize,
    ) -> Result<bool, Unobservable> {
        self.files += 1;
        if depth > MAX_DEPTH || level >= MAX_DEPTH || self.files > MAX_FILES {
            return Err(Unobservable::unparsable(name, "includes without end"));
        }
        let Some((path, text)) = self.open(name)? else {
            return Ok(false);
        };
        for line in logical_lines(&text) {
            self.line(&path, &line, only, level, depth)?;
        }
        Ok(true)
    }

    fn open(&mut self, name: &str) -> Result<Option<(String, String)>, Unobservable> {
        let candidates = if name.starts_with('/') {
            vec![name.to_owned()]
        } else {
            DIRECTORIES
                .iter()
                .map(|directory| format!("{directory}/{name}"))
                .collect()
        };
        for path in candidates {
            if let Some(text) = self.observation.text(&path)? {
                return Ok(Some((path, text)));
            }
        }
        Ok(None)
    }

    fn line(
        &mut self,
        path: &str,
        line: &str,
        only: Option<Kind>,
        level: usize,
        depth: usize,
    ) -> Result<(), Unobservable> {
        let mut words = words(line).into_iter();
        let Some(first) = words.next() else {
            return Ok(());
        };
        let control = words.next().unwrap_or_default();
        if first.eq_ignore_ascii_case("@include") {
            return if self.file(&control, only, level, depth + 1)? {
                Ok(())
            } else {
                Err(Unobservable::unparsable(
                    path,
                    format!("@include of {control}, which is not there"),
                ))
            };
        }
        let (silent, name) = match first.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, first.as_str()),
        };
        let Some(kind) = kind(name) else {
            return Err(Unobservable::unparsable(
                path,
                format!("unknown type of module {}", quoted(name)),
            ));
        };
        if only.is_some_and(|only| only != kind) {
            return Ok(());
        }
        let module = words.next().unwrap_or_default();
        let mut made = Line {
            file: path.to_owned(),
            actions: actions(&control),
            control,
            module: module.rsplit('/').next().unwrap_or_default().to_owned(),
            args: words.collect(),
            level,
            role: Role::Module,
        };
        let word = made.control.to_ascii_lowercase();
        let found = match word.as_str() {
            "include" => self.file(&module, Some(kind), level, depth + 1)?,
            "substack" => {
                made.role = Role::Substack;
                self.push(kind, made.clone())?;
                self.file(&module, Some(kind), level + 1, depth + 1)?
            }
            _ => {
                if silent && !self.is_installed(&module)? {
                    return Ok(());
                }
                return self.push(kind, made);
            }
        };
        if !found {
            made.role = Role::Broken;
            made.actions = [Action::Bad; 32];
            self.push(kind, made)?;
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, line: Line) -> Result<(), Unobservable> {
        let stack = match kind {
            Kind::Auth => &mut self.stacks.auth,
            Kind::Account => &mut self.stacks.account,
            Kind::Password => &mut self.stacks.password,
            Kind::Session => return Ok(()),
        };
        if stack.len() == MAX_LINES {
            let problem = "more lines than a stack has";
            return Err(Unobservable::unparsable(&line.file, problem));
        }
        stack.push(line);
        Ok(())
    }

    /// A line whose type begins with `-` is left out if its module is not there.
    fn is_installed(&mut self, module: &str) -> Result<bool, Unobservable> {
        if module.starts_with('/') {
            return Ok(self.observation.stat(module)?.is_some());
        }
        for directory in MODULE_DIRECTORIES {
            let path = format!("{directory}/{module}");
            if self.observation.stat(&path)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn kind(name: &str) -> Option<Kind> {
    match name.to_ascii_lowercase().as_str() {
        "auth" => Some(Kind::Auth),
        "account" => Some(Kind::Account),
        "password" => Some(Kind::Password),
        "session" => Some(Kind::Session),
        _ => None,
    }
}

/// Lines without comments, with those that end in a backslash joined to the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut whole = String::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        match line.strip_suffix('\\') {
            Some(rest) => {
                whole.push_str(rest);
                whole.push(' ');
            }
            None => {
                whole.push_str(line);
                lines.push(std::mem::take(&mut whole));
            }
        }
    }
    lines.push(whole);
    lines
}

/// Words between blanks; brackets hold a word with blanks together, and `\]` is a bracket inside them.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let mut word = String::new();
        if chars.next_if_eq(&'[').is_some() {
            while let Some(c) = chars.next() {
                match c {
                    ']' => break,
                    '\\' if chars.peek() == Some(&']') => word.extend(chars.next()),
                    other => word.push(other),
                }
            }
            words.push(word);
            continue;
        }
        while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
            word.push(c);
        }
        if word.is_empty() {
            return words;
        }
        words.push(word);
    }
}

/// The actions of a control; one that cannot be read lets everything fail, as libpam does.
fn actions(control: &str) -> [Action; 32] {
    let text = match control.to_ascii_lowercase().as_str() {
        "required" => "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
        "requisite" => "success=ok new_authtok_reqd=ok ignore=ignore default=die",
        "sufficient" => "success=done new_authtok_reqd=done default=ignore",
        "optional" => "success=ok new_authtok_reqd=ok default=ignore",
        _ => control,
    };
    parse_actions(text).unwrap_or([Action::Bad; 32])
}

fn parse_actions(text: &str) -> Option<[Action; 32]> {
    let mut actions = [None; 32];
    let spaced = text.replace('=', " = ");
    let mut words = spaced.split_whitespace();
    while let Some(name) = words.next() {
        if words.next() != Some("=") {
            return None;
        }
        let action = action(words.next()?)?;
        if name == "default" {
            for slot in &mut actions {
                slot.get_or_insert(action);
            }
        } else {
            let at = RETURNS.iter().position(|known| *known == name)?;
            *actions.get_mut(at)? = Some(action);
        }
    }
    Some(actions.map(|action| action.unwrap_or(Action::Bad)))
}

fn action(word: &str) -> Option<Action> {
    Some(match word {
        "ignore" => Action::Ignore,
        "ok" => Action::Ok,
        "done" => Action::Done,
        "bad" => Action::Bad,
        "die" => Action::Die,
        "reset" => Action::Reset,
        number => match number.parse().ok()? {
            0 => return None,
            jump => Action::Jump(jump),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_libpam_splits_them() {
        let text = "auth required \\\n pam_a.so # one\n#auth x\nauth [success=1 default=ignore] pam_b.so [a b \\] c] d\n";
        let lines: Vec<Vec<String>> = logical_lines(text).iter().map(|line| words(line)).collect();
        assert_eq!(lines[0], ["auth", "required", "pam_a.so"]);
        assert!(lines[1].is_empty());
        assert_eq!(
            lines[2],
            [
                "auth",
                "success=1 default=ignore",
                "pam_b.so",
                "a b ] c",
                "d"
            ]
        );
        for hostile in ["[", "[[[\\]", "\\", "]", "a [", "\u{0}"] {
            let _ = words(hostile);
            let _ = actions(hostile);
        }
    }

    #[test]
    fn controls_become_actions() {
        let of = |control: &str, code: Code| actions(control)[usize::from(code.0)];
        assert_eq!(of("REQUIRED", Code::SUCCESS), Action::Ok);
        assert_eq!(of("requisite", Code::AUTH_ERR), Action::Die);
        assert_eq!(of("sufficient", Code::AUTH_ERR), Action::Ignore);
        assert_eq!(
            of("success=2 default=ignore", Code::SUCCESS),
            Action::Jump(2)
        );
        assert_eq!(of("default=die success = ok", Code::SUCCESS), Action::Ok);
        assert_eq!(of("success=ok", Code::AUTH_ERR), Action::Bad);
        assert_eq!(of("sufficent", Code::SUCCESS), Action::Bad);
        assert_eq!(of("success=0", Code::SUCCESS), Action::Bad);
    }
}
