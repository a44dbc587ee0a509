//! The single writer: batches what was admitted, appends it to the log, commits, signs, answers.
//!
//! One batch at a time: (1) each item gets its place and its leaf, (2) entries, tiles, head, bodies and projections are
//! committed together, (3) the checkpoint is signed and kept outside the database, (4) everyone is answered. A failure
//! before (2) ends undoes the batch in memory; after it the entries stand, and an agent that was not answered sends its
//! statement again and gets the receipt of the entry that is there. Storage that is full or read-only stops signing; the
//! agents keep their spools, and signing goes on by itself when the storage can be written again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crypto::{Digest, Random, SigningKey};
use evidence::time::{Clock, Timestamp};
use ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use ledger::edge::RightEdge;
use ledger::frontier::Frontier;
use ledger::hash::leaf_hash;
use ledger::key::Skey;
use store::{Batch, Head, NewEntry, NewPayload, Store};
use tokio::sync::{mpsc, oneshot};
use wire::decision::{Actor, Decision, DecisionKind, Enrolled};
use wire::enrolment::Hints;
use wire::envelope::Envelope;
use wire::leaf::{Concerns, Counters, Kind, Leaf};
use wire::receipt::Receipt;

use super::admit::{Keyring, VerifiedEnvelope};
use super::fleet::Fleet;
use super::head::HeadFile;
use super::proofs::Tiles;
use super::reception::Reception;
use super::refusal::Refusal;

mod claims;
mod deciding;
mod placing;
mod start;

pub use start::{StartError, Started, start};

/// Most items of one batch.
pub const MAX_BATCH: usize = 256;
/// Most items that wait for the sequencer; beyond it senders are told to come back.
pub const MAX_WAITING: usize = 2048;

/// How often a checkpoint that could not be kept is tried again when nobody sends anything.
const SIGN_AGAIN: Duration = Duration::from_secs(2);

/// The keys that the collector signs with.
pub struct SigningKeys {
    /// Signs checkpoints.
    pub log: Skey,
    /// Signs decisions.
    pub decision: SigningKey,
}

/// What the sequencer is asked to append.
pub enum Command {
    /// An agent's statement.
    Statement(
        Box<VerifiedEnvelope>,
        oneshot::Sender<Result<Accepted, Refusal>>,
    ),
    /// An agent's enrolment, whose possession was proven.
    Enrol(
        Box<EnrolCommand>,
        oneshot::Sender<Result<Accepted, Refusal>>,
    ),
    /// A person's decision about an agent: revoke or retire.
    End(EndCommand, oneshot::Sender<Result<Accepted, Refusal>>),
    /// A person's decision to put a bundle in force.
    Activate(
        Box<ActivateCommand>,
        oneshot::Sender<Result<Accepted, Refusal>>,
    ),
}

/// An enrolment to log.
pub struct EnrolCommand {
    /// What the entry will say; epoch and next are filled in by the sequencer.
    pub enrolled: Enrolled,
    /// Who allowed it.
    pub by: Actor,
    /// Token to spend.
    pub token: String,
    /// What helps people recognise the host.
    pub hints: Hints,
}

/// The end of an agent.
pub struct EndCommand {
    /// The agent.
    pub agent: Digest,
    /// Revoke or retire.
    pub kind: Kind,
    /// Who decided.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// A bundle to put in force.
pub struct ActivateCommand {
    /// The bundle, signed by the policy key.
    pub envelope: Envelope,
    /// The groups.
    pub groups: Vec<evidence::id::GroupId>,
    /// Who decided.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// The answer to an accepted item.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Index of its entry.
    pub index: u64,
    /// Its receipt.
    pub receipt: Receipt,
    /// The bundle that the agent is to use.
    pub bundle: Option<Digest>,
}

/// The present checkpoint, for everyone who asks.
#[derive(Debug, Clone)]
pub struct Published(Arc<RwLock<SignedCheckpoint>>);

impl Published {
    /// The newest signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> SignedCheckpoint {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn publish(&self, checkpoint: SignedCheckpoint) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = checkpoint;
    }
}

/// The sequencer's state: owned by one task.
pub struct Sequencer {
    store: Store,
    keys: Arc<SigningKeys>,
    head_file: HeadFile,
    fleet: Fleet,
    keyring: Arc<Keyring>,
    edge: RightEdge,
    tiles: Tiles,
    reception: Reception,
    random: Box<dyn Random>,
    published: Published,
    clock: Arc<dyn Clock>,
    lasts: HashMap<i64, Last>,
    rejects: placing::RejectBudget,
}

/// One item of the batch under construction.
struct Item {
    answer: oneshot::Sender<Result<Accepted, Refusal>>,
    placed: Result<Placed, Refusal>,
}

/// Where an accepted item is.
struct Placed {
    index: u64,
    /// The entry's bytes, if it is of this batch.
    entry: Option<Vec<u8>>,
    seen: u64,
    bundle: Option<Digest>,
}

/// An agent's last payload: what the next one is compressed against.
#[derive(Clone)]
struct Last {
    idx: u64,
    pae: Digest,
    payload: Arc<Vec<u8>>,
    /// Payloads to decompress before this one.
    depth: u32,
}

/// The batch under construction.
#[derive(Default)]
struct Draft {
    batch: Batch,
    leaves: Vec<Digest>,
    /// Last payload of each agent touched, by row.
    lasts: HashMap<i64, Last>,
}

impl Sequencer {
    /// The bundle of the highest version.
    #[must_use]
    pub fn newest_bundle(&self) -> Option<&evidence::bundle::Bundle> {
        let newest = self.fleet.bundles().max_by_key(|bundle| bundle.version)?;
        Some(&newest.bundle)
    }

    /// The bundle in force for a group.
    #[must_use]
    pub fn assigned(&self, group: &evidence::id::GroupId) -> Option<&evidence::bundle::Bundle> {
        Some(&self.fleet.assigned(group)?.bundle)
    }

    /// The groups that have a bundle.
    #[must_use]
    pub fn groups(&self) -> Vec<evidence::id::GroupId> {
        self.fleet.groups()
    }

    /// Runs until every sender is gone, then returns the state.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut waiting = Vec::with_capacity(MAX_BATCH);
        loop {
            let received = commands.recv_many(&mut waiting, MAX_BATCH);
            match tokio::time::timeout(SIGN_AGAIN, received).await {
                Ok(0) => break,
                Ok(_) => self.batch(std::mem::take(&mut waiting)).await,
                Err(_) => self.publish(),
            }
        }
        tracing::info!(
            size = self.edge.size(),
            "the sequencer has stopped; every answer was given"
        );
    }

    async fn batch(&mut self, commands: Vec<Command>) {
        let started = self.clock.monotonic();
        let before = self.edge.size();
        let mut edge = self.edge.clone();
        let mut draft = Draft::default();
        self.fleet.begin();
        self.rejects.begin();
        let mut items = Vec::with_capacity(commands.len());
        for command in commands {
            items.push(self.place(command, &mut draft).await);
        }
        draft.batch.tiles = edge.append(&draft.leaves);
        let committed = self.commit(before, &edge, &mut draft).await;
        match committed {
            Ok(()) => {
                self.edge = edge;
                self.publish();
                self.answer(items).await;
            }
            Err(refusal) => {
                self.fleet.rollback();
                self.rejects.rollback();
                let same = || match &refusal {
                    Refusal::Store(error) if error.is_storage_exhausted() => {
                        Refusal::Unwritten("nothing was accepted")
                    }
                    other => Refusal::Stopped(other.to_string()),
                };
                for item in items {
                    let _ = item
                        .answer
                        .send(Err(item.placed.err().unwrap_or_else(same)));
                }
            }
        }
        metrics::histogram!("assay_batch_seconds")
            .record(self.clock.monotonic().saturating_sub(started).as_secs_f64());
        metrics::gauge!("assay_ledger_size").set(self.edge.size() as f64);
    }

    /// Commits the draft.
    async fn commit(
        &mut self,
        before: u64,
        edge: &RightEdge,
        draft: &mut Draft,
    ) -> Result<(), Refusal> {
        if draft.leaves.is_empty() {
            return Ok(());
        }
        self.fleet.collect(&mut draft.batch);
        let head = Head {
            size: edge.size(),
            root: Frontier::root(&edge.frontier()),
        };
        if let Err(error) = self.store.commit(before, head, &draft.batch).await {
            let failure = &error as &dyn std::error::Error;
            if error.is_storage_exhausted() {
                tracing::error!(
                    error = failure,
                    database = %self.store.path().display(),
                    "signing has stopped: the disk is full or read-only. Nothing of this batch was accepted; agents keep what they have. Make room, and it goes on by itself"
                );
            } else {
                tracing::error!(
                    error = failure,
                    "a batch was not committed; nothing of it was accepted"
                );
            }
            metrics::counter!("assay_commit_failures_total").increment(1);
            return Err(Refusal::Store(error));
        }
        self.tiles.update(&draft.batch.tiles);
        for standing in &draft.batch.agents {
            let last = draft
                .lasts
                .get(&standing.row)
                .filter(|last| last.pae == standing.prev);
            self.keyring
                .update(standing, last.map(|last| last.payload.clone()));
        }
        self.lasts.extend(draft.lasts.drain());
        metrics::counter!("assay_entries_total").increment(draft.leaves.len() as u64);
        Ok(())
    }

    /// Signs what is committed, unless it is signed already. If the checkpoint cannot be kept outside the database, nothing
    /// is published: the entries stand, but nobody is told so until the file can be written again.
    fn publish(&mut self) {
        if self.published.checkpoint().checkpoint().size == self.edge.size() {
            return;
        }
        let checkpoint = Checkpoint {
            origin: self.keys.log.name().clone(),
            size: self.edge.size(),
            root: Frontier::root(&self.edge.frontier()),
        };
        let signed = match checkpoint.sign(&self.keys.log) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the checkpoint could not be signed"
                );
                return;
            }
        };
        match self.head_file.keep(&signed.to_bytes()) {
            Ok(()) => self.published.publish(signed),
            Err(error) => {
                metrics::counter!("assay_checkpoint_failures_total").increment(1);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "signing has stopped: the checkpoint could not be kept outside the database, so it is not published. Make its folder writable, and it goes on by itself"
                );
            }
        }
    }

    async fn answer(&mut self, items: Vec<Item>) {
        let checkpoint = self.published.checkpoint();
        for item in items {
            let answer = match item.placed {
                Ok(placed) => self.accepted(&checkpoint, placed).await,
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = &answer {
                metrics::counter!("assay_refusals_total", "code" => refusal.code().0).increment(1);
            }
            // The sender may have gone; its statement is in the log all the same, and it will ask again.
            let _ = item.answer.send(answer);
        }
    }

    async fn accepted(
        &mut self,
        checkpoint: &SignedCheckpoint,
        placed: Placed,
    ) -> Result<Accepted, Refusal> {
        let stopped = |problem: String| Refusal::Stopped(problem);
        if placed.index >= checkpoint.checkpoint().size {
            return Err(Refusal::Unwritten(
                "the checkpoint could not be kept outside the database; send the statement again",
            ));
        }
        let entry = match placed.entry {
            Some(entry) => entry,
            None => {
                let known = self
                    .store
                    .entry(placed.index)
                    .await
                    .map_err(Refusal::Store)?;
                known
                    .ok_or_else(|| stopped(format!("entry {} is missing", placed.index)))?
                    .bytes
            }
        };
        let seen = placed.seen.min(checkpoint.checkpoint().size);
        let receipt = self
            .tiles
            .receipt(&self.store, checkpoint, placed.index, &entry, seen)
            .await;
        let receipt = receipt.map_err(|error| stopped(error.to_string()))?;
        Ok(Accepted {
            index: placed.index,
            receipt,
            bundle: placed.bundle,
        })
    }

    /// Appends a leaf to the draft and returns its index. The payload is compressed against `base`.
    fn append(
        &mut self,
        draft: &mut Draft,
        leaf: &Leaf,
        row: Option<i64>,
        payload: &[u8],
        base: Option<&Last>,
    ) -> Result<u64, Refusal> {
        let stopped = |problem: String| Refusal::Stopped(problem);
        let idx = self.edge.size() + draft.leaves.len() as u64;
        let bytes = leaf
            .to_bytes()
            .map_err(|error| stopped(error.to_string()))?;
        let dictionary = base.map(|last| last.payload.as_slice()).unwrap_or_default();
        let body =
            store::compress(payload, dictionary).map_err(|error| stopped(error.to_string()))?;
        draft.leaves.push(leaf_hash(&bytes));
        draft.batch.payloads.push(NewPayload {
            idx,
            base: base.map(|last| last.idx),
            body,
        });
        draft.batch.entries.push(NewEntry {
            idx,
            kind: leaf.kind,
            agent: row,
            seq: leaf.seq,
            pae: leaf.pae,
            rx: leaf.rx,
            leaf: bytes,
        });
        Ok(idx)
    }

    /// Signs a decision, appends it and applies it to the fleet's counters.
    fn decide<P: DecisionKind>(
        &mut self,
        draft: &mut Draft,
        by: Actor,
        reason: &str,
        content: P,
        concerns: Option<Concerns>,
    ) -> Result<(u64, Leaf, Decision<P>), Refusal> {
        let stopped = |problem: String| Refusal::Stopped(problem);
        let decision = Decision {
            id: uuid::Builder::from_random_bytes(self.random.bytes16())
                .into_uuid()
                .to_string(),
            origin: self.keys.log.name().to_string(),
            by,
            at: Timestamp::from_unix_ms(self.clock.now().unix_ms()),
            reason: reason.to_owned(),
            content,
        };
        let envelope = decision
            .sign(&[&self.keys.decision])
            .map_err(|error| stopped(error.to_string()))?;
        let standing = concerns
            .as_ref()
            .and_then(|concerns| self.fleet.standing(&concerns.agent));
        let (row, ev) = standing.map_or((None, 0), |standing| (Some(standing.row), standing.ev));
        let row = row.or_else(|| concerns.is_some().then(|| self.fleet.next_row()));
        let counters = Counters {
            rx: self.reception.now(),
            dec: self.fleet.decisions(),
            ev,
        };
        let leaf = Leaf::of(P::KIND, &envelope, concerns, counters)
            .map_err(|error| stopped(error.to_string()))?;
        let idx = self.append(draft, &leaf, row, &envelope.payload, None)?;
        Ok((idx, leaf, decision))
    }
}
