//! Who may become root on this host, with which commands, with or without a password, and whether it is logged.

mod cursor;
#[cfg(test)]
mod differential;
mod doas;
mod grammar;
mod pam;
mod policy;

use schemars::JsonSchema;
use serde::Serialize;

use self::policy::{Default, Policy, Rule};
use super::sshd::package_version;
use super::{Observation, Probe, Unobservable};
use crate::host::HostError;

/// Most grants that are kept.
const MAX_GRANTS: usize = 500;
const SUDO: &str = "/usr/bin/sudo";
const DOAS: [&str; 2] = ["/usr/bin/doas", "/usr/local/bin/doas"];
const DOAS_CONF: &str = "/etc/doas.conf";
/// PAM services that people raise their rights through.
///
/// `su -` asks a stack of its own, as `sudo -i` does.
const SERVICES: [&str; 5] = ["sudo", "sudo-i", "su", "su-l", "doas"];
/// Anything that takes what programs send to syslog(3).
const SINKS: [&str; 4] = [
    "/usr/lib/systemd/systemd-journald",
    "/usr/sbin/rsyslogd",
    "/usr/sbin/syslog-ng",
    "/sbin/syslogd",
];

/// The probe `sudo`.
pub struct Sudo;

/// Facts of the ways to raise one's rights.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SudoFacts {
    /// Programs found: `sudo`, `sudo-rs`, `doas`.
    tools: Vec<String>,
    /// Version of the sudo package.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What is granted, in order; rules that a later one leaves nothing of are left out.
    grants: Vec<Grant>,
    /// Settings that do away with the password, in any scope, as `file:line: setting`.
    unauthenticated: Vec<String>,
    /// PAM stacks that let everybody through.
    open_pam: Vec<String>,
    /// Lines that are no rules, files that are refused, as `file:line: problem`.
    problems: Vec<String>,
    /// Files of an include directory that sudo passes over for their names.
    ignored: Vec<String>,
    /// Other sources of rules by nsswitch.conf, for example `sss`.
    directories: Vec<String>,
    /// All rules are among the grants.
    complete: bool,
    /// How use is logged.
    logging: Logging,
}

/// One subject, one command.
#[derive(Debug, Serialize, JsonSchema)]
struct Grant {
    /// Who: `root`, `%sudo`, `#1000`, `+netgroup`, `ALL`, for doas also `:group`.
    subject: String,
    /// Who is left out of it.
    except: Vec<String>,
    /// Hosts, comma-separated.
    hosts: String,
    /// False only if the rule names other hosts.
    here: bool,
    /// Users the command may be run as, negated ones with `!`.
    run_as: Vec<String>,
    /// The command with its arguments, `ALL` for any.
    command: String,
    /// The file name of the program, `ALL` for any.
    program: String,
    /// What program it is, without version and build: `python` of `python3.11`, `vim` of `vim.tiny`.
    kind: String,
    /// A wildcard stands in the command.
    wildcard: bool,
    /// Any command, or a command of any name in a directory.
    unrestricted: bool,
    /// The rule asks for a password.
    authenticate: bool,
    /// File and line.
    source: String,
}

/// How sudo logs, by its settings for everybody.
#[derive(Debug, Serialize, JsonSchema)]
struct Logging {
    /// Allowed commands go to syslog or to a file.
    enabled: bool,
    /// `logfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    logfile: Option<String>,
    /// Settings that switch logging off for some users, hosts or commands, as `file:line: setting`.
    disabled_in: Vec<String>,
    /// Commands run in a terminal of their own (`use_pty`), by setting or by default.
    use_pty: bool,
    /// Something takes what is sent to syslog.
    sink: bool,
}

impl Probe for Sudo {
    const ID: &'static str = "sudo";
    type Facts = SudoFacts;

    fn observe(observation: &mut Observation<'_>) -> Result<SudoFacts, Unobservable> {
        let tools = tools(observation)?;
        let sudo_rs = tools.iter().any(|tool| tool == "sudo-rs");
        let has_sudo = sudo_rs || tools.iter().any(|tool| tool == "sudo");
        let version = if has_sudo {
            package_version(observation, "sudo")?
        } else {
            None
        };
        let host_name = host_name(observation)?;
        let mut policy = if has_sudo {
            let main = if sudo_rs && observation.stat("/etc/sudoers-rs")?.is_some() {
                "/etc/sudoers-rs"
            } else {
                "/etc/sudoers"
            };
            policy::load(observation, main, &host_name)?
        } else {
            Policy {
                complete: true,
                ..Policy::default()
            }
        };
        let mut grants = grants(&policy, &host_name);
        if tools.iter().any(|tool| tool == "doas") {
            add_doas(observation, &mut grants, &mut policy.problems)?;
        }
        let complete = policy.complete && grants.len() <= MAX_GRANTS;
        grants.truncate(MAX_GRANTS);
        let mut open_pam = Vec::new();
        for service in SERVICES {
            open_pam.extend(pam::open_stack(observation, service)?);
        }
        Ok(SudoFacts {
            logging: logging(observation, &policy, version.as_deref(), sudo_rs)?,
            unauthenticated: policy
                .defaults
                .iter()
                .filter(|default| removes_password(default))
                .map(shown)
                .collect(),
            directories: if has_sudo {
                directories(observation)?
            } else {
                Vec::new()
            },
            tools,
            version,
            grants,
            open_pam,
            problems: policy.problems,
            ignored: policy.ignored,
            complete,
        })
    }
}

/// Programs that raise rights. sudo may be a link, by alternatives(7), to the one written in Rust.
fn tools(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let mut tools = Vec::new();
    if observation.stat(SUDO)?.is_some() {
        let mut at = SUDO.to_owned();
        for _ in 0..8 {
            match observation.host().read_link(&at) {
                Ok(target) if target.starts_with('/') => at = target,
                Ok(target) => {
                    let directory = at.rsplit_once('/').map_or("", |(directory, _)| directory);
                    at = format!("{directory}/{target}");
                }
                Err(HostError::NotRegular(_)) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let rust = at.contains("sudo-rs") || at.contains("/cargo/");
        tools.push(if rust { "sudo-rs" } else { "sudo" }.to_owned());
    }
    for path in DOAS {
        if observation.stat(path)?.is_some() && !tools.iter().any(|tool| tool == "doas") {
            tools.push("doas".to_owned());
        }
    }
    Ok(tools)
}

fn host_name(observation: &mut Observation<'_>) -> Result<String, Unobservable> {
    let live = if observation.is_live() {
        observation.text("/proc/sys/kernel/hostname")?
    } else {
        None
    };
    let name = match live {
        Some(name) => Some(name),
        None => observation.text("/etc/hostname")?,
    };
    Ok(name.unwrap_or_default().trim().to_owned())
}

fn grants(policy: &Policy, host_name: &str) -> Vec<Grant> {
    let mut grants = Vec::new();
    for (i, rule) in policy.rules.iter().enumerate() {
        let later = policy.rules.get(i + 1..).unwrap_or_default();
        if rule.negated || later.iter().any(|later| rule.is_overridden_by(later)) {
            continue;
        }
        grants.push(grant(rule, host_name));
    }
    grants
}

fn grant(rule: &Rule, host_name: &str) -> Grant {
    let path = rule.command.split([' ', '\t']).next().unwrap_or_default();
    let program = path.rsplit('/').next().unwrap_or_default();
    let wildcard =
        rule.command.replace("\\*", "").contains(['*', '?', '[']) || rule.command.starts_with('^');
    Grant {
        subject: rule.subject.clone(),
        except: rule.except.clone(),
        hosts: rule.hosts.join(","),
        here: rule.is_here(host_name),
        run_as: rule.run_as.clone(),
        program: program.to_owned(),
        kind: kind(program).to_owned(),
        wildcard,
        // /usr/bin/ is every program of that directory, a wildcard in the path is any it matches.
        unrestricted: rule.command == "ALL"
            || path.ends_with('/')
            || path.contains(['*', '?', '['])
            || path.starts_with('^'),
        command: rule.command.clone(),
        authenticate: rule.authenticate != Some(false),
        source: rule.source.clone(),
    }
}

/// A program under the names that distributions give to its versions and builds. Any other ending is part of the name:
/// `install.sh` is no `install`.
fn kind(program: &str) -> &str {
    const BUILDS: [&str; 12] = [
        "athena",
        "basic",
        "bsd",
        "distrib",
        "gtk",
        "gtk3",
        "motif",
        "nox",
        "openbsd",
        "original",
        "tiny",
        "traditional",
    ];
    let plain = match program.split_once(['.', '-']) {
        Some((name, build)) if BUILDS.contains(&build) => name,
        _ => program,
    };
    let name = plain.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    if name.is_empty() { plain } else { name }
}

fn add_doas(
    observation: &mut Observation<'_>,
    grants: &mut Vec<Grant>,
    problems: &mut Vec<String>,
) -> Result<(), Unobservable> {
    let text = observation.text(DOAS_CONF)?.unwrap_or_default();
    match doas::permits(&text) {
        Ok(permits) => grants.extend(permits.into_iter().map(|permit| {
            let path = permit.command.split(' ').next().unwrap_or_default();
            let program = path.rsplit('/').next().unwrap_or_default();
            Grant {
                subject: permit.identity,
                except: Vec::new(),
                hosts: "ALL".to_owned(),
                here: true,
                run_as: vec![permit.target],
                program: program.to_owned(),
                kind: kind(program).to_owned(),
                wildcard: false,
                unrestricted: permit.command == "ALL",
                command: permit.command,
                authenticate: !permit.without_password,
                source: format!("{DOAS_CONF}:{}", permit.line),
            }
        })),
        Err(problem) => problems.push(format!("{DOAS_CONF}: {problem}")),
    }
    Ok(())
}

/// Settings after which nobody, or not everybody, is asked for a password.
fn removes_password(default: &Default) -> bool {
    let setting = &default.setting;
    match setting.name.as_str() {
        "authenticate" => setting.negated,
        "exempt_group" => !setting.negated && setting.value.is_some(),
        "timestamp_timeout" => setting
            .value
            .as_deref()
            .is_some_and(|value| value.trim().starts_with('-')),
        _ => false,
    }
}

fn shown(default: &Default) -> String {
    let setting = &default.setting;
    let sign = if setting.negated { "!" } else { "" };
    let value = setting
        .value
        .as_ref()
        .map(|value| format!("={value}"))
        .unwrap_or_default();
    let scope = if default.targets.is_empty() {
        String::new()
    } else {
        format!(" for {} {}", default.scope, default.targets.join(","))
    };
    format!("{}: {sign}{}{value}{scope}", default.source, setting.name)
}

/// Sources of `sudoers:` in nsswitch.conf beside the files.
fn directories(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let text = observation.text("/etc/nsswitch.conf")?.unwrap_or_default();
    let line = text
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().strip_prefix("sudoers:"))
        .next_back()
        .unwrap_or_default();
    Ok(line
        .split_whitespace()
        .filter(|word| *word != "files" && !word.starts_with('['))
        .map(str::to_owned)
        .collect())
}

fn logging(
    observation: &mut Observation<'_>,
    policy: &Policy,
    version: Option<&str>,
    sudo_rs: bool,
) -> Result<Logging, Unobservable> {
    let global = |name: &str| {
        policy
            .defaults
            .iter()
            .rfind(|default| default.scope == "all" && default.setting.name == name)
            .map(|default| &default.setting)
    };
    let logfile = global("logfile")
        .filter(|setting| !setting.negated)
        .and_then(|setting| setting.value.clone());
    let syslog = global("syslog").is_none_or(|setting| !setting.negated)
        && global("syslog_goodpri")
            .is_none_or(|setting| !setting.negated && setting.value.as_deref() != Some("none"));
    let allowed = global("log_allowed").is_none_or(|setting| !setting.negated);
    let scoped = policy
        .defaults
        .iter()
        .filter(|default| default.scope != "all")
        .filter(|default| {
            let setting = &default.setting;
            match setting.name.as_str() {
                "log_allowed" => setting.negated,
                // With a log file the trace is kept all the same.
                "syslog" => setting.negated && logfile.is_none(),
                "syslog_goodpri" => {
                    (setting.negated || setting.value.as_deref() == Some("none"))
                        && logfile.is_none()
                }
                _ => false,
            }
        });
    let mut sink = false;
    for path in SINKS {
        sink |= observation.stat(path)?.is_some();
    }
    Ok(Logging {
        // sudo-rs knows no such settings: it always sends to syslog.
        enabled: sudo_rs || (allowed && (syslog || logfile.is_some())),
        disabled_in: if sudo_rs {
            Vec::new()
        } else {
            scoped.map(shown).collect()
        },
        use_pty: match global("use_pty") {
            Some(setting) => !setting.negated,
            None => sudo_rs || version.is_some_and(uses_pty_by_default),
        },
        sink: sink || logfile.is_some(),
        logfile,
    })
}

/// `use_pty` is on by default from 1.9.14 on.
fn uses_pty_by_default(version: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = upstream
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    (next(), next(), next()) >= (1, 9, 14)
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn versions_and_builds_are_the_same_program() {
        for (program, expected) in [
            ("python3.11", "python"),
            ("python3", "python"),
            ("perl5.36.0", "perl"),
            ("lua5.4", "lua"),
            ("vim.tiny", "vim"),
            ("emacs-gtk", "emacs"),
            ("nc.openbsd", "nc"),
            ("bash", "bash"),
            ("install.sh", "install.sh"),
            ("tar-backup", "tar-backup"),
            ("7", "7"),
            ("", ""),
        ] {
            assert_eq!(kind(program), expected, "{program}");
        }
    }
}
