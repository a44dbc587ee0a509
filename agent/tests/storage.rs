//! What policy may change about the judgement of storage.

#![cfg(test)]

use std::path::Path;

use agent::host::RecordedHost;
use agent::probe::{self, VolatileMemory};
use evidence::baseline;
use evidence::evaluate::Evaluator;
use evidence::id::CheckId;
use serde_json::json;

/// Judges a recorded host with provider encryption accepted.
fn judged(recording: &str, check: &str) -> String {
    let id: CheckId = check.parse().unwrap();
    let mut bundle = baseline::bundle().unwrap();
    let policy = bundle.checks.get_mut(&id).unwrap();
    policy
        .params
        .insert("accept_provider_encryption".to_owned(), json!(true));
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/hosts/encryption");
    let host = RecordedHost::load(&hosts.join(recording)).unwrap();
    let probes = &bundle.checks[&id].probes;
    let facts = probe::observe_all(&host, &mut VolatileMemory::default(), host.now(), probes);
    let outcomes = Evaluator::new(&bundle)
        .judge([&id], &facts, host.now())
        .unwrap();
    let judgement = outcomes[&id];
    match judgement.reason {
        Some(reason) => format!("{} {reason}", judgement.outcome),
        None => judgement.outcome.to_string(),
    }
}

#[test]
fn provider_encryption_is_accepted_only_of_a_provider() {
    assert_eq!(
        judged("cloud-vm.toml", "disk.encryption.root"),
        "not_applicable provider_attested"
    );
    assert_eq!(judged("clear.toml", "disk.encryption.root"), "fail missing");
    assert_eq!(judged("clear.toml", "disk.encryption.swap"), "fail missing");
    assert_eq!(
        judged("loop-file-clear.toml", "disk.encryption.data"),
        "fail missing"
    );
    assert_eq!(judged("encrypted-lvm.toml", "disk.encryption.root"), "pass");
}
