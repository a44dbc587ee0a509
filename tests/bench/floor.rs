//! The floor of ingest: what one statement cannot cost less than — signature, hash, decompression, a row.

use std::time::Instant;

use crypto::{Digest, SeededRandom, SigningKey};

/// CPU of each part of the floor, microseconds per statement.
pub struct Floor {
    pub signature_us: f64,
    pub hash_us: f64,
    pub decompress_us: f64,
    pub row_us: f64,
}

impl Floor {
    pub fn total_us(&self) -> f64 {
        self.signature_us + self.hash_us + self.decompress_us + self.row_us
    }
}

/// Measures the floor with a payload and its compressed form.
pub async fn measure(payload: &[u8], body: &[u8], dictionary: &[u8]) -> Floor {
    let key = SigningKey::generate(&mut SeededRandom::new(1));
    let signature = key.sign(payload);
    let public = key.verifying_key();
    Floor {
        signature_us: each(3000, || assert!(public.verify(payload, &signature).is_ok())),
        hash_us: each(20_000, || {
            std::hint::black_box(Digest::of(payload));
        }),
        decompress_us: each(20_000, || {
            let plain = zstd::bulk::Decompressor::with_dictionary(dictionary)
                .and_then(|mut zstd| zstd.decompress(body, 1 << 20));
            assert!(plain.is_ok());
        }),
        row_us: rows(payload.len() / 16).await,
    }
}

fn each(times: u32, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

/// One row of about a leaf's size, 256 a transaction, in a database set up as the collector's.
async fn rows(size: usize) -> f64 {
    use sqlx::sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    };
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("floor.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    sqlx::query("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)")
        .execute(&pool)
        .await
        .unwrap();
    let body = vec![7u8; size];
    let before = super::ingest::own_cpu_s();
    let batches = 40;
    for _ in 0..batches {
        let mut tx = pool.begin().await.unwrap();
        for _ in 0..256 {
            sqlx::query("INSERT INTO row (body) VALUES ($1)")
                .bind(&body)
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }
    (super::ingest::own_cpu_s() - before) * 1e6 / f64::from(batches * 256)
}
