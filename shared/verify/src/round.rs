//! One exported round: the log includes its leaf, the leaf is that of the envelope, the agent's key signed it.
//!
//! Input is the files of an export as bytes. Every byte counts: envelopes and key have one form, the proof has one
//! spelling, and the checkpoint in it has the log's signature line and no other, for nobody could vouch for another.
//! With a bundle and disclosures every check is judged again ([`crate::perform`]).
//!
//! One leaf and one key cannot show a revocation, an erasure, what came before or after, or who enrolled the key. With the
//! whole log at hand, [`verify_in_log`] shows the first and the last two ([`crate::validity`]).

use std::collections::BTreeMap;

use crypto::{Digest, VerifyingKey};
use ledger::checkpoint::Checkpoint;
use ledger::key::Vkey;
use ledger::tlog_proof::TlogProof;
use wire::envelope::{Envelope, STATEMENT_TYPE};
use wire::leaf::{Algorithm, Kind, Leaf};
use wire::statement::{AgentStatement, Round};

use crate::perform;
use crate::report::Report;
use crate::source::Source;
use crate::validity;

/// The longest PEM file of a public key; ours have 113 bytes.
pub const MAX_PEM_BYTES: usize = 4096;

/// The files of one exported round.
#[derive(Debug, Clone, Copy)]
pub struct Files<'f> {
    /// `round.dsse.json`.
    pub envelope: &'f [u8],
    /// `round.tlog-proof`, with the leaf as `extra`.
    pub proof: &'f [u8],
    /// `agent.pem`: the key that is believed to be the agent's.
    pub agent_key: &'f [u8],
    /// What the checks are judged again by.
    pub evidence: Option<Evidence<'f>>,
}

/// What a round was judged by and from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'f> {
    /// `bundle.dsse.json`.
    pub bundle: &'f [u8],
    /// The files of `disclosures/`, by name.
    pub disclosures: &'f BTreeMap<String, Vec<u8>>,
    /// The policy key that signed the bundle, PEM, if it is known.
    pub policy_key: Option<&'f [u8]>,
}

/// A leaf that the log was shown to include.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Its index.
    pub index: u64,
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The leaf that they are.
    pub leaf: Leaf,
    /// The checkpoint under which it is included.
    pub checkpoint: Checkpoint,
}

/// Verifies the files of a round, step by step.
#[must_use]
pub fn verify(files: &Files<'_>, log_key: &Vkey) -> Report {
    let (mut report, _) = alone(files, log_key);
    report.not_checked(
        "whether the key was enrolled and still valid at that index: the leaf names it and it signed the round, but one leaf shows no enrolment, revocation, fork or retirement; --log does",
    );
    report.not_checked(
        "whether a disclosure was erased, whether the bundle was in force, what came before and after this round: see `assay-verify log`",
    );
    report
}

/// As [`verify`], and reads the log at `source` to say whether the key was the agent's at that index.
pub async fn verify_in_log(files: &Files<'_>, log_key: &Vkey, source: &Source) -> Report {
    let (mut report, found) = alone(files, log_key);
    match &found.included {
        Some(included) => {
            let round = found.round.as_ref();
            validity::verify(&mut report, included, round, source, log_key).await;
        }
        None => report.failed("log", "not read: the proof shows no entry to look for"),
    }
    report.not_checked(
        "whether a disclosure was erased and whether the bundle was in force: entries of the log say so, but hold no payload",
    );
    report
}

/// What the files of a round hold, as far as they could be read.
struct Found {
    included: Option<Included>,
    round: Option<Round>,
}

/// All that one leaf and one key show.
fn alone(files: &Files<'_>, log_key: &Vkey) -> (Report, Found) {
    let mut report = Report::new();
    let included = included(&mut report, files.proof, log_key);
    let envelope = report.take("envelope", Envelope::parse_file(files.envelope));
    let key = agent_key(&mut report, files.agent_key);
    if let (Some(envelope), Some(key)) = (&envelope, &key) {
        signature(&mut report, envelope, key);
    }
    if let (Some(envelope), Some(included)) = (&envelope, &included) {
        commitment(&mut report, envelope, &included.leaf);
    }
    if let (Some(key), Some(included)) = (&key, &included) {
        let (named, given) = (included.leaf.key, key.key_id());
        report.hold(
            "key of the leaf",
            named == given,
            format!("the leaf names key {named}, --agent-key is {given}"),
        );
    }
    let round = envelope
        .as_ref()
        .and_then(|envelope| round(&mut report, envelope));
    if let (Some(round), Some(included)) = (&round, &included) {
        agreement(&mut report, round, included);
    }
    match (&round, &files.evidence) {
        (Some(round), Some(evidence)) => perform::verify(&mut report, round, evidence),
        (_, None) => report.not_checked(
            "no check was judged again: --bundle and --disclosures were not given, so the outcomes are the agent's word",
        ),
        (None, Some(_)) => {}
    }
    if files
        .evidence
        .is_some_and(|evidence| evidence.policy_key.is_none())
    {
        report.not_checked(
            "who signed the bundle: its content is the one the round names, its signature needs --policy-key",
        );
    }
    (report, Found { included, round })
}

/// The leaf in the proof, if the log's checkpoint includes it.
fn included(report: &mut Report, proof: &[u8], log_key: &Vkey) -> Option<Included> {
    let proof = report.take("proof", TlogProof::parse(proof))?;
    let (entry, signed) = report.take("inclusion", proof.verify_extra(log_key, &[]))?;
    let checkpoint = signed.checkpoint().clone();
    report.ok(
        "checkpoint",
        format!(
            "{} signed {} entries under root {}",
            checkpoint.origin,
            checkpoint.size,
            checkpoint.root.to_base64()
        ),
    );
    let lines = signed.note().signatures().len();
    report.hold(
        "checkpoint's lines",
        lines == 1 && checkpoint.to_text() == signed.note().text(),
        format!("{lines} signature line(s), the log's, over origin, size and root alone: nothing nobody vouches for"),
    );
    report.ok(
        "inclusion",
        format!("the leaf is entry {} of the log", proof.index),
    );
    let leaf = report.take("leaf", Leaf::parse(entry))?;
    report.hold(
        "kind of the leaf",
        leaf.kind == Kind::Round && leaf.alg == Algorithm::Ed25519,
        format!(
            "a leaf of kind {}, signed with {:?}; a round signed with Ed25519 is verified here",
            leaf.kind, leaf.alg
        ),
    );
    Some(Included {
        index: proof.index,
        entry: entry.to_vec(),
        leaf,
        checkpoint,
    })
}

fn agent_key(report: &mut Report, pem: &[u8]) -> Option<VerifyingKey> {
    public_key(report, "agent key", pem)
}

/// A public key in its one PEM form.
pub(crate) fn public_key(
    report: &mut Report,
    step: &'static str,
    pem: &[u8],
) -> Option<VerifyingKey> {
    let text = str::from_utf8(pem).unwrap_or_default();
    let key = report.take(step, VerifyingKey::from_pem(text))?;
    if key.to_pem() != text {
        report.failed(
            step,
            "the PEM of the key is not in its one form: three lines, LF, no other byte",
        );
        return None;
    }
    report.ok(step, format!("Ed25519, key id {}", key.key_id()));
    Some(key)
}

fn signature(report: &mut Report, envelope: &Envelope, key: &VerifyingKey) {
    let verified = envelope.verify(STATEMENT_TYPE, &[key]);
    if report.take("signature", verified).is_some() {
        report.ok(
            "signature",
            format!(
                "the agent's key signed these {} bytes",
                envelope.payload.len()
            ),
        );
    }
    let hint = envelope.signatures.first().and_then(|one| one.key);
    report.hold(
        "keyid",
        hint == Some(key.key_id()),
        "the envelope's keyid is that of --agent-key",
    );
}

/// The leaf commits to exactly this envelope.
fn commitment(report: &mut Report, envelope: &Envelope, leaf: &Leaf) {
    let first = envelope.signatures.first();
    let mut wrong = Vec::new();
    for (member, same) in [
        ("pae", leaf.pae == envelope.digest()),
        ("len", leaf.len == envelope.payload.len() as u64),
        ("sig", first.is_some_and(|one| one.signature == leaf.sig)),
        ("key", first.is_some_and(|one| one.key == Some(leaf.key))),
        ("number of signatures", envelope.signatures.len() == 1),
    ] {
        if !same {
            wrong.push(format!("{member} of the leaf is not that of the envelope"));
        }
    }
    report.all(
        "leaf and envelope",
        wrong,
        "pae, len, sig and key are equal",
    );
}

fn round(report: &mut Report, envelope: &Envelope) -> Option<Round> {
    match report.take("statement", AgentStatement::parse(&envelope.payload))? {
        AgentStatement::Round(round) => {
            let coverage = round.coverage;
            report.ok(
                "statement",
                format!(
                    "{} checks: {} judged, {} error, {} not applicable; the counts are those of the outcomes",
                    coverage.expected, coverage.evaluated, coverage.error, coverage.not_applicable
                ),
            );
            Some(*round)
        }
        other => {
            report.failed("statement", format!("a {}, not a round", other.kind()));
            None
        }
    }
}

/// What leaf, log and statement say of the same things.
fn agreement(report: &mut Report, round: &Round, included: &Included) {
    let (common, leaf) = (&round.common, &included.leaf);
    let (agent, chain, seen) = (&common.agent, &common.chain, &common.seen);
    let mut wrong = Vec::new();
    for (problem, holds) in [
        ("agent differs", leaf.agent == Some(agent.id)),
        ("key differs", leaf.key == agent.key),
        ("epoch differs", leaf.epoch == Some(agent.epoch)),
        ("seq differs", leaf.seq == Some(chain.seq)),
        (
            "an agent's id is the key id of its first epoch's key and of no other",
            (agent.epoch == 1) == (agent.id == agent.key),
        ),
        (
            "statement 1 and no other follows 64 zeros",
            (chain.seq == 1) == (chain.prev == Digest::ZERO),
        ),
        (
            "seen names another log",
            seen.origin == included.checkpoint.origin.as_str(),
        ),
        (
            "seen is larger than the log was before this entry",
            seen.size <= included.index,
        ),
    ] {
        if !holds {
            wrong.push(problem.to_owned());
        }
    }
    report.all(
        "leaf and statement",
        wrong,
        format!(
            "statement {} of agent {}, epoch {}, received {} ms after the host's {}",
            chain.seq,
            agent.id,
            agent.epoch,
            leaf.rx.saturating_sub(common.time.end.unix_ms()),
            common.time.end
        ),
    );
}
