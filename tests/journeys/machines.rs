//! The hosts that the other journeys rely on are real, apart from each other, and leave nothing behind.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

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
    let mut seen = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let network = Network::create().unwrap();
        let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "web01").unwrap();
        let [_, _, number, last] = host.address().octets();
        seen = Some((format!("assay-{number}-{last}"), number));
        assert!(
            !traces(&format!("assay-{number}-{last}")).is_empty(),
            "a running host can be seen from outside"
        );
        panic!("as a failing test would");
    }));
    assert!(panicked.is_err());
    let (machine, number) = seen.unwrap();
    assert_eq!(traces(&machine), Vec::<String>::new());
    assert!(
        TcpListener::bind((std::net::Ipv4Addr::new(10, 231, number, 1), 0)).is_err(),
        "the network is gone"
    );
}

/// Everything on the outer machine that names a host: processes, mounts, control groups, devices, folders.
fn traces(machine: &str) -> Vec<String> {
    let argument = format!("--machine={machine}");
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if command
            .split(|byte| *byte == 0)
            .any(|word| word == argument.as_bytes())
        {
            found.push(process.path().display().to_string());
        }
    }
    for path in [
        format!("/sys/fs/cgroup/{machine}"),
        format!("/sys/fs/cgroup/systemd/{machine}"),
        format!("/sys/fs/cgroup/unified/{machine}"),
        format!("/sys/class/net/vb-{machine}"),
        format!("/run/systemd/nspawn/propagate/{machine}"),
    ] {
        if Path::new(&path).exists() {
            found.push(path);
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&format!("/{machine}-")))
            .map(str::to_owned),
    );
    found
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
