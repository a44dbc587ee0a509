//! What the collector shows and hands out of what the hosts sent: pages, and rounds for an auditor.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use acceptance::person::Person;
use acceptance::process::told;
use acceptance::program;
use evidence::baseline;
use wire::statement::AgentStatement;

use super::{CONTROL, Fleet};

/// The control's page says that it fails, on which host and for which check; and nothing of the other host.
pub(super) async fn page_names_the_host_alone(fleet: &Fleet, person: &Person) {
    let page = person.page(&format!("/controls/{CONTROL}")).await;
    assert!(page.contains("</svg>not operating<"), "{page}");
    for host in fleet.store.registered_hosts().await.unwrap() {
        let fails = host.hostname.as_deref() == Some("web01");
        for check in ["account.uid0.unique", "sshd.root"] {
            let link = format!("/hosts/{}/{check}", host.agent);
            assert_eq!(page.contains(&link), fails, "{link}");
        }
    }
}

/// Every stretch of outcomes that goes on names the round that opened it; that round says so, and verifies offline.
pub(super) async fn every_outcome_is_in_a_round_that_verifies(fleet: &Fleet) {
    let mut open = fleet.store.open_intervals(None).await.unwrap();
    let checks = baseline::bundle().unwrap().for_hosts().checks;
    open.retain(|interval| checks.contains_key(&interval.check));
    assert_eq!(open.len(), checks.len() * fleet.hosts.len());
    let mut rounds = BTreeSet::new();
    for interval in open {
        let index = interval.first_idx;
        let payload = fleet.store.payload(index).await.unwrap().unwrap();
        let AgentStatement::Round(round) = AgentStatement::parse(&payload).unwrap() else {
            panic!("entry {index} is no round");
        };
        assert_eq!(round.outcomes[&interval.check], interval.judgement);
        rounds.insert(index);
    }
    assert!(
        rounds.len() >= 4,
        "two first rounds and two with a change: {rounds:?}"
    );
    for index in &rounds {
        let folder = export(fleet, *index);
        let verdict = verify(fleet, &folder);
        assert!(
            verdict.status.success(),
            "round {index}: {}",
            told(&verdict)
        );
        for file in [
            "round.dsse.json",
            "round.tlog-proof",
            "bundle.dsse.json",
            "policy.pem",
        ] {
            refuses_damage(fleet, &folder, file);
        }
    }
}

/// Exports a round as an operator does, to hand it to an auditor.
fn export(fleet: &Fleet, index: u64) -> PathBuf {
    let out = fleet.folder.path().join(format!("round-{index}"));
    let (index, path) = (index.to_string(), out.display().to_string());
    let arguments = ["export", "round", "--index", &index, "--out", &path];
    let _ = fleet.collector.command(&arguments);
    out
}

fn verify(fleet: &Fleet, folder: &Path) -> Output {
    Command::new(program("assay-verify"))
        .arg("round")
        .arg(folder.join("round.dsse.json"))
        .arg("--proof")
        .arg(folder.join("round.tlog-proof"))
        .arg("--key")
        .arg(fleet.collector.data.join("log.vkey"))
        .arg("--agent-key")
        .arg(folder.join("agent.pem"))
        .arg("--bundle")
        .arg(folder.join("bundle.dsse.json"))
        .arg("--disclosures")
        .arg(folder.join("disclosures"))
        .arg("--policy-key")
        .arg(folder.join("policy.pem"))
        .arg("--log")
        .arg(format!("{}/log", fleet.collector.url))
        .arg("--ca")
        .arg(fleet.collector.data.join("keys/ca.pem"))
        .output()
        .unwrap()
}

/// One bit in the middle of a file, and the auditor's program says no.
fn refuses_damage(fleet: &Fleet, folder: &Path, file: &str) {
    let path = folder.join(file);
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let verdict = verify(fleet, folder);
    assert_eq!(verdict.status.code(), Some(1), "{file}: {}", told(&verdict));
    std::fs::write(&path, whole).unwrap();
}
