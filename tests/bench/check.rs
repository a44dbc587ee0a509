//! One full `assay-agent check`, the checks that are due every 15 minutes, Lynis and OpenSCAP, on the same plain Debian 12
//! server, in turn, in the same run.

use std::path::Path;

use acceptance::fleet::{AGENT, bring};
use acceptance::machine::{Image, Machine, Network, install};

/// Runs of each, of which the median counts.
const RUNS: usize = 5;
/// The peers, and what measures them.
const PACKAGES: [&str; 3] = ["lynis", "openscap-scanner", "python3-minimal"];
/// Debian 12's own package of profiles is older than Debian 12: this one, of Debian 13, knows it.
const PROFILES: &str = "ssg-debian";
const PROFILE_FILE: &str = "/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml";
/// Runs a command and prints CPU seconds, wall seconds and peak RSS in KB of it and its children (time(1) rounds to 10 ms).
const MEASURE: &str = "
import os, sys, time
start = time.monotonic()
null = [(os.POSIX_SPAWN_OPEN, fd, '/dev/null', os.O_RDWR, 0) for fd in (0, 1, 2)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, status, usage = os.wait4(pid, 0)
assert os.waitstatus_to_exitcode(status) != 64, sys.argv
print(usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss)
";

#[derive(Clone, Copy)]
struct Cost {
    cpu_s: f64,
    wall_s: f64,
    rss_kb: f64,
}

pub fn run() {
    println!(
        "\n== one full check of a plain Debian 12 server, beside its peers (median of {RUNS}, in turn)"
    );
    let network = Network::create().unwrap();
    let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "plain").unwrap();
    bring(&host);
    equip(&host);
    let often = often();
    let mut due = vec![AGENT, "check", "--format", "json"];
    due.extend(often.iter().flat_map(|id| ["--check", id]));
    let commands: [(String, &[&str]); 4] = [
        (
            format!("assay-agent check ({} checks)", judged(&host)),
            &[AGENT, "check", "--format", "json"],
        ),
        (
            format!("what is due every 15 minutes ({})", often.len()),
            &due,
        ),
        (
            "lynis audit system --quick".to_owned(),
            &["lynis", "audit", "system", "--quick", "--no-colors"],
        ),
        (
            "oscap, standard profile of Debian 12".to_owned(),
            &[
                "oscap",
                "xccdf",
                "eval",
                "--profile",
                "standard",
                PROFILE_FILE,
            ],
        ),
    ];
    let mut costs: [Vec<Cost>; 4] = Default::default();
    for _ in 0..RUNS {
        for ((_, command), costs) in commands.iter().zip(&mut costs) {
            costs.push(measure(&host, command));
        }
    }
    println!("{:<38} {:>9} {:>9} {:>10}", "", "CPU s", "wall s", "RSS MB");
    let [own, _, lynis, oscap] = [0, 1, 2, 3].map(|which| {
        let cost = median(&costs[which]);
        print(
            &commands[which].0,
            cost.cpu_s,
            cost.wall_s,
            cost.rss_kb / 1024.0,
        );
        cost
    });
    for (name, peer) in [
        ("lynis / assay-agent", lynis),
        ("oscap / assay-agent", oscap),
    ] {
        print(
            name,
            peer.cpu_s / own.cpu_s,
            peer.wall_s / own.wall_s,
            peer.rss_kb / own.rss_kb,
        );
    }
}

fn print(name: &str, cpu: f64, wall: f64, rss: f64) {
    println!("{name:<38} {cpu:>9.3} {wall:>9.3} {rss:>10.1}");
}

/// Installs the peers on the host's disk; the host itself reaches no network but its own.
fn equip(host: &Machine) {
    install(host.disk(), &PACKAGES.map(str::to_owned)).unwrap();
    let newer = Image::debian("trixie").unwrap();
    let unpacked = tempfile::tempdir().unwrap();
    let root = unpacked.path().join("root");
    newer.copy_to(&root).unwrap();
    install(&root, &[PROFILES.to_owned()]).unwrap();
    let profile = Path::new(PROFILE_FILE).strip_prefix("/").unwrap();
    let folder = Path::new(PROFILE_FILE).parent().unwrap();
    host.run(&["mkdir", "-p", folder.to_str().unwrap()])
        .unwrap();
    host.copy_in(&root.join(profile), PROFILE_FILE).unwrap();
}

/// The checks of a 15-minute round. Measured with the start of the program and the reading of the bundle, which a service
/// pays too: it examines in a process of its own.
fn often() -> Vec<String> {
    // What the collector judges, `check` refuses by name.
    let checks = evidence::baseline::bundle().unwrap().for_hosts().checks;
    let often = checks
        .iter()
        .filter(|(_, check)| check.cadence == "*/15 * * * *");
    often.map(|(id, _)| id.to_string()).collect()
}

fn judged(host: &Machine) -> usize {
    let output = host.exec(&[AGENT, "check", "--format", "json"]).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    document["outcomes"].as_array().unwrap().len()
}

fn measure(host: &Machine, command: &[&str]) -> Cost {
    let mut argv = vec!["python3", "-c", MEASURE];
    argv.extend(command);
    let text = host.run(&argv).unwrap();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    Cost {
        cpu_s: numbers[0],
        wall_s: numbers[1],
        rss_kb: numbers[2],
    }
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Cost {
        cpu_s: middle(|cost| cost.cpu_s),
        wall_s: middle(|cost| cost.wall_s),
        rss_kb: middle(|cost| cost.rss_kb),
    }
}
