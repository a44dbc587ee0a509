//! The chain against a plain model: a collector that keeps the next number and the digest before it, nothing else.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crypto::{SeededRandom, SigningKey};
use evidence::fact::Facts;
use evidence::outcome::Judgement;
use evidence::time::{FixedClock, Timestamp};
use ledger::key::Skey;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::identity::{self, Enrolment};

const BOUNDS: Bounds = Bounds {
    max_bytes: 60_000,
    max_age: Duration::from_secs(3600),
};

/// An agent on a folder of its own, and the collector as the model has it.
struct World {
    outer: tempfile::TempDir,
    clock: FixedClock,
    random: SeededRandom,
    chain: Option<Chain>,
    next: Next,
    known: BTreeSet<Digest>,
    size: u64,
    /// The collector has the oldest, and its answer was lost.
    unanswered: bool,
}

#[derive(Debug, Clone)]
enum Op {
    /// A round with so many bytes of new facts.
    Round(usize),
    /// The oldest arrives; its answer may be lost.
    Deliver { lost: bool },
    /// The collector will never take the oldest.
    Refuse,
    /// The process is killed and starts again.
    Restart,
    /// A bit flips in one of the files.
    Damage(usize),
    /// Minutes pass.
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0usize..12_000).prop_map(Op::Round),
        3 => any::<bool>().prop_map(|lost| Op::Deliver { lost }),
        1 => Just(Op::Refuse),
        2 => Just(Op::Restart),
        1 => any::<usize>().prop_map(Op::Damage),
        1 => (0u64..90).prop_map(Op::Wait),
    ]
}

impl World {
    fn new() -> World {
        let outer = tempfile::tempdir().unwrap();
        let state = StateDir::open(&outer.path().join("state")).unwrap();
        let mut random = SeededRandom::new(1);
        let key = identity::key(&state, &mut random).unwrap();
        let log = Skey::new(
            "log.test".parse().unwrap(),
            SigningKey::generate(&mut random),
        );
        let id = key.verifying_key().key_id();
        let enrolment = Enrolment {
            v: 1,
            agent: id,
            epoch: 1,
            key: id,
            group: "test".parse().unwrap(),
            origin: "log.test".to_owned(),
            log_key: log.vkey().to_string(),
            policy_key: log.vkey().key().to_owned(),
            bundle: Digest::ZERO,
        };
        let first = checkpoint(1);
        Acknowledged::enrolled(Next::FIRST, &first)
            .save(&state)
            .unwrap();
        enrolment.commit(&state).unwrap();
        let mut world = World {
            outer,
            clock: FixedClock::at(Timestamp::from_unix_ms(
                jiff::Timestamp::now().as_millisecond(),
            )),
            random,
            chain: None,
            next: Next::FIRST,
            known: BTreeSet::new(),
            size: 1,
            unanswered: false,
        };
        world.restart();
        world
    }

    fn state(&self) -> StateDir {
        StateDir::open(&self.outer.path().join("state")).unwrap()
    }

    fn restart(&mut self) {
        let identity = Identity::load(&self.state()).unwrap().unwrap();
        let program = Program {
            version: "1".to_owned(),
            binary: Digest::ZERO,
            boot: "b".to_owned(),
        };
        let chain = Chain::open(self.state(), identity, program, BOUNDS, &self.clock);
        self.chain = Some(chain.unwrap());
    }

    fn chain(&mut self) -> &mut Chain {
        self.chain.as_mut().unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let folder = self.outer.path().join("state/spool");
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        files
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Round(bytes) => self.round(*bytes),
            Op::Deliver { lost } => {
                self.deliver(*lost);
            }
            Op::Refuse => self.refuse(),
            Op::Restart => self.restart(),
            Op::Damage(which) => self.damage(*which),
            Op::Wait(minutes) => self.clock.advance(Duration::from_secs(minutes * 60)),
        }
        let (_, bytes, _) = self.chain().spool().load();
        assert!(bytes <= BOUNDS.max_bytes, "{bytes} bytes in the spool");
    }

    fn round(&mut self, bytes: usize) {
        let noise = hex::encode(self.random.bytes32()).repeat(bytes / 64 + 1);
        let members = json!({ "noise": noise }).as_object().unwrap().clone();
        let now = self.clock.now();
        let draft = Draft {
            time: Times {
                start: now,
                end: now,
            },
            bundle: BundleRef {
                sha256: Digest::ZERO,
                version: 1,
            },
            outcomes: [("a.b".parse().unwrap(), Judgement::PASS)].into(),
            facts: [("p".parse().unwrap(), Facts::new(members))].into(),
        };
        let chain = self.chain.as_mut().unwrap();
        match chain.append_round(&draft, &self.clock, &mut self.random) {
            Ok(_) | Err(ChainError::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// The collector's rule: known, or exactly the next one.
    fn deliver(&mut self, lost: bool) -> bool {
        let chain = self.chain.as_mut().unwrap();
        let Some(stored) = chain.oldest(&self.clock).unwrap() else {
            return false;
        };
        let pae = stored.submission.envelope.digest();
        if !self.known.contains(&pae) {
            let first = match &stored.statement {
                AgentStatement::Gap(gap) => gap.gap.from,
                _ => stored.seq,
            };
            let prev = stored.statement.common().chain.prev;
            assert_eq!(
                (first, prev),
                (self.next.seq, self.next.prev),
                "a fork or a hole"
            );
            self.next = Next {
                seq: stored.seq + 1,
                prev: pae,
            };
            self.known.insert(pae);
            self.size += 1;
        }
        self.unanswered = lost;
        if !lost {
            chain.acknowledge(&stored, &checkpoint(self.size)).unwrap();
        }
        true
    }

    fn refuse(&mut self) {
        let chain = self.chain.as_mut().unwrap();
        let Some(stored) = chain.oldest(&self.clock).unwrap() else {
            return;
        };
        // What is in the log is not refused, and a refused gap holds the agent.
        let known = self.known.contains(&stored.submission.envelope.digest());
        if !known && !matches!(stored.statement, AgentStatement::Gap(_)) {
            match chain.set_aside(&stored, "test", &self.clock) {
                Ok(()) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn damage(&mut self, which: usize) {
        // That the oldest was delivered and then damaged is the one loss that cannot be told from here.
        let files = self.files();
        let spared = usize::from(self.unanswered);
        if files.len() > spared {
            let path = &files[spared + which % (files.len() - spared)];
            let mut bytes = std::fs::read(path).unwrap();
            let at = which % bytes.len();
            bytes[at] ^= 1;
            std::fs::write(path, bytes).unwrap();
            self.restart();
        }
    }
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        origin: "log.test".parse().unwrap(),
        size,
        root: Digest::of(&size.to_be_bytes()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_number_arrives_once_or_in_a_gap(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        while world.deliver(false) {}
        let (next, reached) = (world.chain().next(), world.next);
        prop_assert_eq!(next, reached);
        let (statements, bytes, _) = world.chain().spool().load();
        prop_assert_eq!((statements, bytes), (0, 0));
        prop_assert!(world.files().is_empty());
    }
}

#[test]
fn a_receipt_that_contradicts_what_was_seen_keeps_the_statement() {
    let mut world = World::new();
    world.round(10);
    world.deliver(false);
    world.round(10);
    let chain = world.chain.as_mut().unwrap();
    let stored = chain.oldest(&world.clock).unwrap().unwrap();
    let mut other = checkpoint(chain.acknowledged().seen.size);
    other.root = Digest::of(b"another history");
    let refused = chain.acknowledge(&stored, &other);
    assert!(matches!(refused, Err(ChainError::TwoHistories { .. })));
    assert_eq!(chain.oldest(&world.clock).unwrap().unwrap(), stored);
}

#[test]
fn seen_moves_only_by_a_proof_that_starts_from_it() {
    let mut world = World::new();
    world.round(10);
    world.round(10);
    world.deliver(false);
    let seen = world.chain().acknowledged().seen.clone();
    assert_eq!(seen.size, 2);
    // The second has seen size 1: its receipt says nothing about what lies between 2 and 3.
    world.deliver(false);
    assert_eq!(world.chain().acknowledged().seen, seen);
    world.round(10);
    world.deliver(false);
    assert_eq!(world.chain().acknowledged().seen.size, 4);
}

#[test]
fn a_kill_between_acknowledging_and_removing_sends_nothing_twice() {
    let mut world = World::new();
    world.round(10);
    let file = world.files().remove(0);
    let bytes = std::fs::read(&file).unwrap();
    world.deliver(false);
    assert!(!file.exists());
    std::fs::write(&file, bytes).unwrap();
    world.restart();
    assert!(!file.exists());
    assert_eq!(world.chain().next().seq, 2);
}
