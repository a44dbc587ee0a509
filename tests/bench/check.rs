//! One full `assay-agent check` beside `lynis audit system --quick` on the same host, in turn, in the same run.

use std::process::Command;

use acceptance::program;

/// Runs of each, of which the median counts.
const RUNS: usize = 5;

/// Runs a command and prints user and system CPU seconds, wall seconds and peak RSS in KB of it and its children.
const MEASURE: &str = "
import os, subprocess, sys, time, resource
start = time.monotonic()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C'},
    file_actions=[(os.POSIX_SPAWN_OPEN, 0, '/dev/null', os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, '/dev/null', os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss)
";

#[derive(Clone, Copy)]
struct Cost {
    cpu_s: f64,
    wall_s: f64,
    rss_kb: f64,
}

pub fn run() {
    println!("\n== one full check of this host, beside lynis (median of {RUNS}, in turn)");
    let agent = program("assay-agent").display().to_string();
    let judged = judged(&agent);
    let mut ours = Vec::new();
    let mut peers = Vec::new();
    for _ in 0..RUNS {
        ours.push(measure(&[&agent, "check", "--format", "json"]));
        peers.push(measure(&[
            "/usr/sbin/lynis",
            "audit",
            "system",
            "--quick",
            "--no-colors",
        ]));
    }
    let (ours, peers) = (
        ours.into_iter().flatten().collect::<Vec<_>>(),
        peers.into_iter().flatten().collect::<Vec<_>>(),
    );
    let Some(own) = median(&ours) else {
        return println!("assay-agent check could not be measured");
    };
    let often = often();
    let command: Vec<&str> = [agent.as_str(), "check", "--format", "json"]
        .into_iter()
        .chain(often.iter().flat_map(|id| ["--check", id]))
        .collect();
    let round: Vec<Cost> = (0..RUNS).filter_map(|_| measure(&command)).collect();
    println!("{:<34} {:>9} {:>9} {:>10}", "", "CPU s", "wall s", "RSS MB");
    print_cost(&format!("assay-agent check ({judged} checks)"), own);
    if let Some(round) = median(&round) {
        print_cost(
            &format!("what is due every 15 minutes ({})", often.len()),
            round,
        );
    }
    match median(&peers) {
        Some(peer) => {
            print_cost("lynis audit system --quick", peer);
            println!(
                "{:<34} {:>9.0} {:>9.0} {:>10.1}",
                "lynis / assay-agent",
                peer.cpu_s / own.cpu_s,
                peer.wall_s / own.wall_s,
                peer.rss_kb / own.rss_kb
            );
        }
        None => println!("lynis is not installed: apt-get install lynis"),
    }
}

fn print_cost(name: &str, cost: Cost) {
    println!(
        "{name:<34} {:>9.3} {:>9.3} {:>10.1}",
        cost.cpu_s,
        cost.wall_s,
        cost.rss_kb / 1024.0
    );
}

/// The checks of a 15-minute round. Measured with the start of the program and the compiling of every expression, which a
/// service does once.
fn often() -> Vec<String> {
    let checks =
        evidence::baseline::bundle().map_or_else(|error| panic!("{error}"), |bundle| bundle.checks);
    let often = checks
        .iter()
        .filter(|(_, check)| check.cadence == "*/15 * * * *");
    often.map(|(id, _)| id.to_string()).collect()
}

fn judged(agent: &str) -> usize {
    let output = Command::new(agent)
        .args(["check", "--format", "json"])
        .output();
    let document: serde_json::Value = output
        .ok()
        .and_then(|output| serde_json::from_slice(&output.stdout).ok())
        .unwrap_or_default();
    let outcomes = document
        .get("outcomes")
        .and_then(serde_json::Value::as_array)
        .cloned()
        .unwrap_or_default();
    outcomes.len()
}

fn measure(command: &[&str]) -> Option<Cost> {
    if !std::path::Path::new(command[0]).exists() {
        return None;
    }
    let output = Command::new("/usr/bin/python3")
        .arg("-c")
        .arg(MEASURE)
        .args(command)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [cpu_s, wall_s, rss_kb] = numbers.as_slice() else {
        return None;
    };
    Some(Cost {
        cpu_s: *cpu_s,
        wall_s: *wall_s,
        rss_kb: *rss_kb,
    })
}

fn median(costs: &[Cost]) -> Option<Cost> {
    let middle = |of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Some(Cost {
        cpu_s: middle(|cost| cost.cpu_s)?,
        wall_s: middle(|cost| cost.wall_s)?,
        rss_kb: middle(|cost| cost.rss_kb)?,
    })
}
