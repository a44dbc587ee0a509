//! The rules that are in the kernel after the next boot: auditctl(8) reads a file line by line and stops at the first that is
//! wrong or that the kernel refuses, unless `-i` or `-c` stands before it.

use super::merged;
use super::road::{Loading, Road};
use crate::host::FileKind;
use crate::probe::quoted::quoted;
use crate::probe::unit::boot::is_executable;
use crate::probe::{Observation, Unobservable};

/// Most lines read of all files together.
const MAX_LINES: usize = 20_000;

/// The rules after the next boot.
#[derive(Debug, Clone, Default)]
pub(in crate::probe) struct RulesAtBoot {
    /// What loads them; absent if nothing does.
    pub by: Option<String>,
    /// The rules in the order of the kernel, in the form that `auditctl -l` writes.
    pub lines: Vec<String>,
    /// The last `-e`.
    pub enable: Option<u8>,
    /// The line at which loading stops, and why.
    pub stops_at: Option<String>,
}

/// Follows what loads rules at boot.
pub(super) fn at_boot(
    observation: &mut Observation<'_>,
    road: &Road,
) -> Result<RulesAtBoot, Unobservable> {
    let mut loader = Loader::default();
    for step in &road.steps {
        let (program, lines) = match step {
            Loading::Merged => ("augenrules", merged::lines(observation)?),
            Loading::File(file) => ("auditctl", of_file(observation, file, &mut loader)?),
        };
        let tools = [program, "auditctl"];
        if !tools_are_there(observation, &tools)? {
            loader.stop(program, "auditctl or augenrules is not there to be run");
            continue;
        }
        loader.tolerant = false;
        loader.load(observation, &lines)?;
    }
    loader.rules.by.clone_from(&road.by);
    Ok(loader.rules)
}

fn tools_are_there(
    observation: &mut Observation<'_>,
    names: &[&str],
) -> Result<bool, Unobservable> {
    for name in names {
        let mut there = false;
        for directory in ["/sbin", "/usr/sbin", "/usr/bin"] {
            there = there || is_executable(observation, &format!("{directory}/{name}"))?;
        }
        if !there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// auditctl reads no file that another than root owns or that all may write.
fn of_file(
    observation: &mut Observation<'_>,
    file: &str,
    loader: &mut Loader,
) -> Result<Vec<String>, Unobservable> {
    let Some(stat) = observation.stat(file)? else {
        return Ok(Vec::new());
    };
    if stat.uid != 0 || stat.mode & 0o002 != 0 {
        loader.stop(
            file,
            "not root's alone to change, so auditctl does not read it",
        );
        return Ok(Vec::new());
    }
    Ok(merged::split(&observation.text(file)?.unwrap_or_default()))
}

/// Why a line is not loaded.
enum Refused {
    /// auditctl or the kernel refuses it.
    Line(String),
    /// It is not known what it does.
    Unknown(Unobservable),
}

impl From<Unobservable> for Refused {
    fn from(problem: Unobservable) -> Refused {
        Refused::Unknown(problem)
    }
}

#[derive(Default)]
struct Loader {
    rules: RulesAtBoot,
    /// `-i` or `-c`: a refused line does not end the loading.
    tolerant: bool,
    locked: bool,
    read: usize,
}

impl Loader {
    fn stop(&mut self, at: &str, why: &str) {
        self.rules.stops_at.get_or_insert(format!("{at}: {why}"));
    }

    fn load(
        &mut self,
        observation: &mut Observation<'_>,
        lines: &[String],
    ) -> Result<(), Unobservable> {
        for line in lines {
            self.read += 1;
            if self.read > MAX_LINES {
                return Err(Unobservable::unparsable(
                    "audit rules",
                    format!("more than {MAX_LINES} lines"),
                ));
            }
            match self.line(observation, line) {
                Ok(()) => {}
                Err(Refused::Unknown(problem)) => return Err(problem),
                Err(Refused::Line(why)) => {
                    let shown: String = line.trim().chars().take(120).collect();
                    self.stop(&shown, &why);
                    if !self.tolerant {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, observation: &mut Observation<'_>, line: &str) -> Result<(), Refused> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (first, rest) = match words.split_first() {
            Some((first, rest)) => (*first, rest),
            None => return Ok(()),
        };
        if self.locked {
            return Err(Refused::Line("-e 2 before it locked the rules".to_owned()));
        }
        match first {
            "-i" | "-c" if rest.is_empty() => self.tolerant = true,
            "-D" if rest.is_empty() => self.rules.lines.clear(),
            "-e" => self.enable(rest)?,
            "-b" | "-f" | "-r" | "--backlog_wait_time" => number(rest)?,
            "--loginuid-immutable" | "--reset-lost" if rest.is_empty() => {}
            "-a" | "-A" | "-w" => {
                let text = rule(observation, &words)?;
                if self.rules.lines.contains(&text) {
                    return Err(Refused::Line("it is there twice".to_owned()));
                }
                if first == "-A" {
                    self.rules.lines.insert(0, text);
                } else {
                    self.rules.lines.push(text);
                }
            }
            "-d" | "-W" | "-D" | "-t" | "-q" | "-R" => return Err(unknown(first)),
            other => return Err(Refused::Line(format!("{} is no option", quoted(other)))),
        }
        Ok(())
    }

    fn enable(&mut self, rest: &[&str]) -> Result<(), Refused> {
        match rest {
            ["0"] => self.rules.enable = Some(0),
            ["1"] => self.rules.enable = Some(1),
            ["2"] => {
                self.rules.enable = Some(2);
                self.locked = true;
            }
            _ => return Err(Refused::Line("-e takes 0, 1 or 2".to_owned())),
        }
        Ok(())
    }
}

fn unknown(what: &str) -> Refused {
    Refused::Unknown(Unobservable::unparsable(
        "audit rules",
        format!("what {} does there is not followed", quoted(what)),
    ))
}

fn number(words: &[&str]) -> Result<(), Refused> {
    match words {
        [value] if value.parse::<u32>().is_ok() => Ok(()),
        _ => Err(Refused::Line("it takes one number".to_owned())),
    }
}

/// A rule in the form of `auditctl -l`.
fn rule(observation: &mut Observation<'_>, words: &[&str]) -> Result<String, Refused> {
    if words.iter().any(|word| word.contains(['"', '\''])) {
        return Err(unknown("a quotation mark"));
    }
    let mut pairs = Vec::new();
    for pair in words.chunks(2) {
        match pair {
            [option, value] => pairs.push((*option, *value)),
            _ => return Err(Refused::Line("its last option has no value".to_owned())),
        }
    }
    let is_watch = words.first() == Some(&"-w");
    let never = pairs.iter().any(|(option, value)| {
        matches!(*option, "-a" | "-A") && value.split(',').any(|word| word == "never")
    });
    let has_arch = pairs
        .iter()
        .any(|(option, value)| *option == "-F" && value.starts_with("arch"));
    let mut text = String::new();
    let mut calls = false;
    for (option, value) in pairs {
        let written = match option {
            "-a" | "-A" => format!("-a {value}"),
            "-w" => watch(observation, value)?,
            "-p" if is_watch => format!("-F perm={value}"),
            "-k" => format!("-F key={value}"),
            "-C" => format!("-C {value}"),
            "-S" => {
                calls = true;
                format!("-S {}", named_calls(value, has_arch || never)?)
            }
            "-F" if value.starts_with("arch") && calls => {
                return Err(Refused::Line("arch must stand before -S".to_owned()));
            }
            "-F" => format!("-F {}", field(observation, value)?),
            other => return Err(Refused::Line(format!("{} is no option", quoted(other)))),
        };
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&written);
    }
    Ok(text)
}

/// A watch is one of a directory if its path leads to one now.
fn watch(observation: &mut Observation<'_>, path: &str) -> Result<String, Refused> {
    let path = match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    let kind = if is_directory(observation, path)? {
        "dir"
    } else {
        needs_parent(observation, path)?;
        "path"
    };
    Ok(format!("-a always,exit -S all -F {kind}={path}"))
}

fn is_directory(observation: &mut Observation<'_>, path: &str) -> Result<bool, Refused> {
    Ok(path.starts_with('/')
        && observation
            .stat(path)?
            .is_some_and(|stat| stat.kind == FileKind::Directory))
}

/// The kernel refuses a rule on a file whose directory is not there.
fn needs_parent(observation: &mut Observation<'_>, path: &str) -> Result<(), Refused> {
    let parent = match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
        None => return Err(Refused::Line("its path does not begin with /".to_owned())),
    };
    if is_directory(observation, parent)? {
        Ok(())
    } else {
        Err(Refused::Line(format!("{parent} does not exist")))
    }
}

/// Without `arch`, a name is looked up for the auditctl that runs and means something else on the other interface: such a
/// rule counts for none.
fn named_calls(value: &str, counts: bool) -> Result<String, Refused> {
    let mut names = Vec::new();
    for name in value.split(',') {
        if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unknown("a system call by number"));
        }
        names.push(if counts || name == "all" {
            name.to_owned()
        } else {
            format!("{name}(without-arch)")
        });
    }
    Ok(names.join(","))
}

/// A condition, with names of accounts and processor families as the kernel keeps them.
fn field(observation: &mut Observation<'_>, text: &str) -> Result<String, Refused> {
    let start = text
        .find(['=', '!', '<', '>', '&'])
        .ok_or_else(|| Refused::Line("a condition without an operator".to_owned()))?;
    let (name, rest) = text.split_at(start);
    let value = rest.trim_start_matches(['=', '!', '<', '>', '&']);
    let operator = rest.strip_suffix(value).unwrap_or_default();
    let value = match name {
        "dir" if !is_directory(observation, value)? => {
            return Err(Refused::Line(format!("{value} does not exist")));
        }
        "path" | "exe" => {
            needs_parent(observation, value.trim_end_matches('/'))?;
            value.to_owned()
        }
        "arch" => match value {
            "b64" | "x86_64" | "aarch64" => "b64".to_owned(),
            "b32" | "i386" | "i686" => "b32".to_owned(),
            _ => return Err(unknown("a processor family")),
        },
        "auid" | "loginuid" | "uid" | "euid" | "suid" | "fsuid" | "obj_uid" => {
            id(observation, "/etc/passwd", value)?
        }
        "gid" | "egid" | "sgid" | "fsgid" | "obj_gid" => id(observation, "/etc/group", value)?,
        _ => value.to_owned(),
    };
    Ok(format!("{name}{operator}{value}"))
}

/// A number stays; of a name the third field of its line.
fn id(observation: &mut Observation<'_>, file: &str, value: &str) -> Result<String, Refused> {
    if value == "unset" || value.parse::<i64>().is_ok() {
        return Ok(value.to_owned());
    }
    let text = observation.secret_text(file)?.unwrap_or_default();
    let found = text
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&value))
        .and_then(|fields| fields.get(2).map(|id| (*id).to_owned()));
    found.ok_or_else(|| Refused::Line(format!("{} is not in {file}", quoted(value))))
}

#[cfg(test)]
mod tests;
