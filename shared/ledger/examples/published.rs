//! The test data that others published, run against this crate: `cargo run -p ledger --example published -- DIR`.
//!
//! The data is theirs and is not part of this repository, so this is a program and no test. DIR holds these repositories,
//! unpacked: `merkle` (transparency-dev/merkle, 417fb0c; its proofs are run by `tests/merkle_vectors.rs`), `tessera`
//! (transparency-dev/tessera, 1811ae1), `sunlight` (FiloSottile/sunlight, ed0bc38) and `C2SP` (C2SP/C2SP, 5ba5ee8). It ends
//! in a panic at the first that is missing or wrong.

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

fn main() {
    the_reference_leaves_give_the_reference_roots();
    tesseras_checkpoints_open_and_its_tiles_rebuild_their_roots();
    sunlights_witnesses_cosigned_their_checkpoints();
    the_specifications_own_note_opens();
    println!("merkle, tessera, sunlight and C2SP: all as published");
}

fn published(path: &str) -> PathBuf {
    let root = std::env::args_os().nth(1);
    Path::new(&root.expect("the folder with the published repositories")).join(path)
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
            .expect("as published");
    assert_eq!(skey.vkey(), vkey);
    for size in 0..16_u16 {
        let file = read(&format!("tessera/testdata/log/checkpoint.{size}"));
        let signed = SignedCheckpoint::open(&file, &vkey, &[]).expect("as published");
        assert_eq!(signed.checkpoint().size, u64::from(size));
        assert_eq!(
            signed
                .checkpoint()
                .sign(&skey)
                .expect("as published")
                .to_bytes(),
            file
        );
        if size == 0 {
            continue;
        }
        let path: TilePath = format!("tile/0/000.p/{size}")
            .parse()
            .expect("as published");
        let tile = read(&format!("tessera/testdata/log/{path}"));
        let entries = read(&format!("tessera/testdata/log/tile/entries/000.p/{size}"));
        let hashes: Vec<Digest> = bundle::decode(&entries, size)
            .expect("as published")
            .into_iter()
            .map(leaf_hash)
            .collect();
        assert_eq!(decode_hashes(&path, &tile).expect("as published"), hashes);
        let mut frontier = Frontier::new();
        frontier.extend(hashes);
        assert_eq!(frontier.root(), signed.checkpoint().root);
    }
}

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
            serde_json::from_slice(&read(&format!("{folder}/{witness}/witness.v0.json")))
                .expect("as published");
        let vkey: Vkey = about["verifier_keys"][0]
            .as_str()
            .expect("as published")
            .parse()
            .expect("as published");
        let bytes = read(&format!("{folder}/{witness}/{log}/checkpoint"));
        let note = Note::parse(&bytes, MAX_NOTE_BYTES).expect("as published");
        let known = [vkey];
        let valid = note.verify(&known).expect("as published");
        assert_eq!(valid.len(), 1);
        assert_eq!(valid[0].time_s, Some(1_767_139_200));
        let head = Checkpoint::parse(note.text()).expect("as published");
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
    let note = Note::parse(note.as_bytes(), MAX_NOTE_BYTES).expect("as published");
    assert_eq!(note.verify(&[vkey]).expect("as published").len(), 1);
}
