//! What others published, as far as a test can quote it: short notes, keys, checkpoints and digests, each with its source.
//!
//! Facts of the formats, not code: C2SP's specification, the log of Tessera, the witnesses of sunlight, the reference tree
//! of transparency-dev/merkle and the proofs of transparency-dev/formats. Go's example of a note is in `notes.rs`, the
//! published proofs are in `merkle_vectors.rs`.

use crypto::Digest;
use ledger::bundle;
use ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use ledger::edge::RightEdge;
use ledger::frontier::Frontier;
use ledger::hash::leaf_hash;
use ledger::key::{Skey, Vkey};
use ledger::note::{MAX_NOTE_BYTES, Note};
use ledger::tile::encode_hashes;
use ledger::tlog_proof::TlogProof;

/// C2SP/C2SP, signed-note.md at 5ba5ee8: the example.
const NOTE_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// transparency-dev/tessera, testdata at 1811ae1: the keys of its log, from build_log.sh.
const TESSERA_SKEY: &str =
    "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg";
const TESSERA_VKEY: &str =
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
/// Its entries, in their authors' spelling.
const TESSERA_ENTRIES: [&str; 15] = [
    "one", "two", "three", "four", "five", "six", "seven", "eit", "nain", "ten", "ileven", "twelf",
    "threeten", "fourten", "fivten",
];
/// The signatures of log/checkpoint.0 to log/checkpoint.15.
const TESSERA_SIGNATURES: [&str; 16] = [
    "M9e0lhxJACzE1KoUdqKuPa+9p6R7dSW8BlEvrg/noo8FkGg6PbJoRNOcdjqjOq89wVvTA60eubCc4oufo5BvIVEgtQc=",
    "M9e0lhr9kuLxGdAtaUrhm84TQffVsLdcy808sN0a3WyniNlfcr9+bywoiIke1YYciCNjJGkCgIlQ8b16jhsmg/SChAM=",
    "M9e0llH4NKmlf0u7C8tkJioQOmi7l5ELqljXgKRg6R3G5JJ7vx7emDWo5fpqKuA/Dk/jRrI6il+7QCVirNhyUAWGoAk=",
    "M9e0lvAQRtH832pk2RTbeSeZMkp4FZSdJYFBUjO5SKxuRbywPUF3cx+HUrb50kjd3rUWW/fj53Wj1dwcwh9bGQnqVAg=",
    "M9e0lnFuWt0cp60moO4jAkeXvMNLIIOGn4WdyeHQurBt9mBi0tWdfkldiAt9k0FpwuZymvttsVn9uwyouXU3vPpeNAc=",
    "M9e0lmn5eDHyHP10zJObZdFAX2y1V8fdDKBi4IiHbDYf1TCUBwxZOhqwv2QZCqrdda2zTRTrmnwjwscN5RBTEmZUYAs=",
    "M9e0ln+nHSdGSHEZBcjvqyYDXDbG8WxDwCDjbbGAMv/NTynAtJWhckSXIpuwpN3yJ4PTtzUbD34YGqIZr6RgJRn16gU=",
    "M9e0luA5JhTRUki/BBQD0QNiH6AEJ2pdtsA5CQjqJErViuuKrN6513RCTL2640wXJv0dCed3neRGI6dMzBq9uANf2Qc=",
    "M9e0lq1EK37dHtgv9O3UzPxisw5vwIPcJsX9ab0xt4mvVfbdUR1fbMjN6sBFYpBoBEmD4+cWhj/AVgI5MitCO5+mews=",
    "M9e0ls3mdnWX0qk4P3uGG0eYiFRWSwPR+RdeD1ARmrHPHjXP0x9UJWASPFTOTqJo0mp7Epck2O9RFB0J9IjDdAewagw=",
    "M9e0lrmwaVEOWFZ+HS5ITnRd2YMOSWE5QeoYu+6DHwJLnJ+SVeJ2ZiYeD7lVC5oGJx76gbfLSyCUEq6D8JkarrsuiQQ=",
    "M9e0lqbRtWirJwbUy4w3VrK2RyzfW8P+OIkc8t6b6AVG/tQd1Q2SN+uCLYzNNFnf/PhzeCdURSGQe1MRnohCxPu21wg=",
    "M9e0lrFzoTgi+ovhrqX0DpsEAp3wLu1coMLIkeCwSkGfS4Ox4pLXo2LHudqm4merh0ZkCNzHr8kQwq5gS5mmimIvdA4=",
    "M9e0liO8x8xfEOGmZVYODUjQajkEpjccPQ9EkG3yEEDet4K3BWE/DFRPH6H+b6gFFFaG5KS1bBmYS/xeZJs8lj+z+wM=",
    "M9e0lu8roIpjC+NXEG7JDkajIahoYDYWgxDtxfx/6rzLoztU9t/PvivZ48xt8ygJpjzaboSpkbVv3Jb+D3NdXWQf5wo=",
    "M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=",
];
/// SHA-256 of log/tile/0/000.p/WIDTH and log/tile/entries/000.p/WIDTH.
const TESSERA_FILES: [(u16, &str, &str); 3] = [
    (
        1,
        "ccfdec58d220e811be8903398a8867fde33e93bba97faecad3315bd7c753bd2f",
        "217eb5c174b50240976ae2b9b7a2a213c8ebe7f525fde0f0ea7561adcb4794e1",
    ),
    (
        8,
        "92b3acf68d583ef1bfb61cf39bf9e89ff3cbe3e19f39fc698f50c91ab6360e59",
        "a4413f345504eb3637bcab7f9f188baaf7efe71fcd9d05cbf1cb9f850bd23aeb",
    ),
    (
        15,
        "93593af14d2cce39867d2e73fe4ca400a38581605c5c4501a03e752d9b51a130",
        "9ac6a9fc9012f2b4d67ac26041933c119e1505defc5c808ed614c5778c9f1716",
    ),
];

/// FiloSottile/sunlight, cmd/skylight/testdata at ed0bc38: two witnesses, what they cosigned, and the folder of it.
const SUNLIGHT: [(&str, &str, &str); 2] = [
    (
        "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN",
        "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n\n\u{2014} rome2026h1.example.org kVB1JgAAAZtxtEwABAMARzBFAiEAi+mTa2xjL1IdWpH82OeciGsGvwRAP+f1WkfKaSZCfFECIHoNPZ/Q3y6UNzvKOO9cuLr6V16vPNfhwhle9f6r5H/Z\n\u{2014} witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jWlwLKasxEGTLIqAVusneCBmBw==\n",
        "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706",
    ),
    (
        "witness2.example.org+2e55b896+BIZ7fpceQWd60IfqQeS9IAnmNOCZjMDne8lZuguz/bi9",
        "milan2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n\n\u{2014} witness2.example.org LlW4lgAAAABpVGeAN/uFWqfjdU94rrKxFycCggM0Sa1L5tOJCJdYBwJ41CQsgKWA6B0+vywok3cPI3JIzuPeR+VotuYe/eNy0+30Dw==\n",
        "88ad7a28caeb0b2aa890fdf0304c2fcaf59fca2ee140134ff8c1300bac493482",
    ),
];

/// transparency-dev/merkle, testonly/constants.go at 417fb0c: the reference leaves, and the root after each.
const MERKLE: [(&str, &str); 8] = [
    (
        "",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    ),
    (
        "00",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    ),
    (
        "10",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    ),
    (
        "2021",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        "3031",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    ),
    (
        "40414243",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    ),
    (
        "5051525354555657",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    ),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

#[test]
fn the_specifications_own_note_opens_and_no_other() {
    let known: [Vkey; 1] = [NOTE_VKEY.parse().unwrap()];
    assert_eq!(known[0].to_string(), NOTE_VKEY);
    let note = Note::parse(NOTE.as_bytes(), MAX_NOTE_BYTES).unwrap();
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.verify(&known).unwrap().len(), 1);
    assert_eq!(note.to_bytes(), NOTE.as_bytes());
    let other = NOTE.replace("an example", "no example");
    let other = Note::parse(other.as_bytes(), MAX_NOTE_BYTES).unwrap();
    assert!(other.verify(&known).is_err());
}

#[test]
fn the_reference_leaves_have_their_published_roots() {
    let mut frontier = Frontier::new();
    for (leaf, root) in MERKLE {
        frontier.push(leaf_hash(&hex::decode(leaf).unwrap()));
        assert_eq!(frontier.root().to_hex(), root, "{} leaves", frontier.size());
    }
}

/// Each checkpoint is made again from the entries and the log's key: equal signatures mean equal bytes.
#[test]
fn tesseras_checkpoints_are_signed_byte_for_byte_and_open() {
    let skey = Skey::from_secret_text(TESSERA_SKEY).unwrap();
    let vkey: Vkey = TESSERA_VKEY.parse().unwrap();
    assert_eq!(skey.vkey(), vkey);
    let mut frontier = Frontier::new();
    for (size, signature) in TESSERA_SIGNATURES.iter().enumerate() {
        if let Some(at) = size.checked_sub(1) {
            frontier.push(leaf_hash(TESSERA_ENTRIES[at].as_bytes()));
        }
        let head = Checkpoint {
            origin: skey.name().clone(),
            size: size as u64,
            root: frontier.root(),
        };
        let file = format!(
            "{}\n\u{2014} example.com/log/testdata {signature}\n",
            head.to_text()
        );
        let opened = SignedCheckpoint::open(file.as_bytes(), &vkey, &[]).unwrap();
        assert_eq!(opened.checkpoint(), &head);
        assert_eq!(head.sign(&skey).unwrap().to_bytes(), file.as_bytes());
        let other = Checkpoint {
            size: head.size + 1,
            ..head
        };
        let file = file.replacen(&other.origin.to_string(), "example.com/log/other", 1);
        assert!(SignedCheckpoint::open(file.as_bytes(), &vkey, &[]).is_err());
        assert_ne!(other.sign(&skey).unwrap().to_bytes(), opened.to_bytes());
    }
    let root = "rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=";
    assert_eq!(frontier.root().to_base64(), root);
}

#[test]
fn tesseras_tiles_and_entries_are_written_byte_for_byte() {
    for (width, tile, entries) in TESSERA_FILES {
        let part: Vec<&[u8]> = TESSERA_ENTRIES[..usize::from(width)]
            .iter()
            .map(|entry| entry.as_bytes())
            .collect();
        let file = bundle::encode(&part).unwrap();
        assert_eq!(Digest::of(&file).to_hex(), entries, "entries {width}");
        assert_eq!(bundle::decode(&file, width).unwrap(), part);
        let hashes: Vec<Digest> = part.iter().map(|entry| leaf_hash(entry)).collect();
        let mut edge = RightEdge::new();
        let written = edge.append(&hashes);
        let path = format!("tile/0/000.p/{width}");
        let written = written.iter().find(|one| one.path.to_string() == path);
        let file = encode_hashes(&written.unwrap().hashes);
        assert_eq!(Digest::of(&file).to_hex(), tile, "tile {width}");
    }
}

#[test]
fn sunlights_witnesses_cosigned_their_checkpoints_and_no_others() {
    for (vkey, file, folder) in SUNLIGHT {
        let known: [Vkey; 1] = [vkey.parse().unwrap()];
        let note = Note::parse(file.as_bytes(), MAX_NOTE_BYTES).unwrap();
        let valid = note.verify(&known).unwrap();
        assert_eq!(valid.len(), 1);
        assert_eq!(valid[0].time_s, Some(1_767_139_200));
        let head = Checkpoint::parse(note.text()).unwrap();
        assert_eq!(head.size, 300);
        assert_eq!(Digest::of(head.origin.as_str().as_bytes()).to_hex(), folder);
        for at in 0..file.len() {
            let mut forged = file.as_bytes().to_vec();
            forged[at] ^= 1;
            let believed = Note::parse(&forged, MAX_NOTE_BYTES)
                .is_ok_and(|other| other.text() != note.text() && other.verify(&known).is_ok());
            assert!(!believed, "byte {at}");
        }
    }
}

/// transparency-dev/formats, proof/tlog_proof_test.go at 0b850f1: what it writes, and what it refuses.
#[test]
fn proofs_are_written_and_refused_as_their_authors_test() {
    let (one, two) = (Digest::of(b"hash1"), Digest::of(b"hash2"));
    let (one64, two64) = (one.to_base64(), two.to_base64());
    let head = "c2sp.org/tlog-proof@v1\n";
    for (index, hashes, extra, checkpoint, text) in [
        (
            5,
            vec![one, two],
            None,
            "test checkpoint\n",
            format!("index 5\n{one64}\n{two64}\n\ntest checkpoint\n"),
        ),
        (
            10,
            vec![one],
            Some(b"extra information".to_vec()),
            "checkpoint data\n",
            format!("extra ZXh0cmEgaW5mb3JtYXRpb24=\nindex 10\n{one64}\n\ncheckpoint data\n"),
        ),
        (
            0,
            Vec::new(),
            None,
            "checkpoint\n",
            "index 0\n\ncheckpoint\n".to_owned(),
        ),
    ] {
        let proof = TlogProof {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.as_bytes().to_vec(),
        };
        let text = format!("{head}{text}");
        assert_eq!(proof.to_bytes(), text.as_bytes());
        assert_eq!(
            TlogProof::parse(text.as_bytes()).unwrap().to_bytes(),
            text.as_bytes()
        );
    }
    let long = "A".repeat(86) + "==";
    for middle in [
        "extra !!notbase64!!\nindex 0",
        "",
        "index notanumber",
        "index -5",
        "index 0\n!!notbase64!!",
        &format!("index 0\n{long}"),
    ] {
        let text = format!("{head}{middle}\n\ncheckpoint\n");
        assert!(TlogProof::parse(text.as_bytes()).is_err(), "{middle}");
    }
    assert!(TlogProof::parse(b"wrong-header\nindex 0\n\ncheckpoint\n").is_err());
}
