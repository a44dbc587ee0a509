//! Keys, notes, checkpoints and cosignatures: Go's published example byte for byte, and what must be refused.

use crypto::SigningKey;
use ledger::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use ledger::cosignature::{self, CosignatureError};
use ledger::hash::{EMPTY_ROOT, leaf_hash};
use ledger::key::{Cosigner, KeyTextError, NoteSignatureError, SignatureType, Skey, Vkey};
use ledger::note::{MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError};

// The examples of Go's golang.org/x/mod/sumdb/note (package golang-golang-x-mod-dev in Debian).
const NEUMANN_SKEY: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const NEUMANN_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NEUMANN_TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NEUMANN_LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn log_key() -> Skey {
    Skey::new(
        "example.com/log".parse().expect("a name"),
        SigningKey::from_seed(&[1; 32]),
    )
}

fn witness(name: &str, seed: u8) -> Cosigner {
    Cosigner::new(
        name.parse().expect("a name"),
        SigningKey::from_seed(&[seed; 32]),
    )
}

fn head(size: u64) -> Checkpoint {
    Checkpoint {
        origin: log_key().name().clone(),
        size,
        root: leaf_hash(b"only"),
    }
}

#[test]
fn gos_example_is_signed_and_opened_byte_for_byte() {
    let skey = Skey::from_secret_text(NEUMANN_SKEY).unwrap();
    assert_eq!(skey.to_secret_text().as_str(), NEUMANN_SKEY);
    assert_eq!(skey.vkey().to_string(), NEUMANN_VKEY);
    let mut note = Note::new(NEUMANN_TEXT.to_owned()).unwrap();
    note.sign(&skey);
    let expected = format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}");
    assert_eq!(String::from_utf8(note.to_bytes()).unwrap(), expected);

    let vkey: Vkey = NEUMANN_VKEY.parse().unwrap();
    let opened = Note::parse(expected.as_bytes(), MAX_NOTE_BYTES).unwrap();
    assert_eq!(opened.text(), NEUMANN_TEXT);
    assert_eq!(opened.verify(&[vkey]).unwrap().len(), 1);
}

#[test]
fn gos_second_signer_adds_its_line() {
    let enoch = Skey::new(
        "EnochRoot".parse().unwrap(),
        SigningKey::from_seed(&[0; 32]),
    );
    let signed = format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}");
    let mut note = Note::parse(signed.as_bytes(), MAX_NOTE_BYTES).unwrap();
    note.sign(&enoch);
    let expected = format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}{ENOCH_LINE}");
    assert_eq!(String::from_utf8(note.to_bytes()).unwrap(), expected);
    let known = [NEUMANN_VKEY.parse().unwrap(), enoch.vkey()];
    assert_eq!(note.verify(&known).unwrap().len(), 2);
}

#[test]
fn a_key_that_is_known_must_verify_and_others_do_not_count() {
    let key = log_key();
    let stranger = Skey::new(
        "example.com/log".parse().unwrap(),
        SigningKey::from_seed(&[2; 32]),
    );
    let mut note = Note::new("text\n".into()).unwrap();
    note.sign(&stranger);
    assert!(matches!(
        note.verify(&[key.vkey()]),
        Err(NoteError::NotSigned)
    ));
    note.sign(&key);
    assert_eq!(note.verify(&[key.vkey()]).unwrap().len(), 1);

    let mut other = Note::new("other text\n".into()).unwrap();
    other.sign(&key);
    let forged = [note.to_bytes(), last_line(&other)].concat();
    let forged = Note::parse(&forged, MAX_NOTE_BYTES).unwrap();
    assert!(
        matches!(
            forged.verify(&[key.vkey()]),
            Err(NoteError::BadSignature { .. })
        ),
        "one good signature of a key does not excuse a bad one"
    );
    assert_eq!(forged.verify(&[stranger.vkey()]).unwrap().len(), 1);
}

fn last_line(note: &Note) -> Vec<u8> {
    let bytes = note.to_bytes();
    let start = bytes.len() - bytes.rsplit(|b| *b == b'\n').nth(1).map_or(0, <[u8]>::len) - 1;
    bytes[start..].to_vec()
}

#[test]
fn the_text_ends_at_the_last_empty_line() {
    let mut note = Note::new("first\n\nsecond\n".into()).unwrap();
    note.sign(&log_key());
    let parsed = Note::parse(&note.to_bytes(), MAX_NOTE_BYTES).unwrap();
    assert_eq!(parsed.text(), "first\n\nsecond\n");
    assert!(parsed.verify(&[log_key().vkey()]).is_ok());
    assert_eq!(parsed.to_bytes(), note.to_bytes());
}

#[test]
fn what_is_no_note_is_refused() {
    let good = format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}");
    let parse = |text: &str| Note::parse(text.as_bytes(), MAX_NOTE_BYTES);
    parse(&good).unwrap();
    for bad in [
        String::new(),
        NEUMANN_TEXT.to_owned(),
        format!("{NEUMANN_TEXT}{NEUMANN_LINE}"),
        format!("{NEUMANN_TEXT}\n"),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        format!("{good}garbage\n"),
        good.replace('\u{2014}', "-"),
        good.replace('\u{2014}', "\u{2014} "),
        good.replace(" PeterNeumann ", " Peter+Neumann "),
        good.replace(" PeterNeumann ", " Peter\u{a0}Neumann "),
        good.replace(" PeterNeumann ", "  "),
        good.replace("nAM=", "nAM"),
        good.replace("nAM=", "nAN="),
        good.replace("x08go", "x08g_"),
        good.replace("If you", "If\tyou"),
        good.replace('\n', "\r\n"),
        format!("{NEUMANN_TEXT}\n\u{2014} PeterNeumann x08gow==\n"),
    ] {
        assert!(parse(&bad).is_err(), "{bad:?}");
    }
    assert!(Note::parse(b"\xff\n\n\xe2\x80\x94 a x08go/ZJ\n", 99).is_err());
    assert!(matches!(
        Note::parse(good.as_bytes(), good.len() - 1),
        Err(NoteError::TooLong { .. })
    ));
    assert!(Note::new("no newline".into()).is_err());
}

#[test]
fn sixteen_signatures_are_read_and_a_flood_is_not() {
    let key = log_key();
    let mut note = Note::new("text\n".into()).unwrap();
    for seed in 10..25 {
        note.sign(&Skey::new(
            "other".parse().unwrap(),
            SigningKey::from_seed(&[seed; 32]),
        ));
    }
    note.sign(&key);
    assert_eq!(note.signatures().len(), 16);
    let parsed = Note::parse(&note.to_bytes(), MAX_NOTE_BYTES).unwrap();
    assert!(parsed.verify(&[key.vkey()]).is_ok());
    for _ in 16..=MAX_SIGNATURES {
        note.sign(&key);
    }
    assert!(matches!(
        Note::parse(&note.to_bytes(), MAX_NOTE_BYTES),
        Err(NoteError::TooManySignatures)
    ));
}

#[test]
fn a_key_text_must_fit_itself() {
    let wrong_id = NEUMANN_VKEY.replace("c74f20a3", "c74f20a4");
    assert!(matches!(
        wrong_id.parse::<Vkey>(),
        Err(KeyTextError::KeyId { .. })
    ));
    for bad in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        NEUMANN_SKEY,
    ] {
        assert!(bad.parse::<Vkey>().is_err(), "{bad:?}");
    }
    // Type 0x06, ML-DSA-44, with the material of the key above.
    assert!(matches!(
        "PeterNeumann+c74f20a3+Bhpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse::<Vkey>(),
        Err(KeyTextError::Type(6))
    ));
    for bad in [
        NEUMANN_VKEY.to_owned(),
        NEUMANN_SKEY.replace("c74f20a3", "c74f20a4"),
        NEUMANN_SKEY.replace("+AYEK", "+BIEK"),
        NEUMANN_SKEY.replace("KDFz", "KDF"),
    ] {
        let error = Skey::from_secret_text(&bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("FALVFGyNhPJEMzD1"));
    }
}

#[test]
fn a_private_key_does_not_print_itself() {
    let skey = Skey::from_secret_text(NEUMANN_SKEY).unwrap();
    assert_eq!(format!("{skey:?}"), "Skey(PeterNeumann+c74f20a3)");
    let shown = format!("{:?}", witness("w", 3));
    assert!(shown.starts_with("Cosigner(w+") && shown.len() == "Cosigner(w+00000000)".len());
}

#[test]
fn a_checkpoint_is_three_lines_and_opens_with_its_logs_key_only() {
    let key = log_key();
    let signed = head(20).sign(&key).unwrap();
    let text = format!("example.com/log\n20\n{}\n", leaf_hash(b"only").to_base64());
    assert_eq!(signed.note().text(), text);
    let opened = SignedCheckpoint::open(&signed.to_bytes(), &key.vkey(), &[]).unwrap();
    assert_eq!(opened, signed);
    assert_eq!(opened.checkpoint(), &head(20));

    let same_name = Skey::new(key.name().clone(), SigningKey::from_seed(&[9; 32]));
    assert!(matches!(
        SignedCheckpoint::open(&signed.to_bytes(), &same_name.vkey(), &[]),
        Err(CheckpointError::Note(NoteError::NotSigned))
    ));
    let other_log = Skey::new(
        "example.com/b".parse().unwrap(),
        SigningKey::from_seed(&[1; 32]),
    );
    assert!(matches!(
        head(20).sign(&other_log),
        Err(CheckpointError::Origin { .. })
    ));
    let mut stolen = Note::new(text).unwrap();
    stolen.sign(&other_log);
    assert!(matches!(
        SignedCheckpoint::open(&stolen.to_bytes(), &other_log.vkey(), &[]),
        Err(CheckpointError::Origin { .. })
    ));
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = leaf_hash(b"only").to_base64();
    let good = format!("o\n20\n{root}\n");
    assert_eq!(Checkpoint::parse(&good).unwrap().to_text(), good);
    let extended = format!("{good}extension\n");
    assert_eq!(
        Checkpoint::parse(&extended).unwrap(),
        Checkpoint::parse(&good).unwrap(),
        "extension lines are tolerated"
    );
    for bad in [
        String::new(),
        "o\n20\n".into(),
        good.trim_end().into(),
        format!("\n20\n{root}\n"),
        format!("{good}\n"),
        format!("{good}\nextension\n"),
        format!("o\n\n{root}\n"),
        format!("o\n020\n{root}\n"),
        format!("o\n+20\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n 20\n{root}\n"),
        format!("o\n9223372036854775808\n{root}\n"),
        format!("o\n99999999999999999999\n{root}\n"),
        format!("o\n20\n{}\n", &root[1..]),
        format!("o\n20\n{}\n", root.trim_end_matches('=')),
        format!("o\n20\n{root} \n"),
        format!("o\n0\n{root}\n"),
        format!("a b\n20\n{root}\n"),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
    }
    let empty = Checkpoint {
        root: EMPTY_ROOT,
        ..head(0)
    };
    assert!(empty.sign(&log_key()).is_ok());
    assert!(head(0).sign(&log_key()).is_err());
}

#[test]
fn a_cosignature_is_over_time_and_whole_text() {
    let witness_key = witness("witness.example", 5);
    let vkey: Vkey = witness_key.vkey().to_string().parse().unwrap();
    assert_eq!(vkey.kind(), SignatureType::Cosignature);
    assert_eq!(
        cosignature::message(1_700_000_000, "example.com/log\n7\nroot\n"),
        b"cosignature/v1\ntime 1700000000\nexample.com/log\n7\nroot\n"
    );
    let key = log_key();
    let mut note = head(7).sign(&key).unwrap().note().clone();
    note.cosign(&witness_key, 1_700_000_000).unwrap();
    let bytes = note.to_bytes();
    let known = [vkey.clone()];
    let opened = SignedCheckpoint::open(&bytes, &key.vkey(), &known).unwrap();
    assert_eq!(opened.cosignatures().len(), 1);
    assert_eq!(opened.cosignatures()[0].time_s, 1_700_000_000);
    assert_eq!(opened.cosignatures()[0].witness, vkey);
    assert_eq!(opened.to_bytes(), bytes);
    let unknown = SignedCheckpoint::open(&bytes, &key.vkey(), &[]).unwrap();
    assert!(unknown.cosignatures().is_empty());

    // Another time, another text, another key, a plain signature in its place: none verifies.
    let signature = note.signatures()[1].signature.clone();
    assert_eq!(
        vkey.verify(note.text(), &signature),
        Ok(Some(1_700_000_000))
    );
    let mut later = signature.clone();
    later[7] ^= 1;
    assert!(vkey.verify(note.text(), &later).is_err());
    assert!(vkey.verify("other\n", &signature).is_err());
    assert!(
        witness("w", 6)
            .vkey()
            .verify(note.text(), &signature)
            .is_err()
    );
    assert!(vkey.verify(note.text(), &signature[8..]).is_err());
    assert!(note.cosign(&witness_key, 1 << 63).is_err());
    let beyond = 1_u64 << 63;
    let signed = SigningKey::from_seed(&[5; 32]).sign(&cosignature::message(beyond, note.text()));
    let valid_but_late = [beyond.to_be_bytes().as_slice(), signed.as_bytes()].concat();
    assert_eq!(
        vkey.verify(note.text(), &valid_but_late),
        Err(NoteSignatureError::Cosignature(CosignatureError::Time(
            beyond
        )))
    );
}

#[test]
fn a_witness_does_not_speak_for_the_log() {
    let key = log_key();
    let as_witness = Cosigner::new(key.name().clone(), SigningKey::from_seed(&[1; 32]));
    let mut note = Note::new(head(7).to_text()).unwrap();
    note.cosign(&as_witness, 1).unwrap();
    assert!(matches!(
        SignedCheckpoint::open(&note.to_bytes(), &as_witness.vkey(), &[]),
        Err(CheckpointError::NotALogKey(_))
    ));
    assert!(matches!(
        SignedCheckpoint::open(&note.to_bytes(), &key.vkey(), &[as_witness.vkey()]),
        Err(CheckpointError::NotSignedByLog(_))
    ));
}
