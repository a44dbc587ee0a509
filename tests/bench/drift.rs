//! From a changed file on a host to its outcome in the collector, on two hosts that run the agent as a service; and what
//! that service holds of their memory.

use std::time::{Duration, Instant};

use acceptance::fleet::{AGENT, Fleet, bring};
use acceptance::machine::Machine;
use evidence::id::CheckId;
use evidence::outcome::Outcome;

/// Changes measured, over both hosts in turn.
const CHANGES: usize = 200;
/// A change that takes longer is counted as missed.
const MISSED: Duration = Duration::from_secs(60);
/// How often the collector's records are looked into.
const LOOK: Duration = Duration::from_millis(5);

/// A way to make a check fail and pass again.
struct Change {
    name: &'static str,
    check: &'static str,
    make: fn(&Machine),
    undo: fn(&Machine),
}

const SUDOERS: &str = "/etc/sudoers.d/drift";
const PASSWD: &str = "/etc/passwd";
const TWIN: &[u8] = b"toor:x:0:0::/root:/bin/bash\n";

const WAYS: [Change; 3] = [
    Change {
        name: "a file that comes and goes",
        check: "sudo.nopasswd",
        make: |host| {
            host.write_file(SUDOERS, "daemon ALL=(ALL) NOPASSWD: ALL\n", 0o440)
                .unwrap();
        },
        undo: |host| {
            host.run(&["rm", SUDOERS]).unwrap();
        },
    },
    Change {
        name: "a file written in place",
        check: "account.uid0.unique",
        make: |host| {
            let mut passwd = host.read_file(PASSWD).unwrap();
            passwd.extend_from_slice(TWIN);
            host.write_file(PASSWD, passwd, 0o644).unwrap();
        },
        undo: |host| host.write_file(PASSWD, without_twin(host), 0o644).unwrap(),
    },
    Change {
        name: "a file replaced by rename",
        check: "account.uid0.unique",
        make: |host| {
            let mut passwd = host.read_file(PASSWD).unwrap();
            passwd.extend_from_slice(TWIN);
            host.write_file("/etc/passwd+", passwd, 0o644).unwrap();
            host.run(&["mv", "/etc/passwd+", PASSWD]).unwrap();
        },
        undo: |host| {
            host.write_file("/etc/passwd+", without_twin(host), 0o644)
                .unwrap();
            host.run(&["mv", "/etc/passwd+", PASSWD]).unwrap();
        },
    },
];

fn without_twin(host: &Machine) -> Vec<u8> {
    let passwd = host.read_file(PASSWD).unwrap();
    let end = passwd.len() - TWIN.len();
    assert_eq!(&passwd[end..], TWIN);
    passwd[..end].to_vec()
}

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime
        .unwrap_or_else(|error| panic!("{error}"))
        .block_on(measure());
}

async fn measure() {
    println!(
        "\n== drift: {CHANGES} changes of files on two booted hosts, to their outcomes in the collector"
    );
    let fleet = Fleet::start().await;
    for host in &fleet.hosts {
        bring(host);
    }
    fleet.install();
    for host in &fleet.hosts {
        fleet.next_round(host, 0).await;
        memory(host, "after its first round");
    }
    let mut all = Vec::new();
    let mut missed = 0;
    for (number, way) in (0..CHANGES / 4).zip(WAYS.iter().cycle()) {
        for host in &fleet.hosts {
            for change in [way.make, way.undo] {
                match latency(&fleet, host, way.check, change).await {
                    Some(time) => all.push(time),
                    None => {
                        missed += 1;
                        println!("missed: change {number} of {}, {}", host.name(), way.name);
                    }
                }
            }
        }
    }
    print(&mut all, missed);
    for host in &fleet.hosts {
        memory(host, "after its changes");
    }
}

/// From the moment before the change to the moment when the collector's records hold another outcome.
async fn latency(
    fleet: &Fleet,
    host: &Machine,
    check: &str,
    change: fn(&Machine),
) -> Option<Duration> {
    let check: CheckId = check.parse().unwrap();
    let before = outcome(fleet, host, &check).await;
    let start = Instant::now();
    change(host);
    while outcome(fleet, host, &check).await == before {
        if start.elapsed() > MISSED {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
    Some(start.elapsed())
}

async fn outcome(fleet: &Fleet, host: &Machine, check: &CheckId) -> Outcome {
    fleet.outcomes(host).await[check].outcome
}

fn print(all: &mut [Duration], missed: usize) {
    all.sort();
    let at = |percent: usize| {
        let index = (all.len() * percent).div_ceil(100).saturating_sub(1);
        all.get(index).copied().unwrap_or_default().as_millis()
    };
    println!(
        "file change to outcome, p50 / p95 / max {:>6} / {} / {} ms   ({} changes, {missed} missed)",
        at(50),
        at(95),
        at(100),
        all.len()
    );
}

/// What the kernel says of the service's memory (proc(5)).
fn memory(host: &Machine, when: &str) {
    let pid = host
        .run(&[
            "systemctl",
            "show",
            "--value",
            "-p",
            "MainPID",
            "assay-agent",
        ])
        .unwrap();
    let status = host
        .read_file(&format!("/proc/{}/status", pid.trim()))
        .unwrap();
    let status = String::from_utf8_lossy(&status).into_owned();
    let mb = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kb.unwrap_or_default() / 1024.0
    };
    println!(
        "{AGENT} on {}, {when}: {:.1} MB peak, {:.1} MB resident, {:.1} MB of it its own",
        host.name(),
        mb("VmHWM:"),
        mb("VmRSS:"),
        mb("RssAnon:")
    );
}
