//! Walks over real trees, some of them made by somebody who means harm.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};

use super::*;
use crate::host::{FileSystemHost, Host as _};

/// `cap_net_raw=ep` as setcap(8) writes it.
const NET_RAW: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn plan() -> WalkPlan {
    WalkPlan {
        roots: vec![WalkRoot {
            path: b"/".to_vec(),
            mount: None,
            persistent: true,
            read_only: false,
        }],
        mount_points: BTreeSet::new(),
        users: BTreeSet::from([0]),
        groups: BTreeSet::from([0]),
        explained: Vec::new(),
        stores: vec!["/var/lib/docker"],
        user_stores: vec!["/.local/share/containers"],
        bounds: WalkBounds {
            wall: Duration::from_secs(60),
            cpu: Duration::from_secs(60),
            depth: 256,
            entries: 1_000_000,
        },
    }
}

fn walk(root: &Path, plan: &WalkPlan) -> Walked {
    let host = FileSystemHost::offline(root).unwrap();
    host.walk(plan, Walked::default()).unwrap()
}

fn file(root: &Path, path: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn directory(root: &Path, path: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn privileged(walked: &Walked) -> BTreeSet<&str> {
    let files = walked.privileged.first.iter();
    files.map(|file| file.path.as_str()).collect()
}

fn writable(walked: &Walked) -> BTreeSet<&str> {
    let files = walked.writable.first.iter();
    files.map(|file| file.path.as_str()).collect()
}

#[test]
fn either_set_id_bit_or_capabilities_make_a_program_privileged() {
    let root = tempfile::tempdir().unwrap();
    file(root.path(), "bin/user", 0o4755);
    file(root.path(), "bin/group", 0o2755);
    file(root.path(), "bin/both", 0o6711);
    file(root.path(), "bin/neither", 0o755);
    file(root.path(), "bin/raw", 0o755);
    file(root.path(), "bin/nobody-runs-it", 0o644);
    directory(root.path(), "shared", 0o2775);
    for name in ["bin/raw", "bin/nobody-runs-it"] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(
            root.path().join(name),
            "security.capability",
            &NET_RAW,
            flags,
        )
        .unwrap();
    }
    let walked = walk(root.path(), &plan());
    let expected = BTreeSet::from(["/bin/both", "/bin/group", "/bin/raw", "/bin/user"]);
    assert_eq!(privileged(&walked), expected);
    let raw = walked
        .privileged
        .first
        .iter()
        .find(|file| file.path == "/bin/raw")
        .unwrap();
    assert_eq!(raw.capability, Some(hex::encode(NET_RAW)));
    assert!(walked.is_complete());
}

#[test]
fn what_every_user_may_change_is_found_where_it_counts() {
    let root = tempfile::tempdir().unwrap();
    file(root.path(), "etc/open", 0o646);
    file(root.path(), "etc/group", 0o664);
    directory(root.path(), "tmp", 0o1777);
    directory(root.path(), "srv/drop", 0o777);
    file(root.path(), "root/inside", 0o666);
    directory(root.path(), "root", 0o700);
    file(root.path(), "var/lib/docker/overlay2/a/diff/open", 0o666);
    directory(root.path(), "var/lib/docker", 0o710);
    symlink("/etc/open", root.path().join("link")).unwrap();
    let device = |path: &str, minor| {
        let mode = Mode::from_raw_mode(0o666);
        let number = rustix::fs::makedev(1, minor);
        let path = root.path().join(path);
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, mode, number).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    };
    device("srv/null", 3);
    device("srv/mem", 1);
    let walked = walk(root.path(), &plan());
    let expected = BTreeSet::from(["/etc/open", "/root/inside", "/srv/drop", "/srv/mem"]);
    assert_eq!(writable(&walked), expected);
    let inside = walked
        .writable
        .first
        .iter()
        .find(|file| file.path == "/root/inside")
        .unwrap();
    assert!(!inside.reachable);
    let mut read_only = plan();
    read_only.roots[0].read_only = true;
    assert!(writable(&walk(root.path(), &read_only)).is_empty());
}

#[test]
fn stores_of_containers_count_where_users_reach_them_and_for_what_is_roots() {
    let root = tempfile::tempdir().unwrap();
    file(root.path(), "var/lib/docker/overlay2/a/diff/su", 0o4755);
    file(root.path(), "home/ada/.local/share/containers/su", 0o4755);
    let of_image = root.path().join("home/ada/.local/share/containers/newgrp");
    file(
        root.path(),
        "home/ada/.local/share/containers/newgrp",
        0o755,
    );
    std::os::unix::fs::chown(&of_image, Some(100_000), Some(100_000)).unwrap();
    fs::set_permissions(&of_image, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut plan = plan();
    plan.explained.push(Explained {
        first: 100_000,
        last: 165_535,
        below: Vec::new(),
        in_stores: true,
    });
    let stored = |walked: &Walked| -> BTreeSet<String> {
        let files = walked.privileged.first.iter().filter(|file| file.stored);
        files.map(|file| file.path.clone()).collect()
    };
    let closed = "/var/lib/docker/overlay2/a/diff/su".to_owned();
    let users = "/home/ada/.local/share/containers/newgrp".to_owned();
    directory(root.path(), "var/lib/docker", 0o710);
    let walked = walk(root.path(), &plan);
    assert_eq!(stored(&walked), BTreeSet::from([closed, users.clone()]));
    assert_eq!(walked.strangers.count, 0);
    directory(root.path(), "var/lib/docker", 0o711);
    assert_eq!(stored(&walk(root.path(), &plan)), BTreeSet::from([users]));
}

#[test]
fn numbers_without_a_name_are_counted_with_their_first_paths() {
    let root = tempfile::tempdir().unwrap();
    let own = |path: &str, uid, gid| {
        file(root.path(), path, 0o600);
        std::os::unix::fs::lchown(root.path().join(path), Some(uid), Some(gid)).unwrap();
    };
    for name in ["a", "b", "c", "d"] {
        own(&format!("home/{name}"), 4242, 0);
    }
    own("srv/team", 0, 77);
    own("var/lib/private/unit/state", 61_900, 61_900);
    own("srv/unit", 61_900, 0);
    symlink("nowhere", root.path().join("gone")).unwrap();
    std::os::unix::fs::lchown(root.path().join("gone"), Some(4242), Some(0)).unwrap();
    let mut plan = plan();
    plan.explained.push(Explained {
        first: 61_184,
        last: 65_519,
        below: vec![b"/var/lib/private/".to_vec()],
        in_stores: false,
    });
    let walked = walk(root.path(), &plan);
    let found: BTreeSet<(bool, u32, u64)> = walked
        .strangers
        .first
        .iter()
        .map(|stranger| (stranger.group, stranger.id, stranger.files))
        .collect();
    let expected = BTreeSet::from([(false, 4242, 5), (false, 61_900, 1), (true, 77, 1)]);
    assert_eq!(found, expected);
    assert!(
        walked
            .strangers
            .first
            .iter()
            .all(|stranger| stranger.first.len() <= 3)
    );
}

#[test]
fn names_of_any_bytes_are_walked_and_shown_harmlessly() {
    let root = tempfile::tempdir().unwrap();
    let strange = root.path().join(OsStr::from_bytes(b"\xff\x1b[2J\n"));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("su"), "").unwrap();
    fs::set_permissions(strange.join("su"), fs::Permissions::from_mode(0o4755)).unwrap();
    let walked = walk(root.path(), &plan());
    let expected = BTreeSet::from(["/\\xff\\x1b[2J\\x0a/su"]);
    assert_eq!(privileged(&walked), expected);
}

#[test]
fn fifos_sockets_and_links_hold_nothing_up_and_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    file(outside.path(), "su", 0o4755);
    let root = tempfile::tempdir().unwrap();
    symlink(outside.path(), root.path().join("out")).unwrap();
    symlink("/", root.path().join("host")).unwrap();
    symlink("loop", root.path().join("loop")).unwrap();
    let mode = Mode::from_raw_mode(0o6777);
    rustix::fs::mknodat(CWD, root.path().join("fifo"), FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    let walked = walk(root.path(), &plan());
    assert!(walked.is_complete(), "{walked:?}");
    assert_eq!(walked.looked_at, 6);
    assert_eq!(walked.privileged.count + walked.writable.count, 0);
}

/// The names that lead to a directory are swapped for links to a place outside, and the directory is moved about, as fast
/// as a user can. Nothing outside may ever be seen, and nothing that stayed where it was may be missed.
#[test]
fn a_tree_that_changes_under_the_walk_leads_it_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    file(outside.path(), "inner/su", 0o4755);
    let root = tempfile::tempdir().unwrap();
    for number in 0..30 {
        file(root.path(), &format!("steady/{number}/su"), 0o4755);
        directory(root.path(), &format!("swapped/{number}/inner"), 0o755);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for number in 0..30 {
                    let here = root.path().join(format!("swapped/{number}"));
                    let away = root.path().join(format!("swapped/away-{number}"));
                    fs::rename(&here, &away).unwrap();
                    symlink(outside.path(), &here).unwrap();
                    fs::remove_file(&here).unwrap();
                    fs::rename(&away, &here).unwrap();
                }
            }
        });
        for _ in 0..100 {
            let walked = walk(root.path(), &plan());
            assert_eq!(walked.privileged.count, 30, "{walked:?}");
            assert!(
                privileged(&walked)
                    .iter()
                    .all(|path| path.starts_with("/steady/"))
            );
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_is_too_deep_or_too_full_is_said_and_the_rest_is_walked() {
    let root = tempfile::tempdir().unwrap();
    let deep = "d/".repeat(300);
    directory(root.path(), &deep, 0o755);
    for number in 0..2_000 {
        fs::write(root.path().join(format!("d/{number}")), "").unwrap();
    }
    file(root.path(), "z/su", 0o4755);
    let walked = walk(root.path(), &plan());
    assert_eq!(walked.unread.count, 1);
    assert!(walked.unread.first[0].ends_with("/d: too deep"));
    assert_eq!(privileged(&walked), BTreeSet::from(["/z/su"]));
    let mut narrow = plan();
    narrow.bounds.depth = 1_000;
    narrow.bounds.entries = 1_999;
    let walked = walk(root.path(), &narrow);
    assert_eq!(walked.unread.first, ["/d: too many names in it"]);
    assert!(!walked.is_complete());
}

/// With no time at all a walk gets one directory further each time, and at the end has seen what one long walk sees.
#[test]
fn a_walk_goes_on_from_where_it_stopped() {
    let root = tempfile::tempdir().unwrap();
    for path in [
        "a/b/c/su",
        "a/b/su",
        "a-b/su",
        "a/d/su",
        "b/su",
        "b/c/d/e/su",
        "su",
    ] {
        file(root.path(), path, 0o4755);
    }
    let once = walk(root.path(), &plan());
    let host = FileSystemHost::offline(root.path()).unwrap();
    let mut hasty = plan();
    hasty.bounds.wall = Duration::ZERO;
    let mut walked = Walked::default();
    let mut walks = 0;
    loop {
        walked = host.walk(&hasty, walked).unwrap();
        walks += 1;
        if walked.stopped_at.is_none() {
            break;
        }
        assert!(!walked.is_complete());
    }
    assert_eq!(walks, 10);
    assert_eq!(privileged(&walked), privileged(&once));
    assert_eq!(walked.privileged.count, once.privileged.count);
    assert_eq!(walked.looked_at, once.looked_at);
}

/// Where it stopped may be gone, or be something else, when it goes on.
#[test]
fn a_walk_goes_on_even_if_the_place_is_gone() {
    let root = tempfile::tempdir().unwrap();
    for path in ["a/b/c/su", "a/z/su", "b/su"] {
        file(root.path(), path, 0o4755);
    }
    let host = FileSystemHost::offline(root.path()).unwrap();
    for gone in ["a/b/c", "a/b", "a", "b", "nothing/at/all", "zz"] {
        let at = format!("/{gone}");
        let walked = Walked {
            stopped_at: Some(format!("{} {}", hex::encode("/"), hex::encode(at))),
            ..Walked::default()
        };
        let walked = host.walk(&plan(), walked).unwrap();
        assert!(walked.stopped_at.is_none());
        let expected: BTreeSet<&str> = ["/a/b/c/su", "/a/z/su", "/b/su"]
            .into_iter()
            .filter(|path| names::in_walk_order(path.as_bytes(), gone.as_bytes()).is_gt())
            .collect();
        assert_eq!(privileged(&walked), expected, "{gone}");
    }
    for nonsense in ["", "zz", "2f", "2f 2e", "2f61 2f62"] {
        let walked = Walked {
            stopped_at: Some(nonsense.to_owned()),
            ..Walked::default()
        };
        assert_eq!(host.walk(&plan(), walked).unwrap().privileged.count, 3);
    }
}

#[test]
fn a_mount_point_is_never_crossed() {
    // /dev has file systems mounted on it wherever this runs.
    let walked = walk(Path::new("/dev"), &plan());
    let crossed = |path: &str| {
        walked
            .unread
            .first
            .iter()
            .any(|line| line.starts_with(path))
    };
    assert!(crossed("/shm: another file system"), "{walked:?}");
    let mut known = plan();
    known.mount_points = ["/shm", "/pts", "/mqueue", "/hugepages"]
        .map(|path| path.as_bytes().to_vec())
        .into();
    let walked = walk(Path::new("/dev"), &known);
    assert_eq!(walked.unread.count, 0, "{walked:?}");
}

/// A FUSE file system that no process answers for: whoever asks it anything waits for ever. The walk is over at once.
#[test]
fn a_dead_mount_is_not_asked_anything() {
    use std::os::fd::AsRawFd as _;
    use std::process::Command;

    let root = tempfile::tempdir().unwrap();
    file(root.path(), "z/su", 0o4755);
    directory(root.path(), "dead", 0o755);
    let fuse = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    rustix::io::fcntl_setfd(&fuse, rustix::io::FdFlags::empty()).unwrap();
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        fuse.as_raw_fd()
    );
    let dead = root.path().join("dead");
    let mounted = Command::new("/bin/mount")
        .args(["-i", "-t", "fuse", "-o", &options, "dead"])
        .arg(&dead)
        .status()
        .unwrap();
    assert!(mounted.success());
    let began = Instant::now();
    let unknown = walk(root.path(), &plan());
    let mut known = plan();
    known.mount_points.insert(b"/dead".to_vec());
    let known = walk(root.path(), &known);
    let took = began.elapsed();
    let unmounted = Command::new("/bin/umount")
        .arg("-l")
        .arg(&dead)
        .status()
        .unwrap();
    assert!(unmounted.success());
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        unknown.unread.first,
        ["/dead: another file system is mounted there"]
    );
    assert!(known.is_complete());
    assert_eq!(privileged(&known), BTreeSet::from(["/z/su"]));
}
