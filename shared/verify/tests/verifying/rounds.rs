//! One exported round: every byte of it counts, and its outcomes must follow from its facts.

use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::outcome::Judgement;
use ledger::note::Note;
use ledger::tlog_proof::TlogProof;
use serde_json::json;
use verify::report::{Report, Verdict};
use wire::disclosure::{Disclosure, Salt};
use wire::envelope::{BUNDLE_TYPE, Envelope};
use wire::leaf::{Kind, Leaf};
use wire::statement::{AgentStatement, Coverage};

use crate::export::{AGENT, Draft, Export, POLICY, bundle};
use crate::record::{self, Leaves, key, log_key};

/// Masks that change a letter's neighbour, its case, and whether it is ASCII.
const MASKS: [u8; 3] = [0x01, 0x20, 0x80];

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

/// Every flip of every byte that `part` selects must be refused by `verify`.
fn every_flip(part: impl Fn(&mut Export) -> &mut Vec<u8>, verify: impl Fn(&Export) -> Report) {
    let export = Draft::honest().export();
    assert!(
        verify(&export).is_verified(),
        "{}",
        verify(&export).to_text()
    );
    let length = part(&mut export.clone()).len();
    assert!(length > 50, "something to flip");
    for at in 0..length {
        for mask in MASKS {
            let mut changed = export.clone();
            part(&mut changed)[at] ^= mask;
            assert!(
                !verify(&changed).is_verified(),
                "byte {at} of {length}, mask {mask:#x}"
            );
        }
    }
}

#[test]
fn an_honest_round_is_verified_and_says_what_it_cannot_show() {
    let export = Draft::honest().export();
    let report = export.verify();
    assert!(report.is_verified(), "{}", report.to_text());
    assert!(report.to_text().contains("2 checks judged again"));
    assert!(report.to_text().contains("no enrolment, revocation"));
    let partly = export.verify_signed_only();
    assert!(partly.is_verified());
    assert!(partly.to_text().contains("no check was judged again"));
}

#[test]
fn every_byte_of_the_round_counts() {
    every_flip(|export| &mut export.envelope, Export::verify_signed_only);
}

#[test]
fn every_byte_of_the_proof_and_its_checkpoint_counts() {
    every_flip(|export| &mut export.proof, Export::verify_signed_only);
}

#[test]
fn every_byte_of_the_keys_counts() {
    every_flip(|export| &mut export.agent_key, Export::verify_signed_only);
    every_flip(|export| &mut export.policy_key, Export::verify);
}

#[test]
fn every_byte_of_the_bundle_counts() {
    every_flip(|export| &mut export.bundle, Export::verify);
}

#[test]
fn without_the_policy_key_every_byte_but_those_of_its_signature_counts() {
    let export = Draft::honest().export();
    let text = String::from_utf8(export.bundle.clone()).unwrap();
    let signed = text.find(r#""signatures""#).unwrap();
    for at in 0..signed {
        let mut changed = export.clone();
        changed.bundle[at] ^= 1;
        let report = changed.verify_with(&log_key().vkey(), None);
        assert!(!report.is_verified(), "byte {at}");
    }
    let report = export.verify_with(&log_key().vkey(), None);
    assert!(report.is_verified());
    assert!(
        report
            .to_text()
            .contains("not checked: who signed the bundle")
    );
}

#[test]
fn every_byte_of_every_disclosure_counts() {
    let export = Draft::honest().export();
    for name in export.disclosures.keys() {
        every_flip(
            |export| export.disclosures.get_mut(name).unwrap(),
            Export::verify,
        );
    }
}

#[test]
fn every_truncation_is_refused() {
    let export = Draft::honest().export();
    let parts: [fn(&mut Export) -> &mut Vec<u8>; 5] = [
        |export| &mut export.envelope,
        |export| &mut export.proof,
        |export| &mut export.agent_key,
        |export| &mut export.bundle,
        |export| export.disclosures.values_mut().next().unwrap(),
    ];
    for part in parts {
        let length = part(&mut export.clone()).len();
        for keep in (0..length).step_by(7).chain([length - 1]) {
            let mut cut = export.clone();
            part(&mut cut).truncate(keep);
            assert!(!cut.verify().is_verified(), "cut to {keep} of {length}");
        }
        let mut longer = export.clone();
        part(&mut longer).push(b'\n');
        assert!(!longer.verify().is_verified(), "a byte too many");
    }
}

#[test]
fn an_agent_that_signs_an_outcome_against_its_facts_is_caught() {
    let mut draft = Draft::honest();
    draft
        .round
        .outcomes
        .insert("sshd.root".parse().unwrap(), Judgement::PASS);
    draft.round.coverage = Coverage::of(&draft.round.outcomes);
    let export = draft.export();
    assert!(
        export.verify_signed_only().is_verified(),
        "signed and logged it is"
    );
    refused(
        &export.verify(),
        "re-performance",
        "sshd.root is pass in the round, but fail (weaker_than_policy) by its facts",
    );
}

#[test]
fn a_round_is_judged_at_its_own_time() {
    let mut draft = Draft::honest();
    let late = draft.round.common.time.end.plus_ms(3_600_000);
    draft.round.common.time.end = late;
    refused(
        &draft.export().verify(),
        "re-performance",
        "time.synced is pass",
    );
}

#[test]
fn an_outcome_changed_and_signed_by_another_key_is_not_the_logged_one() {
    let honest = Draft::honest().export();
    let mut draft = Draft::honest();
    draft
        .round
        .outcomes
        .insert("sshd.root".parse().unwrap(), Judgement::PASS);
    draft.round.coverage = Coverage::of(&draft.round.outcomes);
    draft.signer = key(99);
    let forged = draft.export();
    let swapped = Export {
        envelope: forged.envelope.clone(),
        ..honest.clone()
    };
    refused(&swapped.verify(), "signature", "does not verify");
    refused(&swapped.verify(), "leaf and envelope", "pae");
    let with_key = Export {
        agent_key: forged.agent_key.clone(),
        ..swapped
    };
    refused(&with_key.verify(), "key of the leaf", "the leaf names key");
    refused(&with_key.verify(), "leaf and envelope", "sig");
    refused(&forged.verify(), "leaf and statement", "key differs");
}

#[test]
fn leaf_and_statement_must_agree_in_every_member() {
    type Change = fn(&mut Leaf);
    let cases: [(&str, &str, Change); 8] = [
        ("leaf and statement", "agent differs", |leaf| {
            leaf.agent = Some(Digest::ZERO)
        }),
        ("leaf and statement", "epoch differs", |leaf| {
            leaf.epoch = Some(2)
        }),
        ("leaf and statement", "seq differs", |leaf| {
            leaf.seq = Some(2)
        }),
        ("key of the leaf", "the leaf names key", |leaf| {
            leaf.key = Digest::ZERO
        }),
        ("leaf and envelope", "pae", |leaf| leaf.pae = Digest::ZERO),
        ("leaf and envelope", "len", |leaf| leaf.len += 1),
        ("leaf and envelope", "sig", |leaf| {
            leaf.sig = key(1).sign(b"")
        }),
        ("kind of the leaf", "kind gap", |leaf| leaf.kind = Kind::Gap),
    ];
    for (step, words, change) in cases {
        let mut draft = Draft::honest();
        draft.leaf = change;
        refused(&draft.export().verify(), step, words);
    }
}

#[test]
fn what_a_statement_says_of_itself_must_be_possible() {
    let mut draft = Draft::honest();
    draft.round.common.seen.origin = "other.example".to_owned();
    refused(
        &draft.export().verify(),
        "leaf and statement",
        "another log",
    );
    let mut draft = Draft::honest();
    draft.round.common.seen.size = 4;
    refused(
        &draft.export().verify(),
        "leaf and statement",
        "larger than the log was",
    );
    let mut draft = Draft::honest();
    draft.round.common.agent.epoch = 2;
    refused(
        &draft.export().verify(),
        "leaf and statement",
        "first epoch",
    );
    let mut draft = Draft::honest();
    draft.round.common.chain.prev = Digest::of(b"x");
    refused(&draft.export().verify(), "leaf and statement", "64 zeros");
}

#[test]
fn the_log_must_be_the_one_whose_key_was_given() {
    let export = Draft::honest().export();
    let other = ledger::key::Skey::new(record::ORIGIN.parse().unwrap(), key(50)).vkey();
    refused(&export.verify_with(&other, None), "inclusion", "checkpoint");
    let other = ledger::key::Skey::new("other.example".parse().unwrap(), key(1)).vkey();
    refused(&export.verify_with(&other, None), "inclusion", "checkpoint");
}

#[test]
fn a_proof_of_another_entry_or_without_one_proves_nothing() {
    let export = Draft::honest().export();
    let mut leaves = Leaves::begun(AGENT);
    leaves.statement(Kind::Round, AGENT, AGENT, 1, 1);
    let other = record::proof(&leaves.entries(), 3, &log_key());
    let swapped = Export {
        proof: other.to_bytes(),
        ..export.clone()
    };
    refused(&swapped.verify(), "leaf and envelope", "pae");
    let mut proof = TlogProof::parse(&export.proof).unwrap();
    proof.extra = None;
    let bare = Export {
        proof: proof.to_bytes(),
        ..export
    };
    refused(&bare.verify(), "inclusion", "does not carry its entry");
}

#[test]
fn a_checkpoint_with_lines_that_nobody_vouches_for_is_refused() {
    let export = Draft::honest().export();
    let mut proof = TlogProof::parse(&export.proof).unwrap();
    let mut note = Note::parse(&proof.checkpoint, 10_000).unwrap();
    note.sign(&ledger::key::Skey::new(
        "other.example".parse().unwrap(),
        key(60),
    ));
    proof.checkpoint = note.to_bytes();
    let more = Export {
        proof: proof.to_bytes(),
        ..export.clone()
    };
    refused(&more.verify(), "checkpoint's lines", "2 signature line(s)");
    let mut extended = Note::new(format!("{}extension\n", note.text())).unwrap();
    extended.sign(&log_key());
    proof.checkpoint = extended.to_bytes();
    let more = Export {
        proof: proof.to_bytes(),
        ..export
    };
    refused(&more.verify(), "checkpoint's lines", "");
}

#[test]
fn disclosures_swapped_missing_or_extra_are_named() {
    let export = Draft::honest().export();
    let names: Vec<String> = export.disclosures.keys().cloned().collect();
    let mut swapped = export.clone();
    swapped
        .disclosures
        .insert(names[0].clone(), export.disclosures[&names[1]].clone());
    swapped
        .disclosures
        .insert(names[1].clone(), export.disclosures[&names[0]].clone());
    refused(&swapped.verify(), "disclosures", "another digest");
    let mut missing = export.clone();
    missing.disclosures.remove(&names[0]);
    refused(&missing.verify(), "disclosures", "is missing");
    let mut extra = export;
    extra.disclosures.insert("more".to_owned(), b"x".to_vec());
    refused(
        &extra.verify(),
        "disclosures",
        "no disclosure of this round",
    );
}

#[test]
fn a_salt_serves_once_and_a_disclosure_stands_under_its_probe() {
    let mut draft = Draft::honest();
    let second = &draft.disclosures[1];
    draft.disclosures[1] = Disclosure::new(
        Salt::from_random([1; 16]),
        second.probe().clone(),
        second.facts().clone(),
    )
    .unwrap();
    refused(
        &draft.listed().export().verify(),
        "disclosures",
        "share a salt",
    );
    let mut draft = Draft::honest();
    let (sshd, clock) = ("sshd".parse().unwrap(), "clock".parse().unwrap());
    let (of_sshd, of_clock) = (draft.round.facts[&sshd], draft.round.facts[&clock]);
    draft.round.facts.insert(sshd, of_clock);
    draft.round.facts.insert(clock, of_sshd);
    refused(
        &draft.export().verify(),
        "disclosures",
        "holds facts of probe",
    );
}

#[test]
fn a_round_has_the_facts_of_its_checks_and_no_others() {
    let mut draft = Draft::honest();
    draft.round.outcomes.remove(&"time.synced".parse().unwrap());
    draft.round.coverage = Coverage::of(&draft.round.outcomes);
    refused(
        &draft.export().verify(),
        "checks and probes",
        "no check of the round reads probe clock",
    );
    let mut draft = Draft::honest();
    draft.disclosures.remove(1);
    draft.round.facts.remove(&"clock".parse().unwrap());
    refused(
        &draft.export().verify(),
        "checks and probes",
        "does not list",
    );
    let mut draft = Draft::honest();
    let missing = Judgement::error(evidence::outcome::Reason::Missing);
    draft
        .round
        .outcomes
        .insert("no.such".parse().unwrap(), missing);
    draft.round.coverage = Coverage::of(&draft.round.outcomes);
    refused(
        &draft.export().verify(),
        "checks and probes",
        "no.such is not in the bundle",
    );
}

#[test]
fn another_bundle_or_version_is_refused() {
    let other = Envelope::sign(BUNDLE_TYPE, bundle(2).to_bytes().unwrap(), &[&key(POLICY)]);
    let wrong = Export {
        bundle: other.to_file().unwrap(),
        ..Draft::honest().export()
    };
    refused(&wrong.verify(), "bundle digest", "the round names");
    let mut draft = Draft::honest();
    draft.round.bundle.version = 2;
    refused(&draft.export().verify(), "bundle version", "version 2");
    let mut draft = Draft::honest();
    draft.bundle = br#"{"engine":"cel/1"}"#.to_vec();
    draft.round.bundle.sha256 = Digest::of(&draft.bundle);
    refused(&draft.export().verify(), "bundle", "not a bundle");
}

#[test]
fn an_unknown_engine_is_not_re_performable_and_so_not_verified() {
    let mut draft = Draft::honest();
    let mut other: Bundle = bundle(1);
    other.engine = "cel/2".to_owned();
    draft.bundle = other.to_bytes().unwrap();
    draft.round.bundle.sha256 = Digest::of(&draft.bundle);
    let report = draft.export().verify();
    assert!(!report.is_verified());
    assert!(
        report.to_text().contains("NOT RE-PERFORMABLE"),
        "{}",
        report.to_text()
    );
}

#[test]
fn a_probe_that_failed_gives_its_reason() {
    let mut draft = Draft::honest();
    let facts = json!({"error": "timeout", "detail": "d", "sources": []});
    let facts = evidence::fact::Facts::new(facts.as_object().unwrap().clone());
    draft.disclosures[0] =
        Disclosure::new(Salt::from_random([9; 16]), "sshd".parse().unwrap(), facts).unwrap();
    let draft = draft.listed();
    refused(
        &draft.export().verify(),
        "re-performance",
        "but error (timeout) by its facts",
    );
}

#[test]
fn a_statement_of_another_kind_is_no_round() {
    let export = Draft::honest().export();
    let envelope = Envelope::parse(&export.envelope).unwrap();
    let AgentStatement::Round(round) = AgentStatement::parse(&envelope.payload).unwrap() else {
        panic!("a round")
    };
    let mut common = round.common;
    common.chain.seq = 4;
    let gap = AgentStatement::Gap(Box::new(wire::statement::Gap {
        common,
        gap: wire::statement::GapRange {
            from: 2,
            to: 3,
            reason: "expired".to_owned(),
        },
    }));
    let signed = Envelope::sign(
        &envelope.payload_type,
        gap.to_payload().unwrap(),
        &[&key(AGENT)],
    );
    let other = Export {
        envelope: signed.to_file().unwrap(),
        ..export
    };
    refused(&other.verify(), "statement", "not a round");
}
