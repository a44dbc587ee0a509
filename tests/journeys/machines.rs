//! The hosts that the other journeys rely on are real, apart from each other, and leave nothing behind.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use acceptance::machine::{Image, Machine, Network};

/// Sends one line over TCP with nothing but the shell that every Debian host has.
const GREET: &str = r#"exec 3<>"/dev/tcp/$0/$1" && hostname >&3"#;

fn boot_two(network: &Network) -> (Machine, Machine) {
    let image = Image::debian("bookworm").unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| Machine::boot(&image, network, "web01").unwrap());
        let second = scope.spawn(|| Machine::boot(&image, network, "db01").unwrap());
        (first.join().unwrap(), second.join().unwrap())
    })
}

#[test]
fn two_hosts_run_at_once_and_reach_the_outer_machine() {
    let network = Network::create().unwrap();
    let (web, db) = boot_two(&network);
    let listener = TcpListener::bind((network.outer_address(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let outer = network.outer_address().to_string();

    for host in [&web, &db] {
        assert_eq!(host.run(&["hostname"]).unwrap().trim(), host.name());
        assert_eq!(
            host.run(&["cat", "/proc/1/comm"]).unwrap().trim(),
            "systemd"
        );
        for unit in [
            "ssh",
            "cron",
            "dbus",
            "systemd-journald",
            "unattended-upgrades",
        ] {
            assert_eq!(
                host.run(&["systemctl", "is-active", unit]).unwrap().trim(),
                "active",
                "{unit}"
            );
        }
        assert_eq!(
            host.run(&["systemctl", "--failed", "--no-legend"]).unwrap(),
            ""
        );
        assert!(banner(host).starts_with("SSH-2.0-"));

        host.run(&["bash", "-c", GREET, &outer, &port]).unwrap();
        // The greeting is complete, so the connection is already waiting: a blocking accept could only hide that it is not.
        listener.set_nonblocking(true).unwrap();
        let (stream, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), host.address());
        stream.set_nonblocking(false).unwrap();
        assert_eq!(read_all(stream).trim(), host.name());
    }

    let reaches = [&db.address().to_string(), "22"];
    web.run(&["bash", "-c", GREET, reaches[0], reaches[1]])
        .unwrap();
    let closed = web.exec(&["bash", "-c", GREET, reaches[0], "9"]).unwrap();
    assert!(!closed.status.success(), "nothing listens there");
}

#[test]
fn hosts_of_one_image_have_identities_of_their_own() {
    let network = Network::create().unwrap();
    let (web, db) = boot_two(&network);
    for path in [
        "/etc/machine-id",
        "/var/lib/dbus/machine-id",
        "/etc/ssh/ssh_host_ed25519_key.pub",
        "/etc/ssh/ssh_host_rsa_key.pub",
    ] {
        let (ours, theirs) = (web.read_file(path).unwrap(), db.read_file(path).unwrap());
        assert!(ours.len() > 32, "{path}");
        assert_ne!(ours, theirs, "{path}");
    }
    assert_ne!(web.address(), db.address());

    web.write_file("/etc/motd", "only here\n", 0o640).unwrap();
    assert_eq!(web.run(&["cat", "/etc/motd"]).unwrap(), "only here\n");
    assert_eq!(
        web.run(&["stat", "-c", "%a", "/etc/motd"]).unwrap().trim(),
        "640"
    );
    assert!(!db.run(&["cat", "/etc/motd"]).unwrap().contains("only here"));

    web.copy_in(Path::new("/bin/true"), "/usr/local/bin/brought")
        .unwrap();
    web.run(&["/usr/local/bin/brought"]).unwrap();
    assert!(
        db.exec(&["test", "-e", "/usr/local/bin/brought"])
            .unwrap()
            .status
            .code()
            == Some(1)
    );
}

#[test]
fn a_link_inside_a_host_never_leads_out_of_it() {
    let network = Network::create().unwrap();
    let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "web01").unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let path = outside.path().to_str().unwrap();
    host.run(&["ln", "-s", path, "/etc/leads-out"]).unwrap();
    host.write_file("/etc/leads-out", "from inside", 0o600)
        .unwrap();
    assert_eq!(host.run(&["cat", path]).unwrap(), "from inside");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "");
}

#[test]
fn a_plain_server_is_patched_and_knows_its_security_updates() {
    let network = Network::create().unwrap();
    let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "web01").unwrap();
    let pending = host
        .run(&["apt-get", "--simulate", "dist-upgrade"])
        .unwrap();
    assert!(
        pending.contains("0 upgraded, 0 newly installed"),
        "{pending}"
    );
    let lists = host.run(&["apt-cache", "policy"]).unwrap();
    assert!(lists.contains("n=bookworm-security"), "{lists}");
    let automatic = host
        .run(&["apt-config", "dump", "APT::Periodic::Unattended-Upgrade"])
        .unwrap();
    assert_eq!(
        automatic.trim(),
        r#"APT::Periodic::Unattended-Upgrade "1";"#
    );
}

#[test]
fn a_panicking_test_leaves_nothing_behind() {
    // Outside of what panics, so that no other test can take over the number, and with it the names, before they are looked at.
    let network = Network::create().unwrap();
    let number = network.outer_address().octets()[2];
    let bridge = format!("/sys/class/net/assaybr{number}/ifindex");
    let bridge_index = std::fs::read_to_string(&bridge).unwrap();
    let mut seen = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "web01").unwrap();
        let machine = format!("assay-{number}-{}", host.address().octets()[3]);
        let disk = host.disk().to_owned();
        seen = Some((machine.clone(), disk.clone()));
        assert!(disk.exists() && !supervisors(&disk).is_empty() && !traces(&machine).is_empty());
        panic!("as a failing test would");
    }));
    let (machine, disk) = seen.expect("the host had booted");
    assert!(panicked.is_err());
    assert_eq!(supervisors(&disk), Vec::<PathBuf>::new());
    assert_eq!(traces(&machine), Vec::<String>::new());
    assert!(!disk.parent().unwrap().exists());
    drop(network);
    assert_ne!(std::fs::read_to_string(&bridge).ok(), Some(bridge_index));
}

/// Set in the process that is to be killed while it holds a host.
const HOLD: &str = "ASSAY_TEST_HOLD_A_HOST";

/// The time in which the next network, or one that another test creates just then, clears what was left.
const CLEARING_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn what_a_killed_test_leaves_is_cleared_by_the_next() {
    if std::env::var_os(HOLD).is_some() {
        let network = Network::create().unwrap();
        let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "web01").unwrap();
        println!("\nholding {}", host.disk().display());
        std::io::stdin().read_line(&mut String::new()).unwrap();
        panic!("the other process was to kill this one");
    }
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "machines::what_a_killed_test_leaves_is_cleared_by_the_next",
            "--exact",
            "--nocapture",
        ])
        .env(HOLD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let disk = said
        .find_map(|line| line.strip_prefix("holding ").map(PathBuf::from))
        .expect("the holder booted a host");
    assert_eq!(supervisors(&disk).len(), 1);
    holder.kill().unwrap();
    holder.wait().unwrap();

    let start = Instant::now();
    loop {
        drop(Network::create().unwrap());
        let left = supervisors(&disk);
        if left.is_empty() && !disk.exists() {
            break;
        }
        assert!(
            start.elapsed() < CLEARING_LIMIT,
            "{left:?} and {} are still there",
            disk.display()
        );
    }
}

/// The processes that hold a host with this disk.
fn supervisors(disk: &Path) -> Vec<PathBuf> {
    let holds = |process: &PathBuf| {
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0);
        words
            .next()
            .is_some_and(|program| program.ends_with(b"systemd-nspawn"))
            && words.any(|word| word == disk.as_os_str().as_encoded_bytes())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(holds)
        .collect()
}

/// What else on the outer machine names a host: control groups, network devices, folders of the supervisor.
fn traces(machine: &str) -> Vec<String> {
    [
        format!("/sys/fs/cgroup/{machine}"),
        format!("/sys/fs/cgroup/systemd/{machine}"),
        format!("/sys/fs/cgroup/unified/{machine}"),
        format!("/sys/class/net/vb-{machine}"),
        format!("/run/systemd/nspawn/propagate/{machine}"),
    ]
    .into_iter()
    .filter(|path| Path::new(path).exists())
    .collect()
}

fn banner(host: &Machine) -> String {
    let address = SocketAddr::from((host.address(), 22));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut start = [0; 8];
    (&stream).read_exact(&mut start).unwrap();
    String::from_utf8_lossy(&start).into_owned()
}

fn read_all(stream: TcpStream) -> String {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut text = String::new();
    stream.take(4096).read_to_string(&mut text).unwrap();
    text
}
