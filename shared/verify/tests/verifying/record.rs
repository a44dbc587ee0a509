//! A log made by hand: leaves in order, the files of tlog-tiles, a signed checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crypto::{Digest, KeyId, SeededRandom, Signature, SigningKey};
use evidence::id::AgentId;
use ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use ledger::edge::RightEdge;
use ledger::hash::leaf_hash;
use ledger::key::Skey;
use ledger::plan::ProofPlan;
use ledger::tile::{TileKind, TilePath, changed, decode_hashes, encode_hashes};
use ledger::tlog_proof::TlogProof;
use wire::leaf::{Algorithm, Kind, Leaf};

pub const ORIGIN: &str = "log.example/test";

pub fn key(seed: u64) -> SigningKey {
    SigningKey::generate(&mut SeededRandom::new(seed))
}

pub fn key_id(seed: u64) -> KeyId {
    key(seed).verifying_key().key_id()
}

pub fn log_key() -> Skey {
    Skey::new(ORIGIN.parse().unwrap(), key(1))
}

/// Seed of the decision key.
pub const DECISION: u64 = 2;

/// Leaves with right counters. What they commit to does not exist: each has a digest of its own.
#[derive(Default)]
pub struct Leaves {
    pub list: Vec<Leaf>,
    events: HashMap<AgentId, u64>,
}

impl Leaves {
    /// Entry 0, a bundle, and an agent whose key has this seed.
    pub fn begun(agent: u64) -> Leaves {
        let mut leaves = Leaves::default();
        leaves.decision(Kind::Key);
        leaves.decision(Kind::Bundle);
        leaves.about(Kind::Enrol, agent, 1);
        leaves
    }

    pub fn decision(&mut self, kind: Kind) {
        let leaf = self.leaf(kind, DECISION);
        self.list.push(leaf);
    }

    /// An entry of the collector about the agent whose first key has this seed.
    pub fn about(&mut self, kind: Kind, agent: u64, epoch: u64) {
        let leaf = self.leaf(kind, DECISION);
        self.list_for(agent, epoch, leaf);
    }

    /// A statement of the agent, signed by the key with seed `signer`.
    pub fn statement(&mut self, kind: Kind, agent: u64, signer: u64, epoch: u64, seq: u64) {
        let leaf = Leaf {
            seq: Some(seq),
            grp: Some("web".parse().unwrap()),
            ..self.leaf(kind, signer)
        };
        self.list_for(agent, epoch, leaf);
    }

    /// The agent changes from the key with seed `old` to that with seed `new`.
    pub fn rotate(&mut self, agent: u64, (old, new): (u64, u64), epoch: u64, seq: u64) {
        let leaf = Leaf {
            seq: Some(seq),
            grp: Some("web".parse().unwrap()),
            alg2: Some(Algorithm::Ed25519),
            sig2: Some(Signature::from_bytes([8; 64])),
            key2: Some(key_id(new)),
            ..self.leaf(Kind::Rotate, old)
        };
        self.list_for(agent, epoch, leaf);
    }

    pub fn entries(&self) -> Vec<Vec<u8>> {
        self.list
            .iter()
            .map(|leaf| leaf.to_bytes().unwrap())
            .collect()
    }

    /// Appends a leaf made elsewhere, with the counters of its place.
    pub fn append(&mut self, leaf: Leaf) {
        let place = self.leaf(leaf.kind, DECISION);
        let mut leaf = Leaf {
            rx: place.rx,
            dec: place.dec,
            ..leaf
        };
        if let Some(agent) = leaf.agent {
            leaf.ev = Some(self.count(agent, leaf.kind));
        }
        self.list.push(leaf);
    }

    fn list_for(&mut self, agent: u64, epoch: u64, leaf: Leaf) {
        let agent = key_id(agent);
        let ev = self.count(agent, leaf.kind);
        self.list.push(Leaf {
            agent: Some(agent),
            epoch: Some(epoch),
            ev: Some(ev),
            ..leaf
        });
    }

    fn count(&mut self, agent: AgentId, kind: Kind) -> u64 {
        let events = self.events.entry(agent).or_default();
        let before = *events;
        let names = ["enrol", "rotate", "revoke", "retire", "fork", "reject"];
        *events += u64::from(names.contains(&kind.as_str()));
        before
    }

    fn leaf(&self, kind: Kind, signer: u64) -> Leaf {
        let index = self.list.len();
        let counted = [
            "enrol", "rotate", "revoke", "retire", "fork", "reject", "round", "gap",
        ];
        let decisions = self
            .list
            .iter()
            .filter(|leaf| !counted.contains(&leaf.kind.as_str()));
        Leaf {
            v: 1,
            kind,
            agent: None,
            epoch: None,
            seq: None,
            pae: Digest::of(format!("statement {index}").as_bytes()),
            alg: Algorithm::Ed25519,
            sig: Signature::from_bytes([7; 64]),
            key: key_id(signer),
            alg2: None,
            sig2: None,
            key2: None,
            len: 1,
            grp: None,
            rx: 1_795_503_600_000 + i64::try_from(index).unwrap(),
            dec: decisions.count() as u64,
            ev: None,
        }
    }
}

/// The files of a log of these entries, by path.
pub fn files(entries: &[Vec<u8>], key: &Skey) -> BTreeMap<String, Vec<u8>> {
    let hashes: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let mut edge = RightEdge::new();
    let mut files = BTreeMap::new();
    for tile in edge.append(&hashes) {
        files.insert(tile.path.to_string(), encode_hashes(&tile.hashes));
    }
    let size = entries.len() as u64;
    for path in changed(0, size).filter(|path| path.kind() == TileKind::Entries) {
        let first = usize::try_from(path.first()).unwrap();
        let part = &entries[first..first + usize::from(path.width())];
        files.insert(path.to_string(), ledger::bundle::encode(part).unwrap());
    }
    files.insert("checkpoint".to_owned(), checkpoint(entries, key).to_bytes());
    files
}

pub fn checkpoint(entries: &[Vec<u8>], key: &Skey) -> SignedCheckpoint {
    let mut edge = RightEdge::new();
    let hashes: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    edge.append(&hashes);
    let head = Checkpoint {
        origin: key.name().clone(),
        size: edge.size(),
        root: edge.frontier().root(),
    };
    head.sign(key).unwrap()
}

/// The proof of an entry, with the entry as `extra`.
pub fn proof(entries: &[Vec<u8>], index: u64, key: &Skey) -> TlogProof {
    let files = files(entries, key);
    let plan = ProofPlan::inclusion(index, entries.len() as u64).unwrap();
    let tiles: HashMap<TilePath, Vec<Digest>> = plan
        .tiles()
        .into_iter()
        .map(|path| {
            (
                path,
                decode_hashes(&path, &files[&path.to_string()]).unwrap(),
            )
        })
        .collect();
    TlogProof {
        extra: Some(entries[usize::try_from(index).unwrap()].clone()),
        index,
        hashes: plan
            .assemble(|path| tiles.get(path).map(Vec::as_slice))
            .unwrap(),
        checkpoint: files["checkpoint"].clone(),
    }
}

/// Writes files below a folder.
pub fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
