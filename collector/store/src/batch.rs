//! One batch of entries with everything that is committed beside them.

use crypto::{Digest, KeyId, VerifyingKey};
use evidence::id::{AgentId, CheckId, GroupId, ProbeId};
use evidence::outcome::Judgement;
use ledger::edge::HashTile;
use wire::leaf::Kind;

/// The log's size and root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
}

/// An entry to append.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Its index.
    pub idx: u64,
    /// Its kind.
    pub kind: Kind,
    /// Row of the agent concerned.
    pub agent: Option<i64>,
    /// Sequence number of a statement.
    pub seq: Option<u64>,
    /// Digest of its envelope.
    pub pae: Digest,
    /// Reception, Unix milliseconds.
    pub rx: i64,
    /// The entry's bytes.
    pub leaf: Vec<u8>,
}

/// A payload to keep, compressed.
#[derive(Debug, Clone)]
pub struct NewPayload {
    /// The entry it belongs to.
    pub idx: u64,
    /// The entry whose payload is the dictionary.
    pub base: Option<u64>,
    /// zstd.
    pub body: Vec<u8>,
}

/// Whether an agent's key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// Its statements are accepted.
    Active,
    /// Its key was revoked.
    Revoked,
    /// Its host ended.
    Retired,
    /// Two statements for one number: it must enrol again.
    Forked,
}

impl AgentState {
    /// The word in the database and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AgentState::Active => "active",
            AgentState::Revoked => "revoked",
            AgentState::Retired => "retired",
            AgentState::Forked => "forked",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<AgentState> {
        [
            AgentState::Active,
            AgentState::Revoked,
            AgentState::Retired,
            AgentState::Forked,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

/// Where an agent's chain stands, as the log says.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Row in the database.
    pub row: i64,
    /// The agent.
    pub agent: AgentId,
    /// Epoch of its key.
    pub epoch: u64,
    /// Key id of its key.
    pub key: KeyId,
    /// Its key.
    pub spki: VerifyingKey,
    /// Its group.
    pub group: GroupId,
    /// Whether the key is valid.
    pub state: AgentState,
    /// Number of its next statement.
    pub next_seq: u64,
    /// Digest of its last statement.
    pub prev: Digest,
    /// Key events so far.
    pub ev: u64,
    /// The entry that enrolled it first.
    pub enrolled_idx: u64,
    /// When.
    pub enrolled_ms: i64,
    /// When its key or host ended.
    pub ended_ms: Option<i64>,
    /// Its last statement.
    pub last_idx: Option<u64>,
    /// When that was received.
    pub last_rx: Option<i64>,
    /// What the host's clock said at its end.
    pub last_end: Option<i64>,
    /// Version of the agent program.
    pub version: Option<String>,
    /// The bundle of its last round.
    pub bundle: Option<(Digest, u64)>,
    /// Number of gaps so far.
    pub gaps: u64,
    /// Size of the last checkpoint it says it has seen.
    pub seen_size: u64,
}

/// A change of an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntervalChange {
    /// The open interval of this check ends.
    Close {
        /// Agent row.
        agent: i64,
        /// The check.
        check: CheckId,
        /// Its end, Unix milliseconds.
        to_ms: i64,
    },
    /// A new one starts.
    Open {
        /// Agent row.
        agent: i64,
        /// The check.
        check: CheckId,
        /// Its start, Unix milliseconds.
        from_ms: i64,
        /// What was concluded.
        judgement: Judgement,
        /// The round that concluded it.
        first_idx: u64,
    },
}

/// When the checks of one cadence were last judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Agent row.
    pub agent: i64,
    /// The cadence, a cron line.
    pub cadence: String,
    /// Observation time, Unix milliseconds.
    pub last_ms: i64,
    /// The round.
    pub last_idx: u64,
}

/// The facts of a probe changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgentFact {
    /// Agent row.
    pub agent: i64,
    /// The probe.
    pub probe: ProbeId,
    /// Digest of the disclosure.
    pub digest: Digest,
    /// The round.
    pub since_idx: u64,
}

/// A bundle that an entry activates.
#[derive(Debug, Clone)]
pub struct BundleRow {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its version.
    pub version: u64,
    /// The DSSE file.
    pub envelope: Vec<u8>,
    /// The entry.
    pub activated_idx: u64,
}

/// Everything that one commit writes.
#[derive(Debug, Default)]
pub struct Batch {
    /// Entries in order; the first has the index that is the expected size.
    pub entries: Vec<NewEntry>,
    /// Tiles that change.
    pub tiles: Vec<HashTile>,
    /// Payloads of the entries.
    pub payloads: Vec<NewPayload>,
    /// Digest, probe and zstd body of disclosures; those already there are left alone.
    pub disclosures: Vec<(Digest, ProbeId, Vec<u8>)>,
    /// Envelopes that are not in the log but proven by an entry, by digest.
    pub others: Vec<(Digest, Vec<u8>)>,
    /// Bundles.
    pub bundles: Vec<BundleRow>,
    /// Agents whose standing changed.
    pub agents: Vec<Standing>,
    /// Hints for people about agents that enrolled.
    pub hints: Vec<(AgentId, wire::enrolment::Hints)>,
    /// Enrolment tokens of which one use is spent.
    pub spent_tokens: Vec<String>,
    /// Interval changes in order.
    pub intervals: Vec<IntervalChange>,
    /// Latest judgement times.
    pub judged: Vec<Judged>,
    /// Changed facts.
    pub facts: Vec<NewAgentFact>,
    /// Keys that agents got: key id, agent row, epoch, entry.
    pub keys: Vec<(KeyId, i64, u64, u64)>,
}
