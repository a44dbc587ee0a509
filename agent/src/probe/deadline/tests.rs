//! A probe that hangs, breaks off or takes too long is an error of its own, and the next one has its facts.

use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::host::FileSystemHost;
use crate::probe::{Unobservable, VolatileMemory};

fn probe(
    id: &'static str,
    observe: fn(&mut Observation<'_>) -> Result<Value, Unobservable>,
) -> Registered {
    Registered {
        id,
        observe,
        schema: || Value::Null,
        units: Vec::new,
        deadline: Duration::from_millis(500),
    }
}

fn reads(observation: &mut Observation<'_>) -> Result<Value, Unobservable> {
    let text = observation.required_text("/dead/file")?;
    Ok(serde_json::json!({ "text": text }))
}

fn answers(observation: &mut Observation<'_>) -> Result<Value, Unobservable> {
    let times: i64 = observation.recall("times").unwrap_or_default();
    observation.remember("times", &(times + 1));
    Ok(serde_json::json!({ "times": times }))
}

fn member(facts: &Facts, name: &str) -> Value {
    facts.members().get(name).cloned().unwrap_or_default()
}

fn error(facts: &Facts) -> String {
    serde_json::to_string(&facts.members()).unwrap()
}

/// A FUSE file system for which nobody answers, until it is let go.
struct Dead {
    _folder: tempfile::TempDir,
    fuse: Option<std::fs::File>,
    point: std::path::PathBuf,
    host: FileSystemHost,
}

impl Dead {
    fn mount() -> Dead {
        let folder = tempfile::tempdir().unwrap();
        let point = folder.path().join("dead");
        std::fs::create_dir(&point).unwrap();
        let mut options = std::fs::File::options();
        let fuse = options.read(true).write(true).open("/dev/fuse").unwrap();
        rustix::io::fcntl_setfd(&fuse, rustix::io::FdFlags::empty()).unwrap();
        let number = fuse.as_raw_fd();
        let options = format!("fd={number},rootmode=40000,user_id=0,group_id=0");
        let mounted = Command::new("/bin/mount")
            .args(["-i", "-t", "fuse", "-o", &options, "dead"])
            .arg(&point)
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "mounting needs root: run tests/run as root"
        );
        let host = FileSystemHost::offline(folder.path()).unwrap();
        Dead {
            _folder: folder,
            fuse: Some(fuse),
            point,
            host,
        }
    }

    /// The kernel then answers for it, with errors.
    fn let_go(&mut self) {
        self.fuse = None;
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        self.let_go();
        let point = &self.point;
        let unmounted = Command::new("/bin/umount").arg("-l").arg(point).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_probe_that_hangs_holds_up_no_other_and_is_not_started_twice() {
    let mut dead = Dead::mount();
    let mut memory = VolatileMemory::default();
    let mut bench = Bench::default();
    let now = Timestamp::from_unix_ms(0);
    let began = Instant::now();
    let (hung, _) = bench.observe(probe("hangs", reads), &dead.host, &mut memory, now);
    assert!(
        error(&hung).contains("did not end within 500ms"),
        "{hung:?}"
    );
    assert!(error(&hung).contains("\"timeout\""), "{hung:?}");
    let (facts, _) = bench.observe(probe("other", answers), &dead.host, &mut memory, now);
    assert_eq!(member(&facts, "times"), 0);
    for _ in 0..100 {
        let mut next = Bench::default();
        let (again, _) = next.observe(probe("hangs", reads), &dead.host, &mut memory, now);
        assert!(
            error(&again).contains("since an earlier round"),
            "{again:?}"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    dead.let_go();
    let mut last = String::new();
    while began.elapsed() < Duration::from_secs(30) && !last.contains("/dead/file") {
        let (again, _) = bench.observe(probe("hangs", reads), &dead.host, &mut memory, now);
        last = error(&again);
    }
    assert!(
        last.contains("/dead/file"),
        "asked again once it is answered: {last}"
    );
}

#[test]
fn memory_is_kept_from_thread_to_thread() {
    let folder = tempfile::tempdir().unwrap();
    let host = FileSystemHost::offline(folder.path()).unwrap();
    let mut memory = VolatileMemory::default();
    let now = Timestamp::from_unix_ms(0);
    for times in 0..3 {
        let (facts, _) = Bench::default().observe(probe("one", answers), &host, &mut memory, now);
        assert_eq!(member(&facts, "times"), times);
    }
}

#[test]
fn what_ends_too_late_is_no_fact_even_if_every_answer_came() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there"), "x").unwrap();
    let host = FileSystemHost::offline(folder.path()).unwrap();
    let mut memory = VolatileMemory::default();
    // It takes a refused answer for an absent file, as a careless probe would.
    let careless = probe("careless", |observation| {
        let mut looks = 0_u64;
        while observation.host().stat("/there").is_ok() {
            looks += 1;
        }
        Ok(serde_json::json!({ "looks": looks }))
    });
    let began = Instant::now();
    let now = Timestamp::from_unix_ms(0);
    let (facts, _) = Bench::default().observe(careless, &host, &mut memory, now);
    assert!(error(&facts).contains("\"timeout\""), "{facts:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    // The refusal ended the loop, and with it the thread.
    while host
        .detached(began)
        .unwrap()
        .running
        .begin("careless")
        .is_none()
    {
        assert!(began.elapsed() < Duration::from_secs(5));
        std::thread::yield_now();
    }
}

#[test]
fn a_probe_that_breaks_off_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = FileSystemHost::offline(folder.path()).unwrap();
    let mut memory = VolatileMemory::default();
    let mut bench = Bench::default();
    let now = Timestamp::from_unix_ms(0);
    let mut broken = probe("broken", |_| panic!("on purpose"));
    // Telling of a panic may take long.
    broken.deadline = Duration::from_secs(60);
    for _ in 0..2 {
        let (facts, _) = bench.observe(broken, &host, &mut memory, now);
        assert!(error(&facts).contains("broke off"), "{facts:?}");
        let (facts, _) = bench.observe(probe("one", answers), &host, &mut memory, now);
        assert!(member(&facts, "times").is_number());
    }
}
