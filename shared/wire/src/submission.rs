//! A statement on its way: payload, signatures and the disclosures that the collector does not hold yet.
//!
//! Text of one line each: the signatures as JSON, the payload as signed, then one disclosure a line. Payload bytes move
//! as they are (not their base64), so that a round compresses against the one before it: the body is a zstd frame, with
//! the payload that the collector last acknowledged as dictionary if [`DICTIONARY_HEADER`] names it.

use crypto::{KeyId, Signature};
use evidence::json::{self, JsonError};
use serde::{Deserialize, Serialize};

use crate::disclosure::{Disclosure, DisclosureError};
use crate::envelope::{
    Envelope, EnvelopeSignature, MAX_PAYLOAD_BYTES, MAX_SIGNATURES, STATEMENT_TYPE,
};

/// Media type of a submission.
pub const SUBMISSION_TYPE: &str = "application/vnd.assay.submission";
/// Names the statement (hex digest) whose payload the body was compressed against.
pub const DICTIONARY_HEADER: &str = "assay-dictionary";
/// Names the bundle (hex SHA-256) that the agent is to use, in answers.
pub const BUNDLE_HEADER: &str = "assay-bundle";
/// Largest body on the wire, compressed.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Largest submission after decompression: 8 MB of facts beside a round of 110 checks.
pub const MAX_SUBMISSION_BYTES: usize = 8 * 1024 * 1024;
/// Most disclosures of one submission.
pub const MAX_DISCLOSURES: usize = 512;

/// Why bytes are no submission.
#[derive(Debug, thiserror::Error)]
pub enum SubmissionError {
    /// Longer than [`MAX_SUBMISSION_BYTES`].
    #[error("the submission is {0} bytes long; at most {MAX_SUBMISSION_BYTES} are accepted")]
    TooLarge(usize),
    /// A payload longer than [`MAX_PAYLOAD_BYTES`]: no reader of envelopes would take it.
    #[error("the payload is {0} bytes long; at most {MAX_PAYLOAD_BYTES} are accepted")]
    PayloadTooLarge(usize),
    /// Not UTF-8, or lines missing.
    #[error("not the lines of a submission")]
    Lines,
    /// The first line is not the signatures.
    #[error("the first line is not the JSON of one or two signatures")]
    Signatures(#[source] Option<JsonError>),
    /// More than [`MAX_DISCLOSURES`].
    #[error("at most {MAX_DISCLOSURES} disclosures are accepted at once")]
    TooManyDisclosures,
    /// A line that is no disclosure.
    #[error("line {line} is no disclosure")]
    Disclosure {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        #[source]
        source: DisclosureError,
    },
    /// A payload with a line break cannot travel in this form.
    #[error("the payload contains a line break")]
    LineBreak,
}

/// An envelope with its disclosures, verified by nobody yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The envelope, of type [`STATEMENT_TYPE`].
    pub envelope: Envelope,
    /// Facts that changed.
    pub disclosures: Vec<Disclosure>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureLine {
    keyid: KeyId,
    sig: Signature,
}

impl Submission {
    /// The text, uncompressed: also the form in the agent's spool.
    ///
    /// # Errors
    /// [`SubmissionError::LineBreak`] for a payload that is not one line; ours always are.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SubmissionError> {
        if self.envelope.payload.contains(&b'\n') {
            return Err(SubmissionError::LineBreak);
        }
        let signatures = self.envelope.signatures.iter().map(|one| {
            one.key.map(|keyid| SignatureLine {
                keyid,
                sig: one.signature,
            })
        });
        let signatures = signatures
            .collect::<Option<Vec<_>>>()
            .ok_or(SubmissionError::Signatures(None))?;
        let mut bytes = json::canonical(&signatures)
            .map_err(|error| SubmissionError::Signatures(Some(error)))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.envelope.payload);
        for disclosure in &self.disclosures {
            bytes.push(b'\n');
            bytes.extend_from_slice(disclosure.text().as_bytes());
        }
        Ok(bytes)
    }

    /// Reads a submission.
    ///
    /// # Errors
    /// [`SubmissionError`] if it is none.
    pub fn parse(bytes: &[u8]) -> Result<Submission, SubmissionError> {
        if bytes.len() > MAX_SUBMISSION_BYTES {
            return Err(SubmissionError::TooLarge(bytes.len()));
        }
        let text = str::from_utf8(bytes).map_err(|_| SubmissionError::Lines)?;
        let mut lines = text.split('\n');
        let (Some(first), Some(payload)) = (lines.next(), lines.next()) else {
            return Err(SubmissionError::Lines);
        };
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(SubmissionError::PayloadTooLarge(payload.len()));
        }
        let signatures: Vec<SignatureLine> = json::parse_canonical(first.as_bytes())
            .map_err(|error| SubmissionError::Signatures(Some(error)))?;
        if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
            return Err(SubmissionError::Signatures(None));
        }
        let mut disclosures = Vec::new();
        for (i, line) in lines.enumerate() {
            if i == MAX_DISCLOSURES {
                return Err(SubmissionError::TooManyDisclosures);
            }
            disclosures.push(Disclosure::parse(line).map_err(|source| {
                SubmissionError::Disclosure {
                    line: i + 3,
                    source,
                }
            })?);
        }
        let signatures = signatures
            .into_iter()
            .map(|one| EnvelopeSignature {
                key: Some(one.keyid),
                signature: one.sig,
            })
            .collect();
        let envelope = Envelope {
            payload_type: STATEMENT_TYPE.to_owned(),
            payload: payload.as_bytes().to_vec(),
            signatures,
        };
        Ok(Submission {
            envelope,
            disclosures,
        })
    }
}
