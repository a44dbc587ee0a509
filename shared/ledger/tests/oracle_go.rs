//! A log of ours in the hands of a client that shares no code with it: `tests/oracles/sumdb.go`, built on Go's
//! golang.org/x/mod/sumdb as Debian packages it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::{Digest, SigningKey};
use ledger::bundle;
use ledger::checkpoint::Checkpoint;
use ledger::edge::RightEdge;
use ledger::frontier::Frontier;
use ledger::hash::leaf_hash;
use ledger::key::{Cosigner, Skey};
use ledger::plan::ProofPlan;
use ledger::tile::{TileKind, TilePath, changed, decode_hashes, encode_hashes};
use ledger::tlog_proof::TlogProof;
use serde_json::{Value, json};

/// Where Debian's packages put the compiler and the library.
const GO: &str = "/usr/bin/go";
const GO_PATH: &str = "/usr/share/gocode";

/// Builds the Go program into `folder`.
fn build_oracle(folder: &Path) -> PathBuf {
    let library = Path::new(GO_PATH).join("src/golang.org/x/mod/sumdb/tlog");
    assert!(
        Path::new(GO).exists() && library.exists(),
        "Go is missing: run tests/run, which installs golang-go and golang-golang-x-mod-dev"
    );
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles/sumdb.go");
    let program = folder.join("sumdb");
    let build = Command::new(GO)
        .args(["build", "-o"])
        .arg(&program)
        .arg(source)
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PATH)
        .env("GOFLAGS", "")
        .env("GOCACHE", folder.join("cache"))
        .output()
        .expect("Go starts");
    assert!(build.status.success(), "{}", told(&build));
    program
}

fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// A log on disk that grew in batches, with its keys.
struct Log {
    folder: PathBuf,
    entries: Vec<Vec<u8>>,
    key: Skey,
    witness: Cosigner,
    checkpoint: Vec<u8>,
}

impl Log {
    fn write(folder: &Path, size: u64) -> Log {
        let entries: Vec<Vec<u8>> = (0..size)
            .map(|i| format!("{{\"v\":1,\"kind\":\"round\",\"seq\":{i}}}").into_bytes())
            .collect();
        let leaves: Vec<Digest> = entries.iter().map(|e| leaf_hash(e)).collect();
        let mut edge = RightEdge::new();
        for batch in leaves.chunks(97) {
            let old = edge.size();
            for tile in edge.append(batch) {
                write_tile(folder, &tile.path, &encode_hashes(&tile.hashes));
            }
            for path in changed(old, edge.size()).filter(|p| p.kind() == TileKind::Entries) {
                let first = path.first() as usize;
                let held = &entries[first..first + usize::from(path.width())];
                write_tile(folder, &path, &bundle::encode(held).expect("short entries"));
            }
        }
        let key = Skey::new(
            "collector.example/log".parse().expect("a name"),
            SigningKey::from_seed(&[11; 32]),
        );
        let witness = Cosigner::new(
            "witness.example".parse().expect("a name"),
            SigningKey::from_seed(&[12; 32]),
        );
        let head = Checkpoint {
            origin: key.name().clone(),
            size,
            root: edge.frontier().root(),
        };
        let mut note = head.sign(&key).expect("its own key").note().clone();
        note.cosign(&witness, 1_764_000_000).expect("a time");
        fs::write(folder.join("checkpoint"), note.to_bytes()).expect("a writable folder");
        Log {
            folder: folder.to_owned(),
            entries,
            key,
            witness,
            checkpoint: note.to_bytes(),
        }
    }

    /// Carries a plan out on the files, as a verifier with a directory does.
    fn carry_out(&self, plan: &ProofPlan) -> Vec<Digest> {
        let tiles: Vec<(TilePath, Vec<Digest>)> = plan
            .tiles()
            .into_iter()
            .map(|path| {
                let file = fs::read(self.folder.join(path.to_string())).expect("the tile");
                (path, decode_hashes(&path, &file).expect("its width"))
            })
            .collect();
        plan.assemble(|path| {
            let (_, hashes) = tiles.iter().find(|(tile, _)| tile == path)?;
            Some(hashes.as_slice())
        })
        .expect("all tiles")
    }

    fn root_at(&self, size: u64) -> String {
        let mut frontier = Frontier::new();
        frontier.extend(self.entries[..size as usize].iter().map(|e| leaf_hash(e)));
        frontier.root().to_base64()
    }

    /// Our proofs in the form that the Go program reads.
    fn proofs(&self) -> Value {
        let size = self.entries.len() as u64;
        let text =
            |hashes: Vec<Digest>| -> Vec<String> { hashes.iter().map(Digest::to_base64).collect() };
        let picked = [0, 1, 2, 255, 256, 300, size / 2, size - 1].map(|i| i % size);
        let inclusion = picked.map(|index| {
            let plan = ProofPlan::inclusion(index, size).expect("in the log");
            json!({"index": index, "size": size, "root": self.root_at(size),
                "entry": STANDARD.encode(&self.entries[index as usize]),
                "proof": text(self.carry_out(&plan))})
        });
        let consistency = picked.map(|index| {
            let old = index + 1;
            let plan = ProofPlan::consistency(old, size).expect("not larger");
            json!({"old": old, "old_root": self.root_at(old), "new": size,
                "new_root": self.root_at(size), "proof": text(self.carry_out(&plan))})
        });
        let files = picked.map(|index| {
            let plan = ProofPlan::inclusion(index, size).expect("in the log");
            let file = TlogProof {
                extra: Some(self.entries[index as usize].clone()),
                index,
                hashes: self.carry_out(&plan),
                checkpoint: self.checkpoint.clone(),
            };
            STANDARD.encode(file.to_bytes())
        });
        json!({"inclusion": inclusion, "consistency": consistency, "files": files})
    }

    fn check_by(&self, oracle: &Path, proofs: &Value) -> Output {
        let file = self.folder.join("proofs.json");
        fs::write(&file, proofs.to_string()).expect("a writable folder");
        Command::new(oracle)
            .arg("-witness")
            .arg(self.witness.vkey().to_string())
            .arg("-proofs")
            .arg(&file)
            .arg(self.key.vkey().to_string())
            .arg(&self.folder)
            .output()
            .expect("the oracle starts")
    }
}

fn write_tile(folder: &Path, path: &TilePath, file: &[u8]) {
    let at = folder.join(path.to_string());
    fs::create_dir_all(at.parent().expect("a folder")).expect("a writable folder");
    fs::write(at, file).expect("a writable folder");
}

#[test]
fn go_accepts_our_logs_and_proofs_and_refuses_damaged_ones() {
    let place = tempfile::tempdir().unwrap();
    let oracle = build_oracle(place.path());
    for size in [1, 2, 255, 256, 257, 777] {
        let folder = place.path().join(size.to_string());
        fs::create_dir(&folder).unwrap();
        let log = Log::write(&folder, size);
        let verdict = log.check_by(&oracle, &log.proofs());
        assert!(verdict.status.success(), "size {size}: {}", told(&verdict));
        let expected = format!(
            "entries {size}, cosignatures 1, inclusion 8, consistency 8, files 8: verified\n"
        );
        assert_eq!(told(&verdict), expected);
    }

    let log = Log::write(&place.path().join("777"), 777);
    let good = log.proofs();
    for kind in ["inclusion", "consistency"] {
        let mut bad = good.clone();
        bad[kind][5]["proof"][0] = json!(leaf_hash(b"forged").to_base64());
        refused(&log.check_by(&oracle, &bad), kind);
    }
    for (file, says) in [
        // The hash of entry 256 is wrong, and so the proof of its sibling is.
        ("tile/0/001", "entry 257"),
        ("tile/entries/001", "entry 256"),
        ("checkpoint", "checkpoint"),
    ] {
        let path = log.folder.join(file);
        let before = fs::read(&path).unwrap();
        let mut damaged = before.clone();
        damaged[10] ^= 1;
        fs::write(&path, damaged).unwrap();
        refused(&log.check_by(&oracle, &good), says);
        fs::write(&path, before).unwrap();
    }
    assert!(log.check_by(&oracle, &good).status.success());
}

fn refused(verdict: &Output, says: &str) {
    assert_eq!(verdict.status.code(), Some(1), "{}", told(verdict));
    assert!(told(verdict).contains(says), "{}", told(verdict));
}
