//! A file system that never answers, in the place of a user's home: the program ends, and says what it could not read.

use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use acceptance::program;
use rustix::io::{FdFlags, fcntl_setfd};

use super::report::parse;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\neve:x:1000:1000::/home/eve:/bin/bash\n";

/// Files of a root on which sshd is installed and reads the keys of a user with a home that hangs.
const FILES: [(&str, &str); 6] = [
    ("etc/passwd", PASSWD),
    ("etc/group", "root:x:0:\neve:x:1000:\n"),
    ("etc/shadow", "root:!:1::::::\neve:!:1::::::\n"),
    ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
    ("etc/ssh/sshd_config", "PermitRootLogin no\n"),
    ("usr/sbin/sshd", "OpenSSH_9.2p1 Debian-2+deb12u7\0"),
];

fn unmount(point: &Path) {
    let done = Command::new("/bin/umount").arg("-l").arg(point).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_home_that_never_answers_is_an_error_of_what_reads_it_and_of_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let home = root.path().join("home/eve");
    std::fs::create_dir_all(&home).unwrap();
    let mut options = std::fs::File::options();
    let fuse = options.read(true).write(true).open("/dev/fuse").unwrap();
    fcntl_setfd(&fuse, FdFlags::empty()).unwrap();
    let number = fuse.as_raw_fd();
    let options = format!("fd={number},rootmode=40000,user_id=0,group_id=0,allow_other");
    let mounted = Command::new("/bin/mount")
        .args(["-i", "-t", "fuse", "-o", &options, "dead"])
        .arg(&home)
        .status()
        .unwrap();
    assert!(
        mounted.success(),
        "mounting needs root: run tests/run as root"
    );
    let began = Instant::now();
    let output = Command::new("/usr/bin/timeout")
        .arg("200")
        .arg(program("assay-agent"))
        .args(["check", "--format", "json", "--root"])
        .arg(root.path())
        .args(["--check", "ssh.keys.authorized"])
        .args(["--check", "account.uid0.unique"])
        .output();
    let took = began.elapsed();
    unmount(&home);
    drop(fuse);
    let judged = parse(&output.unwrap());
    let keys = &judged["ssh.keys.authorized"];
    assert_eq!(keys.words(), "error timeout", "{keys}");
    let other = &judged["account.uid0.unique"];
    assert_eq!(other.words(), "pass", "{other}");
    assert!(took < Duration::from_secs(100), "{took:?}");
}
