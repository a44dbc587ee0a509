//! Giving each item its place: the chain rule, what a round may name, and the decisions that follow.

use std::collections::HashMap;
use std::sync::Arc;

use crypto::Digest;
use evidence::bundle::Bundle;
use evidence::id::{AgentId, ProbeId};
use tokio::sync::oneshot;
use wire::decision::{
    Actor, BundleActivated, Enrolled, Forked, Next, Other, Rejected, Retired, Revoked,
};
use wire::leaf::{Algorithm, Concerns, Counters, Kind, Leaf};
use wire::statement::{AgentStatement, Round};

use super::{
    Accepted, ActivateCommand, Command, Draft, EndCommand, EnrolCommand, Item, Last, Placed,
    Sequencer,
};
use crate::ingest::admit::VerifiedEnvelope;
use crate::ingest::chain::{self, Earlier, Place};
use crate::ingest::fleet::Fleet;
use crate::ingest::refusal::Refusal;

/// Payloads compressed one against the other before a whole one is stored again.
const MAX_DEPTH: u32 = 31;
/// `reject` entries a key may cause in a row before they are only counted.
const REJECTS_AT_ONCE: u64 = 3;
/// After that, one entry for so many more.
const REJECTS_COUNTED: u64 = 1000;

/// How many `reject` entries each agent has caused since its last accepted statement: refusals must not fill the log.
#[derive(Debug, Default)]
pub(super) struct RejectBudget(HashMap<AgentId, u64>);

impl RejectBudget {
    /// The count that the next `reject` entry of this agent stands for; `None` if none is written.
    fn spend(&mut self, agent: AgentId) -> Option<u64> {
        let count = self.0.entry(agent).or_default();
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

    fn reset(&mut self, agent: &AgentId) {
        self.0.remove(agent);
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
        for disclosure in &verified.disclosures {
            let body = store::compress(disclosure.text().as_bytes(), &[])
                .map_err(|error| Refusal::Stopped(error.to_string()))?;
            draft.batch.disclosures.push((
                *disclosure.digest().digest(),
                disclosure.probe().clone(),
                body,
            ));
        }
        self.fleet
            .statement(idx, &leaf, &verified.statement, &mut draft.batch);
        self.rejects.reset(&agent);
        self.placed(draft, idx, seen, &agent)
    }

    fn placed(
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
        let seq = chain::first_number(&verified.statement);
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
                self.reject(&verified, &Refusal::InGap, draft)?;
                Err(Refusal::InGap)
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
        let (_, leaf, _) =
            self.decide(draft, Actor::collector(), reason, content, Some(concerns))?;
        let file = verified
            .envelope
            .to_file()
            .map_err(|error| Refusal::Stopped(error.to_string()))?;
        draft.batch.others.push((verified.pae, file));
        self.fleet
            .key_event(Kind::Fork, &leaf, &agent.id, &mut draft.batch);
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
        let Some(count) = self.rejects.spend(agent.id).filter(|_| refusal.is_logged()) else {
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
        let (_, leaf, _) = self.decide(
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
            .key_event(Kind::Reject, &leaf, &agent.id, &mut draft.batch);
        Ok(())
    }

    /// Holds what a statement claims against the log: the checkpoint seen, and for a round its bundle and facts.
    async fn check_claims(
        &mut self,
        standing: &store::Standing,
        verified: &VerifiedEnvelope,
    ) -> Result<(), Refusal> {
        let seen = &verified.statement.common().seen;
        // What this batch appends was seen by nobody yet.
        let size = self.edge.size();
        if seen.size > size {
            return Err(Refusal::SeenAhead {
                seen: seen.size,
                size,
            });
        }
        if seen.size < standing.seen_size {
            return Err(Refusal::SeenBackwards);
        }
        let root = self
            .tiles
            .root(&self.store, seen.size, size)
            .await
            .map_err(|error| Refusal::Stopped(error.to_string()))?;
        if seen.origin != self.keys.log.name().as_str() || seen.root != root.to_base64() {
            tracing::error!(agent = %standing.agent, size = seen.size, "an agent has seen another history of this log");
            return Err(Refusal::SeenOther);
        }
        match &verified.statement {
            AgentStatement::Round(round) => self.check_round(standing, round, verified).await,
            AgentStatement::Gap(_) => Ok(()),
            AgentStatement::Rotate(rotate)
                if self.fleet.agent_of_key(&rotate.new.key).is_some() =>
            {
                Err(Refusal::KeyTaken("the new key was used before"))
            }
            AgentStatement::Rotate(_) => Ok(()),
        }
    }

    async fn check_round(
        &self,
        standing: &store::Standing,
        round: &Round,
        verified: &VerifiedEnvelope,
    ) -> Result<(), Refusal> {
        if !self
            .fleet
            .is_in_force(&round.bundle.sha256, &standing.group)
        {
            return Err(Refusal::BundleNotInForce);
        }
        let bundle = self
            .fleet
            .bundle(&round.bundle.sha256)
            .ok_or(Refusal::BundleNotInForce)?;
        if bundle.version != round.bundle.version {
            return Err(Refusal::RoundContent(
                "the bundle named has another version".to_owned(),
            ));
        }
        if standing
            .bundle
            .is_some_and(|(_, version)| round.bundle.version < version)
        {
            return Err(Refusal::BundleOlder);
        }
        check_content(round, &bundle.bundle)?;
        let missing = self.missing_facts(standing.row, round, verified).await?;
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Refusal::DisclosureMissing(missing))
        }
    }

    /// Probes whose facts were neither sent along nor are held.
    async fn missing_facts(
        &self,
        row: i64,
        round: &Round,
        verified: &VerifiedEnvelope,
    ) -> Result<Vec<ProbeId>, Refusal> {
        let latest = self.fleet.latest(row);
        let unknown: Vec<(ProbeId, Digest)> = round
            .facts
            .iter()
            .filter(|(probe, digest)| {
                let held =
                    latest.and_then(|latest| latest.facts.get(*probe)) == Some(digest.digest());
                let sent = verified
                    .disclosures
                    .iter()
                    .any(|disclosure| disclosure.digest() == **digest);
                !held && !sent
            })
            .map(|(probe, digest)| (probe.clone(), *digest.digest()))
            .collect();
        if unknown.is_empty() {
            return Ok(Vec::new());
        }
        self.store
            .holds_disclosures(&unknown)
            .await
            .map_err(Refusal::Store)
    }

    async fn place_enrolment(
        &mut self,
        command: EnrolCommand,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let key = command.enrolled.spki.key_id();
        if let Some(owner) = self.fleet.agent_of_key(&key) {
            let same = owner.agent == command.enrolled.agent
                && owner.key == key
                && owner.state == store::AgentState::Active;
            if !same {
                return Err(Refusal::KeyTaken(
                    "this key was enrolled before; make a new one",
                ));
            }
            // The answer was lost on the way: the entry that enrolled this key.
            let agent = owner.agent;
            let idx = self.enrolment_of(&key, draft).await?;
            return self.placed(draft, idx, 0, &agent);
        }
        let (epoch, next) = match self.fleet.standing(&command.enrolled.agent) {
            Some(standing) if standing.state == store::AgentState::Active => {
                return Err(Refusal::KeyTaken(
                    "this agent has a valid key; revoke it first",
                ));
            }
            Some(standing) => (
                standing.epoch + 1,
                Next {
                    seq: standing.next_seq,
                    prev: standing.prev,
                },
            ),
            None if command.enrolled.agent == key => (1, Next::FIRST),
            None => return Err(Refusal::UnknownAgent),
        };
        let enrolled = Enrolled {
            epoch,
            next,
            ..command.enrolled
        };
        let agent = enrolled.agent;
        let concerns = Concerns {
            agent,
            epoch,
            statement: None,
        };
        let (idx, leaf, decision) = self.decide(
            draft,
            command.by,
            "enrolled with a token",
            enrolled,
            Some(concerns),
        )?;
        self.fleet
            .enrolled(idx, &leaf, &decision.content, &mut draft.batch);
        draft.batch.hints.push((agent, command.hints));
        draft.batch.spent_tokens.push(command.token);
        self.placed(draft, idx, 0, &agent)
    }

    async fn enrolment_of(&self, key: &Digest, draft: &Draft) -> Result<u64, Refusal> {
        if let Some((_, _, _, idx)) = draft.batch.keys.iter().find(|(known, ..)| known == key) {
            return Ok(*idx);
        }
        let idx = self.store.index_of_key(key).await.map_err(Refusal::Store)?;
        idx.ok_or_else(|| Refusal::Stopped("the entry of a known key is missing".to_owned()))
    }

    fn place_end(&mut self, command: EndCommand, draft: &mut Draft) -> Result<Placed, Refusal> {
        let standing = self
            .fleet
            .standing(&command.agent)
            .ok_or(Refusal::UnknownAgent)?
            .clone();
        if standing.state != store::AgentState::Active {
            return Err(Refusal::KeyEnded(standing.state.as_str()));
        }
        let (agent, epoch, key) = (standing.agent, standing.epoch, standing.key);
        let concerns = Some(Concerns {
            agent,
            epoch,
            statement: None,
        });
        let (idx, leaf) = match command.kind {
            Kind::Retire => {
                let (idx, leaf, _) = self.decide(
                    draft,
                    command.by,
                    &command.reason,
                    Retired { agent, epoch, key },
                    concerns,
                )?;
                (idx, leaf)
            }
            _ => {
                let (idx, leaf, _) = self.decide(
                    draft,
                    command.by,
                    &command.reason,
                    Revoked { agent, epoch, key },
                    concerns,
                )?;
                (idx, leaf)
            }
        };
        self.fleet
            .key_event(leaf.kind, &leaf, &agent, &mut draft.batch);
        self.placed(draft, idx, 0, &agent)
    }

    fn place_activation(
        &mut self,
        command: ActivateCommand,
        draft: &mut Draft,
    ) -> Result<Placed, Refusal> {
        let wrong = |problem: String| Refusal::RoundContent(problem);
        let bundle =
            Bundle::parse(&command.envelope.payload).map_err(|error| wrong(error.to_string()))?;
        let digest = Digest::of(&command.envelope.payload);
        check_version(&self.fleet, &bundle, &digest)?;
        let content = BundleActivated {
            sha256: digest,
            version: bundle.version,
            grps: command.groups,
        };
        let (idx, _, decision) = self.decide(draft, command.by, &command.reason, content, None)?;
        let file = command
            .envelope
            .to_file()
            .map_err(|error| wrong(error.to_string()))?;
        draft.batch.bundles.push(store::BundleRow {
            digest,
            version: bundle.version,
            envelope: file,
            activated_idx: idx,
        });
        self.fleet.add_bundle(digest, bundle);
        self.fleet.decision(Some(&decision.content));
        let entry = draft.batch.entries.last().map(|entry| entry.leaf.clone());
        Ok(Placed {
            index: idx,
            entry,
            seen: 0,
            bundle: Some(digest),
        })
    }
}

/// One version names one digest for ever.
fn check_version(fleet: &Fleet, bundle: &Bundle, digest: &Digest) -> Result<(), Refusal> {
    let clash = fleet
        .bundles()
        .any(|known| known.version == bundle.version && known.digest != *digest);
    if clash {
        return Err(Refusal::RoundContent(format!(
            "version {} names another bundle already; give the new content a new version",
            bundle.version
        )));
    }
    Ok(())
}

/// A round's checks are of its bundle, and its facts are of exactly the probes that these checks read.
fn check_content(round: &Round, bundle: &Bundle) -> Result<(), Refusal> {
    let mut probes = std::collections::BTreeSet::new();
    for check in round.outcomes.keys() {
        let known = bundle
            .checks
            .get(check)
            .ok_or_else(|| Refusal::RoundContent(format!("check {check} is not in the bundle")))?;
        probes.extend(&known.probes);
    }
    if !round.facts.keys().eq(probes) {
        return Err(Refusal::RoundContent(
            "facts are not those of exactly the probes that the round's checks read".to_owned(),
        ));
    }
    Ok(())
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
