//! `assay-collector backup` and `rebuild`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;
use store::Store;

use crate::folder::DataFolder;
use crate::ingest::replay;

/// Copies the database and the checkpoint to a new folder while the collector may be running. The checkpoint is copied
/// first, so that the copy of the database is never behind it. Keys are not copied: keep them apart.
///
/// # Errors
/// If the target exists or cannot be written.
pub async fn backup(data: &Path, checkpoint: &Path, out: &Path) -> anyhow::Result<()> {
    let store = Store::open(data).await?;
    // What is copied is as private as where it comes from.
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(out)
        .with_context(|| format!("cannot make {}", out.display()))?;
    std::fs::copy(checkpoint, out.join("checkpoint"))
        .with_context(|| format!("cannot copy {}", checkpoint.display()))?;
    store.backup(&out.join(store::DATABASE_FILE)).await?;
    println!(
        "copied the database and the checkpoint to {}; the keys in {} are not part of it",
        out.display(),
        data.join("keys").display()
    );
    Ok(())
}

/// Drops and recomputes every projection.
///
/// # Errors
/// If the collector is running, or an entry cannot be read back.
pub async fn rebuild(data: &Path) -> anyhow::Result<()> {
    let folder = DataFolder::open(data)?;
    let _lock = folder.lock()?;
    let store = Store::open(data).await?;
    let entries = replay::rebuild(&store).await?;
    println!("recomputed every projection from {entries} entries");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use evidence::time::SystemClock;

    use super::*;
    use crate::config::{Config, LogFormat};
    use crate::service;

    #[tokio::test]
    async fn a_copy_made_while_running_is_private_and_starts() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            data: directory.path().join("data"),
            listen: "127.0.0.1:0".parse().unwrap(),
            origin: "log.test/backup".to_owned(),
            url: None,
            checkpoint: Some(directory.path().join("elsewhere")),
            tls: None,
            names: Vec::new(),
            log: LogFormat::Text,
        };
        let clock = Arc::new(SystemClock::new());
        let running = service::start(&config, clock.clone()).await.unwrap();
        let out = directory.path().join("copy");
        backup(&config.data, &config.checkpoint_file(), &out)
            .await
            .unwrap();
        let newest = running.app.published.checkpoint().to_bytes();
        running.stop().await;
        assert_eq!(std::fs::read(out.join("checkpoint")).unwrap(), newest);
        let mode = std::fs::metadata(&out).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o700);
        let again = backup(&config.data, &config.checkpoint_file(), &out).await;
        assert!(again.is_err(), "never over another copy");
        std::fs::rename(config.data.join("keys"), out.join("keys")).unwrap();
        let restored = Config {
            data: out,
            checkpoint: None,
            ..config
        };
        let restored = service::start(&restored, clock).await.unwrap();
        assert_eq!(restored.app.published.checkpoint().to_bytes(), newest);
        restored.stop().await;
    }
}
