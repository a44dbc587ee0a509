//! What each class of events needs, and whether loaded rules record it.
//!
//! The kernel walks the rules of the exit list in order and the first that matches decides, so a `never` rule hides what
//! stands behind it. A `task` rule decides when a process starts: `never` there makes all its later events invisible.
//! An `exclude` rule drops whole record types afterwards.

use schemars::JsonSchema;
use serde::Serialize;

use super::rule::{Calls, Condition, Rule};

/// A class of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClassName {
    /// Changes of the account files.
    Identity,
    /// Changes of the sudo rules.
    Sudoers,
    /// Changes of the log-on and session records.
    Sessions,
    /// Changes of the clock or the time zone.
    TimeChange,
    /// Loading and unloading of kernel modules.
    ModuleLoad,
    /// Changes of the mandatory access control policy.
    MacPolicy,
    /// Programs run with more rights than the caller has.
    PrivilegedExecution,
    /// Changes of permissions, owners and extended attributes by users.
    PermissionChange,
    /// Access by users that was refused.
    FailedAccess,
    /// Mounts by users.
    Mount,
    /// Files deleted or renamed by users.
    Delete,
    /// Changes of the audit configuration.
    AuditConfig,
}

/// The two system call interfaces a 64-bit kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abi {
    B64,
    B32,
}

impl Abi {
    const fn name(self) -> &'static str {
        match self {
            Abi::B64 => "b64",
            Abi::B32 => "b32",
        }
    }
}

/// Something that must be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A file is written or its attributes change.
    WriteFile(String),
    /// Anything in a directory is written or its attributes change.
    WriteBeneath(String),
    /// A system call is made, and fails with this error if one is given.
    Call(&'static str, Option<&'static str>),
    /// A program is run.
    Execute(String),
    /// Any program is run with other rights than the caller's.
    ExecuteRaised,
}

/// An event on one interface, and whether rules may leave out what no logged-on user did.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub(super) event: Event,
    pub(super) abi: Abi,
    pub(super) users_only: bool,
}

/// How a need stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Covered,
    Missing,
    /// Covered by a rule that this one keeps from being reached or heard.
    Hidden(String),
}

impl Need {
    pub(super) fn describe(&self) -> String {
        let abi = self.abi.name();
        match &self.event {
            Event::WriteFile(path) => format!("write {path} ({abi})"),
            Event::WriteBeneath(path) => format!("write beneath {path} ({abi})"),
            Event::Call(call, None) => format!("{call} ({abi})"),
            Event::Call(call, Some(exit)) => format!("{call} failing with {exit} ({abi})"),
            Event::Execute(path) => format!("execute {path} ({abi})"),
            Event::ExecuteRaised => format!("execute with raised rights ({abi})"),
        }
    }

    /// Walks the rules as the kernel does.
    pub(super) fn standing(&self, rules: &[Rule]) -> Standing {
        let mut hidden = rules
            .iter()
            .find(|rule| self.silenced_by(rule))
            .map(|rule| rule.text.clone());
        for rule in rules.iter().filter(|rule| rule.list == "exit") {
            if !rule.never && self.recorded_by(rule) {
                return hidden.map_or(Standing::Covered, Standing::Hidden);
            }
            if rule.never && hidden.is_none() && self.passed_over_by(rule) {
                hidden = Some(rule.text.clone());
            }
        }
        Standing::Missing
    }

    /// An `always` rule of the exit list matches every such event.
    fn recorded_by(&self, rule: &Rule) -> bool {
        let selected = match &self.event {
            Event::WriteFile(path) => {
                rule.calls == Calls::All && names_path(rule, path, false) && permits(rule, "wa")
            }
            Event::WriteBeneath(path) => {
                rule.calls == Calls::All && names_path(rule, path, true) && permits(rule, "wa")
            }
            Event::Execute(path) => {
                let runs = rule.calls == Calls::All || rule.has_call("execve");
                runs && names_path(rule, path, false) && permits(rule, "x")
            }
            Event::Call(call, _) => rule.has_call(call),
            Event::ExecuteRaised => rule.has_call("execve"),
        };
        selected
            && rule
                .conditions
                .iter()
                .all(|condition| self.admits(condition))
    }

    /// The condition holds for every event of this kind.
    fn admits(&self, condition: &Condition) -> bool {
        let is_path = matches!(
            self.event,
            Event::WriteFile(_) | Event::WriteBeneath(_) | Event::Execute(_)
        );
        match condition.field.as_str() {
            "key" => true,
            "arch" => condition.is("arch", "=", self.abi.name()),
            // Looked at by `recorded_by`.
            "path" | "dir" | "perm" => is_path && condition.operator == "=",
            "auid" => self.users_only && is_user_filter(condition),
            "exit" | "success" => match self.event {
                Event::Call(_, Some(exit)) => {
                    condition.is("exit", "=", exit) || condition.is("success", "=", "0")
                }
                _ => false,
            },
            // The clock that people see is number 0.
            "a0" => {
                self.event == Event::Call("clock_settime", None) && condition.is("a0", "=", "0x0")
            }
            "euid" => self.event == Event::ExecuteRaised && condition.is("euid", "=", "0"),
            "uid" => {
                self.event == Event::ExecuteRaised
                    && condition.operator == "!="
                    && matches!(condition.value.as_str(), "euid" | "0")
            }
            _ => false,
        }
    }

    /// A `never` rule of the exit list takes such events, or may take some that count.
    fn passed_over_by(&self, rule: &Rule) -> bool {
        let calls = match (&rule.calls, &self.event) {
            (Calls::All, _) => true,
            (Calls::Some(_), Event::Call(call, _)) => rule.has_call(call),
            (Calls::Some(_), Event::Execute(_) | Event::ExecuteRaised) => rule.has_call("execve"),
            (Calls::Some(named), Event::WriteFile(_) | Event::WriteBeneath(_)) => {
                named.iter().any(|call| writes(call))
            }
        };
        calls && !self.spared_by(rule)
    }

    /// The rule is so narrow that it leaves alone what the class is about.
    fn spared_by(&self, rule: &Rule) -> bool {
        let path = rule.value("path").or_else(|| rule.value("dir"));
        let elsewhere = match (&self.event, path) {
            (_, None) => false,
            (
                Event::WriteFile(wanted) | Event::WriteBeneath(wanted) | Event::Execute(wanted),
                Some(path),
            ) => !contains(path, wanted) && !contains(wanted, path),
            (Event::Call(..) | Event::ExecuteRaised, Some(_)) => true,
        };
        let other_abi = rule
            .value("arch")
            .is_some_and(|arch| arch != self.abi.name());
        elsewhere
            || other_abi
            || rule
                .conditions
                .iter()
                .any(|condition| match condition.field.as_str() {
                    "exe" | "filetype" | "fstype" | "msgtype" => condition.operator == "=",
                    field if field.starts_with("subj_") || field.starts_with("obj_") => {
                        condition.operator == "="
                    }
                    "auid" if condition.is("auid", "=", "-1") => self.users_only,
                    "uid" | "auid" | "euid" | "gid" => {
                        // One service account; people begin at 1000.
                        condition.operator == "="
                            && condition
                                .value
                                .parse::<u32>()
                                .is_ok_and(|id| (1..1000).contains(&id))
                    }
                    _ => false,
                })
    }

    /// A rule outside the exit list keeps the records of such events from being written at all.
    fn silenced_by(&self, rule: &Rule) -> bool {
        match rule.list.as_str() {
            "task" => rule.never && !self.spared_by(rule),
            // The kernel drops what matches whatever the action says.
            "exclude" => {
                let by_type = rule
                    .conditions
                    .iter()
                    .any(|condition| condition.field == "msgtype");
                if by_type {
                    self.records().iter().any(|kind| {
                        rule.conditions
                            .iter()
                            .all(|condition| excludes(condition, *kind))
                    })
                } else {
                    !self.spared_by(rule)
                }
            }
            _ => false,
        }
    }

    /// The record types without which the event cannot be understood: SYSCALL, and PATH or EXECVE.
    fn records(&self) -> &'static [(&'static str, u32)] {
        match self.event {
            Event::WriteFile(_) | Event::WriteBeneath(_) => &[("SYSCALL", 1300), ("PATH", 1302)],
            Event::Execute(_) | Event::ExecuteRaised => &[("SYSCALL", 1300), ("EXECVE", 1309)],
            Event::Call("init_module" | "finit_module" | "delete_module", _) => {
                &[("SYSCALL", 1300), ("KERN_MODULE", 1330)]
            }
            Event::Call(..) => &[("SYSCALL", 1300)],
        }
    }
}

fn excludes(condition: &Condition, (name, number): (&str, u32)) -> bool {
    if condition.field != "msgtype" {
        // Narrower than the type alone; what is left out by it may be what counts.
        return !matches!(condition.field.as_str(), "exe" | "subj_type");
    }
    let wanted = match condition.value.parse::<u32>() {
        Ok(wanted) => wanted,
        Err(_) => return condition.operator == "=" && condition.value == name,
    };
    match condition.operator.as_str() {
        "=" => number == wanted,
        "!=" => number != wanted,
        "<" => number < wanted,
        "<=" => number <= wanted,
        ">" => number > wanted,
        ">=" => number >= wanted,
        _ => true,
    }
}

/// `auid>=N` with N no higher than the first ordinary account, or `auid!=-1`.
fn is_user_filter(condition: &Condition) -> bool {
    match condition.operator.as_str() {
        "!=" => condition.value == "-1",
        ">=" => condition.value.parse::<u32>().is_ok_and(|id| id <= 1000),
        ">" => condition.value.parse::<u32>().is_ok_and(|id| id < 1000),
        _ => false,
    }
}

/// Calls through which the content, the name or the attributes of a file change.
fn writes(call: &str) -> bool {
    [
        "open",
        "creat",
        "rename",
        "unlink",
        "truncate",
        "ftruncate",
        "chmod",
        "chown",
        "fch",
        "lchown",
        "setxattr",
        "lsetxattr",
        "fsetxattr",
    ]
    .iter()
    .any(|start| call.starts_with(start))
}

fn permits(rule: &Rule, wanted: &str) -> bool {
    rule.value("perm")
        .is_none_or(|perm| wanted.chars().all(|letter| perm.contains(letter)))
}

fn names_path(rule: &Rule, wanted: &str, beneath: bool) -> bool {
    let file = rule
        .value("path")
        .is_some_and(|path| !beneath && path == wanted);
    let directory = rule.value("dir").is_some_and(|dir| contains(dir, wanted));
    file || directory
}

/// `path` is `directory` or lies in it.
fn contains(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || directory == "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lines: &[&str]) -> Vec<Rule> {
        lines
            .iter()
            .map(|line| Rule::parse(line).unwrap())
            .collect()
    }

    fn need(event: Event, users_only: bool) -> Need {
        Need {
            event,
            abi: Abi::B64,
            users_only,
        }
    }

    const PASSWD: &str = "-w /etc/passwd -p wa -k identity";
    const CHMOD: &str =
        "-a always,exit -F arch=b64 -S chmod,fchmod -F auid>=1000 -F auid!=-1 -F key=perm";

    #[test]
    fn an_equal_rule_covers_whatever_its_form() {
        let passwd = need(Event::WriteFile("/etc/passwd".to_owned()), false);
        for line in [
            PASSWD,
            "-w /etc/passwd -p rwxa",
            "-a always,exit -F arch=b64 -S all -F path=/etc/passwd -F perm=wa -F key=x",
            "-a exit,always -F dir=/etc/ -F perm=wa",
        ] {
            assert_eq!(
                passwd.standing(&rules(&[line])),
                Standing::Covered,
                "{line}"
            );
        }
        for line in [
            "-w /etc/passwd -p w",
            "-w /etc/passwd- -p wa",
            "-w /etc -p wa",
            "-a always,exit -F arch=b32 -F path=/etc/passwd -F perm=wa",
            "-a always,exit -F path=/etc/passwd -F perm=wa -F auid>=1000",
            "-a always,exit -F path=/etc/passwd -F perm=wa -F success=0",
            "-a always,exit -S unlink -F path=/etc/passwd -F perm=wa",
            "-a always,task -F path=/etc/passwd",
        ] {
            assert_eq!(
                passwd.standing(&rules(&[line])),
                Standing::Missing,
                "{line}"
            );
        }
        let chmod = need(Event::Call("chmod", None), true);
        assert_eq!(chmod.standing(&rules(&[CHMOD])), Standing::Covered);
        for line in [
            "-a always,exit -F arch=b64 -S chmod -F auid>=2000",
            "-a always,exit -F arch=b64 -S chmod -F auid=1000",
            "-a always,exit -F arch=b64 -S fchmod",
            "-a always,exit -F arch=b64 -S chmod -F dir=/home",
        ] {
            assert_eq!(chmod.standing(&rules(&[line])), Standing::Missing, "{line}");
        }
    }

    #[test]
    fn a_never_rule_hides_only_what_stands_behind_it() {
        let passwd = need(Event::WriteFile("/etc/passwd".to_owned()), false);
        for never in [
            "-a never,exit -S all",
            "-a never,task",
            "-a never,exit -F uid=0",
            "-a never,exit -F dir=/etc",
            "-a never,exit -F arch=b64 -S openat",
            "-a never,exclude -F msgtype=PATH",
            "-a always,exclude -F msgtype>=1300",
        ] {
            assert!(
                matches!(
                    passwd.standing(&rules(&[never, PASSWD])),
                    Standing::Hidden(_)
                ),
                "{never}"
            );
        }
        for harmless in [
            "-a never,exit -F exe=/usr/sbin/chronyd",
            "-a never,exit -F arch=b32 -S all",
            "-a never,exit -F dir=/var/tmp",
            "-a always,exclude -F msgtype=CWD",
            "-a never,filesystem -F fstype=1684170528",
        ] {
            assert_eq!(
                passwd.standing(&rules(&[harmless, PASSWD])),
                Standing::Covered,
                "{harmless}"
            );
        }
        assert_eq!(
            passwd.standing(&rules(&[PASSWD, "-a never,exit -S all"])),
            Standing::Covered
        );
        // A task rule has no order against the exit list.
        assert!(matches!(
            passwd.standing(&rules(&[PASSWD, "-a never,task"])),
            Standing::Hidden(_)
        ));
    }

    #[test]
    fn refused_access_needs_both_errors() {
        let line = "-a always,exit -F arch=b64 -S openat -F exit=-EACCES -F auid>=1000";
        assert_eq!(
            need(Event::Call("openat", Some("-EACCES")), true).standing(&rules(&[line])),
            Standing::Covered
        );
        assert_eq!(
            need(Event::Call("openat", Some("-EPERM")), true).standing(&rules(&[line])),
            Standing::Missing
        );
    }
}
