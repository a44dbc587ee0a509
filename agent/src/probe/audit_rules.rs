//! Which classes of events the loaded audit rules record. On an unpacked root the rules are those that its boot would load.

mod policy;
mod rule;

use schemars::JsonSchema;
use serde::Serialize;

use self::policy::{Abi, ClassName, Event, Need, Standing};
use self::rule::Rule;
use super::audit_boot::{self, RulesAtBoot};
use super::{Observation, Probe, Unobservable, audit};
use crate::host::HostError;

/// The probe `audit_rules`.
pub struct AuditRules;

/// Facts of the loaded audit rules.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditRulesFacts {
    /// The rules could be listed: not inside a container, and the kernel has audit; on an unpacked root, something loads rules
    /// at boot.
    listed: bool,
    /// An unpacked root: what loads its rules at boot. Absent on a live host, whose kernel lists them.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_by: Option<String>,
    /// The line at which loading stops at boot, and why: those behind it are not loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    stops_at: Option<String>,
    /// How many rules are loaded.
    loaded: u64,
    /// Every class with what the rules record of it.
    classes: Vec<Class>,
    /// Rules that leave events out, in order, whether or not they hide a class.
    exceptions: Vec<String>,
}

/// How a class of events stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Class {
    /// Which.
    name: ClassName,
    /// Whether it is recorded.
    state: ClassState,
    /// What is not recorded.
    uncovered: Vec<String>,
    /// The rules that keep recording rules from being reached or heard.
    hidden_by: Vec<String>,
}

/// Whether a class is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ClassState {
    /// Everything it needs is recorded.
    Covered,
    /// Something has no rule.
    Missing,
    /// Everything has a rule, but another rule hides some of it.
    Hidden,
    /// The host has nothing of this kind.
    Absent,
}

impl Probe for AuditRules {
    const ID: &'static str = "audit_rules";
    type Facts = AuditRulesFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<AuditRulesFacts, Unobservable> {
        let mut at_boot = RulesAtBoot::default();
        let listed = if !observation.is_live() {
            at_boot = audit_boot::read(observation)?.rules;
            at_boot.by.is_some().then(|| at_boot.lines.clone())
        } else if audit::is_reachable(observation)? {
            list(observation)?
        } else {
            None
        };
        let Some(lines) = listed else {
            return Ok(AuditRulesFacts {
                listed: false,
                loaded_by: None,
                stops_at: at_boot.stops_at,
                loaded: 0,
                classes: Vec::new(),
                exceptions: Vec::new(),
            });
        };
        let rules = lines
            .iter()
            .map(|line| {
                Rule::parse(line).map_err(|problem| {
                    Unobservable::unparsable("audit rule", format!("{line}: {problem}"))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let machine = Machine::read(observation)?;
        let mut classes = Vec::new();
        for name in CLASSES {
            let needs = machine.needs(observation, name)?;
            classes.push(class(name, needs, &rules));
        }
        Ok(AuditRulesFacts {
            listed: true,
            loaded_by: at_boot.by,
            stops_at: at_boot.stops_at,
            loaded: rules.len() as u64,
            classes,
            exceptions: rules
                .iter()
                .filter(|rule| rule.never || rule.list == "exclude")
                .map(|rule| rule.text.clone())
                .collect(),
        })
    }
}

const CLASSES: [ClassName; 12] = [
    ClassName::Identity,
    ClassName::Sudoers,
    ClassName::Sessions,
    ClassName::TimeChange,
    ClassName::ModuleLoad,
    ClassName::MacPolicy,
    ClassName::PrivilegedExecution,
    ClassName::PermissionChange,
    ClassName::FailedAccess,
    ClassName::Mount,
    ClassName::Delete,
    ClassName::AuditConfig,
];

fn list(observation: &mut Observation<'_>) -> Result<Option<Vec<String>>, Unobservable> {
    observation.note("netlink: AUDIT_LIST_RULES");
    match observation.host().audit_rules() {
        Ok(rules) => Ok(Some(rules)),
        Err(HostError::ToolMissing(_)) => Ok(None),
        Err(HostError::Permission(what)) => {
            let line = observation.text("/proc/cmdline")?.unwrap_or_default();
            if line
                .split_whitespace()
                .any(|word| matches!(word, "audit=0" | "audit=off"))
            {
                Ok(None)
            } else {
                Err(HostError::Permission(what).into())
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Every alternative is a way to record the class; the best one counts.
fn class(name: ClassName, alternatives: Vec<Vec<Need>>, rules: &[Rule]) -> Class {
    let mut best: Option<Class> = None;
    for needs in alternatives {
        let mut found = Class {
            name,
            state: if needs.is_empty() {
                ClassState::Absent
            } else {
                ClassState::Covered
            },
            uncovered: Vec::new(),
            hidden_by: Vec::new(),
        };
        for need in needs {
            match need.standing(rules) {
                Standing::Covered => {}
                Standing::Missing => {
                    found.state = ClassState::Missing;
                    found.uncovered.push(need.describe());
                }
                Standing::Hidden(rule) => {
                    if found.state != ClassState::Missing {
                        found.state = ClassState::Hidden;
                    }
                    found.uncovered.push(need.describe());
                    found.hidden_by.push(rule);
                }
            }
        }
        found.hidden_by.sort();
        found.hidden_by.dedup();
        if best.as_ref().is_none_or(|best| found.rank() < best.rank()) {
            best = Some(found);
        }
    }
    best.unwrap_or(Class {
        name,
        state: ClassState::Absent,
        uncovered: Vec::new(),
        hidden_by: Vec::new(),
    })
}

impl Class {
    fn rank(&self) -> (u8, usize) {
        let state = match self.state {
            ClassState::Covered => 0,
            ClassState::Absent => 1,
            ClassState::Hidden => 2,
            ClassState::Missing => 3,
        };
        (state, self.uncovered.len())
    }
}

/// The processor family, which decides the system calls there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    X86_64,
    Arm64,
}

const ATTRIBUTE_CALLS: [&str; 13] = [
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "lchown",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
];

/// Calls that arm64 never had: their `at` forms do their work.
const OLD_CALLS: [&str; 8] = [
    "open", "creat", "chmod", "chown", "lchown", "unlink", "rename", "rmdir",
];

/// Programs that hand out rights on most hosts.
const RAISING_PROGRAMS: [&str; 8] = [
    "/usr/bin/sudo",
    "/usr/bin/su",
    "/usr/bin/pkexec",
    "/usr/bin/passwd",
    "/usr/bin/newgrp",
    "/usr/bin/chsh",
    "/usr/bin/mount",
    "/usr/bin/umount",
];

impl Machine {
    /// From the ELF header of the host's shell: class at byte 4, machine at byte 18 (elf(5)).
    fn read(observation: &mut Observation<'_>) -> Result<Machine, Unobservable> {
        const SHELL: &str = "/bin/sh";
        let header = observation.host().read_head(SHELL, 20)?;
        observation.note("/bin/sh (ELF header)");
        match (header.get(..5), header.get(18..20)) {
            (Some(b"\x7fELF\x02"), Some([62, 0])) => Ok(Machine::X86_64),
            (Some(b"\x7fELF\x02"), Some([183, 0])) => Ok(Machine::Arm64),
            _ => Err(Unobservable::unparsable(
                SHELL,
                "neither x86-64 nor arm64; the audit policy is not known for this processor",
            )),
        }
    }

    /// Both interfaces of x86-64; arm64 servers rarely offer the 32-bit one.
    const fn abis(self) -> &'static [Abi] {
        match self {
            Machine::X86_64 => &[Abi::B64, Abi::B32],
            Machine::Arm64 => &[Abi::B64],
        }
    }

    fn needs(
        self,
        observation: &mut Observation<'_>,
        name: ClassName,
    ) -> Result<Vec<Vec<Need>>, Unobservable> {
        let files = |paths: Vec<String>| paths.into_iter().map(Event::WriteFile).collect();
        Ok(match name {
            ClassName::Identity => {
                let paths = ["passwd", "shadow", "group", "gshadow", "security/opasswd"];
                let paths = paths.map(|file| format!("/etc/{file}")).to_vec();
                vec![self.both(files(paths), false)]
            }
            ClassName::Sudoers => {
                let events = vec![
                    Event::WriteFile("/etc/sudoers".to_owned()),
                    Event::WriteBeneath("/etc/sudoers.d".to_owned()),
                ];
                vec![self.both(events, false)]
            }
            ClassName::Sessions => vec![self.both(files(session_records(observation)?), false)],
            ClassName::TimeChange => {
                let calls = ["adjtimex", "settimeofday", "clock_settime"];
                let mut events = self.calls(&calls);
                events.push(Event::WriteFile("/etc/localtime".to_owned()));
                vec![self.both(events, false)]
            }
            ClassName::ModuleLoad => {
                let calls = ["init_module", "finit_module", "delete_module"];
                vec![self.both(self.calls(&calls), true)]
            }
            ClassName::MacPolicy => vec![self.both(mac_policies(observation)?, false)],
            ClassName::PrivilegedExecution => {
                let programs = raising_programs(observation)?;
                let single = programs.into_iter().map(Event::Execute).collect();
                vec![
                    self.both(vec![Event::ExecuteRaised], true),
                    self.both(single, true),
                ]
            }
            ClassName::PermissionChange => vec![self.both(self.calls(&ATTRIBUTE_CALLS), true)],
            ClassName::FailedAccess => vec![self.both(self.refused_access(), true)],
            ClassName::Mount => vec![self.both(self.calls(&["mount"]), true)],
            ClassName::Delete => {
                let calls = ["unlink", "unlinkat", "rename", "renameat"];
                vec![self.both(self.calls(&calls), true)]
            }
            ClassName::AuditConfig => {
                let events = vec![Event::WriteBeneath("/etc/audit".to_owned())];
                vec![self.both(events, false)]
            }
        })
    }

    fn both(self, events: Vec<Event>, users_only: bool) -> Vec<Need> {
        let need = |event: &Event, abi: Abi| Need {
            event: event.clone(),
            abi,
            users_only,
        };
        self.abis()
            .iter()
            .flat_map(|abi| events.iter().map(move |event| need(event, *abi)))
            .collect()
    }

    fn has(self, call: &str) -> bool {
        self == Machine::X86_64 || !OLD_CALLS.contains(&call)
    }

    fn calls(self, names: &[&'static str]) -> Vec<Event> {
        let there = names.iter().filter(|call| self.has(call));
        there.map(|call| Event::Call(call, None)).collect()
    }

    fn refused_access(self) -> Vec<Event> {
        ["open", "openat", "creat", "truncate", "ftruncate"]
            .into_iter()
            .filter(|call| self.has(call))
            .flat_map(|call| ["-EACCES", "-EPERM"].map(|exit| Event::Call(call, Some(exit))))
            .collect()
    }
}

/// The records of log-ons that this host keeps: the databases of new distributions took the place of the old files.
fn session_records(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    const KINDS: [&[&str]; 3] = [
        &["/var/log/wtmp", "/var/lib/wtmpdb/wtmp.db"],
        &["/var/log/lastlog", "/var/lib/lastlog/lastlog2.db"],
        &["/var/log/btmp"],
    ];
    let mut records = Vec::new();
    for kind in KINDS {
        let mut there = Vec::new();
        for path in kind {
            if observation.stat(path)?.is_some() {
                there.push((*path).to_owned());
            }
        }
        if there.is_empty() {
            there.extend(kind.first().map(|path| (*path).to_owned()));
        }
        records.append(&mut there);
    }
    Ok(records)
}

/// The policy directories of the mandatory access control that is installed; none is a host without.
fn mac_policies(observation: &mut Observation<'_>) -> Result<Vec<Event>, Unobservable> {
    let mut events = Vec::new();
    for (mark, directory) in [
        ("/etc/apparmor.d", "/etc/apparmor.d"),
        ("/etc/apparmor.d", "/etc/apparmor"),
        ("/etc/selinux/config", "/etc/selinux"),
    ] {
        if observation.stat(mark)?.is_some() && observation.stat(directory)?.is_some() {
            events.push(Event::WriteBeneath(directory.to_owned()));
        }
    }
    Ok(events)
}

fn raising_programs(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    const SET_ID: u32 = 0o6000;
    let mut there = Vec::new();
    for path in RAISING_PROGRAMS {
        if observation
            .stat(path)?
            .is_some_and(|stat| stat.mode & SET_ID != 0)
        {
            there.push(path.to_owned());
        }
    }
    Ok(there)
}
