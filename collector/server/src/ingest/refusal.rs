//! Why a statement or an enrolment was not accepted: one stable code each.

use evidence::id::ProbeId;
use store::StoreError;
use wire::enrolment::MAX_ENROLMENT_BYTES;
use wire::envelope::EnvelopeError;
use wire::problem::Problem;
use wire::statement::StatementError;
use wire::submission::{MAX_SUBMISSION_BYTES, SubmissionError};

/// A refusal, by what the sender should do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Larger than the bound, before or after decompression.
    #[error("the body is larger than {MAX_SUBMISSION_BYTES} bytes")]
    TooLarge,
    /// Not the media type of a submission.
    #[error(
        "expected a submission of media type {}",
        wire::submission::SUBMISSION_TYPE
    )]
    MediaType,
    /// Not a zstd frame, or cut short.
    #[error("the body is no complete zstd frame")]
    Compression,
    /// The dictionary named is not held; send again without.
    #[error("the payload named as dictionary is not held here; send the body without a dictionary")]
    DictionaryUnknown,
    /// Not the lines of a submission.
    #[error("the body is no submission")]
    Submission(#[source] SubmissionError),
    /// Not a statement of an agent.
    #[error("the payload is no statement of an agent")]
    Statement(#[source] StatementError),
    /// No agent of that id was ever enrolled here.
    #[error("no agent of this id is enrolled here; enrol it with a token")]
    UnknownAgent,
    /// The agent's key is no longer valid.
    #[error("the key of this agent was {0}; enrol it again with a new key")]
    KeyEnded(&'static str),
    /// Signed by a key that is not the agent's present one.
    #[error("the statement is not signed by the agent's present key")]
    WrongKey,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature(#[source] EnvelopeError),
    /// A number beyond the next one: what comes before it is missing.
    #[error("statement {expected} must come first; send the oldest of the spool")]
    OutOfOrder {
        /// The number expected.
        expected: u64,
    },
    /// Two statements for one number.
    #[error(
        "another statement has this number or predecessor: the key was cloned or the host rolled back. Both are kept, and the key is ended; enrol again"
    )]
    Fork,
    /// A number that the agent declared lost.
    #[error("this number lies in a gap that the agent declared")]
    InGap,
    /// A gap over numbers of which some are in the log.
    #[error("the gap declares statements lost that are in the log")]
    GapOverlaps,
    /// The statement claims to have seen a checkpoint that does not exist yet.
    #[error("the statement has seen {seen} entries; the log has {size}")]
    SeenAhead {
        /// What it claims.
        seen: u64,
        /// What there is.
        size: u64,
    },
    /// The statement has seen another history than this log has.
    #[error(
        "the statement has seen another history of this log: keep its agent's state and call the auditor"
    )]
    SeenOther,
    /// The last checkpoint seen is older than that of the statement before.
    #[error("the checkpoint seen is older than that of the statement before")]
    SeenBackwards,
    /// A bundle that was never activated for the agent's group.
    #[error("the bundle of this round is not in force for the agent's group")]
    BundleNotInForce,
    /// A bundle older than that of the round before.
    #[error("the bundle of this round is older than that of the round before")]
    BundleOlder,
    /// The checks or probes of a round are not those of its bundle.
    #[error("{0}")]
    RoundContent(String),
    /// Facts that the round commits to were neither sent nor are held.
    #[error("the facts of these probes are not held here; send them along: {}", .0.iter().map(ProbeId::as_str).collect::<Vec<_>>().join(", "))]
    DisclosureMissing(Vec<ProbeId>),
    /// Facts that the round does not commit to, or one salt for two probes.
    #[error("a disclosure is not one that the round commits to")]
    DisclosureMismatch,
    /// An enrolment message that is none.
    #[error("not an enrolment message of at most {MAX_ENROLMENT_BYTES} bytes: {0}")]
    Enrolment(String),
    /// A token that is unknown, used up, expired or revoked.
    #[error("the token is not valid: unknown, used up, expired or revoked")]
    Token,
    /// A nonce that was not given out, is spent, or is too old.
    #[error("the nonce is not valid any more; ask for a new challenge")]
    Nonce,
    /// The proof of possession does not verify.
    #[error("the proof of possession does not verify under the key")]
    Possession,
    /// The key was used before, or the agent still has a valid one.
    #[error("{0}")]
    KeyTaken(&'static str),
    /// The queue is full.
    #[error("too much is waiting; try again later")]
    Busy,
    /// The process is stopping or has stopped signing.
    #[error("the collector takes no statements now: {0}")]
    Stopped(String),
    /// The disk is full or read-only; with what became of the statement.
    #[error("the collector cannot write now: {0}")]
    Unwritten(&'static str),
    /// The database failed.
    #[error("the collector cannot write: {0}")]
    Store(#[source] StoreError),
}

impl Refusal {
    /// Stable code and HTTP status.
    #[must_use]
    pub fn code(&self) -> (&'static str, u16) {
        match self {
            Refusal::TooLarge => ("too_large", 413),
            Refusal::MediaType => ("media_type", 415),
            Refusal::Compression => ("bad_compression", 400),
            Refusal::DictionaryUnknown => ("dictionary_unknown", 409),
            Refusal::Submission(_) => ("bad_submission", 400),
            Refusal::Statement(_) => ("bad_statement", 422),
            Refusal::UnknownAgent => ("unknown_agent", 401),
            Refusal::KeyEnded(_) => ("key_ended", 403),
            Refusal::WrongKey => ("wrong_key", 403),
            Refusal::Signature(_) => ("bad_signature", 403),
            Refusal::OutOfOrder { .. } => ("out_of_order", 409),
            Refusal::Fork => ("fork", 403),
            Refusal::InGap => ("in_gap", 422),
            Refusal::GapOverlaps => ("gap_overlaps", 422),
            Refusal::SeenAhead { .. } => ("seen_from_the_future", 422),
            Refusal::SeenOther => ("seen_other_history", 422),
            Refusal::SeenBackwards => ("seen_backwards", 422),
            Refusal::BundleNotInForce => ("bundle_not_in_force", 422),
            Refusal::BundleOlder => ("bundle_older", 422),
            Refusal::RoundContent(_) => ("round_content", 422),
            Refusal::DisclosureMissing(_) => ("disclosure_missing", 409),
            Refusal::DisclosureMismatch => ("disclosure_mismatch", 422),
            Refusal::Enrolment(_) => ("bad_enrolment", 400),
            Refusal::Token => ("bad_token", 403),
            Refusal::Nonce => ("bad_nonce", 409),
            Refusal::Possession => ("bad_possession", 403),
            Refusal::KeyTaken(_) => ("key_taken", 409),
            Refusal::Busy => ("busy", 429),
            Refusal::Stopped(_) => ("stopped", 503),
            Refusal::Unwritten(_) | Refusal::Store(_) => ("storage", 503),
        }
    }

    /// The problem document. What the database said stays in the log of the collector.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (code, status) = self.code();
        let detail = match self {
            Refusal::Store(_) => "the collector cannot write now; nothing was accepted".to_owned(),
            other => other.to_string(),
        };
        Problem::new(status, code, &code.replace('_', " "), detail)
    }

    /// Whether a validly signed statement refused for this becomes a `reject` entry: what could never be accepted later.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        matches!(
            self,
            Refusal::InGap
                | Refusal::GapOverlaps
                | Refusal::SeenAhead { .. }
                | Refusal::SeenOther
                | Refusal::SeenBackwards
                | Refusal::BundleNotInForce
                | Refusal::BundleOlder
                | Refusal::RoundContent(_)
                | Refusal::KeyTaken(_)
        )
    }
}
