//! An exported round made by hand, as a collector would export it.

use std::collections::BTreeMap;
use std::path::Path;

use crypto::{Digest, SigningKey};
use evidence::bundle::Bundle;
use evidence::check::CheckFile;
use evidence::fact::Facts;
use evidence::outcome::{Judgement, Outcome, Reason};
use evidence::schema::FactSchemas;
use evidence::time::Timestamp;
use ledger::hash::EMPTY_ROOT;
use ledger::key::Vkey;
use serde_json::{Value, json};
use verify::report::Report;
use verify::round::{self, Evidence, Files};
use verify::source::Source;
use wire::disclosure::{Disclosure, Salt};
use wire::envelope::{BUNDLE_TYPE, Envelope, STATEMENT_TYPE};
use wire::leaf::{Concerns, Counters, Kind, Leaf};
use wire::statement::{
    Agent, AgentStatement, BundleRef, Chain, Common, Coverage, Round, Seen, Times,
};

use crate::record::{self, Leaves, ORIGIN, key, log_key};

pub const AGENT: u64 = 3;
pub const POLICY: u64 = 4;

fn check(id: &str, probe: &str, rule: &str) -> CheckFile {
    let text = format!(
        r#"
id = "{id}"
title = "t"
topic = "SSH daemon"
severity = "high"
cadence = "5 * * * *"
profile = "all"
probes = ["{probe}"]
expected = "e"
observed = 'facts.{probe}.sources'
reads = "r"
decides = "d"
shows = "s"
does_not_show = "n"
remediation = "m"
[controls."27001:2022"]
primary = ["A.8.2"]
[[rules]]
if = '{rule}'
then = "pass"
[else]
then = "fail"
reason = "weaker_than_policy"
"#
    );
    CheckFile::parse(&format!("{id}.toml"), &text).unwrap()
}

pub fn bundle(version: u64) -> Bundle {
    let schemas = FactSchemas::from_json(&json!({
        "sshd": {"type": "object", "required": ["root", "sources"], "properties": {
            "root": {"type": "string"}, "sources": {"type": "array", "items": {"type": "string"}}}},
        "clock": {"type": "object", "required": ["synced", "sources"], "properties": {
            "synced": {"type": "string", "format": "date-time"},
            "sources": {"type": "array", "items": {"type": "string"}}}},
    }))
    .unwrap();
    let files = [
        check("sshd.root", "sshd", r#"facts.sshd.root == "no""#),
        check(
            "time.synced",
            "clock",
            r#"now - timestamp(facts.clock.synced) < duration("1h")"#,
        ),
    ];
    Bundle::from_files(version, "test", &files, &schemas).unwrap()
}

fn disclosure(salt: u8, probe: &str, facts: Value) -> Disclosure {
    let Value::Object(members) = facts else {
        panic!("facts are an object")
    };
    Disclosure::new(
        Salt::from_random([salt; 16]),
        probe.parse().unwrap(),
        Facts::new(members),
    )
    .unwrap()
}

/// What goes into a round before it is signed and logged; a test changes it to forge one.
pub struct Draft {
    pub bundle: Vec<u8>,
    pub disclosures: Vec<Disclosure>,
    pub round: Round,
    pub signer: SigningKey,
    pub leaf: fn(&mut Leaf),
}

impl Draft {
    /// A round of two checks, one passing and one failing.
    pub fn honest() -> Draft {
        let bundle = bundle(1).to_bytes().unwrap();
        let disclosures = vec![
            disclosure(1, "sshd", json!({"root": "yes", "sources": []})),
            disclosure(
                2,
                "clock",
                json!({"synced": "2026-11-24T06:59:00.000Z", "sources": []}),
            ),
        ];
        let agent = record::key_id(AGENT);
        let outcomes = BTreeMap::from([
            (
                "sshd.root".parse().unwrap(),
                Judgement::because(Outcome::Fail, Reason::WeakerThanPolicy),
            ),
            ("time.synced".parse().unwrap(), Judgement::PASS),
        ]);
        let end: Timestamp = "2026-11-24T07:00:00.000Z".parse().unwrap();
        let round = Round {
            common: Common {
                agent: Agent {
                    id: agent,
                    key: agent,
                    epoch: 1,
                    version: "1.0.0".to_owned(),
                    binary: Digest::of(b"binary"),
                },
                chain: Chain {
                    seq: 1,
                    prev: Digest::ZERO,
                    boot: "boot".to_owned(),
                    mono_ms: 1,
                },
                time: Times { start: end, end },
                seen: Seen {
                    origin: ORIGIN.to_owned(),
                    size: 0,
                    root: EMPTY_ROOT.to_base64(),
                },
            },
            bundle: BundleRef {
                sha256: Digest::of(&bundle),
                version: 1,
            },
            coverage: Coverage::of(&outcomes),
            outcomes,
            facts: BTreeMap::new(),
        };
        Draft {
            bundle,
            disclosures,
            round,
            signer: key(AGENT),
            leaf: |_| {},
        }
        .listed()
    }

    /// The digests of the disclosures as they are now, under the probes that they name.
    pub fn listed(mut self) -> Draft {
        let list = self.disclosures.iter();
        self.round.facts = list
            .map(|one| (one.probe().clone(), one.digest()))
            .collect();
        self
    }

    /// Signs, logs among other entries, and exports.
    pub fn export(self) -> Export {
        let after = |leaves: &mut Leaves| leaves.statement(Kind::Round, AGENT, AGENT, 1, 2);
        self.logged(Leaves::begun(AGENT), after).0
    }

    /// Signs, logs after `leaves` and before what `after` adds, and exports. Returns the entries of the log too.
    pub fn logged(
        self,
        mut leaves: Leaves,
        after: impl FnOnce(&mut Leaves),
    ) -> (Export, Vec<Vec<u8>>) {
        let common = self.round.common.clone();
        let payload = AgentStatement::Round(Box::new(self.round))
            .to_payload()
            .unwrap();
        let envelope = Envelope::sign(STATEMENT_TYPE, payload, &[&self.signer]);
        let concerns = Concerns {
            agent: common.agent.id,
            epoch: common.agent.epoch,
            statement: Some((common.chain.seq, "web".parse().unwrap())),
        };
        let counters = Counters {
            rx: 0,
            dec: 0,
            ev: 0,
        };
        let mut leaf = Leaf::of(Kind::Round, &envelope, Some(concerns), counters).unwrap();
        (self.leaf)(&mut leaf);
        let index = leaves.list.len() as u64;
        leaves.append(leaf);
        after(&mut leaves);
        let entries = leaves.entries();
        let bundle = Envelope::sign(BUNDLE_TYPE, self.bundle, &[&key(POLICY)]);
        let export = Export {
            envelope: envelope.to_file().unwrap(),
            proof: record::proof(&entries, index, &log_key()).to_bytes(),
            agent_key: self.signer.verifying_key().to_pem().into_bytes(),
            bundle: bundle.to_file().unwrap(),
            policy_key: key(POLICY).verifying_key().to_pem().into_bytes(),
            disclosures: self
                .disclosures
                .iter()
                .map(|one| (one.digest().to_string(), one.text().as_bytes().to_vec()))
                .collect(),
        };
        (export, entries)
    }
}

/// The files of an exported round.
#[derive(Clone)]
pub struct Export {
    pub envelope: Vec<u8>,
    pub proof: Vec<u8>,
    pub agent_key: Vec<u8>,
    pub bundle: Vec<u8>,
    pub policy_key: Vec<u8>,
    pub disclosures: BTreeMap<String, Vec<u8>>,
}

impl Export {
    pub fn verify(&self) -> Report {
        self.verify_with(&log_key().vkey(), Some(&self.policy_key))
    }

    pub fn verify_with(&self, log_key: &Vkey, policy_key: Option<&[u8]>) -> Report {
        let evidence = Evidence {
            bundle: &self.bundle,
            disclosures: &self.disclosures,
            policy_key,
        };
        round::verify(&self.files(Some(evidence)), log_key)
    }

    /// Held against a whole log of these entries.
    pub fn verify_in(&self, entries: &[Vec<u8>]) -> Report {
        let folder = tempfile::tempdir().unwrap();
        record::write(folder.path(), &record::files(entries, &log_key()));
        self.verify_at(folder.path())
    }

    /// Held against a log in a folder.
    pub fn verify_at(&self, log: &Path) -> Report {
        let source = Source::open(log.to_str().unwrap(), None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let evidence = Evidence {
            bundle: &self.bundle,
            disclosures: &self.disclosures,
            policy_key: Some(&self.policy_key),
        };
        let files = self.files(Some(evidence));
        let key = log_key().vkey();
        runtime.block_on(round::verify_in_log(&files, &key, &source))
    }

    /// Without bundle and disclosures.
    pub fn verify_signed_only(&self) -> Report {
        round::verify(&self.files(None), &log_key().vkey())
    }

    fn files<'f>(&'f self, evidence: Option<Evidence<'f>>) -> Files<'f> {
        Files {
            envelope: &self.envelope,
            proof: &self.proof,
            agent_key: &self.agent_key,
            evidence,
        }
    }

    pub fn write(&self, folder: &Path) {
        let mut files = BTreeMap::from([
            ("round.dsse.json".to_owned(), self.envelope.clone()),
            ("round.tlog-proof".to_owned(), self.proof.clone()),
            ("agent.pem".to_owned(), self.agent_key.clone()),
            ("bundle.dsse.json".to_owned(), self.bundle.clone()),
            ("policy.pem".to_owned(), self.policy_key.clone()),
        ]);
        for (name, bytes) in &self.disclosures {
            files.insert(format!("disclosures/{name}"), bytes.clone());
        }
        record::write(folder, &files);
    }
}
