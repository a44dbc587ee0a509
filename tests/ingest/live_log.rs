//! A log that is served is a log for anyone: an independent client and the auditor's program read it over HTTPS.

use std::fs;
use std::path::Path;
use std::process::Command;

use acceptance::oracle::Oracle;
use acceptance::process::{succeeded, told};
use acceptance::program;
use acceptance::simulated::SimulatedAgent;
use acceptance::world::World;
use evidence::outcome::Reason;
use evidence::time::{Clock as _, SystemClock};
use ledger::tile::{TileKind, TilePath};

/// Agents and the rounds of each: more than two full tiles of 256 entries.
const AGENTS: u64 = 6;
const ROUNDS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_independent_client_and_the_auditors_program_accept_a_live_log() {
    let world = World::start().await;
    grow(&world).await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("log");
    let size = download(&world, &folder).await;
    assert!(size > AGENTS * ROUNDS, "{size} entries");

    let oracle = Oracle::build(place.path());
    let log_key = world.log_key().to_string();
    let verdict = oracle.judge(&log_key, &folder);
    let expected =
        format!("entries {size}, cosignatures 0, inclusion 0, consistency 0, files 0: verified\n");
    assert_eq!(succeeded(&verdict), expected);

    for log in [format!("{}/log", world.url()), folder.display().to_string()] {
        let verdict = verify(&world, &log);
        assert!(verdict.status.success(), "{log}: {}", told(&verdict));
    }
    for file in ["checkpoint", "tile/0/001", "tile/entries/001"] {
        let path = folder.join(file);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[100] ^= 1;
        fs::write(&path, damaged).unwrap();
        let verdict = oracle.judge(&log_key, &folder);
        assert_eq!(verdict.status.code(), Some(1), "{file}: {}", told(&verdict));
        let verdict = verify(&world, &folder.display().to_string());
        assert_eq!(verdict.status.code(), Some(1), "{file}: {}", told(&verdict));
        fs::write(&path, whole).unwrap();
    }
    let verdict = verify(&world, &folder.display().to_string());
    assert!(verdict.status.success(), "mended: {}", told(&verdict));
}

/// Lets a fleet deliver rounds, all agents at once.
async fn grow(world: &World) {
    let token = world.token("web", AGENTS as u32).await;
    let (url, client) = (world.url(), world.client());
    let mut fleet = Vec::new();
    for seed in 1..=AGENTS {
        let mut agent = SimulatedAgent::enrol(&url, &client, &token, seed, None)
            .await
            .unwrap();
        fleet.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let now = SystemClock::new().now();
                agent.deliver(now, Reason::ToolMissing).await;
            }
        }));
    }
    for agent in fleet {
        agent.await.unwrap();
    }
}

/// Fetches the checkpoint and every file that a log of its size has, by the paths of tlog-tiles; returns the size.
async fn download(world: &World, folder: &Path) -> u64 {
    fs::create_dir_all(folder).unwrap();
    let checkpoint = fetch(world, "checkpoint").await;
    let text = String::from_utf8(checkpoint.clone()).unwrap();
    let size: u64 = text.lines().nth(1).unwrap().parse().unwrap();
    fs::write(folder.join("checkpoint"), checkpoint).unwrap();
    let hashes = (0..)
        .map(TileKind::Hashes)
        .take_while(|kind| TilePath::at_size(*kind, 0, size).is_some());
    for kind in hashes.chain([TileKind::Entries]) {
        for path in (0..).map_while(|index| TilePath::at_size(kind, index, size)) {
            let file = fetch(world, &path.to_string()).await;
            let at = folder.join(path.to_string());
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, file).unwrap();
        }
    }
    size
}

async fn fetch(world: &World, path: &str) -> Vec<u8> {
    let url = format!("{}/log/{path}", world.url());
    let answer = world.client().get(&url).send().await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.bytes().await.unwrap().to_vec()
}

fn verify(world: &World, log: &str) -> std::process::Output {
    let mut command = Command::new(program("assay-verify"));
    command.args(["log", log, "--key", &world.log_key().to_string()]);
    if log.starts_with("https://") {
        command.arg("--ca").arg(world.data().join("keys/ca.pem"));
    }
    command.output().unwrap()
}
