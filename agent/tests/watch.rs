//! What changes a file, the probe that read it is woken; who changes files without end, does not keep the agent busy.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::host::FileSystemHost;
use agent::host::Host as _;
use agent::host::traced::Traced;
use agent::watch::{Fallback, Reads, Watch};
use evidence::id::ProbeId;
use evidence::time::{Clock as _, SystemClock};
use tempfile::TempDir;

/// Ends hopeless waiting.
const LIMIT: Duration = Duration::from_secs(20);
/// Long enough for an event to come through, if there were one.
const QUIET: Duration = Duration::from_millis(500);

#[expect(
    clippy::disallowed_methods,
    reason = "that nothing happens can only be waited for"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// One probe that reads `conf`, lists `conf.d` and follows `link`, below a folder of its own.
struct Watched {
    folder: TempDir,
    watch: Arc<Watch>,
    probe: ProbeId,
}

impl Watched {
    fn new() -> Watched {
        let folder = tempfile::tempdir().unwrap();
        let watched = Watched {
            folder,
            watch: Arc::new(Watch::new()),
            probe: "probe".parse().unwrap(),
        };
        fs::create_dir(watched.path("etc")).unwrap();
        fs::write(watched.path("etc/conf"), "a").unwrap();
        fs::create_dir(watched.path("etc/conf.d")).unwrap();
        fs::create_dir(watched.path("lib")).unwrap();
        fs::write(watched.path("lib/one"), "a").unwrap();
        symlink("../lib/one", watched.path("etc/link")).unwrap();
        // The files are older than the probe's look.
        pause(Duration::from_millis(50));
        watched
    }

    fn started() -> Watched {
        let watched = Watched::new();
        watched.watch.start().unwrap();
        watched.look();
        pause(QUIET);
        assert!(watched.watch.ready().is_empty(), "nothing has changed");
        watched
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.path().display())
    }

    /// Reads what the probe reads, and has it watched.
    fn look(&self) {
        let since = SystemClock::new().now();
        let host = FileSystemHost::live().unwrap();
        let mut reads = Reads::default();
        let traced = Traced::new(&host, &mut reads);
        for file in ["etc/conf", "etc/link", "later/below/file"] {
            let _ = traced.read(&self.path(file), 100);
        }
        let _ = traced.list(&self.path("etc/conf.d"));
        self.watch
            .follow(BTreeMap::from([(self.probe.clone(), reads)]), since);
    }

    fn wait(&self) -> bool {
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            if self.watch.ready().contains(&self.probe) {
                return true;
            }
            pause(Duration::from_millis(20));
        }
        false
    }

    #[track_caller]
    fn wakes(&self, what: &str, change: impl FnOnce()) {
        change();
        assert!(self.wait(), "{what} wakes nobody");
        self.look();
        pause(QUIET);
        // A directory that came just now is looked at once more.
        if !self.watch.ready().is_empty() {
            self.look();
        }
    }
}

#[test]
fn every_way_of_changing_what_was_read_wakes_its_probe() {
    let watched = Watched::started();
    let path = |name: &str| watched.path(name);
    watched.wakes("writing", || fs::write(path("etc/conf"), "b").unwrap());
    watched.wakes("an editor that replaces the file", || {
        fs::write(path("etc/.conf.swp"), "c").unwrap();
        fs::rename(path("etc/.conf.swp"), path("etc/conf")).unwrap();
    });
    watched.wakes("writing the replaced file", || {
        fs::write(path("etc/conf"), "d").unwrap()
    });
    watched.wakes("removing", || fs::remove_file(path("etc/conf")).unwrap());
    watched.wakes("making anew", || fs::write(path("etc/conf"), "e").unwrap());
    watched.wakes("chmod", || {
        fs::set_permissions(path("etc/conf"), Permissions::from_mode(0o600)).unwrap();
    });
    watched.wakes("a new name in a listed directory", || {
        fs::write(path("etc/conf.d/50-new.conf"), "f").unwrap();
    });
    watched.wakes("the target of a link", || {
        fs::write(path("lib/one"), "g").unwrap()
    });
    watched.wakes("another target", || {
        fs::write(path("lib/two"), "h").unwrap();
        fs::remove_file(path("etc/link")).unwrap();
        symlink("../lib/two", path("etc/link")).unwrap();
    });
    watched.wakes("writing the other target", || {
        fs::write(path("lib/two"), "i").unwrap()
    });
    watched.wakes("a directory that comes later", || {
        fs::create_dir(path("later")).unwrap()
    });
    watched.wakes("and its own", || {
        fs::create_dir(path("later/below")).unwrap();
        fs::write(path("later/below/file"), "j").unwrap();
    });
    watched.wakes("a directory that is replaced whole", || {
        fs::rename(path("etc"), path("old")).unwrap();
        fs::create_dir(path("etc")).unwrap();
        fs::write(path("etc/conf"), "k").unwrap();
    });
    watched.wakes("writing in the new one", || {
        fs::write(path("etc/conf"), "l").unwrap()
    });
}

#[test]
fn what_was_not_read_wakes_nobody() {
    let watched = Watched::started();
    fs::write(watched.path("etc/other"), "x").unwrap();
    fs::write(watched.path("lib/three"), "x").unwrap();
    fs::create_dir(watched.path("elsewhere")).unwrap();
    fs::read(watched.path("etc/conf")).unwrap();
    pause(QUIET);
    assert!(watched.watch.ready().is_empty());
}

#[test]
fn what_changes_while_the_probe_looks_is_looked_at_again() {
    let watched = Watched::new();
    watched.watch.start().unwrap();
    let since = SystemClock::new().now();
    let host = FileSystemHost::live().unwrap();
    let mut reads = Reads::default();
    let path = watched.path("etc/conf");
    Traced::new(&host, &mut reads).read(&path, 100).unwrap();
    fs::write(&path, "between reading and watching").unwrap();
    watched
        .watch
        .follow(BTreeMap::from([(watched.probe.clone(), reads)]), since);
    assert!(watched.wait());
}

/// The processor time of this process, milliseconds.
fn cpu_ms() -> u128 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u128::from(time.tv_sec.unsigned_abs());
    seconds * 1000 + u128::from(time.tv_nsec.unsigned_abs()) / 1_000_000
}

#[test]
fn a_directory_in_which_everything_changes_is_let_go_and_taken_up_again() {
    let watched = Watched::started();
    let names: Vec<String> = (0..200)
        .map(|n| watched.path(&format!("etc/conf.d/{n}")))
        .collect();
    let start = Instant::now();
    while watched.watch.state().by_cadence.is_empty() {
        for name in &names {
            fs::write(name, "").unwrap();
            fs::remove_file(name).unwrap();
        }
        assert!(start.elapsed() < LIMIT, "{:?}", watched.watch.state());
    }
    let state = watched.watch.state();
    assert_eq!(state.by_cadence["probe"], Fallback::Storm);
    assert!(
        watched.wait(),
        "it is looked at, since something may have been missed"
    );
    watched.look();
    assert_eq!(watched.watch.state(), state, "and left alone meanwhile");
    let next = watched.watch.next().unwrap();
    let pause = next.saturating_duration_since(Instant::now());
    assert!(
        pause > Duration::from_secs(30),
        "taken up again in {pause:?}"
    );
}

/// A user who touches one file as fast as it goes, for two seconds.
#[test]
fn touching_a_file_in_a_loop_costs_next_to_nothing() {
    let watched = Watched::started();
    let watch = watched.watch.clone();
    let toucher = Command::new("/bin/sh")
        .args(["-c", "while :; do : > \"$0\"; done"])
        .arg(watched.path("etc/conf"))
        .spawn()
        .unwrap();
    let mut toucher = Killed(toucher);
    let (cpu, start) = (cpu_ms(), Instant::now());
    let mut looks = 0;
    while start.elapsed() < Duration::from_secs(2) {
        if !watch.ready().is_empty() {
            looks += 1;
            watched.look();
        }
        pause(Duration::from_millis(20));
    }
    let cpu = cpu_ms() - cpu;
    toucher.0.kill().unwrap();
    assert!((2..=8).contains(&looks), "{looks} looks in two seconds");
    // Other tests of this process may run meanwhile; a watch that wakes for each event takes all of the time.
    println!("{cpu} ms of processor time in two seconds of touching");
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_overflow_is_said_and_looked_at() {
    let watched = Watched::new();
    watched.look();
    // Events of two names in turn, since the kernel merges one that repeats the one before.
    let names = ["etc/conf.d/one", "etc/conf.d/two"].map(|name| watched.path(name));
    names.iter().for_each(|name| fs::write(name, "").unwrap());
    for _ in 0..10_000 {
        for name in &names {
            File::options().append(true).open(name).unwrap();
        }
    }
    watched.watch.start().unwrap();
    assert!(watched.wait());
    assert_eq!(
        watched.watch.state().by_cadence["probe"],
        Fallback::Overflow
    );
}

/// Set in the process whose user may have three watches.
const FEW_WATCHES: &str = "ASSAY_TEST_FEW_WATCHES";

#[test]
fn a_host_without_watches_left_keeps_its_cadence_and_says_so() {
    if std::env::var_os(FEW_WATCHES).is_some() {
        let watched = Watched::new();
        watched.look();
        assert_eq!(
            watched.watch.state().by_cadence["probe"],
            Fallback::WatchLimit
        );
        return;
    }
    let limit =
        "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\" --exact --nocapture \"$1\"";
    let output = Command::new("/usr/bin/unshare")
        .args(["--user", "--map-root-user", "/bin/sh", "-c", limit])
        .arg(std::env::current_exe().unwrap())
        .arg("a_host_without_watches_left_keeps_its_cadence_and_says_so")
        .env(FEW_WATCHES, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{output:?}"
    );
}

#[test]
fn a_new_address_and_a_mount_wake_who_reads_them() {
    let watch = Arc::new(Watch::new());
    let sources = [
        ("network", "/proc/net/dev"),
        ("mounts", "/proc/self/mountinfo"),
    ];
    let host = FileSystemHost::live().unwrap();
    let mut all = BTreeMap::new();
    for (probe, path) in sources {
        let mut reads = Reads::default();
        Traced::new(&host, &mut reads).read(path, 1 << 20).unwrap();
        all.insert(probe.parse::<ProbeId>().unwrap(), reads);
    }
    watch.start().unwrap();
    watch.follow(all, SystemClock::new().now());
    let folder = tempfile::tempdir().unwrap();
    let ready = |probe: &str| {
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            if watch.ready().iter().any(|one| one.as_str() == probe) {
                return true;
            }
            pause(Duration::from_millis(20));
        }
        false
    };
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
    };
    let mount = folder.path().to_str().unwrap();
    run("/bin/mount", &["-t", "tmpfs", "assay-test", mount]);
    let mounted = ready("mounts");
    run("/bin/umount", &[mount]);
    assert!(mounted);
    // TEST-NET-2, of documentation (RFC 5737).
    let address = "198.51.100.77/32";
    run("/sbin/ip", &["address", "add", address, "dev", "lo"]);
    let added = ready("network");
    run("/sbin/ip", &["address", "delete", address, "dev", "lo"]);
    assert!(added);
}
