//! What all leaves of a log together must be: counters, times, numbers and keys, recounted from entry 0.
//!
//! Leaves commit to statements, they do not hold them. So what is checked here is what leaves can show: order, omission,
//! repetition, and which key was in force for which entry. That a signature is good needs the statement's payload.
//!
//! Memory: 32 bytes for each entry (no digest twice) and about 200 for each agent.

use std::collections::{HashMap, HashSet};

use crypto::{Digest, KeyId};
use evidence::id::AgentId;
use wire::leaf::{Algorithm, Kind, Leaf};

/// Findings that are kept; beyond that they are only counted.
pub const MAX_FINDINGS: usize = 1000;

/// One thing that is wrong with the leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken, one of [`RULES`].
    pub rule: &'static str,
    /// The entry.
    pub index: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// The rules, with what it means that they hold.
pub const RULES: [(&str, &str); 8] = [
    (
        "leaves",
        "every entry is a leaf in its one form, with the members of its kind",
    ),
    ("entry 0", "it names the keys in force"),
    (
        "decisions counted",
        "dec of every entry is the number of decisions before it",
    ),
    (
        "key events counted",
        "ev of every entry is the number of its agent's key events before it",
    ),
    ("reception", "rx never falls"),
    ("no repetition", "no statement is logged twice"),
    (
        "sequence",
        "every agent's numbers rise without a hole that no gap declares",
    ),
    (
        "keys and epochs",
        "every entry names the key and epoch in force for it, no key comes back",
    ),
];

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries read.
    pub entries: u64,
    /// Of these, rounds.
    pub rounds: u64,
    /// Of these, gaps.
    pub gaps: u64,
    /// Of these, decisions.
    pub decisions: u64,
    /// Agents that ever enrolled.
    pub agents: u64,
    /// Of these, agents without a valid key at the end.
    pub ended: u64,
    /// Time of reception of the last entry, Unix milliseconds.
    pub last_rx: Option<i64>,
}

/// Reads leaves in the log's order and keeps what is wrong.
#[derive(Debug, Default)]
pub struct Recount {
    tally: Tally,
    paes: HashSet<Digest>,
    agent_keys: HashSet<KeyId>,
    agents: HashMap<AgentId, Standing>,
    decision_key: Option<KeyId>,
    findings: Vec<Finding>,
    unkept: u64,
}

/// The key of an agent that the entries so far put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// No entry enrols it.
    Never,
    /// An entry ended the last one.
    Ended,
    /// It was enrolled again, and no statement has named the new key yet.
    Unnamed {
        /// The epoch of that key.
        epoch: u64,
    },
    /// This one.
    Key {
        /// Its epoch.
        epoch: u64,
        /// Its key id.
        key: KeyId,
    },
}

/// Where an agent stands.
#[derive(Debug, Default)]
struct Standing {
    epoch: u64,
    key: Key,
    seq: u64,
    events: u64,
}

/// The agent's key.
#[derive(Debug, Default, PartialEq, Eq)]
enum Key {
    /// None is valid.
    #[default]
    Ended,
    /// Enrolled again: its statement holds the key, which the next leaf of the agent will name.
    Unnamed,
    /// This one.
    Named(KeyId),
}

impl Recount {
    /// Before entry 0.
    #[must_use]
    pub fn new() -> Recount {
        Recount::default()
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: &[u8]) {
        let index = self.tally.entries;
        self.tally.entries += 1;
        match Leaf::parse(entry) {
            Ok(leaf) => self.take(index, &leaf),
            Err(error) => {
                if index == 0 {
                    self.find("entry 0", index, "it is no leaf");
                }
                self.find("leaves", index, crate::report::in_full(&error));
            }
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let ended = self.agents.values().filter(|one| one.key == Key::Ended);
        Tally {
            agents: self.agents.len() as u64,
            ended: ended.count() as u64,
            ..self.tally.clone()
        }
    }

    /// The key in force for an agent's next entry.
    #[must_use]
    pub fn in_force(&self, agent: &AgentId) -> InForce {
        let Some(standing) = self.agents.get(agent) else {
            return InForce::Never;
        };
        let epoch = standing.epoch;
        match standing.key {
            Key::Ended => InForce::Ended,
            Key::Unnamed => InForce::Unnamed { epoch },
            Key::Named(key) => InForce::Key { epoch, key },
        }
    }

    /// What is wrong, at most [`MAX_FINDINGS`], and how many more there are.
    #[must_use]
    pub fn findings(&self) -> (&[Finding], u64) {
        (&self.findings, self.unkept)
    }

    fn find(&mut self, rule: &'static str, index: u64, problem: impl Into<String>) {
        if self.findings.len() == MAX_FINDINGS {
            self.unkept += 1;
            return;
        }
        self.findings.push(Finding {
            rule,
            index,
            problem: problem.into(),
        });
    }

    fn take(&mut self, index: u64, leaf: &Leaf) {
        self.check_counters(index, leaf);
        if !self.paes.insert(leaf.pae) {
            self.find(
                "no repetition",
                index,
                format!("pae {} is in an earlier entry", leaf.pae),
            );
        }
        if index == 0 {
            self.begin(leaf);
        } else if !leaf.kind.is_agent_statement() {
            self.check_decider(index, leaf);
        }
        if let (Some(agent), Some(epoch)) = (leaf.agent, leaf.epoch) {
            self.concern(index, leaf, agent, epoch);
        }
        match leaf.kind {
            Kind::Round => self.tally.rounds += 1,
            Kind::Gap => self.tally.gaps += 1,
            kind => self.tally.decisions += u64::from(kind.is_decision()),
        }
    }

    fn check_counters(&mut self, index: u64, leaf: &Leaf) {
        let expected = self.tally.decisions;
        if leaf.dec != expected {
            self.find(
                "decisions counted",
                index,
                format!("dec is {}, but {expected} decisions precede it", leaf.dec),
            );
        }
        if let Some(before) = self.tally.last_rx
            && leaf.rx < before
        {
            self.find(
                "reception",
                index,
                format!("rx {} is below {before} of the entry before", leaf.rx),
            );
        }
        self.tally.last_rx = Some(leaf.rx);
    }

    fn begin(&mut self, leaf: &Leaf) {
        if leaf.kind != Kind::Key || leaf.sig2.is_some() || leaf.alg != Algorithm::Ed25519 {
            self.find(
                "entry 0",
                0,
                format!(
                    "it is of kind {}, not a key entry with one Ed25519 signature",
                    leaf.kind
                ),
            );
        }
        self.decision_key = Some(leaf.key);
    }

    /// Whatever no agent signed is signed by the decision key in force; only auditors have a key of their own.
    fn check_decider(&mut self, index: u64, leaf: &Leaf) {
        if leaf.kind == Kind::AuditorCheckpoint {
            return;
        }
        if self.decision_key != Some(leaf.key) {
            self.find(
                "keys and epochs",
                index,
                format!(
                    "{} names key {}, which is not the decision key in force",
                    leaf.kind, leaf.key
                ),
            );
        }
        if let (Kind::Key, Some(new)) = (leaf.kind, leaf.key2) {
            self.decision_key = Some(new);
        }
    }

    fn concern(&mut self, index: u64, leaf: &Leaf, agent: AgentId, epoch: u64) {
        let events = self.agents.get(&agent).map_or(0, |known| known.events);
        if leaf.ev != Some(events) {
            self.find(
                "key events counted",
                index,
                format!(
                    "ev is {}, but {events} key events of agent {agent} precede it",
                    leaf.ev.unwrap_or_default()
                ),
            );
        }
        match leaf.kind {
            Kind::Enrol => self.enrol(index, agent, epoch),
            kind if !self.agents.contains_key(&agent) => {
                self.find(
                    "keys and epochs",
                    index,
                    format!("{kind} of agent {agent}, which was never enrolled"),
                );
            }
            Kind::Revoke | Kind::Retire | Kind::Fork => self.end(index, leaf.kind, agent, epoch),
            Kind::Reject => self.rejected(index, agent, epoch),
            _ => self.statement(index, leaf, agent, epoch),
        }
        if leaf.kind.is_key_event()
            && let Some(standing) = self.agents.get_mut(&agent)
        {
            standing.events += 1;
        }
    }

    fn enrol(&mut self, index: u64, agent: AgentId, epoch: u64) {
        let first = !self.agents.contains_key(&agent);
        let standing = self.agents.entry(agent).or_default();
        let next = standing.epoch + 1;
        let was_valid = standing.key != Key::Ended;
        standing.epoch = epoch;
        standing.key = if first {
            Key::Named(agent)
        } else {
            Key::Unnamed
        };
        if was_valid {
            self.find(
                "keys and epochs",
                index,
                format!("agent {agent} is enrolled while it has a valid key"),
            );
        }
        if epoch != next {
            self.find(
                "keys and epochs",
                index,
                format!("agent {agent} is enrolled for epoch {epoch}, the next one is {next}"),
            );
        }
        if first {
            self.new_key(index, agent);
        }
    }

    fn end(&mut self, index: u64, kind: Kind, agent: AgentId, epoch: u64) {
        let Some(standing) = self.agents.get_mut(&agent) else {
            return;
        };
        standing.key = Key::Ended;
        let current = standing.epoch;
        if epoch != current {
            self.find(
                "keys and epochs",
                index,
                format!("{kind} of epoch {epoch} of agent {agent}, which is at epoch {current}"),
            );
        }
    }

    fn rejected(&mut self, index: u64, agent: AgentId, epoch: u64) {
        let current = self.agents.get(&agent).map_or(0, |known| known.epoch);
        if epoch == 0 || epoch > current {
            self.find(
                "keys and epochs",
                index,
                format!("reject for epoch {epoch} of agent {agent}, which is at epoch {current}"),
            );
        }
    }

    /// A key is enrolled or rotated to once in the whole log, and is no decision key.
    fn new_key(&mut self, index: u64, key: KeyId) {
        if !self.agent_keys.insert(key) || self.decision_key == Some(key) {
            self.find(
                "keys and epochs",
                index,
                format!("key {key} was in use before"),
            );
        }
    }

    fn statement(&mut self, index: u64, leaf: &Leaf, agent: AgentId, epoch: u64) {
        let Some(standing) = self.agents.get_mut(&agent) else {
            return;
        };
        let mut problems = Vec::new();
        let mut introduced = None;
        match standing.key {
            Key::Named(key) if key == leaf.key => {}
            Key::Named(key) => problems.push(format!("key {} signs, {key} is in force", leaf.key)),
            Key::Ended => problems.push("no key of the agent is valid".to_owned()),
            Key::Unnamed => introduced = Some(leaf.key),
        }
        if introduced.is_some() {
            standing.key = Key::Named(leaf.key);
        }
        if epoch != standing.epoch {
            problems.push(format!(
                "epoch {epoch}, but the agent is at {}",
                standing.epoch
            ));
        }
        let (before, seq) = (standing.seq, leaf.seq.unwrap_or_default());
        standing.seq = standing.seq.max(seq);
        if let (Kind::Rotate, Some(new)) = (leaf.kind, leaf.key2) {
            standing.epoch += 1;
            standing.key = Key::Named(new);
        }
        for key in introduced.into_iter().chain(leaf.key2) {
            self.new_key(index, key);
        }
        for problem in problems {
            self.find(
                "keys and epochs",
                index,
                format!("{} {seq} of agent {agent}: {problem}", leaf.kind),
            );
        }
        self.check_sequence(index, leaf.kind, agent, before, seq);
    }

    /// A statement has the next number; a gap has the one after those that it declares missing, of which there are some.
    fn check_sequence(&mut self, index: u64, kind: Kind, agent: AgentId, before: u64, seq: u64) {
        let next = before + 1;
        let problem = match kind {
            _ if seq <= before => "which does not rise",
            Kind::Gap if seq == next => "a gap in which nothing is missing",
            Kind::Gap => return,
            _ if seq > next => "and no gap declares what is missing between",
            _ => return,
        };
        self.find(
            "sequence",
            index,
            format!("{kind} {seq} of agent {agent} follows {before}, {problem}"),
        );
    }
}
