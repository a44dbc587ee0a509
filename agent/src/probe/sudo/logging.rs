//! Whether what is done by sudo leaves a trace: its settings for everybody, and those for some that take it back.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::policy::{Default, Policy};
use super::shown;
use crate::probe::{Observation, Unobservable};

/// Anything that takes what programs send to syslog(3).
const SINKS: [&str; 4] = [
    "/usr/lib/systemd/systemd-journald",
    "/usr/sbin/rsyslogd",
    "/usr/sbin/syslog-ng",
    "/sbin/syslogd",
];
/// Settings that say whether and where allowed commands are logged.
const ABOUT_LOGGING: [&str; 4] = ["log_allowed", "logfile", "syslog", "syslog_goodpri"];

/// How sudo logs, by its settings for everybody.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Logging {
    /// Allowed commands go to syslog or to a file.
    enabled: bool,
    /// `logfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    logfile: Option<String>,
    /// Settings that switch logging off for some users, hosts or commands, as `file:line: setting`.
    disabled_in: Vec<String>,
    /// Commands run in a terminal of their own (`use_pty`), by setting or by default.
    use_pty: bool,
    /// Settings that take this terminal from some users, hosts or commands, as `file:line: setting`.
    no_pty_in: Vec<String>,
    /// Something takes what is sent to syslog.
    sink: bool,
}

/// Where allowed commands are logged.
#[derive(Debug, Clone)]
struct Destination {
    allowed: bool,
    syslog: bool,
    priority: bool,
    logfile: Option<String>,
}

impl Destination {
    /// As sudo is built, with settings applied in their order.
    fn of<'d>(defaults: impl Iterator<Item = &'d Default>) -> Destination {
        let destination = Destination {
            allowed: true,
            syslog: true,
            priority: true,
            logfile: None,
        };
        destination.with(defaults)
    }

    fn with<'d>(mut self, defaults: impl Iterator<Item = &'d Default>) -> Destination {
        for default in defaults {
            let setting = &default.setting;
            match setting.name.as_str() {
                "log_allowed" => self.allowed = !setting.negated,
                "syslog" => self.syslog = !setting.negated,
                "syslog_goodpri" => {
                    self.priority = !setting.negated && setting.value.as_deref() != Some("none");
                }
                "logfile" => {
                    self.logfile = setting.value.clone().filter(|_| !setting.negated);
                }
                _ => {}
            }
        }
        self
    }

    fn is_somewhere(&self) -> bool {
        self.allowed && ((self.syslog && self.priority) || self.logfile.is_some())
    }
}

/// How this host's sudo logs.
///
/// # Errors
/// [`Unobservable`] if a syslog daemon cannot be looked for.
pub(super) fn logging(
    observation: &mut Observation<'_>,
    policy: &Policy,
    version: Option<&str>,
    sudo_rs: bool,
) -> Result<Logging, Unobservable> {
    let global = || policy.defaults.iter().filter(|d| d.scope == "all");
    let scoped = || policy.defaults.iter().filter(|d| d.scope != "all");
    let everybody = Destination::of(global());
    // Settings of one scope come over those for everybody, all of that scope together.
    let scopes: BTreeSet<(&str, &[String])> =
        scoped().map(|d| (d.scope, d.targets.as_slice())).collect();
    let mut disabled_in = Vec::new();
    for (scope, targets) in scopes {
        let own = || scoped().filter(|d| (d.scope, d.targets.as_slice()) == (scope, targets));
        if everybody.is_somewhere() && !everybody.clone().with(own()).is_somewhere() {
            let about = own().filter(|d| ABOUT_LOGGING.contains(&d.setting.name.as_str()));
            disabled_in.extend(about.map(shown));
        }
    }
    let no_pty = scoped().filter(|d| d.setting.name == "use_pty" && d.setting.negated);
    let mut sink = false;
    for path in SINKS {
        sink |= observation.stat(path)?.is_some();
    }
    Ok(Logging {
        // sudo-rs knows no such settings: it always sends to syslog.
        enabled: sudo_rs || everybody.is_somewhere(),
        disabled_in: if sudo_rs { Vec::new() } else { disabled_in },
        use_pty: match global().rfind(|d| d.setting.name == "use_pty") {
            Some(default) => !default.setting.negated,
            None => sudo_rs || version.is_some_and(uses_pty_by_default),
        },
        no_pty_in: no_pty.map(shown).collect(),
        sink: sink || everybody.logfile.is_some(),
        logfile: everybody.logfile,
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
