//! The whole sudo policy: files in the order sudo reads them, aliases put in, rules taken apart.

use std::collections::{BTreeMap, BTreeSet};

use super::grammar::{self, AliasKind, CommandSpec, Entry, Member, Scope, Setting};
use crate::host::{FileKind, HostError};
use crate::probe::{Observation, Unobservable};

/// Deepest nesting of included files; sudo itself stops at 128.
const MAX_DEPTH: usize = 32;
/// Most files, each counted as often as it is included.
const MAX_FILES: usize = 1000;
/// Most rules after aliases are put in; each is held against all later ones.
const MAX_RULES: usize = 2500;
/// Most settings of all `Defaults` lines.
const MAX_DEFAULTS: usize = 2500;
/// Most members that are looked at while aliases are put in.
const MAX_MEMBERS: usize = 200_000;
/// Most users and hosts that the rules name altogether.
const MAX_NAMES: usize = 200_000;
const MAX_BYTES: usize = 1024 * 1024;
/// Most bytes of all files together: a directory that includes itself is read again by each of its files.
const MAX_ALL_BYTES: usize = 2 * MAX_BYTES;

/// A rule for one subject and one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Who: `root`, `%sudo`, `#1000`, `+netgroup`, `ALL`.
    pub subject: String,
    /// Who is left out of it.
    pub except: Vec<String>,
    /// Hosts, negated ones with `!`.
    pub hosts: Vec<String>,
    /// Users it may be run as, negated ones with `!`; `root` if the rule names none.
    pub run_as: Vec<String>,
    /// The command with its arguments.
    pub command: String,
    /// The command is forbidden, not granted.
    pub negated: bool,
    /// `NOPASSWD` or `PASSWD`, where given.
    pub authenticate: Option<bool>,
    /// File and line.
    pub source: String,
}

/// A setting with what it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Default {
    pub scope: &'static str,
    pub targets: Vec<String>,
    pub setting: Setting,
    pub source: String,
}

/// What all files say together.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub rules: Vec<Rule>,
    pub defaults: Vec<Default>,
    /// Lines that sudo leaves out, files it refuses.
    pub problems: Vec<String>,
    /// Files of an include directory that sudo passes over for their names.
    pub ignored: Vec<String>,
    /// Nothing was cut off.
    pub complete: bool,
}

type Aliases = BTreeMap<(AliasKind, String), Vec<Member>>;
type RawRule = (String, Vec<Member>, Vec<(Vec<Member>, Vec<CommandSpec>)>);

struct Loader<'o, 'h> {
    observation: &'o mut Observation<'h>,
    host_name: String,
    aliases: Aliases,
    raw: Vec<RawRule>,
    policy: Policy,
    files: usize,
    bytes: usize,
    members: usize,
}

/// Loads the policy that begins at `path`.
///
/// # Errors
/// [`Unobservable`] if a file exists and cannot be read.
pub(super) fn load(
    observation: &mut Observation<'_>,
    path: &str,
    host_name: &str,
) -> Result<Policy, Unobservable> {
    let mut loader = Loader {
        observation,
        host_name: host_name.to_owned(),
        aliases: Aliases::new(),
        raw: Vec::new(),
        policy: Policy {
            complete: true,
            ..Policy::default()
        },
        files: 0,
        bytes: 0,
        members: 0,
    };
    loader.file(path, 0)?;
    Ok(loader.finish())
}

impl Loader<'_, '_> {
    fn file(&mut self, path: &str, depth: usize) -> Result<(), Unobservable> {
        if depth > MAX_DEPTH {
            self.policy
                .problems
                .push(format!("{path}: included too deeply"));
            return Ok(());
        }
        self.files += 1;
        if self.files > MAX_FILES {
            self.policy.complete = false;
            return Ok(());
        }
        let Some(stat) = self.observation.stat(path)? else {
            self.policy.problems.push(format!("{path}: does not exist"));
            return Ok(());
        };
        let refused = if stat.kind != FileKind::Regular {
            Some("is no regular file")
        } else if stat.uid != 0 {
            Some("is not owned by root")
        } else if stat.mode & 0o002 != 0 || (stat.mode & 0o020 != 0 && stat.gid != 0) {
            Some("is writable by others")
        } else {
            None
        };
        if let Some(why) = refused {
            self.policy
                .problems
                .push(format!("{path}: {why}, so sudo refuses it"));
            return Ok(());
        }
        let bytes = self.observation.bytes(path, MAX_BYTES)?.unwrap_or_default();
        self.bytes += bytes.len();
        if self.bytes > MAX_ALL_BYTES {
            self.policy.complete = false;
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (number, line) in grammar::logical_lines(&text) {
            let source = format!("{path}:{number}");
            match grammar::entry(&line) {
                Ok(Some(entry)) => self.entry(path, &source, entry, depth)?,
                Ok(None) => {}
                Err(problem) => self.policy.problems.push(format!("{source}: {problem}")),
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: &str,
        source: &str,
        entry: Entry,
        depth: usize,
    ) -> Result<(), Unobservable> {
        match entry {
            Entry::Include(other) => {
                let other = self.resolve(path, &other);
                self.file(&other, depth + 1)?;
            }
            Entry::IncludeDir(other) => {
                let other = self.resolve(path, &other);
                self.directory(&other, depth + 1)?;
            }
            Entry::Alias(kind, aliases) => {
                for (name, members) in aliases {
                    self.aliases.insert((kind, name), members);
                }
            }
            Entry::Defaults(scope, settings) => self.defaults(source, &scope, settings),
            Entry::Rule(users, privileges) => self.raw.push((source.to_owned(), users, privileges)),
        }
        Ok(())
    }

    /// A path as sudo resolves it: relative to the including file's directory, `%h` is the host's short name.
    fn resolve(&self, from: &str, path: &str) -> String {
        let short = self.host_name.split('.').next().unwrap_or_default();
        let path = path.replace("%h", short);
        if path.starts_with('/') {
            return path;
        }
        let directory = from.rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{directory}/{path}")
    }

    fn directory(&mut self, path: &str, depth: usize) -> Result<(), Unobservable> {
        for entry in self.observation.list(path)?.unwrap_or_default() {
            let file = format!("{}/{}", path.trim_end_matches('/'), entry.name);
            if entry.name.contains('.') || entry.name.ends_with('~') {
                self.policy.ignored.push(file);
                continue;
            }
            match self.observation.host().stat(&file) {
                Ok(stat) if stat.kind == FileKind::Regular => self.file(&file, depth)?,
                Ok(_) | Err(HostError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn defaults(&mut self, source: &str, scope: &Scope, settings: Vec<Setting>) {
        if self.policy.defaults.len() + settings.len() > MAX_DEFAULTS {
            self.policy.complete = false;
            return;
        }
        let (scope, targets) = match scope {
            Scope::Global => ("all", &Vec::new()),
            Scope::User(members) => ("user", members),
            Scope::Host(members) => ("host", members),
            Scope::RunAs(members) => ("run-as", members),
            Scope::Command(members) => ("command", members),
        };
        let targets: Vec<String> = targets.iter().map(written).collect();
        self.policy
            .defaults
            .extend(settings.into_iter().map(|setting| Default {
                scope,
                targets: targets.clone(),
                setting,
                source: source.to_owned(),
            }));
    }

    fn finish(mut self) -> Policy {
        let mut names = 0;
        for (source, users, privileges) in std::mem::take(&mut self.raw) {
            for (hosts, specs) in privileges {
                let users = self.expand(AliasKind::User, &users);
                let hosts = self.expand(AliasKind::Host, &hosts);
                let except: Vec<String> = users
                    .iter()
                    .filter(|user| user.negated)
                    .map(|user| user.name.clone())
                    .collect();
                for spec in specs {
                    let run_as = match &spec.run_as_users {
                        None => vec!["root".to_owned()],
                        Some(members) => self
                            .expand(AliasKind::RunAs, members)
                            .iter()
                            .map(written)
                            .collect(),
                    };
                    let commands =
                        self.expand(AliasKind::Command, std::slice::from_ref(&spec.command));
                    for command in &commands {
                        for user in users.iter().filter(|user| !user.negated) {
                            names += except.len() + hosts.len() + run_as.len();
                            if self.policy.rules.len() == MAX_RULES || names > MAX_NAMES {
                                self.policy.complete = false;
                                return self.policy;
                            }
                            self.policy.rules.push(Rule {
                                subject: user.name.clone(),
                                except: except.clone(),
                                hosts: hosts.iter().map(written).collect(),
                                run_as: run_as.clone(),
                                command: command.name.clone(),
                                negated: command.negated,
                                authenticate: spec.authenticate,
                                source: source.clone(),
                            });
                        }
                    }
                }
            }
        }
        self.policy
    }

    fn expand(&mut self, kind: AliasKind, members: &[Member]) -> Vec<Member> {
        let mut found = Vec::new();
        self.expand_into(kind, members, false, &mut BTreeSet::new(), &mut found);
        found
    }

    fn expand_into(
        &mut self,
        kind: AliasKind,
        members: &[Member],
        negated: bool,
        open: &mut BTreeSet<String>,
        found: &mut Vec<Member>,
    ) {
        for member in members {
            self.members += 1;
            if self.members > MAX_MEMBERS {
                self.policy.complete = false;
                return;
            }
            let key = (kind, member.name.clone());
            let inner = self
                .aliases
                .get(&key)
                .cloned()
                .filter(|_| found.len() < MAX_RULES);
            match inner {
                Some(inner) if open.insert(member.name.clone()) => {
                    self.expand_into(kind, &inner, negated != member.negated, open, found);
                    open.remove(&member.name);
                }
                Some(_) => self
                    .policy
                    .problems
                    .push(format!("alias {} contains itself", member.name)),
                None => found.push(Member {
                    name: member.name.clone(),
                    negated: negated != member.negated,
                }),
            }
        }
    }
}

fn written(member: &Member) -> String {
    let sign = if member.negated { "!" } else { "" };
    format!("{sign}{}", member.name)
}

impl Rule {
    /// Whether `later` leaves nothing of this rule: sudo takes the last rule that matches.
    pub(super) fn is_overridden_by(&self, later: &Rule) -> bool {
        let covers = |all: &[String], some: &[String]| {
            all == some
                || (all.iter().any(|item| item == "ALL")
                    && !all.iter().any(|item| item.starts_with('!')))
        };
        later.except.is_empty()
            && (later.subject == self.subject || later.subject == "ALL")
            && covers(&later.hosts, &self.hosts)
            && covers(&later.run_as, &self.run_as)
            && (later.command == self.command || later.command == "ALL")
    }

    /// Whether it can mean this host: false only for plain names of other hosts.
    pub(super) fn is_here(&self, host_name: &str) -> bool {
        let short = host_name.split('.').next().unwrap_or_default();
        let plain = |name: &str| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
                && name.chars().any(|c| c.is_ascii_alphabetic())
        };
        host_name.is_empty()
            || self.hosts.iter().any(|name| {
                name == "ALL"
                    || (!name.starts_with('!')
                        && (!plain(name)
                            || name.eq_ignore_ascii_case(host_name)
                            || name
                                .split('.')
                                .next()
                                .is_some_and(|first| first.eq_ignore_ascii_case(short))))
            })
    }
}
