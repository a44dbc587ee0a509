//! No outcome holds a password's hash, whatever file a link puts where a probe expects configuration.

#![cfg(test)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A hash of crypt(5), and one of the oldest form, which nothing tells from a word.
const HASHES: [&str; 2] = [
    "$y$j9T$Zq1wq8Kj3mN5pR7tV9xB1.$hXk2Lm4Np6Qr8St0Uv2Wx4Yz6Ab8Cd0Ef2Gh4Ij6Kl8",
    "Zx9Kq2Lm7Pw4T",
];

/// Files that probes read as configuration, each a link to /etc/shadow here.
const LINKED: [&str; 48] = [
    "etc/ssh/sshd_config.d/0.conf",
    "etc/sudoers.d/0",
    "etc/doas.conf",
    "etc/audit/auditd.conf",
    "etc/audit/rules.d/0.rules",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/0.sources",
    "etc/apt/apt.conf.d/0",
    "etc/apt/preferences.d/0",
    "etc/apk/repositories",
    "etc/pacman.conf",
    "etc/yum.repos.d/0.repo",
    "etc/dnf/dnf.conf",
    "etc/zypp/zypp.conf",
    "etc/rsyslog.conf",
    "etc/rsyslog.d/0.conf",
    "etc/syslog-ng/syslog-ng.conf",
    "etc/logrotate.conf",
    "etc/logrotate.d/0",
    "etc/systemd/journald.conf",
    "etc/systemd/timesyncd.conf",
    "etc/systemd/system/0.service",
    "etc/systemd/system/0.timer",
    "etc/chrony/chrony.conf",
    "etc/ntp.conf",
    "etc/pam.d/sshd",
    "etc/pam.d/sudo",
    "etc/pam.d/common-auth",
    "etc/pam.d/system-auth",
    "etc/security/pwquality.conf",
    "etc/security/faillock.conf",
    "etc/security/limits.conf",
    "etc/login.defs",
    "etc/nsswitch.conf",
    "etc/nftables.conf",
    "etc/sysctl.d/0.conf",
    "etc/sysctl.conf",
    "etc/tmpfiles.d/0.conf",
    "etc/modprobe.d/0.conf",
    "etc/fstab",
    "etc/crypttab",
    "etc/resolv.conf",
    "etc/crontab",
    "etc/cron.d/0",
    "etc/docker/daemon.json",
    "etc/nginx/nginx.conf",
    "etc/apache2/apache2.conf",
    "etc/postfix/main.cf",
];

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn judged(root: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_assay-agent"))
        .args(["check", "--format", "json", "--root"])
        .arg(root)
        .output()
        .unwrap();
    assert!(
        output.status.code().is_some_and(|code| code < 3),
        "{output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_outcome_repeats_a_hash_of_a_file_that_a_link_leads_to() {
    let mut leaks = Vec::new();
    for os in [
        "ID=debian\nVERSION_ID=\"12\"\n",
        "ID=rhel\nVERSION_ID=\"9.4\"\n",
        "ID=alpine\nVERSION_ID=3.20.1\n",
        "ID=arch\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "etc/os-release", os);
        write(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        write(root, "etc/group", "root:x:0:\n");
        let shadow = HASHES.map(|hash| format!("root:{hash}:19000:0:99999:7:::\n"));
        write(root, "etc/shadow", &shadow.concat());
        write(
            root,
            "etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\n",
        );
        write(root, "etc/sudoers", "@includedir /etc/sudoers.d\n");
        write(root, "usr/sbin/sshd", "\0OpenSSH_9.2p1 Debian-2+deb12u3\0");
        for program in [
            "usr/bin/sudo",
            "usr/bin/doas",
            "usr/sbin/auditd",
            "usr/sbin/rsyslogd",
            "usr/sbin/logrotate",
            "usr/sbin/cron",
            "usr/sbin/nginx",
            "usr/sbin/apache2",
        ] {
            write(root, program, "");
        }
        for path in LINKED {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink("/etc/shadow", path).unwrap();
        }
        let report = judged(root);
        assert!(report.contains("sshd_config.d/0.conf"), "{report}");
        for secret in HASHES
            .iter()
            .chain(&["Zq1wq8Kj3mN5pR7tV9xB1", "hXk2Lm4Np6Qr8St0"])
        {
            let lines = report.lines().filter(|line| line.contains(secret));
            leaks.extend(lines.map(|line| format!("{os}{line:.300}")));
        }
    }
    assert_eq!(leaks, Vec::<String>::new());
}
