//! `assay-collector quickstart`: from nothing to a log about this host that verifies; stopped, started again, stopped.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use acceptance::honest::{self, Excuse};
use acceptance::process::{client, succeeded, told};
use acceptance::program;
use evidence::baseline;
use evidence::outcome::{Outcome, Reason};
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};
use serde::Deserialize;
use store::Store;

/// How long both processes may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// What `--format json` promises, and nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    url: String,
    ca: String,
    signin: String,
    agent: String,
    log_key: String,
    rounds: u64,
    outcomes: BTreeMap<Outcome, u64>,
}

fn quickstart(data: &Path) -> Command {
    let mut command = Command::new(program("assay-collector"));
    command
        .args(["quickstart", "--format", "json", "--data"])
        .arg(data)
        .stdin(Stdio::null())
        // As a shell does, so that a Ctrl-C reaches what belongs to the command and nothing else.
        .process_group(0);
    command
}

fn once(data: &Path) -> Summary {
    let output = quickstart(data)
        .arg("--exit-after-first-round")
        .output()
        .unwrap();
    let text = succeeded(&output);
    assert_eq!(
        text.lines().count(),
        1,
        "one object and nothing else: {text}"
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn every_check_is_answered_and_the_same_command_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = once(&data);
    let checks = baseline::bundle().unwrap().checks;
    // A change that the watches see meanwhile has a round of its own.
    assert!(first.rounds >= 1, "{first:?}");
    assert_eq!(first.outcomes.values().sum::<u64>(), checks.len() as u64);
    assert_eq!(first.outcomes.len(), Outcome::ALL.len());
    assert!(data.join("keys/ca.pem").is_file());
    assert_eq!(
        first.ca,
        std::fs::canonicalize(data.join("keys/ca.pem"))
            .unwrap()
            .display()
            .to_string()
    );

    let second = once(&data);
    assert_eq!(second.agent, first.agent);
    assert_eq!(second.log_key, first.log_key);
    assert!(second.rounds > first.rounds, "{second:?}");
    assert_ne!(second.signin, first.signin, "each link works once");
    assert_eq!(second.outcomes.values().sum::<u64>(), checks.len() as u64);

    let store = Store::open(&data).await.unwrap();
    let latest = store.latest().await.unwrap();
    assert_eq!(latest.len(), 1, "one host");
    for latest in latest.values() {
        assert!(
            latest.open.keys().eq(checks.keys()),
            "every check is answered"
        );
        honest::assert_errors_are_honest("this host", &latest.open, &excuses());
    }
}

/// What this very machine leaves unanswered, each only if it really does.
fn excuses() -> Vec<Excuse> {
    let mut excuses: Vec<Excuse> = Vec::new();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    if !Path::new("/lib/modules").join(release.trim()).exists() {
        excuses.push((
            "patch.reboot.pending",
            Reason::CoveragePartial,
            "no package of this machine brought its kernel, so nothing says whether a newer one is installed",
        ));
    }
    let processes = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
    };
    let refused = |path: PathBuf| {
        let read = std::fs::read(path);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    let hides = |process: PathBuf| {
        let program = std::fs::read_link(process.join("exe"));
        program.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    if processes().any(hides) {
        for check in ["malware.protection.active", "edr.agent.healthy"] {
            let why = "the kernel hides what some process executes, from root too";
            excuses.push((check, Reason::PermissionDenied, why));
        }
    }
    if !Path::new("/sys/kernel/security/lsm").exists() {
        for check in ["kernel.lockdown", "mac.confinement", "mac.enforcing"] {
            let why = "securityfs is not mounted, so the kernel does not say";
            excuses.push((check, Reason::CoveragePartial, why));
        }
    }
    if !Path::new("/usr/sbin/nft").exists() {
        for check in ["net.firewall.active", "net.firewall.default_deny"] {
            let why = "nothing here can list the kernel's rules";
            excuses.push((check, Reason::ToolMissing, why));
        }
    }
    let rpm = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
    if rpm
        .iter()
        .all(|place| Path::new(place).join("rpmdb.sqlite").exists())
    {
        for check in [
            "change.package.recorded",
            "pkg.files.verified",
            "software.dev_on_production",
            "software.inventory",
            "software.unapproved",
        ] {
            let why = "there are two databases of rpm, and nothing says which is the right one";
            excuses.push((check, Reason::Conflict, why));
        }
    }
    if processes().any(|process| refused(process.join("maps"))) {
        excuses.push((
            "patch.process.stale",
            Reason::PermissionDenied,
            "the kernel hides what some process has mapped, from root too",
        ));
    }
    let daemons = [
        "chronyd",
        "ntpd",
        "ntpd-rs",
        "ntp-daemon",
        "systemd-timesyn",
        "ptp4l",
    ];
    let name = |process: PathBuf| std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    if !processes().any(|process| daemons.contains(&name(process).trim())) {
        excuses.push((
            "time.sync.offset",
            Reason::CoveragePartial,
            "nothing on this machine measures its clock",
        ));
    }
    if !Path::new("/run/log/journal").exists() && !Path::new("/var/log/auth.log").exists() {
        excuses.push((
            "account.dormant",
            Reason::CoveragePartial,
            "this machine keeps no record of log-ons",
        ));
    }
    excuses
}

/// A quickstart that stays up, in its own process group.
struct Running {
    child: Child,
    group: Pid,
    summary: Summary,
}

impl Running {
    fn start(data: &Path) -> Running {
        let mut child = quickstart(data).stdout(Stdio::piped()).spawn().unwrap();
        let group = Pid::from_child(&child);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let summary =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Running {
            child,
            group,
            summary,
        }
    }

    /// The agent's process: the only child.
    fn agent(&self) -> Pid {
        let id = self.child.id();
        let children =
            std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).unwrap();
        let all: Vec<i32> = tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|text| {
                text.split_whitespace()
                    .map(|pid| pid.parse().unwrap())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(all.len(), 1, "{children}");
        Pid::from_raw(all[0]).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both may have ended long ago.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stays_up_signs_in_once_serves_its_log_and_stops_at_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut running = Running::start(&data);
    let Summary {
        url,
        ca,
        signin,
        log_key,
        ..
    } = &running.summary;
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");

    let client = client(&std::fs::read(ca).unwrap());
    let answer = client.get(signin).send().await.unwrap();
    assert!(answer.status().is_redirection(), "{}", answer.status());
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("Secure"),
        "{cookie}"
    );
    let again = client.get(signin).send().await.unwrap();
    assert_eq!(
        again.status(),
        StatusCode::UNAUTHORIZED,
        "a link works once"
    );
    assert!(!again.headers().contains_key("set-cookie"));

    let verify = |key: &str| {
        Command::new(program("assay-verify"))
            .args(["log", &format!("{url}/log"), "--key", key, "--ca", ca])
            .output()
            .unwrap()
    };
    let verdict = verify(log_key);
    assert!(verdict.status.success(), "{}", told(&verdict));
    let wrong = log_key.replace("quickstart.assay.example", "other.assay.example");
    assert_eq!(verify(&wrong).status.code(), Some(1), "another log's key");

    let agent = running.agent();
    kill_process_group(running.group, Signal::INT).unwrap();
    let stopping = Instant::now();
    let status = loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            break status;
        }
        assert!(stopping.elapsed() < STOP, "it does not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
    assert!(
        test_kill_process(agent).is_err(),
        "the agent has stopped too"
    );
    let spooled = std::fs::read_dir(data.join("agent/spool"))
        .unwrap()
        .flatten();
    assert_eq!(
        spooled.filter(|entry| entry.path().is_file()).count(),
        0,
        "everything was delivered"
    );
}

#[test]
fn a_wildcard_is_asked_over_loopback_and_a_revoked_agent_is_told_of_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let anywhere = |data: &Path| {
        quickstart(data)
            .args(["--exit-after-first-round", "--listen", "0.0.0.0:0"])
            .output()
            .unwrap()
    };
    let summary: Summary = serde_json::from_str(&succeeded(&anywhere(&data))).unwrap();
    assert!(summary.url.starts_with("https://127.0.0.1:"), "{summary:?}");

    let status = Command::new("/usr/bin/python3")
        .arg("-c")
        .arg("import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(\"UPDATE agent SET state = 'revoked'\"); c.commit()")
        .arg(data.join(store::DATABASE_FILE))
        .status()
        .unwrap();
    assert!(status.success(), "python3 is missing: run tests/run");
    let begun = Instant::now();
    let refused = anywhere(&data);
    assert!(!refused.status.success());
    assert!(begun.elapsed() < STOP, "it waited: {:?}", begun.elapsed());
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(
        message.contains(&summary.agent) && message.contains("it was revoked"),
        "{message}"
    );
}
