//! A disk that is full, a data folder that may not be written: signing stops and says why, nothing that was accepted is
//! lost, and once there is room it goes on by itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use acceptance::process::{Collector, succeeded, told};
use acceptance::simulated::SimulatedAgent;
use crypto::Digest;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock};
use store::Store;
use wire::submission::Submission;

/// How long the collector gets to notice that there is room again.
const RECOVERY: Duration = Duration::from_secs(60);
/// Rounds of an agent with which even a database that keeps some room of its own has filled the disk.
const ENOUGH: u64 = 20_000;
/// Room for a new database, its log and some rounds.
const DISK_BYTES: u64 = 24 << 20;

/// A small file system of its own, in a file.
struct Disk {
    image: PathBuf,
    path: PathBuf,
}

impl Disk {
    fn make(folder: &Path) -> Disk {
        let disk = Disk {
            image: folder.join("image"),
            path: folder.join("disk"),
        };
        fs::create_dir(&disk.path).unwrap();
        File::create(&disk.image)
            .unwrap()
            .set_len(DISK_BYTES)
            .unwrap();
        // Without blocks that only root may use: the collector of this test is root.
        run(
            "/usr/sbin/mkfs.ext4",
            &["-q", "-m", "0", &text(&disk.image)],
        );
        disk.mount();
        disk
    }

    fn mount(&self) {
        let (image, path) = (text(&self.image), text(&self.path));
        run("/usr/bin/mount", &["-o", "loop", &image, &path]);
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        run("/usr/bin/mount", &["-o", &options, &text(&self.path)]);
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut ballast = File::create(self.path.join("ballast")).unwrap();
        for block in [1 << 20, 4096, 1] {
            let block = vec![7; block];
            while ballast.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path.join("ballast")).unwrap();
    }

    /// Does what the kernel does after an error of the disk: read-only from now on, files that are open included.
    fn fail(&self) {
        self.remount("abort");
    }

    /// What an administrator does then, with nothing running on it.
    fn repair(&self) {
        run("/usr/bin/umount", &[&text(&self.path)]);
        let done = Command::new("/usr/sbin/e2fsck")
            .args(["-f", "-y"])
            .arg(&self.image)
            .output()
            .unwrap();
        assert!(matches!(done.status.code(), Some(0 | 1)), "{}", told(&done));
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let done = Command::new("/usr/bin/umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("cannot unmount {}", self.path.display());
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs a program that needs root, as these tests do.
fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output().unwrap();
    let _ = succeeded(&done);
}

/// A collector on a small disk, and an agent that sends to it.
struct World {
    collector: Collector,
    agent: SimulatedAgent,
    /// Digests of the statements that have a receipt.
    acknowledged: Vec<Digest>,
    /// The statement that was refused last.
    pending: Option<Submission>,
    disk: Disk,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::make(folder.path());
        let data = disk.path.join("data");
        let mut collector = Collector::configure(folder.path(), &data, [127, 0, 0, 1].into());
        collector.start().await;
        let token = collector.token("web", 1);
        let agent =
            SimulatedAgent::enrol(&collector.url, &collector.client(), &token, 1, None).await;
        let mut world = World {
            agent: agent.unwrap(),
            acknowledged: Vec::new(),
            pending: None,
            collector,
            disk,
            _folder: folder,
        };
        for _ in 0..20 {
            assert_eq!(world.send_one().await, None);
        }
        world
    }

    /// Sends the next round; a refused one is sent again the next time, as agents do. Returns the code of the refusal.
    async fn send_one(&mut self) -> Option<String> {
        let reason = [Reason::Timeout, Reason::ToolMissing][self.acknowledged.len() % 2];
        let submission = match self.pending.take() {
            Some(pending) => pending,
            None => self.agent.signed_round(SystemClock::new().now(), reason),
        };
        match self.agent.send(&submission).await {
            Ok(receipt) => {
                self.agent.accept(&submission, &receipt);
                self.acknowledged.push(submission.envelope.digest());
                None
            }
            Err(problem) => {
                assert_eq!(problem.status, 503, "{problem:?}");
                self.pending = Some(submission);
                Some(problem.code)
            }
        }
    }

    /// Sends until it is refused; returns the code.
    async fn send_until_refused(&mut self) -> String {
        for _ in 0..ENOUGH {
            if let Some(code) = self.send_one().await {
                return code;
            }
        }
        panic!("it never ends");
    }

    /// Sends until it is accepted again.
    async fn send_until_accepted(&mut self) {
        let started = Instant::now();
        while let Some(code) = self.send_one().await {
            assert!(
                started.elapsed() < RECOVERY,
                "{code}: {}",
                self.collector.said()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn checkpoint(&self) -> String {
        let url = format!("{}/log/checkpoint", self.collector.url);
        let answer = self.collector.client().get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// While nothing can be written: the refusals say why, the checkpoint stands still, the log can be read and verified.
    async fn assert_stopped(&mut self) {
        let before = self.checkpoint().await;
        for _ in 0..5 {
            let refused = self.send_one().await;
            assert_eq!(
                refused.as_deref(),
                Some("storage"),
                "{}",
                self.collector.said()
            );
        }
        assert_eq!(self.checkpoint().await, before, "nothing is signed");
        let said = self.collector.said();
        let line = said
            .lines()
            .rfind(|line| line.contains("signing has stopped"))
            .unwrap_or_default();
        assert!(
            line.contains("ERROR") && line.contains(&self.collector.data.display().to_string()),
            "the log tells a person what to do: {said}"
        );
        let verdict = self.collector.verify_log();
        assert!(verdict.status.success(), "{}", told(&verdict));
    }

    /// Every statement with a receipt is in the log once, in order, and the log verifies; and so after a restart.
    async fn assert_whole(mut self) {
        for _ in 0..2 {
            let verdict = self.collector.verify_log();
            assert!(verdict.status.success(), "{}", told(&verdict));
            let store = Store::open(&self.collector.data).await.unwrap();
            let entries = store.entries(0, 1_000_000).await.unwrap();
            let logged = entries.iter().filter(|entry| entry.leaf.seq.is_some());
            let logged: Vec<Digest> = logged.map(|entry| entry.leaf.pae).collect();
            assert_eq!(logged, self.acknowledged);
            store.close().await;
            assert!(self.collector.stop().success());
            self.collector.start().await;
            assert_eq!(self.send_one().await, None, "it goes on after a restart");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_signing_and_loses_nothing() {
    let mut world = World::start().await;
    world.disk.fill();
    world.send_until_refused().await;
    world.assert_stopped().await;
    world.disk.free();
    world.send_until_accepted().await;
    for _ in 0..20 {
        assert_eq!(world.send_one().await, None);
    }
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_becomes_read_only_stops_signing_and_loses_nothing() {
    let mut world = World::start().await;
    world.disk.fail();
    world.send_until_refused().await;
    world.assert_stopped().await;
    world.collector.stop();
    world.disk.repair();
    world.disk.remount("ro");
    let ended = world.collector.try_start().await.unwrap_err();
    assert_eq!(
        ended.code(),
        Some(1),
        "it does not start where it cannot write"
    );
    let said = world.collector.said();
    let last = said.lines().last().unwrap();
    assert!(
        last.contains(&text(&world.collector.data)) && last.contains("Read-only file system"),
        "{last}"
    );
    world.disk.remount("rw");
    world.collector.start().await;
    world.send_until_accepted().await;
    world.assert_whole().await;
}
