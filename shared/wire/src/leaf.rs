//! The leaf: the small record in the log that commits to an envelope, never the evidence itself.
//!
//! JCS JSON of about 430 bytes, stored verbatim. It holds the digest of the envelope's pre-authentication encoding and
//! the signature, so the envelope can be deleted later while signature, order and existence stay provable. Two counters
//! make omission visible: `dec` counts earlier decisions, `ev` the agent's earlier key events.

use std::fmt;

use crypto::{Digest, KeyId, Signature};
use evidence::id::{AgentId, GroupId};
use evidence::json::{self, JsonError};
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;

/// Largest leaf: the log's bound on an entry is 65,535, ours need far less.
pub const MAX_LEAF_BYTES: usize = 2048;

/// Why bytes are no leaf.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// Longer than [`MAX_LEAF_BYTES`].
    #[error("the leaf is {0} bytes long; at most {MAX_LEAF_BYTES} are accepted")]
    TooLarge(usize),
    /// Not the canonical JSON of a leaf.
    #[error("not a leaf")]
    Json(#[source] JsonError),
    /// Members missing or present against its kind.
    #[error("a leaf of kind {0} does not have these members")]
    Members(Kind),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// The kind of an entry. Whatever is neither an agent's statement nor one of its key events is a decision.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[$doc])* #[serde(rename = $name)] $variant),*
        }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),*];

            /// The name in formats.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $name),* }
            }
        }
    };
}

kinds! {
    /// A round of an agent.
    Round = "round",
    /// Statements of an agent that will never arrive.
    Gap = "gap",
    /// An agent changes its key.
    Rotate = "rotate",
    /// An agent gets its place, or a new key after it lost the old one.
    Enrol = "enrol",
    /// An agent's key ends.
    Revoke = "revoke",
    /// An agent ends.
    Retire = "retire",
    /// Two statements for one number; the key ends.
    Fork = "fork",
    /// A validly signed statement that was refused.
    Reject = "reject",
    /// All keys in force from here.
    Key = "key",
    /// A bundle is activated for groups.
    Bundle = "bundle",
    /// Groups, schedule, mapping or retention change.
    Policy = "policy",
    /// A target changes.
    Target = "target",
    /// A version of the Statement of Applicability.
    Soa = "soa",
    /// An exception.
    Exception = "exception",
    /// A finding.
    Finding = "finding",
    /// A corrective action and its transitions.
    CorrectiveAction = "corrective-action",
    /// An auditor commits to a sampling plan.
    SampleCommit = "sample-commit",
    /// A sample is drawn.
    SampleDraw = "sample-draw",
    /// Bodies are erased.
    Erase = "erase",
    /// Evidence is handed out.
    Pack = "pack",
    /// An auditor took a checkpoint with them.
    AuditorCheckpoint = "auditor-checkpoint",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Kind {
    /// A statement signed by an agent's key; it has a sequence number.
    #[must_use]
    pub const fn is_agent_statement(self) -> bool {
        matches!(self, Kind::Round | Kind::Gap | Kind::Rotate)
    }

    /// An event of one agent's keys, counted by `ev`.
    #[must_use]
    pub const fn is_key_event(self) -> bool {
        matches!(
            self,
            Kind::Enrol | Kind::Rotate | Kind::Revoke | Kind::Retire | Kind::Fork | Kind::Reject
        )
    }

    /// A decision, counted by `dec`.
    #[must_use]
    pub const fn is_decision(self) -> bool {
        !self.is_key_event() && !matches!(self, Kind::Round | Kind::Gap)
    }

    const fn names_agent(self) -> bool {
        self.is_agent_statement() || self.is_key_event()
    }

    /// Whether a second signature may stand beside the first: always for a rotation, for `key` if the decision key
    /// changes.
    const fn second_signature(self) -> (bool, bool) {
        (
            matches!(self, Kind::Rotate),
            matches!(self, Kind::Rotate | Kind::Key),
        )
    }
}

/// Signature algorithm of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256 with a DER signature, for keys held by a TPM; read, not written yet.
    P256,
}

/// The entry of the log, with the members that its kind has and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Format version, 1.
    pub v: u8,
    /// What it is.
    pub kind: Kind,
    /// The agent concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The epoch of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The statement's sequence number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// SHA-256 of the envelope's pre-authentication encoding.
    pub pae: Digest,
    /// Algorithm of `sig`.
    pub alg: Algorithm,
    /// The envelope's signature, base64.
    pub sig: Signature,
    /// Key id of the key that made it.
    pub key: KeyId,
    /// Algorithm of `sig2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg2: Option<Algorithm>,
    /// The second signature: of the new key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig2: Option<Signature>,
    /// Key id of the second key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key2: Option<KeyId>,
    /// Length of the payload in bytes.
    pub len: u64,
    /// The host group at this moment: the stratum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grp: Option<GroupId>,
    /// When the collector says it received it, Unix milliseconds; never below that of the entry before.
    pub rx: i64,
    /// Number of earlier decisions.
    pub dec: u64,
    /// Number of earlier key events of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ev: Option<u64>,
}

/// What the log knows when it appends an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Time of reception, Unix milliseconds.
    pub rx: i64,
    /// Number of earlier decisions.
    pub dec: u64,
    /// Number of earlier key events of the agent concerned.
    pub ev: u64,
}

/// The agent that an entry concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concerns {
    /// The agent.
    pub agent: AgentId,
    /// The epoch of its key.
    pub epoch: u64,
    /// Sequence number and group, for agent statements.
    pub statement: Option<(u64, GroupId)>,
}

impl Leaf {
    /// The leaf of an envelope whose signatures were verified under the keys they name.
    ///
    /// # Errors
    /// [`LeafError::Members`] if the envelope's signatures or `concerns` do not fit the kind.
    pub fn of(
        kind: Kind,
        envelope: &Envelope,
        concerns: Option<Concerns>,
        counters: Counters,
    ) -> Result<Leaf, LeafError> {
        let wrong = || LeafError::Members(kind);
        let first = envelope.signatures.first().ok_or_else(wrong)?;
        let second = envelope.signatures.get(1);
        let (seq, grp) = concerns
            .as_ref()
            .and_then(|concerns| concerns.statement.clone())
            .unzip();
        let leaf = Leaf {
            v: 1,
            kind,
            agent: concerns.as_ref().map(|concerns| concerns.agent),
            epoch: concerns.as_ref().map(|concerns| concerns.epoch),
            seq,
            pae: envelope.digest(),
            alg: Algorithm::Ed25519,
            sig: first.signature,
            key: first.key.ok_or_else(wrong)?,
            alg2: second.map(|_| Algorithm::Ed25519),
            sig2: second.map(|second| second.signature),
            key2: second.and_then(|second| second.key),
            len: envelope.payload.len() as u64,
            grp,
            rx: counters.rx,
            dec: counters.dec,
            ev: concerns.is_some().then_some(counters.ev),
        };
        leaf.check()?;
        Ok(leaf)
    }

    /// Reads the bytes of a leaf.
    ///
    /// # Errors
    /// [`LeafError`] if they are not the canonical bytes of a leaf with the members of its kind.
    pub fn parse(bytes: &[u8]) -> Result<Leaf, LeafError> {
        if bytes.len() > MAX_LEAF_BYTES {
            return Err(LeafError::TooLarge(bytes.len()));
        }
        let leaf: Leaf = json::parse_canonical(bytes).map_err(LeafError::Json)?;
        leaf.check()?;
        Ok(leaf)
    }

    /// The bytes of the entry.
    ///
    /// # Errors
    /// [`LeafError::Json`] never happens for a leaf made or read here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LeafError> {
        json::canonical(self).map_err(LeafError::Json)
    }

    fn check(&self) -> Result<(), LeafError> {
        let kind = self.kind;
        let about_agent = [
            self.agent.is_some(),
            self.epoch.is_some(),
            self.ev.is_some(),
        ];
        let statement = [self.seq.is_some(), self.grp.is_some()];
        let second = [
            self.alg2.is_some(),
            self.sig2.is_some(),
            self.key2.is_some(),
        ];
        let (must, may) = kind.second_signature();
        let fits = self.v == 1
            && about_agent == [kind.names_agent(); 3]
            && statement == [kind.is_agent_statement(); 2]
            && (second == [false; 3] && !must || second == [true; 3] && may);
        if fits {
            Ok(())
        } else {
            Err(LeafError::Members(kind))
        }
    }
}

#[cfg(test)]
mod tests {
    use crypto::{SeededRandom, SigningKey};

    use super::*;
    use crate::envelope::STATEMENT_TYPE;

    fn round() -> Leaf {
        let key = SigningKey::generate(&mut SeededRandom::new(1));
        let envelope = Envelope::sign(STATEMENT_TYPE, b"{}".to_vec(), &[&key]);
        let concerns = Concerns {
            agent: Digest::of(b"agent"),
            epoch: 1,
            statement: Some((7, "web".parse().unwrap())),
        };
        Leaf::of(
            Kind::Round,
            &envelope,
            Some(concerns),
            Counters {
                rx: 1,
                dec: 2,
                ev: 3,
            },
        )
        .unwrap()
    }

    #[test]
    fn a_leaf_survives_its_bytes_and_is_small() {
        let leaf = round();
        let bytes = leaf.to_bytes().unwrap();
        assert_eq!(Leaf::parse(&bytes).unwrap(), leaf);
        assert!((380..480).contains(&bytes.len()), "{}", bytes.len());
    }

    #[test]
    fn a_leaf_has_the_members_of_its_kind() {
        for change in [
            |leaf: &mut Leaf| leaf.seq = None,
            |leaf: &mut Leaf| leaf.kind = Kind::Bundle,
            |leaf: &mut Leaf| leaf.kind = Kind::Rotate,
            |leaf: &mut Leaf| leaf.ev = None,
        ] {
            let mut leaf = round();
            change(&mut leaf);
            assert!(Leaf::parse(&leaf.to_bytes().unwrap()).is_err());
        }
    }

    #[test]
    fn every_kind_counts_once() {
        for kind in Kind::ALL {
            assert_eq!(
                usize::from(kind.is_decision())
                    + usize::from(kind.is_key_event())
                    + usize::from(matches!(kind, Kind::Round | Kind::Gap)),
                1,
                "{kind}"
            );
        }
    }
}
