//! What an ordinary user leaves about for root's agent: links, FIFOs, files without end, names that steer a terminal,
//! processes that call themselves something else, programs in root's path.

use std::fmt::Write as _;

use acceptance::fleet::{AGENT, bring};
use acceptance::machine::{Image, Machine, Network};

use super::report::{check, parse};

/// Stands in a file of root's that nobody else may read.
const SECRET: &str = "root-only-7f3a";

/// What is rightly unknown in the end: keys that nobody could read, and certificates of what a user listens with.
const UNKNOWN: [&str; 2] = ["ssh.keys.authorized", "cert.expiry"];

/// How each user keeps what sshd would read as keys, with the files that a link or a FIFO stands for.
const KEYS: [(&str, &str); 9] = [
    ("link", "ln -s /root/secret ~/.ssh/authorized_keys"),
    (
        "chain",
        "ln -s ../x ~/.ssh/authorized_keys; ln -s /root/secret ~/x",
    ),
    (
        "folderlink",
        "rmdir ~/.ssh; ln -s /root ~/.ssh; ln -s /root/secret ~/authorized_keys",
    ),
    ("fifo", "mkfifo ~/.ssh/authorized_keys"),
    ("folder", "mkdir ~/.ssh/authorized_keys"),
    (
        "sparse",
        "truncate -s 4T ~/.ssh/authorized_keys || truncate -s 1T ~/.ssh/authorized_keys",
    ),
    ("device", "ln -s /dev/zero ~/.ssh/authorized_keys"),
    ("terminal", "ln -s /dev/console ~/.ssh/authorized_keys"),
    ("magic", "ln -s /proc/self/environ ~/.ssh/authorized_keys"),
];

/// Every program that the agent may run, by the name that a path would find it by.
const PROGRAMS: &str = "env systemctl journalctl busctl sshd sudo nft iptables iptables-save getent timedatectl chronyc \
    ntpq auditctl dpkg dpkg-query apt-get rpm zpool zfs cryptsetup dmsetup lvs mdadm smartctl docker podman sh bash cat \
    service_privilege systemd-analyze loginctl clamdscan rpm-ostree fwupdmgr ss ip lsblk";

/// Root's environment as sudo(8) keeps it on request, with all that a user can put into it.
const ENVIRONMENT: [&str; 16] = [
    "PATH=/home/eve/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/home/eve",
    "XDG_CONFIG_HOME=/home/eve",
    "XDG_RUNTIME_DIR=/home/eve",
    "TMPDIR=/home/eve",
    "TZ=:/home/eve/zone",
    "TZDIR=/home/eve",
    "BASH_ENV=/home/eve/bin/sh",
    "ENV=/home/eve/bin/sh",
    "SYSTEMD_PAGER=/home/eve/bin/cat",
    "PAGER=/home/eve/bin/cat",
    "LESSOPEN=|/home/eve/bin/cat %s",
    "SSL_CERT_FILE=/home/eve/ca.pem",
    "HTTPS_PROXY=http://127.0.0.1:9",
    "ASSAY_CONFIG=/home/eve/agent.toml",
    "RUST_LOG=trace",
];

/// The user's own programs, files and processes. Perl is on every Debian host; the name of a process is set by `$0`, the
/// title by what is executed under another name.
const EVE: &str = r#"set -e
cd ~
mkdir -p bin
for program in PROGRAMS; do
    printf '#!/bin/sh\necho "$0 $*" >>/home/eve/ran\n' >"bin/$program"
    chmod 755 "bin/$program"
done
echo 'this is = [ not toml' | tee agent.toml assay.toml sshd_config .assay.toml >/dev/null
echo password | chfn -r "$(printf 'caf\351')" >/dev/null 2>&1
mkdir -p "$(printf 'a\033]0;owned\007\n../b')"
install -m 4755 /bin/true "$(printf 'a\033]0;owned\007\n../b/run\033[2J')"
chmod 777 "$(printf 'a\033]0;owned\007\n../b')"
cp /usr/bin/perl sshd
cat >listen.pl <<'X'
use Socket;
my @kept;
for my $n (1 .. 200) {
    socket(my $s, PF_INET, SOCK_STREAM, 0) or last;
    bind($s, sockaddr_in(20000 + $n, INADDR_ANY)) or next;
    listen($s, 1);
    push @kept, $s;
}
$0 = "a\n\e[31mroot\e]0;owned\a 'facts.x || true' {{1}} <b>";
sleep 600;
X
setsid perl listen.pl >/dev/null 2>&1 </dev/null &
ln -sf /root/secret config
cat >title.pl <<'X'
$0 = 'sshd'; exec { '/home/eve/sshd' } 'sshd: /usr/sbin/sshd -f /home/eve/config -o PermitRootLogin=yes [listener] 0 of 10-100 startups', '/home/eve/sleep.pl';
X
echo 'sleep 600' >sleep.pl
setsid perl title.pl >/dev/null 2>&1 </dev/null &
mkdir -p called && ln -sf /usr/bin/passwd called/sshd
mkfifo never
setsid bash -c 'exec -a "sshd: /usr/sbin/sshd -f /home/eve/config -o PermitRootLogin=yes [listener] 0 of 10-100 startups" called/sshd <>never' >/dev/null 2>&1 &
for n in $(seq 300); do setsid sleep 600 >/dev/null 2>&1 </dev/null & done
touch ~/.hushlogin .rhosts .netrc .bashrc
for name in .rhosts .netrc .forward .k5login .pam_environment .bash_profile; do ln -sf /root/secret "$name"; done
mkdir -p .config/systemd/user && ln -sf /root/secret .config/systemd/user/x.service
for place in /tmp /var/tmp /dev/shm; do
    for name in assay assay-agent .assay assay-agent.lock; do ln -sfn /etc/passwd "$place/$name"; done
done
"#;

/// A user who lends a file only to nobody: whoever opens it meanwhile waits for the lease (fcntl(2)).
const LEASE: &str = r#"
open(my $f, '+<', "$ENV{HOME}/.ssh/authorized_keys") or die $!;
fcntl($f, 1024, 1) or die "no lease: $!";
$SIG{IO} = 'IGNORE';
sleep 600;
"#;

fn as_user(host: &Machine, user: &str, script: &str) -> String {
    let user = format!("--user={user}");
    host.run(&[
        "runuser",
        &user,
        "--",
        "bash",
        "-c",
        &format!("cd; {script}"),
    ])
    .unwrap()
}

fn planted() -> (Network, Machine) {
    let network = Network::create().unwrap();
    let host = Machine::boot(&Image::debian("bookworm").unwrap(), &network, "web01").unwrap();
    bring(&host);
    host.write_file("/root/secret", format!("{SECRET}\n"), 0o600)
        .unwrap();
    for (user, _) in KEYS.iter().chain(&[("eve", ""), ("lender", "")]) {
        host.run(&["useradd", "-m", "-s", "/bin/bash", user])
            .unwrap();
        as_user(&host, user, "mkdir -m 700 ~/.ssh");
    }
    (network, host)
}

/// Characters that steer a terminal, or hide what is there.
fn is_control(c: char) -> bool {
    c.is_control() && c != '\n'
}

#[test]
fn nothing_that_users_leave_about_is_followed_waited_for_or_run() {
    let (_network, host) = planted();
    host.run(&["bash", "-c", "echo eve:password | chpasswd"])
        .unwrap();
    let before = check(&host, &[]);
    assert_ne!(
        before["sshd.root"].outcome, "error",
        "{}",
        before["sshd.root"]
    );
    for (user, script) in KEYS {
        as_user(&host, user, script);
    }
    as_user(&host, "eve", &EVE.replace("PROGRAMS", PROGRAMS));
    let accounts = host.read_file("/etc/passwd").unwrap();
    assert!(
        String::from_utf8(accounts).is_err(),
        "chfn(1) took no bytes"
    );
    as_user(
        &host,
        "lender",
        "ssh-keygen -q -t ed25519 -N '' -f k; cp k.pub ~/.ssh/authorized_keys",
    );
    host.write_file("/home/lender/lease.pl", LEASE, 0o644)
        .unwrap();
    let held = as_user(
        &host,
        "lender",
        "setsid perl lease.pl </dev/null >/dev/null 2>&1 & sleep 2; cat /proc/locks",
    );
    assert!(held.contains("LEASE"), "{held}");

    let mut kept = vec!["env", "--chdir=/home/eve", "timeout", "240", "env"];
    kept.extend(ENVIRONMENT);
    let by_root = |arguments: &[&str]| {
        let command = [&kept[..], &[AGENT], arguments].concat();
        host.exec(&command).unwrap()
    };
    let json = by_root(&["check", "--format", "json"]);
    let after = parse(&json);
    let table = by_root(&["check"]);
    let recorded = by_root(&["record", "/root/recorded"]);

    let mut wrong = String::new();
    let ran = host.exec(&["cat", "/home/eve/ran"]).unwrap();
    if ran.status.success() {
        let _ = writeln!(wrong, "root ran {}", String::from_utf8_lossy(&ran.stdout));
    }
    let keys = &after["ssh.keys.authorized"];
    if keys.outcome == "pass" {
        let _ = writeln!(wrong, "keys that nobody could read: {keys}");
    }
    for (id, judged) in after.iter().filter(|(id, _)| id.starts_with("sshd.")) {
        let was = &before[id];
        if judged.words() != was.words() {
            let _ = writeln!(wrong, "a title of a user turned {id}: {was}, then {judged}");
        }
    }
    for (id, judged) in &after {
        let worse = judged.outcome == "error" && before[id].outcome != "error";
        if worse && !UNKNOWN.contains(&id.as_str()) {
            let _ = writeln!(wrong, "users made {id} unknown: {judged}");
        }
        if judged.outcome == "pass" && before[id].outcome != "pass" {
            let _ = writeln!(wrong, "users made {id} pass: was {}", before[id]);
        }
    }
    let text = String::from_utf8(table.stdout).unwrap();
    if let Some(line) = text.lines().find(|line| line.contains(is_control)) {
        let _ = writeln!(wrong, "steers a terminal: {line:?}");
    }
    let written = matches!(recorded.status.code(), Some(0 | 2)) && recorded.stderr.is_empty();
    assert!(written, "{recorded:?}");
    let told = String::from_utf8_lossy(&json.stdout).contains(SECRET) || text.contains(SECRET);
    let kept = host
        .exec(&["grep", "-rl", SECRET, "/root/recorded"])
        .unwrap();
    if told || kept.status.success() {
        let _ = writeln!(wrong, "a secret of root was read");
    }
    assert!(wrong.is_empty(), "{wrong}");
}
