//! A round held against the whole log: whether its key was the agent's at its place there.

use crypto::Digest;
use ledger::frontier::Frontier;
use ledger::hash::leaf_hash;
use verify::report::{Report, Verdict};
use wire::leaf::{Kind, Leaf};

use crate::export::{AGENT, Draft, Export};
use crate::record::{self, Leaves, key, key_id, log_key};

/// Seed of the agent's second key.
const SECOND: u64 = 11;

#[track_caller]
fn refused(report: &Report, step: &str, words: &str) {
    let named = report.steps().iter().any(|one| {
        one.verdict == Verdict::Failed && one.step == step && one.detail.contains(words)
    });
    assert!(
        named && !report.is_verified(),
        "wanted {step}: {words}, got\n{}",
        report.to_text()
    );
}

#[track_caller]
fn verified(report: &Report, words: &str) {
    let text = report.to_text();
    assert!(
        report.is_verified() && text.contains(words),
        "wanted {words}, got\n{text}"
    );
}

/// A round with this number, which follows the last of `leaves` and was made when they were the log.
fn following(leaves: &Leaves, seq: u64) -> Draft {
    let mut draft = Draft::honest();
    let common = &mut draft.round.common;
    common.chain.seq = seq;
    let mut before = leaves.list.iter().rev();
    let before: Option<&Leaf> = before.find(|leaf| leaf.kind.is_agent_statement());
    common.chain.prev = before.map_or(Digest::ZERO, |leaf| leaf.pae);
    let mut seen = Frontier::new();
    seen.extend(leaves.entries().iter().map(|entry| leaf_hash(entry)));
    common.seen.size = seen.size();
    common.seen.root = seen.root().to_base64();
    draft
}

/// The same, by the agent's second key.
fn by_second_key(leaves: &Leaves, seq: u64) -> Draft {
    let mut draft = following(leaves, seq);
    draft.round.common.agent.key = key_id(SECOND);
    draft.round.common.agent.epoch = 2;
    draft.signer = key(SECOND);
    draft
}

fn with_a_round() -> Leaves {
    let mut leaves = Leaves::begun(AGENT);
    leaves.statement(Kind::Round, AGENT, AGENT, 1, 1);
    leaves
}

fn rotated() -> Leaves {
    let mut leaves = with_a_round();
    leaves.rotate(AGENT, (AGENT, SECOND), 1, 2);
    leaves
}

fn enrolled_again() -> Leaves {
    let mut leaves = with_a_round();
    leaves.about(Kind::Fork, AGENT, 1);
    leaves.about(Kind::Enrol, AGENT, 2);
    leaves
}

fn judged(draft: Draft, before: Leaves) -> Report {
    let (export, entries) = draft.logged(before, |leaves| leaves.decision(Kind::Policy));
    export.verify_in(&entries)
}

#[test]
fn a_round_of_an_enrolled_key_is_verified_in_its_log() {
    let before = with_a_round();
    let report = judged(following(&before, 2), before);
    verified(&report, "since entry 2 (enrol, epoch 1)");
    for step in [
        "log",
        "entry in the log",
        "checkpoint in the log",
        "seen by the agent",
        "chain",
        "key in force",
    ] {
        assert!(report.steps().iter().any(|one| one.step == step), "{step}");
    }
    assert!(!report.to_text().contains("whether the key was enrolled"));
    let (export, entries) = Draft::honest().logged(Leaves::begun(AGENT), |_| {});
    verified(&export.verify_in(&entries), "the log has none before it");
}

#[test]
fn a_key_that_ended_before_the_round_is_refused_and_one_that_ended_later_is_told() {
    for end in [Kind::Revoke, Kind::Retire, Kind::Fork] {
        let mut before = with_a_round();
        before.about(end, AGENT, 1);
        let report = judged(following(&before, 2), before);
        refused(
            &report,
            "key in force",
            &format!("entry 4 ({end}, epoch 1) ended the agent's key before entry 5"),
        );
        refused(&report, "log", "no key of the agent is valid");

        let before = with_a_round();
        let draft = following(&before, 2);
        let (export, entries) = draft.logged(before, |leaves| leaves.about(end, AGENT, 1));
        let words = format!("entry 5 ({end}) changed the agent's key after this round");
        verified(&export.verify_in(&entries), &words);
        // The files alone cannot tell, and say so.
        let alone = export.verify();
        verified(&alone, "not checked: whether the key was enrolled");
    }
}

#[test]
fn after_a_rotation_the_new_key_is_in_force_and_the_old_one_is_not() {
    let before = rotated();
    verified(
        &judged(by_second_key(&before, 3), before),
        "epoch 2, since entry 4 (rotate, epoch 1)",
    );
    let before = rotated();
    let report = judged(following(&before, 3), before);
    refused(
        &report,
        "key in force",
        &format!("{}, epoch 2, since entry 4", key_id(SECOND)),
    );
    // Nobody rotated to this key.
    let before = with_a_round();
    let report = judged(by_second_key(&before, 2), before);
    refused(&report, "key in force", "epoch 1, since entry 2 (enrol");
}

#[test]
fn after_a_fork_only_the_key_of_a_new_enrolment_signs() {
    let before = enrolled_again();
    let report = judged(by_second_key(&before, 2), before);
    verified(&report, "epoch 2 since entry 5 (enrol, epoch 2)");
    assert!(
        report
            .to_text()
            .contains("not checked: that the enrolment at entry 5")
    );
    let before = enrolled_again();
    let report = judged(following(&before, 2), before);
    refused(
        &report,
        "key in force",
        "the round, of epoch 1, is the first",
    );

    // A statement of the new key named it; another key of that epoch is none.
    let mut before = enrolled_again();
    before.statement(Kind::Round, AGENT, 12, 2, 2);
    let report = judged(by_second_key(&before, 3), before);
    refused(&report, "key in force", &format!("{}, epoch 2", key_id(12)));
}

#[test]
fn an_agent_that_nobody_enrolled_is_refused() {
    let mut before = Leaves::default();
    before.decision(Kind::Key);
    let report = judged(Draft::honest(), before);
    refused(&report, "key in force", "no entry before 1 enrols agent");
}

#[test]
fn a_round_follows_its_agents_statement_before_it() {
    let before = with_a_round();
    let mut draft = following(&before, 2);
    draft.round.common.chain.prev = Digest::of(b"another");
    refused(
        &judged(draft, before),
        "chain",
        "entry 3, the last before it",
    );
    let before = with_a_round();
    let report = judged(following(&before, 3), before);
    refused(&report, "chain", "statement 3 names");
    refused(&report, "log", "no gap declares");
    let mut draft = Draft::honest();
    draft.round.common.chain.seq = 4;
    draft.round.common.chain.prev = Digest::of(b"another");
    refused(
        &judged(draft, Leaves::begun(AGENT)),
        "chain",
        "the log has none before it",
    );
}

#[test]
fn a_history_that_the_agent_had_not_seen_is_refused() {
    let before = with_a_round();
    let mut draft = following(&before, 2);
    draft.round.common.seen.root = Digest::of(b"another history").to_base64();
    refused(
        &judged(draft, before),
        "seen by the agent",
        "the first 4 entries lead to root",
    );
}

fn exported() -> (Export, Vec<Vec<u8>>) {
    let before = with_a_round();
    let draft = following(&before, 2);
    draft.logged(before, |leaves| leaves.decision(Kind::Policy))
}

#[test]
fn a_log_that_grew_since_is_accepted_and_one_that_shrank_is_not() {
    let (export, mut entries) = exported();
    let mut grown = Leaves::begun(AGENT);
    grown.list = entries
        .iter()
        .map(|entry| Leaf::parse(entry).unwrap())
        .collect();
    grown.decision(Kind::Bundle);
    verified(&export.verify_in(&grown.entries()), "verified");
    entries.pop();
    let report = export.verify_in(&entries);
    refused(&report, "checkpoint in the log", "take a newer copy");
    entries.truncate(4);
    let report = export.verify_in(&entries);
    refused(&report, "entry in the log", "up to entry 4");
    refused(&report, "key in force", "could not be read up to entry 4");
}

#[test]
fn another_log_of_the_same_key_is_refused() {
    let (export, entries) = exported();
    for at in 0..entries.len() {
        let mut other: Vec<Leaf> = entries
            .iter()
            .map(|entry| Leaf::parse(entry).unwrap())
            .collect();
        other[at].len += 1;
        let other: Vec<Vec<u8>> = other.iter().map(|leaf| leaf.to_bytes().unwrap()).collect();
        let report = export.verify_in(&other);
        refused(&report, "checkpoint in the log", "lead to root");
        if at == 4 {
            refused(&report, "entry in the log", "byte for byte");
        }
        if at < 4 {
            refused(&report, "seen by the agent", "lead to root");
        }
    }
}

#[test]
fn a_damaged_log_vouches_for_nothing() {
    let (export, entries) = exported();
    let folder = tempfile::tempdir().unwrap();
    let files = record::files(&entries, &log_key());
    record::write(folder.path(), &files);
    verified(&export.verify_at(folder.path()), "verified");
    for (path, bytes) in &files {
        let file = folder.path().join(path);
        for at in (0..bytes.len()).step_by(97) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&file, &changed).unwrap();
            let report = export.verify_at(folder.path());
            assert!(!report.is_verified(), "byte {at} of {path}");
        }
        std::fs::remove_file(&file).unwrap();
        refused(&export.verify_at(folder.path()), "log", "cannot be read");
        std::fs::write(&file, bytes).unwrap();
    }
}
