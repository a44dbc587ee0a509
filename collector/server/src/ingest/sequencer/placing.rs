//! Giving each item its place: the chain rule, what a round may name, and the decisions that follow.

use std::collections::HashMap;
use std::sync::Arc;

use crypto::Digest;
use evidence::id::AgentId;
use tokio::sync::oneshot;
use wire::decision::{Actor, Forked, Other, Rejected};
use wire::leaf::{Algorithm, Concerns, Counters, Kind, Leaf};
use wire::statement::AgentStatement;

use super::{Accepted, Command, Draft, Item, Last, Placed, Sequencer};
use crate::ingest::admit::VerifiedEnvelope;
use crate::ingest::chain::{self, Earlier, Place};
use crate::ingest::refusal::Refusal;

/// Payloads compressed one against the other before a whole one is stored again.
const MAX_DEPTH: u32 = 31;
/// `reject` entries a key may cause in a row before they are only counted.
const REJECTS_AT_ONCE: u64 = 3;
/// After that, one entry for so many more.
const REJECTS_COUNTED: u64 = 1000;

/// How many refusals that belong into the log each agent has caused since its last accepted statement: they must not
/// fill the log. What a batch changes is undone if it cannot be committed.
#[derive(Debug, Default)]
pub(super) struct RejectBudget {
    refused: HashMap<AgentId, u64>,
    before: HashMap<AgentId, u64>,
}

impl RejectBudget {
    /// From here on, changes can be undone.
    pub(super) fn begin(&mut self) {
        self.before.clear();
    }

    /// Undoes everything since [`RejectBudget::begin`].
    pub(super) fn rollback(&mut self) {
        self.refused.extend(self.before.drain());
        self.refused.retain(|_, count| *count > 0);
    }

    /// The count that the next `reject` entry of this agent stands for; `None` if none is written.
    fn spend(&mut self, agent: AgentId) -> Option<u64> {
        let count = self.refused.entry(agent).or_default();
        self.before.entry(agent).or_insert(*count);
        *count += 1;
        if *count <= REJECTS_AT_ONCE {
            Some(1)
        } else {
            count
                .checked_sub(REJECTS_AT_ONCE)
                .filter(|more| more.is_multiple_of(REJECTS_COUNTED))
                .map(|_| REJECTS_COUNTED)
        }
    }

    fn reset(&mut self, agent: AgentId) {
        if let Some(count) = self.refused.remove(&agent) {
            self.before.entry(agent).or_insert(count);
        }
    }
}

impl Sequencer {
    pub(super) async fn place(&mut self, command: Command, draft: &mut Draft) -> Item {
        let (answer, placed): (oneshot::Sender<Result<Accepted, Refusal>>, _) = match command {
            Command::Statement(envelope, answer) => {
                (answer, self.place_statement(*envelope, draft).await)
            }
            Command::Enrol(command, answer) => {
                (answer, self.place_enrolment(*command, draft).await)
            }
            Command::End(command, answer) => (answer, self.place_end(command, draft)),
            Command::Activate(command, answer) => (answer, self.place_activation(*command, draft)),
        };
        Item { answer, placed }
    }

    async fn place_statement(
        &mut self,
        verified: VerifiedEnvelope,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let agent = verified.statement.common().agent.id;
        let standing = self
            .fleet
            .standing(&agent)
            .ok_or(Refusal::UnknownAgent)?
            .clone();
        // An earlier item of this very batch may have ended the key.
        if standing.state != store::AgentState::Active
            || standing.key != verified.statement.common().agent.key
        {
            return Err(Refusal::KeyEnded(standing.state.as_str()));
        }
        match chain::place(&standing, &verified.statement) {
            Place::Next => {}
            Place::Ahead => {
                return Err(Refusal::OutOfOrder {
                    expected: standing.next_seq,
                });
            }
            Place::OtherPredecessor => return self.fork(&verified, None, draft),
            Place::Earlier => return self.place_earlier(&standing, verified, draft).await,
        }
        if let Err(refusal) = self.check_claims(&standing, &verified).await {
            self.reject(&verified, &refusal, draft)?;
            return Err(refusal);
        }
        let seen = verified.statement.common().seen.size;
        let concerns = Concerns {
            agent,
            epoch: standing.epoch,
            statement: Some((
                verified.statement.common().chain.seq,
                standing.group.clone(),
            )),
        };
        let counters = Counters {
            rx: self.reception.now(),
            dec: self.fleet.decisions(),
            ev: standing.ev,
        };
        let kind = match verified.statement {
            AgentStatement::Round(_) => Kind::Round,
            AgentStatement::Gap(_) => Kind::Gap,
            AgentStatement::Rotate(_) => Kind::Rotate,
        };
        let leaf = Leaf::of(kind, &verified.envelope, Some(concerns), counters)
            .map_err(|error| Refusal::Stopped(error.to_string()))?;
        let base = self.base(standing.row, draft);
        let mut disclosures = Vec::with_capacity(verified.disclosures.len());
        for disclosure in &verified.disclosures {
            let body = store::compress(disclosure.text().as_bytes(), &[])
                .map_err(|error| Refusal::Stopped(error.to_string()))?;
            disclosures.push((
                *disclosure.digest().digest(),
                disclosure.probe().clone(),
                body,
            ));
        }
        // From here on nothing can fail: an entry without its place in the chain would be a hole.
        let idx = self.append(
            draft,
            &leaf,
            Some(standing.row),
            &verified.envelope.payload,
            base.as_ref(),
        )?;
        let depth = base.map_or(0, |last| last.depth + 1);
        draft.lasts.insert(
            standing.row,
            Last {
                idx,
                pae: verified.pae,
                payload: Arc::new(verified.envelope.payload),
                depth,
            },
        );
        draft.batch.disclosures.extend(disclosures);
        self.fleet
            .statement(idx, &leaf, &verified.statement, &mut draft.batch);
        self.rejects.reset(agent);
        self.placed(draft, idx, seen, &agent)
    }

    pub(super) fn placed(
        &self,
        draft: &Draft,
        index: u64,
        seen: u64,
        agent: &AgentId,
    ) -> Result<Placed, Refusal> {
        let entry = draft
            .batch
            .entries
            .iter()
            .rev()
            .find(|entry| entry.idx == index)
            .map(|entry| entry.leaf.clone());
        let bundle = self
            .fleet
            .standing(agent)
            .and_then(|standing| self.fleet.assigned(&standing.group))
            .map(|bundle| bundle.digest);
        Ok(Placed {
            index,
            entry,
            seen,
            bundle,
        })
    }

    /// The agent's last payload, unless it is time for a whole one.
    fn base(&self, row: i64, draft: &Draft) -> Option<Last> {
        let last = draft.lasts.get(&row).or_else(|| self.lasts.get(&row))?;
        (last.depth < MAX_DEPTH).then(|| last.clone())
    }

    async fn place_earlier(
        &mut self,
        standing: &store::Standing,
        verified: VerifiedEnvelope,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let seq = verified.statement.common().chain.seq;
        let agent = standing.agent;
        let in_draft = draft
            .batch
            .entries
            .iter()
            .find(|entry| entry.agent == Some(standing.row) && entry.pae == verified.pae)
            .map(|entry| entry.idx);
        let known = match in_draft {
            Some(idx) => Some(idx),
            None => self
                .store
                .index_of(&verified.pae)
                .await
                .map_err(Refusal::Store)?,
        };
        if let Some(idx) = known {
            // The answer was lost on the way: the same entry, a fresh proof.
            return self.placed(draft, idx, verified.statement.common().seen.size, &agent);
        }
        let drafted = draft
            .batch
            .entries
            .iter()
            .find(|entry| entry.agent == Some(standing.row) && entry.seq == Some(seq))
            .map(|entry| entry.pae);
        let logged = match drafted {
            Some(pae) => Some(pae),
            None => self
                .store
                .statement(standing.row, seq)
                .await
                .map_err(Refusal::Store)?,
        };
        match chain::earlier(&verified.pae, logged) {
            Earlier::Fork(logged) => self.fork(&verified, Some(logged), draft),
            Earlier::Known | Earlier::InGap => {
                let refusal = match verified.statement {
                    AgentStatement::Gap(_) => Refusal::GapOverlaps,
                    _ => Refusal::InGap,
                };
                self.reject(&verified, &refusal, draft)?;
                Err(refusal)
            }
        }
    }

    /// Logs a fork with both statements and ends the key. The sender gets a refusal, the fleet loses nothing.
    fn fork(
        &mut self,
        verified: &VerifiedEnvelope,
        logged: Option<Digest>,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let agent = &verified.statement.common().agent;
        let other = other(verified)?;
        let content = Forked {
            agent: agent.id,
            epoch: agent.epoch,
            seq: verified.statement.common().chain.seq,
            logged,
            other,
        };
        let concerns = Concerns {
            agent: agent.id,
            epoch: agent.epoch,
            statement: None,
        };
        let reason = "two statements for one number, or one number after two statements";
        let (idx, leaf, _) =
            self.decide(draft, Actor::collector(), reason, content, Some(concerns))?;
        let file = verified
            .envelope
            .to_file()
            .map_err(|error| Refusal::Stopped(error.to_string()))?;
        draft.batch.others.push((verified.pae, file));
        self.fleet
            .key_event(Kind::Fork, idx, &leaf, &agent.id, &mut draft.batch);
        tracing::warn!(agent = %agent.id, "two statements for one number: the key was ended");
        metrics::counter!("assay_forks_total").increment(1);
        Err(Refusal::Fork)
    }

    /// Logs that a validly signed statement was refused, within the agent's budget.
    fn reject(
        &mut self,
        verified: &VerifiedEnvelope,
        refusal: &Refusal,
        draft: &mut Draft,
    ) -> Result<(), Refusal> {
        let agent = &verified.statement.common().agent;
        if !refusal.is_logged() {
            return Ok(());
        }
        let Some(count) = self.rejects.spend(agent.id) else {
            return Ok(());
        };
        let Other { pae, alg, key, sig } = other(verified)?;
        let content = Rejected {
            agent: agent.id,
            pae,
            alg,
            key,
            sig,
            why: refusal.code().0.to_owned(),
            count,
        };
        let concerns = Concerns {
            agent: agent.id,
            epoch: agent.epoch,
            statement: None,
        };
        let (idx, leaf, _) = self.decide(
            draft,
            Actor::collector(),
            "refused",
            content,
            Some(concerns),
        )?;
        let file = verified
            .envelope
            .to_file()
            .map_err(|error| Refusal::Stopped(error.to_string()))?;
        draft.batch.others.push((pae, file));
        self.fleet
            .key_event(Kind::Reject, idx, &leaf, &agent.id, &mut draft.batch);
        Ok(())
    }
}

fn other(verified: &VerifiedEnvelope) -> Result<Other, Refusal> {
    let first = verified
        .envelope
        .signatures
        .first()
        .ok_or_else(|| Refusal::Stopped("an envelope without signature".to_owned()))?;
    let key = verified.statement.common().agent.key;
    Ok(Other {
        pae: verified.pae,
        alg: Algorithm::Ed25519,
        key,
        sig: first.signature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_committed_was_not_spent() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let mut budget = RejectBudget::default();
        budget.begin();
        assert_eq!(budget.spend(one), Some(1));
        budget.begin();
        for expected in [Some(1), Some(1), None] {
            assert_eq!(budget.spend(one), expected);
        }
        assert_eq!(budget.spend(other), Some(1));
        budget.rollback();
        for expected in [Some(1), Some(1), None] {
            assert_eq!(budget.spend(one), expected, "one was spent before");
        }
        budget.begin();
        budget.reset(one);
        budget.rollback();
        assert_eq!(budget.spend(one), None, "a reset is undone too");
        let counted = (0..5000).filter_map(|_| budget.spend(one)).sum::<u64>();
        assert_eq!(counted, 5000, "counted by the thousand");
    }
}
