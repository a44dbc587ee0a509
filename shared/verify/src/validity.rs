//! Whether the key that signed a round was the agent's at the round's place in the log: the order of the log decides.
//!
//! The whole log is read and verified ([`crate::log`]). It must hold the very entry that the proof shows, under the
//! checkpoint of the proof and under the one that the agent had seen; then the entries before it say which key was in
//! force: the one of the last enrolment or rotation, if no revocation, retirement or fork followed.
//!
//! Leaves commit to statements, they do not hold them: that the enrolment of a later epoch names this key is in its
//! statement, which is said as not checked. A first key needs no such word, its id is the agent's.
//!
//! Memory: as [`crate::leaves`], and nothing more for each entry.

use std::collections::BTreeMap;

use crypto::Digest;
use evidence::id::AgentId;
use ledger::frontier::Frontier;
use ledger::key::Vkey;
use wire::leaf::{Kind, Leaf};
use wire::statement::Round;

use crate::leaves::{InForce, Recount};
use crate::log::{self, Watch};
use crate::report::Report;
use crate::round::Included;
use crate::source::Source;

/// Reads the log and reports on the entry of the round, its checkpoints, its predecessor and its key.
pub(crate) async fn verify(
    report: &mut Report,
    included: &Included,
    round: Option<&Round>,
    source: &Source,
    log_key: &Vkey,
) {
    let Some(agent) = included.leaf.agent else {
        report.failed("log", "not read: the leaf names no agent");
        return;
    };
    let seen = round.map_or(0, |round| round.common.seen.size);
    let mut search = Search::new(agent, included, seen);
    let log = log::verify_watched(source, log_key, &mut search).await;
    report.take_in("log", log);
    search.place(report);
    if let Some(round) = round {
        search.seen(report, round);
        search.chain(report, round);
    }
    search.key(report);
}

/// What is looked for in a log, and what was found so far.
struct Search<'r> {
    agent: AgentId,
    included: &'r Included,
    frontier: Frontier,
    /// The root at each size that was asked for, once the log was read that far.
    roots: BTreeMap<u64, Option<Digest>>,
    /// Whether the entry at the round's index is that of the proof.
    same: Option<bool>,
    in_force: Option<InForce>,
    /// The agent's last statement before the round.
    before: Option<Mark>,
    /// The last entry before the round that changed the agent's key.
    changed: Option<Mark>,
    /// The first one after it.
    changed_later: Option<Mark>,
}

/// An entry of the agent.
#[derive(Debug, Clone, Copy)]
struct Mark {
    index: u64,
    kind: Kind,
    epoch: u64,
    seq: u64,
    pae: Digest,
}

impl<'r> Search<'r> {
    fn new(agent: AgentId, included: &'r Included, seen: u64) -> Search<'r> {
        Search {
            agent,
            included,
            frontier: Frontier::new(),
            roots: BTreeMap::from([(seen, None), (included.checkpoint.size, None)]),
            same: None,
            in_force: None,
            before: None,
            changed: None,
            changed_later: None,
        }
    }

    /// The log holds the entry, under the checkpoint of its proof.
    fn place(&self, report: &mut Report) {
        let index = self.included.index;
        match self.same {
            Some(same) => report.hold(
                "entry in the log",
                same,
                format!("entry {index} of the log, byte for byte, beside the leaf of the proof"),
            ),
            None => report.hold(
                "entry in the log",
                false,
                format!("the log could not be read up to entry {index}"),
            ),
        };
        let head = &self.included.checkpoint;
        self.root(report, "checkpoint in the log", head.size, &head.root);
    }

    /// The history that the agent had seen is this one.
    fn seen(&self, report: &mut Report, round: &Round) {
        let seen = &round.common.seen;
        if seen.size == 0 {
            return;
        }
        const STEP: &str = "seen by the agent";
        if let Some(root) = report.take(STEP, Digest::from_base64(&seen.root)) {
            self.root(report, STEP, seen.size, &root);
        }
    }

    fn root(&self, report: &mut Report, step: &'static str, size: u64, signed: &Digest) {
        match self.roots.get(&size).copied().flatten() {
            Some(root) => report.hold(
                step,
                root == *signed,
                format!(
                    "the first {size} entries lead to root {}, it says {}",
                    root.to_base64(),
                    signed.to_base64()
                ),
            ),
            None => report.hold(
                step,
                false,
                format!(
                    "it is of {size} entries, the log could be read up to {}: take a newer copy",
                    self.frontier.size()
                ),
            ),
        };
    }

    /// The round follows the agent's statement before it.
    fn chain(&self, report: &mut Report, round: &Round) {
        let chain = &round.common.chain;
        let Some(before) = self.before else {
            report.hold(
                "chain",
                chain.seq == 1,
                format!("statement {}, and the log has none before it", chain.seq),
            );
            return;
        };
        let follows = chain.seq.checked_sub(1) == Some(before.seq) && chain.prev == before.pae;
        report.hold(
            "chain",
            follows,
            format!(
                "statement {} names {} before it; entry {}, the last before it, is statement {} with pae {}",
                chain.seq, chain.prev, before.index, before.seq, before.pae
            ),
        );
    }

    /// The key of the leaf was the agent's.
    fn key(&self, report: &mut Report) {
        const STEP: &str = "key in force";
        let (index, leaf) = (self.included.index, &self.included.leaf);
        let epoch = leaf.epoch.unwrap_or_default();
        let since = self.changed.map_or("no entry".to_owned(), |mark| {
            format!("entry {} ({}, epoch {})", mark.index, mark.kind, mark.epoch)
        });
        match self.in_force {
            None => report.failed(
                STEP,
                format!("the log could not be read up to entry {index}"),
            ),
            Some(InForce::Never) => report.failed(
                STEP,
                format!("no entry before {index} enrols agent {}", self.agent),
            ),
            Some(InForce::Ended) => report.failed(
                STEP,
                format!("{since} ended the agent's key before entry {index}, and none followed"),
            ),
            Some(InForce::Unnamed { epoch: at }) => {
                report.hold(
                    STEP,
                    at == epoch,
                    format!("epoch {at} since {since}; the round, of epoch {epoch}, is the first that it signs"),
                );
            }
            Some(InForce::Key { epoch: at, key }) => {
                report.hold(
                    STEP,
                    at == epoch && key == leaf.key,
                    format!(
                        "{key}, epoch {at}, since {since}; the round is signed by {}, epoch {epoch}",
                        leaf.key
                    ),
                );
            }
        }
        if let Some(later) = self.changed_later {
            report.ok(
                "later",
                format!(
                    "entry {} ({}) changed the agent's key after this round, which stays as it is",
                    later.index, later.kind
                ),
            );
        }
        if self
            .changed
            .is_some_and(|mark| mark.kind == Kind::Enrol && mark.epoch > 1)
        {
            report.not_checked(format!(
                "that the enrolment at {since} names this key: its statement does, the log holds no payload"
            ));
        }
    }

    /// Keeps what concerns the agent.
    fn concern(&mut self, index: u64, leaf: &Leaf) {
        let mark = Mark {
            index,
            kind: leaf.kind,
            epoch: leaf.epoch.unwrap_or_default(),
            seq: leaf.seq.unwrap_or_default(),
            pae: leaf.pae,
        };
        if index < self.included.index && leaf.kind.is_agent_statement() {
            self.before = Some(mark);
        }
        if !leaf.kind.is_key_event() || leaf.kind == Kind::Reject {
            return;
        }
        if index < self.included.index {
            self.changed = Some(mark);
        } else if self.changed_later.is_none() {
            self.changed_later = Some(mark);
        }
    }
}

impl Watch for Search<'_> {
    fn entry(&mut self, entry: &[u8], hash: Digest, before: &Recount) {
        let index = self.frontier.size();
        if index == self.included.index {
            self.same = Some(entry == self.included.entry);
            self.in_force = Some(before.in_force(&self.agent));
        }
        if let Ok(leaf) = Leaf::parse(entry)
            && leaf.agent == Some(self.agent)
        {
            self.concern(index, &leaf);
        }
        self.frontier.push(hash);
        if let Some(root) = self.roots.get_mut(&self.frontier.size()) {
            *root = Some(self.frontier.root());
        }
    }
}
