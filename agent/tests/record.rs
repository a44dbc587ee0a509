//! A recording of a host is judged as the host is, and holds none of its secrets.

#![cfg(test)]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use agent::host::{FileSystemHost, Host as _, RecordedHost};
use agent::record;
use evidence::baseline;
use evidence::time::{Clock as _, SystemClock};

fn recorded(host: &FileSystemHost, folder: &Path) -> record::Summary {
    let bundle = baseline::bundle().unwrap().for_hosts();
    record::record(host, &bundle, SystemClock::new().now(), folder).unwrap()
}

fn differing(summary: &record::Summary) -> Vec<&str> {
    summary
        .differing_facts
        .iter()
        .map(|probe| probe.as_str())
        .collect()
}

/// Everything in a folder, unpacked, as one text.
fn all_text(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|one| one == "zst") {
            bytes = zstd::bulk::decompress(&bytes, 64 << 20).unwrap();
        }
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    text
}

/// This machine, whatever it is: every kernel file, link, program and log that probes touch.
#[test]
fn a_live_machine_is_judged_alike_from_its_recording() {
    let folder = tempfile::tempdir().unwrap();
    let summary = recorded(&FileSystemHost::live().unwrap(), folder.path());
    // The digest of the recording program, and that of the machine's id.
    assert_eq!(
        differing(&summary),
        ["agent_integrity", "asset"],
        "{summary:?}"
    );
    assert!(summary.differing.is_empty(), "{summary:?}");
    let replayed = RecordedHost::load(&summary.path).unwrap();
    let bundle = baseline::bundle().unwrap().for_hosts();
    assert!(
        replayed
            .expect
            .keys()
            .eq(bundle.checks.keys().map(|id| id.as_str()))
    );
    let mode = std::fs::metadata(&summary.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "nobody else may read it");
}

#[test]
fn an_unpacked_root_keeps_its_outcomes_and_loses_its_secrets() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    for (path, content) in [
        ("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
        (
            "etc/passwd",
            "root:x:0:0::/root:/bin/bash\ntoor:$1$sa17$Md5SecretHash:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/bash\n",
        ),
        (
            "etc/shadow",
            "root:$y$j9T$Sa17Sa17$SecretHash:19000:0:99999:7:::\nann::19000:0:99999:7:::\n",
        ),
        ("etc/group", "root:x:0:\nsudo:x:27:ann\n"),
        ("etc/machine-id", "5ec2e75ec2e75ec2e75ec2e75ec2e75e\n"),
        (
            "etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\n",
        ),
        (
            "etc/ssh/sshd_config.d/secret.conf",
            "# mailto://ann:SecretHash@example\nX11Forwarding no\n",
        ),
        ("usr/bin/sudo", ""),
        (
            "etc/sudoers",
            "root ALL=(ALL) ALL\nann ALL=(ALL) NOPASSWD: ALL\n",
        ),
        (
            "etc/login.defs",
            "PASS_MAX_DAYS 90\nENCRYPT_METHOD YESCRYPT\n",
        ),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    symlink("../usr/lib/os-release", root.join("etc/os-release")).unwrap();
    let folder = outer.path().join("recording");
    let summary = recorded(&FileSystemHost::offline(&root).unwrap(), &folder);
    assert_eq!(differing(&summary), ["asset"], "{summary:?}");
    assert!(summary.differing.is_empty(), "{summary:?}");
    let replayed = RecordedHost::load(&summary.path).unwrap();
    assert!(!replayed.is_live());
    for (check, outcome) in [
        ("account.uid0.unique", "fail"),
        ("account.password.empty", "fail"),
        ("sudo.nopasswd", "fail"),
    ] {
        assert!(
            replayed.expect[check].starts_with(outcome),
            "{check}: {}",
            replayed.expect[check]
        );
    }
    let text = all_text(&folder);
    assert!(text.contains("NOPASSWD"), "what is judged is there");
    for secret in ["SecretHash", "Sa17", "sa17", "5ec2e7"] {
        assert!(!text.contains(secret), "{secret} is in the recording");
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(outer.path().join("mine"), "mine").unwrap();
    let host = FileSystemHost::offline(&root).unwrap();
    let bundle = baseline::bundle().unwrap().for_hosts();
    let refused = record::record(&host, &bundle, SystemClock::new().now(), outer.path());
    assert!(matches!(refused, Err(record::RecordError::Write { .. })));
    assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 2);
}
