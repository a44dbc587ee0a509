//! The test data that others published, run against this crate.
//!
//! The data is theirs and is not part of this repository. Unpack these repositories below one folder and name it in
//! `PUBLISHED_VECTORS`, then run `cargo test -p ledger --test published -- --ignored`:
//! `merkle` (transparency-dev/merkle, 417fb0c; its proofs are run by `merkle_vectors.rs`), `tessera` (transparency-dev/tessera, 1811ae1), `sunlight`
//! (FiloSottile/sunlight, ed0bc38) and `C2SP` (C2SP/C2SP, 5ba5ee8). A missing folder or file is a failure, and so is
//! another number of vectors than those commits have.

use std::fs;
use std::path::{Path, PathBuf};

use crypto::Digest;
use ledger::bundle;
use ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use ledger::frontier::Frontier;
use ledger::hash::leaf_hash;
use ledger::key::{Skey, Vkey};
use ledger::note::{MAX_NOTE_BYTES, Note};
use ledger::tile::{TilePath, decode_hashes};

fn published(path: &str) -> PathBuf {
    let root = std::env::var_os("PUBLISHED_VECTORS")
        .expect("PUBLISHED_VECTORS names the folder with the published repositories");
    Path::new(&root).join(path)
}

fn read(path: &str) -> Vec<u8> {
    let path = published(path);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read_text(path: &str) -> String {
    String::from_utf8(read(path)).expect("UTF-8")
}

/// The `hd("…")` values of a function in merkle's testonly/constants.go.
fn constants(function: &str) -> Vec<Vec<u8>> {
    let source = read_text("merkle/testonly/constants.go");
    let start = source
        .find(&format!("func {function}("))
        .expect("the function");
    let body = &source[start..start + source[start..].find("\n}\n").expect("its end")];
    body.split("hd(\"")
        .skip(1)
        .map(|rest| hex::decode(rest.split_once('"').expect("a string").0).expect("hex"))
        .collect()
}

#[test]
#[ignore = "needs PUBLISHED_VECTORS"]
fn the_reference_leaves_give_the_reference_roots() {
    let (leaves, roots, nodes) = (
        constants("LeafInputs"),
        constants("RootHashes"),
        constants("NodeHashes"),
    );
    assert_eq!((leaves.len(), roots.len(), nodes.len()), (8, 8, 15));
    let mut frontier = Frontier::new();
    for (n, leaf) in leaves.iter().enumerate() {
        assert_eq!(leaf_hash(leaf).as_bytes().as_slice(), nodes[n]);
        frontier.push(leaf_hash(leaf));
        assert_eq!(frontier.root().as_bytes().as_slice(), roots[n]);
    }
}

#[test]
#[ignore = "needs PUBLISHED_VECTORS"]
fn tesseras_checkpoints_open_and_its_tiles_rebuild_their_roots() {
    let script = read_text("tessera/testdata/build_log.sh");
    let key = |start: &str| {
        let from = script.find(start).expect("a key in build_log.sh");
        let rest = &script[from..];
        rest[..rest.find(['"', '\n', '\'']).expect("its end")].to_owned()
    };
    let skey = Skey::from_secret_text(&key("PRIVATE+KEY+")).expect("an skey");
    let vkey: Vkey =
        "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
            .parse()
            .unwrap();
    assert_eq!(skey.vkey(), vkey);
    for size in 0..16_u16 {
        let file = read(&format!("tessera/testdata/log/checkpoint.{size}"));
        let signed = SignedCheckpoint::open(&file, &vkey, &[]).unwrap();
        assert_eq!(signed.checkpoint().size, u64::from(size));
        assert_eq!(signed.checkpoint().sign(&skey).unwrap().to_bytes(), file);
        if size == 0 {
            continue;
        }
        let path: TilePath = format!("tile/0/000.p/{size}").parse().unwrap();
        let tile = read(&format!("tessera/testdata/log/{path}"));
        let entries = read(&format!("tessera/testdata/log/tile/entries/000.p/{size}"));
        let hashes: Vec<Digest> = bundle::decode(&entries, size)
            .unwrap()
            .into_iter()
            .map(leaf_hash)
            .collect();
        assert_eq!(decode_hashes(&path, &tile).unwrap(), hashes);
        let mut frontier = Frontier::new();
        frontier.extend(hashes);
        assert_eq!(frontier.root(), signed.checkpoint().root);
    }
}

#[test]
#[ignore = "needs PUBLISHED_VECTORS"]
fn sunlights_witnesses_cosigned_their_checkpoints() {
    let folder = "sunlight/cmd/skylight/testdata";
    for (witness, log) in [
        (
            "witness",
            "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706",
        ),
        (
            "witness2",
            "88ad7a28caeb0b2aa890fdf0304c2fcaf59fca2ee140134ff8c1300bac493482",
        ),
    ] {
        let about: serde_json::Value =
            serde_json::from_slice(&read(&format!("{folder}/{witness}/witness.v0.json"))).unwrap();
        let vkey: Vkey = about["verifier_keys"][0].as_str().unwrap().parse().unwrap();
        let bytes = read(&format!("{folder}/{witness}/{log}/checkpoint"));
        let note = Note::parse(&bytes, MAX_NOTE_BYTES).unwrap();
        let known = [vkey];
        let valid = note.verify(&known).unwrap();
        assert_eq!(valid.len(), 1);
        assert_eq!(valid[0].time_s, Some(1_767_139_200));
        let head = Checkpoint::parse(note.text()).unwrap();
        assert_eq!(head.size, 300);
        let origin = Digest::of(head.origin.as_str().as_bytes()).to_hex();
        assert_eq!(log, origin, "the folder is the origin's digest");
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            let believed = Note::parse(&forged, MAX_NOTE_BYTES)
                .is_ok_and(|n| n.text() != note.text() && n.verify(&known).is_ok());
            assert!(!believed, "byte {at}");
        }
    }
}

#[test]
#[ignore = "needs PUBLISHED_VECTORS"]
fn the_specifications_own_note_opens() {
    let specification = read_text("C2SP/signed-note.md");
    let vkey: Vkey = specification
        .lines()
        .map(str::trim)
        .find_map(|line| {
            line.starts_with("example.com/foo+")
                .then(|| line.parse().ok())?
        })
        .expect("the example's vkey");
    let note = specification
        .split("```\n")
        .find(|block| block.starts_with("This is an example message."))
        .expect("the example's note");
    let note = Note::parse(note.as_bytes(), MAX_NOTE_BYTES).unwrap();
    assert_eq!(note.verify(&[vkey]).unwrap().len(), 1);
}
