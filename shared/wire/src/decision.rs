//! Decisions: statements signed by the collector's decision key in the name of a person (or of the collector itself).
//!
//! Every decision carries a UUID that is never used twice, the log's origin, who decided, when and why, and the members
//! of its kind.

use crypto::{Digest, KeyId, Signature, SigningKey, VerifyingKey};
use evidence::id::{AgentId, GroupId};
use evidence::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::envelope::{Envelope, STATEMENT_TYPE};
use crate::leaf::{Algorithm, Kind};
use crate::statement::{self, StatementError};

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Account id; whose it is stands in the accounts table, so a name can be erased though the entry stays.
    pub user: String,
    /// The role it was decided in.
    pub role: String,
}

impl Actor {
    /// The collector itself, for what it notices.
    #[must_use]
    pub fn collector() -> Actor {
        Actor {
            user: "collector".to_owned(),
            role: "system".to_owned(),
        }
    }
}

/// What every decision says, and what its kind adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision<P> {
    /// UUID version 4, never used twice.
    pub id: String,
    /// The log's origin.
    pub origin: String,
    /// Who.
    pub by: Actor,
    /// When, by the collector's clock.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// The members of its kind.
    #[serde(flatten)]
    pub content: P,
}

/// The members of one kind of decision.
pub trait DecisionKind: Serialize + for<'de> Deserialize<'de> {
    /// The kind of the entry.
    const KIND: Kind;
}

impl<P: DecisionKind> Decision<P> {
    /// Signs the decision.
    ///
    /// # Errors
    /// [`StatementError`] if it cannot be written as JSON; never for the kinds of this module.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Envelope, StatementError> {
        let predicate = serde_json::to_value(self)
            .map_err(|error| StatementError::Json(evidence::json::JsonError::Shape(error)))?;
        let kind = P::KIND.as_str();
        let payload = statement::payload(kind, &format!("urn:assay:{kind}"), &predicate)?;
        Ok(Envelope::sign(STATEMENT_TYPE, payload, keys))
    }

    /// Reads the payload of a decision of this kind. The signature is the caller's business.
    ///
    /// # Errors
    /// [`StatementError`] for another kind or other members.
    pub fn parse(payload: &[u8]) -> Result<Decision<P>, StatementError> {
        let opened = statement::open(payload)?;
        let kind = P::KIND.as_str();
        if opened.kind != kind || opened.subject != format!("urn:assay:{kind}") {
            return Err(StatementError::Kind(opened.kind));
        }
        serde_json::from_value(opened.predicate)
            .map_err(|error| StatementError::Json(evidence::json::JsonError::Shape(error)))
    }
}

/// The kind of any statement and its predicate, for readers that only count and check signatures.
///
/// # Errors
/// [`StatementError`] if the payload is no statement.
pub fn peek(payload: &[u8]) -> Result<(String, Value), StatementError> {
    let opened = statement::open(payload)?;
    Ok((opened.kind, opened.predicate))
}

macro_rules! decision {
    ($kind:ident, $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $ty:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty),* }

        impl DecisionKind for $name {
            const KIND: Kind = Kind::$kind;
        }
    };
}

decision!(Key,
    /// All keys in force from this entry on. Entry 0 is one, signed by the decision key it names.
    Keys {
        /// The keys.
        keys: Vec<KeyInForce>,
    }
);

/// A key in force, by its role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyInForce {
    /// Signs checkpoints; a vkey line.
    Log {
        /// The verifier key.
        vkey: String,
    },
    /// Signs decisions.
    Decision {
        /// The key.
        spki: VerifyingKey,
    },
    /// Signs bundles; can live offline.
    Policy {
        /// The key.
        spki: VerifyingKey,
    },
    /// Signs an auditor's own statements.
    Auditor {
        /// The auditor.
        name: String,
        /// The key.
        spki: VerifyingKey,
    },
}

decision!(Enrol,
    /// An agent gets its place, or a new key after it lost the old one.
    Enrolled {
        /// The agent.
        agent: AgentId,
        /// The epoch of this key, from 1.
        epoch: u64,
        /// The key.
        spki: VerifyingKey,
        /// Its host group.
        grp: GroupId,
        /// How it proved that it may: `token <id>`.
        how: String,
        /// The collector's nonce, 64 hex digits.
        nonce: Digest,
        /// The agent key's signature over [`crate::enrolment::possession`].
        pop: Signature,
        /// The number and predecessor of its next statement.
        next: Next,
    }
);

/// Where an agent's chain goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Sequence number of the next statement.
    pub seq: u64,
    /// Digest of the statement before it.
    pub prev: Digest,
}

impl Next {
    /// Of an agent that never made a statement.
    pub const FIRST: Next = Next {
        seq: 1,
        prev: Digest::ZERO,
    };
}

decision!(Revoke,
    /// An agent's key ends here: what it signs later is not accepted.
    Revoked {
        /// The agent.
        agent: AgentId,
        /// The epoch that ends.
        epoch: u64,
        /// The key that ends.
        key: KeyId,
    }
);

decision!(Retire,
    /// An agent ends here; its host no longer counts.
    Retired {
        /// The agent.
        agent: AgentId,
        /// The epoch that ends.
        epoch: u64,
        /// The key that ends.
        key: KeyId,
    }
);

decision!(Fork,
    /// Two statements for one number: a cloned key or a host rolled back. The key ends; both are kept.
    Forked {
        /// The agent.
        agent: AgentId,
        /// The epoch that ends.
        epoch: u64,
        /// The number used twice.
        seq: u64,
        /// Digest of the statement in the log; null if it is the next number with another predecessor.
        logged: Option<Digest>,
        /// The other statement.
        other: Other,
    }
);

/// A statement that is not in the log, with what proves who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// Digest of its pre-authentication encoding.
    pub pae: Digest,
    /// Algorithm of the signature.
    pub alg: Algorithm,
    /// The key that signed it.
    pub key: KeyId,
    /// The signature.
    pub sig: Signature,
}

decision!(Reject,
    /// A validly signed statement that was refused.
    Rejected {
        /// The agent.
        agent: AgentId,
        /// Digest of its pre-authentication encoding.
        pae: Digest,
        /// Algorithm of the signature.
        alg: Algorithm,
        /// The key that signed it.
        key: KeyId,
        /// The signature.
        sig: Signature,
        /// The problem code it was refused with.
        why: String,
        /// How many like it this entry stands for.
        count: u64,
    }
);

decision!(Bundle,
    /// A bundle is in force for these groups from here on.
    BundleActivated {
        /// SHA-256 of the bundle's bytes.
        sha256: Digest,
        /// Its version.
        version: u64,
        /// The groups.
        grps: Vec<GroupId>,
    }
);

#[cfg(test)]
mod tests {
    use crypto::SeededRandom;

    use super::*;

    #[test]
    fn a_decision_survives_its_envelope_and_no_kind_stands_for_another() {
        let key = SigningKey::generate(&mut SeededRandom::new(1));
        let decision = Decision {
            id: "5f3c9f0e-7a34-4c39-9d57-0f5f0f6d3c11".to_owned(),
            origin: "log.example/a".to_owned(),
            by: Actor::collector(),
            at: Timestamp::from_unix_ms(0),
            reason: "first start".to_owned(),
            content: Keys {
                keys: vec![KeyInForce::Decision {
                    spki: key.verifying_key(),
                }],
            },
        };
        let envelope = decision.sign(&[&key]).unwrap();
        assert_eq!(
            Decision::<Keys>::parse(&envelope.payload).unwrap(),
            decision
        );
        assert!(Decision::<BundleActivated>::parse(&envelope.payload).is_err());
        assert_eq!(peek(&envelope.payload).unwrap().0, "key");
    }
}
