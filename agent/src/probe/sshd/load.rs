//! Whether the running daemon has read what lies on disk: when it last did, and when the files last changed.

use evidence::outcome::Reason;
use evidence::time::Timestamp;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;

use super::config::Configuration;
use super::daemon::{Daemon, State};
use super::package;
use crate::host::{HostError, Program};
use crate::probe::{Observation, Probe, Unobservable};

/// Clock ticks a second in `/proc/PID/stat`: fixed to user space on every architecture there is an agent for.
const TICKS: i64 = 100;

/// The probe `sshd_load`.
pub struct SshdLoad;

/// When sshd read its configuration and when that changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SshdLoadFacts {
    /// `/usr/sbin/sshd` exists.
    installed: bool,
    /// Whether it can be reached.
    state: State,
    /// When the running daemon last read its files: its start or a later reload. Absent if none runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<Timestamp>,
    /// How that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded_by: Option<LoadedBy>,
    /// Newest change of a configuration file, or of a directory that included files lie in.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Timestamp>,
    /// What changed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_path: Option<String>,
    /// The daemon runs with other options than it would be started with now; absent if its options cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    options_differ: Option<bool>,
}

/// How the time of loading is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LoadedBy {
    /// The process began then.
    Start,
    /// systemd ran the unit's reload command.
    Reload,
    /// The journal holds sshd's own word of a SIGHUP.
    Journal,
}

impl Probe for SshdLoad {
    const ID: &'static str = "sshd_load";
    type Facts = SshdLoadFacts;

    fn units() -> Vec<&'static str> {
        Daemon::units()
    }

    fn observe(observation: &mut Observation<'_>) -> Result<SshdLoadFacts, Unobservable> {
        let mut facts = SshdLoadFacts {
            installed: package::installed(observation)?.is_some(),
            state: State::Off,
            loaded: None,
            loaded_by: None,
            changed: None,
            changed_path: None,
            options_differ: None,
        };
        if !facts.installed {
            return Ok(facts);
        }
        let daemon = Daemon::observe(observation)?;
        facts.state = daemon.state;
        let Some(pid) = daemon.pid else {
            return Ok(facts);
        };
        let options = daemon.running.as_ref().unwrap_or(&daemon.boot);
        let (changed, path) = newest_change(observation, options.file())?;
        facts.changed = Some(changed);
        facts.changed_path = Some(path);
        facts.options_differ = daemon
            .running
            .as_ref()
            .map(|running| *running != daemon.boot);
        let (loaded, by) = last_load(observation, pid, changed)?;
        facts.loaded = Some(loaded);
        facts.loaded_by = Some(by);
        Ok(facts)
    }
}

/// The newest of all modification and change times: a copied file keeps its old modification time, and a file that was
/// taken away leaves its mark on the directory only.
fn newest_change(
    observation: &mut Observation<'_>,
    main: &str,
) -> Result<(Timestamp, String), Unobservable> {
    let configuration = Configuration::load(observation, main)?;
    let paths = configuration
        .files
        .iter()
        .map(|file| &file.path)
        .chain(&configuration.directories);
    let mut newest: Option<(Timestamp, String)> = None;
    for path in paths {
        let Some(stat) = observation.stat(path)? else {
            continue;
        };
        let changed = stat.mtime.max(stat.ctime);
        if newest.as_ref().is_none_or(|(time, _)| changed > *time) {
            newest = Some((changed, path.clone()));
        }
    }
    newest.ok_or_else(|| Unobservable::new(Reason::Missing, format!("{main} does not exist")))
}

fn last_load(
    observation: &mut Observation<'_>,
    pid: u32,
    changed: Timestamp,
) -> Result<(Timestamp, LoadedBy), Unobservable> {
    let mut last = (process_start(observation, pid)?, LoadedBy::Start);
    // Whether a daemon read again what it already knows is nothing that anyone must be asked.
    if changed <= last.0 || observation.stat("/run/systemd/system")?.is_none() {
        return Ok(last);
    }
    let program = Program::new(
        "/usr/bin/env",
        &[
            "TZ=UTC",
            "/usr/bin/systemctl",
            "show",
            "--property=ExecReload",
            "ssh.service",
            "sshd.service",
        ],
    );
    if let Some(output) = observation.run(&program)? {
        let reloaded = output.text().lines().filter_map(reload_time).max();
        if let Some(time) = reloaded.filter(|time| *time > last.0) {
            last = (time, LoadedBy::Reload);
        }
    }
    // A bare SIGHUP leaves no trace in systemd. The journal is asked only if nothing else explains the change.
    if changed > last.0
        && let Some(time) = hangup(observation, pid)?
        && time > last.0
    {
        last = (time, LoadedBy::Journal);
    }
    Ok(last)
}

/// Start of a process: boot time and ticks since.
fn process_start(observation: &mut Observation<'_>, pid: u32) -> Result<Timestamp, Unobservable> {
    let path = format!("/proc/{pid}/stat");
    let text = |path: &str| -> Result<String, HostError> {
        let bytes = observation.host().read(path, 1024 * 1024)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let stat = text(&path)?;
    let boot = text("/proc/stat")?
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok());
    // The name in brackets may hold anything; behind it the start is the 20th field.
    let ticks = stat
        .rsplit_once(')')
        .and_then(|(_, fields)| fields.split_whitespace().nth(19)?.parse::<i64>().ok());
    observation.note("/proc/PID/stat of sshd");
    match (boot, ticks) {
        (Some(boot), Some(ticks)) => {
            let since_boot = ticks.saturating_mul(1000 / TICKS);
            Ok(Timestamp::from_unix_seconds(boot).plus_ms(since_boot))
        }
        _ => Err(Unobservable::unparsable(&path, "no start time")),
    }
}

/// When a reload command of a unit began, if it succeeded. systemd runs them in order and stops at a failure, so the one
/// that sends the signal counts, not the test before it.
fn reload_time(line: &str) -> Option<Timestamp> {
    let command = line.strip_prefix("ExecReload=")?;
    if !command.contains("kill") && !command.contains("HUP") {
        return None;
    }
    if !command.contains("status=0") {
        return None;
    }
    let (_, rest) = command.split_once("start_time=[")?;
    let (time, _) = rest.split_once(']')?;
    let (_, civil) = time.strip_suffix(" UTC")?.split_once(' ')?;
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", civil).ok()?;
    let instant = jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(Timestamp::from_unix_ms(instant.as_millisecond()))
}

/// The last `Received SIGHUP; restarting.` of this process in the journal.
fn hangup(observation: &mut Observation<'_>, pid: u32) -> Result<Option<Timestamp>, Unobservable> {
    let this = format!("_PID={pid}");
    let program = Program::new(
        "/usr/bin/journalctl",
        &[
            "--quiet",
            "--no-pager",
            "--boot",
            "--reverse",
            "--output=short-unix",
            "--lines=20",
            &this,
        ],
    );
    let Some(output) = observation.run(&program)? else {
        return Ok(None);
    };
    Ok(output
        .text()
        .lines()
        .filter(|line| line.contains("Received SIGHUP; restarting."))
        .find_map(|line| {
            let (seconds, rest) = line.split_once('.')?;
            let seconds: i64 = seconds.parse().ok()?;
            let millis: i64 = rest.get(..3)?.parse().ok()?;
            Some(Timestamp::from_unix_seconds(seconds).plus_ms(millis))
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reload_that_sent_the_signal_counts() {
        let sent = "ExecReload={ path=/bin/kill ; argv[]=/bin/kill -HUP $MAINPID ; ignore_errors=no ; start_time=[Mon 2026-11-23 09:00:01 UTC] ; stop_time=[Mon 2026-11-23 09:00:01 UTC] ; pid=99 ; code=exited ; status=0 }";
        assert_eq!(
            reload_time(sent).unwrap().to_string(),
            "2026-11-23T09:00:01.000Z"
        );
        assert_eq!(reload_time(&sent.replace("status=0", "status=1")), None);
        assert_eq!(
            reload_time(&sent.replace("Mon 2026-11-23 09:00:01 UTC", "n/a")),
            None
        );
        assert_eq!(
            reload_time(
                "ExecReload={ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -t ; start_time=[Mon 2026-11-23 09:00:01 UTC] ; status=0 }"
            ),
            None
        );
    }
}
