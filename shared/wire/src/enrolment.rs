//! Enrolment: an agent proves possession of the key it made on its host and gets its place in the log.
//!
//! 1. `POST /agent/v1/challenge` → [`Challenge`]: the log's origin and a nonce, usable once and soon.
//! 2. `POST /agent/v1/enrol` with [`EnrolRequest`] → [`EnrolAnswer`].

use crypto::{Digest, KeyId, Signature, VerifyingKey};
use evidence::id::{AgentId, GroupId};
use serde::{Deserialize, Serialize};

use crate::decision::Next;
use crate::receipt::Receipt;

/// Largest enrolment message, in bytes.
pub const MAX_ENROLMENT_BYTES: usize = 16 * 1024;

/// What the agent signs to prove possession: `assay-enrol/v1\n<origin>\n<keyid>\n<nonce hex>\n`.
#[must_use]
pub fn possession(origin: &str, key: &KeyId, nonce: &Digest) -> Vec<u8> {
    format!("assay-enrol/v1\n{origin}\n{key}\n{nonce}\n").into_bytes()
}

/// A nonce to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The log's origin.
    pub origin: String,
    /// 32 random bytes, hex.
    pub nonce: Digest,
}

/// An agent asks for its place.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The token that allows it; secret.
    pub token: String,
    /// The key made on the host.
    pub spki: VerifyingKey,
    /// The collector's nonce.
    pub nonce: Digest,
    /// Signature over [`possession`].
    pub pop: Signature,
    /// The agent that lost its key and comes back with this one; absent for a new agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// What helps people recognise the host; never identifies it.
    pub hints: Hints,
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrolRequest({:?}, {:?})", self.spki, self.hints)
    }
}

/// What helps people recognise a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// The host's name.
    pub hostname: String,
    /// Its operating system, for example `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Version of the agent.
    pub agent_version: String,
    /// `/etc/machine-id`, hashed: a repeated one hints at a cloned image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Digest>,
}

/// The agent's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolAnswer {
    /// The agent, for ever.
    pub agent: AgentId,
    /// The epoch of its key.
    pub epoch: u64,
    /// Its group.
    pub group: GroupId,
    /// The log's verifier key: pinned from now on.
    pub log_key: String,
    /// The key that signs bundles: pinned from now on.
    pub policy_key: VerifyingKey,
    /// Where its chain starts or goes on.
    pub next: Next,
    /// Receipt of the entry that says all this; its checkpoint is the first `seen`.
    pub receipt: Receipt,
    /// SHA-256 of the bundle to use.
    pub bundle: Digest,
}
