//! Who may become root on this host, with which commands, with or without a password, and whether it is logged.

mod cursor;
#[cfg(test)]
mod differential;
mod doas;
mod front_end;
mod grammar;
mod logging;
mod policy;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::logging::Logging;
use self::policy::{Default, Policy, Rule};
use super::sshd::package_version;
use super::{Observation, Probe, Unobservable, pam};
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
            load(observation, sudo_rs, &host_name)?
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
            // Without a file of its own a service has the stacks of `other`.
            let used = service == "sudo" && has_sudo;
            if pam::opens_for_anyone(observation, service, used)? {
                open_pam.push(format!("/etc/pam.d/{service}"));
            }
        }
        Ok(SudoFacts {
            logging: logging::logging(observation, &policy, version.as_deref(), sudo_rs)?,
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

/// Files that sudo's `logfile` names for anybody; none for sudo-rs, which has no such setting.
///
/// # Errors
/// [`Unobservable`] if the policy cannot be read to its end.
pub(super) fn log_files(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    if !tools(observation)?.iter().any(|tool| tool == "sudo") {
        return Ok(Vec::new());
    }
    let host_name = host_name(observation)?;
    let policy = load(observation, false, &host_name)?;
    let named = policy
        .defaults
        .into_iter()
        .filter(|default| default.setting.name == "logfile" && !default.setting.negated)
        .filter_map(|default| default.setting.value)
        .filter(|path| path.starts_with('/'));
    Ok(Vec::from_iter(named.collect::<BTreeSet<String>>()))
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

/// The rules that this host's sudo goes by.
fn load(
    observation: &mut Observation<'_>,
    sudo_rs: bool,
    host_name: &str,
) -> Result<Policy, Unobservable> {
    if sudo_rs {
        // It has no plugins, and rules of its own where this file exists.
        let own = observation.stat("/etc/sudoers-rs")?.is_some();
        let main = if own {
            "/etc/sudoers-rs"
        } else {
            "/etc/sudoers"
        };
        return policy::load(observation, main, host_name);
    }
    let front_end = front_end::read(observation)?;
    let mut policy = policy::load(observation, &front_end.sudoers, host_name)?;
    if let Some(plugin) = front_end.foreign {
        let problem = format!("/etc/sudo.conf: the plugin {plugin} decides instead of sudoers");
        policy.problems.push(problem);
        policy.complete = false;
    }
    Ok(policy)
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

/// Sources of `sudoers:` in nsswitch.conf beside the files: of the first such line, in any case, as sudo reads it.
fn directories(observation: &mut Observation<'_>) -> Result<Vec<String>, Unobservable> {
    let text = observation.text("/etc/nsswitch.conf")?.unwrap_or_default();
    let sources = text.lines().find_map(|line| {
        let (name, sources) = line.split('#').next()?.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("sudoers")
            .then_some(sources)
    });
    Ok(sources
        .unwrap_or_default()
        .split_whitespace()
        .filter(|word| *word != "files" && !word.starts_with('['))
        .map(str::to_owned)
        .collect())
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
