//! A round that was handed out is held against the log as it is served, with the keys that came with it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use acceptance::process::told;
use acceptance::program;
use acceptance::world::World;
use collector::export;
use store::Store;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_round_verifies_with_its_keys_against_the_served_log() {
    let world = World::start().await;
    let agent = world.agent(8).await;
    let index = agent.seen.size - 1;
    let place = tempfile::tempdir().unwrap();
    unpack(&world, index, place.path()).await;
    let verdict = verify(&world, place.path());
    assert!(verdict.status.success(), "{}", told(&verdict));
    let said = told(&verdict);
    for words in [
        "bundle signature",
        "key in force",
        "chain",
        "seen by the agent",
    ] {
        assert!(
            said.contains(&format!("OK      {words}")),
            "{words}: {said}"
        );
    }
    assert!(!said.contains("whether the key was enrolled"), "{said}");
    assert!(!said.contains("who signed the bundle"), "{said}");

    let path = place.path().join("bundle.dsse.json");
    let whole = fs::read_to_string(&path).unwrap();
    let at = whole.find(r#""sig":""#).unwrap() + r#""sig":""#.len();
    let other = if whole[at..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    let mut forged = whole.clone();
    forged.replace_range(at..=at, other);
    fs::write(&path, forged).unwrap();
    let verdict = verify(&world, place.path());
    assert_eq!(verdict.status.code(), Some(1), "{}", told(&verdict));
    assert!(told(&verdict).contains("FAILED  bundle signature"));
    fs::write(&path, whole).unwrap();

    for file in ["policy.pem", "log.vkey", "agent.pem"] {
        let path = place.path().join(file);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        fs::write(&path, changed).unwrap();
        let verdict = verify(&world, place.path());
        assert_eq!(verdict.status.code(), Some(1), "{file}: {}", told(&verdict));
        fs::write(&path, whole).unwrap();
    }
}

async fn unpack(world: &World, index: u64, folder: &Path) {
    let store = Store::open(&world.data()).await.unwrap();
    let checkpoint = world.service().app.published.checkpoint();
    let files = export::round(&store, &checkpoint, index).await.unwrap();
    let archive = export::tar("round", files).unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let path = folder.join(path.strip_prefix("round").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        entry.unpack(path).unwrap();
    }
}

fn verify(world: &World, folder: &Path) -> Output {
    let mut command = Command::new(program("assay-verify"));
    command.arg("round").arg(folder.join("round.dsse.json"));
    for (option, file) in [
        ("--proof", "round.tlog-proof"),
        ("--key", "log.vkey"),
        ("--agent-key", "agent.pem"),
        ("--policy-key", "policy.pem"),
        ("--bundle", "bundle.dsse.json"),
        ("--disclosures", "disclosures"),
    ] {
        command.arg(option).arg(folder.join(file));
    }
    command.args(["--log", &format!("{}/log", world.url()), "--ca"]);
    command
        .arg(world.data().join("keys/ca.pem"))
        .output()
        .unwrap()
}
