//! Databases written by SQLite itself; `tests/fixtures/packages/rpmdb.sqlite` has pages of 512 bytes, so that its rows
//! need inner pages and chains of overflow pages, and a write-ahead log with a transaction that is not folded in.

use std::path::Path;

use super::*;
use crate::host::FileSystemHost;

const DATABASE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/packages/rpmdb.sqlite"
));
const LOG: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/packages/rpmdb.sqlite-wal"
));

fn root(database: &[u8], log: Option<&[u8]>) -> (tempfile::TempDir, FileSystemHost) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "db", database);
    if let Some(log) = log {
        write(directory.path(), "db-wal", log);
    }
    let host = FileSystemHost::offline(directory.path()).unwrap();
    (directory, host)
}

fn write(directory: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(directory.join(name), bytes).unwrap();
}

fn rows(host: &FileSystemHost, table: &str) -> Result<Vec<(i64, Vec<Value>)>, SqliteError> {
    let mut found = Vec::new();
    Database::open(host, "/db")?.rows(table, &mut |row, values| {
        found.push((row, values));
        Next::Go
    })?;
    Ok(found)
}

#[test]
fn rows_come_in_order_with_their_types() {
    let (_directory, host) = root(DATABASE, None);
    let found = rows(&host, "numbers").unwrap();
    assert_eq!(found.len(), 200);
    for (number, (row, values)) in (1_i64..).zip(&found) {
        let sign = if number % 2 == 0 { 1 } else { -1 };
        assert_eq!(*row, number);
        assert_eq!(values[0], Value::Null, "the row id");
        assert_eq!(values[1], Value::Integer(number * number * sign));
        assert_eq!(values[2].text(), Some(format!("number {number}").as_str()));
        #[expect(clippy::cast_precision_loss, reason = "small numbers are exact")]
        let half = number as f64 / 2.0;
        // SQLite stores a real without a fraction as a whole number.
        let whole = (number % 2 == 0).then_some(Value::Integer(number / 2));
        assert_eq!(values[3], whole.unwrap_or(Value::Real(half)));
    }
    assert_eq!(rows(&host, "Packages").unwrap().len(), 1);
    assert!(matches!(
        rows(&host, "packages"),
        Err(SqliteError::NoTable(_))
    ));
}

#[test]
fn a_log_that_is_not_folded_in_counts_up_to_its_last_commit() {
    let (_directory, host) = root(DATABASE, Some(LOG));
    let packages = rows(&host, "Packages").unwrap();
    assert_eq!(packages.len(), 2);
    assert!(packages[1].1[1].blob().unwrap().len() > 1900);
    assert_eq!(
        rows(&host, "numbers").unwrap()[6].1[2].text(),
        Some("changed")
    );
    // Without its last frame the transaction was not committed, and counts for nothing.
    let (_directory, host) = root(DATABASE, Some(&LOG[..LOG.len() - 1]));
    assert_eq!(rows(&host, "Packages").unwrap().len(), 1);
    // A frame whose sum is wrong ends the log.
    let mut damaged = LOG.to_vec();
    damaged[32 + 24 + 100] ^= 1;
    let (_directory, host) = root(DATABASE, Some(&damaged));
    assert_eq!(rows(&host, "Packages").unwrap().len(), 1);
}

#[test]
fn a_transaction_to_be_undone_is_no_state_to_judge() {
    let (directory, host) = root(DATABASE, None);
    let journal = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 1];
    write(directory.path(), "db-journal", &journal);
    assert!(matches!(
        rows(&host, "numbers"),
        Err(SqliteError::Unfinished)
    ));
    write(directory.path(), "db-journal", &[0; 12]);
    assert!(rows(&host, "numbers").is_ok());
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let whole = 201;
    for cut in (0..DATABASE.len()).step_by(500) {
        let (_directory, host) = root(&DATABASE[..cut], None);
        assert!(rows(&host, "numbers").map_or(true, |rows| rows.len() < whole));
    }
    for at in (0..DATABASE.len()).step_by(19) {
        for value in [0x00, 0x05, 0xff] {
            let mut bad = DATABASE.to_vec();
            bad[at] = value;
            let (_directory, host) = root(&bad, Some(LOG));
            for table in ["numbers", "Packages"] {
                let _ = rows(&host, table);
            }
        }
    }
    let (_directory, host) = root(b"", None);
    assert!(rows(&host, "numbers").is_err());
}

#[test]
fn pages_in_a_circle_end() {
    // Every child of the root of `numbers` is the root itself.
    let (_directory, host) = root(DATABASE, None);
    let mut root_page = None;
    Database::open(&host, "/db")
        .unwrap()
        .rows("sqlite_schema", &mut |_, _| Next::Go)
        .unwrap_err();
    Database::open(&host, "/db")
        .unwrap()
        .walk(1, &mut |_, row| {
            if row[1].text() == Some("numbers") {
                root_page = row[3].integer();
            }
            Next::Go
        })
        .unwrap();
    let number = u32::try_from(root_page.unwrap()).unwrap();
    let start = (usize::try_from(number).unwrap() - 1) * 512;
    assert_eq!(DATABASE[start], 0x05, "an inner page");
    let mut bad = DATABASE.to_vec();
    bad[start + 8..start + 12].copy_from_slice(&number.to_be_bytes());
    let (_directory, host) = self::root(&bad, None);
    assert!(matches!(
        rows(&host, "numbers"),
        Err(SqliteError::Damaged(_))
    ));
}
