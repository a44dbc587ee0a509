//! Enrolment: the key made here gets its place in the log, and the collector's keys are pinned.
//!
//! Nothing is believed before the receipt of the entry that enrols this very key was verified. `enrolment.json` is written
//! last: a kill before that leaves a key without a place, and enrolling again with the same key is asked for.

use crypto::Random;
use evidence::id::AgentId;
use evidence::json::{self, JsonError};
use ledger::hash::EMPTY_ROOT;
use ledger::key::{KeyTextError, Vkey};
use wire::enrolment::{
    Challenge, EnrolAnswer, EnrolRequest, Hints, MAX_ENROLMENT_BYTES, possession,
};
use wire::envelope::MAX_ENVELOPE_BYTES;
use wire::leaf::Kind;
use wire::receipt::{MAX_RECEIPT_BYTES, ReceiptError};
use wire::statement::Seen;

use crate::chain::Acknowledged;
use crate::collector::{Answer, Collector, ContactError, Message};
use crate::disposition;
use crate::examiner::Examiner;
use crate::identity::{self, Enrolment};
use crate::in_force::{InForce, RefusedBundle};
use crate::state::{StateDir, StateError};

const JSON: &str = "application/json";

/// Why the agent was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// It has a place already.
    #[error(
        "this state folder is enrolled as agent {0}; give another agent a state folder of its own"
    )]
    Already(AgentId),
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// No answer.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// The collector said no.
    #[error("the collector refused ({status} {code}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its code.
        code: String,
        /// What it said.
        detail: String,
    },
    /// An answer that is none.
    #[error("the collector's answer is not what was expected")]
    Answer(#[from] JsonError),
    /// A log key that is none.
    #[error("the log's key cannot be used")]
    LogKey(#[from] KeyTextError),
    /// An entry in the log that does not enrol this key as the answer says.
    #[error("the collector's receipt does not enrol this key: its {0} differs")]
    OtherEntry(&'static str),
    /// A receipt that does not hold.
    #[error("the receipt of the enrolment does not hold")]
    Receipt(#[from] ReceiptError),
    /// The first bundle.
    #[error("the first bundle cannot be used")]
    Bundle(#[from] RefusedBundle),
}

/// Enrols this state folder's key; `agent` names an agent that lost its key and comes back.
///
/// # Errors
/// [`EnrolError`]; the folder is then not enrolled.
pub async fn enrol(
    state: &StateDir,
    collector: &mut Collector,
    token: &str,
    agent: Option<AgentId>,
    hints: Hints,
    examiner: &dyn Examiner,
    random: &mut dyn Random,
) -> Result<Enrolment, EnrolError> {
    if let Some(enrolment) = Enrolment::load(state)? {
        return Err(EnrolError::Already(enrolment.agent));
    }
    let key = identity::key(state, random)?;
    let key_id = key.verifying_key().key_id();
    let challenge: Challenge = post(collector, "/agent/v1/challenge", b"").await?;
    let request = EnrolRequest {
        token: token.to_owned(),
        spki: key.verifying_key(),
        nonce: challenge.nonce,
        pop: key.sign(&possession(&challenge.origin, &key_id, &challenge.nonce)),
        agent,
        hints,
    };
    let answer: EnrolAnswer = post(
        collector,
        "/agent/v1/enrol",
        &zeroize::Zeroizing::new(json::canonical(&request)?),
    )
    .await?;
    let acknowledged = believe(&answer, &challenge.origin, agent.unwrap_or(key_id), key_id)?;
    let path = format!("/agent/v1/bundles/{}", answer.bundle);
    let bundle = ok(collector.get(&path, MAX_ENVELOPE_BYTES).await?)?;
    InForce::take_over(state, &bundle, answer.bundle, &answer.policy_key, examiner)?;
    acknowledged.save(state)?;
    let enrolment = Enrolment {
        v: 1,
        agent: answer.agent,
        epoch: answer.epoch,
        key: key_id,
        group: answer.group,
        origin: challenge.origin,
        log_key: answer.log_key,
        policy_key: answer.policy_key,
        bundle: answer.bundle,
    };
    enrolment.commit(state)?;
    Ok(enrolment)
}

async fn post<T: for<'de> serde::Deserialize<'de>>(
    collector: &mut Collector,
    path: &str,
    body: &[u8],
) -> Result<T, EnrolError> {
    let message = Message {
        content_type: JSON,
        header: None,
        body,
    };
    let limit = MAX_RECEIPT_BYTES + MAX_ENROLMENT_BYTES;
    let body = ok(collector.post(path, message, limit).await?)?;
    Ok(json::parse(&body)?)
}

fn ok(answer: Answer) -> Result<Vec<u8>, EnrolError> {
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let problem = disposition::problem(&answer.body);
    let (code, detail) = problem.map_or_else(
        || {
            (
                "no_problem_document".to_owned(),
                "something else answered at this address".to_owned(),
            )
        },
        |problem| (problem.code, problem.detail),
    );
    Err(EnrolError::Refused {
        status: answer.status,
        code,
        detail,
    })
}

/// Verifies that the log says what the answer says.
fn believe(
    answer: &EnrolAnswer,
    origin: &str,
    agent: AgentId,
    key: crypto::KeyId,
) -> Result<Acknowledged, EnrolError> {
    let log_key: Vkey = answer.log_key.parse()?;
    let nothing_seen = Seen {
        origin: origin.to_owned(),
        size: 0,
        root: EMPTY_ROOT.to_base64(),
    };
    let verified = answer.receipt.verify_entry(&log_key, &nothing_seen)?;
    let leaf = &verified.leaf;
    for (name, same) in [
        ("agent", answer.agent == agent && leaf.agent == Some(agent)),
        ("epoch", leaf.epoch == Some(answer.epoch)),
        ("kind", leaf.kind == Kind::Enrol),
        ("log", log_key.name().as_str() == origin),
        // A new agent is named by its key; one that comes back has a key of its own besides.
        ("first number", agent != key || answer.next.seq == 1),
    ] {
        if !same {
            return Err(EnrolError::OtherEntry(name));
        }
    }
    Ok(Acknowledged::enrolled(answer.next, &verified.checkpoint))
}
