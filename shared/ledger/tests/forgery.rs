//! Changing any byte of a signed checkpoint or of a proof file makes it fail, and so do cutting and stretching it.

use crypto::SigningKey;
use ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use ledger::edge::RightEdge;
use ledger::hash::leaf_hash;
use ledger::key::{Skey, Vkey};
use ledger::plan::ProofPlan;
use ledger::tlog_proof::{MAX_PROOF_BYTES, TlogProof, TlogProofError};
use proptest::prelude::*;

struct Log {
    entries: Vec<Vec<u8>>,
    head: SignedCheckpoint,
    vkey: Vkey,
}

impl Log {
    fn of(size: u64) -> Log {
        let key = Skey::new(
            "example.com/log".parse().expect("a name"),
            SigningKey::from_seed(&[4; 32]),
        );
        let entries: Vec<Vec<u8>> = (0..size)
            .map(|i| format!("{{\"v\":1,\"seq\":{i}}}").into_bytes())
            .collect();
        let mut edge = RightEdge::new();
        edge.append(&entries.iter().map(|e| leaf_hash(e)).collect::<Vec<_>>());
        let head = Checkpoint {
            origin: key.name().clone(),
            size,
            root: edge.frontier().root(),
        };
        Log {
            entries,
            head: head.sign(&key).expect("its own key"),
            vkey: key.vkey(),
        }
    }

    fn proof(&self, index: u64, extra: Option<Vec<u8>>) -> TlogProof {
        let leaves: Vec<_> = self.entries.iter().map(|e| leaf_hash(e)).collect();
        let tiles = RightEdge::new().append(&leaves);
        let plan = ProofPlan::inclusion(index, leaves.len() as u64).expect("in the log");
        let hashes = plan.assemble(|path| {
            let tile = tiles.iter().find(|tile| tile.path == *path)?;
            Some(tile.hashes.as_slice())
        });
        TlogProof {
            extra,
            index,
            hashes: hashes.expect("all tiles"),
            checkpoint: self.head.to_bytes(),
        }
    }
}

/// Every single-byte change, cut, doubling and stretch of a file.
fn mutations(file: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let bytes = (0..file.len()).flat_map(move |at| {
        (0..8)
            .map(|bit| 1_u8 << bit)
            .chain([0xff])
            .map(move |mask| {
                let mut changed = file.to_vec();
                changed[at] ^= mask;
                changed
            })
    });
    let without = (0..file.len()).map(move |at| [&file[..at], &file[at + 1..]].concat());
    let twice = (0..file.len()).map(move |at| [&file[..=at], &file[at..]].concat());
    let cut = (0..file.len()).map(move |end| file[..end].to_vec());
    let stretched = [b"\n".as_slice(), b" ", b"\0", b"x\n"].map(|more| [file, more].concat());
    bytes
        .chain(without)
        .chain(twice)
        .chain(cut)
        .chain(stretched)
}

#[test]
fn no_byte_of_a_signed_checkpoint_can_change() {
    let log = Log::of(11);
    let file = log.head.to_bytes();
    SignedCheckpoint::open(&file, &log.vkey, &[]).unwrap();
    for forged in mutations(&file).filter(|forged| *forged != file) {
        let opened = SignedCheckpoint::open(&forged, &log.vkey, &[]);
        assert!(opened.is_err(), "{}", String::from_utf8_lossy(&forged));
    }
}

#[test]
fn no_byte_of_a_proof_that_carries_its_entry_can_change() {
    let log = Log::of(11);
    let file = log.proof(6, Some(log.entries[6].clone())).to_bytes();
    let proof = TlogProof::parse(&file).unwrap();
    let (entry, head) = proof.verify_extra(&log.vkey, &[]).unwrap();
    assert_eq!(entry, log.entries[6]);
    assert_eq!(head, log.head);
    for forged in mutations(&file).filter(|forged| *forged != file) {
        let believed =
            TlogProof::parse(&forged).is_ok_and(|proof| proof.verify_extra(&log.vkey, &[]).is_ok());
        assert!(!believed, "{}", String::from_utf8_lossy(&forged));
    }
}

#[test]
fn no_byte_of_a_proof_beside_its_entry_can_change() {
    let log = Log::of(11);
    let file = log.proof(10, None).to_bytes();
    let entry = &log.entries[10];
    let check = |file: &[u8]| -> Result<SignedCheckpoint, TlogProofError> {
        TlogProof::parse(file)?.verify(entry, &log.vkey, &[])
    };
    check(&file).unwrap();
    for forged in mutations(&file).filter(|forged| *forged != file) {
        assert!(
            check(&forged).is_err(),
            "{}",
            String::from_utf8_lossy(&forged)
        );
    }
}

#[test]
fn a_proof_is_of_its_entry_and_its_log() {
    let log = Log::of(9);
    let proof = log.proof(3, None);
    assert!(proof.verify(&log.entries[3], &log.vkey, &[]).is_ok());
    assert!(matches!(
        proof.verify(&log.entries[4], &log.vkey, &[]),
        Err(TlogProofError::NotIncluded { index: 3, .. })
    ));
    assert!(matches!(
        proof.verify_extra(&log.vkey, &[]),
        Err(TlogProofError::NoExtra)
    ));
    let misleading = log.proof(3, Some(log.entries[4].clone()));
    assert!(misleading.verify(&log.entries[3], &log.vkey, &[]).is_ok());
    assert!(misleading.verify(&log.entries[4], &log.vkey, &[]).is_err());
    assert!(misleading.verify_extra(&log.vkey, &[]).is_err());
    let helpful = log.proof(3, Some(log.entries[3].clone()));
    assert!(helpful.verify(&log.entries[4], &log.vkey, &[]).is_err());
    let other = Skey::new(
        "example.com/log".parse().unwrap(),
        SigningKey::from_seed(&[5; 32]),
    );
    assert!(matches!(
        proof.verify(&log.entries[3], &other.vkey(), &[]),
        Err(TlogProofError::Checkpoint(_))
    ));
}

#[test]
fn the_text_is_as_the_specification_lays_it_out() {
    let log = Log::of(1);
    let head = String::from_utf8(log.head.to_bytes()).unwrap();
    let alone = log.proof(0, None).to_bytes();
    assert_eq!(
        String::from_utf8(alone).unwrap(),
        format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{head}")
    );
    let log = Log::of(2);
    let head = String::from_utf8(log.head.to_bytes()).unwrap();
    let carried = log.proof(1, Some(b"extra".to_vec())).to_bytes();
    let sibling = leaf_hash(&log.entries[0]).to_base64();
    assert_eq!(
        String::from_utf8(carried).unwrap(),
        format!("c2sp.org/tlog-proof@v1\nextra ZXh0cmE=\nindex 1\n{sibling}\n\n{head}")
    );
}

#[test]
fn what_is_no_proof_is_refused() {
    let hash = leaf_hash(b"a").to_base64();
    let parse = |text: String| TlogProof::parse(text.as_bytes());
    let lines = |middle: &str| format!("c2sp.org/tlog-proof@v1\n{middle}\n\ncheckpoint\n");
    parse(lines(&format!("index 5\n{hash}"))).unwrap();
    for bad in [
        String::new(),
        "wrong\nindex 0\n\ncheckpoint\n".into(),
        "c2sp.org/tlog-proof@v1\nindex 0\n\n".into(),
        "c2sp.org/tlog-proof@v1\nindex 0\ncheckpoint\n".into(),
        lines(""),
        lines("index"),
        lines("index -5"),
        lines("index 05"),
        lines("index x"),
        lines("index 18446744073709551616"),
        lines("extra !!\nindex 0"),
        lines("index 0\nextra ZXh0cmE="),
        lines("extra ZXh0cmE=\nextra ZXh0cmE=\nindex 0"),
        lines(&format!("index 0\n{hash}{hash}")),
        lines(&format!("index 0\n{}", &hash[4..])),
        lines(&format!("index 0{}", format!("\n{hash}").repeat(65))),
    ] {
        assert!(parse(bad.clone()).is_err(), "{bad:?}");
    }
    assert!(matches!(
        TlogProof::parse(&vec![b'a'; MAX_PROOF_BYTES + 1]),
        Err(TlogProofError::TooLong(_))
    ));
}

proptest! {
    #[test]
    fn parsers_never_panic_and_read_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "[a-z0-9\n +=\u{2014}/]{0,200}") {
        for file in [bytes.as_slice(), text.as_bytes(), format!("c2sp.org/tlog-proof@v1\n{text}").as_bytes()] {
            if let Ok(proof) = TlogProof::parse(file) {
                prop_assert_eq!(proof.to_bytes(), file);
            }
            if let Ok(note) = ledger::note::Note::parse(file, 400) {
                prop_assert_eq!(note.to_bytes(), file);
            }
            if let Ok(text) = str::from_utf8(file) {
                let _ = Checkpoint::parse(text);
                let _ = text.parse::<ledger::tile::TilePath>();
                let _ = text.parse::<Vkey>();
            }
        }
    }
}
