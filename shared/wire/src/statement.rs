//! What an agent signs: a round, a gap in what it could deliver, or the rotation of its key.
//!
//! An in-toto Statement v1 whose predicate is ours. Unknown members of a predicate are ignored, being signed; another
//! meaning is another predicate version. Every agent statement takes one sequence number and names the statement
//! before it by the digest of its pre-authentication encoding.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Digest, KeyId, VerifyingKey};
use evidence::evaluate::Outcomes;
use evidence::id::{AgentId, ProbeId};
use evidence::json::{self, JsonError};
use evidence::outcome::Outcome;
use evidence::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::disclosure::DisclosureDigest;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATES: &str = "https://assay.example/attestation/";
/// Longest free text of a statement (versions, boot ids, reasons), in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// Why bytes are no statement of the kind expected.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not the JSON of a statement.
    #[error("not a statement")]
    Json(#[source] JsonError),
    /// A kind that nobody asked for.
    #[error("predicateType {0:?} is not expected here")]
    Kind(String),
    /// Members that contradict each other or break a bound.
    #[error("{0}")]
    Inconsistent(String),
}

fn inconsistent<T>(problem: impl Into<String>) -> Result<T, StatementError> {
    Err(StatementError::Inconsistent(problem.into()))
}

/// The predicateType of a kind of statement.
#[must_use]
pub fn predicate_type(kind: &str) -> String {
    let name = if kind == "round" {
        "control-round"
    } else {
        kind
    };
    format!("{PREDICATES}{name}/v1")
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The agent, for ever: key id of its first key.
    pub id: AgentId,
    /// Key id of the key that signs this statement.
    pub key: KeyId,
    /// Which key of this agent it is, from 1.
    pub epoch: u64,
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the running binary.
    pub binary: Digest,
}

/// The statement's place among those of its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Sequence number; never restarts.
    pub seq: u64,
    /// Digest of the statement before it; 64 zeros for the first.
    pub prev: Digest,
    /// The kernel's boot id.
    pub boot: String,
    /// Milliseconds since boot, suspend included.
    pub mono_ms: u64,
}

/// The host's clock: never a reason to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Before the first probe.
    pub start: Timestamp,
    /// After the last probe and before judging: `now` of every expression.
    pub end: Timestamp,
}

/// The last checkpoint that the agent verified: what makes every agent a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The log.
    pub origin: String,
    /// Its size; 0 goes with the empty root.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
}

/// What every agent statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    /// Who signs.
    pub agent: Agent,
    /// Its place in the chain.
    pub chain: Chain,
    /// The host's clock.
    pub time: Times,
    /// The last checkpoint verified.
    pub seen: Seen,
}

/// The bundle a round was judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRef {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its version.
    pub version: u64,
}

/// Counts over the outcomes; recomputed by every reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Checks that were due.
    pub expected: u64,
    /// Of these, judged pass or fail.
    pub evaluated: u64,
    /// Of these, error.
    pub error: u64,
    /// Of these, not applicable.
    pub not_applicable: u64,
}

impl Coverage {
    /// The counts of these outcomes.
    #[must_use]
    pub fn of(outcomes: &Outcomes) -> Coverage {
        let mut coverage = Coverage {
            expected: outcomes.len() as u64,
            ..Coverage::default()
        };
        for judgement in outcomes.values() {
            match judgement.outcome {
                Outcome::Pass | Outcome::Fail => coverage.evaluated += 1,
                Outcome::Error => coverage.error += 1,
                Outcome::NotApplicable => coverage.not_applicable += 1,
            }
        }
        coverage
    }
}

/// One round: outcomes and the digests of the facts they rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Who, where in the chain, when, after which checkpoint.
    #[serde(flatten)]
    pub common: Common,
    /// The bundle judged by.
    pub bundle: BundleRef,
    /// Outcome and reason of every check that was due.
    pub outcomes: Outcomes,
    /// Disclosure digest of every probe that these checks read.
    pub facts: BTreeMap<ProbeId, DisclosureDigest>,
    /// Counts over the outcomes.
    pub coverage: Coverage,
}

/// Statements that the agent made and lost before they were delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Who, where in the chain, when, after which checkpoint.
    #[serde(flatten)]
    pub common: Common,
    /// What is missing.
    pub gap: GapRange,
}

/// A range of sequence numbers that will never arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRange {
    /// First missing.
    pub from: u64,
    /// Last missing.
    pub to: u64,
    /// Why, for people: `spool_full`, `expired`, `damaged`.
    pub reason: String,
}

/// The agent's next key, signed by the old one and by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// Who, where in the chain, when, after which checkpoint.
    #[serde(flatten)]
    pub common: Common,
    /// The new key.
    pub new: NewKey,
}

/// A key to change to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// Its key id.
    pub key: KeyId,
    /// Its epoch: the old one + 1.
    pub epoch: u64,
    /// The key.
    pub spki: VerifyingKey,
}

/// A statement of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentStatement {
    /// A round.
    Round(Box<Round>),
    /// A gap.
    Gap(Box<Gap>),
    /// A rotation.
    Rotate(Box<Rotate>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectDigest {
    sha256: Digest,
}

/// A statement whose form was checked: kind, predicate and subject.
pub(crate) struct Opened {
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) predicate: Value,
}

/// Reads the frame of a statement and holds its subject's digest against what it is said to be of.
pub(crate) fn open(payload: &[u8]) -> Result<Opened, StatementError> {
    let raw: Raw = json::parse(payload).map_err(StatementError::Json)?;
    let name = raw
        .predicate_type
        .strip_prefix(PREDICATES)
        .and_then(|rest| rest.strip_suffix("/v1"));
    let kind = match name {
        Some("control-round") => "round",
        Some(name) if !name.is_empty() && name != "round" => name,
        _ => return Err(StatementError::Kind(raw.predicate_type.clone())),
    };
    if raw.kind != STATEMENT {
        return Err(StatementError::Kind(raw.kind));
    }
    let [subject] = raw.subject.as_slice() else {
        return inconsistent("a statement has exactly one subject");
    };
    let covered = if kind == "round" {
        raw.predicate.get("facts").cloned().unwrap_or_default()
    } else {
        raw.predicate.clone()
    };
    if subject.digest.sha256
        != Digest::of(&json::canonical(&covered).map_err(StatementError::Json)?)
    {
        return inconsistent("the subject's digest is not that of what the statement says");
    }
    Ok(Opened {
        kind: kind.to_owned(),
        subject: subject.name.clone(),
        predicate: raw.predicate,
    })
}

/// The payload of a statement.
pub(crate) fn payload(
    kind: &str,
    subject: &str,
    predicate: &Value,
) -> Result<Vec<u8>, StatementError> {
    let covered = if kind == "round" {
        predicate.get("facts").cloned().unwrap_or_default()
    } else {
        predicate.clone()
    };
    let digest = Digest::of(&json::canonical(&covered).map_err(StatementError::Json)?);
    let statement = json!({
        "_type": STATEMENT,
        "subject": [{"name": subject, "digest": {"sha256": digest}}],
        "predicateType": predicate_type(kind),
        "predicate": predicate,
    });
    json::canonical(&statement).map_err(StatementError::Json)
}

impl AgentStatement {
    /// Reads the payload of an agent's envelope. The signature is the caller's business.
    ///
    /// # Errors
    /// [`StatementError`] for another kind, a broken bound, or members that contradict each other.
    pub fn parse(payload: &[u8]) -> Result<AgentStatement, StatementError> {
        let opened = open(payload)?;
        let shape = |error| StatementError::Json(JsonError::Shape(error));
        let predicate = opened.predicate;
        let statement = match opened.kind.as_str() {
            "round" => AgentStatement::Round(serde_json::from_value(predicate).map_err(shape)?),
            "gap" => AgentStatement::Gap(serde_json::from_value(predicate).map_err(shape)?),
            "rotate" => AgentStatement::Rotate(serde_json::from_value(predicate).map_err(shape)?),
            other => return Err(StatementError::Kind(other.to_owned())),
        };
        if opened.subject != subject(&statement.common().agent.id) {
            return inconsistent("the subject is not the agent that the statement names");
        }
        statement.check()?;
        Ok(statement)
    }

    /// The bytes to sign.
    ///
    /// # Errors
    /// [`StatementError`] if the statement contradicts itself; the agent's own never does.
    pub fn to_payload(&self) -> Result<Vec<u8>, StatementError> {
        self.check()?;
        let predicate = match self {
            AgentStatement::Round(round) => serde_json::to_value(round),
            AgentStatement::Gap(gap) => serde_json::to_value(gap),
            AgentStatement::Rotate(rotate) => serde_json::to_value(rotate),
        };
        let predicate = predicate.map_err(|error| StatementError::Json(JsonError::Shape(error)))?;
        payload(self.kind(), &subject(&self.common().agent.id), &predicate)
    }

    /// `round`, `gap` or `rotate`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            AgentStatement::Round(_) => "round",
            AgentStatement::Gap(_) => "gap",
            AgentStatement::Rotate(_) => "rotate",
        }
    }

    /// What every agent statement says.
    #[must_use]
    pub fn common(&self) -> &Common {
        match self {
            AgentStatement::Round(round) => &round.common,
            AgentStatement::Gap(gap) => &gap.common,
            AgentStatement::Rotate(rotate) => &rotate.common,
        }
    }

    fn check(&self) -> Result<(), StatementError> {
        let common = self.common();
        if common.chain.seq == 0 || common.agent.epoch == 0 {
            return inconsistent("sequence numbers and epochs start at 1");
        }
        if common.time.start > common.time.end {
            return inconsistent("time.start is after time.end");
        }
        if Digest::from_base64(&common.seen.root).is_err()
            || (common.seen.size == 0 && common.seen.root != ledger::hash::EMPTY_ROOT.to_base64())
        {
            return inconsistent("seen.root is no root of a log of that size");
        }
        if [
            &common.agent.version,
            &common.chain.boot,
            &common.seen.origin,
        ]
        .iter()
        .any(|text| text.len() > MAX_TEXT_BYTES)
        {
            return inconsistent("a text is longer than 256 bytes");
        }
        match self {
            AgentStatement::Round(round) => check_round(round),
            AgentStatement::Gap(gap) => check_gap(gap),
            AgentStatement::Rotate(rotate) => check_rotate(rotate),
        }
    }
}

fn subject(agent: &AgentId) -> String {
    format!("urn:agent:{agent}")
}

fn check_round(round: &Round) -> Result<(), StatementError> {
    if let Some((check, _)) = round
        .outcomes
        .iter()
        .find(|(_, judgement)| !judgement.is_well_formed())
    {
        return inconsistent(format!(
            "outcome of {check}: a reason is there exactly if it is no pass"
        ));
    }
    if round.coverage != Coverage::of(&round.outcomes) {
        return inconsistent("coverage is not that of the outcomes");
    }
    let digests: BTreeSet<_> = round.facts.values().collect();
    if digests.len() != round.facts.len() {
        return inconsistent("one disclosure stands under two probes");
    }
    Ok(())
}

fn check_gap(gap: &Gap) -> Result<(), StatementError> {
    let GapRange { from, to, reason } = &gap.gap;
    if *from == 0
        || from > to
        || to.checked_add(1) != Some(gap.common.chain.seq)
        || reason.len() > MAX_TEXT_BYTES
    {
        return inconsistent(
            "a gap's own number follows the last missing one, and its range is not empty",
        );
    }
    Ok(())
}

fn check_rotate(rotate: &Rotate) -> Result<(), StatementError> {
    let new = &rotate.new;
    if new.key != new.spki.key_id()
        || Some(new.epoch) != rotate.common.agent.epoch.checked_add(1)
        || new.key == rotate.common.agent.key
    {
        return inconsistent("the new key is not the one named, not new, or not of the next epoch");
    }
    Ok(())
}
