//! Reads stay inside of the root, within their bounds, and away from what is no file.

use std::os::unix::fs::symlink;

use super::*;

fn root() -> (tempfile::TempDir, FileSystemHost) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("etc")).unwrap();
    std::fs::write(directory.path().join("etc/passwd"), "inside").unwrap();
    let host = FileSystemHost::offline(directory.path()).unwrap();
    (directory, host)
}

#[test]
fn no_link_of_a_root_leads_out_of_it() {
    let (directory, host) = root();
    symlink("/etc/passwd", directory.path().join("absolute")).unwrap();
    symlink(
        "../../../../../../etc/passwd",
        directory.path().join("etc/climbing"),
    )
    .unwrap();
    symlink("/proc/self/root/etc/passwd", directory.path().join("magic")).unwrap();
    assert_eq!(host.read("/absolute", 100).unwrap(), b"inside");
    assert_eq!(host.read("/etc/climbing", 100).unwrap(), b"inside");
    assert!(host.read("/magic", 100).is_err());
    assert_eq!(host.read("/../../etc/passwd", 100).unwrap(), b"inside");
    assert_eq!(host.read_link("/absolute").unwrap(), "/etc/passwd");
    assert!(matches!(
        host.read_beneath("/", "absolute", 100),
        Err(HostError::NotRegular(_))
    ));
    assert!(matches!(
        host.read_beneath("/etc", "../etc/passwd", 100),
        Err(HostError::NotRegular(_))
    ));
    assert_eq!(host.read_beneath("/etc", "passwd", 100).unwrap(), b"inside");
}

#[test]
fn renaming_elsewhere_disturbs_nobody() {
    let (directory, host) = root();
    symlink("../etc/passwd", directory.path().join("etc/linked")).unwrap();
    let other = tempfile::tempdir().unwrap();
    let (one, two) = (other.path().join("one"), other.path().join("two"));
    std::fs::create_dir(&one).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::rename(&one, &two).unwrap();
                std::fs::rename(&two, &one).unwrap();
            }
        });
        let read: Vec<_> = (0..20_000).map(|_| host.read("/etc/linked", 100)).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for found in read {
            assert_eq!(found.unwrap(), b"inside");
        }
    });
}

#[test]
fn nothing_but_a_bounded_file_is_read() {
    let (directory, host) = root();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.path().join("fifo"),
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(matches!(
        host.read("/fifo", 100),
        Err(HostError::NotRegular(_))
    ));
    assert!(matches!(
        host.read("/etc", 100),
        Err(HostError::NotRegular(_))
    ));
    assert!(matches!(
        host.read("/etc/passwd", 5),
        Err(HostError::TooLarge(..))
    ));
    assert!(matches!(
        host.read("/etc/nothing", 5),
        Err(HostError::NotFound(_))
    ));
    assert_eq!(host.read_tail("/etc/passwd", 4).unwrap(), b"side");
    assert_eq!(host.read_head("/etc/passwd", 2).unwrap(), b"in");
    assert_eq!(host.read_at("/etc/passwd", 2, 3).unwrap(), b"sid");
    assert_eq!(host.read_at("/etc/passwd", 99, 3).unwrap(), b"");
}

#[test]
fn an_unpacked_root_runs_nothing() {
    let (_directory, host) = root();
    assert!(matches!(
        host.run(&Program::new("/bin/true", &[])),
        Err(HostError::OfflineRoot(_))
    ));
    assert!(matches!(host.clock_state(), Err(HostError::OfflineRoot(_))));
    assert!(matches!(host.space("/"), Err(HostError::OfflineRoot(_))));
}

#[test]
fn the_room_on_a_file_system_is_that_of_its_files() {
    let host = FileSystemHost::live().unwrap();
    let space = host.space("/").unwrap();
    assert_eq!(space.device, host.stat("/").unwrap().device);
    assert!(space.bytes > 0 && space.available_bytes <= space.bytes);
    assert!(matches!(
        host.space("/no/such/place"),
        Err(HostError::NotFound(_))
    ));
}

#[test]
fn kernel_files_are_read_whole() {
    let host = FileSystemHost::live().unwrap();
    assert!(host.read("/proc/self/mountinfo", 1 << 20).unwrap().len() > 10);
    assert!(
        host.list("/proc/self/fd")
            .unwrap()
            .iter()
            .all(|entry| entry.kind == FileKind::Link)
    );
}

/// A user makes two names change places without end (renameat2(2), RENAME_EXCHANGE): a file, and a FIFO that stands for the
/// devices whose opening has effects. What is opened is what was looked at.
#[test]
fn what_is_opened_is_what_was_looked_at() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::inotify;

    let (directory, host) = root();
    let controlled = directory.path().join("home");
    std::fs::create_dir(&controlled).unwrap();
    let (one, two) = (controlled.join("one"), controlled.join("two"));
    std::fs::write(&one, "file").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &two,
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    let told = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&told, &two, inotify::WatchFlags::OPEN).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let here = rustix::fs::CWD;
                rustix::fs::renameat_with(here, &one, here, &two, flags).unwrap();
            }
        });
        let mut read = 0;
        for _ in 0..20_000 {
            let found = host.read("/home/one", 100);
            let beneath = host.read_beneath("/home", "one", 100);
            for found in [found, beneath] {
                match found {
                    Ok(bytes) => {
                        assert_eq!(bytes, b"file");
                        read += 1;
                    }
                    Err(HostError::NotRegular(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(read > 0);
    });
    let opened = rustix::io::read(&told, &mut [0; 4096]);
    assert_eq!(opened, Err(Errno::AGAIN), "the FIFO was opened");
}
