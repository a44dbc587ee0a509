//! A whole log: every byte of its files counts, a missing file is named.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ledger::key::Skey;
use tempfile::TempDir;
use verify::log;
use verify::report::Report;
use verify::source::Source;
use wire::leaf::Kind;

use crate::record::{self, Leaves, ORIGIN, key, log_key};

const A: u64 = 10;

pub fn verify(folder: &Path) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let source = Source::open(folder.to_str().unwrap(), None).unwrap();
    runtime.block_on(log::verify(&source, &log_key().vkey()))
}

/// A log of `size` entries in a folder.
pub fn log_of(size: usize) -> (TempDir, BTreeMap<String, Vec<u8>>) {
    let mut leaves = Leaves::begun(A);
    for seq in 1..=(size - 3) as u64 {
        leaves.statement(Kind::Round, A, A, 1, seq);
    }
    let files = record::files(&leaves.entries(), &log_key());
    let folder = tempfile::tempdir().unwrap();
    record::write(folder.path(), &files);
    (folder, files)
}

#[track_caller]
fn refused(report: &Report, words: &str) {
    let text = report.to_text();
    assert!(
        !report.is_verified() && text.contains(words),
        "wanted {words}, got\n{text}"
    );
}

#[test]
fn a_log_is_verified_at_sizes_around_every_edge() {
    for size in [4, 255, 256, 257, 600] {
        let (folder, files) = log_of(size);
        let report = verify(folder.path());
        assert!(report.is_verified(), "{}", report.to_text());
        let tiles = files.len() - 1 - size.div_ceil(256);
        assert!(
            report
                .to_text()
                .contains(&format!("{tiles} tiles are what")),
            "{}",
            report.to_text()
        );
    }
}

#[test]
fn an_empty_log_is_verified_by_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    record::write(folder.path(), &record::files(&[], &log_key()));
    let report = verify(folder.path());
    assert!(report.is_verified(), "{}", report.to_text());
}

#[test]
fn every_byte_of_every_file_of_a_log_counts() {
    let (folder, files) = log_of(5);
    assert_eq!(files.len(), 3, "checkpoint, entries, one tile");
    for (path, bytes) in &files {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(folder.path().join(path), &changed).unwrap();
            assert!(!verify(folder.path()).is_verified(), "byte {at} of {path}");
        }
        fs::write(folder.path().join(path), bytes).unwrap();
    }
    assert!(verify(folder.path()).is_verified());
}

#[test]
fn a_changed_hash_on_any_level_is_named_by_its_tile() {
    let (folder, files) = log_of(300);
    for path in ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"] {
        let bytes = &files[path];
        for at in (0..bytes.len()).step_by(bytes.len() / 11) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            fs::write(folder.path().join(path), &changed).unwrap();
            refused(
                &verify(folder.path()),
                &format!("{path} does not hold the hashes"),
            );
        }
        fs::write(folder.path().join(path), bytes).unwrap();
    }
}

#[test]
fn a_missing_short_or_long_file_is_named() {
    let (folder, files) = log_of(300);
    for (path, bytes) in &files {
        let file = folder.path().join(path);
        fs::remove_file(&file).unwrap();
        refused(&verify(folder.path()), path);
        for changed in [
            &bytes[..bytes.len() - 1],
            &[bytes.as_slice(), b"\n"].concat(),
            &vec![b'x'; 2_000_000],
        ] {
            fs::write(&file, changed).unwrap();
            refused(&verify(folder.path()), "FAILED");
        }
        fs::write(&file, bytes).unwrap();
    }
    assert!(verify(folder.path()).is_verified());
}

#[test]
fn a_partial_tile_that_is_gone_is_read_from_the_full_one() {
    let (folder, _) = log_of(300);
    let (grown, _) = log_of(600);
    fs::copy(
        folder.path().join("checkpoint"),
        grown.path().join("checkpoint"),
    )
    .unwrap();
    fs::copy(folder.path().join("tile/1/000.p/1"), {
        let to = grown.path().join("tile/1/000.p/1");
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        to
    })
    .unwrap();
    let report = verify(grown.path());
    assert!(report.is_verified(), "{}", report.to_text());
}

#[test]
fn a_checkpoint_of_another_key_or_log_is_refused() {
    let entries = Leaves::begun(A).entries();
    for other in [
        Skey::new(ORIGIN.parse().unwrap(), key(77)),
        Skey::new("other.example".parse().unwrap(), key(1)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        record::write(folder.path(), &record::files(&entries, &other));
        refused(&verify(folder.path()), "checkpoint");
    }
}

#[test]
fn a_false_leaf_that_the_log_signed_is_still_refused() {
    let mut leaves = Leaves::begun(A);
    leaves.statement(Kind::Round, A, A, 1, 1);
    leaves.list[3].ev = Some(0);
    let folder = tempfile::tempdir().unwrap();
    record::write(folder.path(), &record::files(&leaves.entries(), &log_key()));
    let report = verify(folder.path());
    refused(&report, "FAILED  key events counted");
    assert_eq!(report.failures(), 1, "{}", report.to_text());
}

#[test]
fn a_signed_size_beyond_the_entries_ends_at_the_first_missing_one() {
    let (folder, _) = log_of(5);
    let head = ledger::checkpoint::Checkpoint {
        origin: ORIGIN.parse().unwrap(),
        size: ledger::MAX_SIZE,
        root: crypto::Digest::ZERO,
    };
    fs::write(
        folder.path().join("checkpoint"),
        head.sign(&log_key()).unwrap().to_bytes(),
    )
    .unwrap();
    refused(
        &verify(folder.path()),
        "only 0 of 9223372036854775807 could be read",
    );
}
