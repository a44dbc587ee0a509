//! Agent statements: one reading, refused when they contradict themselves, signed as they stand.

#![cfg(test)]

use std::collections::BTreeMap;

use crypto::{Digest, SeededRandom, SigningKey};
use evidence::outcome::{Judgement, Outcome, Reason};
use evidence::time::Timestamp;
use wire::disclosure::DisclosureDigest;
use wire::envelope::{Envelope, STATEMENT_TYPE};
use wire::statement::{
    Agent, AgentStatement, BundleRef, Chain, Common, Coverage, Gap, GapRange, NewKey, Rotate,
    Round, Seen, Times,
};
use wire::submission::Submission;

fn common(seq: u64) -> Common {
    let key = SigningKey::generate(&mut SeededRandom::new(1))
        .verifying_key()
        .key_id();
    Common {
        agent: Agent {
            id: key,
            key,
            epoch: 1,
            version: "0.1.0".into(),
            binary: Digest::of(b"binary"),
        },
        chain: Chain {
            seq,
            prev: Digest::ZERO,
            boot: "b".into(),
            mono_ms: 5,
        },
        time: Times {
            start: Timestamp::from_unix_ms(1),
            end: Timestamp::from_unix_ms(2),
        },
        seen: Seen {
            origin: "log.example".into(),
            size: 0,
            root: ledger::hash::EMPTY_ROOT.to_base64(),
        },
    }
}

fn round() -> Round {
    let outcomes = BTreeMap::from([
        (
            "sshd.root".parse().unwrap(),
            Judgement::because(Outcome::Fail, Reason::WeakerThanPolicy),
        ),
        ("disk.encryption.root".parse().unwrap(), Judgement::PASS),
    ]);
    let coverage = Coverage::of(&outcomes);
    let facts = BTreeMap::from([
        ("sshd".parse().unwrap(), DisclosureDigest::of("a")),
        ("disk".parse().unwrap(), DisclosureDigest::of("b")),
    ]);
    Round {
        common: common(1),
        bundle: BundleRef {
            sha256: Digest::of(b"bundle"),
            version: 1,
        },
        outcomes,
        facts,
        coverage,
    }
}

#[test]
fn statements_survive_their_payload() {
    let new = SigningKey::generate(&mut SeededRandom::new(2)).verifying_key();
    for statement in [
        AgentStatement::Round(Box::new(round())),
        AgentStatement::Gap(Box::new(Gap {
            common: common(8),
            gap: GapRange {
                from: 3,
                to: 7,
                reason: "spool_full".into(),
            },
        })),
        AgentStatement::Rotate(Box::new(Rotate {
            common: common(2),
            new: NewKey {
                key: new.key_id(),
                epoch: 2,
                spki: new,
            },
        })),
    ] {
        let payload = statement.to_payload().unwrap();
        assert_eq!(AgentStatement::parse(&payload).unwrap(), statement);
    }
}

#[test]
fn a_statement_that_contradicts_itself_is_neither_made_nor_read() {
    let good = AgentStatement::Round(Box::new(round()))
        .to_payload()
        .unwrap();
    let text = String::from_utf8(good).unwrap();
    for (from, to) in [
        (r#""expected":2"#, r#""expected":3"#),
        (
            r#"{"outcome":"pass"}"#,
            r#"{"outcome":"pass","reason":"ok"}"#,
        ),
        (r#"{"outcome":"pass"}"#, r#"{"outcome":"green"}"#),
        (r#""seq":1"#, r#""seq":0"#),
        (r#""seq":1"#, r#""seq":1.0"#),
        (r#"control-round"#, r#"gap"#),
        (r#"control-round"#, r#"bundle"#),
        (r#""size":0"#, r#""size":0,"size":0"#),
        (r#""disk":"#, r#""disc":"#),
        (r#"urn:agent:"#, r#"urn:assay:"#),
        ("1970-01-01T00:00:00.002Z", "1970-01-01T00:00:00.000Z"),
        ("1970-01-01T00:00:00.002Z", "1970-01-01T00:00:00.002+00:00"),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        assert!(
            AgentStatement::parse(bad.as_bytes()).is_err(),
            "{from} -> {to}"
        );
    }
    let gap = |from, to| {
        AgentStatement::Gap(Box::new(Gap {
            common: common(8),
            gap: GapRange {
                from,
                to,
                reason: "expired".into(),
            },
        }))
    };
    assert!(gap(3, 6).to_payload().is_err());
    assert!(gap(8, 7).to_payload().is_err());
    assert!(gap(0, 7).to_payload().is_err());
}

#[test]
fn unknown_members_of_a_predicate_are_ignored_being_signed() {
    let text = String::from_utf8(
        AgentStatement::Round(Box::new(round()))
            .to_payload()
            .unwrap(),
    )
    .unwrap();
    let more = text.replacen(r#""chain":"#, r#""tpm":{"ak":"x"},"chain":"#, 1);
    assert!(AgentStatement::parse(more.as_bytes()).is_ok());
}

#[test]
fn a_submission_survives_its_lines() {
    let key = SigningKey::generate(&mut SeededRandom::new(1));
    let payload = AgentStatement::Round(Box::new(round()))
        .to_payload()
        .unwrap();
    let submission = Submission {
        envelope: Envelope::sign(STATEMENT_TYPE, payload, &[&key]),
        disclosures: vec![],
    };
    let bytes = submission.to_bytes().unwrap();
    assert_eq!(Submission::parse(&bytes).unwrap(), submission);
    for cut in 0..bytes.len() {
        if let Ok(read) = Submission::parse(&bytes[..cut]) {
            assert!(
                read.envelope
                    .verify(STATEMENT_TYPE, &[&key.verifying_key()])
                    .is_err(),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn what_no_reader_of_envelopes_would_take_is_not_taken_in() {
    let key = SigningKey::generate(&mut SeededRandom::new(1));
    let submission = |length: usize| Submission {
        envelope: Envelope::sign(STATEMENT_TYPE, vec![b'a'; length], &[&key]),
        disclosures: Vec::new(),
    };
    let largest = submission(wire::envelope::MAX_PAYLOAD_BYTES);
    let taken = Submission::parse(&largest.to_bytes().unwrap()).unwrap();
    assert_eq!(
        Envelope::parse_file(&taken.envelope.to_file().unwrap()).unwrap(),
        taken.envelope
    );
    let larger = submission(wire::envelope::MAX_PAYLOAD_BYTES + 1);
    assert!(Submission::parse(&larger.to_bytes().unwrap()).is_err());
}
