//! The chain of this agent's statements: which number comes next, what is signed, what may be forgotten.
//!
//! The next number is one above the newest that lies in the spool or was acknowledged. A number is used exactly when its
//! file is in the spool, so a kill at any moment leaves it either unused or signed once. When a receipt has been
//! verified, `acknowledged.json` is written first and the file removed second: a kill between the two removes the file at
//! the next start; a kill before the first sends the statement again, which the collector answers with the same entry.
//! Whatever is given up is declared by a signed gap that is in the spool before the first file goes.

use crypto::{Digest, Random};
use evidence::evaluate::Outcomes;
use evidence::fact::FactSet;
use evidence::json;
use evidence::time::Clock;
use ledger::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use wire::decision::Next;
use wire::disclosure::DisclosureError;
use wire::envelope::{Envelope, STATEMENT_TYPE, pae};
use wire::statement::{
    Agent, AgentStatement, BundleRef, Chain as Place, Common, Coverage, Gap, GapRange, Round, Seen,
    StatementError, Times,
};
use wire::submission::{Submission, SubmissionError};

use crate::disclosed::Disclosed;
use crate::identity::Identity;
use crate::machine;
use crate::spool::{Bounds, Room, Spool, SpoolError, Stored};
use crate::state::{StateDir, StateError};

const ACKNOWLEDGED: &str = "acknowledged.json";
const DICTIONARY: &str = "dictionary";
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Why a statement was not signed, or a receipt not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The spool has no room, and giving up more would not help.
    #[error(
        "the spool is full; nothing is signed until the collector takes statements or spool.max_bytes is raised"
    )]
    Full,
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The statement could not be formed.
    #[error("the statement cannot be formed")]
    Statement(#[from] StatementError),
    /// The statement could not be written down.
    #[error("the statement cannot be written down")]
    Submission(#[from] SubmissionError),
    /// Facts that are too large.
    #[error("the facts cannot be disclosed")]
    Disclosure(#[from] DisclosureError),
    /// A receipt shows another root for the size that was seen before: there are two histories.
    #[error(
        "the log showed two roots for size {size}; keep the state folder as evidence and tell the auditor"
    )]
    TwoHistories {
        /// The size.
        size: u64,
    },
}

/// The last statement with a verified receipt, and the last checkpoint seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledged {
    /// Form of this file, 1.
    pub v: u8,
    /// Its number.
    pub seq: u64,
    /// Its digest.
    pub pae: Digest,
    /// The last checkpoint seen.
    pub seen: Seen,
}

impl Acknowledged {
    /// Of an agent that was just enrolled.
    #[must_use]
    pub fn enrolled(next: Next, checkpoint: &Checkpoint) -> Acknowledged {
        Acknowledged {
            v: 1,
            seq: next.seq.saturating_sub(1),
            pae: next.prev,
            seen: seen(checkpoint),
        }
    }

    /// What was acknowledged last.
    ///
    /// # Errors
    /// [`StateError`] if the file is gone or damaged.
    pub fn load(state: &StateDir) -> Result<Acknowledged, StateError> {
        let path = state.file(ACKNOWLEDGED);
        let bytes = state
            .read(ACKNOWLEDGED, MAX_FILE_BYTES)?
            .ok_or_else(|| StateError::damaged(&path, "it is gone; enrol again"))?;
        json::parse(&bytes).map_err(|error| StateError::damaged(&path, error))
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be written.
    pub fn save(&self, state: &StateDir) -> Result<(), StateError> {
        let bytes = json::canonical(self)
            .map_err(|error| StateError::damaged(&state.file(ACKNOWLEDGED), error))?;
        state.write(ACKNOWLEDGED, &bytes)
    }
}

fn seen(checkpoint: &Checkpoint) -> Seen {
    Seen {
        origin: checkpoint.origin.to_string(),
        size: checkpoint.size,
        root: checkpoint.root.to_base64(),
    }
}

/// The program that signs, as statements name it.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// SHA-256 of its binary.
    pub binary: Digest,
    /// The kernel's boot id.
    pub boot: String,
}

/// What a round found, before it has its place.
#[derive(Debug)]
pub struct Draft {
    /// When.
    pub time: Times,
    /// By which bundle it was judged.
    pub bundle: BundleRef,
    /// The outcomes.
    pub outcomes: Outcomes,
    /// The facts they rest on, bounded.
    pub facts: FactSet,
}

/// The chain of one agent.
#[derive(Debug)]
pub struct Chain {
    state: StateDir,
    identity: Identity,
    program: Program,
    acknowledged: Acknowledged,
    spool: Spool,
    disclosed: Disclosed,
}

impl Chain {
    /// Opens the chain, finishes what a kill interrupted and declares lost what is damaged.
    ///
    /// # Errors
    /// [`ChainError`] if the state folder cannot be used.
    pub fn open(
        state: StateDir,
        identity: Identity,
        program: Program,
        bounds: Bounds,
        clock: &dyn Clock,
    ) -> Result<Chain, ChainError> {
        let acknowledged = Acknowledged::load(&state)?;
        let spool = Spool::open(&state, bounds, acknowledged.seq)?;
        let disclosed = Disclosed::load(&state)?;
        let mut chain = Chain {
            state,
            identity,
            program,
            acknowledged,
            spool,
            disclosed,
        };
        chain.declare_damage(clock)?;
        Ok(chain)
    }

    /// Who signs.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What was acknowledged last.
    #[must_use]
    pub fn acknowledged(&self) -> &Acknowledged {
        &self.acknowledged
    }

    /// The statements without receipt.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The number of the next statement and the digest of the one before it.
    #[must_use]
    pub fn next(&self) -> Next {
        let newest = self.spool.before(u64::MAX);
        let (seq, prev) = newest.unwrap_or((self.acknowledged.seq, self.acknowledged.pae));
        Next { seq: seq + 1, prev }
    }

    /// Signs a round and puts it into the spool; returns its number.
    ///
    /// # Errors
    /// [`ChainError`]; nothing was then signed that anyone could see.
    pub fn append_round(
        &mut self,
        draft: &Draft,
        clock: &dyn Clock,
        random: &mut dyn Random,
    ) -> Result<u64, ChainError> {
        loop {
            let next = self.next();
            let commitment = self.disclosed.commit(&draft.facts, next.seq, random)?;
            let statement = AgentStatement::Round(Box::new(Round {
                common: self.common(next, draft.time),
                bundle: draft.bundle,
                outcomes: draft.outcomes.clone(),
                facts: commitment.digests,
                coverage: Coverage::of(&draft.outcomes),
            }));
            let changed = !commitment.fresh.is_empty();
            let stored = self.sign(statement, commitment.fresh)?;
            match self.spool.room(stored.bytes.len() as u64, clock.now()) {
                Room::Enough => {
                    self.spool.push(&stored, clock.now())?;
                    if changed {
                        self.disclosed.save(&self.state)?;
                    }
                    return Ok(stored.seq);
                }
                Room::GiveUp { from, reason } => {
                    let to = next.seq - 1;
                    self.declare_lost(from, to, reason, clock)?;
                    tracing::warn!(
                        from,
                        to,
                        reason,
                        "statements given up; a signed gap says so"
                    );
                    self.spool.remove(from, to)?;
                }
                Room::Full => return Err(ChainError::Full),
            }
        }
    }

    /// The oldest statement without receipt. One that turns out damaged is declared lost first.
    ///
    /// # Errors
    /// [`ChainError`] if the spool cannot be read or the loss not be declared.
    pub fn oldest(&mut self, clock: &dyn Clock) -> Result<Option<Stored>, ChainError> {
        loop {
            match self.spool.oldest() {
                Ok(stored) => return Ok(stored),
                Err(SpoolError::Damaged { seq }) => {
                    self.spool.mark_damaged(seq);
                    self.declare_damage(clock)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Forgets a statement whose receipt was verified against the checkpoint that the statement itself has seen.
    ///
    /// `seen` moves only if the receipt started from it: one that started from an older checkpoint does not show that the
    /// log extends the newer one.
    ///
    /// # Errors
    /// [`ChainError::TwoHistories`] if the receipt contradicts what was seen; the statement is then kept.
    pub fn acknowledge(
        &mut self,
        stored: &Stored,
        checkpoint: &Checkpoint,
    ) -> Result<(), ChainError> {
        let current = &self.acknowledged.seen;
        let candidate = seen(checkpoint);
        if candidate.size == current.size && candidate.root != current.root {
            return Err(ChainError::TwoHistories { size: current.size });
        }
        let moves = stored.statement.common().seen == *current && candidate.size > current.size;
        let acknowledged = Acknowledged {
            v: 1,
            seq: stored.seq,
            pae: stored.submission.envelope.digest(),
            seen: if moves { candidate } else { current.clone() },
        };
        acknowledged.save(&self.state)?;
        self.acknowledged = acknowledged;
        self.spool.remove(0, stored.seq)?;
        self.state
            .write(DICTIONARY, &stored.submission.envelope.payload)?;
        Ok(())
    }

    /// The payload that the collector last acknowledged, with its digest; none costs compression only.
    #[must_use]
    pub fn dictionary(&self) -> Option<(Digest, Vec<u8>)> {
        let limit = wire::submission::MAX_SUBMISSION_BYTES as u64;
        let payload = self.state.read(DICTIONARY, limit).ok().flatten()?;
        let digest = Digest::of(&pae(STATEMENT_TYPE, &payload));
        (digest == self.acknowledged.pae).then_some((digest, payload))
    }

    /// Sets the oldest statement aside because the collector will never take it, with all that follow it in the chain.
    ///
    /// # Errors
    /// [`ChainError`] if the gap cannot be signed; everything then stays.
    pub fn set_aside(
        &mut self,
        stored: &Stored,
        code: &str,
        clock: &dyn Clock,
    ) -> Result<(), ChainError> {
        let to = self.next().seq - 1;
        let code: String = code.chars().take(64).collect();
        self.declare_lost(stored.seq, to, &format!("refused: {code}"), clock)?;
        tracing::error!(
            from = stored.seq,
            to,
            code,
            "statements set aside in the spool's quarantine; a signed gap says so"
        );
        self.spool.set_aside(stored.seq, to)?;
        Ok(())
    }

    /// What the agent still knows of the facts that a statement commits to, for a collector that lost them.
    #[must_use]
    pub fn with_all_facts(&self, stored: &Stored) -> Submission {
        let mut submission = stored.submission.clone();
        if let AgentStatement::Round(round) = &stored.statement {
            let mut known = self.disclosed.find(&round.facts);
            known.retain(|one| !submission.disclosures.contains(one));
            submission.disclosures.extend(known);
        }
        submission
    }

    fn declare_damage(&mut self, clock: &dyn Clock) -> Result<(), ChainError> {
        while let Some(damage) = self.spool.damage(self.acknowledged.seq) {
            self.declare_lost(damage.from, damage.to, "damaged", clock)?;
            tracing::error!(
                from = damage.from,
                to = damage.to,
                "statements are damaged or missing; a signed gap says so, and what is left is in quarantine"
            );
            self.spool.set_aside(damage.from, damage.to)?;
        }
        Ok(())
    }

    /// Signs a gap over numbers `from` through `to`, which is the newest, and makes it durable.
    fn declare_lost(
        &mut self,
        from: u64,
        to: u64,
        reason: &str,
        clock: &dyn Clock,
    ) -> Result<(), ChainError> {
        self.disclosed.forget_from(from);
        self.disclosed.save(&self.state)?;
        let before = self.spool.before(from);
        let prev = before.map_or(self.acknowledged.pae, |(_, pae)| pae);
        let now = clock.now();
        let time = Times {
            start: now,
            end: now,
        };
        let common = self.common(Next { seq: to + 1, prev }, time);
        let reason = reason.to_owned();
        let gap = GapRange { from, to, reason };
        let stored = self.sign(
            AgentStatement::Gap(Box::new(Gap { common, gap })),
            Vec::new(),
        )?;
        self.spool.push(&stored, now)?;
        Ok(())
    }

    fn common(&self, next: Next, time: Times) -> Common {
        let enrolment = &self.identity.enrolment;
        Common {
            agent: Agent {
                id: enrolment.agent,
                key: enrolment.key,
                epoch: enrolment.epoch,
                version: self.program.version.clone(),
                binary: self.program.binary,
            },
            chain: Place {
                seq: next.seq,
                prev: next.prev,
                boot: self.program.boot.clone(),
                mono_ms: machine::since_boot_ms(),
            },
            time,
            seen: self.acknowledged.seen.clone(),
        }
    }

    fn sign(
        &self,
        statement: AgentStatement,
        disclosures: Vec<wire::disclosure::Disclosure>,
    ) -> Result<Stored, ChainError> {
        let payload = statement.to_payload()?;
        let envelope = Envelope::sign(STATEMENT_TYPE, payload, &[&self.identity.key]);
        let submission = Submission {
            envelope,
            disclosures,
        };
        Ok(Stored {
            seq: statement.common().chain.seq,
            bytes: submission.to_bytes()?,
            statement,
            submission,
        })
    }
}

#[cfg(test)]
mod tests;
